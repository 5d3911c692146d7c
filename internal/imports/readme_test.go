package imports

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

var abilities = []string{"Finder", "Canceler", "Lister", "Editor", "BulkPoller"}

// TestReadmeAbilities holds the README's table against the assertions in each
// provider, which the compiler holds against the code.
func TestReadmeAbilities(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	var want []string
	for _, p := range providers {
		file := filepath.Join("../..", p, "provider.go")
		if _, err := os.Stat(file); err != nil {
			continue // not written yet
		}
		asserted := assertions(t, file)
		row := "| `" + p + "` |"
		for _, ability := range abilities {
			if asserted[ability] {
				row += " yes |"
			} else {
				row += " – |"
			}
		}
		want = append(want, row)
	}
	var got []string
	_, table, found := strings.Cut(string(readme), "| provider | "+
		strings.Join([]string{"find", "cancel", "list", "edit", "bulk poll"}, " | ")+" |\n")
	require.True(t, found, "the README has no table of abilities")
	for line := range strings.Lines(table) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			break
		}
		if !strings.HasPrefix(line, "|-") {
			got = append(got, line)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the README's table of abilities is not what the code can do (-want +got):\n%s", diff)
	}
}

// assertions collects the X of every `_ batch.X = (*Provider)(nil)`.
func assertions(t *testing.T, file string) map[string]bool {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	require.NoError(t, err)
	found := make(map[string]bool)
	ast.Inspect(parsed, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && spec.Names[0].Name == "_" {
			if selector, ok := spec.Type.(*ast.SelectorExpr); ok {
				found[selector.Sel.Name] = true
			}
		}
		return true
	})
	require.True(t, found["Provider"], "%s asserts no batch.Provider", file)
	return found
}

// TestReadmeSample holds the README's sample against the Example that the
// compiler and go test check.
func TestReadmeSample(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(readme), "```go\n")
	require.True(t, found, "the README has no sample")
	sample, _, _ := strings.Cut(rest, "```")
	require.LessOrEqual(t, strings.Count(sample, "\n"), 30, "lines of the sample")

	example, err := os.ReadFile("../../citypay/example_test.go")
	require.NoError(t, err)
	body := regexp.MustCompile(`(?s)func Example\(\) \{\n(.*?)\t// Output:`).FindSubmatch(example)
	require.NotNil(t, body, "citypay has no Example with an Output")
	want := strings.ReplaceAll("\n"+string(body[1]), "\n\t", "\n")[1:]
	if diff := cmp.Diff(want, sample); diff != "" {
		t.Errorf("the README's sample is not the Example of package citypay (-want +got):\n%s", diff)
	}
	for _, command := range []string{"go run ./examples/quickstart", "go test ./..."} {
		require.Contains(t, string(readme), command, fmt.Sprintf("the README does not say %q", command))
	}
}
