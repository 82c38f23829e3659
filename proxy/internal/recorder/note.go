package recorder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sallyport-ssh/sallyport/internal/id"
)

// A note stands beside a recording for as long as somebody has to be told of it.
// What it says is the caller's; it outlives the process.
const (
	suffixNote    = ".note"
	suffixNewNote = ".note-" // in the making
)

// Note writes session's note, in the place of an earlier one, or not at all.
func (d *Dir) Note(session id.Session, text []byte) error {
	if _, err := id.ParseSession(string(session)); err != nil {
		return err // it becomes part of a path
	}
	path := filepath.Join(d.config.Path, string(session))
	write := func() error {
		if err := os.WriteFile(path+suffixNewNote, text, 0o600); err != nil {
			return err
		}
		return os.Rename(path+suffixNewNote, path+suffixNote)
	}
	err := write()
	if isFull(err) {
		d.room.give()
		err = write()
	}
	if err != nil {
		return fmt.Errorf("write note of session %s: %w", session, err)
	}
	return nil
}

// Forget removes session's note. One that is not there is removed already.
func (d *Dir) Forget(session id.Session) error {
	err := os.Remove(filepath.Join(d.config.Path, string(session)+suffixNote))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove note of session %s: %w", session, err)
	}
	return nil
}

// Notes reads all notes. After a power cut one may be empty.
func (d *Dir) Notes() (map[id.Session][]byte, error) {
	entries, err := os.ReadDir(d.config.Path)
	if err != nil {
		return nil, fmt.Errorf("read recordings' directory: %w", err)
	}
	notes := map[id.Session][]byte{}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), suffixNote)
		session, err := id.ParseSession(name)
		if !ok || err != nil {
			continue
		}
		if notes[session], err = os.ReadFile(filepath.Join(d.config.Path, e.Name())); err != nil {
			return nil, fmt.Errorf("read note of session %s: %w", session, err)
		}
	}
	return notes, nil
}
