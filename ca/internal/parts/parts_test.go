package parts

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-ssh/sallyport/ca/internal/door"
	"github.com/sallyport-ssh/sallyport/ca/internal/refusals"
	"github.com/sallyport-ssh/sallyport/ca/internal/testca"
	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/store"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// world is a parts' door on a test's CA.
type world struct {
	*testca.CA
	t     *testing.T
	door  wire.PartsDoor
	parts *parts
}

func newWorld(t *testing.T) *world {
	t.Helper()
	ca := testca.New(t)
	identity, err := wire.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	p := &parts{Config: Config{
		Store: ca.Store, Directory: ca.Directory, Issuer: ca.Issuer, Holders: ca.Holders,
		Refusals: refusals.New(ca.Store, slog.New(slog.DiscardHandler)),
		Trust:    wire.Trust{Version: 1}, SessionCA: ca.Public(cert.SessionProfile), HostCA: ca.Public(cert.HostProfile),
		Order: ca.Keep(t.TempDir()).Order, HostLifetime: 7 * 24 * time.Hour,
		Now: time.Now, Log: slog.New(slog.DiscardHandler),
	}}
	if p.krl, err = revoked(p.SessionCA); err != nil {
		t.Fatal(err)
	}
	handler, err := door.New(p.routes(), &gate{p}, p.Log)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(handler)
	server.TLS = wire.PartsTLS(identity)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	return &world{ca, t, wire.PartsDoor{URL: server.URL, Pin: hex.EncodeToString(identity.Pin())}, p}
}

// client is a part with a TLS key of its own.
type client struct {
	*wire.Client
	w *world
}

func (w *world) stranger() *client {
	w.t.Helper()
	identity, err := wire.NewIdentity()
	if err != nil {
		w.t.Fatal(err)
	}
	c, err := wire.NewPartsClient(w.door, identity)
	if err != nil {
		w.t.Fatal(err)
	}
	return &client{Client: c, w: w}
}

func (c *client) do(method, path string, in, out any) error {
	c.w.t.Helper()
	return c.Do(c.w.t.Context(), method, path, in, out)
}

// token makes a join token and returns its secret.
func (w *world) token(n wire.NewJoinToken) string {
	w.t.Helper()
	secret := rand.Text()
	sum := sha256.Sum256([]byte(secret))
	if n.Uses == 0 {
		n.Uses = 1
	}
	token := wire.JoinToken{ID: rand.Text()[:8], NewJoinToken: n, Expires: time.Now().Unix() + n.Seconds, Author: "test"}
	if err := w.Store.CreateToken(w.t.Context(), store.Actor{Name: "ada@example.com"}, token, sum[:]); err != nil {
		w.t.Fatal(err)
	}
	return secret
}

func hostKeyLine(t *testing.T) string {
	t.Helper()
	return strings.TrimSpace(string(cert.AuthorizedKeys("", testca.Key(t).PublicKey())))
}

func (w *world) enrollment(part wire.Part, name string) wire.EnrollRequest {
	return wire.EnrollRequest{
		Token: w.token(wire.NewJoinToken{Part: part, Names: []string{name}, Labels: map[string]string{"tier": "web"}, Seconds: 600}),
		Part:  part, Name: name, Addr: "192.0.2.10:22", HostKeys: []string{hostKeyLine(w.t)},
	}
}

func (w *world) enrolled(part wire.Part, name string) (*client, wire.EnrollResponse) {
	w.t.Helper()
	c := w.stranger()
	var out wire.EnrollResponse
	if err := c.do("POST", wire.PathEnroll, w.enrollment(part, name), &out); err != nil {
		w.t.Fatalf("enrol %s: %v", name, err)
	}
	return c, out
}

func want(t *testing.T, err error, reason fault.Reason) {
	t.Helper()
	if fault.ReasonOf(err) != reason {
		t.Errorf("got %v (%s), want %q", err, fault.ReasonOf(err), reason)
	}
}

