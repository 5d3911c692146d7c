package citypay_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchsim"
	"github.com/batchway/batchway-go/citypay"
	"github.com/batchway/batchway-go/citypay/citypaytest"
)

func start(t *testing.T, o *citypaytest.Options) (*citypaytest.Server, *citypay.Provider) {
	t.Helper()
	server := citypaytest.New(o)
	t.Cleanup(server.Close)
	return server, newProvider(t, server.Config(), citypay.ProviderConfig{})
}

func faultsOf(t *testing.T, err error) []string {
	t.Helper()
	var e *batch.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, batch.ErrInvalid, e.Kind)
	var faults []string
	for _, fault := range e.Fields {
		faults = append(faults, fault.Error())
	}
	return faults
}

// Rows 89 to 93: what CityPay could not accept is refused here, all at once,
// and nothing is sent.
func TestBadDrafts(t *testing.T) {
	server, p := start(t, nil)
	item := func(reference, account string, minor int64, currency string) batch.Item {
		return batch.Item{Reference: reference, Account: account, Amount: batch.Money{Minor: minor, Currency: currency}}
	}
	good := item("item-1", "account-1", 100, "GBP")
	many := func(n int) (items []batch.Item) {
		for i := range n {
			items = append(items, item(fmt.Sprint("item-", i), "account-1", 1, "GBP"))
		}
		return items
	}
	now := time.Now().UTC()
	today, tomorrow := now.Format(time.DateOnly), now.Add(24*time.Hour).Format(time.DateOnly)
	for name, c := range map[string]struct {
		change func(*batch.Draft)
		want   []string
	}{
		"row 89: no items": {func(d *batch.Draft) { d.Items = nil }, []string{"items: there are none"}},
		"row 89: 10,001 items": {func(d *batch.Draft) {
			d.Items = many(10_001)
		}, []string{"items: there are 10001, and citypay takes at most 10000"}},
		"row 90: repeated reference": {func(d *batch.Draft) { d.Items = append(d.Items, good) },
			[]string{`item 1 ("item-1"): reference: is also that of item 0`}},
		"row 90: short, long and foreign references": {func(d *batch.Draft) {
			d.Items = []batch.Item{item("abc", "account-1", 1, "GBP"), item(strings.Repeat("x", 51), "account-1", 1,
				"GBP"), item("itém-1", "account-1", 1, "GBP")}
		}, []string{`item 0 ("abc"): reference: must be 5 to 50 printable ASCII characters`,
			`item 1 ("` + strings.Repeat("x", 51) + `"): reference: must be 5 to 50 printable ASCII characters`,
			`item 2 ("itém-1"): reference: must be 5 to 50 printable ASCII characters`}},
		"row 91: amounts": {func(d *batch.Draft) {
			d.Items = []batch.Item{item("item-0", "account-1", 0, "GBP"), item("item-1", "account-1", -5, "GBP"),
				item("item-2", "account-1", 1_000_000_000, "GBP")}
		}, []string{`item 0 ("item-0"): amount: must be more than zero`, `item 1 ("item-1"): amount: is negative`,
			`item 2 ("item-2"): amount: must be at most 999999999 minor units`}},
		"row 91: the total": {func(d *batch.Draft) {
			d.Items = []batch.Item{item("item-0", "account-1", 999_999_999, "GBP"),
				item("item-1", "account-1", 1, "GBP"), item("item-2", "account-1", 1, "GBP")}
		}, []string{`item 1 ("item-1"): amount: the total exceeds 999999999 minor units here, which the report could not show`}},
		"row 92: currencies": {func(d *batch.Draft) {
			d.Items = []batch.Item{item("item-0", "account-1", 1, "EUR"), item("item-1", "account-1", 1, "gbp"), good}
			d.Items[2].Reference = "item-2"
		}, []string{`item 0 ("item-0"): currency: is "EUR", and citypay takes only GBP here`,
			`item 1 ("item-1"): currency: is "gbp", and citypay takes only GBP here`}},
		"accounts": {func(d *batch.Draft) {
			d.Items = []batch.Item{item("item-0", "abc", 1, "GBP"), item("item-1", "account 1", 1, "GBP"),
				item("item-2", "", 1, "GBP")}
		}, []string{`item 2 ("item-2"): account: is empty`,
			`item 0 ("item-0"): account: must be 5 to 50 of letters, digits and - _ . ~`,
			`item 1 ("item-1"): account: must be 5 to 50 of letters, digits and - _ . ~`}},
		"row 93: number 0":           {func(d *batch.Draft) { d.Reference = "0" }, []string{notANumber}},
		"row 93: number 100,000,000": {func(d *batch.Draft) { d.Reference = "100000000" }, []string{notANumber}},
		"leading zeros":              {func(d *batch.Draft) { d.Reference = "007" }, []string{notANumber}},
		"a word":                     {func(d *batch.Draft) { d.Reference = "november" }, []string{notANumber}},
		"a bad number in Extra": {func(d *batch.Draft) { d.Extra = map[string]string{"batch_id": "1e3"} },
			[]string{"reference: is not a number from 1 to 99999999"}},
		"tomorrow": {func(d *batch.Draft) {
			d.Date = now.Add(24 * time.Hour)
		}, []string{"date: is " + tomorrow + ", and at CityPay it is " + today +
			" (UTC): CityPay documents no effect of a date in the future"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := batch.Draft{Reference: "35", Direction: batch.Collect, Items: []batch.Item{good}}
			c.change(&d)
			_, err := p.Create(t.Context(), d)
			if diff := cmp.Diff(c.want, faultsOf(t, err)); diff != "" {
				t.Errorf("the faults are not as wanted (-want +got):\n%s", diff)
			}
		})
	}
	require.Zero(t, server.Log.Count(""), "nothing is sent")

	t.Run("the limits themselves are good", func(t *testing.T) {
		d := batch.Draft{Reference: "99999999", Direction: batch.Collect, Date: now, Items: []batch.Item{
			item("12345", "~-_.~", 1, "GBP"), item(strings.Repeat("~", 50), strings.Repeat("x", 50),
				999_999_998, "GBP")}}
		b, err := p.Create(t.Context(), d)
		require.NoError(t, err)
		_, err = p.Submit(t.Context(), b)
		require.NoError(t, err)
	})
	t.Run("the sandbox takes 100", func(t *testing.T) {
		client, err := citypay.New(citypay.Config{ClientID: "PC1", LicenceKey: "key"})
		require.NoError(t, err)
		sandbox, err := citypay.NewProvider(client, citypay.ProviderConfig{MerchantID: 1, Currency: "GBP"})
		require.NoError(t, err)
		require.Equal(t, 100, sandbox.Info().MaxItems)
		require.Equal(t, "sandbox/PC1", sandbox.Info().Account)
	})
}

