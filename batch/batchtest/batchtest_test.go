package batchtest_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchtest"
)

const secret = "s3cret-canary-0001"

var drafts atomic.Int64

func newDraft(items int) batch.Draft {
	n := drafts.Add(1)
	d := batch.Draft{Reference: fmt.Sprint("draft-", n), Direction: batch.Collect}
	for i := range items {
		d.Items = append(d.Items, batch.Item{Reference: fmt.Sprintf("item-%d-%d", n, i), Account: "acc",
			Amount: batch.Money{Minor: int64(100 + i), Currency: "GBP"}})
	}
	return d
}

func subject(p func(*batchtest.Memory) batch.Provider, log func() string) batchtest.Subject {
	m := batchtest.NewMemory(batchtest.MemoryOptions{})
	return batchtest.Subject{Provider: p(m), Draft: newDraft, Secrets: []string{secret}, Sim: m, Log: log,
		Reopen: func() batch.Provider { return p(m) }}
}

func TestMemory(t *testing.T) {
	batchtest.Run(t, func(*testing.T) batchtest.Subject {
		return subject(func(m *batchtest.Memory) batch.Provider { return m }, nil)
	})
}

func TestMemoryWithoutASim(t *testing.T) {
	batchtest.Run(t, func(*testing.T) batchtest.Subject {
		s := subject(func(m *batchtest.Memory) batch.Provider { return struct{ batch.Provider }{m} }, nil)
		s.Sim = nil
		return s
	})
}

// A mutant is Memory with one thing broken.
type mutant struct {
	*batchtest.Memory
	Key    string
	create func(ctx context.Context, d batch.Draft) (batch.Batch, error)
	submit func(ctx context.Context, b batch.Batch) (batch.Batch, error)
	poll   func(ctx context.Context, b batch.Batch) (batch.Batch, error)
	report func(ctx context.Context, b batch.Batch) (batch.Report, error)
	cancel func(ctx context.Context, b batch.Batch) (batch.Batch, error)
}

func (m *mutant) Cancel(ctx context.Context, b batch.Batch) (batch.Batch, error) {
	if m.cancel != nil {
		return m.cancel(ctx, b)
	}
	return m.Memory.Cancel(ctx, b)
}

func (m *mutant) Create(ctx context.Context, d batch.Draft) (batch.Batch, error) {
	if m.create != nil {
		return m.create(ctx, d)
	}
	return m.Memory.Create(ctx, d)
}

func (m *mutant) Submit(ctx context.Context, b batch.Batch) (batch.Batch, error) {
	if m.submit != nil {
		return m.submit(ctx, b)
	}
	return m.Memory.Submit(ctx, b)
}

func (m *mutant) Poll(ctx context.Context, b batch.Batch) (batch.Batch, error) {
	if m.poll != nil {
		return m.poll(ctx, b)
	}
	return m.Memory.Poll(ctx, b)
}

func (m *mutant) Report(ctx context.Context, b batch.Batch) (batch.Report, error) {
	if m.report != nil {
		return m.report(ctx, b)
	}
	return m.Memory.Report(ctx, b)
}

