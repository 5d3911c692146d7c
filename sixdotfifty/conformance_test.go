package sixdotfifty_test

import (
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchhttp"
	"github.com/batchway/batchway-go/batch/batchtest"
	"github.com/batchway/batchway-go/sixdotfifty"
	"github.com/batchway/batchway-go/sixdotfifty/sixdotfiftytest"
)

// sim is the simulator as the suite sees it.
type sim struct{ *sixdotfiftytest.Server }

func (s sim) Requests() int         { return s.Log.Count("") }
func (s sim) Submits() int          { return s.Log.Count("SubmitBatch") }
func (s sim) Moved() map[string]int { return s.Accepted() }
func (s sim) Finish()               { s.FinishAll() }
func (s sim) Say(word string)       { s.SayStatus(word) }
func (s sim) Settle()               { s.Clock.Advance(90 * 24 * time.Hour) }

var references atomic.Int64

func newDraft(items int) batch.Draft {
	n := references.Add(1)
	d := batch.Draft{Reference: fmt.Sprintf("run-%d", n), Direction: batch.Pay}
	for i := range items {
		d.Items = append(d.Items, batch.Item{Reference: fmt.Sprintf("item-%d-%d", n, i),
			Account: fmt.Sprint(27820000000 + int64(i)),
			Amount:  batch.Money{Minor: int64(10075 + i), Currency: "DZAR"}})
	}
	return d
}

func newProvider(t testing.TB, c sixdotfifty.Config, o sixdotfifty.ProviderConfig) *sixdotfifty.Provider {
	t.Helper()
	client, err := sixdotfifty.New(c)
	require.NoError(t, err)
	t.Cleanup(client.CloseIdleConnections)
	p, err := sixdotfifty.NewProvider(client, o)
	require.NoError(t, err)
	return p
}

// TestConformance runs the suite under every answer to every open question.
func TestConformance(t *testing.T) {
	type options = sixdotfiftytest.Options
	for name, c := range map[string]struct {
		service  options
		provider sixdotfifty.ProviderConfig
	}{
		"the likely answers":                {},
		"a new token ends the older ones":   {service: options{OneToken: true}},
		"errors are JSON strings":           {service: options{Errors: sixdotfiftytest.ErrorsString}},
		"errors are plain text":             {service: options{Errors: sixdotfiftytest.ErrorsText}},
		"payments are cut at 1,000":         {service: options{Payments: sixdotfiftytest.PaymentsCut}},
		"payments are paged":                {service: options{Payments: sixdotfiftytest.PaymentsPaged}},
		"a filter matches prefixes":         {service: options{FilterPrefix: true}},
		"a cancelled batch frees its id":    {service: options{CancelFreesID: true}},
		"external ids of payments stay":     {service: options{PaymentIDsStay: true}},
		"adding answers with payments":      {service: options{Added: sixdotfiftytest.AddedPayments}},
		"adding answers with nothing":       {service: options{Added: sixdotfiftytest.AddedNothing}},
		"a submit answers without payments": {service: options{SubmitWithoutPayments: true}},
		"times have zones":                  {service: options{ZonedTimes: true}},
		"payments are added one by one":     {provider: sixdotfifty.ProviderConfig{ChunkSize: 1}},
		"pages are small": {service: options{Payments: sixdotfiftytest.PaymentsPaged, MaxTake: 2,
			FilterPrefix: true}},
		"what is refused is 422":    {service: options{RefusalStatus: 422}},
		"a failed getToken is 401":  {service: options{TokenRefusal: 401}},
		"balances are strings":      {service: options{StringBalances: true}},
		"a receiver has not joined": {service: options{NonMembers: []string{"27820000000"}}},
		"another account":           {provider: sixdotfifty.ProviderConfig{Account: "payroll"}},
		"two submits might both be paid": {service: options{NoLock: true},
			provider: sixdotfifty.ProviderConfig{GuardUnproven: true}},
	} {
		t.Run(name, func(t *testing.T) {
			batchtest.Run(t, func(t *testing.T) batchtest.Subject {
				server := sixdotfiftytest.New(&c.service)
				t.Cleanup(server.Close)
				log := new(batchtest.Log)
				config := server.Config()
				config.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
				return batchtest.Subject{
					Provider: newProvider(t, config, c.provider),
					Draft:    newDraft,
					Secrets:  []string{config.Key, config.Secret, "token-of-the-simulator"},
					Reopen:   func() batch.Provider { return newProvider(t, config, c.provider) },
					Log:      log.String,
					Sim:      sim{server},
				}
			})
		})
	}
}

// TestLive runs what needs no faults against 6DOT50's Test environment. It pays
// 36 items.
func TestLive(t *testing.T) {
	config := sixdotfifty.Config{Key: os.Getenv("SIXDOTFIFTY_KEY"), Secret: os.Getenv("SIXDOTFIFTY_SECRET"),
		BaseURL: os.Getenv("SIXDOTFIFTY_BASE_URL")}
	if os.Getenv("BATCHWAY_LIVE") != "1" || config.Key == "" || config.Secret == "" || config.BaseURL == "" {
		t.Skip(
			"set BATCHWAY_LIVE=1, SIXDOTFIFTY_KEY, SIXDOTFIFTY_SECRET and SIXDOTFIFTY_BASE_URL to run against the Test environment")
	}
	require.True(t, isTest(config.BaseURL), "SIXDOTFIFTY_BASE_URL must not be a host of 6DOT50's production")
	references.Store(time.Now().Unix())
	batchtest.Run(t, func(t *testing.T) batchtest.Subject {
		return batchtest.Subject{
			Provider: newProvider(t, config, sixdotfifty.ProviderConfig{}),
			Draft:    newDraft,
			Secrets:  []string{config.Key, config.Secret},
			Reopen:   func() batch.Provider { return newProvider(t, config, sixdotfifty.ProviderConfig{}) },
		}
	})
}

// isTest reports whether a base URL can be that of 6DOT50's Test environment.
// PAY's hosts are not public: of 6DOT50's own only those below staging are
// taken, and of others those without 6DOT50 in their name.
func isTest(baseURL string) bool {
	base, err := batchhttp.Canonical(baseURL)
	if err != nil {
		return false
	}
	u, err := url.Parse(base)
	return err == nil && (strings.HasSuffix(u.Hostname(), ".staging.6dot50.com") ||
		!strings.Contains(u.Hostname(), "6dot50"))
}

func TestLiveTestsNeverReachProduction(t *testing.T) {
	for _, url := range []string{sixdotfifty.RedemptionsProduction, "https://api.6dot50.com/za/pay",
		"HTTPS://API.6DOT50.COM:443/", "https://api.6dot50.com./za/pay",
		"https://pay.6dot50.com", "https://6dot50.com", "https://user@api.staging.6dot50.com",
		"https://api.6dot50.com?x=.staging.6dot50.com",
		"https://staging.6dot50.com.api.6dot50.com", "http://api.staging.6dot50.com", ""} {
		require.False(t, isTest(url), url)
	}
	for _, url := range []string{sixdotfifty.RedemptionsStaging, "https://api.staging.6dot50.com:443/za/pay",
		"http://127.0.0.1:8080/pay"} {
		require.True(t, isTest(url), url)
	}
}
