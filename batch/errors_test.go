package batch_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
)

func TestErrorMatchesItsKindAndItsCause(t *testing.T) {
	err := fmt.Errorf("while paying: %w",
		&batch.Error{Kind: batch.ErrAmbiguous, Err: fmt.Errorf("reply: %w", io.ErrUnexpectedEOF)})
	require.ErrorIs(t, err, batch.ErrAmbiguous)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.NotErrorIs(t, err, batch.ErrUnavailable)
	require.Equal(t, batch.ErrAmbiguous, batch.KindOf(err))
}

// An ambiguous submit whose cause was an unavailable read must never look
// like "unavailable: trying again is safe".
func TestErrorHidesThePromisesOfItsCause(t *testing.T) {
	inner := &batch.Error{Kind: batch.ErrUnavailable, Op: "inner", Err: context.DeadlineExceeded}
	err := error(&batch.Error{Kind: batch.ErrAmbiguous, Op: "outer", Err: fmt.Errorf("then: %w", inner)})

	require.NotErrorIs(t, err, batch.ErrUnavailable)
	require.ErrorIs(t, err, batch.ErrAmbiguous)
	require.ErrorIs(t, err, context.DeadlineExceeded)

	var found *batch.Error
	require.ErrorAs(t, err, &found)
	require.Equal(t, "outer", found.Op)
	var kind batch.Kind
	require.ErrorAs(t, err, &kind)
	require.Equal(t, batch.ErrAmbiguous, kind)

	joined := &batch.Error{Kind: batch.ErrAmbiguous, Err: errors.Join(io.EOF, inner)}
	require.NotErrorIs(t, joined, batch.ErrUnavailable)
	require.ErrorIs(t, joined, io.EOF)
}

func TestUnsupportedMatchesTheStandardError(t *testing.T) {
	require.ErrorIs(t, &batch.Error{Kind: batch.ErrUnsupported}, errors.ErrUnsupported)
	require.NotErrorIs(t, &batch.Error{Kind: batch.ErrInvalid}, errors.ErrUnsupported)
}

func TestKindOfTakesAStrangersErrorForAmbiguous(t *testing.T) {
	require.Equal(t, batch.ErrAmbiguous, batch.KindOf(io.EOF))
	require.Equal(t, batch.Kind(""), batch.KindOf(nil))
}

func TestErrorIsOneLine(t *testing.T) {
	require.Equal(t, "citypay: ProcessBatch: conflict (HTTP 422) B008: Batch failed duplication checks",
		(&batch.Error{Kind: batch.ErrConflict, Provider: "citypay", Op: "ProcessBatch", Status: 422, Code: "B008",
			Message: "Batch failed duplication checks"}).Error())

	var faults []batch.FieldError
	for n := range 12 {
		faults = append(faults, batch.FieldError{Item: n, Reference: fmt.Sprint("r", n), Field: "amount",
			Message: "is negative"})
	}
	faults[0] = batch.FieldError{Item: -1, Field: "reference", Message: "is empty"}
	faults[1].Reference = ""
	require.Equal(t,
		`p: Create: invalid: reference: is empty; item 1: amount: is negative; item 2 ("r2"): amount: is negative; `+
			`item 3 ("r3"): amount: is negative; item 4 ("r4"): amount: is negative; item 5 ("r5"): amount: is negative; `+
			`item 6 ("r6"): amount: is negative; item 7 ("r7"): amount: is negative; item 8 ("r8"): amount: is negative; `+
			`item 9 ("r9"): amount: is negative; and 2 more`,
		batch.Invalid("p", "Create", faults).Error())
	require.NoError(t, batch.Invalid("p", "Create", nil))
	require.Equal(t, "nobody's", batch.FieldError{Item: -1, Message: "nobody's"}.Error())
}

func TestAClaimedNameMatchesErrConflictAlone(t *testing.T) {
	err := &batch.ClaimedError{Name: "id:7", Holder: batch.Key{Reference: "other"}}
	require.ErrorIs(t, err, batch.ErrConflict)
	require.NotErrorIs(t, err, batch.ErrAuth)
}
