//go:build !race

// Reading a damaged file goes through memory that the race detector's pointer
// checks abort on, which nothing can recover from.

package boltjournal_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/boltjournal"
)

// A flipped bit is refused, or touches nothing that was promised.
func TestADamagedFileIsRefused(t *testing.T) {
	checkDamaged(t, 499, func(file []byte, at int) { file[at] ^= 0x10 })
}

// A sector that was lost is refused, or held nothing that was promised.
func TestALostSectorIsRefused(t *testing.T) {
	const sector = 512
	checkDamaged(t, sector, func(file []byte, at int) { clear(file[at : at+sector]) })
}

// checkDamaged spoils a file at every so many bytes. What was promised is there
// after it, also when more was written, or the file is refused.
func checkDamaged(t *testing.T, step int, spoil func(file []byte, at int)) {
	path := filled(t)
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	count, err := os.ReadFile(path + ".written")
	require.NoError(t, err)
	refused, failed, sound := 0, 0, 0
	for at := 0; at < len(whole); at += step {
		spoilt := bytes.Clone(whole)
		spoil(spoilt, at)
		require.NoError(t, os.Remove(path)) // A new file: what was mapped of a damaged one keeps its lock.
		require.NoError(t, os.WriteFile(path+".written", count, 0o600))
		require.NoError(t, os.WriteFile(path, spoilt, 0o600))
		j, err := boltjournal.Open(path, owner)
		if err != nil {
			refused++
			continue
		}
		what := fmt.Sprintf("spoilt at %d", at)
		checkFilled(t, j, what)
		written := true
		for n := range 3 {
			k, e := intent(fmt.Sprint("new-", n))
			written = written && j.Append(t.Context(), k, e) == nil
		}
		require.NoError(t, j.Close())
		if !written {
			failed++ // It has said so.
			continue
		}
		j, err = boltjournal.Open(path, owner)
		require.NoError(t, err, what)
		history, err := j.History(t.Context(), key("items"))
		require.NoError(t, err, what)
		require.Len(t, history, 6, what)
		require.NoError(t, j.Close())
		sound++
	}
	t.Logf("%d refused at once, %d when written to, %d sound", refused, failed, sound)
	require.NotZero(t, refused)
	require.NotZero(t, sound)
}

// FuzzOpen: whatever was written into a file, it is refused, or all that was
// promised is there. Nothing panics, and nothing is invented.
func FuzzOpen(f *testing.F) {
	for _, at := range []uint32{0, 16, 4096, 8192, 12_288, 20_000, 40_000} {
		f.Add(at, []byte{0xff}, uint32(0), []byte{})
		f.Add(at, []byte("\x00\x00\x00\x00\x00\x00\x00\x00"), at+64, []byte("entries"))
	}
	f.Fuzz(func(t *testing.T, at uint32, patch []byte, at2 uint32, patch2 []byte) {
		path := filled(t)
		file, err := os.ReadFile(path)
		require.NoError(t, err)
		copy(file[int64(at)%int64(len(file)):], patch)
		copy(file[int64(at2)%int64(len(file)):], patch2)
		require.NoError(t, os.WriteFile(path, file, 0o600))
		j, err := boltjournal.Open(path, owner)
		if err != nil {
			return
		}
		checkFilled(t, j, "patched")
		require.NoError(t, j.Close())
	})
}

