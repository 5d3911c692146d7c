package citypay_test

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
	"github.com/batchway/batchway-go/citypay"
	"github.com/batchway/batchway-go/citypay/citypaytest"
)

// sim is the simulator as the suite sees it.
type sim struct{ *citypaytest.Server }

func (s sim) Requests() int         { return s.Log.Count("") }
func (s sim) Submits() int          { return s.Log.Count("ProcessBatch") }
func (s sim) Moved() map[string]int { return s.Accepted() }
func (s sim) Finish()               { s.FinishAll() }
func (s sim) Say(word string)       { s.SayStatus(word) }
func (s sim) Settle()               { s.Clock.Advance(30 * 24 * time.Hour) }

var references atomic.Int64

func newDraft(items int) batch.Draft {
	n := references.Add(1)
	d := batch.Draft{Reference: fmt.Sprint(n), Direction: batch.Collect}
	for i := range items {
		d.Items = append(d.Items, batch.Item{Reference: fmt.Sprintf("item-%d-%d", n, i), Account: "account-1",
			Amount: batch.Money{Minor: int64(7801 + i), Currency: "GBP"}})
	}
	return d
}

func newProvider(t testing.TB, c citypay.Config, o citypay.ProviderConfig) *citypay.Provider {
	t.Helper()
	client, err := citypay.New(c)
	require.NoError(t, err)
	t.Cleanup(client.CloseIdleConnections)
	if o.MerchantID == 0 {
		o.MerchantID, o.Currency = 11223344, "GBP"
	}
	p, err := citypay.NewProvider(client, o)
	require.NoError(t, err)
	return p
}

// TestConformance runs the suite under every answer to every open question.
func TestConformance(t *testing.T) {
	for name, c := range map[string]struct {
		service  citypaytest.Options
		provider citypay.ProviderConfig
	}{
		"the likely answers":             {},
		"a duplicate is not valid":       {service: citypaytest.Options{Duplicate: citypaytest.DuplicateInvalid}},
		"a duplicate is charged again":   {service: citypaytest.Options{Duplicate: citypaytest.DuplicateCharged}},
		"a duplicate replaces the first": {service: citypaytest.Options{Duplicate: citypaytest.DuplicateOverwrite}},
		"an unseen batch has no row": {service: citypaytest.Options{Unseen: citypaytest.UnseenMissing},
			provider: citypay.ProviderConfig{MerchantID: 1, Currency: "GBP", AbsentMeansUnused: true}},
		"an unseen batch is an error":    {service: citypaytest.Options{Unseen: citypaytest.UnseenError}},
		"refusals are 200 and not valid": {service: citypaytest.Options{RefuseAsInvalid: true}},
		"an early report has some rows":  {service: citypaytest.Options{EarlyReport: citypaytest.EarlyPartial}},
		"a report adds up what was paid": {service: citypaytest.Options{PaidTotal: true}},
		"batches move on when asked":     {service: citypaytest.Options{Autoplay: 1}},
		"the operator has seen the refusal": {provider: citypay.ProviderConfig{MerchantID: 1, Currency: "GBP",
			DuplicateIDRefused: true}},
		"numbers of each batch account": {service: citypaytest.Options{NumbersByAccount: true},
			provider: citypay.ProviderConfig{MerchantID: 1, Currency: "GBP", ClientAccountID: "AC1"}},
		"accounts are checked before": {provider: citypay.ProviderConfig{MerchantID: 1, Currency: "GBP",
			CheckAccounts: true}},
		"under a batch account": {provider: citypay.ProviderConfig{MerchantID: 1, Currency: "GBP",
			ClientAccountID: "AC1"}},
	} {
		t.Run(name, func(t *testing.T) {
			batchtest.Run(t, func(t *testing.T) batchtest.Subject {
				server := citypaytest.New(&c.service)
				t.Cleanup(server.Close)
				log := new(batchtest.Log)
				config := server.Config()
				config.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
				return batchtest.Subject{
					Provider: newProvider(t, config, c.provider),
					Draft:    newDraft,
					Secrets:  []string{config.LicenceKey},
					Reopen:   func() batch.Provider { return newProvider(t, config, c.provider) },
					Log:      log.String,
					Sim:      sim{server},
				}
			})
		})
	}
}

// TestLive runs what needs no faults against CityPay's sandbox, and against
// nothing else: no variable names a host.
func TestLive(t *testing.T) {
	account := os.Getenv("CITYPAY_ACCOUNT_ID")
	config := citypay.Config{ClientID: os.Getenv("CITYPAY_CLIENT_ID"), LicenceKey: os.Getenv("CITYPAY_LICENCE_KEY"),
		BaseURL: citypay.Sandbox}
	var merchant int64
	_, _ = fmt.Sscan(os.Getenv("CITYPAY_MERCHANT_ID"), &merchant)
	if os.Getenv("BATCHWAY_LIVE") != "1" || config.ClientID == "" || config.LicenceKey == "" || merchant == 0 ||
		account == "" {
		t.Skip(
			"set BATCHWAY_LIVE=1, CITYPAY_CLIENT_ID, CITYPAY_LICENCE_KEY, CITYPAY_MERCHANT_ID and CITYPAY_ACCOUNT_ID to run against the sandbox")
	}
	references.Store(time.Now().Unix() % 90_000_000)
	batchtest.Run(t, func(t *testing.T) batchtest.Subject {
		o := citypay.ProviderConfig{MerchantID: merchant, Currency: "GBP"}
		return batchtest.Subject{
			Provider: newProvider(t, config, o),
			Draft: func(items int) batch.Draft {
				d := newDraft(items)
				for n := range d.Items {
					d.Items[n].Account = account
				}
				return d
			},
			Secrets: []string{config.LicenceKey},
			Reopen:  func() batch.Provider { return newProvider(t, config, o) },
		}
	})
}
