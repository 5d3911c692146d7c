package batch_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
)

// A counting is a teller that polls a hundred batches with one request.
type counting struct {
	*teller
	requests int
	pages    []int            // how many batches each bulk request is about
	odd      map[string]error // of single polls, by reference: the bulk request leaves these out
	down     error            // of every bulk request
	final    bool             // every batch is done
}

func (s *counting) Poll(ctx context.Context, b batch.Batch) (batch.Batch, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	if err := s.odd[b.Draft.Reference]; err != nil {
		return b, err
	}
	return s.seen(b), nil
}

func (s *counting) seen(b batch.Batch) batch.Batch {
	if b.State = batch.StatePending; s.final {
		b.State = batch.StateDone
	}
	return b
}

func (s *counting) PollAll(ctx context.Context, bs []batch.Batch) ([]batch.Batch, error) {
	s.mu.Lock()
	s.pages = append(s.pages, len(bs))
	s.mu.Unlock()
	out, failed := append([]batch.Batch{}, bs...), batch.PollErrors{}
	var alone []int
	for n, b := range bs {
		if n%100 == 0 {
			s.mu.Lock()
			s.requests++
			s.mu.Unlock()
		}
		if s.down != nil {
			return out, s.down
		}
		if s.odd[b.Draft.Reference] != nil {
			alone = append(alone, n)
		} else {
			out[n] = s.seen(b)
		}
	}
	failed.PollEach(ctx, s, out, alone)
	return out, failed.Err()
}

// opened is a journal with n batches under way.
func opened(t *testing.T, p batch.Provider, n int) *batch.RunOptions {
	t.Helper()
	o := &batch.RunOptions{Journal: batch.NewMemoryJournal()}
	for i := range n {
		d := oneItem()
		d.Reference = fmt.Sprintf("run-%d", i)
		b, err := batch.Start(t.Context(), p, d, o)
		require.NoError(t, err)
		require.Equal(t, batch.StatePending, b.State)
	}
	return o
}

func settle(t *testing.T, p batch.Provider, o *batch.RunOptions) (states map[batch.State]int, errs map[string]error) {
	t.Helper()
	states, errs = make(map[batch.State]int), make(map[string]error)
	for r, err := range batch.Settle(t.Context(), p, o) {
		if states[r.Batch.State]++; err != nil {
			errs[r.Batch.Draft.Reference] = err
		} else if r.Batch.State.Final() {
			require.Len(t, r.Results, 1)
		}
	}
	return states, errs
}

// Ten thousand open batches cost a hundred requests, and a batch that is odd
// costs its own and delays no other.
func TestSettleNeedsFewRequests(t *testing.T) {
	const n = 6000
	s := &counting{teller: newTeller("ok")}
	o := opened(t, s, n)
	states, errs := settle(t, s, o)
	require.Equal(t, map[batch.State]int{batch.StatePending: n}, states)
	require.Empty(t, errs)
	require.Equal(t, n/100, s.requests)
	require.Equal(t, []int{5000, 1000}, s.pages)
	require.Equal(t, n, s.submits, "Settle submits nothing")

	s.odd = map[string]error{
		"run-7":    &batch.Error{Kind: batch.ErrNotFound},
		"run-77":   &batch.Error{Kind: batch.ErrThrottled, RetryAfter: time.Hour},
		"run-777":  &batch.Error{Kind: batch.ErrUnavailable},
		"run-5777": &batch.Error{Kind: batch.ErrProtocol},
	}
	s.requests, s.final = 0, true
	states, errs = settle(t, s, o)
	require.Equal(t, map[batch.State]int{batch.StateDone: n - 4, batch.StatePending: 4}, states)
	require.Len(t, errs, 4)
	require.ErrorIs(t, errs["run-7"], batch.ErrProtocol, "ErrNotFound would speak of the journal")
	require.ErrorIs(t, errs["run-77"], batch.ErrThrottled)
	require.LessOrEqual(t, s.requests, n/100+4)
	require.Len(t, pending(t, s, o.Journal), 4)
	s.odd = nil
	states, errs = settle(t, s, o)
	require.Equal(t, map[batch.State]int{batch.StateDone: 4}, states)
	require.Empty(t, errs)
	require.Empty(t, pending(t, s, o.Journal))

	o = opened(t, s, 300)
	s.down, s.requests = &batch.Error{Kind: batch.ErrThrottled}, 0
	states, errs = settle(t, s, o)
	require.Equal(t, map[batch.State]int{batch.StatePending: 300}, states)
	require.Len(t, errs, 300)
	require.Equal(t, 1, s.requests, "a service that wants no more requests gets none")
}

