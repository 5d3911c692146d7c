package batchsim_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch/batchsim"
)

// toy is a service that pays, and that pays half as much again after an hour.
func toy(random string) (k *batchsim.Kit, h http.Handler) {
	k = new(batchsim.Kit)
	k.Random = strings.NewReader(strings.Repeat(random, 1000))
	h = k.Handler([]batchsim.Operation{
		{Name: "Pay", Method: http.MethodPost, Path: "/pay/{account}", Serve: func(r batchsim.Request) batchsim.Reply {
			move := func(minor int64) {
				k.Ledger.Move(batchsim.Effect{
					Item: k.Text(), Batch: r.At.Format(time.RFC3339Nano) + r.URL.Query().Get("q"),
					Account: r.PathValue("account"), Minor: minor, Currency: r.Header.Get("Currency"),
					At: k.Clock.Now(),
				})
			}
			move(int64(len(r.Body)))
			k.Clock.After(time.Hour, func() { move(int64(len(r.Body)) / 2) })
			return batchsim.JSON(http.StatusOK, "{}")
		}},
	}, func(batchsim.Request) batchsim.Reply { return batchsim.Reply{Status: http.StatusNotFound} })
	return k, h
}

// A simulator that repeats what another has applied has its ledger: with the
// times, the IDs and what is still due.
func TestReplayGivesTheSameState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, handler := toy("abcdefg")
		var kept bytes.Buffer
		var order sync.Mutex
		first.Around = func(apply func() batchsim.Applied) {
			order.Lock()
			defer order.Unlock()
			_ = json.NewEncoder(&kept).Encode(apply())
		}
		server := batchsim.ListenInMemory(handler)
		pay := func(account string) {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
				server.URL+"/pay/"+account+"?q=1", strings.NewReader("1234567890"))
			require.NoError(t, err)
			request.Header.Set("Currency", "GBP")
			reply, err := server.HTTPClient().Do(request)
			if err == nil {
				_, _ = io.Copy(io.Discard, reply.Body)
				_ = reply.Body.Close()
			}
			time.Sleep(7 * time.Minute)
		}
		pay("ada")
		first.Inject(batchsim.Fault{
			Op: "Pay", Nth: 1, Phase: batchsim.BeforeApply, Act: batchsim.Late, Delay: 20 * time.Minute,
		})
		pay("late")
		first.Inject(batchsim.Fault{Op: "Pay", Nth: 1, Phase: batchsim.BeforeApply, Act: batchsim.Reset})
		pay("lost")
		first.Inject(batchsim.Fault{Op: "Pay", Nth: 1, Phase: batchsim.AfterApply, Act: batchsim.Reset})
		pay("ben")
		first.Inject(batchsim.Fault{Op: "Pay", Nth: 1, Phase: batchsim.BeforeApply, Act: batchsim.Twice})
		pay("twice")
		for range 5 {
			pay("cyd")
		}
		server.Close()
		require.Len(t, first.Ledger.Effects(), 10+1, "all but the lost one, one twice, and what was due of the first")

		second, _ := toy("abcdefg")
		second.Around = func(func() batchsim.Applied) { require.Fail(t, "a replay is not recorded again") }
		for d := json.NewDecoder(&kept); d.More(); {
			var a batchsim.Applied
			require.NoError(t, d.Decode(&a))
			require.NoError(t, second.Replay(a))
		}
		require.Equal(t, first.Ledger.Effects(), second.Ledger.Effects())
		require.Equal(t, 10, second.Log.Count("Pay"), "without the lost one, and with the one that was applied twice")
		require.Equal(t, first.Clock.Now(), second.Clock.Now())
		first.Clock.Advance(time.Hour)
		second.Clock.Advance(time.Hour)
		require.Equal(t, len(first.Ledger.Effects()), len(second.Ledger.Effects()))
		require.Len(t, second.Ledger.Effects(), 20)
		require.Error(t, second.Replay(batchsim.Applied{Method: "PO ST"}))

		// A request may have waited before it was applied, and meets no fault.
		second.Inject(batchsim.Fault{Op: "Pay", Act: batchsim.Reset})
		arrived := first.Clock.Now().UTC().Round(0)
		waited := batchsim.Applied{Method: http.MethodPost, URL: "/pay/eve", At: arrived, Now: arrived.Add(time.Minute)}
		require.NoError(t, second.Replay(waited))
		effects := second.Ledger.Effects()
		require.Len(t, effects, 21)
		require.Equal(t, arrived.Format(time.RFC3339Nano), effects[20].Batch)
		require.Equal(t, waited.Now, effects[20].At)
	})
}

func TestAClockIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c batchsim.Clock
		now := c.Now()
		var done []string
		c.After(time.Minute, func() { done = append(done, "due") })
		c.After(3*time.Hour, func() { done = append(done, "later") })
		at, release := c.Hold(now.Add(time.Hour))
		require.Equal(t, now.Add(time.Hour), at)
		require.Equal(t, []string{"due"}, done)
		time.Sleep(time.Second)
		require.Equal(t, at, c.Now())
		c.Advance(2 * time.Hour)
		require.Equal(t, at.Add(2*time.Hour), c.Now())
		require.Equal(t, []string{"due", "later"}, done)
		release()
		require.Equal(t, now.Add(time.Second+2*time.Hour), c.Now(), "what Advance has added stays")
		at, release = c.Hold(time.Time{})
		require.True(t, c.Now().Equal(now.Add(time.Second+2*time.Hour)))
		require.Equal(t, at, c.Now())
		release()
	})
}

func TestText(t *testing.T) {
	a, _ := toy("some bytes")
	b, _ := toy("some bytes")
	other, _ := toy("other bytes")
	first := a.Text()
	require.Len(t, first, 26)
	require.Equal(t, first, b.Text())
	require.NotEqual(t, first, a.Text())
	require.NotEqual(t, first, other.Text())
	var any batchsim.Kit
	require.NotEqual(t, any.Text(), any.Text())
	any.Random = strings.NewReader("short")
	require.PanicsWithValue(t, "batchsim: Random ends: unexpected EOF", func() { any.Text() })
}
