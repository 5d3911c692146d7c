package batchtest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/batchway/batchway-go/batch"
)

// A JournalSubject is a journal under test.
type JournalSubject struct {
	Journal batch.Journal // empty, of the account Owner
	Owner   batch.Info    // at least Name and Account
	// Beside opens the same store for another account. Nil means that the store
	// serves one account.
	Beside func(t *testing.T, owner batch.Info) batch.Journal
	// AnyAccount says that Journal was not opened for one account: it takes the
	// keys of every account.
	AnyAccount bool
	// Reopen closes the journal, if it still works, and opens the same one
	// anew, as a process does that starts after a crash. Nil skips what needs
	// it: a memory journal forgets.
	Reopen func(t *testing.T) batch.Journal
}

// A Pruner is a journal that can remove old histories.
type Pruner interface {
	// Prune removes the histories that are done and whose last entry was made
	// before a time, and returns how many. Each is first given to archive; with
	// an error Prune ends, and returns that error. A history that goes on in
	// the meantime stays.
	//
	// A key whose history was removed stays used: History and Append return
	// ErrConflict. The names that it holds stay claimed, and no number is used
	// again.
	Prune(ctx context.Context, before time.Time, archive func(batch.History) error) (pruned int, err error)
}

// An Eraser is a journal that can erase people from histories that are done.
type Eraser interface {
	// Erase puts batch.Erased in place of the account of every item that
	// matches, of what was derived from it (fingerprints, and digests of
	// approvals), and of every text of the history that repeats it, and removes
	// the item's Extra. Everything else stays as it was. It returns the keys of
	// the histories that it has changed.
	//
	// A history that is not done stays as it is. If an item of it matches, the
	// error is ErrConflict and names its reference, and all others are erased.
	Erase(ctx context.Context, match func(batch.Item) bool) (erased []batch.Key, err error)
}

// RunJournal proves the promises of batch.Journal, and those of Pruner and
// Eraser where the journal is one: one subtest for each.
func RunJournal(t *testing.T, open func(t *testing.T) JournalSubject) {
	for _, l := range journalLaws {
		t.Run(l.name, func(t *testing.T) {
			c := journalCase{reporter: t, JournalSubject: open(t)}
			if c.Reopen != nil {
				c.reopen = func() batch.Journal { return c.Reopen(t) }
			}
			if c.Beside != nil {
				c.beside = func(owner batch.Info) batch.Journal { return c.Beside(t, owner) }
			}
			if l.needs != nil {
				if missing := l.needs(c); missing != "" {
					t.Skip(missing)
				}
			}
			l.check(c)
		})
	}
}

var journalLaws = []struct {
	name  string
	needs func(c journalCase) (missing string) // why there is nothing to prove; nil means always
	check func(c journalCase)
}{
	{"EntriesComeBackInOrder", nil, journalKeepsOrder},
	{"EntriesComeBackWhole", nil, journalKeepsEverything},
	{"ItemsComeBackWhole", nil, journalKeepsItems},
	{"OnlyTheNextEntryIsAccepted", nil, journalRefusesGaps},
	{"OfTwoWritersOneWins", nil, journalHasOneWinner},
	{"HistoriesAreApart", nil, journalKeepsKeysApart},
	{"EntriesSurviveReopening", reopens, journalSurvives},
	{"LockIsExclusive", nil, journalLocks},
	{"LockHonoursItsContext", nil, journalLockEnds},
	{"OpenListsWhatIsNotDone", nil, journalListsOpen},
	{"OpenYieldsEveryHistoryWhole", nil, journalYieldsAll},
	{"ClosedListsWhatIsDoneSinceATime", nil, journalListsClosed},
	{"NumbersAreNeverUsedTwice", nil, journalNumbers},
	{"ReturnedHistoriesAreTheCallers", nil, journalReturnsCopies},
	{"AnotherAccountIsRefused", hasOneAccount, journalRefusesAccounts},
	{"OneOfManyWritersClaimsAName", nil, journalClaimsOnce},
	{"ARefusedClaimNamesTheHolder", nil, journalNamesHolder},
	{"OnlyItsHolderReleasesAName", nil, journalReleasesOwn},
	{"ReleasesComeBeforeClaims", nil, journalReleasesFirst},
	{"ClaimsSurviveReopening", reopens, journalClaimsSurvive},
	{"NamesAreClaimedAllOrNone", nil, journalClaimsAll},
	{"NamesAreSharedByAllAccounts", hasAccounts, journalClaimsAcrossAccounts},
	{"PruneRemovesWhatIsDoneAndOld", prunes, journalPrunesOld},
	{"PruneArchivesFirst", prunes, journalArchivesFirst},
	{"PrunedReferencesStayUsed", prunes, journalPrunedStaysUsed},
	{"PruneKeepsNamesAndNumbers", prunes, journalPruneKeeps},
	{"EraseRemovesPeopleOfWhatIsDone", erases, journalErases},
	{"EraseKeepsNamesAndOrder", erases, journalEraseKeeps},
}

