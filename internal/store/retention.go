package store

import (
	"context"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
)

// Jump is by how much the clock may differ from one turn of the retention worker
// to the next, in either direction, before it is doubted.
const Jump = 48 * time.Hour

// TakeRetention makes holder the one that deletes recordings, for as long as
// lease says. steady is since when, in Unix seconds, the clock has not jumped by
// more than Jump between two turns; a worker that was away for longer is taken for
// a jump. mine is false, without an error, while somebody else holds it.
func (s *Store) TakeRetention(ctx context.Context, holder string, lease time.Duration) (steady int64, mine bool, err error) {
	err = s.alone(ctx, func(t *tx) error {
		const query = `SELECT holder, until, at, steady FROM retention WHERE one = 1`
		var who string
		var until, at int64
		found, err := t.row(func(r scanner) error { return r.Scan(&who, &until, &at, &steady) }, query)
		if err == nil && !found {
			err = errNoRow
		}
		if err != nil {
			return err
		}
		gap := time.Duration(t.now-at) * time.Second
		doubted := at == 0 || gap > Jump || gap < -Jump
		// After a jump the lease says nothing.
		if mine = who == holder || until <= t.now || doubted; !mine {
			return nil
		}
		if doubted || steady == 0 {
			steady = t.now
		}
		const take = `UPDATE retention SET holder = $1, until = $2, at = $3, steady = $4 WHERE one = 1`
		_, err = t.exec(take, holder, t.now+int64(lease/time.Second), t.now, steady)
		return err
	})
	return steady, mine && err == nil, err
}

// actorCA is the CA itself, in the audit log.
const actorCA = "ca"

// Kept is a recording whose storage has something to be told.
type Kept struct {
	Session id.Session
	Bytes   int64 // of the sealed file
	Sealed  int64 // Unix seconds
	Retain  int64 // Unix seconds; 0 for ever
	Held    bool  // there is a hold
}

func scanKept(r scanner) (k Kept, err error) {
	return k, r.Scan(&k.Session, &k.Bytes, &k.Sealed, &k.Retain, &k.Held)
}

const keptColumns = `SELECT recordings.session, recordings.bytes, recordings.sealed, recordings.retain, holds.session IS NOT NULL
	FROM recordings LEFT JOIN holds ON holds.session = recordings.session `

// Unstored lists sealed recordings that nobody has seen in the storage yet, those
// first that nobody has looked for. One that has not come in a day is listed once
// an hour.
func (s *Store) Unstored(ctx context.Context, limit int) ([]Kept, error) {
	const query = keptColumns + `WHERE digest IS NOT NULL AND stored = 0 AND deleted = 0
		AND (looked <= $1 OR sealed > $2) ORDER BY looked, sealed LIMIT $3`
	now := s.now()
	return all(ctx, s, scanKept, query, now-3600, now-86400, limit)
}

// Untold lists recordings in the storage that knows another hold than there is.
func (s *Store) Untold(ctx context.Context, limit int) ([]Kept, error) {
	const query = keptColumns + `WHERE stored > 0 AND deleted = 0 AND deleting = 0
		AND (held AND holds.session IS NULL OR NOT held AND holds.session IS NOT NULL) LIMIT $1`
	return all(ctx, s, scanKept, query, limit)
}

// Stored notes that all of a recording was seen in the storage, and what that was
// told of a hold.
func (s *Store) Stored(ctx context.Context, name id.Session, held bool) error {
	return s.alone(ctx, func(t *tx) error {
		const update = `UPDATE recordings SET stored = CASE WHEN stored = 0 THEN $1 ELSE stored END, held = $2 WHERE session = $3`
		_, err := t.exec(update, t.now, held, name)
		return err
	})
}

// Missed notes that a recording was looked for in the storage, and not all of it
// was there.
func (s *Store) Missed(ctx context.Context, name id.Session) error {
	return s.alone(ctx, func(t *tx) error {
		const update = `UPDATE recordings SET looked = $1 WHERE session = $2`
		_, err := t.exec(update, t.now, name)
		return err
	})
}

// Times that a recording gets beyond its own.
const (
	// awaited is for one that its proxy has not sealed, or not brought all of: it
	// would come back after its deletion.
	awaited = 30 * 24 * time.Hour
	// again is for one that the storage would not delete.
	again = 24 * time.Hour
)

// Over lists recordings whose time is over and that may be deleted, those first
// whose deletion has begun.
func (s *Store) Over(ctx context.Context, limit int) ([]id.Session, error) {
	const query = `SELECT recordings.session FROM recordings
		JOIN sessions ON sessions.id = recordings.session LEFT JOIN holds ON holds.session = recordings.session
		WHERE deleted = 0 AND retain > 0 AND (deleting > 0 OR retain <= $1 AND holds.session IS NULL AND sessions.ended > 0
			AND (stored > 0 OR lost > 0 OR retain <= $2))
		ORDER BY CASE WHEN deleting > 0 THEN 0 ELSE 1 END, retain LIMIT $3`
	now := s.now()
	return all(ctx, s, func(r scanner) (x id.Session, err error) { return x, r.Scan(&x) }, query,
		now, now-int64(awaited/time.Second), limit)
}

// BeginDelete makes up the database's mind: from now on the recording cannot be
// held any more, and FinishDelete or CancelDelete will follow, if need be in
// another process. What is held, or whose time is not over, is recording_held.
func (s *Store) BeginDelete(ctx context.Context, name id.Session) error {
	return s.alone(ctx, func(t *tx) error {
		const update = `UPDATE recordings SET deleting = $1 WHERE session = $2 AND deleted = 0
			AND (deleting > 0 OR retain > 0 AND retain <= $1
				AND NOT EXISTS (SELECT 1 FROM holds WHERE holds.session = recordings.session)
				AND EXISTS (SELECT 1 FROM sessions WHERE sessions.id = recordings.session AND sessions.ended > 0))`
		n, err := t.exec(update, t.now, name)
		if err == nil && n == 0 {
			err = fault.New(fault.Conflict, fault.RecordingHeld, "the recording of session %s is kept", name)
		}
		return err
	})
}

// CancelDelete is for a storage that would not delete. The recording is kept for
// another day.
func (s *Store) CancelDelete(ctx context.Context, name id.Session) error {
	return s.alone(ctx, func(t *tx) error {
		const update = `UPDATE recordings SET deleting = 0, retain = $1 WHERE session = $2 AND deleted = 0 AND deleting > 0`
		_, err := t.exec(update, t.now+int64(again/time.Second), name)
		return err
	})
}

// FinishDelete notes that the storage has deleted a recording. Its digest stays,
// here and in the log. The same again changes nothing.
func (s *Store) FinishDelete(ctx context.Context, name id.Session) error {
	return s.alone(ctx, func(t *tx) error {
		r, err := t.recording(name)
		if err != nil || r.deleted > 0 {
			return err
		}
		const update = `UPDATE recordings SET deleted = $1 WHERE session = $2 AND deleting > 0`
		n, err := t.exec(update, t.now, name)
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.New(fault.Conflict, fault.RecordingHeld, "the deletion of the recording of session %s was not begun", name)
		}
		e := r.event(audit.RecordingDeleted)
		e.Actor = actorCA
		return t.log(e)
	})
}
