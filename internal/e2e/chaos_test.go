package e2e

import (
	"context"
	"database/sql"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchsim"
)

// chaos is what goes wrong.
type chaos struct {
	t        *testing.T
	self     string
	db       *sql.DB
	services []*service
	killed   atomic.Int64 // workers
	cut      atomic.Int64 // database connections
	lost     atomic.Int64 // replies
	decided  atomic.Int64 // by the operator
}

func newChaos(t *testing.T, db *sql.DB, services []*service) *chaos {
	self, err := os.Executable()
	require.NoError(t, err)
	return &chaos{t: t, self: self, db: db, services: services}
}

// worker runs one worker after the other, and kills each at any moment.
func (c *chaos) worker(ctx context.Context) {
	for ctx.Err() == nil {
		// Each lives long enough to do something.
		life := time.Second + time.Duration(float64(*every)*float64(*workers)*rand.ExpFloat64())
		limited, cancel := context.WithTimeout(ctx, life)
		process := exec.CommandContext(limited, c.self) // Its end kills the process with SIGKILL.
		out, _ := process.CombinedOutput()
		if code := process.ProcessState.ExitCode(); code != -1 && ctx.Err() == nil {
			c.t.Logf("a worker ended with code %d: %.2000s", code, out)
		} else {
			c.killed.Add(1)
		}
		cancel()
	}
}

// connections ends sessions of the database, and makes replies get lost.
func (c *chaos) connections(ctx context.Context) {
	ticker := time.NewTicker(*every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		ended, err := c.db.ExecContext(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE pid <> pg_backend_pid() AND backend_type = 'client backend' ORDER BY random() LIMIT 1`)
		if err == nil {
			n, _ := ended.RowsAffected()
			c.cut.Add(n)
		}
		s := c.services[rand.IntN(len(c.services))]
		faults := []batchsim.Scenario{batchsim.LostAfter, batchsim.ErrorAfter, batchsim.ForbiddenAfter,
			batchsim.TruncatedAfter}
		s.breaks(faults[rand.IntN(len(faults))])
		c.lost.Add(1)
	}
}

// operator records what its support says of a
// batch that is unclear: under which ID it has it, or that it never arrived.
func operator(ctx context.Context, desks map[string]*batch.Desk, services []*service, c *chaos) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for _, s := range services {
			for dossier, err := range desks[s.name].Pending(ctx) {
				if err != nil || dossier.Standing != batch.StandingUnclear ||
					// It may still be under way.
					time.Since(dossier.Attempts[len(dossier.Attempts)-1].Began) < 10*time.Second {
					continue
				}
				d := batch.Decision{Verdict: batch.Resend, Operator: "Ada",
					Reason: "the support says that nothing has arrived"}
				switch id := s.has(dossier.Key.Reference); {
				case id == "" && dossier.Guard == batch.GuardRefuses:
					continue // The journal's rules are enough.
				case id != "":
					d = batch.Decision{Verdict: batch.Adopt, BatchID: id, Operator: "Ada",
						Reason: "the support has named it"}
				}
				if _, err := desks[s.name].Resolve(ctx, dossier.Key.Reference, d); err != nil {
					c.t.Logf("%s %s: %s %q: %v", s.name, dossier.Key.Reference, d.Verdict, d.BatchID, err)
				} else {
					c.decided.Add(1)
				}
			}
		}
	}
}

// has is the ID under which the service has taken the batch of a reference on.
func (s *service) has(reference string) string {
	first := s.item(s.name+"-"+reference, 0).Reference
	for _, b := range s.batches() {
		for _, item := range b.Items {
			if item.Reference == first && (s.created || s.accepted()[first] > 0) {
				return b.ID
			}
		}
	}
	return ""
}

// adopt records that a draft at the service is that of a reference.
func (c *chaos) adopt(ctx context.Context, desk *batch.Desk, s *service, reference string) {
	first := s.item(s.name+"-"+reference, 0).Reference
	for _, b := range s.batches() {
		for _, item := range b.Items {
			if item.Reference != first {
				continue
			}
			if _, err := desk.Resolve(ctx, reference, batch.Decision{Verdict: batch.Adopt, BatchID: b.ID,
				Operator: "Ada", Reason: "it is ours"}); err != nil {
				c.t.Logf("%s %s: adopt %q: %v", s.name, reference, b.ID, err)
			} else {
				c.decided.Add(1)
			}
			return
		}
	}
}
