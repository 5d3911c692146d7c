package boltjournal_test

import (
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/boltjournal"
)

// temporary sends the temporary files of a test to a directory of its own.
func temporary(t *testing.T) (directory string) {
	t.Helper()
	directory = t.TempDir()
	t.Setenv("TMPDIR", directory)
	t.Setenv("TMP", directory)
	return directory
}

func empty(t *testing.T, directory string) {
	t.Helper()
	files, err := os.ReadDir(directory)
	require.NoError(t, err)
	require.Empty(t, files)
}

func TestLookSeesWhatTheRunnerHasWritten(t *testing.T) {
	copies, path := temporary(t), filled(t)
	runner := open(t, path)
	j, err := boltjournal.Look(path, owner)
	require.NoError(t, err)
	history, err := j.History(t.Context(), key("run"))
	require.NoError(t, err)
	require.Len(t, history, 20)
	file, err := os.Stat(filepath.Join(copies, func() string {
		files, _ := os.ReadDir(copies)
		return files[0].Name()
	}()))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), file.Mode().Perm())

	err = j.Append(t.Context(), key("new"), batch.Entry{Seq: 1, Kind: batch.EntryIntent})
	require.ErrorIs(t, err, batch.ErrUnsupported)
	require.ErrorContains(t, err, "this is a copy to look at")
	_, err = j.Next(t.Context(), "numbers", 1)
	require.ErrorIs(t, err, batch.ErrUnsupported)
	require.NoError(t, runner.Append(t.Context(), key("new"), batch.Entry{Seq: 1, Kind: batch.EntryIntent}))
	history, err = j.History(t.Context(), key("new"))
	require.NoError(t, err)
	require.Empty(t, history, "the copy is as it was")
	require.NoError(t, j.Close())
	require.NoError(t, j.Close(), "it may be closed twice")
	empty(t, copies)
}

func TestLookRefusesWhatItCannotTrust(t *testing.T) {
	copies, path := temporary(t), filled(t)
	_, err := boltjournal.Look(path, batch.Info{Name: "test", Account: "production/1"})
	require.ErrorContains(t, err, "belongs to")
	nothing := filepath.Join(t.TempDir(), "journal")
	_, err = boltjournal.Look(nothing, owner)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoFileExists(t, nothing)
	for _, text := range []string{"", "short", string(make([]byte, 1<<17))} {
		write(t, nothing, text)
		_, err = boltjournal.Look(nothing, owner)
		require.ErrorContains(t, err, "damaged")
	}
	require.NoError(t, os.Chmod(path, 0o644)) //nolint:gosec // That is what is refused.
	_, err = boltjournal.Look(path, owner)
	require.ErrorContains(t, err, "others can read or write it")
	_, err = boltjournal.Look(path, batch.Info{Name: "test\x00", Account: "1"})
	require.ErrorIs(t, err, batch.ErrInvalid)
	empty(t, copies)
}

// writes calls a function with each write.
type writes func()

func (w writes) Write(text []byte) (int, error) { w(); return len(text), nil }

func TestACopyIsTornIfTheRunnerWritesMeanwhile(t *testing.T) {
	path := filled(t)
	runner, seq := open(t, path), 0
	for _, c := range []struct {
		between func()
		want    error
	}{
		{func() {}, nil},
		{func() {
			seq++
			require.NoError(t, runner.Append(t.Context(), key("new"), batch.Entry{Seq: seq, Kind: batch.EntryIntent}))
		}, boltjournal.ErrTorn},
	} {
		file, err := os.Open(path)
		require.NoError(t, err)
		require.ErrorIs(t, boltjournal.CopyWhole(writes(c.between), file), c.want)
		require.NoError(t, file.Close())
	}
}

// While it is written to, a copy is whole, or Look says that it was not able to
// make one.
func TestLookWhileTheRunnerWrites(t *testing.T) {
	copies, path := temporary(t), filepath.Join(t.TempDir(), "journal")
	runner := open(t, path)
	var written atomic.Int64
	stop, done := make(chan struct{}), make(chan error)
	go func() {
		for n := 1; ; n++ {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			if err := runner.Append(t.Context(), key("run"), batch.Entry{Seq: n, Kind: batch.EntryIntent}); err != nil {
				done <- err
				return
			}
			written.Store(int64(n))
		}
	}()
	for range 10 {
		before := written.Load()
		j, err := boltjournal.Look(path, owner)
		if err != nil {
			require.ErrorContains(t, err, "is written to faster than it can be copied")
			continue
		}
		history, err := j.History(t.Context(), key("run"))
		require.NoError(t, err)
		require.GreaterOrEqual(t, len(history), int(before))
		require.NoError(t, j.Close())
	}
	close(stop)
	require.NoError(t, <-done)
	empty(t, copies)
}