const notANumber = `reference: is not a number from 1 to 99999999: name one in Extra["batch_id"], set ProviderConfig.BatchID, or use batch.Run with a journal`

func TestNewProviderChecksItsConfiguration(t *testing.T) {
	client, err := citypay.New(citypay.Config{ClientID: "PC1", LicenceKey: "key"})
	require.NoError(t, err)
	_, err = citypay.NewProvider(client, citypay.ProviderConfig{Currency: "pounds", ClientAccountID: "A",
		FirstBatchID: 100_000_000})
	require.Equal(t, []string{"MerchantID: is required", "Currency: must be an ISO 4217 code",
		"ClientAccountID: must have 3 to 20 characters", "FirstBatchID: must be 1 to 99999999"}, faultsOf(t, err))
}

func TestBatchNumbers(t *testing.T) {
	server := citypaytest.New(&citypaytest.Options{Autoplay: 1, InMemory: false})
	t.Cleanup(server.Close)
	create := func(o citypay.ProviderConfig, change func(*batch.Draft)) (batch.Batch, error) {
		o.MerchantID, o.Currency = 1, "GBP"
		d := newDraft(1)
		change(&d)
		return newProvider(t, server.Config(), o).Create(t.Context(), d)
	}
	b, err := create(citypay.ProviderConfig{}, func(d *batch.Draft) { d.Reference = "42" })
	require.NoError(t, err)
	require.Equal(t, "42", b.ID)
	b, err = create(citypay.ProviderConfig{}, func(d *batch.Draft) { d.Extra = map[string]string{"batch_id": "77"} })
	require.NoError(t, err)
	require.Equal(t, "77", b.ID)
	b, err = create(citypay.ProviderConfig{BatchID: func(string) (int64, error) { return 78, nil }},
		func(d *batch.Draft) { d.Reference = "november" })
	require.NoError(t, err)
	require.Equal(t, "78", b.ID)
	_, err = create(citypay.ProviderConfig{BatchID: func(string) (int64, error) { return 0, nil }},
		func(d *batch.Draft) { d.Reference = "november" })
	require.ErrorContains(t, err, "BatchID gave 0")
	_, err = create(citypay.ProviderConfig{BatchID: func(string) (int64, error) { return 0, io.EOF }},
		func(d *batch.Draft) { d.Reference = "november" })
	require.ErrorContains(t, err, "EOF")
}

// Run takes the numbers of words from the journal, and never one twice.
func TestRunNumbersItsBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := citypaytest.New(&citypaytest.Options{Autoplay: 1, InMemory: true})
		defer server.Close()
		p := newProvider(t, server.Config(), citypay.ProviderConfig{MerchantID: 1, Currency: "GBP", FirstBatchID: 500})
		o := &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		for n, want := range []string{"500", "501"} {
			d := newDraft(2)
			d.Reference = fmt.Sprint("november-", n)
			report, err := batch.Run(t.Context(), p, d, o)
			require.NoError(t, err)
			require.Equal(t, want, report.Batch.ID)
			native := report.Results[0].Native.(citypay.TransactionResult)
			require.Equal(t, string(native.TransNo), report.Results[0].ID)
			require.NotEmpty(t, report.Results[0].ID)
			require.Equal(t, string(native.DateTime), report.Results[0].At.Format(time.RFC3339))
			again, err := batch.Run(t.Context(), p, d, o)
			require.NoError(t, err)
			require.Equal(t, want, again.Batch.ID)
		}
		require.Equal(t, 2, server.Log.Count("ProcessBatch"))

		// A number of one's own is never one that may be allocated, or was.
		for _, own := range []batch.Draft{{Reference: "500"}, {Reference: "777"},
			{Reference: "word", Extra: map[string]string{"batch_id": "500"}}} {
			d := newDraft(1)
			d.Reference, d.Extra = own.Reference, own.Extra
			_, err := batch.Run(t.Context(), p, d, o)
			require.ErrorIs(t, err, batch.ErrInvalid)
			require.ErrorContains(t, err, "numbers from ProviderConfig.FirstBatchID (500) on are allocated")
		}
		d := newDraft(1)
		d.Reference = "499"
		_, err := batch.Run(t.Context(), p, d, o)
		require.NoError(t, err)
		require.Equal(t, 3, server.Log.Count("ProcessBatch"))

		p = newProvider(t, server.Config(), citypay.ProviderConfig{MerchantID: 1, Currency: "GBP",
			FirstBatchID: 99_999_999})
		d = newDraft(1)
		d.Reference = "the-last"
		_, err = batch.Run(t.Context(), p, d, o)
		require.NoError(t, err)
		d.Reference = "one-too-many"
		_, err = batch.Run(t.Context(), p, d, o)
		require.ErrorContains(t, err, "all batch numbers up to 99999999 are used")
	})
}

