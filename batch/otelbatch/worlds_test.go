package otelbatch_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchsim"
	"github.com/batchway/batchway-go/batch/batchtest"
	"github.com/batchway/batchway-go/batch/otelbatch"
	"github.com/batchway/batchway-go/centrapay"
	"github.com/batchway/batchway-go/centrapay/centrapaytest"
	"github.com/batchway/batchway-go/citypay"
	"github.com/batchway/batchway-go/citypay/citypaytest"
	"github.com/batchway/batchway-go/sixdotfifty"
	"github.com/batchway/batchway-go/sixdotfifty/sixdotfiftytest"
	"github.com/batchway/batchway-go/snapbill"
	"github.com/batchway/batchway-go/snapbill/snapbilltest"
)

// A recorder keeps every span and metric.
type recorder struct {
	t       testing.TB
	spans   *tracetest.InMemoryExporter
	traces  *trace.TracerProvider
	reader  *sdkmetric.ManualReader
	options []otelbatch.Option
}

func record(t testing.TB) *recorder {
	t.Helper()
	r := &recorder{t: t, spans: tracetest.NewInMemoryExporter(), reader: sdkmetric.NewManualReader()}
	r.traces = trace.NewTracerProvider(trace.WithSyncer(r.spans))
	r.options = []otelbatch.Option{
		otelbatch.WithTracerProvider(r.traces),
		otelbatch.WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(r.reader))),
	}
	return r
}

// tree writes every span that has ended, each below its parent, in the order of their
// begin. Attributes are sorted.
func (r *recorder) tree() []string {
	all := r.spans.GetSpans()
	slices.SortStableFunc(all, func(a, b tracetest.SpanStub) int { return a.StartTime.Compare(b.StartTime) })
	known := make(map[string]bool)
	for _, s := range all {
		known[s.SpanContext.SpanID().String()] = true
	}
	var lines []string
	var below func(parent string, depth int)
	below = func(parent string, depth int) {
		for _, s := range all {
			id := s.Parent.SpanID().String()
			if !known[id] {
				id = ""
			}
			if id != parent {
				continue
			}
			line := strings.Repeat("  ", depth) + s.Name + " (" + s.SpanKind.String() + ")"
			if s.Status.Code.String() != "Unset" || s.Status.Description != "" {
				line += " " + s.Status.Code.String() + s.Status.Description
			}
			lines = append(lines, line+" "+attributes(s.Attributes...))
			below(s.SpanContext.SpanID().String(), depth+1)
		}
	}
	below("", 0)
	return lines
}

func attributes(all ...attribute.KeyValue) string {
	var texts []string
	for _, a := range all {
		texts = append(texts, fmt.Sprintf("%s=%s", a.Key, a.Value.String()))
	}
	slices.Sort(texts)
	return strings.Join(texts, " ")
}

func (r *recorder) collect() metricdata.ResourceMetrics {
	r.t.Helper()
	var data metricdata.ResourceMetrics
	require.NoError(r.t, r.reader.Collect(context.Background(), &data))
	return data
}

// points writes every point of the metrics whose names begin so, sorted:
// histograms as count and sum.
func (r *recorder) points(prefix string) (lines []string) {
	r.t.Helper()
	for _, scope := range r.collect().ScopeMetrics {
		for _, m := range scope.Metrics {
			if strings.HasPrefix(m.Name, prefix) {
				lines = append(lines, pointsOf(m)...)
			}
		}
	}
	slices.Sort(lines)
	return lines
}

func pointsOf(m metricdata.Metrics) (lines []string) {
	line := func(set attribute.Set, value string) {
		lines = append(lines, fmt.Sprintf("%s %s: %s", m.Name, attributes(set.ToSlice()...), value))
	}
	integers := func(points []metricdata.DataPoint[int64]) {
		for _, p := range points {
			line(p.Attributes, fmt.Sprint(p.Value))
		}
	}
	switch data := m.Data.(type) {
	case metricdata.Sum[int64]:
		integers(data.DataPoints)
	case metricdata.Gauge[int64]:
		integers(data.DataPoints)
	case metricdata.Histogram[float64]:
		for _, p := range data.DataPoints {
			line(p.Attributes, fmt.Sprintf("%d in %gs", p.Count, p.Sum))
		}
	default:
		panic(fmt.Sprintf("%s is a %T", m.Name, data))
	}
	return lines
}

