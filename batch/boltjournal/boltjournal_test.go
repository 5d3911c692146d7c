package boltjournal_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

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

var old = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// checkFilled finds everything in j that filled has put there.
func checkFilled(t *testing.T, j *boltjournal.Journal, what string) {
	t.Helper()
	for reference, want := range map[string]int{"run": 20, "run-0": 1, "run-19": 1, "ended": 1, "items": 6} {
		history, err := j.History(t.Context(), key(reference))
		require.NoError(t, err, what)
		require.Len(t, history, want, what)
		if reference == "items" {
			require.Equal(t, "customer-000019", history[5].Batch.Draft.Items[19].Account, what)
		}
	}
	_, err := j.History(t.Context(), key("old"))
	require.ErrorIs(t, err, batch.ErrConflict, what)
	for name, holder := range map[string]string{"name-0": "run-0", "name-19": "run-19", "old name": "old"} {
		k, e := intent("thief", name)
		require.Equal(t, &batch.ClaimedError{Name: name, Holder: key(holder)}, j.Append(t.Context(), k, e), what)
	}
	next, err := j.Next(t.Context(), "ids", 1)
	require.NoError(t, err, what)
	require.EqualValues(t, 101, next, what)
}

// filledFiles are the files of a closed journal with some entries, made once.
var filledFiles struct {
	sync.Once
	journal, written []byte
}

// filled returns the path of a closed journal with some entries.
func filled(t *testing.T) string {
	t.Helper()
	filledFiles.Do(func() {
		path := filepath.Join(t.TempDir(), "journal")
		fill(t, path)
		var err error
		filledFiles.journal, err = os.ReadFile(path)
		require.NoError(t, err)
		filledFiles.written, err = os.ReadFile(path + ".written")
		require.NoError(t, err)
	})
	path := filepath.Join(t.TempDir(), "journal")
	write(t, path, string(filledFiles.journal))
	write(t, path+".written", string(filledFiles.written))
	return path
}

func fill(t *testing.T, path string) {
	t.Helper()
	j := open(t, path)
	require.NoError(t, j.Append(t.Context(), key("old"), batch.Entry{Seq: 1, Kind: batch.EntryDone, At: old,
		Claims: []string{"old name"}}))
	pruned, err := j.Prune(t.Context(), old.Add(1), func(batch.History) error { return nil })
	require.NoError(t, err)
	require.Equal(t, 1, pruned)
	for n := range 20 {
		require.NoError(t, j.Append(t.Context(), key("run"), batch.Entry{Seq: n + 1, Kind: batch.EntryAttempt}))
		require.NoError(t, j.Append(t.Context(), key(fmt.Sprint("run-", n)),
			batch.Entry{Seq: 1, Kind: batch.EntryIntent, Claims: []string{fmt.Sprint("name-", n)}}))
	}
	require.NoError(t, j.Append(t.Context(), key("ended"), batch.Entry{Seq: 1, Kind: batch.EntryDone}))
	run(t, j, "items", 20)
	for range 100 {
		_, err := j.Next(t.Context(), "ids", 1)
		require.NoError(t, err)
	}
	require.NoError(t, j.Close())
}

// edit changes a closed file as another program with bolt would.
func edit(t *testing.T, path string, change func(tx *bbolt.Tx) error) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	require.NoError(t, err)
	require.NoError(t, db.Update(change))
	require.NoError(t, db.Close())
}

func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

