package sqljournal_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/sqljournal"
)

func TestManyWorkersMigrateAtOnce(t *testing.T) {
	database := newDatabase(t)
	var wg sync.WaitGroup
	for range 20 {
		db := pool(t, database)
		wg.Go(func() {
			if err := sqljournal.Migrate(t.Context(), db); err != nil {
				t.Error(err)
			}
			if _, err := sqljournal.Open(t.Context(), db, owner); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, ask[int64](t, pool(t, database), "SELECT count(*) FROM batchway_migrations"))
}

// later is the schema as a later version has it.
func later() [][]string {
	return append(sqljournal.Migrations(), []string{"CREATE TABLE batchway_more (n integer)",
		"INSERT INTO batchway_more VALUES (1)"})
}

func TestMigrateKeepsWhatIsThere(t *testing.T) {
	database := newJournalDatabase(t)
	db := pool(t, database)
	old := open(t, db, owner)
	require.NoError(t, old.Append(t.Context(), key("run"), entry(1, batch.EntryIntent)))
	require.NoError(t, sqljournal.Migrate(t.Context(), db), "nothing to do")

	err := sqljournal.CheckSchema(t.Context(), db, len(later()))
	require.ErrorContains(t, err, "tables are of version 1, and this version needs 2: call Migrate")
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			if err := sqljournal.MigrateWith(t.Context(), db, later()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, ask[int64](t, db, "SELECT sum(n) FROM batchway_more"))
	require.Equal(t, 1, lengthOf(t, old, "run"))
}

func TestMigrateRefusesNewerTables(t *testing.T) {
	db := pool(t, newDatabase(t))
	require.NoError(t, sqljournal.MigrateWith(t.Context(), db, later()))
	err := sqljournal.Migrate(t.Context(), db)
	require.ErrorContains(t, err, "tables are of version 2, and this version knows 1: use the version that made them")
}

func TestMigrateChangesAllOrNothing(t *testing.T) {
	db := pool(t, newDatabase(t))
	require.Error(t, sqljournal.MigrateWith(t.Context(), db, append(later(), []string{"nonsense"})))
	require.EqualValues(t, 0, ask[int64](t, db, "SELECT count(*) FROM pg_tables WHERE tablename LIKE 'batchway%'"))
	_, err := sqljournal.Open(t.Context(), db, owner)
	require.ErrorContains(t, err, "call Migrate")
	require.NoError(t, sqljournal.Migrate(t.Context(), db))
	open(t, db, owner)
}