// Whatever stands in the journal is yielded once, with what is true of it.
func TestSettleYieldsEveryOpenBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTeller("ok", "applied and lost", "lost", "refused", "ok")
		s.polls["arrived"] = 5
		o := &batch.RunOptions{Journal: batch.NewMemoryJournal(), ReconcileFor: time.Nanosecond}
		for _, reference := range []string{"taken", "arrived", "lost", "draft"} {
			d := oneItem()
			d.Reference = reference
			if reference == "arrived" {
				s.mu.Lock()
				s.down = 1 // The read that follows it fails, too.
				s.mu.Unlock()
			}
			_, _ = batch.Start(t.Context(), s, d, o)
		}
		got := make(map[string]string)
		for r, err := range batch.Settle(t.Context(), s, o) {
			got[r.Batch.Draft.Reference] += fmt.Sprintf("%s %s %d;", r.Batch.State, batch.KindOf(err), len(r.Results))
		}
		require.Equal(t, map[string]string{
			"taken":   "pending  0;",
			"arrived": "done  1;",
			"lost":    " ambiguous 0;",
			"draft":   "draft  0;",
		}, got)
		require.Equal(t, 4, s.submits)
	})
}

// Many workers settle at once: each batch is closed once.
func TestManyWorkersSettle(t *testing.T) {
	s := &counting{teller: newTeller("ok"), final: true}
	o := opened(t, s, 200)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for r, err := range batch.Settle(t.Context(), s, o) {
				if err != nil || !r.Batch.State.Final() {
					t.Errorf("%s: %q, %v", r.Batch.Draft.Reference, r.Batch.State, err)
				}
			}
		})
	}
	wg.Wait()
	for n := range 200 {
		require.Len(t, closings(t, s, o.Journal, fmt.Sprintf("run-%d", n)), 1)
	}
}

// A crash at any write of Start or Settle leaves a journal that the next calls
// bring to its end, and money moves once.
func TestStartAndSettleSurviveACrashAtEveryWrite(t *testing.T) {
	for _, word := range []string{"ok", "applied and lost"} {
		for at := range 9 {
			synctest.Test(t, func(t *testing.T) {
				s, memory := newTeller(word), batch.NewMemoryJournal()
				broken := &batch.RunOptions{Journal: &failing{Journal: memory, at: at}, ReconcileFor: time.Nanosecond}
				_, _ = batch.Start(t.Context(), s, oneItem(), broken)
				for _, err := range batch.Settle(t.Context(), s, broken) {
					_ = err // The next ones must work.
				}
				whole := &batch.RunOptions{Journal: memory}
				_, err := batch.Start(t.Context(), s, oneItem(), whole)
				require.NoError(t, err)
				time.Sleep(time.Hour)
				for range 3 {
					for r, err := range batch.Settle(t.Context(), s, whole) {
						require.NoError(t, err, r.Batch.State)
					}
				}
				require.Empty(t, pending(t, s, memory))
				require.Equal(t, 1, s.moved())
			})
		}
	}
}

func TestStartNeedsAJournal(t *testing.T) {
	s := newTeller("ok")
	b, err := batch.Start(t.Context(), s, oneItem(), nil)
	require.ErrorIs(t, err, batch.ErrInvalid)
	require.ErrorContains(t, err, "the journal: is nil")
	require.Equal(t, batch.StateDraft, b.State)
	_, err = batch.Start(t.Context(), s, batch.Draft{}, &batch.RunOptions{Journal: batch.NewMemoryJournal()})
	require.ErrorIs(t, err, batch.ErrInvalid)
	require.Zero(t, s.submits)
}

