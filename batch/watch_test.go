package batch_test

import (
	"context"
	"errors"
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
		p := &scripted{info: batch.Info{Interval: 10 * time.Second}, script: []any{pending, pending, pending, pending, pending, batch.StateFailed}}
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
			unavailable(0), unavailable(time.Hour), &batch.Error{Kind: batch.ErrProtocol}, batch.StatePending, unavailable(0), batch.StateDone}}
		var heard int
		b, err := batch.Wait(t.Context(), p, batch.Batch{ID: "7"}, &batch.WatchOptions{OnFailure: func(b batch.Batch, err error) {
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
			[]any{&batch.Error{Kind: batch.ErrNotFound}, &batch.Error{Kind: batch.ErrNotFound}, batch.StateDone}, 3, ""},
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

func TestWatchAllFallsBackToSinglePolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &bulk{scripted: scripted{info: batch.Info{Interval: time.Minute}, script: []any{batch.StateDone, &batch.Error{Kind: batch.ErrAuth}, batch.StateDone}},
			err: errors.New("bulk is down")}
		got := map[string]batch.Kind{}
		for b, err := range batch.WatchAll(t.Context(), p, []batch.Batch{{ID: "1"}, {ID: "2"}, {ID: "3"}}, nil) {
			got[b.ID] = batch.KindOf(err)
		}
		require.Equal(t, map[string]batch.Kind{"1": "", "2": batch.ErrAuth, "3": ""}, got,
			"one batch that fails for good does not stop the others")
	})
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
		p := &each{scripted: scripted{info: batch.Info{Interval: time.Second}}, asked: map[string][]time.Time{}, answers: map[string][]any{
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
		for b, err := range batch.WatchAll(t.Context(), p, []batch.Batch{{ID: "1"}, {ID: "2"}}, &batch.WatchOptions{MaxFailures: 3}) {
			require.ErrorIs(t, err, batch.ErrThrottled, b.ID)
		}
		require.Equal(t, 3, p.calls)
		require.Zero(t, p.polls)
	})
}

func TestAnUnknownStatusEndsTheWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &scripted{info: batch.Info{Interval: time.Second}, script: []any{batch.StateUnknown, batch.StatePending, batch.StateUnknown}}
		b, err := batch.Wait(t.Context(), p, batch.Batch{ID: "7", Native: "COMPLETE_WITH_ERRORS"}, &batch.WatchOptions{MaxFailures: 3})
		require.ErrorIs(t, err, batch.ErrProtocol)
		require.ErrorContains(t, err, `3 polls in a row say "COMPLETE_WITH_ERRORS"`)
		require.Equal(t, batch.StateUnknown, b.State)
		require.Equal(t, 5, p.polls, "a known word between them starts the count again")
	})
}
