package batch_test

import (
	"context"
	"errors"
	"iter"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
)

// able can do everything that is optional.
type able struct{ *teller }

func (able) Find(_ context.Context, reference string) (batch.Batch, error) {
	return batch.Batch{Provider: "teller", ID: "found", State: batch.StatePending,
		Draft: batch.Draft{Reference: reference, Direction: batch.Collect}}, nil
}

func (able) Cancel(_ context.Context, b batch.Batch) (batch.Batch, error) {
	b.State = batch.StateCanceled
	return b, nil
}

func (able) List(context.Context) iter.Seq2[batch.Batch, error] {
	return func(yield func(batch.Batch, error) bool) { yield(batch.Batch{ID: "listed"}, nil) }
}

func (able) SetItems(_ context.Context, b batch.Batch, items []batch.Item) (batch.Batch, error) {
	b.Draft.Items = items
	return b, nil
}

// wrapped hides what it wraps but for Unwrap.
type wrapped struct{ inner batch.Provider }

func (w wrapped) Info() batch.Info       { return w.inner.Info() }
func (w wrapped) Unwrap() batch.Provider { return w.inner }
func (w wrapped) Create(context.Context, batch.Draft) (batch.Batch, error) {
	panic("not asked")
}
func (w wrapped) Submit(context.Context, batch.Batch) (batch.Batch, error) {
	panic("not asked")
}
func (w wrapped) Poll(ctx context.Context, b batch.Batch) (batch.Batch, error) {
	return w.inner.Poll(ctx, b)
}
func (w wrapped) Report(context.Context, batch.Batch) (batch.Report, error) {
	panic("not asked")
}

func TestAbilities(t *testing.T) {
	for name, p := range map[string]batch.Provider{"itself": able{newTeller()},
		"wrapped twice": wrapped{wrapped{able{newTeller()}}}} {
		t.Run(name, func(t *testing.T) {
			found, err := batch.Find(t.Context(), p, "run-1")
			require.NoError(t, err)
			require.Equal(t, "found", found.ID)
			cancelled, err := batch.Cancel(t.Context(), p, found)
			require.NoError(t, err)
			require.Equal(t, batch.StateCanceled, cancelled.State)
			for b, err := range batch.List(t.Context(), p) {
				require.NoError(t, err)
				require.Equal(t, "listed", b.ID)
			}
			edited, err := batch.SetItems(t.Context(), p, found, oneItem().Items)
			require.NoError(t, err)
			require.Len(t, edited.Draft.Items, 1)
		})
	}
}

func TestAbilitiesThatAreMissing(t *testing.T) {
	p := wrapped{newTeller()}
	b := batch.Batch{ID: "kept"}
	_, err := batch.Find(t.Context(), p, "run-1")
	require.ErrorIs(t, err, errors.ErrUnsupported)
	got, err := batch.Cancel(t.Context(), p, b)
	require.ErrorIs(t, err, batch.ErrUnsupported)
	require.Equal(t, b, got)
	got, err = batch.SetItems(t.Context(), p, b, nil)
	require.ErrorIs(t, err, batch.ErrUnsupported)
	require.Equal(t, b, got)
	for _, err := range batch.List(t.Context(), p) {
		require.ErrorIs(t, err, batch.ErrUnsupported)
	}
}

func TestReconcile(t *testing.T) {
	handle := batch.Batch{Provider: "teller", ID: "7", Draft: oneItem(), State: batch.StateUnknown}
	without, draft := handle, handle
	without.ID, draft.State = "", batch.StateDraft
	applied := func(s *teller) { s.applied["run-1"] = 1 }
	for name, c := range map[string]struct {
		batch  batch.Batch
		change func(*teller)
		able   bool
		kind   batch.Kind
		state  batch.State
	}{
		"it landed": {handle, applied, false, "", batch.StatePending},
		"it is still a draft": {handle, func(s *teller) { s.absent = batch.StateDraft }, false, "",
			batch.StateDraft},
		"the service does not know": {handle, func(*teller) {}, false, batch.ErrAmbiguous, batch.StateUnknown},
		"absence proves nothing": {handle, func(s *teller) { s.absent = &batch.Error{Kind: batch.ErrNotFound} },
			false, batch.ErrAmbiguous, batch.StateUnknown},
		"the read failed": {handle, func(s *teller) { s.down = 1 }, false, batch.ErrUnavailable,
			batch.StateUnknown},
		"another batch is shown": {handle, func(s *teller) { s.absent = &batch.Error{Kind: batch.ErrConflict} },
			false, batch.ErrAmbiguous, batch.StateUnknown},
		"the provider has evidence": {draft, func(s *teller) { s.absent = &batch.Error{Kind: batch.ErrAmbiguous} },
			false, batch.ErrAmbiguous, batch.StateUnknown},
		"no id, and Poll needs none": {without, func(s *teller) { s.info.PollsWithoutID = true; applied(s) }, false,
			"", batch.StatePending},
		"no id, found by reference":     {without, applied, true, "", batch.StatePending},
		"no id, and nobody can look up": {without, applied, false, batch.ErrAmbiguous, batch.StateUnknown},
		"of another provider": {batch.Batch{Provider: "other"}, applied, false, batch.ErrInvalid,
			batch.StateUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			s := newTeller()
			c.change(s)
			var p batch.Provider = s
			if c.able {
				p = able{s}
			}
			got, err := batch.Reconcile(t.Context(), p, c.batch)
			require.Equal(t, c.kind, batch.KindOf(err), "%v", err)
			require.Equal(t, c.state, got.State)
			require.Equal(t, c.batch.Draft, got.Draft, "the batch keeps its draft")
			require.Zero(t, s.submits)
		})
	}
}

// asking keeps what Poll was asked.
type asking struct {
	*teller
	asked *[]batch.Batch
}

func (s asking) Poll(ctx context.Context, b batch.Batch) (batch.Batch, error) {
	*s.asked = append(*s.asked, b)
	return s.teller.Poll(ctx, b)
}

// A provider compares everything that it reads of a batch whose state is not
// known; a final state stays final.
func TestReconcileAsksWithoutTrustInTheState(t *testing.T) {
	for state, want := range map[batch.State]batch.State{
		batch.StateDraft: batch.StateUnknown, batch.StatePending: batch.StateUnknown, batch.StateDone: batch.StateDone,
	} {
		s := asking{newTeller(), new([]batch.Batch)}
		s.applied["run-1"] = 1
		b := batch.Batch{Provider: "teller", ID: "7", Draft: oneItem(), State: state}
		_, err := batch.Reconcile(t.Context(), s, b)
		require.NoError(t, err)
		require.Len(t, *s.asked, 1)
		require.Equal(t, want, (*s.asked)[0].State)

		b.Provider = "other"
		got, err := batch.Reconcile(t.Context(), s, b)
		require.ErrorIs(t, err, batch.ErrInvalid)
		require.Equal(t, b, got, "it is returned as it was")
		require.Len(t, *s.asked, 1)
	}
}
