package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/recording"
)

// Local keeps recordings as files of a directory, ID.rec each. It is the layout
// in which a proxy writes, so a proxy's own directory is such a store, also while
// it writes there; and a store that others mount is one that the player opens.
type Local struct {
	dir  string
	now  func() time.Time
	lock [64]sync.Mutex // by session: of Put, and of what is promised
}

const suffixPromise = ".keep"

// NewLocal keeps recordings in dir, which is made, mode 0700, when something is
// put. now is the clock by which retention ends.
func NewLocal(dir string, now func() time.Time) *Local { return &Local{dir: dir, now: now} }

// Dir is where the files are.
func (l *Local) Dir() string { return l.dir }

func (l *Local) String() string { return l.dir }

func (l *Local) path(session id.Session, suffix string) string {
	return filepath.Join(l.dir, string(session)+suffix)
}

func (l *Local) locked(session id.Session) (unlock func()) {
	h := fnv.New32a()
	io.WriteString(h, string(session))
	m := &l.lock[h.Sum32()%uint32(len(l.lock))]
	m.Lock()
	return m.Unlock
}

// Put implements Store.
func (l *Local) Put(_ context.Context, session id.Session, offset int64, piece []byte) error {
	if err := checkPiece(session, offset, piece); err != nil {
		return err
	}
	defer l.locked(session)()
	made := false
	if _, err := os.Stat(l.dir); errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(l.dir, 0o700); err != nil {
			return l.away(err)
		}
	}
	path := l.path(session, recording.SuffixRec)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		if offset > 0 {
			return gap(session, offset, 0)
		}
		made = true
		f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	}
	if err != nil {
		return l.away(err)
	}
	defer f.Close()
	if err := l.add(f, session, offset, piece); err != nil {
		if made {
			os.Remove(path)
		}
		return err
	}
	if made {
		return l.sync()
	}
	return nil
}

// add appends what of piece is not there yet.
func (l *Local) add(f *os.File, session id.Session, offset int64, piece []byte) error {
	info, err := f.Stat()
	if err != nil {
		return l.away(err)
	}
	size := info.Size()
	if size < offset {
		return gap(session, offset, size)
	}
	if have := min(size-offset, int64(len(piece))); have > 0 {
		there := make([]byte, have)
		if _, err := f.ReadAt(there, offset); err != nil {
			return l.away(err)
		}
		if !bytes.Equal(there, piece[:have]) {
			return other(session, offset)
		}
		piece, offset = piece[have:], offset+have
	}
	_, err = f.WriteAt(piece, offset)
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		f.Truncate(size)
		return l.away(err)
	}
	return nil
}

// sync makes the directory's entries durable.
func (l *Local) sync() error {
	d, err := os.Open(l.dir)
	if err != nil {
		return l.away(err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return l.away(err)
	}
	return nil
}

func (l *Local) away(err error) error {
	return away("the recordings' directory %s cannot be used", l.dir).Because(err)
}

// localReader is a file as it was when it was opened.
type localReader struct {
	*io.SectionReader
	file *os.File
}

func (r localReader) Close() error { return r.file.Close() }

// Open implements Store. What a proxy appends later is not read.
func (l *Local) Open(_ context.Context, session id.Session) (Reader, error) {
	if err := checkSession(session); err != nil {
		return nil, err
	}
	f, err := os.Open(l.path(session, recording.SuffixRec))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, missing(session)
	}
	if err != nil {
		return nil, l.away(err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, l.away(err)
	}
	return localReader{io.NewSectionReader(f, 0, info.Size()), f}, nil
}

// Size implements Store.
func (l *Local) Size(_ context.Context, session id.Session) (int64, error) {
	if err := checkSession(session); err != nil {
		return 0, err
	}
	info, err := os.Stat(l.path(session, recording.SuffixRec))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, l.away(err)
	}
	return info.Size(), nil
}

// Retain implements Store: only this package minds it.
func (l *Local) Retain(_ context.Context, session id.Session, until time.Time) error {
	return l.change(session, func(p promise) promise { return p.retain(until) })
}

// Hold implements Store: only this package minds it.
func (l *Local) Hold(_ context.Context, session id.Session, held bool) error {
	return l.change(session, func(p promise) promise { p.Held = held; return p })
}

// change replaces what is promised: a new file, synced, takes the old one's name.
func (l *Local) change(session id.Session, f func(promise) promise) error {
	if err := checkSession(session); err != nil {
		return err
	}
	defer l.locked(session)()
	if _, err := os.Stat(l.path(session, recording.SuffixRec)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return missing(session)
		}
		return l.away(err)
	}
	was, err := l.promise(session)
	if err != nil {
		return err
	}
	is := f(was)
	if is == was {
		return nil
	}
	next, err := os.CreateTemp(l.dir, "."+string(session)+suffixPromise+"-*")
	if err != nil {
		return l.away(err)
	}
	_, err = next.Write(is.bytes())
	if err = errors.Join(err, next.Sync(), next.Close()); err == nil {
		err = os.Rename(next.Name(), l.path(session, suffixPromise))
	}
	if err != nil {
		os.Remove(next.Name())
		return l.away(err)
	}
	return l.sync()
}

func (l *Local) promise(session id.Session) (promise, error) {
	b, err := os.ReadFile(l.path(session, suffixPromise))
	if errors.Is(err, fs.ErrNotExist) {
		return promise{}, nil
	}
	if err != nil {
		return promise{}, l.away(err)
	}
	p, err := parsePromise(b)
	if err != nil {
		return p, l.away(err)
	}
	return p, nil
}

// Delete implements Store. A recording that is still being written is not
// deleted.
func (l *Local) Delete(_ context.Context, session id.Session) error {
	if err := checkSession(session); err != nil {
		return err
	}
	defer l.locked(session)()
	p, err := l.promise(session)
	if err != nil {
		return err
	}
	if err := p.check(session, l.now()); err != nil {
		return err
	}
	for _, suffix := range []string{recording.SuffixTail, recording.SuffixFull} {
		if _, err := os.Lstat(l.path(session, suffix)); err == nil {
			return held(session, "is still being written")
		}
	}
	for _, suffix := range []string{recording.SuffixRec, suffixPromise} {
		if err := os.Remove(l.path(session, suffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return l.away(err)
		}
	}
	if err := l.sync(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// List implements Store.
func (l *Local) List(ctx context.Context, f func(id.Session) error) error {
	d, err := os.Open(l.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return l.away(err)
	}
	defer d.Close()
	for {
		names, err := d.Readdirnames(1024)
		for _, name := range names {
			base, ok := strings.CutSuffix(name, recording.SuffixRec)
			session, bad := id.ParseSession(base)
			if !ok || bad != nil {
				continue
			}
			if err := errors.Join(ctx.Err(), f(session)); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return l.away(err)
		}
	}
}

// Check implements Store.
func (l *Local) Check(context.Context) error {
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return l.away(err)
	}
	f, err := os.CreateTemp(l.dir, ".check-*")
	if err != nil {
		return l.away(err)
	}
	defer f.Close()
	defer os.Remove(f.Name())
	const text = "sallyport"
	if _, err := f.WriteString(text); err != nil {
		return l.away(err)
	}
	if err := f.Sync(); err != nil {
		return l.away(err)
	}
	b, err := os.ReadFile(f.Name())
	if err == nil && string(b) != text {
		err = fmt.Errorf("read back %d bytes of %d", len(b), len(text))
	}
	if err == nil {
		err = os.Remove(f.Name())
	}
	if err != nil {
		return l.away(err)
	}
	return nil
}
