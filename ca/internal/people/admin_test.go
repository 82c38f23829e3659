package people

import (
	"strings"
	"testing"
	"time"

	"github.com/sallyport-ssh/sallyport/ca/internal/testca"
	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/store"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

const role = `role: web-deploy
who: {groups: [eng]}
where: {labels: {tier: web}}
as: {logins: [deploy]}
what: {channels: [shell]}
`

const duties = `role: on-call-admins
who: {groups: [oncall]}
duties: [admin, auditor]
`

func TestPolicyIsAppliedAndExplained(t *testing.T) {
	w := newWorld(t)
	ann, ada := w.Login("ann@example.com", "eng"), w.Login("ada@example.com", "platform")
	w.Node("web-1", map[string]string{"tier": "web"})

	apply := func(base int64, check bool, text string) (p wire.Policy, err error) {
		err = w.do(ada, "PUT", wire.PathPolicy, wire.ApplyPolicy{Files: map[string]string{"p.yaml": text}, Base: base, Check: check}, &p)
		return p, err
	}
	if _, err := apply(0, true, role); err != nil {
		t.Fatal(err)
	}
	var now wire.Policy
	if err := w.do(ada, "GET", wire.PathPolicy, nil, &now); err != nil || now.Revision != 0 {
		t.Errorf("a check has applied something: %+v, %v", now, err)
	}
	got, err := apply(0, false, role)
	if err != nil || got.Revision != 1 || got.Author != "ada@example.com" {
		t.Fatalf("got %+v, %v", got, err)
	}
	if _, err := apply(0, false, role); fault.ReasonOf(err) != fault.PolicyStale {
		t.Errorf("from a revision that somebody has replaced: %v", err)
	}
	_, err = apply(1, false, strings.Replace(role, "groups: [eng]", "grops: [eng]", 1))
	if f := fault.Of(err); f.Reason != fault.PolicyInvalid || !strings.Contains(f.Text, "p.yaml:2:") {
		t.Errorf("a broken one: %v", err)
	}

	var nodes []wire.ReachableNode
	if err := w.do(ann, "GET", wire.PathNodes, nil, &nodes); err != nil || len(nodes) != 1 || nodes[0].Logins[0].Login != "deploy" {
		t.Errorf("ann reaches %+v, %v", nodes, err)
	}
	explain := func(who id.Identity, login id.Login, more wire.ExplainRequest) (e wire.Explanation) {
		t.Helper()
		more.Identity, more.Login, more.Node = who, login, "web-1"
		if err := w.do(ada, "POST", wire.PathPolicyExplain, more, &e); err != nil {
			t.Fatal(err)
		}
		return e
	}
	if e := explain("ann@example.com", "deploy", wire.ExplainRequest{}); !e.Decision.Granted() || e.Revision != 1 || !e.Roles[0].Matches {
		t.Errorf("ann: %+v", e)
	}
	if e := explain("ann@example.com", "root", wire.ExplainRequest{}); e.Decision.Granted() || e.Decision.Denial.Reason != fault.LoginNotAllowed {
		t.Errorf("root: %+v", e)
	}
	if e := explain("new@example.com", "deploy", wire.ExplainRequest{}); e.Decision.Granted() {
		t.Errorf("somebody who never logged in has no groups: %+v", e)
	}
	if e := explain("new@example.com", "deploy", wire.ExplainRequest{Groups: []string{"eng"}}); !e.Decision.Granted() {
		t.Errorf("what if they were in eng: %+v", e)
	}
	err = w.do(ada, "POST", wire.PathPolicyExplain, wire.ExplainRequest{Identity: "ann@example.com", Login: "root", Node: "db-9"}, nil)
	if fault.ReasonOf(err) != fault.NodeUnknown {
		t.Errorf("a node that does not exist: %v", err)
	}
}

func TestAPolicyFromADirectoryIsChangedThere(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.PolicyDir = "/etc/sallyport/policy" })
	ada := w.Login("ada@example.com", "platform")
	in := wire.ApplyPolicy{Files: map[string]string{"p.yaml": role}, Base: -1}
	f := fault.Of(w.do(ada, "PUT", wire.PathPolicy, in, nil))
	if f.Kind != fault.Conflict || !strings.Contains(f.Text, "/etc/sallyport/policy") {
		t.Errorf("got %+v", f)
	}
	in.Check = true
	if err := w.do(ada, "PUT", wire.PathPolicy, in, nil); err != nil {
		t.Errorf("a check: %v", err)
	}
}

