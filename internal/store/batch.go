package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// Group commit. A commit costs a sync of the disk, whoever's work is in it, so
// the writers that arrive while one transaction commits wait for it together and
// share the next. The two kinds of work of an issuance go further: all of a kind
// in one transaction share their statements too.
//
// A transaction is first tried without savepoints, as nearly all of them need
// none. When anything of the shared statements is refused, it is undone and run
// again carefully: the refused set is halved, each half in a savepoint, until
// the one that is to blame stands alone. So all work must give the same result
// when it is run twice.

const (
	maxJobs  = 256              // in one transaction
	maxTries = 5                // of a transaction that the database asks to repeat
	maxTime  = 10 * time.Second // of one try
)

// job is what one caller waits for. Exactly one of issue, complete and alone is
// set.
type job struct {
	issue    *issuance
	complete *completion
	alone    func(*tx) error

	err   error         // the answer, once done is closed
	done  chan struct{} // closed after the commit, or when there is none
	taken bool          // by the writer; guarded by writer.mu
}

// writer runs the jobs of this process, one transaction at a time.
type writer struct {
	db    *dialect
	url   string
	log   *slog.Logger
	clock func() time.Time

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

func startWriter(d *dialect, url string, log *slog.Logger, clock func() time.Time) *writer {
	w := &writer{
		db: d, url: url, log: log, clock: clock, patience: maxTime,
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
	<-j.done // within maxTime
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

// commit runs jobs in one transaction, as often as it takes, and leaves each its
// answer.
func (w *writer) commit(jobs []*job) {
	careful := false
	for try := 1; ; try++ {
		err := w.attempt(jobs, careful)
		if err == nil {
			w.note(nil)
			return
		}
		var lost *awayError
		switch {
		case errors.Is(err, errCareful):
			careful = true
			continue
		case errors.As(err, &lost) && lost.again && try < maxTries:
			continue
		}
		w.note(err)
		for _, j := range jobs {
			j.err = away(err)
		}
		return
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

// errCareful asks to run the transaction again with savepoints.
var errCareful = errors.New("some of it was refused")

// awayError ends a try: the database took it away from us.
type awayError struct {
	doing string
	again bool // nothing can have happened, and another try may work
	err   error
}

func (e *awayError) Error() string { return e.doing + ": " + e.err.Error() }
func (e *awayError) Unwrap() error { return e.err }

// attempt is one try of one transaction.
func (w *writer) attempt(jobs []*job, careful bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), w.patience)
	defer cancel()

	// 1. A connection. One that has died since its last use shows at once, and
	// the next try gets a fresh one.
	fresh := w.session == nil
	if fresh {
		var err error
		if w.session, err = w.db.connect(ctx, w.url); err != nil {
			w.session = nil
			return &awayError{doing: "connect", err: err}
		}
	}

	// 2. The turn to write, and the work.
	t := &tx{ctx: ctx, db: w.db, session: w.session, now: w.clock().Unix()}
	err := t.begin(expected(jobs, careful))
	if err == nil {
		err = t.work(jobs, careful)
	}
	if err == nil {
		err = w.sweep.sweep(t)
	}

	// 3. The commit. Without its answer nobody knows whether it happened.
	unknown := false
	if err == nil {
		unknown, err = t.commit()
	}
	switch {
	case err == nil:
		return nil
	case unknown:
		w.drop()
		return &awayError{doing: "commit", again: w.db.again(err), err: err}
	case t.lost != nil:
		w.drop()
		again := !fresh && ctx.Err() == nil || w.db.again(t.lost)
		return &awayError{doing: "run transaction", again: again, err: t.lost}
	}
	if undo := t.rollback(); undo != nil {
		w.drop()
	}
	if errors.Is(err, errCareful) {
		return err
	}
	return &awayError{doing: "run transaction", err: err}
}

// drop closes the connection, and with it whatever transaction it was in.
func (w *writer) drop() {
	if w.session != nil {
		w.session.close()
		w.session = nil
	}
}

// expected is how many serials jobs will take if nothing is refused. When
// something is, nobody can say.
func expected(jobs []*job, careful bool) (n int) {
	if careful {
		return 0
	}
	for _, j := range jobs {
		if j.issue != nil {
			n += len(j.issue.intents)
		}
	}
	return n
}

// work runs jobs: the shared kinds first, then the others one by one.
func (t *tx) work(jobs []*job, careful bool) error {
	var issues []*issuance
	var completions []*completion
	for _, j := range jobs {
		j.err = nil
		if j.issue != nil {
			j.issue.job = j
			issues = append(issues, j.issue)
		}
		if j.complete != nil {
			j.complete.job = j
			completions = append(completions, j.complete)
		}
	}
	if careful {
		if err := blame(t, issues, (*tx).issue, (*issuance).refuse); err != nil {
			return err
		}
		if err := blame(t, completions, (*tx).complete, (*completion).refuse); err != nil {
			return err
		}
	} else if err := t.together(issues, completions); err != nil {
		return err
	}
	for _, j := range jobs {
		if j.alone == nil {
			continue
		}
		j.err = t.savepoint(func() error { return guarded(t, j.alone) })
		if t.lost != nil {
			return t.lost
		}
	}
	return nil
}

// together runs the whole sets, or asks for more care.
func (t *tx) together(issues []*issuance, completions []*completion) error {
	err := t.issue(issues)
	if err == nil {
		err = t.complete(completions)
	}
	if err == nil {
		err = t.send()
	}
	if err != nil && t.lost == nil {
		return errCareful
	}
	return err
}

// blame applies what is asked for to a set, halving it where it is refused until
// those to refuse stand alone. Only a lost database is an error.
func blame[W any](t *tx, set []W, apply func(*tx, []W) error, refuse func(W, error)) error {
	if len(set) == 0 {
		return nil
	}
	err := t.savepoint(func() error { return apply(t, set) })
	switch {
	case t.lost != nil:
		return t.lost
	case err == nil:
		return nil
	case len(set) == 1:
		refuse(set[0], err)
		return nil
	}
	half := len(set) / 2
	if err := blame(t, set[:half], apply, refuse); err != nil {
		return err
	}
	return blame(t, set[half:], apply, refuse)
}

// guarded runs a caller's closure in the writer's goroutine: its panic must not
// take along everybody else's work.
func guarded(t *tx, work func(*tx) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return work(t)
}

// answer makes every error a fault.
func answer(err error) error {
	if err == nil {
		return nil
	}
	return fault.Of(err)
}

// away is what callers see when the database cannot be reached.
func away(err error) error {
	return fault.New(fault.Unavailable, fault.StoreAway, "the database does not answer").
		Then("try again in a moment").Because(err)
}