// ProcessBatch must reach the service once, whatever happens to the reply.
func TestProcessBatchIsSentOnce(t *testing.T) {
	for _, status := range []int{500, 502, 503, 429, 408} {
		server, p := start(t, nil)
		server.Inject(batchsim.Fault{Op: "ProcessBatch", Phase: batchsim.AfterApply, Act: batchsim.Answer,
			Reply: batchsim.Reply{Status: status}})
		b, err := p.Create(t.Context(), newDraft(2))
		require.NoError(t, err)
		_, err = p.Submit(t.Context(), b)
		require.ErrorIs(t, err, batch.ErrAmbiguous)
		if n := server.Log.Count("ProcessBatch"); n != 1 {
			t.Fatalf("ProcessBatch reached the service %d times after a %d; it must be sent once", n, status)
		}
	}
}

// Row 93: a number that CityPay has under way is nobody else's.
func TestANumberThatIsUsed(t *testing.T) {
	server, p := start(t, nil)
	first, err := p.Create(t.Context(), newDraft(1))
	require.NoError(t, err)
	_, err = p.Submit(t.Context(), first)
	require.NoError(t, err)

	second := newDraft(1)
	second.Reference = first.Draft.Reference
	b, err := p.Create(t.Context(), second)
	require.NoError(t, err)
	b, err = p.Submit(t.Context(), b)
	require.ErrorIs(t, err, batch.ErrConflict)
	require.ErrorContains(t, err, "is already used")
	require.Equal(t, batch.StateDraft, b.State)
	require.Equal(t, 1, server.Log.Count("ProcessBatch"), "nothing was sent")
}

func TestSubmitChecksAHandleThatWasEdited(t *testing.T) {
	server, p := start(t, nil)
	b, err := p.Create(t.Context(), newDraft(1))
	require.NoError(t, err)
	for name, change := range map[string]func(*batch.Batch){
		"amount": func(b *batch.Batch) { b.Draft.Items[0].Amount.Minor = 0 },
		"id":     func(b *batch.Batch) { b.ID = "../1" },
	} {
		edited := b.Clone()
		change(&edited)
		_, err := p.Submit(t.Context(), edited)
		require.ErrorIs(t, err, batch.ErrInvalid, name)
		require.ErrorContains(t, err, name)
	}
	require.Zero(t, server.Log.Count(""))
}

