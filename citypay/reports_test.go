package citypay_test

import (
	"context"
	"encoding/json"
	"fmt"
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

var sampleDays = citypay.MerchantBatchReportRequest{DateFrom: "2024-01-24", DateUntil: "2024-01-31",
	MerchantIDs: []int64{11223344, 5667788}, OrderBy: "-batch_no",
	Page: citypay.Page{MaxResults: 50}}

// reads are the reports, each with its samples.
var reads = []struct {
	op, request, response string
	call                  func(context.Context, *citypay.Client) (any, error)
}{
	{"MerchantBatchReport", "merchant_batch_report.request", "merchant_batch_report.response",
		func(ctx context.Context, c *citypay.Client) (any, error) {
			return c.MerchantBatchReport(ctx, sampleDays)
		}},
	{"MerchantBatchReport", "merchant_batch_report_page2.request", "merchant_batch_report_last_page.response",
		func(ctx context.Context, c *citypay.Client) (any, error) {
			r := sampleDays
			r.NextToken = "n34liuwn435tUAGFNg34yn..."
			return c.MerchantBatchReport(ctx, r)
		}},
	{"MerchantBatch", "merchant_batch.request", "merchant_batch.response",
		func(ctx context.Context, c *citypay.Client) (any, error) {
			return c.MerchantBatch(ctx, 11223344, "35")
		}},
	{"MerchantBatchTransactions", "merchant_batch_transactions.request", "merchant_batch_transactions.response",
		func(ctx context.Context, c *citypay.Client) (any, error) {
			return c.MerchantBatchTransactions(ctx, 11223344, "35",
				citypay.MerchantBatchTransactionsRequest{OrderBy: "trans_no", Page: citypay.Page{MaxResults: 50}})
		}},
	{"RemittanceReport", "remittance_range.request", "remittance_range.response",
		func(ctx context.Context, c *citypay.Client) (any, error) {
			return c.RemittanceReport(ctx, "PC12345", citypay.RemittanceReportRequest{DateFrom: sampleDays.DateFrom,
				DateUntil:   sampleDays.DateUntil,
				MerchantIDs: sampleDays.MerchantIDs, Page: sampleDays.Page})
		}},
	{"Remittance", "remittance_date.request", "remittance_date.response",
		func(ctx context.Context, c *citypay.Client) (any, error) {
			return c.Remittance(ctx, "PC12345", "2020-01-02")
		}},
	{"Remittance", "remittance_date_latest.request", "remittance_date.response",
		func(ctx context.Context, c *citypay.Client) (any, error) {
			return c.Remittance(ctx, "PC12345", "latest")
		}},
	{"TransactionReport", "transaction_report.request", "transaction_report.response",
		func(ctx context.Context, c *citypay.Client) (any, error) {
			from := time.Date(2025, 1, 2, 19, 32, 28, 0, time.FixedZone("", 3600))
			return c.TransactionReport(ctx, citypay.TransactionReportRequest{MerchantID: 11223344, From: from,
				Until: from.AddDate(0, 0, 1), Mode: "basic",
				IncludeAuthorised: true, IncludeDeclined: true, TypeSale: true, Page: citypay.Page{MaxResults: 50}})
		}},
}

// The documented requests are sent, the documented replies lose nothing but the
// amounts for people, and a reply of another shape makes no sense.
func TestReportSamples(t *testing.T) {
	all := samples(t)
	for _, c := range reads {
		t.Run(c.request, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := citypaytest.New(&citypaytest.Options{InMemory: true})
				defer server.Close()
				client, err := citypay.New(server.Config())
				require.NoError(t, err)
				defer client.CloseIdleConnections()
				answer := func(body string) (any, error) {
					server.Heal()
					server.Inject(batchsim.Fault{Op: c.op, Phase: batchsim.BeforeApply, Act: batchsim.Answer,
						Reply: batchsim.JSON(200, body)})
					return c.call(t.Context(), client)
				}
				body := string(all[c.response].Body)
				got, err := answer(body)
				require.NoError(t, err)
				text, err := json.Marshal(got)
				require.NoError(t, err)
				require.Empty(t, cmp.Diff(forMachines(t, all[c.response].Body), forMachines(t, text)))
				sent := server.Log.Requests(c.op)[0]
				require.Equal(t, all[c.request].Method+" "+all[c.request].Path, sent.Method+" "+sent.Path)
				if all[c.request].Method == "GET" {
					require.Empty(t, sent.Body)
				} else {
					require.Empty(t, cmp.Diff(withoutEmpty(t, all[c.request].Body), withoutEmpty(t, sent.Body)))
				}
				for _, bad := range []string{``, `null`, `[]`, `{"batches":{},"data":{}}`, `{"x":1}`, body + `{}`,
					`{"` + c.op + `":` + body + `}`} {
					_, err = answer(bad)
					require.ErrorIs(t, err, batch.ErrProtocol, bad)
				}
				if strings.Contains(body, "11874500") {
					for _, bad := range []string{`1.5`, `"x"`, `null`, `-1`} {
						_, err = answer(strings.ReplaceAll(body, `"credit_items_value": 11874500`,
							`"credit_items_value": `+bad))
						require.ErrorIs(t, err, batch.ErrProtocol, bad)
					}
				}
				before := server.Log.Count(c.op)
				server.Heal()
				server.Inject(batchsim.Fault{Op: c.op, Phase: batchsim.BeforeApply, Nth: 1, Act: batchsim.Reset})
				server.Inject(batchsim.Fault{Op: c.op, Phase: batchsim.BeforeApply, Nth: 2, Act: batchsim.Answer,
					Reply: batchsim.JSON(200, body)})
				_, err = c.call(t.Context(), client)
				require.NoError(t, err)
				require.Equal(t, before+2, server.Log.Count(c.op), "a read is repeated")
			})
		})
	}
}

