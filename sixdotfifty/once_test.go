package sixdotfifty_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchhttp"
	"github.com/batchway/batchway-go/batch/batchsim"
	"github.com/batchway/batchway-go/sixdotfifty"
	"github.com/batchway/batchway-go/sixdotfifty/sixdotfiftytest"
)

// A draft is a batch of one payment, in a simulator with both clients.
type draft struct {
	pay         *sixdotfifty.Client
	redemptions *sixdotfifty.RedemptionsClient
	account     string // of the merchant
	id, payment string
}

func newDraftAt(ctx context.Context, t *testing.T, server *sixdotfiftytest.Server) *draft {
	t.Helper()
	d := &draft{pay: newClient(t, server.Config())}
	var err error
	d.redemptions, err = sixdotfifty.NewRedemptions(server.RedemptionsConfig())
	require.NoError(t, err)
	accounts, err := d.redemptions.Accounts(ctx)
	require.NoError(t, err)
	d.account = accounts[0].ID
	b, err := d.pay.CreateBatch(ctx, sixdotfifty.BatchRequest{Name: "first", ExternalID: "first"})
	require.NoError(t, err)
	_, err = d.pay.AddPayments(ctx, b.ID, addOne("27821231234"))
	require.NoError(t, err)
	payments, err := d.pay.ListPayments(ctx, b.ID)
	require.NoError(t, err)
	d.id, d.payment = b.ID, payments[0].ID
	return d
}

func addOne(msisdn string) sixdotfifty.AddPaymentsRequest {
	return sixdotfifty.AddPaymentsRequest{Payments: []sixdotfifty.NewPayment{{MSISDN: msisdn, Amount: 250,
		ExternalID: "to-" + msisdn}}}
}

// onces are the operations that are sent at most once, each with the read that
// its documentation names: how often it has happened.
var onces = map[string]struct {
	call func(context.Context, *draft) error
	done func(context.Context, *draft) (int, error)
}{
	"CreateBatch": {func(ctx context.Context, d *draft) error {
		return second(d.pay.CreateBatch(ctx, sixdotfifty.BatchRequest{Name: "second", ExternalID: "second"}))
	}, func(ctx context.Context, d *draft) (n int, err error) {
		for b, err := range d.pay.ListBatches(ctx, sixdotfifty.ListBatchesOptions{ExternalID: "second"}) {
			if n++; err != nil || b.StatusCode != sixdotfifty.BatchDraft {
				return n, err
			}
		}
		return n, nil
	}},
	"UpdateBatch": {func(ctx context.Context, d *draft) error {
		return second(d.pay.UpdateBatch(ctx, d.id, sixdotfifty.BatchRequest{Name: "other"}))
	}, func(ctx context.Context, d *draft) (int, error) {
		b, err := d.pay.GetBatch(ctx, d.id)
		return strings.Count(string(b.Name), "other"), err
	}},
	"AddPayments": {func(ctx context.Context, d *draft) error {
		return second(d.pay.AddPayments(ctx, d.id, addOne("27821231235")))
	}, func(ctx context.Context, d *draft) (int, error) {
		payments, err := d.pay.ListPayments(ctx, d.id)
		return len(payments) - 1, err
	}},
	"SubmitBatch": {func(ctx context.Context, d *draft) error { return second(d.pay.SubmitBatch(ctx, d.id)) },
		func(ctx context.Context, d *draft) (int, error) {
			b, err := d.pay.GetBatch(ctx, d.id)
			return strings.Count(string(b.StatusCode), "CLOSED"), err
		}},
	"CancelBatch": {func(ctx context.Context, d *draft) error { return second(d.pay.CancelBatch(ctx, d.id)) },
		func(ctx context.Context, d *draft) (int, error) {
			b, err := d.pay.GetBatch(ctx, d.id)
			return strings.Count(string(b.StatusCode), "CANCELLED"), err
		}},
	"DeletePayment": {func(ctx context.Context, d *draft) error { return second(d.pay.DeletePayment(ctx, d.payment)) },
		func(ctx context.Context, d *draft) (int, error) {
			_, err := d.pay.GetPayment(ctx, d.payment)
			if errors.Is(err, batch.ErrNotFound) {
				return 1, nil
			}
			return 0, err
		}},
	"RedemptionsInitiatePayment": {func(ctx context.Context, d *draft) error {
		return second(d.redemptions.InitiatePayment(ctx, sixdotfifty.InitiatePaymentRequest{Amount: 10000,
			CurrencyCode: "DZAR", AccountID: d.account,
			Reference: "ref-1", CountryCode: "ZA"}))
	}, func(ctx context.Context, d *draft) (n int, err error) {
		for _, err := range d.redemptions.Payments(ctx, sixdotfifty.PaymentsOptions{Reference: "ref-1"}) {
			if n++; err != nil {
				return n, err
			}
		}
		return n, nil
	}},
}

