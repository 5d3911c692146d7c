package sixdotfifty_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchsim"
	"github.com/batchway/batchway-go/sixdotfifty"
	"github.com/batchway/batchway-go/sixdotfifty/sixdotfiftytest"
)

func start(t *testing.T, o *sixdotfiftytest.Options) (*sixdotfiftytest.Server, *sixdotfifty.Client,
	*sixdotfifty.Provider) {
	t.Helper()
	server := sixdotfiftytest.New(o)
	t.Cleanup(server.Close)
	client := newClient(t, server.Config())
	p, err := sixdotfifty.NewProvider(client, sixdotfifty.ProviderConfig{})
	require.NoError(t, err)
	return server, client, p
}

func faultsOf(t *testing.T, err error) []string {
	t.Helper()
	var e *batch.Error
	require.ErrorAs(t, err, &e)
	var faults []string
	for _, fault := range e.Fields {
		faults = append(faults, fault.Error())
	}
	return faults
}

func create(t *testing.T, p *sixdotfifty.Provider, d batch.Draft) batch.Batch {
	t.Helper()
	b, err := p.Create(t.Context(), d)
	require.NoError(t, err)
	return b
}

func reply(status int, body string) batchsim.Fault {
	return batchsim.Fault{Nth: 1, Phase: batchsim.BeforeApply, Act: batchsim.Answer, Reply: batchsim.JSON(status, body)}
}

// no is a refusal in documented words.
func no(status int) string {
	return fmt.Sprintf(`{"statusCode":%d,"errorCode":"0","message":"no"}`, status)
}

// on is f for one operation.
func on(op string, f batchsim.Fault) batchsim.Fault { f.Op = op; return f }

// listed is a list of payments that changes on its way.
func listed(change func([]map[string]any) []map[string]any) batchsim.Fault {
	return batchsim.Fault{Op: "ListPayments", Phase: batchsim.AfterApply, Act: batchsim.Lie,
		Alter: func(r batchsim.Reply) batchsim.Reply {
			var list []map[string]any
			_ = json.Unmarshal(r.Body, &list)
			text, _ := json.Marshal(change(list))
			return batchsim.JSON(r.Status, string(text))
		}}
}

// What 6DOT50 could not accept is refused here, all at once, and nothing is
// sent.
func TestBadDrafts(t *testing.T) {
	server, _, p := start(t, nil)
	item := func(reference, account string, minor int64, currency string) batch.Item {
		return batch.Item{Reference: reference, Account: account, Amount: batch.Money{Minor: minor, Currency: currency}}
	}
	good := item("item-1", "27820000001", 100, "DZAR")
	for name, c := range map[string]struct {
		change func(*batch.Draft)
		want   []string
	}{
		"no items": {func(d *batch.Draft) { d.Items = nil }, []string{"items: there are none"}},
		"repeated reference": {func(d *batch.Draft) {
			d.Items = append(d.Items, good)
		}, []string{`item 1 ("item-1"): reference: is also that of item 0`}},
		"mobile numbers": {func(d *batch.Draft) {
			d.Items = []batch.Item{item("0", "+27821231234", 1, "DZAR"), item("1", "0821231234", 1, "DZAR"),
				item("2", "2782123", 1, "DZAR"),
				item("3", "2782123123456789", 1, "DZAR"), item("4", "27 82 123 1234", 1, "DZAR"),
				item("5", "", 1, "DZAR"), item("6", "27821231234", 1, "DZAR")}
		}, []string{`item 5 ("5"): account: is empty`, `item 0 ("0"): account: ` + noNumber,
			`item 1 ("1"): account: ` + noNumber,
			`item 2 ("2"): account: ` + noNumber, `item 3 ("3"): account: ` + noNumber,
			`item 4 ("4"): account: ` + noNumber}},
		"amounts": {func(d *batch.Draft) {
			d.Items = []batch.Item{item("0", "27820000001", 0, "DZAR"), item("1", "27820000001", -5, "DZAR")}
		}, []string{`item 0 ("0"): amount: must be more than zero`, `item 1 ("1"): amount: is negative`}},
		"currency": {func(d *batch.Draft) {
			d.Items[0].Amount.Currency = "ZAR"
		}, []string{`item 0 ("item-1"): currency: is "ZAR", and sixdotfifty takes only DZAR here`}},
		"date": {func(d *batch.Draft) {
			d.Date = time.Now()
		}, []string{"date: must be zero: 6DOT50 pays when a batch is submitted"}},
		"extra": {func(d *batch.Draft) { d.Items[0].Extra = map[string]string{"referralMsisdn": "1"} },
			[]string{`item 0 ("item-1"): extra: sixdotfifty does not know the key "referralMsisdn"`}},
		"a reference": {func(d *batch.Draft) {
			d.Reference = "run.2"
		}, []string{"reference: must be 1 to 64 letters, digits, '_' or '-'"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := batch.Draft{Reference: "run", Direction: batch.Pay, Items: []batch.Item{good}}
			c.change(&d)
			_, err := p.Create(t.Context(), d)
			require.ErrorIs(t, err, batch.ErrInvalid)
			if diff := cmp.Diff(c.want, faultsOf(t, err)); diff != "" {
				t.Errorf("the faults are not as wanted (-want +got):\n%s", diff)
			}
		})
	}
	require.Zero(t, server.Log.Count(""), "nothing is sent")

	// Nor is it submitted, if it was changed since the draft was made.
	b := create(t, p, newDraft(1))
	sent := server.Log.Count("")
	for field, change := range map[string]func(*batch.Draft){
		"date":     func(d *batch.Draft) { d.Date = time.Now() },
		"currency": func(d *batch.Draft) { d.Items[0].Amount.Currency = "ZAR" },
	} {
		changed := b.Clone()
		change(&changed.Draft)
		_, err := p.Submit(t.Context(), changed)
		require.ErrorIs(t, err, batch.ErrInvalid)
		require.ErrorContains(t, err, field)
	}
	require.Equal(t, sent, server.Log.Count(""), "nothing is sent")

	_, err := batch.ParseDecimal("10.005", 2)
	require.ErrorContains(t, err, "more than 2 decimal places", "row 62: never rounded")
	_, err = sixdotfifty.NewProvider(newClient(t, server.Config()), sixdotfifty.ProviderConfig{Currency: "JPY"})
	require.ErrorContains(t, err, "Currency: must have two decimals")
}

const noNumber = "must be a mobile number: 8 to 15 digits with the country code, no plus and no leading zero"

// The same number twice is legal, paid twice, and reported twice.
func TestOneNumberTwice(t *testing.T) {
	server, _, p := start(t, nil)
	d := newDraft(3)
	d.Items[2].Account = d.Items[0].Account
	d.Extra = map[string]string{"name": "Twice"}
	d.Items[0].Extra = map[string]string{"firstname": "Ada", "lastname": "L"}
	report, err := batch.Run(t.Context(), p, d, nil)
	require.NoError(t, err)
	native := report.Results[0].Native.(sixdotfifty.Payment)
	require.Equal(t, native.ID, report.Results[0].ID)
	settled, err := sixdotfifty.ParseTime(native.SettledAt)
	require.NoError(t, err)
	require.Equal(t, settled, report.Results[0].At)
	require.Len(t, report.Results, 3)
	for _, r := range report.Results {
		require.Equal(t, batch.OutcomePaid, r.Outcome)
	}
	require.Len(t, server.Ledger.Effects(), 3)
	require.Contains(t, string(server.Log.Requests("CreateBatch")[0].Body), `"name":"Twice"`)
	require.Contains(t, string(server.Log.Requests("AddPayments")[0].Body), `"firstname":"Ada","lastname":"L"`)
}

// Row 32: a 409 is decided by looking.
func TestRow32ConflictOnCreate(t *testing.T) {
	server, client, p := start(t, nil)
	server.Inject(on("CreateBatch", reply(409, `"conflict"`)))
	_, err := p.Create(t.Context(), newDraft(1))
	require.ErrorIs(t, err, batch.ErrAmbiguous)
	require.Zero(t, server.Log.Count("AddPayments"))

	// Another process makes one between our look and our call.
	d := newDraft(1)
	look := before(t, server, "/batches", 1, func() {
		_, err := client.CreateBatch(context.Background(), sixdotfifty.BatchRequest{Name: "theirs",
			ExternalID: d.Reference})
		require.NoError(t, err)
	})
	_, err = look.Create(t.Context(), d)
	require.ErrorIs(t, err, batch.ErrConflict,
		"row 102: a first create that is told that its id is taken adopts nothing")
	require.ErrorContains(t, err, "another process has made a batch")
	require.Zero(t, server.Log.Count("AddPayments"))
	require.Zero(t, server.Log.Count("CancelBatch"), "and leaves theirs alone")

	// The same, and our call is lost: a draft that is not empty is not ours.
	d = newDraft(1)
	look = before(t, server, "/batches", 1, func() {
		theirs, err := client.CreateBatch(context.Background(), sixdotfifty.BatchRequest{Name: "theirs",
			ExternalID: d.Reference})
		require.NoError(t, err)
		_, err = client.AddPayments(context.Background(), theirs.ID,
			sixdotfifty.AddPaymentsRequest{Payments: []sixdotfifty.NewPayment{{MSISDN: "27820000009", Amount: 1}}})
		require.NoError(t, err)
		server.Inject(batchsim.Fault{Op: "CreateBatch", Nth: 1, Phase: batchsim.BeforeApply, Act: batchsim.Reset})
	})
	_, err = look.Create(t.Context(), d)
	require.ErrorIs(t, err, batch.ErrAmbiguous)
	require.Equal(t, 1, server.Log.Count("AddPayments"), "theirs is all that it holds")
	require.Zero(t, server.Log.Count("CancelBatch"))
}

// before returns a provider before whose nth POST to a path with this end
// something else happens.
func before(t *testing.T, server *sixdotfiftytest.Server, end string, nth int, do func()) *sixdotfifty.Provider {
	config := server.Config()
	config.Middleware = func(next http.RoundTripper) http.RoundTripper {
		return transport(func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, end) {
				if nth--; nth == 0 {
					do()
				}
			}
			return next.RoundTrip(r)
		})
	}
	return newProvider(t, config, sixdotfifty.ProviderConfig{})
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Row 71: a filter that matches more than was asked for is filtered again.
func TestRow71PrefixMatches(t *testing.T) {
	_, _, p := start(t, &sixdotfiftytest.Options{FilterPrefix: true})
	long := newDraft(1)
	long.Reference = "run-77-b"
	create(t, p, long)
	_, err := p.Find(t.Context(), "run-77")
	require.ErrorIs(t, err, batch.ErrNotFound)
	short := newDraft(1)
	short.Reference = "run-77"
	b := create(t, p, short)
	found, err := p.Find(t.Context(), "run-77")
	require.NoError(t, err)
	require.Equal(t, b.ID, found.ID)
}

// Row 72: two batches of one external id are a hard stop.
func TestRow72TwoBatchesOfOneExternalID(t *testing.T) {
	server, _, p := start(t, nil)
	two :=
		`[{"id":"1","externalId":"run","statusCode":"DRAFT","createdAt":"2022-12-13T12:29:39"},{"id":"2","externalId":"run","statusCode":"OPEN","createdAt":"2022-12-13T12:29:39"}]`
	server.Inject(batchsim.Fault{Op: "ListBatches", Phase: batchsim.BeforeApply, Act: batchsim.Answer,
		Reply: batchsim.JSON(200, two)})
	_, err := p.Find(t.Context(), "run")
	require.ErrorIs(t, err, batch.ErrConflict)
	d := newDraft(1)
	d.Reference = "run"
	_, err = p.Create(t.Context(), d)
	require.ErrorIs(t, err, batch.ErrConflict)
	require.Zero(t, server.Log.Count("CreateBatch"))
}

