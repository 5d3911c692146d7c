package boltjournal_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/boltjournal"
)

// commits is the number of transactions that were ever written to the file.
func commits(t *testing.T, j *boltjournal.Journal) (n int) {
	t.Helper()
	require.NoError(t, boltjournal.DB(j).View(func(tx *bbolt.Tx) error { n = tx.ID(); return nil }))
	return n
}

func intent(reference string, claims ...string) (batch.Key, batch.Entry) {
	return key(reference), batch.Entry{Seq: 1, Kind: batch.EntryIntent, Claims: claims}
}

func TestWritersAtOnceShareACommit(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "journal"))
	before := commits(t, j)
	var calls []func()
	results := make([]error, 64)
	for n := range results {
		calls = append(calls, func() {
			k, e := intent(fmt.Sprint("run-", n), fmt.Sprint("name-", n))
			results[n] = j.Append(t.Context(), k, e)
		})
	}
	boltjournal.Together(j, calls...)
	require.NoError(t, errors.Join(results...))
	require.Equal(t, 1, commits(t, j)-before)
	for n := range results {
		history, err := j.History(t.Context(), key(fmt.Sprint("run-", n)))
		require.NoError(t, err)
		require.Len(t, history, 1)
	}
}

// Of the entries that share a commit, one that is refused changes nothing, and
// spoils none of the others.
func TestARefusedEntrySpoilsNoOtherOfItsCommit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, path)
	k, e := intent("holder", "taken")
	require.NoError(t, j.Append(t.Context(), k, e))
	before := commits(t, j)
	results := make([]error, 5)
	boltjournal.Together(j,
		func() { k, e := intent("one", "a"); results[0] = j.Append(t.Context(), k, e) },
		func() { k, e := intent("two", "b", "taken"); results[1] = j.Append(t.Context(), k, e) },
		func() { k, e := intent("holder"); results[2] = j.Append(t.Context(), k, e) },
		func() { k, e := intent("three", "c"); results[3] = j.Append(t.Context(), k, e) },
		func() { _, results[4] = j.Next(t.Context(), "ids", 1) },
	)
	require.NoError(t, errors.Join(results[0], results[3], results[4]))
	require.Equal(t, &batch.ClaimedError{Name: "taken", Holder: key("holder")}, results[1])
	require.ErrorIs(t, results[2], batch.ErrConflict)
	require.Equal(t, 1, commits(t, j)-before)

	boltjournal.Together(j,
		func() { k, e := intent("two", "taken"); results[0] = j.Append(t.Context(), k, e) },
		func() { k, e := intent("one"); results[1] = j.Append(t.Context(), k, e) })
	require.ErrorIs(t, results[0], batch.ErrConflict)
	require.ErrorIs(t, results[1], batch.ErrConflict)
	require.Equal(t, 1, commits(t, j)-before, "where all are refused, nothing is written")

	require.NoError(t, j.Close())
	j = open(t, path)
	k, e = intent("two", "b")
	require.NoError(t, j.Append(t.Context(), k, e), "b is free")
}

// Of the entries that share a commit that fails, none is said to be written.
func TestAFailedCommitFailsAllItsEntries(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "journal"))
	k, e := intent("holder", "taken")
	require.NoError(t, j.Append(t.Context(), k, e))
	require.NoError(t, boltjournal.DB(j).Update(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("claims")).Put([]byte("taken"), []byte("?"))
	}))
	results := make([]error, 3)
	boltjournal.Together(j,
		func() { k, e := intent("one"); results[0] = j.Append(t.Context(), k, e) },
		func() { k, e := intent("two", "taken"); results[1] = j.Append(t.Context(), k, e) },
		func() { k, e := intent("three"); results[2] = j.Append(t.Context(), k, e) })
	for _, err := range results {
		require.ErrorContains(t, err, "broken seal")
	}
	k, e = intent("four")
	require.ErrorContains(t, j.Append(t.Context(), k, e), "must be opened anew")
}

