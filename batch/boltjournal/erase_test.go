package boltjournal_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/boltjournal"
)

// person is in every second history of crowd.
const person = "064-21-555-0199"

func isPerson(item batch.Item) bool { return item.Account == person }

// crowd fills a journal with closed histories of many sizes. Every second one
// has an item of person, and repeats the account in a message.
func crowd(t *testing.T, j *boltjournal.Journal, histories int) {
	t.Helper()
	for n := range histories {
		reference := fmt.Sprintf("run-%03d", n)
		d := batch.Draft{Reference: reference, Direction: batch.Pay}
		for i := range 1 + n*7%60 {
			d.Items = append(d.Items, batch.Item{Reference: fmt.Sprint(i), Account: fmt.Sprintf("other-%d-%d", n, i)})
		}
		failure := &batch.Failure{Kind: batch.ErrInvalid, Message: "the service refuses"}
		if n%2 == 0 {
			d.Items[len(d.Items)/2].Account = person
			failure.Message = "no wallet of " + person
		}
		b := &batch.Batch{ID: "id-" + reference, Draft: d}
		for seq, e := range []batch.Entry{
			{Kind: batch.EntryIntent, Draft: &d, Fingerprint: "sha256:" + strings.Repeat("0", 64)},
			{Kind: batch.EntryAttempt, Step: batch.StepCreate, Attempt: 1},
			{Kind: batch.EntryResult, Step: batch.StepCreate, Attempt: 1, Batch: b, Failure: failure},
			{Kind: batch.EntryDone, Batch: b},
		} {
			e.Seq, e.At = seq+1, old
			require.NoError(t, j.Append(t.Context(), key(reference), e))
		}
	}
}

// No byte of the file names an erased person, whatever page it was on, and the
// file stays sound.
func TestEraseLeavesNoByte(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, path)
	crowd(t, j, 100)
	count := func() int {
		file, err := os.ReadFile(path)
		require.NoError(t, err)
		return bytes.Count(file, []byte(person))
	}
	require.GreaterOrEqual(t, count(), 100, "copies in the file before")
	erased, err := j.Erase(t.Context(), isPerson)
	require.NoError(t, err)
	require.Len(t, erased, 50)
	require.Zero(t, count())
	crowd := func(j *boltjournal.Journal) {
		for n := range 100 {
			history, err := j.History(t.Context(), key(fmt.Sprintf("run-%03d", n)))
			require.NoError(t, err)
			items := history[3].Batch.Draft.Items
			erased := slices.IndexFunc(items, func(i batch.Item) bool { return i.Account == batch.Erased })
			require.Equal(t, n%2 == 0, erased >= 0)
			require.True(t, items[0].Account == batch.Erased || strings.HasPrefix(items[0].Account, "other-"))
		}
	}
	crowd(j)
	require.NoError(t, j.Close())
	j = open(t, path)
	crowd(j)
	require.NoError(t, j.Append(t.Context(), key("next"), batch.Entry{Seq: 1, Kind: batch.EntryIntent}))
	require.Zero(t, count())
}

// A crash between the entries and the pages leaves old pages; the next Erase
// finds nothing to erase, and writes over them all the same.
func TestEraseWritesOverWhatACrashHasLeft(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, path)
	crowd(t, j, 10)
	require.NoError(t, boltjournal.EraseEntries(t.Context(), j, isPerson))
	file, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(file), person)
	require.NoError(t, j.Close())

	j = open(t, path)
	erased, err := j.Erase(t.Context(), isPerson)
	require.NoError(t, err)
	require.Empty(t, erased)
	file, err = os.ReadFile(path)
	require.NoError(t, err)
	require.NotContains(t, string(file), person)
}

// Readers and writers beside Erase see whole histories.
func TestEraseBesideOthers(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "journal"))
	crowd(t, j, 20)
	var all sync.WaitGroup
	defer all.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for worker := range 2 {
		all.Go(func() {
			for n := 1; ctx.Err() == nil; n++ {
				for h, err := range j.Closed(t.Context(), owner.Name, owner.Account, time.Time{}) {
					if err != nil || len(h.Entries) != 4 {
						t.Errorf("%v: %d entries, %v", h.Key, len(h.Entries), err)
					}
				}
				reference := fmt.Sprintf("beside-%d-%d", worker, n)
				if err := j.Append(t.Context(), key(reference),
					batch.Entry{Seq: 1, Kind: batch.EntryIntent}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for n := range 20 {
		_, err := j.Erase(t.Context(), func(i batch.Item) bool { return i.Account == fmt.Sprintf("other-%d-0", n) })
		require.NoError(t, err)
	}
}

// A copy, a journal that has failed and one that is closed erase nothing, and
// say so. What is damaged is not written over.
func TestEraseOfWhatCannotBeWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, path)
	crowd(t, j, 4)
	copied, err := boltjournal.Look(path, owner)
	require.NoError(t, err)
	t.Cleanup(func() { _ = copied.Close() })
	for _, match := range []func(batch.Item) bool{isPerson, func(batch.Item) bool { return false }} {
		_, err = copied.Erase(t.Context(), match)
		require.ErrorIs(t, err, batch.ErrUnsupported)
	}
	require.NoError(t, boltjournal.DB(j).Update(func(tx *bbolt.Tx) error {
		histories := tx.Bucket([]byte("histories"))
		first, _ := histories.Cursor().First()
		_, text := histories.Bucket(first).Cursor().First()
		return histories.Bucket(first).Put(binarySeq(1), append(bytes.Clone(text), ' '))
	}))
	_, err = j.Erase(t.Context(), isPerson)
	require.ErrorContains(t, err, "damaged")
	require.NoError(t, j.Close())
	_, err = j.Erase(t.Context(), isPerson)
	require.Error(t, err)
}

func binarySeq(n byte) []byte { return []byte{0, 0, 0, 0, 0, 0, 0, n} }

// A batch that another call is at work on is waited for, and not longer than
// ctx.
func TestEraseWaitsForTheLock(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "journal"))
	crowd(t, j, 1)
	unlock, err := j.Lock(t.Context(), key("run-000"))
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = j.Erase(ctx, isPerson)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	unlock()
	erased, err := j.Erase(t.Context(), isPerson)
	require.NoError(t, err)
	require.Len(t, erased, 1)
}