var mutants = []struct {
	law, name string
	breakIt   func(m *mutant)
}{
	{"Law01", "Create submits at once", func(m *mutant) {
		m.create = func(ctx context.Context, d batch.Draft) (batch.Batch, error) {
			b, err := m.Memory.Create(ctx, d)
			if err == nil {
				_, _ = m.Memory.Submit(ctx, b)
			}
			return b, err
		}
	}},
	{"Law01", "Poll submits what is still a draft", func(m *mutant) {
		m.poll = func(ctx context.Context, b batch.Batch) (batch.Batch, error) {
			if b.State == batch.StateDraft {
				return m.Memory.Submit(ctx, b)
			}
			return m.Memory.Poll(ctx, b)
		}
	}},
	{"Law03", "Poll says that a batch has failed which the service does not have", func(m *mutant) {
		m.poll = func(ctx context.Context, b batch.Batch) (batch.Batch, error) {
			after, err := m.Memory.Poll(ctx, b)
			if after.State == batch.StateDraft {
				after.State = batch.StateFailed
			}
			return after, err
		}
	}},
	{"Law03", "Submit takes the 403 of a proxy for a refusal", func(m *mutant) {
		m.submit = func(ctx context.Context, b batch.Batch) (batch.Batch, error) {
			after, err := m.Memory.Submit(ctx, b)
			if err != nil && strings.Contains(err.Error(), string(batchtest.ForbiddenAfter)) {
				return b, &batch.Error{Kind: batch.ErrAuth}
			}
			return after, err
		}
	}},
	{"Law10", "Report reads one page", func(m *mutant) {
		m.report = func(ctx context.Context, b batch.Batch) (batch.Report, error) {
			r, err := m.Memory.Report(ctx, b)
			if len(r.Results) > 100 {
				r.Results = r.Results[:100]
			}
			return r, err
		}
	}},
	{"Law11", "a provider shows its credential", func(m *mutant) { m.Key = secret }},
	{"Abilities", "Cancel takes a batch that may be submitted", func(m *mutant) {
		m.cancel = func(ctx context.Context, b batch.Batch) (batch.Batch, error) {
			b.State = batch.StateDraft
			return m.Memory.Cancel(ctx, b)
		}
	}},
	{"Law02", "Submit tries again when in doubt", func(m *mutant) {
		m.submit = func(ctx context.Context, b batch.Batch) (batch.Batch, error) {
			after, err := m.Memory.Submit(ctx, b)
			if errors.Is(err, batch.ErrAmbiguous) && ctx.Err() == nil {
				return m.Memory.Submit(ctx, b)
			}
			return after, err
		}
	}},
	{"Law02", "Submit takes a batch that is pending", func(m *mutant) {
		m.submit = func(ctx context.Context, b batch.Batch) (batch.Batch, error) {
			if b.State == batch.StatePending {
				b.State = batch.StateDraft
			}
			return m.Memory.Submit(ctx, b)
		}
	}},
	{"Law02", "Submit asks the service before it refuses", func(m *mutant) {
		m.submit = func(ctx context.Context, b batch.Batch) (batch.Batch, error) {
			if b.State != batch.StateDraft {
				_, _ = m.Memory.Report(ctx, b)
			}
			return m.Memory.Submit(ctx, b)
		}
	}},
	{"Law03", "doubt is called unavailable", func(m *mutant) {
		m.submit = func(ctx context.Context, b batch.Batch) (batch.Batch, error) {
			after, err := m.Memory.Submit(ctx, b)
			if errors.Is(err, batch.ErrAmbiguous) {
				return b, &batch.Error{Kind: batch.ErrUnavailable, Err: ctx.Err()}
			}
			return after, err
		}
	}},
	{"Law03", "doubt is called success", func(m *mutant) {
		m.submit = func(ctx context.Context, b batch.Batch) (batch.Batch, error) {
			after, err := m.Memory.Submit(ctx, b)
			if errors.Is(err, batch.ErrAmbiguous) {
				after.State = batch.StatePending
				return after, nil
			}
			return after, err
		}
	}},
	{"Law03", "errors are plain", func(m *mutant) {
		m.submit = func(ctx context.Context, b batch.Batch) (batch.Batch, error) {
			after, err := m.Memory.Submit(ctx, b)
			if err != nil {
				err = errors.New(err.Error())
			}
			return after, err
		}
	}},
	{"Law03", "a batch in doubt is still a draft", func(m *mutant) {
		m.submit = func(ctx context.Context, b batch.Batch) (batch.Batch, error) {
			after, err := m.Memory.Submit(ctx, b)
			if err != nil {
				return b, err
			}
			return after, err
		}
	}},
	{"Law03", "only the first fault of a draft is listed", func(m *mutant) {
		m.create = func(ctx context.Context, d batch.Draft) (batch.Batch, error) {
			b, err := m.Memory.Create(ctx, d)
			var e *batch.Error
			if errors.As(err, &e) && len(e.Fields) > 1 {
				e.Fields = e.Fields[:1]
			}
			return b, err
		}
	}},
	{"Law04", "Submit forgets the batch on an error", func(m *mutant) {
		m.submit = func(ctx context.Context, b batch.Batch) (batch.Batch, error) {
			after, err := m.Memory.Submit(ctx, b)
			if err != nil {
				return batch.Batch{}, err
			}
			return after, nil
		}
	}},
	{"Law04", "Poll drops the items", func(m *mutant) {
		m.poll = func(ctx context.Context, b batch.Batch) (batch.Batch, error) {
			after, err := m.Memory.Poll(ctx, b)
			after.Draft.Items = nil
			return after, err
		}
	}},
	{"Law04", "Report forgets the batch on an error", func(m *mutant) {
		m.report = func(ctx context.Context, b batch.Batch) (batch.Report, error) {
			r, err := m.Memory.Report(ctx, b)
			if err != nil {
				return batch.Report{}, err
			}
			return r, nil
		}
	}},
	{"Law05", "Create sorts the caller's items", func(m *mutant) {
		m.create = func(ctx context.Context, d batch.Draft) (batch.Batch, error) {
			b, err := m.Memory.Create(ctx, d)
			slices.Reverse(d.Items)
			return b, err
		}
	}},
	{"Law05", "Submit stamps the caller's items", func(m *mutant) {
		m.submit = func(ctx context.Context, b batch.Batch) (batch.Batch, error) {
			after, err := m.Memory.Submit(ctx, b)
			if len(b.Draft.Items) > 0 {
				b.Draft.Items[0].Extra = map[string]string{"sent": "yes"}
			}
			return after, err
		}
	}},
	{"Law05", "two at once get in each other's way", func(m *mutant) {
		var calls atomic.Int64
		meet := make(chan struct{})
		m.create = func(ctx context.Context, d batch.Draft) (batch.Batch, error) {
			if calls.Add(1) > 1 { // The first is alone; of the others, two meet each time.
				select {
				case meet <- struct{}{}:
				case <-meet:
					return batch.Batch{Draft: d}, &batch.Error{Kind: batch.ErrUnavailable}
				}
			}
			return m.Memory.Create(ctx, d)
		}
	}},
	{"Law06", "the context's error is swallowed", func(m *mutant) {
		m.submit = func(ctx context.Context, b batch.Batch) (batch.Batch, error) {
			after, err := m.Memory.Submit(ctx, b)
			if ctx.Err() != nil {
				err = &batch.Error{Kind: batch.KindOf(err)}
			}
			return after, err
		}
	}},
	{"Law06", "a cancelled Submit is called unsent", func(m *mutant) {
		m.submit = func(ctx context.Context, b batch.Batch) (batch.Batch, error) {
			after, err := m.Memory.Submit(ctx, b)
			if ctx.Err() != nil {
				return b, &batch.Error{Kind: batch.ErrUnavailable, Err: ctx.Err()}
			}
			return after, err
		}
	}},
	{"Law06", "a context that has ended is not looked at", func(m *mutant) {
		m.submit = func(ctx context.Context, b batch.Batch) (batch.Batch, error) {
			if ctx.Err() != nil {
				ctx = context.WithoutCancel(ctx)
			}
			return m.Memory.Submit(ctx, b)
		}
	}},
	{"Law07", "a final batch is polled like any other", func(m *mutant) {
		m.poll = func(ctx context.Context, b batch.Batch) (batch.Batch, error) {
			b.State = batch.StateUnknown
			return m.Memory.Poll(ctx, b)
		}
	}},
	{"Law07", "a report reopens a final batch", func(m *mutant) {
		m.report = func(ctx context.Context, b batch.Batch) (batch.Report, error) {
			r, err := m.Memory.Report(ctx, b)
			if r.Batch.State == batch.StateDone {
				r.Batch.State = batch.StatePending
			}
			return r, err
		}
	}},
	{"Law08", "an unknown word is an error", func(m *mutant) {
		m.poll = func(ctx context.Context, b batch.Batch) (batch.Batch, error) {
			after, err := m.Memory.Poll(ctx, b)
			if err == nil && after.State == batch.StateUnknown {
				err = &batch.Error{Kind: batch.ErrProtocol, Message: after.Native}
			}
			return after, err
		}
	}},
	{"Law08", "an unknown word is taken for the nearest known one", func(m *mutant) {
		m.poll = func(ctx context.Context, b batch.Batch) (batch.Batch, error) {
			after, err := m.Memory.Poll(ctx, b)
			if strings.EqualFold(after.Native, "DONE") {
				after.State = batch.StateDone
			}
			return after, err
		}
	}},
	{"Law08", "an unknown word is dropped", func(m *mutant) {
		m.poll = func(ctx context.Context, b batch.Batch) (batch.Batch, error) {
			after, err := m.Memory.Poll(ctx, b)
			if after.State == batch.StateUnknown {
				after.Native = ""
			}
			return after, err
		}
	}},
	{"Law09", "Submit knows only what it has created itself", func(m *mutant) {
		known := map[string]bool{}
		m.create = func(ctx context.Context, d batch.Draft) (batch.Batch, error) {
			b, err := m.Memory.Create(ctx, d)
			known[b.ID] = true
			return b, err
		}
		m.submit = func(ctx context.Context, b batch.Batch) (batch.Batch, error) {
			if !known[b.ID] {
				return b, &batch.Error{Kind: batch.ErrNotFound}
			}
			return m.Memory.Submit(ctx, b)
		}
	}},
	{"Law09", "Poll knows only what it has submitted itself", func(m *mutant) {
		known := map[string]bool{}
		m.submit = func(ctx context.Context, b batch.Batch) (batch.Batch, error) {
			known[b.ID] = true
			return m.Memory.Submit(ctx, b)
		}
		m.poll = func(ctx context.Context, b batch.Batch) (batch.Batch, error) {
			if !known[b.ID] {
				return b, &batch.Error{Kind: batch.ErrNotFound}
			}
			return m.Memory.Poll(ctx, b)
		}
	}},
	{"Law10", "the last item is left out of the report", func(m *mutant) {
		m.report = func(ctx context.Context, b batch.Batch) (batch.Report, error) {
			r, err := m.Memory.Report(ctx, b)
			if len(r.Results) > 0 {
				r.Results = r.Results[:len(r.Results)-1]
			}
			return r, err
		}
	}},
	{"Law10", "the totals count one too many", func(m *mutant) {
		m.report = func(ctx context.Context, b batch.Batch) (batch.Report, error) {
			r, err := m.Memory.Report(ctx, b)
			for outcome, total := range r.Totals {
				total.Count++
				r.Totals[outcome] = total
			}
			return r, err
		}
	}},
	{"Law10", "the results come in another order", func(m *mutant) {
		m.report = func(ctx context.Context, b batch.Batch) (batch.Report, error) {
			r, err := m.Memory.Report(ctx, b)
			slices.Reverse(r.Results)
			return r, err
		}
	}},
	{"Law11", "the error repeats the credential", func(m *mutant) {
		m.submit = func(ctx context.Context, b batch.Batch) (batch.Batch, error) {
			after, err := m.Memory.Submit(ctx, b)
			if err != nil {
				err = &batch.Error{Kind: batch.KindOf(err), Message: "sent with key " + secret, Err: ctx.Err()}
			}
			return after, err
		}
	}},
	{"Law11", "the cause holds the credential in base64", func(m *mutant) {
		m.submit = func(ctx context.Context, b batch.Batch) (batch.Batch, error) {
			after, err := m.Memory.Submit(ctx, b)
			if err != nil {
				hidden := fmt.Errorf("Authorization: Basic %s: %w", base64.StdEncoding.EncodeToString([]byte(secret)),
					context.Canceled)
				err = &batch.Error{Kind: batch.KindOf(err), Err: hidden}
			}
			return after, err
		}
	}},
	{"Law12", "Create turns a payout into a collection", func(m *mutant) {
		m.create = func(ctx context.Context, d batch.Draft) (batch.Batch, error) {
			d.Direction = batch.Collect
			return m.Memory.Create(ctx, d)
		}
	}},
	{"Law12", "Poll takes another provider's batch", func(m *mutant) {
		m.poll = func(ctx context.Context, b batch.Batch) (batch.Batch, error) {
			b.Provider = "memory"
			return m.Memory.Poll(ctx, b)
		}
	}},
	{"Law12", "an unknown Extra key is dropped", func(m *mutant) {
		m.create = func(ctx context.Context, d batch.Draft) (batch.Batch, error) {
			d.Extra = nil
			return m.Memory.Create(ctx, d)
		}
	}},
	{"Law13", "Poll believes whatever has the ID", func(m *mutant) {
		m.poll = func(ctx context.Context, b batch.Batch) (batch.Batch, error) {
			for other, err := range m.List(ctx) {
				if err == nil && other.ID == b.ID {
					other.State = batch.StateDone
					other.Draft = b.Draft
					return other, nil
				}
			}
			return b, nil
		}
	}},
	{"Law13", "an unclear batch is another's", func(m *mutant) {
		m.poll = func(ctx context.Context, b batch.Batch) (batch.Batch, error) {
			if b.State == batch.StateUnknown {
				return b, &batch.Error{Kind: batch.ErrConflict, Provider: "memory", Op: "Poll"}
			}
			return m.Memory.Poll(ctx, b)
		}
	}},
	{"Guard", "the second of two submits is taken as well", func(m *mutant) {
		m.submit = func(ctx context.Context, b batch.Batch) (batch.Batch, error) {
			after, err := m.Memory.Submit(ctx, b)
			if errors.Is(err, batch.ErrConflict) {
				b.Draft.Reference += "-again"
				if again, failed := m.Create(ctx, b.Draft); failed == nil {
					return m.Memory.Submit(ctx, again)
				}
			}
			return after, err
		}
	}},
	{"Guard", "a late submit is made again by itself", func(m *mutant) {
		m.submit = func(ctx context.Context, b batch.Batch) (batch.Batch, error) {
			after, err := m.Memory.Submit(ctx, b)
			if errors.Is(err, batch.ErrAmbiguous) {
				b.Draft.Reference += "-again"
				if again, failed := m.Create(ctx, b.Draft); failed == nil {
					_, _ = m.Memory.Submit(ctx, again)
				}
			}
			return after, err
		}
	}},
}

