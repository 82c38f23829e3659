// Package outlet carries the audit log to other systems as it grows: to a file,
// to standard output, to a webhook, in one of the forms of internal/siem.
//
// # Promises
//
// Each event at least once, and in the log's order: the next batch is sent after
// the one before was taken. How far an outlet has come stands in the database, so
// a CA that is started again goes on there, and of several CAs one works an
// outlet at a time. A receiver that is away is tried again for ever, with longer
// and longer pauses up to a minute; meanwhile the log keeps what it is owed.
//
// Nothing else waits for an outlet: not a login, not a session, not another
// outlet.
//
// What was sent and not confirmed, because somebody died in between, is sent
// again: events carry their index, and a webhook's message an id that is the same
// each time.
package outlet

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/siem"
	"github.com/sallyport-ssh/sallyport/internal/store"
)

// Log is the audit log as an outlet reads it, and where it remembers how far it
// has come. *store.Store is one; its methods say what they promise.
type Log interface {
	EventsFrom(ctx context.Context, index int64, limit int) ([]audit.Entry, error)
	WaitEvents(ctx context.Context, size int64) (int64, error)
	TakeOutlet(ctx context.Context, name, holder string, lease time.Duration) (next int64, mine bool, err error)
	AdvanceOutlet(ctx context.Context, name, holder string, next int64, lease time.Duration) error
	LeaveOutlet(ctx context.Context, name, holder string) error
}

var _ Log = (*store.Store)(nil)

// batch is some events on their way.
type batch struct {
	first, last int64
	lines       []byte // one line each
}

// sink takes batches to one receiver. deliver returns nil only when the receiver
// has the whole batch; it may then be called with the next one. It is called
// again with the same batch after an error, and by one goroutine.
type sink interface {
	deliver(ctx context.Context, b batch) error
	close()
}

// Sizes and times.
const (
	batchEvents = 500
	batchBytes  = 1 << 20
	lease       = time.Minute
	shortest    = time.Second // pause after a failure; doubled up to
	longest     = time.Minute
	unlease     = 2 * time.Second // to give an outlet back at the end
)

// Outlet carries the log to one receiver. Make it with New.
type Outlet struct {
	name    string
	holder  string // this process
	log     Log
	logger  *slog.Logger
	encoder siem.Encoder
	sink    sink

	lease, shortest, longest time.Duration
	failing                  bool // the last delivery failed
}

// New makes an outlet by its configuration. holder names this CA process among
// those that share the database.
func New(c Config, holder string, from siem.Encoder, log Log, logger *slog.Logger) (*Outlet, error) {
	s, err := c.sink()
	if err != nil {
		return nil, err
	}
	from.Format = c.format()
	return &Outlet{
		name: c.Name, holder: holder, log: log, logger: logger.With("outlet", c.Name), encoder: from, sink: s,
		lease: lease, shortest: shortest, longest: longest,
	}, nil
}

// Run delivers until ctx ends.
func (o *Outlet) Run(ctx context.Context) {
	defer o.sink.close()
	wait := o.shortest
	for ctx.Err() == nil {
		began := time.Now()
		err := o.hold(ctx)
		if err == nil || ctx.Err() != nil {
			continue
		}
		if time.Since(began) > o.longest { // it worked for a while: this is another trouble
			wait = o.shortest
		}
		if !o.failing {
			o.logger.Error("audit events cannot be delivered; trying again", "err", err)
			o.failing = true
		}
		pause(ctx, wait)
		wait = min(2*wait, o.longest)
	}
	// Another CA need not wait for the lease's end.
	leave, cancel := context.WithTimeout(context.Background(), unlease)
	defer cancel()
	o.log.LeaveOutlet(leave, o.name, o.holder)
}

// hold works the outlet while it is ours, and pauses when it is somebody else's.
// Its error is the database's.
func (o *Outlet) hold(ctx context.Context) error {
	next, mine, err := o.log.TakeOutlet(ctx, o.name, o.holder, o.lease)
	for err == nil && mine && ctx.Err() == nil {
		next, mine, err = o.step(ctx, next)
	}
	if err == nil && ctx.Err() == nil { // somebody else's: ask again when it may have ended
		pause(ctx, o.lease/4)
	}
	return err
}

// step waits for events from next on and delivers some.
func (o *Outlet) step(ctx context.Context, next int64) (after int64, mine bool, err error) {
	waiting, cancel := context.WithTimeout(ctx, o.lease/3)
	size, err := o.log.WaitEvents(waiting, next)
	cancel()
	if err != nil || ctx.Err() != nil {
		return next, true, err
	}
	if size <= next { // nothing new: prolong the lease
		return o.again(ctx)
	}
	entries, err := o.log.EventsFrom(ctx, next, batchEvents)
	if err != nil || len(entries) == 0 {
		return next, true, err
	}
	b, err := o.batch(entries)
	if err != nil {
		return next, true, err
	}
	if mine, err = o.deliver(ctx, b); err != nil || !mine || ctx.Err() != nil {
		return next, mine, err
	}
	err = o.log.AdvanceOutlet(ctx, o.name, o.holder, b.last+1, o.lease)
	if fault.ReasonOf(err) == fault.OutletLost {
		return next, false, nil
	}
	return b.last + 1, true, err
}

func (o *Outlet) again(ctx context.Context) (next int64, mine bool, err error) {
	return o.log.TakeOutlet(ctx, o.name, o.holder, o.lease)
}

// batch encodes the first of entries, as many as fit.
func (o *Outlet) batch(entries []audit.Entry) (batch, error) {
	b := batch{first: entries[0].Index}
	for _, e := range entries {
		if len(b.lines) > batchBytes {
			break
		}
		lines, err := o.encoder.Encode(b.lines, e)
		if err != nil {
			return b, fmt.Errorf("encode audit event %d: %w", e.Index, err)
		}
		b.lines, b.last = lines, e.Index
	}
	return b, nil
}

// deliver tries until the receiver has b, ctx ends, or the outlet is another's.
func (o *Outlet) deliver(ctx context.Context, b batch) (mine bool, err error) {
	for wait := o.shortest; ; wait = min(2*wait, o.longest) {
		err := o.sink.deliver(ctx, b)
		if err == nil {
			if o.failing {
				o.logger.Info("audit events are delivered again", "next", b.last+1)
			}
			o.failing = false
			return true, nil
		}
		if ctx.Err() != nil {
			return true, nil
		}
		if !o.failing { // once, and not each of the thousand tries
			o.logger.Error("audit events cannot be delivered; trying again", "first", b.first, "err", err)
			o.failing = true
		}
		// The pause is shorter than the lease, which is prolonged after it.
		pause(ctx, min(wait, o.lease/2))
		if ctx.Err() != nil {
			return true, nil
		}
		if _, mine, err := o.again(ctx); err != nil || !mine {
			return mine, err
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// RunAll runs outlets until ctx ends.
func RunAll(ctx context.Context, list []*Outlet) {
	var all sync.WaitGroup
	for _, o := range list {
		all.Go(func() { o.Run(ctx) })
	}
	all.Wait()
}
