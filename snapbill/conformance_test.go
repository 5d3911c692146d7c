package snapbill_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
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
// Each server counts from 1, so that the first draft of any has client 0001/0.
func newDraft(server *snapbilltest.Server) func(int) batch.Draft {
	var n atomic.Int64
	return func(items int) batch.Draft {
		d := numbered(n.Add(1), items)
		due(server, d)
		d.Extra = map[string]string{"batch_id": fmt.Sprint(server.NewBatch(snapbill.DateOf(d.Date)))}
		return d
	}
}

// dueDraft bills clients of their own, on a day of their own.
func dueDraft(server *snapbilltest.Server, items int) batch.Draft {
	d := numbered(references.Add(1), items)
	due(server, d)
	return d
}

// numbered is the nth draft: the later the draft, the earlier the day, so that
// no batch takes the invoices of another.
func numbered(n int64, items int) batch.Draft {
	day := time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, -int(n))
	d := batch.Draft{Reference: fmt.Sprintf("run-%d", n), Direction: batch.Collect, Date: day}
	for i := range items {
		number := fmt.Sprintf("%04d/%d", n, i)
		d.Items = append(d.Items, batch.Item{Reference: number, Account: number,
			Amount: batch.Money{Minor: int64(5000 + i), Currency: "ZAR"}})
	}
	return d
}

// due bills what a draft collects.
func due(server *snapbilltest.Server, d batch.Draft) {
	for _, item := range d.Items {
		server.Bill(item.Account, snapbill.DateOf(d.Date), item.Amount.Minor)
	}
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

// A variant is one answer to an open question.
type variant struct {
	service  snapbilltest.Options
	provider snapbill.ProviderConfig
	added    bool            // drafts name no batch: Create makes it
	returned []batch.Outcome // of the first items of a first draft, once it is over
}

// A subject is a provider of a variant. It counts the reports that had what the
// variant is about.
type subject struct {
	*snapbill.Provider
	t        *testing.T
	server   *snapbilltest.Server
	config   snapbill.Config
	variant  *variant
	creating *sync.Mutex // of all providers of the server
	seen     *atomic.Int64
}

// Format shows the provider, and not the simulator, which holds the password.
func (s subject) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "%+v", s.Provider) }

// Create makes one batch at a time: the clients of a draft that names none are
// billed just before, or several drafts at once would take each other's. While
// the service is building, the time is that of a bubble.
func (s subject) Create(ctx context.Context, d batch.Draft) (b batch.Batch, err error) {
	s.creating.Lock()
	defer s.creating.Unlock()
	if s.variant.added {
		due(s.server, d)
	}
	if s.variant.service.BuildReads == 0 {
		return s.Provider.Create(ctx, d)
	}
	synctest.Test(s.t, func(t *testing.T) {
		config := s.config
		config.Middleware = func(http.RoundTripper) http.RoundTripper { return direct{s.server} }
		before := time.Now()
		b, err = newProvider(t, config, s.variant.provider).Create(t.Context(), d)
		if err == nil {
			require.GreaterOrEqual(t, time.Since(before), time.Second, "it is waited for")
			s.seen.Add(1)
		}
	})
	return b, err
}

// Report is the provider's own. What was to come back has.
func (s subject) Report(ctx context.Context, b batch.Batch) (batch.Report, error) {
	r, err := s.Provider.Report(ctx, b)
	if err == nil && b.Draft.Reference == "run-1" && r.Batch.State == batch.StateDone && len(s.variant.returned) > 0 {
		var got []batch.Outcome
		for _, result := range r.Results {
			got = append(got, result.Outcome)
		}
		want := s.variant.returned[:min(len(got), len(s.variant.returned))]
		assert.Equal(s.t, want, got[:len(want)])
		s.seen.Add(1)
	}
	return r, err
}

// direct serves a request without a connection, so that who waits in a bubble
// waits for nothing outside.
type direct struct{ http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w.Result(), nil
}

// TestConformance runs the suite under every answer to every open question
// under which the laws can hold: the simulator says which they are.
func TestConformance(t *testing.T) {
	type options = snapbilltest.Options
	bySetState := snapbill.ProviderConfig{SetState: true}
	for name, v := range map[string]variant{
		"the likely answers":  {},
		"only update submits": {service: options{Honours: snapbilltest.HonoursUpdate}},
		"only set_state submits": {service: options{Honours: snapbilltest.HonoursSetState},
			provider: bySetState},
		"both submit, by set_state":        {provider: bySetState},
		"a second submit is ignored":       {service: options{Resubmit: snapbilltest.ResubmitIgnored}},
		"a second submit debits again":     {service: options{Resubmit: snapbilltest.ResubmitQueued}},
		"refusals are in the body":         {service: options{RefusesInBody: true}},
		"changes answer without an object": {service: options{WithoutObject: true}},
		"numbers are numbers":              {service: options{PlainNumbers: true}},
		"some payments come back": {service: options{Bounces: []string{"0001/0"}, Refutes: []string{"0001/1"}},
			returned: []batch.Outcome{batch.OutcomeReturned, batch.OutcomeReturned, batch.OutcomePaid}},
		"the type of the batch is checked":   {provider: snapbill.ProviderConfig{BatchType: "two-day"}},
		"a batch is being built for a while": {service: options{BuildReads: 3}},
		"drafts name no batch":               {added: true},
	} {
		t.Run(name, func(t *testing.T) {
			var seen atomic.Int64
			batchtest.Run(t, func(t *testing.T) batchtest.Subject {
				server := snapbilltest.New(&v.service)
				t.Cleanup(server.Close)
				log := new(batchtest.Log)
				config := server.Config()
				config.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
				var creating sync.Mutex
				open := func() batch.Provider {
					return subject{newProvider(t, config, v.provider), t, server, config, &v, &creating, &seen}
				}
				draft := newDraft(server)
				if v.added {
					var n atomic.Int64
					draft = func(items int) batch.Draft { return numbered(n.Add(1), items) }
				}
				return batchtest.Subject{
					Provider: open(),
					Draft:    draft,
					Secrets:  []string{config.Password},
					Reopen:   open,
					Log:      log.String,
					Sim:      sim{server},
				}
			})
			if v.returned != nil || v.service.BuildReads > 0 {
				require.Positive(t, seen.Load(), "the suite has met nothing of what this variant is about")
			}
		})
	}
}

// TestLive reads what a login can see: there is no sandbox, so nothing is
// changed.
func TestLive(t *testing.T) {
	config := snapbill.Config{Username: os.Getenv("SNAPBILL_USERNAME"), Password: os.Getenv("SNAPBILL_PASSWORD"),
		BaseURL: snapbill.Production}
	if os.Getenv("BATCHWAY_LIVE") != "1" || config.Username == "" || config.Password == "" {
		t.Skip("set BATCHWAY_LIVE=1, SNAPBILL_USERNAME and SNAPBILL_PASSWORD to look at an account")
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
