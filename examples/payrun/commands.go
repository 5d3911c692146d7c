package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchcsv"
)

// direction is named by the person, and never taken from the service.
type direction struct {
	Collect bool `xor:"direction" required:"" help:"The batch takes money from the accounts."`
	Pay     bool `xor:"direction" required:"" help:"The batch sends money to the accounts."`
	Load    bool `xor:"direction" required:"" help:"The batch loads records; no money moves."`
}

func (d direction) wanted() batch.Direction {
	switch {
	case d.Collect:
		return batch.Collect
	case d.Pay:
		return batch.Pay
	}
	return batch.Load
}

// agrees refuses another direction than that of the service.
func (d direction) agrees(p *program) error {
	if actual := p.provider.Info().Direction; d.wanted() != actual {
		return mistake("you asked to %s, but the direction of %s is %s: nothing was sent", d.wanted(),
			p.config.Provider, actual)
	}
	return nil
}

// file is what check and run have in common.
type file struct {
	File string `arg:"" help:"A CSV file of reference, account, amount and currency: see package batchcsv."`
	direction
	Date     string `help:"The day on which the service should process the batch, as 2026-12-01; the default is as soon as possible." placeholder:"DAY"`
	NotAfter string `help:"Nothing is submitted after this day ends in UTC." placeholder:"DAY"`
	Author   string `help:"Who asks for the batch: cannot approve of it." placeholder:"NAME"`
	Approved int    `name:"approvals" help:"How many other people must approve before anything is submitted." placeholder:"N"`
}

// draft reads the file.
func (f file) draft(p *program, reference string) (batch.Draft, batchcsv.Sheet, error) {
	d := batch.Draft{Reference: reference, Direction: f.wanted(), Author: f.Author, Approvals: f.Approved}
	options, err := p.config.options()
	if err != nil {
		return d, batchcsv.Sheet{}, err
	}
	text, err := os.ReadFile(f.File)
	if err != nil {
		return d, batchcsv.Sheet{}, usageError{err}
	}
	if d.Date, err = day("--date", f.Date); err != nil {
		return d, batchcsv.Sheet{}, err
	}
	if d.NotAfter, err = day("--not-after", f.NotAfter); err != nil {
		return d, batchcsv.Sheet{}, err
	}
	if !d.NotAfter.IsZero() {
		d.NotAfter = d.NotAfter.AddDate(0, 0, 1)
	}
	if err := f.agrees(p); err != nil {
		return d, batchcsv.Sheet{}, err
	}
	sheet, err := batchcsv.Read(bytes.NewReader(text), options)
	if err != nil {
		return d, sheet, fmt.Errorf("%s cannot be sent:\n%w\n%s", f.File, err, columnsHint)
	}
	d.Items = sheet.Items
	p.ready(&d)
	return d, sheet, nil
}

const columnsHint = `The key "csv" of the configuration says what your columns are called, and how amounts are written: ` +
	`see payrun's README.`

// refused tells the faults of items by their lines.
func (f file) refused(sheet batchcsv.Sheet, err error) error {
	explained := sheet.Explain(err)
	if _, ok := errors.AsType[*batchcsv.Error](explained); ok {
		return fmt.Errorf("%s cannot be sent:\n%w", f.File, explained)
	}
	return err
}

func day(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return t, mistake("%s is %q: a day such as 2026-12-01 would be right", flag, text)
	}
	return t, nil
}

// check creates the batch at the simulator: everything that the client checks
// is checked, and no credential is needed.
type check struct{ file }

func (c *check) run(ctx context.Context, p *program) (int, error) {
	d, sheet, err := c.draft(p, "1")
	if err != nil {
		return 0, err
	}
	if _, err := p.provider.Create(ctx, d); err != nil {
		return 0, c.refused(sheet, err)
	}
	return exitDone, p.checked(c.File, d)
}

type run struct {
	file
	Reference string `required:"" help:"Your reference of this batch, never used before: the same one again goes on with the same batch." placeholder:"NAME"`
	Replaces  string `help:"The reference of an earlier batch that this one takes the place of." placeholder:"NAME"`
}

func (c *run) run(ctx context.Context, p *program) (int, error) {
	d, sheet, err := c.draft(p, c.Reference)
	if err != nil {
		return 0, err
	}
	d.Replaces = c.Replaces
	r, err := batch.Run(ctx, p.provider, d, p.options())
	return p.outcome(c.Reference, r, c.refused(sheet, err))
}

// options has the journal, and shows progress.
func (p *program) options() *batch.RunOptions {
	return &batch.RunOptions{Journal: p.journal, Watch: p.watch, Observe: p.progress}
}

