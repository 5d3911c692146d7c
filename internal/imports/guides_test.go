package imports

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

// filesOf returns the text of the repository's files whose name ends with
// suffix, by their path.
func filesOf(t *testing.T, suffix string) map[string]string {
	t.Helper()
	texts := make(map[string]string)
	require.NoError(t, filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == ".git":
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, suffix):
			return nil
		}
		text, err := os.ReadFile(path)
		texts[strings.TrimPrefix(filepath.ToSlash(path), "../../")] = string(text)
		return err
	}))
	return texts
}

// flat is text without the blanks at the beginning of its lines.
func flat(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for n, line := range lines {
		lines[n] = strings.TrimSpace(line)
	}
	return strings.Join(lines, "\n")
}

// TestEveryCodeBlockIsTested holds every Go sample of a page against the tests:
// it must be in one of them, line by line.
func TestEveryCodeBlockIsTested(t *testing.T) {
	var tests []string
	for path, text := range filesOf(t, "_test.go") {
		if path != "internal/imports/guides_test.go" {
			tests = append(tests, flat(text))
		}
	}
	blocks := 0
	for path, text := range filesOf(t, ".md") {
		for _, found := range regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(text, -1) {
			blocks++
			sample := flat(found[1])
			if !slices.ContainsFunc(tests, func(test string) bool { return strings.Contains(test, sample) }) {
				t.Errorf("%s has a sample that no test has:\n%s", path, found[1])
			}
		}
	}
	require.Greater(t, blocks, 8)
}

// TestLinksOfPagesExist holds every link of a page to a file.
func TestLinksOfPagesExist(t *testing.T) {
	links := 0
	for path, text := range filesOf(t, ".md") {
		for _, found := range regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`).FindAllStringSubmatch(text, -1) {
			links++
			if _, err := os.Stat(filepath.Join("../..", filepath.Dir(path), found[1])); err != nil {
				t.Errorf("%s links to %s, which does not exist", path, found[1])
			}
		}
	}
	require.Greater(t, links, 20)
}

// TestDocNamesEveryOperation holds the table of operations in doc.go of each
// provider against that in ops.go, line by line. An operation of the vendor that
// is not here has a "-" for its name, and a reason.
func TestDocNamesEveryOperation(t *testing.T) {
	written := regexp.MustCompile(`batchhttp\.Op\{Name: "(\w+)", Method: http\.Method(\w+), Path: "([^"]+)"`)
	files := filesOf(t, ".go")
	for _, provider := range providers {
		var documented, here []string
		for line := range strings.Lines(files[provider+"/doc.go"]) {
			word := strings.Fields(line)
			if !strings.HasPrefix(line, "//\t") || len(word) < 4 || !strings.HasPrefix(word[2], "/") {
				continue
			}
			if word[3] == "-" {
				require.Greater(t, len(word), 4, "%s: %s does not say why it is not here", provider, line)
				continue
			}
			documented = append(documented, strings.Join(word[1:4], " "))
		}
		for _, op := range written.FindAllStringSubmatch(files[provider+"/ops.go"], -1) {
			here = append(here, strings.ToUpper(op[2])+" "+strings.TrimSuffix(op[3], ".json")+" "+op[1])
		}
		require.Equal(t, strings.Count(files[provider+"/ops.go"], "batchhttp.Op{Name:"), len(here), provider)
		require.Greater(t, len(here), 5, provider)
		require.ElementsMatch(t, here, documented, provider)
	}
}

// TestDocsOfOnceOperations holds the comment of every method that is sent at most
// once: it says so, and how to find out what became of an ErrAmbiguous.
func TestDocsOfOnceOperations(t *testing.T) {
	once := regexp.MustCompile(`Method: http\.Method(\w+), Path: "([^"]+)", Safety: batchhttp\.Once`)
	files := filesOf(t, ".go")
	for _, provider := range providers {
		ops := once.FindAllStringSubmatch(files[provider+"/ops.go"], -1)
		require.Equal(t, strings.Count(files[provider+"/ops.go"], "Safety: batchhttp.Once"), len(ops), provider)
		for _, op := range ops {
			line := "//\t" + strings.ToUpper(op[1]) + " " + strings.TrimSuffix(op[2], ".json") + "\n"
			found := false
			for path, text := range files {
				if filepath.ToSlash(filepath.Dir(path)) != provider || strings.HasSuffix(path, "_test.go") ||
					filepath.Base(path) == "doc.go" {
					continue
				}
				before, _, ok := strings.Cut(text, line)
				if !ok {
					continue
				}
				found = true
				comment := before[strings.LastIndex(before, "\n\n"):]
				words := strings.Join(strings.Fields(strings.ReplaceAll(comment, "//", " ")), " ")
				require.Contains(t, words, "at most once", "%s: %s", provider, line)
				require.Contains(t, words, "ErrAmbiguous", "%s: %s does not say how to find out what became of it",
					provider, line)
			}
			require.True(t, found, "%s: no method names %s", provider, line)
		}
	}
}