func second[T any](_ T, err error) error { return err }

// Each operation that is sent once is sent once under every fault, what is said of
// it is true, and the read that its documentation names tells what became of it.
func TestOnce(t *testing.T) {
	faults := []batchsim.Scenario{"", batchsim.Refused, batchsim.Unauthorized, batchsim.LostBefore, batchsim.LostAfter,
		batchsim.ErrorBefore, batchsim.ErrorAfter,
		batchsim.GarbledAfter, batchsim.TruncatedAfter, batchsim.EchoedAfter, batchsim.LateAfter, batchsim.SilentBefore,
		batchsim.SilentAfter, batchsim.Redirected, batchsim.Unavailable}
	for op, once := range onces {
		for _, fault := range faults {
			t.Run(fmt.Sprint(op, " ", fault), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					server := sixdotfiftytest.New(&sixdotfiftytest.Options{InMemory: true})
					defer server.Close()
					d := newDraftAt(t.Context(), t, server)
					defer d.redemptions.CloseIdleConnections()
					before := server.Log.Count(op)
					if fault != "" {
						server.Kit.Break(op, fault, batchsim.JSON(400, no(400)), batchsim.JSON(401, no(401)))
					}
					err := once.call(t.Context(), d)
					kind, sure := map[batchsim.Scenario]batch.Kind{"": "", batchsim.Refused: batch.ErrInvalid,
						batchsim.Unauthorized: batch.ErrAuth}[fault]
					if !sure {
						kind = batch.ErrAmbiguous
					}
					if op == "AddPayments" && (fault == batchsim.GarbledAfter || fault == "") {
						kind = "" // The reply is not documented, and returned as it came.
					}
					require.Equal(t, kind, batch.KindOf(err), "%v", err)
					require.Equal(t, 1, server.Log.Count(op)-before, "it is sent once")
					time.Sleep(2 * time.Hour) // of the bubble: what is late arrives
					server.Clock.Advance(0)
					happened, err := once.done(t.Context(), d)
					require.NoError(t, err)
					applied := fault == "" || fault == batchsim.LateAfter || strings.HasSuffix(string(fault), " after")
					require.Equal(t, map[bool]int{true: 1}[applied], happened, "the read tells what became of it")
					moved := server.Ledger.Moved()
					require.Equal(t, applied && op == "SubmitBatch", len(moved) == 1, "%v", moved)
				})
			})
		}
	}
}

// No operation that is sent once is missing from the table.
func TestOnceIsWhole(t *testing.T) {
	for _, op := range slices.Concat(sixdotfifty.PayOperations, sixdotfifty.RedemptionsOperations) {
		_, tried := onces[op.Name]
		require.Equal(t, op.Safety == batchhttp.Once, tried, op.Name)
	}
}

