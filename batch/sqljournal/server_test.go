package sqljournal_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/lib/pq"
	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/internal/pgtest"
)

// postgres is the one server of all tests, which run one after the other.
var postgres *pgtest.Server

// noServer says why there is none.
var noServer error

func TestMain(m *testing.M) {
	postgres, noServer = pgtest.New()
	code := m.Run()
	if postgres != nil {
		postgres.Remove()
	}
	os.Exit(code)
}

// needServer skips t where no server can be had, or fails it where there must
// be one.
func needServer(t testing.TB) {
	t.Helper()
	switch {
	case noServer == nil:
	case os.Getenv("BATCHWAY_REQUIRE_POSTGRES") == "1":
		t.Fatalf("BATCHWAY_REQUIRE_POSTGRES is 1, but there is no PostgreSQL: %v", noServer)
	default:
		t.Skipf("this test needs PostgreSQL's initdb and postgres: %v", noServer)
	}
}

// killServer ends the server as a power cut does. When t is over there is one
// again, whatever t does.
func killServer(t *testing.T) {
	t.Helper()
	t.Cleanup(func() { require.NoError(t, postgres.Start()) })
	require.NoError(t, postgres.Kill())
}

// pool returns connections to a database, as each machine has its own.
func pool(t testing.TB, database string) *sql.DB {
	t.Helper()
	db, err := sql.Open("postgres", postgres.DSN(database))
	require.NoError(t, err)
	// A connection is a process of the server: a new one for each writer costs more than the test.
	db.SetMaxIdleConns(40)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

var databases atomic.Int64

// newDatabase makes an empty database and returns its name.
func newDatabase(t testing.TB, options ...string) string {
	t.Helper()
	needServer(t)
	name := fmt.Sprint("test", databases.Add(1))
	do(t, pool(t, "postgres"), "CREATE DATABASE "+name+" "+strings.Join(options, " "))
	return name
}

func do(t testing.TB, db *sql.DB, statement string, args ...any) {
	t.Helper()
	_, err := db.ExecContext(context.Background(), statement, args...) // Also when t is over.
	require.NoError(t, err)
}

func ask[T any](t testing.TB, db *sql.DB, query string, args ...any) (answer T) {
	t.Helper()
	require.NoError(t, db.QueryRowContext(context.Background(), query, args...).Scan(&answer))
	return answer
}

// configure changes a setting of the server until t is over.
func configure(t *testing.T, setting, value string) {
	t.Helper()
	db := pool(t, "postgres")
	before := ask[string](t, db, "SHOW "+setting)
	change := func(statement, want string) {
		do(t, db, statement)
		do(t, db, "SELECT pg_reload_conf()")
		require.Eventually(t, func() bool { return ask[string](t, db, "SHOW "+setting) == want }, 10*time.Second,
			5*time.Millisecond)
	}
	change("ALTER SYSTEM SET "+setting+" = '"+value+"'", value)
	t.Cleanup(func() { change("ALTER SYSTEM RESET "+setting, before) })
}