func erases(c journalCase) (missing string) {
	if _, ok := c.Journal.(Eraser); !ok {
		missing = "this journal erases nothing"
	}
	return missing
}

func prunes(c journalCase) (missing string) {
	if _, ok := c.Journal.(Pruner); !ok {
		missing = "this journal keeps every history"
	}
	return missing
}

func reopens(c journalCase) (missing string) {
	if c.reopen == nil {
		missing = "this journal forgets when the process ends"
	}
	return missing
}

func hasOneAccount(c journalCase) (missing string) {
	if c.AnyAccount {
		missing = "this journal was not opened for one account"
	}
	return missing
}

func hasAccounts(c journalCase) (missing string) {
	if c.beside == nil {
		missing = "this store serves one account"
	}
	return missing
}

// A journalCase is what a law is tried on, and who hears of it.
type journalCase struct {
	reporter
	JournalSubject
	reopen func() batch.Journal                 // nil without Reopen
	beside func(owner batch.Info) batch.Journal // nil without Beside
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
		Items: []batch.Item{{Reference: "a", Account: "b", Amount: batch.Money{Minor: 1<<62 + 1, Currency: "GBP"},
			Extra: map[string]string{"x": ""}}}}
	b := batch.Batch{Provider: c.Owner.Name, ID: "7", Draft: d, State: batch.StateUnknown, Native: "LOCKED",
		UpdatedAt: time.Date(2026, 3, 4, 5, 6, 7, 89, time.UTC)}
	want := []batch.Entry{
		{Seq: 1, Kind: batch.EntryIntent, At: b.UpdatedAt, Fingerprint: "sha256:00", Draft: &d},
		{Seq: 2, Kind: batch.EntryResult, At: b.UpdatedAt, Step: batch.StepSubmit, Attempt: 3, Batch: &b,
			Failure: &batch.Failure{Kind: batch.ErrAmbiguous, Op: "O", Status: 502, Code: "c", Message: "m",
				RequestID: "r"}},
		{Seq: 3, Kind: batch.EntryDecision, At: b.UpdatedAt,
			Decision: &batch.Decision{Verdict: batch.Adopt, BatchID: "i", Operator: "o", Reason: "w", At: b.UpdatedAt}},
		{Seq: 4, Kind: batch.EntryNote, At: b.UpdatedAt, Note: &batch.Note{Operator: "o", Text: "t", Due: b.UpdatedAt,
			At: b.UpdatedAt}},
		{Seq: 5, Kind: batch.EntryDone, At: b.UpdatedAt, Batch: &b,
			Outcomes: &batch.ItemOutcomes{Letters: "p", Codes: []string{"c"}, IDs: []string{"i"},
				Times: []time.Time{b.UpdatedAt}}},
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

func journalKeepsItems(c journalCase) {
	item := func(reference string) batch.Item {
		return batch.Item{Reference: reference, Account: "1", Amount: batch.Money{Minor: 5, Currency: "GBP"},
			Extra: map[string]string{"k": reference}}
	}
	wanted, found := []batch.Item{item("a"), item("b")}, []batch.Item{item("a"), item("c"), item("\u0000\n\"")}
	draft := func(items []batch.Item) *batch.Draft { return &batch.Draft{Reference: "run", Items: items} }
	known := func(items []batch.Item) *batch.Batch { return &batch.Batch{ID: "7", Draft: *draft(items)} }
	want := []batch.Entry{
		{Kind: batch.EntryIntent, Draft: draft(wanted)},
		{Kind: batch.EntryAttempt},
		{Kind: batch.EntryResult, Batch: known(wanted)},
		{Kind: batch.EntryReconciled, Batch: known(found)},
		{Kind: batch.EntryResult, Batch: known(nil)},
		{Kind: batch.EntryIntent, Draft: draft(found), Batch: known(wanted)},
		{Kind: batch.EntryIntent, Draft: draft(wanted[:1])},
		{Kind: batch.EntryReconciled, Batch: known(wanted)},
	}
	for n := range want {
		want[n].Seq = n + 1
		if err := c.Journal.Append(c.Context(), c.key("run"), want[n]); err != nil {
			c.Fatalf("%v", err)
		}
	}
	other := batch.Entry{Seq: 1, Kind: batch.EntryIntent, Draft: draft(found)}
	if err := c.Journal.Append(c.Context(), c.key("other"), other); err != nil {
		c.Fatalf("%v", err)
	}
	check := func(j batch.Journal) {
		for reference, want := range map[string][]batch.Entry{"run": want, "other": {other}} {
			if got := c.history(j, reference); !reflect.DeepEqual(got, want) {
				c.Errorf("the entries of %q came back as\n%+v\nbut were appended as\n%+v", reference,
					plain(got), plain(want))
			}
		}
	}
	check(c.Journal)
	if len(wanted[0].Extra) != 1 || wanted[0].Reference != "a" || len(want[0].Draft.Items) != 2 {
		c.Errorf("Append has changed the entry that it was given")
	}
	if c.reopen != nil {
		check(c.reopen())
	}
}

// plain replaces pointers, so that entries print by value.
func plain(history []batch.Entry) []any {
	var out []any
	for _, e := range history {
		d, b, f, word, note, outcomes := e.Draft, e.Batch, e.Failure, e.Decision, e.Note, e.Outcomes
		e.Draft, e.Batch, e.Failure, e.Decision, e.Note, e.Outcomes = nil, nil, nil, nil, nil, nil
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
		if note != nil {
			out = append(out, *note)
		}
		if outcomes != nil {
			out = append(out, *outcomes)
		}
	}
	return out
}

func journalRefusesGaps(c journalCase) {
	c.put(c.Journal, "run", batch.EntryIntent, batch.EntryAttempt)
	for _, seq := range []int{-1, 0, 1, 2, 4} {
		if err := c.Journal.Append(c.Context(), c.key("run"), entry(seq, batch.EntryDone)); !errors.Is(err,
			batch.ErrConflict) {
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
				if own := provider == c.Owner.Name && account == c.Owner.Account; own || c.AnyAccount {
					c.Fatalf("%v", err)
				}
				continue // AnotherAccountIsRefused.
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

func journalListsClosed(c journalCase) {
	c.put(c.Journal, "open", batch.EntryIntent)
	c.done("old", -1)
	c.done("edge", 0)
	c.done("new", 1)
	c.done("again", 1)
	c.put(c.Journal, "again", batch.EntryReconciled)
	const many = 1100
	for n := range many {
		c.done(fmt.Sprintf("run-%04d", n), 2)
	}
	list := func(provider, account string, days int) map[string]int {
		seen := map[string]int{}
		for closed, err := range c.Journal.Closed(c.Context(), provider, account, firstDay.AddDate(0, 0, days)) {
			if err != nil {
				if own := provider == c.Owner.Name && account == c.Owner.Account; own || c.AnyAccount {
					c.Fatalf("%v", err)
				}
				continue
			}
			if n := len(closed.Entries); n == 0 || closed.Entries[n-1].Kind != batch.EntryDone ||
				closed.Entries[0].Draft == nil ||
				closed.Entries[0].Draft.Reference != closed.Key.Reference {
				c.Fatalf("%v is yielded as %v", closed.Key, plain(closed.Entries))
			}
			seen[closed.Key.Reference]++
		}
		return seen
	}
	got := list(c.Owner.Name, c.Owner.Account, 0)
	if got["edge"] != 1 || got["new"] != 1 || len(got) != many+2 {
		c.Errorf("%d histories are said to be closed, edge %d times and new %d times; they are %d", len(got),
			got["edge"], got["new"], many+2)
	}
	for reference, n := range got {
		if n != 1 {
			c.Errorf("%q was yielded %d times", reference, n)
		}
	}
	if got := list(c.Owner.Name, c.Owner.Account, 3); len(got) > 0 {
		c.Errorf("%v are said to be closed since a time at which none was", got)
	}
	if got := list(c.Owner.Name, c.Owner.Account+"x", 0); len(got) > 0 {
		c.Errorf("another account is said to have %v closed", got)
	}
	// A caller may write while it lists.
	for closed, err := range c.Journal.Closed(c.Context(), c.Owner.Name, c.Owner.Account, firstDay) {
		if err != nil {
			c.Fatalf("%v", err)
		}
		c.put(c.Journal, closed.Key.Reference, batch.EntryDone)
		break
	}
}

func journalYieldsAll(c journalCase) {
	const keys, writers = 1100, 16
	name := func(n int) string { return fmt.Sprintf("run-%04d", n) }
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for n := w; n < keys; n += writers {
				e := entry(1, batch.EntryIntent)
				e.Draft = &batch.Draft{Reference: name(n), Items: []batch.Item{{Reference: name(n)}}}
				if err := c.Journal.Append(c.Context(), c.key(name(n)), e); err != nil {
					c.Errorf("%v", err)
				}
			}
		})
	}
	wg.Wait()
	seen := map[string]int{}
	for open, err := range c.Journal.Open(c.Context(), c.Owner.Name, c.Owner.Account) {
		if err != nil {
			c.Fatalf("%v", err)
		}
		reference := open.Key.Reference
		switch e := open.Entries; {
		case len(e) != 1 || e[0].Kind != batch.EntryIntent || e[0].Draft == nil:
			c.Fatalf("the history of %q is yielded as %v", reference, plain(e))
		case open.Key != c.key(reference) || e[0].Draft.Reference != reference || len(e[0].Draft.Items) != 1 ||
			e[0].Draft.Items[0].Reference != reference:
			c.Fatalf("%v is yielded with the entries of another: %v", open.Key, plain(e))
		}
		if seen[reference]++; len(seen)%10 == 5 {
			c.put(c.Journal, reference, batch.EntryDone) // What leaves the list hides no other.
		}
	}
	for n := range keys {
		if seen[name(n)] != 1 {
			c.Errorf("%q is open, and was yielded %d times", name(n), seen[name(n)])
		}
	}
	for _, err := range c.Journal.Open(c.Context(), c.Owner.Name, c.Owner.Account) {
		if err != nil {
			c.Errorf("%v", err)
		}
		break // A caller may stop, and then write.
	}
	c.put(c.Journal, "next", batch.EntryIntent)
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

func journalRefusesAccounts(c journalCase) {
	c.put(c.Journal, "run", batch.EntryIntent)
	for what, key := range map[string]batch.Key{
		"another account":  {Provider: c.Owner.Name, Account: c.Owner.Account + "x", Reference: "run"},
		"another provider": {Provider: c.Owner.Name + "x", Account: c.Owner.Account, Reference: "run"},
	} {
		refused := func(method string, err error) {
			c.Helper()
			if !errors.Is(err, batch.ErrInvalid) {
				c.Errorf("%s of %s was answered %v; it must be ErrInvalid", method, what, err)
			}
		}
		unlock, err := c.Journal.Lock(c.Context(), key)
		if refused("Lock", err); err == nil {
			unlock()
		}
		_, err = c.Journal.History(c.Context(), key)
		refused("History", err)
		refused("Append", c.Journal.Append(c.Context(), key, entry(1, batch.EntryIntent)))
		err = nil
		for open, failed := range c.Journal.Open(c.Context(), key.Provider, key.Account) {
			if err = failed; err == nil {
				c.Errorf("%s is said to have %v open", what, open.Key)
			}
		}
		refused("Open", err)
		err = nil
		for closed, failed := range c.Journal.Closed(c.Context(), key.Provider, key.Account, time.Time{}) {
			if err = failed; err == nil {
				c.Errorf("%s is said to have %v closed", what, closed.Key)
			}
		}
		refused("Closed", err)
	}
	c.put(c.Journal, "run", batch.EntryAttempt) // A refusal does not poison.
	c.expect(c.Journal, "run", batch.EntryIntent, batch.EntryAttempt)
}

// claim appends the next entry of reference to j, with names.
func (c journalCase) claim(j batch.Journal, reference string, claims, releases []string) error {
	c.Helper()
	e := entry(len(c.history(j, reference))+1, batch.EntryReconciled)
	e.Claims, e.Releases = claims, releases
	return j.Append(c.Context(), c.key(reference), e)
}

// claimed ends the law if the names cannot be claimed and released.
func (c journalCase) claimed(j batch.Journal, reference string, claims, releases []string) {
	c.Helper()
	if err := c.claim(j, reference, claims, releases); err != nil {
		c.Fatalf("%q cannot claim %.80q and release %.80q: %v", reference, claims, releases, err)
	}
}

// refused checks that err says that holder has name.
func (c journalCase) refused(err error, name string, holder batch.Key) {
	c.Helper()
	var claimed *batch.ClaimedError
	switch {
	case err == nil:
		c.Errorf("%s belongs to %v, and another key could claim it", name, holder)
	case !errors.As(err, &claimed) || !errors.Is(err, batch.ErrConflict):
		c.Errorf("a claim of %s, which belongs to %v, gave %v; it must be a *ClaimedError that matches ErrConflict",
			name, holder, err)
	case *claimed != batch.ClaimedError{Name: name, Holder: holder}:
		c.Errorf("a claim of %s, which belongs to %v, was refused as %q of %v", name, holder, claimed.Name,
			claimed.Holder)
	}
}

func journalClaimsOnce(c journalCase) {
	const rounds, writers = 10, 8
	for round := range rounds {
		name := fmt.Sprint("name-", round)
		results := make([]error, writers)
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				e := entry(round+1, batch.EntryAttempt)
				e.Claims = []string{name}
				key := c.key(fmt.Sprint("run-", w))
				if results[w] = c.Journal.Append(c.Context(), key, e); results[w] != nil {
					e.Claims = nil // The entry was not written, so its number is free.
					if err := c.Journal.Append(c.Context(), key, e); err != nil {
						c.Errorf("after a refused claim, the same entry without it gave %v", err)
					}
				}
			})
		}
		wg.Wait()
		winner := slices.Index(results, nil)
		if winner < 0 {
			c.Fatalf("none of %d writers claimed %s: %v", writers, name, results[0])
		}
		for w, err := range results {
			if w != winner {
				c.refused(err, name, c.key(fmt.Sprint("run-", winner)))
			}
		}
	}
}

