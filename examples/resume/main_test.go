package main

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

const want = `-- worker 1
create draft
the request has arrived; the process is killed
-- worker 1: signal: killed
-- worker 2
the journal holds november open: unclear. do not send it again: call Resume to ask; if the service cannot tell, ask its support, and record the answer with Resolve
reconcile pending INITIALISED
wait pending QUEUED
wait pending QUEUED
wait pending LOCKED
wait pending LOCKED
wait done COMPLETE
report done COMPLETE
invoice-1 78.01 GBP paid
invoice-2 13.95 GBP paid
invoice-3 120.00 GBP paid
the service has charged invoice-1 1 time(s)
the service has charged invoice-2 1 time(s)
the service has charged invoice-3 1 time(s)
`

func TestMoneyMovesOnce(t *testing.T) {
	program := filepath.Join(t.TempDir(), "resume")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	out, err = exec.CommandContext(t.Context(), program).CombinedOutput()
	require.NoError(t, err, "%s", out)
	if diff := cmp.Diff(want, string(out)); diff != "" {
		t.Errorf("the output is not as wanted (-want +got):\n%s", diff)
	}
}
