package sixdotfifty_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchsim"
	"github.com/batchway/batchway-go/sixdotfifty"
	"github.com/batchway/batchway-go/sixdotfifty/sixdotfiftytest"
)

// odd are values that a field should not have.
var odd = []any{nil, "odd", 7, 12345.678, true, []any{1}, map[string]any{"a": 1}, dropped}

// distort replaces a field of every object of a reply, also within others.
func distort(field string, value any) func(batchsim.Reply) batchsim.Reply {
	var walk func(any) any
	walk = func(v any) any {
		switch v := v.(type) {
		case []any:
			for n := range v {
				v[n] = walk(v[n])
			}
		case map[string]any:
			for key, inner := range v {
				v[key] = walk(inner)
			}
			if _, has := v[field]; has {
				return with(v, field, value)
			}
		}
		return v
	}
	return func(r batchsim.Reply) batchsim.Reply {
		d := json.NewDecoder(strings.NewReader(string(r.Body)))
		d.UseNumber()
		var v any
		if d.Decode(&v) != nil {
			return r
		}
		r.Body, _ = json.Marshal(walk(v))
		return r
	}
}

// The fields of each reply, by operation, that may keep a batch from being
// created, submitted, polled and reported without an error. All others decide
// nothing.
var deciding = map[string][]string{
	"GetToken":    {"expiresAt", "success", "token"},
	"CreateBatch": {"id"}, // Without the others, the batch is looked up.
	"ListBatches": nil,    // There is none yet.
	// A draft with another sum of referrals is not submitted; what is settled and
	// cancelled is compared with the payments in the last report.
	"GetBatch": {"cancelledAmount", "cancelledCount", "externalId", "id", "paymentsAmount", "paymentsCount",
		"referralsAmount",
		"settledAmount", "settledCount", "statusCode", "summary"},
	// What it answers is not documented.
	"AddPayments": nil,
	// Another batchId is another's payment.
	"ListPayments": {"amount", "batchId", "externalId", "id", "msisdn", "statusCode"},
	"SubmitBatch":  {"externalId", "id", "statusCode"},
}

// Each field of each reply is distorted, one at a time, all the way from Create
// to Report. Only those that decide matter; and whatever is distorted, nothing
// is paid twice, nothing is said to be unpaid that was paid, and once the
// replies are right again the batch is found and reported.
func TestEveryFieldDistorted(t *testing.T) {
	matter := make(map[string][]string)
	for op := range deciding {
		for _, field := range replyFields(t, op) {
			smooth := true
			for _, value := range odd {
				bubble(t, sixdotfiftytest.Options{}, func(t *testing.T, r *run) {
					r.server.Inject(batchsim.Fault{Op: op, Phase: batchsim.AfterApply, Act: batchsim.Lie,
						Alter: distort(field, value)})
					err := survives(t, r, fmt.Sprintf("%s: %s is %v", op, field, value))
					smooth = smooth && err == nil
				})
			}
			if !smooth {
				matter[op] = append(matter[op], field)
			}
		}
	}
	for op, want := range deciding {
		require.ElementsMatch(t, want, matter[op], op)
	}
}