// everything is all that was recorded, as text.
func (r *recorder) everything() string {
	r.t.Helper()
	metrics, err := json.Marshal(r.collect())
	require.NoError(r.t, err)
	lines := append(r.tree(), r.points("")...)
	return fmt.Sprintf("%+v\n%s\n%s", r.spans.GetSpans(), metrics, strings.Join(lines, "\n"))
}

// A world is a provider and the service that it calls.
type world struct {
	provider batch.Provider
	draft    batch.Draft
	secrets  []string
	service  interface {
		Accepted() map[string]int
		FinishAll()
		Break(batchtest.Fault) // the next request that can move money meets it
	}
	log *batchsim.Log
}

type middleware = func(http.RoundTripper) http.RoundTripper

// worlds are the simulated services, to be made in a bubble of virtual time.
var worlds = map[string]func(t *testing.T, m middleware) world{
	"citypay": func(t *testing.T, m middleware) world {
		server := citypaytest.New(&citypaytest.Options{InMemory: true, Autoplay: 1})
		t.Cleanup(server.Close)
		config := server.Config()
		config.Middleware = m
		client := must(citypay.New(config))
		return world{must(citypay.NewProvider(client, citypay.ProviderConfig{MerchantID: 11223344, Currency: "GBP"})),
			batch.Draft{Reference: "2026", Direction: batch.Collect,
				Items: items("customer-ada", "customer-ben", "GBP")},
			[]string{config.LicenceKey}, server, &server.Log}
	},
	"centrapay": func(t *testing.T, m middleware) world {
		server := centrapaytest.New(&centrapaytest.Options{InMemory: true, Autoplay: 1})
		t.Cleanup(server.Close)
		config := server.Config()
		config.Middleware = m
		client := must(centrapay.New(config))
		return world{must(centrapay.NewProvider(client, server.ProviderConfig())),
			batch.Draft{Reference: "load-1", Direction: batch.Load, Items: items("111111111", "222222222", "NZD")},
			[]string{config.APIKey}, server, &server.Log}
	},
	"sixdotfifty": func(t *testing.T, m middleware) world {
		server := sixdotfiftytest.New(&sixdotfiftytest.Options{InMemory: true, Autoplay: 1})
		t.Cleanup(server.Close)
		config := server.Config()
		config.Middleware = m
		client := must(sixdotfifty.New(config))
		return world{must(sixdotfifty.NewProvider(client, sixdotfifty.ProviderConfig{})),
			batch.Draft{Reference: "run-1", Direction: batch.Pay, Items: items("27821234561", "27821234562", "DZAR")},
			[]string{config.Key, config.Secret}, server, &server.Log}
	},
	"snapbill": func(t *testing.T, m middleware) world {
		server := snapbilltest.New(&snapbilltest.Options{InMemory: true, Autoplay: 1})
		t.Cleanup(server.Close)
		config := server.Config()
		config.Middleware = m
		client := must(snapbill.New(config))
		d := batch.Draft{Reference: "run-1", Direction: batch.Collect,
			Date:  time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC),
			Items: items("0001/0", "0001/1", "ZAR")}
		for n := range d.Items {
			d.Items[n].Reference = d.Items[n].Account
			server.Bill(d.Items[n].Account, snapbill.DateOf(d.Date), d.Items[n].Amount.Minor)
		}
		return world{must(snapbill.NewProvider(client, snapbill.ProviderConfig{PaymentMethod: "netcash"})), d,
			[]string{config.Password}, server, &server.Log}
	},
}

// items is two items of 78.01 and 33.33, which CityPay's sandbox declines.
func items(first, second, currency string) []batch.Item {
	return []batch.Item{
		{Reference: "inv-1", Account: first, Amount: batch.Money{Minor: 7801, Currency: currency}},
		{Reference: "inv-2", Account: second, Amount: batch.Money{Minor: 3333, Currency: currency}},
	}
}

// collect is a draft of two items for a Memory.
func collect(reference string) batch.Draft {
	return batch.Draft{Reference: reference, Direction: batch.Collect, Items: items("ada", "ben", "GBP")}
}

// A tap keeps every header that it sees, below other middleware.
type tap struct {
	mu      sync.Mutex
	headers []http.Header
}

func (p *tap) below(m middleware) middleware {
	return func(next http.RoundTripper) http.RoundTripper {
		return m(roundTripper(func(r *http.Request) (*http.Response, error) {
			p.mu.Lock()
			p.headers = append(p.headers, r.Header.Clone())
			p.mu.Unlock()
			return next.RoundTrip(r)
		}))
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
