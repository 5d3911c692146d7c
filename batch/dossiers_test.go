package batch_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
)

// openCases are batches that a replacement finds open on the first morning, with
// what the dossier says and nothing else. follow does what it says.
var openCases = []struct {
	name, word string
	change     func(s *stuck)
	draft      func(d *batch.Draft)
	desk       func(t *testing.T, k *batch.Desk, d batch.Dossier) // what others have done
	later      time.Duration
	follow     func(t *testing.T, c openCase)
	moved      int
}{
	{name: "The service was down", word: "ok",
		change: func(s *stuck) { s.create = &batch.Error{Kind: batch.ErrUnavailable, Message: "no route to host"} },
		follow: func(t *testing.T, c openCase) { c.s.create = nil; c.resume(t) }, moved: 1},
	{name: "The reply to the draft was lost", word: "ok",
		change: func(s *stuck) { s.create = &batch.Error{Kind: batch.ErrAmbiguous, Message: "the connection broke"} },
		follow: func(t *testing.T, c openCase) { c.s.create = nil; c.resume(t) }, moved: 1},
	{name: "The service has refused an account", word: "ok",
		change: func(s *stuck) {
			s.create = &batch.Error{Kind: batch.ErrInvalid, Status: 400, Code: "E7", Message: "refused",
				Fields: []batch.FieldError{{Item: 1, Reference: "b", Field: "account", Message: "acc-b is closed"}}}
		},
		follow: func(t *testing.T, c openCase) {
			c.s.create = nil
			d := wages("june", "a")
			d.Replaces = "june"
			_, err := batch.Run(t.Context(), c.s, d, c.o)
			require.NoError(t, err)
		}, moved: 1},
	{name: "One of two people has approved", word: "ok",
		draft: func(d *batch.Draft) { d.Author, d.Approvals = "eve", 2 },
		desk: func(t *testing.T, k *batch.Desk, d batch.Dossier) {
			require.NoError(t, k.Approve(t.Context(), "june", batch.Approval{Operator: "ada", Digest: d.Digest}))
		},
		follow: func(t *testing.T, c openCase) {
			require.NoError(t, c.k.Approve(t.Context(), "june", batch.Approval{Operator: "bob", Digest: c.d.Digest}))
			c.resume(t)
		}, moved: 1},
	{name: "The time for it is over", word: "refused", later: 2 * time.Hour,
		draft:  func(d *batch.Draft) { d.NotAfter = time.Date(2000, 1, 1, 1, 0, 0, 0, time.UTC) },
		follow: func(t *testing.T, c openCase) { c.resolve(t, decision(batch.Abandon)) }},
	{name: "The reply to the submit was lost", word: "lost",
		follow: func(t *testing.T, c openCase) {
			_, err := batch.Resume(t.Context(), c.s, "june", c.o)
			require.ErrorIs(t, err, batch.ErrAmbiguous)
			c.resolve(t, decision(batch.Resend)) // As the support has answered.
			c.s.script = []string{"ok"}
			c.resume(t)
		}, moved: 1},
	{name: "The same, and the service refuses a second submit", word: "lost",
		change: func(s *stuck) { s.info.Guard, s.absent = batch.GuardRefuses, batch.StateDraft },
		follow: func(t *testing.T, c openCase) {
			time.Sleep(16 * time.Minute)
			c.s.script = []string{"guarded"}
			c.resume(t)
		}, moved: 1},
	{name: "A colleague has decided to send again", word: "lost",
		desk: func(t *testing.T, k *batch.Desk, _ batch.Dossier) {
			_, err := k.Resolve(t.Context(), "june", decision(batch.Resend))
			require.NoError(t, err)
		},
		follow: func(t *testing.T, c openCase) { c.s.script = []string{"ok"}; c.resume(t) }, moved: 1},
	{name: "Its end never comes", word: "ok",
		change: func(s *stuck) { s.pends = true; s.flip("b", batch.OutcomePending) },
		desk: func(t *testing.T, k *batch.Desk, _ batch.Dossier) {
			require.NoError(t, k.Note(t.Context(), "june", batch.Note{Operator: "ada", Text: "case 4711"}))
		},
		follow: func(t *testing.T, c openCase) {
			c.resolve(t, closing(map[string]batch.Outcome{"b": batch.OutcomeFailed}))
		}, moved: 1},
	{name: "The report has a client that was not asked for", word: "ok",
		change: func(s *stuck) { s.report = &batch.Error{Kind: batch.ErrProtocol, Message: "one client was added"} },
		follow: func(t *testing.T, c openCase) { c.resolve(t, closing(nil)) }, moved: 1},
}

// An openCase is one of them, as the replacement has it.
type openCase struct {
	s *stuck
	o *batch.RunOptions
	k *batch.Desk
	d batch.Dossier
}

func (c openCase) resume(t *testing.T) {
	t.Helper()
	_, err := batch.Resume(t.Context(), c.s, "june", c.o)
	require.NoError(t, err)
}

func (c openCase) resolve(t *testing.T, d batch.Decision) {
	t.Helper()
	_, err := c.k.Resolve(t.Context(), "june", d)
	require.NoError(t, err)
}

// A person who has only the dossiers knows what to do: what each of ten says is
// in testdata/dossiers.txt, and following it closes each case, with money moved
// once at the most.
func TestTenDossiersSayWhatToDo(t *testing.T) {
	var page strings.Builder
	for _, c := range openCases {
		synctest.Test(t, func(t *testing.T) {
			s := &stuck{ledger: newLedger(c.word)}
			s.info.Terms = map[string]string{"merchant": "12"}
			if c.change != nil {
				c.change(s)
			}
			draft := wages("june", "a", "b")
			if c.draft != nil {
				c.draft(&draft)
			}
			o := &batch.RunOptions{Journal: batch.NewMemoryJournal(), ReconcileFor: time.Second}
			if _, err := batch.Start(t.Context(), s, draft, o); err == nil {
				for range 2 {
					for _, err := range batch.Settle(t.Context(), s, o) {
						_ = err // The dossier tells.
					}
				}
			}
			k := batch.NewDesk(s, o.Journal)
			if c.desk != nil {
				c.desk(t, k, pending(t, s, o.Journal)[0])
			}
			time.Sleep(c.later)
			open := pending(t, s, o.Journal)
			require.Len(t, open, 1, c.name)
			d := open[0]
			fmt.Fprintf(&page, "# %s\n\nstanding: %s\nnext:     %s\n", c.name, d.Standing, d.Next)
			for _, a := range d.Approvals {
				fmt.Fprintf(&page, "approved: %s\n", a.Operator)
			}
			for _, n := range d.Notes {
				fmt.Fprintf(&page, "note:     %s: %s\n", n.Operator, n.Text)
			}
			for _, v := range d.Decisions {
				fmt.Fprintf(&page, "decided:  %s, by %s (%s)\n", v.Verdict, v.Operator, v.Reason)
			}
			fmt.Fprintf(&page, "\n%s\n", d.Ticket())

			c.follow(t, openCase{s, o, k, d})
			require.Empty(t, pending(t, s, o.Journal), c.name)
			require.Equal(t, c.moved, s.moved(), c.name)
		})
	}
	want, err := os.ReadFile(filepath.Join("testdata", "dossiers.txt"))
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(string(want), page.String()))
}
