package campaign

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var plant = flag.Bool("planted", false, "prove that the campaign catches every planted bug; takes some minutes")

// An edit replaces one place in a source file.
type edit struct{ file, old, new string }

// planted are bugs that would lose money. Each must be caught by the campaign
// of one provider.
var planted = []struct {
	name, provider string
	edits          []edit
}{
	{"what moves money is retried like a read", "citypay", []edit{
		{"batch/batchhttp/batchhttp.go", "if call.Op.Safety == Once {", "if false {"}}},
	{"an idempotency key is sent, with which net/http sends twice", "sixdotfifty", []edit{
		{"batch/batchhttp/batchhttp.go", `h.Set("User-Agent", "batchway-go")`, `h.Set("Idempotency-Key", "x")`}}},
	{"the attempt is not written", "citypay", []edit{
		{"batch/run.go",
			"		err = e.append(ctx, Entry{Kind: EntryAttempt, Step: StepSubmit, Attempt: n, At: began})\n",
			"		_ = began\n"}}},
	{"the attempt is written after the request", "citypay", []edit{
		{"batch/run.go",
			"		err = e.append(ctx, Entry{Kind: EntryAttempt, Step: StepSubmit, Attempt: n, At: began})\n", ""},
		{"batch/run.go", "	after, err = e.p.Submit(detached, b)\n",
			"	after, err = e.p.Submit(detached, b)\n	_ = e.append(ctx, Entry{Kind: EntryAttempt, Step: StepSubmit, Attempt: n, At: began})\n"}}},
	{"a batch that the service does not know is taken for absent, and sent again", "citypay", []edit{
		{"batch/replay.go", "p.open > 0 && s.guard == GuardRefuses && s.read == StateDraft && s.secrets",
			"p.open > 0 && s.read == StateDraft && s.secrets"},
		{"batch/reconcile.go",
			"		return read, unclear(\"the service does not know, or says it in a word that this version does not know\", nil)\n",
			"		read.State = StateDraft\n"}}},
	{"an attempt without a result is taken for not sent", "citypay", []edit{
		{"batch/replay.go", "		p.open++\n		p.adopted", "		p.adopted"},
		{"batch/replay.go", "		p.unclear = e.Failure\n", "		p.unclear = e.Failure\n		p.open++\n"},
		{"batch/replay.go", "		p.open-- // A refusal", "		// A refusal"}}},
	{"the refusal of a second attempt closes the first", "sixdotfifty", []edit{
		{"batch/replay.go", "		p.open-- // A refusal", "		p.open = 0 // A refusal"}}},
	{"the refusal of a second attempt is reported while the first is open", "sixdotfifty", []edit{
		{"batch/run.go", "			if replay(e.history).open > 0 {\n				continue",
			"			if replay(e.history).open > 1000 {\n				continue"},
		{"batch/run.go", "failed != nil || overtaken(err) || p.open > 0 || p.submitted {",
			"failed != nil || overtaken(err) || p.open > 1000 {"}}},
	{"ok is taken for the end", "snapbill", []edit{
		{"snapbill/provider.go", "if b.counted() && b.Totals[\"pending\"] == 0 {", "if b.counted() {"}}},
	{"an open batch is taken for one that was cancelled", "sixdotfifty", []edit{
		{"sixdotfifty/provider.go", "	case BatchOpen:\n		return batch.StatePending\n",
			"	case BatchOpen:\n		return batch.StateCanceled\n"}}},
	{"each chunk of payments clears those before", "sixdotfifty", []edit{
		{"sixdotfifty/provider.go", "ClearExisting: replace,", "ClearExisting: true,"}}},
	{"redirects are followed", "sixdotfifty", []edit{
		{"batch/batchhttp/wire.go", "	response, err := transport.RoundTrip(r)\n",
			"	r.RequestURI = \"\"\n	response, err := (&http.Client{Transport: transport}).Do(r)\n"}}},
	{"amounts go through float64", "sixdotfifty", []edit{
		{"sixdotfifty/types.go", "	n, err := batchhttp.Decimal(string(text), 2)\n",
			"	var f float64\n	_, err := fmt.Sscan(string(text), &f)\n	n := int64(f * 100)\n	_ = batchhttp.Decimal\n"}}},
	{"an amount that is null is taken for one that is not said", "citypay", []edit{
		{"citypay/provider.go", "case row.Amount == 0:", "case row.Amount < 0:"}}},
	{"the errors of records are ignored", "centrapay", []edit{
		{"centrapay/provider.go", "f := p.match(items, reply.Errors)", "f := p.match(nil, nil)"},
		{"centrapay/provider.go", "count != int64(len(reply.Errors)) {", "count < 0 {"}}},
	{"a wait that the service asks for has no limit", "centrapay", []edit{
		{"batch/replay.go", "err.RetryAfter > longest:", "err.RetryAfter > 1000*longest:"}}},
	{"a foreign 403 is believed", "centrapay", []edit{
		{"batch/batchhttp/classify.go", "			return verdict{unknown, kind, retry}\n		case x.refusal.Kind",
			"			return verdict{rejected, kind, retry}\n		case x.refusal.Kind"}}},
	{"a middleware may send what moves money twice", "citypay", []edit{
		{"batch/batchhttp/wire.go", "	case s.safety == Once && s.asked > 0:\n", "	case false:\n"}}},
	{"a null that decides nothing fails a reply", "sixdotfifty", []edit{
		{"batch/batchhttp/json.go", "		*t = \"\"\n", "		return errUTF16\n"}}},
	{"the merchant is dropped", "citypay", []edit{
		{"citypay/provider.go", "Identifier: item.Reference, MerchantID: p.config.MerchantID}",
			"Identifier: item.Reference, MerchantID: 1}"}}},
	{"a failed handshake is taken for a request that was sent", "snapbill", []edit{
		{"batch/batchhttp/attempt.go", "a.unsent = a.end(a.err)", "_ = a.end(a.err)"}}},
	{"two references share a batch", "snapbill", []edit{
		{"batch/run.go", "entry.Claims = append(entry.Claims, name)", "_ = name"}}},
	{"a submit is sent again before its age", "sixdotfifty", []edit{
		{"batch/run.go", "if err == nil && !began.Before(p.landsBy(e.info)) && e.resends",
			"if _ = began; err == nil && e.resends"}}},
	{"an observer hears before the journal", "centrapay", []edit{
		{"batch/run.go", "	after, err = e.p.Submit(detached, b)\n",
			"	after, err = e.p.Submit(detached, b)\n	e.observe(Event{Phase: PhaseSubmit, Attempt: n, Batch: after, Err: err})\n"}}},
	{"a decision is not written", "citypay", []edit{
		{"batch/resolve.go",
			"	if err := e.append(ctx, entry); err != nil {\n		return e.journalFailed(ErrUnavailable, \"the decision", "	if err := error(nil); err != nil {\n		return e.journalFailed(ErrUnavailable, \"the decision"}}},
	{"a stranger is adopted", "snapbill", []edit{
		{"snapbill/provider.go",
			"	if len(differ) > 0 {\n		return b, p.client.conflict(op, \"the batch at the service is another one\", differ)\n	}\n	after",
			"	if len(differ) > 1000 {\n		return b, p.client.conflict(op, \"the batch at the service is another one\", differ)\n	}\n	after"}}},
}

