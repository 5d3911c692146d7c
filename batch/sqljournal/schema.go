package sqljournal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/batchway/batchway-go/batch"
)

// migrations make the tables: the first list makes version 1, the second
// changes version 1 into 2... A list that was once released never changes.
//
// Names compare byte by byte (COLLATE "C"): an index in the order of a locale
// breaks when the operating system changes its mind about the locale, and a
// broken unique index lets two entries through.
var migrations = [][]string{{
	// The count beside the entries is what two writers compete for, and tells
	// of entries that were lost.
	`CREATE TABLE batchway_histories (
		provider  text COLLATE "C" NOT NULL,
		account   text COLLATE "C" NOT NULL,
		reference text COLLATE "C" NOT NULL,
		entries   bigint NOT NULL,
		last      text NOT NULL,
		at        timestamptz NOT NULL,
		PRIMARY KEY (provider, account, reference)
	)`,
	`CREATE INDEX batchway_histories_open ON batchway_histories (provider, account) WHERE last <> 'done'`,
	// An entry is a text, exactly as it was written: jsonb would refuse a NUL
	// and lose the order. Kind and time are for those who look.
	`CREATE TABLE batchway_entries (
		provider  text COLLATE "C" NOT NULL,
		account   text COLLATE "C" NOT NULL,
		reference text COLLATE "C" NOT NULL,
		seq       bigint NOT NULL,
		kind      text NOT NULL,
		at        timestamptz NOT NULL,
		format    integer NOT NULL,
		entry     text NOT NULL,
		PRIMARY KEY (provider, account, reference, seq),
		FOREIGN KEY (provider, account, reference) REFERENCES batchway_histories
	)`,
	// A name belongs to one key of the whole database. A name that was released
	// stays, so that a worker needs no right to delete.
	`CREATE TABLE batchway_claims (
		name      text COLLATE "C" PRIMARY KEY,
		held      boolean NOT NULL,
		provider  text COLLATE "C" NOT NULL,
		account   text COLLATE "C" NOT NULL,
		reference text COLLATE "C" NOT NULL
	)`,
	`CREATE TABLE batchway_sequences (
		provider text COLLATE "C" NOT NULL,
		account  text COLLATE "C" NOT NULL,
		name     text COLLATE "C" NOT NULL,
		last     bigint NOT NULL,
		PRIMARY KEY (provider, account, name)
	)`,
}}

// Migrate makes the journal's tables, or brings older ones up to date, in the
// first schema of the connection's search_path. Workers that start at once may
// all call it: one works, and the others wait. It changes all or nothing, and
// refuses tables that a newer version has made.
//
// It needs the right to create tables only if there is something to do. The
// others need SELECT, INSERT and UPDATE, and no right to delete.
func Migrate(ctx context.Context, db *sql.DB) error { return migrate(ctx, db, migrations) }

func migrate(ctx context.Context, db *sql.DB, migrations [][]string) error {
	_, err := transact(ctx, db, func(tx *sql.Tx) error {
		// No account has this key. The lock ends with the transaction.
		if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1)`, lockID(batch.Key{})); err != nil {
			return err
		}
		have, err := version(ctx, tx)
		if err != nil {
			return err
		}
		if have > len(migrations) {
			return newer(have, len(migrations))
		}
		if have == 0 {
			if _, err := tx.ExecContext(ctx, `CREATE TABLE batchway_migrations (
				version integer PRIMARY KEY,
				at      timestamptz NOT NULL DEFAULT now()
			)`); err != nil {
				return err
			}
		}
		for n, migration := range migrations[have:] {
			for _, statement := range migration {
				if _, err := tx.ExecContext(ctx, statement); err != nil {
					return err
				}
			}
			if _, err := tx.ExecContext(ctx, `INSERT INTO batchway_migrations (version) VALUES ($1)`, have+n+1); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("journal: %w", failed(ctx, err))
	}
	return nil
}

// checkSchema refuses tables of another version than want.
func checkSchema(ctx context.Context, q querier, want int) error {
	have, err := version(ctx, q)
	switch {
	case err != nil:
		return err
	case have == 0:
		return errors.New("its tables are not in this database, or not on the search_path: call Migrate")
	case have < want:
		return fmt.Errorf("its tables are of version %d, and this version needs %d: call Migrate", have, want)
	case have > want:
		return newer(have, want)
	}
	return nil
}

func newer(have, known int) error {
	return fmt.Errorf("its tables are of version %d, and this version knows %d: use the version that made them", have, known)
}

// A querier is a pool, a connection or a transaction.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// version returns the version of the tables, 0 if there are none.
func version(ctx context.Context, q querier) (have int, err error) {
	var exists bool
	if err := q.QueryRowContext(ctx, `SELECT to_regclass('batchway_migrations') IS NOT NULL`).Scan(&exists); err != nil || !exists {
		return 0, err
	}
	err = q.QueryRowContext(ctx, `SELECT max(version) FROM batchway_migrations`).Scan(&have)
	return have, err
}
