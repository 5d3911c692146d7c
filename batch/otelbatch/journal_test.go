package otelbatch_test

import (
	"context"
	"fmt"
	"io"
	"iter"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchtest"
	"github.com/batchway/batchway-go/batch/boltjournal"
	"github.com/batchway/batchway-go/batch/otelbatch"
)

func TestPromisesHoldForAWrappedJournal(t *testing.T) {
	owner := batch.Info{Name: "test", Account: "sandbox.test/1"}
	batchtest.RunJournal(t, func(t *testing.T) batchtest.JournalSubject {
		journal := otelbatch.WrapJournal(batch.NewMemoryJournal(), record(t).options...)
		return batchtest.JournalSubject{Journal: journal, Owner: owner, AnyAccount: true}
	})
}

// What the journal keeps is counted once, however often it is reported, and what
// changes later is counted again as what it is now.
func TestItemsAndMoneyAreCountedOnce(t *testing.T) {
	for name, open := range map[string]func(t *testing.T, p batch.Provider) batch.Journal{
		"memory": func(*testing.T, batch.Provider) batch.Journal { return batch.NewMemoryJournal() },
		"bolt": func(t *testing.T, p batch.Provider) batch.Journal {
			j := must(boltjournal.Open(filepath.Join(t.TempDir(), "journal"), p.Info()))
			t.Cleanup(func() { _ = j.Close() })
			return j
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const (
					items    = "batchway.items batchway.account=memory "
					money    = "batchway.money batchway.account=memory batchway.currency=GBP "
					failed   = "batchway.outcome=failed batchway.provider=memory"
					paid     = "batchway.outcome=paid batchway.provider=memory"
					returned = "batchway.outcome=returned batchway.provider=memory"
				)
				r := record(t)
				memory := batchtest.NewMemory(batchtest.MemoryOptions{Polls: 1})
				memory.SetOutcome("inv-2", batch.OutcomeFailed)
				provider := otelbatch.Wrap(memory, r.options...)
				o := &batch.RunOptions{Journal: otelbatch.WrapJournal(open(t, memory), r.options...)}
				draft := collect("november")
				draft.Author, draft.Approvals = "eve", 1

				_, err := batch.Start(t.Context(), provider, draft, o)
				require.ErrorIs(t, err, batch.ErrConflict, "it waits for an approval")
				time.Sleep(time.Hour)
				approve(t, memory, o.Journal)
				_, err = batch.Start(t.Context(), provider, draft, o)
				require.NoError(t, err)
				require.Contains(t, r.points("batchway.items"), items+paid+": 0",
					"a counter is there before its first increase")
				time.Sleep(36 * time.Hour)
				for range 3 {
					for _, err := range batch.Settle(t.Context(), provider, o) {
						require.NoError(t, err)
					}
					_, err = batch.Run(t.Context(), provider, draft, o)
					require.NoError(t, err)
				}
				nonzero := func(prefix string) (lines []string) {
					for _, line := range r.points(prefix) {
						if line[len(line)-3:] != ": 0" {
							lines = append(lines, line)
						}
					}
					return lines
				}
				check(t, []string{items + failed + ": 1", items + paid + ": 1"}, nonzero("batchway.items"))
				check(t, []string{money + failed + ": 3333", money + paid + ": 7801"}, nonzero("batchway.money"))

				memory.SetOutcome("inv-1", batch.OutcomeReturned) // It bounces, at the same time by the clock.
				for range 2 {
					for _, err := range batch.NewDesk(provider, o.Journal).Review(t.Context(), time.Time{}) {
						require.NoError(t, err)
					}
				}
				check(t, []string{money + failed + ": 3333", money + paid + ": 7801", money + returned + ": 7801"},
					nonzero("batchway.money"))
				check(t, []string{line("batchway.batch.time_to_final", "batchway.account=memory",
					"batchway.batch.state=done",
					"batchway.provider=memory") + ": 1 in 129600s"}, nonzero("batchway.batch"))
				require.Empty(t, nonzero("batchway.journal"))
			})
		})
	}
}

// approve approves all that is open.
func approve(t *testing.T, p batch.Provider, j batch.Journal) {
	t.Helper()
	desk := batch.NewDesk(p, j)
	for d, err := range desk.Pending(t.Context()) {
		require.NoError(t, err)
		require.NoError(t, desk.Approve(t.Context(), d.Key.Reference,
			batch.Approval{Operator: "ada", Digest: d.Digest}))
	}
}

