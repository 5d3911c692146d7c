package imports

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var writePage = flag.Bool("write", false, "write batch/BAD_INPUTS.md")

// TestPageOfBadInputs: batch/BAD_INPUTS.md says what the tables of this package
// say. Names of tests, such as "row 42", point to it.
func TestPageOfBadInputs(t *testing.T) {
	const path = "../../batch/BAD_INPUTS.md"
	page := pageOf()
	if *writePage {
		require.NoError(t, os.WriteFile(path, []byte(page), 0o600))
	}
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.True(t, page == string(text),
		"%s is not what the tables say: go test ./internal/imports -run TestPageOfBadInputs -write", path)
}

func pageOf() string {
	var page strings.Builder
	page.WriteString(`# Bad inputs, and the tests that hold

Every input and reply that goes wrong in practice, what security requires, and every limit has a number here. The names of tests use it:
"row 16" is row 16 of the first table. The page is written by ` + "`go test ./internal/imports -run TestPageOfBadInputs -write`" + ` from tables in
` + "`internal/imports`" + `; a test of the same package fails if a test that is named here does not exist.
`)
	for _, part := range []struct {
		title    string
		promises []promise
	}{
		{"Bad inputs and replies", rows},
		{"What security requires", requirements},
		{"Fuzz targets", fuzzTargets},
		{"Resources", resources},
		{"Limits", limits},
	} {
		fmt.Fprintf(&page, "\n## %s\n\n| number | what | tests |\n|---|---|---|\n", part.title)
		for _, p := range part.promises {
			var tests []string
			for _, test := range p.tests {
				tests = append(tests, "`"+test+"`")
			}
			if p.gap != "" {
				tests = append(tests, "Without a test: "+p.gap)
			}
			fmt.Fprintf(&page, "| %s | %s | %s |\n", p.name, p.what, cmp.Or(strings.Join(tests, "<br>"), "none"))
		}
	}
	return page.String()
}
