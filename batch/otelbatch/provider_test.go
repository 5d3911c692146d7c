package otelbatch_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchtest"
	"github.com/batchway/batchway-go/batch/otelbatch"
	"github.com/batchway/batchway-go/citypay"
	"github.com/batchway/batchway-go/citypay/citypaytest"
)

func check[T any](t *testing.T, want, got T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Every call of the provider is a span below the caller's, and every request one
// below that. All attributes are here.
func TestARunIsATree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := record(t)
		w := worlds["citypay"](t, otelbatch.Middleware(r.options...))
		journal := otelbatch.WrapJournal(batch.NewMemoryJournal(), r.options...)

		ctx, span := r.traces.Tracer("test").Start(t.Context(), "payroll")
		_, err := batch.Run(ctx, otelbatch.Wrap(w.provider, r.options...), w.draft, &batch.RunOptions{Journal: journal})
		require.NoError(t, err)
		span.End()

		call := func(op, state string) string {
			return line("  "+op+" citypay (internal)", "batchway.account=localhost/PC600001", "batchway.batch.id=2026",
				"batchway.batch.state="+state, "batchway.items=2", "batchway.op="+op, "batchway.provider=citypay",
				"batchway.reference=2026")
		}
		request := line("    POST (client)", "http.request.method=POST", "http.response.status_code=200",
			"network.protocol.version=1.1", "server.address=localhost", "server.port=80")
		check(t, []string{"payroll (internal) ", call("Create", "draft"), call("Submit", "pending"), request},
			r.tree()[:4])
		check(t, []string{call("Report", "done"), request}, r.tree()[len(r.tree())-2:])
	})
}

// line is a span as tree writes it.
func line(name string, attributes ...string) string {
	slices.Sort(attributes)
	return name + " " + strings.Join(attributes, " ")
}

// What the README and others promise of errors: the kind, the service's own code
// and request ID, and none of its words.
func TestAFailedCallNamesItsKind(t *testing.T) {
	r := record(t)
	failure := &batch.Error{Kind: batch.ErrAmbiguous, Provider: "memory", Op: "ProcessBatch", Status: 502, Code: "B008",
		RequestID: "req-7", Message: "the account 4711 of Ada Lovelace",
		Err: errors.New("https://citypay.test/v6?key=secret")}
	memory := batchtest.NewMemory(batchtest.MemoryOptions{})
	p := otelbatch.Wrap(failing{memory, failure}, r.options...)

	b, err := p.Submit(t.Context(), batch.Batch{Provider: "memory", ID: "7"})
	require.Same(t, failure, err, "errors pass through as they are")
	require.Equal(t, "7", b.ID)
	check(t, []string{line("Submit memory (internal) Error", "batchway.account=memory", "batchway.batch.id=7",
		"batchway.batch.state=unknown", "batchway.error.code=B008", "batchway.error.op=ProcessBatch",
		"batchway.error.request_id=req-7", "batchway.items=0", "batchway.op=Submit", "batchway.provider=memory",
		"batchway.reference=", "error.type=ambiguous")}, r.tree())
	points := r.points("batchway.call.duration")
	require.Len(t, points, 1)
	require.Contains(t, points[0], line("batchway.call.duration", "batchway.account=memory", "batchway.op=Submit",
		"batchway.provider=memory", "error.type=ambiguous")+": 1 in ")

	_, err = otelbatch.Wrap(failing{memory, io.EOF}, r.options...).Submit(t.Context(), b)
	require.Equal(t, io.EOF, err)
	require.Contains(t, r.tree()[1], "error.type=ambiguous", "any other error is taken for the careful one")
	require.NotContains(t, r.tree()[1], "batchway.error")
}

// failing fails every Submit.
type failing struct {
	batch.Provider
	err error
}

func (f failing) Submit(_ context.Context, b batch.Batch) (batch.Batch, error) { return b, f.err }

func TestDurationsAreSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := record(t)
		p := otelbatch.Wrap(slow{batchtest.NewMemory(batchtest.MemoryOptions{})}, r.options...)
		_, err := p.Poll(t.Context(), batch.Batch{})
		require.NoError(t, err)
		want := line("batchway.call.duration", "batchway.account=memory", "batchway.op=Poll",
			"batchway.provider=memory")
		check(t, []string{want + ": 1 in 1.5s"}, r.points(""))
		spans := r.spans.GetSpans()
		require.Equal(t, 1500*time.Millisecond, spans[0].EndTime.Sub(spans[0].StartTime))
	})
}

type slow struct{ batch.Provider }

func (slow) Poll(_ context.Context, b batch.Batch) (batch.Batch, error) {
	time.Sleep(1500 * time.Millisecond)
	return b, nil
}

func TestAbilitiesAreFoundAndHaveSpans(t *testing.T) {
	r := record(t)
	memory := batchtest.NewMemory(batchtest.MemoryOptions{})
	p := otelbatch.Wrap(memory, r.options...)
	found, ok := batch.As[*batchtest.Memory](p)
	require.True(t, ok)
	require.Same(t, memory, found)

	ctx := t.Context()
	b, err := p.Create(ctx, collect("november"))
	require.NoError(t, err)
	_, err = batch.Find(ctx, p, "november")
	require.NoError(t, err)
	_, err = batch.Find(ctx, p, "december")
	require.ErrorIs(t, err, batch.ErrNotFound)
	b, err = batch.SetItems(ctx, p, b, b.Draft.Items[:1])
	require.NoError(t, err)
	require.Len(t, b.Draft.Items, 1)
	for listed, err := range batch.List(ctx, p) {
		require.NoError(t, err)
		require.Equal(t, b.ID, listed.ID)
	}
	bulk, ok := batch.As[batch.BulkPoller](p)
	require.True(t, ok)
	_, err = bulk.PollAll(ctx, []batch.Batch{b, {Provider: "another"}})
	require.ErrorIs(t, err, batch.ErrInvalid)
	b, err = batch.Cancel(ctx, p, b)
	require.NoError(t, err)
	require.Equal(t, batch.StateCanceled, b.State)

	var names []string
	for _, line := range r.tree() {
		line, _, _ = strings.Cut(line, "batchway.account=memory ")
		names = append(names, line)
	}
	check(t, []string{"Create memory (internal) ", "Find memory (internal) ", "Find memory (internal) Error ",
		"SetItems memory (internal) ", "List memory (internal) ", "PollAll memory (internal) Error ",
		"Cancel memory (internal) "}, names)
	require.Contains(t, r.tree()[4], "batchway.batches=1 batchway.op=List")
	require.Contains(t, r.tree()[5], "batchway.batches=2 batchway.error.op=Poll batchway.op=PollAll ")
	require.Contains(t, r.tree()[5], " error.type=invalid")
	require.Contains(t, r.tree()[3], "batchway.items=1 ", "the new items")

	// Calls through the layer of an ability have spans, too.
	canceler, ok := batch.As[interface {
		batch.Provider
		batch.Canceler
	}](p)
	require.True(t, ok)
	r.spans.Reset()
	_, _ = canceler.Poll(ctx, b)
	require.Len(t, r.tree(), 1)
}

// A caller that stops a List ends its span.
func TestAStoppedListEnds(t *testing.T) {
	r := record(t)
	memory := batchtest.NewMemory(batchtest.MemoryOptions{})
	for _, reference := range []string{"one", "two"} {
		_, err := memory.Create(t.Context(), collect(reference))
		require.NoError(t, err)
	}
	for _, err := range batch.List(t.Context(), otelbatch.Wrap(memory, r.options...)) {
		require.NoError(t, err)
		break
	}
	require.Len(t, r.tree(), 1)
	require.Contains(t, r.tree()[0], "batchway.batches=1 ")
}

