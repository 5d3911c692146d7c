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
	"github.com/batchway/batchway-go/batch/internal/record"
)

var journalOwner = batch.Info{Name: "test", Account: "sandbox.test/1"}

// A journalMutant is the memory journal with one thing broken.
type journalMutant struct {
	batch.Journal
	memory  batch.Journal // what Journal keeps for its account, and what others keep
	lock    func(ctx context.Context, key batch.Key) (func(), error)
	history func(ctx context.Context, key batch.Key) ([]batch.Entry, error)
	append  func(ctx context.Context, key batch.Key, e batch.Entry) error
	open    func(ctx context.Context, provider, account string) iter.Seq2[batch.History, error]
	closed  func(ctx context.Context, provider, account string, since time.Time) iter.Seq2[batch.History, error]
	next    func(ctx context.Context, sequence string, first int64) (int64, error)
	prune   func(ctx context.Context, before time.Time, archive func(batch.History) error) (int, error)
	erase   func(ctx context.Context, match func(batch.Item) bool) ([]batch.Key, error)
	reopen  func() batch.Journal
	beside  func(owner batch.Info) batch.Journal

	mu      sync.Mutex
	appends []appended // what was accepted, in order
}

type appended struct {
	key batch.Key
	e   batch.Entry
}

// A oneAccount is a journal that was opened for one account.
type oneAccount struct {
	batch.Journal
	owner batch.Info
}

func (j oneAccount) refuse(provider, account string) error {
	if provider != j.owner.Name || account != j.owner.Account {
		return &batch.Error{Kind: batch.ErrInvalid}
	}
	return nil
}

func (j oneAccount) Lock(ctx context.Context, key batch.Key) (func(), error) {
	if err := j.refuse(key.Provider, key.Account); err != nil {
		return nil, err
	}
	return j.Journal.Lock(ctx, key)
}

func (j oneAccount) History(ctx context.Context, key batch.Key) ([]batch.Entry, error) {
	if err := j.refuse(key.Provider, key.Account); err != nil {
		return nil, err
	}
	return j.Journal.History(ctx, key)
}

func (j oneAccount) Append(ctx context.Context, key batch.Key, e batch.Entry) error {
	if err := j.refuse(key.Provider, key.Account); err != nil {
		return err
	}
	return j.Journal.Append(ctx, key, e)
}

func (j oneAccount) Open(ctx context.Context, provider, account string) iter.Seq2[batch.History, error] {
	if err := j.refuse(provider, account); err != nil {
		return func(yield func(batch.History, error) bool) { yield(batch.History{}, err) }
	}
	return j.Journal.Open(ctx, provider, account)
}

func (j oneAccount) Closed(ctx context.Context, provider, account string, since time.Time) iter.Seq2[batch.History,
	error] {
	if err := j.refuse(provider, account); err != nil {
		return func(yield func(batch.History, error) bool) { yield(batch.History{}, err) }
	}
	return j.Journal.Closed(ctx, provider, account, since)
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
	err := m.Journal.Append(ctx, key, e)
	if err == nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.appends = append(m.appends, appended{key, e})
	}
	return err
}

func (m *journalMutant) Open(ctx context.Context, provider, account string) iter.Seq2[batch.History, error] {
	if m.open != nil {
		return m.open(ctx, provider, account)
	}
	return m.Journal.Open(ctx, provider, account)
}

func (m *journalMutant) Closed(ctx context.Context, provider, account string, since time.Time) iter.Seq2[batch.History,
	error] {
	if m.closed != nil {
		return m.closed(ctx, provider, account, since)
	}
	return m.Journal.Closed(ctx, provider, account, since)
}

func (m *journalMutant) Next(ctx context.Context, sequence string, first int64) (int64, error) {
	if m.next != nil {
		return m.next(ctx, sequence, first)
	}
	return m.Journal.Next(ctx, sequence, first)
}

func (m *journalMutant) Prune(ctx context.Context, before time.Time, archive func(batch.History) error) (int, error) {
	if m.prune != nil {
		return m.prune(ctx, before, archive)
	}
	return m.Journal.(batchtest.Pruner).Prune(ctx, before, archive)
}

