//go:build unix

// Package pgtest starts a PostgreSQL server of a test's own, from the programs
// of this machine.
package pgtest

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
	"syscall"
	"time"
)

// A Server is a PostgreSQL server behind a socket in a directory of its own.
type Server struct {
	directory string
	bin       string // where the programs are
	as        *syscall.Credential

	alive  io.WriteCloser // the server stops with the first line, or when this process ends; nil while there is none
	exited chan struct{}  // closed when it has stopped
	output strings.Builder
}

// Patience is how long a server may take to start on a machine that is busy
// with something else.
const Patience = 10 * time.Minute

// New starts a server. The program that calls it must have registered a
// database/sql driver named postgres.
func New() (*Server, error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	directory, err := os.MkdirTemp(place(), "pgtest")
	if err != nil {
		return nil, err
	}
	s := &Server{directory: directory, bin: bin}
	if err := s.prepare(); err != nil {
		s.Remove()
		return nil, fmt.Errorf("%w\n%s", err, s.output.String())
	}
	return s, nil
}

// place is where the data is: in memory where there is room, because a test
// that kills the server's processes loses nothing that the system has.
func place() string {
	const memory, room = "/dev/shm", 2 << 30
	if n, err := free(memory); err == nil && n >= room {
		return memory
	}
	return "/tmp" // The path of a socket is short: not the directory of a test.
}

func programs() (string, error) {
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

func (s *Server) prepare() error {
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
	initdb := s.command(filepath.Join(s.bin, "initdb"), "-D", s.data(), "-U", "test", "-A", "trust", "-E", "UTF8",
		"--no-locale", "--no-sync")
	if err := initdb.Run(); err != nil {
		return err
	}
	return s.Start()
}

func (s *Server) data() string { return filepath.Join(s.directory, "data") }

func (s *Server) command(name string, args ...string) *exec.Cmd {
	c := exec.Command(name, args...) //nolint:gosec,noctx // The programs are those of this machine, and stop when told to.
	c.Dir = s.directory
	c.Stdout, c.Stderr = &s.output, &s.output
	c.SysProcAttr = &syscall.SysProcAttr{Credential: s.as}
	return c
}

// Start starts a server that was killed, and waits until it answers.
func (s *Server) Start() error {
	if s.alive != nil {
		return nil
	}
	postgres := filepath.Join(s.bin, "postgres")
	args := []string{postgres, "-D", s.data(), "-k", s.directory, "-c", "listen_addresses=", "-c",
		"shared_buffers=16MB"}
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
	db, err := sql.Open("postgres", s.DSN("postgres"))
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	for began := time.Now(); ; {
		if err = db.PingContext(context.Background()); err == nil {
			return nil
		}
		select {
		case <-s.exited:
			return fmt.Errorf("the server has ended: %w", err)
		case <-time.After(20 * time.Millisecond):
			if time.Since(began) > Patience {
				return err
			}
		}
	}
}

// stop stops the server in an orderly way, unless it has died.
func (s *Server) stop() {
	if s.alive != nil {
		_, _ = io.WriteString(s.alive, "stop\n")
		_ = s.alive.Close()
		<-s.exited
		s.alive = nil
	}
}

// Kill kills the server between any two bytes, without a word to it.
func (s *Server) Kill() error {
	text, err := os.ReadFile(filepath.Join(s.data(), "postmaster.pid"))
	if err != nil {
		return err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(line)
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return err
	}
	s.stop()
	return nil
}

// Remove stops the server and removes its data.
func (s *Server) Remove() {
	s.stop()
	_ = os.RemoveAll(s.directory)
}

// DSN is how lib/pq reaches a database of the server.
func (s *Server) DSN(database string) string {
	return fmt.Sprintf("host=%s user=test dbname=%s sslmode=disable", s.directory, database)
}