// A power cut tears the last write at any sector, and applies what was not
// synced in any order: what was acknowledged before is there, or the file is
// refused. Nothing is invented.
func TestTornWrites(t *testing.T) {
	const sector = 512
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, path)
	for n := range 49 {
		require.NoError(t, j.Append(t.Context(), key("run"), batch.Entry{Seq: n + 1, Kind: batch.EntryAttempt,
			Fingerprint: strings.Repeat("x", 200)}))
	}
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	witness, err := os.ReadFile(path + ".written")
	require.NoError(t, err)
	require.NoError(t, j.Append(t.Context(), key("run"), batch.Entry{Seq: 50, Kind: batch.EntryDone}))
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, j.Close())
	before = append(before, make([]byte, len(after)-len(before))...)

	var data, meta []int // the sectors that differ; bolt syncs the data before it writes a meta page
	for at := 0; at < len(after); at += sector {
		if !bytes.Equal(before[at:at+sector], after[at:at+sector]) {
			if at < 2*os.Getpagesize() {
				meta = append(meta, at)
			} else {
				data = append(data, at)
			}
		}
	}
	require.NotEmpty(t, data)
	require.NotEmpty(t, meta)
	kept := map[int]int{}
	tear := func(sectors []int, mayRefuse bool) {
		t.Helper()
		torn := bytes.Clone(before)
		for _, at := range sectors {
			copy(torn[at:at+sector], after[at:at+sector])
		}
		copyPath := filepath.Join(t.TempDir(), "journal")
		require.NoError(t, os.WriteFile(copyPath, torn, 0o600))
		require.NoError(t, os.WriteFile(copyPath+".written", witness, 0o600))
		j, err := boltjournal.Open(copyPath, owner)
		if err != nil {
			require.True(t, mayRefuse, "sectors %v: %v", sectors, err)
			kept[-1]++
			return
		}
		history, err := j.History(t.Context(), key("run"))
		require.NoError(t, err)
		require.NoError(t, j.Close())
		require.Contains(t, []int{49, 50}, len(history), "sectors %v", sectors)
		kept[len(history)]++
	}
	for n := range len(data) + 1 {
		tear(data[:n], false)
		tear(data[len(data)-n:], false)
	}
	for range 100 {
		rand.Shuffle(len(data), func(a, b int) { data[a], data[b] = data[b], data[a] })
		tear(data[:rand.IntN(len(data)+1)], false)
	}
	for n := range len(meta) + 1 {
		tear(append(slices.Clone(data), meta[:n]...), false)
	}
	for range 100 { // A disk that does not honour the order: refused, or right.
		all := append(slices.Clone(data), meta...)
		rand.Shuffle(len(all), func(a, b int) { all[a], all[b] = all[b], all[a] })
		tear(all[:rand.IntN(len(all)+1)], true)
	}
	require.NotZero(t, kept[49])
	require.NotZero(t, kept[50])
	t.Logf("%d with 49 entries, %d with 50, %d refused", kept[49], kept[50], kept[-1])
}

// A file that is cut while a journal has it open fails every call, and kills
// no process.
func TestAFileThatIsCutWhileItIsOpenIsAnError(t *testing.T) {
	path := filled(t)
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	for size := 0; size < len(whole); size += 4096 {
		path := filepath.Join(t.TempDir(), "journal")
		require.NoError(t, os.WriteFile(path, whole, 0o600))
		j, err := boltjournal.Open(path, owner)
		require.NoError(t, err)
		require.NoError(t, os.Truncate(path, int64(size)))
		for name, call := range map[string]func() error{
			"History": func() error { _, err := j.History(t.Context(), key("run")); return err },
			"Append": func() error {
				return j.Append(t.Context(), key("run"), batch.Entry{Seq: 21, Kind: batch.EntryAttempt,
					Claims: []string{"x"}})
			},
			"Next": func() error { _, err := j.Next(t.Context(), "ids", 1); return err },
			"Open": func() (err error) {
				for _, failed := range j.Open(t.Context(), owner.Name, owner.Account) {
					err = failed
				}
				return err
			},
			"Erase": func() error {
				_, err := j.Erase(t.Context(), func(batch.Item) bool { return true })
				return err
			},
			"Prune": func() error {
				_, err := j.Prune(t.Context(), time.Now(), func(batch.History) error { return nil })
				return err
			},
		} {
			require.Error(t, call(), "%s of %d bytes", name, size)
		}
		_ = j.Close()
		again, err := boltjournal.Open(path, owner)
		if err == nil {
			_ = again.Close()
		}
	}
}