// Row 73: a batch that is not the one that was asked for is looked up, and
// never filled unseen.
func TestRow73AnotherBatchIsAnswered(t *testing.T) {
	for name, body := range map[string]string{
		"another external id": `{"id":"9","name":"x","externalId":"another","statusCode":"DRAFT","createdAt":"2022-12-13T12:29:39"}`,
		"no external id":      `{"id":"9","name":"x","statusCode":"DRAFT","createdAt":"2022-12-13T12:29:39"}`,
		"an id of zeros":      `{"id":"00000000-0000-0000-0000-000000000000","name":"x","statusCode":"DRAFT","createdAt":"2022-12-13T12:29:39"}`,
		"another status":      `{"id":"9","name":"x","externalId":"%s","statusCode":"OPEN","createdAt":"2022-12-13T12:29:39"}`,
		"null":                `null`,
	} {
		t.Run(name, func(t *testing.T) {
			server, _, p := start(t, nil)
			d := newDraft(2)
			body := strings.Replace(body, "%s", d.Reference, 1)
			server.Inject(on("CreateBatch", reply(200, body)))
			_, err := p.Create(t.Context(), d)
			require.ErrorIs(t, err, batch.ErrAmbiguous)
			require.Zero(t, server.Log.Count("AddPayments"))

			d = newDraft(2)
			f := on("CreateBatch", reply(200, strings.Replace(body, "%s", d.Reference, 1)))
			f.Phase = batchsim.AfterApply
			server.Inject(f)
			b := create(t, p, d)
			require.NotEqual(t, "9", b.ID, "the one that is there is ours")
			_, err = p.Submit(t.Context(), b)
			require.NoError(t, err)
		})
	}
}

// Row 74: what differs from the draft is never submitted.
func TestRow74TheSeal(t *testing.T) {
	ctx := t.Context()
	add := func(c *sixdotfifty.Client, b batch.Batch, reference, account string, hundredths int64) error {
		_, err := c.AddPayments(ctx, b.ID,
			sixdotfifty.AddPaymentsRequest{Payments: []sixdotfifty.NewPayment{{MSISDN: account,
				Amount: sixdotfifty.Amount(hundredths), ExternalID: reference}}})
		return err
	}
	remove := func(c *sixdotfifty.Client, b batch.Batch, n int) error {
		payments, err := c.ListPayments(ctx, b.ID)
		if err != nil {
			return err
		}
		_, err = c.DeletePayment(ctx, payments[n].ID)
		return err
	}
	for name, c := range map[string]struct {
		change func(*sixdotfifty.Client, batch.Batch) error
		want   []string // with 0 and 1 for the references of the items
	}{
		"one is missing": {func(c *sixdotfifty.Client, b batch.Batch) error { return remove(c, b, 1) },
			[]string{`item 1 ("1"): payment: is not at the service`,
				"summary: has 1 payments of 100.75 in all at the service, and the batch has 2 of 201.51"}},
		"one is doubled": {func(c *sixdotfifty.Client, b batch.Batch) error {
			return add(c, b, "", "27820000000", 10075)
		},
			[]string{`payment: the service has "", which is not in the batch`,
				"summary: has 3 payments of 302.26 in all at the service, and the batch has 2 of 201.51"}},
		"one cent off": {func(c *sixdotfifty.Client, b batch.Batch) error {
			if err := remove(c, b, 0); err != nil {
				return err
			}
			return add(c, b, b.Draft.Items[0].Reference, "27820000000", 10076)
		}, []string{`item 0 ("0"): amount: is 100.76 at the service, and 100.75 here`,
			"summary: has 2 payments of 201.52 in all at the service, and the batch has 2 of 201.51"}},
		"another number": {func(c *sixdotfifty.Client, b batch.Batch) error {
			if err := remove(c, b, 0); err != nil {
				return err
			}
			return add(c, b, b.Draft.Items[0].Reference, "27820000009", 10075)
		}, []string{`item 0 ("0"): account: is another mobile number at the service`}},
		"another external id": {func(c *sixdotfifty.Client, b batch.Batch) error {
			_, err := c.UpdateBatch(ctx, b.ID, sixdotfifty.BatchRequest{ExternalID: "another"})
			return err
		}, nil},
		"it was cancelled": {func(c *sixdotfifty.Client, b batch.Batch) error {
			_, err := c.CancelBatch(ctx, b.ID)
			return err
		},
			nil},
		"row 103: it was submitted in the portal": {func(c *sixdotfifty.Client, b batch.Batch) error {
			_, err := c.SubmitBatch(ctx, b.ID)
			return err
		},
			nil},
	} {
		t.Run(name, func(t *testing.T) {
			server, client, p := start(t, nil)
			b := create(t, p, newDraft(2))
			require.NoError(t, c.change(client, b))
			before := server.Log.Count("SubmitBatch")
			after, err := p.Submit(ctx, b)
			require.ErrorIs(t, err, batch.ErrConflict)
			state := map[string]batch.State{"it was cancelled": batch.StateCanceled,
				"row 103: it was submitted in the portal": batch.StateDone}[name]
			if state == "" {
				state = batch.StateDraft
			}
			require.Equal(t, state, after.State, "what the read has said")
			require.Equal(t, map[batch.State]string{batch.StateCanceled: "CANCELLED", batch.StateDone: "CLOSED",
				batch.StateDraft: "DRAFT"}[state], after.Native)
			require.Equal(t, before, server.Log.Count("SubmitBatch"), "nothing is submitted")
			var got []string
			for _, fault := range faultsOf(t, err) {
				for n, item := range b.Draft.Items {
					fault = strings.ReplaceAll(fault, item.Reference, fmt.Sprint(n))
				}
				got = append(got, fault)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("the differences are not as wanted (-want +got):\n%s", diff)
			}
		})
	}
}

// Row 74, where nothing else differs, not even count and total.
func TestRow74TheSealOfEachPayment(t *testing.T) {
	set := func(field string, value any) func([]map[string]any) []map[string]any {
		return func(list []map[string]any) []map[string]any { list[1][field] = value; return list }
	}
	for name, c := range map[string]struct {
		change func([]map[string]any) []map[string]any
		want   string // with %[1]q for the reference
	}{
		"another status": {set("statusCode", "SETTLED"), `item 1 (%[1]q): status: is SETTLED at the service`},
		"a referral": {set("referralAmount", 5.5),
			`item 1 (%[1]q): referralAmount: is 5.5 at the service, and must be 0`},
		"a twin": {func(list []map[string]any) []map[string]any {
			twin := maps.Clone(list[1])
			twin["id"] = "twin"
			return append(list, twin)
		}, `payment: the service has %[1]q more than once`},
	} {
		t.Run(name, func(t *testing.T) {
			server, _, p := start(t, nil)
			b := create(t, p, newDraft(2))
			server.Inject(listed(c.change))
			_, err := p.Submit(t.Context(), b)
			require.ErrorIs(t, err, batch.ErrConflict)
			if diff := cmp.Diff([]string{fmt.Sprintf(c.want, b.Draft.Items[1].Reference)},
				faultsOf(t, err)); diff != "" {
				t.Errorf("the differences are not as wanted (-want +got):\n%s", diff)
			}
			require.Zero(t, server.Log.Count("SubmitBatch"), "nothing is submitted")
		})
	}
}

// Row 75: a refusal in documented words that leaves the draft intact is a lack
// of money. Other words are no refusal, and a read decides.
func TestRow75InsufficientFunds(t *testing.T) {
	for form, want := range map[sixdotfiftytest.Errors]batch.Kind{sixdotfiftytest.ErrorsText: batch.ErrAmbiguous,
		sixdotfiftytest.ErrorsString: batch.ErrAmbiguous, sixdotfiftytest.ErrorsModel: batch.ErrFunds} {
		server, _, p := start(t, &sixdotfiftytest.Options{Float: 20000, Errors: form})
		b := create(t, p, newDraft(2))
		b, err := p.Submit(t.Context(), b)
		require.ErrorIs(t, err, want)
		require.ErrorContains(t, err, "Insufficient funds", "the words are shown, even if they decide nothing")
		require.Empty(t, server.Ledger.Effects())
		server.TopUp(10000)
		if want == batch.ErrAmbiguous {
			require.Equal(t, batch.StateUnknown, b.State)
			b, err = batch.Reconcile(t.Context(), p, b)
			require.NoError(t, err)
		}
		require.Equal(t, batch.StateDraft, b.State)
		b, err = p.Submit(t.Context(), b)
		require.NoError(t, err, "after a top-up the same draft can be submitted")
		require.Equal(t, batch.StateDone, b.State)
	}
}

// What a refused submit means is concluded with care: a lack of money only
// where nothing else is documented, and the draft is seen to be intact.
func TestRefusedSubmits(t *testing.T) {
	for name, c := range map[string]struct {
		reply batchsim.Reply
		want  batch.Kind
	}{
		"general":    {batchsim.JSON(400, no(400)), batch.ErrFunds},
		"validation": {batchsim.JSON(400, `{"statusCode":400,"errorCode":"1","message":"no"}`), batch.ErrInvalid},
		"401":        {batchsim.JSON(401, no(401)), batch.ErrAuth},
		"404":        {batchsim.JSON(404, no(404)), batch.ErrNotFound},
	} {
		server, _, p := start(t, nil)
		b := create(t, p, newDraft(1))
		server.Inject(batchsim.Fault{Op: "SubmitBatch", Phase: batchsim.BeforeApply, Act: batchsim.Answer,
			Reply: c.reply})
		b, err := p.Submit(t.Context(), b)
		require.ErrorIs(t, err, c.want, name)
		require.Equal(t, batch.StateDraft, b.State)
	}

	server, client, _ := start(t, nil)
	var b batch.Batch
	p := before(t, server, "/submit", 1, func() {
		payments, err := client.ListPayments(t.Context(), b.ID)
		require.NoError(t, err)
		_, err = client.DeletePayment(t.Context(), payments[0].ID)
		require.NoError(t, err)
		server.Inject(on("SubmitBatch", reply(400, no(400))))
	})
	b = create(t, p, newDraft(2))
	_, err := p.Submit(t.Context(), b)
	require.ErrorIs(t, err, batch.ErrInvalid, "the draft is not intact, so the error does not say that it is")

	p = before(t, server, "/submit", 1, func() {
		_, err := client.CancelBatch(t.Context(), b.ID)
		require.NoError(t, err)
	})
	b = create(t, p, newDraft(2))
	after, err := p.Submit(t.Context(), b)
	require.ErrorIs(t, err, batch.ErrConflict, "another process has cancelled it")
	require.Equal(t, batch.StateCanceled, after.State)
}

// foreign are replies in words that are not 6DOT50's.
var foreign = []batchsim.Reply{
	{},
	{Header: http.Header{"Content-Type": {"text/html"}}, Body: []byte("<html><h1>Forbidden</h1></html>")},
	{Header: http.Header{"Content-Type": {"text/plain"}}, Body: []byte("Insufficient funds")},
	{Header: http.Header{"Content-Type": {"text/plain"}}, Body: []byte(no(400))},
	batchsim.JSON(0, `"Insufficient funds"`),
	batchsim.JSON(0, `{"error":"upstream timeout"}`),
	batchsim.JSON(0, `{"success":false}`),
	batchsim.JSON(0, `{"statusCode":499,"errorCode":"0","message":"Insufficient funds"}`),
	batchsim.JSON(0, `null`),
	batchsim.JSON(0, `[]`),
}

