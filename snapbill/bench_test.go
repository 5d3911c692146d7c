package snapbill_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/internal/floor"
	"github.com/batchway/batchway-go/snapbill"
)

// benchService serves batch 1500 with so many payments, in pages.
func benchService(b *testing.B, payments int) (string, *snapbill.Client) {
	rows := make([]json.RawMessage, payments)
	for n := range rows {
		rows[n] = json.RawMessage(
			fmt.Sprintf(`{"id":%d,"client":{"depth":0,"id":%d,"state":"active","number":"c%d","name":"test","cell":"",`+
				`"company":"","country":{"code":"ZA","iso2":"ZA","iso3":"ZAF","name":"South Africa"},"credit":"0.00","credit_cents":0,`+
				`"currency":{"code":"ZAR","format":"R%%.2f","enabled":true},"email":"","firstname":"test","payment":"netcash",`+
				`"payment_method":{"depth":1,"code":"netcash","name":"Netcash Collect","enabled":true},"surname":"","data":{"public_city":null},"services":[]},`+
				`"batch":{"depth":1,"id":1500,"xid":"Clw:Xc","state":"ok","action_date":"2014-08-21","submit_date":"2014-08-19"},`+
				`"currency":{"code":"ZAR","format":"R%%.2f","enabled":true},"amount":"50.00","amount_cents":5000,"reference":"r","state":"paid"}`,
				900000+n, 100000+n, n))
	}
	pages := make(map[string][]byte)
	for page := range slices.Chunk(rows, 100) {
		n := len(pages) + 1
		pages[strconv.Itoa(n)] = floor.JSON(b, map[string]any{"code": 200, "type": "list",
			"class": "payment", "page": n,
			"numpages": (payments + 99) / 100, "list": page})
	}
	url := floor.Serve(b, func(r *http.Request, body []byte) []byte {
		if strings.HasSuffix(r.URL.Path, "/payment/list.json") {
			form, _ := url.ParseQuery(string(body))
			return pages[form.Get("page")]
		}
		return []byte(
			`{"code":200,"type":"item","class":"batch","batch":{"id":1500,"xid":"Clw:Xc","state":"ok","action_date":"2014-08-21"}}`)
	})
	client, err := snapbill.New(snapbill.Config{Username: "user", Password: "example-password", BaseURL: url})
	require.NoError(b, err)
	b.Cleanup(client.CloseIdleConnections)
	return url, client
}

// plainPayment has the fields of a payment that a report needs, and no
// methods.
type plainPayment struct {
	ID     int64 `json:"id"`
	Client struct {
		ID        int64  `json:"id"`
		State     string `json:"state"`
		Number    string `json:"number"`
		Name      string `json:"name"`
		Cell      string `json:"cell"`
		Company   string `json:"company"`
		Email     string `json:"email"`
		FirstName string `json:"firstname"`
		Surname   string `json:"surname"`
		Payment   string `json:"payment"`
		Country   struct {
			Code string `json:"code"`
			Name string `json:"name"`
		} `json:"country"`
		Currency      plainCode         `json:"currency"`
		PaymentMethod plainCode         `json:"payment_method"`
		Credit        string            `json:"credit"`
		CreditCents   int64             `json:"credit_cents"`
		Data          map[string]string `json:"data"`
	} `json:"client"`
	Batch struct {
		ID         int64  `json:"id"`
		XID        string `json:"xid"`
		State      string `json:"state"`
		ActionDate string `json:"action_date"`
		SubmitDate string `json:"submit_date"`
	} `json:"batch"`
	Currency    plainCode `json:"currency"`
	Amount      string    `json:"amount"`
	AmountCents int64     `json:"amount_cents"`
	Reference   string    `json:"reference"`
	State       string    `json:"state"`
}

type plainCode struct {
	Code    string `json:"code"`
	Name    string `json:"name"`
	Format  string `json:"format"`
	Enabled bool   `json:"enabled"`
}

func BenchmarkListPayments(b *testing.B) {
	for _, rows := range []int{100, 10_000} {
		url, client := benchService(b, rows)
		b.Run(fmt.Sprintf("%d/floor", rows), func(b *testing.B) {
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			b.ReportAllocs()
			for b.Loop() {
				read := 0
				for page, pages := 1, 1; page <= pages; page++ {
					var out struct {
						NumPages int            `json:"numpages"`
						List     []plainPayment `json:"list"`
					}
					floor.Call(b, client, http.MethodPost, url+"/payment/list.json",
						"application/x-www-form-urlencoded",
						fmt.Appendf(nil, "batch_id=1500&page=%d&perpage=100", page), &out)
					read, pages = read+len(out.List), out.NumPages
				}
				if read != rows {
					b.Fatal(read)
				}
			}
		})
		b.Run(fmt.Sprintf("%d/client", rows), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for _, err := range client.ListPayments(b.Context(), snapbill.ListPaymentsOptions{BatchID: 1500}) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
		b.Run(fmt.Sprintf("%d/provider", rows), func(b *testing.B) {
			p, err := snapbill.NewProvider(client, snapbill.ProviderConfig{PaymentMethod: "netcash", Currency: "ZAR"})
			require.NoError(b, err)
			handle := batch.Batch{Provider: "snapbill", ID: "1500", State: batch.StateDone,
				Draft: batch.Draft{Reference: "2014-08", Direction: batch.Collect}}
			for n := range rows {
				handle.Draft.Items = append(handle.Draft.Items, batch.Item{Reference: fmt.Sprintf("c%d", n),
					Account: fmt.Sprintf("c%d", n),
					Amount:  batch.Money{Minor: 5000, Currency: "ZAR"}})
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
			var out struct {
				Batch struct {
					ID         int64  `json:"id"`
					State      string `json:"state"`
					ActionDate string `json:"action_date"`
				} `json:"batch"`
			}
			floor.Call(b, client, http.MethodPost, url+"/batch/1500/get.json", "application/x-www-form-urlencoded", nil,
				&out)
		}
	})
	b.Run("client", func(b *testing.B) {
		floor.Loop(b, func() error {
			_, err := client.GetBatch(b.Context(), "1500")
			return err
		})
	})
}
