package store

import (
	"context"
	"slices"
	"strconv"

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

// insertSessions stores the sessions of a set, whose serials are reserved.
func insertSessions(t *tx, set []*issuance) {
	const insert = `INSERT INTO sessions
		(id, identity, login, node, node_id, proxy, client, way, role, revision, login_serial, serial, started)
		VALUES {($, $, $, $, $, $, $, $, $, $, $, $, $)} ON CONFLICT (id) DO NOTHING`
	const width = 13
	var args []any
	for _, w := range set {
		if ws := w.session; ws != nil {
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

// EndSession closes a session's row. The first end stands: a proxy that asks
// again because the answer was lost gets nil and changes nothing.
func (s *Store) EndSession(ctx context.Context, name id.Session, end wire.EndRequest, now int64) error {
	return s.alone(ctx, func(t *tx) error {
		const update = `UPDATE sessions SET ended = $1, ended_as = $2, accepted = $3, bytes = $4
			WHERE id = $5 AND ended = 0`
		n, err := t.exec(update, now, end.End, end.Accepted, end.Bytes, name)
		if err != nil || n > 0 {
			return err
		}
		const query = `SELECT 1 FROM sessions WHERE id = $1`
		var one int
		found, err := t.row(func(r scanner) error { return r.Scan(&one) }, query, name)
		if err == nil && !found {
			err = noSession(name)
		}
		return err
	})
}

func noSession(name id.Session) error {
	return fault.New(fault.Missing, fault.NotFound, "there is no session %s", name)
}

// EndLost ends the sessions that proxy left open, but for those that it still
// has, as "lost".
func (s *Store) EndLost(ctx context.Context, proxy id.Proxy, now int64, live []id.Session) error {
	return s.alone(ctx, func(t *tx) error {
		const query = `SELECT id FROM sessions WHERE proxy = $1 AND ended = 0`
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
		const update = `UPDATE sessions SET ended = $1, ended_as = $2 WHERE id = $3 AND ended = 0`
		for _, name := range lost {
			if _, err := t.exec(update, now, EndedLost, name); err != nil {
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
	const query = `SELECT ` + sessionColumns + ` FROM sessions WHERE id = $1`
	return one(ctx, s, scanSession, noSession(name), query, name)
}

// Sessions lists what f lets through, newest first.
func (s *Store) Sessions(ctx context.Context, f wire.SessionFilter) ([]wire.Session, error) {
	query := `SELECT ` + sessionColumns + ` FROM sessions WHERE TRUE`
	var args []any
	narrow := func(condition string, v any) {
		args = append(args, v)
		query += condition + strconv.Itoa(len(args))
	}
	if f.Identity != "" {
		narrow(` AND identity = $`, f.Identity)
	}
	if f.Node != "" {
		narrow(` AND node = $`, f.Node)
	}
	if f.Login != "" {
		narrow(` AND login = $`, f.Login)
	}
	if f.Since != 0 {
		narrow(` AND started >= $`, f.Since)
	}
	if f.Until != 0 {
		narrow(` AND started < $`, f.Until)
	}
	if f.Live {
		query += ` AND ended = 0`
	}
	if f.Before != "" {
		narrow(` AND (started, serial) < (SELECT started, serial FROM sessions WHERE id = $`, f.Before)
		query += `)`
	}
	limit := f.Limit
	if limit <= 0 {
		limit = sessionsDefault
	}
	narrow(` ORDER BY started DESC, serial DESC LIMIT $`, min(limit, sessionsMost))
	return all(ctx, s, scanSession, query, args...)
}