func TestAbilitiesThatAreMissingStayMissing(t *testing.T) {
	p := otelbatch.Wrap(struct{ batch.Provider }{batchtest.NewMemory(batchtest.MemoryOptions{})})
	_, finds := batch.As[batch.Finder](p)
	_, cancels := batch.As[batch.Canceler](p)
	_, lists := batch.As[batch.Lister](p)
	_, edits := batch.As[batch.Editor](p)
	_, polls := batch.As[batch.BulkPoller](p)
	require.Equal(t, [5]bool{}, [5]bool{finds, cancels, lists, edits, polls})

	client := must(citypay.New(citypay.Config{ClientID: "PC1", LicenceKey: "key", BaseURL: citypay.Sandbox}))
	provider := must(citypay.NewProvider(client, citypay.ProviderConfig{MerchantID: 1, Currency: "GBP"}))
	_, ok := batch.As[batch.Numberer](otelbatch.Wrap(provider))
	require.True(t, ok, "what has no span is found all the same")
}

// Package batch asks for no ability that this package does not know: a new one
// would have no spans, and one of a journal would be hidden.
func TestEveryAbilityIsKnown(t *testing.T) {
	abilities, clocks := map[string]bool{}, map[string]bool{}
	files, err := os.ReadDir("..")
	require.NoError(t, err)
	for _, file := range files {
		if !strings.HasSuffix(file.Name(), ".go") || strings.HasSuffix(file.Name(), "_test.go") {
			continue
		}
		source, err := os.ReadFile("../" + file.Name())
		require.NoError(t, err)
		for _, m := range regexp.MustCompile(`\bAs\[(\w+)\]`).FindAllStringSubmatch(string(source), -1) {
			abilities[m[1]] = true
		}
		for _, m := range regexp.MustCompile(`\b(?:j|[jJ]ournal)\.\((\w+)`).FindAllStringSubmatch(string(source), -1) {
			clocks[m[1]] = true
		}
	}
	check(t, map[string]bool{"Finder": true, "Canceler": true, "Lister": true, "Editor": true, "BulkPoller": true,
		"Numberer": true}, abilities)
	check(t, map[string]bool{"Clock": true}, clocks)
}

// Without options it is OpenTelemetry's convention: the global providers.
func TestTheGlobalProvidersAreTheDefault(t *testing.T) {
	before := otel.GetTracerProvider()
	defer otel.SetTracerProvider(before)
	spans := tracetest.NewInMemoryExporter()
	otel.SetTracerProvider(trace.NewTracerProvider(trace.WithSyncer(spans)))
	memory := batchtest.NewMemory(batchtest.MemoryOptions{})
	p := otelbatch.Wrap(memory, otelbatch.WithTracerProvider(nil), otelbatch.WithMeterProvider(nil))
	_, _ = p.Poll(t.Context(), batch.Batch{})
	require.Len(t, spans.GetSpans(), 1)
	require.Equal(t, "github.com/batchway/batchway-go/batch/otelbatch", spans.GetSpans()[0].InstrumentationScope.Name)
}