func TestAJournalMoves(t *testing.T) {
	from, to := filled(t), filepath.Join(t.TempDir(), "moved")
	runner := open(t, from)
	require.ErrorContains(t, boltjournal.Move(from, to, owner), "another process has it open")
	require.NoError(t, runner.Close())
	require.NoError(t, boltjournal.Move(from, to, owner))
	_, err := boltjournal.Open(from, owner)
	require.ErrorContains(t, err, "was moved to "+to+": open it there")
	j := open(t, to)
	checkFilled(t, j, "after the move")
	require.NoError(t, j.Append(t.Context(), key("new"), batch.Entry{Seq: 1, Kind: batch.EntryIntent}))
	require.NoError(t, j.Close())
	require.NoError(t, boltjournal.Move(from, to, owner), "what is done is done")
	_, err = boltjournal.Open(from, owner)
	require.ErrorContains(t, err, "was moved to")
	history, err := open(t, to).History(t.Context(), key("new"))
	require.NoError(t, err)
	require.Len(t, history, 1, "a second Move overwrites nothing")

	back := filepath.Join(t.TempDir(), "back")
	require.ErrorContains(t, boltjournal.Move(from, back, owner), "was moved to "+to, "it is in one place")
	require.NoFileExists(t, back)
}

func TestAMoveThatWasInterrupted(t *testing.T) {
	broken := errors.New("the disk is broken")
	for name, interrupt := range map[string]func(t *testing.T, from, to string){
		"before the copy": func(t *testing.T, from, to string) {
			require.NoError(t, os.MkdirAll(filepath.Join(to+".new", "full"), 0o700))
			require.Error(t, boltjournal.Move(from, to, owner))
			require.NoError(t, os.RemoveAll(to+".new"))
		},
		"in the copy": func(t *testing.T, from, to string) {
			require.NoError(t, os.MkdirAll(filepath.Join(to+".new", "full"), 0o700))
			require.Error(t, boltjournal.Move(from, to, owner))
			require.NoError(t, os.RemoveAll(to+".new"))
			write(t, to+".new", "half of it")
		},
		"after the copy": func(t *testing.T, from, to string) {
			require.ErrorIs(t, boltjournal.MoveWith(from, to, owner, func(directory string) error {
				if directory == filepath.Dir(to) {
					return broken
				}
				return nil
			}), broken)
		},
	} {
		t.Run(name, func(t *testing.T) {
			from, to := filled(t), filepath.Join(t.TempDir(), "moved")
			interrupt(t, from, to)
			_, err := boltjournal.Open(from, owner)
			require.ErrorContains(t, err, "was moved to "+to, "two journals of one account are never open")
			require.ErrorContains(t, boltjournal.Move(from, to+"-other", owner), "was moved to "+to)
			require.NoError(t, boltjournal.Move(from, to, owner))
			checkFilled(t, open(t, to), name)
		})
	}
}

func TestMoveRefuses(t *testing.T) {
	from, directory := filled(t), t.TempDir()
	there := filepath.Join(directory, "there")
	write(t, there, "something else")
	require.ErrorContains(t, boltjournal.Move(from, there, owner), "is there already: name a new file")
	require.ErrorIs(t, boltjournal.Move(from, filepath.Join(directory, "none", "journal"), owner), os.ErrNotExist)
	require.ErrorContains(t, boltjournal.Move(from, filepath.Join(directory, "new"),
		batch.Info{Name: "test", Account: "other"}), "belongs to")
	nothing := filepath.Join(directory, "nothing")
	require.ErrorIs(t, boltjournal.Move(nothing, filepath.Join(directory, "new"), owner), os.ErrNotExist)
	require.NoFileExists(t, nothing)
	require.NoError(t, os.Chmod(directory, 0o777)) //nolint:gosec // That is what is refused.
	require.ErrorContains(t, boltjournal.Move(from, filepath.Join(directory, "new"), owner),
		"others can write to its directory")
	checkFilled(t, open(t, from), "nothing has moved")
}

// The kernel goes up from where a link leads, and the checks from the link.
func TestOpenChecksTheDirectoryThatItUses(t *testing.T) {
	top, other := t.TempDir(), t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(other, "inner"), 0o700))
	require.NoError(t, os.Symlink(filepath.Join(other, "inner"), filepath.Join(top, "link")))
	j, err := boltjournal.Open(filepath.Join(top, "link")+"/../journal", owner)
	require.NoError(t, err)
	require.NoError(t, j.Close())
	require.FileExists(t, filepath.Join(top, "journal"))
	require.NoFileExists(t, filepath.Join(other, "journal"))
}
