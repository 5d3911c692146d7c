package snapbill_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchsim"
	"github.com/batchway/batchway-go/snapbill"
	"github.com/batchway/batchway-go/snapbill/snapbilltest"
)

// dropped stands for a field that is not there.
type absent struct{}

var dropped absent

// odd are values that a field should not have.
var odd = []any{nil, "odd", "", 7, 12.5, true, []any{1}, map[string]any{"a": nil}, dropped}

// paths lists the fields of a reply, in all depths: "batch.totals.paid". Of a list
// it takes the first row.
func paths(v any, prefix string) []string {
	object, _ := v.(map[string]any)
	if rows, ok := v.([]any); ok && len(rows) > 0 {
		return paths(rows[0], prefix)
	}
	var all []string
	for _, field := range slices.Sorted(maps.Keys(object)) {
		all = append(all, prefix+field)
		all = append(all, paths(object[field], prefix+field+".")...)
	}
	return all
}

// distort replaces one field of a reply.
func distort(path string, value any) func(batchsim.Reply) batchsim.Reply {
	return func(r batchsim.Reply) batchsim.Reply {
		var body any
		if json.Unmarshal(r.Body, &body) != nil {
			return r
		}
		v, fields := body, strings.Split(path, ".")
		for n, field := range fields {
			if rows, ok := v.([]any); ok && len(rows) > 0 {
				v = rows[0]
			}
			object, ok := v.(map[string]any)
			if !ok || object[field] == nil && n < len(fields)-1 {
				return r
			}
			if n < len(fields)-1 {
				v = object[field]
			} else if object[field] = value; value == dropped {
				delete(object, field)
			}
		}
		r.Body, _ = json.Marshal(body)
		return r
	}
}

// replies are those of a smooth run to one operation, as JSON.
func replies(t *testing.T, op string) (found []any) {
	t.Helper()
	bubble(t, snapbilltest.Options{Autoplay: 1}, func(t *testing.T, server *snapbilltest.Server,
		client *snapbill.Client) {
		server.Inject(batchsim.Fault{Op: op, Phase: batchsim.AfterApply, Act: batchsim.Lie,
			Alter: func(r batchsim.Reply) batchsim.Reply {
				var v any
				require.NoError(t, json.Unmarshal(r.Body, &v))
				found = append(found, v)
				return r
			}})
		p, err := snapbill.NewProvider(client, snapbill.ProviderConfig{PaymentMethod: "netcash", Account: "10608",
			BatchType: "two-day"})
		require.NoError(t, err)
		d := dueDraft(server, 2)
		_, err = batch.Run(t.Context(), p, d, nil)
		require.NoError(t, err)
	})
	return found
}

// The fields of each reply that may keep a batch from being created, submitted,
// polled and reported without an error. All others decide nothing.
var deciding = map[string][]string{
	"ListBatches": {"class", "code", "list", "numpages", "page", "type"},
	// A batch that is made otherwise than asked is a draft that a person looks at.
	"AddBatch": {"batch", "batch.action_date", "batch.id", "batch.payment_method.code", "class", "code", "type"},
	"GetBatch": {"batch", "batch.account", "batch.account.id", "batch.action_date",
		// if they are decimals
		"batch.amounts.bounce", "batch.amounts.paid", "batch.amounts.pending", "batch.amounts.refuted",
		"batch.amounts.total",
		"batch.amounts_cents", "batch.amounts_cents.bounce", "batch.amounts_cents.paid", "batch.amounts_cents.pending",
		"batch.amounts_cents.refuted", "batch.amounts_cents.total",
		"batch.currency", "batch.currency.code", "batch.id", "batch.options", "batch.options.type",
		"batch.payment_method", "batch.payment_method.code", "batch.state",
		"batch.totals", "batch.totals.bounce", "batch.totals.paid", "batch.totals.pending", "batch.totals.refuted",
		"batch.totals.total", "class", "code", "type"},
	"ListPayments": {"class", "code", "list", "list.amount", "list.amount_cents", "list.batch", "list.batch.id",
		"list.client", "list.client.number",
		"list.currency.code", "list.id", "list.state", "numpages", "page", "type"},
	"UpdateBatch": nil, // A read decides.
}

// Each field of each reply is distorted, one at a time, all the way from Create to
// Report. Only those that decide matter. Whatever is distorted, no client is debited
// twice, no payment is reported as another than it is, no other row is touched, and
// once the replies are right again, a batch that was submitted is found and reported.
func TestEveryFieldDistorted(t *testing.T) {
	matter := make(map[string][]string)
	for op := range deciding {
		fields := make(map[string]bool)
		for _, reply := range replies(t, op) {
			for _, path := range paths(reply, "") {
				fields[path] = true
			}
		}
		for _, path := range slices.Sorted(maps.Keys(fields)) {
			smooth, values := true, odd
			if strings.Count(path, ".") > 2 { // Deep inside, where nothing decides.
				values = []any{nil, 7, map[string]any{"a": nil}}
			}
			for _, value := range values {
				bubble(t, snapbilltest.Options{Autoplay: 1}, func(t *testing.T, server *snapbilltest.Server,
					client *snapbill.Client) {
					server.Inject(batchsim.Fault{Op: op, Phase: batchsim.AfterApply, Act: batchsim.Lie,
						Alter: distort(path, value)})
					err := survives(t, server, client, fmt.Sprintf("%s: %s is %v", op, path, value))
					smooth = smooth && err == nil
				})
			}
			if !smooth {
				matter[op] = append(matter[op], path)
			}
		}
	}
	for op, want := range deciding {
		assert.Equal(t, want, matter[op], op)
	}
}

