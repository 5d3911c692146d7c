//go:build unix

package sqljournal_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/lib/pq"
	"github.com/stretchr/testify/require"
)

// postgres is the one server of all tests, which run one after the other.
var postgres *server

// noServer says why there is none.
var noServer error

func TestMain(m *testing.M) {
	postgres, noServer = newServer()
	code := m.Run()
	if postgres != nil {
		postgres.remove()
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

// A server is a PostgreSQL of our own, behind a socket in its directory.
type server struct {
	directory string
	bin       string // where the programs are
	as        *syscall.Credential

	alive  io.WriteCloser // the server stops with the first line, or when this process ends; nil while there is none
	exited chan struct{}  // closed when it has stopped
	output strings.Builder
}

// patience is how long a server may take to start on a machine that is busy
// with something else.
const patience = 10 * time.Minute

func newServer() (*server, error) {
	bin, err := findPrograms()
	if err != nil {
		return nil, err
	}
	// The path of a socket is short: /tmp, and not the directory of a test.
	directory, err := os.MkdirTemp("/tmp", "sqljournal")
	if err != nil {
		return nil, err
	}
	s := &server{directory: directory, bin: bin}
	if err := s.prepare(); err != nil {
		s.remove()
		return nil, fmt.Errorf("%w\n%s", err, s.output.String())
	}
	return s, nil
}

func findPrograms() (string, error) {
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

func (s *server) prepare() error {
	if os.Geteuid() == 0 {
		// PostgreSQL refuses to be root.
		account, err := user.Lookup("postgres")
		if err != nil {
			if account, err = user.Lookup("nobody"); err != nil {
				return err
			}
		}
		uid, err := strconv.Atoi(account.Uid)
		if err != nil {
			return err
		}
		gid, err := strconv.Atoi(account.Gid)
		if err != nil {
			return err
		}
		s.as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(s.directory, uid, gid); err != nil {
			return err
		}
	}
	initdb := s.command(filepath.Join(s.bin, "initdb"), "-D", s.data(), "-U", "test", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
	if err := initdb.Run(); err != nil {
		return err
	}
	return s.start()
}

func (s *server) data() string { return filepath.Join(s.directory, "data") }

func (s *server) command(name string, args ...string) *exec.Cmd {
	c := exec.Command(name, args...)
	c.Dir = s.directory
	c.Stdout, c.Stderr = &s.output, &s.output
	c.SysProcAttr = &syscall.SysProcAttr{Credential: s.as}
	return c
}

// start starts the server, and waits until it answers.
func (s *server) start() error {
	postgres := filepath.Join(s.bin, "postgres")
	args := []string{postgres, "-D", s.data(), "-k", s.directory, "-c", "listen_addresses="}
	// After a crash a server syncs every file of every database, one by one,
	// unless it knows a faster way.
	if s.command(postgres, "-D", s.data(), "-C", "recovery_init_sync_method").Run() == nil {
		args = append(args, "-c", "recovery_init_sync_method=syncfs")
	}
	// The shell stops it when told to; and cleans up when the pipe just breaks,
	// so that nothing outlives a test that was killed.
	c := s.command("/bin/sh", append([]string{"-c", `"$@" & server=$!
		read -r _; told=$?
		kill -INT $server 2>/dev/null; wait $server
		[ $told = 0 ] || rm -rf "$PWD"`, "sh"}, args...)...)
	alive, err := c.StdinPipe()
	if err != nil {
		return err
	}
	if err := c.Start(); err != nil {
		return err
	}
	s.alive, s.exited = alive, make(chan struct{})
	go func() {
		_ = c.Wait() // An exit code says nothing here.
		close(s.exited)
	}()
	db, err := sql.Open("postgres", s.dsn("postgres"))
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	for began := time.Now(); ; {
		if err = db.Ping(); err == nil {
			return nil
		}
		select {
		case <-s.exited:
			return fmt.Errorf("the server has ended: %w", err)
		case <-time.After(20 * time.Millisecond):
			if time.Since(began) > patience {
				return err
			}
		}
	}
}

// stop stops the server in an orderly way, unless it has died.
func (s *server) stop() {
	if s.alive != nil {
		_, _ = io.WriteString(s.alive, "stop\n")
		_ = s.alive.Close()
		<-s.exited
		s.alive = nil
	}
}

// kill ends the server as a power cut does. When t is over there is one again,
// whatever t does.
func (s *server) kill(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		if s.alive == nil {
			require.NoError(t, s.start())
		}
	})
	text, err := os.ReadFile(filepath.Join(s.data(), "postmaster.pid"))
	require.NoError(t, err)
	line, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(line)
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	s.stop()
}

func (s *server) remove() {
	s.stop()
	_ = os.RemoveAll(s.directory)
}

func (s *server) dsn(database string) string {
	return fmt.Sprintf("host=%s user=test dbname=%s sslmode=disable", s.directory, database)
}

// pool returns connections to a database, as each machine has its own.
func pool(t testing.TB, database string) *sql.DB {
	t.Helper()
	db, err := sql.Open("postgres", postgres.dsn(database))
	require.NoError(t, err)
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
		require.Eventually(t, func() bool { return ask[string](t, db, "SHOW "+setting) == want }, 10*time.Second, 5*time.Millisecond)
	}
	change("ALTER SYSTEM SET "+setting+" = '"+value+"'", value)
	t.Cleanup(func() { change("ALTER SYSTEM RESET "+setting, before) })
}
