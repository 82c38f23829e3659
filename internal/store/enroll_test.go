package store

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

func token(name string, part wire.Part, uses int, names ...string) wire.JoinToken {
	return wire.JoinToken{
		ID: name, Author: "admin@example.com", Expires: far,
		NewJoinToken: wire.NewJoinToken{
			Part: part, Names: names, Labels: map[string]string{"env": "prod"}, Uses: uses, Seconds: 3600,
		},
	}
}

// newNode is a node as the CA hands it in when an agent enrols.
func newNode(name string) Node {
	return Node{
		Node: wire.Node{ID: id.NewNode(), Name: id.NodeName(name), Addr: name + ":22", Seen: 1000},
		Pin:  hash("key of " + name),
	}
}

func newProxy(name string) Proxy {
	return Proxy{
		ProxyAddr: wire.ProxyAddr{Name: id.Proxy(name), Addr: name + ":2222", Egress: []string{"10.0.0.1"}},
		Pin:       hash("key of " + name), HostKey: "ssh-ed25519 AAAA", Seen: 1000,
	}
}

// enrol creates a token for one node and enrols it.
func enrol(t testing.TB, s *Store, name string) Node {
	t.Helper()
	ok(t, s.CreateToken(t.Context(), ada, token("token-"+name, wire.PartAgent, 1, name), hash("secret of "+name)))
	n, _, err := s.EnrollNode(t.Context(), by("secret of "+name), newNode(name))
	ok(t, err)
	return n
}

