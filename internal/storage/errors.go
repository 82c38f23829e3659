package storage

import (
	"fmt"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
)

// away is a store that does not answer now, or not to us.
func away(format string, args ...any) *fault.Error {
	return fault.New(fault.Unavailable, fault.RecordingAway, format, args...)
}

func missing(session id.Session) *fault.Error {
	return fault.New(fault.Missing, fault.NotFound, "there is no recording of session %s in the storage", session)
}

func held(session id.Session, format string, args ...any) *fault.Error {
	return fault.New(fault.Conflict, fault.RecordingHeld, "the recording of session %s %s", session, fmt.Sprintf(format, args...))
}

// other is a piece that differs from what is there.
func other(session id.Session, offset int64) *fault.Error {
	return fault.New(fault.Conflict, fault.RecordingDamaged,
		"the storage has something else at byte %d of the recording of session %s", offset, session)
}

// gap is a piece that does not follow what is there.
func gap(session id.Session, offset, end int64) *fault.Error {
	return fault.New(fault.Conflict, fault.BadRequest,
		"the recording of session %s is kept up to byte %d, and a piece at %d does not follow", session, end, offset)
}

// checkPiece refuses what no store takes.
func checkPiece(session id.Session, offset int64, piece []byte) error {
	if err := checkSession(session); err != nil {
		return err
	}
	if offset < 0 || len(piece) == 0 || len(piece) > MaxPiece {
		return fault.New(fault.Invalid, fault.BadRequest, "a piece of %d bytes at %d cannot be kept", len(piece), offset)
	}
	return nil
}

// checkSession: the name becomes part of a path or key.
func checkSession(session id.Session) error {
	if _, err := id.ParseSession(string(session)); err != nil {
		return fault.New(fault.Invalid, fault.BadRequest, "%v", err)
	}
	return nil
}
