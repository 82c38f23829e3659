package parts

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/ca/internal/testca"
	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/store"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

const policyText = `role: web-deploy
who: {groups: [eng]}
where: {labels: {tier: web}}
as: {logins: [deploy]}
what: {channels: [shell, forward-agent]}
---
role: web-files
who: {groups: [eng]}
where: {labels: {tier: web}}
as: {logins: [files]}
what: {channels: [sftp]}
---
role: no-contractors
deny: true
who: {groups: [contractors]}
where: {nodes: ["*"]}
as: {logins: ["*"]}
what: {channels: ["*"]}
`

// stage is a world in which ann may deploy on web-1 through p1.
type stage struct {
	*world
	agent, proxy *client
	node         id.Node
	ann          *testca.Person
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{world: newWorld(t)}
	var out wire.EnrollResponse
	s.agent, out = s.enrolled(wire.PartAgent, "web-1")
	s.proxy, _ = s.enrolled(wire.PartProxy, "p1")
	s.node = out.Node
	s.Policy(policyText)
	s.ann = s.Login("ann@example.com", "eng")
	return s
}

func (s *stage) request() wire.OpenRequest {
	return wire.OpenRequest{
		Certificate: s.ann.Certificate, Client: "192.0.2.7:40000", Login: "deploy", Node: "web-1", Way: wire.WayJump,
		PublicKey: testca.Key(s.t).PublicKey().Marshal(),
	}
}

func (s *stage) open(r wire.OpenRequest) (out wire.OpenResponse, err error) {
	s.t.Helper()
	err = s.proxy.do("POST", wire.PathProxyOpen, r, &out)
	return out, err
}

func TestASessionCertificateOpensOneLoginOnOneNodeForAMinute(t *testing.T) {
	s := newStage(t)
	for login, extensions := range map[id.Login]string{"deploy": "permit-agent-forwarding permit-pty", "files": ""} {
		r := s.request()
		r.Login = login
		out, err := s.open(r)
		if err != nil {
			t.Fatal(err)
		}
		c, err := cert.Lint(cert.SessionProfile, out.Certificate, s.Keys[cert.SessionProfile].PublicKey())
		if err != nil {
			t.Fatal(err)
		}
		if len(c.ValidPrincipals) != 1 || c.ValidPrincipals[0] != id.Principal(login, s.node) {
			t.Errorf("principals %v", c.ValidPrincipals)
		}
		if d := time.Until(time.Unix(int64(c.ValidBefore), 0)); d > time.Minute {
			t.Errorf("valid for %v", d)
		}
		if c.CriticalOptions["source-address"] != "127.0.0.1" {
			t.Errorf("not from the proxy's own address alone: %v", c.CriticalOptions)
		}
		var have []string
		for _, name := range []string{"permit-agent-forwarding", "permit-port-forwarding", "permit-pty", "permit-X11-forwarding", "permit-user-rc"} {
			if _, ok := c.Extensions[name]; ok {
				have = append(have, name)
			}
		}
		if got := strings.Join(have, " "); got != extensions {
			t.Errorf("as %s: extensions %q, want %q", login, got, extensions)
		}
		if want := "session=" + string(out.Session) + " identity=ann@example.com policy=1"; c.KeyId != want {
			t.Errorf("KeyID %q, want %q", c.KeyId, want)
		}
		row, err := s.Store.Session(t.Context(), out.Session)
		if err != nil || uint64(row.Serial) != c.Serial || row.LoginSerial != s.ann.Serial || row.Client != "192.0.2.7:40000" {
			t.Errorf("its row: %+v, %v", row, err)
		}
	}
}

