package recorder

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/recording"
)

// recover finishes what an earlier process left in the directory: what has a
// tail was not finished, or not sealed. Its error is only that the directory
// cannot be read.
func (d *Dir) recover() ([]Finished, error) {
	entries, err := os.ReadDir(d.config.Path)
	if err != nil {
		return nil, fmt.Errorf("read recordings' directory: %w", err)
	}
	var cut, kept []id.Session
	seen := map[id.Session]bool{}
	for _, e := range entries {
		ext := filepath.Ext(e.Name())
		session, err := id.ParseSession(strings.TrimSuffix(e.Name(), ext))
		if err != nil {
			continue // nobody's business here
		}
		switch ext {
		case suffixNext, suffixNewNote: // never had a frame; never was a note
			if err := os.Remove(filepath.Join(d.config.Path, e.Name())); err != nil {
				return nil, fmt.Errorf("remove what was in the making: %w", err)
			}
		case recording.SuffixTail, recording.SuffixFull:
			if !seen[session] {
				seen[session] = true
				cut = append(cut, session)
			}
		case recording.SuffixRec:
			kept = append(kept, session)
		}
	}
	var list []Finished
	for _, session := range cut {
		list = append(list, d.finish(unfinished{session: session, end: recording.End{Reason: recording.EndCut}}))
	}
	if d.config.Grown != nil {
		for _, session := range kept {
			if seen[session] {
				continue // it was told
			}
			if k := d.Kept(session); k.Err == nil {
				d.config.Grown(session, k.Size, k.Seal != nil)
			}
		}
	}
	return list, nil
}
