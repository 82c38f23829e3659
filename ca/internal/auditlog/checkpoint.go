package auditlog

import (
	"context"

	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/store"
)

// step signs what is new. It is one straight procedure: nothing is signed that a
// step before would have found to be damaged.
func (l *Log) step(ctx context.Context) error {
	// 1. What was signed last, by whichever CA; and only then what there is.
	signed, at, err := l.latest(ctx)
	if err != nil {
		return err
	}
	state, err := l.Store.LogState(ctx)
	if err != nil {
		return err
	}
	if state.Size < signed.Size {
		return damaged("the log was rolled back: %d events were signed, and now there are %d", signed.Size, state.Size)
	}
	// 2. The tree as it follows from the events, first as far as it was signed.
	if err := l.tree.open(ctx, signed.Checkpoint); err != nil {
		return err
	}
	if now := l.tree.size(); state.Size < now {
		return damaged("the log was rolled back: there were %d events, and now there are %d", now, state.Size)
	}
	if err := l.tree.advance(ctx, signed.Size); err != nil {
		return err
	}
	if root, err := l.tree.rootAt(ctx, signed.Size); err != nil {
		return err
	} else if signed.Size > 0 && root != signed.Root {
		return damaged("the first %d events are not those that were signed", signed.Size)
	}
	// 3. Then all of it. It has to be what the store carried along.
	if err := l.tree.advance(ctx, state.Size); err != nil {
		return err
	}
	next := audit.Checkpoint{Origin: l.Origin(), Size: state.Size}
	if _, next.Root = l.tree.root(); state.Size == 0 {
		return nil
	}
	if kept, err := state.Frontier.Root(state.Size); err != nil || kept != next.Root {
		return damaged("the %d events are not those that were logged: somebody has written in the database", state.Size)
	}
	if err := l.Damage(); err != nil {
		return err
	}
	// 4. Sign it, unless somebody has.
	if next.Size > signed.Size {
		if signed, at, err = l.sign(ctx, signed.Size, next); err != nil {
			return err
		}
	}
	l.publish(signed, at)
	return nil
}

// latest is the newest stored checkpoint, verified; without one, the zero Signed.
func (l *Log) latest(ctx context.Context) (audit.Signed, int64, error) {
	c, err := l.Store.LatestCheckpoint(ctx)
	if fault.ReasonOf(err) == fault.NotFound {
		return audit.Signed{}, 0, nil
	}
	if err != nil {
		return audit.Signed{}, 0, err
	}
	signed, err := l.open(c)
	return signed, c.At, err
}

// open verifies a stored checkpoint: the database is not trusted with it.
func (l *Log) open(c store.Checkpoint) (audit.Signed, error) {
	signed, err := l.Trust.OpenUnwitnessed([]byte(c.Note + c.Cosignatures))
	if err != nil {
		return signed, damaged("the checkpoint of %d events in the database: %v", c.Size, err)
	}
	if signed.Size != c.Size || signed.Root != c.Root {
		return signed, damaged("the checkpoint of %d events in the database is one of %d", c.Size, signed.Size)
	}
	return signed, nil
}

// sign has next signed and stores it. old is the size that was signed last, as
// far as the database knows.
func (l *Log) sign(ctx context.Context, old int64, next audit.Checkpoint) (audit.Signed, int64, error) {
	var note []byte
	for range 2 {
		proof, err := next.ProveConsistency(old, l.tree.reader(ctx))
		if err != nil {
			return audit.Signed{}, 0, named(err)
		}
		var last int64
		if note, last, err = l.Signer.SignCheckpoint(ctx, old, next, proof); err != nil {
			return audit.Signed{}, 0, err
		}
		if note != nil {
			break
		}
		// It has signed more than was stored: another CA's, a moment ago, or one
		// whose CA was killed before it could store it.
		if old = last; old > next.Size {
			return audit.Signed{}, 0, fault.New(fault.Unavailable, fault.SignerAway, "the signer is ahead of this CA, at %d events", last)
		}
	}
	if note == nil {
		return audit.Signed{}, 0, fault.New(fault.Unavailable, fault.SignerAway, "the signer is asked by others at the same moment")
	}
	at := l.Now().UnixMicro()
	stored, err := l.Store.PutCheckpoint(ctx, store.Checkpoint{Size: next.Size, Root: next.Root, At: at, Note: string(note)})
	if err != nil {
		return audit.Signed{}, 0, err
	}
	signed, err := l.open(stored)
	return signed, stored.At, err
}
