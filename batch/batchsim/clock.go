package batchsim

import (
	"slices"
	"sync"
	"time"
)

// Clock is the simulator's time: real time (or that of a synctest bubble) plus
// what Advance has added.
type Clock struct {
	mu    sync.Mutex
	added time.Duration
	held  time.Time // the time at which it stands still, or zero
	due   []event
}

type event struct {
	at time.Time
	do func()
}

// Now returns the simulator's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now()
}

func (c *Clock) now() time.Time {
	if !c.held.IsZero() {
		return c.held
	}
	return time.Now().Add(c.added)
}

// Hold lets the clock stand still at a time, or at the present one for zero,
// until release, and does what has come due by then. Advance moves it even so.
// Hold it once at a time.
func (c *Clock) Hold(at time.Time) (held time.Time, release func()) {
	c.mu.Lock()
	if at.IsZero() {
		at = c.now().UTC().Round(0) // As it is written: without the monotonic clock.
	}
	c.held = at
	c.mu.Unlock()
	c.tick()
	return at, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.held = time.Time{}
	}
}

// Advance lets d pass at once, and does what has come due, in order.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	c.added += d
	if !c.held.IsZero() {
		c.held = c.held.Add(d)
	}
	c.mu.Unlock()
	c.tick()
}

// After arranges that f is called once d has passed: during an Advance, or
// before the next request is served.
func (c *Clock) After(d time.Duration, f func()) {
	at := c.Now().Add(d)
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.due)
	for n > 0 && c.due[n-1].at.After(at) {
		n--
	}
	c.due = slices.Insert(c.due, n, event{at, f})
}

// tick does what has come due. What it does may ask for more.
func (c *Clock) tick() {
	for {
		c.mu.Lock()
		if len(c.due) == 0 || c.due[0].at.After(c.now()) {
			c.mu.Unlock()
			return
		}
		do := c.due[0].do
		c.due = c.due[1:]
		c.mu.Unlock()
		do()
	}
}
