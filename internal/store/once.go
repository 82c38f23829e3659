package store

import (
	"context"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// UseOnce uses up all of what is given, or nothing of it: a fault of reason
// token_replayed when any was used before.
func (s *Store) UseOnce(ctx context.Context, once ...Once) error {
	return s.write(ctx, &job{issue: &issuance{once: once}})
}

// useOnce inserts the rows of a whole set.
func useOnce(t *tx, set []*issuance) error {
	const insert = `INSERT INTO once (kind, hash, expires) VALUES {($, $, $)} ON CONFLICT DO NOTHING`
	var args []any
	for _, w := range set {
		for _, o := range w.once {
			args = append(args, o.Kind, o.Hash, o.Expires)
		}
	}
	n, err := t.execRows(insert, 3, args)
	if err != nil {
		return err
	}
	if int(n) < len(args)/3 {
		return fault.New(fault.Conflict, fault.TokenReplayed, "this was used before")
	}
	return nil
}

// Expired rows of once are removed by those who write, a few at a time.
const (
	cleanRows  = 256 // in one transaction
	cleanEvery = 5   // seconds, when there was less than that
	cleanGrace = 300 // seconds after Expires: the clocks of CAs differ
)

// cleaner remembers when to clean next. It belongs to the writer's goroutine.
type cleaner struct{ next int64 }

func (c *cleaner) clean(t *tx) error {
	if t.now < c.next {
		return nil
	}
	const remove = `DELETE FROM once WHERE (kind, hash) IN (
		SELECT kind, hash FROM once WHERE expires < $1 ORDER BY expires LIMIT $2)`
	n, err := t.exec(remove, t.now-cleanGrace, cleanRows)
	if err != nil {
		return err
	}
	if n < cleanRows {
		c.next = t.now + cleanEvery
	}
	return nil
}
