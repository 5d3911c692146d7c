package campaign

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchsim"
	"github.com/batchway/batchway-go/batch/boltjournal"
)

// repeated are replies with which a service repeats a credential, in some mix
// of escapes.
func repeated(secret string) []batchsim.Reply {
	half := secret[:len(secret)/2]
	rest := secret[len(half):]
	var entities strings.Builder
	for _, r := range rest {
		fmt.Fprintf(&entities, "&#%d;", r)
	}
	var all []batchsim.Reply
	for _, words := range []string{secret, half + entities.String(),
		strings.ReplaceAll(url.QueryEscape(secret), "e", "%65")} {
		quoted := must(json.Marshal("no: " + words + "\n"))
		for _, status := range []int{200, 400, 422} {
			body := fmt.Sprintf(
				`{"code":%[1]s,"message":%[1]s,"context":%[1]s,"reason":%[1]s,"statusCode":%[2]d,"errorCode":%[1]s,"id":%[1]s,
				"status":"error","type":"error","errors":{"x":%[1]s},"valid":false,"batches":[{"batch_id":%[1]s,"batch_status":%[1]s}]}`, quoted, status)
			reply := batchsim.JSON(status, body)
			reply.Header.Set("X-Request-Id", words)
			reply.Header.Set("Location", "https://"+half+".test/"+secret)
			all = append(all, reply)
		}
		all = append(all, batchsim.Reply{Status: 400, Header: http.Header{"Content-Type": {"text/plain"}},
			Body: []byte(words)})
	}
	return all
}

// TestNoSinkHoldsACredential: whatever a service repeats, no credential is in
// anything that a user keeps, prints or sends on: a provider and what holds it,
// an error and its causes, a batch, a report, a dossier and the journal's files.
func TestNoSinkHoldsACredential(t *testing.T) {
	for _, w := range worlds {
		plain := w.open(rand.New(rand.NewPCG(1, 2)))
		operations, count := len(slices.Concat(plain.steps, plain.reads)), len(repeated(plain.secrets[0]))
		plain.close()
		for op := range operations {
			t.Run(fmt.Sprint(w.name, " ", op), func(t *testing.T) {
				for n := -1; n < count; n++ {
					if n > 0 && (n+op)%2 > 0 { // Each reply comes from every other operation.
						continue
					}
					synctest.Test(t, func(t *testing.T) { repeatCredentials(t, w, op, n) })
				}
			})
		}
	}
}

// repeatCredentials runs a batch while one operation repeats what it was sent
// (n is -1) or answers with the nth reply.
func repeatCredentials(t *testing.T, w world, op, n int) {
	s := w.open(rand.New(rand.NewPCG(1, 2)))
	defer s.close()
	fault := batchsim.Fault{Op: s.operation(op), Phase: batchsim.AfterApply, Act: batchsim.Echo}
	var replies []batchsim.Reply
	var canaries []string                  // of the secret, every piece of it
	for _, secret := range s.secrets[:1] { // Others are what tokens begin with.
		replies = append(replies, repeated(secret)...)
		for at := range len(secret) - 11 {
			canaries = append(canaries, secret[at:at+12])
		}
	}
	if n >= 0 {
		fault.Act, fault.Reply = batchsim.Answer, replies[n]
	}
	s.kit.Inject(fault)
	p, d := s.provider(), s.draft(1, 2)
	path := filepath.Join(t.TempDir(), "journal")
	file := must(boltjournal.Open(path, p.Info()))
	journal := batch.NewMemoryJournal()
	if n < 1 { // A file syncs, which takes long.
		journal = file
	}
	type holder struct{ hidden any }
	shown := []string{batchsim.Prints(p), batchsim.Prints(holder{p}), batchsim.Prints(p.Info())}
	show := func(v any, err error) {
		shown = append(shown, batchsim.Prints(v))
		for ; err != nil; err = errors.Unwrap(err) {
			shown = append(shown, batchsim.Prints(err), err.Error())
		}
	}
	withoutNative := func(r batch.Report, err error) {
		for _, results := range [][]batch.Result{r.Results, r.Unmatched} {
			for n := range results {
				results[n].Native = nil // As the service wrote it.
			}
		}
		show(r, err)
	}
	o := &batch.RunOptions{Journal: journal, ReconcileFor: 1}
	b, err := batch.Start(t.Context(), p, d, o)
	show(b, err)
	withoutNative(p.Report(t.Context(), b))
	polled, err := p.Poll(t.Context(), b)
	show(polled, err)
	desk := batch.NewDesk(p, journal)
	for pending, err := range desk.Pending(t.Context()) {
		show(pending, err)
	}
	for history, err := range journal.Open(t.Context(), p.Info().Name, p.Info().Account) {
		show(history, err)
	}
	require.NoError(t, file.Close())
	for _, file := range []string{path, path + ".written"} {
		shown = append(shown, string(must(os.ReadFile(file))))
	}
	if batchsim.Leak(canaries, shown...) == "" {
		return
	}
	for _, text := range shown {
		for line := range strings.Lines(text) {
			if leaked := batchsim.Leak(canaries, line); leaked != "" {
				t.Fatalf("%s under reply %d: %s in %s", fault.Op, n, leaked, line)
			}
		}
	}
}