// A batch that another call is at work on delays no other.
func TestSettleWaitsForNoOtherCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTeller("lost", "lost", "lost")
		o := &batch.RunOptions{Journal: batch.NewMemoryJournal(), ReconcileFor: time.Nanosecond}
		for _, reference := range []string{"a", "b", "c"} {
			d := oneItem()
			d.Reference = reference
			_, err := batch.Start(t.Context(), s, d, o)
			require.ErrorIs(t, err, batch.ErrAmbiguous)
		}
		unlock, err := o.Journal.Lock(t.Context(), batch.Key{Provider: "teller", Account: "test/1", Reference: "b"})
		require.NoError(t, err)
		defer unlock()
		began := time.Now()
		_, errs := settle(t, s, o)
		require.Less(t, time.Since(began), time.Minute)
		require.Len(t, errs, 3)
		require.ErrorIs(t, errs["a"], batch.ErrAmbiguous)
		require.ErrorIs(t, errs["b"], batch.ErrUnavailable)
		require.ErrorContains(t, errs["b"], "another call is at work on this batch")
		require.ErrorIs(t, errs["c"], batch.ErrAmbiguous)
		_, errs = settle(t, s, &batch.RunOptions{Journal: unlockable{o.Journal}})
		require.ErrorIs(t, errs["a"], errDisk)
		require.ErrorContains(t, errs["a"], "the journal failed")
	})
}

func TestSettleAsksNothingUnderOtherTerms(t *testing.T) {
	s := &counting{teller: newTeller("ok")}
	o := opened(t, s, 10)
	s.info.Terms = map[string]string{"merchant": "2"}
	_, errs := settle(t, s, o)
	require.Len(t, errs, 10)
	require.ErrorContains(t, errs["run-3"], "belongs to other terms")
	require.Zero(t, s.requests)
}

func TestSettleEndsWithItsContext(t *testing.T) {
	s := &counting{teller: newTeller("ok")}
	o := opened(t, s, 10)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	n := 0
	for r, err := range batch.Settle(ctx, s, o) {
		if n++; r.Batch.Draft.Reference == "" {
			require.ErrorIs(t, err, context.Canceled)
		}
	}
	require.Equal(t, 1, n)
	require.Zero(t, s.requests)

	n = 0
	for _, err := range batch.Settle(t.Context(), s, o) {
		require.NoError(t, err)
		if n++; n == 3 {
			break
		}
	}
	require.Equal(t, 3, n)
}

// The requests and the memory of Settle are those of its pages.
func BenchmarkSettle(b *testing.B) {
	for _, n := range []int{10_000, 20_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := &counting{teller: newTeller("ok")}
			o := &batch.RunOptions{Journal: batch.NewMemoryJournal()}
			for i := range n {
				d := oneItem()
				d.Reference = fmt.Sprintf("run-%d", i)
				if _, err := batch.Start(b.Context(), s, d, o); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				s.requests = 0
				for _, err := range batch.Settle(b.Context(), s, o) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(s.requests), "requests")
		})
	}
}

// A listing is a journal whose list of open batches is as told.
type listing struct {
	batch.Journal
	list []batch.History
	errs map[int]error // by their place
}

func (j listing) Open(context.Context, string, string) iter.Seq2[batch.History, error] {
	return func(yield func(batch.History, error) bool) {
		for n, h := range j.list {
			if !yield(h, j.errs[n]) {
				return
			}
		}
	}
}

// Settle goes on after a history that cannot be read, ends with the journal's own
// error, and asks for nothing more once its caller has enough.
func TestSettleOfAListWithErrors(t *testing.T) {
	const under, unread, last = "pending ", "unavailable the history cannot be read",
		"unavailable the open batches cannot be listed"
	for name, c := range map[string]struct {
		words  []string // what came of the Submit of each; one word that is not in a script cannot be read
		enough int      // so many are taken
		want   []string
	}{
		"all can be read": {[]string{"ok", "lost"}, 9, []string{"ambiguous ", "pending "}},
		"a history cannot be read": {[]string{"unreadable", "ok", "lost"}, 9,
			[]string{unread, "ambiguous ", under}},
		"the list ends with an error":   {[]string{"ok", "no list", "lost"}, 9, []string{under, last}},
		"enough after one that is read": {[]string{"lost", "lost"}, 1, []string{"ambiguous "}},
		"enough after an error":         {[]string{"unreadable", "lost"}, 1, []string{unread}},
		"enough in the last page":       {[]string{"ok", "ok", "no list"}, 1, []string{under}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, j := newTeller("ok"), listing{Journal: batch.NewMemoryJournal(), errs: make(map[int]error)}
				s.info.Interval = time.Hour
				for n, word := range c.words {
					d := oneItem()
					d.Reference = fmt.Sprint("run-", n)
					key := batch.Key{Provider: "teller", Account: "test/1", Reference: d.Reference}
					switch word {
					case "no list":
						key, j.errs[n] = batch.Key{}, errDisk
					case "unreadable":
						j.errs[n] = errDisk
					default:
						before := newTeller(word)
						_, err := batch.Start(t.Context(), before, d,
							&batch.RunOptions{Journal: j.Journal, ReconcileFor: time.Second})
						require.Equal(t, word == "ok", err == nil)
						s.applied[d.Reference] = before.applied[d.Reference]
					}
					history, err := j.History(t.Context(), key)
					require.NoError(t, err)
					j.list = append(j.list, batch.History{Key: key, Entries: history})
				}
				var got []string
				for report, err := range batch.Settle(t.Context(), s, &batch.RunOptions{Journal: j}) {
					said := string(report.Batch.State) + " "
					var e *batch.Error
					if errors.As(err, &e) {
						said = string(e.Kind) + " " + strings.TrimPrefix(e.Message, "the journal failed: ")
						if e.Kind == batch.ErrAmbiguous {
							said = "ambiguous "
						}
					}
					if strings.HasSuffix(said, unread) {
						require.Equal(t, "run-0", report.Batch.Draft.Reference)
						require.Equal(t, batch.StateUnknown, report.Batch.State)
					}
					if got = append(got, said); len(got) == c.enough {
						break
					}
				}
				require.Equal(t, c.want, got)
			})
		})
	}
}

