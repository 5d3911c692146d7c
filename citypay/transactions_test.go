package citypay_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchsim"
	"github.com/batchway/batchway-go/citypay"
	"github.com/batchway/batchway-go/citypay/citypaytest"
)

// A look-up that CityPay could not answer is refused here, and not sent.
func TestBadLookUps(t *testing.T) {
	server, client := startClient(t, nil)
	for _, c := range []struct {
		request citypay.RetrieveRequest
		want    []string
	}{
		{citypay.RetrieveRequest{}, []string{"merchantid: must be 1 to 2147483647",
			"identifier: give either an identifier or a transno"}},
		{citypay.RetrieveRequest{MerchantID: 1, Identifier: "item-1", TransNo: 1},
			[]string{"identifier: give either an identifier or a transno"}},
		{citypay.RetrieveRequest{MerchantID: 1 << 31, TransNo: -1}, []string{"merchantid: must be 1 to 2147483647",
			"transno: must be 1 to 2147483647"}},
		{citypay.RetrieveRequest{MerchantID: 1, Identifier: "abc"},
			[]string{"identifier: must be 4 to 50 printable ASCII characters"}},
		{citypay.RetrieveRequest{MerchantID: 1, Identifier: strings.Repeat("x", 51)},
			[]string{"identifier: must be 4 to 50 printable ASCII characters"}},
		{citypay.RetrieveRequest{MerchantID: 1, Identifier: "item\n1"},
			[]string{"identifier: must be 4 to 50 printable ASCII characters"}},
	} {
		_, err := client.RetrieveTransactions(t.Context(), c.request)
		require.Equal(t, c.want, faultsOf(t, err))
	}
	require.Zero(t, server.Log.Count(""))
}

func startClient(t *testing.T, o *citypaytest.Options) (*citypaytest.Server, *citypay.Client) {
	t.Helper()
	server := citypaytest.New(o)
	t.Cleanup(server.Close)
	client, err := citypay.New(server.Config())
	require.NoError(t, err)
	t.Cleanup(client.CloseIdleConnections)
	return server, client
}

// The simulator shows the newest five of one merchant and 90 days. A reply that
// says "not found" gives an empty list, in either form.
func TestLookUpsOfTheSimulator(t *testing.T) {
	for _, refuses := range []bool{false, true} {
		server, client := startClient(t, &citypaytest.Options{LookUpRefuses: refuses})
		look := func(r citypay.RetrieveRequest) []citypay.AuthReference {
			got, err := client.RetrieveTransactions(t.Context(), r)
			require.NoError(t, err)
			require.NotNil(t, got.Auths)
			return got.Auths
		}
		for n := range 7 {
			_, err := client.ProcessBatch(t.Context(), citypay.ProcessBatchRequest{BatchDate: "2020-01-02",
				BatchID: int64(n + 1),
				Transactions: []citypay.BatchTransaction{{AccountID: "account-1", Amount: 100, Identifier: "item-1",
					MerchantID: 7}}})
			require.NoError(t, err)
			server.Finish(int64(n + 1))
		}
		auths := look(citypay.RetrieveRequest{MerchantID: 7, Identifier: "item-1"})
		require.Len(t, auths, citypay.MaxAuths)
		require.Equal(t, int64(7), auths[0].TransNo, "the newest first")
		require.Equal(t, "GBP", auths[0].Currency)
		require.Len(t, look(citypay.RetrieveRequest{MerchantID: 7, TransNo: 1}), 1)
		require.Empty(t, look(citypay.RetrieveRequest{MerchantID: 8, Identifier: "item-1"}))
		require.Empty(t, look(citypay.RetrieveRequest{MerchantID: 7, Identifier: "item"}))
		require.Empty(t, look(citypay.RetrieveRequest{MerchantID: 7, TransNo: 8}))
		server.Inject(batchsim.Fault{Op: "RetrieveTransactions", Nth: 1, Act: batchsim.Answer,
			Phase: batchsim.AfterApply, Reply: batchsim.JSON(422, `{"code":"D101"}`)})
		require.Empty(t, look(citypay.RetrieveRequest{MerchantID: 7, TransNo: 7}))
		server.Inject(batchsim.Fault{Op: "RetrieveTransactions", Nth: 1, Act: batchsim.Answer,
			Phase: batchsim.AfterApply, Reply: batchsim.JSON(422, `{"code":"S003"}`)})
		_, err := client.RetrieveTransactions(t.Context(), citypay.RetrieveRequest{MerchantID: 7, TransNo: 7})
		require.ErrorIs(t, err, batch.ErrAuth)
	}
}