// Every law bites: what breaks it is caught by it.
func TestMutants(t *testing.T) {
	caught := map[string]int{}
	for _, m := range mutants {
		t.Run(m.law+" "+m.name, func(t *testing.T) {
			faults := batchtest.Check(t.Context(), m.law, func() batchtest.Subject {
				return subject(func(memory *batchtest.Memory) batch.Provider {
					broken := &mutant{Memory: memory}
					m.breakIt(broken)
					return broken
				}, nil)
			})
			if len(faults) == 0 {
				t.Fatalf("%s did not notice that %s", m.law, m.name)
			}
			caught[m.law]++
			t.Logf("%s: %s\n    caught: %s", m.law, m.name, faults[0])
		})
	}
	laws := []string{"Guard"}
	for n := 1; n <= 13; n++ {
		laws = append(laws, fmt.Sprintf("Law%02d", n))
	}
	for _, law := range laws {
		if caught[law] < 2 {
			t.Errorf("%s has caught %d mutants; every law must be proved by at least two", law, caught[law])
		}
	}
}

func TestTheLogIsSearchedToo(t *testing.T) {
	faults := batchtest.Check(t.Context(), "Law11", func() batchtest.Subject {
		return subject(func(m *batchtest.Memory) batch.Provider {
			return m
		}, func() string { return "level=DEBUG key=" + secret })
	})
	if len(faults) == 0 {
		t.Fatal("a credential in the log was not noticed")
	}
}

