// Mutate changes one thing at a time in the code that decides about money, and
// runs the tests. A change that no test notices is a survivor: a rule without a
// test, or two programs that do the same.
//
//	go -C internal/tools/mutate run . -package batch -function submit
//	go -C internal/tools/mutate run . -sample 40 -seed 7
//	go -C internal/tools/mutate run . -own -files '^batch/(replay|money)\.go$'
//
// With -own, a mutant costs seconds and not minutes: only the tests of its
// package run, with -short. What then survives may still be killed by a
// dependent, or by a longer test.
//
// It never writes into the repository: go test -overlay reads the changed file
// from a temporary directory.
//
// A survivor is printed as a block of three lines. If it is equivalent to the
// original, copy the block into equivalent.txt and add the reason.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"sync"
	"text/tabwriter"
	"time"
)

// A target is a package that is mutated.
type target struct {
	dir   string   // from the root of the repository
	files []string // empty means all
	// dependents are the arguments of the go test commands that must fail if
	// the package's own tests pass.
	dependents [][]string
}

var targets = []target{
	{"batch", nil, [][]string{{"./batch/batchtest"}, {"./internal/campaign", "-run", "TestRandom", "-runs", "30"}}},
	{"batch/batchhttp", nil, [][]string{{"./citypay"}, {"./sixdotfifty"}}},
	{"citypay", []string{"provider.go", "types.go"}, campaign("citypay")},
	{"centrapay", []string{"provider.go", "types.go", "client.go", "gate.go"}, campaign("centrapay")},
	{"sixdotfifty", []string{"provider.go", "types.go", "client.go"}, campaign("sixdotfifty")},
	{"snapbill", []string{"provider.go", "types.go", "envelope.go"}, campaign("snapbill")},
}

func campaign(provider string) [][]string {
	return [][]string{{"./internal/campaign", "-run", "TestRandom", "-provider", provider, "-runs", "30"}}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "mutate:", err)
		}
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("mutate", flag.ContinueOnError)
	flags.SetOutput(out)
	packages := flags.String("package", "", "mutate only the packages whose directory matches this regular expression")
	functions := flags.String("function", "", "mutate only the functions whose name matches this regular expression")
	files := flags.String("files", "",
		"mutate only the files whose path from the root of the repository matches this regular expression")
	own := flags.Bool("own", false, "run only the tests of the mutated package, with -short")
	limit := flags.Duration("for", 0,
		"begin no mutant after so long; the table then has those that ran; 0 means no limit")
	sample := flags.Int("sample", 0, "run only so many mutants, which -seed chooses; 0 means all")
	seed := flags.Uint64("seed", 0, "chooses the sample; 0 means a new seed, which is printed")
	parallel := flags.Int("parallel", 2, "how many mutants are tested at once")
	tolerate := flags.Int("tolerate", 0, "do not fail before more mutants than this survive")
	list := flags.Bool("list", false, "print the mutants and run nothing")
	recheck := flags.Bool("equivalent", false,
		"run only the mutants of equivalent.txt; one that a test kills is not equivalent")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 || *parallel < 1 || *sample < 0 || *tolerate < 0 {
		return fmt.Errorf("there are no arguments beside the flags, and no number is negative: %q", args)
	}
	pkg, err := regexp.Compile("^(" + *packages + ")")
	if err != nil {
		return err
	}
	function, err := regexp.Compile(*functions)
	if err != nil {
		return err
	}
	file, err := regexp.Compile(*files)
	if err != nil {
		return err
	}
	known, err := readEquivalents("equivalent.txt")
	if err != nil {
		return err
	}

	var chosen []target
	for _, t := range targets {
		if pkg.MatchString(t.dir) {
			chosen = append(chosen, t)
		}
	}
	if len(chosen) == 0 {
		return fmt.Errorf("-package %q matches none of the packages in main.go", *packages)
	}
	loaded, err := load(ctx, "../../..", chosen)
	if err != nil {
		return err
	}
	var mutants []*mutant
	var problems []error
	for _, p := range loaded {
		all := p.mutants()
		problems = append(problems, known.stale(p.name, all))
		for _, m := range all {
			if function.MatchString(m.function) && file.MatchString(m.file) {
				mutants = append(mutants, m)
			}
		}
	}
	if len(mutants) == 0 {
		return errors.New("-function and -files match nothing together")
	}
	var equivalent int
	if mutants, equivalent = known.split(mutants, *recheck); *sample > 0 {
		if *seed == 0 {
			*seed = rand.Uint64() >> 32
		}
		fmt.Fprintf(out, "a sample of %d of %d mutants, from -seed %d\n", min(*sample, len(mutants)),
			len(mutants), *seed)
		shuffle(mutants, *seed)
	}
	if *list {
		return printAll(ctx, out, mutants, *sample)
	}
	results, err := test(ctx, out, mutants, options{*sample, *parallel, *own, *limit})
	if err != nil {
		return err
	}
	survived := printTable(out, results, equivalent)
	if *recheck {
		if killed := len(results) - survived; killed > 0 {
			problems = append(problems, fmt.Errorf("%d mutants of equivalent.txt are killed: take them out", killed))
		}
		survived = 0
	}
	if survived > *tolerate {
		problems = append(problems,
			fmt.Errorf("%d mutants survive, and %d may: add a test, or an entry with its reason to equivalent.txt",
				survived, *tolerate))
	}
	return errors.Join(problems...)
}