func journalNamesHolder(c journalCase) {
	c.put(c.Journal, "other", batch.EntryIntent)
	c.claimed(c.Journal, "run", []string{"a", "b"}, nil)
	c.refused(c.claim(c.Journal, "other", []string{"x", "b", "y"}, nil), "b", c.key("run"))
	c.expect(c.Journal, "other", batch.EntryIntent)
	c.claimed(c.Journal, "other", []string{"x", "y"}, nil) // The journal goes on, and the rest is free.
	c.expect(c.Journal, "other", batch.EntryIntent, batch.EntryReconciled)
	c.claimed(c.Journal, "run", []string{"b"}, nil) // What one has may be claimed again.
	c.expect(c.Journal, "run", batch.EntryReconciled, batch.EntryReconciled)
	c.refused(c.claim(c.Journal, "third", []string{"b"}, nil), "b", c.key("run"))
	c.claimed(c.Journal, "third", []string{"B", "b ", "ab"}, nil) // Names compare byte by byte.
	if err := c.Journal.Append(c.Context(), c.key("other"), batch.Entry{Seq: 9, Kind: batch.EntryResult,
		Claims: []string{"free"}}); !errors.Is(err, batch.ErrConflict) {
		c.Errorf("an entry that is not the next was answered %v; it must be ErrConflict", err)
	}
	c.claimed(c.Journal, "fourth", []string{"free"}, nil)
}

