package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// sample has something for every kind of change.
const sample = `package sample

import "errors"

type Kind string

const (
	A Kind = "a"
	B Kind = "b"
)

type Pay struct {
	Minor int
	To    string
}

// Check has a comment.
func Check(n int, to string, ready bool) (Pay, error) {
	if n <= 0 || to == "" { // Both are said.
		return Pay{}, errors.New("bad")
	}
	switch to {
	case "x", "y":
		n--
	case "z":
		return Pay{Minor: n, To: to}, nil
	}
	for n > 100 {
		n = n / 2
	}
	return Pay{
		Minor: n + 1,
		To:    to,
	}, nil
}

// Number gives no number beside an error: 0 there is not mutated.
func Number(p Pay) (int, error) {
	if p.To == "" {
		return 0, errors.New("bad")
	}
	return p.Minor, nil
}

func Same(p, q Pay) bool { return p == q }

func Word(p Pay) Kind {
	if p.Minor > 7 {
		return A
	}
	return B
}
`

const sampleTest = `package sample

import "testing"

func TestWord(t *testing.T) {
	if Word(Pay{Minor: 8}) != A || Word(Pay{Minor: 1}) != B {
		t.Fatal("another word")
	}
}
`

// shapes has a function of every shape. Each returns, or leaves in its
// argument, one number that shapesTest compares.
const shapes = `package sample

type box[T any] struct{ n T }

func (b *box[T]) pointer(n int) int   { return n + 1 }
func (box[T]) unnamed(_ int, n int) int { return n + 1 }
func generic[T any](_ T, n int) int    { return n + 1 }
func variadic(n int, more ...int) int  { return n + len(more) }
func bare(int) int                     { return 1 }
func nothing(n *int)                   { *n = *n + 1 }
func named(n int) (m int, err error) {
	defer func() { m = m + 1 }()
	return n, nil
}
func recovers() (n int) {
	defer saves(&n)
	panic("x")
}
func saves(n *int) {
	if v := recover(); v != nil {
		*n = *n + 1
	}
}
func inside(n int) int {
	add := func(m int) int { return m + 1 }
	return add(n)
}
`

const shapesTest = `package sample

import "testing"

func TestShapes(t *testing.T) {
	n := 1
	nothing(&n)
	m, _ := named(1)
	var b box[string]
	for i, got := range []int{b.pointer(1), b.unnamed(7, 1), generic("x", 1), variadic(1, 5), bare(7) + 1, n, m, recovers() + 1, inside(1)} {
		if got != 2 {
			t.Fatal(i, got)
		}
	}
}
`

// world writes the sample as a repository, and loads it.
func world(t *testing.T) *pkg {
	t.Helper()
	return worldOf(t, sample, sampleTest)
}

func worldOf(t *testing.T, source, tests string) *pkg {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{"go.mod": "module sample\n\ngo 1.26.0\n", "sample/sample.go": source,
		"sample/sample_test.go": tests} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	loaded, err := load(t.Context(), root, []target{{dir: "sample"}})
	if err != nil {
		t.Fatal(err)
	}
	return loaded[0]
}

func TestEveryKindOfChangeIsMade(t *testing.T) {
	var got strings.Builder
	for _, m := range world(t).mutants() {
		if m.compiles() {
			got.WriteString(m.String() + "\n")
		}
	}
	want, err := os.ReadFile("testdata/sample.txt")
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("the mutants of the sample are not those of testdata/sample.txt:\n%s", got.String())
	}
}

func TestWhatNoTestNoticesSurvives(t *testing.T) {
	var mutants []*mutant
	for _, m := range world(t).mutants() {
		if m.function == "sample.Word" {
			mutants = append(mutants, m)
		}
	}
	var out bytes.Buffer
	results, err := test(t.Context(), &out, mutants, options{parallel: 2})
	if err != nil {
		t.Fatal(err)
	}
	counts := make(map[fate]int)
	for _, r := range results {
		counts[r.fate]++
	}
	// The test knows 1 and 8, and neither 7 nor what is between.
	for _, want := range []string{"- if p.Minor > 7 {\n+ if p.Minor >= 7 {\n"} {
		if !strings.Contains(out.String(), "survived sample/sample.go:48\nsample.Word\n"+want) {
			t.Errorf("the output lacks the survivor\n%s\n%s", want, out.String())
		}
	}
	if counts[survived] != 1 || counts[killed] != len(results)-1 || len(results) < 5 {
		t.Errorf("the fates are %v:\n%s", counts, out.String())
	}
}