func TestOpenRefusesWhatItCannotTrust(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(t *testing.T, path string)
		owner batch.Info
		want  string
	}{
		"another provider": {nil, batch.Info{Name: "other", Account: owner.Account}, "belongs to"},
		"another account": {nil, batch.Info{Name: owner.Name, Account: "live.test/1"},
			"open the journal of that account"},
		"an older version": {func(t *testing.T, path string) {
			edit(t, path, func(tx *bbolt.Tx) error {
				return tx.Bucket([]byte("meta")).Put([]byte("format"), []byte("1"))
			})
		}, owner, `has format "1", and this version reads 2: use the version that wrote it`},
		"a newer version": {func(t *testing.T, path string) {
			edit(t, path, func(tx *bbolt.Tx) error {
				return tx.Bucket([]byte("meta")).Put([]byte("format"), []byte("3"))
			})
		}, owner, "use the version that wrote it"},
		"readable by others": {func(t *testing.T, path string) {
			require.NoError(t, os.Chmod(path, 0o644))
		}, owner, "chmod 600"},
		"a directory that others can write to": {func(t *testing.T, path string) {
			require.NoError(t, os.Chmod(filepath.Dir(path), 0o777))
		}, owner, "chmod go-w"},
		"a directory where others can only add": {func(t *testing.T, path string) {
			require.NoError(t, os.Chmod(filepath.Dir(path), 0o777|os.ModeSticky))
		}, owner, "chmod go-w"},
		"a directory above it that others can write to": {func(t *testing.T, path string) {
			above := filepath.Dir(filepath.Dir(path))                        // of all directories of this test
			require.NoError(t, os.Chmod(above, 0o777))                       //nolint:gosec // That is what is refused.
			t.Cleanup(func() { require.NoError(t, os.Chmod(above, 0o755)) }) //nolint:gosec // As it was.
		}, owner, "chmod go-w"},
		"a second name": {func(t *testing.T, path string) { require.NoError(t, os.Link(path, path+".link")) }, owner,
			"a second name"},
		"a link": {func(t *testing.T, path string) {
			require.NoError(t, os.Rename(path, path+".real"))
			require.NoError(t, os.Symlink(path+".real", path))
		}, owner, "name the file itself"},
		"no journal": {func(t *testing.T, path string) { write(t, path, "hello") }, owner, "damaged or no journal"},
		"another program's file": {func(t *testing.T, path string) {
			require.NoError(t, os.Remove(path))
			edit(t, path, func(tx *bbolt.Tx) error { _, err := tx.CreateBucket([]byte("users")); return err })
		}, owner, "of another program"},
		"an older copy": {func(t *testing.T, path string) { write(t, path+".written", "1000") },
			owner, "older copy"},
		"an emptied file": {func(t *testing.T, path string) { write(t, path, "") }, owner,
			"was written to 0 times, and must have been 1"},
		"an emptied file and an emptied count": {func(t *testing.T, path string) {
			write(t, path, "")
			write(t, path+".written", "")
		}, owner, "cannot be told from an older copy"},
		"a count that is none": {func(t *testing.T, path string) { write(t, path+".written", "2garbage") },
			owner, "cannot be told from an older copy"},
		"a count below nothing": {func(t *testing.T, path string) { write(t, path+".written", "-1") }, owner,
			"cannot be told from an older copy"},
		"a count that others can write": {func(t *testing.T, path string) {
			require.NoError(t, os.Chmod(path+".written", 0o666))
		}, owner, ".written: others can"},
		"a link in place of the count": {func(t *testing.T, path string) {
			require.NoError(t, os.Remove(path+".written"))
			require.NoError(t, os.Symlink(path, path+".written"))
		}, owner, ".written: is not a regular file"},
		"a history that is gone": {func(t *testing.T, path string) {
			require.NoError(t, os.Remove(path+".written"))
			edit(t, path, func(tx *bbolt.Tx) error {
				return tx.Bucket([]byte("histories")).
					DeleteBucket([]byte(`{"provider":"test","account":"sandbox.test/1","reference":"ended"}`))
			})
		}, owner, "48 entries were written, and there are 47"},
		"a history under another name": {func(t *testing.T, path string) {
			whole, err := os.ReadFile(path)
			require.NoError(t, err)
			write(t, path, string(bytes.ReplaceAll(whole, []byte(`"ended"`), []byte(`"enden"`))))
		}, owner, "broken seal"},
		"a sequence that is gone": {func(t *testing.T, path string) {
			edit(t, path, func(tx *bbolt.Tx) error { return tx.Bucket([]byte("sequences")).Delete([]byte("ids")) })
		}, owner, "a sequence has a broken seal"},
		"a sequence under another name": {func(t *testing.T, path string) {
			edit(t, path, func(tx *bbolt.Tx) error {
				sequences := tx.Bucket([]byte("sequences"))
				return errors.Join(sequences.Put([]byte("idz"), slices.Clone(sequences.Get([]byte("ids")))),
					sequences.Delete([]byte("ids")))
			})
		}, owner, "a sequence has a broken seal"},
		"a claimed name that is gone": {func(t *testing.T, path string) {
			edit(t, path, func(tx *bbolt.Tx) error { return tx.Bucket([]byte("claims")).Delete([]byte("name-3")) })
		}, owner,
			`the name "name-3", which {"provider":"test","account":"sandbox.test/1","reference":"run-3"} holds, is not in the list`},
		"a claimed name of another holder": {func(t *testing.T, path string) {
			edit(t, path, func(tx *bbolt.Tx) error {
				claims := tx.Bucket([]byte("claims"))
				return claims.Put([]byte("name-3"), slices.Clone(claims.Get([]byte("name-4"))))
			})
		}, owner, `the name "name-3"`},
		"a claimed name too many": {func(t *testing.T, path string) {
			edit(t, path, func(tx *bbolt.Tx) error {
				claims := tx.Bucket([]byte("claims"))
				return claims.Put([]byte("name-x"), slices.Clone(claims.Get([]byte("name-4"))))
			})
		}, owner, "21 names are claimed, and 22 are in the list of names"},
		"a list of items that is gone": {func(t *testing.T, path string) {
			edit(t, path, func(tx *bbolt.Tx) error {
				first, _ := tx.Bucket([]byte("items")).Cursor().First()
				return tx.Bucket([]byte("items")).Delete(first)
			})
		}, owner, "entry 1 is damaged (its items are missing or altered)"},
		"a pruned history that is gone": {func(t *testing.T, path string) {
			edit(t, path, func(tx *bbolt.Tx) error {
				first, _ := tx.Bucket([]byte("pruned")).Cursor().First()
				return tx.Bucket([]byte("pruned")).Delete(first)
			})
		}, owner, "48 entries were written, and there are 47"},
		"a pruned history that is altered": {func(t *testing.T, path string) {
			edit(t, path, func(tx *bbolt.Tx) error {
				first, text := tx.Bucket([]byte("pruned")).Cursor().First()
				return tx.Bucket([]byte("pruned")).Put(first, bytes.ReplaceAll(text, []byte(`"entries":1`),
					[]byte(`"entries":9`)))
			})
		}, owner, "what is left of a pruned history has a broken seal"},
		"no directory": {func(t *testing.T, path string) { require.NoError(t, os.RemoveAll(filepath.Dir(path))) },
			owner, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filled(t)
			if c.spoil != nil {
				c.spoil(t, path)
			}
			before, _ := os.ReadFile(path)
			_, err := boltjournal.Open(path, c.owner)
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, path)
			if after, _ := os.ReadFile(path); len(before) > 0 {
				require.True(t, bytes.Equal(before, after), "what is refused stays as it is")
			}
		})
	}
}