// forMachines leaves the decorated amounts out.
func forMachines(t *testing.T, text []byte) any {
	t.Helper()
	var strip func(any) any
	strip = func(v any) any {
		switch v := v.(type) {
		case map[string]any:
			for key, inner := range v {
				v[key] = strip(inner)
				if key == "credit_items_amount" || key == "debit_items_amount" || v[key] == "" {
					delete(v, key)
				}
			}
		case []any:
			for n := range v {
				v[n] = strip(v[n])
			}
		case json.Number, bool:
			return fmt.Sprint(v)
		}
		return v
	}
	return strip(canonical(t, text))
}

// A report about something else is not taken.
func TestReportsOfSomethingElse(t *testing.T) {
	all := samples(t)
	server, client := startClient(t, nil)
	for op, c := range map[string]struct {
		sample, old, other string
		call               func() error
	}{
		"MerchantBatch": {"merchant_batch.response", `"batch_no": "35"`, `"batch_no": "36"`,
			func() error { _, err := client.MerchantBatch(t.Context(), 11223344, "35"); return err }},
		"RemittanceReport": {"remittance_range.response", "PC12345", "PC54321", func() error {
			_, err := client.RemittanceReport(t.Context(), "PC12345", citypay.RemittanceReportRequest{})
			return err
		}},
		"Remittance": {"remittance_date.response", `"2020-01-02"`, `"2020-01-03"`, func() error {
			_, err := client.Remittance(t.Context(), "PC12345", "2020-01-02")
			return err
		}},
	} {
		for text, want := range map[string]batch.Kind{string(all[c.sample].Body): "",
			strings.ReplaceAll(string(all[c.sample].Body), c.old, c.other): batch.ErrProtocol} {
			server.Heal()
			server.Inject(batchsim.Fault{Op: op, Phase: batchsim.BeforeApply, Act: batchsim.Answer,
				Reply: batchsim.JSON(200, text)})
			require.Equal(t, want, batch.KindOf(c.call()), op)
		}
	}
	server.Heal()
	server.Inject(batchsim.Fault{Op: "MerchantBatch", Phase: batchsim.BeforeApply, Act: batchsim.Answer,
		Reply: batchsim.JSON(200, strings.ReplaceAll(string(all["merchant_batch.response"].Body), "11223344", "1"))})
	_, err := client.MerchantBatch(t.Context(), 11223344, "35")
	require.ErrorContains(t, err, `is about batch "35" of merchant 1`)
}

