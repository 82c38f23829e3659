// Package auditlog signs the audit log while it grows, shows it to others, and
// asks witnesses to look at it. The store appends the events; package audit says
// what the bytes are.
//
// # Promises
//
// Within about a second of an event there is a signed checkpoint that holds it,
// and never more than one a second; while nothing happens there is none. What is
// signed was computed here, from the events' own bytes, and compared with what
// the store's counters say and with what was signed before. A log that does not
// fit together is not signed any further: it is log_damaged, in the log of this
// process, in the health of the CA, and as an event. Only an operator who has
// looked at it can go on, by starting the CA again on a database that fits.
//
// Several CAs on one database each do all of this. Whoever comes first has its
// checkpoint stored; they are the same bytes. There are never two roots for one
// size.
//
// A signer or database that is away delays checkpoints, a witness that is away
// its own cosignatures, and nothing else.
package auditlog

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/store"
)

const (
	// pause is the least time between two checkpoints.
	pause = time.Second
	// idle is how long nothing may happen until the log is looked at anyway.
	idle = 10 * time.Second
)

// Signer signs checkpoints: signer.Client.
type Signer interface {
	// SignCheckpoint returns the note of next, which begins with the tree of size
	// old; or nil and the size from which it has to be proven instead.
	SignCheckpoint(ctx context.Context, old int64, next audit.Checkpoint, proof audit.Proof) (note []byte, last int64, err error)
}

// Config is what the log stands on. All but Witnesses is required.
type Config struct {
	Store     *store.Store
	Signer    Signer
	Trust     *audit.Trust // our own key, and the witnesses'
	Witnesses []Witness
	Now       func() time.Time
	Log       *slog.Logger
}

// Log is the audit log of one CA process. Its methods may be called by any number
// of goroutines.
type Log struct {
	Config
	stop   context.CancelFunc
	ending context.Context // ended by Close

	// turn is held by whoever compares the tree with the store and takes more in:
	// what the store says must not be older than the tree.
	turn sync.Mutex
	tree tree

	mu        sync.Mutex
	newest    audit.Signed  // the checkpoint that was seen last
	at        time.Time     // when it was made
	witnessed int64         // size of the largest with its quorum that was seen
	news      chan struct{} // closed when newest changes
	damage    error         // what is wrong with the log; it stays
}

// New makes a Log. Run makes it work.
func New(c Config) *Log {
	l := &Log{Config: c, news: make(chan struct{})}
	l.ending, l.stop = context.WithCancel(context.Background())
	l.tree.store = c.Store
	return l
}

// Close ends what waits: Run, and every Wait.
func (l *Log) Close() { l.stop() }

// Damage is what is wrong with the log, as far as this CA has noticed; nil is
// nothing.
func (l *Log) Damage() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.damage
}

// Origin is the log's name.
func (l *Log) Origin() string { return l.Trust.Origin() }

// Run makes checkpoints and asks witnesses until ctx ends, or Close.
func (l *Log) Run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(l.ending, cancel)()
	var witnesses sync.WaitGroup
	defer witnesses.Wait()
	for _, w := range l.Witnesses {
		witnesses.Go(func() { l.ask(ctx, w) })
	}
	// What is wrong when the CA starts is found before anything is signed.
	if err := l.Store.CheckLog(ctx); fault.ReasonOf(err) == fault.LogDamaged {
		l.damaged(ctx, err)
	}
	failed := ""
	for ctx.Err() == nil {
		begin := time.Now()
		err := l.step(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case fault.ReasonOf(err) == fault.LogDamaged:
			l.damaged(ctx, err)
		case err == nil && failed != "":
			l.Log.Info("audit log is signed again")
			failed = ""
		case err != nil && failed != err.Error(): // once, and not every second
			failed = err.Error()
			l.Log.Warn("audit log is not signed for now", "reason", fault.ReasonOf(err), "err", err)
		}
		sleep(ctx, pause-time.Since(begin))
		if err == nil {
			l.rest(ctx)
		}
	}
}

// rest waits for an event, but not for ever.
func (l *Log) rest(ctx context.Context) {
	wait, cancel := context.WithTimeout(ctx, idle)
	defer cancel()
	l.Store.WaitEvents(wait, l.tree.size()) // an error is found again by step
}

// damaged tells everybody, once for each thing that is found.
func (l *Log) damaged(ctx context.Context, err error) {
	l.mu.Lock()
	known := l.damage != nil && l.damage.Error() == err.Error()
	l.damage = err
	l.mu.Unlock()
	if known {
		return
	}
	l.Log.Error("THE AUDIT LOG IS DAMAGED: it is not signed any further", "reason", fault.LogDamaged, "err", err,
		"next", "keep a copy of the database as it is, and compare it with auditors' copies: sallyport audit verify")
	event := audit.Event{Kind: audit.LogDamaged, Outcome: audit.Failed, Actor: "ca", Reason: string(fault.LogDamaged), Text: fault.Of(err).Text}
	if err := l.Store.Append(ctx, event); err != nil {
		l.Log.Error("the damage cannot be logged", "err", err)
	}
}

// Wait returns when the log has more than size events, after d, when ctx ends or
// at Close, with the size it then has.
func (l *Log) Wait(ctx context.Context, size int64, d time.Duration) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	defer context.AfterFunc(l.ending, cancel)()
	return l.Store.WaitEvents(ctx, size)
}

// sleep waits, unless ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

func damaged(format string, args ...any) *fault.Error {
	return fault.New(fault.Internal, fault.LogDamaged, format, args...).
		Then("keep a copy of the database as it is, and run: sallyport audit verify")
}

// named makes damage that package audit found our fault; other errors stay.
func named(err error) error {
	var d *audit.DamageError
	if errors.As(err, &d) {
		return damaged("%v", d)
	}
	return err
}
