package batchtest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/batchway/batchway-go/batch"
)

// MemoryOptions is how a Memory behaves. The zero value collects in any
// currency, and finishes a batch with its second poll.
type MemoryOptions struct {
	Name      string          // empty means "memory"
	Direction batch.Direction // empty means batch.Collect
	Currency  string          // empty means any
	MaxItems  int             // 0 means any number
	Polls     int             // a batch finishes with so many polls; 0 means 2, and less than 0 only by Finish
}

// Memory is the reference provider: correct, complete, and without a network.
// Read it to write your own, and use it to test what uses a provider. It is
// its own service, and its own Sim.
type Memory struct {
	info  batch.Info
	polls int

	mu       sync.Mutex
	batches  map[string]*account // by id
	order    []string            // ids, oldest first
	moved    map[string]int
	outcomes map[string]batch.Outcome
	requests int
	submits  int
	fault    Fault
	late     []string // ids whose submit is still under way
	word     string
	failures int
	failure  error
}

// An account is a batch as the service has it.
type account struct {
	draft batch.Draft
	state batch.State
	polls int
}

var (
	_ batch.Provider   = (*Memory)(nil)
	_ batch.Finder     = (*Memory)(nil)
	_ batch.Canceler   = (*Memory)(nil)
	_ batch.Lister     = (*Memory)(nil)
	_ batch.Editor     = (*Memory)(nil)
	_ batch.BulkPoller = (*Memory)(nil)
	_ Sim              = (*Memory)(nil)
)

// NewMemory returns a service without batches.
func NewMemory(o MemoryOptions) *Memory {
	m := &Memory{polls: o.Polls, batches: map[string]*account{}, moved: map[string]int{},
		outcomes: map[string]batch.Outcome{}}
	if m.polls == 0 {
		m.polls = 2
	}
	m.info = batch.Info{Name: o.Name, Account: "memory", Direction: o.Direction, Currency: o.Currency,
		MaxItems: o.MaxItems,
		Interval: time.Second, Guard: batch.GuardRefuses}
	if o.Name == "" {
		m.info.Name = "memory"
	}
	if o.Direction == "" {
		m.info.Direction = batch.Collect
	}
	return m
}

// Info returns the facts about this provider.
func (m *Memory) Info() batch.Info { return m.info }