func TestMovedOnce(t *testing.T) {
	items := []batch.Item{{Reference: "a"}, {Reference: "b"}}
	batchtest.MovedOnce(t, map[string]int{"a": 1, "b": 1}, items...)
	require.Equal(t, []string{
		`the money of "a" has moved 2 times; it must be once`,
		`the money of "b" has moved 0 times; it must be once`,
		`money has moved 1 times for "c", which is not one of the items`,
	}, batchtest.CheckOnce(t.Context(), map[string]int{"a": 2, "c": 1}, items...))
}

// A service may have one of the words of law 8 itself.
func TestAWordOfTheServiceItself(t *testing.T) {
	open := func(words ...string) func() batchtest.Subject {
		return func() batchtest.Subject {
			s := subject(func(m *batchtest.Memory) batch.Provider {
				return &mutant{Memory: m, poll: func(ctx context.Context, b batch.Batch) (batch.Batch, error) {
					b, err := m.Poll(ctx, b)
					if b.Native == "done" {
						b.State = batch.StateDone
					}
					return b, err
				}}
			}, nil)
			s.Words = words
			return s
		}
	}
	require.Len(t, batchtest.Check(t.Context(), "Law08", open()), 1)
	require.Empty(t, batchtest.Check(t.Context(), "Law08", open("done")))
}