// What 6DOT50 could not accept is refused before a request, all of it at once.
func TestLimits(t *testing.T) {
	server := sixdotfiftytest.New(nil)
	t.Cleanup(server.Close)
	client := newClient(t, server.Config())
	const number = "must be a mobile number: 8 to 15 digits with the country code, no plus and no leading zero"
	add := func(change func(*sixdotfifty.NewPayment)) error {
		r := addOne("27821231234")
		change(&r.Payments[0])
		return second(client.AddPayments(t.Context(), "no-batch", r))
	}
	for limit, c := range map[string]struct {
		err  error
		want []string
	}{
		"a batch has a name": {second(client.CreateBatch(t.Context(), sixdotfifty.BatchRequest{ExternalID: "x"})),
			[]string{"name: is empty"}},
		"an update has a field": {second(client.UpdateBatch(t.Context(), "x", sixdotfifty.BatchRequest{})),
			[]string{"name: or externalId is required"}},
		"a number has a country": {add(func(p *sixdotfifty.NewPayment) { p.MSISDN = "0821231234" }),
			[]string{`item 0 ("to-27821231234"): msisdn: ` + number}},
		"no plus": {add(func(p *sixdotfifty.NewPayment) { p.MSISDN = "+27821231234" }),
			[]string{`item 0 ("to-27821231234"): msisdn: ` + number}},
		"an amount above 0": {add(func(p *sixdotfifty.NewPayment) { p.Amount = 0 }),
			[]string{`item 0 ("to-27821231234"): amount: must be positive`}},
		"both of a referral": {add(func(p *sixdotfifty.NewPayment) { p.ReferralAmount = 1 }),
			[]string{`item 0 ("to-27821231234"): referralMsisdn: ` + number}},
		"the amount of a referral": {add(func(p *sixdotfifty.NewPayment) { p.ReferralMSISDN = "27821231236" }),
			[]string{`item 0 ("to-27821231234"): referralAmount: must be positive, and goes with referralMsisdn`}},
		"names in UTF-8": {add(func(p *sixdotfifty.NewPayment) {
			p.FirstName, p.LastName, p.ExternalID = "\xe9", "\xe9", "\xe9"
		}),
			[]string{"item 0 (\"\\xe9\"): externalId: must be UTF-8", "item 0 (\"\\xe9\"): firstname: must be UTF-8",
				"item 0 (\"\\xe9\"): lastname: must be UTF-8"}},
		"a batch in UTF-8": {
			second(client.CreateBatch(t.Context(), sixdotfifty.BatchRequest{Name: "\xe9", ExternalID: "\xe9"})),
			[]string{"name: must be UTF-8", "externalId: must be UTF-8"}},
		"an update in UTF-8": {second(client.UpdateBatch(t.Context(), "x", sixdotfifty.BatchRequest{Name: "\xe9"})),
			[]string{"name: must be UTF-8"}},
		"all at once": {
			second(client.AddPayments(t.Context(), "x",
				sixdotfifty.AddPaymentsRequest{Payments: []sixdotfifty.NewPayment{{},
					{ExternalID: "a", MSISDN: "27821231234", Amount: 1},
					{ExternalID: "a", MSISDN: "2", Amount: -1}}})),
			[]string{"item 0: msisdn: " + number, "item 0: amount: must be positive", `item 2 ("a"): msisdn: ` + number,
				`item 2 ("a"): amount: must be positive`, `item 2 ("a"): externalId: must be unique`}},
	} {
		require.Equal(t, c.want, faultsOf(t, c.err), limit)
	}
	require.Zero(t, server.Log.Count(""))
	b, err := client.CreateBatch(t.Context(), sixdotfifty.BatchRequest{Name: "x"})
	require.NoError(t, err)
	_, err = client.AddPayments(t.Context(), b.ID,
		sixdotfifty.AddPaymentsRequest{Payments: []sixdotfifty.NewPayment{{MSISDN: "27821231234", Amount: 1},
			{MSISDN: "27821231234", Amount: 1, ReferralAmount: 1, ReferralMSISDN: "123456789012345"},
			{MSISDN: "12345678", Amount: 1}}})
	require.NoError(t, err, "at the limits, and the same number twice")
}
