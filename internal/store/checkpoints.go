package store

import (
	"context"
	"strings"

	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// Checkpoint is a signed state of the audit log. Its bytes are audit's business;
// here they are text.
type Checkpoint struct {
	Size int64
	Root audit.Hash
	At   int64  // Unix microseconds
	Note string // the signed note as it was first published

	// Cosignatures are lines of witnesses, each with its newline.
	Cosignatures string
}

const checkpointColumns = `size, root, at, note, cosignatures`

func scanCheckpoint(r scanner) (c Checkpoint, err error) {
	var root []byte
	err = r.Scan(&c.Size, &root, &c.At, &c.Note, &c.Cosignatures)
	copy(c.Root[:], root)
	return c, err
}

// PutCheckpoint stores c and returns what is stored for its size: c, or what
// another CA signed before. It refuses, as log_damaged, a root that differs from
// the stored one or from the log's own, and a size that the log has not.
func (s *Store) PutCheckpoint(ctx context.Context, c Checkpoint) (Checkpoint, error) {
	var stored Checkpoint
	err := s.alone(ctx, func(t *tx) error {
		if err := t.fits(c); err != nil {
			return err
		}
		const insert = `INSERT INTO checkpoints (size, root, at, note) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`
		n, err := t.exec(insert, c.Size, c.Root[:], c.At, c.Note)
		if err != nil {
			return err
		}
		if n > 0 {
			stored = c
			stored.Cosignatures = ""
			return nil
		}
		if stored, err = t.checkpoint(c.Size); err != nil {
			return err
		}
		if stored.Root != c.Root {
			return damaged("the audit log at size %d has two roots", c.Size)
		}
		return nil
	})
	if err != nil {
		return Checkpoint{}, err
	}
	return stored, nil
}

// fits refuses a checkpoint of what the log is not, as far as the counters tell.
func (t *tx) fits(c Checkpoint) error {
	if c.Size > t.size {
		return damaged("a checkpoint says %d events, and the audit log has %d", c.Size, t.size)
	}
	if c.Size < t.size {
		return nil
	}
	root, err := audit.Frontier(t.frontier).Root(t.size)
	if err != nil {
		return damaged("the log's counters do not fit together").Because(err)
	}
	if root != c.Root {
		return damaged("a checkpoint of %d events has another root than the audit log", c.Size)
	}
	return nil
}

const checkpointBySize = `SELECT ` + checkpointColumns + ` FROM checkpoints WHERE size = $1`

func (t *tx) checkpoint(size int64) (c Checkpoint, err error) {
	found, err := t.row(func(r scanner) (err error) { c, err = scanCheckpoint(r); return err }, checkpointBySize, size)
	if err == nil && !found {
		err = noCheckpoint()
	}
	return c, err
}

func noCheckpoint() error {
	return fault.New(fault.Missing, fault.NotFound, "there is no such checkpoint")
}

// LatestCheckpoint returns the one of the largest size, or not_found.
func (s *Store) LatestCheckpoint(ctx context.Context) (Checkpoint, error) {
	const query = `SELECT ` + checkpointColumns + ` FROM checkpoints ORDER BY size DESC LIMIT 1`
	return one(ctx, s, scanCheckpoint, noCheckpoint(), query)
}

// CheckpointBySize returns the one of exactly that size, or not_found.
func (s *Store) CheckpointBySize(ctx context.Context, size int64) (Checkpoint, error) {
	return one(ctx, s, scanCheckpoint, noCheckpoint(), checkpointBySize, size)
}

// CheckpointFrom returns the smallest one that holds at least size events, or
// not_found: the first under which event size-1 stands.
func (s *Store) CheckpointFrom(ctx context.Context, size int64) (Checkpoint, error) {
	const query = `SELECT ` + checkpointColumns + ` FROM checkpoints WHERE size >= $1 ORDER BY size LIMIT 1`
	return one(ctx, s, scanCheckpoint, noCheckpoint(), query, size)
}

// AddCosignatures adds witnesses' lines to the checkpoint of that size, those
// that it has not. They were verified before.
func (s *Store) AddCosignatures(ctx context.Context, size int64, lines ...string) error {
	return s.alone(ctx, func(t *tx) error {
		c, err := t.checkpoint(size)
		if err != nil {
			return err
		}
		all := c.Cosignatures
		for _, line := range lines {
			line = strings.TrimSuffix(line, "\n") + "\n"
			if line == "\n" || strings.Count(line, "\n") > 1 {
				return fault.New(fault.Invalid, fault.BadRequest, "a cosignature is one line")
			}
			if !strings.Contains("\n"+all, "\n"+line) {
				all += line
			}
		}
		if all == c.Cosignatures {
			return nil
		}
		const update = `UPDATE checkpoints SET cosignatures = $1 WHERE size = $2`
		_, err = t.exec(update, all, size)
		return err
	})
}
