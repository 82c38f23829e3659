package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

var eventPromises = []promise{
	{"each thing that is done is one event with who, whom and what", func(t *testing.T, s *Store) {
		l := login("you@example.com", "a")
		l.Client, l.Intent.KeyID = "192.0.2.1", "identity=you@example.com login=x"
		serial := must(s.RecordLogin(t.Context(), l))(t)
		host := intent(ProfileHost, "web-1")
		host.Node, host.NodeID = "web-1", "n-1"
		must(s.Reserve(t.Context(), Actor{"node:web-1", "192.0.2.7"}, host, host))(t)
		o := opening(newSession("aaaa-aaaaa", 100), intent(ProfileSession, "you@example.com"))
		o.Recording = wire.RecordingOrder{Recipients: []string{"age1x"}, Retain: 7}
		must(s.OpenSession(t.Context(), o))(t)
		ok(t, s.EndSession(t.Context(), "aaaa-aaaaa", wire.EndRequest{End: "closed", Accepted: true, Bytes: 42}, nil, 150))
		ok(t, s.Revoke(t.Context(), Actor{"you@example.com", "192.0.2.1"}, serial))
		must(s.ApplyPolicy(t.Context(), ada, revision("one"), 0))(t)

		at := events(t, s)[0].At
		certificate := audit.Certificate{
			Serial: 1, Profile: "login", KeyID: "identity=you@example.com login=x", Key: "SHA256:key", ValidAfter: 100, ValidBefore: far,
		}
		hostCertificate := func(serial id.Serial) *audit.Certificate {
			return &audit.Certificate{Serial: serial, Profile: "host", Key: "SHA256:key", ValidAfter: 100, ValidBefore: far}
		}
		want := []audit.Event{
			{Kind: audit.LoginGranted, Actor: "you@example.com", Client: "192.0.2.1", Identity: "you@example.com",
				Groups: []string{"eng"}, Certificate: &certificate},
			{Kind: audit.CertificateIssued, Actor: "node:web-1", Client: "192.0.2.7", Node: "web-1", NodeID: "n-1", Certificate: hostCertificate(2)},
			{Kind: audit.CertificateIssued, Actor: "node:web-1", Client: "192.0.2.7", Node: "web-1", NodeID: "n-1", Certificate: hostCertificate(3)},
			{Kind: audit.SessionGranted, Actor: "you@example.com", Client: "192.0.2.1:5000", Identity: "you@example.com",
				Login: "root", Node: "web-1", NodeID: "n-1", Proxy: "p-1", Session: "aaaa-aaaaa", Way: "jump",
				Roles: []string{"admin", "other"}, Revision: 3,
				Certificate: &audit.Certificate{Serial: 4, Profile: "session", Key: "SHA256:key", ValidAfter: 100, ValidBefore: far, LoginSerial: 17},
				Recording:   &audit.Recording{Recipients: []string{"age1x"}, Retain: 7}},
			{Kind: audit.SessionEnded, Reason: "closed", Actor: "proxy:p-1", Identity: "you@example.com",
				Login: "root", Node: "web-1", NodeID: "n-1", Proxy: "p-1", Session: "aaaa-aaaaa", Bytes: 42},
			{Kind: audit.LoginEnded, Actor: "you@example.com", Client: "192.0.2.1", Identity: "you@example.com",
				Certificate: &audit.Certificate{Serial: 1, Profile: "login", Key: "SHA256:key", ValidAfter: 100, ValidBefore: far}},
			{Kind: audit.PolicyApplied, Actor: "ada@example.com", Client: "192.0.2.9", Revision: 1,
				Policy: audit.PolicyOf(1, revision("one").Files)},
		}
		got := proven(t, s)
		for i := range want {
			want[i].Outcome = audit.Success
		}
		for i := range got {
			if got[i].At < at {
				t.Errorf("event %d has no time", i)
			}
			got[i].At = 0
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	}},
	{"the life of a node, a proxy and a token is told with what was and what is", func(t *testing.T, s *Store) {
		n := fullNode("a")
		ok(t, s.AddNode(t.Context(), ada, n))
		must(s.UpdateNode(t.Context(), ada, n.ID, func(n *Node) error { n.CertUntil++; return nil }))(t) // housekeeping
		must(s.UpdateNode(t.Context(), ada, n.ID, func(n *Node) error {
			n.Strict, n.Addr = !n.Strict, "10.0.0.9:22"
			n.Labels = map[string]string{"env": "staging"}
			return nil
		}))(t)
		ok(t, s.RemoveNode(t.Context(), ada, "a"))
		ok(t, s.CreateToken(t.Context(), ada, token("t", wire.PartProxy, 2, "p-*"), hash("t")))
		_, _, err := s.EnrollProxy(t.Context(), by("t", intent(ProfileHost, "p-1")), newProxy("p-1"))
		ok(t, err)
		ok(t, s.DeleteToken(t.Context(), ada, "t"))
		list := proven(t, s)
		want := []audit.Kind{audit.NodeAdded, audit.NodeChanged, audit.NodeRemoved, audit.TokenMade,
			audit.ProxyEnrolled, audit.CertificateIssued, audit.TokenRemoved}
		if diff := cmp.Diff(want, kinds(list)); diff != "" {
			t.Fatal(diff)
		}
		changed := map[string]string{}
		for _, c := range list[1].Changes {
			changed[c.What] = c.From + " -> " + c.To
		}
		if changed["addr"] != n.Addr+" -> 10.0.0.9:22" || changed["label env"] != n.Labels["env"]+" -> staging" || changed["strict"] == "" {
			t.Errorf("%v", changed)
		}
		if list[3].Actor != "ada@example.com" || list[4].Actor != "proxy:p-1" || list[4].Client != "192.0.2.7" || list[4].Token.ID != "t" {
			t.Errorf("%+v\n%+v", list[3], list[4])
		}
	}},
	{"what is refused leaves no event", func(t *testing.T, s *Store) {
		must(s.RecordLogin(t.Context(), login("you@example.com", "used")))(t)
		ok(t, s.AddNode(t.Context(), ada, fullNode("a")))
		openSession(t, s, newSession("live", 100))
		before := len(proven(t, s))
		for name, refused := range map[string]func() error{
			"a token that was used": func() error { _, err := s.RecordLogin(t.Context(), login("you@example.com", "used")); return err },
			"a name of another subject": func() error {
				l := login("you@example.com", "b")
				l.Identity.Subject = "else"
				_, err := s.RecordLogin(t.Context(), l)
				return err
			},
			"a profile that is none": func() error { _, err := s.Reserve(t.Context(), ada, intent("root", "x")); return err },
			"the second of two intents": func() error {
				_, err := s.Reserve(t.Context(), ada, intent(ProfileHost, "x"), intent("root", "x"))
				return err
			},
			"a session's name that is taken": func() error {
				_, err := s.OpenSession(t.Context(), opening(newSession("live", 100), intent(ProfileSession, "x")))
				return err
			},
			"the end of no session": func() error { return s.EndSession(t.Context(), "none", wire.EndRequest{End: "x"}, nil, 1) },
			"a join token that is none": func() error {
				_, _, err := s.EnrollNode(t.Context(), by("none", intent(ProfileHost, "x")), newNode("x"))
				return err
			},
			"a node's name that is taken": func() error { return s.AddNode(t.Context(), ada, fullNode("a")) },
			"a change that gives up": func() error {
				_, err := s.UpdateNode(t.Context(), ada, fullNode("a").ID, func(*Node) error { return context.Canceled })
				return err
			},
			"a node that is not there":  func() error { return s.RemoveNode(t.Context(), ada, "none") },
			"a token that is not there": func() error { return s.DeleteToken(t.Context(), ada, "none") },
			"a stale policy":            func() error { _, err := s.ApplyPolicy(t.Context(), ada, revision("x"), 7); return err },
			"a serial that is none":     func() error { return s.Revoke(t.Context(), ada, 99) },
			"an event that is too large": func() error {
				return s.Append(t.Context(), denied("you@example.com"), audit.Event{Kind: audit.LoginRefused, Text: strings.Repeat("x", audit.MaxLeaf)})
			},
		} {
			if refused() == nil {
				t.Errorf("%s: was done", name)
			}
			if after := len(proven(t, s)); after != before {
				t.Fatalf("%s: %d events", name, after-before)
			}
		}
	}},
	{"among many writers of all sorts every refusal leaves no gap", func(t *testing.T, s *Store) {
		const workers, rounds = 24, 12
		var wg sync.WaitGroup
		var mu sync.Mutex
		done := 0
		for w := range workers {
			random := rand.New(rand.NewPCG(7, uint64(w)))
			wg.Go(func() {
				for n := range rounds {
					count, err := anything(s, random, fmt.Sprintf("%d-%d", w, n))
					if err == nil {
						mu.Lock()
						done += count
						mu.Unlock()
					} else if r := fault.ReasonOf(err); r == fault.StoreAway {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if list := proven(t, s); len(list) != done {
			t.Fatalf("%d events, want %d", len(list), done)
		}
	}},
	{"an event is never told to be older than the one before", func(t *testing.T, s *Store) {
		now := time.UnixMicro(5_000_000)
		s.clock = func() time.Time { return now }
		ok(t, s.Append(t.Context(), denied("you@example.com")))
		now = time.UnixMicro(4_000_000) // the clock was set back
		ok(t, s.Append(t.Context(), denied("you@example.com"), denied("you@example.com")))
		now = time.UnixMicro(6_000_000)
		ok(t, s.Append(t.Context(), denied("you@example.com")))
		var at []int64
		for _, e := range proven(t, s) {
			at = append(at, e.At)
		}
		if diff := cmp.Diff([]int64{5e6, 5e6, 5e6, 6e6}, at); diff != "" {
			t.Fatal(diff)
		}
	}},
	{"groups that fill an event are cut, and the login stands", func(t *testing.T, s *Store) {
		l := login("you@example.com", "a")
		for i := range 4000 {
			l.Identity.Groups = append(l.Identity.Groups, fmt.Sprintf("a group with a long name %d", i))
		}
		must(s.RecordLogin(t.Context(), l))(t)
		e := proven(t, s)[0]
		if len(e.Groups) < 100 || e.Text != fmt.Sprintf("and %d more groups", len(l.Identity.Groups)-len(e.Groups)) {
			t.Fatalf("%d groups, %q", len(e.Groups), e.Text)
		}
	}},
}

// anything does one thing that works or is refused, and says how many events it
// has when it works.
func anything(s *Store, random *rand.Rand, name string) (events int, err error) {
	ctx := context.Background()
	used := fmt.Sprint("common ", random.IntN(8))
	switch random.IntN(9) {
	case 0:
		_, err = s.RecordLogin(ctx, login("p"+name, name))
		return 1, err
	case 1:
		_, err = s.RecordLogin(ctx, login("you@example.com", used))
		return 1, err
	case 2:
		l := login("you@example.com", name)
		l.Identity.Subject = fmt.Sprint(random.IntN(2))
		_, err = s.RecordLogin(ctx, l)
		return 1, err
	case 3:
		profile := []Profile{ProfileHost, "root"}[random.IntN(2)]
		_, err = s.Reserve(ctx, ada, intent(ProfileHost, name), intent(profile, name))
		return 2, err
	case 4:
		_, err = s.OpenSession(ctx, opening(newSession(used, 1), intent(ProfileSession, name)))
		return 1, err
	case 5:
		e := denied("you@example.com")
		if random.IntN(2) == 0 {
			e.Text = strings.Repeat("x", audit.MaxLeaf)
		}
		return 2, s.Append(ctx, denied("you@example.com"), e)
	case 6:
		_, err = s.ApplyPolicy(ctx, ada, revision(name), int64(random.IntN(4)))
		return 1, err
	case 7:
		n := fullNode("n" + used[7:])
		return 1, s.AddNode(ctx, ada, n)
	}
	return 1, s.RemoveNode(ctx, ada, id.NodeName("n"+used[7:]))
}
