// Package e2e runs a fleet on a real Temporal server and a real PostgreSQL, and
// kills its workers and its database connections. It is a module of its own,
// because it takes minutes to build.
package e2e