func (m *journalMutant) Erase(ctx context.Context, match func(batch.Item) bool) ([]batch.Key, error) {
	if m.erase != nil {
		return m.erase(ctx, match)
	}
	return m.Journal.(batchtest.Eraser).Erase(ctx, match)
}

// A pruner is a journal that can remove old histories and erase people, or
// almost.
type pruner struct {
	batch.Journal
	isOld        func(history []batch.Entry, before time.Time) bool
	forgets      bool // a key that was pruned is as if it were new
	removesFirst bool // and archives then
	goesOn       bool // after an error of the archive
	hurries      bool // removes what has gone on since

	erases     func(history []batch.Entry, match func(batch.Item) bool) ([]batch.Entry, bool)
	erasesOpen bool
	over       map[batch.Key][]batch.Entry // the entries of the histories that were erased

	mu   sync.Mutex
	keys []batch.Key
	gone map[batch.Key]int // how many of the entries were removed
}

func newPruner(j batch.Journal) *pruner {
	return &pruner{Journal: j, gone: map[batch.Key]int{}, over: map[batch.Key][]batch.Entry{}, erases: record.Erase,
		isOld: func(h []batch.Entry, before time.Time) bool {
			return h[len(h)-1].Kind == batch.EntryDone && h[len(h)-1].At.Before(before)
		}}
}

func (p *pruner) removed(key batch.Key) (entries int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone[key] > 0 && !p.forgets {
		return 0, &batch.Error{Kind: batch.ErrConflict}
	}
	return p.gone[key], nil
}

func (p *pruner) History(ctx context.Context, key batch.Key) ([]batch.Entry, error) {
	gone, err := p.removed(key)
	if err != nil {
		return nil, err
	}
	history, err := p.Journal.History(ctx, key)
	copy(history, p.over[key])
	return history[min(gone, len(history)):], err
}

func (p *pruner) Append(ctx context.Context, key batch.Key, e batch.Entry) error {
	gone, err := p.removed(key)
	if err != nil {
		return err
	}
	if e.Seq += gone; e.Seq == gone+1 {
		p.mu.Lock()
		p.keys = append(p.keys, key)
		p.mu.Unlock()
	}
	return p.Journal.Append(ctx, key, e)
}

func (p *pruner) Prune(ctx context.Context, before time.Time, archive func(batch.History) error) (pruned int,
	err error) {
	p.mu.Lock()
	keys := slices.Clone(p.keys)
	p.mu.Unlock()
	slices.SortFunc(keys, func(a, b batch.Key) int { return strings.Compare(a.Reference, b.Reference) })
	for _, key := range slices.Compact(keys) {
		history, failed := p.History(ctx, key)
		if failed != nil || len(history) == 0 || !p.isOld(history, before) {
			continue
		}
		remove := func() {
			if now, _ := p.History(ctx, key); len(now) == len(history) || p.hurries {
				p.mu.Lock()
				p.gone[key] = len(now)
				p.mu.Unlock()
				pruned++
			}
		}
		if p.removesFirst {
			remove()
		}
		if failed := archive(batch.History{Key: key, Entries: history}); failed != nil {
			if err = failed; !p.goesOn {
				return pruned, err
			}
		}
		if !p.removesFirst {
			remove()
		}
	}
	return pruned, err
}