// A reply in other words is no refusal, whatever its status: the batch was paid
// before it came.
func TestForeignWordsRefuseNothing(t *testing.T) {
	server, _, p := start(t, nil)
	statuses := []int{300, 301, 302, 303, 304, 307, 308, 499, 500, 501, 502, 503, 504, 505, 511, 520, 599}
	for status := 400; status <= 431; status++ {
		statuses = append(statuses, status)
	}
	for _, status := range statuses {
		for n, r := range foreign {
			r.Status = status
			b := create(t, p, newDraft(1))
			server.Inject(batchsim.Fault{Op: "SubmitBatch", Nth: 1, Phase: batchsim.AfterApply,
				Act: batchsim.Answer, Reply: r})
			b, err := p.Submit(t.Context(), b)
			require.ErrorIs(t, err, batch.ErrAmbiguous, "%d with reply %d", status, n)
			require.Equal(t, batch.StateUnknown, b.State)
			b, err = batch.Reconcile(t.Context(), p, b)
			require.NoError(t, err)
			require.Equal(t, batch.StateDone, b.State)
		}
	}
}

// Row 76: a 200 that still says DRAFT is no acceptance.
func TestRow76SubmitAnswersDraft(t *testing.T) {
	for _, body := range []string{`{"id":"%s","statusCode":"DRAFT","createdAt":"2022-12-13T12:29:39"}`,
		`{"id":"%s","statusCode":"PAID"}`,
		`{"id":"another","statusCode":"OPEN"}`, `{"statusCode":"OPEN"}`, `null`, `{}`, `[]`} {
		server, _, p := start(t, nil)
		b := create(t, p, newDraft(1))
		server.Inject(on("SubmitBatch", reply(200, strings.Replace(body, "%s", b.ID, 1))))
		b, err := p.Submit(t.Context(), b)
		require.ErrorIs(t, err, batch.ErrAmbiguous, body)
		require.Equal(t, batch.StateUnknown, b.State)
	}
}

// The payments in the reply to a submit are not documented: whatever they are,
// they do not make a success unclear.
func TestTheReplyToASubmitIsReadLeniently(t *testing.T) {
	for _, payments := range []string{`"none"`, `[1]`, `[{"amount":null}]`, `null`, `{"count":1}`} {
		server, _, p := start(t, nil)
		b := create(t, p, newDraft(1))
		server.Inject(on("SubmitBatch",
			reply(200, `{"id":"`+strings.ToUpper(b.ID)+`","statusCode":"CLOSED","payments":`+payments+`}`)))
		b, err := p.Submit(t.Context(), b)
		require.NoError(t, err, payments)
		require.Equal(t, batch.StateDone, b.State)
	}
}

// Row 77: a batch that was submitted does not become a draft again.
func TestRow77AStaleRead(t *testing.T) {
	server, _, p := start(t, &sixdotfiftytest.Options{NonMembers: []string{"27820000000"}})
	b := create(t, p, newDraft(1))
	b, err := p.Submit(t.Context(), b)
	require.NoError(t, err)
	require.Equal(t, batch.StatePending, b.State)
	for _, word := range []string{"DRAFT", "CANCELLED"} { // Only a draft can be cancelled.
		server.SayStatus(word)
		for range 2 {
			b, err = p.Poll(t.Context(), b)
			require.ErrorIs(t, err, batch.ErrProtocol, "a caller who watches is told")
			require.Equal(t, batch.StatePending, b.State)
			require.Equal(t, "OPEN", b.Native)
		}
		report, err := p.Report(t.Context(), b)
		require.ErrorIs(t, err, batch.ErrProtocol)
		require.Equal(t, batch.StatePending, report.Batch.State)
		many, err := p.PollAll(t.Context(), []batch.Batch{b, b})
		require.ErrorIs(t, err, batch.ErrProtocol)
		require.Equal(t, batch.StatePending, many[0].State)
	}
	server.SayStatus("")
	server.FinishAll()
	b, err = batch.Wait(t.Context(), p, b, nil)
	require.NoError(t, err)
	require.Equal(t, batch.StateDone, b.State)
}

// OPEN is not finished, and CLOSED is not paid.
func TestTheEnds(t *testing.T) {
	server, client, p := start(t, &sixdotfiftytest.Options{NonMembers: []string{"27820000001", "27820000002"}})
	ctx := t.Context()
	b := create(t, p, newDraft(3))
	b, err := p.Submit(ctx, b)
	require.NoError(t, err)
	outcomes := func(want ...batch.Outcome) {
		t.Helper()
		report, err := p.Report(ctx, b)
		require.NoError(t, err)
		var got []batch.Outcome
		for _, r := range report.Results {
			got = append(got, r.Outcome)
		}
		require.Equal(t, want, got)
		b = report.Batch
	}
	outcomes(batch.OutcomePaid, batch.OutcomePending, batch.OutcomePending)
	require.Equal(t, batch.StatePending, b.State)
	server.Clock.Advance(59 * 24 * time.Hour)
	server.Join("27820000001")
	outcomes(batch.OutcomePaid, batch.OutcomePaid, batch.OutcomePending)
	require.Equal(t, batch.StatePending, b.State)
	server.Clock.Advance(2 * 24 * time.Hour)
	outcomes(batch.OutcomePaid, batch.OutcomePaid, batch.OutcomeReturned)
	require.Equal(t, batch.StateDone, b.State)
	require.Equal(t, "CLOSED", b.Native)

	cancelled := create(t, p, newDraft(2))
	cancelled, err = p.Cancel(ctx, cancelled)
	require.NoError(t, err)
	b = cancelled
	outcomes(batch.OutcomeSkipped, batch.OutcomeSkipped)
	at, err := client.GetBatch(ctx, b.ID)
	require.NoError(t, err)
	require.Equal(t, sixdotfifty.Text("201.51"), at.Summary.CancelledAmount)
	pending, err := at.Summary.PendingAmount()
	require.NoError(t, err)
	require.Zero(t, pending)
}

// What a payment came to is said by its status and that of its batch together;
// what they cannot both say, and whatever else they say, is unknown.
func TestOutcomes(t *testing.T) {
	const paid, pending, skipped, returned, unknown = batch.OutcomePaid, batch.OutcomePending, batch.OutcomeSkipped,
		batch.OutcomeReturned, batch.OutcomeUnknown
	server, _, p := start(t, &sixdotfiftytest.Options{NonMembers: []string{"27829999999"}})
	d := newDraft(1)
	d.Items[0].Account = "27829999999"
	open, err := p.Submit(t.Context(), create(t, p, d))
	require.NoError(t, err)
	done, err := p.Submit(t.Context(), create(t, p, newDraft(1)))
	require.NoError(t, err)
	cancelled, err := p.Cancel(t.Context(), create(t, p, newDraft(1)))
	require.NoError(t, err)
	batches := []batch.Batch{create(t, p, newDraft(1)), open, done, cancelled}
	for word, want := range map[string][]batch.Outcome{
		"SETTLED":   {paid, paid, paid, paid},
		"DRAFT":     {pending, pending, unknown, unknown},
		"PENDING":   {pending, pending, unknown, unknown},
		"CANCELLED": {skipped, returned, returned, skipped},
		"DELETED":   {skipped, skipped, skipped, skipped},
		"settled":   {unknown, unknown, unknown, unknown},
	} {
		server.Inject(listed(func(list []map[string]any) []map[string]any {
			list[0]["statusCode"] = word
			return list
		}))
		var got []batch.Outcome
		for _, b := range batches {
			report, _ := p.Report(t.Context(), b) // Its error is for TestContradictoryReports.
			got = append(got, report.Results[0].Outcome)
		}
		server.Heal()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf(
				"%s does not mean what is wanted in a batch that is draft, open, closed and cancelled (-want +got):\n%s", word, diff)
		}
	}
}

// Of several batches of one reference the one that was submitted is found, and
// of two that were, neither.
func TestTwoSubmittedBatchesOfOneReference(t *testing.T) {
	const member, outsider = "27820000000", "27820000001"
	_, client, p := start(t, &sixdotfiftytest.Options{NonMembers: []string{outsider}})
	for _, accounts := range [][2]string{{member, member}, {member, outsider}, {outsider, member},
		{outsider, outsider}} {
		d := newDraft(1)
		d.Items[0].Account = accounts[0]
		first, err := p.Submit(t.Context(), create(t, p, d))
		require.NoError(t, err)
		second, err := client.CreateBatch(t.Context(),
			sixdotfifty.BatchRequest{Name: "x", ExternalID: d.Reference + ".2"})
		require.NoError(t, err)
		_, err = client.AddPayments(t.Context(), second.ID,
			sixdotfifty.AddPaymentsRequest{Payments: []sixdotfifty.NewPayment{{MSISDN: accounts[1], Amount: 1}}})
		require.NoError(t, err)
		found, err := p.Find(t.Context(), d.Reference)
		require.NoError(t, err)
		require.Equal(t, first.ID, found.ID)
		_, err = client.SubmitBatch(t.Context(), second.ID)
		require.NoError(t, err)
		_, err = p.Find(t.Context(), d.Reference)
		require.ErrorIs(t, err, batch.ErrConflict)
		require.ErrorContains(t, err, first.ID+" and "+second.ID)
	}
}

// Where a cancelled batch frees its external id, the batch that has it now is
// the one that counts, wherever it is in the list.
func TestAnExternalIDThatWasFreed(t *testing.T) {
	_, client, p := start(t, &sixdotfiftytest.Options{CancelFreesID: true})
	d := newDraft(1)
	older, err := client.CreateBatch(t.Context(), sixdotfifty.BatchRequest{Name: "older"})
	require.NoError(t, err)
	_, err = p.Cancel(t.Context(), create(t, p, d))
	require.NoError(t, err)
	check := func(id string) {
		t.Helper()
		found, err := p.Find(t.Context(), d.Reference)
		require.NoError(t, err)
		require.Equal(t, id, found.ID)
		_, err = p.Create(t.Context(), d)
		require.ErrorIs(t, err, batch.ErrConflict)
		require.ErrorContains(t, err, id)
	}
	_, err = client.UpdateBatch(t.Context(), older.ID, sixdotfifty.BatchRequest{ExternalID: d.Reference})
	require.NoError(t, err)
	check(older.ID)
	_, err = client.CancelBatch(t.Context(), older.ID)
	require.NoError(t, err)
	newer, err := client.CreateBatch(t.Context(), sixdotfifty.BatchRequest{Name: "newer", ExternalID: d.Reference})
	require.NoError(t, err)
	check(newer.ID)
}

func TestAbilities(t *testing.T) {
	server, _, p := start(t, nil)
	ctx := t.Context()
	b := create(t, p, newDraft(2))

	edited, err := batch.SetItems(ctx, p, b, newDraft(3).Items)
	require.NoError(t, err)
	require.Len(t, edited.Draft.Items, 3)
	require.Len(t, b.Draft.Items, 2, "the argument is left alone")
	_, err = p.Submit(ctx, b)
	require.ErrorIs(t, err, batch.ErrConflict, "the old list is no longer what the service has")
	_, err = batch.SetItems(ctx, p, edited, nil)
	require.ErrorIs(t, err, batch.ErrInvalid)
	submitted, err := p.Submit(ctx, edited)
	require.NoError(t, err)
	_, err = batch.Cancel(ctx, p, submitted)
	require.ErrorIs(t, err, batch.ErrConflict)
	require.ErrorContains(t, err, "CLOSED")
	_, err = batch.SetItems(ctx, p, submitted, edited.Draft.Items)
	require.ErrorIs(t, err, batch.ErrConflict)

	// What a cancel has done decides, not what became of its reply.
	second := create(t, p, newDraft(1))
	server.Inject(batchsim.Fault{Op: "CancelBatch", Nth: 1, Phase: batchsim.AfterApply, Act: batchsim.Reset})
	second, err = batch.Cancel(ctx, p, second)
	require.NoError(t, err)
	require.Equal(t, batch.StateCanceled, second.State)

	var listed []string
	for found, err := range batch.List(ctx, p) {
		require.NoError(t, err)
		listed = append(listed, found.Draft.Reference+" "+string(found.State))
	}
	require.Equal(t, []string{second.Draft.Reference + " cancelled", b.Draft.Reference + " done"}, listed)

	found, err := batch.Find(ctx, p, b.Draft.Reference)
	require.NoError(t, err)
	require.Equal(t, batch.StateDone, found.State)
	_, err = batch.Find(ctx, p, "never-made")
	require.ErrorIs(t, err, batch.ErrNotFound)

	polled, err := p.PollAll(ctx, []batch.Batch{submitted, second, create(t, p, newDraft(1))})
	require.NoError(t, err)
	require.Equal(t, []batch.State{batch.StateDone, batch.StateCanceled, batch.StateDraft},
		[]batch.State{polled[0].State, polled[1].State, polled[2].State})
}

