package batchtest_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchtest"
)

var journalOwner = batch.Info{Name: "test", Account: "sandbox.test/1"}

// A journalMutant is the memory journal with one thing broken.
type journalMutant struct {
	batch.Journal
	lock    func(ctx context.Context, key batch.Key) (func(), error)
	history func(ctx context.Context, key batch.Key) ([]batch.Entry, error)
	append  func(ctx context.Context, key batch.Key, e batch.Entry) error
	open    func(ctx context.Context, provider, account string) iter.Seq2[batch.History, error]
	next    func(ctx context.Context, sequence string, first int64) (int64, error)
	reopen  func() batch.Journal
}

func (m *journalMutant) Lock(ctx context.Context, key batch.Key) (func(), error) {
	if m.lock != nil {
		return m.lock(ctx, key)
	}
	return m.Journal.Lock(ctx, key)
}

func (m *journalMutant) History(ctx context.Context, key batch.Key) ([]batch.Entry, error) {
	if m.history != nil {
		return m.history(ctx, key)
	}
	return m.Journal.History(ctx, key)
}

func (m *journalMutant) Append(ctx context.Context, key batch.Key, e batch.Entry) error {
	if m.append != nil {
		return m.append(ctx, key, e)
	}
	return m.Journal.Append(ctx, key, e)
}

func (m *journalMutant) Open(ctx context.Context, provider, account string) iter.Seq2[batch.History, error] {
	if m.open != nil {
		return m.open(ctx, provider, account)
	}
	return m.Journal.Open(ctx, provider, account)
}

func (m *journalMutant) Next(ctx context.Context, sequence string, first int64) (int64, error) {
	if m.next != nil {
		return m.next(ctx, sequence, first)
	}
	return m.Journal.Next(ctx, sequence, first)
}

// altered makes History return what alter makes of it.
func (m *journalMutant) altered(alter func([]batch.Entry) []batch.Entry) {
	m.history = func(ctx context.Context, key batch.Key) ([]batch.Entry, error) {
		history, err := m.Journal.History(ctx, key)
		return alter(history), err
	}
}

// add appends e as whatever entry is the next.
func (m *journalMutant) add(ctx context.Context, key batch.Key, e batch.Entry) error {
	for {
		history, err := m.Journal.History(ctx, key)
		if err != nil {
			return err
		}
		e.Seq = len(history) + 1
		if err := m.Journal.Append(ctx, key, e); !errors.Is(err, batch.ErrConflict) {
			return err
		}
	}
}

