//go:build !unix

// Package pgtest starts a PostgreSQL server of a test's own, on Unix only.
package pgtest

import (
	"errors"
	"time"
)

// Patience is how long a server may take to start.
const Patience = 10 * time.Minute

// A Server can't be had here.
type Server struct{}

// New fails.
func New() (*Server, error) {
	return nil, errors.New("a PostgreSQL of our own is started on Unix only")
}

// Start does nothing.
func (*Server) Start() error { return nil }

// Kill does nothing.
func (*Server) Kill() error { return nil }

// Remove does nothing.
func (*Server) Remove() {}

// DSN is empty.
func (*Server) DSN(string) string { return "" }