func TestADamagedHistoryHidesNoOther(t *testing.T) {
	for name, spoil := range map[string]func(tx *bbolt.Tx) error{
		"an entry": func(tx *bbolt.Tx) error {
			history := tx.Bucket([]byte("histories")).
				Bucket([]byte(`{"provider":"test","account":"sandbox.test/1","reference":"b"}`))
			first, text := history.Cursor().First()
			return history.Put(first, bytes.Replace(text, []byte("intent"), []byte("tentin"), 1))
		},
		"items": func(tx *bbolt.Tx) error {
			items := tx.Bucket([]byte("items"))
			first, text := items.Cursor().First()
			return items.Put(first, bytes.Replace(text, []byte("item"), []byte("mite"), 1))
		},
		"all of it": func(tx *bbolt.Tx) error {
			return tx.Bucket([]byte("histories")).
				DeleteBucket([]byte(`{"provider":"test","account":"sandbox.test/1","reference":"b"}`))
		},
	} {
		t.Run(name, func(t *testing.T) {
			j := open(t, filepath.Join(t.TempDir(), "journal"))
			for _, reference := range []string{"b", "a", "c"} {
				k, e := intent(reference)
				if reference == "b" {
					e.Draft = &batch.Draft{Items: []batch.Item{{Reference: "item"}}}
				}
				require.NoError(t, j.Append(t.Context(), k, e))
			}
			require.NoError(t, boltjournal.DB(j).Update(spoil))
			var good, bad []string
			for open, err := range j.Open(t.Context(), owner.Name, owner.Account) {
				if err != nil {
					require.ErrorContains(t, err, "damaged")
					bad = append(bad, open.Key.Reference)
				} else {
					good = append(good, open.Key.Reference)
				}
			}
			require.Equal(t, []string{"a", "c"}, good)
			require.Equal(t, []string{"b"}, bad)
		})
	}
}

// Bolt follows every number of a page: a damaged one could fill the memory,
// which kills the process. Open looks first.
func TestNoPageIsFollowedThatIsDamaged(t *testing.T) {
	path := filled(t)
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true})
	require.NoError(t, err)
	require.NoError(t, boltjournal.CheckPages(db, bytes.NewReader(whole)))

	size := os.Getpagesize()
	numbers := regexp.MustCompile(`0x[0-9a-f]+|\d+|"(\\.|[^"\\])*"`)
	refused := map[string][]byte{} // a file that is refused, for each reason
	for at := 2 * size; at < len(whole); at++ {
		if at%size >= 48 { // The header and the first elements of a page.
			continue
		}
		for _, other := range []byte{whole[at] ^ 0x01, whole[at] ^ 0x10, whole[at] ^ 0x80, ^whole[at], 0} {
			spoilt := bytes.Clone(whole)
			spoilt[at] = other
			if err := boltjournal.CheckPages(db, bytes.NewReader(spoilt)); err != nil {
				reason := err.Error()
				reason = reason[len(regexp.MustCompile(`^(page \d+: )*`).FindString(reason)):]
				refused[numbers.ReplaceAllString(reason, "n")] = spoilt
			}
		}
	}
	require.NoError(t, db.Close())

	reasons := []string{
		"page n is not one of its n pages",
		"page n says that it is page n",
		"page n is longer than the file",
		"page n is used twice",
		"key n is out of order",
		"half a bucket",
		"a small bucket that is not a leaf",
		"kind n is not one of a bucket",
		"a key or a value is outside of it",
		"no page is below it",
		"a key is outside of it",
		"it has more keys than fit",
		"page n is of kind n, not the list of free pages",
		"page n lists more free pages than fit",
		"free page n is not one of its n pages",
	}
	require.ElementsMatch(t, reasons, slices.Collect(maps.Keys(refused)))
	for _, reason := range reasons {
		copied := filepath.Join(t.TempDir(), "journal")
		require.NoError(t, os.WriteFile(copied, refused[reason], 0o600))
		_, err := boltjournal.Open(copied, owner)
		require.ErrorContains(t, err, "is damaged or no journal", reason)
		_, err = boltjournal.Look(copied, owner)
		require.ErrorContains(t, err, "is damaged or no journal", reason)
	}
}
