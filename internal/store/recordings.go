package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"

	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// Sealed is what a proxy's seal says, checked by who calls.
type Sealed struct {
	Header   []byte // SHA-256 with which the chain begins
	Digest   []byte // SHA-256 with which it ends
	Seal     []byte // as it stands in the file
	SealedBy string // SHA256:... of the proxy's key
	Frames   uint64
	Bytes    int64 // of the file
	Commands int64
	Files    int64
	Cut      bool  // finished after a crash
	At       int64 // Unix seconds
}

// recording is a recording's row.
type recording struct {
	session wire.Session
	header  []byte
	digest  []byte
	seal    []byte
	frames  int64
	bytes   int64
	to      []string // recipients
	retain  int64
	lost    int64
	deleted int64
}

// event is what every event about a recording says of it.
func (r *recording) event(kind audit.Kind) audit.Event {
	e := sessionEvent(kind, r.session)
	e.Recording = &audit.Recording{
		Header: r.header, Digest: r.digest, Frames: uint64(r.frames), Bytes: r.bytes, Recipients: r.to, Retain: r.retain,
	}
	return e
}

// insertRecordings stores what was ordered of the sessions of a set.
func insertRecordings(t *tx, set []*issuance) {
	const insert = `INSERT INTO recordings (session, recipients, retain) VALUES {($, $, $)} ON CONFLICT (session) DO NOTHING`
	var args []any
	for _, w := range set {
		if o := w.opening; o != nil {
			args = append(args, o.Session.ID, toJSON(o.Recording.Recipients), o.Recording.Retain)
		}
	}
	t.laterRows(insert, 3, args, nil, nil)
}

// recording reads a recording's row. A session of a release that kept none gets
// one.
func (t *tx) recording(name id.Session) (r recording, err error) {
	const query = `SELECT sessions.identity, sessions.login, sessions.node, sessions.node_id, sessions.proxy,
		header, digest, seal, frames, recordings.bytes, recipients, retain, lost, deleted
		FROM sessions LEFT JOIN recordings ON recordings.session = sessions.id WHERE sessions.id = $1`
	r.session.ID = name
	var frames, size, retain, lost, deleted *int64
	var to *string
	found, err := t.row(func(s scanner) error {
		return s.Scan(&r.session.Identity, &r.session.Login, &r.session.Node, &r.session.NodeID, &r.session.Proxy,
			&r.header, &r.digest, &r.seal, &frames, &size, &to, &retain, &lost, &deleted)
	}, query, name)
	switch {
	case err != nil:
		return r, err
	case !found:
		return r, noSession(name)
	case frames == nil:
		const insert = `INSERT INTO recordings (session) VALUES ($1)`
		_, err := t.exec(insert, name)
		return r, err
	}
	r.frames, r.bytes, r.retain, r.lost, r.deleted = *frames, *size, *retain, *lost, *deleted
	return r, fromJSON[[]string]{&r.to}.Scan(*to)
}

// StartRecording stores with which header a recording of proxy's session begins.
// The same again changes nothing; another is seal_refused.
func (s *Store) StartRecording(ctx context.Context, proxy id.Proxy, name id.Session, start wire.RecordingStarted) error {
	return s.alone(ctx, func(t *tx) error {
		r, err := t.recording(name)
		if err == nil && r.session.Proxy != proxy {
			err = noSession(name)
		}
		if err != nil {
			return err
		}
		if r.header != nil {
			return r.same(start.Header)
		}
		const update = `UPDATE recordings SET header = $1, started = $2 WHERE session = $3`
		if _, err := t.exec(update, start.Header, start.Started/1e6, name); err != nil {
			return err
		}
		r.header = start.Header
		e := r.event(audit.RecordingStarted)
		e.Actor = audit.ProxyActor(proxy)
		return t.log(e)
	})
}

// same refuses a header that is not the one that was told before.
func (r *recording) same(header []byte) error {
	if !bytes.Equal(r.header, header) {
		return fault.New(fault.Conflict, fault.SealRefused, "the recording of session %s began otherwise", r.session.ID)
	}
	return nil
}

// EndSession closes a session's row, whose first end stands, and stores what became
// of the recording: its seal, or with end.Lost that there is none. The first seal
// stands; another one is seal_refused. The same again changes nothing.
func (s *Store) EndSession(ctx context.Context, name id.Session, end wire.EndRequest, sealed *Sealed, now int64) error {
	return s.alone(ctx, func(t *tx) error {
		if _, err := t.end(name, end, now); err != nil {
			return err
		}
		r, err := t.recording(name)
		switch {
		case err != nil:
			return err
		case sealed != nil:
			return t.seal(&r, sealed)
		case end.Lost && r.digest == nil && r.lost == 0:
			return t.lose(&r, end, now)
		}
		return nil
	})
}

func (t *tx) seal(r *recording, s *Sealed) error {
	if r.header != nil {
		if err := r.same(s.Header); err != nil {
			return err
		}
	}
	if r.digest != nil {
		if !bytes.Equal(r.digest, s.Digest) || !bytes.Equal(r.seal, s.Seal) {
			return fault.New(fault.Conflict, fault.SealRefused, "the recording of session %s is sealed already, by another seal", r.session.ID)
		}
		return nil
	}
	const update = `UPDATE recordings SET header = $1, digest = $2, seal = $3, sealed = $4, cut = $5, frames = $6, bytes = $7,
		commands = $8, files = $9, lost = 0 WHERE session = $10`
	if _, err := t.exec(update, s.Header, s.Digest, s.Seal, s.At, s.Cut, int64(s.Frames), s.Bytes,
		s.Commands, s.Files, r.session.ID); err != nil {
		return err
	}
	r.header, r.digest, r.frames, r.bytes = s.Header, s.Digest, int64(s.Frames), s.Bytes
	e := r.event(audit.RecordingSealed)
	e.Actor = audit.ProxyActor(r.session.Proxy)
	sum := sha256.Sum256(s.Seal)
	e.Recording.Seal, e.Recording.SealedBy = sum[:], s.SealedBy
	if s.Cut {
		e.Reason = endCut
	}
	return t.log(e)
}