// What each answer to the request that moves money means.
func TestAnswersToProcess(t *testing.T) {
	json := func(status int, body string) batchsim.Reply { return batchsim.JSON(status, body) }
	for name, c := range map[string]struct {
		reply batchsim.Reply
		kind  batch.Kind
		says  string
	}{
		"row 26: 422 in its own words": {
			json(422, `{"code":"B006","context":"ctx1","message":"Transaction invalid\nin batch"}`), batch.ErrInvalid,
			`Transaction invalid\x0ain batch`},
		"row 27: 400 by a firewall": {batchsim.Reply{Status: 400,
			Header: http.Header{"Content-Type": {"text/html"}}, Body: []byte("<html>no</html>")},
			batch.ErrAmbiguous, ""},
		"row 30: 403 by the allow-list": {batchsim.Reply{Status: 403}, batch.ErrAmbiguous, "the source address"},
		"403 by a firewall": {batchsim.Reply{Status: 403,
			Header: http.Header{"Content-Type": {"text/html"}}, Body: []byte("<html>no</html>")},
			batch.ErrAmbiguous, ""},
		"401 without words": {batchsim.Reply{Status: 401}, batch.ErrAmbiguous, ""},
		"400 without words": {batchsim.Reply{Status: 400}, batch.ErrAmbiguous, ""},
		"400 in plain words": {batchsim.Reply{Status: 400,
			Header: http.Header{"Content-Type": {"text/plain"}}, Body: []byte("Bad request")}, batch.ErrAmbiguous, ""},
		"400 in CityPay's words": {json(400, `{"code":"B006"}`), batch.ErrAmbiguous, ""},
		"404 without words":      {batchsim.Reply{Status: 404}, batch.ErrAmbiguous, ""},
		"501 without words":      {batchsim.Reply{Status: 501}, batch.ErrAmbiguous, ""},
		"422 by a proxy":         {json(422, `{"error":"upstream timeout"}`), batch.ErrAmbiguous, ""},
		"422 without a code":     {json(422, `{}`), batch.ErrAmbiguous, ""},
		"wrapped in its name": {json(200, `{"ProcessBatchResponse":{"valid":true}}`),
			batch.ErrAmbiguous, "no valid"},
		"a message of another type":        {json(200, `{"valid":true,"message":{"a":null}}`), "", ""},
		"not valid, and a message of null": {json(200, `{"valid":false,"message":null}`), batch.ErrInvalid, ""},
		"050: waiting authorisation":       {json(422, `{"code":"050"}`), batch.ErrAmbiguous, "050"},
		"F001: unknown error":              {json(422, `{"code":"F001"}`), batch.ErrAmbiguous, "F001"},
		"T001: an earlier one exists":      {json(422, `{"code":"T001"}`), batch.ErrAmbiguous, "T001"},
		"000: accepted, and refused":       {json(422, `{"code":"000"}`), batch.ErrAmbiguous, "000"},
		"B010: not in the list":            {json(422, `{"code":"B010"}`), batch.ErrAmbiguous, "B010"},
		"row 49: an empty body":            {json(200, ""), batch.ErrAmbiguous, ""},
		"row 50: null":                     {json(200, "null"), batch.ErrAmbiguous, "no valid"},
		"row 50: a list":                   {json(200, "[]"), batch.ErrAmbiguous, ""},
		"row 50: a text":                   {json(200, `"ok"`), batch.ErrAmbiguous, ""},
		"row 50: nothing in it":            {json(200, "{}"), batch.ErrAmbiguous, "no valid"},
		"row 51: a byte order mark":        {json(200, "\xef\xbb\xbf{\"valid\":true}"), "", ""},
		"row 51: UTF-16":                   {json(200, "\xff\xfe{\x00}\x00"), batch.ErrAmbiguous, "UTF-16"},
		"row 51: a message of invalid UTF-8": {json(200, "{\"valid\":false,\"message\":\"x\xffy\"}"),
			batch.ErrInvalid, "x\uFFFDy"},
		"row 52: trailing data":      {json(200, `{"valid":true}{"valid":false}`), batch.ErrAmbiguous, ""},
		"row 53: a key twice":        {json(200, `{"valid":false,"valid":true}`), batch.ErrAmbiguous, ""},
		"row 54: a key in two cases": {json(200, `{"valid":false,"Valid":true}`), batch.ErrAmbiguous, ""},
		"row 55: valid is null":      {json(200, `{"valid":null}`), batch.ErrAmbiguous, ""},
		"row 55: valid is a text":    {json(200, `{"valid":"true"}`), batch.ErrAmbiguous, ""},
		"row 55: valid is a number":  {json(200, `{"valid":1}`), batch.ErrAmbiguous, ""},
		"row 56: not valid": {json(200, `{"valid":false,"message":"no such merchant"}`), batch.ErrInvalid,
			"no such merchant"},
		"row 57: a field that is new": {json(200, `{"valid":true,"new_field":{"x":[1]}}`), "", ""},
		"B008":                        {json(422, `{"code":"B008"}`), batch.ErrConflict, "B008"},
		"B001":                        {json(422, `{"code":"B001"}`), batch.ErrUnavailable, "B001"},
		"F006: CityPay does not know": {json(422, `{"code":"F006"}`), batch.ErrAmbiguous, "F006"},
		"a licence key that is wrong": {json(422, `{"code":"S008"}`), batch.ErrAuth, "S008"},
		"500 with a code":             {json(500, `{"code":"F001","context":"trace-7"}`), batch.ErrAmbiguous, "500"},
	} {
		t.Run(name, func(t *testing.T) {
			server, p := start(t, nil)
			server.Inject(batchsim.Fault{Op: "ProcessBatch", Phase: batchsim.BeforeApply, Act: batchsim.Answer,
				Reply: c.reply})
			b, err := p.Create(t.Context(), newDraft(1))
			require.NoError(t, err)
			b, err = p.Submit(t.Context(), b)
			require.Equal(t, c.kind, batch.KindOf(err), "%v", err)
			if c.says != "" {
				require.ErrorContains(t, err, c.says)
			}
			require.Equal(t, map[batch.Kind]batch.State{"": batch.StatePending,
				batch.ErrAmbiguous: batch.StateUnknown}[c.kind],
				map[bool]batch.State{true: "", false: b.State}[b.State == batch.StateDraft && c.kind != "" &&
					c.kind != batch.ErrAmbiguous])
			require.Equal(t, 1, server.Log.Count("ProcessBatch"))
		})
	}
}