// A call that replaces the payments and is late could replace what comes after
// it, even after the last look before a submit. So no draft is used again of
// which that is possible.
func TestItemsThatAreInDoubt(t *testing.T) {
	lost := batchsim.Fault{Op: "AddPayments", Nth: 1, Phase: batchsim.BeforeApply, Act: batchsim.Late,
		Delay: 20 * time.Second}
	unreadable := batchsim.Fault{Op: "ListPayments", Phase: batchsim.BeforeApply, Act: batchsim.Answer,
		Reply: batchsim.Reply{Status: 404}}
	stuck := batchsim.Fault{Op: "CancelBatch", Phase: batchsim.BeforeApply, Act: batchsim.Answer,
		Reply: batchsim.JSON(400, `"no"`)}
	for name, c := range map[string]struct {
		faults []batchsim.Fault
		want   batch.Kind
		state  batch.State
	}{
		"the call is late": {[]batchsim.Fault{lost}, batch.ErrUnavailable, batch.StateCanceled},
		"the new payments cannot be read": {[]batchsim.Fault{unreadable}, batch.ErrUnavailable,
			batch.StateCanceled},
		"nor can the draft be withdrawn": {[]batchsim.Fault{lost, stuck}, batch.ErrAmbiguous,
			batch.StateUnknown},
		"refused, and the draft is as it was": {[]batchsim.Fault{on("AddPayments", reply(400, no(400)))},
			batch.ErrInvalid, batch.StateDraft},
		"the reply is lost, and the read tells": {
			[]batchsim.Fault{{Op: "AddPayments", Nth: 1, Phase: batchsim.AfterApply, Act: batchsim.Reset}}, "",
			batch.StateDraft},
	} {
		t.Run(name, func(t *testing.T) {
			server, client, p := start(t, nil)
			b := create(t, p, newDraft(2))
			for _, f := range c.faults {
				server.Inject(f)
			}
			b, err := p.SetItems(t.Context(), b, newDraft(3).Items)
			require.Equal(t, c.want, batch.KindOf(err), "%v", err)
			require.Equal(t, c.state, b.State)
			server.Heal()
			if c.state == batch.StateDraft {
				_, err = p.Submit(t.Context(), b)
				require.NoError(t, err)
				return
			}
			requests := server.Log.Count("")
			_, err = p.Submit(t.Context(), b)
			require.ErrorIs(t, err, batch.ErrConflict)
			require.Equal(t, requests, server.Log.Count(""), "it cannot be submitted any more")
			if c.state == batch.StateCanceled {
				server.Clock.Advance(time.Minute)
				at, err := client.GetBatch(t.Context(), b.ID)
				require.NoError(t, err)
				require.Equal(t, sixdotfifty.BatchCancelled, at.StatusCode)
			}
		})
	}
}

// A cancel that may still arrive was not refused.
func TestACancelInDoubt(t *testing.T) {
	server, client, p := start(t, nil)
	b := create(t, p, newDraft(1))
	server.Inject(batchsim.Fault{Op: "CancelBatch", Nth: 1, Phase: batchsim.BeforeApply, Act: batchsim.Late,
		Delay: 20 * time.Second})
	_, err := p.Cancel(t.Context(), b)
	require.ErrorIs(t, err, batch.ErrAmbiguous)
	server.Clock.Advance(time.Minute)
	at, err := client.GetBatch(t.Context(), b.ID)
	require.NoError(t, err)
	require.Equal(t, sixdotfifty.BatchCancelled, at.StatusCode)

	b = create(t, p, newDraft(1))
	server.Inject(on("CancelBatch", reply(401, `"Unauthorized"`)))
	_, err = p.Cancel(t.Context(), b)
	require.ErrorIs(t, err, batch.ErrAmbiguous, "these are not 6DOT50's words")
	server.Inject(on("CancelBatch", reply(401, no(401))))
	_, err = p.Cancel(t.Context(), b)
	require.ErrorIs(t, err, batch.ErrAuth)
}

// What the service leaves out or contradicts is an error beside the report.
func TestContradictoryReports(t *testing.T) {
	change := func(old, replacement string) batchsim.Fault {
		return batchsim.Fault{Op: "ListPayments", Phase: batchsim.AfterApply, Act: batchsim.Lie,
			Alter: func(r batchsim.Reply) batchsim.Reply {
				r.Body = []byte(strings.Replace(string(r.Body), old, replacement, 1))
				return r
			}}
	}
	for name, c := range map[string]struct {
		options sixdotfiftytest.Options
		fault   batchsim.Fault
		want    string
	}{
		"a payment is pending in a batch that is closed": {sixdotfiftytest.Options{}, change("SETTLED", "PENDING"),
			"is pending in a batch that is over"},
		"and a draft": {sixdotfiftytest.Options{}, change("SETTLED", "DRAFT"),
			"is pending in a batch that is over"},
		"an open batch whose payments are short": {sixdotfiftytest.Options{NonMembers: []string{"27820000001"}},
			on("ListPayments", reply(200, `[]`)), "paymentsCount: is 2 in the batch, and the payments have 0"},
	} {
		server, _, p := start(t, &c.options)
		b, err := p.Submit(t.Context(), create(t, p, newDraft(2)))
		require.NoError(t, err)
		_, err = p.Report(t.Context(), b)
		require.NoError(t, err)
		c.fault.Nth = 0
		server.Inject(c.fault)
		report, err := p.Report(t.Context(), b)
		require.ErrorIs(t, err, batch.ErrProtocol, name)
		require.ErrorContains(t, err, c.want)
		require.Len(t, report.Results, 2)
	}

	server, _, p := start(t, nil)
	b := create(t, p, newDraft(2))
	_, err := p.Cancel(t.Context(), b)
	require.NoError(t, err)
	server.SayStatus("WITHDRAWN")
	report, err := p.Report(t.Context(), b)
	require.NoError(t, err)
	require.Equal(t, 2, report.Totals[batch.OutcomeUnknown].Count, "nothing says that it moved and came back")
}

// However small the pages are, nothing is left out, and a list has an end.
func TestSmallPages(t *testing.T) {
	server, client, p := start(t, &sixdotfiftytest.Options{MaxTake: 7, FilterPrefix: true, CancelFreesID: true,
		Payments: sixdotfiftytest.PaymentsPaged})
	d := newDraft(20)
	d.Reference = "zz-1"
	b := create(t, p, d)
	b, err := p.Submit(t.Context(), b)
	require.NoError(t, err)
	for n := range 60 { // Newer, and of the same beginning.
		_, err := client.CreateBatch(t.Context(),
			sixdotfifty.BatchRequest{Name: "x", ExternalID: fmt.Sprintf("zz-1%d", n)})
		require.NoError(t, err)
	}
	found, err := p.Find(t.Context(), d.Reference)
	require.NoError(t, err)
	require.Equal(t, b.ID, found.ID)
	_, err = p.Create(t.Context(), d)
	require.ErrorIs(t, err, batch.ErrConflict, "it is not paid again")
	require.Len(t, list(t, p.List(t.Context())), 61)

	redemptions, err := sixdotfifty.NewRedemptions(server.RedemptionsConfig())
	require.NoError(t, err)
	t.Cleanup(redemptions.CloseIdleConnections)
	account := list(t, func(yield func(sixdotfifty.RedemptionsAccount, error) bool) {
		accounts, err := redemptions.Accounts(t.Context())
		yield(accounts[0], err)
	})[0].ID
	for n := range 20 {
		_, err := redemptions.InitiatePayment(t.Context(), sixdotfifty.InitiatePaymentRequest{Amount: 1,
			CurrencyCode: "DZAR", AccountID: account, Reference: fmt.Sprint("r", n), CountryCode: "ZA"})
		require.NoError(t, err)
	}
	require.Len(t, list(t, redemptions.Payments(t.Context(), sixdotfifty.PaymentsOptions{})), 20)
}

// There is an end to how many drafts of one reference are made, before one
// that would not be found again.
func TestTooManyDrafts(t *testing.T) {
	server, client, p := start(t, nil)
	d := newDraft(1)
	for n := 1; n <= 100; n++ {
		external := d.Reference
		if n > 1 {
			external = fmt.Sprint(d.Reference, ".", n)
		}
		b, err := client.CreateBatch(t.Context(), sixdotfifty.BatchRequest{Name: "x", ExternalID: external})
		require.NoError(t, err)
		_, err = client.CancelBatch(t.Context(), b.ID)
		require.NoError(t, err)
	}
	made := server.Log.Count("CreateBatch")
	_, err := p.Create(t.Context(), d)
	require.ErrorIs(t, err, batch.ErrConflict)
	require.ErrorContains(t, err, "100 drafts")
	require.Equal(t, made, server.Log.Count("CreateBatch"))
}

// A draft that was withdrawn is no obstacle to a corrected one.
func TestACorrectedDraft(t *testing.T) {
	server, _, p := start(t, nil)
	server.Inject(on("AddPayments", reply(400, `"payment 0: msisdn is not valid"`)))
	d := newDraft(1)
	o := &batch.RunOptions{Journal: batch.NewMemoryJournal()}
	_, err := batch.Run(t.Context(), p, d, o)
	require.ErrorIs(t, err, batch.ErrInvalid)
	require.ErrorContains(t, err, "msisdn is not valid")
	d.Items[0].Account = "27829999999"
	_, err = batch.Run(t.Context(), p, d, o)
	require.NoError(t, err)
	require.Equal(t, map[string]int{d.Items[0].Reference: 1}, server.Accepted())
}

// An account has one name, however its URL is spelt; two organisations on one
// host have two, in which no key can be read; and an operator's name outlives
// both.
func TestAccounts(t *testing.T) {
	account := func(key, url, name string) string {
		c := sixdotfifty.Config{Key: key, Secret: "secret", BaseURL: url}
		return newProvider(t, c, sixdotfifty.ProviderConfig{Account: name}).Info().Account
	}
	want := account("canary-1", host+"/za/pay", "")
	require.Regexp(t, `^sixdotfifty\.test/za/pay/[0-9a-f]{8}$`, want)
	for _, url := range []string{"https://sixdotfifty.test:443/za/pay", "https://SixDotFifty.test/za/pay/",
		"HTTPS://sixdotfifty.test./za/pay"} {
		require.Equal(t, want, account("canary-1", url, ""))
	}
	require.NotEqual(t, want, account("canary-2", host+"/za/pay", ""))
	require.NotEqual(t, want, account("canary-1", host+"/za/PAY", ""))
	require.NotContains(t, want, "canary")
	require.Equal(t, "payroll", account("canary-1", host, "payroll"))
	require.Equal(t, "payroll", account("canary-2", "https://elsewhere.test", "payroll"))
}