const clean = `{"amount_value":250,"currency":"GBP","datetime":"2025-01-02T18:32:28Z","identifier":"item-b","merchantid":11223344,"result_id":"1","trans_status":"S","transno":78416,"type":"sale"}`

// What a look-up proves of an item whose row says that the outcome is unknown,
// with a number and without, and of one whose row is missing.
func TestWhatALookUpProves(t *testing.T) {
	change := func(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(clean) }
	status := func(letter, result string) string { return change(`"S"`, `"`+letter+`"`, `"1"`, `"`+result+`"`) }
	auths := func(rows ...string) string { return `{"auths":[` + strings.Join(rows, ",") + `]}` }
	for name, c := range map[string]struct {
		reply string
		want  string // of an item with the number 78416, with none, and without a row
		says  string
	}{
		"settled": {auths(clean), "paid unknown unknown",
			`transaction 78416 of type "sale" has status "S"`},
		"open":                         {auths(status("O", "1")), "paid unknown unknown", ""},
		"assigned":                     {auths(status("A", "1")), "paid unknown unknown", ""},
		"without the id of the result": {auths(change(`"result_id":"1",`, "")), "paid unknown unknown", ""},
		"a result id that is a number": {auths(change(`"result_id":"1"`, `"result_id":1`)),
			"paid unknown unknown", ""},
		"without a currency": {auths(change(`"currency":"GBP",`, "")), "paid unknown unknown", ""},
		"numbers as text": {auths(change(`250`, `"250"`, `11223344`, `"11223344"`, `78416`, `"78416"`)),
			"paid unknown unknown", ""},
		"settled, and not accepted": {auths(status("S", "0")), "unknown unknown unknown",
			`result "0" contradicts`},
		"declined":               {auths(status("D", "0")), "failed unknown unknown", `status "D"`},
		"rejected":               {auths(status("R", "2")), "failed unknown unknown", ""},
		"expired":                {auths(status("E", "1")), "failed unknown unknown", ""},
		"cancelled":              {auths(status("C", "1")), "skipped unknown unknown", ""},
		"declined, and accepted": {auths(status("D", "1")), "unknown unknown unknown", "contradicts"},
		"pre-authorised":         {auths(status("P", "1")), "unknown unknown unknown", "not final"},
		"awaiting":               {auths(status("H", "7")), "unknown unknown unknown", "not final"},
		"on hold":                {auths(status(".", "7")), "unknown unknown unknown", "not final"},
		"initialised":            {auths(status("I", "1")), "unknown unknown unknown", "not final"},
		"verified":               {auths(status("V", "18")), "unknown unknown unknown", "not final"},
		"another letter":         {auths(status("s", "1")), "unknown unknown unknown", "not final"},
		"no letter":              {auths(change(`"S"`, "null")), "unknown unknown unknown", "not final"},
		"two": {auths(clean, status("D", "0")), "unknown unknown unknown",
			`there are 2 transactions, which leaves it open: 78416 "S" 78416 "D"`},
		"one and null":             {auths(clean, "null"), "unknown unknown unknown", "there are 2 transactions"},
		"null alone":               {auths("null"), "unknown unknown unknown", "another identifier"},
		"none":                     {auths(), "unknown unknown unknown", "no transaction was found"},
		"no list":                  {`{}`, "unknown unknown unknown", "no transaction was found"},
		"a list that is null":      {`{"auths":null}`, "unknown unknown unknown", "no transaction was found"},
		"a list that is an object": {`{"auths":{}}`, "unknown unknown unknown", "it failed"},
		"another identifier": {auths(change(`item-b`, `item-a`)), "unknown unknown unknown",
			"another identifier"},
		"an identifier in upper case": {auths(change(`item-b`, `ITEM-B`)), "unknown unknown unknown",
			"another identifier"},
		"another merchant": {auths(change(`11223344`, `11223345`)), "unknown unknown unknown",
			"another merchant"},
		"no merchant": {auths(change(`"merchantid":11223344,`, ``)), "unknown unknown unknown",
			"another merchant"},
		"another amount": {auths(change(`250`, `251`)), "unknown unknown unknown", "the amount 251"},
		"a fraction":     {auths(change(`250`, `250.5`)), "unknown unknown unknown", "the amount 0"},
		"another currency": {auths(change(`GBP`, `EUR`)), "unknown unknown unknown",
			`the currency "EUR"`},
		"a refund": {auths(change(`"sale"`, `"refund"`)), "unknown unknown unknown",
			"not said to be a sale"},
		"no type": {auths(change(`,"type":"sale"`, ``)), "unknown unknown unknown",
			"not said to be a sale"},
		"no number": {auths(change(`78416`, `-1`)), "unknown unknown unknown", "no number"},
		"another number": {auths(change(`78416`, `78417`)), "unknown unknown unknown",
			"and the report has transaction 78416"},
		"before the batch": {auths(change(`2025`, `1999`)), "unknown unknown unknown",
			"is not after the batch was made"},
		"without a time": {auths(change(`2025-01-02T18:32:28Z`, ``)), "unknown unknown unknown",
			"is not after the batch was made"},
		"a field of its own": {auths(change(`"type"`, `"name_on_card":{"x":1},"type"`)),
			"paid unknown unknown", ""},
		"refused in CityPay's own words": {"D023", "unknown unknown unknown", "no transaction was found"},
		"refused":                        {"S003", "unknown unknown unknown", "it failed"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := citypaytest.New(&citypaytest.Options{InMemory: true})
				defer server.Close()
				p := newProvider(t, server.Config(), citypay.ProviderConfig{})
				answer := batchsim.JSON(200, c.reply)
				if len(c.reply) == 4 {
					answer = batchsim.JSON(422, fmt.Sprintf(`{"code":%q}`, c.reply))
				}
				server.Inject(batchsim.Fault{Op: "RetrieveTransactions", Phase: batchsim.AfterApply,
					Act: batchsim.Answer, Reply: answer})
				const row = `,{"account_id":"account-1","identifier":"item-b","merchantid":11223344,"result":20,"result_code":"F006","amount":250,"message":"m","transno":%d}`
				var got []string
				for _, b := range []string{fmt.Sprintf(row, 78416), fmt.Sprintf(row, -1), ""} {
					server.Inject(batchsim.Fault{Op: "RetrieveBatch", Nth: 1, Phase: batchsim.BeforeApply,
						Act: batchsim.Answer, Reply: batchsim.JSON(200,
							`{"amount":350,"batch_id":35,"batch_status":"COMPLETE","client_account_id":"PC600001","transactions":[`+
								`{"account_id":"account-1","identifier":"item-a","merchantid":11223344,"result":1,"result_code":"000","amount":100,"message":"m"}`+b+`]}`)})
					report, err := p.Report(t.Context(), twoItems("35", batch.StateDone))
					result := report.Results[1]
					got = append(got, string(result.Outcome))
					require.Equal(t, b == "", err != nil, "%v", err)
					require.Contains(t, result.Message, "look-up: ")
					require.Equal(t, 1,
						report.Totals[result.Outcome].Count-map[bool]int{true: 1}[result.Outcome == batch.OutcomePaid])
					require.Equal(t, batch.OutcomePaid, report.Results[0].Outcome)
					require.NotContains(t, report.Results[0].Message, "look-up", "what is known is not asked for")
					if len(got) == 1 {
						require.Contains(t, result.Message, c.says)
					} else if strings.HasPrefix(c.want, "paid") {
						require.Contains(t, result.Message,
							"the report has no number that shows whether it is of this batch")
					}
					if result.Outcome != batch.OutcomeUnknown {
						require.Regexp(t, "^7841[67]$", result.ID)
						require.Equal(t, "2025-01-02T18:32:28Z", result.At.Format(time.RFC3339))
					}
				}
				require.Equal(t, c.want, strings.Join(got, " "))
			})
		})
	}
}

