package store

import (
	"context"
	"fmt"

	"github.com/sallyport-ssh/sallyport/internal/audit"
)

// Append adds events to the audit log, all of them or none, for what changes
// nothing else: denials, mostly. Whoever could not append stops.
func (s *Store) Append(ctx context.Context, events ...audit.Event) error {
	return s.alone(ctx, func(t *tx) error { return t.log(events...) })
}

// log appends events in the transaction of what they tell. Their At is set here:
// it is the transaction's time, and never less than that of the event before.
func (t *tx) log(events ...audit.Event) error {
	const insert = `INSERT INTO events (idx, at, kind, reason, actor, identity, login, node, session, hash, leaf)
		VALUES {($, $, $, $, $, $, $, $, $, $, $)}`
	args := make([]any, 0, 11*len(events))
	for _, e := range events {
		t.at = max(t.at, t.nowMicro)
		e.At = t.at
		leaf, err := e.Leaf()
		if err != nil {
			return err
		}
		hash := audit.LeafHash(leaf)
		frontier, err := audit.Frontier(t.frontier).Push(t.size, hash)
		if err != nil {
			return fmt.Errorf("append to the audit log: %w", err)
		}
		args = append(args, t.size, e.At, string(e.Kind), e.Reason, e.Actor, string(e.Identity), string(e.Login),
			string(e.Node), string(e.Session), hash[:], string(leaf))
		t.frontier = string(frontier)
		t.size++
	}
	t.laterRows(insert, 11, args, nil, nil)
	return nil
}