// Settle asks nothing about a batch whose history a newer version has written, or
// that was intended under other terms, whatever an earlier read has said.
func TestSettleAsksNothingAboutWhatItMayNotClose(t *testing.T) {
	t.Run("a newer version", func(t *testing.T) {
		s := &counting{teller: newTeller("ok"), final: true}
		o := opened(t, s, 1)
		key := batch.Key{Provider: "teller", Account: "test/1", Reference: "run-0"}
		require.NoError(t, o.Journal.Append(t.Context(), key, batch.Entry{Seq: 6, Kind: "future"}))
		_, errs := settle(t, s, o)
		require.ErrorContains(t, errs["run-0"], "newer version")
		require.Zero(t, s.requests)
	})
	t.Run("other terms", func(t *testing.T) {
		s, o := &deleted{teller: newTeller("ok")}, &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		_, err := batch.Run(t.Context(), s, oneItem(), o)
		require.ErrorIs(t, err, batch.ErrConflict)
		s.info.Terms = map[string]string{"merchant": "2"}
		states, errs := settle(t, s, o)
		require.ErrorContains(t, errs["run-1"], "belongs to other terms")
		require.Equal(t, map[batch.State]int{batch.StateCanceled: 1}, states)
		require.Zero(t, s.reports)
		s.info.Terms = nil
		states, errs = settle(t, s, o)
		require.Empty(t, errs)
		require.Equal(t, map[batch.State]int{batch.StateCanceled: 1}, states)
		require.Equal(t, 1, s.reports)
		require.Empty(t, pending(t, s, o.Journal))
		b, err := batch.NewDesk(s, o.Journal).Resolve(t.Context(), "run-1", decision(batch.Close))
		require.NoError(t, err, "what is closed can be explained")
		require.Equal(t, batch.StateCanceled, b.State)
	})
}

// deleted finds in Submit that another program has canceled the batch.
type deleted struct {
	*teller
	reports int
}

func (*deleted) Submit(_ context.Context, b batch.Batch) (batch.Batch, error) {
	b.State = batch.StateCanceled
	return b, &batch.Error{Kind: batch.ErrConflict, Provider: "teller", Op: "Submit"}
}

func (s *deleted) Report(_ context.Context, b batch.Batch) (batch.Report, error) {
	s.reports++
	return batch.NewReport(b, []batch.Result{{Item: b.Draft.Items[0], Outcome: batch.OutcomeSkipped}})
}

// The items of a page fit into memory.
func TestAPageOfSettleHasALimitOfItems(t *testing.T) {
	s := &counting{teller: newTeller("ok")}
	o := &batch.RunOptions{Journal: batch.NewMemoryJournal()}
	items := make([]batch.Item, 25_000)
	for n := range items {
		items[n] = batch.Item{Reference: fmt.Sprint("i-", n), Account: "acc", Amount: gbp(1)}
	}
	for n := range 3 {
		d := draft(items...)
		d.Reference = fmt.Sprint("run-", n)
		_, err := batch.Start(t.Context(), s, d, o)
		require.NoError(t, err)
	}
	states, errs := settle(t, s, o)
	require.Empty(t, errs)
	require.Equal(t, map[batch.State]int{batch.StatePending: 3}, states)
	require.Equal(t, 2, s.requests, "two batches have 50,000 items")
}
