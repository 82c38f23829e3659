package parts

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/store"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// logged returns the events from the from-th on, and how many there are in all.
func (w *world) logged(from int64) (list []audit.Event, size int64) {
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
		e.At = 0
		list = append(list, e)
	}
	return list, from + int64(len(list))
}

func TestWhatIsRefusedToAPartStandsInTheLog(t *testing.T) {
	s := newStage(t)
	s.Node("db-1", map[string]string{"tier": "db"})
	web, err := s.Store.NodeByName(t.Context(), "web-1")
	if err != nil {
		t.Fatal(err)
	}
	open := func(change func(*wire.OpenRequest)) func() error {
		return func() error {
			r := s.request()
			change(&r)
			_, err := s.open(r)
			return err
		}
	}
	denied := audit.Event{
		Kind: audit.SessionDenied, Actor: "ann@example.com", Client: "192.0.2.7:40000", Identity: "ann@example.com",
		Login: "root", Node: "web-1", NodeID: web.ID, Proxy: "p1", Way: "jump", Revision: 1,
	}
	with := func(change func(*audit.Event)) audit.Event { e := denied; change(&e); return e }
	revoked := s.Login("bob@example.com", "eng")
	if err := s.Store.Revoke(t.Context(), store.Actor{}, revoked.Serial); err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		do   func() error
		want audit.Event
	}{
		"a login that no role gives": {
			open(func(r *wire.OpenRequest) { r.Login = "root" }),
			with(func(e *audit.Event) { e.Reason = "login_not_allowed" }),
		},
		"a person whom a role denies": {
			open(func(r *wire.OpenRequest) {
				r.Login, r.Certificate = "root", s.Login("c@example.com", "eng", "contractors").Certificate
			}),
			with(func(e *audit.Event) {
				e.Reason, e.Actor, e.Identity, e.Roles = "denied_by_role", "c@example.com", "c@example.com", []string{"no-contractors"}
			}),
		},
		"a node that there is not": {
			open(func(r *wire.OpenRequest) { r.Login, r.Node = "root", "web-9" }),
			with(func(e *audit.Event) { e.Reason, e.Node, e.NodeID = "node_unknown", "web-9", "" }),
		},
		"a name that is none of a node": {
			open(func(r *wire.OpenRequest) { r.Login, r.Node = "root", "<script>" }),
			with(func(e *audit.Event) { e.Reason, e.Node, e.NodeID = "node_unknown", "", "" }),
		},
		"a certificate that was revoked": {
			open(func(r *wire.OpenRequest) { r.Certificate = revoked.Certificate }),
			audit.Event{Kind: audit.SessionDenied, Reason: "certificate_revoked", Actor: "bob@example.com", Identity: "bob@example.com",
				Client: "192.0.2.7", Login: "deploy", Node: "web-1", Proxy: "p1"},
		},
		"a certificate that is none": {
			open(func(r *wire.OpenRequest) { r.Certificate = nil }),
			audit.Event{Kind: audit.SessionDenied, Reason: "certificate_invalid", Actor: "proxy:p1",
				Client: "192.0.2.7", Login: "deploy", Node: "web-1", Proxy: "p1"},
		},
		"a join token that is none": {
			func() error {
				r := s.enrollment(wire.PartAgent, "web-2")
				r.Token = "none"
				return s.stranger().do("POST", wire.PathEnroll, r, nil)
			},
			audit.Event{Kind: audit.EnrolmentRefused, Reason: "join_token_unknown", Client: "127.0.0.1", Node: "web-2", Text: "of a node"},
		},
		"another node's host certificate": {
			func() error {
				return s.agent.do("POST", wire.PathAgentRenew, wire.HostCertificateRequest{HostKey: hostKeyLine(t), Node: "db-1"}, nil)
			},
			audit.Event{Kind: audit.EnrolmentRefused, Reason: "join_token_names", Client: "127.0.0.1", Actor: "node:web-1", Text: "of a host certificate"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, before := s.logged(0)
			if err := row.do(); string(fault.ReasonOf(err)) != row.want.Reason {
				t.Fatalf("got %v (%s)", err, fault.ReasonOf(err))
			}
			list, _ := s.logged(before)
			var told []audit.Event // but for the logins and tokens that the row needs
			for _, e := range list {
				if e.Kind != audit.LoginGranted && e.Kind != audit.TokenMade {
					told = append(told, e)
				}
			}
			row.want.Outcome = audit.Refused
			if diff := cmp.Diff([]audit.Event{row.want}, told); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhatIsDoneForAPartStandsInTheLog(t *testing.T) {
	s := newStage(t)
	_, before := s.logged(0)
	out, err := s.open(s.request())
	if err != nil {
		t.Fatal(err)
	}
	end := wire.EndRequest{End: "closed", Accepted: true, Bytes: 42}
	if err := s.proxy.do("POST", strings.Replace(wire.PathProxyEnd, "{id}", string(out.Session), 1), end, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.agent.do("POST", wire.PathAgentRenew, wire.HostCertificateRequest{HostKey: hostKeyLine(t)}, nil); err != nil {
		t.Fatal(err)
	}
	list, _ := s.logged(before)
	var told []string
	for _, e := range list {
		line := fmt.Sprintf("%s by %s", e.Kind, e.Actor)
		if c := e.Certificate; c != nil {
			line += fmt.Sprintf(", %s certificate %q", c.Profile, strings.ReplaceAll(c.KeyID, string(out.Session), "ID"))
		}
		told = append(told, line)
	}
	if diff := cmp.Diff([]string{
		`session_granted by ann@example.com, session certificate "session=ID identity=ann@example.com policy=1"`,
		`session_ended by proxy:p1`,
		fmt.Sprintf(`certificate_issued by node:web-1, host certificate "host=web-1 node=%s"`, s.node),
	}, told); diff != "" {
		t.Error(diff)
	}
	if c := list[0].Certificate; c.LoginSerial != s.ann.Serial {
		t.Errorf("login serial %d, want %d", c.LoginSerial, s.ann.Serial)
	}
}

// TestPromise7NoSecretOfAPartStandsInTheAuditLog is promise 7 of DESIGN, section
// 7, for what agents and proxies bring to their door.
func TestPromise7NoSecretOfAPartStandsInTheAuditLog(t *testing.T) {
	w := newWorld(t)
	r := w.enrollment(wire.PartAgent, "web-1")
	if err := w.stranger().do("POST", wire.PathEnroll, r, nil); err != nil {
		t.Fatal(err)
	}
	want(t, w.stranger().do("POST", wire.PathEnroll, r, nil), fault.JoinTokenUsed)
	entries, err := w.Store.EventsFrom(t.Context(), 0, 1000)
	if err != nil || len(entries) < 4 {
		t.Fatalf("%d events, %v", len(entries), err)
	}
	for _, e := range entries {
		if strings.Contains(string(e.Leaf), r.Token) {
			t.Errorf("the join token stands in %s", e.Leaf)
		}
	}
}

func TestADenialIsNotToldWhenItCannotBeLogged(t *testing.T) {
	s := newStage(t)
	if err := s.Store.Close(); err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(t.Context(), "POST", wire.PathProxyOpen, nil)
	why := fault.New(fault.Denied, fault.NoRole, "no role gives you that")
	want(t, s.parts.deniedSession(&call{Request: r}, wire.Session{Identity: "ann@example.com"}, nil, why), fault.StoreAway)
}