func TestDutiesComeFromRolesToo(t *testing.T) {
	w := newWorld(t)
	carl := w.Login("carl@example.com", "oncall")
	if err := w.do(carl, "GET", wire.PathAdminNodes, nil, nil); fault.ReasonOf(err) != fault.NotAdmin {
		t.Errorf("before: %v", err)
	}
	w.Policy(role + "---\n" + duties)
	if err := w.do(carl, "GET", wire.PathAdminNodes, nil, nil); err != nil {
		t.Errorf("with the role: %v", err)
	}
	w.Policy(role)
	if err := w.do(carl, "GET", wire.PathAdminNodes, nil, nil); fault.ReasonOf(err) != fault.NotAdmin {
		t.Errorf("after: %v", err)
	}
}

func TestANodeWithoutAnAgent(t *testing.T) {
	w := newWorld(t)
	ada := w.Login("ada@example.com", "platform")
	key := strings.TrimSpace(string(cert.AuthorizedKeys("", testca.Key(t).PublicKey())))
	good := wire.AddNode{Name: "switch-1", Addr: "10.0.0.9:22", Labels: map[string]string{"kind": "switch"}, HostKeys: []string{key}}

	for name, change := range map[string]func(*wire.AddNode){
		"without a name":                 func(n *wire.AddNode) { n.Name = "" },
		"with a name in capitals":        func(n *wire.AddNode) { n.Name = "Switch" },
		"without an address":             func(n *wire.AddNode) { n.Addr = "" },
		"with an address without a port": func(n *wire.AddNode) { n.Addr = "10.0.0.9" },
		"with port 0":                    func(n *wire.AddNode) { n.Addr = "10.0.0.9:0" },
		"with a label of two lines":      func(n *wire.AddNode) { n.Labels = map[string]string{"a": "b\nc"} },
		"with an empty label":            func(n *wire.AddNode) { n.Labels = map[string]string{"a": ""} },
	} {
		t.Run(name+" is refused", func(t *testing.T) {
			n := good
			change(&n)
			if err := w.do(ada, "POST", wire.PathAdminNodes, n, nil); fault.ReasonOf(err) != fault.BadRequest {
				t.Errorf("got %v", err)
			}
		})
	}
	for name, keys := range map[string][]string{
		"without a host key": nil, "with a host key that is none": {"ssh-ed25519 AAAA"}, "with options before the key": {"no-pty " + key},
		"with a certificate for a host key": {string(cert.AuthorizedKeys("", w.Login("x@example.com").Parsed(t)))},
		"with two keys in one line's place": {key + "\n" + key},
	} {
		t.Run(name+" is refused", func(t *testing.T) {
			n := good
			n.HostKeys = keys
			if err := w.do(ada, "POST", wire.PathAdminNodes, n, nil); fault.Of(err).Kind != fault.Invalid {
				t.Errorf("got %v", err)
			}
		})
	}

	var added wire.NodeAdded
	if err := w.do(ada, "POST", wire.PathAdminNodes, good, &added); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(added.SshdConfig, "/bin/echo %u@"+string(added.Node.ID)+"\n") || !strings.HasPrefix(added.SessionCA, "ssh-ed25519 ") {
		t.Errorf("its admin is told:\n%s%s", added.SshdConfig, added.SessionCA)
	}
	if err := w.do(ada, "POST", wire.PathAdminNodes, good, nil); fault.ReasonOf(err) != fault.NodeNameTaken {
		t.Errorf("a second one of that name: %v", err)
	}
	path := strings.Replace(wire.PathAdminNode, "{name}", "switch-1", 1)
	yes, addr := true, "10.0.0.10:22"
	if err := w.do(ada, "PATCH", path, wire.SetNode{Strict: &yes}, nil); fault.ReasonOf(err) != fault.BadRequest {
		t.Errorf("strict without an agent: %v", err)
	}
	var changed wire.Node
	if err := w.do(ada, "PATCH", path, wire.SetNode{Addr: &addr}, &changed); err != nil || changed.Addr != addr || changed.Labels["kind"] != "switch" {
		t.Errorf("another address: %+v, %v", changed, err)
	}
	if err := w.do(ada, "DELETE", path, nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := w.do(ada, "DELETE", path, nil, nil); fault.ReasonOf(err) != fault.NodeUnknown {
		t.Errorf("the second time: %v", err)
	}
}

func TestAJoinTokenSaysWhatItIsFor(t *testing.T) {
	w := newWorld(t)
	ada := w.Login("ada@example.com", "platform")
	good := wire.NewJoinToken{Part: wire.PartAgent, Names: []string{"web-*"}, Uses: 1, Seconds: 3600}
	for name, change := range map[string]func(*wire.NewJoinToken){
		"for no part":                  func(n *wire.NewJoinToken) { n.Part = "" },
		"for another part":             func(n *wire.NewJoinToken) { n.Part = "ca" },
		"for no names":                 func(n *wire.NewJoinToken) { n.Names = nil },
		"with a pattern that is none":  func(n *wire.NewJoinToken) { n.Names = []string{"[a"} },
		"with an empty name":           func(n *wire.NewJoinToken) { n.Names = []string{""} },
		"that is never used":           func(n *wire.NewJoinToken) { n.Uses = 0 },
		"that is used without end":     func(n *wire.NewJoinToken) { n.Uses = 1 << 30 },
		"that never ends":              func(n *wire.NewJoinToken) { n.Seconds = 1 << 40 },
		"that has ended when it began": func(n *wire.NewJoinToken) { n.Seconds = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			n := good
			change(&n)
			if err := w.do(ada, "POST", wire.PathAdminTokens, n, nil); fault.ReasonOf(err) != fault.BadRequest {
				t.Errorf("got %v", err)
			}
		})
	}
	var made wire.JoinTokenSecret
	if err := w.do(ada, "POST", wire.PathAdminTokens, good, &made); err != nil || len(made.Secret) < 24 || made.Author != "ada@example.com" {
		t.Fatalf("got %+v, %v", made, err)
	}
	if err := w.do(ada, "DELETE", strings.Replace(wire.PathAdminToken, "{id}", made.ID, 1), nil, nil); err != nil {
		t.Error(err)
	}
}

