package boltjournal_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchtest"
	"github.com/batchway/batchway-go/batch/boltjournal"
)

var owner = batch.Info{Name: "test", Account: "sandbox.test/1"}

func open(t *testing.T, path string) *boltjournal.Journal {
	t.Helper()
	j, err := boltjournal.Open(path, owner)
	require.NoError(t, err)
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func key(reference string) batch.Key {
	return batch.Key{Provider: owner.Name, Account: owner.Account, Reference: reference}
}

func TestConformance(t *testing.T) {
	batchtest.RunJournal(t, func(t *testing.T) batchtest.JournalSubject {
		path := filepath.Join(t.TempDir(), "journal")
		j := open(t, path)
		return batchtest.JournalSubject{Journal: j, Owner: owner, Reopen: func(t *testing.T) batch.Journal {
			require.NoError(t, j.Close())
			j = open(t, path)
			return j
		}}
	})
}

// filled returns the path of a closed journal with some entries.
func filled(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, path)
	for n := range 20 {
		require.NoError(t, j.Append(t.Context(), key("run"), batch.Entry{Seq: n + 1, Kind: batch.EntryAttempt}))
		require.NoError(t, j.Append(t.Context(), key(fmt.Sprint("run-", n)), batch.Entry{Seq: 1, Kind: batch.EntryIntent}))
	}
	require.NoError(t, j.Close())
	return path
}

func TestOpenRefusesWhatItCannotTrust(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(t *testing.T, path string)
		owner batch.Info
		want  string
	}{
		"another provider": {nil, batch.Info{Name: "other", Account: owner.Account}, "belongs to"},
		"another account":  {nil, batch.Info{Name: owner.Name, Account: "live.test/1"}, "open the journal of that account"},
		"a newer version": {func(t *testing.T, path string) {
			db, err := bbolt.Open(path, 0o600, nil)
			require.NoError(t, err)
			require.NoError(t, db.Update(func(tx *bbolt.Tx) error { return tx.Bucket([]byte("meta")).Put([]byte("format"), []byte("2")) }))
			require.NoError(t, db.Close())
		}, owner, "use the version that wrote it"},
		"readable by others":                   {func(t *testing.T, path string) { require.NoError(t, os.Chmod(path, 0o644)) }, owner, "chmod 600"},
		"a directory that others can write to": {func(t *testing.T, path string) { require.NoError(t, os.Chmod(filepath.Dir(path), 0o777)) }, owner, "chmod go-w"},
		"a link": {func(t *testing.T, path string) {
			require.NoError(t, os.Rename(path, path+".real"))
			require.NoError(t, os.Symlink(path+".real", path))
		}, owner, "name the file itself"},
		"no journal": {func(t *testing.T, path string) { require.NoError(t, os.WriteFile(path, []byte("hello"), 0o600)) }, owner, "damaged or no journal"},
		"an older copy": {func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path+".written", []byte("41"), 0o600))
		}, owner, "older copy"},
		"no directory": {func(t *testing.T, path string) { require.NoError(t, os.RemoveAll(filepath.Dir(path))) }, owner, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filled(t)
			if c.spoil != nil {
				c.spoil(t, path)
			}
			_, err := boltjournal.Open(path, c.owner)
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, path)
		})
	}
}

func TestOpenRefusesASecondProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	open(t, path)
	_, err := boltjournal.Open(path, owner) // flock is per open file: this is what another process sees
	require.ErrorContains(t, err, "another process has it open")
}

func TestTheFileIsPrivate(t *testing.T) {
	file, err := os.Stat(filled(t))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), file.Mode().Perm())
}

// However short the file is cut, it is refused, or it holds every entry.
func TestATruncatedFileIsRefused(t *testing.T) {
	path := filled(t)
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	refused := 0
	for size := 1; size < len(whole); size += 1021 {
		require.NoError(t, os.Remove(path)) // A new file: what was mapped of a damaged one keeps its lock.
		require.NoError(t, os.WriteFile(path, whole[:size], 0o600))
		j, err := boltjournal.Open(path, owner)
		if err != nil {
			refused++
			continue
		}
		history, err := j.History(t.Context(), key("run"))
		require.NoError(t, err)
		require.Len(t, history, 20, "cut to %d bytes", size)
		require.NoError(t, j.Close())
	}
	require.NotZero(t, refused)
}

func TestAFailedWritePoisonsTheJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, path)
	require.NoError(t, j.Append(t.Context(), key("run"), batch.Entry{Seq: 1, Kind: batch.EntryIntent}))
	require.NoError(t, j.Close()) // every later write fails
	first := j.Append(t.Context(), key("run"), batch.Entry{Seq: 2, Kind: batch.EntryAttempt})
	require.Error(t, first)
	second := j.Append(t.Context(), key("run"), batch.Entry{Seq: 2, Kind: batch.EntryAttempt})
	require.ErrorContains(t, second, "must be opened anew")
	require.ErrorIs(t, second, bolterrors.ErrDatabaseNotOpen)
	_, err := j.Next(t.Context(), "ids", 1)
	require.ErrorContains(t, err, "must be opened anew")
}

func BenchmarkAppend(b *testing.B) {
	j, err := boltjournal.Open(filepath.Join(b.TempDir(), "journal"), owner)
	require.NoError(b, err)
	defer func() { _ = j.Close() }()
	for n := 0; b.Loop(); n++ {
		if err := j.Append(b.Context(), key("run"), batch.Entry{Seq: n + 1, Kind: batch.EntryAttempt}); err != nil {
			b.Fatal(err)
		}
	}
}
