package campaign

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/batchway/batchway-go/internal/simkit"
)

var (
	runs = flag.Int("runs", 200, "random runs for each provider")
	seed = flag.Uint64("seed", 0, "replay the one run of this seed; 0 means new ones")
	only = flag.String("provider", "", "only this provider")
)

// breakages are what can go wrong with one call, whatever it does.
var breakages = []struct {
	name  string
	fault func(s *service) simkit.Fault
}{
	{"refused", answers(simkit.BeforeApply, func(s *service) simkit.Reply { return s.refused })}, // The first: see random.
	{"401", status(simkit.BeforeApply, 401)},
	{"429 for three hours", answers(simkit.BeforeApply, func(s *service) simkit.Reply {
		reply := simkit.JSON(http.StatusTooManyRequests, s.limited)
		reply.Header.Set("Retry-After", "10800")
		return reply
	})},
	{"503", status(simkit.BeforeApply, 503, "Retry-After", "1")},
	{"500 before", status(simkit.BeforeApply, 500)},
	{"500 after", status(simkit.AfterApply, 500)},
	{"502 after", status(simkit.AfterApply, 502)},
	{"408 after", status(simkit.AfterApply, 408)},
	{"redirected to itself after", func(*service) simkit.Fault {
		return simkit.Fault{Phase: simkit.AfterApply, Act: simkit.Answer, Reply: simkit.Reply{Status: 307, Header: http.Header{"Location": {"?"}}}}
	}},
	{"reset unread", act(simkit.BeforeRead, simkit.Reset)},
	{"lost before", act(simkit.BeforeApply, simkit.Reset)},
	{"lost after", act(simkit.AfterApply, simkit.Reset)},
	{"silent before", act(simkit.BeforeApply, simkit.Hang)},
	{"silent after", act(simkit.AfterApply, simkit.Hang)},
	{"garbled after", answers(simkit.AfterApply, func(*service) simkit.Reply { return simkit.JSON(200, `{"garbled`) })},
	{"null after", answers(simkit.AfterApply, func(*service) simkit.Reply { return simkit.JSON(200, `null`) })},
	{"a page after", func(*service) simkit.Fault {
		return simkit.Fault{Phase: simkit.AfterApply, Act: simkit.Answer, Reply: simkit.Reply{Status: 200, Header: http.Header{"Content-Type": {"text/html"}}, Body: []byte("<html>")}}
	}},
	{"truncated after", func(*service) simkit.Fault {
		return simkit.Fault{Phase: simkit.AfterApply, Act: simkit.Truncate, After: 5}
	}},
	{"stalled after", func(*service) simkit.Fault {
		return simkit.Fault{Phase: simkit.AfterApply, Act: simkit.Stall, After: 5}
	}},
	{"dripping", func(*service) simkit.Fault { return simkit.Fault{Phase: simkit.AfterApply, Act: simkit.Drip, After: 5} }},
	{"echoed after", act(simkit.AfterApply, simkit.Echo)},
	{"late by a second", late(time.Second)},
	{"late by a minute", late(time.Minute)},
	{"late by an hour", late(time.Hour)}, // The last two: see random.
}

func act(p simkit.Phase, a simkit.Act) func(*service) simkit.Fault {
	return func(*service) simkit.Fault { return simkit.Fault{Phase: p, Act: a} }
}

func answers(p simkit.Phase, reply func(*service) simkit.Reply) func(*service) simkit.Fault {
	return func(s *service) simkit.Fault { return simkit.Fault{Phase: p, Act: simkit.Answer, Reply: reply(s)} }
}

func status(p simkit.Phase, code int, header ...string) func(*service) simkit.Fault {
	return answers(p, func(*service) simkit.Reply {
		reply := simkit.Reply{Status: code, Header: http.Header{}}
		for i := 0; i < len(header); i += 2 {
			reply.Header.Set(header[i], header[i+1])
		}
		return reply
	})
}

func late(d time.Duration) func(*service) simkit.Fault {
	return func(*service) simkit.Fault {
		return simkit.Fault{Phase: simkit.BeforeApply, Act: simkit.Late, Delay: d}
	}
}

var crashKinds = []crashKind{diesBefore, diesAfter, failsBefore, failsAfter}

// steps returns how many operations of a world change something.
func steps(w world) int {
	s := w.open(rand.New(rand.NewPCG(1, 1)))
	defer s.close()
	return len(s.steps)
}

