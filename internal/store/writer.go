package store

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"time"
)

// job is what one caller waits for. Exactly one of issue, complete, append and
// alone is set.
type job struct {
	issue    *issuance
	complete *completion
	append   *appending
	alone    func(*tx) error

	err   error         // the answer, once done is closed
	done  chan struct{} // closed after the commit, or when there is none
	taken bool          // by the writer; guarded by writer.mu
}

// writer runs the jobs of this process, one transaction at a time.
type writer struct {
	db  *dialect
	url string
	log *slog.Logger
	now func() time.Time

	news *news // is told how large the log is after each commit

	patience time.Duration // with one try; a database that hangs is away

	session session // of the goroutine; nil before the first job and after a loss
	sweep   sweeper // of the goroutine
	away    bool    // of the goroutine: the last transaction failed

	mu     sync.Mutex
	queue  []*job // in order of arrival
	closed bool
	wake   chan struct{} // holds one
	ended  chan struct{} // closed when the goroutine has returned
}

func startWriter(d *dialect, url string, log *slog.Logger, n *news, now func() time.Time) *writer {
	w := &writer{
		db: d, url: url, log: log, now: now, news: n, patience: maxTime,
		wake: make(chan struct{}, 1), ended: make(chan struct{}),
	}
	go w.loop()
	return w
}

// close lets what is queued finish, refuses what comes after, and waits.
func (w *writer) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.signal()
	<-w.ended
}

func (w *writer) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// do hands j to the writer and waits for its commit. When ctx ends first, j is
// taken back if it still can be: an error always means that nothing happened,
// but for a commit whose answer was lost.
func (w *writer) do(ctx context.Context, j *job) error {
	if err := ctx.Err(); err != nil {
		return away(err)
	}
	j.done = make(chan struct{})
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return away(errors.New("store is closed"))
	}
	w.queue = append(w.queue, j)
	w.mu.Unlock()
	w.signal()

	select {
	case <-j.done:
		return answer(j.err)
	case <-ctx.Done():
	}
	w.mu.Lock()
	taken := j.taken
	if !taken {
		for i, q := range w.queue {
			if q == j {
				w.queue = append(w.queue[:i], w.queue[i+1:]...)
				break
			}
		}
	}
	w.mu.Unlock()
	if !taken {
		return away(ctx.Err())
	}
	<-j.done // what was begun is waited for: its answer is the truth
	return answer(j.err)
}

// next takes the jobs of one transaction; more is false when there will be none.
func (w *writer) next() (jobs []*job, more bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := min(len(w.queue), maxJobs)
	jobs = append(jobs, w.queue[:n]...)
	w.queue = append(w.queue[:0], w.queue[n:]...)
	clear(w.queue[len(w.queue):cap(w.queue)])
	for _, j := range jobs {
		j.taken = true
	}
	return jobs, n > 0 || !w.closed
}

func (w *writer) loop() {
	defer close(w.ended)
	defer w.drop()
	for {
		// Those who were just answered may come back at once: let them, so that
		// they share the next commit. Without this half of them wait for another.
		runtime.Gosched()
		jobs, more := w.next()
		switch {
		case len(jobs) > 0:
			w.commit(jobs)
			for _, j := range jobs {
				close(j.done)
			}
		case !more:
			return
		default:
			<-w.wake
		}
	}
}

// note logs the first failure of the database, and its return: not each of the
// thousands of calls that it fails meanwhile.
func (w *writer) note(err error) {
	switch {
	case err != nil && !w.away:
		w.log.Error("the database is away", "err", err)
	case err == nil && w.away:
		w.log.Info("the database is back")
	}
	w.away = err != nil
}

// drop closes the connection, and with it whatever transaction it was in.
func (w *writer) drop() {
	if w.session != nil {
		w.session.close()
		w.session = nil
	}
}
