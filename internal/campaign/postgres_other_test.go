//go:build !unix

package campaign

import "testing"

func startPostgres(t *testing.T) (dsn string) {
	t.Helper()
	t.Skip("a PostgreSQL of our own is started on Unix only")
	return ""
}
