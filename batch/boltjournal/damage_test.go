//go:build !race

// Reading a damaged file goes through memory that the race detector's pointer
// checks abort on, which nothing can recover from.

package boltjournal_test

import (
	"bytes"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/boltjournal"
)

// A flipped bit is refused, or touches nothing that was promised.
func TestADamagedFileIsRefused(t *testing.T) {
	path := filled(t)
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	refused := 0
	for at := 0; at < len(whole); at += 499 {
		spoilt := bytes.Clone(whole)
		spoilt[at] ^= 0x10
		require.NoError(t, os.Remove(path))
		require.NoError(t, os.WriteFile(path, spoilt, 0o600))
		j, err := boltjournal.Open(path, owner)
		if err != nil {
			refused++
			continue
		}
		history, err := j.History(t.Context(), key("run"))
		require.NoError(t, err)
		require.Len(t, history, 20, "bit flipped at %d", at)
		for n, e := range history {
			require.Equal(t, batch.Entry{Seq: n + 1, Kind: batch.EntryAttempt}, e)
		}
		require.NoError(t, j.Close())
	}
	require.NotZero(t, refused)
}
