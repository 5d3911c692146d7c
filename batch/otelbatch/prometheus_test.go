package otelbatch_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	client "github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.yaml.in/yaml/v3"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchtest"
	"github.com/batchway/batchway-go/batch/otelbatch"
)

// exposed is what Prometheus reads of this package.
type exposed struct {
	samples map[string]string          // the names of samples, such as a_seconds_bucket, and the metric of each
	labels  map[string]map[string]bool // the values of each label
}

// expose lets every metric have a value.
func expose(t *testing.T) exposed {
	t.Helper()
	registry := client.NewRegistry()
	reader, err := prometheus.New(prometheus.WithRegisterer(registry))
	require.NoError(t, err)
	o := otelbatch.WithMeterProvider(metric.NewMeterProvider(metric.WithReader(reader)))
	memory := batchtest.NewMemory(batchtest.MemoryOptions{Polls: 1})
	provider, journal := otelbatch.Wrap(memory, o), otelbatch.WrapJournal(batch.NewMemoryJournal(), o)
	_, err = otelbatch.Observe(provider, journal, o)
	require.NoError(t, err)
	_, err = batch.Run(t.Context(), provider, collect("november"), &batch.RunOptions{Journal: journal})
	require.NoError(t, err)
	_, err = provider.Submit(t.Context(), batch.Batch{})
	require.Error(t, err)

	found := exposed{samples: map[string]string{}, labels: map[string]map[string]bool{}}
	families, err := registry.Gather()
	require.NoError(t, err)
	for _, family := range families {
		name := family.GetName()
		if !strings.HasPrefix(name, "batchway_") {
			continue
		}
		found.samples[name] = name
		for _, m := range family.GetMetric() {
			if m.GetHistogram() != nil {
				delete(found.samples, name)
				for _, suffix := range []string{"_bucket", "_count", "_sum"} {
					found.samples[name+suffix] = name
				}
			}
			for _, label := range m.GetLabel() {
				if found.labels[label.GetName()] == nil {
					found.labels[label.GetName()] = map[string]bool{}
				}
				found.labels[label.GetName()][label.GetValue()] = true
			}
		}
	}
	for name := range worlds {
		found.labels["batchway_provider"][name] = true
	}
	return found
}

var (
	quoted  = regexp.MustCompile(`(\w+)\s*(?:=|!=|=~|!~)\s*"([^"]*)"`)
	grouped = regexp.MustCompile(`\b(?:by|on|without|ignoring)\s*\(([^)]*)\)`)
	names   = regexp.MustCompile(`\b(?:batchway|error)_\w+`)
)

// faults says which names of an expression the code does not have. It adds the
// metrics that the expression shows to used.
func (e exposed) faults(expr string, used map[string]bool) (faults []string) {
	for _, m := range quoted.FindAllStringSubmatch(expr, -1) {
		label, values := m[1], m[2]
		if e.labels[label] == nil {
			faults = append(faults, "label "+label)
			continue
		}
		for _, value := range strings.Split(values, "|") {
			if value != "" && !strings.HasPrefix(value, "$") && !e.labels[label][value] {
				faults = append(faults, fmt.Sprintf("%s=%q", label, value))
			}
		}
	}
	expr = quoted.ReplaceAllString(expr, "")
	for _, m := range grouped.FindAllStringSubmatch(expr, -1) {
		for _, label := range regexp.MustCompile(`\w+`).FindAllString(m[1], -1) {
			if e.labels[label] == nil && !slices.Contains([]string{"le", "job", "instance"}, label) {
				faults = append(faults, "label "+label)
			}
		}
	}
	expr = grouped.ReplaceAllString(expr, "")
	for _, name := range names.FindAllString(expr, -1) {
		if e.samples[name] == "" {
			faults = append(faults, "metric "+name)
		}
		used[e.samples[name]] = true
	}
	return faults
}

