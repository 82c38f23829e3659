package store

import (
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

func newSession(name string, started int64) wire.Session {
	return wire.Session{
		ID: id.Session(name), Identity: "you@example.com", Login: "root", Node: "web-1", NodeID: "n-1",
		Proxy: "p-1", Client: "192.0.2.1:5000", Way: wire.WayJump, Role: "admin", Revision: 3,
		LoginSerial: 17, Started: started, Recording: wire.Recording{State: "live"},
	}
}

func openSession(t testing.TB, s *Store, ws wire.Session) wire.Session {
	t.Helper()
	ws.Serial = must(s.OpenSession(t.Context(), opening(ws, intent(ProfileSession, string(ws.Identity)))))(t)
	return ws
}

func names(list []wire.Session) (names []string) {
	for _, s := range list {
		names = append(names, string(s.ID))
	}
	return names
}

var sessionPromises = []promise{
	{"a session comes back as it was opened, with its certificate's intent", func(t *testing.T, s *Store) {
		want := openSession(t, s, newSession("aaaa-aaaaa", 100))
		if diff := cmp.Diff(want, must(s.Session(t.Context(), want.ID))(t)); diff != "" {
			t.Fatal(diff)
		}
		if c := must(s.Certificate(t.Context(), want.Serial))(t); c.Profile != ProfileSession {
			t.Fatalf("%+v", c)
		}
	}},
	{"a session name that is taken is refused and takes no serial", func(t *testing.T, s *Store) {
		first := openSession(t, s, newSession("aaaa-aaaaa", 100))
		_, err := s.OpenSession(t.Context(), opening(newSession("aaaa-aaaaa", 200), intent(ProfileSession, "x")))
		refused(t, err, fault.SessionTaken)
		second := openSession(t, s, newSession("bbbb-bbbbb", 200))
		if second.Serial != first.Serial+1 {
			t.Fatalf("serial %d after %d", second.Serial, first.Serial)
		}
	}},
	{"of many sessions that open at once each has its own serial", func(t *testing.T, s *Store) {
		const many = 50
		var wg sync.WaitGroup
		for i := range many {
			wg.Go(func() {
				ws := newSession(fmt.Sprint("s-", i), 100)
				serial, err := s.OpenSession(t.Context(), opening(ws, intent(ProfileSession, ws.Client)))
				if err != nil {
					t.Error(err)
				}
				got, err := s.Session(t.Context(), ws.ID)
				if err != nil || got.Serial != serial {
					t.Errorf("serial %d, want %d (%v)", got.Serial, serial, err)
				}
			})
		}
		wg.Wait()
		dense(t, s, many)
	}},
	{"the first end of a session stands", func(t *testing.T, s *Store) {
		want := openSession(t, s, newSession("aaaa-aaaaa", 100))
		ok(t, s.EndSession(t.Context(), want.ID, wire.EndRequest{End: "closed", Accepted: true, Bytes: 42}, nil, 150))
		ok(t, s.EndSession(t.Context(), want.ID, wire.EndRequest{End: "again", Bytes: 1}, nil, 200))
		ok(t, s.EndLost(t.Context(), want.Proxy, 300, nil))
		want.Ended, want.End, want.Bytes, want.Recording.State = 150, "closed", 42, "unsealed"
		if diff := cmp.Diff(want, must(s.Session(t.Context(), want.ID))(t)); diff != "" {
			t.Fatal(diff)
		}
	}},
	{"a session that does not exist is not found", func(t *testing.T, s *Store) {
		_, err := s.Session(t.Context(), "aaaa-aaaaa")
		refused(t, err, fault.NotFound)
		refused(t, s.EndSession(t.Context(), "aaaa-aaaaa", wire.EndRequest{End: "closed"}, nil, 1), fault.NotFound)
	}},
	{"a proxy that came back loses the sessions that it no longer has", func(t *testing.T, s *Store) {
		lost := openSession(t, s, newSession("aaaa-aaaaa", 100))
		live := openSession(t, s, newSession("bbbb-bbbbb", 100))
		elsewhere := newSession("cccc-ccccc", 100)
		elsewhere.Proxy = "p-2"
		elsewhere = openSession(t, s, elsewhere)
		ok(t, s.EndLost(t.Context(), "p-1", 500, []id.Session{live.ID}))
		lost.Ended, lost.End, lost.Recording.State = 500, EndedLost, "unsealed"
		for _, want := range []wire.Session{lost, live, elsewhere} {
			if diff := cmp.Diff(want, must(s.Session(t.Context(), want.ID))(t)); diff != "" {
				t.Fatal(diff)
			}
		}
	}},
	{"a listing is newest first and narrows by each of its fields", func(t *testing.T, s *Store) {
		for i, change := range []func(*wire.Session){
			func(s *wire.Session) {},
			func(s *wire.Session) { s.Identity = "else@example.com" },
			func(s *wire.Session) { s.Node = "db-1" },
			func(s *wire.Session) { s.Login = "deploy" },
		} {
			ws := newSession(fmt.Sprint(i), int64(100+i))
			change(&ws)
			openSession(t, s, ws)
		}
		ok(t, s.EndSession(t.Context(), "1", wire.EndRequest{End: "closed"}, nil, 150))
		for _, c := range []struct {
			filter wire.SessionFilter
			want   []string
		}{
			{wire.SessionFilter{}, []string{"3", "2", "1", "0"}},
			{wire.SessionFilter{Limit: 2}, []string{"3", "2"}},
			{wire.SessionFilter{Identity: "else@example.com"}, []string{"1"}},
			{wire.SessionFilter{Node: "db-1"}, []string{"2"}},
			{wire.SessionFilter{Login: "deploy"}, []string{"3"}},
			{wire.SessionFilter{Since: 101, Until: 103}, []string{"2", "1"}},
			{wire.SessionFilter{Live: true}, []string{"3", "2", "0"}},
			{wire.SessionFilter{Live: true, Until: 102, Identity: "you@example.com", Node: "web-1", Login: "root"}, []string{"0"}},
			{wire.SessionFilter{Before: "2"}, []string{"1", "0"}},
			{wire.SessionFilter{Before: "2", Live: true}, []string{"0"}},
			{wire.SessionFilter{Before: "none"}, nil},
			{wire.SessionFilter{Identity: "' OR 1=1 --"}, nil},
		} {
			if diff := cmp.Diff(c.want, names(must(s.Sessions(t.Context(), c.filter))(t))); diff != "" {
				t.Fatalf("%+v: %s", c.filter, diff)
			}
		}
	}},
	{"pages of sessions that began in the same second miss none", func(t *testing.T, s *Store) {
		const many = 250
		for i := range many {
			openSession(t, s, newSession(fmt.Sprintf("%03d", i), 100))
		}
		seen := map[id.Session]bool{}
		page := must(s.Sessions(t.Context(), wire.SessionFilter{}))(t)
		for len(page) > 0 {
			if len(page) > sessionsDefault {
				t.Fatalf("a page of %d", len(page))
			}
			for _, ws := range page {
				seen[ws.ID] = true
			}
			page = must(s.Sessions(t.Context(), wire.SessionFilter{Before: page[len(page)-1].ID}))(t)
		}
		if len(seen) != many {
			t.Fatalf("%d sessions on all pages, want %d", len(seen), many)
		}
	}},
}