func TestLawsHoldForAWrappedProvider(t *testing.T) {
	t.Run("memory", func(t *testing.T) {
		batchtest.Run(t, func(t *testing.T) batchtest.Subject {
			memory := batchtest.NewMemory(batchtest.MemoryOptions{Polls: -1})
			r := record(t)
			n := 0
			return batchtest.Subject{
				Provider: otelbatch.Wrap(memory, r.options...),
				Draft: func(many int) batch.Draft {
					n++
					return nth(n, many)
				},
				Secrets: []string{"memory has no secret"},
				Reopen:  func() batch.Provider { return otelbatch.Wrap(memory, r.options...) },
				Sim:     memory,
			}
		})
	})
	t.Run("citypay", func(t *testing.T) {
		n := 0
		batchtest.Run(t, func(t *testing.T) batchtest.Subject {
			server := citypaytest.New(nil)
			t.Cleanup(server.Close)
			r := record(t)
			config := server.Config()
			config.Middleware = otelbatch.Middleware(r.options...)
			open := func() batch.Provider {
				client := must(citypay.New(config))
				t.Cleanup(client.CloseIdleConnections)
				provider := must(citypay.NewProvider(client, citypay.ProviderConfig{MerchantID: 1, Currency: "GBP"}))
				return otelbatch.Wrap(provider, r.options...)
			}
			return batchtest.Subject{
				Provider: open(),
				Draft: func(many int) batch.Draft {
					n++
					return nth(n, many)
				},
				Secrets: []string{config.LicenceKey},
				Reopen:  open,
				Log:     r.everything, // Spans and metrics are a log: law 11 holds for them.
				Sim:     sim{server},
			}
		})
	})
}

// nth is the nth draft of a suite, with so many items.
func nth(n, items int) batch.Draft {
	d := batch.Draft{Reference: fmt.Sprint(n), Direction: batch.Collect}
	for i := range items {
		d.Items = append(d.Items, batch.Item{Reference: fmt.Sprintf("item-%d-%d", n, i), Account: "account-1",
			Amount: batch.Money{Minor: 7801, Currency: "GBP"}})
	}
	return d
}

// sim is the simulator as the suite sees it.
type sim struct{ *citypaytest.Server }

func (s sim) Requests() int         { return s.Log.Count("") }
func (s sim) Submits() int          { return s.Log.Count("ProcessBatch") }
func (s sim) Moved() map[string]int { return s.Accepted() }
func (s sim) Finish()               { s.FinishAll() }
func (s sim) Say(word string)       { s.SayStatus(word) }
func (s sim) Settle()               { s.Clock.Advance(30 * 24 * time.Hour) }

var allFaults = []batchtest.Fault{"", batchtest.Refused, batchtest.Unauthorized, batchtest.LostBefore,
	batchtest.LostAfter,
	batchtest.SilentBefore, batchtest.SilentAfter, batchtest.ErrorBefore, batchtest.ErrorAfter, batchtest.GarbledAfter,
	batchtest.TruncatedAfter, batchtest.EchoedAfter, batchtest.LateAfter, batchtest.Redirected, batchtest.Unavailable}

// see takes a batch through every call, whatever fails.
func (w world) see(ctx context.Context, p batch.Provider) (errs []string) {
	failed := func(err error) { errs = append(errs, fmt.Sprint(err)) }
	b, err := p.Create(ctx, w.draft)
	failed(err)
	b, err = p.Submit(ctx, b)
	failed(err)
	w.service.FinishAll()
	b, err = p.Poll(ctx, b)
	failed(err)
	if bulk, ok := batch.As[batch.BulkPoller](p); ok {
		_, err = bulk.PollAll(ctx, []batch.Batch{b, b})
		failed(err)
	}
	_, err = p.Report(ctx, b)
	failed(err)
	_, err = batch.Find(ctx, p, w.draft.Reference)
	failed(err)
	_, err = batch.Cancel(ctx, p, b)
	failed(err)
	return errs
}