// Whatever a configuration decides about money is in Info, and a journal keeps
// it: every field is in the account, in the terms, or here with the reason why
// it is harmless.
func TestWhatTheConfigurationDecides(t *testing.T) {
	harmless := map[string]string{
		"Secret":        "goes with the key",
		"HTTPClient":    "how requests travel",
		"Middleware":    "how requests travel",
		"Logger":        "what is logged",
		"ChunkSize":     "how many payments one call adds: all are compared before a submit",
		"FindItems":     "what Find reads",
		"GuardUnproven": "what Run may send again, not what is paid",
	}
	values := map[string]any{"Key": "other", "Secret": "other", "BaseURL": "https://other.test",
		"HTTPClient": &http.Client{},
		"Middleware": func(next http.RoundTripper) http.RoundTripper { return next }, "Logger": slog.Default(),
		"Currency": "ZAR", "Account": "other", "ChunkSize": 7, "GuardUnproven": true, "FindItems": true,
		"Referrals": true}
	info := func(field string) batch.Info {
		c, o := sixdotfifty.Config{Key: "key", Secret: "secret", BaseURL: host}, sixdotfifty.ProviderConfig{}
		for _, v := range []reflect.Value{reflect.ValueOf(&c).Elem(), reflect.ValueOf(&o).Elem()} {
			if f := v.FieldByName(field); f.IsValid() {
				f.Set(reflect.ValueOf(values[field]))
			}
		}
		return newProvider(t, c, o).Info()
	}
	plain := info("")
	for _, v := range []any{sixdotfifty.Config{}, sixdotfifty.ProviderConfig{}} {
		for n := range reflect.TypeOf(v).NumField() {
			field := reflect.TypeOf(v).Field(n).Name
			require.Contains(t, values, field, "a new field: say here what it decides")
			changed := info(field)
			kept := changed.Account != plain.Account || !maps.Equal(changed.Terms, plain.Terms)
			require.NotEqual(t, kept, harmless[field] != "", field)
		}
	}
	require.Equal(t, map[string]string{"currency": "DZAR"}, plain.Terms)
}

// Two organisations at one service do not see each other's batches, and each
// pays its own; a second key of one is the same account if it is named.
func TestTwoOrganisations(t *testing.T) {
	server, _, p := start(t, nil)
	other := newProvider(t, server.Organisation("OTHER1"), sixdotfifty.ProviderConfig{Account: "other"})
	renewed := newProvider(t, server.Organisation("OTHER1"), sixdotfifty.ProviderConfig{Account: "other"})
	d := newDraft(1)
	b, err := p.Submit(t.Context(), create(t, p, d))
	require.NoError(t, err)
	_, err = other.Find(t.Context(), d.Reference)
	require.ErrorIs(t, err, batch.ErrNotFound)
	_, err = other.Poll(t.Context(), batch.Batch{Provider: b.Provider, ID: b.ID, Draft: d})
	require.ErrorIs(t, err, batch.ErrNotFound)
	journal := batch.NewMemoryJournal()
	_, err = batch.Run(t.Context(), other, d, &batch.RunOptions{Journal: journal})
	require.NoError(t, err)
	report, err := batch.Run(t.Context(), renewed, d, &batch.RunOptions{Journal: journal})
	require.NoError(t, err)
	require.Equal(t, batch.StateDone, report.Batch.State)
	var payers []string
	for _, e := range server.Ledger.Effects() {
		payers = append(payers, e.Payer)
	}
	require.Equal(t, []string{"account ACME01", "account OTHER1"}, payers, "the new key did not pay again")
}

// The guard is documented, and can be switched off: without it an unclear
// submit is never sent again. This simulator pays two submits that overlap.
func TestAServiceWithoutALock(t *testing.T) {
	for unproven, want := range map[bool]int{false: 2, true: 1} {
		server, _, _ := start(t, &sixdotfiftytest.Options{NoLock: true, NonMembers: []string{"27820000001"}})
		p := newProvider(t, server.Config(), sixdotfifty.ProviderConfig{GuardUnproven: unproven})
		b := create(t, p, newDraft(2))
		server.Break(batchsim.LateAfter)
		unclear, err := p.Submit(t.Context(), b)
		require.ErrorIs(t, err, batch.ErrAmbiguous)
		if p.Info().Guard == batch.GuardRefuses { // As Run would, an hour too early here.
			unclear.State = batch.StateDraft
			_, err = p.Submit(t.Context(), unclear)
			require.NoError(t, err)
		}
		server.Clock.Advance(2 * time.Hour)
		server.FinishAll()
		for _, item := range b.Draft.Items {
			require.Equal(t, want, server.Accepted()[item.Reference])
			require.Equal(t, want, server.Ledger.Moved()[item.Reference])
		}
	}
}

// Only the external ids that this package makes are read as ones of a
// reference.
func TestExternalIDsOfOthers(t *testing.T) {
	_, client, p := start(t, nil)
	var want []string
	for _, external := range []string{"invoice.2026.pdf", "invoice.1", "invoice.02", "invoice.101", "."} {
		_, err := client.CreateBatch(t.Context(), sixdotfifty.BatchRequest{Name: "x", ExternalID: external})
		require.NoError(t, err)
		want = append([]string{external}, want...)
	}
	var got []string
	for _, b := range list(t, p.List(t.Context())) {
		got = append(got, b.Draft.Reference)
	}
	require.Equal(t, want, got)
	d := newDraft(1)
	b := create(t, p, d)
	_, err := client.UpdateBatch(t.Context(), b.ID, sixdotfifty.BatchRequest{ExternalID: d.Reference + ".not-ours"})
	require.NoError(t, err)
	_, err = p.Submit(t.Context(), b)
	require.ErrorIs(t, err, batch.ErrConflict)
}

func TestPollAllReadsOpenBatchesInOneList(t *testing.T) {
	server, _, p := start(t, &sixdotfiftytest.Options{NonMembers: []string{"27820000000"}})
	var open []batch.Batch
	for range 20 {
		b, err := p.Submit(t.Context(), create(t, p, newDraft(1)))
		require.NoError(t, err)
		open = append(open, b)
	}
	before := server.Log.Count("")
	_, err := p.PollAll(t.Context(), open)
	require.NoError(t, err)
	require.Equal(t, 1, server.Log.Count("")-before, "the list")
	for _, r := range server.Log.Requests("ListBatches")[server.Log.Count("ListBatches")-1:] {
		require.Contains(t, r.Query, "statusCode=OPEN", "what is over is not listed")
	}

	done := open[0]
	done.State, done.Native = batch.StateDone, "CLOSED"
	polled, err := p.PollAll(t.Context(), []batch.Batch{done, open[1]})
	require.NoError(t, err)
	require.Equal(t, done, polled[0], "what is final stays, whatever the list says")
}

// Half of the batches are closed: a second list has them.
func TestPollAllReadsClosedBatchesInOneList(t *testing.T) {
	server, _, p := start(t, &sixdotfiftytest.Options{NonMembers: []string{"27820000000"}})
	var bs []batch.Batch
	for n := range 90 {
		d := newDraft(1)
		if n%2 == 0 {
			d.Items[0].Account = "27820000001" // A member, who is paid at once.
		}
		b, err := p.Submit(t.Context(), create(t, p, d))
		require.NoError(t, err)
		b.State = batch.StatePending // As it was heard before.
		bs = append(bs, b)
	}
	before := server.Log.Count("")
	polled, err := p.PollAll(t.Context(), bs)
	require.NoError(t, err)
	require.LessOrEqual(t, server.Log.Count("")-before, 45/20+2)
	for n, b := range polled {
		want := []batch.State{batch.StateDone, batch.StatePending}[n%2]
		require.Equal(t, want, b.State)
	}

	// A few are polled one by one, whatever the length of the list of all that was ever closed.
	before = server.Log.Count("ListBatches")
	_, err = p.PollAll(t.Context(), bs[:4])
	require.NoError(t, err)
	require.Equal(t, 2, server.Log.Count("ListBatches")-before, "the list of the open ones, and its end")
}

// The summary of a poll says how many payments have an outcome, also one of
// many batches.
func TestPollCountsOutcomes(t *testing.T) {
	server, _, p := start(t, &sixdotfiftytest.Options{NonMembers: []string{"27820000000"}})
	b, err := p.Submit(t.Context(), create(t, p, newDraft(3)))
	require.NoError(t, err)
	other, err := p.Submit(t.Context(), create(t, p, newDraft(1)))
	require.NoError(t, err)
	polled, err := p.Poll(t.Context(), b)
	require.NoError(t, err)
	require.Equal(t, batch.StatePending, polled.State)
	require.Equal(t, batch.Counts{Final: 2, Items: 3}, polled.Counts)
	all, err := p.PollAll(t.Context(), []batch.Batch{b, other})
	require.NoError(t, err)
	require.Equal(t, batch.Counts{Final: 2, Items: 3}, all[0].Counts)
	require.Equal(t, batch.Counts{Final: 0, Items: 1}, all[1].Counts)
	server.Clock.Advance(90 * 24 * time.Hour) // Unclaimed payments are reversed.
	polled, err = p.Poll(t.Context(), polled)
	require.NoError(t, err)
	require.Equal(t, batch.StateDone, polled.State)
	require.Equal(t, batch.Counts{Final: 3, Items: 3}, polled.Counts)
}

// Row 106: payments that arrive late reach a draft that is withdrawn.
func TestRow106LatePayments(t *testing.T) {
	server, _, p := start(t, nil)
	d := newDraft(3)
	server.Inject(batchsim.Fault{Op: "AddPayments", Nth: 1, Phase: batchsim.BeforeApply, Act: batchsim.Late,
		Delay: 20 * time.Second})
	o := &batch.RunOptions{Journal: batch.NewMemoryJournal()}
	_, err := batch.Run(t.Context(), p, d, o)
	require.ErrorIs(t, err, batch.ErrUnavailable)
	require.ErrorContains(t, err, "the draft is withdrawn")
	server.Clock.Advance(time.Minute) // The late call lands.
	report, err := batch.Run(t.Context(), p, d, o)
	require.NoError(t, err)
	require.Equal(t, batch.StateDone, report.Batch.State)
	for _, item := range d.Items {
		require.Equal(t, 1, server.Accepted()[item.Reference])
	}
	found, err := p.Find(t.Context(), d.Reference)
	require.NoError(t, err)
	require.Equal(t, report.Batch.ID, found.ID, "the newest draft of a reference is its batch")
	require.Equal(t, d.Reference, found.Draft.Reference)
}

// The same, with payments that are in after all: nothing is withdrawn.
func TestPaymentsWhoseReplyIsLost(t *testing.T) {
	server, _, p := start(t, nil)
	server.Inject(batchsim.Fault{Op: "AddPayments", Nth: 1, Phase: batchsim.AfterApply, Act: batchsim.Reset})
	_, err := batch.Run(t.Context(), p, newDraft(3), nil)
	require.NoError(t, err)
	require.Equal(t, 1, server.Log.Count("CreateBatch"))
	require.Len(t, server.Ledger.Effects(), 3)
}

// Payments are added in chunks, none of which clears, and none of which follows
// one that is unclear.
func TestChunks(t *testing.T) {
	for name, f := range map[string]batchsim.Fault{
		"the second is late": {Op: "AddPayments", Nth: 2, Phase: batchsim.BeforeApply, Act: batchsim.Late,
			Delay: 20 * time.Second},
		"the second loses its answer": {Op: "AddPayments", Nth: 2, Phase: batchsim.AfterApply, Act: batchsim.Reset},
	} {
		t.Run(name, func(t *testing.T) {
			server := sixdotfiftytest.New(nil)
			t.Cleanup(server.Close)
			p := newProvider(t, server.Config(), sixdotfifty.ProviderConfig{ChunkSize: 1})
			server.Inject(f)
			b, err := p.Create(t.Context(), newDraft(3))
			require.ErrorIs(t, err, batch.ErrUnavailable)
			require.Equal(t, batch.StateCanceled, b.State)
			require.Equal(t, 2, server.Log.Count("AddPayments"))
			create(t, p, newDraft(3))
			for _, r := range server.Log.Requests("AddPayments") {
				require.Contains(t, string(r.Body), `"clearExisting":false`)
			}
		})
	}
}