// idle is a Memory of which nothing happens late.
type idle struct{ *batchtest.Memory }

func (idle) Settle() {}

// deaf is a Memory that counts no submits.
type deaf struct{ *batchtest.Memory }

func (deaf) Submits() int { return 0 }

// unguarded is a Memory that claims no guard.
type unguarded struct{ *batchtest.Memory }

func (u unguarded) Info() batch.Info {
	info := u.Memory.Info()
	info.Guard = batch.GuardNone
	return info
}

// A simulator that proves nothing is not a proof of a provider.
func TestASimulatorThatProvesNothing(t *testing.T) {
	defer batchtest.Patience(10 * time.Millisecond)()
	for name, c := range map[string]struct {
		sim  func(*batchtest.Memory) batchtest.Sim
		want string
	}{
		"nothing happens late": {func(m *batchtest.Memory) batchtest.Sim { return idle{m} },
			"Settle must let the late request arrive"},
		"it counts no submits": {func(m *batchtest.Memory) batchtest.Sim { return deaf{m} },
			"Sim.Submits and Sim.Moved must count it"},
	} {
		found := batchtest.Check(t.Context(), "Law03", func() batchtest.Subject {
			m := batchtest.NewMemory(batchtest.MemoryOptions{})
			p := unguarded{m}
			return batchtest.Subject{Provider: p, Draft: newDraft, Secrets: []string{secret}, Sim: c.sim(m),
				Reopen: func() batch.Provider { return p }}
		})
		require.Contains(t, strings.Join(found, "\n"), c.want, name)
	}
}

