package store

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// fullNode has every field set, so that a column that is forgotten shows.
func fullNode(name string) Node {
	return Node{
		Node: wire.Node{
			ID: id.NewNode(), Name: id.NodeName(name), Addr: "10.0.0.1:22", Names: []string{name, "alias"},
			Labels: map[string]string{"env": "prod", "tier": "web"}, Agent: true, HostKeys: []string{"ssh-ed25519 AAAA"},
			Strict: true, StrictOn: true, Sshd: "9.2", Seen: 1, Proven: 2, Drift: []string{"a"}, CertUntil: 3,
		},
		Pin: hash(name), Token: "t", Problems: []string{"p"},
	}
}

var nodePromises = []promise{
	{"a node comes back as it was added, by name, by key and in the list", func(t *testing.T, s *Store) {
		b, a := fullNode("b"), fullNode("a")
		ok(t, s.AddNode(t.Context(), ada, b))
		ok(t, s.AddNode(t.Context(), ada, a))
		if diff := cmp.Diff(a, must(s.NodeByName(t.Context(), "a"))(t)); diff != "" {
			t.Fatal(diff)
		}
		if diff := cmp.Diff(b, must(s.NodeByPin(t.Context(), b.Pin))(t)); diff != "" {
			t.Fatal(diff)
		}
		if diff := cmp.Diff([]Node{a, b}, must(s.Nodes(t.Context()))(t)); diff != "" {
			t.Fatal(diff)
		}
	}},
	{"many nodes may be without an agent, and no key finds them", func(t *testing.T, s *Store) {
		for _, name := range []string{"a", "b"} {
			n := fullNode(name)
			n.Agent, n.Pin = false, nil
			ok(t, s.AddNode(t.Context(), ada, n))
		}
		for _, pin := range [][]byte{nil, {}, hash("no key")} {
			_, err := s.NodeByPin(t.Context(), pin)
			refused(t, err, fault.NotEnrolled)
		}
	}},
	{"a second node of one name or one id is refused", func(t *testing.T, s *Store) {
		n := fullNode("a")
		ok(t, s.AddNode(t.Context(), ada, n))
		refused(t, s.AddNode(t.Context(), ada, fullNode("a")), fault.NodeNameTaken)
		other := fullNode("b")
		other.ID = n.ID
		refused(t, s.AddNode(t.Context(), ada, other), fault.NodeNameTaken)
		refused(t, s.AddNode(t.Context(), ada, Node{}), fault.BadRequest)
	}},
	{"a node that does not exist is unknown to every call", func(t *testing.T, s *Store) {
		_, err := s.NodeByName(t.Context(), "a")
		refused(t, err, fault.NodeUnknown)
		_, err = s.UpdateNode(t.Context(), ada, "n-none", func(*Node) error { return nil })
		refused(t, err, fault.NodeUnknown)
		refused(t, s.TouchNode(t.Context(), "n-none", wire.AgentReport{}, 1), fault.NodeUnknown)
		refused(t, s.ProveNode(t.Context(), "n-none", 1), fault.NodeUnknown)
		refused(t, s.RemoveNode(t.Context(), ada, "a"), fault.NodeUnknown)
		if got := must(s.StateVersion(t.Context()))(t); got != 0 {
			t.Fatalf("state %d: a refusal bumped it", got)
		}
	}},
	{"changes of many at once are all kept", func(t *testing.T, s *Store) {
		n := fullNode("a")
		ok(t, s.AddNode(t.Context(), ada, n))
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				_, err := s.UpdateNode(t.Context(), ada, n.ID, func(n *Node) error {
					n.Problems = append(n.Problems, fmt.Sprint(i))
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if got := must(s.NodeByName(t.Context(), "a"))(t); len(got.Problems) != 21 {
			t.Fatalf("%d problems, want 21", len(got.Problems))
		}
		if got := must(s.StateVersion(t.Context()))(t); got != 21 {
			t.Fatalf("state %d, want 21", got)
		}
	}},
	{"a change that is refused, or panics, writes nothing", func(t *testing.T, s *Store) {
		n, b := fullNode("a"), fullNode("b")
		ok(t, s.AddNode(t.Context(), ada, n))
		ok(t, s.AddNode(t.Context(), ada, b))
		before := must(s.StateVersion(t.Context()))(t)
		no := errors.New("no")
		_, err := s.UpdateNode(t.Context(), ada, n.ID, func(n *Node) error { n.Addr = "x"; return no })
		if !errors.Is(err, no) {
			t.Fatalf("%v", err)
		}
		_, err = s.UpdateNode(t.Context(), ada, n.ID, func(n *Node) error { panic("no") })
		refused(t, err, fault.InternalError)
		_, err = s.UpdateNode(t.Context(), ada, n.ID, func(n *Node) error { n.Name = "b"; return nil })
		refused(t, err, fault.NodeNameTaken)
		if diff := cmp.Diff(n, must(s.NodeByName(t.Context(), "a"))(t)); diff != "" {
			t.Fatal(diff)
		}
		if got := must(s.StateVersion(t.Context()))(t); got != before {
			t.Fatalf("state %d, want %d", got, before)
		}
	}},
	{"a change cannot give a node another id", func(t *testing.T, s *Store) {
		n := fullNode("a")
		ok(t, s.AddNode(t.Context(), ada, n))
		got := must(s.UpdateNode(t.Context(), ada, n.ID, func(n *Node) error { n.ID = "n-other"; n.Addr = "x:22"; return nil }))(t)
		if got.ID != n.ID || got.Addr != "x:22" {
			t.Fatalf("%+v", got)
		}
	}},
	{"a report is stored and bumps nothing", func(t *testing.T, s *Store) {
		n := fullNode("a")
		ok(t, s.AddNode(t.Context(), ada, n))
		before := must(s.StateVersion(t.Context()))(t)
		ok(t, s.TouchNode(t.Context(), n.ID, wire.AgentReport{Sshd: "10.0", Drift: []string{"d"}}, 99))
		n.Sshd, n.StrictOn, n.Drift, n.Problems, n.Seen = "10.0", false, []string{"d"}, []string{}, 99
		if diff := cmp.Diff(n, must(s.NodeByName(t.Context(), "a"))(t)); diff != "" {
			t.Fatal(diff)
		}
		if got := must(s.StateVersion(t.Context()))(t); got != before {
			t.Fatalf("state %d, want %d", got, before)
		}
	}},
	{"a proof bumps the state the first time only", func(t *testing.T, s *Store) {
		n := fullNode("a")
		n.Proven = 0
		ok(t, s.AddNode(t.Context(), ada, n))
		before := must(s.StateVersion(t.Context()))(t)
		for at := int64(50); at < 53; at++ {
			ok(t, s.ProveNode(t.Context(), n.ID, at))
			if got := must(s.NodeByName(t.Context(), "a"))(t).Proven; got != at {
				t.Fatalf("proven %d, want %d", got, at)
			}
		}
		if got := must(s.StateVersion(t.Context()))(t); got != before+1 {
			t.Fatalf("state %d, want %d", got, before+1)
		}
	}},
	{"a removed node is gone with its key", func(t *testing.T, s *Store) {
		n := fullNode("a")
		ok(t, s.AddNode(t.Context(), ada, n))
		before := must(s.StateVersion(t.Context()))(t)
		ok(t, s.RemoveNode(t.Context(), ada, "a"))
		_, err := s.NodeByPin(t.Context(), n.Pin)
		refused(t, err, fault.NotEnrolled)
		if got := must(s.StateVersion(t.Context()))(t); got != before+1 {
			t.Fatalf("state %d, want %d", got, before+1)
		}
	}},
}
