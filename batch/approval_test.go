package batch_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
)

// asked is a draft that as many people must approve.
func asked(approvals int) batch.Draft {
	d := oneItem()
	d.Author, d.Approvals = "eve", approvals
	return d
}

func requireUnapproved(t *testing.T, p batch.Provider, d batch.Draft, o *batch.RunOptions, want string) {
	t.Helper()
	report, err := batch.Run(t.Context(), p, d, o)
	var e *batch.Error
	require.True(t, errors.As(err, &e), "%v", err)
	require.Equal(t, batch.ErrConflict, e.Kind)
	require.Equal(t, batch.CodeApprovalNeeded, e.Code)
	require.ErrorContains(t, err, want)
	require.Equal(t, batch.StateDraft, report.Batch.State)
}

// Two people approve what a third has asked for, and then the next Run of any
// process submits it.
func TestTwoPeopleApprove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := newTeller("ok"), &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		desk := batch.NewDesk(s, o.Journal)
		reference := oneItem().Reference
		approve := func(operator, digest string) error {
			return desk.Approve(t.Context(), reference, batch.Approval{Operator: operator, Digest: digest})
		}
		require.ErrorIs(t, approve("ada", "sha256:00"), batch.ErrNotFound)
		requireUnapproved(t, s, asked(2), o, "the batch needs 2 more approvals of the digest sha256:")
		_, err := batch.Resume(t.Context(), s, reference, o)
		require.ErrorIs(t, err, batch.ErrConflict, "the boot loop does not submit it either")
		for settled, err := range batch.Settle(t.Context(), s, o) {
			b := settled.Batch
			require.NoError(t, err)
			require.Equal(t, batch.StateDraft, b.State)
		}
		d := pending(t, s, o.Journal)[0]
		require.Equal(t, batch.StandingDraft, d.Standing)
		require.Equal(t, "wait for 2 more approvals of its digest, and then call Resume; or call Resolve to abandon it",
			d.Next)
		require.Equal(t, "eve", d.Author)
		require.Equal(t, 2, d.Needed)

		require.ErrorContains(t, approve("", d.Digest), "operator: is empty")
		require.ErrorContains(t, approve("ada", "sha256:00"), "look at it again")
		require.ErrorContains(t, approve(" EVE", d.Digest), `" EVE" is the author of the draft`)
		require.NoError(t, approve("ada", d.Digest))
		require.ErrorContains(t, approve("Ada ", d.Digest), `"Ada " has approved already`)
		requireUnapproved(t, s, asked(2), o, "the batch needs 1 more approvals")
		s.info.Terms = map[string]string{"merchant": "2"}
		require.ErrorContains(t, approve("bob", d.Digest), "belongs to other terms")
		s.info.Terms = nil
		require.NoError(t, approve("bob", d.Digest))
		require.Zero(t, s.submits)
		d = pending(t, s, o.Journal)[0]
		require.Len(t, d.Approvals, 2)
		require.Equal(t, batch.Approval{Operator: "ada", Digest: d.Digest, At: time.Now()}, d.Approvals[0])

		ctx, cancel := context.WithCancel(t.Context())
		s.during = cancel
		_, err = batch.Resume(ctx, s, reference, o)
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorContains(t, approve("carl", d.Digest), "the batch was submitted, or may have been")
		_, err = batch.Run(t.Context(), s, asked(2), o)
		require.NoError(t, err)
		require.Equal(t, 1, s.moved())
		require.ErrorContains(t, approve("carl", d.Digest), "the batch is not open any more")
	})
}

// An approval is of exactly one digest: a corrected draft, and other items at
// the service, need new ones.
func TestAnApprovalIsOfExactlyWhatWasSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := newTeller("ok"), &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		desk := batch.NewDesk(s, o.Journal)
		reference := oneItem().Reference
		s.create = &batch.Error{Kind: batch.ErrInvalid}
		_, err := batch.Run(t.Context(), s, asked(1), o)
		require.ErrorIs(t, err, batch.ErrInvalid)
		require.ErrorContains(t, desk.Approve(t.Context(), reference, batch.Approval{Operator: "ada"}),
			"there is no draft to approve so far")
		s.create = nil
		requireUnapproved(t, s, asked(1), o, "1 more")
		before, err := desk.Dossier(t.Context(), reference)
		require.NoError(t, err)

		other := batch.NewMemoryJournal()
		changed := asked(1)
		changed.Items[0].Amount.Minor++
		requireUnapproved(t, s, changed, &batch.RunOptions{Journal: other}, "1 more")
		after, err := batch.NewDesk(s, other).Dossier(t.Context(), reference)
		require.NoError(t, err)
		require.NotEqual(t, before.Digest, after.Digest)
		require.ErrorContains(t, batch.NewDesk(s, other).Approve(t.Context(), reference,
			batch.Approval{Operator: "ada", Digest: before.Digest}), "look at it again")

		s.info.Terms = map[string]string{"merchant": "2"}
		other = batch.NewMemoryJournal()
		requireUnapproved(t, s, asked(1), &batch.RunOptions{Journal: other}, "1 more")
		moved, err := batch.NewDesk(s, other).Dossier(t.Context(), reference)
		require.NoError(t, err)
		require.NotEqual(t, before.Digest, moved.Digest, "another merchant takes the money")
		s.info.Terms = nil

		other = batch.NewMemoryJournal()
		later := asked(1)
		later.Date = time.Date(2000, 1, 2, 0, 0, 0, 0, time.UTC)
		requireUnapproved(t, s, later, &batch.RunOptions{Journal: other}, "1 more")
		moved, err = batch.NewDesk(s, other).Dossier(t.Context(), reference)
		require.NoError(t, err)
		require.NotEqual(t, before.Digest, moved.Digest, "on another day")
		require.Zero(t, s.submits)
	})
}

