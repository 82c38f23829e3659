package store

import (
	"context"
	"errors"

	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// Actor is who does something, as the audit log names them: see audit.Event. The
// zero Actor is somebody unknown.
type Actor struct {
	Name   string // an identity, "node:NAME", "proxy:NAME", or audit.CA
	Client string // their address: IP, or host:port
}

// did is an event of something that was done.
func (a Actor) did(kind audit.Kind) audit.Event {
	return audit.Event{Kind: kind, Outcome: audit.Success, Actor: a.Name, Client: a.Client}
}

// appending is events that change nothing else. The writer appends those of many
// callers as one set.
type appending struct {
	events []audit.Event
	job    *job
}

func (w *appending) refuse(err error) { w.job.err = err }

// Append adds events to the audit log, all of them or none, for what changes
// nothing else: denials, mostly. Whoever could not append stops. Their At is
// ignored. An event larger than a leaf may be is too_large.
func (s *Store) Append(ctx context.Context, events ...audit.Event) error {
	return s.write(ctx, &job{append: &appending{events: events}})
}

// append runs a whole set, or refuses the whole set.
func (t *tx) append(set []*appending) error {
	n := 0
	for _, w := range set {
		n += len(w.events)
	}
	events := make([]audit.Event, 0, n)
	for _, w := range set {
		events = append(events, w.events...)
	}
	return t.log(events...)
}

// log appends events in the transaction of what they tell. Their At is set here:
// it is the transaction's time, and never less than that of the event before.
func (t *tx) log(events ...audit.Event) error {
	if len(events) == 0 {
		return nil
	}
	const insert = `INSERT INTO events (idx, at, kind, reason, actor, identity, login, node, session, hash, leaf)
		VALUES {($, $, $, $, $, $, $, $, $, $, $)}`
	const width = 11
	at := max(t.at, t.nowMicro)
	args := make([]any, 0, width*len(events))
	hashes := make([]audit.Hash, len(events))
	for i, e := range events {
		e.At = at
		leaf, err := e.Leaf()
		if err != nil {
			return unlogged(err)
		}
		hashes[i] = audit.LeafHash(leaf)
		args = append(args, t.size+int64(i), at, string(e.Kind), e.Reason, e.Actor, string(e.Identity),
			string(e.Login), string(e.Node), string(e.Session), hashes[i][:], string(leaf))
	}
	frontier, err := audit.Frontier(t.frontier).Push(t.size, hashes...)
	if err != nil {
		return damaged("the log's counters do not fit together").Because(err)
	}
	t.at, t.frontier, t.size = at, string(frontier), t.size+int64(len(events))
	t.laterRows(insert, width, args, nil, nil)
	return nil
}

// unlogged refuses what cannot be logged.
func unlogged(err error) error {
	if errors.Is(err, audit.ErrTooLarge) {
		return fault.New(fault.Invalid, fault.TooLarge, "this is more than one event of the audit log may hold").Because(err)
	}
	return err
}

// damaged is what the log is when it is not what was signed.
func damaged(format string, args ...any) *fault.Error {
	return fault.New(fault.Internal, fault.LogDamaged, format, args...).
		Then("keep a copy of the database as it is, and run: sallyport audit verify")
}