// What was acknowledged before a process was killed, by any of 64 writers, is
// there after it.
func TestEntriesSurviveTheProcess(t *testing.T) {
	const child, writers = "BOLTJOURNAL_TEST_FILE", 64
	if path := os.Getenv(child); path != "" {
		j, err := boltjournal.Open(path, owner)
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		for w := range writers {
			go func() {
				reference := fmt.Sprint("run-", w)
				history, err := j.History(context.Background(), key(reference))
				for seq := len(history) + 1; err == nil; seq++ {
					name := fmt.Sprint(reference, "/", seq)
					e := batch.Entry{Seq: seq, Kind: batch.EntryAttempt, Claims: []string{name}}
					if err = j.Append(context.Background(), key(reference), e); err == nil {
						mu.Lock()
						fmt.Println("wrote", reference, seq)
						mu.Unlock()
					}
				}
				fmt.Println("failed", err)
			}()
		}
		select {}
	}
	path := filepath.Join(t.TempDir(), "journal")
	acknowledged := map[string]int{}
	for round := range 5 {
		c := exec.Command(os.Args[0], "-test.run=^TestEntriesSurviveTheProcess$")
		c.Env = append(os.Environ(), child+"="+path)
		out, err := c.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, c.Start())
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			var reference string
			var seq int
			if _, err := fmt.Sscanf(lines.Text(), "wrote %s %d", &reference, &seq); err == nil {
				acknowledged[reference] = seq
			} else if strings.HasPrefix(lines.Text(), "failed") {
				t.Error(lines.Text())
			}
			if n == 500 {
				require.NoError(t, c.Process.Kill()) // What it has said already still comes.
			}
		}
		_ = c.Wait()
		j, err := boltjournal.Open(path, owner)
		require.NoError(t, err, "round %d", round)
		kept, said := 0, 0
		for w := range writers {
			reference := fmt.Sprint("run-", w)
			history, err := j.History(t.Context(), key(reference))
			require.NoError(t, err)
			require.GreaterOrEqual(t, len(history), acknowledged[reference])
			require.LessOrEqual(t, len(history), acknowledged[reference]+1)
			kept, said = kept+len(history), said+acknowledged[reference]
			if len(history) > 0 {
				k, e := intent(fmt.Sprint("thief-", round, "-", w), fmt.Sprint(reference, "/", len(history)))
				require.ErrorIs(t, j.Append(t.Context(), k, e), batch.ErrConflict, "a name is kept with its entry")
			}
			acknowledged[reference] = len(history)
		}
		require.NoError(t, j.Close())
		t.Logf("round %d: %d acknowledged, %d kept", round, said, kept)
	}
}

// run writes the entries of a batch that was seen through.
func run(tb testing.TB, j batch.Journal, reference string, items int) {
	tb.Helper()
	d := batch.Draft{Reference: reference, Direction: batch.Collect}
	for n := range items {
		d.Items = append(d.Items, batch.Item{Reference: fmt.Sprintf("invoice-%06d", n),
			Account: fmt.Sprintf("customer-%06d", n),
			Amount:  batch.Money{Minor: int64(1000 + n), Currency: "GBP"}})
	}
	b := &batch.Batch{Provider: owner.Name, ID: "7", Draft: d}
	for n, e := range []batch.Entry{
		{Kind: batch.EntryIntent, Draft: &d},
		{Kind: batch.EntryAttempt, Step: batch.StepCreate}, {Kind: batch.EntryResult, Step: batch.StepCreate, Batch: b},
		{Kind: batch.EntryAttempt, Step: batch.StepSubmit}, {Kind: batch.EntryResult, Step: batch.StepSubmit, Batch: b},
		{Kind: batch.EntryDone, Batch: b},
	} {
		e.Seq = n + 1
		require.NoError(tb, j.Append(tb.Context(), key(reference), e))
	}
}

func TestALargeRunIsWrittenOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	run(t, open(t, path), "run", 10_000)
	file, err := os.Stat(path)
	require.NoError(t, err)
	t.Logf("%d bytes", file.Size())
	require.Less(t, file.Size(), int64(3<<19))
}