// TestSingles plays every fault at every step of every provider, with a crash
// at every entry of the journal; with -short only some of the crashes.
func TestSingles(t *testing.T) {
	kinds := crashKinds
	if testing.Short() {
		kinds = kinds[:1]
	}
	for _, w := range worlds {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			var all tally
			for step := range steps(w) {
				for _, b := range breakages {
					for nth := 0; nth <= 7; nth++ {
						for _, kind := range kinds {
							if nth == 0 && kind != kinds[0] {
								continue
							}
							var op string
							got := play(t, w, uint64(nth), func(s *service) plan {
								op = s.steps[step]
								f := b.fault(s)
								f.Op, f.Nth = op, 1
								p := plan{batches: 1, items: 3, callers: 1, faults: []simkit.Fault{f}}
								if nth > 0 {
									p.crashes = []crash{{nth, kind}}
								}
								return p
							})
							for _, v := range got.violations {
								t.Errorf("%s %s, and at entry %d it %s: %s", op, b.name, nth, kind, v)
							}
							all.add(got)
							if t.Failed() {
								return
							}
						}
					}
				}
			}
			t.Logf("%d runs, %d crashes, %d unknown, %d for a person", all.runs, all.crashes, all.unknown, all.stuck)
		})
	}
}

// random makes the plan of a seed.
func random(s *service, seed uint64) plan {
	r := rand.New(rand.NewPCG(seed, 2))
	p := plan{batches: 1 + r.IntN(3), items: 1 + r.IntN(6), callers: 1, lie: s.amount != "" && r.IntN(20) == 0, hurry: r.IntN(8) == 0, giveUp: maybe(r)}
	if r.IntN(3) == 0 {
		p.callers = 2 + r.IntN(3)
	}
	if r.IntN(500) == 0 {
		p.batches, p.items = 1+r.IntN(20), 1+r.IntN(100)
	}
	if r.IntN(10) == 0 {
		return plan{batches: p.batches, items: p.items, callers: p.callers} // A calm day.
	}
	if r.IntN(5) == 0 { // Two submits in a row go wrong.
		op := s.submits[r.IntN(len(s.submits))]
		for nth := range 2 {
			f := breakages[r.IntN(len(breakages))].fault(s)
			switch { // Above all: the first is late, and the second refused.
			case nth == 0 && maybe(r):
				f = breakages[len(breakages)-1-r.IntN(2)].fault(s)
			case nth == 1 && maybe(r):
				f = breakages[0].fault(s)
			}
			f.Op, f.Nth = op, nth+1
			p.faults = append(p.faults, f)
		}
		if maybe(r) { // And nobody asks again.
			p.callers, p.giveUp, p.hurry, p.lie = 1, true, false, false
		}
	}
	for range r.IntN(7) {
		ops := s.steps
		switch r.IntN(4) {
		case 0:
			ops = s.reads
		case 1, 2:
			ops = s.submits
		}
		f := breakages[r.IntN(len(breakages))].fault(s)
		f.Op, f.Nth = ops[r.IntN(len(ops))], 1+r.IntN(4)
		if f.Reply.Status == http.StatusTooManyRequests && !slices.Contains(s.submits, f.Op) {
			continue // Whoever only waits for an end may well wait for hours.
		}
		p.faults = append(p.faults, f)
	}
	for range r.IntN(4) {
		p.crashes = append(p.crashes, crash{1 + r.IntN(12), crashKinds[r.IntN(len(crashKinds))]})
	}
	return p
}

// TestRandom plays random plans, and prints what came of them. A run that
// fails prints the command that replays it.
func TestRandom(t *testing.T) {
	var mu sync.Mutex
	results := make([]tally, len(worlds))
	t.Run("providers", func(t *testing.T) {
		for n, w := range worlds {
			if *only != "" && *only != w.name {
				continue
			}
			t.Run(w.name, func(t *testing.T) {
				t.Parallel()
				var all tally
				began := time.Now()
				first, count := rand.Uint64()>>1, *runs
				if *seed != 0 {
					first, count = *seed, 1
				}
				for i := range uint64(count) { //nolint:gosec // It is not negative.
					got := play(t, w, first+i, func(s *service) plan { return random(s, first+i) })
					for _, v := range got.violations {
						t.Errorf("%s\nreplay: go test ./internal/campaign -run TestRandom -provider %s -seed %d", v, w.name, first+i)
					}
					all.add(got)
					if len(got.violations) > 0 {
						break
					}
				}
				all.took = time.Since(began)
				t.Logf("seeds from %d on", first)
				mu.Lock()
				defer mu.Unlock()
				results[n] = all
			})
		}
	})
	var table strings.Builder
	out := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(out, "provider\truns\tfaults\tcrashes\tduplicates\tlost\twrongly reported\thangs\tleaked goroutines\tstill unknown\tfor a person\ttime")
	for n, w := range worlds {
		r := results[n]
		_, _ = fmt.Fprintf(out, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\n", w.name, r.runs, r.faults, r.crashes, r.duplicates, r.lost, r.wrong, r.hangs, r.leaks,
			r.unknown, r.stuck, r.took.Round(time.Second))
	}
	_ = out.Flush()
	t.Log("\n" + table.String())
}
