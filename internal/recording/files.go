package recording

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sallyport-ssh/sallyport/internal/id"
)

// The suffixes of a recording's files; before them stands the session.
const (
	SuffixTail = ".tail"
	SuffixFull = ".full"
	SuffixRec  = ".rec"
)

// OpenDir opens a session's recording as it lies in a proxy's directory now,
// live, finished or cut. Frames that are appended later are not read (Follow reads
// them). An unknown session is fs.ErrNotExist. A recording that o does not open
// is opened locked. The caller closes it.
func OpenDir(dir string, session id.Session, o Opener) (*Recording, error) {
	// The name becomes part of a path.
	if _, err := id.ParseSession(string(session)); err != nil {
		return nil, err
	}
	r, err := openFiles(filepath.Join(dir, string(session)), o)
	if err != nil {
		return nil, err
	}
	if r.header.Session != session {
		r.Close()
		return nil, refuseHeader(Foreign, "this is the recording of session "+string(r.header.Session))
	}
	return r, nil
}

// openFiles opens base's files in the order against which frames move.
func openFiles(base string, o Opener) (*Recording, error) {
	var files []io.Closer
	open := func(suffix string) (io.ReaderAt, error) {
		f, err := os.Open(base + suffix)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		files = append(files, f)
		return f, nil
	}
	tail, err := open(SuffixTail)
	full, errFull := open(SuffixFull)
	rec, errRec := open(SuffixRec)
	err = errors.Join(err, errFull, errRec)
	if err == nil && len(files) == 0 {
		err = &fs.PathError{Op: "open", Path: base + SuffixRec, Err: fs.ErrNotExist}
	}
	var r *Recording
	if err == nil {
		r, err = Join(o, rec, full, tail)
	}
	if err != nil {
		for _, f := range files {
			f.Close()
		}
		return nil, err
	}
	r.files = files
	return r, nil
}

// OpenFile opens a recording by the path of one of its files: of a session's in
// a proxy's directory it takes the others along; any other file is a finished
// part that somebody saved.
func OpenFile(path string, o Opener) (*Recording, error) {
	ext := filepath.Ext(path)
	switch session, err := id.ParseSession(strings.TrimSuffix(filepath.Base(path), ext)); {
	case err != nil:
	case ext == SuffixTail, ext == SuffixFull, ext == SuffixRec:
		return OpenDir(filepath.Dir(path), session, o)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	r, err := Join(o, f)
	if err != nil {
		f.Close()
		return nil, err
	}
	r.files = []io.Closer{f}
	return r, nil
}