// mute is a Memory that counts no requests.
type mute struct{ *batchtest.Memory }

func (mute) Requests() int { return 0 }

// The counts of a simulator are what other laws rest on.
func TestASimulatorMustCount(t *testing.T) {
	for name, sim := range map[string]func(*batchtest.Memory) batchtest.Sim{
		"no requests": func(m *batchtest.Memory) batchtest.Sim { return mute{m} },
		"no submits":  func(m *batchtest.Memory) batchtest.Sim { return deaf{m} },
	} {
		found := batchtest.Check(t.Context(), "Law01", func() batchtest.Subject {
			m := batchtest.NewMemory(batchtest.MemoryOptions{})
			return batchtest.Subject{Provider: m, Draft: newDraft, Sim: sim(m), Reopen: func() batch.Provider {
				return m
			}}
		})
		require.Contains(t, strings.Join(found, "\n"), "they must count what has arrived", name)
	}
}

func TestASubjectThatLacksWhatItNeeds(t *testing.T) {
	for field, lacks := range map[string]func(*batchtest.Subject){
		"Provider": func(s *batchtest.Subject) { s.Provider = nil },
		"Draft":    func(s *batchtest.Subject) { s.Draft = nil },
		"Reopen":   func(s *batchtest.Subject) { s.Reopen = nil },
	} {
		found := batchtest.Check(t.Context(), "Law09", func() batchtest.Subject {
			s := subject(func(m *batchtest.Memory) batch.Provider { return m }, nil)
			lacks(&s)
			return s
		})
		require.Equal(t, []string{"Subject." + field + " is nil; set it"}, found)
	}
}