// A finder finds out itself which items a draft has, as SnapBill does.
type finder struct{ *teller }

func (f finder) Create(ctx context.Context, d batch.Draft) (batch.Batch, error) {
	b, err := f.teller.Create(ctx, d)
	b.Draft.Items = oneItem().Items
	return b, err
}

// People see what they approve: the items as Create has found them, and what was
// asked for as long as there is no draft.
func TestADeskShowsTheDraft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := finder{newTeller("ok")}, &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		s.info.ItemsOptional = true
		desk := batch.NewDesk(s, o.Journal)
		d := asked(1)
		d.Items = nil
		_, err := desk.Draft(t.Context(), d.Reference)
		require.ErrorIs(t, err, batch.ErrNotFound)
		s.create = &batch.Error{Kind: batch.ErrUnavailable}
		_, err = batch.Run(t.Context(), s, d, o)
		require.ErrorIs(t, err, batch.ErrUnavailable)
		seen, err := desk.Draft(t.Context(), d.Reference)
		require.NoError(t, err)
		require.Equal(t, d.Author, seen.Author)
		require.Empty(t, seen.Items)

		s.create = nil
		requireUnapproved(t, s, d, o, "1 more")
		seen, err = desk.Draft(t.Context(), d.Reference)
		require.NoError(t, err)
		require.Equal(t, oneItem().Items, seen.Items)
	})
}

func TestAnApprovedDraftNamesItsAuthor(t *testing.T) {
	d := asked(1)
	d.Author = ""
	_, err := batch.Run(t.Context(), newTeller("ok"), d, nil)
	require.ErrorContains(t, err, "author: is empty")
	d = asked(-1)
	_, err = batch.Run(t.Context(), newTeller("ok"), d, nil)
	require.ErrorContains(t, err, "approvals: is -1; it must be 0 or more")
	d = asked(1)
	d.Author = "e\x00"
	_, err = batch.Run(t.Context(), newTeller("ok"), d, nil)
	require.ErrorContains(t, err, "author:")
	d = oneItem()
	d.NotAfter = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
	_, err = batch.Run(t.Context(), newTeller("ok"), d, nil)
	require.ErrorContains(t, err, "not_after: is of the year 10000")
}

// An approval that was not written down is an error, and after a Submit that may
// have arrived none is taken.
func TestAnApprovalThatIsNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, j := newTeller("lost"), batch.NewMemoryJournal()
		requireUnapproved(t, s, asked(1), &batch.RunOptions{Journal: j}, "1 more")
		approval := batch.Approval{Operator: "ada", Digest: pending(t, s, j)[0].Digest}
		for name, c := range map[string]struct {
			j    batch.Journal
			a    batch.Approval
			kind batch.Kind
		}{
			"no journal": {nil, approval, batch.ErrInvalid},
			"no lock":    {unlockable{j}, approval, batch.ErrUnavailable},
			"no write":   {&failing{j, 1}, approval, batch.ErrUnavailable},
			"no operator": {j, batch.Approval{Operator: " ", Digest: approval.Digest},
				batch.ErrInvalid},
			"a digest that is not its own": {j, batch.Approval{Operator: "ada"}, batch.ErrConflict},
		} {
			err := batch.NewDesk(s, c.j).Approve(t.Context(), "run-1", c.a)
			require.ErrorIs(t, err, c.kind, name)
			var e *batch.Error
			require.ErrorAs(t, err, &e, name)
			for _, f := range e.Fields {
				require.Equal(t, -1, f.Item, name)
			}
			require.Empty(t, pending(t, s, j)[0].Approvals, name)
		}
		require.NoError(t, batch.NewDesk(s, j).Approve(t.Context(), "run-1", approval))
		_, err := batch.Run(t.Context(), s, asked(1), &batch.RunOptions{Journal: j, ReconcileFor: time.Second})
		require.ErrorIs(t, err, batch.ErrAmbiguous)
		approval.Operator = "bob"
		err = batch.NewDesk(s, j).Approve(t.Context(), "run-1", approval)
		require.ErrorIs(t, err, batch.ErrConflict)
		require.ErrorContains(t, err, "was submitted, or may have been")
		_, err = batch.NewDesk(s, j).Resolve(t.Context(), "run-1", decision(batch.Resend))
		require.NoError(t, err)
		require.NoError(t, batch.NewDesk(s, j).Approve(t.Context(), "run-1", approval), "one more Submit may be sent")
	})
}
