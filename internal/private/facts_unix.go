//go:build unix

package private

import (
	"io/fs"
	"syscall"
)

func factsOf(info fs.FileInfo) (f facts, known bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return facts{}, false
	}
	return facts{info.Mode(), int(stat.Uid), int(stat.Gid), uint64(stat.Nlink)}, true //nolint:unconvert // It has other types on other systems.
}
