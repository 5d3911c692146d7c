// Quickstart runs a batch from a CSV file through a payment service, from
// start to end: it creates it, submits it, waits for it, and prints what
// became of every item.
//
//	go run ./examples/quickstart
//
// talks to a simulator inside the program; no account is needed. With the
// environment variables of a provider and BATCHWAY_LIVE=1 it talks to that
// provider's sandbox. It refuses all other hosts.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchcsv"
	"github.com/batchway/batchway-go/examples/internal/sandbox"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Getenv, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		stop()
		os.Exit(exitCode(err))
	}
}

// A usageError is a mistake in the command line.
type usageError struct{ error }

// exitCode is 2 for a mistake in the command line, as package flag has it.
func exitCode(err error) int {
	if _, ok := errors.AsType[usageError](err); ok {
		return 2
	}
	return 1
}

// A service is one of the providers that quickstart can run.
type service struct {
	name      string
	direction batch.Direction // of the sample
	// the environment that the sandbox needs beside sandbox.Live; empty if there is no sandbox
	variables []string
	sample    []byte // what is run without -file
	// simulated opens the provider on a simulator inside this program, made
	// ready for the items.
	simulated func(items []batch.Item) (opened, error)
	// sandbox opens the provider on the host that the environment names.
	sandbox func(getenv func(string) string) (opened, error)
}

// opened is a provider, and where it is.
type opened struct {
	provider batch.Provider
	host     string
	date     time.Time // of the draft, where the service needs one
	close    func()
}

// ownCurrencies are not in ISO 4217, and have so many decimals.
var ownCurrencies = map[string]int{"DZAR": 2}

var services = []service{cityPay, centraPay, sixDotFifty, snapBill}

func run(ctx context.Context, args []string, getenv func(string) string, stdout io.Writer) error {
	var names []string
	for _, s := range services {
		names = append(names, s.name)
	}
	flags := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	flags.SetOutput(stdout)
	name := flags.String("provider", names[0], "the service: "+strings.Join(names, ", "))
	file := flags.String("file", "", "a CSV file of reference,account,amount,currency; the default is a sample")
	direction := flags.String("direction", "", "which way the money of -file moves: collect, pay or load")
	reference := flags.String("reference", "1", "your reference of this batch, never used before")
	usage := flags.Usage
	flags.Usage = func() {
		usage()
		fmt.Fprintf(stdout,
			"Without environment variables, a simulator inside this program is used. These lead to a sandbox, with %s=1:\n", sandbox.Live)
		for _, s := range services {
			if len(s.variables) > 0 {
				fmt.Fprintf(stdout, "  %-12s %s\n", s.name, strings.Join(s.variables, ", "))
			}
		}
	}
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return usageError{err}
	}
	n := slices.Index(names, *name)
	switch {
	case flags.NArg() > 0:
		return usageError{fmt.Errorf("the argument %q is not known: a CSV file is named with -file", flags.Arg(0))}
	case n < 0:
		return usageError{fmt.Errorf("the provider %q is not known: choose one of %s", *name,
			strings.Join(names, ", "))}
	case *file != "" && *direction == "":
		return usageError{
			errors.New(
				"-file needs -direction: collect takes money from the accounts, pay sends money to them, load moves none")}
	}
	s := services[n]

	source, text, wanted := "the sample", s.sample, s.direction
	if *file != "" {
		var err error
		if text, err = os.ReadFile(*file); err != nil {
			return err
		}
		source = *file
	}
	if *direction != "" {
		wanted = batch.Direction(*direction)
	}
	sheet, err := batchcsv.Read(bytes.NewReader(text), &batchcsv.Options{Exponents: ownCurrencies})
	if err != nil {
		return fmt.Errorf("%s cannot be sent:\n%w", source, err)
	}
	items := sheet.Items

	o, simulated, err := open(s, items, getenv)
	if err != nil {
		return err
	}
	defer o.close()
	if actual := o.provider.Info().Direction; wanted != actual {
		return usageError{fmt.Errorf("-direction is %q, but the direction of %s is %q: nothing was sent", wanted,
			s.name, actual)}
	}
	var watch batch.WatchOptions
	if simulated {
		fmt.Fprintf(stdout, "Running %d items of %s through a simulated %s.\n", len(items), source, s.name)
		watch.Interval, watch.MaxInterval = 200*time.Millisecond, time.Second
	} else {
		fmt.Fprintf(stdout, "Running %d items of %s through %s at %s.\n", len(items), source, s.name, o.host)
	}

	draft := batch.Draft{Reference: *reference, Direction: wanted, Date: o.date, Items: items}
	report, err := batch.Run(ctx, o.provider, draft, &batch.RunOptions{
		Watch:   watch,
		Observe: func(e batch.Event) { progress(stdout, e) },
	})
	if errors.Is(err, batch.ErrAmbiguous) {
		return fmt.Errorf(
			"%w\nThe batch may have been submitted: do not send it again before you have asked the service", err)
	}
	if len(report.Results) > 0 {
		printReport(stdout, report)
	}
	return sheet.Explain(err)
}

// open opens the sandbox if its environment is complete, and the simulator if
// none of it is set. Anything between is a mistake, not a wish.
func open(s service, items []batch.Item, getenv func(string) string) (opened, bool, error) {
	live := getenv(sandbox.Live) != ""
	var missing []string
	for _, variable := range s.variables {
		if getenv(variable) == "" {
			missing = append(missing, variable)
		}
	}
	switch {
	case !live && len(missing) == len(s.variables):
		o, err := s.simulated(items)
		return o, true, err
	case len(s.variables) == 0:
		return opened{}, false, fmt.Errorf("%s has no sandbox: for the simulator, do not set %s", s.name, sandbox.Live)
	case live && len(missing) == 0:
		o, err := s.sandbox(getenv)
		return o, false, err
	}
	if !live {
		missing = append(missing, sandbox.Live+"=1")
	}
	return opened{}, false, fmt.Errorf("for the sandbox of %s, set %s as well; for the simulator, set none of %s, %s",
		s.name, strings.Join(missing, ", "), strings.Join(s.variables, ", "), sandbox.Live)
}

// progress prints a line for everything that happens.
func progress(w io.Writer, e batch.Event) {
	line := fmt.Sprintf("%-9s  %s", e.Phase, e.Batch.State)
	if e.Batch.State == batch.StateUnknown {
		line += "unknown"
	}
	if e.Batch.Native != "" {
		line += " (" + e.Batch.Native + ")"
	}
	if e.Err != nil {
		line += "  " + e.Err.Error()
	}
	fmt.Fprintln(w, line)
}

func printReport(stdout io.Writer, r batch.Report) {
	fmt.Fprintln(stdout)
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "REFERENCE\tACCOUNT\tAMOUNT\tOUTCOME\tCODE\tMESSAGE")
	for _, result := range r.Results {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", result.Item.Reference, result.Item.Account, result.Item.Amount,
			result.Outcome, result.Code, result.Message)
	}
	_ = w.Flush()
	fmt.Fprintln(stdout)
	for _, outcome := range batch.Outcomes() {
		if total, ok := r.Totals[outcome]; ok {
			fmt.Fprintf(stdout, "%d %s, %s\n", total.Count, outcome, total.Amount)
		}
	}
}
