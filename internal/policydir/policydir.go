// Package policydir reads a policy from a folder and watches the folder for
// changes.
//
// # Promises
//
// The whole folder is one policy: Apply is given all of its files or is not
// called. A change is taken when the folder has been quiet for a while and two
// readings in a row agree, so that a file that is being written is not read in
// half; whoever writes slowly renames into place. Folders and files that are
// replaced as a whole are followed: editors, rsync, git, and the symbolic links
// that Kubernetes swaps.
//
// A folder that is broken, empty or gone changes nothing: the last good policy
// stays in force, the log says so at level error, and Status until it is mended.
// What fails for other reasons (the database is away) is tried again.
//
// Several CAs may watch the same files: Apply is to take files that are already
// in force as applied.
package policydir

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

const (
	settle = 200 * time.Millisecond // of quiet before a change is taken
	retry  = 5 * time.Second        // after an error that may pass
	// poll is for what no notification tells: network file systems, links to
	// files elsewhere, a watch that was lost.
	poll = 30 * time.Second
)

// Apply makes files the policy in force, or returns why not. A *fault.Error of
// kind Invalid means that these files never will be; they are not offered again
// until they change.
type Apply func(ctx context.Context, files map[string]string) error

// Watcher watches one folder. Make it with New; Run does the work.
type Watcher struct {
	dir   string
	apply Apply
	log   *slog.Logger

	// Only Run's goroutine has these.
	watched os.FileInfo // the folder that is watched; nil is none
	read    string      // digest of the last reading; "" is none
	good    string      // digest of the files that were applied
	bad     string      // digest of the files that were refused since
	why     string      // they were

	mu     sync.Mutex
	status Status
}

// Status is how the folder stands. The zero Status is before the first reading.
type Status struct {
	Files   int       // of the policy that was last applied
	Applied time.Time // zero: never by this process
	Problem string    // why the folder is not what is in force; "" if it is
	Since   time.Time // of Problem
}

// New returns a watcher for dir.
func New(dir string, apply Apply, log *slog.Logger) *Watcher {
	return &Watcher{dir: filepath.Clean(dir), apply: apply, log: log.With("dir", dir)}
}

// Status may be called by anybody.
func (w *Watcher) Status() Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.status
}

// Run watches until ctx ends, and then returns nil. Any other end is an error
// of the operating system's notifications.
func (w *Watcher) Run(ctx context.Context) error {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch %q: %w", w.dir, err)
	}
	defer notify.Close()
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case event, ok := <-notify.Events:
			if !ok {
				return fmt.Errorf("watch %q: notifications ended", w.dir)
			}
			if w.concerns(event.Name) {
				next.Reset(settle)
			}
		case err, ok := <-notify.Errors:
			if !ok {
				return fmt.Errorf("watch %q: notifications ended", w.dir)
			}
			w.log.Warn("notifications were lost", "error", err)
			next.Reset(settle)
		case <-next.C:
			next.Reset(w.look(ctx, notify))
		}
	}
}

// concerns leaves out other files, so that a program that writes next to the
// policy cannot put off a change for ever. Names of Kubernetes' links begin
// with two dots.
func (w *Watcher) concerns(path string) bool {
	if filepath.Clean(path) == w.dir {
		return true
	}
	name := filepath.Base(path)
	return filepath.Dir(filepath.Clean(path)) == w.dir && (isPolicy(name) || strings.HasPrefix(name, ".."))
}

// look reads the folder, applies what has settled, and says when to look again.
func (w *Watcher) look(ctx context.Context, notify *fsnotify.Watcher) time.Duration {
	w.follow(notify)
	files, err := Read(w.dir)
	if err != nil {
		w.read = ""
		w.troubled(fault.Of(err).Text)
		return retry
	}
	now := digest(files)
	before := w.read
	w.read = now
	switch {
	case now == w.good:
		w.mended()
		return poll
	case now == w.bad:
		w.troubled(w.why)
		return poll
	case now != before:
		return settle
	}
	err = w.apply(ctx, files)
	switch {
	case err == nil:
		w.good, w.bad = now, ""
		w.applied(len(files))
	case ctx.Err() != nil:
		// Nothing is known about the folder.
	case fault.Of(err).Kind == fault.Invalid:
		w.bad, w.why = now, fault.Of(err).Text
		w.troubled(w.why)
	default:
		w.log.Error("policy could not be applied; trying again", "error", err)
		w.troubled(fault.Of(err).Text)
		return retry
	}
	return poll
}

// follow watches the folder that the path names now, and the folder above it,
// where a replacement shows.
func (w *Watcher) follow(notify *fsnotify.Watcher) {
	info, err := os.Stat(w.dir)
	if err != nil {
		info = nil
	}
	if w.watched != nil && info != nil && os.SameFile(w.watched, info) && slices.Contains(notify.WatchList(), w.dir) {
		return
	}
	if w.watched != nil {
		_ = notify.Remove(w.dir) // gone by itself if the folder was removed
	}
	w.watched = nil
	if err := notify.Add(filepath.Dir(w.dir)); err != nil {
		w.log.Warn("the folder above cannot be watched; looking from time to time", "error", err)
	}
	if info == nil {
		return
	}
	if err := notify.Add(w.dir); err != nil {
		w.log.Warn("the folder cannot be watched; looking from time to time", "error", err)
		return
	}
	w.watched = info
}

func (w *Watcher) applied(files int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.status = Status{Files: files, Applied: time.Now()}
	w.log.Info("policy applied", "files", files)
}

// troubled says a new problem aloud, and an old one not again.
func (w *Watcher) troubled(problem string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.status.Problem == problem {
		return
	}
	w.status.Problem, w.status.Since = problem, time.Now()
	w.log.Error("the policy folder is broken; the last good policy stays in force", "problem", problem)
}

// mended is for a folder that is again what was applied.
func (w *Watcher) mended() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.status.Problem == "" {
		return
	}
	w.status.Problem, w.status.Since = "", time.Time{}
	w.log.Info("the policy folder is again what is in force")
}

// digest is of names and contents, each with its length before it.
func digest(files map[string]string) string {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(h, "%d %s %d %s", len(name), name, len(files[name]), files[name])
	}
	return hex.EncodeToString(h.Sum(nil))
}
