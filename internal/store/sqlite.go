package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/sallyport-ssh/sallyport/migrations"
)

var sqliteDialect = &dialect{
	schema:  migrations.SQLite,
	goose:   goose.DialectSQLite3,
	bytes:   "BLOB",
	lost:    sqliteLost,
	again:   sqliteAgain,
	migrate: sqliteMigrate,
	open:    sqliteOpen,
}

// sqlitePath is the file of sqlite:///path.
func sqlitePath(dsn string) (string, error) {
	path, ok := strings.CutPrefix(dsn, "sqlite://")
	if !ok || !filepath.IsAbs(path) || strings.ContainsRune(path, 0) {
		return "", errors.New("the database's URL is not sqlite:// and an absolute path")
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

func sqliteOpen(dsn string) (write, read *sql.DB, err error) {
	path, err := sqlitePath(dsn)
	if err != nil {
		return nil, nil, err
	}
	if err := touch(path); err != nil {
		return nil, nil, err
	}
	if write, err = sql.Open("sqlite", sqliteDSN(path)); err != nil {
		return nil, nil, err
	}
	write.SetMaxOpenConns(1)
	if read, err = sql.Open("sqlite", sqliteDSN(path, "query_only(1)")); err != nil {
		write.Close()
		return nil, nil, err
	}
	readers := max(4, runtime.NumCPU())
	read.SetMaxOpenConns(readers)
	read.SetMaxIdleConns(readers)
	return write, read, nil
}

// touch makes the file before SQLite would: who logs in from where, and the
// hashes of join tokens, are nobody else's to read. The log beside it gets the
// same mode.
func touch(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	return f.Close()
}

// sqliteMigrate holds the write lock of an empty database beside the real one
// while it migrates. SQLite's own file locks end with the process that held
// them, however it ended, and work wherever SQLite does.
func sqliteMigrate(ctx context.Context, d *dialect, dsn string) error {
	path, err := sqlitePath(dsn)
	if err != nil {
		return err
	}
	if err := touch(path); err != nil {
		return err
	}
	beside := &url.URL{Scheme: "file", OmitHost: true, Path: path + ".migrate",
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
