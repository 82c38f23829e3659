package store

import "context"

// statement is one SQL statement of the writer, with what becomes of its answer.
type statement struct {
	shape
	args []any

	// each gets every row; nil for a statement that returns none.
	each func(scanner) error

	// count gets the number of rows that were changed; nil where it does not
	// matter. It is not called when each is set.
	count func(int64) error
}

// shape is the text of a statement: a literal, and how many times its row group
// is written, 0 for a literal without one (see rows).
type shape struct {
	literal string
	rows    int
}

func (s shape) text() string {
	if s.rows == 0 {
		return s.literal
	}
	return rows(s.literal, s.rows)
}

// session is the one connection that writes, as its driver has it. Only the
// writer's goroutine touches it.
type session interface {
	// send runs statements in order, in as few round trips as it can, and
	// returns the first error: the database's, or that of a statement's each or
	// count. Statements after the one that failed may have run.
	send(ctx context.Context, list []statement) error

	// close ends the connection, whatever state it is in; what it had not
	// committed is undone.
	close()
}