// A batch that is given up has no outcomes, and no time to its end.
func TestAnAbandonedBatchCountsNothing(t *testing.T) {
	r := record(t)
	memory := batchtest.NewMemory(batchtest.MemoryOptions{})
	journal := otelbatch.WrapJournal(batch.NewMemoryJournal(), r.options...)
	memory.Break(batchtest.Refused)
	_, err := batch.Start(t.Context(), memory, collect("november"), &batch.RunOptions{Journal: journal})
	require.Error(t, err)
	abandon := batch.Decision{Verdict: batch.Abandon, Operator: "ada", Reason: "a test"}
	b, err := batch.NewDesk(memory, journal).Resolve(t.Context(), "november", abandon)
	require.NoError(t, err)
	require.Equal(t, batch.StateCanceled, b.State)
	require.Len(t, r.points("batchway.items"), 6)
	for _, line := range r.points("batchway.items") {
		require.Regexp(t, ": 0$", line)
	}
	require.Empty(t, r.points("batchway.batch.time_to_final"))
}

// A process that only settles has seen no intent: the counters are there since it
// listed the open batches.
func TestListingMakesTheCounters(t *testing.T) {
	r := record(t)
	memory, journal := batchtest.NewMemory(batchtest.MemoryOptions{Polls: -1}), batch.NewMemoryJournal()
	draft := collect("november")
	_, err := batch.Start(t.Context(), memory, draft, &batch.RunOptions{Journal: journal})
	require.NoError(t, err)
	for _, err := range batch.Settle(t.Context(), memory,
		&batch.RunOptions{Journal: otelbatch.WrapJournal(journal, r.options...)}) {
		require.NoError(t, err)
	}
	require.Len(t, r.points("batchway.money"), 6)
}

// broken fails every call with err.
type broken struct{ err error }

func (b broken) Lock(context.Context, batch.Key) (func(), error)           { return nil, b.err }
func (b broken) History(context.Context, batch.Key) ([]batch.Entry, error) { return nil, b.err }
func (b broken) Append(context.Context, batch.Key, batch.Entry) error      { return b.err }
func (b broken) Next(context.Context, string, int64) (int64, error)        { return 0, b.err }
func (b broken) Now(context.Context) (time.Time, error)                    { return time.Time{}, b.err }
func (b broken) Open(context.Context, string, string) iter.Seq2[batch.History, error] {
	return func(yield func(batch.History, error) bool) { yield(batch.History{}, b.err) }
}
func (b broken) Closed(ctx context.Context, provider, account string, _ time.Time) iter.Seq2[batch.History, error] {
	return b.Open(ctx, provider, account)
}

// use makes every call once, each of which must return err itself.
func use(t *testing.T, ctx context.Context, j batch.Journal, want error) {
	t.Helper()
	var errs []error
	heard := func(err error) { errs = append(errs, err) }
	_, err := j.Lock(ctx, batch.Key{})
	heard(err)
	_, err = j.History(ctx, batch.Key{})
	heard(err)
	heard(j.Append(ctx, batch.Key{}, batch.Entry{Kind: batch.EntryDone, Outcomes: &batch.ItemOutcomes{}}))
	for _, err := range j.Open(ctx, "", "") {
		heard(err)
	}
	for _, err := range j.Closed(ctx, "", "", time.Time{}) {
		heard(err)
	}
	_, err = j.Next(ctx, "", 0)
	heard(err)
	_, err = j.(batch.Clock).Now(ctx)
	heard(err)
	require.Len(t, errs, 7)
	for _, err := range errs {
		require.Equal(t, want, err)
	}
}

func TestFailuresOfTheJournalAreCounted(t *testing.T) {
	failures := func(r *recorder) (lines []string) {
		for _, line := range r.points("batchway.journal.failures") {
			lines = append(lines, line[len("batchway.journal.failures batchway.op="):])
		}
		return lines
	}
	const all = "Append: 1|Closed: 1|History: 1|Lock: 1|Next: 1|Now: 1|Open: 1"
	none := strings.Split(strings.ReplaceAll(all, "1", "0"), "|")
	ended, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	for name, c := range map[string]struct {
		ctx  context.Context
		err  error
		want []string
	}{
		"a disk": {t.Context(), io.ErrShortWrite, strings.Split(all, "|")},
		"a slow database": {ended, context.DeadlineExceeded,
			strings.Split(strings.Replace(all, "Lock: 1", "Lock: 0", 1), "|")},
		"a caller that left": {t.Context(), fmt.Errorf("reading: %w", context.Canceled), none},
		"another writer":     {t.Context(), &batch.Error{Kind: batch.ErrConflict}, none},
		"a claimed name":     {t.Context(), &batch.ClaimedError{Name: "batch 7"}, none},
		"another account":    {t.Context(), &batch.Error{Kind: batch.ErrInvalid}, none},
	} {
		t.Run(name, func(t *testing.T) {
			r := record(t)
			j := otelbatch.WrapJournal(broken{c.err}, r.options...)
			check(t, none, failures(r))
			use(t, c.ctx, j, c.err)
			check(t, c.want, failures(r))
		})
	}
}

