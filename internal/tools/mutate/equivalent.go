package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"
)

// equivalents are the mutants that do the same as the original, each with a
// reason. A mutant is named by its function and its change, never by its line.
type equivalents map[string]string

// readEquivalents reads blocks of the lines that mutate prints for a survivor,
// followed by the reason. Blocks are separated by empty lines; # begins a
// comment.
func readEquivalents(path string) (equivalents, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	all := make(equivalents)
	var block []string
	number := 0
	end := func() error {
		switch {
		case len(block) == 0:
			return nil
		case len(block) < 4 || !strings.HasPrefix(block[1], "- ") || !strings.HasPrefix(block[2], "+ "):
			return fmt.Errorf(
				"%s:%d: a block must have the function, the line before (- ), the line after (+ ), and a reason: %q",
				path, number, block)
		}
		key := strings.Join(block[:3], "\n")
		if _, twice := all[key]; twice {
			return fmt.Errorf("%s:%d: %s is listed twice", path, number, key)
		}
		all[key] = strings.Join(block[3:], " ")
		block = nil
		return nil
	}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		number++
		line := strings.TrimRight(lines.Text(), " \t")
		switch {
		case line == "":
			if err := end(); err != nil {
				return nil, err
			}
		case !strings.HasPrefix(line, "#"):
			block = append(block, line)
		}
	}
	return all, errors.Join(lines.Err(), end())
}

// split takes the equivalent mutants out, or all others, and returns how many
// are equivalent.
func (e equivalents) split(mutants []*mutant, keep bool) ([]*mutant, int) {
	var rest []*mutant
	count := 0
	for _, m := range mutants {
		_, equivalent := e[m.String()]
		if equivalent {
			count++
		}
		if equivalent == keep {
			rest = append(rest, m)
		}
	}
	return rest, count
}

// stale names the entries of a package that match no mutant of it.
func (e equivalents) stale(pkg string, all []*mutant) error {
	exists := make(map[string]bool)
	for _, m := range all {
		exists[m.String()] = true
	}
	var problems []error
	for key := range e {
		if strings.HasPrefix(key, pkg+".") && !exists[key] {
			problems = append(problems,
				fmt.Errorf("equivalent.txt has an entry that matches no mutant: mend it or take it out:\n%s", key))
		}
	}
	return errors.Join(problems...)
}
