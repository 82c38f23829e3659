// Package upload carries recordings from a proxy's directory to their storage,
// while their sessions run.
//
// # Promises
//
// What stands in a recording's finished part goes up in pieces, in order, and is
// tried again for as long as it takes. Nothing local is removed for having failed:
// a recording leaves the directory only when it is sealed, when the storage gave
// back every byte of it as it is here, and when whoever else needs the file has
// let go of it (Config.Remove).
//
// There is no state beside the files and the storage itself: a proxy that was
// killed goes on where the storage says that it had come (storage.Store.Size).
//
// When more waits than Config.Most, new sessions are refused (Backlog); those that
// run are never touched.
//
// # Cost
//
// A session at rest is one small struct. Uploads share a few workers, each with
// one piece in memory.
package upload

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/config"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/internal/storage"
)

// Config says what goes where.
type Config struct {
	// Store is where recordings go. Required.
	Store storage.Store
	// Dir is the recorder's directory, with ID.rec for each session. Required.
	Dir string
	// Linger is for how long what is less than a whole piece waits for more; 0
	// sends everything at once.
	Linger time.Duration
	// Keep is for how long after its last change a recording stays here that is in
	// the storage; 0 is not at all.
	Keep time.Duration
	// Most is how many bytes may wait before new sessions are refused; 0 is
	// DefaultMost.
	Most int64
	// Remove takes a sealed recording's files away. While it returns an error, it is
	// asked again. Required.
	Remove func(id.Session) error
	// Log gets what goes wrong, once, and that it is over; nil is slog.Default.
	Log *slog.Logger
}

// DefaultMost is a day of a thousand busy sessions.
const DefaultMost = 16 << 30

// Limits that no operator needs to change.
const (
	workers  = 3
	retryMin = time.Second // doubles with each failure of a recording
	retryMax = time.Minute
)

// Uploader uploads the recordings of one directory. The zero Uploader refuses new
// sessions.
type Uploader struct {
	Config
	wake chan struct{} // holds a token for each worker that may find something new

	mu      sync.Mutex
	jobs    map[id.Session]*job // of what is here; nil in the zero Uploader
	waiting int64               // bytes, over all jobs
	full    bool                // it was said in the log
	failing bool                // the storage; it was said in the log
}

// job is a recording that is here. Its fields are guarded by Uploader.mu; while it
// is busy a worker has it, and nobody else changes at.
type job struct {
	session id.Session
	size    int64     // so many bytes stand
	sealed  bool      // and there will be no more
	at      int64     // so many are in the storage; unknown
	since   time.Time // since when something waits; zero: nothing does
	busy    bool
	fails   int
	next    time.Time // not tried before
}

const unknown = -1

// waits is how many bytes of j are not known to be in the storage.
func (j *job) waits() int64 { return max(j.size-max(j.at, 0), 0) }

// New makes an Uploader; Run makes it work.
func New(c Config) *Uploader {
	if c.Most == 0 {
		c.Most = DefaultMost
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return &Uploader{Config: c, wake: make(chan struct{}, workers), jobs: map[id.Session]*job{}}
}

// Grown says that the first size bytes of session's finished part stand, and
// whether they are all of it (recorder.Config.Grown). It never blocks for long,
// and calls may overtake each other.
func (u *Uploader) Grown(session id.Session, size int64, sealed bool) {
	u.mu.Lock()
	j := u.jobs[session]
	if j == nil {
		j = &job{session: session, at: unknown}
		u.jobs[session] = j
	}
	u.waiting -= j.waits()
	j.size, j.sealed = max(j.size, size), j.sealed || sealed
	u.waiting += j.waits()
	if j.since.IsZero() {
		j.since = time.Now()
	}
	u.mu.Unlock()
	u.nudge()
}

func (u *Uploader) nudge() {
	select {
	case u.wake <- struct{}{}:
	default: // every worker looks again
	}
}

// Waiting is how many bytes are not known to be in the storage.
func (u *Uploader) Waiting() int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.waiting
}

// Backlog says why there must be no new sessions, with reason recordings_full; nil
// where there may be.
func (u *Uploader) Backlog() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	full := u.jobs == nil || u.waiting > u.Most
	if full != u.full && u.Log != nil {
		u.full = full
		if full {
			u.Log.Error("recordings wait for their storage: new sessions are refused", "storage", u.Store, "bytes", u.waiting, "most", u.Most)
		} else {
			u.Log.Info("new sessions are taken again", "storage", u.Store, "bytes", u.waiting)
		}
	}
	if !full {
		return nil
	}
	return fault.New(fault.Unavailable, fault.RecordingsFull,
		"recordings of %s wait here for their storage, and no more may", config.Bytes(u.waiting>>20<<20)).
		Then("try again later, and tell whoever runs the proxy")
}