func journalReleasesOwn(c journalCase) {
	c.claimed(c.Journal, "run", []string{"a"}, nil)
	c.claimed(c.Journal, "other", nil, []string{"a", "never claimed"})
	c.refused(c.claim(c.Journal, "other", []string{"a"}, nil), "a", c.key("run"))
	c.claimed(c.Journal, "run", nil, []string{"a"})
	c.claimed(c.Journal, "other", []string{"a"}, nil)
	c.claimed(c.Journal, "run", nil, []string{"a"}) // It is the other's now.
	c.refused(c.claim(c.Journal, "run", []string{"a"}, nil), "a", c.key("other"))
	c.put(c.Journal, "other", batch.EntryDone) // Done releases nothing.
	c.refused(c.claim(c.Journal, "run", []string{"a"}, nil), "a", c.key("other"))
}

func journalReleasesFirst(c journalCase) {
	c.claimed(c.Journal, "run", []string{"a", "b"}, nil)
	c.claimed(c.Journal, "run", []string{"b", "c"}, []string{"a", "b"})
	c.claimed(c.Journal, "other", []string{"a"}, nil)
	c.refused(c.claim(c.Journal, "other", []string{"b"}, nil), "b", c.key("run"))
	c.refused(c.claim(c.Journal, "other", []string{"c"}, nil), "c", c.key("run"))
	// What a refused entry releases is not released.
	c.refused(c.claim(c.Journal, "run", []string{"a"}, []string{"b", "c"}), "a", c.key("other"))
	c.refused(c.claim(c.Journal, "other", []string{"b"}, nil), "b", c.key("run"))
}

