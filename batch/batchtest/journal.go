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
	for name, law := range map[string]func(*testing.T, JournalSubject){
		"EntriesComeBackInOrder":         journalKeepsOrder,
		"EntriesComeBackWhole":           journalKeepsEverything,
		"OnlyTheNextEntryIsAccepted":     journalRefusesGaps,
		"OfTwoWritersOneWins":            journalHasOneWinner,
		"HistoriesAreApart":              journalKeepsKeysApart,
		"EntriesSurviveReopening":        journalSurvives,
		"LockIsExclusive":                journalLocks,
		"LockHonoursItsContext":          journalLockEnds,
		"OpenListsWhatIsNotDone":         journalListsOpen,
		"NumbersAreNeverUsedTwice":       journalNumbers,
		"ReturnedHistoriesAreTheCallers": journalReturnsCopies,
	} {
		t.Run(name, func(t *testing.T) { law(t, open(t)) })
	}
}

func (s JournalSubject) key(reference string) batch.Key {
	return batch.Key{Provider: s.Owner.Name, Account: s.Owner.Account, Reference: reference}
}

func entry(seq int, kind batch.EntryKind) batch.Entry {
	return batch.Entry{Seq: seq, Kind: kind, At: time.Date(2026, 3, 4, 5, 6, seq, 7, time.UTC)}
}

// put appends the next entry of each kind.
func (s JournalSubject) put(t *testing.T, j batch.Journal, reference string, kinds ...batch.EntryKind) {
	t.Helper()
	for _, kind := range kinds {
		history := s.history(t, j, reference)
		if err := j.Append(t.Context(), s.key(reference), entry(len(history)+1, kind)); err != nil {
			t.Fatalf("appending %s to %q: %v", kind, reference, err)
		}
	}
}

func (s JournalSubject) history(t *testing.T, j batch.Journal, reference string) []batch.Entry {
	t.Helper()
	history, err := j.History(t.Context(), s.key(reference))
	if err != nil {
		t.Fatalf("reading the history of %q: %v", reference, err)
	}
	return history
}

func (s JournalSubject) expect(t *testing.T, j batch.Journal, reference string, want ...batch.EntryKind) {
	t.Helper()
	var got []batch.EntryKind
	for n, e := range s.history(t, j, reference) {
		if e.Seq != n+1 {
			t.Errorf("entry %d of %q has Seq %d", n+1, reference, e.Seq)
		}
		got = append(got, e.Kind)
	}
	if !slices.Equal(got, want) {
		t.Errorf("the history of %q is %v; it must be %v", reference, got, want)
	}
}

func journalKeepsOrder(t *testing.T, s JournalSubject) {
	s.expect(t, s.Journal, "run")
	var want []batch.EntryKind
	for n := range 300 {
		kind := batch.EntryAttempt
		if n%2 == 1 {
			kind = batch.EntryResult
		}
		want = append(want, kind)
		if err := s.Journal.Append(t.Context(), s.key("run"), entry(n+1, kind)); err != nil {
			t.Fatal(err)
		}
	}
	s.expect(t, s.Journal, "run", want...)
}

