package store

import (
	"context"
	"errors"
	"fmt"
)

// counters is the row of that name. Inside a transaction it stands in memory, so
// that what is undone is given back without a statement.
type counters struct {
	serial, state int64
	size          int64  // of the audit log
	frontier      string // audit.Frontier of that size
	at            int64  // of its last event, Unix microseconds
}

// tx is the one write transaction that is open. Its holder has the counters'
// row, so no other process writes at the same time: what it reads stays true
// until it commits.
type tx struct {
	ctx      context.Context // ends with the transaction
	db       *dialect
	session  session
	now      int64 // Unix seconds
	nowMicro int64 // the same in microseconds

	counters          // the last that were given
	stored   counters // what the row says
	once     int      // rows inserted into once, refused ones included

	// waiting is what send has not sent yet.
	waiting []statement

	// lost is set by the first error that is the database's and not the
	// statement's. The transaction is then over.
	lost error
}

// later runs a statement before the next one whose answer is needed.
func (t *tx) later(st statement) { t.waiting = append(t.waiting, st) }

// laterRows runs the rows in args, width values each, through a literal with a
// row group, in as few statements as maxRows allows. each and count are those of
// statement, but that count also gets the number of rows that were given.
func (t *tx) laterRows(literal string, width int, args []any, each func(scanner) error, count func(changed, given int64) error) {
	for len(args) > 0 {
		n := min(len(args)/width, maxRows)
		st := statement{shape: shape{literal, n}, args: args[:n*width], each: each}
		if count != nil {
			st.count = func(changed int64) error { return count(changed, int64(n)) }
		}
		t.later(st)
		args = args[n*width:]
	}
}

// send runs what is waiting.
func (t *tx) send() error {
	if len(t.waiting) == 0 {
		return nil
	}
	err := t.session.send(t.ctx, t.waiting)
	clear(t.waiting)
	t.waiting = t.waiting[:0]
	if err != nil && t.lost == nil && t.db.lost(err) {
		t.lost = err
	}
	return err
}

// exec runs query and returns the number of rows that it changed.
func (t *tx) exec(query string, args ...any) (changed int64, err error) {
	t.later(statement{
		shape: shape{literal: query}, args: args,
		count: func(n int64) error { changed = n; return nil },
	})
	err = t.send()
	return changed, err
}

// each calls scan for every row of query.
func (t *tx) each(scan func(scanner) error, query string, args ...any) error {
	t.later(statement{shape: shape{literal: query}, args: args, each: scan})
	return t.send()
}

// row reads one row with scan; found is false where there is none.
func (t *tx) row(scan func(scanner) error, query string, args ...any) (found bool, err error) {
	err = t.each(func(r scanner) error { found = true; return scan(r) }, query, args...)
	return found, err
}

const (
	setSavepoint     = `SAVEPOINT work`
	undoSavepoint    = `ROLLBACK TO SAVEPOINT work`
	releaseSavepoint = `RELEASE SAVEPOINT work`
	commit           = `COMMIT`
	rollback         = `ROLLBACK`
)

// savepoint runs work so that its error undoes its own changes and no others.
func (t *tx) savepoint(work func() error) error {
	before := t.counters // serials, and the audit log with its tree
	if _, err := t.exec(setSavepoint); err != nil {
		return t.give(err)
	}
	err := work()
	if err == nil {
		err = t.send()
	}
	if t.lost != nil {
		return t.lost
	}
	if err != nil {
		t.counters = before
		t.waiting = t.waiting[:0]
		t.later(statement{shape: shape{literal: undoSavepoint}})
	}
	t.later(statement{shape: shape{literal: releaseSavepoint}})
	if undo := t.send(); undo != nil {
		return t.give(undo)
	}
	return err
}

// give ends the transaction for an error of what should never fail: nobody knows
// what is left of the work.
func (t *tx) give(err error) error {
	if t.lost == nil {
		t.lost = fmt.Errorf("keep savepoint: %w", err)
	}
	return t.lost
}

// begin starts the transaction and takes the counters' row, and with it the turn
// to write.
func (t *tx) begin() error {
	const take = `SELECT serial, state, size, frontier, at FROM counters WHERE one = 1`
	t.later(statement{shape: shape{literal: t.db.begin}})
	found, err := t.row(func(r scanner) error {
		var frontier []byte
		err := r.Scan(&t.stored.serial, &t.stored.state, &t.stored.size, &frontier, &t.stored.at)
		t.stored.frontier = string(frontier)
		return err
	}, take+t.db.lock)
	if err == nil && !found {
		err = errors.New("the counters' row is gone")
	}
	t.counters = t.stored
	return err
}

// commit writes the counters, where they are not what begin read, and ends the
// transaction. unknown is true when the error leaves open whether it happened.
func (t *tx) commit() (unknown bool, err error) {
	if t.counters != t.stored {
		const set = `UPDATE counters SET serial = $1, state = $2, size = $3, frontier = $4, at = $5 WHERE one = 1`
		t.later(statement{shape: shape{literal: set}, args: []any{t.serial, t.state, t.size, []byte(t.frontier), t.at}})
	}
	if err := t.send(); err != nil {
		return false, err
	}
	t.later(statement{shape: shape{literal: commit}})
	return true, t.send()
}

// rollback undoes the transaction. On error the session is good for nothing.
func (t *tx) rollback() error {
	t.waiting = t.waiting[:0]
	t.later(statement{shape: shape{literal: rollback}})
	return t.send()
}

// bump tells agents and proxies that there is something new.
func (t *tx) bump() { t.state++ }
