// Package indexer makes sealed recordings searchable, in the background: it
// reads each once, and puts its lines into the store's index.
//
// # Promises
//
// It is off every hot path: no session and no login waits for it, and it may be
// stopped, killed and started again at any time; what it was at is begun anew. Of
// several CAs on one database one works at a time.
//
// It reads what the CA can read. A recording that is encrypted to keys which this
// CA has not is marked as locked, and counted wherever somebody searches. A
// deleted recording's lines go within a pass.
//
// The index is no evidence, and holds what was said in sessions in clear: who
// wants that nowhere but in the recordings leaves it off, or gives the CA no key.
package indexer

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/find"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/internal/store"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// version rises when the indexer reads more out of recordings than before: they
// are then indexed again.
const version = 1

// Times and sizes.
const (
	lease    = time.Minute
	pass     = 20               // sessions between two looks at the lease
	rest     = 30 * time.Second // when there is nothing to do, at most
	shortest = 3 * time.Second  // and at least: looking for work costs the database a scan
	afterErr = 10 * time.Second
)

// leaseName is the name among the outlets under which the work is leased.
const leaseName = "(search)"

// Config is what an Indexer stands on; every field must be set.
type Config struct {
	Store *store.Store
	// Open opens a recording; recording_locked where no key at hand does.
	Open   func(context.Context, id.Session) (*recording.Recording, error)
	Holder string // names this process among the CAs
	Log    *slog.Logger
}

// Indexer indexes. Make it with New.
type Indexer struct {
	Config
	relocked bool         // try what was locked once more: this process may have the key
	after    wire.Session // where the round through what is to be indexed stands
}

// New makes an Indexer.
func New(c Config) *Indexer { return &Indexer{Config: c, relocked: true} }

// Run works until ctx ends.
func (x *Indexer) Run(ctx context.Context) {
	for ctx.Err() == nil {
		more, err := x.pass(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			x.Log.Warn("recordings are not indexed for now", "err", err)
			wait(ctx, afterErr)
		case !more:
			x.idle(ctx)
		}
	}
	leave, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	x.Store.LeaveOutlet(leave, leaseName, x.Holder)
}

// idle waits for something new in the log, since seals are told there.
func (x *Indexer) idle(ctx context.Context) {
	state, err := x.Store.LogState(ctx)
	if err != nil {
		wait(ctx, afterErr)
		return
	}
	wait(ctx, shortest)
	ctx, cancel := context.WithTimeout(ctx, rest)
	defer cancel()
	x.Store.WaitEvents(ctx, state.Size)
}

// pass indexes some recordings; more says that there may be others. One that
// cannot be read now, because it has not come or its storage does not answer, is
// passed over until the next round.
func (x *Indexer) pass(ctx context.Context) (more bool, err error) {
	_, mine, err := x.Store.TakeOutlet(ctx, leaseName, x.Holder, lease)
	if err != nil {
		return false, err
	}
	if !mine { // another CA works: ask again when its lease may have ended
		wait(ctx, lease/4)
		return false, nil
	}
	fresh, gone, err := x.Store.ToIndex(ctx, store.Backlog{Version: version, Relocked: x.relocked, After: x.after, Limit: pass})
	if err != nil {
		return false, err
	}
	for _, s := range gone {
		if err := x.Store.IndexSession(ctx, s, version, store.SearchGone, nil); err != nil {
			return false, err
		}
	}
	for _, s := range fresh {
		x.after = s
		if err := x.index(ctx, s); err != nil {
			if ctx.Err() != nil || fault.ReasonOf(err) == fault.StoreAway {
				return false, err
			}
			x.Log.Info("a recording is not indexed yet", "session", s.ID, "err", err)
		}
	}
	if len(fresh) == pass {
		return true, nil
	}
	// The round is over. What was locked stays so: keys do not come while we run.
	x.after, x.relocked = wire.Session{}, false
	return false, nil
}

// index reads one recording. Its error is what a later try may not meet.
func (x *Indexer) index(ctx context.Context, s wire.Session) error {
	state := store.SearchDone
	chunks, whole, err := x.read(ctx, s)
	var damage *recording.DamageError
	switch {
	case err == nil && !whole:
		state = store.SearchPartly
	case err == nil:
	case fault.ReasonOf(err) == fault.RecordingLocked:
		state = store.SearchLocked
		chunks = find.About(s)
	case errors.As(err, &damage):
		x.Log.Error("a sealed recording is damaged", "session", s.ID, "err", err)
		state = store.SearchDamaged
	default:
		return err
	}
	return x.Store.IndexSession(ctx, s, version, state, chunks)
}

func (x *Indexer) read(ctx context.Context, s wire.Session) (chunks []find.Chunk, whole bool, err error) {
	r, err := x.Open(ctx, s.ID)
	if err != nil {
		return nil, false, err
	}
	defer r.Close()
	return find.Read(s, r)
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
