package batchsim

import (
	"bytes"
	"net/http"
	"slices"
	"sync"
	"time"
)

// An Effect is one movement of money, or one record loaded.
type Effect struct {
	Payer string // whose contract, in the service's terms: "merchant 11223344 of PC600001"
	// Item is the caller's reference of it, or its account where the service keeps none (SnapBill)
	Batch, Item, Account string
	Minor                int64 // the amount in the minor unit
	Currency             string
	At                   time.Time
}

// Ledger is the judge of every fault test: what really happened.
type Ledger struct {
	mu      sync.Mutex
	effects []Effect
}

// Move records that money has moved.
func (l *Ledger) Move(e Effect) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.effects = append(l.effects, e)
}

// Effects returns what has happened so far, in order.
func (l *Ledger) Effects() []Effect {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.effects)
}

// Moved counts, by item, how often its money has moved.
func (l *Ledger) Moved() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	moved := make(map[string]int)
	for _, e := range l.effects {
		moved[e.Item]++
	}
	return moved
}

// An Entry is one request as it arrived.
type Entry struct {
	Op     string // empty if no operation matched
	Method string
	Path   string
	Query  string
	Header http.Header
	Body   []byte // the first 64 KiB of it
	At     time.Time
}

const (
	entriesKept = 4096
	bodyKept    = 64 << 10
)

// Log remembers the requests that arrived: all of them as a count, and the
// last few thousand in full.
type Log struct {
	// Arrived, if set, is called with every request before it is served. Set it
	// before the first one arrives.
	Arrived func(Entry)

	mu      sync.Mutex
	entries []Entry
	counts  map[string]int
	all     int
}

func (l *Log) add(op string, r *http.Request, body []byte, at time.Time) {
	e := Entry{Op: op, Method: r.Method, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery, Header: r.Header.Clone(),
		Body: bytes.Clone(body[:min(len(body), bodyKept)]), At: at}
	if l.Arrived != nil {
		l.Arrived(e)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.counts == nil {
		l.counts = make(map[string]int)
	}
	l.counts[op]++
	l.all++
	if len(l.entries) == entriesKept {
		l.entries = slices.Delete(l.entries, 0, entriesKept/2)
	}
	l.entries = append(l.entries, e)
}

// Requests returns the requests for op, or all of them for "".
func (l *Log) Requests(op string) []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []Entry
	for _, e := range l.entries {
		if op == "" || e.Op == op {
			found = append(found, e)
		}
	}
	return found
}

// Count returns how many requests for op have arrived, or how many in all for
// "".
func (l *Log) Count(op string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if op == "" {
		return l.all
	}
	return l.counts[op]
}