// outcome prints a report and returns what its exit code says.
func (p *program) outcome(reference string, r batch.Report, err error) (int, error) {
	p.progressEnds()
	if failed, ok := errors.AsType[*batch.Error](err); ok && failed.Code == batch.CodeApprovalNeeded {
		fmt.Fprintf(p.stderr,
			"payrun: %s is prepared and waits for approvals: %s shows what another person approves, and how\n",
			reference, p.call("status "+reference))
		return exitWaits, nil
	}
	if len(r.Results) > 0 || p.JSON && r.Batch.Draft.Reference != "" {
		if printed := p.report(r); err == nil && printed != nil {
			code := exitWaits // Not 0: the report was not shown.
			if r.Totals[batch.OutcomeUnknown].Count > 0 {
				code = exitUnknown
			}
			return 0, codedError{code, fmt.Errorf("the report could not be written: %w\nThe batch is %s: %s. See %s",
				printed, r.Batch.State, strings.Join(sums(r), "; "), p.call("report "+reference))}
		}
	}
	if err == nil {
		return codeOf(r), nil
	}
	return 0, p.stands(reference, r, err)
}

// stands adds to an error what is known about money beside it: the state of the
// batch, and not the kind of the error.
func (p *program) stands(reference string, r batch.Report, err error) error {
	known := r.Batch.Draft.Reference != ""
	switch {
	case errors.Is(err, batch.ErrAmbiguous), known && r.Batch.State == batch.StateUnknown &&
		!errors.Is(err, batch.ErrInvalid),
		r.Totals[batch.OutcomeUnknown].Count > 0:
		return codedError{exitUnknown,
			fmt.Errorf("%w\nMoney may have moved: do not send it again. %s says what is safe",
				err, p.call("status "+reference))}
	case known && r.Batch.State != batch.StateDraft && r.Batch.State != batch.StateUnknown:
		return codedError{exitWaits, fmt.Errorf("%w\nThe service has the batch, and says that it is %s: go on with %s",
			err, r.Batch.State, p.call("resume "+reference))}
	}
	return err
}

func codeOf(r batch.Report) int {
	switch {
	case !r.Batch.State.Final():
		return exitWaits
	case r.Totals[batch.OutcomeUnknown].Count > 0:
		return exitUnknown
	case r.Totals[batch.OutcomePending].Count > 0:
		return exitWaits
	case r.Totals[batch.OutcomePaid].Count != len(r.Results) || r.Batch.State != batch.StateDone:
		return exitSome
	}
	return exitDone
}

// one names a batch.
type one struct {
	Reference string `arg:"" help:"Your reference of the batch."`
}

type resume struct{ one }

func (c *resume) run(ctx context.Context, p *program) (int, error) {
	r, err := batch.Resume(ctx, p.provider, c.Reference, p.options())
	return p.outcome(c.Reference, r, err)
}

type settle struct{}

func (c *settle) run(ctx context.Context, p *program) (int, error) {
	code := exitDone
	var failed error
	for r, err := range batch.Settle(ctx, p.provider, &batch.RunOptions{Journal: p.journal}) {
		reference := r.Batch.Draft.Reference
		if reference == "" {
			return 0, err
		}
		if printed := p.settled(r, err); printed != nil {
			return 0, printed
		}
		switch {
		case errors.Is(err, batch.ErrAmbiguous):
			code = exitUnknown
		case err != nil:
			failed = errors.Join(failed, fmt.Errorf("%s: %w", reference, err))
		case code != exitUnknown:
			code = max(code, codeOf(r))
		}
	}
	if code == exitUnknown {
		failed = nil // It is told beside its batch.
	}
	return code, failed
}

func (p *program) desk() *batch.Desk { return batch.NewDesk(p.provider, p.journal) }

type pending struct{}

func (c *pending) run(ctx context.Context, p *program) (int, error) {
	var all []batch.Dossier
	var failed error
	for d, err := range p.desk().Pending(ctx) {
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		all = append(all, d)
	}
	if err := p.dossiers(all); err != nil {
		return 0, err
	}
	code := exitDone
	for _, d := range all {
		if d.Standing == batch.StandingUnclear {
			code = exitUnknown
		} else if code == exitDone {
			code = exitWaits
		}
	}
	return code, failed
}

type status struct{ one }

func (c *status) run(ctx context.Context, p *program) (int, error) {
	return p.after(ctx, c.Reference)
}

type items struct{ one }

func (c *items) run(ctx context.Context, p *program) (int, error) {
	d, err := p.desk().Draft(ctx, c.Reference)
	if err != nil {
		return 0, err
	}
	return exitDone, p.items(d)
}

type report struct {
	one
	AsOf string `help:"As it was told at the end of this day, in UTC." placeholder:"DAY"`
	CSV  string `help:"Write it to this new CSV file, which spreadsheets open safely." placeholder:"FILE"`
	HTML string `help:"Write it to this new page, to file or to print." placeholder:"FILE"`
}

func (c *report) run(ctx context.Context, p *program) (int, error) {
	at, err := day("--as-of", c.AsOf)
	if err != nil {
		return 0, err
	}
	if at.IsZero() {
		at = time.Now()
	} else {
		at = at.AddDate(0, 0, 1).Add(-time.Nanosecond)
	}
	r, err := p.desk().AsOf(ctx, c.Reference, at)
	if err != nil {
		return 0, err
	}
	if c.CSV != "" {
		var text bytes.Buffer
		if err := batchcsv.WriteReport(&text, r); err != nil {
			return 0, err
		}
		if err := writeNew(c.CSV, text.Bytes()); err != nil {
			return 0, err
		}
	}
	if c.HTML != "" {
		var text bytes.Buffer
		if err := page.Execute(&text, pageOf(r, p.provider.Info(), at)); err != nil {
			return 0, err
		}
		if err := writeNew(c.HTML, text.Bytes()); err != nil {
			return 0, err
		}
	}
	return codeOf(r), p.report(r)
}