// A caller who leaves while payments are added leaves no unknown draft behind.
func TestACallerWhoLeaves(t *testing.T) {
	server, client, p := start(t, nil)
	for name, stage := range map[string]func(context.Context, *sixdotfifty.Provider) (batch.Batch, error){
		"Create": func(ctx context.Context, p *sixdotfifty.Provider) (batch.Batch, error) {
			return p.Create(ctx, newDraft(1))
		},
		"SetItems": func(ctx context.Context, leaving *sixdotfifty.Provider) (batch.Batch, error) {
			return leaving.SetItems(ctx, create(t, p, newDraft(1)), newDraft(1).Items)
		},
	} {
		ctx, leave := context.WithCancel(t.Context())
		config := server.Config()
		config.Middleware = func(next http.RoundTripper) http.RoundTripper {
			return transport(func(r *http.Request) (*http.Response, error) {
				reply, err := next.RoundTrip(r)
				if strings.HasSuffix(r.URL.Path, "/payments") {
					leave() // The service has the payments; the reply is still to be read.
				}
				return reply, err
			})
		}
		b, err := stage(ctx, newProvider(t, config, sixdotfifty.ProviderConfig{}))
		require.ErrorIs(t, err, context.Canceled, name)
		require.Equal(t, batch.StateCanceled, b.State, name)
		at, err := client.GetBatch(t.Context(), b.ID)
		require.NoError(t, err)
		require.Equal(t, sixdotfifty.BatchCancelled, at.StatusCode, name)
	}
}

// A draft that cannot be withdrawn is named in the error, and so is what it is.
func TestADraftThatCannotBeWithdrawn(t *testing.T) {
	server, _, p := start(t, nil)
	server.Inject(on("AddPayments", reply(400, `"payment 0: msisdn is not valid"`)))
	server.Inject(batchsim.Fault{Op: "CancelBatch", Nth: 1, Phase: batchsim.BeforeApply, Act: batchsim.Reset})
	d := newDraft(1)
	b, err := p.Create(t.Context(), d)
	require.ErrorIs(t, err, batch.ErrInvalid)
	require.ErrorContains(t, err, "do not submit it")
	require.ErrorContains(t, err, "msisdn is not valid")
	require.NotEmpty(t, b.ID)
	_, err = p.Create(t.Context(), d)
	require.ErrorIs(t, err, batch.ErrConflict, "its reference is taken until it is cancelled")
	require.ErrorContains(t, err, b.ID)
}

// Where external ids of payments are never freed, a second draft of the same
// items is refused: clearly, and with nothing paid.
func TestExternalIDsOfPaymentsThatStay(t *testing.T) {
	server, _, p := start(t, &sixdotfiftytest.Options{PaymentIDsStay: true})
	d := newDraft(1)
	_, err := p.Cancel(t.Context(), create(t, p, d))
	require.NoError(t, err)
	_, err = p.Create(t.Context(), d)
	require.ErrorIs(t, err, batch.ErrInvalid)
	require.ErrorContains(t, err, "externalId must be unique")
	require.ErrorContains(t, err, "the draft is withdrawn")
	require.Empty(t, server.Ledger.Effects())
}

// run is what a test of Run in a bubble works with.
type run struct {
	server *sixdotfiftytest.Server
	p      *sixdotfifty.Provider
	o      *batch.RunOptions
	events []string
}

func bubble(t *testing.T, o sixdotfiftytest.Options, f func(*testing.T, *run)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		o.InMemory = true
		server := sixdotfiftytest.New(&o)
		defer server.Close()
		client := newClient(t, server.Config())
		defer client.CloseIdleConnections()
		p, err := sixdotfifty.NewProvider(client, sixdotfifty.ProviderConfig{})
		require.NoError(t, err)
		r := &run{server: server, p: p}
		r.o = &batch.RunOptions{Journal: batch.NewMemoryJournal(), Observe: func(e batch.Event) {
			r.events = append(r.events, fmt.Sprint(e.Phase, " ", e.Batch.State, " ", batch.KindOf(e.Err)))
		}}
		f(t, r)
	})
}

// Row 101: a second attempt that is refused because the first has landed is a
// success, and only a read says so.
func TestRow101TheSecondIsRefusedBecauseTheFirstHasLanded(t *testing.T) {
	for name, read := range map[string]batchsim.Fault{
		"the read tells": {},
		"nor can it be read": {Op: "GetBatch", Phase: batchsim.BeforeApply, Act: batchsim.Answer,
			Reply: batchsim.Reply{Status: 404}},
	} {
		t.Run(name, func(t *testing.T) {
			server := sixdotfiftytest.New(nil)
			t.Cleanup(server.Close)
			p := before(t, server, "/submit", 2, func() {
				server.Clock.Advance(time.Minute) // The first lands.
				if read.Op != "" {
					server.Inject(read)
				}
			})
			d := newDraft(2)
			b := create(t, p, d)
			server.Inject(batchsim.Fault{Op: "SubmitBatch", Nth: 1, Phase: batchsim.BeforeApply, Act: batchsim.Late,
				Delay: 20 * time.Second})
			b, err := p.Submit(t.Context(), b)
			require.ErrorIs(t, err, batch.ErrAmbiguous)
			b, err = batch.Reconcile(t.Context(), p, b)
			require.NoError(t, err)
			require.Equal(t, batch.StateDraft, b.State)
			b, err = p.Submit(t.Context(), b)
			require.ErrorIs(t, err, batch.ErrAmbiguous, "this one was refused, but that says nothing of the first")
			require.Equal(t, batch.StateUnknown, b.State)
			server.Heal()
			b, err = batch.Reconcile(t.Context(), p, b)
			require.NoError(t, err)
			require.Equal(t, batch.StateDone, b.State)
			require.Equal(t, map[string]int{d.Items[0].Reference: 1, d.Items[1].Reference: 1}, server.Accepted())
		})
	}
}

// Row 105: a late apply that lands after the second attempt was accepted is
// refused by the service.
func TestRow105ALateApplyAfterTheSecond(t *testing.T) {
	bubble(t, sixdotfiftytest.Options{}, func(t *testing.T, r *run) {
		r.server.Break(batchsim.LateAfter) // an hour later
		d := newDraft(2)
		report, err := batch.Run(t.Context(), r.p, d, r.o)
		require.NoError(t, err, "%v", r.events)
		require.Equal(t, 2, r.server.Log.Count("SubmitBatch"))
		r.server.Clock.Advance(2 * time.Hour)
		require.Equal(t, batch.StateDone, report.Batch.State)
		require.Equal(t, map[string]int{d.Items[0].Reference: 1, d.Items[1].Reference: 1}, r.server.Accepted())
	})
}

// Row 107: a refusal of the second attempt does not answer for the first.
func TestRow107RefusedBetweenLostAndLanded(t *testing.T) {
	bubble(t, sixdotfiftytest.Options{Float: 15000}, func(t *testing.T, r *run) {
		r.server.Break(batchsim.LateAfter)
		d := newDraft(2)
		_, err := batch.Run(t.Context(), r.p, d, r.o)
		require.ErrorIs(t, err, batch.ErrAmbiguous, "never refused: the first may still land")
		require.Greater(t, r.server.Log.Count("SubmitBatch"), 1)
		require.Empty(t, r.server.Accepted())
		r.server.TopUp(10000)
		r.server.Clock.Advance(2 * time.Hour) // The first one lands.
		report, err := batch.Resume(t.Context(), r.p, d.Reference, r.o)
		require.NoError(t, err)
		require.Equal(t, batch.StateDone, report.Batch.State)
		require.Equal(t, map[string]int{d.Items[0].Reference: 1, d.Items[1].Reference: 1}, r.server.Accepted())
	})
}

// A draft that a crash has left half filled is withdrawn before another is
// made.
func TestADraftThatACrashHasLeft(t *testing.T) {
	server, _, p := start(t, nil)
	d := newDraft(3)
	journal := batch.NewMemoryJournal()
	o := &batch.RunOptions{Journal: journal}
	crash := &crashing{Journal: journal}
	require.Panics(t, func() { _, _ = batch.Run(t.Context(), p, d, &batch.RunOptions{Journal: crash}) })
	report, err := batch.Run(t.Context(), p, d, o)
	require.NoError(t, err)
	require.Equal(t, batch.StateDone, report.Batch.State)
	require.Equal(t, 1, server.Log.Count("CancelBatch"))
	require.Equal(t, 2, server.Log.Count("CreateBatch"))
	require.Equal(t, 1, server.Log.Count("SubmitBatch"))
}

// crashing dies instead of writing down what came of Create.
type crashing struct{ batch.Journal }

func (c *crashing) Append(ctx context.Context, key batch.Key, e batch.Entry) error {
	if e.Kind == batch.EntryResult {
		panic("crash")
	}
	return c.Journal.Append(ctx, key, e)
}

// Row 104: nothing is changed about a batch that is submitted, or may be.
func TestRow104NothingChangesWhileASubmitIsOpen(t *testing.T) {
	server, _, p := start(t, nil)
	b := create(t, p, newDraft(1))
	server.Break(batchsim.LostBefore)
	b, err := p.Submit(t.Context(), b)
	require.ErrorIs(t, err, batch.ErrAmbiguous)
	before := server.Log.Count("")
	_, err = p.SetItems(t.Context(), b, newDraft(1).Items)
	require.ErrorIs(t, err, batch.ErrConflict)
	_, err = p.Submit(t.Context(), b)
	require.ErrorIs(t, err, batch.ErrConflict)
	require.Equal(t, before, server.Log.Count(""), "refused here, with no request")
	_, err = p.Cancel(t.Context(), b)
	require.ErrorIs(t, err, batch.ErrConflict, "only Resolve may cancel it")
	require.Equal(t, before, server.Log.Count(""))

	// Which it does: only a draft can be cancelled, and for good, so that the
	// submit comes to nothing whenever it lands.
	d := newDraft(2)
	o := &batch.RunOptions{Journal: batch.NewMemoryJournal()}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o.Observe = func(e batch.Event) {
		if e.Phase == batch.PhaseSubmit {
			cancel() // Before it is asked what became of it.
		}
	}
	server.Break(batchsim.LateAfter)
	_, err = batch.Run(ctx, p, d, o)
	require.ErrorIs(t, err, batch.ErrAmbiguous)
	abandoned, err := batch.NewDesk(p, o.Journal).Resolve(t.Context(), d.Reference,
		batch.Decision{Verdict: batch.Abandon, Operator: "ada", Reason: "paid by hand"})
	require.NoError(t, err)
	require.Equal(t, batch.StateCanceled, abandoned.State)
	server.Clock.Advance(2 * time.Hour)
	require.Empty(t, server.Accepted())
}

// lying makes the service answer op with a change, until it heals.
func lying(server *sixdotfiftytest.Server, op string, change func(map[string]any)) {
	server.Inject(batchsim.Fault{Op: op, Phase: batchsim.AfterApply, Act: batchsim.Lie,
		Alter: func(r batchsim.Reply) batchsim.Reply {
			var list []map[string]any
			if json.Unmarshal(r.Body, &list) == nil {
				for _, object := range list {
					change(object)
				}
				r.Body, _ = json.Marshal(list)
				return r
			}
			var object map[string]any
			_ = json.Unmarshal(r.Body, &object)
			change(object)
			r.Body, _ = json.Marshal(object)
			return r
		}})
}

