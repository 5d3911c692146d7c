package batchtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/batchway/batchway-go/batch"
)

// A JournalSubject is a journal under test.
type JournalSubject struct {
	Journal batch.Journal // empty, of the account Owner
	Owner   batch.Info    // at least Name and Account
	// Reopen closes the journal, if it still works, and opens the same one
	// anew, as a process does that starts after a crash. Nil skips what needs
	// it: a memory journal forgets.
	Reopen func(t *testing.T) batch.Journal
}

// RunJournal proves the promises of batch.Journal: one subtest for each.
func RunJournal(t *testing.T, open func(t *testing.T) JournalSubject) {
	for _, l := range journalLaws {
		t.Run(l.name, func(t *testing.T) {
			c := journalCase{reporter: t, JournalSubject: open(t)}
			if c.Reopen != nil {
				c.reopen = func() batch.Journal { return c.Reopen(t) }
			} else if l.reopens {
				t.Skip("this journal forgets when the process ends")
			}
			l.check(c)
		})
	}
}

var journalLaws = []struct {
	name    string
	reopens bool // there is nothing to prove without Reopen
	check   func(c journalCase)
}{
	{"EntriesComeBackInOrder", false, journalKeepsOrder},
	{"EntriesComeBackWhole", false, journalKeepsEverything},
	{"OnlyTheNextEntryIsAccepted", false, journalRefusesGaps},
	{"OfTwoWritersOneWins", false, journalHasOneWinner},
	{"HistoriesAreApart", false, journalKeepsKeysApart},
	{"EntriesSurviveReopening", true, journalSurvives},
	{"LockIsExclusive", false, journalLocks},
	{"LockHonoursItsContext", false, journalLockEnds},
	{"OpenListsWhatIsNotDone", false, journalListsOpen},
	{"NumbersAreNeverUsedTwice", false, journalNumbers},
	{"ReturnedHistoriesAreTheCallers", false, journalReturnsCopies},
}

// A journalCase is what a law is tried on, and who hears of it.
type journalCase struct {
	reporter
	JournalSubject
	reopen func() batch.Journal // nil without Reopen
}

const (
	// moment is time enough for whoever is not kept waiting.
	moment = 50 * time.Millisecond
	// patience is more than a journal needs for anything.
	patience = 30 * time.Second
)

// lock waits for the lock of reference, and not for ever.
func (c journalCase) lock(reference string) (unlock func()) {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.Context(), patience)
	release, err := c.Journal.Lock(ctx, c.key(reference))
	if err != nil {
		cancel()
		c.Fatalf("the lock of %q is free, but cannot be had: %v", reference, err)
	}
	return func() { release(); cancel() }
}

func (c journalCase) key(reference string) batch.Key {
	return batch.Key{Provider: c.Owner.Name, Account: c.Owner.Account, Reference: reference}
}

func entry(seq int, kind batch.EntryKind) batch.Entry {
	return batch.Entry{Seq: seq, Kind: kind, At: time.Date(2026, 3, 4, 5, 6, seq, 7, time.UTC)}
}

// put appends the next entry of each kind.
func (c journalCase) put(j batch.Journal, reference string, kinds ...batch.EntryKind) {
	c.Helper()
	for _, kind := range kinds {
		history := c.history(j, reference)
		if err := j.Append(c.Context(), c.key(reference), entry(len(history)+1, kind)); err != nil {
			c.Fatalf("appending %s to %q: %v", kind, reference, err)
		}
	}
}

func (c journalCase) history(j batch.Journal, reference string) []batch.Entry {
	c.Helper()
	history, err := j.History(c.Context(), c.key(reference))
	if err != nil {
		c.Fatalf("reading the history of %q: %v", reference, err)
	}
	return history
}

func (c journalCase) expect(j batch.Journal, reference string, want ...batch.EntryKind) {
	c.Helper()
	var got []batch.EntryKind
	for n, e := range c.history(j, reference) {
		if e.Seq != n+1 {
			c.Errorf("entry %d of %q has Seq %d", n+1, reference, e.Seq)
		}
		got = append(got, e.Kind)
	}
	if !slices.Equal(got, want) {
		c.Errorf("the history of %q is %v; it must be %v", reference, got, want)
	}
}

func journalKeepsOrder(c journalCase) {
	c.expect(c.Journal, "run")
	var want []batch.EntryKind
	for n := range 300 {
		kind := batch.EntryAttempt
		if n%2 == 1 {
			kind = batch.EntryResult
		}
		want = append(want, kind)
		if err := c.Journal.Append(c.Context(), c.key("run"), entry(n+1, kind)); err != nil {
			c.Fatalf("%v", err)
		}
	}
	c.expect(c.Journal, "run", want...)
}

