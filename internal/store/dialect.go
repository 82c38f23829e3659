package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/pressly/goose/v3"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/migrations"
)

// dialect is the little in which the two databases differ for this package.
type dialect struct {
	schema migrations.Dialect
	goose  goose.Dialect

	// bytes is the name of the type of bytes in a CAST, written BYTEA in the
	// literals.
	bytes string

	// begin starts a transaction that writes; lock, behind a SELECT, keeps the
	// rows until it ends.
	begin, lock string

	// migrate brings the schema up to date, one process at a time.
	migrate func(ctx context.Context, d *dialect, url string) error

	// connect opens the connection that writes, reader the pool that reads.
	connect func(ctx context.Context, url string) (session, error)
	reader  func(url string) (*sql.DB, error)

	// lost: the error is the database's (gone, full, read-only, too busy) and
	// not the statement's.
	lost func(error) bool

	// again: the database undid the transaction and says that running it once
	// more may work.
	again func(error) bool
}

// dialectOf reads the scheme of url. No text of url may reach an error: it can
// hold a password.
func dialectOf(url string) (*dialect, error) {
	scheme, _, _ := strings.Cut(url, ":")
	switch scheme {
	case "sqlite":
		return sqliteDialect, nil
	case "postgres", "postgresql":
		return postgresDialect, nil
	}
	return nil, fault.New(fault.Invalid, fault.ConfigInvalid,
		"the database's URL starts neither with sqlite:// nor with postgres://")
}

// words puts the database's own words into a literal.
func (d *dialect) words(query string) string {
	return strings.ReplaceAll(query, "BYTEA", d.bytes)
}

// connectionLost is for errors that no database sent. What is left, such as an
// argument that cannot be encoded, is the statement's own.
func connectionLost(err error) bool {
	var network net.Error
	return errors.As(err, &network) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}