// What each answer to a status call means.
func TestAnswersToStatus(t *testing.T) {
	row := func(id int64, word string) string {
		return fmt.Sprintf(`{"batch_date":"2020-01-02","batch_id":%d,"batch_status":%q}`, id, word)
	}
	list := func(rows ...string) string { return `{"batches":[` + strings.Join(rows, ",") + `]}` }
	for name, c := range map[string]struct {
		body  string
		kind  batch.Kind
		state batch.State
	}{
		"COMPLETE":                    {list(row(35, "COMPLETE")), "", batch.StateDone},
		"CANCELLED":                   {list(row(35, "CANCELLED")), "", batch.StateCanceled},
		"ERROR_IN_PROCESSING":         {list(row(35, "ERROR_IN_PROCESSING")), "", batch.StateFailed},
		"INITIALISED":                 {list(row(35, "INITIALISED")), "", batch.StatePending},
		"QUEUED":                      {list(row(35, "QUEUED")), "", batch.StatePending},
		"LOCKED":                      {list(row(35, "LOCKED")), "", batch.StatePending},
		"row 58: in lower case":       {list(row(35, "complete")), "", batch.StateUnknown},
		"row 58: with a space":        {list(row(35, "COMPLETE ")), "", batch.StateUnknown},
		"row 58: almost":              {list(row(35, "COMPLETED")), "", batch.StateUnknown},
		"ERROR, which is no word":     {list(row(35, "ERROR")), "", batch.StateUnknown},
		"row 59: about another batch": {list(row(36, "COMPLETE")), batch.ErrProtocol, batch.StatePending},
		"row 59: twice, and they differ": {list(row(35, "COMPLETE"), row(35, "QUEUED")), batch.ErrProtocol,
			batch.StatePending},
		"row 59: twice the same":   {list(row(35, "QUEUED"), row(35, "QUEUED")), "", batch.StatePending},
		"row 59: among others":     {list(row(34, "COMPLETE"), row(35, "QUEUED")), "", batch.StatePending},
		"row 59: no row":           {list(), "", batch.StateUnknown},
		"row 59: no list":          {`{}`, batch.ErrProtocol, batch.StatePending},
		"a list that is null":      {`{"batches":null}`, batch.ErrProtocol, batch.StatePending},
		"a list that is an object": {`{"batches":{}}`, batch.ErrProtocol, batch.StatePending},
		"a list in another object": {`{"CheckBatchStatusResponse":` + list(row(35, "QUEUED")) + `}`,
			batch.ErrProtocol, batch.StatePending},
		"a list at the top": {`[` + row(35, "QUEUED") + `]`, batch.ErrProtocol, batch.StatePending},
		"null at the top":   {`null`, batch.ErrProtocol, batch.StatePending},
		"a wrong row beside ours": {`{"batches":[null,7,{"batch_id":"x","batch_status":1},` + row(35, "QUEUED") +
			`]}`, "", batch.StatePending},
		"a date of another type": {`{"batches":[{"batch_id":35,"batch_status":"QUEUED","batch_date":{"y":2020}}]}`,
			"", batch.StatePending},
		"a status that is a number": {`{"batches":[{"batch_id":35,"batch_status":4}]}`, batch.ErrProtocol,
			batch.StatePending},
		"a status that is null": {`{"batches":[{"batch_id":35,"batch_status":null}]}`, batch.ErrProtocol,
			batch.StatePending},
		"an id that is 0":        {list(row(0, "COMPLETE")), batch.ErrProtocol, batch.StatePending},
		"an id that is negative": {list(row(-35, "COMPLETE")), batch.ErrProtocol, batch.StatePending},
		"row 60: UNKNOWN":        {list(row(35, "UNKNOWN")), "", batch.StateUnknown},
		"one row without an id": {`{"batches":[{"batch_date":"","batch_status":"QUEUED"}]}`, "",
			batch.StatePending},
		"two rows without an id": {`{"batches":[{"batch_status":"QUEUED"},{"batch_status":"QUEUED"}]}`,
			batch.ErrProtocol, batch.StatePending},
		"no status":        {`{"batches":[{"batch_id":35}]}`, batch.ErrProtocol, batch.StatePending},
		"null in the list": {`{"batches":[null]}`, batch.ErrProtocol, batch.StatePending},
		"an id that is a text": {`{"batches":[{"batch_id":"35","batch_status":"COMPLETE"}]}`, batch.ErrProtocol,
			batch.StatePending},
		"an id beyond int32": {list(row(1<<32+35, "COMPLETE")), batch.ErrProtocol, batch.StatePending},
		"row 57: a field that is new": {`{"batches":[{"batch_id":35,"batch_status":"QUEUED","x":1}],"y":2}`, "",
			batch.StatePending},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // What makes no sense is asked for again, and waits in between.
				server := citypaytest.New(&citypaytest.Options{InMemory: true})
				defer server.Close()
				server.Inject(batchsim.Fault{Op: "BatchStatus", Phase: batchsim.AfterApply, Act: batchsim.Answer,
					Reply: batchsim.JSON(200, c.body)})
				p := newProvider(t, server.Config(), citypay.ProviderConfig{})
				b := batch.Batch{Provider: "citypay", ID: "35", Draft: newDraft(1), State: batch.StatePending}
				got, err := p.Poll(t.Context(), b)
				require.Equal(t, c.kind, batch.KindOf(err), "%v", err)
				require.Equal(t, c.state, got.State)
				require.Equal(t, "35", got.ID)
			})
		})
	}
}