var enrolPromises = []promise{
	{"a join token comes back without its secret", func(t *testing.T, s *Store) {
		want := []wire.JoinToken{token("b", wire.PartAgent, 3, "web-*", "db-1"), token("a", wire.PartProxy, 1, "*")}
		want[0].Expires++
		for _, w := range want {
			ok(t, s.CreateToken(t.Context(), ada, w, hash(w.ID)))
		}
		if diff := cmp.Diff(want, must(s.Tokens(t.Context()))(t)); diff != "" {
			t.Fatal(diff)
		}
	}},
	{"a second token of one name or one secret is refused", func(t *testing.T, s *Store) {
		ok(t, s.CreateToken(t.Context(), ada, token("a", wire.PartAgent, 1, "*"), hash("a")))
		refused(t, s.CreateToken(t.Context(), ada, token("a", wire.PartAgent, 1, "*"), hash("b")), fault.BadRequest)
		refused(t, s.CreateToken(t.Context(), ada, token("b", wire.PartAgent, 1, "*"), hash("a")), fault.BadRequest)
	}},
	{"a deleted token is unknown", func(t *testing.T, s *Store) {
		ok(t, s.CreateToken(t.Context(), ada, token("a", wire.PartAgent, 1, "*"), hash("a")))
		ok(t, s.DeleteToken(t.Context(), ada, "a"))
		refused(t, s.DeleteToken(t.Context(), ada, "a"), fault.NotFound)
		_, _, err := s.EnrollNode(t.Context(), by("a"), newNode("web-1"))
		refused(t, err, fault.JoinTokenUnknown)
	}},
	{"a node gets the token's labels and its host certificates' serials", func(t *testing.T, s *Store) {
		ok(t, s.CreateToken(t.Context(), ada, token("a", wire.PartAgent, 1, "web-*"), hash("a")))
		before := must(s.StateVersion(t.Context()))(t)
		asked := newNode("web-1")
		asked.Labels = map[string]string{"env": "chosen by the node"}
		asked.Proven, asked.Agent = 12, false
		n, serials, err := s.EnrollNode(t.Context(), by("a", intent(ProfileHost, "web-1"), intent(ProfileHost, "web-1")), asked)
		ok(t, err)
		if !slices.Equal(serials, []id.Serial{1, 2}) {
			t.Fatalf("serials %v", serials)
		}
		if n.ID != asked.ID || n.Labels["env"] != "prod" || n.Proven != 0 || !n.Agent || n.Token != "a" {
			t.Fatalf("%+v", n)
		}
		stored := must(s.NodeByPin(t.Context(), asked.Pin))(t)
		if diff := cmp.Diff(n.Labels, stored.Labels); diff != "" || stored.ID != n.ID {
			t.Fatalf("%+v", stored)
		}
		if after := must(s.StateVersion(t.Context()))(t); after != before+1 {
			t.Fatalf("state %d after %d", after, before)
		}
		if used := must(s.Tokens(t.Context()))(t)[0].Used; used != 1 {
			t.Fatalf("used %d times", used)
		}
	}},
	{"a token is refused after its time, its uses, for another part, for other names", func(t *testing.T, s *Store) {
		s.clock = func() time.Time { return time.Unix(5000, 0) }
		expired := token("expired", wire.PartAgent, 1, "*")
		expired.Expires = 5000
		usedUp := token("used", wire.PartAgent, 2, "*")
		usedUp.Used = 2
		for _, tok := range []wire.JoinToken{
			expired, usedUp, token("never", wire.PartAgent, 0, "*"), token("proxy", wire.PartProxy, 1, "*"),
			token("web", wire.PartAgent, 1, "web-*", "["), token("nameless", wire.PartAgent, 1),
		} {
			ok(t, s.CreateToken(t.Context(), ada, tok, hash(tok.ID)))
		}
		others := newNode("web-1")
		others.Names = []string{"web-1", "db-1"}
		for _, c := range []struct {
			token string
			node  Node
			want  fault.Reason
		}{
			{"expired", newNode("web-1"), fault.JoinTokenExpired},
			{"used", newNode("web-1"), fault.JoinTokenUsed},
			{"never", newNode("web-1"), fault.JoinTokenUsed},
			{"proxy", newNode("web-1"), fault.JoinTokenUnknown},
			{"nobody gave it", newNode("web-1"), fault.JoinTokenUnknown},
			{"web", newNode("db-1"), fault.JoinTokenNames},
			{"web", others, fault.JoinTokenNames},
			{"nameless", newNode("web-1"), fault.JoinTokenNames},
		} {
			_, _, err := s.EnrollNode(t.Context(), by(c.token, intent(ProfileHost, "web-1")), c.node)
			refused(t, err, c.want)
		}
		_, _, err := s.EnrollProxy(t.Context(), by("web", intent(ProfileHost, "web-1")), newProxy("web-1"))
		refused(t, err, fault.JoinTokenUnknown)
		if nodes := must(s.Nodes(t.Context()))(t); len(nodes) != 0 {
			t.Fatalf("%+v", nodes)
		}
		if serial := reserved(t, s, intent(ProfileHost, "a")); serial != 1 {
			t.Fatalf("serial %d: a refusal took one", serial)
		}
	}},
	{"a node without id, name or key is refused", func(t *testing.T, s *Store) {
		ok(t, s.CreateToken(t.Context(), ada, token("a", wire.PartAgent, 9, "*"), hash("a")))
		for _, change := range []func(*Node){
			func(n *Node) { n.ID = "" }, func(n *Node) { n.Name = "" }, func(n *Node) { n.Pin = nil },
		} {
			n := newNode("web-1")
			change(&n)
			_, _, err := s.EnrollNode(t.Context(), by("a"), n)
			refused(t, err, fault.BadRequest)
		}
		_, _, err := s.EnrollProxy(t.Context(), by("a"), Proxy{})
		refused(t, err, fault.BadRequest)
	}},
	{"of many who bring a token with three uses at once three get in", func(t *testing.T, s *Store) {
		ok(t, s.CreateToken(t.Context(), ada, token("a", wire.PartAgent, 3, "*"), hash("a")))
		errs := make([]error, 20)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() {
				_, _, errs[i] = s.EnrollNode(t.Context(), by("a"), newNode(fmt.Sprint("web-", i)))
			})
		}
		wg.Wait()
		in := 0
		for _, err := range errs {
			if err == nil {
				in++
			} else {
				refused(t, err, fault.JoinTokenUsed)
			}
		}
		if nodes := must(s.Nodes(t.Context()))(t); in != 3 || len(nodes) != 3 {
			t.Fatalf("%d got in, %d nodes", in, len(nodes))
		}
	}},
	{"a name that another key holds is refused and its token not counted", func(t *testing.T, s *Store) {
		enrol(t, s, "web-1")
		ok(t, s.CreateToken(t.Context(), ada, token("b", wire.PartAgent, 1, "web-1"), hash("b")))
		thief := newNode("web-1")
		thief.Pin = hash("another key")
		_, _, err := s.EnrollNode(t.Context(), by("b"), thief)
		refused(t, err, fault.NodeNameTaken)
		thief.Name = "web-1"
		ok(t, s.RemoveNode(t.Context(), ada, "web-1"))
		_, _, err = s.EnrollNode(t.Context(), by("b"), thief)
		ok(t, err)
	}},
	{"a key that comes back keeps its id and strictness and must prove itself anew", func(t *testing.T, s *Store) {
		first := enrol(t, s, "web-1")
		ok(t, s.ProveNode(t.Context(), first.ID, 77))
		must(s.UpdateNode(t.Context(), ada, first.ID, func(n *Node) error { n.Strict = true; return nil }))(t)
		ok(t, s.CreateToken(t.Context(), ada, token("b", wire.PartAgent, 1, "www"), hash("b")))
		back := newNode("www")
		back.Pin = first.Pin
		n, _, err := s.EnrollNode(t.Context(), by("b"), back)
		ok(t, err)
		if n.ID != first.ID || !n.Strict || n.Proven != 0 || n.Name != "www" {
			t.Fatalf("%+v", n)
		}
		_, err = s.NodeByName(t.Context(), "web-1")
		refused(t, err, fault.NodeUnknown)
	}},
	{"a proxy comes back as it enrolled, and with the same key in its place", func(t *testing.T, s *Store) {
		ok(t, s.CreateToken(t.Context(), ada, token("a", wire.PartProxy, 9, "p-*"), hash("a")))
		p, serials, err := s.EnrollProxy(t.Context(), by("a", intent(ProfileHost, "p-1")), newProxy("p-1"))
		ok(t, err)
		if !slices.Equal(serials, []id.Serial{1}) {
			t.Fatalf("serials %v", serials)
		}
		if diff := cmp.Diff(p, must(s.ProxyByPin(t.Context(), p.Pin))(t)); diff != "" {
			t.Fatal(diff)
		}
		p.Addr = "elsewhere:2222"
		_, _, err = s.EnrollProxy(t.Context(), by("a"), p)
		ok(t, err)
		thief := newProxy("p-1")
		thief.Pin = hash("another key")
		_, _, err = s.EnrollProxy(t.Context(), by("a"), thief)
		refused(t, err, fault.NodeNameTaken)
		_, _, err = s.EnrollProxy(t.Context(), by("a"), newProxy("q-1"))
		refused(t, err, fault.JoinTokenNames)
		if diff := cmp.Diff([]Proxy{p}, must(s.Proxies(t.Context()))(t)); diff != "" {
			t.Fatal(diff)
		}
		_, err = s.ProxyByPin(t.Context(), thief.Pin)
		refused(t, err, fault.NotEnrolled)
	}},
}