func journalClaimsSurvive(c journalCase) {
	j := c.Journal
	for round := range 3 {
		released, kept := fmt.Sprint("released-", round), fmt.Sprint("kept-", round)
		c.claimed(j, "run", []string{released, kept}, nil)
		c.claimed(j, "run", nil, []string{released})
		j = c.reopen()
		c.refused(c.claim(j, "other", []string{kept}, nil), kept, c.key("run"))
		c.claimed(j, "other", []string{released}, nil)
		j = c.reopen()
		c.refused(c.claim(j, "run", []string{released}, nil), released, c.key("other"))
	}
}

func journalClaimsAll(c journalCase) {
	var names []string
	for n := range 1000 {
		names = append(names, fmt.Sprintf("name-%03d", n))
	}
	const taken = "name-700"
	c.claimed(c.Journal, "holder", []string{taken}, nil)
	c.claimed(c.Journal, "run", []string{"mine"}, nil)
	c.refused(c.claim(c.Journal, "run", names, []string{"mine"}), taken, c.key("holder"))
	c.expect(c.Journal, "run", batch.EntryReconciled)
	c.refused(c.claim(c.Journal, "other", []string{"mine"}, nil), "mine", c.key("run"))
	free := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == taken })
	c.claimed(c.Journal, "other", free, nil)
	for _, name := range []string{free[0], free[500], free[998]} {
		c.refused(c.claim(c.Journal, "run", []string{name}, nil), name, c.key("other"))
	}
	c.claimed(c.Journal, "other", nil, free)
	c.claimed(c.Journal, "run", free, nil)
}

