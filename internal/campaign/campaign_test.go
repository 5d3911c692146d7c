package campaign

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/batchway/batchway-go/batch"
)

var (
	runs = flag.Int("runs", 150, "random runs for each provider")
	seed = flag.Uint64("seed", 0, "replay the one run of this seed; 0 means new ones")
	only = flag.String("provider", "", "only this provider")
	deep = flag.Bool("deep", false,
		"with every fault at every step, a crash of every kind at every entry of the journal")
)

// single is the plan of one fault.
func single(f fault, crashes ...crash) plan {
	return plan{batches: 1, items: 3, callers: 1, faults: []fault{f}, crashes: crashes, overTLS: f.net.needsTLS()}
}

// operations returns what a world's service can be asked for.
func operations(w world) (steps, reads []string) {
	s := w.open(rand.New(rand.NewPCG(1, 1)))
	defer s.close()
	return s.steps, s.reads
}

// eachWorld runs a test for every provider, all at once, and collects what came
// of it.
func eachWorld(t *testing.T, test func(t *testing.T, w world) tally) string {
	var mu sync.Mutex
	results := make([]tally, len(worlds))
	t.Run("providers", func(t *testing.T) {
		for n, w := range worlds {
			if *only != "" && *only != w.name {
				continue
			}
			t.Run(w.name, func(t *testing.T) {
				t.Parallel()
				began := time.Now()
				all := test(t, w)
				all.took = time.Since(began)
				mu.Lock()
				defer mu.Unlock()
				results[n] = all
			})
		}
	})
	var table strings.Builder
	out := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(out,
		"provider\truns\tfaults\tcrashes\tcalls\tduplicates\tlost\twrongly reported\thangs\tstill unknown\tfor a person\tby a middlebox\t(noticed)\tby a wrong Resend\ttime")
	for n, w := range worlds {
		r := results[n]
		_, _ = fmt.Fprintf(out, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\n", w.name, r.runs,
			r.faults, r.crashes, r.moves, r.duplicates, r.lost, r.wrong, r.hangs,
			r.unknown, r.stuck, r.repeated, r.noticed, r.resent, r.took.Round(time.Second))
	}
	_ = out.Flush()
	return "\n" + table.String()
}

// TestSingles plays every fault at every operation of every provider.
func TestSingles(t *testing.T) {
	t.Log(eachWorld(t, func(t *testing.T, w world) (all tally) {
		steps, reads := operations(w)
		for n, op := range slices.Concat(steps, reads) {
			for i, b := range breakages {
				if b.name == waits.name && n >= len(steps) {
					continue // One who only waits for an end may well wait for hours.
				}
				got := play(t, w, uint64(1000*n+i), func(s *service) plan {
					return single(fault{s.operation(n), 1, b})
				})
				for _, v := range got.violations {
					t.Errorf("%s: %s: %s", op, b.name, v)
				}
				if all.add(got); t.Failed() {
					return all
				}
			}
		}
		return all
	}))
}

// operation returns the nth operation: that of a step can hang on the world.
func (s *service) operation(n int) string { return slices.Concat(s.steps, s.reads)[n] }

// TestCrashes lets the process crash in every way at every entry of the journal,
// however many there are, beside a fault that makes the history long; with
// -deep beside every fault.
func TestCrashes(t *testing.T) {
	faults := []breakage{{name: "nothing"}, refused, lostAfter, lateHour}
	if *deep {
		faults = append(faults[:1], breakages...)
	}
	t.Log(eachWorld(t, func(t *testing.T, w world) (all tally) {
		steps, _ := operations(w)
		for n, op := range steps {
			for i, b := range faults {
				for _, kind := range crashKinds {
					longest := 0
					for struck := true; struck; {
						longest++
						got := play(t, w, uint64(1000*n+i), func(s *service) plan {
							p := single(fault{s.operation(n), 1, b}, crash{longest, kind})
							if b.name == "nothing" {
								p.faults = nil
							}
							return p
						})
						for _, v := range got.violations {
							t.Errorf("%s: %s, and at entry %d it %s: %s", op, b.name, longest, kind, v)
						}
						all.add(got)
						struck = got.crashes > 0
						if t.Failed() {
							return all
						}
					}
				}
			}
		}
		return all
	}))
}

// TestDecisions lets operators decide twice in turn, in every way, about a batch
// that one call has left open.
func TestDecisions(t *testing.T) {
	verdicts := []batch.Verdict{batch.Abandon, batch.Adopt, batch.Resend}
	t.Log(eachWorld(t, func(t *testing.T, w world) (all tally) {
		steps, _ := operations(w)
		for n, op := range steps {
			for i, b := range []breakage{refused, lostBefore, lostAfter, lateHour} {
				for _, first := range verdicts {
					for _, second := range verdicts {
						got := play(t, w, uint64(1000*n+i), func(s *service) plan {
							p := single(fault{s.operation(n), 1, b})
							p.calls, p.earlier, p.decisions = 1, true, []batch.Verdict{first, second}
							return p
						})
						for _, v := range got.violations {
							t.Errorf("%s: %s, then %s and %s: %s", op, b.name, first, second, v)
						}
						if all.add(got); t.Failed() {
							return all
						}
					}
				}
			}
		}
		return all
	}))
}

