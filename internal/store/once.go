package store

import (
	"context"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// UseOnce uses up all of what is given, or nothing of it: a fault of reason
// token_replayed when any was used before.
func (s *Store) UseOnce(ctx context.Context, once ...Once) error {
	if len(once) == 0 {
		return fault.New(fault.Invalid, fault.BadRequest, "nothing was given to use once")
	}
	return s.write(ctx, &job{issue: &issuance{once: once}})
}

// useOnce inserts the rows of a whole set, or refuses it.
func useOnce(t *tx, set []*issuance) {
	const insert = `INSERT INTO once (kind, hash, expires) VALUES {($, $, $)} ON CONFLICT DO NOTHING`
	var args []any
	for _, w := range set {
		for _, o := range w.once {
			args = append(args, o.Kind, o.Hash, o.Expires)
		}
	}
	t.laterRows(insert, 3, args, nil, func(changed, given int64) error {
		t.once += int(changed)
		if changed < given {
			return fault.New(fault.Conflict, fault.TokenReplayed, "this was used before")
		}
		return nil
	})
}

// Expired rows of once are swept away by those who insert new ones: for each
// row inserted, sweepRatio rows are looked at. So the table stays within
// 1/(1-1/sweepRatio) of what has not expired, however fast it fills, and an
// idle CA does nothing.
const (
	sweepRatio = 2
	sweepSlice = 128 // rows to look at before it is worth a statement
	sweepMost  = 512 // rows to look at in one transaction
	sweepGrace = 300 // seconds after Expires: the clocks of CAs differ
)

// sweeper goes round the table in the order of hashes. It belongs to the
// writer's goroutine.
type sweeper struct {
	from []byte // where the next slice begins; nil is the beginning
	owed int    // rows to look at
}

// sweep looks at the next slice, when it is due. A slice is a piece of the key:
// no index by time is needed, and what is removed together stands together on
// the disk.
func (w *sweeper) sweep(t *tx) error {
	w.owed += sweepRatio * t.once
	if w.owed < sweepSlice {
		return nil
	}
	from := w.from
	if from == nil {
		from = []byte{}
	}
	const end = `SELECT hash FROM once WHERE hash >= $1 ORDER BY hash LIMIT 1 OFFSET $2`
	var to []byte
	if _, err := t.row(func(r scanner) error { return r.Scan(&to) }, end, from, min(w.owed, sweepMost)); err != nil {
		return err
	}
	var err error
	if to != nil {
		const slice = `DELETE FROM once WHERE hash >= $1 AND hash < $2 AND expires < $3`
		_, err = t.exec(slice, from, to, t.now-sweepGrace)
	} else {
		const last = `DELETE FROM once WHERE hash >= $1 AND expires < $2`
		_, err = t.exec(last, from, t.now-sweepGrace)
	}
	w.from, w.owed = to, 0
	return err
}
