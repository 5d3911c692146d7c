package sixdotfifty_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/internal/floor"
	"github.com/batchway/batchway-go/sixdotfifty"
)

const benchID = "3fa85f64-5717-4562-b3fc-2c963f66afa6"

// benchService serves a batch of so many payments, in pages.
func benchService(b *testing.B, payments int) (url string, client *sixdotfifty.Client) {
	rows := make([]json.RawMessage, payments)
	for n := range rows {
		rows[n] = json.RawMessage(
			fmt.Sprintf(
				`{"id":"3fa85f64-5717-4562-b3fc-%012d","batchId":%q,"msisdn":"2782%07d","amount":100.75,"firstname":"Ada",`+
					`"lastname":"Lovelace","externalId":"item-%d","statusCode":"SETTLED","settledAt":"2026-01-02T15:04:05.1234567","isMember":true,`+
					`"createdAt":"2026-01-01T15:04:05"}`, n, benchID, n, n))
	}
	pages := make(map[string][]byte)
	skip := 0
	for page := range slices.Chunk(rows, 500) {
		pages[strconv.Itoa(skip)] = floor.JSON(b, page)
		skip += len(page)
	}
	pages[strconv.Itoa(skip)] = []byte("[]")
	url = floor.Serve(b, func(r *http.Request, _ []byte) []byte {
		switch {
		case strings.HasSuffix(r.URL.Path, "/getToken"):
			return []byte(`{"success":true,"token":"a.b.c"}`)
		case strings.HasSuffix(r.URL.Path, "/payments") && r.Method == http.MethodGet:
			return pages[r.URL.Query().Get("skip")]
		case strings.HasSuffix(r.URL.Path, "/payments"):
			return []byte(`{}`)
		}
		return []byte(`{"id":"` + benchID +
			`","name":"n","externalId":"2026","statusCode":"CLOSED","createdAt":"2026-01-01T15:04:05"}`)
	})
	client, err := sixdotfifty.New(sixdotfifty.Config{Key: "example-key", Secret: "example-secret", BaseURL: url})
	require.NoError(b, err)
	b.Cleanup(client.CloseIdleConnections)
	return url, client
}

func BenchmarkAddPayments(b *testing.B) {
	for _, rows := range []int{100, 10_000} {
		request := sixdotfifty.AddPaymentsRequest{}
		type plain struct {
			MSISDN     string  `json:"msisdn"`
			Amount     float64 `json:"amount"`
			ExternalID string  `json:"externalId"`
		}
		payments := make([]plain, rows)
		for n := range rows {
			p := sixdotfifty.NewPayment{MSISDN: fmt.Sprintf("2782%07d", n), Amount: 10075,
				ExternalID: fmt.Sprintf("item-%d", n)}
			request.Payments = append(request.Payments, p)
			payments[n] = plain{p.MSISDN, 100.75, p.ExternalID}
		}
		url, client := benchService(b, 0)
		b.Run(fmt.Sprintf("%d/floor", rows), func(b *testing.B) {
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			b.ReportAllocs()
			for b.Loop() {
				var out struct{}
				floor.Call(b, client, http.MethodPost, url+"/batches/"+benchID+"/payments", "application/json",
					floor.JSON(b, map[string]any{"clearExisting": false, "payments": payments}), &out)
			}
		})
		b.Run(fmt.Sprintf("%d/client", rows), func(b *testing.B) {
			floor.Loop(b, func() error {
				_, err := client.AddPayments(b.Context(), benchID, request)
				return err
			})
		})
	}
}

// plainPayment has the fields of a payment and no methods.
type plainPayment struct {
	ID         string  `json:"id"`
	BatchID    string  `json:"batchId"`
	MSISDN     string  `json:"msisdn"`
	Amount     float64 `json:"amount"`
	FirstName  string  `json:"firstname"`
	LastName   string  `json:"lastname"`
	ExternalID string  `json:"externalId"`
	StatusCode string  `json:"statusCode"`
	SettledAt  string  `json:"settledAt"`
	IsMember   bool    `json:"isMember"`
	CreatedAt  string  `json:"createdAt"`
}

func BenchmarkListPayments(b *testing.B) {
	for _, rows := range []int{100, 10_000} {
		url, client := benchService(b, rows)
		b.Run(fmt.Sprintf("%d/floor", rows), func(b *testing.B) {
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			b.ReportAllocs()
			for b.Loop() {
				var all []plainPayment
				for {
					var page []plainPayment
					floor.Call(b, client, http.MethodGet, fmt.Sprintf("%s/batches/%s/payments?skip=%d&take=500", url,
						benchID, len(all)), "", nil, &page)
					if len(page) == 0 {
						break
					}
					all = append(all, page...)
				}
			}
		})
		b.Run(fmt.Sprintf("%d/client", rows), func(b *testing.B) {
			floor.Loop(b, func() error {
				_, err := client.ListPayments(b.Context(), benchID)
				return err
			})
		})
		b.Run(fmt.Sprintf("%d/provider", rows), func(b *testing.B) {
			p, err := sixdotfifty.NewProvider(client, sixdotfifty.ProviderConfig{})
			require.NoError(b, err)
			handle := batch.Batch{Provider: "sixdotfifty", ID: benchID, State: batch.StateDone,
				Draft: batch.Draft{Reference: "2026", Direction: batch.Pay}}
			for n := range rows {
				handle.Draft.Items = append(handle.Draft.Items, batch.Item{Reference: fmt.Sprintf("item-%d", n),
					Account: fmt.Sprintf("2782%07d", n),
					Amount:  batch.Money{Minor: 10075, Currency: "DZAR"}})
			}
			floor.Loop(b, func() error {
				_, err := p.Report(b.Context(), handle)
				return err
			})
		})
	}
}

func BenchmarkStatus(b *testing.B) {
	url, client := benchService(b, 0)
	b.Run("floor", func(b *testing.B) {
		client := &http.Client{Transport: &http.Transport{}}
		defer client.CloseIdleConnections()
		b.ReportAllocs()
		for b.Loop() {
			var out sixdotfifty.Batch
			floor.Call(b, client, http.MethodGet, url+"/batches/"+benchID, "", nil, &out)
		}
	})
	b.Run("client", func(b *testing.B) {
		floor.Loop(b, func() error {
			_, err := client.GetBatch(b.Context(), benchID)
			return err
		})
	})
}
