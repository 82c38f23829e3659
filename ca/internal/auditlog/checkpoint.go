package auditlog

import (
	"context"

	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/store"
)

// made is a checkpoint, and when it was made.
type made struct {
	audit.Signed
	at int64 // Unix microseconds
}

// step signs what is new. Nothing is signed that follow would have found to be
// damaged, now or before.
func (l *Log) step(ctx context.Context) error {
	signed, next, err := l.follow(ctx)
	if err != nil || next.Size == 0 {
		return err
	}
	if err := l.Damage(); err != nil {
		return err
	}
	if next.Size > signed.Size {
		if signed, err = l.sign(ctx, signed.Size, next); err != nil {
			return err
		}
	}
	l.publish(signed)
	return nil
}

// follow brings the tree up to date and returns what was signed last, and what is
// there now. Its order is the point.
func (l *Log) follow(ctx context.Context) (signed made, next audit.Checkpoint, err error) {
	l.turn.Lock()
	defer l.turn.Unlock()
	// 1. What was signed last, by whichever CA; and only then what there is.
	if signed, err = l.latest(ctx); err != nil {
		return signed, next, err
	}
	state, err := l.Store.LogState(ctx)
	if err != nil {
		return signed, next, err
	}
	if state.Size < signed.Size {
		return signed, next, damaged("the log was rolled back: %d events were signed, and now there are %d", signed.Size, state.Size)
	}
	// 2. The tree as it follows from the events, first as far as it was signed.
	if err := l.tree.open(ctx, signed.Checkpoint); err != nil {
		return signed, next, err
	}
	if now := l.tree.size(); state.Size < now {
		return signed, next, damaged("the log was rolled back: there were %d events, and now there are %d", now, state.Size)
	}
	if err := l.tree.advance(ctx, signed.Size); err != nil {
		return signed, next, err
	}
	root, err := l.tree.rootAt(ctx, signed.Size)
	if err != nil {
		return signed, next, err
	}
	if signed.Size > 0 && root != signed.Root {
		return signed, next, damaged("the first %d events are not those that were signed", signed.Size)
	}
	// 3. Then all of it. It has to be what the store carried along.
	if err := l.tree.advance(ctx, state.Size); err != nil {
		return signed, next, err
	}
	kept, err := state.Frontier.Root(state.Size)
	if root = l.tree.root(); err != nil || kept != root {
		return signed, next, damaged("the %d events are not those that were logged: somebody has written in the database", state.Size)
	}
	return signed, audit.Checkpoint{Origin: l.Origin(), Size: state.Size, Root: root}, nil
}

// latest is the newest stored checkpoint, verified; without one, the zero made.
func (l *Log) latest(ctx context.Context) (made, error) {
	c, err := l.Store.LatestCheckpoint(ctx)
	if fault.ReasonOf(err) == fault.NotFound {
		return made{}, nil
	}
	if err != nil {
		return made{}, err
	}
	signed, err := l.open(c)
	return made{signed, c.At}, err
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
func (l *Log) sign(ctx context.Context, old int64, next audit.Checkpoint) (made, error) {
	var note []byte
	for range 2 {
		proof, err := next.ProveConsistency(old, l.tree.reader(ctx))
		if err != nil {
			return made{}, named(err)
		}
		var last int64
		if note, last, err = l.Signer.SignCheckpoint(ctx, old, next, proof); err != nil {
			return made{}, err
		}
		if note != nil {
			break
		}
		// It has signed more than was stored: another CA's, a moment ago, or one
		// whose CA was killed before it could store it.
		if old = last; old > next.Size {
			return made{}, l.ahead(ctx, last)
		}
	}
	if note == nil {
		return made{}, fault.New(fault.Unavailable, fault.SignerAway, "the signer is asked by others at the same moment")
	}
	at := l.Now().UnixMicro()
	stored, err := l.Store.PutCheckpoint(ctx, store.Checkpoint{Size: next.Size, Root: next.Root, At: at, Note: string(note)})
	if err != nil {
		return made{}, err
	}
	signed, err := l.open(stored)
	return made{signed, stored.At}, err
}

// ahead says what it means that the signer has signed more than this CA asks for.
// What it signs is stored before: a log that is smaller now has lost events.
func (l *Log) ahead(ctx context.Context, last int64) error {
	state, err := l.Store.LogState(ctx)
	if err != nil {
		return err
	}
	if state.Size < last {
		return damaged("the log was rolled back: %d events were signed, and now there are %d", last, state.Size)
	}
	return fault.New(fault.Unavailable, fault.SignerAway, "another CA has had %d events signed", last)
}
