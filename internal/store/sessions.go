package store

import (
	"context"
	"slices"
	"strconv"

	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// EndedLost is the End of a session whose proxy died with it.
const EndedLost = "lost"

// Limits of a listing.
const (
	sessionsDefault = 100
	sessionsMost    = 1000
)

// event is what the audit log says of o, but for its certificate.
func (o *Opening) event() audit.Event {
	e := sessionEvent(audit.SessionGranted, o.Session)
	e.Actor, e.Client = string(o.Session.Identity), o.Session.Client
	e.Way, e.Roles, e.Revision = string(o.Session.Way), o.Roles, o.Session.Revision
	if r := o.Recording; len(r.Recipients) > 0 || r.Retain != 0 {
		e.Recording = &audit.Recording{Recipients: r.Recipients, Retain: r.Retain}
	}
	return e
}

// sessionEvent is what every event about a session says of it.
func sessionEvent(kind audit.Kind, s wire.Session) audit.Event {
	return audit.Event{
		Kind: kind, Outcome: audit.Success,
		Identity: s.Identity, Login: s.Login, Node: s.Node, NodeID: s.NodeID, Proxy: s.Proxy, Session: s.ID,
	}
}

// insertSessions stores the sessions of a set, whose serials are reserved.
func insertSessions(t *tx, set []*issuance) {
	const insert = `INSERT INTO sessions
		(id, identity, login, node, node_id, proxy, client, way, role, revision, login_serial, serial, started)
		VALUES {($, $, $, $, $, $, $, $, $, $, $, $, $)} ON CONFLICT (id) DO NOTHING`
	const width = 13
	var args []any
	for _, w := range set {
		if w.opening != nil {
			ws := &w.opening.Session
			args = append(args, ws.ID, ws.Identity, ws.Login, ws.Node, ws.NodeID, ws.Proxy, ws.Client,
				ws.Way, ws.Role, ws.Revision, int64(ws.LoginSerial), int64(w.serials[0]), ws.Started)
		}
	}
	t.laterRows(insert, width, args, nil, func(changed, given int64) error {
		if changed < given {
			return fault.New(fault.Conflict, fault.SessionTaken, "that session name is taken")
		}
		return nil
	})
}

// end ends a session that is open.
func (t *tx) end(name id.Session, end wire.EndRequest, now int64) (ended bool, err error) {
	const update = `UPDATE sessions SET ended = $1, ended_as = $2, accepted = $3, bytes = $4
		WHERE id = $5 AND ended = 0 RETURNING ` + sessionColumns
	var s wire.Session
	ended, err = t.row(func(r scanner) (err error) { s, err = scanSession(r); return err },
		update, now, end.End, end.Accepted, end.Bytes, name)
	if err != nil || !ended {
		return ended, err
	}
	e := sessionEvent(audit.SessionEnded, s)
	e.Actor, e.Reason, e.Bytes = audit.ProxyActor(s.Proxy), end.End, end.Bytes
	if !end.Accepted {
		e.Outcome = audit.Failed // as far as is known, nobody was let in
	}
	return true, t.log(e)
}

func noSession(name id.Session) error {
	return fault.New(fault.Missing, fault.NotFound, "there is no session %s", name)
}

// EndLost ends the sessions that proxy left open, but for those that it still
// has, as "lost".
func (s *Store) EndLost(ctx context.Context, proxy id.Proxy, now int64, live []id.Session) error {
	return s.alone(ctx, func(t *tx) error {
		const query = `SELECT id FROM sessions WHERE proxy = $1 AND ended = 0 ORDER BY serial`
		var lost []id.Session
		err := t.each(func(r scanner) error {
			var name id.Session
			err := r.Scan(&name)
			if !slices.Contains(live, name) {
				lost = append(lost, name)
			}
			return err
		}, query, proxy)
		if err != nil {
			return err
		}
		for _, name := range lost {
			if _, err := t.end(name, wire.EndRequest{End: EndedLost}, now); err != nil {
				return err
			}
		}
		return nil
	})
}

const sessionColumns = `id, identity, login, node, node_id, proxy, client, way, role, revision,
	login_serial, serial, started, ended, ended_as, bytes`

func scanSession(r scanner) (w wire.Session, err error) {
	err = r.Scan(&w.ID, &w.Identity, &w.Login, &w.Node, &w.NodeID, &w.Proxy, &w.Client, &w.Way, &w.Role,
		&w.Revision, &w.LoginSerial, &w.Serial, &w.Started, &w.Ended, &w.End, &w.Bytes)
	return w, err
}

// Session returns a session's row, or not_found.
func (s *Store) Session(ctx context.Context, name id.Session) (wire.Session, error) {
	const query = listedSessions + ` WHERE sessions.id = $1`
	return one(ctx, s, scanListed, noSession(name), query, name)
}

// Sessions lists what f lets through, newest first.
func (s *Store) Sessions(ctx context.Context, f wire.SessionFilter) ([]wire.Session, error) {
	query := listedSessions + ` WHERE TRUE`
	var args []any
	narrow := func(condition string, v any) {
		args = append(args, v)
		query += condition + strconv.Itoa(len(args))
	}
	if f.Identity != "" {
		narrow(` AND sessions.identity = $`, f.Identity)
	}
	if f.Node != "" {
		narrow(` AND sessions.node = $`, f.Node)
	}
	if f.Login != "" {
		narrow(` AND sessions.login = $`, f.Login)
	}
	if f.Since != 0 {
		narrow(` AND sessions.started >= $`, f.Since)
	}
	if f.Until != 0 {
		narrow(` AND sessions.started < $`, f.Until)
	}
	if f.Live {
		query += ` AND sessions.ended = 0`
	}
	if f.Before != "" {
		narrow(` AND (sessions.started, sessions.serial) < (SELECT started, serial FROM sessions WHERE id = $`, f.Before)
		query += `)`
	}
	limit := f.Limit
	if limit <= 0 {
		limit = sessionsDefault
	}
	narrow(` ORDER BY sessions.started DESC, sessions.serial DESC LIMIT $`, min(limit, sessionsMost))
	return all(ctx, s, scanListed, query, args...)
}