// TestWordsOfThePage holds the tables of WORDS.md against the functions state
// and outcome of each provider, whose switch is read from the source.
func TestWordsOfThePage(t *testing.T) {
	var want []string
	files := filesOf(t, ".go")
	for _, table := range []struct{ function, prefix string }{{"state", "State"}, {"outcome", "Outcome"}} {
		for _, provider := range providers {
			var rows []string
			for word, meaning := range wordsOf(t, files, provider, table.function, table.prefix) {
				rows = append(rows, fmt.Sprintf("| `%s` | `%s` | %s |", provider, word, meaning))
			}
			slices.Sort(rows)
			want = append(want, rows...)
		}
	}
	var got []string
	for line := range strings.Lines(filesOf(t, "WORDS.md")["batch/WORDS.md"]) {
		if strings.HasPrefix(line, "| `") {
			got = append(got, strings.TrimSpace(line))
		}
	}
	require.Greater(t, len(want), 25)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("batch/WORDS.md is not what the code does (-code +page):\n%s", diff)
	}
}

// wordsOf returns what a function of a provider makes of each word of the
// service: what it returns that begins with prefix.
func wordsOf(t *testing.T, files map[string]string, provider, function, prefix string) map[string]string {
	constants, meanings, words := make(map[string]string), make(map[string]string), make(map[string]string)
	for path, text := range files {
		if filepath.Dir(path) != provider || strings.HasSuffix(path, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), path, text, 0)
		require.NoError(t, err)
		ast.Inspect(parsed, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ValueSpec:
				for at, name := range n.Names {
					if at < len(n.Values) {
						if literal, ok := n.Values[at].(*ast.BasicLit); ok && literal.Kind == token.STRING {
							constants[name.Name], err = strconv.Unquote(literal.Value)
							require.NoError(t, err)
						}
					}
				}
			case *ast.FuncDecl:
				if n.Name.Name == function && n.Recv == nil {
					maps.Copy(meanings, casesOf(n, prefix))
				}
			}
			return true
		})
	}
	for name, meaning := range meanings {
		require.NotEmpty(t, constants[name], "%s: the constant %s was not found", provider, name)
		words[constants[name]] = meaning
	}
	return words
}

// casesOf returns, for every constant in a switch, what its case returns.
func casesOf(f *ast.FuncDecl, prefix string) map[string]string {
	meanings := make(map[string]string)
	ast.Inspect(f, func(n ast.Node) bool {
		c, ok := n.(*ast.CaseClause)
		if !ok {
			return true
		}
		var returned []string
		for _, statement := range c.Body {
			ast.Inspect(statement, func(n ast.Node) bool {
				result, ok := n.(*ast.ReturnStmt)
				if !ok {
					return true
				}
				if s, ok := result.Results[0].(*ast.SelectorExpr); ok && strings.HasPrefix(s.Sel.Name, prefix) {
					returned = append(returned, strings.ToLower(strings.TrimPrefix(s.Sel.Name, prefix)))
				}
				return true
			})
		}
		for _, constant := range c.List {
			if name, ok := constant.(*ast.Ident); ok && len(returned) > 0 {
				meanings[name.Name] = strings.Join(returned, ", or ")
			}
		}
		return true
	})
	return meanings
}

// TestEveryVariableIsOnThePage holds the table of examples/README.md against
// the names of variables in the examples.
func TestEveryVariableIsOnThePage(t *testing.T) {
	variable := regexp.MustCompile(
		`"((?:BATCHWAY|PAYRUN|CITYPAY|CENTRAPAY|SIXDOTFIFTY|SNAPBILL|TEMPORAL|FLEET)_[A-Z_]*[A-Z])"`)
	found := make(map[string]bool)
	for path, text := range filesOf(t, ".go") {
		if strings.HasPrefix(path, "internal/imports/") {
			continue
		}
		for _, match := range variable.FindAllStringSubmatch(text, -1) {
			found[match[1]] = true
		}
	}
	require.Greater(t, len(found), 10)
	page := filesOf(t, "README.md")["examples/README.md"]
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if !strings.Contains(page, "| `"+name+"` |") {
			t.Errorf("examples/README.md does not list the variable %s", name)
		}
	}
	for _, match := range regexp.MustCompile("\\| `([A-Z_]+)` \\|").FindAllStringSubmatch(page, -1) {
		if !found[match[1]] {
			t.Errorf("examples/README.md lists the variable %s, which no program reads", match[1])
		}
	}
}

// TestEveryPackageHasAnExample holds every package that a user imports to an
// Example of its own.
func TestEveryPackageHasAnExample(t *testing.T) {
	shown := make(map[string]bool)
	for path, text := range filesOf(t, "_test.go") {
		if strings.Contains(text, "\nfunc Example") {
			shown[filepath.ToSlash(filepath.Dir(path))] = true
		}
	}
	packages := 0
	for path := range filesOf(t, ".go") {
		folder := filepath.ToSlash(filepath.Dir(path))
		if strings.HasSuffix(path, "_test.go") || strings.HasPrefix(folder, "examples") ||
			strings.Contains("/"+folder+"/", "/internal/") {
			continue
		}
		packages++
		if !shown[folder] {
			t.Errorf("package %s has no Example", folder)
			shown[folder] = true // Said once.
		}
	}
	require.Greater(t, packages, 30)
}