// Create makes a draft at the service.
func (m *Memory) Create(ctx context.Context, d batch.Draft) (batch.Batch, error) {
	d = d.Clone()
	b := batch.Batch{Provider: m.info.Name, Draft: d, State: batch.StateDraft, UpdatedAt: time.Now()}
	if err := batch.Invalid(m.info.Name, "Create", m.info.Faults(d)); err != nil {
		return b, err
	}
	if err := ctx.Err(); err != nil {
		return b, m.fail("Create", batch.ErrUnavailable, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests++
	for _, a := range m.batches {
		if a.draft.Reference == d.Reference && a.state != batch.StateCanceled {
			return b, m.fail("Create", batch.ErrConflict, errors.New("the reference is taken"))
		}
	}
	b.ID = strconv.Itoa(len(m.order) + 1)
	m.order = append(m.order, b.ID)
	m.batches[b.ID] = &account{draft: d.Clone(), state: batch.StateDraft}
	return b, nil
}

// Submit lets the money move.
func (m *Memory) Submit(ctx context.Context, b batch.Batch) (batch.Batch, error) {
	if err := m.info.RefuseSubmit("Submit", b); err != nil {
		return b, err
	}
	if err := ctx.Err(); err != nil {
		return b, m.fail("Submit", batch.ErrUnavailable, err)
	}
	err := m.serve(ctx, b.ID)
	switch {
	case err == nil:
		b.State = batch.StatePending
	case errors.Is(err, batch.ErrAmbiguous):
		b.State = batch.StateUnknown
	}
	b.UpdatedAt = time.Now()
	return b, err
}

// serve is the service's side of Submit, and the network between.
func (m *Memory) serve(ctx context.Context, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests++
	m.submits++
	fault := m.fault
	m.fault = ""
	ambiguous := func(cause error) error { return m.fail("Submit", batch.ErrAmbiguous, cause) }
	switch fault {
	case Refused:
		return m.fail("Submit", batch.ErrInvalid, errors.New("refused"))
	case Unauthorized:
		return m.fail("Submit", batch.ErrAuth, errors.New("unauthorized"))
	case LostBefore, ErrorBefore, Redirected, Unavailable:
		return ambiguous(errors.New(string(fault)))
	case LateAfter:
		m.late = append(m.late, id)
		return ambiguous(errors.New(string(fault)))
	}
	if fault != SilentBefore {
		if err := m.apply(id); err != nil {
			return err
		}
	}
	switch fault {
	case "":
		return nil
	case SilentBefore, SilentAfter:
		m.mu.Unlock()
		<-ctx.Done()
		m.mu.Lock()
		return ambiguous(ctx.Err())
	}
	return ambiguous(errors.New(string(fault)))
}

// apply takes a draft on: from now on its money is bound to move.
func (m *Memory) apply(id string) error {
	a, ok := m.batches[id]
	if !ok {
		return m.fail("Submit", batch.ErrNotFound, nil)
	}
	if a.state != batch.StateDraft {
		return m.fail("Submit", batch.ErrConflict, fmt.Errorf("the batch is %s", a.state))
	}
	a.state = batch.StatePending
	for _, item := range a.draft.Items {
		m.moved[item.Reference]++
	}
	return nil
}

// Poll reads where the batch stands.
func (m *Memory) Poll(ctx context.Context, b batch.Batch) (batch.Batch, error) {
	if err := m.info.Refuse("Poll", b); err != nil {
		return b, err
	}
	if b.State.Final() {
		return b, nil
	}
	if err := ctx.Err(); err != nil {
		return b, m.fail("Poll", batch.ErrUnavailable, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	a, err := m.read("Poll", b)
	if err != nil {
		return b, err
	}
	if m.sameItems(b, a) != nil {
		return b, m.fail("Poll", batch.ErrConflict, m.sameItems(b, a))
	}
	if a.state == batch.StatePending && m.polls > 0 {
		if a.polls++; a.polls >= m.polls {
			a.state = batch.StateDone
		}
	}
	b.State, b.Native, b.UpdatedAt = a.state, string(a.state), time.Now()
	if m.word != "" {
		b.State, b.Native = batch.StateUnknown, m.word
	}
	return b, nil
}

// sameItems says why a is not the batch of b's draft.
func (m *Memory) sameItems(b batch.Batch, a *account) error {
	switch {
	case b.Draft.Reference != a.draft.Reference:
		return fmt.Errorf("batch %s has the reference %q", b.ID, a.draft.Reference)
	case b.State == batch.StateUnknown && !slices.EqualFunc(b.Draft.Items, a.draft.Items, func(x, y batch.Item) bool {
		return x.Reference == y.Reference && x.Amount == y.Amount
	}):
		return fmt.Errorf("batch %s has other items", b.ID)
	}
	return nil
}

// read is the service's side of every read.
func (m *Memory) read(op string, b batch.Batch) (*account, error) {
	m.requests++
	if m.failures > 0 {
		m.failures--
		return nil, m.failure
	}
	a, ok := m.batches[b.ID]
	if !ok {
		return nil, m.fail(op, batch.ErrNotFound, nil)
	}
	return a, nil
}

// Report reads the outcome of every item.
func (m *Memory) Report(ctx context.Context, b batch.Batch) (batch.Report, error) {
	if err := m.info.Refuse("Report", b); err != nil {
		return batch.Report{Batch: b}, err
	}
	if err := ctx.Err(); err != nil {
		return batch.Report{Batch: b}, m.fail("Report", batch.ErrUnavailable, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	a, err := m.read("Report", b)
	if err != nil {
		return batch.Report{Batch: b}, err
	}
	if !b.State.Final() && m.word == "" {
		b.State, b.Native = a.state, string(a.state)
	}
	var rows []batch.Result
	for _, item := range a.draft.Items {
		outcome := batch.OutcomePending
		switch {
		case b.State == batch.StateCanceled:
			outcome = batch.OutcomeSkipped
		case a.state == batch.StateDone:
			if outcome = m.outcomes[item.Reference]; outcome == "" {
				outcome = batch.OutcomePaid
			}
		}
		rows = append(rows, batch.Result{Item: item, Outcome: outcome})
	}
	return batch.NewReport(b, rows)
}

// Find finds the newest batch of a reference.
func (m *Memory) Find(_ context.Context, reference string) (batch.Batch, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests++
	for _, id := range slices.Backward(m.order) {
		if a := m.batches[id]; a.draft.Reference == reference {
			return m.handle(id, a), nil
		}
	}
	return batch.Batch{}, m.fail("Find", batch.ErrNotFound, nil)
}

// Cancel withdraws a draft.
func (m *Memory) Cancel(_ context.Context, b batch.Batch) (batch.Batch, error) {
	if err := m.info.RefuseCancel("Cancel", b); err != nil {
		return b, err
	}
	return m.change("Cancel", b, func(a *account) { a.state = batch.StateCanceled })
}

// SetItems replaces the items of a draft.
func (m *Memory) SetItems(_ context.Context, b batch.Batch, items []batch.Item) (batch.Batch, error) {
	d := b.Draft
	d.Items = items
	d = d.Clone()
	if err := batch.Invalid(m.info.Name, "SetItems", m.info.Faults(d)); err != nil {
		return b, err
	}
	return m.change("SetItems", b, func(a *account) { a.draft = d })
}

// change changes a draft at the service.
func (m *Memory) change(op string, b batch.Batch, do func(*account)) (batch.Batch, error) {
	if err := m.info.Refuse(op, b); err != nil {
		return b, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	a, err := m.read(op, b)
	if err != nil {
		return b, err
	}
	if a.state != batch.StateDraft {
		return b, m.fail(op, batch.ErrConflict, fmt.Errorf("the batch is %s", a.state))
	}
	do(a)
	return m.handle(b.ID, a), nil
}

// List lists the batches, newest first.
func (m *Memory) List(context.Context) iter.Seq2[batch.Batch, error] {
	return func(yield func(batch.Batch, error) bool) {
		m.mu.Lock()
		m.requests++
		var all []batch.Batch
		for _, id := range slices.Backward(m.order) {
			all = append(all, m.handle(id, m.batches[id]))
		}
		m.mu.Unlock()
		for _, b := range all {
			if !yield(b, nil) {
				return
			}
		}
	}
}

// PollAll polls many batches.
func (m *Memory) PollAll(ctx context.Context, bs []batch.Batch) ([]batch.Batch, error) {
	out, failed := slices.Clone(bs), make(batch.PollErrors)
	for n, b := range bs {
		var err error
		if out[n], err = m.Poll(ctx, b); err != nil {
			failed[n] = err
		}
	}
	return out, failed.Err()
}

func (m *Memory) handle(id string, a *account) batch.Batch {
	return batch.Batch{Provider: m.info.Name, ID: id, Draft: a.draft.Clone(), State: a.state, Native: string(a.state),
		UpdatedAt: time.Now()}
}

func (m *Memory) fail(op string, kind batch.Kind, cause error) error {
	return &batch.Error{Kind: kind, Provider: m.info.Name, Op: op, Err: cause}
}

// Requests counts what has reached the service.
func (m *Memory) Requests() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.requests
}

// Submits counts the submits that have reached the service.
func (m *Memory) Submits() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.submits
}

// Moved counts, by item reference, how often money is bound to move.
func (m *Memory) Moved() map[string]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.moved)
}

// Break makes the next Submit meet f.
func (m *Memory) Break(f Fault) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = f
}

// Finish ends every batch that was submitted.
func (m *Memory) Finish() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, a := range m.batches {
		if a.state == batch.StatePending {
			a.state = batch.StateDone
		}
	}
}

// Say makes every later Poll read this word; "" ends it.
func (m *Memory) Say(word string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.word = word
}

// Settle lets the submits arrive that are still under way.
func (m *Memory) Settle() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range m.late {
		_ = m.apply(id) // The second of two is refused, and nobody hears of it.
	}
	m.late = nil
}

// FailReads makes the next n reads fail with err.
func (m *Memory) FailReads(n int, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failures, m.failure = n, err
}

// SetOutcome decides what becomes of an item; the default is OutcomePaid.
func (m *Memory) SetOutcome(item string, outcome batch.Outcome) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.outcomes[item] = outcome
}
