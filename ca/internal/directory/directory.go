// Package directory keeps in memory what decisions are made of: the policy, the
// nodes and the proxies. Deciding about a login or listing a person's nodes then
// costs no question to the database, also with 50,000 nodes.
//
// # Promises
//
// The database's state version is the truth. It is asked for several times a
// second, and after every change that this process makes itself; a View is
// loaded anew when it has risen, and is whole: nothing changed while it was
// read. When the database has not answered for MaxAge there is no View, and so
// no decision: a policy that was taken back must not live on because nobody
// could be asked.
package directory

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/store"
)

const (
	// Poll is how often the state version is asked for.
	Poll = 250 * time.Millisecond
	// MaxAge is how old the last answer of the database may be.
	MaxAge = 5 * time.Second
)

// Source is the part of the store that a directory reads.
type Source interface {
	// StateVersion rises whenever what the other methods return has changed.
	StateVersion(ctx context.Context) (int64, error)
	Policy(ctx context.Context) (store.Revision, error)
	Nodes(ctx context.Context) ([]store.Node, error)
	Proxies(ctx context.Context) ([]store.Proxy, error)
}

// Directory is safe for concurrent use. The zero Directory has no View.
type Directory struct {
	source Source
	log    *slog.Logger
	now    func() time.Time

	loading sync.Mutex // held while the source is read: one reader at a time

	mu      sync.Mutex
	view    *View
	asked   time.Time     // when view was last known to be current
	changed chan struct{} // closed when view is replaced
	closed  bool
}

// Open loads the first View; the database has to answer.
func Open(ctx context.Context, source Source, now func() time.Time, log *slog.Logger) (*Directory, error) {
	d := &Directory{source: source, log: log, now: now, changed: make(chan struct{})}
	return d, d.Refresh(ctx)
}

// Run keeps the View current until ctx ends.
func (d *Directory) Run(ctx context.Context) {
	tick := time.NewTicker(Poll)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := d.Refresh(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			d.log.Error("state cannot be read", "err", err)
		} else if err == nil && failing {
			d.log.Info("state can be read again")
		}
		failing = err != nil
	}
}

// View returns the current View, or store_away.
func (d *Directory) View() (*View, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.view == nil || d.now().Sub(d.asked) > MaxAge {
		return nil, fault.New(fault.Unavailable, fault.StoreAway, "the CA's database does not answer").Then("try again in a minute")
	}
	return d.view, nil
}

// Refresh asks the database now. Whoever has changed something calls it, so that
// their next request finds the change.
func (d *Directory) Refresh(ctx context.Context) error {
	d.loading.Lock()
	defer d.loading.Unlock()
	for range 10 {
		at := d.now()
		version, err := d.source.StateVersion(ctx)
		if err != nil {
			return fmt.Errorf("read state version: %w", err)
		}
		old := d.current()
		if old != nil && old.Version == version {
			d.publish(old, at)
			return nil
		}
		view, err := d.load(ctx, old, version)
		if err != nil {
			return err
		}
		// Something may have changed while it was read.
		if again, err := d.source.StateVersion(ctx); err != nil || again != version {
			if err != nil {
				return fmt.Errorf("read state version: %w", err)
			}
			continue
		}
		d.publish(view, at)
		return nil
	}
	return errors.New("the state changes faster than it can be read")
}

func (d *Directory) current() *View {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.view
}

func (d *Directory) publish(v *View, at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = at
	if d.view != v {
		d.view = v
		close(d.changed)
		d.changed = make(chan struct{})
	}
}

// Wait returns the first View for which news says true, or the current one when
// ctx ends or the directory is closed.
func (d *Directory) Wait(ctx context.Context, news func(*View) bool) (*View, error) {
	for {
		d.mu.Lock()
		changed, closed := d.changed, d.closed
		d.mu.Unlock()
		v, err := d.View()
		if err != nil || closed || news(v) {
			return v, err
		}
		select {
		case <-ctx.Done():
			return v, nil
		case <-changed:
		}
	}
}

// Close lets nobody wait any longer. The last View stays.
func (d *Directory) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed {
		d.closed = true
		close(d.changed)
		d.changed = make(chan struct{})
	}
}