func journalClaimsAcrossAccounts(c journalCase) {
	other := batch.Info{Name: c.Owner.Name + "-other", Account: "beside"}
	beside := c.beside(other)
	theirs := batch.Key{Provider: other.Name, Account: other.Account, Reference: "run"}
	e := entry(1, batch.EntryIntent)
	e.Claims = []string{"a"}
	c.claimed(c.Journal, "run", []string{"a"}, nil)
	c.refused(beside.Append(c.Context(), theirs, e), "a", c.key("run"))
	release := entry(1, batch.EntryIntent)
	release.Releases = []string{"a"}
	if err := beside.Append(c.Context(), theirs, release); err != nil {
		c.Fatalf("releasing a name of another account: %v; it must have no effect", err)
	}
	e.Seq = 2
	c.refused(beside.Append(c.Context(), theirs, e), "a", c.key("run"))
	c.claimed(c.Journal, "run", nil, []string{"a"})
	if err := beside.Append(c.Context(), theirs, e); err != nil {
		c.Fatalf("claiming a name that another account has released: %v", err)
	}
	c.refused(c.claim(c.Journal, "run", []string{"a"}, nil), "a", theirs)
}

// done appends an intent and the end of it, some days after the first day.
func (c journalCase) done(reference string, days int, claims ...string) []batch.Entry {
	c.Helper()
	d := batch.Draft{Reference: reference, Items: []batch.Item{{Reference: "a"}, {Reference: "b"}}}
	history := []batch.Entry{
		{Seq: 1, Kind: batch.EntryIntent, Draft: &d, Claims: claims},
		{Seq: 2, Kind: batch.EntryDone, Batch: &batch.Batch{ID: "7", Draft: d}},
	}
	for _, e := range history {
		e.At = firstDay.AddDate(0, 0, days)
		if err := c.Journal.Append(c.Context(), c.key(reference), e); err != nil {
			c.Fatalf("%v", err)
		}
	}
	return c.history(c.Journal, reference)
}

var firstDay = time.Date(2026, 3, 4, 5, 6, 7, 8000, time.UTC)

// prune prunes what was done before a day, and returns what it has archived.
func (c journalCase) prune(j batch.Journal, days int) (archived []string, pruned int) {
	c.Helper()
	pruned, err := j.(Pruner).Prune(c.Context(), firstDay.AddDate(0, 0, days), func(h batch.History) error {
		archived = append(archived, h.Key.Reference)
		return nil
	})
	if err != nil {
		c.Fatalf("%v", err)
	}
	slices.Sort(archived)
	return archived, pruned
}

// gone reports whether the history of reference was removed.
func (c journalCase) gone(j batch.Journal, reference string) bool {
	c.Helper()
	history, err := j.History(c.Context(), c.key(reference))
	switch {
	case errors.Is(err, batch.ErrConflict) && len(history) == 0:
		return true
	case err != nil || len(history) == 0:
		c.Errorf("the history of %q is %d entries, %v; it must be there, or be ErrConflict", reference,
			len(history), err)
	}
	return false
}

func journalPrunesOld(c journalCase) {
	c.done("old", 0)
	c.done("older", -100)
	c.done("new", 3)
	c.done("edge", 2) // Not before the time.
	c.done("again", 0)
	at := entry(3, batch.EntryReconciled)
	at.At = firstDay
	if err := c.Journal.Append(c.Context(), c.key("again"), at); err != nil {
		c.Fatalf("%v", err)
	}
	at.Seq, at.Kind = 1, batch.EntryIntent
	if err := c.Journal.Append(c.Context(), c.key("open"), at); err != nil {
		c.Fatalf("%v", err)
	}
	if archived, pruned := c.prune(c.Journal, 2); !slices.Equal(archived, []string{"old", "older"}) || pruned != 2 {
		c.Errorf("%d were pruned, and archived were %v; done and old are old and older", pruned, archived)
	}
	check := func(j batch.Journal) {
		for reference, want := range map[string]bool{"old": true, "older": true, "new": false, "edge": false,
			"again": false, "open": false} {
			if got := c.gone(j, reference); got != want {
				c.Errorf("that %q was removed is said to be %v; it must be %v", reference, got, want)
			}
		}
	}
	check(c.Journal)
	c.expect(c.Journal, "again", batch.EntryIntent, batch.EntryDone, batch.EntryReconciled)
	if archived, pruned := c.prune(c.Journal, 2); len(archived) != 0 || pruned != 0 {
		c.Errorf("pruned again were %d, and archived %v; nothing is left to prune", pruned, archived)
	}
	if c.reopen != nil {
		check(c.reopen())
	}
}

