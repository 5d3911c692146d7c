package toypay_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchhttp"
	"github.com/batchway/batchway-go/batch/batchtest"
	"github.com/batchway/batchway-go/examples/toypay"
	"github.com/batchway/batchway-go/examples/toypay/toypaytest"
)

var falseGuard = flag.Bool("false-guard", false, "the service pays a batch again that is submitted again")

// sim is the simulator as the suite sees it.
type sim struct{ *toypaytest.Server }

func (s sim) Requests() int           { return s.Log.Count("") }
func (s sim) Submits() int            { return s.Log.Count("SubmitBatch") }
func (s sim) Moved() map[string]int   { return s.Accepted() }
func (s sim) Break(f batchtest.Fault) { s.BreakSubmit(f) }
func (s sim) Finish()                 { s.FinishAll() }
func (s sim) Say(word string)         { s.SayStatus(word) }
func (s sim) Settle()                 { s.Clock.Advance(24 * time.Hour) }

var references atomic.Int64

func newDraft(items int) batch.Draft {
	n := references.Add(1)
	d := batch.Draft{Reference: fmt.Sprintf("run-%d", n), Direction: batch.Pay}
	for i := range items {
		d.Items = append(d.Items, batch.Item{Reference: fmt.Sprintf("item-%d-%d", n, i), Account: "62000000",
			Amount: batch.Money{Minor: int64(1000 + i), Currency: "ZAR"}})
	}
	return d
}

func open(t testing.TB, server *toypaytest.Server) *toypay.Provider {
	t.Helper()
	client, err := toypay.New(toypay.Config{Key: batchhttp.NewSecret(toypaytest.Key), BaseURL: server.URL})
	require.NoError(t, err)
	return toypay.NewProvider(client)
}

// TestConformance proves the thirteen laws, the guard and the abilities.
func TestConformance(t *testing.T) {
	batchtest.Run(t, func(t *testing.T) batchtest.Subject {
		server := toypaytest.New(toypaytest.Options{SubmitsTwice: *falseGuard})
		t.Cleanup(server.Close)
		return batchtest.Subject{
			Provider: open(t, server),
			Draft:    newDraft,
			Secrets:  []string{toypaytest.Key},
			Reopen:   func() batch.Provider { return open(t, server) },
			Sim:      sim{server},
		}
	})
}

// TestAFalseGuardIsCaught runs the suite on a service that pays twice, in a
// process of its own, because it must fail.
func TestAFalseGuardIsCaught(t *testing.T) {
	program, err := os.Executable()
	require.NoError(t, err)
	out, err := exec.CommandContext(t.Context(), program, "-test.run", "^TestConformance$", "-false-guard").
		CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "--- FAIL: TestConformance/Guard")
	require.Contains(t, string(out), "money moved 2 times; Info.Guard says that the second is refused")
}

// TestALostReply shows Run where the reply of the submit is lost.
func TestALostReply(t *testing.T) {
	server := toypaytest.New(toypaytest.Options{})
	defer server.Close()
	server.BreakSubmit(batchtest.LostAfter)
	d := newDraft(2)
	d.Items[1].Account = "closed"
	report, err := batch.Run(context.Background(), open(t, server), d, &batch.RunOptions{
		Journal: batch.NewMemoryJournal(),
		Watch:   batch.WatchOptions{Interval: time.Millisecond},
		Observe: func(e batch.Event) {
			if e.Phase == batch.PhaseWait {
				server.FinishAll()
			}
		},
	})
	require.NoError(t, err)
	require.Equal(t, batch.OutcomePaid, report.Results[0].Outcome)
	require.Equal(t, batch.OutcomeFailed, report.Results[1].Outcome)
	require.Equal(t, map[string]int{d.Items[0].Reference: 1}, server.Ledger.Moved())
}