func TestBadReports(t *testing.T) {
	server, client := startClient(t, nil)
	const client310, days = "clientid: must be 3 to 10 of letters, digits and - _ . ~", "must be YYYY-MM-DD"
	page := citypay.Page{MaxResults: 4}
	_, err := client.MerchantBatchReport(t.Context(), citypay.MerchantBatchReportRequest{DateFrom: "24/01/2024",
		DateUntil: "2024-02-30", MerchantIDs: []int64{1, 0, 100_000_000},
		OrderBy: "date", Page: page})
	require.Equal(t, []string{"date_from: " + days, "date_until: " + days, "merchant_id[1]: must be 1 to 99999999",
		"merchant_id[2]: must be 1 to 99999999",
		"maxResults: must be 5 to 250",
		"orderBy: must be merchant_id, batch_no, net_amount, with or without - before it"}, faultsOf(t, err))
	now := time.Now().UTC()
	old := citypay.RemittanceReportRequest{DateFrom: now.AddDate(-3, 0, -2).Format(time.DateOnly),
		DateUntil: now.AddDate(-4, 0, 0).Format(time.DateOnly), Page: citypay.Page{MaxResults: 251}}
	_, err = client.RemittanceReport(t.Context(), "PC", old)
	require.Equal(t, []string{client310, "date_from: must be at most three years back",
		"date_until: must not be before date_from", "maxResults: must be 5 to 250"}, faultsOf(t, err))
	_, err = client.MerchantBatch(t.Context(), 0, "../1")
	require.Equal(t, []string{"merchantid: must be 1 to 2147483647", "batch_no: must be letters, digits and - _ . ~"},
		faultsOf(t, err))
	_, err = client.MerchantBatchTransactions(t.Context(), 1<<31, "",
		citypay.MerchantBatchTransactionsRequest{OrderBy: "--amount", Page: page})
	require.Equal(t, []string{"merchantid: must be 1 to 2147483647", "batch_no: must be letters, digits and - _ . ~",
		"maxResults: must be 5 to 250",
		"orderBy: must be trans_no, date_when, amount, with or without - before it"}, faultsOf(t, err))
	_, err = client.Remittance(t.Context(), "PC/1", "yesterday")
	require.Equal(t, []string{client310, "date: must be YYYY-MM-DD, today or latest"}, faultsOf(t, err))
	_, err = client.TransactionReport(t.Context(), citypay.TransactionReportRequest{Mode: "full", Page: page})
	require.Equal(t, []string{"merchantid: must be 1 to 2147483647", "from: is missing",
		"mode: must be basic or extended",
		"include_authorised: at least one include_ must be set", "type_sale: at least one type_ must be set",
		"maxResults: must be 5 to 250"}, faultsOf(t, err))
	_, err = client.TransactionReport(t.Context(), citypay.TransactionReportRequest{MerchantID: 1, From: now,
		Until: now, IncludeRejected: true, TypeVerify: true})
	require.Equal(t, []string{"until: must be after from"}, faultsOf(t, err))
	require.Zero(t, server.Log.Count(""))

	_, err = client.RemittanceReport(t.Context(), "",
		citypay.RemittanceReportRequest{DateFrom: now.AddDate(-3, 0, 0).Format(time.DateOnly),
			DateUntil:   now.Format(time.DateOnly),
			MerchantIDs: []int64{99_999_999}, Page: citypay.Page{MaxResults: 250}})
	require.NoError(t, err, "the limits themselves are good")
}

