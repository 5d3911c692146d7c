package citypay_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/citypay"
	"github.com/batchway/batchway-go/internal/floor"
)

// canned answers fixed bytes.
func canned(b *testing.B, reply []byte) string {
	return floor.Serve(b, func(*http.Request, []byte) []byte { return reply })
}

func benchClient(b *testing.B, url string) *citypay.Client {
	client, err := citypay.New(citypay.Config{ClientID: "PC600001", LicenceKey: "EXAMPLEKEY0000AB", BaseURL: url})
	require.NoError(b, err)
	b.Cleanup(client.CloseIdleConnections)
	return client
}

var sizes = []int{100, 10_000, 100_000}

func processRequest(rows int) citypay.ProcessBatchRequest {
	r := citypay.ProcessBatchRequest{BatchDate: "2026-01-02", BatchID: 35, ClientAccountID: "AC1"}
	for n := range rows {
		r.Transactions = append(r.Transactions,
			citypay.BatchTransaction{AccountID: fmt.Sprintf("aaabbb-cccddd-%06d", n), Amount: 19995,
				Identifier: fmt.Sprintf("95b857a1-5955-4b86-963c-%012d", n), MerchantID: 11223344})
	}
	return r
}

func BenchmarkProcess(b *testing.B) {
	for _, rows := range sizes {
		request := processRequest(rows)
		url := canned(b, []byte(`{"message":"Approved 044332","valid":true}`))
		b.Run(fmt.Sprintf("%d/floor", rows), func(b *testing.B) {
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			b.ReportAllocs()
			for b.Loop() {
				var out citypay.ProcessBatchResponse
				floor.Call(b, client, http.MethodPost, url, "application/json", floor.JSON(b, request), &out)
			}
		})
		b.Run(fmt.Sprintf("%d/client", rows), func(b *testing.B) {
			client := benchClient(b, url)
			floor.Loop(b, func() error {
				_, err := client.ProcessBatch(b.Context(), request)
				return err
			})
		})
	}
}

func reportReply(b *testing.B, rows int) []byte {
	r := plainReport{Amount: int64(rows) * 19995, BatchDate: "2026-01-02", BatchID: 35, BatchStatus: "COMPLETE",
		ClientAccountID: "PC600001"}
	for n := range rows {
		r.Transactions = append(r.Transactions, plainRow{AccountID: fmt.Sprintf("aaabbb-cccddd-%06d", n), Amount: 19995,
			AuthCode: "001245A", DateTime: "2020-01-02T18:32:28Z",
			Identifier: fmt.Sprintf("95b857a1-5955-4b86-963c-%012d", n),
			MaskedPAN:  "4***********0002", MerchantID: 11223344, Message: "Approved 044332", Result: 1,
			ResultCode: "000", Scheme: "Visa",
			TransNo: int64(n + 1)})
	}
	text, err := json.Marshal(r)
	require.NoError(b, err)
	return text
}

// plainReport has the fields of a report and no methods.
type plainReport struct {
	Amount          int64      `json:"amount"`
	BatchDate       string     `json:"batch_date"`
	BatchID         int64      `json:"batch_id"`
	BatchStatus     string     `json:"batch_status"`
	ClientAccountID string     `json:"client_account_id"`
	Transactions    []plainRow `json:"transactions"`
}

type plainRow struct {
	AccountID  string `json:"account_id"`
	Amount     int64  `json:"amount"`
	AuthCode   string `json:"authcode"`
	DateTime   string `json:"datetime"`
	Identifier string `json:"identifier"`
	MaskedPAN  string `json:"maskedpan"`
	MerchantID int64  `json:"merchantid"`
	Message    string `json:"message"`
	Result     int    `json:"result"`
	ResultCode string `json:"result_code"`
	Scheme     string `json:"scheme"`
	SchemeID   string `json:"scheme_id"`
	SchemeLogo string `json:"scheme_logo"`
	TransNo    int64  `json:"transno"`
}

// A report has 10,000 rows at the most, as CityPay documents.
func BenchmarkRetrieve(b *testing.B) {
	for _, rows := range []int{100, 10_000} {
		url := canned(b, reportReply(b, rows))
		request := citypay.BatchReportRequest{BatchID: 35}
		b.Run(fmt.Sprintf("%d/floor", rows), func(b *testing.B) {
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			b.ReportAllocs()
			for b.Loop() {
				var out plainReport
				floor.Call(b, client, http.MethodPost, url, "application/json", floor.JSON(b, request), &out)
			}
		})
		b.Run(fmt.Sprintf("%d/client", rows), func(b *testing.B) {
			client := benchClient(b, url)
			floor.Loop(b, func() error {
				_, err := client.RetrieveBatch(b.Context(), request)
				return err
			})
		})
		b.Run(fmt.Sprintf("%d/provider", rows), func(b *testing.B) {
			p, err := citypay.NewProvider(benchClient(b, url), citypay.ProviderConfig{MerchantID: 11223344,
				Currency: "GBP"})
			require.NoError(b, err)
			handle := batch.Batch{Provider: "citypay", ID: "35", State: batch.StateDone,
				Draft: batch.Draft{Reference: "35", Direction: batch.Collect}}
			for _, row := range processRequest(rows).Transactions {
				handle.Draft.Items = append(handle.Draft.Items,
					batch.Item{Reference: row.Identifier, Account: row.AccountID,
						Amount: batch.Money{Minor: row.Amount, Currency: "GBP"}})
			}
			floor.Loop(b, func() error {
				_, err := p.Report(b.Context(), handle)
				return err
			})
		})
	}
}

func BenchmarkStatus(b *testing.B) {
	url := canned(b, []byte(`{"batches":[{"batch_date":"2020-01-02","batch_id":35,"batch_status":"COMPLETE"}]}`))
	request := citypay.CheckBatchStatus{BatchIDs: []int64{35}}
	b.Run("floor", func(b *testing.B) {
		client := &http.Client{Transport: &http.Transport{}}
		defer client.CloseIdleConnections()
		b.ReportAllocs()
		for b.Loop() {
			var out citypay.CheckBatchStatusResponse
			floor.Call(b, client, http.MethodPost, url, "application/json", floor.JSON(b, request), &out)
		}
	})
	b.Run("client", func(b *testing.B) {
		client := benchClient(b, url)
		floor.Loop(b, func() error {
			_, err := client.BatchStatus(b.Context(), request)
			return err
		})
	})
}