// writeNew writes a file, and never over another: that could be the journal.
func writeNew(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // The person names it.
	if errors.Is(err, fs.ErrExist) {
		return mistake("%s exists already: name a new file", path)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

type approve struct {
	one
	By     string `required:"" help:"Who approves." placeholder:"NAME"`
	Digest string `required:"" help:"What is approved: the digest that payrun status shows." placeholder:"DIGEST"`
}

func (c *approve) run(ctx context.Context, p *program) (int, error) {
	if err := p.desk().Approve(ctx, c.Reference, batch.Approval{Operator: c.By, Digest: c.Digest}); err != nil {
		return 0, err
	}
	return p.after(ctx, c.Reference)
}

// after shows the batch as it is after a person's word.
func (p *program) after(ctx context.Context, reference string) (int, error) {
	d, err := p.desk().Dossier(ctx, reference)
	if err != nil {
		return 0, err
	}
	return exitDone, p.dossier(d)
}

type note struct {
	one
	By   string `required:"" help:"Who writes." placeholder:"NAME"`
	Text string `required:"" help:"What, such as the case number of the service's support."`
	Due  string `help:"By when an answer is promised." placeholder:"DAY"`
}

func (c *note) run(ctx context.Context, p *program) (int, error) {
	due, err := day("--due", c.Due)
	if err != nil {
		return 0, err
	}
	if err := p.desk().Note(ctx, c.Reference, batch.Note{Operator: c.By, Text: c.Text, Due: due}); err != nil {
		return 0, err
	}
	return p.after(ctx, c.Reference)
}

type resolve struct {
	one
	Verdict string            `required:"" enum:"abandon,adopt,resend,close" help:"abandon: it was never sent. adopt: it is the service's batch --batch-id. resend: send again. close: the difference is explained, with --outcome."`
	By      string            `required:"" help:"Who decides." placeholder:"NAME"`
	Reason  string            `required:"" help:"Why, such as the case number of the service's support."`
	BatchID string            `help:"For adopt: the service's ID of the batch." placeholder:"ID"`
	Outcome map[string]string `help:"For close: what became of an item, as reference=paid, failed, returned or skipped; repeat it." placeholder:"ITEM=OUTCOME"`

	Unanswered bool `help:"For abandon and close: the service answers no more, because the contract has ended."`
}

func (c *resolve) run(ctx context.Context, p *program) (int, error) {
	d := batch.Decision{Verdict: batch.Verdict(c.Verdict), BatchID: c.BatchID, Operator: c.By, Reason: c.Reason,
		Unanswered: c.Unanswered}
	for item, outcome := range c.Outcome {
		if d.Outcomes == nil {
			d.Outcomes = make(map[string]batch.Outcome)
		}
		d.Outcomes[item] = batch.Outcome(outcome)
	}
	if _, err := p.desk().Resolve(ctx, c.Reference, d); err != nil {
		return 0, err
	}
	return p.after(ctx, c.Reference)
}

type review struct {
	Since string `required:"" help:"Batches that were closed since this day, in UTC." placeholder:"DAY"`
}

func (c *review) run(ctx context.Context, p *program) (int, error) {
	since, err := day("--since", c.Since)
	if err != nil {
		return 0, err
	}
	var all []batch.Change
	var failed error
	for change, err := range p.desk().Review(ctx, since) {
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", change.Key.Reference, err))
			continue
		}
		all = append(all, change)
	}
	if err := p.changes(all); err != nil {
		return 0, err
	}
	if len(all) > 0 {
		return exitSome, failed
	}
	return exitDone, failed
}

type again struct {
	one
	New string `arg:"" help:"The reference of the new batch. Its items are called by it: NEW-1, NEW-2 and so on."`
	direction
}

func (c *again) run(ctx context.Context, p *program) (int, error) {
	if err := c.agrees(p); err != nil {
		return 0, err
	}
	r, err := p.desk().AsOf(ctx, c.Reference, time.Now())
	if err != nil {
		return 0, err
	}
	n := 0
	d, held := r.Again(c.New, func(batch.Item) string { n++; return fmt.Sprintf("%s-%d", c.New, n) })
	for _, result := range held {
		fmt.Fprintf(p.stderr, "%s is not sent again: it is %s\n", printable(result.Item.Reference), result.Outcome)
	}
	if len(d.Items) == 0 {
		return 0, errors.New("no item of " + c.Reference + " failed: nothing is sent again")
	}
	p.ready(&d)
	report, err := batch.Run(ctx, p.provider, d, p.options())
	return p.outcome(c.New, report, err)
}

// printable replaces the characters of a text that could control a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && (r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069) {
			return '?'
		}
		return r
	}, s)
}