// Every bit of a number decides which batch it names at the service.
func TestOpenRefusesEveryFlippedBitOfANumber(t *testing.T) {
	path := filled(t)
	for bit := range 64 {
		flip := func(tx *bbolt.Tx) error {
			sequences := tx.Bucket([]byte("sequences"))
			number := binary.BigEndian.Uint64(sequences.Get([]byte("ids"))) ^ 1<<bit
			return sequences.Put([]byte("ids"), binary.BigEndian.AppendUint64(nil, number))
		}
		edit(t, path, flip)
		_, err := boltjournal.Open(path, owner)
		require.ErrorContains(t, err, "a sequence has a broken seal", "bit %d", bit)
		edit(t, path, flip)
	}
	next, err := open(t, path).Next(t.Context(), "ids", 1)
	require.NoError(t, err)
	require.EqualValues(t, 101, next)
}

// A file of another program that keeps no free list would be changed by merely
// opening it.
func TestAnotherProgramsFileStaysAsItIs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "other.db")
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoFreelistSync: true})
	require.NoError(t, err)
	require.NoError(t, db.Update(func(tx *bbolt.Tx) error { _, err := tx.CreateBucket([]byte("users")); return err }))
	require.NoError(t, db.Close())
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	_, err = boltjournal.Open(path, owner)
	require.ErrorContains(t, err, "of another program")
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.True(t, bytes.Equal(before, after))
	require.NoFileExists(t, path+".written")
}

// What is synced is on the disk: no option of bolt's that waives it is in use.
func TestEveryWriteIsSynced(t *testing.T) {
	db := boltjournal.DB(open(t, filepath.Join(t.TempDir(), "journal")))
	require.False(t, db.NoSync)
	require.False(t, db.NoGrowSync)
	require.False(t, db.NoFreelistSync)
}