func TestASessionIsDenied(t *testing.T) {
	s := newStage(t)
	s.Node("db-1", map[string]string{"tier": "db"})
	for name, row := range map[string]struct {
		reason fault.Reason
		text   string
		change func(*wire.OpenRequest)
	}{
		"as a login that the roles do not give": {fault.LoginNotAllowed, "no role gives you root on web-1", func(r *wire.OpenRequest) { r.Login = "root" }},
		"on a node without a role":              {fault.NoRole, "no role gives you deploy on db-1", func(r *wire.OpenRequest) { r.Node = "db-1" }},
		"on a node that does not exist":         {fault.NodeUnknown, `no node "web-9"`, func(r *wire.OpenRequest) { r.Node = "web-9" }},
		"to somebody without a group":           {fault.NoRole, "no role", func(r *wire.OpenRequest) { r.Certificate = s.Login("new@example.com").Certificate }},
		"to somebody whom a role denies":        {fault.DeniedByRole, "no-contractors", func(r *wire.OpenRequest) { r.Certificate = s.Login("c@example.com", "eng", "contractors").Certificate }},
		"as a login that is none":               {fault.BadRequest, "", func(r *wire.OpenRequest) { r.Login = "a@b" }},
		"as nobody":                             {fault.BadRequest, "", func(r *wire.OpenRequest) { r.Login = "" }},
		"by a way that is none":                 {fault.BadRequest, "", func(r *wire.OpenRequest) { r.Way = "" }},
		"without the client's address":          {fault.BadRequest, "", func(r *wire.OpenRequest) { r.Client = "" }},
		"without a key":                         {fault.BadRequest, "", func(r *wire.OpenRequest) { r.PublicKey = nil }},
		"for a certificate in place of a key":   {fault.KeyRefused, "", func(r *wire.OpenRequest) { r.PublicKey = s.ann.Certificate }},
		"without a certificate":                 {fault.CertificateInvalid, "", func(r *wire.OpenRequest) { r.Certificate = nil }},
		"to a plain key":                        {fault.CertificateInvalid, "", func(r *wire.OpenRequest) { r.Certificate = s.ann.Key.PublicKey().Marshal() }},
		"to a certificate that has expired": {fault.CertificateExpired, "", func(r *wire.OpenRequest) {
			r.Certificate = s.LoginAt(time.Now().Add(-9*time.Hour), "ann@example.com", "eng").Certificate
		}},
		"to a certificate that is not yet valid": {fault.CertificateExpired, "", func(r *wire.OpenRequest) {
			r.Certificate = s.LoginAt(time.Now().Add(time.Hour), "ann@example.com", "eng").Certificate
		}},
		"to a certificate of another CA":         {fault.CertificateInvalid, "", func(r *wire.OpenRequest) { r.Certificate = s.Forge(testca.Key(t), *s.ann.Parsed(t)).Marshal() }},
		"to a certificate of which is no record": {fault.CertificateInvalid, "", func(r *wire.OpenRequest) { r.Certificate = s.forged(func(c *ssh.Certificate) { c.Serial += 1000 }) }},
		"to a certificate without principals": {fault.CertificateInvalid, "", func(r *wire.OpenRequest) {
			r.Certificate = s.forged(func(c *ssh.Certificate) { c.ValidPrincipals = nil })
		}},
		"to a certificate with a host's type": {fault.CertificateInvalid, "", func(r *wire.OpenRequest) {
			r.Certificate = s.forged(func(c *ssh.Certificate) { c.CertType = ssh.HostCert })
		}},
		"to a certificate with an unknown option": {fault.CertificateInvalid, "", func(r *wire.OpenRequest) {
			r.Certificate = s.forged(func(c *ssh.Certificate) { c.CriticalOptions = map[string]string{"x": ""} })
		}},
		"to a certificate that is too large": {fault.CertificateInvalid, "", func(r *wire.OpenRequest) {
			r.Certificate = s.forged(func(c *ssh.Certificate) { c.KeyId = strings.Repeat("x", cert.MaxSize) })
		}},
		"to a node's host certificate":               {fault.CertificateInvalid, "", func(r *wire.OpenRequest) { r.Certificate = s.hostCertificate() }},
		"to the session certificate of another time": {fault.CertificateInvalid, "", func(r *wire.OpenRequest) { out, _ := s.open(s.request()); r.Certificate = out.Certificate }},
	} {
		t.Run(name, func(t *testing.T) {
			r := s.request()
			row.change(&r)
			out, err := s.open(r)
			want(t, err, row.reason)
			if err != nil && !strings.Contains(fault.Of(err).Text, row.text) {
				t.Errorf("it says %q", fault.Of(err).Show())
			}
			if len(out.Certificate) > 0 || out.Session != "" {
				t.Errorf("and yet there is a session %s", out.Session)
			}
		})
	}
	t.Run("after a logout", func(t *testing.T) {
		if err := s.Store.Revoke(t.Context(), store.Actor{Name: "ada@example.com"}, s.ann.Serial); err != nil {
			t.Fatal(err)
		}
		_, err := s.open(s.request())
		want(t, err, fault.CertificateRevoked)
	})
}