// What each report means.
func TestAnswersToRetrieve(t *testing.T) {
	row := func(identifier string, result, code, amount any, more string) string {
		return fmt.Sprintf(
			`{"account_id":"account-1","identifier":%q,"merchantid":11223344,"result":%v,"result_code":%v,"amount":%v%s,"message":"m"}`,
			identifier, result, code, amount, more)
	}
	report := func(id, amount any, rows ...string) string {
		return fmt.Sprintf(
			`{"amount":%v,"batch_date":"2020-01-02","batch_id":%v,"batch_status":"COMPLETE","client_account_id":"PC600001","transactions":[%s]}`,
			amount, id, strings.Join(rows, ","))
	}
	paid := func(amount any) string { return row("item-a", 1, `"000"`, amount, "") }
	a, b := paid(100), row("item-b", 0, `"090"`, 250, "")
	without := func(field string) string {
		return regexp.MustCompile(`"`+field+`":("[^"]*"|[0-9]+),?`).ReplaceAllString(a, "")
	}
	for name, c := range map[string]struct {
		body     string
		kind     batch.Kind
		outcomes string // of item-a and item-b; empty if there is no report
		says     string
	}{
		"all there":                   {report(35, 350, b, a), "", "paid failed", ""},
		"the amount of what was paid": {report(35, 100, a, b), "", "paid failed", ""},
		"the amount of what was paid, with one in doubt": {report(35, 100, row("item-a", 1, `"F006"`, 100, ""), b), "",
			"unknown failed", ""},
		"a total that is not said": {report(35, "null", a, b), "", "paid failed", ""},
		"a total of another type":  {report(35, `{"v":1}`, a, b), "", "paid failed", ""},
		"row 85: one is missing": {report(35, 350, a), batch.ErrProtocol, "paid unknown",
			`item 1 ("item-b"): result: is missing`},
		"row 86: one too many": {report(35, 350, a, b, row("item-c", 1, `"000"`, 5, "")),
			batch.ErrProtocol, "paid failed", `an item "item-c" that is not in the batch`},
		"row 86: one twice": {report(35, 350, a, b, a), batch.ErrProtocol, "unknown failed",
			`item 0 ("item-a"): result: is reported more than once`},
		"row 87: another total": {report(35, 351, a, b), batch.ErrProtocol, "paid failed",
			"neither the sum of all items nor of those paid"},
		"another amount": {report(35, 350, paid(101), b), batch.ErrProtocol, "unknown failed",
			"is reported as 1.01 GBP, but was sent as 1.00 GBP"},
		"another account": {report(35, 350, strings.Replace(a, "account-1", "account-2", 1), b),
			batch.ErrProtocol, "unknown failed", "another account"},
		"row 88: result 42": {report(35, 350, row("item-a", 42, `"000"`, 100, ""), b), "",
			"unknown failed", ""},
		"row 88: result as a text": {report(35, 350, row("item-a", `"1"`, `"000"`, 100, ""), b), "",
			"paid failed", ""},
		"row 88: result is null": {report(35, 350, row("item-a", "null", `"000"`, 100, ""), b),
			batch.ErrProtocol, "unknown failed", `item 0 ("item-a"): result: must be a number, and is missing`},
		"row 88: no result": {report(35, 350, without("result"), b), batch.ErrProtocol,
			"unknown failed", `item 0 ("item-a"): result: must be a number, and is missing`},
		"result 20": {report(35, 350, row("item-a", 20, `"000"`, 100, ""), b), "",
			"unknown failed", ""},
		"result 7, hold": {report(35, 350, row("item-a", 7, `"012"`, 100, ""), b), "",
			"unknown failed", ""},
		"result 3": {report(35, 350, row("item-a", 3, `"080"`, 100, ""), b), "",
			"skipped failed", ""},
		"result 18 is no charge": {report(35, 350, row("item-a", 18, `"000"`, 100, ""), b), "",
			"unknown failed", ""},
		"result -1": {report(35, 350, row("item-a", -1, `"000"`, 100, ""), b),
			batch.ErrProtocol, "unknown failed", `result: must be a number, and is "-1"`},
		"a result beyond 32 bits": {report(35, 350, row("item-a", int64(1<<32+1), `"000"`, 100, ""), b),
			batch.ErrProtocol, "unknown failed", "result: must be a number"},
		"an upstream that is silent": {report(35, 350, row("item-a", 1, `"F006"`, 100, ""), b), "",
			"unknown failed", ""},
		"a code that is not listed": {report(35, 350, row("item-a", 1, `"c"`, 100, ""), b), "",
			"unknown failed", ""},
		"a code that is null": {report(35, 350, row("item-a", 1, "null", 100, ""), b),
			batch.ErrProtocol, "unknown failed", "result_code: must be a string, and is missing"},
		"a code that is a number": {report(35, 350, row("item-a", 1, 0, 100, ""), b), batch.ErrProtocol,
			"unknown failed", `result_code: must be a string, and is "0"`},
		"no code": {report(35, 350, without("result_code"), b), batch.ErrProtocol,
			"unknown failed", "result_code: must be a string, and is missing"},
		"accepted, with a decline": {report(35, 350, row("item-a", 1, `"090"`, 100, ""), b),
			batch.ErrProtocol, "unknown failed", "contradicts"},
		"declined, with an acceptance": {report(35, 350, row("item-a", 0, `"000"`, 100, ""), b),
			batch.ErrProtocol, "unknown failed", "contradicts"},
		"accepted, of 0": {report(35, 350, paid(0), b), batch.ErrProtocol, "unknown failed",
			"the amount is 0 or missing"},
		"accepted, of null": {report(35, 350, paid("null"), b), batch.ErrProtocol,
			"unknown failed", "the amount is 0 or missing"},
		"accepted, without an amount": {report(35, 350, without("amount"), b), batch.ErrProtocol,
			"unknown failed", "the amount is 0 or missing"},
		"declined, without an amount": {report(35, 350, a, row("item-b", 0, `"090"`, "null", "")), "",
			"paid failed", ""},
		"another batch": {report(36, 350, a, b), batch.ErrProtocol, "", "asked for batch 35"},
		"another merchant": {report(35, 350, strings.Replace(a, "11223344", "11223345", 1), b),
			batch.ErrProtocol, "unknown failed", `merchantid: is 11223345, but the batch is of merchant 11223344`},
		"another client account": {strings.Replace(report(35, 350, a, b), "PC600001", "PC600002", 1),
			batch.ErrProtocol, "unknown unknown", `client_account_id: is "PC600002", but the batch is of "PC600001"`},
		"a merchant that is not said": {report(35, 350, without("merchantid"), b), "", "paid failed", ""},
		"an account that is not said": {report(35, 350, without("account_id"), b), "", "paid failed", ""},
		"another status": {strings.Replace(report(35, 350, a, b), "COMPLETE", "LOCKED", 1),
			batch.ErrProtocol, "paid failed", `batch_status: is "LOCKED"`},
		"a total beyond int32": {report(35, int64(5_000_000_000), a, b), batch.ErrProtocol,
			"paid failed", "5000000000"},
		"row 61: a fraction": {report(35, 350, paid("100.5"), b), batch.ErrProtocol,
			"unknown failed", `amount: must be a whole number that is not negative, and is "100.5"`},
		"row 61: whole, with a point": {report(35, 350, paid("100.0"), b), "", "paid failed", ""},
		"row 61: negative": {report(35, 350, paid(-100), b), batch.ErrProtocol, "unknown failed",
			`amount: must be a whole number that is not negative, and is "-100"`},
		"row 61: absurd": {report(35, 350, paid("99999999999999999999"), b), batch.ErrProtocol,
			"unknown failed", "amount: must be"},
		"row 51: an identifier of invalid UTF-8": {report(35, 350, strings.Replace(a, "item-a", "item-a\xff", 1), b),
			batch.ErrProtocol, "unknown failed", "that is not in the batch"},
		"null among the rows": {report(35, 350, a, "null", b), batch.ErrProtocol, "paid failed",
			"identifier: of row 1 must be a string, and is missing"},
		"a number among the rows": {report(35, 350, a, "7", b), batch.ErrProtocol, "paid failed",
			"identifier: of row 1 must be a string, and is missing"},
		"a row without an identifier": {report(35, 350, without("identifier"), b), batch.ErrProtocol,
			"unknown failed", "identifier: of row 0 must be a string, and is missing"},
		"an identifier that is a number": {report(35, 350, strings.Replace(a, `"item-a"`, "7", 1), b),
			batch.ErrProtocol, "unknown failed", `identifier: of row 0 must be a string, and is "7"`},
		"a row with a key twice": {report(35, 350, row("item-a", 0, `"090"`, 100, `,"result":1`), b),
			batch.ErrProtocol, "", "duplicate object member name"},
		"no rows at all": {`{"batch_id":35,"batch_status":"COMPLETE"}`, batch.ErrProtocol, "",
			"no transactions"},
		"rows that are null": {`{"batch_id":35,"batch_status":"COMPLETE","transactions":null}`,
			batch.ErrProtocol, "", ""},
		"a status that is empty": {strings.Replace(report(35, 350, a, b), "COMPLETE", "", 1), batch.ErrProtocol, "",
			"no batch_status"},
		"an identifier with spaces": {report(35, 350, strings.Replace(a, `"item-a"`, `" item-a "`, 1), b),
			batch.ErrProtocol, "unknown failed", "that is not in the batch"},
		"an account with spaces": {report(35, 350, strings.Replace(a, `"account-1"`, `" account-1 "`, 1), b),
			batch.ErrProtocol, "unknown failed", "another account"},
		"wrapped in its name": {`{"BatchReportResponseModel":` + report(35, 350, a, b) + `}`, batch.ErrProtocol, "",
			"no batch_id"},
		"cut short": {strings.TrimSuffix(report(35, 350, a, b), "]}"), batch.ErrProtocol, "", "unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := citypaytest.New(&citypaytest.Options{InMemory: true})
				defer server.Close()
				server.Inject(batchsim.Fault{Op: "RetrieveBatch", Phase: batchsim.BeforeApply, Act: batchsim.Answer,
					Reply: batchsim.JSON(200, c.body)})
				p := newProvider(t, server.Config(), citypay.ProviderConfig{})
				got, err := p.Report(t.Context(), twoItems("35", batch.StateDone))
				require.Equal(t, c.kind, batch.KindOf(err), "%v", err)
				if c.says != "" {
					require.ErrorContains(t, err, c.says)
				}
				var outcomes []string
				for _, result := range got.Results {
					outcomes = append(outcomes, string(result.Outcome))
				}
				require.Equal(t, c.outcomes, strings.Join(outcomes, " "))
				require.Equal(t, "35", got.Batch.ID, "the batch is there even beside an error")
			})
		})
	}
}

