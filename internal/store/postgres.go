package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/migrations"
)

var postgresDialect = &dialect{
	schema:  migrations.PostgreSQL,
	goose:   goose.DialectPostgres,
	bytes:   "BYTEA",
	begin:   `BEGIN`,
	lock:    ` FOR UPDATE`,
	migrate: postgresMigrate,
	connect: postgresConnect,
	reader:  postgresReader,
	lost:    postgresLost,
	again:   postgresAgain,
}

func postgresConfig(dsn string) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, fault.New(fault.Invalid, fault.ConfigInvalid, "the database's URL cannot be read") // the cause quotes it
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 5 * time.Second
	}
	set := func(name, value string) {
		if _, ok := config.RuntimeParams[name]; !ok {
			config.RuntimeParams[name] = value
		}
	}
	set("application_name", "sallyport")
	// The transaction that writes keeps every other CA waiting. A CA that hangs
	// in one, or whose machine is gone, must not do so for ever.
	set("idle_in_transaction_session_timeout", "10s")
	set("lock_timeout", "10s")
	return config, nil
}

// byKey are the planner's settings where the writer is. All that it does goes by
// key. Plans that are made while the tables are small would read them whole, and
// stay in use while they grow: completing a certificate was five times as dear.
var byKey = map[string]string{
	"enable_seqscan":   "off",
	"enable_hashjoin":  "off",
	"enable_mergejoin": "off",
	"plan_cache_mode":  "force_generic_plan",
	"jit":              "off",
}

// postgresReader is the pool of connections that read. They cannot write.
func postgresReader(dsn string) (*sql.DB, error) {
	config, err := postgresConfig(dsn)
	if err != nil {
		return nil, err
	}
	config.RuntimeParams["default_transaction_read_only"] = "on"
	return stdlib.OpenDB(*config), nil
}

// postgresSession is pgx itself and not database/sql: it sends what needs no
// answer in between together. A transaction takes three round trips instead of
// seven, which is a third of what it costs.
type postgresSession struct {
	conn *pgx.Conn
	text map[shape]string
}

func postgresConnect(ctx context.Context, dsn string) (session, error) {
	config, err := postgresConfig(dsn)
	if err != nil {
		return nil, err
	}
	for name, value := range byKey {
		config.RuntimeParams[name] = value
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	s := &postgresSession{conn: conn, text: map[shape]string{}}
	// In a transaction that has failed, nothing new can be prepared.
	for _, text := range []string{undoSavepoint, releaseSavepoint, rollback} {
		if _, err := conn.Prepare(ctx, text, text); err != nil {
			s.close()
			return nil, err
		}
	}
	// Where the server's configuration acknowledges commits before they are on
	// the disk, do not: the promise is ours.
	_, err = conn.Exec(ctx, `SELECT set_config('synchronous_commit', 'on', false)
		WHERE current_setting('synchronous_commit') = 'off'`)
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *postgresSession) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	s.conn.Close(ctx)
}

func (s *postgresSession) send(ctx context.Context, list []statement) error {
	var batch pgx.Batch
	for _, st := range list {
		text, ok := s.text[st.shape]
		if !ok {
			text = st.text()
			s.text[st.shape] = text
		}
		batch.Queue(text, st.args...)
	}
	answers := s.conn.SendBatch(ctx, &batch)
	for _, st := range list {
		if err := s.read(answers, st); err != nil {
			answers.Close()
			return err
		}
	}
	return answers.Close()
}

func (s *postgresSession) read(answers pgx.BatchResults, st statement) error {
	if st.each == nil {
		tag, err := answers.Exec()
		if err == nil && st.literal == commit && tag.String() != "COMMIT" {
			err = pgx.ErrTxCommitRollback // the server's quiet answer to COMMIT after an error
		}
		if err != nil || st.count == nil {
			return err
		}
		return st.count(tag.RowsAffected())
	}
	rows, err := answers.Query()
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

// postgresMigrate takes turns with other processes by a row in a table, which
// works through every pooler and needs no extension. The lease of a process that
// was killed runs out.
func postgresMigrate(ctx context.Context, d *dialect, dsn string) error {
	config, err := postgresConfig(dsn)
	if err != nil {
		return err
	}
	db := stdlib.OpenDB(*config)
	defer db.Close()
	locker, err := lock.NewPostgresTableLocker(
		lock.WithTableName("migration_lock"),
		lock.WithTableLockTimeout(200*time.Millisecond, 5*60), // a minute
	)
	if err != nil {
		return fmt.Errorf("make migration lock: %w", err)
	}
	return migrateUp(ctx, db, d, []any{pgx.QueryExecModeSimpleProtocol}, goose.WithLocker(locker))
}

// postgresLost sorts by SQLSTATE (PostgreSQL's manual, appendix A).
func postgresLost(err error) bool {
	var e *pgconn.PgError
	if !errors.As(err, &e) || len(e.Code) != 5 {
		// pgx did not reach the server (SafeToRetry), or lost it.
		var connect *pgconn.ConnectError
		return pgconn.SafeToRetry(err) || errors.As(err, &connect) || connectionLost(err)
	}
	switch e.Code[:2] {
	case "08", "53", "57", "58": // connection, resources, operator, system
		return true
	case "40": // rolled back: see postgresAgain
		return true
	}
	switch e.Code {
	case "25006", // read-only: a standby, after a failover
		"25P03", // idle in transaction for too long
		"55P03": // lock not available within lock_timeout
		return true
	}
	return false
}

func postgresAgain(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && (e.Code == "40001" || e.Code == "40P01")
}
