package batchtest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/batchway/batchway-go/batch"
)

// Check runs one law and returns what it complains about.
func Check(ctx context.Context, name string, open func() Subject) []string {
	for _, l := range laws {
		if strings.HasPrefix(l.name, name) {
			return complaints(ctx, func(r reporter) { l.check(r, func() Subject { return whole(r, open()) }) })
		}
	}
	panic("there is no law " + name)
}

// JournalLaws are the names of the laws of journals.
func JournalLaws() (names []string) {
	for _, l := range journalLaws {
		names = append(names, l.name)
	}
	return names
}

// CheckJournal runs one law of journals and returns what it complains about.
func CheckJournal(t *testing.T, name string, s JournalSubject) []string {
	for _, l := range journalLaws {
		if l.name == name {
			return complaints(t.Context(), func(r reporter) {
				l.check(journalCase{reporter: r, JournalSubject: s,
					reopen: func() batch.Journal { return s.Reopen(t) },
					beside: func(owner batch.Info) batch.Journal { return s.Beside(t, owner) }})
			})
		}
	}
	panic("there is no law " + name)
}

func complaints(ctx context.Context, check func(reporter)) []string {
	r := &recorder{ctx: ctx}
	func() {
		defer func() {
			if p := recover(); p != nil && p != fatal {
				panic(p)
			}
		}()
		check(r)
	}()
	return r.faults
}

// fatal ends a law early.
const fatal = "fatal"

type recorder struct {
	ctx    context.Context //nolint:containedctx // As in testing.T.
	mu     sync.Mutex
	faults []string
}

func (r *recorder) Helper()                  {}
func (r *recorder) Context() context.Context { return r.ctx }

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append(r.faults, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	panic(fatal)
}

// CheckOnce runs MovedOnce and returns what it complains about.
func CheckOnce(ctx context.Context, moved map[string]int, items ...batch.Item) []string {
	return complaints(ctx, func(r reporter) { once(r, moved, items) })
}

// Patience sets how long a request may take to arrive, until it is called off.
func Patience(d time.Duration) func() {
	before := submitPatience
	submitPatience = d
	return func() { submitPatience = before }
}
