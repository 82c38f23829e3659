package refusals

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/audit"
)

// paper is an audit log that can be out of order.
type paper struct {
	mu     sync.Mutex
	torn   bool
	events []audit.Event
}

func (p *paper) Append(_ context.Context, events ...audit.Event) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.torn {
		return errors.New("the disk is full")
	}
	p.events = append(p.events, events...)
	return nil
}

// total is how many refusals the events stand for.
func (p *paper) total() (n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.events {
		n += max(e.Count, 1)
	}
	return n
}

func (p *paper) len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.events)
}

func refusal(reason string) audit.Event {
	return audit.Event{Kind: audit.LoginRefused, Reason: reason}
}

// in runs body with a Log in a bubble of time, and ends the Log.
func in(t *testing.T, body func(t *testing.T, l *Log, p *paper)) {
	synctest.Test(t, func(t *testing.T) {
		p := &paper{}
		l := New(p, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { l.Run(ctx) })
		body(t, l, p)
		cancel()
		running.Wait()
	})
}

func TestAFewRefusalsAreEventsOfTheirOwn(t *testing.T) {
	in(t, func(t *testing.T, l *Log, p *paper) {
		for range Burst {
			l.Tell(t.Context(), refusal("token_invalid"), netip.MustParseAddr("192.0.2.1"))
		}
		if p.len() != Burst || p.events[0].Client != "192.0.2.1" || p.events[0].Outcome != audit.Refused {
			t.Errorf("%+v", p.events)
		}
	})
}

func TestAFloodOfOneSourceIsOneEventAMinute(t *testing.T) {
	in(t, func(t *testing.T, l *Log, p *paper) {
		for n := range 5000 {
			l.Tell(t.Context(), refusal("token_invalid"), netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", n)))
		}
		l.Tell(t.Context(), refusal("token_invalid"), netip.MustParseAddr("192.0.2.1")) // hears nothing of it
		if p.len() != Burst+1 {
			t.Errorf("%d events at once", p.len())
		}
		time.Sleep(Window)
		synctest.Wait()
		last := p.events[len(p.events)-1]
		if p.len() != Burst+2 || p.total() != 5001 || last.Count != 5000-Burst || last.Client != "2001:db8::/64" {
			t.Errorf("%d events for %d, the last %+v", p.len(), p.total(), last)
		}
		l.Tell(t.Context(), refusal("token_invalid"), netip.MustParseAddr("2001:db8::1"))
		if p.len() != Burst+3 {
			t.Error("the next minute has nothing of its own")
		}
	})
}

func TestAFloodOfManySourcesStaysBounded(t *testing.T) {
	in(t, func(t *testing.T, l *Log, p *paper) {
		const many = 50_000
		for n := range many {
			a := netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
			l.Tell(t.Context(), refusal(fmt.Sprint("reason ", n%7)), a)
		}
		time.Sleep(Window)
		synctest.Wait()
		if p.len() > Most+Kinds+1 || p.total() != many {
			t.Errorf("%d events for %d refusals", p.len(), p.total())
		}
		if len(l.sources) != 0 || len(l.gathered) != 0 {
			t.Error("something is kept")
		}
	})
}

func TestWhatCannotBeWrittenIsWrittenLater(t *testing.T) {
	in(t, func(t *testing.T, l *Log, p *paper) {
		p.torn = true
		for n := range 2000 {
			l.Tell(t.Context(), refusal("token_invalid"), netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}))
		}
		time.Sleep(3 * Window)
		synctest.Wait()
		if p.len() != 0 {
			t.Fatal("it was written")
		}
		p.torn = false
		time.Sleep(Window)
		synctest.Wait()
		if p.total() != 2000 || p.len() > Kinds+1 {
			t.Errorf("%d events for %d refusals", p.len(), p.total())
		}
	})
}

func TestWhatWasGatheredIsWrittenAtTheEnd(t *testing.T) {
	var kept *paper
	in(t, func(t *testing.T, l *Log, p *paper) {
		kept = p
		for range Burst + 5 {
			l.Tell(t.Context(), refusal("token_invalid"), netip.Addr{})
		}
	})
	if kept.total() != Burst+5 || kept.len() != Burst+1 {
		t.Errorf("%d events for %d refusals", kept.len(), kept.total())
	}
}
