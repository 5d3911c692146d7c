package campaign

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"math"
	"net/http"
	"runtime"
	"runtime/metrics"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/centrapay"
	"github.com/batchway/batchway-go/citypay"
	"github.com/batchway/batchway-go/sixdotfifty"
	"github.com/batchway/batchway-go/snapbill"
)

var peaks = flag.Bool("peaks", false, "measure every shape of a hostile reply")

// peak returns the most bytes that were reachable at any time while f ran, more
// than before, as the garbage collector has counted them.
func peak(f func()) (most uint64) {
	live := func() uint64 {
		runtime.GC()
		sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	before, done, stopped := live(), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-done:
				return
			default:
				most = max(most, live())
			}
		}
	}()
	f()
	close(done)
	<-stopped
	return most - min(most, before)
}

// repeatedText is a body that is not in memory: a head, a unit so often, a tail.
func repeatedText(head, unit string, times int, tail string) io.Reader {
	block := 1
	for block*len(unit) < 1<<16 {
		block *= 2
	}
	text := []byte(strings.Repeat(unit, block))
	readers := []io.Reader{strings.NewReader(head)}
	for left := times; left > 0; left -= block {
		readers = append(readers, bytes.NewReader(text[:min(left, block)*len(unit)]))
	}
	return io.MultiReader(append(readers, strings.NewReader(tail))...)
}

// replies is the transport of a service that answers every call with a body, and
// every call for a token with a token.
func replies(body func() io.Reader) func(http.RoundTripper) http.RoundTripper {
	return func(http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			reader := body()
			if strings.HasSuffix(strings.ToLower(r.URL.Path), "token") {
				reader = strings.NewReader(fmt.Sprintf(`{"success":true,"token":"abcdefgh","expiresAt":%q}`,
					time.Now().Add(time.Hour).UTC().Format(time.RFC3339)))
			}
			return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}},
				Body: io.NopCloser(reader), Request: r}, nil
		})
	}
}

// A hostile reply takes at most twice as much memory as its limit of bytes. A reply of
// 1 MiB may take as much as the largest of its service.
func TestPeakMemory(t *testing.T) {
	const mib = 1 << 20
	type shape struct{ head, unit, tail string }
	long := strings.Repeat("x", 3*mib)
	for name, c := range map[string]struct {
		limit, values int // of the largest reply
		shapes        []shape
		call          func(ctx context.Context, body func() io.Reader) error
	}{
		"citypay report": {32 * mib, 300_000, []shape{
			{`{"batch_id":1,"batch_status":"COMPLETE","transactions":[`, `1,`, `{}]}`},
			{`{"batch_id":1,"batch_status":"COMPLETE","transactions":[{"message":[`, `"` + long + `",`, `[]]}]}`},
			{`{"batch_id":1,"batch_status":"COMPLETE","transactions":[{"message":"`, `x`, `"}]}`},
			{`{"batch_id":1,"batch_status":"COMPLETE","transactions":[{"amount":1`, `0`, `}]}`},
			{`{"batch_id":1,"batch_status":"COMPLETE","transactions":[{"`, "\xffa", `":1}]}`},
		}, func(ctx context.Context, body func() io.Reader) error {
			_, err := must(citypay.New(citypay.Config{ClientID: "test", LicenceKey: "abcdefghijklmnopqrst",
				BaseURL: "https://service.test", Middleware: replies(body)})).
				RetrieveBatch(ctx, citypay.BatchReportRequest{BatchID: 1})
			return err
		}},
		"citypay status": {32 * mib, 100_000, []shape{
			{`{"batches":[`, `1,`, `{}]}`},
		}, func(ctx context.Context, body func() io.Reader) error {
			_, err := must(citypay.New(citypay.Config{ClientID: "test", LicenceKey: "abcdefghijklmnopqrst",
				BaseURL: "https://service.test", Middleware: replies(body)})).
				BatchStatus(ctx, citypay.CheckBatchStatus{BatchIDs: []int64{1}})
			return err
		}},
		"citypay transactions": {32 * mib, 100_000, []shape{
			{`{"data":[`, `1,`, `1]}`},
		}, func(ctx context.Context, body func() io.Reader) error {
			_, err := must(citypay.New(citypay.Config{ClientID: "test", LicenceKey: "abcdefghijklmnopqrst",
				BaseURL: "https://service.test", Middleware: replies(body)})).
				TransactionReport(ctx, citypay.TransactionReportRequest{MerchantID: 1, From: time.Unix(0, 0),
					Until:             time.Unix(1, 0),
					IncludeAuthorised: true, TypeSale: true})
			return err
		}},
		"centrapay batch": {64 * mib, 700_000, []shape{
			{`{"id":"abc","status":"complete","errors":[`, `1,`, `{}]}`},
			{`{"id":"abc","status":"complete","errors":[`, `{"message":"` + strings.Repeat("x", 170) + `"},`, `{}]}`},
			{`{"id":"abc","status":"complete","errors":{"a":[`, `"` + long + `",`, `1]}}`},
			{`{"id":"abc","status":"complete","errors":[`, `"` + strings.Repeat(`\n`, mib) + `",`, `1]}`},
			{`{"id":"abc","status":"complete","errors":"`, "\xffa", `"}`},
		}, func(ctx context.Context, body func() io.Reader) error {
			_, err := must(centrapay.New(centrapay.Config{APIKey: "abcdefghijklmnopqrst",
				BaseURL: "https://service.test", Middleware: replies(body)})).GetBatch(ctx, "abc")
			return err
		}},
		"sixdotfifty payments": {32 * mib, 100_000, []shape{
			{`[`, `1,`, `1]`},
			{`["`, `x`, `"]`}, {`[{"externalId":["`, long + `","`, `"]}]`}, {`[{"id":["`, long + `","`, `"]}]`},
			{`[`, `{"a":"` + strings.Repeat("x", 320) + `"},`, `{}]`},
		}, func(ctx context.Context, body func() io.Reader) error {
			_, err := must(sixdotfifty.New(sixdotfifty.Config{Key: "user", Secret: "abcdefghijklmnopqrst",
				BaseURL:    "https://service.test",
				Middleware: replies(body)})).ListPayments(ctx, "0b1c2d3e-0000-4000-8000-000000000001")
			return err
		}},
		"snapbill payments": {32 * mib, 100_000, []shape{
			{`{"code":200,"type":"list","page":1,"numpages":1,"list":[`, `1,`, `1]}`},
			{`{"code":200,"type":"list","page":1,"numpages":1,"list":[{"state":["`, long + `","`, `"]}]}`},
			{`{"code":400,"type":"error","status":"error","message":"x","errors":[`, `1,`, `1]}`},
			{`{"code":400,"type":"error","status":"error","message":"x","errors":["`, long + `","`, `"]}`},
			{`{"code":200,"type":"list","page":1,"numpages":1,"list":[`, `{"number":"1","id":"1","a":"` +
				strings.Repeat("x", 300) + `"},`, `1]}`},
		}, func(ctx context.Context, body func() io.Reader) error {
			client := must(snapbill.New(snapbill.Config{Username: "user", Password: "abcdefghijklmnopqrst",
				BaseURL:    "https://service.test",
				Middleware: replies(body)}))
			var last error
			for _, err := range client.ListPayments(ctx, snapbill.ListPaymentsOptions{}) {
				last = err
			}
			return last
		}},
	} {
		if !*peaks {
			c.shapes = c.shapes[:1]
		}
		for n, s := range c.shapes {
			t.Run(fmt.Sprintf("%s %d", name, n), func(t *testing.T) {
				separators := strings.Count(s.unit, ",") + strings.Count(s.unit, "[") + strings.Count(s.unit, "{")
				times := (c.limit - len(s.head) - len(s.tail)) / len(s.unit)
				if separators > 0 {
					times = min(times, (c.values-20)/separators)
				}
				var err error
				limit, most := uint64(2*c.limit+4*mib), uint64(math.MaxUint64)
				// The collector counts what is allocated while it marks as reachable, on
				// a busy machine a lot: it never counts too little.
				for try := 0; try < 5 && most > limit; try++ {
					most = peak(func() {
						err = c.call(t.Context(), func() io.Reader {
							return repeatedText(s.head, s.unit, times, s.tail)
						})
					})
				}
				t.Logf("at most %d MiB for a reply of %d KiB: %.200v", most>>20, times*len(s.unit)>>10, err)
				require.LessOrEqual(t, most, limit, "and 4 MiB for everything else, this test's own text among it")
			})
		}
	}
}