// Every mutant of every shape of function runs, and is killed. The program that
// has them all must not be what kills: without a mutant it passes.
func TestFunctionsOfEveryShape(t *testing.T) {
	var mutants []*mutant
	functions := make(map[string]bool)
	for _, m := range worldOf(t, shapes, shapesTest).mutants() {
		if strings.Contains(m.String(), "v != nil") {
			continue // Only a panic with nil tells the difference.
		}
		if m.compiles() {
			mutants = append(mutants, m)
			functions[m.function] = true
		}
	}
	if len(functions) < 9 {
		t.Errorf("there are mutants of %d functions only: %v", len(functions), functions)
	}
	var out bytes.Buffer
	results, err := test(t.Context(), &out, mutants, options{parallel: 2})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if r.fate != killed {
			t.Errorf("fate %d: %s", r.fate, r.mutant)
		}
	}
	if len(results) != len(mutants) {
		t.Errorf("%d of %d ran", len(results), len(mutants))
	}
}

// A mutant of a function that recovers is no copy: a copy would recover nothing,
// and every mutant of it would be killed by that.
func TestAMutantOfWhatRecoversIsAlone(t *testing.T) {
	alone := make(map[string]bool)
	for _, m := range worldOf(t, shapes, shapesTest).mutants() {
		if m.alone() {
			alone[m.function] = true
		}
	}
	if len(alone) != 1 || !alone["sample.saves"] {
		t.Errorf("alone are %v", alone)
	}
}

func TestASampleStaysWhenOtherCodeChanges(t *testing.T) {
	all := world(t).mutants()
	first := func(mutants []*mutant, n int, seed uint64) []string {
		mutants = slices.Clone(mutants)
		shuffle(mutants, seed)
		var names []string
		for _, m := range mutants[:n] {
			names = append(names, m.String())
		}
		return names
	}
	chosen := first(all, 5, 7)
	if slices.Equal(chosen, first(all, 5, 8)) {
		t.Error("two seeds choose the same sample")
	}
	fewer := slices.DeleteFunc(slices.Clone(all), func(m *mutant) bool {
		return m.function == "sample.Word" && !slices.Contains(chosen, m.String())
	})
	if got := first(fewer, 5, 7); !slices.Equal(chosen, got) {
		t.Errorf("the sample is %q, and was %q", got, chosen)
	}
}

func TestEquivalentsNeedAReasonAndAMutant(t *testing.T) {
	const block = "sample.Word\n- if p.Minor > 7 {\n+ if p.Minor >= 7 {\n"
	read := func(text string) (equivalents, error) {
		path := filepath.Join(t.TempDir(), "equivalent.txt")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return readEquivalents(path)
	}
	all := world(t).mutants()
	known, err := read("# A comment.\n\n" + block + "Nothing has 7.\n")
	if err != nil {
		t.Fatal(err)
	}
	rest, count := known.split(all, false)
	if kept, _ := known.split(all, true); count != 1 || len(rest) != len(all)-1 || len(kept) != 1 {
		t.Errorf("%d are equivalent, %d are left of %d", count, len(rest), len(all))
	}
	if err := known.stale("sample", all); err != nil {
		t.Error(err)
	}
	if err := known.stale("sample", rest); err == nil {
		t.Error("an entry without a mutant is not reported")
	}
	if err := known.stale("another", nil); err != nil {
		t.Error(err)
	}
	for name, text := range map[string]string{"no reason": block, "no change": "sample.Word\nreason\n", "twice": block +
		"a\n\n" + block + "b\n"} {
		if _, err := read(text); err == nil {
			t.Errorf("%s: there is no error", name)
		}
	}
}

// TestEquivalentsMatch holds equivalent.txt against the sources of today.
func TestEquivalentsMatch(t *testing.T) {
	known, err := readEquivalents("equivalent.txt")
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := load(t.Context(), "../../..", targets)
	if err != nil {
		t.Fatal(err)
	}
	names := make(map[string]bool)
	for _, p := range loaded {
		names[p.name] = true
		if err := known.stale(p.name, p.mutants()); err != nil {
			t.Error(err)
		}
	}
	for key := range known {
		if name, _, _ := strings.Cut(key, "."); !names[name] {
			t.Errorf("equivalent.txt names package %q, which is not mutated", name)
		}
	}
}

func TestMistakesInTheFlags(t *testing.T) {
	for _, args := range [][]string{{"batch"}, {"-package", "nothing"}, {"-package", "("}, {"-function", "("},
		{"-files", "("}, {"-files", "nothing"}, {"-parallel", "0"}, {"-sample", "-1"}, {"-nonsense"}} {
		if err := run(t.Context(), args, new(bytes.Buffer)); err == nil {
			t.Errorf("%q: there is no error", args)
		}
	}
}