// overlay writes the edited sources beside the true ones, for go test -overlay.
func overlay(t *testing.T, edits []edit) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	sources := make(map[string]string)
	for _, e := range edits {
		file := filepath.Join(root, e.file)
		if _, ok := sources[file]; !ok {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			sources[file] = string(text)
		}
		require.Equal(t, 1, strings.Count(sources[file], e.old), "%s no longer has %q once", e.file, e.old)
		sources[file] = strings.Replace(sources[file], e.old, e.new, 1)
	}
	dir := t.TempDir()
	replace := make(map[string]string)
	for file, text := range sources {
		replace[file] = filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
		require.NoError(t, os.WriteFile(replace[file], []byte(text), 0o600))
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	require.NoError(t, err)
	path := filepath.Join(dir, "overlay.json")
	require.NoError(t, os.WriteFile(path, text, 0o600))
	return path
}

var replay = regexp.MustCompile(`-seed [0-9]+`)

// TestPlantedBugs plants each bug into the true sources and runs the campaign
// on them: it must fail within 2,000 runs.
func TestPlantedBugs(t *testing.T) {
	require.Len(t, planted, 26)
	for _, bug := range planted {
		t.Run(bug.name, func(t *testing.T) {
			path := overlay(t, bug.edits)
			if !*plant {
				return // That the edits still fit is all that is checked without -planted.
			}
			out, err := exec.CommandContext(t.Context(), "go", "test", "-overlay", path, ".", "-run", "TestRandom",
				"-provider", bug.provider, "-runs", "2000", "-v").CombinedOutput()
			if err == nil {
				t.Fatalf("2,000 runs of %s did not notice", bug.provider)
			}
			require.Contains(t, string(out), "--- FAIL: TestRandom", "%s", out)
			var said string
			for line := range strings.Lines(string(out)) {
				if _, after, found := strings.Cut(line, "campaign_test.go:"); found && said == "" {
					_, said, _ = strings.Cut(strings.TrimSpace(after), ": ")
				}
			}
			ran := regexp.MustCompile(`(?m)^\s+` + bug.provider + `\s+([0-9]+)`).FindStringSubmatch(string(out))
			require.NotNil(t, ran, "%s", out)
			t.Logf("caught by run %s (%s): %s", ran[1], replay.FindString(string(out)), said)
		})
	}
}

// concernsDecisions reports whether a planted bug changes package batch, which
// decides what is sent. The other bugs change what a provider or the wire says.
func concernsDecisions(name string, edits []edit) bool {
	return name != "a wait that the service asks for has no limit" && // It changes when a request is sent, not whether.
		slices.ContainsFunc(edits, func(e edit) bool { return path.Dir(e.file) == "batch" })
}

// TestPlantedBugsInSmallWorlds plants each bug that concerns decisions, and
// runs the exploration of package batch on it, which must fail.
func TestPlantedBugsInSmallWorlds(t *testing.T) {
	found := 0
	for _, bug := range planted {
		if !concernsDecisions(bug.name, bug.edits) {
			continue
		}
		found++
		t.Run(bug.name, func(t *testing.T) {
			path := overlay(t, bug.edits)
			if !*plant {
				return // That the edits still fit is all that is checked without -planted.
			}
			out, err := exec.CommandContext(t.Context(), "go", "test", "-overlay", path, "../../batch", "-failfast",
				"-run", "TestSmallWorlds").CombinedOutput()
			if err == nil {
				t.Fatal("the exploration did not notice")
			}
			require.Contains(t, string(out), "--- FAIL: TestSmallWorlds", "%s", out)
		})
	}
	require.Equal(t, 10, found)
}