// The same for a batch that was submitted and is open: what decides about its
// state is a short list, and no distorted reply makes it anything but open or
// unknown.
func TestEveryFieldDistortedAfterTheSubmit(t *testing.T) {
	const outsider = "27820000001"
	for _, c := range []struct {
		op, method string
		read       func(context.Context, *sixdotfifty.Provider, batch.Batch) (batch.Batch, error)
		want       []string
	}{
		{"GetBatch", "Poll", func(ctx context.Context, p *sixdotfifty.Provider, b batch.Batch) (batch.Batch, error) {
			return p.Poll(ctx, b)
		}, []string{"externalId", "id", "statusCode"}},
		{"ListBatches", "PollAll", func(ctx context.Context, p *sixdotfifty.Provider, b batch.Batch) (batch.Batch,
			error) {
			many, err := p.PollAll(ctx, []batch.Batch{b, b})
			return many[1], err
		}, []string{"externalId"}}, // What the list does not show is read by itself.
		{"ListBatches", "Find", func(ctx context.Context, p *sixdotfifty.Provider, b batch.Batch) (batch.Batch, error) {
			found, err := p.Find(ctx, b.Draft.Reference)
			if err != nil {
				return b, err
			}
			return found, nil
		}, []string{"externalId", "id", "statusCode"}},
		{"GetBatch", "Report", reported, []string{"externalId", "id", "paymentsAmount", "paymentsCount", "statusCode"}},
		{"ListPayments", "Report", reported, []string{"amount", "batchId", "externalId", "id", "msisdn", "statusCode"}},
		{"ListPayments", "Reconcile", reconciled, []string{"amount", "externalId", "msisdn"}},
		{"GetBatch", "Reconcile", reconciled, []string{"externalId", "id", "paymentsAmount", "paymentsCount",
			"statusCode"}},
	} {
		matter := make(map[string]bool)
		// Whose fields it has.
		for _, field := range replyFields(t, strings.Replace(c.op, "ListBatches", "GetBatch", 1)) {
			for _, value := range odd {
				what := fmt.Sprintf("%s, where %s of %s is %v", c.method, field, c.op, value)
				bubble(t, sixdotfiftytest.Options{NonMembers: []string{outsider}}, func(t *testing.T, r *run) {
					d := newDraft(2)
					b, err := r.p.Create(t.Context(), d)
					require.NoError(t, err)
					b, err = r.p.Submit(t.Context(), b)
					require.NoError(t, err)
					r.server.Inject(batchsim.Fault{Op: c.op, Phase: batchsim.AfterApply, Act: batchsim.Lie,
						Alter: distort(field, value)})
					after, err := c.read(t.Context(), r.p, b)
					matter[field] = matter[field] || err != nil || after.State != batch.StatePending
					require.Contains(t, []batch.State{batch.StatePending, batch.StateUnknown}, after.State,
						"%s: %v", what, err)
					r.server.Heal()
					r.server.FinishAll()
					after.ID, after.Draft = b.ID, b.Draft // Find has no items.
					after, err = r.p.Poll(t.Context(), after)
					require.NoError(t, err, what)
					report, err := r.p.Report(t.Context(), after)
					require.NoError(t, err, what)
					require.Equal(t, 2, report.Totals[batch.OutcomePaid].Count, what)
				})
			}
		}
		maps.DeleteFunc(matter, func(_ string, matters bool) bool { return !matters })
		require.Equal(t, c.want, slices.Sorted(maps.Keys(matter)), "%s among distorted replies to %s", c.method, c.op)
	}
}

func reported(ctx context.Context, p *sixdotfifty.Provider, b batch.Batch) (batch.Batch, error) {
	r, err := p.Report(ctx, b)
	for _, result := range r.Results {
		switch result.Outcome {
		case batch.OutcomeFailed, batch.OutcomeReturned, batch.OutcomeSkipped:
			return r.Batch, fmt.Errorf("reported as %s", result.Outcome)
		}
	}
	return r.Batch, err
}

func reconciled(ctx context.Context, p *sixdotfifty.Provider, b batch.Batch) (batch.Batch, error) {
	b.State = batch.StateUnknown
	return batch.Reconcile(ctx, p, b)
}

// survives pays a batch among lies, and then without them. It returns the first
// error among the lies.
func survives(t *testing.T, r *run, what string) error {
	t.Helper()
	ctx, d := t.Context(), newDraft(2)
	paid := func() int { return r.server.Accepted()[d.Items[0].Reference] }
	b, first := r.p.Create(ctx, d)
	if first != nil {
		require.Zero(t, paid(), what)
		r.server.Heal()
		time.Sleep(time.Minute) // A failed token rests for a while.
		_, err := batch.Run(ctx, r.p, d, r.o)
		if kind := batch.KindOf(err); kind != "" {
			require.Equal(t, batch.ErrConflict, kind, "%s: %v", what, err) // The draft that was left behind.
		}
		require.LessOrEqual(t, paid(), 1, what)
		return first
	}
	b, first = r.p.Submit(ctx, b)
	if first != nil && !errors.Is(first, batch.ErrAmbiguous) {
		require.Zero(t, paid(), "%s: %v", what, first)
	}
	after, err := batch.Reconcile(ctx, r.p, b)
	if first == nil {
		require.Equal(t, 1, paid(), what)
		require.True(t, err == nil && after.State == batch.StateDone, "%s: %v", what, err)
	}
	report, err := r.p.Report(ctx, after)
	if kind := batch.KindOf(err); kind == "" || kind == batch.ErrProtocol {
		require.Len(t, report.Results, 2, "%s: an ErrProtocol is beside the report: %v", what, err)
	}
	for _, result := range report.Results {
		require.NotContains(t, []batch.Outcome{batch.OutcomeFailed, batch.OutcomeReturned, batch.OutcomeSkipped},
			result.Outcome, "%s", what)
	}
	if first == nil {
		first = err
	}
	r.server.Heal()
	b, err = batch.Reconcile(ctx, r.p, b)
	require.NoError(t, err, what)
	require.Equal(t, map[int]batch.State{0: batch.StateDraft, 1: batch.StateDone}[paid()], b.State, what)
	if paid() == 1 {
		report, err = r.p.Report(ctx, b)
		require.NoError(t, err, what)
		require.Equal(t, 2, report.Totals[batch.OutcomePaid].Count, what)
	}
	return first
}

