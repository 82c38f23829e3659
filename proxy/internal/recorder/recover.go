package recorder

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/recording"
)

// Recovered is a session that a crash cut, and whose recording OpenDir finished
// with a KindEnd of reason EndCut.
type Recovered struct {
	Session id.Session
	Frames  uint64 // in the finished recording; 0 where there is an Err
	Size    int64  // of it, in bytes
	// Err is why the recording could not be finished. Its files are left as they
	// are; unless it is damaged, it is tried again.
	Err error
}

// recover finishes what an earlier process left in the directory. Its error is
// only that the directory cannot be read.
func (d *Dir) recover() ([]Recovered, error) {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return nil, fmt.Errorf("read recordings' directory: %w", err)
	}
	var list []Recovered
	seen := map[id.Session]bool{}
	for _, e := range entries {
		ext := filepath.Ext(e.Name())
		session, err := id.ParseSession(strings.TrimSuffix(e.Name(), ext))
		if err != nil {
			continue // nobody's business here
		}
		switch ext {
		case suffixNext: // never had a frame
			if err := os.Remove(filepath.Join(d.path, e.Name())); err != nil {
				return nil, fmt.Errorf("remove an unused tail: %w", err)
			}
		case recording.SuffixTail, recording.SuffixFull:
			if seen[session] {
				continue
			}
			seen[session] = true
			done, err := d.finish(session, &recording.End{Reason: recording.EndCut})
			if errors.Is(err, errEmpty) {
				continue // its Open had not returned: there was no session
			}
			r := Recovered{Session: session, Frames: done.frames, Size: done.size}
			if err != nil {
				r = Recovered{Session: session, Err: fmt.Errorf("finish recording of session %s: %w", session, err)}
			}
			list = append(list, r)
		}
	}
	return list, nil
}
