package pgtest

import "syscall"

// free is how many bytes a directory's file system has left.
func free(directory string) (uint64, error) {
	var s syscall.Statfs_t
	err := syscall.Statfs(directory, &s)
	return s.Bavail * uint64(s.Bsize), err //nolint:gosec // The size of a block is positive.
}