// A journal has a clock if the one below has: how old a Submit is depends on it.
func TestTheClockOfAJournalStays(t *testing.T) {
	_, ok := otelbatch.WrapJournal(batch.NewMemoryJournal()).(batch.Clock)
	require.False(t, ok)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	now, err := otelbatch.WrapJournal(clocked{batch.NewMemoryJournal(), at}).(batch.Clock).Now(t.Context())
	require.NoError(t, err)
	require.Equal(t, at, now)
}

type clocked struct {
	batch.Journal
	at time.Time
}

func (c clocked) Now(context.Context) (time.Time, error) { return c.at, nil }

func TestGaugesShowWhatIsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := record(t)
		memory, journal := batchtest.NewMemory(batchtest.MemoryOptions{Polls: -1}), batch.NewMemoryJournal()
		start := func(reference string, approvals int) {
			draft := collect(reference)
			draft.Author, draft.Approvals = "eve", approvals
			_, err := batch.Start(t.Context(), memory, draft,
				&batch.RunOptions{Journal: journal, ReconcileFor: time.Second})
			t.Log(reference, err)
		}
		registration, err := otelbatch.Observe(memory, journal, r.options...)
		require.NoError(t, err)
		gauges := func() (lines []string) {
			for _, line := range r.points("batchway.batches") {
				lines = append(lines, line[len("batchway.batches."):])
			}
			return lines
		}
		want := func(open, age string) (lines []string) {
			for n, standing := range []string{"draft", "intended", "submitted", "unclear", "unreadable"} {
				about := " batchway.account=memory batchway.provider=memory batchway.standing=" + standing + ": "
				lines = append(lines, "open"+about+strings.Fields(open)[n])
				if standing != "unreadable" {
					lines = append(lines, "age"+about+strings.Fields(age)[n])
				}
			}
			slices.Sort(lines)
			return lines
		}
		check(t, want("0 0 0 0 0", "0 0 0 0"), gauges())

		start("first", 1)
		time.Sleep(time.Hour)
		check(t, want("1 0 0 0 0", "3600 0 0 0"), gauges())
		approve(t, memory, journal)
		start("first", 1)
		time.Sleep(time.Hour)
		start("second", 0)
		start("waiting", 1)
		memory.Break(batchtest.LostAfter)
		memory.FailReads(100, &batch.Error{Kind: batch.ErrUnavailable})
		start("unclear", 0)
		future := batch.Entry{Seq: 1, Kind: "of a later version", At: time.Now()}
		for _, account := range []string{"memory", "another"} {
			key := batch.Key{Provider: "memory", Account: account, Reference: "unreadable"}
			require.NoError(t, journal.Append(t.Context(), key, future))
		}
		time.Sleep(time.Minute)
		check(t, want("1 0 2 1 1", "60 0 3660 60"), gauges())

		start("later", 0)
		time.Sleep(59 * time.Second)
		check(t, want("1 0 2 1 1", "119 0 3719 119"), gauges()) // The journal is read once a minute.
		time.Sleep(time.Second)
		check(t, want("1 0 3 1 1", "120 0 3720 120"), gauges())

		require.NoError(t, registration.Unregister())
		require.Empty(t, gauges())
	})
}

// Half a list would look like fewer open batches.
func TestThereIsNoGaugeOfAJournalThatFails(t *testing.T) {
	r := record(t)
	memory := batchtest.NewMemory(batchtest.MemoryOptions{})
	_, err := otelbatch.Observe(memory, otelbatch.WrapJournal(broken{io.ErrUnexpectedEOF}, r.options...), r.options...)
	require.NoError(t, err)
	var data metricdata.ResourceMetrics
	require.ErrorIs(t, r.reader.Collect(t.Context(), &data), io.ErrUnexpectedEOF)
	var lines []string
	for _, scope := range data.ScopeMetrics {
		for _, m := range scope.Metrics {
			lines = append(lines, pointsOf(m)...)
		}
	}
	require.Len(t, lines, 7, "only the counter of failures")
	require.Contains(t, lines, "batchway.journal.failures batchway.op=Open: 1")
}