func TestTheNamesOfAlertsAndDashboardAreThoseOfTheCode(t *testing.T) {
	e, alerted, shown := expose(t), map[string]bool{}, map[string]bool{}
	for _, rule := range alerts(t) {
		require.Empty(t, e.faults(rule.Expr, alerted), rule.Alert)
		for _, text := range rule.Annotations {
			for _, m := range regexp.MustCompile(`\$labels\.(\w+)`).FindAllStringSubmatch(text, -1) {
				require.Contains(t, rule.Expr, m[1], "%s: an alert has only the labels of its expression", rule.Alert)
			}
		}
	}
	for _, expr := range panels(t) {
		require.Empty(t, e.faults(expr, shown), expr)
	}
	check(t, []string{"batchway_batches_age_seconds", "batchway_batches_open", "batchway_journal_failures_total"},
		slices.Sorted(maps.Keys(alerted)))
	all := map[string]bool{}
	for _, metric := range e.samples {
		all[metric] = true
	}
	check(t, all, shown)

	require.Equal(t, []string{`batchway_standing="unclaer"`, "label batchway_sanding", "label batchway_user",
		"metric batchway_batch_open"},
		e.faults(
			`sum by (le, batchway_user) (batchway_batch_open{batchway_standing="unclaer", batchway_sanding!="unclear|draft"})`,
			map[string]bool{}), "the test itself")
}

type rule struct {
	Alert, Expr string
	Annotations map[string]string
}

func alerts(t *testing.T) (all []rule) {
	t.Helper()
	var file struct{ Groups []struct{ Rules []rule } }
	text, err := os.ReadFile("alerts.yml")
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(text, &file))
	for _, group := range file.Groups {
		all = append(all, group.Rules...)
	}
	require.Len(t, all, 5)
	return all
}

// panels returns every expression of the dashboard.
func panels(t *testing.T) (all []string) {
	t.Helper()
	var file struct {
		Templating struct{ List []struct{ Definition string } }
		Panels     []struct {
			Targets []struct{ Expr, LegendFormat string }
		}
	}
	text, err := os.ReadFile("dashboard.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &file))
	for _, panel := range file.Panels {
		require.NotEmpty(t, panel.Targets)
		for _, target := range panel.Targets {
			all = append(all, target.Expr)
			for _, m := range regexp.MustCompile(`{{(\w+)}}`).FindAllStringSubmatch(target.LegendFormat, -1) {
				require.Contains(t, target.Expr, m[1], "a legend has only the labels of its expression")
			}
		}
	}
	for _, variable := range file.Templating.List {
		if m := regexp.MustCompile(`^label_values\((\w+), (\w+)\)$`).FindStringSubmatch(variable.Definition); m != nil {
			all = append(all, fmt.Sprintf("sum by (%s) (%s)", m[2], m[1]))
		}
	}
	require.Len(t, all, 14)
	return all
}

// promtool runs Prometheus's own tool.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	if _, err := exec.LookPath("promtool"); err != nil && os.Getenv("BATCHWAY_REQUIRE_PROMTOOL") != "1" {
		t.Skip("promtool is not installed: it is in Debian's package prometheus")
	}
	out, err := exec.CommandContext(t.Context(), "promtool", args...).CombinedOutput()
	require.NoError(t, err, string(out))
}

func TestAlertsFireWhenTheyShould(t *testing.T) {
	tested, err := os.ReadFile("alerts_test.yml")
	require.NoError(t, err)
	for _, rule := range alerts(t) {
		require.Regexp(t, `(?s)- alertname: `+rule.Alert+`\n[^-]*exp_alerts`, string(tested), "no test makes it fire")
		require.Contains(t, string(tested), "- {alertname: "+rule.Alert+", ", "no test keeps it silent")
	}
	promtool(t, "check", "rules", "alerts.yml")
	promtool(t, "test", "rules", "alerts_test.yml")
}

// The expressions of the dashboard are checked as rules.
func TestTheDashboardIsValid(t *testing.T) {
	type recording struct{ Record, Expr string }
	var rules []recording
	for n, expr := range panels(t) {
		expr = strings.ReplaceAll(expr, "$__rate_interval", "5m")
		rules = append(rules, recording{fmt.Sprint("panel:", n), expr})
	}
	slices.SortFunc(rules, func(a, b recording) int { return cmp.Compare(a.Record, b.Record) })
	text, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": rules}}})
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "rules.yml")
	require.NoError(t, os.WriteFile(path, text, 0o600))
	promtool(t, "check", "rules", path)
}
