//go:build unix

package campaign

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	_ "github.com/lib/pq"
	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch/sqljournal"
)

// startPostgres starts a PostgreSQL of our own, until t is over, and returns
// how to reach a database that has the journal's tables. Without PostgreSQL's
// programs t is skipped, or fails where BATCHWAY_REQUIRE_POSTGRES is 1.
func startPostgres(t *testing.T) (dsn string) {
	t.Helper()
	bin, err := postgresPrograms()
	if err != nil {
		if os.Getenv("BATCHWAY_REQUIRE_POSTGRES") == "1" {
			t.Fatalf("BATCHWAY_REQUIRE_POSTGRES is 1, but there is no PostgreSQL: %v", err)
		}
		t.Skipf("this test needs PostgreSQL's initdb and postgres: %v", err)
	}
	// The path of a socket is short: /tmp, and not the directory of a test.
	directory, err := os.MkdirTemp("/tmp", "campaign")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(directory) })
	var as *syscall.Credential
	if os.Geteuid() == 0 { // PostgreSQL refuses to be root.
		account, err := user.Lookup("postgres")
		if err != nil {
			account, err = user.Lookup("nobody")
		}
		require.NoError(t, err)
		uid, gid := must(strconv.Atoi(account.Uid)), must(strconv.Atoi(account.Gid))
		require.NoError(t, os.Chown(directory, uid, gid))
		as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	command := func(name string, args ...string) *exec.Cmd {
		c := exec.Command(filepath.Join(bin, name), args...)
		c.Dir, c.SysProcAttr = directory, &syscall.SysProcAttr{Credential: as}
		return c
	}
	data := filepath.Join(directory, "data")
	out, err := command("initdb", "-D", data, "-U", "test", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync").CombinedOutput()
	require.NoError(t, err, "%s", out)
	// The shell stops the server when its input ends, so that it does not outlive this process.
	server := command("postgres")
	server.Path, server.Args = "/bin/sh", []string{"sh", "-c", `"$@" & server=$!; read -r _; kill -INT $server; wait $server`, "sh",
		filepath.Join(bin, "postgres"), "-D", data, "-k", directory, "-c", "listen_addresses="}
	alive, err := server.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, server.Start())
	t.Cleanup(func() {
		_ = alive.Close()
		_ = server.Wait()
	})
	dsn = fmt.Sprintf("host=%s user=test dbname=postgres sslmode=disable", directory)
	db := must(sql.Open("postgres", dsn))
	defer func() { _ = db.Close() }()
	require.Eventually(t, func() bool { return db.PingContext(t.Context()) == nil }, time.Minute, 20*time.Millisecond, "PostgreSQL does not answer")
	require.NoError(t, sqljournal.Migrate(t.Context(), db))
	return dsn
}

func postgresPrograms() (string, error) {
	places, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", err
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		places = append(places, filepath.Dir(path))
	}
	for n := len(places) - 1; n >= 0; n-- {
		_, noInit := os.Stat(filepath.Join(places[n], "initdb"))
		_, noPostgres := os.Stat(filepath.Join(places[n], "postgres"))
		if noInit == nil && noPostgres == nil {
			return places[n], nil
		}
	}
	return "", errors.New("they are neither in PATH nor in /usr/lib/postgresql/*/bin")
}