// All pages of a list together have a limit, too. That of 6DOT50's lists is
// tested beside them.
func TestTheMemoryOfAListHasALimit(t *testing.T) {
	const perPage = 40_000
	pages := 0
	page := func(row, around string) func() io.Reader {
		pages = 0
		return func() io.Reader {
			var rows strings.Builder
			for n := range perPage {
				fmt.Fprintf(&rows, row, pages*perPage+n+1)
			}
			pages++
			return strings.NewReader(fmt.Sprintf(around, pages, strings.TrimSuffix(rows.String(), ",")))
		}
	}
	t.Run("snapbill", func(t *testing.T) {
		client := must(snapbill.New(snapbill.Config{Username: "user", Password: "abcdefghijklmnopqrst",
			BaseURL: "https://service.test",
			Middleware: replies(page(`{"id":%d},`,
				`{"code":200,"type":"list","page":%d,"numpages":1000,"list":[%s]}`))}))
		rows, last := 0, error(nil)
		for _, err := range client.ListActions(t.Context()) {
			if last = err; err == nil {
				rows++
			}
		}
		require.ErrorContains(t, last, "the list is longer than 1000000 rows")
		require.Equal(t, 1_000_000, rows)
	})
	t.Run("centrapay", func(t *testing.T) {
		body := `{"nextPageKey":"%d","items":[%s]}`
		client := must(centrapay.New(centrapay.Config{APIKey: "abcdefghijklmnopqrst", BaseURL: "https://service.test",
			RequestsPerMinute: 1_000_000,
			Middleware:        replies(page(`{"id":"%d"},`, body))}))
		rows, last := 0, error(nil)
		for _, err := range client.ListAssets(t.Context(), "abc", "") {
			if last = err; err == nil {
				rows++
			}
		}
		require.ErrorContains(t, last, "the list is longer than 1000000 assets")
		require.Equal(t, 1_000_000, rows)

		client = must(centrapay.New(centrapay.Config{APIKey: "abcdefghijklmnopqrst", BaseURL: "https://service.test",
			Middleware: replies(func() io.Reader {
				return repeatedText(`{"items":[],"nextPageKey":"`, "k", 3000, `"}`)
			})}))
		for _, last = range client.ListAssets(t.Context(), "abc", "") {
		}
		require.ErrorContains(t, last, "the key of the next page is longer than 2048 bytes")
	})
}
