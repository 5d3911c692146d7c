// Package batchtest proves that an implementation keeps the contracts of
// package batch: [Run] the thirteen laws of batch.Provider, [RunJournal] the
// promises of batch.Journal. [Memory] is the reference provider, and a
// stand-in for any other in tests. [MovedOnce] is for the tests of what uses a
// provider.
package batchtest

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchsim"
)

// A Subject is a provider under test, with the service behind it.
type Subject struct {
	Provider batch.Provider
	Draft    func(items int) batch.Draft // valid for this provider, with references never used before
	Secrets  []string                    // must never appear in errors or logs
	Reopen   func() batch.Provider       // a second, cold instance, as another process would make
	Log      func() string               // all that was logged so far; nil if the provider logs nothing
	Sim      Sim                         // nil against a real sandbox: what needs faults is then skipped
	Words    []string                    // the service's own status words, if it has one of law 8's: see [Sim.Say]
}

// Log collects what a provider logs, for Subject.Log: make the provider's logger
// write to it.
type Log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write adds to the log.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// String returns all that was logged so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Sim is the service behind the provider, seen from its other side. A simulator
// that embeds a batchsim.Kit has most of it: the Log counts requests, Kit.Break
// plays the faults, and the Clock lets time pass for Settle.
type Sim interface {
	Requests() int         // how many requests have arrived, of any kind
	Submits() int          // how many requests that can move money have arrived
	Moved() map[string]int // by item reference: how often money moved, or is bound to move
	Break(f Fault)         // the next request that can move money meets f
	Finish()               // everything that was submitted finishes now
	// every later status reply uses this native word: "NEVER_HEARD_OF_IT", "done" or "x", which must mean StateUnknown
	// (law 8)
	Say(word string)
	Settle() // everything happens that can still happen late
}

// Fault is something that goes wrong with one request.
type Fault = batchsim.Scenario

// The faults that a Sim must be able to play.
const (
	Refused        = batchsim.Refused        // the service says no, in its own words, and does nothing
	Unauthorized   = batchsim.Unauthorized   // 401 in the service's own words
	LostBefore     = batchsim.LostBefore     // the connection breaks before anything happens
	LostAfter      = batchsim.LostAfter      // it happens and the connection breaks
	SilentBefore   = batchsim.SilentBefore   // nothing happens and no answer comes
	SilentAfter    = batchsim.SilentAfter    // it happens and no answer comes
	ErrorBefore    = batchsim.ErrorBefore    // 500, and nothing happened
	ErrorAfter     = batchsim.ErrorAfter     // 500, and it happened
	GarbledAfter   = batchsim.GarbledAfter   // it happens and the answer makes no sense
	TruncatedAfter = batchsim.TruncatedAfter // it happens and the answer breaks off
	EchoedAfter    = batchsim.EchoedAfter    // it happens and a 500 page repeats the whole request
	ForbiddenAfter = batchsim.ForbiddenAfter // it happens and a proxy answers 403 with a page of its own
	LateAfter      = batchsim.LateAfter      // the connection breaks, and an hour later it happens
	Redirected     = batchsim.Redirected     // 307 to another host
	Unavailable    = batchsim.Unavailable    // 503 with Retry-After, and nothing happened
)

var faults = []Fault{Refused, Unauthorized, LostBefore, LostAfter, SilentBefore, SilentAfter, ErrorBefore, ErrorAfter,
	GarbledAfter, TruncatedAfter, EchoedAfter, ForbiddenAfter, LateAfter, Redirected, Unavailable}

// Run proves the laws of batch.Provider, one subtest for each, and its optional
// abilities. open gives a fresh subject every time.
func Run(t *testing.T, open func(t *testing.T) Subject) {
	for _, l := range laws {
		t.Run(l.name, func(t *testing.T) {
			if l.faults && open(t).Sim == nil {
				t.Skip("this law needs a simulator that can play faults")
			}
			l.check(t, func() Subject { return whole(t, open(t)) })
		})
	}
}

// MovedOnce fails the test for every item whose money has not moved exactly
// once, and for money that has moved for anything else. moved is what the other
// side counts, by reference of the item: Ledger.Moved of a simulator, or
// [Memory.Moved].
func MovedOnce(t testing.TB, moved map[string]int, items ...batch.Item) {
	t.Helper()
	once(t, moved, items)
}

func once(t reporter, moved map[string]int, items []batch.Item) {
	t.Helper()
	others := maps.Clone(moved)
	for _, item := range items {
		if n := moved[item.Reference]; n != 1 {
			t.Errorf("the money of %q has moved %d times; it must be once", item.Reference, n)
		}
		delete(others, item.Reference)
	}
	for _, reference := range slices.Sorted(maps.Keys(others)) {
		t.Errorf("money has moved %d times for %q, which is not one of the items", others[reference], reference)
	}
}

// reporter is what a law needs of a *testing.T: mutants are tested with
// another.
type reporter interface {
	Helper()
	Context() context.Context
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}
