package otelbatch_test

import (
	"context"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchtest"
	"github.com/batchway/batchway-go/batch/otelbatch"
)

// documented returns the lines of the table of a section, and the columns of each.
func documented(t *testing.T, section string) (lines [][]string) {
	t.Helper()
	text, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(text), "// # "+section+"\n")
	require.True(t, found, section)
	rest, _, _ = strings.Cut(rest, "\n// # ")
	for line := range strings.Lines(rest) {
		if cells, ok := strings.CutPrefix(line, "//\t"); ok && cells[0] != ' ' && !strings.HasPrefix(cells, "NAME") {
			lines = append(lines, regexp.MustCompile(`\s{2,}`).Split(strings.TrimSpace(cells), -1))
		}
	}
	require.NotEmpty(t, lines)
	return lines
}

func firsts(lines [][]string) map[string]bool {
	all := map[string]bool{}
	for _, line := range lines {
		all[line[0]] = true
	}
	return all
}

// happens lets everything happen that has a span or a metric.
func happens(t *testing.T) (spans tracetest.SpanStubs, metrics []metricdata.Metrics) {
	synctest.Test(t, func(t *testing.T) {
		r := record(t)
		w := worlds["citypay"](t, otelbatch.Middleware(r.options...))
		journal := otelbatch.WrapJournal(batch.NewMemoryJournal(), r.options...)
		_, err := batch.Run(t.Context(), otelbatch.Wrap(w.provider, r.options...), w.draft,
			&batch.RunOptions{Journal: journal})
		require.NoError(t, err)

		memory := batchtest.NewMemory(batchtest.MemoryOptions{})
		p := otelbatch.Wrap(memory, r.options...)
		_, err = otelbatch.Observe(memory, journal, r.options...)
		require.NoError(t, err)
		b, err := p.Create(t.Context(), collect("november"))
		require.NoError(t, err)
		_, _ = batch.Find(t.Context(), p, "november")
		_, _ = batch.SetItems(t.Context(), p, b, b.Draft.Items)
		_, _ = batch.Cancel(t.Context(), p, b)
		for _, err := range batch.List(t.Context(), p) {
			require.NoError(t, err)
		}
		bulk, _ := batch.As[batch.BulkPoller](p)
		_, _ = bulk.PollAll(t.Context(), nil)
		failure := &batch.Error{Kind: batch.ErrConflict, Op: "ProcessBatch", Code: "B008",
			RequestID: "req-7", Err: io.EOF}
		_, err = otelbatch.Wrap(failing{memory, failure}, r.options...).Submit(context.Background(), b)
		require.Error(t, err)

		spans = r.spans.GetSpans()
		for _, scope := range r.collect().ScopeMetrics {
			metrics = append(metrics, scope.Metrics...)
		}
	})
	return spans, metrics
}

func TestTheDocumentationListsEverything(t *testing.T) {
	spans, metrics := happens(t)

	names, attributes := map[string]bool{}, map[string]bool{}
	for _, span := range spans {
		name := span.Name
		if op, _, ok := strings.Cut(name, " "); ok {
			name = op + " <provider>"
		} else {
			require.Equal(t, "POST", name)
			name = "GET, POST, PUT..."
		}
		names[name] = true
		for _, a := range span.Attributes {
			attributes[string(a.Key)] = true
		}
	}
	check(t, firsts(documented(t, "Spans")), names)
	check(t, firsts(documented(t, "Attributes of spans")), attributes)

	var table, want []string
	attributes = map[string]bool{}
	for _, line := range documented(t, "Metrics") {
		table = append(table, strings.Join(line[:3], " "))
	}
	for _, m := range metrics {
		kind, sets := kindOf(m)
		want = append(want, m.Name+" "+kind+" "+m.Unit)
		for _, set := range sets {
			for _, a := range set.ToSlice() {
				attributes[string(a.Key)] = true
			}
		}
	}
	slices.Sort(table)
	slices.Sort(want)
	check(t, want, table)
	check(t, slices.Sorted(maps.Keys(attributes)),
		slices.Sorted(maps.Keys(firsts(documented(t, "Attributes of metrics")))))
}

func kindOf(m metricdata.Metrics) (kind string, sets []attribute.Set) {
	switch data := m.Data.(type) {
	case metricdata.Sum[int64]:
		for _, p := range data.DataPoints {
			sets = append(sets, p.Attributes)
		}
		return "counter", sets
	case metricdata.Gauge[int64]:
		for _, p := range data.DataPoints {
			sets = append(sets, p.Attributes)
		}
		return "gauge", sets
	case metricdata.Histogram[float64]:
		for _, p := range data.DataPoints {
			sets = append(sets, p.Attributes)
		}
		return "histogram", sets
	}
	return "", nil
}