// The same where the reply to the submit is lost, and every read after it is
// distorted: the batch is never given up, never sent again, and found once the
// replies are right again.
func TestEveryFieldDistortedInDoubt(t *testing.T) {
	for _, op := range []string{"GetBatch", "ListPayments"} {
		for _, path := range paths(replies(t, op)[0], "") {
			for _, value := range []any{nil, "odd", 7, dropped} {
				bubble(t, snapbilltest.Options{Autoplay: 1, Resubmit: snapbilltest.ResubmitQueued},
					func(t *testing.T, server *snapbilltest.Server, client *snapbill.Client) {
						alter := distort(path, value)
						server.Inject(batchsim.Fault{Op: op, Phase: batchsim.AfterApply, Act: batchsim.Lie,
							Alter: func(r batchsim.Reply) batchsim.Reply {
								if len(server.Accepted()) == 0 {
									return r
								}
								return alter(r)
							}})
						server.Inject(batchsim.Fault{Op: "UpdateBatch", Nth: 1, Phase: batchsim.AfterApply,
							Act: batchsim.Reset})
						_ = survives(t, server, client, fmt.Sprintf("%s: %s is %v, in doubt", op, path, value))
						require.Len(t, server.Accepted(), 2)
						require.Equal(t, 1, server.Log.Count("UpdateBatch"))
					})
			}
		}
	}
}

// Whatever field of a reply repeats the password, it is shown nowhere.
func TestNoFieldShowsTheLogin(t *testing.T) {
	for op := range deciding {
		for _, path := range paths(replies(t, op)[0], "") {
			if strings.Count(path, ".") > 2 {
				continue
			}
			bubble(t, snapbilltest.Options{Autoplay: 1, Password: "canary-5512-password"},
				func(t *testing.T, server *snapbilltest.Server, client *snapbill.Client) {
					alter := distort(path, "canary-5512-password\n")
					armed := false
					server.Inject(batchsim.Fault{Op: op, Phase: batchsim.AfterApply, Act: batchsim.Lie,
						Alter: func(r batchsim.Reply) batchsim.Reply {
							if !armed {
								return r
							}
							return alter(r)
						}})
					p, err := snapbill.NewProvider(client, snapbill.ProviderConfig{PaymentMethod: "netcash",
						Account: "10608", BatchType: "two-day"})
					require.NoError(t, err)
					for _, arm := range []string{"Create", "Submit", "Poll"} {
						armed = arm == "Create"
						b, createErr := p.Create(t.Context(), dueDraft(server, 1))
						armed = arm != "Poll"
						submitted, submitErr := p.Submit(t.Context(), b)
						armed = true
						polled, pollErr := p.Poll(t.Context(), submitted)
						report, reportErr := p.Report(t.Context(), polled)
						cancelled, cancelErr := p.Cancel(t.Context(), b)
						text, err := json.Marshal([]any{b, submitted, polled, report, cancelled})
						require.NoError(t, err)
						shown := fmt.Sprint(string(text), createErr, submitErr, pollErr, reportErr, cancelErr)
						require.NotContains(t, shown, "canary", "%s: %s", op, path)
					}
				})
		}
	}
}

// survives runs a batch among lies, and then without them. It returns the first
// error among the lies.
func survives(t *testing.T, server *snapbilltest.Server, client *snapbill.Client, what string) error {
	t.Helper()
	p, err := snapbill.NewProvider(client, snapbill.ProviderConfig{PaymentMethod: "netcash", Account: "10608",
		BatchType: "two-day"})
	require.NoError(t, err)
	d := dueDraft(server, 2)
	o := &batch.RunOptions{Journal: batch.NewMemoryJournal(), ReconcileFor: 10 * time.Second,
		Watch: batch.WatchOptions{MaxFailures: 3}}
	debited := func() int {
		moved := server.Accepted()
		require.Equal(t, moved[d.Items[0].Account], moved[d.Items[1].Account], what)
		require.LessOrEqual(t, moved[d.Items[0].Account], 1, what)
		return moved[d.Items[0].Account]
	}
	honest := func(report batch.Report, err error) {
		for n, result := range report.Results {
			allowed := []batch.Outcome{batch.OutcomePaid, batch.OutcomePending, batch.OutcomeUnknown}
			if debited() == 0 {
				allowed = allowed[1:]
			}
			require.Contains(t, allowed, result.Outcome, "%s: %v", what, err)
			if n > 0 && report.Batch.State == batch.StateDone && err == nil {
				require.Equal(t, batch.OutcomePaid, result.Outcome, what)
			}
		}
		if err != nil && report.Batch.State == batch.StateDraft {
			require.Zero(t, debited(), "%s: %v", what, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
	defer cancel()
	report, first := batch.Run(ctx, p, d, o)
	honest(report, first)
	if first == nil {
		require.Equal(t, 1, debited(), what)
		require.Equal(t, 2, report.Totals[batch.OutcomePaid].Count, what)
		return nil
	}
	submitted := debited() == 1
	server.Heal()
	ctx, cancel = context.WithTimeout(t.Context(), 24*time.Hour)
	defer cancel()
	report, err = batch.Resume(ctx, p, d.Reference, o)
	honest(report, err)
	if submitted {
		require.NoError(t, err, what)
	}
	if err == nil {
		require.Equal(t, 1, debited(), what)
		require.Equal(t, 2, report.Totals[batch.OutcomePaid].Count, what)
	}
	return first
}
