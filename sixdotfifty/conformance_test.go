package sixdotfifty_test

import (
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
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
		d.Items = append(d.Items, batch.Item{Reference: fmt.Sprintf("item-%d-%d", n, i), Account: fmt.Sprint(27820000000 + i),
			Amount: batch.Money{Minor: int64(10075 + i), Currency: "DZAR"}})
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
		"the likely answers":                   {},
		"a new token ends the older ones":      {service: options{OneToken: true}},
		"errors are JSON strings":              {service: options{Errors: sixdotfiftytest.ErrorsString}},
		"errors are like those of Redemptions": {service: options{Errors: sixdotfiftytest.ErrorsModel}},
		"payments are cut at 1,000":            {service: options{Payments: sixdotfiftytest.PaymentsCut}},
		"payments are paged":                   {service: options{Payments: sixdotfiftytest.PaymentsPaged}},
		"a filter matches prefixes":            {service: options{FilterPrefix: true}},
		"a cancelled batch frees its id":       {service: options{CancelFreesID: true}},
		"external ids of payments stay":        {service: options{PaymentIDsStay: true}},
		"adding answers with payments":         {service: options{Added: sixdotfiftytest.AddedPayments}},
		"adding answers with nothing":          {service: options{Added: sixdotfiftytest.AddedNothing}},
		"a submit answers without payments":    {service: options{SubmitWithoutPayments: true}},
		"times have zones":                     {service: options{ZonedTimes: true}},
		"payments are added one by one":        {provider: sixdotfifty.ProviderConfig{ChunkSize: 1}},
		"pages are small":                      {service: options{Payments: sixdotfiftytest.PaymentsPaged, MaxTake: 2, FilterPrefix: true}},
		"what is refused is 422":               {service: options{RefusalStatus: 422}},
		"a failed getToken is 401":             {service: options{TokenRefusal: 401}},
		"balances are strings":                 {service: options{StringBalances: true}},
		"somebody has not joined":              {service: options{NonMembers: []string{"27820000000"}}},
		"another account":                      {provider: sixdotfifty.ProviderConfig{Account: "payroll"}},
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

// TestLive runs what needs no faults against 6DOT50's Test environment.
func TestLive(t *testing.T) {
	config := sixdotfifty.Config{Key: os.Getenv("SIXDOTFIFTY_KEY"), Secret: os.Getenv("SIXDOTFIFTY_SECRET"), BaseURL: os.Getenv("SIXDOTFIFTY_BASE_URL")}
	if config.Key == "" || config.Secret == "" || config.BaseURL == "" {
		t.Skip("set SIXDOTFIFTY_KEY, SIXDOTFIFTY_SECRET and SIXDOTFIFTY_BASE_URL to run against the Test environment")
	}
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
