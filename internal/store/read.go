package store

import (
	"context"
	"database/sql"
	"errors"
	"sync"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// reader is the pool of connections that read. Each public method that reads is
// one statement, and so one transaction.
type reader struct {
	db       *dialect
	pool     *sql.DB
	prepared sync.Map // query to *sql.Stmt, which prepares itself on each connection
}

// readers is how many connections read at once, beside the one that writes.
const readers = 8

func newReader(d *dialect, pool *sql.DB) *reader {
	pool.SetMaxOpenConns(readers)
	pool.SetMaxIdleConns(readers)
	return &reader{db: d, pool: pool}
}

func (r *reader) stmt(ctx context.Context, query string) (*sql.Stmt, error) {
	if s, ok := r.prepared.Load(query); ok {
		return s.(*sql.Stmt), nil
	}
	s, err := r.pool.PrepareContext(ctx, r.db.words(query))
	if err != nil {
		return nil, err
	}
	if first, taken := r.prepared.LoadOrStore(query, s); taken {
		s.Close()
		return first.(*sql.Stmt), nil
	}
	return s, nil
}

// each calls scan for every row of query.
func (s *Store) each(ctx context.Context, scan func(scanner) error, query string, args ...any) error {
	if s.read == nil {
		return away(errors.New("store was not opened"))
	}
	started := false
	read := func() error {
		stmt, err := s.read.stmt(ctx, query)
		if err != nil {
			return err
		}
		rows, err := stmt.QueryContext(ctx, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			started = true
			if err := scan(rows); err != nil {
				return err
			}
		}
		return rows.Err()
	}
	err := read()
	if err != nil && !started && ctx.Err() == nil && s.read.db.lost(err) {
		// The connection may have died while nobody used it, and the other idle
		// ones with it.
		s.read.hangUp()
		err = read()
	}
	switch {
	case err == nil:
		return nil
	case s.read.db.lost(err):
		return away(err)
	}
	return fault.Of(err)
}

// hangUp closes the connections that are not in use.
func (r *reader) hangUp() {
	r.pool.SetMaxIdleConns(0)
	r.pool.SetMaxIdleConns(readers)
}

// row reads one row with scan; found is false where there is none.
func (s *Store) row(ctx context.Context, scan func(scanner) error, query string, args ...any) (found bool, err error) {
	err = s.each(ctx, func(r scanner) error { found = true; return scan(r) }, query, args...)
	return found, err
}

// one reads the one row of query, or returns missing.
func one[V any](ctx context.Context, s *Store, scan func(scanner) (V, error), missing error, query string, args ...any) (V, error) {
	var v V
	found, err := s.row(ctx, func(r scanner) (err error) { v, err = scan(r); return err }, query, args...)
	if err == nil && !found {
		err = missing
	}
	if err != nil {
		var zero V
		return zero, err
	}
	return v, nil
}

// all reads every row of query.
func all[V any](ctx context.Context, s *Store, scan func(scanner) (V, error), query string, args ...any) ([]V, error) {
	var list []V
	err := s.each(ctx, func(r scanner) error {
		v, err := scan(r)
		list = append(list, v)
		return err
	}, query, args...)
	if err != nil {
		return nil, err
	}
	return list, nil
}
