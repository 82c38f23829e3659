// Package store keeps the CA's state: one set of SQL for SQLite and PostgreSQL.
//
// # Promises
//
// Each public method is one transaction, and has happened durably when it
// returns nil; when it returns an error nothing happened, or (a lost connection
// during commit) the caller may ask again. Methods that lose a race against a
// constraint return a *fault.Error of kind Conflict with its reason; a database
// that is away is kind Unavailable, reason store_away. Serials rise by one
// without gaps across all processes, start at 1 and are never used twice, also
// not after a crash. The serial and the intent are stored before a certificate is signed.
//
// Whatever changes something that counts writes its event into the audit log in
// the same transaction, and so in the same commit: neither is there without the
// other. The log has no gaps, and its tree is the one that counters carries along
// (events.go; internal/audit/AUDIT.md).
//
// Writes of concurrent callers are gathered into one commit (batch.go): one
// refusal undoes nobody else's work, and leaves neither a serial nor an event.
//
// # One writer at a time
//
// A transaction that writes begins by locking the one row of counters (on SQLite
// the whole file), and keeps it until it has committed. So writers of all
// processes take turns: what a closure reads is true until it commits, and no
// isolation level, retry or advisory lock has to be thought of. Readers never
// wait. This is also why a second connection that writes would gain nothing.
//
// # SQL
//
// SQL stands here and nowhere else, one literal per helper, above its Scan, in
// what both databases understand. To add a method that writes, give Store.alone a
// closure; it may run more than once, so it sets its results and does not add to
// them. The schema is in migrations/.
//
// Zero value: a zero Store refuses every call with store_away.
package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// Config says where the state is.
type Config struct {
	// URL is sqlite:///absolute/path, or postgres://... as libpq has it. A
	// password belongs into the file that its passfile parameter names.
	URL string

	// Log gets what goes wrong with the database; nil is slog.Default().
	Log *slog.Logger

	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Store is open state. Its methods may be called by any number of goroutines.
type Store struct {
	writer *writer
	read   *reader
	news   news
	clock  func() time.Time
}

// Open connects, and migrates the schema where it is older than this program.
// What is wrong with the configuration is config_invalid, a database that does
// not answer store_away; the cause is in the log.
func Open(ctx context.Context, c Config) (*Store, error) {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	s, err := connect(ctx, c)
	if err == nil {
		err = s.Ping(ctx)
	}
	if err != nil {
		c.Log.Error("open store", "err", err)
		if s != nil {
			s.Close()
		}
		return nil, err
	}
	return s, nil
}

func connect(ctx context.Context, c Config) (*Store, error) {
	d, err := dialectOf(c.URL)
	if err != nil {
		return nil, err
	}
	if err := d.migrate(ctx, d, c.URL); err != nil {
		return nil, unopened(err)
	}
	read, err := d.reader(c.URL)
	if err != nil {
		return nil, unopened(err)
	}
	s := &Store{read: newReader(d, read), clock: c.Now}
	s.writer = startWriter(d, c.URL, c.Log, &s.news, func() time.Time { return s.clock() })
	return s, nil
}

// unopened is a fault as it is, and any other error as the database's.
func unopened(err error) error {
	var f *fault.Error
	if errors.As(err, &f) {
		return f
	}
	return away(fmt.Errorf("open store: %w", err))
}

// Close finishes what was begun and refuses what comes after.
func (s *Store) Close() error {
	if s.writer == nil {
		return nil
	}
	s.writer.close()
	return s.read.pool.Close()
}

// Ping reports whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	_, err := s.StateVersion(ctx)
	return err
}

// write hands j to the writer and waits for its commit.
func (s *Store) write(ctx context.Context, j *job) error {
	if s.writer == nil {
		return away(errors.New("store was not opened"))
	}
	return s.writer.do(ctx, j)
}

// alone runs work in a savepoint of its own. It may run more than once.
func (s *Store) alone(ctx context.Context, work func(*tx) error) error {
	return s.write(ctx, &job{alone: work})
}

// now is in Unix seconds.
func (s *Store) now() int64 {
	if s.clock == nil {
		return 0
	}
	return s.clock().Unix()
}
