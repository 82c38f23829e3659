package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/pressly/goose/v3"

	"github.com/sallyport-ssh/sallyport/migrations"
)

// migrateUp runs those migrations that db has not seen, each in a transaction
// of its own. asScript are the arguments by which the driver takes several
// statements at once.
//
// A database that is newer than this program is used as it is: the rules of
// migrations/README.md keep the previous release working on it.
func migrateUp(ctx context.Context, db *sql.DB, d *dialect, asScript []any, options ...goose.ProviderOption) error {
	all, err := migrations.All(d.schema)
	if err != nil {
		return err
	}
	steps := make([]*goose.Migration, len(all))
	for i, m := range all {
		steps[i] = goose.NewGoMigration(m.Version, &goose.GoFunc{
			RunTx: func(ctx context.Context, tx *sql.Tx) error {
				if _, err := tx.ExecContext(ctx, m.SQL, asScript...); err != nil {
					return fmt.Errorf("run %s: %w", m.Name, err)
				}
				return nil
			},
		}, nil)
	}
	provider, err := goose.NewProvider(d.goose, db, nil, append(options,
		goose.WithGoMigrations(steps...),
		goose.WithDisableGlobalRegistry(true),
		goose.WithTableName("migrations"),
	)...)
	if err != nil {
		return fmt.Errorf("prepare migrations: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate database: %w", err)
	}
	return nil
}