var journalMutants = []struct {
	law, name string
	breakIt   func(m *journalMutant)
}{
	{"EntriesComeBackInOrder", "the newest entry comes first", func(m *journalMutant) {
		m.altered(func(h []batch.Entry) []batch.Entry { slices.Reverse(h); return h })
	}},
	{"EntriesComeBackInOrder", "a history ends with its first page", func(m *journalMutant) {
		m.altered(func(h []batch.Entry) []batch.Entry { return h[:min(len(h), 256)] })
	}},
	{"EntriesComeBackWhole", "a person's decision is left out", func(m *journalMutant) {
		m.append = func(ctx context.Context, key batch.Key, e batch.Entry) error {
			e.Decision = nil
			return m.Journal.Append(ctx, key, e)
		}
	}},
	{"EntriesComeBackWhole", "times are cut to seconds", func(m *journalMutant) {
		m.append = func(ctx context.Context, key batch.Key, e batch.Entry) error {
			e.At = e.At.Truncate(time.Second)
			return m.Journal.Append(ctx, key, e)
		}
	}},
	{"OnlyTheNextEntryIsAccepted", "an entry is appended without compare-and-swap", func(m *journalMutant) { m.append = m.add }},
	{"OnlyTheNextEntryIsAccepted", "a conflict is a plain error", func(m *journalMutant) {
		m.append = func(ctx context.Context, key batch.Key, e batch.Entry) error {
			if err := m.Journal.Append(ctx, key, e); err != nil {
				return errors.New(err.Error())
			}
			return nil
		}
	}},
	{"OnlyTheNextEntryIsAccepted", "a conflict poisons the journal", func(m *journalMutant) {
		var poisoned error
		m.append = func(ctx context.Context, key batch.Key, e batch.Entry) error {
			if poisoned == nil {
				poisoned = m.Journal.Append(ctx, key, e)
			}
			return poisoned
		}
	}},
	{"OfTwoWritersOneWins", "compare, and swap a little later", func(m *journalMutant) {
		m.append = func(ctx context.Context, key batch.Key, e batch.Entry) error {
			if history, err := m.Journal.History(ctx, key); err != nil || e.Seq != len(history)+1 {
				return &batch.Error{Kind: batch.ErrConflict}
			}
			<-time.After(time.Millisecond)
			return m.add(ctx, key, e)
		}
	}},
	{"OfTwoWritersOneWins", "the loser is told that all is well", func(m *journalMutant) {
		m.append = func(ctx context.Context, key batch.Key, e batch.Entry) error {
			if err := m.Journal.Append(ctx, key, e); !errors.Is(err, batch.ErrConflict) {
				return err
			}
			return nil
		}
	}},
	{"HistoriesAreApart", "references are compared without their case", func(m *journalMutant) {
		fold := func(key batch.Key) batch.Key { key.Reference = strings.ToLower(key.Reference); return key }
		m.append = func(ctx context.Context, key batch.Key, e batch.Entry) error {
			return m.Journal.Append(ctx, fold(key), e)
		}
		m.history = func(ctx context.Context, key batch.Key) ([]batch.Entry, error) {
			return m.Journal.History(ctx, fold(key))
		}
	}},
	{"HistoriesAreApart", "references are cut to three letters", func(m *journalMutant) {
		cut := func(key batch.Key) batch.Key { key.Reference = key.Reference[:3]; return key }
		m.append = func(ctx context.Context, key batch.Key, e batch.Entry) error {
			return m.Journal.Append(ctx, cut(key), e)
		}
		m.history = func(ctx context.Context, key batch.Key) ([]batch.Entry, error) {
			return m.Journal.History(ctx, cut(key))
		}
	}},
	{"EntriesSurviveReopening", "nothing is kept", func(m *journalMutant) {
		m.reopen = batch.NewMemoryJournal
	}},
	{"EntriesSurviveReopening", "the newest entry is still in a buffer", func(m *journalMutant) {
		m.reopen = func() batch.Journal {
			after := &journalMutant{Journal: m.Journal}
			after.altered(func(h []batch.Entry) []batch.Entry { return h[:max(0, len(h)-1)] })
			return after
		}
	}},
	{"LockIsExclusive", "everybody gets the lock at once", func(m *journalMutant) {
		m.lock = func(context.Context, batch.Key) (func(), error) { return func() {}, nil }
	}},
	{"LockIsExclusive", "the lock is for two", func(m *journalMutant) {
		places := make(chan struct{}, 2)
		m.lock = func(ctx context.Context, key batch.Key) (func(), error) {
			select {
			case places <- struct{}{}:
				return func() { <-places }, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
	}},
	{"LockIsExclusive", "whoever waits gets in after a while", func(m *journalMutant) {
		m.lock = func(ctx context.Context, key batch.Key) (func(), error) {
			brief, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
			defer cancel()
			unlock, err := m.Journal.Lock(brief, key)
			if err != nil {
				return func() {}, ctx.Err()
			}
			return unlock, nil
		}
	}},
	{"LockIsExclusive", "there is one lock for all keys", func(m *journalMutant) {
		m.lock = func(ctx context.Context, _ batch.Key) (func(), error) { return m.Journal.Lock(ctx, batch.Key{}) }
	}},
	{"LockHonoursItsContext", "the context is looked at only on entry", func(m *journalMutant) {
		m.lock = func(ctx context.Context, key batch.Key) (func(), error) {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			return m.Journal.Lock(context.WithoutCancel(ctx), key)
		}
	}},
	{"LockHonoursItsContext", "a context that ends gives the lock", func(m *journalMutant) {
		m.lock = func(ctx context.Context, key batch.Key) (func(), error) {
			unlock, err := m.Journal.Lock(ctx, key)
			if err != nil {
				return func() {}, nil
			}
			return unlock, nil
		}
	}},
	{"LockHonoursItsContext", "nobody waits: a lock that is taken is an error", func(m *journalMutant) {
		m.lock = func(ctx context.Context, key batch.Key) (func(), error) {
			brief, cancel := context.WithTimeout(ctx, time.Millisecond)
			defer cancel()
			return m.Journal.Lock(brief, key)
		}
	}},
	{"LockHonoursItsContext", "a lock is never given back", func(m *journalMutant) {
		m.lock = func(ctx context.Context, key batch.Key) (func(), error) {
			_, err := m.Journal.Lock(ctx, key)
			return func() {}, err
		}
	}},
	{"OpenListsWhatIsNotDone", "what was ever done is left out", func(m *journalMutant) {
		m.open = func(ctx context.Context, provider, account string) iter.Seq2[batch.History, error] {
			return func(yield func(batch.History, error) bool) {
				for open, err := range m.Journal.Open(ctx, provider, account) {
					done := slices.ContainsFunc(open.Entries, func(e batch.Entry) bool { return e.Kind == batch.EntryDone })
					if !done && !yield(open, err) {
						return
					}
				}
			}
		}
	}},
	{"OpenListsWhatIsNotDone", "what is done stays on the list", func(m *journalMutant) {
		var keys []batch.Key
		m.append = func(ctx context.Context, key batch.Key, e batch.Entry) error {
			if e.Seq == 1 {
				keys = append(keys, key)
			}
			return m.Journal.Append(ctx, key, e)
		}
		m.open = func(_ context.Context, provider, account string) iter.Seq2[batch.History, error] {
			return func(yield func(batch.History, error) bool) {
				for _, key := range keys {
					if key.Provider == provider && key.Account == account && !yield(batch.History{Key: key}, nil) {
						return
					}
				}
			}
		}
	}},
	{"OpenListsWhatIsNotDone", "every account has the same list", func(m *journalMutant) {
		m.open = func(ctx context.Context, provider, _ string) iter.Seq2[batch.History, error] {
			return m.Journal.Open(ctx, provider, journalOwner.Account)
		}
	}},
	{"NumbersAreNeverUsedTwice", "one number in ten is repeated", func(m *journalMutant) {
		var calls, last atomic.Int64
		m.next = func(ctx context.Context, sequence string, first int64) (int64, error) {
			if calls.Add(1)%10 == 0 {
				return last.Load(), nil
			}
			n, err := m.Journal.Next(ctx, sequence, first)
			last.Store(n)
			return n, err
		}
	}},
	{"NumbersAreNeverUsedTwice", "a sequence begins anew after reopening", func(m *journalMutant) {
		m.reopen = batch.NewMemoryJournal
	}},
	{"NumbersAreNeverUsedTwice", "the floor is not looked at", func(m *journalMutant) {
		m.next = func(ctx context.Context, sequence string, _ int64) (int64, error) {
			return m.Journal.Next(ctx, sequence, 1)
		}
	}},
	{"NumbersAreNeverUsedTwice", "all sequences are one", func(m *journalMutant) {
		m.next = func(ctx context.Context, _ string, first int64) (int64, error) { return m.Journal.Next(ctx, "", first) }
	}},
	{"ReturnedHistoriesAreTheCallers", "a history is handed out as it is kept", func(m *journalMutant) {
		var mu sync.Mutex
		kept := map[batch.Key][]batch.Entry{}
		m.history = func(ctx context.Context, key batch.Key) ([]batch.Entry, error) {
			mu.Lock()
			defer mu.Unlock()
			history, err := m.Journal.History(ctx, key)
			if len(kept[key]) != len(history) {
				kept[key] = history
			}
			return kept[key], err
		}
	}},
}

// checkJournal runs one law in virtual time: whoever is kept waiting is known
// to wait.
func checkJournal(t *testing.T, law string, breakIt func(m *journalMutant)) (faults []string) {
	synctest.Test(t, func(t *testing.T) {
		m := &journalMutant{Journal: batch.NewMemoryJournal()}
		m.reopen = func() batch.Journal { return m }
		breakIt(m)
		faults = batchtest.CheckJournal(t, law, batchtest.JournalSubject{Journal: m, Owner: journalOwner,
			Reopen: func(*testing.T) batch.Journal { return m.reopen() }})
	})
	return faults
}

// Every law of journals bites: what breaks it is caught by it.
func TestJournalMutants(t *testing.T) {
	caught := map[string]bool{}
	for _, m := range journalMutants {
		t.Run(m.law+" "+m.name, func(t *testing.T) {
			faults := checkJournal(t, m.law, m.breakIt)
			if len(faults) == 0 {
				t.Fatalf("%s did not notice that %s", m.law, m.name)
			}
			caught[m.law] = true
			t.Logf("%s: %s\n    caught: %s", m.law, m.name, faults[0])
		})
	}
	for _, law := range batchtest.JournalLaws() {
		if !caught[law] {
			t.Errorf("%s has caught no mutant", law)
		}
		if faults := checkJournal(t, law, func(*journalMutant) {}); len(faults) > 0 {
			t.Errorf("%s complains about what is not broken: %v", law, faults)
		}
	}
}

// In real time too, where the scheduler decides who comes first.
func TestALockThatKeepsNobodyOutIsCaughtEveryTime(t *testing.T) {
	for range 5 {
		m := &journalMutant{Journal: batch.NewMemoryJournal(), lock: func(context.Context, batch.Key) (func(), error) { return func() {}, nil }}
		if faults := batchtest.CheckJournal(t, "LockIsExclusive", batchtest.JournalSubject{Journal: m, Owner: journalOwner}); len(faults) == 0 {
			t.Fatal("a lock that keeps nobody out was not noticed")
		}
	}
}
