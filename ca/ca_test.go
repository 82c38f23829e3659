package ca

import (
	"crypto/ed25519"
	"crypto/rand"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/ca/internal/testissuer"
	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/rig"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// enrolled is a part with its client.
type enrolled struct {
	*wire.Client
	answer wire.EnrollResponse
}

// door is the parts' door as discovery tells it.
func (in *installation) door() wire.PartsDoor {
	in.t.Helper()
	var d wire.Discovery
	if err := in.client().Do(in.ctx(), "GET", wire.PathDiscovery, nil, &d); err != nil {
		in.t.Fatal(err)
	}
	return d.Parts
}

// token makes a join token on the CA's own machine.
func (in *installation) token(part wire.Part, name string, more ...string) string {
	in.t.Helper()
	return strings.TrimSpace(in.must(append([]string{"token", "--part", string(part), "--name", name}, more...)...))
}

func hostKey(t testing.TB) string {
	t.Helper()
	_, private, _ := ed25519.GenerateKey(rand.Reader)
	key, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key.PublicKey())))
}

func (in *installation) part() *wire.Client {
	in.t.Helper()
	identity, err := wire.NewIdentity()
	if err != nil {
		in.t.Fatal(err)
	}
	c, err := wire.NewPartsClient(in.door(), identity)
	if err != nil {
		in.t.Fatal(err)
	}
	return c
}

// enroll makes an agent (addr is its sshd) or a proxy.
func (in *installation) enroll(part wire.Part, name string, more ...string) enrolled {
	in.t.Helper()
	e := enrolled{Client: in.part()}
	request := wire.EnrollRequest{Token: in.token(part, name, more...), Part: part, Name: name, Addr: "127.0.0.1:22", HostKeys: []string{hostKey(in.t)}}
	if err := e.Do(in.ctx(), "POST", wire.PathEnroll, request, &e.answer); err != nil {
		in.t.Fatalf("enrol %s: %v", name, err)
	}
	return e
}

const webRole = `role: web-deploy
who: {groups: [eng]}
where: {labels: {tier: web}}
as: {logins: [deploy]}
what: {channels: [shell, exec, sftp]}
`

// policy applies one file as somebody of the admins' group.
func (in *installation) policy(i *testissuer.Issuer, text string) {
	in.t.Helper()
	admin := in.login(i, map[string]any{"sub": "ada", "email": "ada@example.com", "groups": []string{"platform"}})
	err := in.as(admin).Do(in.ctx(), "PUT", wire.PathPolicy, wire.ApplyPolicy{Files: map[string]string{"policy.yaml": text}, Base: -1}, nil)
	if err != nil {
		in.t.Fatalf("apply policy: %v", err)
	}
}

func (in *installation) openRequest(p *person, login id.Login, node id.NodeName) wire.OpenRequest {
	_, private, _ := ed25519.GenerateKey(rand.Reader)
	key, _ := ssh.NewSignerFromKey(private)
	return wire.OpenRequest{
		Certificate: p.cert, Client: "127.0.0.1:40000", Login: login, Node: node, Way: wire.WayConnect,
		PublicKey: key.PublicKey().Marshal(),
	}
}

// The audited path as the CA sees it, from an empty database to a session.
func TestAPersonLogsInAndOpensASession(t *testing.T) {
	t.Parallel()
	i := testissuer.New(t)
	in := install(t, i.URL).start()
	node := in.enroll(wire.PartAgent, "web-1", "--label", "tier=web")
	proxy := in.enroll(wire.PartProxy, "p1")
	ann := in.login(i, nil)

	err := proxy.Do(in.ctx(), "POST", wire.PathProxyOpen, in.openRequest(ann, "deploy", "web-1"), nil)
	if fault.ReasonOf(err) != fault.NoPolicy {
		t.Fatalf("before there is a policy: %v", err)
	}
	in.policy(i, webRole)

	var nodes []wire.ReachableNode
	if err := in.as(ann).Do(in.ctx(), "GET", wire.PathNodes, nil, &nodes); err != nil {
		t.Fatal(err)
	}
	if len(nodes) != 1 || nodes[0].Name != "web-1" || nodes[0].Logins[0].Login != "deploy" {
		t.Errorf("ls shows %+v", nodes)
	}

	var open wire.OpenResponse
	if err := proxy.Do(in.ctx(), "POST", wire.PathProxyOpen, in.openRequest(ann, "deploy", "web-1"), &open); err != nil {
		t.Fatal(err)
	}
	c, err := cert.Lint(cert.SessionProfile, open.Certificate, in.trust.SessionCA[0])
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.ValidPrincipals[0], id.Principal("deploy", node.answer.Node); got != want {
		t.Errorf("principal %q, want %q", got, want)
	}
	if c.CriticalOptions["source-address"] != "127.0.0.1" {
		t.Errorf("critical options %v", c.CriticalOptions)
	}
	if _, pty := c.Extensions["permit-pty"]; !pty || len(c.Extensions) != 1 {
		t.Errorf("extensions %v: a shell needs a terminal, and nothing else was granted", c.Extensions)
	}

	err = proxy.Do(in.ctx(), "POST", wire.PathProxyOpen, in.openRequest(ann, "root", "web-1"), nil)
	f := fault.Of(err)
	if f.Reason != fault.LoginNotAllowed || !strings.Contains(f.Text, "no role gives you root on web-1") || !strings.Contains(f.Next, "deploy (web-deploy)") {
		t.Errorf("denial: %+v", f)
	}

	// The end of an accepted session proves the node.
	path := strings.Replace(wire.PathProxyEnd, "{id}", string(open.Session), 1)
	if err := proxy.Do(in.ctx(), "POST", path, wire.EndRequest{End: "closed", Accepted: true}, nil); err != nil {
		t.Fatal(err)
	}
	var state wire.AgentState
	if err := node.Do(in.ctx(), "GET", wire.PathAgentState, nil, &state); err != nil {
		t.Fatal(err)
	}
	_ = state
	rig.Eventually(t, 5e9, "the agent hears that a login worked", func() bool {
		err := node.Do(in.ctx(), "GET", wire.PathAgentState, nil, &state)
		return err == nil && state.Proven
	})

	var sessions []wire.Session
	if err := in.as(ann).Do(in.ctx(), http.MethodGet, wire.PathSessions, nil, &sessions); err != nil {
		t.Fatal(err)
	}
	if len(sessions) != 1 || sessions[0].ID != open.Session || sessions[0].End != "closed" || sessions[0].Role != "web-deploy" {
		t.Errorf("sessions: %+v", sessions)
	}
}