func journalKeepsEverything(t *testing.T, s JournalSubject) {
	d := batch.Draft{Reference: "run", Direction: batch.Collect, Date: time.Date(2026, 3, 4, 0, 0, 0, 0, time.UTC),
		Extra: map[string]string{"k": "v\u0000\"é<&>"},
		Items: []batch.Item{{Reference: "a", Account: "b", Amount: batch.Money{Minor: 1<<62 + 1, Currency: "GBP"}, Extra: map[string]string{"x": ""}}}}
	b := batch.Batch{Provider: s.Owner.Name, ID: "7", Draft: d, State: batch.StateUnknown, Native: "LOCKED", UpdatedAt: time.Date(2026, 3, 4, 5, 6, 7, 89, time.UTC)}
	want := []batch.Entry{
		{Seq: 1, Kind: batch.EntryIntent, At: b.UpdatedAt, Fingerprint: "sha256:00", Draft: &d},
		{Seq: 2, Kind: batch.EntryResult, At: b.UpdatedAt, Step: batch.StepSubmit, Attempt: 3, Batch: &b,
			Failure: &batch.Failure{Kind: batch.ErrAmbiguous, Op: "O", Status: 502, Code: "c", Message: "m", RequestID: "r"}},
		{Seq: 3, Kind: batch.EntryDecision, At: b.UpdatedAt,
			Decision: &batch.Decision{Verdict: batch.Adopt, BatchID: "i", Operator: "o", Reason: "w", At: b.UpdatedAt}},
	}
	for _, e := range want {
		if err := s.Journal.Append(t.Context(), s.key("run"), e); err != nil {
			t.Fatal(err)
		}
	}
	got := s.history(t, s.Journal, "run")
	if fmt.Sprintf("%+v", plain(got)) != fmt.Sprintf("%+v", plain(want)) {
		t.Errorf("the entries came back as\n%+v\nbut were appended as\n%+v", plain(got), plain(want))
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

func journalRefusesGaps(t *testing.T, s JournalSubject) {
	s.put(t, s.Journal, "run", batch.EntryIntent, batch.EntryAttempt)
	for _, seq := range []int{-1, 0, 1, 2, 4} {
		if err := s.Journal.Append(t.Context(), s.key("run"), entry(seq, batch.EntryDone)); !errors.Is(err, batch.ErrConflict) {
			t.Errorf("entry %d was answered %v after entry 2; it must be ErrConflict", seq, err)
		}
	}
	s.put(t, s.Journal, "run", batch.EntryResult) // A conflict does not poison.
	s.expect(t, s.Journal, "run", batch.EntryIntent, batch.EntryAttempt, batch.EntryResult)
}

func journalHasOneWinner(t *testing.T, s JournalSubject) {
	const rounds, writers = 10, 8
	for seq := 1; seq <= rounds; seq++ {
		var wg sync.WaitGroup
		results := make([]error, writers)
		for w := range writers {
			wg.Go(func() { results[w] = s.Journal.Append(t.Context(), s.key("run"), entry(seq, batch.EntryAttempt)) })
		}
		wg.Wait()
		won := 0
		for _, err := range results {
			switch {
			case err == nil:
				won++
			case !errors.Is(err, batch.ErrConflict):
				t.Fatalf("a losing writer got %v; it must get ErrConflict", err)
			}
		}
		if won != 1 {
			t.Fatalf("%d of %d writers wrote entry %d; one must", won, writers, seq)
		}
	}
}

func journalKeepsKeysApart(t *testing.T, s JournalSubject) {
	s.put(t, s.Journal, "run", batch.EntryIntent)
	s.put(t, s.Journal, "run2", batch.EntryIntent, batch.EntryAttempt)
	s.put(t, s.Journal, "RUN", batch.EntryIntent, batch.EntryDone)
	s.expect(t, s.Journal, "run", batch.EntryIntent)
	s.expect(t, s.Journal, "run2", batch.EntryIntent, batch.EntryAttempt)
	s.expect(t, s.Journal, "RUN", batch.EntryIntent, batch.EntryDone)
}

func journalSurvives(t *testing.T, s JournalSubject) {
	if s.Reopen == nil {
		t.Skip("this journal forgets when the process ends")
	}
	j := s.Journal
	var want []batch.EntryKind
	for range 5 {
		s.put(t, j, "run", batch.EntryAttempt, batch.EntryResult)
		want = append(want, batch.EntryAttempt, batch.EntryResult)
		j = s.Reopen(t)
		s.expect(t, j, "run", want...)
	}
}

func journalLocks(t *testing.T, s JournalSubject) {
	var wg sync.WaitGroup
	var inside, most int
	var mu sync.Mutex
	for range 20 {
		wg.Go(func() {
			unlock, err := s.Journal.Lock(t.Context(), s.key("run"))
			if err != nil {
				t.Error(err)
				return
			}
			defer unlock()
			mu.Lock()
			inside++
			most = max(most, inside)
			mu.Unlock()
			if _, err := s.Journal.History(t.Context(), s.key("run")); err != nil {
				t.Error(err)
			}
			mu.Lock()
			inside--
			mu.Unlock()
		})
	}
	wg.Wait()
	if most != 1 {
		t.Errorf("%d callers held the lock of one key at once", most)
	}
	first, err := s.Journal.Lock(t.Context(), s.key("one"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := s.Journal.Lock(t.Context(), s.key("two"))
	if err != nil {
		t.Fatalf("the lock of one key keeps another's away: %v", err)
	}
	first()
	second()
}

func journalLockEnds(t *testing.T, s JournalSubject) {
	unlock, err := s.Journal.Lock(t.Context(), s.key("run"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := s.Journal.Lock(ctx, s.key("run"))
		done <- err
	}()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("waiting for the lock with a context that ended gave %v; it must match context.Canceled", err)
	}
	unlock()
	again, err := s.Journal.Lock(t.Context(), s.key("run"))
	if err != nil {
		t.Fatalf("the lock was given back, but cannot be had: %v", err)
	}
	again()
}

func journalListsOpen(t *testing.T, s JournalSubject) {
	s.put(t, s.Journal, "open", batch.EntryIntent)
	s.put(t, s.Journal, "done", batch.EntryIntent, batch.EntryDone)
	s.put(t, s.Journal, "again", batch.EntryIntent, batch.EntryDone, batch.EntryReconciled)
	j := s.Journal
	if s.Reopen != nil {
		j = s.Reopen(t)
	}
	list := func(provider, account string) []string {
		var references []string
		for key, err := range j.Open(t.Context(), provider, account) {
			if err != nil {
				t.Fatal(err)
			}
			// Whoever lists goes on to write: that must not deadlock.
			s.put(t, j, key.Reference, batch.EntryReconciled)
			references = append(references, key.Reference)
		}
		slices.Sort(references)
		return references
	}
	if got := list(s.Owner.Name, s.Owner.Account); !slices.Equal(got, []string{"again", "open"}) {
		t.Errorf("open are said to be %v; they are again and open", got)
	}
	if got := list(s.Owner.Name, s.Owner.Account+"x"); len(got) > 0 {
		t.Errorf("another account is said to have %v open", got)
	}
	if got := list(s.Owner.Name+"x", s.Owner.Account); len(got) > 0 {
		t.Errorf("another provider is said to have %v open", got)
	}
}

func journalNumbers(t *testing.T, s JournalSubject) {
	var mu sync.Mutex
	seen := map[int64]bool{}
	take := func(j batch.Journal, first int64) int64 {
		n, err := j.Next(t.Context(), "ids", first)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		if seen[n] {
			t.Errorf("the number %d was given out twice", n)
		}
		seen[n] = true
		return n
	}
	if n := take(s.Journal, 100); n != 100 {
		t.Errorf("the first number is %d; it must be 100", n)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 10 {
				take(s.Journal, 1)
			}
		})
	}
	wg.Wait()
	j := s.Journal
	if s.Reopen != nil {
		j = s.Reopen(t)
	}
	if n := take(j, 1); n <= 180-1 {
		t.Errorf("after 81 numbers from 100 comes %d", n)
	}
	if n := take(j, 1000); n != 1000 {
		t.Errorf("with a floor of 1000 comes %d", n)
	}
	if n, err := j.Next(t.Context(), "others", 1); err != nil || n != 1 {
		t.Errorf("another sequence begins at %d, %v", n, err)
	}
}

func journalReturnsCopies(t *testing.T, s JournalSubject) {
	s.put(t, s.Journal, "run", batch.EntryIntent, batch.EntryAttempt)
	history := s.history(t, s.Journal, "run")
	history[0].Kind = batch.EntryDone
	_ = append(history[:1], entry(2, batch.EntryDone))
	s.expect(t, s.Journal, "run", batch.EntryIntent, batch.EntryAttempt)
}