func journalKeepsEverything(c journalCase) {
	d := batch.Draft{Reference: "run", Direction: batch.Collect, Date: time.Date(2026, 3, 4, 0, 0, 0, 0, time.UTC),
		Extra: map[string]string{"k": "v\u0000\"é<&>"},
		Items: []batch.Item{{Reference: "a", Account: "b", Amount: batch.Money{Minor: 1<<62 + 1, Currency: "GBP"}, Extra: map[string]string{"x": ""}}}}
	b := batch.Batch{Provider: c.Owner.Name, ID: "7", Draft: d, State: batch.StateUnknown, Native: "LOCKED", UpdatedAt: time.Date(2026, 3, 4, 5, 6, 7, 89, time.UTC)}
	want := []batch.Entry{
		{Seq: 1, Kind: batch.EntryIntent, At: b.UpdatedAt, Fingerprint: "sha256:00", Draft: &d},
		{Seq: 2, Kind: batch.EntryResult, At: b.UpdatedAt, Step: batch.StepSubmit, Attempt: 3, Batch: &b,
			Failure: &batch.Failure{Kind: batch.ErrAmbiguous, Op: "O", Status: 502, Code: "c", Message: "m", RequestID: "r"}},
		{Seq: 3, Kind: batch.EntryDecision, At: b.UpdatedAt,
			Decision: &batch.Decision{Verdict: batch.Adopt, BatchID: "i", Operator: "o", Reason: "w", At: b.UpdatedAt}},
	}
	for _, e := range want {
		if err := c.Journal.Append(c.Context(), c.key("run"), e); err != nil {
			c.Fatalf("%v", err)
		}
	}
	got := c.history(c.Journal, "run")
	if fmt.Sprintf("%+v", plain(got)) != fmt.Sprintf("%+v", plain(want)) {
		c.Errorf("the entries came back as\n%+v\nbut were appended as\n%+v", plain(got), plain(want))
	}
}

// plain replaces pointers, so that entries print by value.
func plain(history []batch.Entry) []any {
	var out []any
	for _, e := range history {
		d, b, f, word := e.Draft, e.Batch, e.Failure, e.Decision
		e.Draft, e.Batch, e.Failure, e.Decision = nil, nil, nil, nil
		out = append(out, e)
		if d != nil {
			out = append(out, *d)
		}
		if b != nil {
			out = append(out, *b)
		}
		if f != nil {
			out = append(out, *f)
		}
		if word != nil {
			out = append(out, *word)
		}
	}
	return out
}

func journalRefusesGaps(c journalCase) {
	c.put(c.Journal, "run", batch.EntryIntent, batch.EntryAttempt)
	for _, seq := range []int{-1, 0, 1, 2, 4} {
		if err := c.Journal.Append(c.Context(), c.key("run"), entry(seq, batch.EntryDone)); !errors.Is(err, batch.ErrConflict) {
			c.Errorf("entry %d was answered %v after entry 2; it must be ErrConflict", seq, err)
		}
	}
	c.put(c.Journal, "run", batch.EntryResult) // A conflict does not poison.
	c.expect(c.Journal, "run", batch.EntryIntent, batch.EntryAttempt, batch.EntryResult)
}

func journalHasOneWinner(c journalCase) {
	const rounds, writers = 10, 8
	for seq := 1; seq <= rounds; seq++ {
		var wg sync.WaitGroup
		results := make([]error, writers)
		for w := range writers {
			wg.Go(func() { results[w] = c.Journal.Append(c.Context(), c.key("run"), entry(seq, batch.EntryAttempt)) })
		}
		wg.Wait()
		won := 0
		for _, err := range results {
			switch {
			case err == nil:
				won++
			case !errors.Is(err, batch.ErrConflict):
				c.Fatalf("a losing writer got %v; it must get ErrConflict", err)
			}
		}
		if won != 1 {
			c.Fatalf("%d of %d writers wrote entry %d; one must", won, writers, seq)
		}
	}
}

func journalKeepsKeysApart(c journalCase) {
	c.put(c.Journal, "run", batch.EntryIntent)
	c.put(c.Journal, "run2", batch.EntryIntent, batch.EntryAttempt)
	c.put(c.Journal, "RUN", batch.EntryIntent, batch.EntryDone)
	c.expect(c.Journal, "run", batch.EntryIntent)
	c.expect(c.Journal, "run2", batch.EntryIntent, batch.EntryAttempt)
	c.expect(c.Journal, "RUN", batch.EntryIntent, batch.EntryDone)
}

func journalSurvives(c journalCase) {
	j := c.Journal
	var want []batch.EntryKind
	for range 5 {
		c.put(j, "run", batch.EntryAttempt, batch.EntryResult)
		want = append(want, batch.EntryAttempt, batch.EntryResult)
		j = c.reopen()
		c.expect(j, "run", want...)
	}
}