// The table of routes is walked, so that a route that is added tomorrow is
// tested tomorrow.
func TestEveryRoute(t *testing.T) {
	w := newWorld(t)
	agent, _ := w.enrolled(wire.PartAgent, "web-1")
	proxy, _ := w.enrolled(wire.PartProxy, "p1")
	stranger := w.stranger()
	for _, r := range w.parts.routes() {
		path := strings.Replace(r.Path, "{id}", "7kq2-m9x4d", 1)
		t.Run(r.Method+" "+r.Path, func(t *testing.T) {
			caller := map[door.Who]*client{door.Agent: agent, door.Proxy: proxy, door.Newcomer: stranger}[r.Who]
			if caller == nil {
				t.Fatalf("may be called by %q", r.Who)
			}
			for who, other := range map[door.Who]*client{door.Agent: agent, door.Proxy: proxy, door.Newcomer: stranger} {
				if who != r.Who && r.Who != door.Newcomer {
					want(t, other.do(r.Method, path, nil, nil), fault.NotEnrolled)
				}
			}
			if r.Limit == 0 {
				want(t, caller.do(r.Method, path, "a body", nil), fault.BadRequest)
				return
			}
			want(t, caller.do(r.Method, path, strings.Repeat("x", int(r.Limit)), nil), fault.TooLarge)
			want(t, caller.do(r.Method, path, map[string]int{"nobody_knows_this": 1}, nil), fault.BadRequest)
		})
	}
}

func TestAPartWithoutATLSKeyIsNotHeard(t *testing.T) {
	w := newWorld(t)
	identity, _ := wire.NewIdentity()
	identity.TLS.Certificate, identity.TLS.PrivateKey = nil, nil
	c, err := wire.NewPartsClient(w.door, identity)
	if err != nil {
		t.Fatal(err)
	}
	want(t, c.Do(t.Context(), "POST", wire.PathEnroll, w.enrollment(wire.PartAgent, "web-1"), nil), fault.CAAway)
}

