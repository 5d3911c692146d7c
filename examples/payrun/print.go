package main

import (
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/schollz/progressbar/v3"

	"github.com/batchway/batchway-go/batch"
)

// progress shows what happens: one line that changes on a terminal, and a line
// for each change where the output goes to a file.
func (p *program) progress(e batch.Event) {
	if e.Phase == batch.PhaseReconcile && e.Batch.State == batch.StateUnknown && !p.asks {
		p.asks = true
		p.progressEnds()
		fmt.Fprintln(p.stderr, "payrun asks the service again and again what became of the batch. "+
			"Ctrl-C ends the wait, and changes nothing.")
	}
	line := fmt.Sprintf("%-9s  %s", e.Phase, stateOf(e.Batch))
	if e.Batch.Native != "" {
		line += " (" + e.Batch.Native + ")"
	}
	width := p.width()
	switch n := e.Batch.Counts; {
	case n.Items > 0 && width > 0:
		line = bar(line, n, width)
	case n.Items > 0:
		line += fmt.Sprintf("  %d of %d", n.Final, n.Items)
	}
	if e.Err != nil {
		line += "  " + e.Err.Error()
	}
	line = printable(strings.ReplaceAll(line, "\n", " "))
	switch {
	case width > 0:
		if r := []rune(line); len(r) >= width {
			line = string(r[:width-1]) // A line that wraps could not be replaced.
		}
		fmt.Fprintf(p.stderr, "\r\x1b[K%s", line)
	case line != p.shown:
		fmt.Fprintln(p.stderr, line)
	}
	p.shown = line
}

// bar is a line with a bar, and how many items of how many have an outcome.
func bar(line string, n batch.Counts, width int) string {
	words := fmt.Sprintf("%d of %d", n.Final, n.Items)
	const frame, shortest, longest = 11, 4, 30 // The library writes "100% |" before the bar and "|" behind it.
	cells := min(width-utf8.RuneCountInString(line)-len(words)-frame, longest)
	if cells < shortest {
		return words + "  " + line
	}
	b := progressbar.NewOptions(n.Items, progressbar.OptionSetWriter(io.Discard), progressbar.OptionSetWidth(cells),
		progressbar.OptionSetPredictTime(false), progressbar.OptionSetElapsedTime(false),
		progressbar.OptionSetDescription(line))
	if err := b.Set(n.Final); err != nil {
		return words + "  " + line
	}
	_ = b.RenderBlank()
	return strings.Trim(b.String(), "\r\n ") + " " + words
}

func stateOf(b batch.Batch) string {
	if b.State == batch.StateUnknown {
		return "unknown"
	}
	return string(b.State)
}

// progressEnds ends the line that changes.
func (p *program) progressEnds() {
	if p.width() > 0 {
		fmt.Fprint(p.stderr, "\r\x1b[K")
	}
}

func (p *program) write(v any) error {
	encoder := json.NewEncoder(p.stdout)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

// table writes rows in columns.
func (p *program) table(rows ...[]string) error {
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for n, cell := range row {
			row[n] = printable(strings.ReplaceAll(cell, "\t", " "))
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(strings.Join(row, "\t"), "\t")); err != nil {
			return err
		}
	}
	return w.Flush()
}

// sums writes "3 paid, 123.45 GBP" for every outcome that occurs.
func sums(r batch.Report) []string {
	var lines []string
	for _, outcome := range batch.Outcomes() {
		if total, ok := r.Totals[outcome]; ok {
			lines = append(lines, fmt.Sprintf("%d of %d %s, %s", total.Count, len(r.Results), outcome, total.Amount))
		}
	}
	return lines
}

