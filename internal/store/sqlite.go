package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/migrations"
)

var sqliteDialect = &dialect{
	schema:  migrations.SQLite,
	goose:   goose.DialectSQLite3,
	bytes:   "BLOB",
	begin:   `BEGIN IMMEDIATE`, // locks the whole file
	migrate: sqliteMigrate,
	connect: sqliteConnect,
	reader:  sqliteReader,
	lost:    sqliteLost,
	again:   sqliteAgain,
}

// sqlitePath is the file of sqlite:///path.
func sqlitePath(dsn string) (string, error) {
	path, ok := strings.CutPrefix(dsn, "sqlite://")
	if !ok || !filepath.IsAbs(path) || strings.ContainsRune(path, 0) {
		return "", noFile("the database's URL is not sqlite:// and an absolute path")
	}
	return path, nil
}

// sqliteDSN names path for the driver.
//
// synchronous FULL with a write-ahead log syncs the log at each commit: what was
// acknowledged survives a loss of power. recursive_triggers makes INSERT OR
// REPLACE meet the triggers that refuse to delete evidence. busy_timeout is for
// other processes on the same file.
func sqliteDSN(path string, pragmas ...string) string {
	q := url.Values{
		"_txlock": {"immediate"},
		"_pragma": append([]string{
			"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)",
			"foreign_keys(1)", "recursive_triggers(1)", "trusted_schema(0)",
		}, pragmas...),
	}
	return (&url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: q.Encode()}).String()
}

// sqliteReader is the pool of connections that read. They cannot write.
func sqliteReader(dsn string) (*sql.DB, error) {
	path, err := sqlitePath(dsn)
	if err != nil {
		return nil, err
	}
	return sql.Open("sqlite", sqliteDSN(path, "query_only(1)"))
}

// sqliteSession keeps each statement prepared: parsing one costs more than
// running it.
type sqliteSession struct {
	db       *sql.DB
	conn     *sql.Conn
	prepared map[shape]*sql.Stmt
}

func sqliteConnect(ctx context.Context, dsn string) (session, error) {
	path, err := sqlitePath(dsn)
	if err != nil {
		return nil, err
	}
	if err := touch(path); err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", sqliteDSN(path))
	if err != nil {
		return nil, err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		db.Close()
		return nil, err
	}
	return &sqliteSession{db: db, conn: conn, prepared: map[shape]*sql.Stmt{}}, nil
}

func (s *sqliteSession) close() {
	// SQLite keeps a connection, its transaction and its locks for as long as a
	// statement of it stands.
	for _, stmt := range s.prepared {
		stmt.Close()
	}
	s.conn.Raw(func(any) error { return driver.ErrBadConn }) // close it, do not keep it
	s.conn.Close()
	s.db.Close()
}

// send does without ctx: there is no network that could hang, busy_timeout ends
// the wait for another process, and the driver would start a goroutine for each
// statement to watch it.
func (s *sqliteSession) send(ctx context.Context, list []statement) error {
	ctx = context.WithoutCancel(ctx)
	for _, st := range list {
		stmt := s.prepared[st.shape]
		if stmt == nil {
			var err error
			if stmt, err = s.conn.PrepareContext(ctx, sqliteDialect.words(st.text())); err != nil {
				return err
			}
			s.prepared[st.shape] = stmt
		}
		if err := s.run(ctx, stmt, st); err != nil {
			return err
		}
	}
	return nil
}

func (s *sqliteSession) run(ctx context.Context, stmt *sql.Stmt, st statement) error {
	if st.each == nil {
		res, err := stmt.ExecContext(ctx, st.args...)
		if err != nil || st.count == nil {
			return err
		}
		n, err := res.RowsAffected()
		if err != nil {
			return err
		}
		return st.count(n)
	}
	rows, err := stmt.QueryContext(ctx, st.args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := st.each(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// touch makes the file before SQLite would: who logs in from where, and the
// hashes of join tokens, are nobody else's to read. The log beside it gets the
// same mode.
func touch(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	switch {
	case err == nil:
		return f.Close()
	case errors.Is(err, fs.ErrNotExist):
		return noFile("there is no directory %s for the database", filepath.Dir(path)).Because(err)
	case errors.Is(err, fs.ErrPermission):
		return noFile("this user may not write the database %s", path).Because(err)
	}
	return noFile("the database %s cannot be opened", path).Because(err)
}

func noFile(format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, fault.ConfigInvalid, format, args...)
}

// sqliteMigrate holds the write lock of an empty database beside the real one
// while it migrates. SQLite's own file locks end with the process that held
// them, however it ended, and work wherever SQLite does.
func sqliteMigrate(ctx context.Context, d *dialect, dsn string) error {
	path, err := sqlitePath(dsn)
	if err != nil {
		return err
	}
	lockPath := path + ".migrate"
	for _, file := range []string{path, lockPath} {
		if err := touch(file); err != nil {
			return err
		}
	}
	beside := &url.URL{Scheme: "file", OmitHost: true, Path: lockPath,
		RawQuery: "_txlock=exclusive&_pragma=busy_timeout(60000)"}
	lock, err := sql.Open("sqlite", beside.String())
	if err != nil {
		return err
	}
	defer lock.Close()
	held, err := lock.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("lock for migration: %w", err)
	}
	defer held.Rollback()

	db, err := sql.Open("sqlite", sqliteDSN(path))
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	return migrateUp(ctx, db, d, nil)
}

func sqliteCode(err error) (int, bool) {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return 0, false
	}
	return e.Code() & 0xff, true // the primary code, SQLite's "Result and Error Codes"
}

func sqliteLost(err error) bool {
	code, ok := sqliteCode(err)
	if !ok {
		return connectionLost(err)
	}
	switch code {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY,
		sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN,
		sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH, sqlite3.SQLITE_NOTADB,
		sqlite3.SQLITE_INTERRUPT:
		return true
	}
	return false
}

func sqliteAgain(err error) bool {
	code, ok := sqliteCode(err)
	return ok && code == sqlite3.SQLITE_LOCKED // BUSY has waited already
}
