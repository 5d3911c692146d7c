package centrapay_test

import (
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchtest"
	"github.com/batchway/batchway-go/centrapay"
	"github.com/batchway/batchway-go/centrapay/centrapaytest"
)

// sim is the simulator as the suite sees it.
type sim struct{ *centrapaytest.Server }

func (s sim) Requests() int   { return s.Log.Count("") }
func (s sim) Submits() int    { return s.Log.Count("CreateBatch") }
func (s sim) Finish()         { s.FinishAll() }
func (s sim) Say(word string) { s.SayStatus(word) }

// Moved fetches first: a batch that is created is bound to be.
func (s sim) Moved() map[string]int {
	s.FetchAll()
	return s.Accepted()
}

func (s sim) Settle() {
	s.Clock.Advance(30 * 24 * time.Hour)
	s.FetchAll()
}

var references atomic.Int64

func newDraft(items int) batch.Draft {
	n := references.Add(1)
	d := batch.Draft{Reference: fmt.Sprint("load-", n), Direction: batch.Load}
	for i := range items {
		d.Items = append(d.Items, batch.Item{Reference: fmt.Sprintf("item-%d-%d", n, i),
			Account: fmt.Sprintf("%09d", i+1),
			Amount:  batch.Money{Minor: int64(1000 + i), Currency: "NZD"}})
	}
	return d
}

func newProvider(t testing.TB, c centrapay.Config, o centrapay.ProviderConfig) *centrapay.Provider {
	t.Helper()
	client, err := centrapay.New(c)
	require.NoError(t, err)
	t.Cleanup(client.CloseIdleConnections)
	p, err := centrapay.NewProvider(client, o)
	require.NoError(t, err)
	return p
}

func newServer(t testing.TB, o *centrapaytest.Options) *centrapaytest.Server {
	t.Helper()
	server := centrapaytest.New(o)
	t.Cleanup(server.Close)
	return server
}

// newGate returns a gate that is served on a socket of its own.
func newGate(t testing.TB) *centrapay.FileGate {
	t.Helper()
	host := httptest.NewUnstartedServer(nil)
	gate, err := centrapay.NewFileGate(t.TempDir(), "http://"+host.Listener.Addr().String())
	require.NoError(t, err)
	host.Config.Handler = gate
	host.Start()
	t.Cleanup(host.Close)
	return gate
}

// TestConformance runs the suite under every answer to every open question.
func TestConformance(t *testing.T) {
	for name, c := range map[string]struct {
		service centrapaytest.Options
		gate    bool
		index   centrapay.ErrorIndex
	}{
		"the likely answers":        {},
		"the file is fetched late":  {service: centrapaytest.Options{FetchLate: true}},
		"the file is fetched twice": {service: centrapaytest.Options{FetchTwice: true}},
		"the count is totalCount": {
			service: centrapaytest.Options{CountName: centrapaytest.CountIsTotalCount}},
		"there are both counts":     {service: centrapaytest.Options{CountName: centrapaytest.CountIsBoth}},
		"the count excludes errors": {service: centrapaytest.Options{CountExcludesErrors: true}},
		"the index counts from 1": {service: centrapaytest.Options{IndexFrom1: true},
			index: centrapay.ErrorIndexFrom1},
		"errors have no external id": {service: centrapaytest.Options{NoExternalID: true},
			index: centrapay.ErrorIndexFrom0},
		"the list of errors is capped":  {service: centrapaytest.Options{MaxErrors: 1}},
		"replies name another account":  {service: centrapaytest.Options{OtherAccount: true}},
		"the account is live":           {service: centrapaytest.Options{Live: true}},
		"a false test flag is left out": {service: centrapaytest.Options{Live: true, OmitFalseTest: true}},
		"the account cannot be read":    {service: centrapaytest.Options{AccountUnreadable: true}},
		"batches move on when asked":    {service: centrapaytest.Options{Autoplay: 1}},
		"behind a gate":                 {gate: true},
		"behind a gate, fetched late":   {gate: true, service: centrapaytest.Options{FetchLate: true}},
		"behind a gate, fetched late, twice": {gate: true, service: centrapaytest.Options{FetchLate: true,
			FetchTwice: true}},
	} {
		t.Run(name, func(t *testing.T) {
			batchtest.Run(t, func(t *testing.T) batchtest.Subject {
				server := newServer(t, &c.service)
				log := new(batchtest.Log)
				config := server.Config()
				config.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
				o := server.ProviderConfig()
				o.ErrorIndex = c.index
				if c.gate {
					o.Upload, o.Gate = nil, newGate(t)
				}
				return batchtest.Subject{
					Provider: newProvider(t, config, o),
					Draft:    newDraft,
					Secrets:  []string{config.APIKey},
					Reopen:   func() batch.Provider { return newProvider(t, config, o) },
					Log:      log.String,
					Sim:      sim{server},
				}
			})
		})
	}
}

// TestLive runs what needs no faults against Centrapay, with a test account.
// Where the files are hosted is for the environment to say: a directory that a
// web server shows to the world under a URL.
func TestLive(t *testing.T) {
	config, o := live(os.Getenv)
	dir, public := os.Getenv("CENTRAPAY_GATE_DIR"), os.Getenv("CENTRAPAY_GATE_URL")
	if os.Getenv("BATCHWAY_LIVE") != "1" || config.APIKey == "" || o.AccountID == "" || dir == "" || public == "" {
		t.Skip(
			"set BATCHWAY_LIVE=1, CENTRAPAY_API_KEY, CENTRAPAY_ACCOUNT_ID, CENTRAPAY_GATE_DIR and CENTRAPAY_GATE_URL to run against a test account")
	}
	client, err := centrapay.New(config)
	require.NoError(t, err)
	account, err := client.GetAccount(t.Context(), o.AccountID)
	require.NoError(t, err)
	require.True(t, account.Test, "the account must be for tests")
	client.CloseIdleConnections()
	o.Gate, err = centrapay.NewFileGate(dir, public)
	require.NoError(t, err)
	references.Store(time.Now().Unix())
	batchtest.Run(t, func(t *testing.T) batchtest.Subject {
		return batchtest.Subject{
			Provider: newProvider(t, config, o),
			Draft:    newDraft,
			Secrets:  []string{config.APIKey},
			Reopen:   func() batch.Provider { return newProvider(t, config, o) },
		}
	})
}

// live is the configuration of TestLive: its batches are tests, whatever the
// environment holds. The service refuses a test batch of a live account.
func live(getenv func(string) string) (centrapay.Config, centrapay.ProviderConfig) {
	return centrapay.Config{APIKey: getenv("CENTRAPAY_API_KEY")},
		centrapay.ProviderConfig{AccountID: getenv("CENTRAPAY_ACCOUNT_ID"), Currency: "NZD"}
}

func TestLiveTestsNeverReachProduction(t *testing.T) {
	config, o := live(func(string) string { return "true" })
	require.False(t, config.Live)
	require.Equal(t, "sandbox/true", newProvider(t, config, o).Info().Account)
	server := newServer(t, &centrapaytest.Options{Live: true})
	config.BaseURL, config.HTTPClient, config.APIKey = server.URL, server.Config().HTTPClient, server.Config().APIKey
	o = server.ProviderConfig()
	p := newProvider(t, config, o)
	b, err := p.Create(t.Context(), newDraft(1))
	require.NoError(t, err)
	_, err = p.Submit(t.Context(), b)
	require.ErrorIs(t, err, batch.ErrInvalid)
	require.Empty(t, server.Accepted())
}
