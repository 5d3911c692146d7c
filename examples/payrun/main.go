// Payrun runs and looks after payment batches from a terminal: it checks a
// file, runs it, shows what is open, and takes the decisions of people.
//
//	payrun check wages.csv --pay
//	payrun run wages.csv --pay --reference november-wages
//	payrun pending
//
// A configuration file says which service and which journal; credentials come
// from the environment alone (payrun --help lists both). Like all examples it
// sends only to sandboxes, simulators and this machine: see config.go.
//
// The exit code says what is known about money:
//
//	0  done: every item is paid
//	1  an error; this call has moved nothing
//	2  a mistake in the command line or in the configuration
//	3  unknown: money may have moved; look at payrun status, and never send again
//	4  done, but some items failed, were skipped or came back
//	5  not done yet: under way, prepared, or waiting for approvals
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/alecthomas/kong"
	"golang.org/x/term"

	"github.com/batchway/batchway-go/batch"
)

const (
	exitDone    = 0
	exitError   = 1
	exitUsage   = 2
	exitUnknown = 3
	exitSome    = 4
	exitWaits   = 5
)

func main() {
	signal.Ignore(syscall.SIGPIPE) // The reader of the output may exit: that must not kill a batch that is under way.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	p := &program{getenv: os.Getenv, stdout: os.Stdout, stderr: os.Stderr, width: width}
	code := p.run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// width is how many characters a line of the terminal has, or 0 if stderr is not
// a terminal.
func width() int {
	n, _, err := term.GetSize(int(os.Stderr.Fd())) //nolint:gosec // A descriptor is small.
	if err != nil {
		return 0
	}
	const narrowest = 10 // Some terminals say 0.
	return max(n, narrowest)
}

// A program is one call of payrun.
type program struct {
	getenv         func(string) string
	stdout, stderr io.Writer
	width          func() int // of the terminal, on which progress is one line that changes; 0 if stderr is not one
	shown          string     // the last line of progress
	asks           bool       // the person was told that payrun asks again

	commands
	account
}

const defaultConfig = "payrun.json"

// commands is the command line.
type commands struct {
	Config string `default:"payrun.json" help:"The configuration file." placeholder:"FILE"`
	JSON   bool   `name:"json" help:"Write JSON, for machines."`

	Check   check   `cmd:"" help:"Check a file; nothing is sent."`
	Run     run     `cmd:"" help:"Run a file to its end, or go on with a run that was interrupted."`
	Resume  resume  `cmd:"" help:"Go on with a batch that the journal holds open."`
	Settle  settle  `cmd:"" help:"Ask the service about every open batch, and close what is final; submits nothing."`
	Pending pending `cmd:"" help:"List the open batches, from the journal alone."`
	Status  status  `cmd:"" help:"Show what the journal knows of a batch, and what is safe to do."`
	Items   items   `cmd:"" help:"List the items of a batch, such as one that waits for approval, from the journal alone."`
	Report  report  `cmd:"" help:"Show what became of every item, from the journal alone."`
	Approve approve `cmd:"" help:"Approve of a batch that waits for a second person."`
	Note    note    `cmd:"" help:"Write a note to an open batch, such as the case number of the service's support."`
	Resolve resolve `cmd:"" help:"Decide about a batch whose outcome the service cannot tell."`
	Review  review  `cmd:"" help:"Read the reports of closed batches again, and show what has changed, such as a payment that came back."`
	Again   again   `cmd:"" help:"Run what failed in a batch again, as a new batch."`
}

// command is one of commands. It returns an error or the exit code. The account
// is open.
type command interface {
	run(context.Context, *program) (int, error)
}

// usageError is a mistake in the command line or the configuration.
type usageError struct{ error }

func (u usageError) Unwrap() error { return u.error }

func mistake(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// A codedError decides the exit code.
type codedError struct {
	code int
	error
}

func (c codedError) Unwrap() error { return c.error }

// run returns the exit code.
func (p *program) run(ctx context.Context, args []string) (code int) {
	parser, err := kong.New(&p.commands, kong.Name("payrun"), kong.Writers(p.stdout, p.stderr),
		kong.Exit(func(code int) { panic(exit(code)) }),
		kong.Description(description), kong.UsageOnError())
	if err != nil {
		return p.fail(err)
	}
	defer func() {
		switch r := recover().(type) {
		case nil:
		case exit:
			code = int(r) // --help has been written.
		default:
			panic(r)
		}
	}()
	parsed, err := parser.Parse(args)
	if err != nil {
		p.JSON = p.JSON || slices.Contains(args, "--json") // The mistake may come before it.
		return p.fail(usageError{err})
	}
	chosen, ok := parsed.Selected().Target.Addr().Interface().(command)
	if !ok {
		return p.fail(errors.New("the command has no code"))
	}
	if err = p.open(ctx, needs(chosen)); err == nil {
		code, err = chosen.run(ctx, p)
	}
	if closed := p.close(); err == nil {
		err = closed
	}
	if err != nil {
		return p.fail(err)
	}
	return code
}

// access is what a command does with the journal.
type access int

const (
	writes access = iota
	looks         // Reads a copy: another process may have the journal open.
	without
)

func needs(c command) access {
	switch c.(type) {
	case *check:
		return without
	case *pending, *status, *items, *report:
		return looks
	}
	return writes
}

// exit is how kong ends the program.
type exit int

// fail prints an error and returns its exit code. With --json it is one line of
// JSON on stderr.
func (p *program) fail(err error) int {
	code := exitOf(err)
	if !p.JSON {
		fmt.Fprintln(p.stderr, "payrun:", printable(err.Error()))
		return code
	}
	told := map[string]any{"error": printable(err.Error()), "exit": code}
	if known, ok := errors.AsType[*batch.Error](err); ok {
		told["kind"], told["code"], told["status"], told["request_id"], told["fields"] = known.Kind, known.Code,
			known.Status, known.RequestID, known.Fields
	}
	_ = json.NewEncoder(p.stderr).Encode(told)
	return code
}

// exitOf is the exit code of an error.
func exitOf(err error) int {
	coded, known := errors.AsType[codedError](err)
	switch _, usage := errors.AsType[usageError](err); {
	case known:
		return coded.code
	case usage:
		return exitUsage
	case errors.Is(err, batch.ErrAmbiguous):
		return exitUnknown
	}
	return exitError
}

const description = `Runs and looks after payment batches.

Exit codes: 0 every item is paid; 1 an error, and this call has moved nothing; 2 a mistake in the command line
or the configuration; 3 unknown, money may have moved; 4 done, but some items failed, were skipped or came back; 5 not done yet.

The configuration file is JSON, such as
{"provider": "citypay", "journal": "citypay.journal", "citypay": {"merchant_id": 11223344, "currency": "GBP"}}
See config.go and the README beside it for every key. The base_url "simulator" is a simulator inside this program.

Credentials come from the environment: CITYPAY_CLIENT_ID, CITYPAY_LICENCE_KEY; CENTRAPAY_API_KEY;
SIXDOTFIFTY_KEY, SIXDOTFIFTY_SECRET; SNAPBILL_USERNAME, SNAPBILL_PASSWORD; and PAYRUN_POSTGRES, the connection string, if the journal is "postgres".
BATCHWAY_LIVE=1 allows requests to a service that is not the simulator.`
