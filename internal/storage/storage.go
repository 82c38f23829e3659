// Package storage keeps recordings where they stay: in a directory, or as
// objects of an S3-compatible store. A recording only grows, by pieces, while its
// session runs, until it is sealed; then it never changes, and one day it is
// deleted.
//
// # Contract of Store
//
// One test (contract_test.go) holds every implementation to it, with a real
// server behind.
//
// Put is durable: after nil the piece is there whole, also after a power cut;
// after an error it is there whole or not at all, but that a crash of this process
// can leave its beginning in a directory. Putting the same piece again succeeds
// and changes nothing; another piece at its place is refused. Pieces have no gaps:
// what a reader sees is always a beginning of the recording. Nothing is
// overwritten. A recording has one writer at a time, its proxy.
//
// What is retained or held is not deleted, by nobody who comes through this
// package, and where a bucket has object lock, by nobody at all.
//
// Errors are of reason recording_away where the store does not answer, refuses us
// or talks nonsense, and the call may be made again; not_found for a session that
// it does not have; recording_held; and recording_damaged where what it has is not
// what was put.
package storage

import (
	"context"
	"io"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/id"
)

// MaxPiece is how long a piece may be, in bytes.
const MaxPiece = 4 << 20

// Store keeps recordings. Its methods may be called by any number of
// goroutines. There is no zero implementation.
type Store interface {
	// Put adds a piece of session's recording, of 1 to MaxPiece bytes, that begins
	// at byte offset. After nil the caller may change piece; after an error it may
	// still be on its way out.
	Put(ctx context.Context, session id.Session, offset int64, piece []byte) error
	// Open opens what there is of a recording now. The caller closes it.
	Open(ctx context.Context, session id.Session) (Reader, error)
	// Size is how much of a recording is kept, in bytes; 0 without an error where
	// there is nothing.
	Size(ctx context.Context, session id.Session) (int64, error)
	// Retain keeps a recording from being deleted until then, as far as the store
	// can promise that itself. It never shortens what was promised before.
	Retain(ctx context.Context, session id.Session, until time.Time) error
	// Hold puts a recording under legal hold, or takes it off.
	Hold(ctx context.Context, session id.Session, held bool) error
	// Delete removes a recording. One that is not there is removed already.
	Delete(ctx context.Context, session id.Session) error
	// List calls f for every session, in no order, until it returns an error.
	List(ctx context.Context, f func(id.Session) error) error
	// Check writes, reads and removes something, and says what cannot be done.
	Check(ctx context.Context) error
	// String names the store for people, without secrets.
	String() string
}

// Reader reads a recording as it was when it was opened.
type Reader interface {
	io.ReaderAt
	io.Closer
	Size() int64
}
