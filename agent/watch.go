package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/sallyport-ssh/sallyport/agent/internal/sshdconf"
	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// settling is how long after the first sign of a change it is looked at: editors
// and configuration managers write in several steps. Further signs do not put
// it off, or a file that is written all the time would do so for ever.
const settling = time.Second

// watcher tells of changes below directories.
type watcher struct {
	log     *slog.Logger
	notify  *fsnotify.Watcher
	beside  string // the directory of sshd_config
	changes chan<- struct{}
}

func newWatcher(log *slog.Logger, beside string, changes chan<- struct{}) (*watcher, error) {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch files: %w", err)
	}
	return &watcher{log, notify, beside, changes}, nil
}

// look watches dirs from now on. Directories and not files: a rename into a
// file's place is seen there only.
func (w *watcher) look(dirs []string) {
	have := w.notify.WatchList()
	for _, dir := range dirs {
		if slices.Contains(have, dir) {
			continue
		}
		if err := w.notify.Add(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			w.log.Warn("changes are not seen there", "dir", dir, "err", err)
		}
	}
	for _, dir := range have {
		if !slices.Contains(dirs, dir) {
			w.notify.Remove(dir) // an old generation, perhaps gone already
		}
	}
}

func (w *watcher) run(ctx context.Context) {
	defer w.notify.Close()
	due, armed := time.NewTimer(never), false
	arm := func() {
		if !armed {
			due.Reset(settling)
			armed = true
		}
	}
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-w.notify.Events:
			if w.matters(e) {
				arm()
			}
		case err := <-w.notify.Errors:
			w.log.Warn("a change may have been missed", "err", err)
			arm()
		case <-due.C:
			armed = false
			select {
			case w.changes <- struct{}{}:
			default: // it is about to look anyway
			}
		}
	}
}

// matters keeps what else may be written beside sshd_config from costing
// anything.
func (w *watcher) matters(e fsnotify.Event) bool {
	dir, name := filepath.Split(e.Name)
	switch {
	case e.Op == fsnotify.Chmod || strings.HasSuffix(name, "sallyport-new"):
		return false
	case filepath.Clean(dir) == w.beside:
		return strings.HasPrefix(name, "sshd_config") || strings.HasPrefix(name, "ssh_host_")
	}
	return true
}

// mend limits repairs. Without it two agents, or an agent and a configuration
// manager, would overwrite each other for ever.
type mend struct{ done []time.Time }

const (
	mendWithin = time.Hour
	mendMost   = 3
)

// take says whether one more repair is due now.
func (m *mend) take(now time.Time) bool {
	m.done = slices.DeleteFunc(m.done, func(t time.Time) bool { return now.Sub(t) >= mendWithin })
	if len(m.done) >= mendMost {
		return false
	}
	m.done = append(m.done, now)
	return true
}

// check compares what is there with what was installed, and mends it if it may.
func (a *agent) check(ctx context.Context) {
	drift, err := a.node.installer.Drift(ctx)
	if !a.note(taskLook, err) {
		return
	}
	a.drift = drift
	a.strictOn, _ = a.node.strict(ctx) // a configuration that sshd refuses is drift already
	if bare, err := a.node.installer.Bare(ctx); err == nil {
		a.problems = a.look(bare)
	}
	if slices.Equal(a.seen, drift) || a.want.state.Version == 0 {
		return
	}
	if a.seen = drift; len(drift) == 0 {
		delete(a.failures, taskRepair)
		return
	}
	// An edit is the admin's until repair says otherwise. What keeps everybody
	// out is no edit.
	repair := a.node.config.Repair || a.node.installer.Broken()
	a.log.Warn("somebody changed what the agent wrote", "drift", drift, "repair", repair)
	if !repair {
		return
	}
	if !a.mend.take(time.Now()) {
		a.failures[taskRepair] = fmt.Sprintf("done %d times within %s, and left as it is now: does something else manage these files?", mendMost, mendWithin)
		return
	}
	a.install(ctx)
	a.seen = nil // the next edit may look like this one
}

// look lists what keeps people out, or lets some in otherwise, that the agent
// does not change; and it notices other host keys.
func (a *agent) look(bare sshdconf.Effective) []string {
	lines := obstacles(bare)
	keys, notes, err := hostKeys(bare)
	a.keys = keys
	lines = append(lines, notes...)
	if err != nil {
		lines = append(lines, fault.Of(err).Text)
	}
	exceptions, err := a.node.installer.Exceptions()
	if err != nil {
		return append(lines, fault.Of(err).Text)
	}
	return append(lines, exceptions...)
}