func (p *pruner) Erase(ctx context.Context, match func(batch.Item) bool) (erased []batch.Key, err error) {
	for _, key := range slices.Compact(slices.Clone(p.keys)) {
		history, failed := p.History(ctx, key)
		if failed != nil {
			return erased, failed
		}
		after, matched := p.erases(history, match)
		switch {
		case !matched:
		case history[len(history)-1].Kind != batch.EntryDone && !p.erasesOpen:
			err = &batch.Error{Kind: batch.ErrConflict, Message: key.Reference}
		default:
			p.over[key] = after
			erased = append(erased, key)
		}
	}
	return erased, err
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

// named appends entries whose names are changed by alter.
func (m *journalMutant) named(alter func(key batch.Key, name string) string) {
	m.append = func(ctx context.Context, key batch.Key, e batch.Entry) error {
		rename := func(names []string) (renamed []string) {
			for _, name := range names {
				renamed = append(renamed, alter(key, name))
			}
			return renamed
		}
		e.Claims, e.Releases = rename(e.Claims), rename(e.Releases)
		return m.Journal.Append(ctx, key, e)
	}
}

// claims makes Append keep names in a list of its own, which check changes. A
// nil error lets the entry be written.
func (m *journalMutant) claims(change func(holders map[string]batch.Key, key batch.Key, e batch.Entry) error) {
	var mu sync.Mutex
	holders := map[string]batch.Key{}
	m.append = func(ctx context.Context, key batch.Key, e batch.Entry) error {
		mu.Lock()
		defer mu.Unlock()
		plain := e
		plain.Claims, plain.Releases = nil, nil
		history, err := m.Journal.History(ctx, key)
		if err != nil || e.Seq != len(history)+1 {
			return m.Journal.Append(ctx, key, plain)
		}
		if err := change(holders, key, e); err != nil {
			return err
		}
		return m.Journal.Append(ctx, key, plain)
	}
}

// free returns a *ClaimedError if a name that e claims has another holder.
func free(holders map[string]batch.Key, key batch.Key, e batch.Entry) error {
	for _, name := range e.Claims {
		if holder, taken := holders[name]; taken && holder != key {
			return &batch.ClaimedError{Name: name, Holder: holder}
		}
	}
	return nil
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
	{"ItemsComeBackWhole", "every draft has the items of the first", func(m *journalMutant) {
		m.altered(func(h []batch.Entry) []batch.Entry {
			for n, e := range h {
				if e.Batch != nil && len(e.Batch.Draft.Items) > 0 && h[0].Draft != nil {
					b := *e.Batch
					b.Draft.Items = h[0].Draft.Items
					h[n].Batch = &b
				}
			}
			return h
		})
	}},
	{"ItemsComeBackWhole", "a batch without items has those of its draft", func(m *journalMutant) {
		m.altered(func(h []batch.Entry) []batch.Entry {
			for n, e := range h {
				if e.Batch != nil && len(e.Batch.Draft.Items) == 0 && h[0].Draft != nil {
					b := *e.Batch
					b.Draft.Items = h[0].Draft.Items
					h[n].Batch = &b
				}
			}
			return h
		})
	}},
	{"ItemsComeBackWhole", "the items are taken out of the caller's draft", func(m *journalMutant) {
		m.append = func(ctx context.Context, key batch.Key, e batch.Entry) error {
			kept := e
			if e.Draft != nil {
				d := *e.Draft
				kept.Draft = &d
				e.Draft.Items = nil
			}
			return m.Journal.Append(ctx, key, kept)
		}
	}},
	{"OpenYieldsEveryHistoryWhole", "only the first page is listed", func(m *journalMutant) {
		m.open = func(ctx context.Context, provider, account string) iter.Seq2[batch.History, error] {
			return func(yield func(batch.History, error) bool) {
				n := 0
				for open, err := range m.Journal.Open(ctx, provider, account) {
					if n++; n > 1000 || !yield(open, err) {
						return
					}
				}
			}
		}
	}},
	{"EntriesComeBackWhole", "outcomes are left out", func(m *journalMutant) {
		m.append = func(ctx context.Context, key batch.Key, e batch.Entry) error {
			e.Outcomes = nil
			return m.Journal.Append(ctx, key, e)
		}
	}},
	{"ClosedListsWhatIsDoneSinceATime", "the time itself is left out", func(m *journalMutant) {
		m.closed = func(ctx context.Context, provider, account string, since time.Time) iter.Seq2[batch.History,
			error] {
			return m.Journal.Closed(ctx, provider, account, since.Add(1))
		}
	}},
	{"ClosedListsWhatIsDoneSinceATime", "all that was ever closed is listed", func(m *journalMutant) {
		m.closed = func(ctx context.Context, provider, account string, _ time.Time) iter.Seq2[batch.History, error] {
			return m.Journal.Closed(ctx, provider, account, time.Time{})
		}
	}},
	{"ClosedListsWhatIsDoneSinceATime", "what is open again is listed, too", func(m *journalMutant) {
		m.closed = func(ctx context.Context, provider, account string, since time.Time) iter.Seq2[batch.History,
			error] {
			return func(yield func(batch.History, error) bool) {
				for open, err := range m.Journal.Open(ctx, provider, account) {
					if len(open.Entries) > 2 && !yield(open, err) {
						return
					}
				}
				m.Journal.Closed(ctx, provider, account, since)(yield)
			}
		}
	}},
	{"ClosedListsWhatIsDoneSinceATime", "the list ends with its first page", func(m *journalMutant) {
		m.closed = func(ctx context.Context, provider, account string, since time.Time) iter.Seq2[batch.History,
			error] {
			return func(yield func(batch.History, error) bool) {
				n := 0
				for closed, err := range m.Journal.Closed(ctx, provider, account, since) {
					if n++; n > 1000 || !yield(closed, err) {
						return
					}
				}
			}
		}
	}},
	{"AnotherAccountIsRefused", "Closed lists for every account", func(m *journalMutant) {
		m.closed = func(ctx context.Context, provider, account string, since time.Time) iter.Seq2[batch.History,
			error] {
			return m.memory.Closed(ctx, provider, account, since)
		}
	}},
	{"OpenYieldsEveryHistoryWhole", "a page begins at a place in a list that gets shorter", func(m *journalMutant) {
		m.open = func(ctx context.Context, provider, account string) iter.Seq2[batch.History, error] {
			return func(yield func(batch.History, error) bool) {
				for skip := 0; ; skip += 100 {
					var all []batch.History
					for open, err := range m.Journal.Open(ctx, provider, account) {
						if err != nil {
							yield(open, err)
							return
						}
						all = append(all, open)
					}
					slices.SortFunc(all, func(a, b batch.History) int {
						return strings.Compare(a.Key.Reference, b.Key.Reference)
					})
					for _, open := range all[min(skip, len(all)):min(skip+100, len(all))] {
						if !yield(open, nil) {
							return
						}
					}
					if skip >= len(all) {
						return
					}
				}
			}
		}
	}},
	{"OpenYieldsEveryHistoryWhole", "the entries are left out", func(m *journalMutant) {
		m.open = func(ctx context.Context, provider, account string) iter.Seq2[batch.History, error] {
			return func(yield func(batch.History, error) bool) {
				for open, err := range m.Journal.Open(ctx, provider, account) {
					if !yield(batch.History{Key: open.Key}, err) {
						return
					}
				}
			}
		}
	}},
	{"OpenYieldsEveryHistoryWhole", "a key comes with the entries of the one before", func(m *journalMutant) {
		m.open = func(ctx context.Context, provider, account string) iter.Seq2[batch.History, error] {
			return func(yield func(batch.History, error) bool) {
				var before []batch.Entry
				for open, err := range m.Journal.Open(ctx, provider, account) {
					entries := open.Entries
					if before != nil {
						open.Entries = before
					}
					if before = entries; !yield(open, err) {
						return
					}
				}
			}
		}
	}},
	{"OnlyTheNextEntryIsAccepted", "an entry is appended without compare-and-swap", func(m *journalMutant) {
		m.append = m.add
	}},
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
					done := slices.ContainsFunc(open.Entries, func(e batch.Entry) bool {
						return e.Kind == batch.EntryDone
					})
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
		m.next = func(ctx context.Context, _ string, first int64) (int64, error) {
			return m.Journal.Next(ctx, "", first)
		}
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
	{"AnotherAccountIsRefused", "the lock of another account can be had", func(m *journalMutant) {
		m.lock = m.memory.Lock
	}},
	{"AnotherAccountIsRefused", "the history of another account can be read", func(m *journalMutant) {
		m.history = m.memory.History
	}},
	{"AnotherAccountIsRefused", "another account is written to", func(m *journalMutant) { m.append = m.memory.Append }},
	{"AnotherAccountIsRefused", "another account has nothing open", func(m *journalMutant) { m.open = m.memory.Open }},
	{"OneOfManyWritersClaimsAName", "the list of names is read before it is written", func(m *journalMutant) {
		var mu sync.Mutex
		holders := map[string]batch.Key{}
		m.append = func(ctx context.Context, key batch.Key, e batch.Entry) error {
			mu.Lock()
			err := free(holders, key, e)
			mu.Unlock()
			if err != nil {
				return err
			}
			<-time.After(time.Millisecond)
			mu.Lock()
			defer mu.Unlock()
			for _, name := range e.Claims {
				holders[name] = key
			}
			e.Claims = nil
			return m.Journal.Append(ctx, key, e)
		}
	}},
	{"OneOfManyWritersClaimsAName", "a refused entry uses up its number", func(m *journalMutant) {
		m.append = func(ctx context.Context, key batch.Key, e batch.Entry) error {
			err := m.Journal.Append(ctx, key, e)
			var claimed *batch.ClaimedError
			if errors.As(err, &claimed) {
				e.Claims, e.Releases = nil, nil
				return errors.Join(err, m.Journal.Append(ctx, key, e))
			}
			return err
		}
	}},
	{"ARefusedClaimNamesTheHolder", "a refused claim is any conflict", func(m *journalMutant) {
		m.append = func(ctx context.Context, key batch.Key, e batch.Entry) error {
			if err := m.Journal.Append(ctx, key, e); errors.Is(err, batch.ErrConflict) {
				return &batch.Error{Kind: batch.ErrConflict}
			} else {
				return err
			}
		}
	}},
	{"ARefusedClaimNamesTheHolder", "the caller is named as the holder", func(m *journalMutant) {
		m.append = func(ctx context.Context, key batch.Key, e batch.Entry) error {
			err := m.Journal.Append(ctx, key, e)
			var claimed *batch.ClaimedError
			if errors.As(err, &claimed) {
				claimed.Holder = key
			}
			return err
		}
	}},
	{"ARefusedClaimNamesTheHolder", "a refused claim poisons the journal", func(m *journalMutant) {
		var poisoned error
		m.append = func(ctx context.Context, key batch.Key, e batch.Entry) error {
			if poisoned != nil {
				return poisoned
			}
			err := m.Journal.Append(ctx, key, e)
			var claimed *batch.ClaimedError
			if errors.As(err, &claimed) {
				poisoned = errors.New("it has failed before")
			}
			return err
		}
	}},
	{"ARefusedClaimNamesTheHolder", "names compare without their case", func(m *journalMutant) {
		m.named(func(_ batch.Key, name string) string { return strings.ToLower(name) })
	}},
	{"ARefusedClaimNamesTheHolder", "each key has its own names", func(m *journalMutant) {
		m.named(func(key batch.Key, name string) string { return key.Reference + "/" + name })
	}},
	{"ARefusedClaimNamesTheHolder", "an entry that is not the next claims its names", func(m *journalMutant) {
		m.append = func(ctx context.Context, key batch.Key, e batch.Entry) error {
			err := m.Journal.Append(ctx, key, e)
			var claimed *batch.ClaimedError
			if errors.Is(err, batch.ErrConflict) && !errors.As(err, &claimed) {
				_ = m.add(ctx, key, batch.Entry{Kind: e.Kind, Claims: e.Claims})
			}
			return err
		}
	}},
	{"OnlyItsHolderReleasesAName", "every key can release every name", func(m *journalMutant) {
		m.claims(func(holders map[string]batch.Key, key batch.Key, e batch.Entry) error {
			for _, name := range e.Releases {
				delete(holders, name)
			}
			if err := free(holders, key, e); err != nil {
				return err
			}
			for _, name := range e.Claims {
				holders[name] = key
			}
			return nil
		})
	}},
	{"OnlyItsHolderReleasesAName", "names are never released", func(m *journalMutant) {
		m.append = func(ctx context.Context, key batch.Key, e batch.Entry) error {
			e.Releases = nil
			return m.Journal.Append(ctx, key, e)
		}
	}},
	{"OnlyItsHolderReleasesAName", "the last entry releases all names", func(m *journalMutant) {
		m.append = func(ctx context.Context, key batch.Key, e batch.Entry) error {
			if e.Kind == batch.EntryDone {
				e.Releases = append(e.Releases, "a")
			}
			return m.Journal.Append(ctx, key, e)
		}
	}},
	{"ReleasesComeBeforeClaims", "releases come last", func(m *journalMutant) {
		m.append = func(ctx context.Context, key batch.Key, e batch.Entry) error {
			e.Claims = slices.DeleteFunc(slices.Clone(e.Claims), func(name string) bool {
				return slices.Contains(e.Releases, name)
			})
			return m.Journal.Append(ctx, key, e)
		}
	}},
	{"ReleasesComeBeforeClaims", "a refused entry releases its names", func(m *journalMutant) {
		m.claims(func(holders map[string]batch.Key, key batch.Key, e batch.Entry) error {
			for _, name := range e.Releases {
				if holders[name] == key {
					delete(holders, name)
				}
			}
			if err := free(holders, key, e); err != nil {
				return err
			}
			for _, name := range e.Claims {
				holders[name] = key
			}
			return nil
		})
	}},
	{"ClaimsSurviveReopening", "the list of names is not kept", func(m *journalMutant) {
		m.reopen = func() batch.Journal {
			return m.again(func(e batch.Entry) batch.Entry { e.Claims, e.Releases = nil, nil; return e })
		}
	}},
	{"ClaimsSurviveReopening", "releases are forgotten", func(m *journalMutant) {
		m.reopen = func() batch.Journal {
			return m.again(func(e batch.Entry) batch.Entry { e.Releases = nil; return e })
		}
	}},
	{"NamesAreClaimedAllOrNone", "names are claimed one by one until one is taken", func(m *journalMutant) {
		m.claims(func(holders map[string]batch.Key, key batch.Key, e batch.Entry) error {
			for _, name := range e.Claims {
				if err := free(holders, key, batch.Entry{Claims: []string{name}}); err != nil {
					return err
				}
				holders[name] = key
			}
			for _, name := range e.Releases {
				if holders[name] == key {
					delete(holders, name)
				}
			}
			return nil
		})
	}},
	{"NamesAreClaimedAllOrNone", "only the first hundred names are claimed", func(m *journalMutant) {
		m.append = func(ctx context.Context, key batch.Key, e batch.Entry) error {
			e.Claims = e.Claims[:min(len(e.Claims), 100)]
			return m.Journal.Append(ctx, key, e)
		}
	}},
	{"NamesAreSharedByAllAccounts", "each account has its own names", func(m *journalMutant) {
		rename := func(key batch.Key, name string) string { return key.Account + "/" + name }
		m.named(rename)
		m.beside = func(batch.Info) batch.Journal {
			beside := &journalMutant{Journal: m.memory}
			beside.named(rename)
			return beside
		}
	}},
	{"NamesAreSharedByAllAccounts", "another account can release a name", func(m *journalMutant) {
		m.beside = func(batch.Info) batch.Journal {
			beside := &journalMutant{Journal: m.memory}
			beside.append = func(ctx context.Context, key batch.Key, e batch.Entry) error {
				if len(e.Releases) > 0 {
					own := batch.Key{Provider: journalOwner.Name, Account: journalOwner.Account, Reference: "run"}
					_ = m.add(ctx, own, batch.Entry{Kind: batch.EntryReconciled, Releases: e.Releases})
				}
				return m.memory.Append(ctx, key, e)
			}
			return beside
		}
	}},
	{"PruneRemovesWhatIsDoneAndOld", "what is done is removed, whatever its age", func(m *journalMutant) {
		m.Journal.(*pruner).isOld = func(h []batch.Entry, _ time.Time) bool {
			return h[len(h)-1].Kind == batch.EntryDone
		}
	}},
	{"PruneRemovesWhatIsDoneAndOld", "what is old is removed, done or not", func(m *journalMutant) {
		m.Journal.(*pruner).isOld = func(h []batch.Entry, before time.Time) bool {
			return h[len(h)-1].At.Before(before)
		}
	}},
	{"PruneRemovesWhatIsDoneAndOld", "what was ever done is removed", func(m *journalMutant) {
		m.Journal.(*pruner).isOld = func(h []batch.Entry, before time.Time) bool {
			return h[0].At.Before(before) && slices.ContainsFunc(h, func(e batch.Entry) bool {
				return e.Kind == batch.EntryDone
			})
		}
	}},
	{"PruneRemovesWhatIsDoneAndOld", "nothing is removed", func(m *journalMutant) {
		m.prune = func(context.Context, time.Time, func(batch.History) error) (int, error) { return 0, nil }
	}},
	{"PruneRemovesWhatIsDoneAndOld", "the count is wrong", func(m *journalMutant) {
		m.prune = func(ctx context.Context, before time.Time, archive func(batch.History) error) (int, error) {
			_, err := m.Journal.(batchtest.Pruner).Prune(ctx, before, archive)
			return 0, err
		}
	}},
	{"PruneArchivesFirst", "a history is removed, and then archived", func(m *journalMutant) {
		m.Journal.(*pruner).removesFirst = true
	}},
	{"PruneArchivesFirst", "an error of the archive is ignored", func(m *journalMutant) {
		m.Journal.(*pruner).goesOn = true
	}},
	{"PruneArchivesFirst", "a history that goes on is removed", func(m *journalMutant) {
		m.Journal.(*pruner).hurries = true
	}},
	{"PruneArchivesFirst", "the first entry is not archived", func(m *journalMutant) {
		m.prune = func(ctx context.Context, before time.Time, archive func(batch.History) error) (int, error) {
			return m.Journal.(batchtest.Pruner).Prune(ctx, before, func(h batch.History) error {
				h.Entries = h.Entries[1:]
				return archive(h)
			})
		}
	}},
	{"PrunedReferencesStayUsed", "a reference that was pruned is as if it were new", func(m *journalMutant) {
		m.Journal.(*pruner).forgets = true
	}},
	{"PrunedReferencesStayUsed", "the history is empty, and the reference refused", func(m *journalMutant) {
		m.history = func(ctx context.Context, key batch.Key) ([]batch.Entry, error) {
			history, err := m.Journal.History(ctx, key)
			if errors.Is(err, batch.ErrConflict) {
				return nil, nil
			}
			return history, err
		}
	}},
	{"PrunedReferencesStayUsed", "a reference that was pruned is new after reopening", func(m *journalMutant) {
		m.reopen = func() batch.Journal {
			after := newPruner(m.Journal.(*pruner).Journal)
			after.gone, after.forgets = m.Journal.(*pruner).gone, true
			return after
		}
	}},
	{"PruneKeepsNamesAndNumbers", "a history that was removed has lost its names", func(m *journalMutant) {
		m.prune = func(ctx context.Context, before time.Time, archive func(batch.History) error) (int, error) {
			own := batch.Key{Provider: journalOwner.Name, Account: journalOwner.Account, Reference: "run"}
			_ = m.add(ctx, own, batch.Entry{Kind: batch.EntryDone, Releases: []string{"kept"}})
			return m.Journal.(batchtest.Pruner).Prune(ctx, before, archive)
		}
	}},
	{"PruneKeepsNamesAndNumbers", "a sequence begins anew", func(m *journalMutant) {
		m.prune = func(ctx context.Context, before time.Time, archive func(batch.History) error) (int, error) {
			m.next = batch.NewMemoryJournal().Next
			return m.Journal.(batchtest.Pruner).Prune(ctx, before, archive)
		}
	}},
	{"EraseRemovesPeopleOfWhatIsDone", "what is open is erased", func(m *journalMutant) {
		m.Journal.(*pruner).erasesOpen = true
	}},
	{"EraseRemovesPeopleOfWhatIsDone", "what is open is not named", func(m *journalMutant) {
		m.erase = func(ctx context.Context, match func(batch.Item) bool) ([]batch.Key, error) {
			erased, _ := m.Journal.(batchtest.Eraser).Erase(ctx, match)
			return erased, nil
		}
	}},
	{"EraseRemovesPeopleOfWhatIsDone", "nothing is erased", func(m *journalMutant) {
		m.Journal.(*pruner).erases = func(h []batch.Entry, match func(batch.Item) bool) ([]batch.Entry, bool) {
			_, matched := record.Erase(h, match)
			return h, matched
		}
	}},
	{"EraseRemovesPeopleOfWhatIsDone", "every item is erased", func(m *journalMutant) {
		m.Journal.(*pruner).erases = func(h []batch.Entry, match func(batch.Item) bool) ([]batch.Entry, bool) {
			if _, matched := record.Erase(h, match); !matched {
				return h, false
			}
			return record.Erase(h, func(batch.Item) bool { return true })
		}
	}},
	{"EraseRemovesPeopleOfWhatIsDone", "one entry stays", func(m *journalMutant) {
		m.Journal.(*pruner).erases = func(h []batch.Entry, match func(batch.Item) bool) ([]batch.Entry, bool) {
			after, matched := record.Erase(h, match)
			after[1] = h[1]
			return after, matched
		}
	}},
	{"EraseRemovesPeopleOfWhatIsDone", "the keys are not returned", func(m *journalMutant) {
		m.erase = func(ctx context.Context, match func(batch.Item) bool) ([]batch.Key, error) {
			_, err := m.Journal.(batchtest.Eraser).Erase(ctx, match)
			return nil, err
		}
	}},
	{"EraseRemovesPeopleOfWhatIsDone", "what was erased is back after reopening", func(m *journalMutant) {
		m.reopen = func() batch.Journal { return newPruner(m.Journal.(*pruner).Journal) }
	}},
	{"EraseKeepsNamesAndOrder", "a history that was erased has lost its names", func(m *journalMutant) {
		m.erase = func(ctx context.Context, match func(batch.Item) bool) ([]batch.Key, error) {
			own := batch.Key{Provider: journalOwner.Name, Account: journalOwner.Account, Reference: "paid"}
			_ = m.add(ctx, own, batch.Entry{Kind: batch.EntryDone, At: time.Now(),
				Releases: []string{"purpose of paid"}})
			return m.Journal.(batchtest.Eraser).Erase(ctx, match)
		}
	}},
	{"EraseKeepsNamesAndOrder", "what was erased is erased again", func(m *journalMutant) {
		m.erase = func(ctx context.Context, match func(batch.Item) bool) ([]batch.Key, error) {
			return m.Journal.(batchtest.Eraser).Erase(ctx, func(item batch.Item) bool {
				return item.Reference == "a" || match(item)
			})
		}
		m.Journal.(*pruner).erases = func(h []batch.Entry, match func(batch.Item) bool) ([]batch.Entry, bool) {
			after, _ := record.Erase(h, match)
			return after, true
		}
	}},
}

// again returns a new journal with every entry that m has accepted, as alter
// gives it.
func (m *journalMutant) again(alter func(batch.Entry) batch.Entry) batch.Journal {
	after := &journalMutant{Journal: batch.NewMemoryJournal()}
	for _, a := range m.appends {
		_ = after.Append(context.Background(), a.key, alter(a.e))
	}
	return after
}

// checkJournal runs one law in virtual time: whoever is kept waiting is known
// to wait.
func checkJournal(t *testing.T, law string, breakIt func(m *journalMutant)) (faults []string) {
	synctest.Test(t, func(t *testing.T) {
		memory := batch.NewMemoryJournal()
		m := &journalMutant{Journal: newPruner(oneAccount{memory, journalOwner}), memory: memory}
		m.reopen = func() batch.Journal { return m }
		m.beside = func(owner batch.Info) batch.Journal { return oneAccount{memory, owner} }
		breakIt(m)
		faults = batchtest.CheckJournal(t, law, batchtest.JournalSubject{Journal: m, Owner: journalOwner,
			Beside: func(_ *testing.T, owner batch.Info) batch.Journal { return m.beside(owner) },
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
		m := &journalMutant{Journal: batch.NewMemoryJournal(), lock: func(context.Context, batch.Key) (func(), error) {
			return func() {}, nil
		}}
		if faults := batchtest.CheckJournal(t, "LockIsExclusive",
			batchtest.JournalSubject{Journal: m, Owner: journalOwner}); len(faults) == 0 {
			t.Fatal("a lock that keeps nobody out was not noticed")
		}
	}
}
