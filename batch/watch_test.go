package batch_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
)

// scripted is a provider whose polls follow a script; the last line repeats.
type scripted struct {
	batch.Provider
	script []any // a State, or an error
	polls  int
	at     []time.Time
	info   batch.Info
}

func (s *scripted) Info() batch.Info { return s.info }

func (s *scripted) Poll(_ context.Context, b batch.Batch) (batch.Batch, error) {
	step := s.script[min(s.polls, len(s.script)-1)]
	s.polls++
	s.at = append(s.at, time.Now())
	if err, ok := step.(error); ok {
		if _, isState := step.(batch.State); !isState {
			return b, err
		}
	}
	b.State = step.(batch.State)
	return b, nil
}

func unavailable(after time.Duration) error {
	return &batch.Error{Kind: batch.ErrUnavailable, RetryAfter: after}
}

func TestWaitPollsUntilFinalAndBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pending := batch.StatePending
		p := &scripted{info: batch.Info{Interval: 10 * time.Second}, script: []any{pending, pending, pending, pending,
			pending, batch.StateFailed}}
		b, err := batch.Wait(t.Context(), p, batch.Batch{}, &batch.WatchOptions{MaxInterval: 20 * time.Second})
		require.NoError(t, err, "a failed batch is an answer, not an error")
		require.Equal(t, batch.StateFailed, b.State)
		require.Equal(t, 6, p.polls)
		for n, want := range []time.Duration{10, 15, 20, 20, 20} {
			want *= time.Second
			got := p.at[n+1].Sub(p.at[n])
			require.LessOrEqual(t, got, want)
			require.GreaterOrEqual(t, got, want-want/10)
		}
	})
}

func TestWaitForWeeks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		p := &scripted{info: batch.Info{Interval: time.Minute}}
		for range 10_000 {
			p.script = append(p.script, batch.StatePending)
		}
		p.script = append(p.script, batch.StateDone)
		_, err := batch.Wait(t.Context(), p, batch.Batch{}, nil)
		require.NoError(t, err)
		require.Greater(t, time.Since(start), 60*24*time.Hour)
	})
}

func TestWatchSurvivesFailuresThatPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &scripted{info: batch.Info{Interval: time.Second}, script: []any{
			unavailable(0), unavailable(time.Hour), &batch.Error{Kind: batch.ErrProtocol}, batch.StatePending,
			unavailable(0), batch.StateDone}}
		var heard int
		b, err := batch.Wait(t.Context(), p, batch.Batch{ID: "7"},
			&batch.WatchOptions{OnFailure: func(b batch.Batch, err error) {
				heard++
				require.Equal(t, "7", b.ID)
				require.Error(t, err)
			}})
		require.NoError(t, err)
		require.Equal(t, batch.StateDone, b.State)
		require.Equal(t, 4, heard)
		require.GreaterOrEqual(t, p.at[2].Sub(p.at[1]), time.Hour, "the service asked for an hour")
	})
}

func TestWatchGivesUp(t *testing.T) {
	for name, c := range map[string]struct {
		script []any
		polls  int
		kind   batch.Kind
	}{
		"after MaxFailures in a row": {[]any{batch.StatePending, unavailable(0)}, 4, batch.ErrUnavailable},
		"a batch that was only just taken may not be found": {
			[]any{&batch.Error{Kind: batch.ErrNotFound}, &batch.Error{Kind: batch.ErrNotFound}, batch.StateDone}, 3,
			""},
		"at once if it cannot pass": {[]any{&batch.Error{Kind: batch.ErrAuth}}, 1, batch.ErrAuth},
		"at once if it is foreign":  {[]any{io.EOF}, 1, batch.ErrAmbiguous},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &scripted{info: batch.Info{Interval: time.Second}, script: c.script}
				b, err := batch.Wait(t.Context(), p, batch.Batch{ID: "7"}, &batch.WatchOptions{MaxFailures: 3})
				require.Equal(t, c.kind, batch.KindOf(err))
				require.Equal(t, "7", b.ID, "the batch is never lost")
				require.Equal(t, c.polls, p.polls)
			})
		})
	}
}

func TestWatchHonoursItsContextWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
		defer cancel()
		start := time.Now()
		p := &scripted{info: batch.Info{Interval: time.Minute}, script: []any{batch.StatePending}}
		b, err := batch.Wait(ctx, p, batch.Batch{ID: "7"}, nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, batch.ErrUnavailable)
		require.Equal(t, batch.Batch{ID: "7", State: batch.StatePending}, b)
		require.Equal(t, 90*time.Second, time.Since(start))
	})
}

func TestWatchStopsWhenItsReaderDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &scripted{info: batch.Info{Interval: time.Minute}, script: []any{batch.StatePending}}
		for _, err := range batch.Watch(t.Context(), p, batch.Batch{}, nil) {
			require.NoError(t, err)
			break
		}
		require.Equal(t, 1, p.polls)
	})
}