// endCut is the reason of a seal over a recording that a crash cut.
const endCut = "cut"

func (t *tx) lose(r *recording, end wire.EndRequest, now int64) error {
	const update = `UPDATE recordings SET lost = $1 WHERE session = $2`
	if _, err := t.exec(update, now, r.session.ID); err != nil {
		return err
	}
	e := r.event(audit.RecordingLost)
	e.Actor, e.Outcome, e.Reason = audit.ProxyActor(r.session.Proxy), audit.Failed, end.End
	return t.log(e)
}

// Seal returns the seal of a session's recording as the proxy wrote it; not_found
// where there is none.
func (s *Store) Seal(ctx context.Context, name id.Session) ([]byte, error) {
	const query = `SELECT seal FROM recordings WHERE session = $1 AND seal IS NOT NULL`
	return one(ctx, s, func(r scanner) (b []byte, err error) { return b, r.Scan(&b) },
		fault.New(fault.Missing, fault.NotFound, "the recording of session %s is not sealed", name), query, name)
}

// Hold puts a session's recording under legal hold, for by and for reason. A
// second hold takes the first one's place.
func (s *Store) Hold(ctx context.Context, by Actor, name id.Session, reason string) error {
	return s.alone(ctx, func(t *tx) error {
		r, err := t.recording(name)
		if err != nil {
			return err
		}
		const deleting = `SELECT 1 FROM recordings WHERE session = $1 AND deleting > 0`
		gone, err := t.row(func(s scanner) error { var n int; return s.Scan(&n) }, deleting, name)
		if err != nil {
			return err
		}
		if gone {
			return fault.New(fault.Conflict, fault.RecordingDeleted, "the recording of session %s is deleted, or just being deleted", name)
		}
		const insert = `INSERT INTO holds (session, author, at, reason) VALUES ($1, $2, $3, $4)
			ON CONFLICT (session) DO UPDATE SET author = EXCLUDED.author, at = EXCLUDED.at, reason = EXCLUDED.reason`
		if _, err := t.exec(insert, name, by.Name, t.now, reason); err != nil {
			return err
		}
		e := r.event(audit.RecordingHeld)
		e.Actor, e.Client, e.Text = by.Name, by.Client, reason
		return t.log(e)
	})
}

// Release ends a legal hold; not_found where there is none.
func (s *Store) Release(ctx context.Context, by Actor, name id.Session) error {
	return s.alone(ctx, func(t *tx) error {
		r, err := t.recording(name)
		if err != nil {
			return err
		}
		const remove = `DELETE FROM holds WHERE session = $1`
		n, err := t.exec(remove, name)
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.New(fault.Missing, fault.NotFound, "the recording of session %s is under no hold", name)
		}
		e := r.event(audit.RecordingReleased)
		e.Actor, e.Client = by.Name, by.Client
		return t.log(e)
	})
}

var errNoRow = errors.New("retention's row is gone")

// listedSessions reads sessions with what is known of their recordings. Its
// columns are scanListed's.
const listedSessions = `SELECT sessions.id, sessions.identity, sessions.login, sessions.node, sessions.node_id,
	sessions.proxy, sessions.client, sessions.way, sessions.role, sessions.revision, sessions.login_serial,
	sessions.serial, sessions.started, sessions.ended, sessions.ended_as, sessions.bytes,
	recordings.digest, COALESCE(recordings.sealed, 0), COALESCE(recordings.cut, FALSE), COALESCE(recordings.frames, 0),
	COALESCE(recordings.bytes, 0), COALESCE(recordings.commands, 0), COALESCE(recordings.files, 0),
	COALESCE(recordings.recipients, '[]'), COALESCE(recordings.retain, 0), COALESCE(recordings.lost, 0),
	COALESCE(recordings.deleted, 0), COALESCE(holds.reason, '')
	FROM sessions LEFT JOIN recordings ON recordings.session = sessions.id
	LEFT JOIN holds ON holds.session = sessions.id`

func scanListed(r scanner) (w wire.Session, err error) {
	c := &w.Recording
	var cut bool
	var size, lost int64
	err = r.Scan(&w.ID, &w.Identity, &w.Login, &w.Node, &w.NodeID, &w.Proxy, &w.Client, &w.Way, &w.Role,
		&w.Revision, &w.LoginSerial, &w.Serial, &w.Started, &w.Ended, &w.End, &w.Bytes,
		&c.Digest, &c.Sealed, &cut, &c.Frames, &size, &c.Commands, &c.Files,
		fromJSON[[]string]{&c.Recipients}, &c.Retain, &lost, &c.Deleted, &c.Held)
	if size > 0 {
		w.Bytes = size // the seal knows better than who told the end
	}
	if len(c.Recipients) == 0 {
		c.Recipients = nil
	}
	switch {
	case c.Deleted > 0:
		c.State = "deleted"
	case c.Digest != nil && cut:
		c.State = "cut"
	case c.Digest != nil:
		c.State = "sealed"
	case lost > 0:
		c.State = "lost"
	case w.Ended == 0:
		c.State = "live"
	default:
		c.State = "unsealed"
	}
	return w, err
}
