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
	return time.Now().Add(c.added)
}

// Advance lets d pass at once, and does what has come due, in order.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	c.added += d
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
		if len(c.due) == 0 || c.due[0].at.After(time.Now().Add(c.added)) {
			c.mu.Unlock()
			return
		}
		do := c.due[0].do
		c.due = c.due[1:]
		c.mu.Unlock()
		do()
	}
}