// replyFields lists the names of all fields in the replies to an operation.
func replyFields(t *testing.T, op string) []string {
	t.Helper()
	names := make(map[string]bool)
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, inner := range v {
				walk(inner)
			}
		case map[string]any:
			for key, inner := range v {
				names[key] = true
				walk(inner)
			}
		}
	}
	bubble(t, sixdotfiftytest.Options{}, func(t *testing.T, r *run) {
		r.server.Inject(batchsim.Fault{Op: op, Phase: batchsim.AfterApply, Act: batchsim.Lie,
			Alter: func(reply batchsim.Reply) batchsim.Reply {
				var v any
				if json.Unmarshal(reply.Body, &v) == nil {
					walk(v)
				}
				return reply
			}})
		d := newDraft(1)
		d.Items[0].Extra = map[string]string{"firstname": "Ada", "lastname": "L"}
		_, err := batch.Run(t.Context(), r.p, d, r.o)
		require.NoError(t, err)
	})
	return slices.Sorted(maps.Keys(names))
}

// A null is not an empty list, and a time that is not one is not an expiry that
// has passed. What a payment does not say of its batch is no contradiction.
func TestNothingIsTakenForSomething(t *testing.T) {
	bubble(t, sixdotfiftytest.Options{}, func(t *testing.T, r *run) {
		null := batchsim.Fault{Phase: batchsim.BeforeApply, Act: batchsim.Answer, Reply: batchsim.JSON(200, `null`)}
		r.server.Inject(on("ListBatches", null))
		_, err := r.p.Create(t.Context(), newDraft(1))
		require.ErrorIs(t, err, batch.ErrProtocol)
		require.Zero(t, r.server.Log.Count("CreateBatch"), "there may be a batch of this reference")
		r.server.Heal()
		b, err := r.p.Create(t.Context(), newDraft(1))
		require.NoError(t, err)
		r.server.Inject(on("ListPayments", null))
		_, err = r.p.Cancel(t.Context(), b)
		require.ErrorIs(t, err, batch.ErrProtocol)
		require.Zero(t, r.server.Log.Count("CancelBatch"), "it may hold payments of others")
		r.server.Heal()
		lying(r.server, "ListPayments", set("batchId", nil))
		b, err = r.p.Submit(t.Context(), b)
		require.NoError(t, err)
		_, err = r.p.Report(t.Context(), b)
		require.NoError(t, err)
		r.server.Heal()
		time.Sleep(20 * time.Minute)
		lying(r.server, "GetToken", set("expiresAt", "soon"))
		_, err = r.p.Report(t.Context(), b)
		require.ErrorContains(t, err, `"soon" is not a valid time`)
	})
}

