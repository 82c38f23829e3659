package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
)

// conn is the connection that writes, with the statements that are prepared on
// it. Only the writer's goroutine touches it.
type conn struct {
	*sql.Conn
	db       *dialect
	prepared map[string]*sql.Stmt
	expanded map[rowsKey]*sql.Stmt
}

func newConn(c *sql.Conn, d *dialect) *conn {
	return &conn{Conn: c, db: d, prepared: map[string]*sql.Stmt{}, expanded: map[rowsKey]*sql.Stmt{}}
}

func (c *conn) stmt(ctx context.Context, query string) (*sql.Stmt, error) {
	if s := c.prepared[query]; s != nil {
		return s, nil
	}
	s, err := c.PrepareContext(ctx, c.db.words(query))
	if err == nil {
		c.prepared[query] = s
	}
	return s, err
}

func (c *conn) stmtRows(ctx context.Context, literal string, n int) (*sql.Stmt, error) {
	key := rowsKey{literal, n}
	if s := c.expanded[key]; s != nil {
		return s, nil
	}
	s, err := c.PrepareContext(ctx, c.db.words(rows(literal, n)))
	if err == nil {
		c.expanded[key] = s
	}
	return s, err
}

// discard closes the connection for good, whatever state it is in: nothing of
// an unfinished transaction survives it.
func (c *conn) discard() {
	c.Raw(func(any) error { return driver.ErrBadConn })
	c.Close()
}

// counters is the row of that name. Inside a transaction it stands in memory,
// and is written once before the commit.
type counters struct{ serial, state int64 }

// tx is the one write transaction that is open. Its holder has the counters
// row, so no other process writes at the same time: what it reads stays true
// until it commits.
type tx struct {
	ctx      context.Context // ends with the transaction
	conn     *conn
	now      int64    // Unix seconds
	counters          // the last that were given
	stored   counters // what the row says until save
	once     int      // rows inserted into once, refused ones included

	// lost is set by the first error that is the database's and not the
	// statement's. The transaction is then over.
	lost error
}

// failed sorts err: the database's errors end the transaction.
func (t *tx) failed(err error) error {
	if t.lost == nil && t.conn.db.lost(err) {
		t.lost = err
	}
	return err
}

// exec runs query and returns the number of rows that it changed.
func (t *tx) exec(query string, args ...any) (int64, error) {
	stmt, err := t.conn.stmt(t.ctx, query)
	if err != nil {
		return 0, t.failed(err)
	}
	return t.run(stmt, args)
}

// execRows runs a literal of rows with args for all rows, width for each, in as
// few statements as maxRows allows.
func (t *tx) execRows(literal string, width int, args []any) (int64, error) {
	var total int64
	for len(args) > 0 {
		n := min(len(args)/width, maxRows)
		stmt, err := t.conn.stmtRows(t.ctx, literal, n)
		if err != nil {
			return total, t.failed(err)
		}
		changed, err := t.run(stmt, args[:n*width])
		if err != nil {
			return total, err
		}
		total += changed
		args = args[n*width:]
	}
	return total, nil
}

func (t *tx) run(stmt *sql.Stmt, args []any) (int64, error) {
	res, err := stmt.ExecContext(t.ctx, args...)
	if err != nil {
		return 0, t.failed(err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return 0, t.failed(err)
	}
	return n, nil
}

// row reads one row with scan; found is false where there is none.
func (t *tx) row(scan func(scanner) error, query string, args ...any) (found bool, err error) {
	err = t.each(func(r scanner) error { found = true; return scan(r) }, query, args...)
	return found, err
}

// each calls scan for every row of query.
func (t *tx) each(scan func(scanner) error, query string, args ...any) error {
	stmt, err := t.conn.stmt(t.ctx, query)
	if err != nil {
		return t.failed(err)
	}
	return t.scan(scan, stmt, args)
}

// eachRows is execRows for statements that return rows.
func (t *tx) eachRows(scan func(scanner) error, literal string, width int, args []any) error {
	for len(args) > 0 {
		n := min(len(args)/width, maxRows)
		stmt, err := t.conn.stmtRows(t.ctx, literal, n)
		if err != nil {
			return t.failed(err)
		}
		if err := t.scan(scan, stmt, args[:n*width]); err != nil {
			return err
		}
		args = args[n*width:]
	}
	return nil
}

func (t *tx) scan(scan func(scanner) error, stmt *sql.Stmt, args []any) error {
	found, err := stmt.QueryContext(t.ctx, args...)
	if err != nil {
		return t.failed(err)
	}
	defer found.Close()
	for found.Next() {
		if err := scan(found); err != nil {
			return err
		}
	}
	if err := found.Err(); err != nil {
		return t.failed(err)
	}
	return nil
}

// savepoint runs work so that its error undoes its own changes and no others.
func (t *tx) savepoint(work func() error) error {
	if _, err := t.exec("SAVEPOINT work"); err != nil {
		return fmt.Errorf("set savepoint: %w", err)
	}
	before := t.counters
	err := work()
	if t.lost != nil {
		return t.lost
	}
	if err != nil {
		t.counters = before
		if _, undo := t.exec("ROLLBACK TO SAVEPOINT work"); undo != nil {
			return t.give(fmt.Errorf("undo work: %w", undo))
		}
	}
	if _, release := t.exec("RELEASE SAVEPOINT work"); release != nil {
		return t.give(fmt.Errorf("release savepoint: %w", release))
	}
	return err
}

// give ends the transaction for err, whoever's it is.
func (t *tx) give(err error) error {
	if t.lost == nil {
		t.lost = err
	}
	return t.lost
}

// lock takes the counters' row, and with it the turn to write, and sets aside
// the next n serials.
func (t *tx) lock(n int) error {
	const take = `UPDATE counters SET serial = serial + $1 WHERE one = 1 RETURNING serial, state`
	found, err := t.row(func(r scanner) error { return r.Scan(&t.stored.serial, &t.stored.state) }, take, n)
	if err == nil && !found {
		err = errors.New("the counters' row is gone")
	}
	t.counters = counters{serial: t.stored.serial - int64(n), state: t.stored.state}
	return err
}

// save writes the counters where they are not what lock stored.
func (t *tx) save() error {
	if t.counters == t.stored {
		return nil
	}
	const set = `UPDATE counters SET serial = $1, state = $2 WHERE one = 1`
	_, err := t.exec(set, t.serial, t.state)
	return err
}

// bump tells agents and proxies that there is something new.
func (t *tx) bump() { t.state++ }