// A file that no directory names is gone after a power cut.
func TestTheDirectoryIsSynced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	var synced []string // what the directory had in it at each time
	syncing := func(directory string) error {
		require.Equal(t, filepath.Dir(path), directory)
		files, err := os.ReadDir(directory)
		names := ""
		for _, f := range files {
			names += " " + f.Name()
		}
		synced = append(synced, strings.TrimSpace(names)+" "+count(t, path))
		return err
	}
	j, err := boltjournal.OpenWith(path, owner, syncing)
	require.NoError(t, err)
	require.Equal(t, []string{"journal journal.written 0"}, synced, "before Open returns")
	require.NoError(t, j.Append(t.Context(), key("run"), batch.Entry{Seq: 1, Kind: batch.EntryIntent}))
	require.Equal(t, "1", count(t, path), "before Append returns")
	require.Len(t, synced, 1, "an entry changes no name")
	require.NoError(t, j.Close())
	require.NoError(t, j.Close(), "it may be closed twice")

	broken := errors.New("the disk is broken")
	_, err = boltjournal.OpenWith(path, owner, func(string) error { return broken })
	require.ErrorIs(t, err, broken)
	require.NoError(t, os.Remove(path+".written"))
	open(t, path)
	require.FileExists(t, path+".written", "an old file is watched from now on")
}

// count returns the number in the file beside a journal.
func count(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path + ".written")
	require.NoError(t, err)
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	require.NoError(t, err)
	return strconv.Itoa(n)
}

func TestTheCountIsWrittenThroughNoLink(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	victim := filepath.Join(t.TempDir(), "victim")
	write(t, victim, "precious")
	require.NoError(t, os.Symlink(victim, path+".written.new"))
	j := open(t, path)
	require.NoError(t, os.Remove(path+".written"))
	require.NoError(t, os.Symlink(victim, path+".written"))
	require.NoError(t, j.Append(t.Context(), key("run"), batch.Entry{Seq: 1, Kind: batch.EntryIntent}))
	text, err := os.ReadFile(victim)
	require.NoError(t, err)
	require.Equal(t, "precious", string(text))
}

// A journal that cannot tell an older copy any more is not written to.
func TestACountThatCannotBeWrittenPoisonsTheJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, path)
	require.NoError(t, boltjournal.Count(j).Close())
	require.ErrorContains(t, j.Append(t.Context(), key("run"), batch.Entry{Seq: 1, Kind: batch.EntryIntent}),
		".written")
	require.ErrorContains(t, j.Append(t.Context(), key("run"), batch.Entry{Seq: 2, Kind: batch.EntryAttempt}),
		"must be opened anew")
	_ = j.Close()
	require.NoError(t, open(t, path).Append(t.Context(), key("run"), batch.Entry{Seq: 2, Kind: batch.EntryAttempt}))
}

func TestAnEntryThatCannotBeEncodedPoisonsNothing(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "journal"))
	late := batch.Draft{Date: time.Date(10001, 1, 1, 0, 0, 0, 0, time.UTC)}
	err := j.Append(t.Context(), key("run"), batch.Entry{Seq: 1, Kind: batch.EntryIntent, Draft: &late})
	require.ErrorIs(t, err, batch.ErrInvalid)
	require.ErrorContains(t, err, `entry 1 of "run"`)
	require.NoError(t, j.Append(t.Context(), key("run"), batch.Entry{Seq: 1, Kind: batch.EntryIntent}))
}

// A list of names that was damaged while the file is open is not believed.
func TestADamagedNameIsNotClaimed(t *testing.T) {
	j := open(t, filled(t))
	require.NoError(t, boltjournal.DB(j).Update(func(tx *bbolt.Tx) error {
		claims := tx.Bucket([]byte("claims"))
		return claims.Put([]byte("name-3"), slices.Clone(claims.Get([]byte("name-4"))))
	}))
	err := j.Append(t.Context(), key("run-4"), batch.Entry{Seq: 2, Kind: batch.EntryAttempt,
		Claims: []string{"name-3"}})
	require.ErrorContains(t, err, `the name "name-3" has a broken seal`)
}

