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
	// of entries that were lost. The row stays when the history is pruned.
	`CREATE TABLE batchway_histories (
		provider  text COLLATE "C" NOT NULL,
		account   text COLLATE "C" NOT NULL,
		reference text COLLATE "C" NOT NULL,
		entries   bigint NOT NULL,
		bytes     bigint NOT NULL,
		last      text NOT NULL,
		at        timestamptz NOT NULL,
		pruned    timestamptz,
		PRIMARY KEY (provider, account, reference)
	)`,
	`CREATE INDEX batchway_histories_open ON batchway_histories (provider, account, reference) WHERE last <> 'done'`,
	// An entry is a text, exactly as it was written: jsonb would refuse a NUL
	// and lose the order. Kind and time are for those who look. Writer tells an
	// entry of one Append from the same entry of another.
	`CREATE TABLE batchway_entries (
		provider  text COLLATE "C" NOT NULL,
		account   text COLLATE "C" NOT NULL,
		reference text COLLATE "C" NOT NULL,
		seq       bigint NOT NULL,
		kind      text NOT NULL,
		at        timestamptz NOT NULL,
		writer    text NOT NULL,
		format    integer NOT NULL,
		entry     text NOT NULL,
		PRIMARY KEY (provider, account, reference, seq),
		FOREIGN KEY (provider, account, reference) REFERENCES batchway_histories
	)`,
	// The items of the drafts of a history, each list once. An entry names a
	// list by its digest.
	`CREATE TABLE batchway_items (
		provider  text COLLATE "C" NOT NULL,
		account   text COLLATE "C" NOT NULL,
		reference text COLLATE "C" NOT NULL,
		digest    text COLLATE "C" NOT NULL,
		items     text NOT NULL,
		PRIMARY KEY (provider, account, reference, digest),
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
	// Append in one statement, which is one round trip and one transaction. It
	// returns 'kept'; 'next' if another entry is the next; 'isolation' if the
	// transaction cannot see what others have committed in the meantime; or, as
	// JSON, the name that another key holds. Only 'kept' has changed anything.
	//
	// A writer who comes second waits for the end of the first: at the row of
	// the history, or at the name. All writers take names in one order, or two
	// of them would wait for each other. Lists and their digests have a line each.
	`CREATE FUNCTION batchway_append(the_provider text, the_account text, the_reference text, the_seq bigint, the_kind text,
		the_time timestamptz, the_writer text, the_format integer, the_entry text,
		the_digests text, the_lists text, the_claims json, the_releases json)
	RETURNS text LANGUAGE plpgsql AS $function$
	DECLARE
		size bigint := octet_length(the_entry) + octet_length(the_lists);
		taken text;
	BEGIN
		IF current_setting('transaction_isolation') <> 'read committed' THEN
			RETURN 'isolation';
		END IF;
		PERFORM set_config('synchronous_commit', 'on', true);
		IF the_seq = 1 THEN
			INSERT INTO batchway_histories (provider, account, reference, entries, bytes, last, at)
			VALUES (the_provider, the_account, the_reference, 1, size, the_kind, the_time) ON CONFLICT DO NOTHING;
		ELSE
			UPDATE batchway_histories SET entries = the_seq, bytes = bytes + size, last = the_kind, at = the_time
			WHERE (provider, account, reference, entries) = (the_provider, the_account, the_reference, the_seq - 1)
				AND pruned IS NULL;
		END IF;
		IF NOT FOUND THEN
			RETURN 'next';
		END IF;
		INSERT INTO batchway_items (provider, account, reference, digest, items)
		SELECT the_provider, the_account, the_reference, digest, items
		FROM unnest(string_to_array(the_digests, chr(10)), string_to_array(the_lists, chr(10))) AS list (digest, items)
		ON CONFLICT DO NOTHING;
		INSERT INTO batchway_entries (provider, account, reference, seq, kind, at, writer, format, entry)
		VALUES (the_provider, the_account, the_reference, the_seq, the_kind, the_time, the_writer, the_format,
			the_entry);
		IF json_array_length(the_claims) + json_array_length(the_releases) = 0 THEN
			RETURN 'kept';
		END IF;
		INSERT INTO batchway_claims AS c (name, held, provider, account, reference)
		SELECT name, held, the_provider, the_account, the_reference FROM (
			SELECT json_array_elements_text(the_claims) AS name, true AS held
			UNION ALL SELECT json_array_elements_text(the_releases), false) names
		ORDER BY name COLLATE "C"
		ON CONFLICT (name) DO UPDATE SET held = excluded.held, provider = the_provider, account = the_account,
			reference = the_reference
		WHERE excluded.held AND NOT c.held
			OR (c.provider, c.account, c.reference) = (the_provider, the_account, the_reference);
		SELECT json_build_object('Name', name, 'Holder',
			json_build_object('provider', provider, 'account', account, 'reference', reference))
		INTO taken FROM batchway_claims
		WHERE name IN (SELECT json_array_elements_text(the_claims))
			AND NOT (held AND (provider, account, reference) = (the_provider, the_account, the_reference))
		ORDER BY name LIMIT 1;
		IF FOUND THEN
			RAISE EXCEPTION SQLSTATE 'BW001';
		END IF;
		RETURN 'kept';
	EXCEPTION WHEN SQLSTATE 'BW001' THEN
		RETURN taken;
	END
	$function$`,
}}

// Migrate makes the journal's tables, or brings older ones up to date, in the
// first schema of the connection's search_path. Workers that start at once may
// all call it: one works, and the others wait. It changes all or nothing, and
// refuses tables that a newer version has made.
//
// It needs the right to create tables and functions only if there is something
// to do. Workers need SELECT, INSERT and UPDATE; only Prune and Erase need
// DELETE, on batchway_entries and batchway_items.
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
			if _, err := tx.ExecContext(ctx, `INSERT INTO batchway_migrations (version) VALUES ($1)`, have+n+
				1); err != nil {
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
	return fmt.Errorf("its tables are of version %d, and this version knows %d: use the version that made them", have,
		known)
}

// A querier is a pool, a connection or a transaction.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// version returns the version of the tables, 0 if there are none.
func version(ctx context.Context, q querier) (have int, err error) {
	var exists bool
	if err := q.QueryRowContext(ctx, `SELECT to_regclass('batchway_migrations') IS NOT NULL`).
		Scan(&exists); err != nil || !exists {
		return 0, err
	}
	err = q.QueryRowContext(ctx, `SELECT max(version) FROM batchway_migrations`).Scan(&have)
	return have, err
}