// A row that contradicts what was sent, or itself, stays unknown, whatever a
// look-up shows; and so does every item of a report that is of another account.
func TestALookUpExcusesNoContradiction(t *testing.T) {
	row := func(id, result, code, merchant string, amount int) string {
		return fmt.Sprintf(
			`{"account_id":"account-1","identifier":%q,"merchantid":%s,"result":%s,"result_code":%q,"amount":%d}`, id,
			merchant, result, code, amount)
	}
	a, doubt := row("item-a", "1", "000", "11223344", 100), row("item-b", "20", "F006", "11223344", 250)
	for name, rows := range map[string]string{
		"another amount":        a + "," + row("item-b", "20", "F006", "11223344", 251),
		"another merchant":      a + "," + row("item-b", "20", "F006", "11223345", 250),
		"twice":                 a + "," + doubt + "," + doubt,
		"accepted and declined": a + "," + row("item-b", "1", "090", "11223344", 250),
		"a result of null":      a + "," + row("item-b", "null", "000", "11223344", 250),
		"one too many":          a + "," + doubt + "," + row("item-c", "1", "000", "11223344", 1),
		"missing, and a stray":  a + "," + row("item-c", "1", "000", "11223344", 1),
	} {
		t.Run(name, func(t *testing.T) {
			server, p := start(t, nil)
			server.Inject(batchsim.Fault{Op: "RetrieveTransactions", Phase: batchsim.AfterApply, Act: batchsim.Answer,
				Reply: batchsim.JSON(200, `{"auths":[`+clean+`]}`)})
			server.Inject(batchsim.Fault{Op: "RetrieveBatch", Phase: batchsim.BeforeApply, Act: batchsim.Answer,
				Reply: batchsim.JSON(200, `{"batch_id":35,"batch_status":"COMPLETE","transactions":[`+rows+`]}`)})
			report, err := p.Report(t.Context(), twoItems("35", batch.StateDone))
			require.ErrorIs(t, err, batch.ErrProtocol)
			require.Equal(t, batch.OutcomeUnknown, report.Results[1].Outcome)
			require.Contains(t, report.Results[1].Message, `look-up: transaction 78416 of type "sale" has status "S"`)

			server.Inject(batchsim.Fault{Op: "RetrieveBatch", Phase: batchsim.BeforeApply, Act: batchsim.Answer,
				Reply: batchsim.JSON(200, `{"batch_id":35,"batch_status":"LOCKED","transactions":[`+rows+`]}`)})
			before := server.Log.Count("RetrieveTransactions")
			_, _ = p.Report(t.Context(), twoItems("35", batch.StatePending))
			require.Equal(t, before, server.Log.Count("RetrieveTransactions"), "until the batch is over")
		})
	}
}

