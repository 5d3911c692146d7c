package batch_test

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
)

// spellings are other spellings of "Inv-1 a".
var spellings = []string{"inv-1 a", "INV-1 A", " Inv-1 a ", "Inv-1  a", "Inv-1\u00a0a",
	"Inv\u20111 a", "Inv\u20131 a", "Inv\u22121 a",
	"Inv-1\u200b a", "\ufeffInv-1 a", "\u202eInv-1 a", "Ｉｎｖ－１ ａ"}

// unspellable cannot be compared with another spelling.
var unspellable = map[string]string{
	"Jose\u0301":   "holds the combining character U+0301; it must be in Unicode normal form NFC",
	"\u304b\u3099": "holds the combining character U+3099",
	"\u30cf\u309a": "holds the combining character U+309A",
	"\u1100\u1161": "holds the combining character U+1100",
	"\u200b":       "has no visible character",
	" ":            "has no visible character",
	"a\x00":        "holds the control character U+0000",
}

// Another spelling of an invoice is the same invoice.
func TestAPurposeHasOneSpelling(t *testing.T) {
	for _, other := range spellings {
		synctest.Test(t, func(t *testing.T) {
			s, o := newBiller("ok"), &batch.RunOptions{Journal: batch.NewMemoryJournal()}
			_, err := batch.Run(t.Context(), s, invoice("first", "Inv-1 a"), o)
			require.NoError(t, err)
			requireTaken(t, s, invoice("second", other), o, "first")
			d, err := batch.NewDesk(s, o.Journal).Dossier(t.Context(), "first")
			require.NoError(t, err)
			require.Equal(t, []string{"Inv-1 a"}, d.Purposes, "as the caller has written it")

			both := invoice("both", "Inv-1 a")
			both.Items = append(both.Items, batch.Item{Reference: "b", Account: "acc", Amount: gbp(1), Purpose: other})
			_, err = batch.Run(t.Context(), s, both, o)
			require.ErrorIs(t, err, batch.ErrInvalid)
			require.ErrorContains(t, err, `item 1 ("b"): purpose: is also that of item 0`)
			require.Equal(t, 1, s.submits)
		})
	}
	for _, other := range []string{"Inv-1", "Inv-1a", "Inv 1 a", "Ínv-1 a", "हिन्दी"} {
		synctest.Test(t, func(t *testing.T) {
			s, o := newBiller("ok"), &batch.RunOptions{Journal: batch.NewMemoryJournal()}
			for reference, purpose := range map[string]string{"first": "Inv-1 a", "second": other} {
				_, err := batch.Run(t.Context(), s, invoice(reference, purpose), o)
				require.NoError(t, err, other)
			}
			require.Equal(t, 2, s.submits)
		})
	}
	for purpose, fault := range unspellable {
		_, err := batch.Run(t.Context(), newTeller("ok"), invoice("first", purpose), nil)
		require.ErrorIs(t, err, batch.ErrInvalid)
		require.ErrorContains(t, err, "purpose: "+fault)
	}
}

// The author does not become another person by another spelling, and neither
// does an approver.
func TestAPersonHasOneSpelling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := newTeller("ok"), &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		desk := batch.NewDesk(s, o.Journal)
		d := asked(2)
		d.Author = "Inv-1 a"
		requireUnapproved(t, s, d, o, "2 more")
		dossier, err := desk.Dossier(t.Context(), d.Reference)
		require.NoError(t, err)
		approve := func(operator string) error {
			return desk.Approve(t.Context(), d.Reference, batch.Approval{Operator: operator, Digest: dossier.Digest})
		}
		for _, other := range spellings {
			err := approve(other)
			require.ErrorIs(t, err, batch.ErrConflict)
			require.ErrorContains(t, err, "is the author of the draft")
		}
		for operator, fault := range unspellable {
			err := approve(operator)
			require.ErrorIs(t, err, batch.ErrInvalid)
			require.ErrorContains(t, err, "operator: "+fault)
			other := asked(1)
			other.Author = operator
			_, err = batch.Run(t.Context(), s, other, nil)
			require.ErrorIs(t, err, batch.ErrInvalid)
			require.ErrorContains(t, err, "author: "+fault)
		}
		require.ErrorContains(t, approve(""), "operator: is empty")
		require.NoError(t, approve("Ada Lovelace"))
		require.ErrorContains(t, approve("ADA\u00a0LOVELACE"), "has approved already")
		requireUnapproved(t, s, d, o, "1 more")
		require.NoError(t, approve("Bob"))
		_, err = batch.Run(t.Context(), s, d, o)
		require.NoError(t, err)
	})
}