func TestANameThatCannotBeKeptIsRefused(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "journal"))
	for _, name := range []string{"", "a\x00b", "\xff", strings.Repeat("x", 1001)} {
		for _, e := range []batch.Entry{{Claims: []string{name}}, {Releases: []string{name}}} {
			e.Seq, e.Kind = 1, batch.EntryIntent
			require.ErrorIs(t, j.Append(t.Context(), key("run"), e), batch.ErrInvalid, "%.10q", name)
		}
	}
	_, err := j.History(t.Context(), key("run\xff"))
	require.ErrorIs(t, err, batch.ErrInvalid)
	longest := batch.Entry{Seq: 1, Kind: batch.EntryIntent, Claims: []string{strings.Repeat("x", 1000)}}
	require.NoError(t, j.Append(t.Context(), key("run"), longest))
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
		checkFilled(t, j, fmt.Sprintf("cut to %d bytes", size))
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
	for _, writers := range []int{1, 64} {
		b.Run(fmt.Sprint(writers, " writers"), func(b *testing.B) {
			j, err := boltjournal.Open(filepath.Join(b.TempDir(), "journal"), owner)
			require.NoError(b, err)
			defer func() { _ = j.Close() }()
			appendAtOnce(b, j, writers, b.N, func(w, n int) (string, batch.Entry) {
				return fmt.Sprint("run-", w), batch.Entry{Seq: n/writers + 1, Kind: batch.EntryAttempt}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}

// appendAtOnce appends so many entries from so many writers.
func appendAtOnce(b *testing.B, j batch.Journal, writers, entries int, entry func(w, n int) (string, batch.Entry)) {
	b.Helper()
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for n := w; n < entries; n += writers {
				reference, e := entry(w, n)
				if err := j.Append(context.Background(), key(reference), e); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// Every open history of 100,000, each with a draft of one item.
func BenchmarkOpen(b *testing.B) {
	const keys = 100_000
	path := filepath.Join(b.TempDir(), "journal")
	j, err := boltjournal.Open(path, owner)
	require.NoError(b, err)
	appendAtOnce(b, j, 2000, keys, func(_, n int) (string, batch.Entry) {
		reference := fmt.Sprintf("run-%06d", n)
		return reference, batch.Entry{Seq: 1, Kind: batch.EntryIntent, Claims: []string{reference},
			Draft: &batch.Draft{Reference: reference,
				Items: []batch.Item{{Reference: reference, Account: "1",
					Amount: batch.Money{Minor: 5, Currency: "GBP"}}}}}
	})
	require.NoError(b, j.Close())
	began := time.Now()
	j, err = boltjournal.Open(path, owner)
	require.NoError(b, err)
	defer func() { _ = j.Close() }()
	b.Logf("the file is opened in %v", time.Since(began))
	for b.Loop() {
		var most uint64
		seen := 0
		for _, err := range j.Open(b.Context(), owner.Name, owner.Account) {
			require.NoError(b, err)
			if seen++; seen%5000 == 0 {
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				most = max(most, m.HeapAlloc)
			}
		}
		require.Equal(b, keys, seen)
		b.ReportMetric(float64(most)/(1<<20), "MB-heap")
	}
}

// A history that is closed can release names later, and is closed still.
func TestAClosedHistoryReleasesANameLater(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, path)
	k, e := intent("run")
	e.Claims = []string{`purpose "INV-1"`, `purpose "INV-2"`}
	require.NoError(t, j.Append(t.Context(), k, e))
	require.NoError(t, j.Append(t.Context(), k, batch.Entry{Seq: 2, Kind: batch.EntryDone, Batch: &batch.Batch{}}))
	require.NoError(t, j.Append(t.Context(), k, batch.Entry{Seq: 3, Kind: batch.EntryDone, Batch: &batch.Batch{},
		Releases: []string{`purpose "INV-1"`}}))
	require.NoError(t, j.Close())
	j = open(t, path)
	for open, err := range j.Open(t.Context(), owner.Name, owner.Account) {
		t.Fatal("it is closed", open.Key, err)
	}
	k, e = intent("other")
	e.Claims = []string{`purpose "INV-2"`}
	require.ErrorIs(t, j.Append(t.Context(), k, e), batch.ErrConflict)
	e.Claims = []string{`purpose "INV-1"`}
	require.NoError(t, j.Append(t.Context(), k, e))
}
