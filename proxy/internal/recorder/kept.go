package recorder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/recording"
)

// Path is where a session's finished part stands, whether or not it does. What is
// there up to the size that Grown told does not change.
func (d *Dir) Path(session id.Session) string {
	return filepath.Join(d.config.Path, string(session)+recording.SuffixRec)
}

// Kept reads what there is of a recording that is not live. It is Lost where there
// is nothing.
func (d *Dir) Kept(session id.Session) Finished {
	f := Finished{Session: session}
	r, err := recording.OpenDir(d.config.Path, session, nil)
	if err != nil {
		f.Lost, f.Err = errors.Is(err, fs.ErrNotExist), err
		return f
	}
	defer r.Close()
	digest := r.Header().Digest()
	f.Header, f.Started = digest[:], r.Header().Started
	f.Size, f.Frames = r.Finished(), r.Chain().Frames
	seal, err := r.Seal()
	if err != nil {
		f.Err = err
		return f
	}
	if seal != nil {
		f.Seal, f.End = seal.Encode(), seal.End.Reason
	}
	return f
}

// Remove removes a recording that is kept elsewhere. It must be sealed.
func (d *Dir) Remove(session id.Session) error {
	f := d.Kept(session)
	switch {
	case f.Lost:
		return nil
	case f.Err == nil && f.Seal == nil:
		f.Err = errors.New("it is not sealed")
	}
	if f.Err != nil {
		return fmt.Errorf("remove recording of session %s: %w", session, f.Err)
	}
	// The seal is the last thing that is written; then the tails go.
	for _, suffix := range []string{recording.SuffixTail, recording.SuffixFull} {
		if _, err := os.Lstat(filepath.Join(d.config.Path, string(session)+suffix)); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove recording of session %s: it is not finished", session)
		}
	}
	return os.Remove(d.Path(session))
}