// No credential, no header of a request and no account of an item is in a span
// or a metric, whatever goes wrong; and with telemetry the service sees as many
// requests, money moves as often, and the caller hears the same.
func TestTelemetryHoldsNoSecretAndChangesNothing(t *testing.T) {
	for name, open := range worlds {
		for _, fault := range allFaults {
			t.Run(fmt.Sprintf("%s/%s", name, fault), func(t *testing.T) {
				var plainErrors, errs []string
				var plainRequests, requests int
				var plainMoved, moved map[string]int
				run := func(t *testing.T, m middleware, wrap func(batch.Provider) batch.Provider) (w world,
					errs []string) {
					w = open(t, m)
					if fault != "" {
						w.service.Break(fault)
					}
					return w, w.see(context.Background(), wrap(w.provider))
				}
				synctest.Test(t, func(t *testing.T) {
					w, heard := run(t, nil, func(p batch.Provider) batch.Provider { return p })
					plainErrors, plainRequests, plainMoved = heard, w.log.Count(""), w.service.Accepted()
				})
				synctest.Test(t, func(t *testing.T) {
					r, wire := record(t), new(tap)
					w, heard := run(t, wire.below(otelbatch.Middleware(r.options...)),
						func(p batch.Provider) batch.Provider { return otelbatch.Wrap(p, r.options...) })
					errs, requests, moved = heard, w.log.Count(""), w.service.Accepted()

					all := r.everything()
					require.Contains(t, all, "Submit "+name)
					for _, secret := range w.secrets {
						require.NotContains(t, all, secret)
					}
					for _, item := range w.draft.Items {
						require.NotContains(t, all, item.Account)
					}
					require.NotEmpty(t, wire.headers)
					for _, header := range wire.headers {
						require.Empty(t, header.Get("Traceparent"))
						for _, key := range []string{"Accept", "Accept-Encoding", "Content-Type", "User-Agent"} {
							header.Del(key)
						}
						for key, values := range header {
							for _, value := range values {
								_, token, _ := strings.Cut(value, " ")
								require.NotContains(t, all, value, key)
								require.True(t, len(token) < 8 || !strings.Contains(all, token), key)
							}
						}
					}
				})
				check(t, plainErrors, errs)
				require.Equal(t, plainRequests, requests)
				check(t, plainMoved, moved)
			})
		}
	}
}

func TestMiddlewarePassesRequestAndReplyThrough(t *testing.T) {
	r := record(t)
	reply := &http.Response{StatusCode: 404, ProtoMajor: 1, ProtoMinor: 1, Body: http.NoBody}
	sent := 0
	var failure error
	ctx, cancel := context.WithCancel(t.Context())
	stack := otelbatch.Middleware(r.options...)(roundTripper(func(q *http.Request) (*http.Response, error) {
		sent++
		require.Equal(t, http.Header{"Cp-Api-Key": {"secret"}}, q.Header)
		require.Equal(t, ctx.Err(), q.Context().Err(), "it ends with the caller's context")
		require.True(t, oteltrace.SpanContextFromContext(q.Context()).IsValid(), "and knows the span")
		require.Equal(t, "https://user:secret@citypay.test:8443/v6/account/4711?key=secret", q.URL.String())
		return reply, failure
	}))
	send := func() (*http.Response, error) {
		q, err := http.NewRequestWithContext(ctx, http.MethodPut,
			"https://user:secret@citypay.test:8443/v6/account/4711?key=secret", nil)
		require.NoError(t, err)
		q.Header.Set("cp-api-key", "secret")
		return stack.RoundTrip(q)
	}
	got, err := send()
	require.NoError(t, err)
	require.Same(t, reply, got)
	const about = "http.request.method=PUT"
	const where = " server.address=citypay.test server.port=8443"
	check(t, []string{"PUT (client) Error error.type=404 " + about +
		" http.response.status_code=404 network.protocol.version=1.1" +
		where}, r.tree())

	cancel()
	reply = nil
	for want, err := range map[string]error{
		"dial":     &net.OpError{Op: "dial", Err: errors.New("https://secret")},
		"timeout":  fmt.Errorf("sending: %w", context.DeadlineExceeded),
		"canceled": context.Canceled,
		"_OTHER":   errors.New("https://secret"),
	} {
		failure = err
		r.spans.Reset()
		got, err := send()
		require.Nil(t, got)
		require.Equal(t, failure, err)
		check(t, []string{"PUT (client) Error error.type=" + want + " " + about + where}, r.tree())
	}
	require.Equal(t, 5, sent)
}
