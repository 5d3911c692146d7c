package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// A program is a package with some mutants compiled in. Its tests run the
// original, or the mutant whose number is in the environment variable MUTANT.
type program struct {
	pkg     *pkg
	dir     string    // temporary: the changed files, and the test binaries
	mutants []*mutant // the first has the number 1
}

// number is the source of the file that is added to the package.
const number = `package %s

import (
	"os"
	"strconv"
)

var mutantNumber = func() int { n, _ := strconv.Atoi(os.Getenv("MUTANT")); return n }()
`

// programs puts all mutants in functions of a package into one program. A
// mutant elsewhere, for example of a constant, is a program of its own.
// See mutant.alone.
func programs(mutants []*mutant, dir string) []*program {
	var all, alone []*program
	together := make(map[*pkg]*program)
	for i, m := range mutants {
		p := &program{m.pkg, filepath.Join(dir, fmt.Sprint(i)), []*mutant{m}}
		switch first := together[m.pkg]; {
		case m.alone():
			alone = append(alone, p)
		case first == nil:
			together[m.pkg] = p
			all = append(all, p)
		default:
			first.mutants = append(first.mutants, m)
		}
	}
	return append(all, alone...)
}

// enclosing returns the function whose body has the mutant, or nil.
func (m *mutant) enclosing() *ast.FuncDecl {
	for _, d := range m.in.ast.Decls {
		f, ok := d.(*ast.FuncDecl)
		if ok && f.Body != nil && f.Name.Name != "_" && m.pkg.offset(f.Body.Lbrace) < m.from &&
			m.to <= m.pkg.offset(f.Body.Rbrace) {
			return f
		}
	}
	return nil
}

// alone says that m cannot be in a copy of its function: it is not in one, or the
// function calls recover, which works only in what the deferred call itself runs.
func (m *mutant) alone() (alone bool) {
	f := m.enclosing()
	if f == nil {
		return true
	}
	ast.Inspect(f.Body, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			name, ok := call.Fun.(*ast.Ident)
			alone = alone || ok && name.Name == "recover"
		}
		return true
	})
	return alone
}

func (p *pkg) offset(pos token.Pos) int { return p.fset.Position(pos).Offset }

func (p *program) overlay() string { return filepath.Join(p.dir, "overlay.json") }

// write writes the changed files and the overlay that names them.
func (p *program) write() error {
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return err
	}
	sources := make(map[string]string)
	if first := p.mutants[0]; first.alone() {
		sources[first.in.name] = first.source()
	} else {
		sources[filepath.Join(p.pkg.root, p.pkg.target.dir, "mutant_number.go")] = fmt.Sprintf(number, p.pkg.name)
		for _, f := range p.pkg.files {
			sources[f.name] = p.source(f)
		}
	}
	var problems []error
	replace := make(map[string]string)
	for name, source := range sources {
		replace[name] = filepath.Join(p.dir, fmt.Sprint(len(replace))+".go")
		problems = append(problems, os.WriteFile(replace[name], []byte(source), 0o600))
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	return errors.Join(append(problems, err, os.WriteFile(p.overlay(), overlay, 0o600))...)
}

// source returns the file with a changed copy of a function for each mutant in
// it. The original begins with a call of the copy that is chosen.
func (p *program) source(f *file) string {
	numbers := make(map[*ast.FuncDecl][]int)
	for i, m := range p.mutants {
		if m.in == f {
			numbers[m.enclosing()] = append(numbers[m.enclosing()], i+1)
		}
	}
	var out, copies strings.Builder
	done := 0
	for _, d := range f.ast.Decls {
		function, ok := d.(*ast.FuncDecl)
		if !ok || numbers[function] == nil {
			continue
		}
		before, after, call := p.pkg.header(f, function)
		end := p.pkg.offset(function.End())
		body := p.pkg.offset(function.Body.Lbrace) + 1
		out.WriteString(f.source[done:p.pkg.offset(function.Type.Func)] + before + function.Name.Name + after +
			"\nswitch mutantNumber {\n")
		for _, n := range numbers[function] {
			m, name := p.mutants[n-1], fmt.Sprintf("mutant%d_%s", n, function.Name.Name)
			fmt.Fprintf(&copies, "\n%s%s%s%s%s%s\n", before, name, after, f.source[body:m.from], m.text,
				f.source[m.to:end])
			statement := strings.Replace(call, function.Name.Name, name, 1)
			if function.Type.Results == nil {
				statement += "; return"
			} else {
				statement = "return " + statement
			}
			fmt.Fprintf(&out, "case %d: %s\n", n, statement)
		}
		out.WriteString("}\n" + f.source[body:end])
		done = end
	}
	return out.String() + f.source[done:] + copies.String()
}