// A service that repeats a credential, or writes lines of its own, in any field
// that reaches an error, a report or a batch.
func TestNoFieldCarriesASecret(t *testing.T) {
	for _, op := range []string{"CreateBatch", "ListBatches", "GetBatch", "ListPayments", "SubmitBatch",
		"CancelBatch"} {
		for _, field := range append(replyFields(t, "GetBatch"), replyFields(t, "ListPayments")...) {
			bubble(t, sixdotfiftytest.Options{NonMembers: []string{"27820000001"}}, func(t *testing.T, r *run) {
				secret := r.server.Config().Secret
				var said []string
				say := func(v ...any) { said = append(said, fmt.Sprintf("%v %+v", v, v)) }
				ctx, d := t.Context(), newDraft(2)
				lie := batchsim.Fault{Op: op, Phase: batchsim.AfterApply, Act: batchsim.Lie,
					Alter: distort(field, secret+"\nlevel=error")}
				other, err := r.p.Create(ctx, newDraft(1))
				require.NoError(t, err)
				r.server.Inject(lie)
				b, err := r.p.Create(ctx, d)
				say(b, err)
				if err != nil {
					r.server.Heal()
					d = newDraft(2)
					b, err = r.p.Create(ctx, d)
					require.NoError(t, err)
					r.server.Inject(lie)
				}
				other, err = r.p.Cancel(ctx, other)
				say(other, err)
				after, err := r.p.Submit(ctx, b)
				say(after, err)
				if err != nil {
					r.server.Heal()
					if after, err = r.p.Submit(ctx, b); err != nil {
						after.State = batch.StateUnknown
					}
					r.server.Inject(lie)
				}
				polled, err := r.p.Poll(ctx, after)
				say(polled, err)
				many, err := r.p.PollAll(ctx, []batch.Batch{after, after})
				say(many, err)
				found, err := r.p.Find(ctx, d.Reference)
				say(found, err)
				for listed, err := range r.p.List(ctx) {
					say(listed, err)
				}
				client := newClient(t, r.server.Config())
				_, err = client.ListPayments(ctx, b.ID)
				say(err)
				for _, err := range client.ListBatches(ctx, sixdotfifty.ListBatchesOptions{}) {
					say(err)
				}
				report, err := r.p.Report(ctx, after)
				for n := range report.Results {
					report.Results[n].Native = nil // What the service wrote, as it came.
				}
				for n := range report.Unmatched {
					report.Unmatched[n].Native = nil
				}
				say(report, err)
				text := strings.Join(said, " ")
				require.NotContains(t, text, secret, "%s of %s", field, op)
				require.NotContains(t, text, "\nlevel=error", "%s of %s", field, op)
			})
		}
	}
}

// The same in rows that cannot be read, and in a batch that cannot be used.
func TestNoFaultCarriesASecret(t *testing.T) {
	bubble(t, sixdotfiftytest.Options{}, func(t *testing.T, r *run) {
		ctx, client, secret := t.Context(), newClient(t, r.server.Config()), r.server.Config().Secret
		answer := func(op, body string) {
			reply := batchsim.JSON(200, strings.ReplaceAll(body, "SECRET", secret))
			r.server.Inject(batchsim.Fault{Op: op, Phase: batchsim.AfterApply, Act: batchsim.Answer, Reply: reply})
		}
		b, err := r.p.Create(ctx, newDraft(1))
		require.NoError(t, err)
		answer("ListPayments",
			`[{"id":"SECRET-1","externalId":"SECRET"},{"id":"2","externalId":"SECRET","msisdn":"SECRET","amount":1,"statusCode":"DRAFT"}]`)
		answer("ListBatches", `[{"id":"SECRET","externalId":"SECRET"}]`)
		_, listed := client.ListPayments(ctx, b.ID)
		report, reported := r.p.Report(ctx, b)
		require.Len(t, report.Unmatched, 2)
		for n := range report.Unmatched {
			report.Unmatched[n].Native = nil
		}
		said := []any{listed, reported, report}
		for _, err := range client.ListBatches(ctx, sixdotfifty.ListBatchesOptions{}) {
			said = append(said, err)
		}
		var e *batch.Error
		require.ErrorAs(t, listed, &e)
		said = append(said, e.Fields[0].Reference)

		r.server.Heal()
		answer("ListBatches", `[]`)
		for _, body := range []string{`{"id":"SECRET","statusCode":null}`, `{"id":"7","statusCode":"SECRET"}`} {
			answer("CreateBatch", body)
			made, err := r.p.Create(ctx, newDraft(1))
			require.ErrorIs(t, err, batch.ErrAmbiguous)
			said = append(said, made, err)
			r.server.Heal()
			answer("ListBatches", `[]`)
		}
		text := fmt.Sprintf("%+v", said)
		require.NotContains(t, text, secret)
		require.NotContains(t, text, number(secret), "as a mobile number")
	})
}

// number is what a secret becomes where a mobile number is expected.
func number(secret string) string { return strings.ReplaceAll(secret, "-", "") }