// Run uploads until ctx ends.
func (u *Uploader) Run(ctx context.Context) {
	var work sync.WaitGroup
	for range workers {
		work.Go(func() { u.work(ctx) })
	}
	work.Wait()
}

// Drain waits until every sealed recording has gone where it belongs, or ctx ends.
// Run must be running.
func (u *Uploader) Drain(ctx context.Context) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for u.Waiting() > 0 {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (u *Uploader) work(ctx context.Context) {
	for ctx.Err() == nil {
		j, wait := u.take(time.Now())
		if j != nil {
			u.nudge() // there may be another
			u.done(j, u.carry(ctx, j))
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-u.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// take gives a job to a worker: the one that waits longest of those that are due.
// Without one it says how long until there is.
func (u *Uploader) take(now time.Time) (*job, time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	var best *job
	wait := time.Hour
	for _, j := range u.jobs {
		due, when := j.due(now, u.Linger)
		switch {
		case !due:
		case when.After(now):
			wait = min(wait, when.Sub(now))
		case best == nil || j.since.Before(best.since):
			best = j
		}
	}
	if best != nil {
		best.busy = true
	}
	return best, wait
}

// due says whether there is anything to do for j, and when.
func (j *job) due(now time.Time, linger time.Duration) (bool, time.Time) {
	when := j.since
	switch {
	case j.busy || j.since.IsZero():
		return false, when
	case !j.sealed && j.waits() < storage.MaxPiece:
		when = when.Add(linger)
	}
	if j.next.After(when) {
		when = j.next
	}
	return true, when
}

// errKept says that a recording is in the storage and stays here until then.
type errKept struct{ until time.Time }

func (e errKept) Error() string { return "it is kept here until " + e.until.Format(time.RFC3339) }

// done takes a job back from a worker.
func (u *Uploader) done(j *job, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	j.busy = false
	var kept errKept
	switch {
	case err == nil && j.sealed && j.at == j.size:
		delete(u.jobs, j.session)
	case err == nil && j.at == j.size:
		j.since = time.Time{}
	case err == nil: // it has grown meanwhile
	case errors.As(err, &kept): // all is in the storage
	case errors.Is(err, context.Canceled):
		return
	default:
		u.waiting -= j.waits()
		j.at = unknown // the storage is asked again: a request whose answer was lost may have worked
		u.waiting += j.waits()
		wait := retryMin << min(j.fails, 10)
		j.fails++
		j.next = time.Now().Add(min(wait, retryMax)/2 + rand.N(min(wait, retryMax)/2))
		u.say(j, err)
		return
	}
	j.fails, j.next = 0, kept.until
	if u.failing {
		u.failing = false
		u.Log.Info("recordings reach their storage again", "storage", u.Store)
		for _, other := range u.jobs { // what waited for it need not wait longer
			if other.fails > 0 {
				other.next = time.Time{}
			}
		}
		u.nudge()
	}
}

// say logs the first failure, and those that no waiting will mend; u.mu is held.
func (u *Uploader) say(j *job, err error) {
	if fault.ReasonOf(err) == fault.RecordingAway {
		if !u.failing {
			u.failing = true
			u.Log.Warn("recordings wait for their storage", "storage", u.Store, "session", j.session, "bytes", u.waiting, "err", err)
		}
		return
	}
	u.Log.Error("recording not uploaded yet; it stays here", "storage", u.Store, "session", j.session, "try", j.fails, "err", err)
}

func (u *Uploader) path(session id.Session) string {
	return filepath.Join(u.Dir, string(session)+recording.SuffixRec)
}

// look is what of j a worker has to carry now.
func (u *Uploader) look(j *job) (at, size int64, sealed bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return j.at, j.size, j.sealed
}

// reached notes how much of j is in the storage.
func (u *Uploader) reached(j *job, at int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.waiting -= j.waits()
	j.at = at
	u.waiting += j.waits()
}

// open opens the file of a recording that is here.
func (u *Uploader) open(session id.Session) (*os.File, error) {
	f, err := os.Open(u.path(session))
	if err != nil {
		return nil, fault.New(fault.Internal, fault.RecorderFailed, "the recording of session %s cannot be read here", session).Because(err)
	}
	return f, nil
}
