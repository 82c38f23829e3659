package store

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// Group commit. A commit costs a sync of the disk, whoever's work is in it, so
// the writers that arrive while one transaction commits wait for it together and
// share the next. The two kinds of work of an issuance, and events that stand
// alone, go further: all of a kind in one transaction share their statements too.
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

// errCareful asks to run the transaction again with savepoints.
var errCareful = errors.New("some of it was refused")

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
	now := w.now()
	t := &tx{ctx: ctx, db: w.db, session: w.session, now: now.Unix(), nowMicro: now.UnixMicro()}
	err := t.begin()
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
		w.news.tell(t.size)
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

// work runs jobs: the shared kinds first, then the others one by one.
func (t *tx) work(jobs []*job, careful bool) error {
	var issues []*issuance
	var completions []*completion
	var appends []*appending
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
		if j.append != nil {
			j.append.job = j
			appends = append(appends, j.append)
		}
	}
	if careful {
		if err := blame(t, issues, (*tx).issue, (*issuance).refuse); err != nil {
			return err
		}
		if err := blame(t, completions, (*tx).complete, (*completion).refuse); err != nil {
			return err
		}
		if err := blame(t, appends, (*tx).append, (*appending).refuse); err != nil {
			return err
		}
	} else if err := t.together(issues, completions, appends); err != nil {
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
func (t *tx) together(issues []*issuance, completions []*completion, appends []*appending) error {
	err := t.issue(issues)
	if err == nil {
		err = t.complete(completions)
	}
	if err == nil {
		err = t.append(appends)
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
