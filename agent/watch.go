package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/sallyport-ssh/sallyport/agent/internal/sshdconf"
	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// quiet is how long nothing may happen before a change is looked at: editors and
// configuration managers write in several steps.
const quiet = time.Second

// watcher tells of changes below directories.
type watcher struct {
	log     *slog.Logger
	notify  *fsnotify.Watcher
	changes chan<- struct{}
}

func newWatcher(log *slog.Logger, changes chan<- struct{}) (*watcher, error) {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch files: %w", err)
	}
	return &watcher{log, notify, changes}, nil
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
	due := time.NewTimer(never)
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-w.notify.Events:
			if !strings.HasSuffix(e.Name, "sallyport-new") && e.Op != fsnotify.Chmod {
				due.Reset(quiet)
			}
		case err := <-w.notify.Errors:
			w.log.Warn("a change may have been missed", "err", err)
			due.Reset(quiet)
		case <-due.C:
			select {
			case w.changes <- struct{}{}:
			default: // it is about to look anyway
			}
		}
	}
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
	was := a.drift
	a.drift = drift
	if bare, err := a.node.installer.Bare(ctx); err == nil {
		a.problems = a.look(bare)
	}
	if len(drift) == 0 || a.want.state.Version == 0 || slices.Equal(was, drift) {
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
		a.problems = append(a.problems, fmt.Sprintf("repaired %d times within %s; it is left as it is now: does something else manage these files?", mendMost, mendWithin))
		return
	}
	a.install(ctx)
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
