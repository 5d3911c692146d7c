package campaign

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/batchway/batchway-go/batch"
)

// A crash strikes the nth entry that is written in a run.
type crash struct {
	nth  int
	kind crashKind
}

type crashKind string

const (
	diesBefore  crashKind = "dies before an entry is written"
	diesAfter   crashKind = "dies after an entry is written"
	failsBefore crashKind = "the disk fails, and the entry is lost"
	failsAfter  crashKind = "the disk fails, and the entry is there"
)

var crashKinds = []crashKind{diesBefore, diesAfter, failsBefore, failsAfter}

// died is what a process panics with.
type died struct{}

// disk is the journal of one run, which outlives its processes.
type disk struct {
	batch.Journal
	mu      sync.Mutex
	written int
	crashes []crash
	struck  int
}

// strike counts an entry, and returns what happens at it.
func (d *disk) strike() crashKind {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.written++
	for _, c := range d.crashes {
		if c.nth == d.written {
			d.struck++
			return c.kind
		}
	}
	return ""
}

// heal ends all crashes.
func (d *disk) heal() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.crashes = nil
}

// read returns a history, as it is now.
func (d *disk) read(key batch.Key) history {
	return must(d.History(context.Background(), key))
}

// process is the journal as one process has it open.
type process struct {
	*disk
	mu       sync.Mutex
	poisoned error
}

var errDisk = errors.New("input/output error")

func (p *process) Append(ctx context.Context, key batch.Key, e batch.Entry) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.poisoned != nil {
		return p.poisoned
	}
	kind := p.strike()
	if kind == diesBefore {
		panic(died{})
	}
	if kind != failsBefore {
		if err := p.disk.Append(ctx, key, e); err != nil {
			return err
		}
	}
	switch kind {
	case diesAfter:
		panic(died{})
	case failsBefore, failsAfter:
		p.poisoned = errDisk
	}
	return p.poisoned
}

// history is what the campaign asks of the entries of one key. It reads them by
// itself, and does not use the engine's replay.
type history []batch.Entry

func (h history) count(kind batch.EntryKind, step batch.Step) int {
	n := 0
	for _, e := range h {
		if e.Kind == kind && e.Step == step {
			n++
		}
	}
	return n
}

// attempts counts the requests that may have been sent to move money.
func (h history) attempts() int { return h.count(batch.EntryAttempt, batch.StepSubmit) }

func (h history) terms() map[string]string {
	for _, e := range h {
		if e.Kind == batch.EntryIntent {
			return e.Terms
		}
	}
	return nil
}

// decided reports whether an operator has decided so.
func (h history) decided(v batch.Verdict) bool {
	return slices.ContainsFunc(h, func(e batch.Entry) bool { return e.Decision != nil && e.Decision.Verdict == v })
}

// closed reports whether the history is over, and whether an operator has ended it.
func (h history) closed() (closed, abandoned bool) {
	if len(h) == 0 {
		return false, false
	}
	last := h[len(h)-1]
	return last.Kind == batch.EntryDone, last.Kind == batch.EntryDone && last.Decision != nil
}

// names reports whether a batch at the service is one of this history.
func (h history) names(id string) bool {
	return id != "" && slices.ContainsFunc(h, func(e batch.Entry) bool { return e.Batch != nil && e.Batch.ID == id })
}

// submitted returns the ID of the batch that the service has, as the history
// says last.
func (h history) submitted() (id string) {
	for _, e := range h {
		switch {
		case e.Kind == batch.EntryReconciled, e.Kind == batch.EntryDone && e.Decision == nil,
			e.Kind == batch.EntryResult && e.Step == batch.StepSubmit && e.Failure == nil:
			id = e.Batch.ID
		case e.Kind == batch.EntryDecision, e.Kind == batch.EntryResult && e.Step == batch.StepCreate &&
			e.Decision != nil, e.Kind == batch.EntryDone:
			id = "" // What was adopted before was not this batch.
		}
	}
	return id
}