// twoItems is a batch of item-a (1.00) and item-b (2.50), both of account-1.
func twoItems(id string, s batch.State) batch.Batch {
	d := batch.Draft{Reference: id, Direction: batch.Collect, Date: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC),
		Items: []batch.Item{
			{Reference: "item-a", Account: "account-1", Amount: batch.Money{Minor: 100, Currency: "GBP"}},
			{Reference: "item-b", Account: "account-1", Amount: batch.Money{Minor: 250, Currency: "GBP"}}}}
	return batch.Batch{Provider: "citypay", ID: id, Draft: d, State: s}
}

func TestReportReturnsTheErrorOfItsRead(t *testing.T) {
	server, p := start(t, nil)
	report, err := p.Report(t.Context(), twoItems("35", batch.StateDone))
	require.ErrorIs(t, err, batch.ErrNotFound, "CityPay has no batch 35")
	require.Empty(t, report.Results)
	sent := server.Log.Count("")
	for name, b := range map[string]batch.Batch{
		"an ID that is not a number": twoItems("x", batch.StateDone),
		"another provider":           {Provider: "another", ID: "35", State: batch.StateDone},
	} {
		_, err := p.Report(t.Context(), b)
		require.ErrorIs(t, err, batch.ErrInvalid, name)
	}
	require.Equal(t, sent, server.Log.Count(""), "no read goes out")
}

// A batch that CityPay gave up may have charged some rows.
func TestReportOfAFailedBatch(t *testing.T) {
	server, p := start(t, nil)
	b, err := p.Create(t.Context(), newDraft(4))
	require.NoError(t, err)
	b, err = p.Submit(t.Context(), b)
	require.NoError(t, err)
	id, err := strconv.ParseInt(b.ID, 10, 64)
	require.NoError(t, err)
	server.Fail(id)
	b, err = p.Poll(t.Context(), b)
	require.NoError(t, err)
	require.Equal(t, batch.StateFailed, b.State)
	report, err := p.Report(t.Context(), b)
	require.ErrorIs(t, err, batch.ErrProtocol, "two rows are missing, and that is said")
	require.Equal(t, 2, report.Totals[batch.OutcomePaid].Count)
	require.Equal(t, 2, report.Totals[batch.OutcomeUnknown].Count)
}

// The amounts of the sandbox have their outcomes.
func TestSandboxAmounts(t *testing.T) {
	_, p := start(t, &citypaytest.Options{Autoplay: 1, UnknownAccounts: []string{"nobody-1"}})
	d := newDraft(5)
	for n, minor := range []int64{7801, 3333, 4444, 6666, 100} {
		d.Items[n].Amount.Minor = minor
	}
	d.Items[4].Account = "nobody-1"
	report, err := batch.Run(t.Context(), p, d,
		&batch.RunOptions{Watch: batch.WatchOptions{Interval: time.Millisecond}})
	require.NoError(t, err)
	var got []string
	for _, result := range report.Results {
		got = append(got, fmt.Sprintf("%s %s", result.Outcome, result.Code))
		require.IsType(t, citypay.TransactionResult{}, result.Native)
	}
	require.Equal(t, []string{"paid 001", "failed 090", "failed 089", "unknown F006", "failed P043"}, got)
}

