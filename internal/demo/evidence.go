package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/rig"
)

// sealed waits until the log knows the recording of a session as a whole: the
// proxy says so a moment after the session has ended.
func (s *stage) sealed(auditor person, session string) {
	rig.Eventually(s, 20*time.Second, "the recording is sealed", func() bool {
		var list []struct {
			ID        string
			Recording struct{ State string }
		}
		r := auditor.home.Run("sallyport", "sessions", "ls", "--json")
		if err := json.Unmarshal([]byte(r.Stdout), &list); err != nil {
			s.Fatalf("read the list of sessions: %v\n%s", err, r)
		}
		for _, each := range list {
			if each.ID == session {
				return each.Recording.State == "sealed"
			}
		}
		return false
	})
}

// handOver makes a home for somebody who has nothing of ours but the binary, and
// copies files of giver's there.
func (s *stage) handOver(w *rig.World, giver person, files ...string) *rig.Home {
	home := rig.NewHome(s, filepath.Join(w.Dir, "home-outside"), "")
	home.Dir = filepath.Join(home.Dir, "evidence")
	if err := os.Mkdir(home.Dir, 0o700); err != nil {
		s.Fatalf("make folder: %v", err)
	}
	home.Set("HOME", home.Dir)
	for _, name := range files {
		content, err := os.ReadFile(filepath.Join(giver.home.Dir, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(home.Dir, name), content, 0o600)
		}
		if err != nil {
			s.Fatalf("hand over %s: %v", name, err)
		}
	}
	return home
}

// flip is the command that changes one bit in the middle of the recording in a
// bundle.
func (s *stage) flip(p person, bundle string) string {
	content, err := os.ReadFile(filepath.Join(p.home.Dir, bundle))
	if err != nil {
		s.Fatalf("read bundle: %v", err)
	}
	from, to := bytes.Index(content, []byte("\x89SPR")), bytes.LastIndex(content, []byte("/session-cert.pub"))
	if from < 0 || to < from {
		s.Fatalf("the bundle has no recording")
	}
	at := (from + to) / 2
	return fmt.Sprintf(`printf '\%03o' | dd of=%s bs=1 seek=%d conv=notrunc status=none`, content[at]^1, bundle, at)
}