// bulk answers all batches in one call: those with an even ID are done.
type bulk struct {
	scripted
	calls int
	err   error
}

func (s *bulk) PollAll(_ context.Context, bs []batch.Batch) ([]batch.Batch, error) {
	s.calls++
	out := make([]batch.Batch, len(bs))
	for i, b := range bs {
		if b.State = batch.StatePending; b.ID == "2" || s.calls > 1 {
			b.State = batch.StateDone
		}
		out[i] = b
	}
	return out, s.err
}

func TestWatchAllUsesTheBulkPoller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &bulk{scripted: scripted{info: batch.Info{Interval: time.Minute}, script: []any{batch.StateDone}}}
		var seen []string
		for b, err := range batch.WatchAll(t.Context(), p, []batch.Batch{{ID: "1"}, {ID: "2"}, {ID: "3"}}, nil) {
			require.NoError(t, err)
			seen = append(seen, b.ID+" "+string(b.State))
		}
		require.Equal(t, []string{"1 pending", "2 done", "3 pending", "1 done", "3 done"}, seen)
		require.Equal(t, 2, p.calls)
		require.Zero(t, p.polls)
	})
}

// What a bulk poll was not able to read belongs to the batch that it names. No
// failure of it is followed by one poll for each batch.
func TestAFailedBulkPollIsNotRepeatedForEachBatch(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want map[string]batch.Kind
	}{
		"one of them": {batch.PollErrors{1: &batch.Error{Kind: batch.ErrAuth}},
			map[string]batch.Kind{"1": "", "2": batch.ErrAuth, "3": ""}},
		"all of them": {&batch.Error{Kind: batch.ErrUnavailable}, map[string]batch.Kind{"1": batch.ErrUnavailable,
			"2": batch.ErrUnavailable, "3": batch.ErrUnavailable}},
		"no such error": {errors.New("plain"), map[string]batch.Kind{"1": batch.ErrAmbiguous, "2": batch.ErrAmbiguous,
			"3": batch.ErrAmbiguous}},
	} {
		p := &bulk{calls: 1, err: c.err}
		got := map[string]batch.Kind{}
		bs := []batch.Batch{{ID: "1"}, {ID: "2"}, {ID: "3"}}
		for b, err := range batch.WatchAll(t.Context(), p, bs, &batch.WatchOptions{MaxFailures: 1}) {
			got[b.ID] = batch.KindOf(err)
		}
		require.Equal(t, c.want, got, name)
		require.Equal(t, 2, p.calls, name)
		require.Zero(t, p.polls, name)
	}
}

// A bulk poll that loses batches, or says of one that was submitted that it is a
// draft, is not believed.
func TestABulkPollIsNotBelieved(t *testing.T) {
	for name, answer := range map[string]func([]batch.Batch) []batch.Batch{
		"too few": func(bs []batch.Batch) []batch.Batch { return bs[1:] },
		"a draft": func(bs []batch.Batch) []batch.Batch { bs[0].State = batch.StateDraft; return bs },
	} {
		bs := []batch.Batch{{ID: "1", State: batch.StatePending}, {ID: "2", State: batch.StatePending}}
		for b, err := range batch.WatchAll(t.Context(), &odd{answer: answer}, bs, &batch.WatchOptions{MaxFailures: 1}) {
			if b.ID == "1" {
				require.ErrorIs(t, err, batch.ErrProtocol, name)
				require.Equal(t, batch.StatePending, b.State, name)
			}
			if err == nil {
				break
			}
		}
	}
}

type odd struct {
	scripted
	answer func([]batch.Batch) []batch.Batch
}

func (s *odd) PollAll(_ context.Context, bs []batch.Batch) ([]batch.Batch, error) {
	return s.answer(append([]batch.Batch{}, bs...)), nil
}

func TestPollErrors(t *testing.T) {
	first, second := &batch.Error{Kind: batch.ErrAuth, Op: "Poll"}, &batch.Error{Kind: batch.ErrNotFound, Op: "Poll"}
	e := batch.PollErrors{7: second, 3: first}
	require.EqualError(t, e, "2 batches could not be read; the first of them: Poll: auth")
	require.ErrorIs(t, e, batch.ErrNotFound)
	require.Equal(t, []error{first, second}, e.Unwrap())
	require.Equal(t, batch.ErrAuth, batch.KindOf(e.Err()))
	require.NoError(t, batch.PollErrors{}.Err())
	require.NoError(t, batch.PollErrors(nil).Err())
}

