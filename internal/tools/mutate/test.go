package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

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

// memory is how much a mutant may use, in KiB: some never stop to append.
const memory = 8 << 20

// longest holds how long a test of each package may take: three times what the
// original takes, and a little.
var longest = struct {
	sync.Mutex
	of map[string]time.Duration
}{of: make(map[string]time.Duration)}

// patience returns how long the tests may take, and runs them once on the
// original to find out.
func (p *pkg) patience(ctx context.Context, args []string) (time.Duration, error) {
	key := p.root + strings.Join(args, " ")
	longest.Lock()
	defer longest.Unlock()
	if d, ok := longest.of[key]; ok {
		return d, nil
	}
	_, _ = p.goTest(ctx, "", 10*time.Minute, append([]string{"-run", "^$"}, args[:1]...)) // So that building does not count.
	began := time.Now()
	passed, out := p.goTest(ctx, "", 10*time.Minute, append([]string{"-count=1"}, args...))
	if !passed {
		return 0, fmt.Errorf("the tests of the original fail: go test %s: %s", strings.Join(args, " "), out)
	}
	longest.of[key] = 3*time.Since(began) + 10*time.Second
	return longest.of[key], nil
}

// test runs the tests of the mutant's package, and then the dependents; with
// own, only the short tests of the package.
func (m *mutant) test(ctx context.Context, own bool) (fate, error) {
	dir, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return survived, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	changed, overlay := filepath.Join(dir, "mutant.go"), filepath.Join(dir, "overlay.json")
	text, err := json.Marshal(map[string]any{"Replace": map[string]string{m.in.name: changed}})
	if err != nil {
		return survived, err
	}
	if err := errors.Join(os.WriteFile(changed, []byte(m.source()), 0o600), os.WriteFile(overlay, text, 0o600)); err != nil {
		return survived, err
	}
	commands := append([][]string{{"./" + m.pkg.target.dir}}, m.pkg.target.dependents...)
	if own {
		commands = [][]string{{"./" + m.pkg.target.dir, "-short"}}
	}
	for n, args := range commands {
		patience, err := m.pkg.patience(ctx, args)
		if err != nil {
			return survived, err
		}
		passed, out := m.pkg.goTest(ctx, overlay, patience, args)
		switch {
		case ctx.Err() != nil:
			return survived, ctx.Err()
		case passed:
			continue
		case strings.Contains(out, "[build failed]") || strings.Contains(out, "[setup failed]"):
			return notBuilt, nil
		case strings.Contains(out, "panic: test timed out after"):
			return timedOut, nil
		case n > 0:
			return killedByDependents, nil
		}
		return killed, nil
	}
	return survived, nil
}

// goTest runs go test and reports whether it passed, and what it printed.
func (p *pkg) goTest(ctx context.Context, overlay string, patience time.Duration, args []string) (bool, string) {
	all := []string{"-c", `ulimit -v "$0"; exec go test "$@"`, fmt.Sprint(memory), "-vet=off", "-failfast", "-timeout", patience.String()}
	if overlay != "" {
		all = append(all, "-overlay", overlay)
	}
	command := exec.CommandContext(ctx, "sh", append(all, args...)...) //nolint:gosec // The arguments are constants.
	command.Dir = p.root
	var out bytes.Buffer
	command.Stdout, command.Stderr = &out, &out
	command.WaitDelay = 10 * time.Second
	err := command.Run()
	return err == nil, out.String()
}