// An unclear submit, seen through by Run, under every fault and both answers
// about duplicates: the account is charged at most once, and what Run says is
// true.
func TestRunThroughEveryFault(t *testing.T) {
	faults := []batchsim.Scenario{batchsim.Refused, batchsim.Unauthorized, batchsim.LostBefore, batchsim.LostAfter,
		batchsim.ErrorBefore, batchsim.ErrorAfter,
		batchsim.GarbledAfter, batchsim.TruncatedAfter, batchsim.EchoedAfter, batchsim.LateAfter, batchsim.Redirected,
		batchsim.Unavailable, batchsim.SilentBefore, batchsim.SilentAfter}
	for _, fault := range faults {
		for _, guarded := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, guarded %v", fault, guarded), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					server := citypaytest.New(&citypaytest.Options{Autoplay: 1, InMemory: true})
					defer server.Close()
					p := newProvider(t, server.Config(), citypay.ProviderConfig{MerchantID: 1, Currency: "GBP",
						DuplicateIDRefused: guarded})
					server.Break(fault)
					d := newDraft(3)
					o := &batch.RunOptions{Journal: batch.NewMemoryJournal()}
					_, err := batch.Run(t.Context(), p, d, o)
					kind := batch.KindOf(err)
					time.Sleep(2 * time.Hour) // of the bubble: what is late arrives
					server.Clock.Advance(0)
					for _, item := range d.Items {
						times := server.Accepted()[item.Reference]
						switch {
						case times > 1:
							t.Fatalf("%s was charged %d times", item.Reference, times)
						case err == nil && times != 1:
							t.Fatalf("Run succeeded, and %s was charged %d times", item.Reference, times)
						case err != nil && kind != batch.ErrAmbiguous && times > 0:
							t.Fatalf("Run said %q, and %s was charged", kind, item.Reference)
						}
					}
					if guarded && fault != batchsim.Refused && fault != batchsim.Unauthorized {
						require.NoError(t, err, "behind a guard everything is found out")
					}
					if server.Accepted()[d.Items[0].Reference] == 1 {
						report, err := batch.Resume(t.Context(), p, d.Reference, o)
						require.NoError(t, err)
						require.Equal(t, 3, report.Totals[batch.OutcomePaid].Count)
					}
					if !guarded {
						require.LessOrEqual(t, server.Log.Count("ProcessBatch"), 2)
					}
				})
			})
		}
	}
}

func TestPollAllAsksOnce(t *testing.T) {
	server, p := start(t, nil)
	var bs []batch.Batch
	for range 3 {
		b, err := p.Create(t.Context(), newDraft(1))
		require.NoError(t, err)
		b, err = p.Submit(t.Context(), b)
		require.NoError(t, err)
		bs = append(bs, b)
	}
	done := bs[0]
	done.State = batch.StateDone
	before := server.Log.Count("BatchStatus")
	polled, err := p.PollAll(t.Context(), append(bs, done))
	require.NoError(t, err)
	require.Equal(t, before+1, server.Log.Count("BatchStatus"))
	require.Equal(t, batch.StateDone, polled[3].State)
	require.Equal(t, "INITIALISED", polled[1].Native)

	_, err = p.PollAll(t.Context(), []batch.Batch{{Provider: "other"}})
	require.ErrorIs(t, err, batch.ErrInvalid)

	// A refusal may be of one number: the others are read all the same.
	var many []batch.Batch
	for range 40 {
		many = append(many, bs...)
	}
	odd := many[70]
	odd.ID = "999999"
	many[70] = odd
	c, asked := server.Config(), 0
	c.Middleware = func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(r *http.Request) (*http.Response, error) {
			asked++
			body, err := io.ReadAll(r.Body)
			if err != nil || !strings.Contains(string(body), "999999") {
				r.Body = io.NopCloser(bytes.NewReader(body))
				return next.RoundTrip(r)
			}
			return &http.Response{StatusCode: 422, Header: http.Header{"Content-Type": {"application/json"}},
				Request: r,
				Body:    io.NopCloser(strings.NewReader(`{"code":"B004","message":"no such batch"}`))}, nil
		})
	}
	reader := newProvider(t, c, citypay.ProviderConfig{MerchantID: 1, Currency: "GBP"})
	polled, err = reader.PollAll(t.Context(), many)
	var each batch.PollErrors
	require.ErrorAs(t, err, &each)
	require.Len(t, each, 1)
	require.ErrorIs(t, each[70], batch.ErrInvalid)
	for n, b := range polled {
		require.Equal(t, n != 70, b.Native == "INITIALISED", n)
	}
	require.LessOrEqual(t, asked, 2+2*7, "the halves of a hundred")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	kept, err := p.PollAll(ended, bs)
	require.Error(t, err)
	require.Empty(t, cmp.Diff(bs, kept))
}

// A body that never ends is cut off.
func TestAnEndlessReport(t *testing.T) {
	endless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"batch_id":35,"transactions":[`)
		row, err := json.Marshal(citypay.TransactionResult{Identifier: "x",
			Message: citypay.Text(strings.Repeat("m", 60_000))})
		for err == nil {
			_, err = w.Write(append(row, ','))
		}
	}))
	defer endless.Close()
	client, err := citypay.New(citypay.Config{ClientID: "PC1", LicenceKey: "key", BaseURL: endless.URL})
	require.NoError(t, err)
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err = client.RetrieveBatch(ctx, citypay.BatchReportRequest{BatchID: 35})
	require.ErrorContains(t, err, "larger than allowed")
	var e *batch.Error
	require.True(t, errors.As(err, &e) && e.Kind == batch.ErrProtocol)
}
