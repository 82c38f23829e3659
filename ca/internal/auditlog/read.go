package auditlog

import (
	"context"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// stale is how old a checkpoint with its quorum may be before the newest one,
// which lacks it, is shown instead: witnesses that are away must not make the log
// look as if it stood still.
const stale = 5 * time.Minute

// publish tells readers and witnesses what was signed last.
func (l *Log) publish(s made) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(s.Witnesses) >= l.Trust.Quorum() {
		l.witnessed = max(l.witnessed, s.Size)
	}
	if s.Size <= l.newest.Size {
		return
	}
	l.newest, l.at = s.Signed, time.UnixMicro(s.at)
	close(l.news)
	l.news = make(chan struct{})
}

// current is the newest checkpoint, and what is closed when it is not any more.
func (l *Log) current() (audit.Signed, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.newest, l.news
}

// Checkpoint returns the signed note that is shown to the world: the newest one
// that has its quorum, or the newest one where that is old. An empty log has
// none: not_found.
func (l *Log) Checkpoint(ctx context.Context) (audit.Signed, error) {
	l.mu.Lock()
	witnessed, at := l.witnessed, l.at
	l.mu.Unlock()
	c, err := l.Store.LatestCheckpoint(ctx)
	if err != nil {
		return audit.Signed{}, err
	}
	newest, err := l.open(c)
	if err != nil || len(newest.Witnesses) >= l.Trust.Quorum() || witnessed == 0 || witnessed >= newest.Size {
		return newest, err
	}
	if c, err = l.Store.CheckpointBySize(ctx, witnessed); err != nil {
		return audit.Signed{}, err
	}
	if at.Sub(time.UnixMicro(c.At)) > stale {
		return newest, nil
	}
	return l.open(c)
}

// CheckpointOf returns one that was signed at exactly size events.
func (l *Log) CheckpointOf(ctx context.Context, size int64) (audit.Signed, error) {
	c, err := l.Store.CheckpointBySize(ctx, size)
	if err != nil {
		return audit.Signed{}, err
	}
	return l.open(c)
}

// soon is how long a reader waits for the checkpoint of an event that was logged
// a moment ago.
const soon = 5 * pause

// Holding returns a checkpoint that holds event index: the one that is shown to
// the world, or the first that does.
func (l *Log) Holding(ctx context.Context, index int64) (audit.Signed, error) {
	wait, cancel := context.WithTimeout(ctx, soon)
	defer cancel()
	for {
		_, news := l.current()
		signed, err := l.Checkpoint(ctx)
		if err == nil && signed.Size > index {
			return signed, nil
		}
		c, errFrom := l.Store.CheckpointFrom(ctx, index+1)
		if errFrom == nil {
			return l.open(c)
		}
		if fault.ReasonOf(errFrom) != fault.NotFound {
			return audit.Signed{}, errFrom
		}
		select {
		case <-news:
		case <-wait.Done():
			if err := l.Damage(); err != nil {
				return audit.Signed{}, err
			}
			return audit.Signed{}, fault.New(fault.Missing, fault.NotFound, "no checkpoint holds event %d", index)
		}
	}
}

// Tile returns a tile's hashes, or not_found.
func (l *Log) Tile(ctx context.Context, t audit.Tile) ([]byte, error) {
	hashes, err := l.tree.tile(ctx, t)
	if fault.ReasonOf(err) != fault.NotFound {
		return hashes, err
	}
	if err := l.Reach(ctx, t.First()+int64(t.Width)<<(audit.TileHeight*t.Level)); err != nil {
		return nil, err
	}
	return l.tree.tile(ctx, t)
}

// Bundle returns an entry bundle. Its events are compared with the tree: what was
// changed since is log_damaged, and not shown as if it were the log.
func (l *Log) Bundle(ctx context.Context, t audit.Tile) ([]byte, error) {
	hashes := t
	hashes.Entries = false
	want, err := l.Tile(ctx, hashes)
	if err != nil {
		return nil, err
	}
	entries, err := l.tree.entries(ctx, t.First(), t.Width)
	if err != nil {
		return nil, l.found(ctx, err)
	}
	var bundle []byte
	for i, e := range entries {
		if audit.LeafHash(e.Leaf) != audit.Hash(want[i*len(audit.Hash{}):]) {
			return nil, l.found(ctx, damaged("event %d is not the one that was logged", e.Index))
		}
		if bundle, err = audit.AppendEntry(bundle, e.Leaf); err != nil {
			return nil, err
		}
	}
	return bundle, nil
}

// found tells of damage that a reader came upon, too.
func (l *Log) found(ctx context.Context, err error) error {
	if err = named(err); fault.ReasonOf(err) == fault.LogDamaged {
		l.damaged(context.WithoutCancel(ctx), err)
	}
	return err
}

// Prove proves that e is in c. An event that is not what was logged is
// log_damaged.
func (l *Log) Prove(ctx context.Context, c audit.Checkpoint, e audit.Entry) (audit.Proof, error) {
	if err := l.Reach(ctx, c.Size); err != nil {
		return nil, err
	}
	proof, err := c.ProveInclusion(e.Index, l.tree.reader(ctx))
	if err == nil {
		err = c.CheckInclusion(e.Index, e.Leaf, proof)
	}
	return proof, l.found(ctx, err)
}

// Reach takes in what another CA has logged, and this one has not seen yet: size
// events at least, or it is not_found.
func (l *Log) Reach(ctx context.Context, size int64) error {
	if l.tree.size() >= size {
		return nil
	}
	l.turn.Lock()
	defer l.turn.Unlock()
	state, err := l.Store.LogState(ctx)
	if err != nil {
		return err
	}
	if state.Size < size {
		return fault.New(fault.Missing, fault.NotFound, "the audit log has not so many events")
	}
	if !l.tree.opened() {
		return fault.New(fault.Unavailable, fault.StoreAway, "the audit log is not open yet").Then("try again in a moment")
	}
	return l.tree.advance(ctx, size)
}
