package directory

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/policy"
	"github.com/sallyport-ssh/sallyport/internal/store"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// state is a Source in memory, which can be away and can change while it is
// read. The store itself is behind the doors' tests.
type state struct {
	mu      sync.Mutex
	version int64
	policy  store.Revision
	nodes   []store.Node
	proxies []store.Proxy
	away    error
	asked   int
	reading func() // called in the middle of a load
}

func (s *state) StateVersion(context.Context) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	return s.version, s.away
}

func (s *state) Policy(context.Context) (store.Revision, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.policy, s.away
}

func (s *state) Nodes(context.Context) ([]store.Node, error) {
	if s.reading != nil {
		s.reading()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]store.Node(nil), s.nodes...), s.away
}

func (s *state) Proxies(context.Context) ([]store.Proxy, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proxies, s.away
}

func (s *state) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	s.version++
}

func (s *state) fail(err error) { s.mu.Lock(); s.away = err; s.mu.Unlock() }

func node(name string) store.Node {
	return store.Node{Node: wire.Node{ID: id.Node("n-" + name), Name: id.NodeName(name)}}
}

func open(t *testing.T, s *state) *Directory {
	t.Helper()
	d, err := Open(t.Context(), s, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestAChangeOfAnotherCAIsSeenWithinOnePoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &state{version: 1}
		d := open(t, s)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go d.Run(ctx)
		s.change(func() { s.nodes = append(s.nodes, node("web-1")) })
		if v, _ := d.View(); v.Node("web-1") != nil {
			t.Fatal("seen before it was asked for")
		}
		time.Sleep(Poll) // of the bubble's clock
		synctest.Wait()
		if v, err := d.View(); err != nil || v.Node("web-1") == nil || v.Version != 2 {
			t.Errorf("got %+v, %v", v, err)
		}
	})
}

func TestNothingIsLoadedWhileNothingChanges(t *testing.T) {
	s := &state{version: 1}
	d := open(t, s)
	before, _ := d.View()
	loads := 0
	s.reading = func() { loads++ }
	for range 5 {
		if err := d.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if after, _ := d.View(); after != before || loads != 0 {
		t.Errorf("%d loads", loads)
	}
}

func TestAStateThatChangesWhileItIsReadIsReadAgain(t *testing.T) {
	s := &state{version: 1}
	times := 0
	s.reading = func() {
		if times++; times == 1 {
			s.change(func() { s.nodes = append(s.nodes, node("web-1")) })
		}
	}
	d := open(t, s)
	if v, err := d.View(); err != nil || v.Version != 2 || v.Node("web-1") == nil || times != 2 {
		t.Errorf("version %d after %d readings, %v", v.Version, times, err)
	}
	s.reading = func() { s.change(func() {}) }
	s.change(func() {})
	if err := d.Refresh(t.Context()); err == nil {
		t.Error("a state that never stands still was taken for whole")
	}
}

func TestADatabaseThatIsAwayDecidesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &state{version: 1}
		d := open(t, s)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go d.Run(ctx)
		s.fail(errors.New("away"))
		time.Sleep(MaxAge / 2)
		if _, err := d.View(); err != nil {
			t.Errorf("a moment later: %v", err)
		}
		time.Sleep(MaxAge)
		if _, err := d.View(); fault.ReasonOf(err) != fault.StoreAway {
			t.Errorf("after a while: %v", err)
		}
		if _, err := d.Wait(ctx, func(*View) bool { return false }); fault.ReasonOf(err) != fault.StoreAway {
			t.Errorf("a long poll: %v", err)
		}
		s.fail(nil)
		time.Sleep(Poll)
		synctest.Wait()
		if _, err := d.View(); err != nil {
			t.Errorf("it is back: %v", err)
		}
	})
}

func TestADatabaseThatIsAwayAtTheStartIsAnError(t *testing.T) {
	if _, err := Open(t.Context(), &state{away: errors.New("away")}, time.Now, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("it opens")
	}
	if _, err := new(Directory).View(); fault.ReasonOf(err) != fault.StoreAway {
		t.Errorf("the zero Directory: %v", err)
	}
}

func TestAPolicyThatCannotBeReadDeniesEverybody(t *testing.T) {
	s := &state{version: 1, nodes: []store.Node{node("web-1")}}
	good := "role: all\nwho: {identities: [\"ann@example.com\"]}\nwhere: {nodes: [\"*\"]}\nas: {logins: [root]}\nwhat: {channels: [shell]}\n"
	set := func(revision int64, text string) {
		s.change(func() {
			s.policy = store.Revision{Policy: wire.Policy{Revision: revision, Files: map[string]string{"p.yaml": text}}}
		})
	}
	set(1, good)
	d := open(t, s)
	decide := func() bool {
		v, err := d.View()
		if err != nil {
			t.Fatal(err)
		}
		return v.Policy.Decide(policy.Subject{Identity: "ann@example.com"}, PolicyNode(v.Node("web-1")), "root").Granted()
	}
	if !decide() {
		t.Fatal("the good one denies")
	}
	set(2, good+"a_key_of_a_newer_release: true\n")
	if err := d.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if decide() {
		t.Error("a revision that this program cannot read grants")
	}
}
