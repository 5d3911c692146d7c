package campaign

import (
	"database/sql"
	"os"
	"testing"

	_ "github.com/lib/pq"
	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch/sqljournal"
	"github.com/batchway/batchway-go/internal/pgtest"
)

// startPostgres starts a PostgreSQL of our own, until t is over, and returns
// how to reach a database that has the journal's tables. Without PostgreSQL's
// programs t is skipped, or fails where BATCHWAY_REQUIRE_POSTGRES is 1.
func startPostgres(t *testing.T) (dsn string) {
	t.Helper()
	server, err := pgtest.New()
	if err != nil {
		if os.Getenv("BATCHWAY_REQUIRE_POSTGRES") == "1" {
			t.Fatalf("BATCHWAY_REQUIRE_POSTGRES is 1, but there is no PostgreSQL: %v", err)
		}
		t.Skipf("this test needs PostgreSQL's initdb and postgres: %v", err)
	}
	t.Cleanup(server.Remove)
	dsn = server.DSN("postgres")
	db := must(sql.Open("postgres", dsn))
	defer func() { _ = db.Close() }()
	require.NoError(t, sqljournal.Migrate(t.Context(), db))
	return dsn
}