// What the simulator settles is found in every report, page by page, and adds up.
func TestReportsOfTheSimulator(t *testing.T) {
	for _, empty := range []bool{false, true} {
		s := newScene(t, citypaytest.Options{NoRemittanceEmpty: empty}, nil)
		t.Cleanup(s.close)
		for n := range 10 {
			_, err := s.client.Charge(t.Context(),
				citypay.ChargeRequest{Amount: 100, Identifier: fmt.Sprint("charge-", n), MerchantID: 11223344,
					Token: s.token})
			require.NoError(t, err)
		}
		_, err := s.client.Remittance(t.Context(), "", "latest")
		require.ErrorIs(t, err, batch.ErrNotFound)
		s.Settle()
		refund := citypay.RefundRequest{Amount: 7801, Identifier: "a-refund", MerchantID: 11223344, RefundRef: s.sale}
		_, err = s.client.Refund(t.Context(), refund)
		require.NoError(t, err)
		s.Settle()

		list, err := s.client.MerchantBatchReport(t.Context(), citypay.MerchantBatchReportRequest{OrderBy: "-batch_no"})
		require.NoError(t, err)
		require.Len(t, list.Batches, 2)
		require.Equal(t, int64(-7801), list.Batches[0].NetSummary.Net(), "more was refunded than charged")
		require.Equal(t, citypay.Int(7801), list.Batches[0].NetSummary.NetAmount)
		require.Equal(t, int64(8801), list.Batches[1].NetSummary.Net())
		one, err := s.client.MerchantBatch(t.Context(), 11223344, "2")
		require.NoError(t, err)
		require.Equal(t, list.Batches[0], *one)
		_, err = s.client.MerchantBatch(t.Context(), 11223344, "3")
		require.ErrorIs(t, err, batch.ErrNotFound)
		_, err = s.client.MerchantBatchTransactions(t.Context(), 1, "1", citypay.MerchantBatchTransactionsRequest{})
		require.ErrorIs(t, err, batch.ErrNotFound)

		var ids []string
		r := citypay.MerchantBatchTransactionsRequest{Page: citypay.Page{MaxResults: 5}}
		pages := 1
		for ; ; pages++ {
			got, err := s.client.MerchantBatchTransactions(t.Context(), 11223344, "1", r)
			require.NoError(t, err)
			for _, auth := range got.Data {
				ids = append(ids, auth.Identifier)
			}
			if r.NextToken = got.NextToken; r.NextToken == "" {
				break
			}
		}
		require.Equal(t, 3, pages)
		require.Len(t, ids, 11)
		today, err := s.client.Remittance(t.Context(), "", "today")
		require.NoError(t, err)
		require.Equal(t, int64(1000), today.Net())
		require.Len(t, today.Batches, 2)
		days, err := s.client.RemittanceReport(t.Context(), "", citypay.RemittanceReportRequest{})
		require.NoError(t, err)
		require.Equal(t, []citypay.RemittedClientData{*today}, days.Data)
		_, err = s.client.Remittance(t.Context(), "", "2020-01-02")
		require.ErrorIs(t, err, batch.ErrNotFound)

		now := time.Now()
		all := citypay.TransactionReportRequest{MerchantID: 11223344, From: now.Add(-time.Hour),
			Until: now.Add(time.Hour), Mode: "extended", IncludeAuthorised: true,
			TypeSale: true, TypeRefund: true}
		got, err := s.client.TransactionReport(t.Context(), all)
		require.NoError(t, err)
		require.Len(t, got.Data, 13)
		all.TypeSale = false
		got, err = s.client.TransactionReport(t.Context(), all)
		require.NoError(t, err)
		require.Len(t, got.Data, 1)
		require.Equal(t, "a-refund", got.Data[0].Identifier)
	}
}