// random makes the plan of a seed.
func random(s *service, seed uint64) plan {
	r := rand.New(rand.NewPCG(seed, 2))
	p := plan{batches: 1 + r.IntN(3), items: 1 + r.IntN(6), callers: 1, lie: s.amount != "" && r.IntN(20) == 0,
		hurry: r.IntN(8) == 0, giveUp: maybe(r)}
	if r.IntN(3) == 0 {
		p.callers = 2 + r.IntN(3)
	}
	if r.IntN(3) == 0 {
		p.pause = time.Duration(r.IntN(40)) * time.Minute
	}
	if r.IntN(500) == 0 {
		p.batches, p.items = 1+r.IntN(20), 1+r.IntN(100)
	}
	if r.IntN(10) == 0 {
		p.lie, p.hurry, p.giveUp, p.earlier, p.nulls = false, false, false, maybe(r), maybe(r)
		for range r.IntN(3) { // A calm day, but for requests that are not sent.
			p.faults = append(p.faults, fault{pick(r, s.submits...), 1 + r.IntN(2), pick(r, unsent...)})
		}
		p.overTLS = slices.ContainsFunc(p.faults, func(f fault) bool { return f.net.needsTLS() })
		return p
	}
	p.earlier, p.nulls, p.overTLS = r.IntN(4) == 0, r.IntN(8) == 0, r.IntN(16) == 0
	if r.IntN(4) == 0 {
		p.operators, p.resends = 1+r.IntN(2), r.IntN(4) == 0
		p.decisions = []batch.Verdict{pick(r, batch.Abandon, batch.Adopt), pick(r, batch.Abandon, batch.Adopt)}
	}
	p.earlier = p.earlier || p.operators > 0 && maybe(r) // For one who adopts it.
	p.twin, p.sites = r.IntN(8) == 0, s.other != nil && r.IntN(12) == 0
	strike := func(op string, nth int, b breakage) {
		late := b.name == lateHour.name && s.atMost > 0 && slices.Contains(s.submits, op)
		// One who only waits for an end may well wait for hours.
		waiting := b.name == waits.name && !slices.Contains(s.submits, op)
		untrue := b.name == refused.name && !slices.Contains(s.steps, op) // Its words are about what changes something.
		if !late && !waiting && !untrue {
			p.faults = append(p.faults, fault{op, nth, b})
			p.overTLS = p.overTLS || b.net.needsTLS()
		}
	}
	if r.IntN(5) == 0 { // Two submits in a row go wrong.
		op := pick(r, s.submits...)
		first, second := pick(r, breakages...), pick(r, breakages...)
		if maybe(r) { // Above all: the first is late or lost, and the second refused.
			first, second = pick(r, lateHour, lateHour, lateMinute, lostAfter), refused
			if maybe(r) {
				// The next call comes when nothing is in flight any more, and before what is late.
				p.pause = 20 * time.Minute
			}
		}
		strike(op, 1, first)
		strike(op, 2, second)
		if maybe(r) { // And nothing else, and no caller asks again.
			p.callers, p.operators, p.decisions, p.giveUp, p.hurry, p.lie, p.sites = 1, 0, nil, true,
				false, false, false
			return p
		}
	}
	if r.IntN(20) == 0 {
		strike(pick(r, s.submits...), 1, pick(r, delivered, breakage{name: string(sendsTwice), net: sendsTwice}))
	}
	for range r.IntN(7) {
		ops := s.steps
		switch r.IntN(4) {
		case 0:
			ops = s.reads
		case 1, 2:
			ops = s.submits
		}
		strike(pick(r, ops...), 1+r.IntN(4), pick(r, breakages...))
	}
	for range r.IntN(4) {
		p.crashes = append(p.crashes, crash{1 + r.IntN(12), pick(r, crashKinds...)})
	}
	return p
}

// TestRandom plays random plans, and prints what came of them. A run that
// fails prints the command that replays it.
func TestRandom(t *testing.T) {
	t.Log(eachWorld(t, func(t *testing.T, w world) (all tally) {
		first, count := rand.Uint64()>>1, *runs
		if *seed != 0 {
			first, count = *seed, 1
		}
		for i := range uint64(count) { //nolint:gosec // It is not negative.
			got := play(t, w, first+i, func(s *service) plan { return random(s, first+i) })
			for _, v := range got.violations {
				t.Errorf("%s\nreplay: go test ./internal/campaign -run TestRandom -provider %s -seed %d", v,
					w.name, first+i)
			}
			if all.add(got); len(got.violations) > 0 {
				break
			}
		}
		t.Logf("seeds from %d on", first)
		return all
	}))
}