func (p *program) checked(file string, d batch.Draft) error {
	totals := make(map[string]batch.Money)
	for _, item := range d.Items {
		sum := item.Amount
		if before, ok := totals[sum.Currency]; ok {
			var err error
			if sum, err = before.Add(sum); err != nil {
				return err
			}
		}
		totals[sum.Currency] = sum
	}
	if p.JSON {
		return p.write(map[string]any{"file": file, "direction": d.Direction, "items": len(d.Items), "totals": totals})
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%s can be sent: %s, %d items\n", file, d.Direction, len(d.Items))
	for _, currency := range slices.Sorted(maps.Keys(totals)) {
		fmt.Fprintln(&text, totals[currency])
	}
	_, err := fmt.Fprint(p.stdout, text.String())
	return err
}

func (p *program) report(r batch.Report) error {
	if p.JSON {
		return p.write(r)
	}
	rows := [][]string{{"REFERENCE", "ACCOUNT", "AMOUNT", "OUTCOME", "CODE", "MESSAGE"}}
	for _, result := range r.Results {
		rows = append(rows, []string{result.Item.Reference, result.Item.Account, result.Item.Amount.String(),
			string(result.Outcome), result.Code, result.Message})
	}
	for _, result := range r.Unmatched {
		rows = append(rows, []string{result.Item.Reference, "", "", "unmatched", result.Code, result.Message})
	}
	if err := p.table(rows...); err != nil {
		return err
	}
	_, err := fmt.Fprintf(p.stdout, "\n%s\n", strings.Join(sums(r), "\n"))
	return err
}

func (p *program) items(d batch.Draft) error {
	if p.JSON {
		return p.write(d)
	}
	rows := [][]string{{"REFERENCE", "ACCOUNT", "AMOUNT", "PURPOSE"}}
	for _, item := range d.Items {
		rows = append(rows, []string{item.Reference, item.Account, item.Amount.String(), item.Purpose})
	}
	if !slices.ContainsFunc(d.Items, func(item batch.Item) bool { return item.Purpose != "" }) {
		rows[0] = rows[0][:3]
	}
	return p.table(rows...)
}

// settled writes what Settle has found of one batch.
func (p *program) settled(r batch.Report, err error) error {
	state, words := stateOf(r.Batch), ""
	if err != nil {
		words = err.Error()
	}
	if p.JSON {
		return p.write(map[string]any{"reference": r.Batch.Draft.Reference, "state": state, "totals": r.Totals,
			"error": words})
	}
	line := r.Batch.Draft.Reference + "  " + state
	if len(r.Results) > 0 {
		line += "  " + strings.Join(sums(r), "; ")
	}
	if words != "" {
		line += "  " + words
	}
	_, printed := fmt.Fprintln(p.stdout, printable(strings.ReplaceAll(line, "\n", " ")))
	return printed
}

func (p *program) dossiers(all []batch.Dossier) error {
	if p.JSON {
		if all == nil {
			all = []batch.Dossier{}
		}
		return p.write(all)
	}
	if len(all) == 0 {
		_, err := fmt.Fprintln(p.stdout, "no batch is open")
		return err
	}
	rows := [][]string{{"REFERENCE", "SINCE (UTC)", "STANDING", "ITEMS", "TOTAL", "NEXT"}}
	for _, d := range all {
		rows = append(rows, []string{
			d.Key.Reference, minute(d.Intended), string(d.Standing), fmt.Sprint(d.Items), d.Total.String(),
			inCommands.Replace(d.Next),
		})
	}
	return p.table(rows...)
}

func minute(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") }

func (p *program) dossier(d batch.Dossier) error {
	if p.JSON {
		return p.write(d)
	}
	rows := [][]string{
		{"reference", d.Key.Reference},
		{"account", d.Key.Provider + " " + d.Key.Account},
		{"standing", string(d.Standing)},
		{"since", minute(d.Intended) + " UTC"},
		{"items", fmt.Sprintf("%d, %s", d.Items, d.Total)},
	}
	add := func(name, value string) {
		if value != "" {
			rows = append(rows, []string{name, value})
		}
	}
	add("batch id", d.BatchID)
	add("service's word", d.Native)
	add("author", d.Author)
	if d.Needed > 0 {
		add("approvals", fmt.Sprintf("%d of %d", len(d.Approvals), d.Needed))
		add("digest", d.Digest)
	}
	for _, a := range d.Approvals {
		add("approved", minute(a.At)+" by "+a.Operator)
	}
	for _, a := range d.Attempts {
		words := "succeeded"
		switch {
		case a.Ended == nil:
			words = "no answer is known"
		case a.Failure != nil:
			words = a.Failure.String()
		}
		add(fmt.Sprintf("%s %d", a.Step, a.Number), minute(a.Began)+"  "+words)
	}
	for _, decision := range d.Decisions {
		add("decision", minute(decision.At)+" "+string(decision.Verdict)+" by "+decision.Operator+": "+decision.Reason)
	}
	for _, n := range d.Notes {
		add("note", minute(n.At)+" by "+n.Operator+": "+n.Text)
	}
	for _, purpose := range d.Purposes {
		add("holds", purpose)
	}
	add("next", inCommands.Replace(d.Next))
	for _, command := range p.commandsFor(d) {
		add("command", command)
	}
	return p.table(rows...)
}

// commandsFor are the calls of payrun that the dossier's Next may be about.
func (p *program) commandsFor(d batch.Dossier) []string {
	reference := d.Key.Reference
	resolve := func(verdict string) string {
		return p.call("resolve " + reference + " --by NAME --reason WHY --verdict " + verdict)
	}
	resume := p.call("resume " + reference)
	var all []string
	if lacking := d.Needed - len(d.Approvals); lacking > 0 && d.Digest != "" {
		all = append(all, p.call("items "+reference), p.call("approve "+reference+" --by NAME --digest "+d.Digest))
	}
	switch d.Standing {
	case batch.StandingClosed:
		if n := len(d.Decisions); n > 0 && d.Decisions[n-1].Verdict == batch.Abandon {
			return nil
		}
		return []string{p.call("report " + reference)}
	case batch.StandingUnclear:
		return append(all, resume, resolve("abandon"), resolve("adopt --batch-id ID"))
	case batch.StandingSubmitted:
		return append(all, resume, resolve("close --outcome ITEM=OUTCOME"))
	}
	return append(all, resume, resolve("abandon"))
}

// call is a call of payrun with the same configuration.
func (p *program) call(command string) string {
	if p.Config != defaultConfig {
		command += " --config " + p.Config
	}
	return "payrun " + command
}

// inCommands puts the commands in place of the functions that a dossier names.
var inCommands = strings.NewReplacer(
	"call Run or Resume", "call payrun run or resume",
	"call Run", "call payrun run",
	"or Run with a corrected draft (Draft.Replaces)", "or payrun run with a corrected file (--replaces)",
	"Resume", "payrun resume",
	"Resolve", "payrun resolve",
	"Review finds", "payrun review finds",
	" 1 more approvals", " 1 more approval",
)

func (p *program) changes(all []batch.Change) error {
	if p.JSON {
		if all == nil {
			all = []batch.Change{}
		}
		return p.write(all)
	}
	if len(all) == 0 {
		_, err := fmt.Fprintln(p.stdout, "nothing has changed")
		return err
	}
	rows := [][]string{{"BATCH", "ITEM", "AMOUNT", "BEFORE", "NOW", "CODE", "MESSAGE"}}
	for _, c := range all {
		rows = append(rows, []string{c.Key.Reference, c.Result.Item.Reference, c.Result.Item.Amount.String(),
			string(c.Before), string(c.Result.Outcome), c.Result.Code, c.Result.Message})
	}
	return p.table(rows...)
}

// A pageData is what the page to file shows.
type pageData struct {
	Report batch.Report
	Info   batch.Info
	At     string
	Sums   []string
}

func pageOf(r batch.Report, info batch.Info, at time.Time) pageData {
	return pageData{r, info, minute(at) + " UTC", sums(r)}
}

// page escapes whatever the service or a file says.
var page = template.Must(template.New("report").Parse(`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{{.Report.Batch.Draft.Reference}}</title>
<style>
body { font: 14px/1.5 sans-serif; margin: 2em auto; max-width: 60em }
table { border-collapse: collapse; width: 100% }
th, td { border-bottom: 1px solid #ccc; padding: .3em .6em; text-align: left }
td.amount { text-align: right; font-variant-numeric: tabular-nums }
</style></head><body>
<h1>{{.Report.Batch.Draft.Reference}}</h1>
<p>{{.Info.Name}}, {{.Info.Account}}: {{.Report.Batch.Draft.Direction}}, {{.Report.Batch.State}}, as known on {{.At}}</p>
<ul>{{range .Sums}}<li>{{.}}</li>{{end}}</ul>
<table><tr><th>Reference</th><th>Account</th><th>Amount</th><th>Outcome</th><th>Code</th><th>Message</th><th>Service's ID</th></tr>
{{range .Report.Results}}<tr><td>{{.Item.Reference}}</td><td>{{.Item.Account}}</td><td class="amount">{{.Item.Amount}}</td><td>{{.Outcome}}</td><td>{{.Code}}</td><td>{{.Message}}</td><td>{{.ID}}</td></tr>
{{end}}</table>
</body></html>
`))