func journalLocks(c journalCase) {
	var mu sync.Mutex
	var inside, most int
	enter := func(n int) {
		mu.Lock()
		defer mu.Unlock()
		inside += n
		most = max(most, inside)
	}
	first := c.lock("run")
	enter(1)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(c.Context(), patience)
			defer cancel()
			unlock, err := c.Journal.Lock(ctx, c.key("run"))
			if err != nil {
				c.Errorf("waiting for the lock: %v", err)
				return
			}
			defer unlock()
			enter(1)
			<-time.After(moment / 10)
			enter(-1)
		})
	}
	<-time.After(moment) // Whoever can get in is in now.
	enter(-1)
	first()
	wg.Wait()
	if most != 1 {
		c.Errorf("%d callers held the lock of one key at once", most)
	}
	one := c.lock("one")
	two := c.lock("two") // The lock of one key does not keep another's away.
	one()
	two()
}

func journalLockEnds(c journalCase) {
	unlock := c.lock("run")
	ctx, cancel := context.WithCancel(c.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		second, err := c.Journal.Lock(ctx, c.key("run"))
		if err == nil {
			second()
		}
		done <- err
	}()
	select {
	case err := <-done:
		c.Errorf("a lock that somebody holds was answered %v; it must be waited for", err)
	case <-time.After(moment): // It waits.
		cancel()
		select {
		case err := <-done:
			if !errors.Is(err, context.Canceled) {
				c.Errorf("waiting for the lock with a context that ended gave %v; it must match context.Canceled", err)
			}
		case <-time.After(patience):
			c.Errorf("whoever waits for the lock does not hear that the context has ended")
		}
	}
	unlock()
	c.lock("run")()
}

func journalListsOpen(c journalCase) {
	c.put(c.Journal, "open", batch.EntryIntent)
	c.put(c.Journal, "done", batch.EntryIntent, batch.EntryDone)
	c.put(c.Journal, "again", batch.EntryIntent, batch.EntryDone, batch.EntryReconciled)
	j := c.Journal
	if c.reopen != nil {
		j = c.reopen()
	}
	list := func(provider, account string) []string {
		var references []string
		for open, err := range j.Open(c.Context(), provider, account) {
			if err != nil {
				c.Fatalf("%v", err)
			}
			// Whoever lists goes on to write: that must not deadlock.
			c.put(j, open.Key.Reference, batch.EntryReconciled)
			references = append(references, open.Key.Reference)
		}
		slices.Sort(references)
		return references
	}
	if got := list(c.Owner.Name, c.Owner.Account); !slices.Equal(got, []string{"again", "open"}) {
		c.Errorf("open are said to be %v; they are again and open", got)
	}
	if got := list(c.Owner.Name, c.Owner.Account+"x"); len(got) > 0 {
		c.Errorf("another account is said to have %v open", got)
	}
	if got := list(c.Owner.Name+"x", c.Owner.Account); len(got) > 0 {
		c.Errorf("another provider is said to have %v open", got)
	}
}

func journalNumbers(c journalCase) {
	var mu sync.Mutex
	seen := map[int64]bool{}
	take := func(j batch.Journal, first int64) int64 {
		n, err := j.Next(c.Context(), "ids", first)
		if err != nil {
			c.Errorf("%v", err)
		}
		mu.Lock()
		defer mu.Unlock()
		if seen[n] {
			c.Errorf("the number %d was given out twice", n)
		}
		seen[n] = true
		return n
	}
	if n := take(c.Journal, 100); n != 100 {
		c.Errorf("the first number is %d; it must be 100", n)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 10 {
				take(c.Journal, 1)
			}
		})
	}
	wg.Wait()
	j := c.Journal
	if c.reopen != nil {
		j = c.reopen()
	}
	if n := take(j, 1); n <= 180-1 {
		c.Errorf("after 81 numbers from 100 comes %d", n)
	}
	if n := take(j, 1000); n != 1000 {
		c.Errorf("with a floor of 1000 comes %d", n)
	}
	if n, err := j.Next(c.Context(), "others", 1); err != nil || n != 1 {
		c.Errorf("another sequence begins at %d, %v", n, err)
	}
}

func journalReturnsCopies(c journalCase) {
	c.put(c.Journal, "run", batch.EntryIntent, batch.EntryAttempt)
	history := c.history(c.Journal, "run")
	history[0].Kind = batch.EntryDone
	_ = append(history[:1], entry(2, batch.EntryDone))
	c.expect(c.Journal, "run", batch.EntryIntent, batch.EntryAttempt)
}
