package upload

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/storage"
)

// carry brings a recording as far as it can be brought now. After nil everything
// that stood is in the storage, and of a sealed recording nothing is left here.
func (u *Uploader) carry(ctx context.Context, j *job) error {
	// 1. How far it had come.
	at, size, _ := u.look(j)
	if at == unknown {
		var err error
		if at, err = u.Store.Size(ctx, j.session); err != nil {
			return err
		}
		if at > size {
			return fault.New(fault.Internal, fault.RecordingDamaged,
				"the storage has %d bytes of the recording of session %s, of which %d stand here", at, j.session, size)
		}
		u.reached(j, at)
	}
	f, err := u.open(j.session)
	if err != nil {
		return err
	}
	defer f.Close()
	// 2. Piece by piece. A whole piece more may have come meanwhile.
	for {
		at, size, sealed := u.look(j)
		if at < size {
			if err := u.piece(ctx, j, f, at, min(size-at, storage.MaxPiece)); err != nil {
				return err
			}
			continue
		}
		if !sealed {
			return nil
		}
		return u.leave(ctx, j, f)
	}
}

func (u *Uploader) piece(ctx context.Context, j *job, f *os.File, at, n int64) error {
	// It is not used again: a request that has failed may still read it.
	b := make([]byte, n)
	if _, err := f.ReadAt(b, at); err != nil {
		return fault.New(fault.Internal, fault.RecorderFailed, "the recording of session %s cannot be read here", j.session).Because(err)
	}
	if err := u.Store.Put(ctx, j.session, at, b); err != nil {
		return err
	}
	u.reached(j, at+n)
	return nil
}

// leave removes a sealed recording that is wholly in the storage, when its time
// here is over and the storage has shown every byte of it.
func (u *Uploader) leave(ctx context.Context, j *job, f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if until := info.ModTime().Add(u.Keep); u.Keep > 0 && time.Now().Before(until) {
		return errKept{until}
	}
	if err := u.verify(ctx, j, f); err != nil {
		return err
	}
	return u.Remove(j.session)
}

// verify reads the whole recording back from the storage.
func (u *Uploader) verify(ctx context.Context, j *job, f *os.File) error {
	r, err := u.Store.Open(ctx, j.session)
	if err != nil {
		return err
	}
	defer r.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if r.Size() != info.Size() {
		return fault.New(fault.Internal, fault.RecordingDamaged,
			"the storage has %d bytes of the recording of session %s, which has %d", r.Size(), j.session, info.Size())
	}
	const step = 512 << 10
	there, here := make([]byte, step), make([]byte, step)
	for at := int64(0); at < info.Size(); at += step {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := r.ReadAt(there, at)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		m, err := f.ReadAt(here, at)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if n != m || !bytes.Equal(there[:n], here[:m]) {
			return fault.New(fault.Internal, fault.RecordingDamaged,
				"the storage has other bytes of the recording of session %s than stand here, from %d on", j.session, at)
		}
	}
	return nil
}