// An early report is not looked up, a big one a hundred times, and a service
// that does not answer is not asked again.
func TestLookUpsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := citypaytest.New(&citypaytest.Options{InMemory: true})
		defer server.Close()
		p := newProvider(t, server.Config(), citypay.ProviderConfig{})
		d := newDraft(120)
		for n := range d.Items {
			d.Items[n].Amount.Minor = 6666
		}
		b, err := p.Create(t.Context(), d)
		require.NoError(t, err)
		b, err = p.Submit(t.Context(), b)
		require.NoError(t, err)
		_, err = p.Report(t.Context(), b)
		require.NoError(t, err)
		require.Zero(t, server.Log.Count("RetrieveTransactions"), "until the batch is over")
		server.FinishAll()
		b, err = p.Poll(t.Context(), b)
		require.NoError(t, err)
		report, err := p.Report(t.Context(), b)
		require.NoError(t, err)
		require.Equal(t, 100, server.Log.Count("RetrieveTransactions"))
		require.Equal(t, 120, report.Totals[batch.OutcomeUnknown].Count)

		before := server.Log.Count("RetrieveTransactions")
		server.Inject(batchsim.Fault{Op: "RetrieveTransactions", Phase: batchsim.BeforeApply, Act: batchsim.Answer,
			Reply: batchsim.Reply{Status: 503}})
		report, err = p.Report(t.Context(), b)
		require.NoError(t, err, "a look-up that fails does not fail the report")
		require.Equal(t, 120, report.Totals[batch.OutcomeUnknown].Count)
		require.Less(t, server.Log.Count("RetrieveTransactions")-before, 10)
	})
}

// Run settles what the acquirer did not answer, and says what is true.
func TestRunLooksUpWhatWasNotAnswered(t *testing.T) {
	for how, want := range map[citypaytest.Unanswered]batch.Outcome{
		citypaytest.UnansweredUnrecorded: batch.OutcomeUnknown,
		citypaytest.UnansweredPaid:       batch.OutcomePaid, citypaytest.UnansweredDeclined: batch.OutcomeFailed,
		citypaytest.UnansweredAwaiting: batch.OutcomeUnknown} {
		server, p := start(t, &citypaytest.Options{Autoplay: 1, Unanswered: how})
		d := newDraft(3)
		d.Items[1].Amount.Minor = 6666
		report, err := batch.Run(t.Context(), p, d,
			&batch.RunOptions{Watch: batch.WatchOptions{Interval: time.Millisecond}})
		require.NoError(t, err)
		require.Equal(t, want, report.Results[1].Outcome)
		require.Equal(t, want == batch.OutcomePaid, server.Ledger.Moved()[d.Items[1].Reference] == 1)
		require.Equal(t, 1, server.Log.Count("RetrieveTransactions"))
	}
}
