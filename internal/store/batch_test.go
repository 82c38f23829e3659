package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// dense fails unless exactly the serials 1 to n are stored.
func dense(t testing.TB, s *Store, n int) {
	t.Helper()
	var count, first, last int
	const query = `SELECT count(*), coalesce(min(serial), 0), coalesce(max(serial), 0) FROM certificates`
	must(s.row(t.Context(), func(r scanner) error { return r.Scan(&count, &first, &last) }, query))(t)
	if count != n || first != min(n, 1) || last != n {
		t.Fatalf("%d certificates from %d to %d, want 1 to %d", count, first, last, n)
	}
}

var batchPromises = []promise{
	{"refusals among many writers undo nobody else's work and leave no gaps", func(t *testing.T, s *Store) {
		must(s.RecordLogin(t.Context(), login("you@example.com", "used")))(t)
		n := fullNode("web-1")
		ok(t, s.AddNode(t.Context(), ada, n))
		const rounds = 40
		var mu sync.Mutex
		good := 1
		done := func(err error, want fault.Reason) {
			expect(t, err, want)
			if err == nil {
				mu.Lock()
				good++
				mu.Unlock()
			}
		}
		var wg sync.WaitGroup
		for i := range rounds {
			wg.Go(func() {
				serial, err := s.RecordLogin(t.Context(), login(fmt.Sprint("you", i%3), fmt.Sprint(i)))
				done(err, "")
				expect(t, s.Complete(t.Context(), serial, []byte("signed")), "")
			})
			wg.Go(func() {
				_, err := s.RecordLogin(t.Context(), login("you@example.com", "used"))
				done(err, fault.TokenReplayed)
			})
			wg.Go(func() {
				_, err := s.OpenSession(t.Context(), opening(newSession(fmt.Sprint(i), 1), intent(ProfileSession, "x")))
				done(err, "")
			})
			wg.Go(func() {
				expect(t, s.Complete(t.Context(), 1<<40, []byte("x")), fault.NotFound)
			})
			wg.Go(func() {
				_, _, err := s.EnrollNode(t.Context(), by("no token", intent(ProfileHost, "x")), newNode("x"))
				done(err, fault.JoinTokenUnknown)
			})
			wg.Go(func() {
				expect(t, s.TouchNode(t.Context(), n.ID, wire.AgentReport{Sshd: fmt.Sprint(i)}, int64(i)), "")
			})
		}
		wg.Wait()
		if good != 2*rounds+1 {
			t.Fatalf("%d were done, want %d", good, 2*rounds+1)
		}
		dense(t, s, good)
	}},
	{"a caller who gave up before the call has done nothing", func(t *testing.T, s *Store) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := s.RecordLogin(ctx, login("you@example.com", "a"))
		refused(t, err, fault.StoreAway)
		must(s.RecordLogin(t.Context(), login("you@example.com", "a")))(t)
		dense(t, s, 1)
	}},
	{"a caller who gives up while waiting for its turn has done nothing", func(t *testing.T, s *Store) {
		inside, leave := make(chan struct{}), make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			expect(t, s.alone(t.Context(), func(*tx) error { close(inside); <-leave; return nil }), "")
		})
		<-inside
		ctx, cancel := context.WithCancel(t.Context())
		wg.Go(func() {
			_, err := s.RecordLogin(ctx, login("you@example.com", "a"))
			expect(t, err, fault.StoreAway)
			close(leave)
		})
		cancel()
		wg.Wait()
		must(s.RecordLogin(t.Context(), login("you@example.com", "a")))(t)
		dense(t, s, 1)
	}},
	{"a closed store refuses and what it took is done", func(t *testing.T, s *Store) {
		serials := make(chan id.Serial, 50)
		var wg sync.WaitGroup
		for i := range cap(serials) {
			wg.Go(func() {
				serial, err := s.RecordLogin(context.Background(), login("you@example.com", fmt.Sprint(i)))
				if err != nil && !errors.Is(err, away(nil)) {
					t.Error(err)
				}
				serials <- serial
			})
		}
		ok(t, s.Close())
		wg.Wait()
		_, err := s.Reserve(t.Context(), ada, intent(ProfileHost, "x"))
		refused(t, err, fault.StoreAway)
		ok(t, s.Close())
	}},
}
