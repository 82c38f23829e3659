package people

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-ssh/sallyport/ca/internal/door"
	"github.com/sallyport-ssh/sallyport/ca/internal/testca"
	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// told returns the events from the from-th on, and how many there are in all.
func (w *world) told(from int64) (list []audit.Event, size int64) {
	w.t.Helper()
	entries, err := w.Store.EventsFrom(w.t.Context(), from, 1000)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, entry := range entries {
		e, err := entry.Event()
		if err != nil {
			w.t.Fatal(err)
		}
		list = append(list, e)
	}
	return list, from + int64(len(list))
}

func TestWhatIsRefusedAtTheDoorStandsInTheLog(t *testing.T) {
	e := newEntrance(t)
	bob, ada := e.Login("bob@example.com", "eng"), e.Login("ada@example.com", "platform")
	key := testca.Key(t)
	used := e.ask(key, nil)
	if _, err := e.login(used); err != nil {
		t.Fatal(err)
	}
	stolen := e.ask(key, nil)
	stolen.NonceSalt = make([]byte, wire.NonceSaltSize)
	for name, row := range map[string]struct {
		do   func() error
		want audit.Event
	}{
		"a token that was used": {
			func() error { _, err := e.login(used); return err },
			audit.Event{Kind: audit.LoginRefused, Reason: "token_replayed", Actor: "ann@example.com", Identity: "ann@example.com"},
		},
		"a token for another key": {
			func() error { _, err := e.login(stolen); return err },
			audit.Event{Kind: audit.LoginRefused, Reason: "token_nonce", Actor: "ann@example.com", Identity: "ann@example.com"},
		},
		"a token of nobody": {
			func() error {
				_, err := e.login(e.ask(key, map[string]any{"email": "", "email_verified": true}))
				return err
			},
			audit.Event{Kind: audit.LoginRefused, Reason: "token_claims"},
		},
		"no token": {
			func() error {
				return e.send(nil, "POST", wire.PathLogin, []byte(`{"id_token":"x","public_key":"","proof":""}`))
			},
			audit.Event{Kind: audit.LoginRefused, Reason: "key_refused"},
		},
		"the renewal of another's certificate": {
			func() error {
				in := wire.RenewRequest{LoginRequest: e.ask(ada.Key, nil), Certificate: ada.Certificate}
				return e.anyone("POST", wire.PathRenew, in, nil)
			},
			audit.Event{Kind: audit.LoginRefused, Reason: "token_other_identity", Actor: "ann@example.com", Identity: "ann@example.com"},
		},
		"an admin's work": {
			func() error { return e.do(bob, "GET", wire.PathAdminNodes, nil, nil) },
			audit.Event{Kind: audit.AdminRefused, Reason: "not_admin", Actor: "bob@example.com", Identity: "bob@example.com", Text: "GET " + wire.PathAdminNodes},
		},
		"an auditor's work": {
			func() error { return e.do(bob, "GET", wire.PathSessions+"?identity=ada@example.com", nil, nil) },
			audit.Event{Kind: audit.AdminRefused, Reason: "not_auditor", Actor: "bob@example.com", Identity: "bob@example.com", Text: "GET " + wire.PathSessions},
		},
		"a policy that does not load": {
			func() error {
				return e.do(ada, "PUT", wire.PathPolicy, wire.ApplyPolicy{Files: map[string]string{"a.yaml": "role: 7"}, Base: -1}, nil)
			},
			audit.Event{Kind: audit.PolicyRefused, Reason: "policy_invalid", Actor: "ada@example.com",
				Policy: audit.PolicyOf(0, map[string]string{"a.yaml": "role: 7"})},
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, before := e.told(0)
			if err := row.do(); string(fault.ReasonOf(err)) != row.want.Reason {
				t.Fatalf("got %v (%s)", err, fault.ReasonOf(err))
			}
			list, _ := e.told(before)
			row.want.Outcome, row.want.Client = audit.Refused, "127.0.0.1"
			for i := range list {
				list[i].At = 0
			}
			if diff := cmp.Diff([]audit.Event{row.want}, list); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhatIsDoneAtTheDoorNamesItsActor(t *testing.T) {
	e := newEntrance(t)
	ada := e.Login("ada@example.com", "platform")
	_, before := e.told(0)
	out, err := e.login(e.ask(testca.Key(t), nil))
	if err != nil {
		t.Fatal(err)
	}
	var token wire.JoinTokenSecret
	for _, step := range []struct {
		method, path string
		in, out      any
	}{
		{"POST", wire.PathAdminTokens, wire.NewJoinToken{Part: wire.PartAgent, Names: []string{"x"}, Uses: 1, Seconds: 60}, &token},
		{"POST", wire.PathAdminNodes, wire.AddNode{Name: "old-1", Addr: "10.0.0.1:22", HostKeys: []string{hostKeyLine(t)}}, nil},
		{"PATCH", filledWith(wire.PathAdminNode, "old-1"), map[string]any{"addr": "10.0.0.2:22"}, nil},
		{"DELETE", filledWith(wire.PathAdminNode, "old-1"), nil, nil},
		{"PUT", wire.PathPolicy, wire.ApplyPolicy{Files: map[string]string{"a.yaml": "role: r\nwho: {groups: [eng]}\nwhere: {labels: {tier: web}}\nas: {logins: [deploy]}\nwhat: {channels: [shell]}\n"}, Base: 0}, nil},
		{"POST", wire.PathLogout, nil, nil},
	} {
		if err := e.do(ada, step.method, step.path, step.in, step.out); err != nil {
			t.Fatalf("%s %s: %v", step.method, step.path, err)
		}
	}
	list, _ := e.told(before)
	var lines []string
	for _, e := range list {
		lines = append(lines, string(e.Kind)+" by "+e.Actor+" from "+e.Client)
	}
	if diff := cmp.Diff([]string{
		"login_granted by ann@example.com from 127.0.0.1",
		"token_made by ada@example.com from 127.0.0.1",
		"node_added by ada@example.com from 127.0.0.1",
		"node_changed by ada@example.com from 127.0.0.1",
		"node_removed by ada@example.com from 127.0.0.1",
		"policy_applied by ada@example.com from 127.0.0.1",
		"login_ended by ada@example.com from 127.0.0.1",
	}, lines); diff != "" {
		t.Error(diff)
	}
	if c := list[0].Certificate; c == nil || !strings.HasPrefix(c.KeyID, "identity=ann@example.com login=") || len(out.Certificate) == 0 {
		t.Errorf("the login's certificate: %+v", c)
	}
}

func filledWith(path, name string) string { return strings.NewReplacer("{name}", name).Replace(path) }

func hostKeyLine(t *testing.T) string {
	t.Helper()
	return strings.TrimSpace(string(cert.AuthorizedKeys("", testca.Key(t).PublicKey())))
}

// TestPromise7NoSecretStandsInTheAuditLog is promise 7 of DESIGN, section 7, for
// what people bring to their door.
func TestPromise7NoSecretStandsInTheAuditLog(t *testing.T) {
	e := newEntrance(t)
	ada := e.Login("ada@example.com", "platform")
	in := e.ask(testca.Key(t), map[string]any{"jti": "a-claim-that-no-role-reads"})
	if _, err := e.login(in); err != nil {
		t.Fatal(err)
	}
	e.login(in) // refused
	bad := in
	bad.IDToken += "x"
	e.login(bad)
	var token wire.JoinTokenSecret
	if err := e.do(ada, "POST", wire.PathAdminTokens, wire.NewJoinToken{Part: wire.PartAgent, Names: []string{"x"}, Uses: 1, Seconds: 60}, &token); err != nil {
		t.Fatal(err)
	}
	e.do(ada, "PUT", wire.PathPolicy, wire.ApplyPolicy{Files: map[string]string{"a.yaml": "# password: hunter2-in-a-comment\nrole: 7"}, Base: -1}, nil)
	secrets := []string{"hunter2", "a-claim-that-no-role-reads", token.Secret}
	secrets = append(secrets, strings.Split(in.IDToken, ".")...)
	state, err := e.Store.LogState(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[audit.Kind]int{}
	for index := range state.Size {
		entry, err := e.Store.Entry(t.Context(), index)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range secrets {
			if strings.Contains(string(entry.Leaf), secret) {
				t.Errorf("%q stands in %s", secret, entry.Leaf)
			}
		}
		event, err := entry.Event()
		if err != nil {
			t.Fatal(err)
		}
		kinds[event.Kind]++
	}
	if kinds[audit.LoginGranted] < 2 || kinds[audit.LoginRefused] != 2 || kinds[audit.TokenMade] != 1 || kinds[audit.PolicyRefused] != 1 {
		t.Errorf("the log does not tell what was done: %v", kinds)
	}
}

func TestADutyIsRefusedWhenTheLogCannotBeWritten(t *testing.T) {
	w := newWorld(t)
	ann := w.Login("ann@example.com", "eng")
	c := Caller{Certificate: ann.Parsed(t)}
	c.Identity.Name = ann.Name
	if err := w.Store.Close(); err != nil {
		t.Fatal(err)
	}
	err := w.people.refusedDuty(t.Context(), c, "GET /v1/admin/nodes", permit(c, door.Admin))
	if fault.ReasonOf(err) != fault.StoreAway {
		t.Errorf("got %v", err)
	}
}