// printAll prints the mutants that compile.
func printAll(_ context.Context, out io.Writer, mutants []*mutant, sample int) error {
	printed := 0
	for _, m := range mutants {
		if sample > 0 && printed == sample {
			break
		}
		if m.compiles() {
			printed++
			fmt.Fprintf(out, "%s:%d\n%s\n", m.file, m.line, m)
		}
	}
	_, err := fmt.Fprintln(out, printed, "mutants")
	return err
}

// options say which of the mutants run, and how: see the flags.
type options struct {
	sample, parallel int
	own              bool
	limit            time.Duration
}

// A fate is what became of a mutant.
type fate int

const (
	survived fate = iota
	killed
	killedByDependents
	timedOut
	notBuilt // a package that imports it does not compile, so nothing ran
)

// A result is a mutant and what became of it.
type result struct {
	mutant *mutant
	fate   fate
}

// test runs the mutants, and prints each survivor.
func test(ctx context.Context, out io.Writer, mutants []*mutant, o options) ([]result, error) {
	var compiled []*mutant
	for _, m := range mutants {
		if (o.sample == 0 || len(compiled) < o.sample) && m.compiles() {
			compiled = append(compiled, m)
		}
	}
	dir, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	end := time.Now().Add(o.limit)
	var results []result
	for _, p := range programs(compiled, dir) {
		if o.limit > 0 && time.Now().After(end) {
			break
		}
		of, err := p.test(ctx, out, o, end)
		if results = append(results, of...); err != nil {
			return results, err
		}
	}
	return results, nil
}

// test runs the tests of the package on each mutant, and the dependents on
// those that survive; with own, only the short tests of the package.
func (p *program) test(ctx context.Context, out io.Writer, o options, end time.Time) ([]result, error) {
	defer func() { _ = os.RemoveAll(p.dir) }()
	if err := p.write(); err != nil {
		return nil, err
	}
	commands := append([][]string{{"./" + p.pkg.target.dir}}, p.pkg.target.dependents...)
	if o.own {
		commands = [][]string{{"./" + p.pkg.target.dir, "-short"}}
	}
	fates := make(map[int]fate) // by number
	alive := make([]int, len(p.mutants))
	for i := range alive {
		alive[i] = i + 1
	}
	for n, command := range commands {
		if len(alive) == 0 {
			break
		}
		s, err := p.build(ctx, n, command)
		if err != nil {
			return nil, err
		}
		var mu sync.Mutex
		var workers sync.WaitGroup
		queue := make(chan int, len(alive))
		for _, number := range alive {
			queue <- number
		}
		close(queue)
		for range o.parallel {
			workers.Go(func() {
				for number := range queue {
					if ctx.Err() != nil || n == 0 && o.limit > 0 && time.Now().After(end) {
						return
					}
					f := notBuilt
					if s != nil {
						f = s.test(ctx, number)
					}
					if f == killed && n > 0 {
						f = killedByDependents
					}
					mu.Lock()
					fates[number] = f
					if m := p.mutants[number-1]; f == survived && n == len(commands)-1 {
						fmt.Fprintf(out, "survived %s:%d\n%s\n", m.file, m.line, m)
					}
					mu.Unlock()
				}
			})
		}
		workers.Wait()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		alive = slices.DeleteFunc(alive, func(number int) bool {
			f, ran := fates[number]
			return !ran || f != survived
		})
	}
	var results []result
	for _, number := range slices.Sorted(maps.Keys(fates)) {
		results = append(results, result{p.mutants[number-1], fates[number]})
	}
	return results, nil
}

// printTable prints what became of the mutants of each file, and returns how
// many survived.
func printTable(out io.Writer, results []result, equivalent int) int {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "file\tmutants\tkilled\tkilled by dependents only\ttimed out\tnot built\tsurvived")
	counts := make(map[string]map[fate]int) // by file
	total := make(map[fate]int)
	for _, r := range results {
		if counts[r.mutant.file] == nil {
			counts[r.mutant.file] = make(map[fate]int)
		}
		counts[r.mutant.file][r.fate]++
		total[r.fate]++
	}
	row := func(name string, counts map[fate]int) {
		sum := 0
		for _, n := range counts {
			sum += n
		}
		_, _ = fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\n", name, sum, counts[killed], counts[killedByDependents],
			counts[timedOut], counts[notBuilt], counts[survived])
	}
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		row(name, counts[name])
	}
	row("all", total)
	_ = w.Flush()
	fmt.Fprintln(out, equivalent, "more are in equivalent.txt")
	return total[survived]
}