func journalArchivesFirst(c journalCase) {
	want := map[string][]batch.Entry{"a": c.done("a", 0), "b": c.done("b", 0), "c": c.done("c", 0),
		"a-on": c.done("a-on", 0)}
	full := errors.New("the archive is full")
	var archived []string
	pruned, err := c.Journal.(Pruner).Prune(c.Context(), firstDay.AddDate(0, 0, 1), func(h batch.History) error {
		reference := h.Key.Reference
		if reference == "a-on" {
			c.put(c.Journal, "a-on", batch.EntryReconciled, batch.EntryDone)
			return nil
		}
		if !reflect.DeepEqual(h.Entries, want[reference]) {
			c.Errorf("%q is archived as\n%+v\nand was\n%+v", reference, plain(h.Entries), plain(want[reference]))
		}
		if c.gone(c.Journal, reference) {
			c.Errorf("%q was removed before it was archived", reference)
		}
		if len(archived) == 2 {
			return full
		}
		archived = append(archived, reference)
		return nil
	})
	if !errors.Is(err, full) {
		c.Errorf("where the archive gave an error, Prune returned %v", err)
	}
	if pruned != 2 {
		c.Errorf("two histories were archived and did not go on, and %d were pruned", pruned)
	}
	for _, reference := range []string{"a", "b", "c"} {
		if got, want := c.gone(c.Journal, reference), slices.Contains(archived, reference); got != want {
			c.Errorf("%q: that it was archived is %v, and that it was removed is %v", reference, want, got)
		}
	}
	if c.gone(c.Journal, "a-on") {
		c.Errorf("a history that went on while it was archived was removed")
	}
}

func journalPrunedStaysUsed(c journalCase) {
	c.done("run", 0)
	c.prune(c.Journal, 1)
	check := func(j batch.Journal) {
		if !c.gone(j, "run") {
			c.Errorf("a history that is done and old was not removed")
		}
		for seq := range 5 {
			if err := j.Append(c.Context(), c.key("run"), entry(seq, batch.EntryIntent)); !errors.Is(err,
				batch.ErrConflict) {
				c.Errorf("entry %d of a reference that was pruned was answered %v; it must be ErrConflict", seq, err)
			}
		}
		for open, err := range j.Open(c.Context(), c.Owner.Name, c.Owner.Account) {
			if err != nil || open.Key.Reference == "run" {
				c.Errorf("open is said to be %v, %v", open.Key, err)
			}
		}
	}
	check(c.Journal)
	c.put(c.Journal, "other", batch.EntryIntent) // The journal goes on.
	if c.reopen != nil {
		check(c.reopen())
	}
}

func journalPruneKeeps(c journalCase) {
	c.done("run", 0, "kept")
	n, err := c.Journal.Next(c.Context(), "ids", 100)
	if err != nil {
		c.Fatalf("%v", err)
	}
	c.prune(c.Journal, 1)
	check := func(j batch.Journal) {
		c.refused(c.claim(j, "other", []string{"kept"}, nil), "kept", c.key("run"))
		next, err := j.Next(c.Context(), "ids", 100)
		if err != nil || next <= n {
			c.Errorf("after the number %d comes %d, %v", n, next, err)
		}
		n = next
	}
	check(c.Journal)
	if c.reopen != nil {
		check(c.reopen())
	}
}