func TestAnAgentEnrols(t *testing.T) {
	w := newWorld(t)
	agent, out := w.enrolled(wire.PartAgent, "web-1")
	c, err := cert.Lint(cert.HostProfile, out.Certificates[0].Certificate, w.Keys[cert.HostProfile].PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	if err := cert.VerifyNode(c, w.Public(cert.HostProfile), "web-1", out.Node, time.Now()); err != nil {
		t.Error(err)
	}
	if out.Labels["tier"] != "web" {
		t.Errorf("labels are the token's: %v", out.Labels)
	}
	var again wire.HostCertificate
	if err := agent.do("POST", wire.PathAgentRenew, wire.HostCertificateRequest{HostKey: hostKeyLine(t)}, &again); err != nil {
		t.Fatal(err)
	}
	want(t, agent.do("POST", wire.PathAgentRenew, wire.HostCertificateRequest{HostKey: hostKeyLine(t), Node: "db-1"}, nil), fault.JoinTokenNames)

	// The same key comes back, under another token: the same node.
	second := w.enrollment(wire.PartAgent, "web-1")
	second.Rejoin = true
	var back wire.EnrollResponse
	if err := agent.do("POST", wire.PathEnroll, second, &back); err != nil || back.Node != out.Node {
		t.Errorf("it is node %s and was %s: %v", back.Node, out.Node, err)
	}
	// Another key does not get the name.
	want(t, w.stranger().do("POST", wire.PathEnroll, w.enrollment(wire.PartAgent, "web-1"), nil), fault.NodeNameTaken)
}

func TestAnEnrolmentIsRefused(t *testing.T) {
	w := newWorld(t)
	for name, row := range map[string]struct {
		reason fault.Reason
		change func(*wire.EnrollRequest)
	}{
		"with a token that nobody made": {fault.JoinTokenUnknown, func(r *wire.EnrollRequest) { r.Token = "k3v9" }},
		"without a token":               {fault.JoinTokenUnknown, func(r *wire.EnrollRequest) { r.Token = "" }},
		"with a token that has expired": {fault.JoinTokenExpired, func(r *wire.EnrollRequest) {
			r.Token = w.token(wire.NewJoinToken{Part: wire.PartAgent, Names: []string{"*"}, Seconds: -10})
		}},
		"with a token for another part":       {fault.JoinTokenUnknown, func(r *wire.EnrollRequest) { r.Part = wire.PartProxy }},
		"for a name beyond the token":         {fault.JoinTokenNames, func(r *wire.EnrollRequest) { r.Name = "db-1" }},
		"for a further name beyond the token": {fault.JoinTokenNames, func(r *wire.EnrollRequest) { r.Names = []string{"db-1"} }},
		"for an address beyond the token":     {fault.JoinTokenNames, func(r *wire.EnrollRequest) { r.Names = []string{"192.0.2.1"} }},
		"as no part":                          {fault.BadRequest, func(r *wire.EnrollRequest) { r.Part = "ca" }},
		"under a name that is none":           {fault.BadRequest, func(r *wire.EnrollRequest) { r.Name = "-web" }},
		"under a wildcard":                    {fault.BadRequest, func(r *wire.EnrollRequest) { r.Names = []string{"*"} }},
		"without an address":                  {fault.BadRequest, func(r *wire.EnrollRequest) { r.Addr = "" }},
		"without a host key":                  {fault.BadRequest, func(r *wire.EnrollRequest) { r.HostKeys = nil }},
		"with a host key that is none":        {fault.KeyRefused, func(r *wire.EnrollRequest) { r.HostKeys = []string{"ssh-ed25519 AAAA"} }},
		"with a certificate for a host key": {fault.KeyRefused, func(r *wire.EnrollRequest) {
			r.HostKeys = []string{string(cert.AuthorizedKeys("", w.Login("x@example.com").Parsed(t)))}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			r := w.enrollment(wire.PartAgent, "web-1")
			row.change(&r)
			want(t, w.stranger().do("POST", wire.PathEnroll, r, nil), row.reason)
		})
	}
	t.Run("with a token that was used", func(t *testing.T) {
		r := w.enrollment(wire.PartAgent, "web-1")
		if err := w.stranger().do("POST", wire.PathEnroll, r, nil); err != nil {
			t.Fatal(err)
		}
		want(t, w.stranger().do("POST", wire.PathEnroll, r, nil), fault.JoinTokenUsed)
	})
	if nodes, err := w.Store.Nodes(t.Context()); err != nil || len(nodes) != 1 {
		t.Errorf("%d nodes came of it, %v", len(nodes), err)
	}
}

func TestAProxyIsCertifiedForItselfAndBrieflyForNodes(t *testing.T) {
	w := newWorld(t)
	w.enrolled(wire.PartAgent, "web-1")
	proxy, out := w.enrolled(wire.PartProxy, "p1.example.com")
	certificate := func(h wire.HostCertificate) (principals string, lifetime time.Duration) {
		c, err := cert.Lint(cert.HostProfile, h.Certificate, w.Keys[cert.HostProfile].PublicKey())
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(c.ValidPrincipals, " "), time.Until(time.Unix(int64(c.ValidBefore), 0))
	}
	if p, _ := certificate(out.Certificates[0]); p != "p1.example.com 192.0.2.10" {
		t.Errorf("its own names: %s", p)
	}
	var h wire.HostCertificate
	if err := proxy.do("POST", wire.PathProxyHost, wire.HostCertificateRequest{HostKey: hostKeyLine(t), Node: "web-1"}, &h); err != nil {
		t.Fatal(err)
	}
	if p, d := certificate(h); p != "web-1" || d > 24*time.Hour {
		t.Errorf("for a node: %s for %v", p, d)
	}
	c, _ := cert.Parse(h.Certificate)
	node, _ := w.Store.NodeByName(t.Context(), "web-1")
	if err := cert.VerifyNode(c, w.Public(cert.HostProfile), "web-1", node.ID, time.Now()); err == nil {
		t.Error("another proxy would take it for the node")
	}
	want(t, proxy.do("POST", wire.PathProxyHost, wire.HostCertificateRequest{HostKey: hostKeyLine(t), Node: "db-1"}, nil), fault.NodeUnknown)

	r := w.enrollment(wire.PartProxy, "p2")
	r.Addr = "github.com:22"
	want(t, w.stranger().do("POST", wire.PathEnroll, r, nil), fault.JoinTokenNames)
}
