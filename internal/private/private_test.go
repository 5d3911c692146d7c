package private

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

var me = user{uid: 1000, groups: []int{2000, 1000}}

func TestDirectoriesOfOthersAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		facts facts
		want  string
	}{
		"ours":                                {facts{0o700, 1000, 1000, 2}, ""},
		"ours, and others read it":            {facts{0o755, 1000, 1000, 2}, ""},
		"root's":                              {facts{0o755, 0, 0, 2}, ""},
		"of another user":                     {facts{0o700, 1001, 1000, 2}, "another user"},
		"of another user, sticky":             {facts{0o777 | fs.ModeSticky, 1001, 1000, 2}, "another user"},
		"others write":                        {facts{0o757, 1000, 1000, 2}, "others can write"},
		"sticky":                              {facts{0o777 | fs.ModeSticky, 0, 0, 2}, ""},
		"our own group writes":                {facts{0o775, 1000, 1000, 2}, ""},
		"our own group writes, of root":       {facts{0o775, 0, 1000, 2}, "others can write"},
		"a group writes":                      {facts{0o770, 1000, 2000, 2}, "others can write"},
		"root's, and our group writes":        {facts{0o775, 0, 2000, 2}, "others can write"},
		"fsGroup":                             {facts{0o775 | fs.ModeSetgid, 0, 2000, 2}, ""},
		"fsGroup, and everybody writes":       {facts{0o777 | fs.ModeSetgid, 0, 2000, 2}, "others can write"},
		"fsGroup of another pod":              {facts{0o775 | fs.ModeSetgid, 0, 3000, 2}, "others can write"},
		"like fsGroup, but of ours":           {facts{0o775 | fs.ModeSetgid, 1000, 2000, 2}, "others can write"},
		"like fsGroup, but of another user":   {facts{0o775 | fs.ModeSetgid, 1001, 2000, 2}, "another user"},
		"a group that we are not in may read": {facts{0o750, 1000, 3000, 2}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, last := range []bool{false, true} {
				want := c.want
				if last && c.facts.mode&fs.ModeSticky != 0 && want == "" {
					want = "others can write"
				}
				fault := me.directoryFault(c.facts, last)
				require.Contains(t, fault, want)
				require.Equal(t, want == "", fault == "")
			}
		})
	}
}

func TestFilesOfOthersAreRefused(t *testing.T) {
	private, shared := facts{0o700, 1000, 1000, 2}, facts{0o775 | fs.ModeSetgid, 0, 2000, 2}
	for name, c := range map[string]struct {
		file, directory facts
		want            string
	}{
		"ours":                              {facts{0o600, 1000, 1000, 1}, private, ""},
		"of another user":                   {facts{0o600, 1001, 1000, 1}, private, "another user"},
		"with a second name":                {facts{0o600, 1000, 1000, 2}, private, "a second name"},
		"others read":                       {facts{0o604, 1000, 1000, 1}, private, "others can read"},
		"a group reads":                     {facts{0o640, 1000, 2000, 1}, private, "others can read"},
		"after fsGroup was applied":         {facts{0o660, 1000, 2000, 1}, shared, ""},
		"in a shared directory, all read":   {facts{0o664, 1000, 2000, 1}, shared, "others can read"},
		"in a shared directory, all others": {facts{0o660, 1000, 3000, 1}, shared, "others can read"},
		"in a shared directory, linked":     {facts{0o660, 1000, 2000, 2}, shared, "a second name"},
	} {
		t.Run(name, func(t *testing.T) {
			fault := me.fileFault(c.file, c.directory)
			require.Contains(t, fault, c.want)
			require.Equal(t, c.want == "", fault == "")
		})
	}
}

func TestEveryDirectoryAboveIsLookedAt(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // Nothing is checked there.
	}
	top := t.TempDir()
	deep := filepath.Join(top, "a", "b")
	require.NoError(t, os.MkdirAll(deep, 0o700))
	require.NoError(t, Directory(deep))
	require.ErrorIs(t, Directory(filepath.Join(deep, "none")), fs.ErrNotExist)

	require.NoError(t, os.Symlink(deep, filepath.Join(top, "link")))
	require.NoError(t, os.Symlink("link", filepath.Join(top, "again")))
	require.NoError(t, Directory(filepath.Join(top, "again")))
	open := filepath.Join(top, "a")
	require.NoError(t, os.Chmod(open, 0o777)) //nolint:gosec // That is what is refused.
	for _, path := range []string{deep, filepath.Join(top, "link"), filepath.Join(top, "again")} {
		require.ErrorContains(t, Directory(path), "others can write to its directory "+open+": chmod go-w it")
	}
	require.NoError(t, os.Chmod(open, 0o777|fs.ModeSticky))
	require.NoError(t, Directory(deep))
	require.ErrorContains(t, Directory(open), "others can write to its directory "+open)

	require.NoError(t, os.Symlink("loop", filepath.Join(top, "loop")))
	require.ErrorContains(t, Directory(filepath.Join(top, "loop")), "too many links")
}

func TestFileHasOneName(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // Nothing is checked there.
	}
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, File(path))
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	require.NoError(t, File(path))
	require.NoError(t, os.Link(path, path+"2"))
	require.ErrorContains(t, File(path), "a second name")
	require.NoError(t, os.Symlink(path, path+"3"))
	require.ErrorContains(t, File(path+"3"), "is not a regular file")
}