// life is a history that names the account of an item wherever a history can.
func life(reference, account, fingerprint string, extra map[string]string, end batch.EntryKind) []batch.Entry {
	item := batch.Item{Reference: "a", Account: account, Amount: batch.Money{Minor: 5, Currency: "GBP"},
		Purpose: "INV-1",
		Labels:  map[string]string{"site": "north"}, Extra: extra}
	other := batch.Item{Reference: "b", Account: "other-1", Extra: map[string]string{"name": "Other"}}
	d := batch.Draft{Reference: reference, Items: []batch.Item{item, other}}
	b := batch.Batch{ID: "7-" + reference, Draft: d, Native: "REFUSED " + account}
	return []batch.Entry{
		{Seq: 1, Kind: batch.EntryIntent, At: firstDay, Draft: &d, Fingerprint: fingerprint,
			Claims: []string{"purpose of " + reference}},
		{Seq: 2, Kind: batch.EntryResult, At: firstDay, Step: batch.StepCreate, Batch: &b,
			Failure: &batch.Failure{Kind: batch.ErrInvalid, Message: "account " + account +
				" is closed, as is " + account}},
		{Seq: 3, Kind: batch.EntryApproval, At: firstDay, Approval: &batch.Approval{Operator: "o", Digest: fingerprint,
			At: firstDay}},
		{Seq: 4, Kind: batch.EntryNote, At: firstDay, Note: &batch.Note{Operator: "o", Text: "asked about " + account,
			Due: firstDay, At: firstDay}},
		{Seq: 5, Kind: batch.EntryDecision, At: firstDay, Decision: &batch.Decision{Verdict: batch.Resend,
			Operator: "o", Reason: "of " + account, At: firstDay}},
		{Seq: 6, Kind: end, At: firstDay, Batch: &b, Outcomes: &batch.ItemOutcomes{Letters: "pf"}},
	}
}

// lived appends a history, whose item has an account.
func (c journalCase) lived(reference, account string, end batch.EntryKind) {
	c.Helper()
	for _, e := range life(reference, account, "sha256:00", map[string]string{"name": "Ann " + account}, end) {
		if err := c.Journal.Append(c.Context(), c.key(reference), e); err != nil {
			c.Fatalf("%v", err)
		}
	}
}

// erase erases the account person-1.
func (c journalCase) erase() (references []string, err error) {
	erased, err := c.Journal.(Eraser).Erase(c.Context(), func(item batch.Item) bool {
		return item.Account == "person-1"
	})
	for _, key := range erased {
		if key != c.key(key.Reference) {
			c.Errorf("the key %v was erased; it must be one of %s", key, c.Owner.Account)
		}
		references = append(references, key.Reference)
	}
	slices.Sort(references)
	return references, err
}

func journalErases(c journalCase) {
	const person = "person-1"
	c.lived("paid", person, batch.EntryDone)
	c.lived("also", person, batch.EntryDone)
	c.lived("open", person, batch.EntryReconciled)
	c.lived("else", "person-2", batch.EntryDone)
	erased, err := c.erase()
	if !slices.Equal(erased, []string{"also", "paid"}) {
		c.Errorf("erased are %q; they must be also and paid", erased)
	}
	if !errors.Is(err, batch.ErrConflict) || !strings.Contains(err.Error(), "open") {
		c.Errorf("the error is %v; it must be ErrConflict, which names the batch that is open", err)
	}
	extra := func(account string) map[string]string { return map[string]string{"name": "Ann " + account} }
	check := func(j batch.Journal) {
		for reference, want := range map[string][]batch.Entry{
			"paid": life("paid", batch.Erased, batch.Erased, nil, batch.EntryDone),
			"also": life("also", batch.Erased, batch.Erased, nil, batch.EntryDone),
			"open": life("open", person, "sha256:00", extra(person), batch.EntryReconciled),
			"else": life("else", "person-2", "sha256:00", extra("person-2"), batch.EntryDone),
		} {
			if got := c.history(j, reference); !reflect.DeepEqual(got, want) {
				c.Errorf("after Erase the entries of %q are\n%+v\nand must be\n%+v", reference, plain(got), plain(want))
			}
		}
	}
	check(c.Journal)
	if c.reopen != nil {
		c.Journal = c.reopen()
		check(c.Journal)
	}
}

func journalEraseKeeps(c journalCase) {
	c.lived("paid", "person-1", batch.EntryDone)
	if erased, err := c.erase(); err != nil || !slices.Equal(erased, []string{"paid"}) {
		c.Errorf("erased are %q, %v; it must be paid", erased, err)
	}
	if erased, err := c.erase(); err != nil || len(erased) != 0 {
		c.Errorf("erased again are %q, %v; nothing is left to erase", erased, err)
	}
	check := func() {
		c.refused(c.claim(c.Journal, "rival", []string{"purpose of paid"}, nil), "purpose of paid", c.key("paid"))
		closed := 0
		for h, err := range c.Journal.Closed(c.Context(), c.Owner.Name, c.Owner.Account, firstDay) {
			if closed++; err != nil || h.Key != c.key("paid") {
				c.Errorf("closed is said to be %v, %v; it must be paid", h.Key, err)
			}
		}
		if closed != 1 {
			c.Errorf("%d histories are said to be closed; it must be one", closed)
		}
	}
	check()
	if c.reopen != nil {
		c.Journal = c.reopen()
		check()
	}
	c.claimed(c.Journal, "paid", []string{"more"}, []string{"purpose of paid"})
	c.claimed(c.Journal, "rival", []string{"purpose of paid"}, nil)
}
