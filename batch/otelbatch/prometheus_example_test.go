package otelbatch_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchtest"
	"github.com/batchway/batchway-go/batch/otelbatch"
)

// Prometheus reads the metrics at /metrics, and alerts.yml is for its rule_files.
func Example_prometheus() {
	registry := client.NewRegistry()
	meters := metric.NewMeterProvider(metric.WithReader(must(prometheus.New(prometheus.WithRegisterer(registry)))))
	defer func() { _ = meters.Shutdown(context.Background()) }()
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{})) // Serve the mux on a port of yours.

	var provider batch.Provider = batchtest.NewMemory(batchtest.MemoryOptions{Polls: 1}) // Yours.
	journal := batch.NewMemoryJournal()                                                  // One that survives a crash.
	provider = otelbatch.Wrap(provider, otelbatch.WithMeterProvider(meters))
	journal = otelbatch.WrapJournal(journal, otelbatch.WithMeterProvider(meters))
	registration := must(otelbatch.Observe(provider, journal, otelbatch.WithMeterProvider(meters)))
	defer func() { _ = registration.Unregister() }()

	_, err := batch.Run(context.Background(), provider, collect("november"), &batch.RunOptions{Journal: journal})
	fmt.Println(err)

	scrape := httptest.NewRecorder()
	mux.ServeHTTP(scrape, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for line := range strings.Lines(scrape.Body.String()) {
		if strings.HasPrefix(line, "batchway_batches_open") && strings.Contains(line, `standing="unclear"`) {
			fmt.Println("unclear batches:", line[strings.LastIndex(line, " ")+1:])
		}
	}
	// Output:
	// <nil>
	// unclear batches: 0
}
