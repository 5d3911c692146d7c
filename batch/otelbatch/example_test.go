package otelbatch_test

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/otelbatch"
	"github.com/batchway/batchway-go/citypay"
	"github.com/batchway/batchway-go/citypay/citypaytest"
)

func Example() {
	// In a program, these are exporters to a collector or to Prometheus.
	spans, reader := tracetest.NewInMemoryExporter(), metric.NewManualReader()
	traces := trace.NewTracerProvider(trace.WithSyncer(spans))
	options := []otelbatch.Option{
		otelbatch.WithTracerProvider(traces),
		otelbatch.WithMeterProvider(metric.NewMeterProvider(metric.WithReader(reader))),
	}

	server := citypaytest.New(&citypaytest.Options{Autoplay: 1}) // or your own citypay.Config
	defer server.Close()
	config := server.Config()
	config.Middleware = otelbatch.Middleware(options...)
	client := must(citypay.New(config))
	citypay := must(citypay.NewProvider(client, citypay.ProviderConfig{MerchantID: 11223344, Currency: "GBP"}))

	provider := otelbatch.Wrap(citypay, options...)
	// In a file or in PostgreSQL, it survives a crash.
	journal := otelbatch.WrapJournal(batch.NewMemoryJournal(), options...)
	registration := must(otelbatch.Observe(provider, journal, options...))
	defer func() { _ = registration.Unregister() }()

	ctx, span := traces.Tracer("payments").Start(context.Background(), "invoices of november")
	_, err := batch.Run(ctx, provider, batch.Draft{
		Reference: "2026", Direction: batch.Collect,
		Items: []batch.Item{
			{Reference: "inv-1", Account: "customer-ada", Amount: batch.Money{Minor: 7801, Currency: "GBP"}},
			{Reference: "inv-2", Account: "customer-ben", Amount: batch.Money{Minor: 3333, Currency: "GBP"}},
		},
	}, &batch.RunOptions{Journal: journal, Watch: batch.WatchOptions{Interval: 10 * time.Millisecond}})
	span.End()
	fmt.Println(err)

	for _, span := range spans.GetSpans() { // In the order of their end: a request before its call.
		fmt.Println(span.SpanKind, span.Name)
	}
	var data metricdata.ResourceMetrics
	_ = reader.Collect(ctx, &data)
	for _, m := range data.ScopeMetrics[0].Metrics {
		if sum, ok := m.Data.(metricdata.Sum[int64]); ok && m.Name == "batchway.money" {
			for _, point := range sum.DataPoints {
				if outcome, _ := point.Attributes.Value("batchway.outcome"); outcome.AsString() == "paid" {
					fmt.Println(m.Name, outcome.AsString(), point.Value)
				}
			}
		}
	}
	// Output:
	// <nil>
	// internal Create citypay
	// client POST
	// client POST
	// internal Submit citypay
	// client POST
	// internal Poll citypay
	// client POST
	// internal Poll citypay
	// client POST
	// internal Poll citypay
	// client POST
	// internal Report citypay
	// internal invoices of november
	// batchway.money paid 7801
}
