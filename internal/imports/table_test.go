package imports

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A promise is something that must hold against hostile input, and the tests
// that fail if it does not. A test is "directory TestName", with "/subtest" if
// one case of a table decides.
type promise struct {
	name  string
	what  string
	tests []string
	gap   string // why a part has no test of its own
}

func numbered(prefix string, from, to int) (names []string) {
	for n := from; n <= to; n++ {
		names = append(names, fmt.Sprint(prefix, n))
	}
	return names
}

// TestTable prints every promise with its tests (-v), and fails if one has
// none, or names a test that does not exist.
func TestTable(t *testing.T) {
	tests := testsOfTree(t)
	require.Greater(t, len(tests), 500)
	var want []string
	want = append(want, numbered("row ", 1, 107)...)
	want = append(want, numbered("S", 1, 24)...)
	want = append(want, numbered("fuzz ", 1, 9)...)
	want = append(want, numbered("resource ", 1, 9)...)
	want = append(want, numbered("limit ", 1, len(limits))...)
	all := slices.Concat(rows, requirements, fuzzTargets, resources, limits)
	var have []string
	for _, p := range all {
		have = append(have, p.name)
		t.Logf("%-12s %s", p.name, p.what)
		for _, test := range p.tests {
			t.Logf("%-12s    %s", "", test)
		}
		if p.gap != "" {
			t.Logf("%-12s    without: %s", "", p.gap)
		}
		for _, fault := range faultsOf(tests, p) {
			t.Error(fault)
		}
	}
	require.Equal(t, want, have, "every promise is here once, in order")
	t.Logf("%d promises, all with a test", len(all))
}

func faultsOf(tests map[string]map[string]bool, p promise) (faults []string) {
	if len(p.tests) == 0 {
		faults = append(faults, p.name+" has no test")
	}
	for _, test := range p.tests {
		directory, name, _ := strings.Cut(test, " ")
		name, sub, _ := strings.Cut(name, "/")
		head := directory + " " + name
		switch literals, ok := tests[head]; {
		case !ok:
			faults = append(faults, fmt.Sprintf("%s: there is no test %q", p.name, head))
		case sub != "" && !literals[sub]:
			faults = append(faults, fmt.Sprintf("%s: %s has no case %q", p.name, head, sub))
		}
	}
	return faults
}

// testsOfTree lists the tests and fuzz targets of the tree by directory and
// name, each with the strings in it: the names of its cases are among them.
func testsOfTree(t *testing.T) map[string]map[string]bool {
	t.Helper()
	tests := make(map[string]map[string]bool)
	for path, text := range filesOf(t, "_test.go") {
		parsed, err := parser.ParseFile(token.NewFileSet(), path, text, 0)
		require.NoError(t, err)
		addTests(tests, filepath.ToSlash(filepath.Dir(path)), parsed)
	}
	return tests
}

func addTests(tests map[string]map[string]bool, directory string, parsed *ast.File) {
	for _, declaration := range parsed.Decls {
		f, ok := declaration.(*ast.FuncDecl)
		if !ok || f.Recv != nil || f.Body == nil || !strings.HasPrefix(f.Name.Name, "Test") &&
			!strings.HasPrefix(f.Name.Name, "Fuzz") {
			continue
		}
		literals := make(map[string]bool)
		ast.Inspect(f, func(n ast.Node) bool {
			if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				literals[textOf(literal)] = true
			}
			return true
		})
		tests[directory+" "+f.Name.Name] = literals
	}
}

func TestTheRulesOfTheTableBite(t *testing.T) {
	parsed, err := parser.ParseFile(token.NewFileSet(), "a_test.go", `package a
func TestA(t *testing.T) { for range map[string]int{"a/b": 1} {} }
func TestEmpty(*testing.T)
func helper() { _ = "x" }
`, 0)
	require.NoError(t, err)
	tests := make(map[string]map[string]bool)
	addTests(tests, "x/y", parsed)
	require.Equal(t, map[string]map[string]bool{"x/y TestA": {"a/b": true}}, tests)
	for fault, p := range map[string]promise{
		"":                                    {"p", "", []string{"x/y TestA", "x/y TestA/a/b"}, ""},
		"p has no test":                       {"p", "", nil, "a reason is no test"},
		`p: there is no test "x/y TestB"`:     {"p", "", []string{"x/y TestB"}, ""},
		`p: there is no test "y TestA"`:       {"p", "", []string{"y TestA/a/b"}, ""},
		`p: x/y TestA has no case "b"`:        {"p", "", []string{"x/y TestA/b"}, ""},
		`p: there is no test "x/y helper"`:    {"p", "", []string{"x/y helper"}, ""},
		`p: there is no test "x/y TestEmpty"`: {"p", "", []string{"x/y TestEmpty"}, ""},
	} {
		require.Equal(t, fault, strings.Join(faultsOf(tests, p), "; "))
	}
}

// TestTableOfSecurity holds SECURITY.md against the tree: every test that it
// names exists.
func TestTableOfSecurity(t *testing.T) {
	text, err := os.ReadFile("../../SECURITY.md")
	require.NoError(t, err)
	tests := testsOfTree(t)
	named := regexp.MustCompile("`([a-z0-9/]+ (?:Test|Fuzz)[A-Za-z0-9_]+)`").FindAllStringSubmatch(string(text), -1)
	for _, m := range named {
		require.Contains(t, tests, m[1], "SECURITY.md names a test that does not exist")
	}
	require.Len(t, regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]`).FindAllString(string(text), -1), len(named),
		"a test is named with its directory, in backquotes")
}
