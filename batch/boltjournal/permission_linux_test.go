package boltjournal_test

import (
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch/boltjournal"
)

// A file that may not be read is not called damaged: nobody has to ask the
// service about every batch for that.
func TestOpenSaysWhatTheSystemRefuses(t *testing.T) {
	path := filled(t)
	require.NoError(t, os.Chmod(path, 0))
	if os.Geteuid() == 0 {
		// Root may read anything; this thread is no longer root's.
		require.NoError(t, os.Chmod(filepath.Dir(filepath.Dir(path)), 0o711))
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		require.NoError(t, syscall.Setfsuid(65534))
		defer func() { _ = syscall.Setfsuid(0) }()
	}
	_, err := boltjournal.Open(path, owner)
	require.ErrorIs(t, err, os.ErrPermission)
	require.ErrorContains(t, err, "run as the user who owns it")
	require.NotContains(t, err.Error(), "damaged")
}
