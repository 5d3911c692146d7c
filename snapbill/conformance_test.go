package snapbill_test

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
	"github.com/batchway/batchway-go/snapbill"
	"github.com/batchway/batchway-go/snapbill/snapbilltest"
)

// sim is the simulator as the suite sees it.
type sim struct{ *snapbilltest.Server }

func (s sim) Requests() int         { return s.Log.Count("") }
func (s sim) Submits() int          { return s.Log.Count("UpdateBatch") + s.Log.Count("SetBatchState") }
func (s sim) Moved() map[string]int { return s.Accepted() }
func (s sim) Finish()               { s.FinishAll() }
func (s sim) Say(word string)       { s.SayState(word) }
func (s sim) Settle()               { s.Clock.Advance(60 * 24 * time.Hour); s.FinishAll() }

var references atomic.Int64

// newDraft bills clients of their own, and makes a batch of them in the web
// interface: several drafts at once would otherwise take each other's clients.
func newDraft(server *snapbilltest.Server) func(int) batch.Draft {
	return func(items int) batch.Draft {
		d := dueDraft(server, items)
		d.Extra = map[string]string{"batch_id": fmt.Sprint(server.NewBatch(snapbill.DateOf(d.Date)))}
		return d
	}
}

// dueDraft bills clients of their own, on a day of their own: the later the
// draft, the earlier the day, so that no batch takes the invoices of another.
func dueDraft(server *snapbilltest.Server, items int) batch.Draft {
	n := references.Add(1)
	day := time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, -int(n))
	d := batch.Draft{Reference: fmt.Sprintf("run-%d", n), Direction: batch.Collect, Date: day}
	for i := range items {
		number := fmt.Sprintf("%04d/%d", n, i)
		d.Items = append(d.Items, batch.Item{Reference: number, Account: number, Amount: batch.Money{Minor: int64(5000 + i), Currency: "ZAR"}})
		server.Bill(number, snapbill.DateOf(day), int64(5000+i))
	}
	return d
}

func newProvider(t testing.TB, c snapbill.Config, o snapbill.ProviderConfig) *snapbill.Provider {
	t.Helper()
	o.PaymentMethod = "netcash"
	p, err := snapbill.NewProvider(newClient(t, c), o)
	require.NoError(t, err)
	return p
}

func newClient(t testing.TB, c snapbill.Config) *snapbill.Client {
	t.Helper()
	client, err := snapbill.New(c)
	require.NoError(t, err)
	t.Cleanup(client.CloseIdleConnections)
	return client
}

// TestConformance runs the suite under every answer to every open question.
func TestConformance(t *testing.T) {
	type options = snapbilltest.Options
	bySetState := snapbill.ProviderConfig{SetState: true}
	for name, c := range map[string]struct {
		service  options
		provider snapbill.ProviderConfig
	}{
		"the likely answers":               {},
		"only update submits":              {service: options{Honours: snapbilltest.HonoursUpdate}},
		"only set_state submits":           {service: options{Honours: snapbilltest.HonoursSetState}, provider: bySetState},
		"both submit, by set_state":        {provider: bySetState},
		"a second submit is ignored":       {service: options{Resubmit: snapbilltest.ResubmitIgnored}},
		"a second submit debits again":     {service: options{Resubmit: snapbilltest.ResubmitQueued}},
		"refusals are in the body":         {service: options{RefusesInBody: true}},
		"changes answer without an object": {service: options{WithoutObject: true}},
		"numbers are numbers":              {service: options{PlainNumbers: true}},
		"some payments come back":          {service: options{Bounces: []string{"0001/0"}, Refutes: []string{"0001/1"}}},
		"the type of the batch is checked": {provider: snapbill.ProviderConfig{BatchType: "two-day"}},
	} {
		t.Run(name, func(t *testing.T) {
			batchtest.Run(t, func(t *testing.T) batchtest.Subject {
				server := snapbilltest.New(&c.service)
				t.Cleanup(server.Close)
				log := new(batchtest.Log)
				config := server.Config()
				config.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
				return batchtest.Subject{
					Provider: newProvider(t, config, c.provider),
					Draft:    newDraft(server),
					Secrets:  []string{config.Password},
					Reopen:   func() batch.Provider { return newProvider(t, config, c.provider) },
					Log:      log.String,
					Sim:      sim{server},
				}
			})
		})
	}
}

// TestLive reads what a login can see: there is no sandbox, so nothing is
// changed.
func TestLive(t *testing.T) {
	config := snapbill.Config{Username: os.Getenv("SNAPBILL_USERNAME"), Password: os.Getenv("SNAPBILL_PASSWORD"), BaseURL: snapbill.Production}
	if config.Username == "" || config.Password == "" {
		t.Skip("set SNAPBILL_USERNAME and SNAPBILL_PASSWORD to look at an account")
	}
	client := newClient(t, config)
	account, err := client.CurrentAccount(t.Context())
	require.NoError(t, err)
	t.Logf("account %d", int64(account.ID))
	for _, command := range []string{"add", "list"} {
		controls, err := client.Form(t.Context(), "batch", "", command)
		require.NoError(t, err)
		for _, control := range controls {
			t.Logf("batch/%s takes %s (%s)", command, control.Name, control.Type)
		}
	}
}