func set(field string, value any) func(map[string]any) {
	return func(object map[string]any) { object[field] = value }
}

// within changes an object within another.
func within(field string, change func(map[string]any)) func(map[string]any) {
	return func(object map[string]any) { change(object[field].(map[string]any)) }
}

// Law 13: what the service shows of a batch is compared with its draft, and a
// contradiction is another's batch. Where a read proves that a submit arrived,
// that is everything; and what cannot be read does not decide.
func TestLaw13Contradictions(t *testing.T) {
	const none = batch.Kind("")
	for name, c := range map[string]struct {
		op      string
		change  func(map[string]any)
		unknown batch.Kind // of a Poll in StateUnknown
		pending batch.Kind // of one in StatePending
	}{
		"another external id": {"GetBatch", set("externalId", "another"), batch.ErrConflict, batch.ErrConflict},
		"no external id":      {"GetBatch", set("externalId", nil), batch.ErrProtocol, batch.ErrProtocol},
		"another count":       {"GetBatch", within("summary", set("paymentsCount", 1)), batch.ErrConflict, none},
		"another total": {"GetBatch", within("summary", set("paymentsAmount", 201.52)),
			batch.ErrConflict, none},
		"no summary":            {"GetBatch", set("summary", nil), none, none},
		"another amount":        {"ListPayments", set("amount", 1.5), batch.ErrConflict, none},
		"another mobile number": {"ListPayments", set("msisdn", "27829999999"), batch.ErrConflict, none},
		"a mobile number with +": {"ListPayments", func(p map[string]any) { p["msisdn"] = "+" + p["msisdn"].(string) },
			none, none},
		"with 00 and spaces": {"ListPayments", func(p map[string]any) {
			p["msisdn"] = "00 27 " + p["msisdn"].(string)[2:]
		}, none, none},
		"another reference": {"ListPayments", func(p map[string]any) { p["externalId"] = p["id"] },
			batch.ErrConflict, none},
		"payments of another": {"ListPayments", set("batchId", "another"), none, none},
		"unreadable payments": {"ListPayments", set("statusCode", nil), none, none},
	} {
		bubble(t, sixdotfiftytest.Options{NonMembers: []string{"27820000001"}}, func(t *testing.T, r *run) {
			ctx := t.Context()
			b, err := r.p.Create(ctx, newDraft(2))
			require.NoError(t, err)
			pending, err := r.p.Submit(ctx, b)
			require.NoError(t, err)
			unknown := pending
			unknown.State = batch.StateUnknown
			lying(r.server, c.op, c.change)
			got, err := r.p.Poll(ctx, unknown)
			require.Equal(t, c.unknown, batch.KindOf(err), "%s: %v", name, err)
			if err != nil {
				require.Equal(t, unknown, got, name)
			}
			got, err = r.p.Poll(ctx, pending)
			require.Equal(t, c.pending, batch.KindOf(err), "%s: %v", name, err)
			require.Equal(t, batch.StatePending, got.State, name)
			got, err = r.p.Poll(ctx, b)
			require.Equal(t, c.unknown, batch.KindOf(err), "%s, as a draft that was submitted elsewhere: %v", name, err)
			many, err := r.p.PollAll(ctx, []batch.Batch{unknown, pending})
			require.Equal(t, c.unknown, batch.KindOf(err), "%s: %v", name, err)
			require.Equal(t, batch.StatePending, many[1].State, name)
		})
	}

	// The same where the first that is seen of it is its end.
	done, _, q := start(t, nil)
	over, err := q.Submit(t.Context(), create(t, q, newDraft(2)))
	require.NoError(t, err)
	over.State = batch.StateUnknown
	lying(done, "ListPayments", set("amount", 1.5))
	_, err = q.Poll(t.Context(), over)
	require.ErrorIs(t, err, batch.ErrConflict)
	require.Equal(t, []string{`item 0 ("` + over.Draft.Items[0].Reference +
		`"): amount: is 1.50 at the service, and 100.75 here`,
		`item 1 ("` + over.Draft.Items[1].Reference + `"): amount: is 1.50 at the service, and 100.76 here`},
		faultsOf(t, err))

	done.Heal()
	lying(done, "GetBatch", set("summary", nil))
	done.Inject(listed(func(list []map[string]any) []map[string]any { return list[:1] }))
	_, err = q.Poll(t.Context(), over)
	require.ErrorIs(t, err, batch.ErrConflict, "a payment is missing, and only the list tells")
	done.Heal()

	// A row that cannot be read is not known to be ours, even if the sums agree.
	b := create(t, q, newDraft(1))
	done.Inject(listed(func(list []map[string]any) []map[string]any {
		return append(list, map[string]any{"id": "more"})
	}))
	before := done.Log.Count("SubmitBatch")
	_, err = q.Submit(t.Context(), b)
	require.ErrorIs(t, err, batch.ErrProtocol)
	require.Equal(t, before, done.Log.Count("SubmitBatch"))

	// Of many, one that contradicts does not keep the others from being read.
	server, _, p := start(t, &sixdotfiftytest.Options{NonMembers: []string{"27820000000"}})
	var bs []batch.Batch
	for range 3 {
		b, err := p.Submit(t.Context(), create(t, p, newDraft(1)))
		require.NoError(t, err)
		bs = append(bs, b)
	}
	stranger := bs[0]
	stranger.Draft = newDraft(1)
	server.FinishAll()
	many, err := p.PollAll(t.Context(), []batch.Batch{stranger, bs[1], bs[2]})
	require.ErrorIs(t, err, batch.ErrConflict)
	require.Equal(t, []batch.State{batch.StatePending, batch.StateDone, batch.StateDone},
		[]batch.State{many[0].State, many[1].State, many[2].State})
	_, err = p.Report(t.Context(), stranger)
	require.ErrorIs(t, err, batch.ErrConflict)
	server.Inject(batchsim.Fault{Op: "SubmitBatch", Phase: batchsim.AfterApply, Act: batchsim.Lie,
		Alter: distort("externalId", "another")})
	_, err = p.Submit(t.Context(), create(t, p, newDraft(1)))
	require.ErrorIs(t, err, batch.ErrAmbiguous, "the reply is about another batch")
}

// A draft is cancelled only if its external id is that of the reference, and
// all that it holds are items of the batch.
func TestCancelLeavesADraftOfOthersAlone(t *testing.T) {
	add := func(p sixdotfifty.NewPayment) func(*sixdotfifty.Client, *batch.Batch) error {
		return func(c *sixdotfifty.Client, b *batch.Batch) error {
			_, err := c.AddPayments(context.Background(), b.ID,
				sixdotfifty.AddPaymentsRequest{Payments: []sixdotfifty.NewPayment{p}})
			return err
		}
	}
	for name, c := range map[string]struct {
		change func(*sixdotfifty.Client, *batch.Batch) error
		want   batch.Kind
		state  batch.State
	}{
		"as it was made": {func(*sixdotfifty.Client, *batch.Batch) error { return nil }, "",
			batch.StateCanceled},
		"a foreign payment": {add(sixdotfifty.NewPayment{MSISDN: "27820000009", Amount: 1,
			ExternalID: "theirs"}), batch.ErrConflict, batch.StateDraft},
		"a payment without a name": {add(sixdotfifty.NewPayment{MSISDN: "27820000009", Amount: 1}),
			batch.ErrConflict, batch.StateDraft},
		"of a batch without its items": {func(_ *sixdotfifty.Client, b *batch.Batch) error {
			b.Draft.Items = nil
			return nil
		}, "", batch.StateCanceled},
		"fewer payments than items": {func(c *sixdotfifty.Client, b *batch.Batch) error {
			b.Draft.Items = append(b.Draft.Items, newDraft(1).Items...)
			return nil
		}, "", batch.StateCanceled},
		"another amount": {func(_ *sixdotfifty.Client, b *batch.Batch) error {
			b.Draft.Items[0].Amount.Minor++
			return nil
		}, batch.ErrConflict, batch.StateDraft},
		"another reference": {func(_ *sixdotfifty.Client, b *batch.Batch) error {
			b.Draft.Reference += "x"
			return nil
		}, batch.ErrConflict, batch.StateDraft},
		"cancelled elsewhere": {func(c *sixdotfifty.Client, b *batch.Batch) error {
			_, err := c.CancelBatch(context.Background(), b.ID)
			return err
		}, "", batch.StateCanceled},
		"submitted elsewhere": {func(c *sixdotfifty.Client, b *batch.Batch) error {
			_, err := c.SubmitBatch(context.Background(), b.ID)
			return err
		}, batch.ErrConflict, batch.StateDone},
	} {
		t.Run(name, func(t *testing.T) {
			server, client, p := start(t, nil)
			b := create(t, p, newDraft(2)).Clone()
			require.NoError(t, c.change(client, &b))
			before := server.Log.Count("CancelBatch")
			after, err := p.Cancel(t.Context(), b)
			require.Equal(t, c.want, batch.KindOf(err), "%v", err)
			require.Equal(t, c.state, after.State, "what the read has said")
			if c.want != "" || name == "cancelled elsewhere" {
				require.Equal(t, before, server.Log.Count("CancelBatch"), "nothing is cancelled")
			}
		})
	}
	server, _, p := start(t, nil)
	b := create(t, p, newDraft(2))
	server.Inject(listed(func(list []map[string]any) []map[string]any { list[0]["amount"] = nil; return list }))
	_, err := p.Cancel(t.Context(), b)
	require.ErrorIs(t, err, batch.ErrConflict, "a payment that cannot be read is not known to be ours")
	submitted := b
	submitted.State = batch.StatePending
	_, err = p.Cancel(t.Context(), submitted)
	require.ErrorIs(t, err, batch.ErrProtocol, "a batch that was submitted is not a draft again")
	require.Zero(t, server.Log.Count("CancelBatch"))
	server.Heal()
	server.Inject(ghosts)
	b, err = p.Cancel(t.Context(), b)
	require.NoError(t, err, "deleted payments are not payments")
	require.Equal(t, batch.StateCanceled, b.State)
}

// ghosts adds deleted payments to a list, of one item and of none.
var ghosts = listed(func(list []map[string]any) []map[string]any {
	for n, reference := range []any{list[0]["externalId"], "never-in-the-batch", nil} {
		ghost := maps.Clone(list[0])
		ghost["id"], ghost["externalId"], ghost["statusCode"], ghost["amount"] = fmt.Sprint("ghost-", n),
			reference, "DELETED", 5
		list = append(list, ghost)
	}
	return list
})