func TestSessionsAreShownToAuditorsAndToWhoseTheyAre(t *testing.T) {
	w := newWorld(t)
	ann, bob, eve := w.Login("ann@example.com", "eng"), w.Login("bob@example.com", "eng"), w.Login("eve@example.com")
	now := time.Now().Unix()
	for n, who := range []*testca.Person{ann, bob} {
		_, err := w.Store.OpenSession(t.Context(), store.Opening{Session: wire.Session{
			ID: id.NewSession(), Identity: who.Name, Login: "deploy", Node: "web-1", NodeID: id.NewNode(), Proxy: "p1",
			Client: "192.0.2.1:1", Way: wire.WayConnect, Role: "r", Revision: 1, LoginSerial: who.Serial, Started: now + int64(n),
		}, Intent: store.Intent{Profile: store.ProfileSession, Subject: string(who.Name), KeyPrint: "SHA256:x", ValidAfter: now, ValidBefore: now + 60}})
		if err != nil {
			t.Fatal(err)
		}
	}
	list := func(p *testca.Person, query string) (s []wire.Session, err error) {
		err = w.do(p, "GET", wire.PathSessions+query, nil, &s)
		return s, err
	}
	if s, err := list(eve, ""); err != nil || len(s) != 2 || s[0].Identity != bob.Name {
		t.Errorf("an auditor sees %+v, %v", s, err)
	}
	if s, err := list(eve, "?identity=ann@example.com"); err != nil || len(s) != 1 {
		t.Errorf("an auditor looks for ann and sees %+v, %v", s, err)
	}
	s, err := list(ann, "")
	if err != nil || len(s) != 1 || s[0].Identity != ann.Name {
		t.Fatalf("ann sees %+v, %v", s, err)
	}
	if _, err := list(ann, "?identity=bob@example.com"); fault.ReasonOf(err) != fault.NotAuditor {
		t.Errorf("ann looks for bob: %v", err)
	}
	if _, err := list(ann, "?everything=1"); fault.ReasonOf(err) != fault.BadRequest {
		t.Errorf("a filter that nobody knows: %v", err)
	}
	path := strings.Replace(wire.PathSession, "{id}", string(s[0].ID), 1)
	if err := w.do(ann, "GET", path, nil, nil); err != nil {
		t.Errorf("her own: %v", err)
	}
	if err := w.do(bob, "GET", path, nil, nil); fault.ReasonOf(err) != fault.NotFound {
		t.Errorf("bob asks for ann's: %v", err)
	}
	for _, p := range []string{path + "/recording", strings.Replace(wire.PathSession, "{id}", "..%2f..%2fx", 1)} {
		if err := w.do(bob, "GET", p, nil, nil); fault.Of(err).Kind != fault.Missing && fault.Of(err).Kind != fault.Invalid {
			t.Errorf("%s: %v", p, err)
		}
	}
	if err := w.do(ann, "GET", path+"/recording", nil, nil); fault.ReasonOf(err) != fault.NotFound {
		t.Errorf("a recording that is not here: %v", err)
	}
}