// header returns the source of a function up to its body, before and after its
// name, with a name for each parameter, and a call with the same arguments.
func (p *pkg) header(f *file, function *ast.FuncDecl) (before, after, call string) {
	edited, done := new(strings.Builder), p.offset(function.Type.Func)
	unnamed := 0
	names := func(list *ast.FieldList) []string {
		var all []string
		for _, field := range list.List {
			add := func(from, to token.Pos, space string) {
				unnamed++
				name := fmt.Sprintf("mutantArgument%d", unnamed)
				edited.WriteString(f.source[done:p.offset(from)] + name + space)
				done = p.offset(to)
				all = append(all, name)
			}
			if len(field.Names) == 0 {
				add(field.Type.Pos(), field.Type.Pos(), " ")
			}
			for _, name := range field.Names {
				if name.Name == "_" {
					add(name.Pos(), name.End(), "")
				} else {
					all = append(all, name.Name)
				}
			}
			if _, variadic := field.Type.(*ast.Ellipsis); variadic {
				all[len(all)-1] += "..."
			}
		}
		return all
	}
	call = function.Name.Name
	if function.Recv != nil {
		// The name of the function comes first, so that source finds it.
		receiver := names(function.Recv)[0]
		defer func() { call = receiver + "." + call }()
	}
	edited.WriteString(f.source[done:p.offset(function.Name.Pos())])
	before = edited.String()
	edited.Reset()
	done = p.offset(function.Name.End())
	if function.Type.TypeParams != nil {
		call += "[" + strings.Join(names(function.Type.TypeParams), ", ") + "]"
	}
	call += "(" + strings.Join(names(function.Type.Params), ", ") + ")"
	return before, edited.String() + f.source[done:p.offset(function.Body.Lbrace)+1], call
}

// A suite is a test binary with the arguments of one go test command.
type suite struct {
	dir, binary string
	args        []string
	patience    time.Duration
	mu          sync.Mutex
	deadly      map[string]int // how many mutants each test has killed
}

// memory is how much a mutant may use, in KiB: some never stop to append.
const memory = 8 << 20

// build compiles the tests that command names. It returns nil if a program of
// one mutant does not compile. It fails if the tests of the original fail.
func (p *program) build(ctx context.Context, n int, command []string) (*suite, error) {
	s := &suite{dir: filepath.Join(p.pkg.root, command[0]), binary: filepath.Join(p.dir, fmt.Sprint(n)+".test"),
		deadly: make(map[string]int)}
	for _, arg := range command[1:] {
		if arg == "-run" || arg == "-short" {
			arg = "-test." + arg[1:]
		}
		s.args = append(s.args, arg)
	}
	compile := func(args ...string) error {
		goTest := exec.CommandContext(ctx, "go", slices.Concat([]string{"test", "-c", "-vet=off", "-o", s.binary}, args, command[:1])...) //nolint:gosec // The arguments are ours.
		goTest.Dir = p.pkg.root
		out, err := goTest.CombinedOutput()
		if err != nil {
			return fmt.Errorf("go test -c %s: %w: %s", command[0], err, out)
		}
		return ctx.Err()
	}
	alone := p.mutants[0].alone()
	key := strings.Join(command, " ")
	if p.pkg.patience[key] == 0 {
		args := []string{"-overlay", p.overlay()}
		if alone {
			args = nil // The program does not have the original.
		}
		if err := compile(args...); err != nil {
			return nil, err
		}
		began := time.Now()
		s.patience = 10 * time.Minute
		if passed, out := s.run(ctx, 0); !passed {
			return nil, fmt.Errorf("the tests of the original fail: %s: %s", key, out)
		}
		p.pkg.patience[key] = 3*time.Since(began) + 10*time.Second
	}
	s.patience = p.pkg.patience[key]
	if alone {
		if err := compile("-overlay", p.overlay()); err != nil {
			return nil, ctx.Err()
		}
	}
	return s, nil
}

// test tells what the tests do with a mutant. Those that have killed most run
// first, in a process of their own.
func (s *suite) test(ctx context.Context, number int) fate {
	s.mu.Lock()
	first := slices.SortedFunc(maps.Keys(s.deadly), func(a, b string) int { return s.deadly[b] - s.deadly[a] })
	s.mu.Unlock()
	passed, out := true, ""
	if len(first) > 0 && !slices.Contains(s.args, "-test.run") {
		passed, out = s.run(ctx, number, "-test.run", "^("+strings.Join(first[:min(len(first), 12)], "|")+")$")
	}
	if passed {
		passed, out = s.run(ctx, number)
	}
	if passed {
		return survived
	}
	if match := failed.FindStringSubmatch(out); match != nil {
		s.mu.Lock()
		s.deadly[match[1]]++
		s.mu.Unlock()
	}
	if strings.Contains(out, "panic: test timed out after") {
		return timedOut
	}
	return killed
}

var failed = regexp.MustCompile(`(?m)^--- FAIL: (\w+)`)

// run runs the tests with a mutant and reports whether they passed, and what
// they printed.
func (s *suite) run(ctx context.Context, number int, args ...string) (bool, string) {
	all := slices.Concat([]string{"-c", `ulimit -v "$0"; exec "$@"`, fmt.Sprint(memory), s.binary, "-test.failfast",
		"-test.timeout", s.patience.String()}, s.args, args)
	command := exec.CommandContext(ctx, "sh", all...) //nolint:gosec // The arguments are ours.
	command.Dir = s.dir
	command.Env = append(os.Environ(), fmt.Sprint("MUTANT=", number))
	var out bytes.Buffer
	command.Stdout, command.Stderr = &out, &out
	command.WaitDelay = 10 * time.Second
	err := command.Run()
	return err == nil, out.String()
}