// A service that wants no more requests gets none, and what it fails to answer
// is left for the next round.
func TestPollEachLeavesAServiceAlone(t *testing.T) {
	many := make([]batch.Batch, 100)
	for n := range many {
		many[n].ID = fmt.Sprint(n)
	}
	for kind, want := range map[batch.Kind]int{batch.ErrAuth: 1, batch.ErrThrottled: 2, batch.ErrUnavailable: 10,
		batch.ErrNotFound: 10} {
		p := &scripted{script: []any{&batch.Error{Kind: kind}}}
		failed := batch.PollErrors{}
		failed.PollEach(t.Context(), p, many, []int{5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16})
		require.Equal(t, want, p.polls, kind)
		require.Len(t, failed, 12)
		require.ErrorIs(t, failed[16], kind)
	}
	p := &scripted{script: []any{&batch.Error{Kind: batch.ErrThrottled}, batch.StateDone}}
	failed := batch.PollErrors{}
	failed.PollEach(t.Context(), p, many, []int{0, 1, 2})
	require.Len(t, failed, 1, "one that is throttled delays no other")
	require.Equal(t, batch.StateDone, many[2].State)

	p = &scripted{script: []any{&batch.Error{Kind: batch.ErrUnavailable}, &batch.Error{Kind: batch.ErrThrottled},
		batch.StateDone}}
	failed = batch.PollErrors{}
	failed.PollEach(t.Context(), p, many, []int{3, 4, 5})
	require.Len(t, failed, 2, "one that fails and one that is throttled delay no other")

	var places []int
	p = &scripted{script: nil}
	for n := range many {
		places = append(places, n)
		p.script = append(p.script, &batch.Error{Kind: batch.ErrUnavailable})
		if n%2 == 0 {
			p.script[n] = batch.StateDone
		}
	}
	failed = batch.PollErrors{}
	failed.PollEach(t.Context(), p, many, places)
	require.Len(t, failed, 50, "failures that are not in a row end nothing")
}

// each answers polls by batch.
type each struct {
	scripted
	answers map[string][]any // a State, or an error, for each poll; the last repeats
	asked   map[string][]time.Time
}

func (s *each) Poll(_ context.Context, b batch.Batch) (batch.Batch, error) {
	n := len(s.asked[b.ID])
	s.asked[b.ID] = append(s.asked[b.ID], time.Now())
	switch answer := s.answers[b.ID][min(n, len(s.answers[b.ID])-1)].(type) {
	case batch.State:
		b.State = answer
		return b, nil
	case error:
		return b, answer
	}
	panic(b.ID)
}

func TestARetryAfterDelaysOneBatchOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pending := batch.StatePending
		p := &each{scripted: scripted{info: batch.Info{Interval: time.Second}}, asked: map[string][]time.Time{},
			answers: map[string][]any{
				"1": {unavailable(time.Hour), batch.StateDone},
				"2": {pending, pending, pending, batch.StateDone},
			}}
		start := time.Now()
		ended := map[string]time.Duration{}
		for b, err := range batch.WatchAll(t.Context(), p, []batch.Batch{{ID: "1"}, {ID: "2"}}, nil) {
			require.NoError(t, err)
			ended[b.ID] = time.Since(start)
		}
		require.Less(t, ended["2"], time.Minute)
		require.GreaterOrEqual(t, ended["1"], time.Hour)
		require.Less(t, ended["1"], time.Hour+time.Minute)
		require.Len(t, p.asked["1"], 2, "it is not asked while it rests")
	})
}

func TestAThrottledBulkPollIsNotRepeatedForEachBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &bulk{scripted: scripted{info: batch.Info{Interval: time.Second}, script: []any{batch.StateDone}},
			err: &batch.Error{Kind: batch.ErrThrottled, RetryAfter: time.Hour}}
		for b, err := range batch.WatchAll(t.Context(), p, []batch.Batch{{ID: "1"}, {ID: "2"}},
			&batch.WatchOptions{MaxFailures: 3}) {
			require.ErrorIs(t, err, batch.ErrThrottled, b.ID)
		}
		require.Equal(t, 3, p.calls)
		require.Zero(t, p.polls)
	})
}

func TestAnUnknownStatusEndsTheWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &scripted{info: batch.Info{Interval: time.Second}, script: []any{batch.StateUnknown, batch.StatePending,
			batch.StateUnknown}}
		b, err := batch.Wait(t.Context(), p, batch.Batch{ID: "7", Native: "COMPLETE_WITH_ERRORS"},
			&batch.WatchOptions{MaxFailures: 3})
		require.ErrorIs(t, err, batch.ErrProtocol)
		require.ErrorContains(t, err, `3 polls in a row say "COMPLETE_WITH_ERRORS"`)
		require.Equal(t, batch.StateUnknown, b.State)
		require.Equal(t, 5, p.polls, "a known word between them starts the count again")
	})
}