func (s *stage) forged(change func(*ssh.Certificate)) []byte {
	c := *s.ann.Parsed(s.t)
	change(&c)
	return s.Forge(s.Keys[cert.LoginProfile], c).Marshal()
}

func (s *stage) hostCertificate() []byte {
	s.t.Helper()
	var h wire.HostCertificate
	if err := s.agent.do("POST", wire.PathAgentRenew, wire.HostCertificateRequest{HostKey: hostKeyLine(s.t)}, &h); err != nil {
		s.t.Fatal(err)
	}
	return h.Certificate
}

func TestACertificateThatIsBoundToAnAddressIsUsedFromThere(t *testing.T) {
	s := newStage(t)
	s.ann = s.LoginFrom(netip.MustParsePrefix("192.0.2.0/24"), "ann@example.com", "eng")
	for client, reason := range map[string]fault.Reason{
		"192.0.2.7:40000":          "",
		"[::ffff:192.0.2.7]:40000": "",
		"198.51.100.1:40000":       fault.CertificateInvalid,
		"[2001:db8::1]:40000":      fault.CertificateInvalid,
		"web-1:22":                 fault.BadRequest,
	} {
		r := s.request()
		r.Client = client
		if _, err := s.open(r); fault.ReasonOf(err) != reason {
			t.Errorf("from %s: %v", client, err)
		}
	}
}

func TestAnotherProxyDoesNotEndASession(t *testing.T) {
	s := newStage(t)
	other, _ := s.enrolled(wire.PartProxy, "p2")
	out, err := s.open(s.request())
	if err != nil {
		t.Fatal(err)
	}
	path := strings.Replace(wire.PathProxyEnd, "{id}", string(out.Session), 1)
	want(t, other.do("POST", path, wire.EndRequest{End: "closed", Accepted: true}, nil), fault.NotFound)
	if n, _ := s.Store.NodeByName(t.Context(), "web-1"); n.Proven != 0 {
		t.Error("and yet the node is proven")
	}
	want(t, s.proxy.do("POST", path, wire.EndRequest{}, nil), fault.BadRequest)
	for range 2 { // the answer may have been lost
		if err := s.proxy.do("POST", path, wire.EndRequest{End: "closed", Accepted: true, Bytes: 10}, nil); err != nil {
			t.Error(err)
		}
	}
	row, err := s.Store.Session(t.Context(), out.Session)
	if err != nil || row.End != "closed" || row.Bytes != 10 {
		t.Errorf("got %+v, %v", row, err)
	}
}

func TestAProxyThatStartsEndsWhatItLost(t *testing.T) {
	s := newStage(t)
	lost, err := s.open(s.request())
	if err != nil {
		t.Fatal(err)
	}
	live, err := s.open(s.request())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.proxy.do("POST", wire.PathProxyStart, wire.StartRequest{Live: []id.Session{live.Session}}, nil); err != nil {
		t.Fatal(err)
	}
	for name, end := range map[id.Session]string{lost.Session: "lost", live.Session: ""} {
		if row, err := s.Store.Session(t.Context(), name); err != nil || row.End != end {
			t.Errorf("%s ended as %q, %v", name, row.End, err)
		}
	}
}

func TestTheMenuShowsWhatTheHolderReaches(t *testing.T) {
	s := newStage(t)
	var nodes []wire.ReachableNode
	if err := s.proxy.do("POST", wire.PathProxyNodes, wire.MenuRequest{Certificate: s.ann.Certificate, Client: "192.0.2.7:1"}, &nodes); err != nil {
		t.Fatal(err)
	}
	if len(nodes) != 1 || len(nodes[0].Logins) != 2 {
		t.Errorf("got %+v", nodes)
	}
	want(t, s.proxy.do("POST", wire.PathProxyNodes, wire.MenuRequest{Certificate: []byte("x"), Client: "192.0.2.7:1"}, nil), fault.CertificateInvalid)
}