// Payments that were deleted are not payments, beside live ones or alone.
func TestDeletedPaymentsAreIgnored(t *testing.T) {
	server, client, p := start(t, nil)
	b := create(t, p, newDraft(2))
	server.Inject(ghosts)
	b, err := p.Submit(t.Context(), b)
	require.NoError(t, err)
	report, err := p.Report(t.Context(), b)
	require.NoError(t, err)
	require.Equal(t, 2, report.Totals[batch.OutcomePaid].Count)
	lying(server, "GetBatch", within("summary", set("paymentsCount", 5)))
	_, err = p.Report(t.Context(), b)
	require.NoError(t, err, "whether the sums count what was deleted is not documented")
	server.Heal()
	server.Inject(ghosts)
	lying(server, "GetBatch", within("summary", set("paymentsAmount", 216.51)))
	_, err = p.Report(t.Context(), b)
	require.NoError(t, err)
	server.Heal()

	server.Inject(listed(func(list []map[string]any) []map[string]any {
		list[0]["statusCode"] = "DELETED"
		return list
	}))
	report, err = p.Report(t.Context(), b)
	require.ErrorIs(t, err, batch.ErrProtocol)
	require.ErrorContains(t, err, "settledCount: is 2 in the batch, and the payments have 1")
	require.Equal(t, batch.OutcomeSkipped, report.Results[0].Outcome)
	server.Heal()
	require.Equal(t, map[string]int{b.Draft.Items[0].Reference: 1, b.Draft.Items[1].Reference: 1}, server.Accepted())

	// Exactly 1,000, which may be a list that is cut short.
	thousand := create(t, p, newDraft(1000))
	all, err := client.ListPayments(t.Context(), thousand.ID)
	require.NoError(t, err)
	require.Len(t, all, 1000)
	lying(server, "GetBatch", within("summary", set("paymentsCount", 1001)))
	all, err = client.ListPayments(t.Context(), thousand.ID)
	require.ErrorIs(t, err, batch.ErrProtocol)
	require.ErrorContains(t, err, "may be cut short")
	require.Len(t, all, 1000)
	_, err = p.Submit(t.Context(), thousand)
	require.ErrorIs(t, err, batch.ErrProtocol)
	require.ErrorContains(t, err, "may be cut short")
}

// A row that is wrong fails alone: the item is unknown and named, and the rest
// of the report stands.
func TestARowThatIsWrongFailsAlone(t *testing.T) {
	server, client, p := start(t, nil)
	b, err := p.Submit(t.Context(), create(t, p, newDraft(3)))
	require.NoError(t, err)
	for field, missing := range map[string]string{"amount": "amount is missing", "id": "id is missing",
		"statusCode": "statusCode is missing",
		"msisdn":     "msisdn is missing", "batchId": "it is of another batch"} {
		server.Inject(listed(func(list []map[string]any) []map[string]any {
			if list[1][field] = nil; field == "batchId" {
				list[1][field] = "another"
			}
			return list
		}))
		report, err := p.Report(t.Context(), b)
		require.ErrorIs(t, err, batch.ErrProtocol)
		require.ErrorContains(t, err, missing)
		require.ErrorContains(t, err, b.Draft.Items[1].Reference)
		require.Equal(t, []batch.Outcome{batch.OutcomePaid, batch.OutcomeUnknown, batch.OutcomePaid},
			[]batch.Outcome{report.Results[0].Outcome, report.Results[1].Outcome, report.Results[2].Outcome})
		payments, err := client.ListPayments(t.Context(), b.ID)
		require.ErrorIs(t, err, batch.ErrProtocol)
		require.Len(t, payments, 2)
		server.Heal()
	}

	// In a batch that is open, too, the item is unknown and not pending.
	open := b
	open.State = batch.StatePending
	lying(server, "GetBatch", set("statusCode", "OPEN"))
	server.Inject(listed(func(list []map[string]any) []map[string]any { list[1]["amount"] = nil; return list }))
	report, err := p.Report(t.Context(), open)
	require.ErrorIs(t, err, batch.ErrProtocol)
	require.Equal(t, batch.OutcomeUnknown, report.Results[1].Outcome)
	require.Contains(t, report.Results[1].Message, "amount is missing")
	server.Heal()

	// However many rows are wrong, an error stays of a size that can be held.
	var wrong []string
	for n := range 3000 {
		wrong = append(wrong, fmt.Sprintf(`{"id":"%d"}`, n))
	}
	for op, call := range map[string]func() error{
		"ListPayments": func() error { _, err := client.ListPayments(t.Context(), b.ID); return err },
		"ListAccounts": func() error { _, err := client.Accounts(t.Context()); return err },
	} {
		body := "[" + strings.Join(wrong, ",") + "]"
		if op == "ListAccounts" {
			body = strings.ReplaceAll(body, "id", "no")
		}
		server.Inject(batchsim.Fault{Op: op, Phase: batchsim.AfterApply, Act: batchsim.Answer,
			Reply: batchsim.JSON(200, body)})
		require.Len(t, faultsOf(t, call()), 1000, op)
		server.Heal()
	}

	// The same in lists of batches: the others follow, and are found.
	c := create(t, p, newDraft(1))
	server.Inject(batchsim.Fault{Op: "ListBatches", Phase: batchsim.AfterApply, Act: batchsim.Lie,
		Alter: func(r batchsim.Reply) batchsim.Reply {
			r.Body = []byte(strings.Replace(string(r.Body), `[{`,
				`[null,{"id":"x","externalId":"unrelated"},{"id":"y"},{`, 1))
			return r
		}})
	var listed []string
	for b, err := range p.List(t.Context()) {
		listed = append(listed, fmt.Sprint(b.ID, " ", batch.KindOf(err)))
	}
	require.Equal(t, []string{" protocol", "x protocol", "y protocol", c.ID + " ", b.ID + " "}, listed)
	_, err = p.Find(t.Context(), c.Draft.Reference)
	require.ErrorIs(t, err, batch.ErrProtocol, "one of those that do not show their external id may be it")
	many, err := p.PollAll(t.Context(), []batch.Batch{c, c})
	require.NoError(t, err)
	require.Equal(t, batch.StateDraft, many[1].State)
	server.Heal()
	lying(server, "ListBatches", set("externalId", nil))
	_, err = p.Find(t.Context(), c.Draft.Reference)
	require.ErrorIs(t, err, batch.ErrProtocol)
	require.ErrorContains(t, err, "does not show the external id")
	server.Heal()
	server.Inject(batchsim.Fault{Op: "ListBatches", Phase: batchsim.AfterApply, Act: batchsim.Lie,
		Alter: func(r batchsim.Reply) batchsim.Reply {
			r.Body = []byte(strings.Replace(string(r.Body), `[{`, `[{"id":"x","externalId":"unrelated"},{`, 1))
			return r
		}})
	found, err := p.Find(t.Context(), c.Draft.Reference)
	require.NoError(t, err)
	require.Equal(t, c.ID, found.ID)
}

// The sums of a batch that is over are compared with its payments.
func TestSumsThatDisagree(t *testing.T) {
	server, _, p := start(t, nil)
	b, err := p.Submit(t.Context(), create(t, p, newDraft(2)))
	require.NoError(t, err)
	for field, value := range map[string]any{"paymentsCount": 3, "paymentsAmount": 1, "settledCount": 1,
		"settledAmount": 100.75, "cancelledCount": 2, "cancelledAmount": "0.01"} {
		lying(server, "GetBatch", within("summary", set(field, value)))
		report, err := p.Report(t.Context(), b)
		require.ErrorIs(t, err, batch.ErrProtocol, field)
		require.ErrorContains(t, err, field+": is ")
		require.Equal(t, 2, report.Totals[batch.OutcomePaid].Count, "the report is beside the error")
		server.Heal()
	}
}

// An id that a reply has is never thrown away, whatever else is wrong with it.
func TestIDsAreKept(t *testing.T) {
	server, client, p := start(t, nil)
	server.Inject(batchsim.Fault{Op: "CreateBatch", Phase: batchsim.AfterApply, Act: batchsim.Lie,
		Alter: distort("statusCode", nil)})
	made, err := client.CreateBatch(t.Context(), sixdotfifty.BatchRequest{Name: "x"})
	require.ErrorIs(t, err, batch.ErrAmbiguous)
	require.NotEmpty(t, made.ID)

	// Also where the list shows nothing.
	server.Inject(batchsim.Fault{Op: "ListBatches", Phase: batchsim.BeforeApply, Act: batchsim.Answer,
		Reply: batchsim.JSON(200, `[]`)})
	b, err := p.Create(t.Context(), newDraft(1))
	require.ErrorIs(t, err, batch.ErrAmbiguous)
	require.NotEmpty(t, b.ID)
	require.Zero(t, server.Log.Count("AddPayments"))
	server.Heal()
	_, err = p.Cancel(t.Context(), b)
	require.NoError(t, err)

	// But not the id of a batch that says that it is another's.
	server.Inject(batchsim.Fault{Op: "CreateBatch", Phase: batchsim.AfterApply, Act: batchsim.Lie,
		Alter: distort("externalId", "another")})
	server.Inject(batchsim.Fault{Op: "ListBatches", Phase: batchsim.BeforeApply, Act: batchsim.Answer,
		Reply: batchsim.JSON(200, `[]`)})
	b, err = p.Create(t.Context(), newDraft(1))
	require.ErrorIs(t, err, batch.ErrAmbiguous)
	require.Empty(t, b.ID)
	require.ErrorContains(t, err, "b7ccbefd-", "it is named for support")

	redemptions, err := sixdotfifty.NewRedemptions(server.RedemptionsConfig())
	require.NoError(t, err)
	t.Cleanup(redemptions.CloseIdleConnections)
	server.Inject(batchsim.Fault{Op: "RedemptionsInitiatePayment", Phase: batchsim.AfterApply, Act: batchsim.Lie,
		Alter: distort("statusCode", nil)})
	payment, err := redemptions.InitiatePayment(t.Context(), sixdotfifty.InitiatePaymentRequest{Amount: 1,
		CurrencyCode: "DZAR",
		AccountID:    "00000000-0000-0000-0000-000000000000", Reference: "r", CountryCode: "ZA"})
	require.ErrorIs(t, err, batch.ErrAmbiguous)
	require.NotEmpty(t, payment.ID)
}

// After a 4xx in other words an empty draft of the external id may be that of
// another process, which is filling it: it is not filled by two.
func TestAnEmptyDraftAfterARefusalIsNotAdopted(t *testing.T) {
	for _, form := range []sixdotfiftytest.Errors{sixdotfiftytest.ErrorsText, sixdotfiftytest.ErrorsString} {
		server, client, _ := start(t, &sixdotfiftytest.Options{Errors: form})
		d := newDraft(1)
		p := before(t, server, "/batches", 1, func() {
			_, err := client.CreateBatch(context.Background(), sixdotfifty.BatchRequest{Name: "theirs",
				ExternalID: d.Reference})
			require.NoError(t, err)
		})
		_, err := p.Create(t.Context(), d)
		require.ErrorIs(t, err, batch.ErrAmbiguous)
		require.ErrorContains(t, err, "externalId must be unique")
		require.Zero(t, server.Log.Count("AddPayments"))
		require.Zero(t, server.Log.Count("CancelBatch"))
	}
}

// A 401 closes an attempt only in documented words, and a token is renewed
// before the next one. Any other 401 is decided by a read.
func TestA401IsRepeatedWithARenewedToken(t *testing.T) {
	for name, reply := range map[string]batchsim.Reply{"documented": batchsim.JSON(401, no(401)),
		"empty":  {Status: 401},
		"a page": {Status: 401, Header: http.Header{"Content-Type": {"text/html"}}, Body: []byte("<html>")}} {
		bubble(t, sixdotfiftytest.Options{}, func(t *testing.T, r *run) {
			r.server.Inject(batchsim.Fault{Op: "SubmitBatch", Nth: 1, Phase: batchsim.AfterApply,
				Act: batchsim.Answer, Reply: reply})
			if name == "documented" {
				r.server.Heal() // Such a 401 was not processed.
				r.server.Break(batchsim.Unauthorized)
			}
			d := newDraft(1)
			report, err := batch.Run(t.Context(), r.p, d, r.o)
			require.NoError(t, err, "%s: %v", name, r.events)
			require.Equal(t, batch.StateDone, report.Batch.State)
			require.Equal(t, map[string]int{d.Items[0].Reference: 1}, r.server.Accepted())
			want := 1
			if name == "documented" {
				want = 2
			}
			require.Equal(t, want, r.server.Log.Count("SubmitBatch"), name)
			require.Equal(t, 2, r.server.Log.Count("GetToken"), "the token was renewed in between")
		})
	}
}
