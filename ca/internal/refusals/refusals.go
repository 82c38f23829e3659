// Package refusals tells the audit log whom the doors sent away before anybody
// was proven: logins, renewals and enrolments that were refused.
//
// # Promises
//
// Whoever stands before a door can have such an event written, so they must not
// be a way to fill the disk or to slow the CA: of each source Burst are written
// as they come in a Window, and Most of all sources together; the rest is counted
// and written at the end of the window, one event for all that are alike. No more
// than Kinds different ones are told apart; what is beyond is counted together,
// without its source. So the log grows by less than Most+Kinds events a window,
// whatever is sent.
//
// No refusal is left out. What could not be written is counted, and written when
// the log can be written again; what was counted and not yet written is lost with
// a CA that is killed, a window of it at most while the database answers.
//
// What is decided about somebody who is proven is no business of this package: it
// is written event by event, and not done where that fails.
package refusals

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/id"
)

const (
	Window = time.Minute
	Burst  = 10   // of one source in a window, each an event of its own
	Most   = 300  // of all sources
	Kinds  = 1000 // of gathered events in a window
)

// Appender writes into the audit log.
type Appender interface {
	// Append adds events durably, all or none.
	Append(ctx context.Context, events ...audit.Event) error
}

// Log gathers refusals. It is safe for concurrent use.
type Log struct {
	to  Appender
	log *slog.Logger

	mu       sync.Mutex
	began    int                  // events that this window has written as they came
	sources  map[netip.Prefix]int // the same of each source; at most Most
	gathered map[alike]int64      // at most Kinds, and one of each kind of event
	failing  bool
}

// alike is what events have in common that are counted together.
type alike struct {
	kind     audit.Kind
	reason   string
	identity id.Identity
	source   netip.Prefix
}

// New makes a Log. Run makes it write what it gathers.
func New(to Appender, log *slog.Logger) *Log {
	l := &Log{to: to, log: log, gathered: map[alike]int64{}}
	l.open()
	return l
}

// open begins a window.
func (l *Log) open() {
	l.began, l.sources = 0, map[netip.Prefix]int{}
}

// Tell writes or counts a refusal of somebody at the address from. The answer to
// them does not depend on it. e.Identity is set only where an issuer or a
// certificate of ours names it.
func (l *Log) Tell(ctx context.Context, e audit.Event, from netip.Addr) {
	e.Outcome = audit.Refused
	if from.IsValid() {
		e.Client = from.String()
	}
	source := network(from)
	if l.take(source) {
		if err := l.to.Append(context.WithoutCancel(ctx), e); err == nil {
			return
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	same := alike{e.Kind, e.Reason, e.Identity, source}
	if _, known := l.gathered[same]; !known && len(l.gathered) >= Kinds {
		same = alike{kind: e.Kind}
	}
	l.gathered[same]++
}

// take says whether source may have another event of its own.
func (l *Log) take(source netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.began >= Most || l.sources[source] >= Burst {
		return false
	}
	l.began++
	l.sources[source]++
	return true
}

// network is what one source can take addresses from: a household's IPv6 network
// has 2^64 of them.
func network(a netip.Addr) netip.Prefix {
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits) // the zero Prefix for the zero Addr
	return p
}

// Run writes what was gathered, each window and when ctx ends.
func (l *Log) Run(ctx context.Context) {
	tick := time.NewTicker(Window)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			l.flush(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			l.flush(last)
			return
		}
	}
}

// flush begins a new window. What cannot be written is counted on.
func (l *Log) flush(ctx context.Context) {
	l.mu.Lock()
	gathered := l.gathered
	l.gathered = map[alike]int64{}
	l.open()
	l.mu.Unlock()

	var events []audit.Event
	for same, count := range gathered {
		e := audit.Event{
			Kind: same.kind, Outcome: audit.Refused, Reason: same.reason, Identity: same.identity,
			Count: count, Text: "gathered: so many more within a minute",
		}
		if same.source.IsValid() {
			e.Client = same.source.String()
			if same.source.IsSingleIP() {
				e.Client = same.source.Addr().String()
			}
		}
		events = append(events, e)
	}
	if len(events) == 0 {
		return
	}
	err := l.to.Append(ctx, events...)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		for same, count := range gathered {
			if _, known := l.gathered[same]; !known && len(l.gathered) >= Kinds {
				same = alike{kind: same.kind}
			}
			l.gathered[same] += count
		}
	}
	switch {
	case err != nil && !l.failing:
		l.log.Error("refused logins are counted, and cannot be written into the audit log for now", "err", err)
	case err == nil && l.failing:
		l.log.Info("refused logins are written into the audit log again")
	}
	l.failing = err != nil
}
