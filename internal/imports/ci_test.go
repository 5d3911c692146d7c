package imports

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

// leftOut is what .ci/run does not do, each with the reason.
var leftOut = map[string]string{
	"module ./internal/tools": "it has no code, only the versions of tools",
	"module ./internal/e2e":   "a Temporal server takes seven minutes to build on two cores: the nightly workflow runs it, and .ci/run fleet",
	"flag -workers":           "of ./internal/e2e",
	"flag -batches":           "of ./internal/e2e",
	"flag -rows":              "of ./internal/e2e",
	"flag -kill":              "of ./internal/e2e",
	"flag -within":            "of ./internal/e2e",
	"flag -provider":          "it replays one provider",
	"flag -seed":              "it replays one run",
	"flag -write":             "it writes a page, which a test compares",
	"flag -years":             "three random years for each provider are enough: more are run by hand",
	"flag -explore":           "one step more takes five minutes: it is run by hand",
	"flag -deep":              "every kind of crash takes longer than CI may: it is run by hand",
	"flag -false-guard":       "a test sets it for a process of its own",
	"skip TestSmallWorldsWithTwoCallersAtOnce":               "with -explore 1 it takes five minutes: run by hand",
	"skip TestSmallWorldsWithTwoCallersAtOnce in short mode": "the race detector has nothing to find in it",
	"skip TestSmallWorldsExploredWhole":                      "with -explore 1 it takes five minutes: run by hand",
	"skip TestSmallWorldsExploredWhole in short mode":        "the race detector has nothing to find in it",
	"race Distorted|LyingReplies|NoField":                    "each reply is read by one goroutine",
	"race Singles|Crashes|Endless|Memory|NoSink|Planted":     "one caller at a time: the random runs have many",
	"skip TestLive":             "it needs an account at the service",
	"skip needServer":           "BATCHWAY_REQUIRE_POSTGRES makes it a failure",
	"skip startPostgres":        "BATCHWAY_REQUIRE_POSTGRES makes it a failure",
	"skip promtool":             "BATCHWAY_REQUIRE_PROMTOOL makes it a failure",
	"skip browser":              "BATCHWAY_REQUIRE_CHROMIUM makes it a failure",
	"vet ./examples/temporal":   "the packages of an engine compile for minutes, and the example has no code that depends on the system",
	"vet ./examples/blobupload": "the packages of three clouds compile for minutes, and the example has no code that depends on the system",
}

// TestCILeavesNothingOutUnsaid holds .ci/run against the tree: what it does not
// run is in leftOut.
func TestCILeavesNothingOutUnsaid(t *testing.T) {
	text, err := os.ReadFile("../../.ci/run")
	require.NoError(t, err)
	run := string(text)
	missing := make(map[string]bool)
	leaves := func(what string) { missing[what] = true }

	for _, m := range regexp.MustCompile(`-not -path '(\S+)/go\.mod'`).FindAllStringSubmatch(run, -1) {
		leaves("module " + m[1])
	}
	for _, m := range regexp.MustCompile(`-race .* -skip '([^']+)'`).FindAllStringSubmatch(run, -1) {
		leaves("race " + m[1])
	}
	for _, m := range regexp.MustCompile(`"\$module" != (\./\S+) `).FindAllStringSubmatch(run, -1) {
		leaves("vet " + m[1])
	}
	require.NoError(t, filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") ||
			strings.HasSuffix(path, "imports/ci_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), path, source, parser.ParseComments)
		if err != nil {
			return err
		}
		for _, name := range flagsOf(parsed) {
			if !regexp.MustCompile(`(?m)go test .*-` + name + `\b`).MatchString(run) {
				leaves("flag -" + name)
			}
		}
		for _, name := range skipsOf(parsed) {
			if strings.Contains(string(source), "//go:build !unix") {
				name += " !unix"
			}
			leaves("skip " + name)
		}
		return nil
	}))
	if diff := cmp.Diff(slices.Sorted(maps.Keys(leftOut)), slices.Sorted(maps.Keys(missing))); diff != "" {
		t.Errorf("what .ci/run leaves out is not what is said here (-said +left out):\n%s", diff)
	}
}

// TestEveryFuzzTargetRunsAtNight: the nightly workflow has a job for every
// directory with fuzz targets, and no job would be stopped before its last one.
func TestEveryFuzzTargetRunsAtNight(t *testing.T) {
	text, err := os.ReadFile("../../.github/workflows/nightly.yml")
	require.NoError(t, err)
	listed := regexp.MustCompile(`directory: \[(.*)\]`).FindSubmatch(text)
	require.NotNil(t, listed)
	targets := make(map[string]int)
	require.NoError(t, filepath.WalkDir("../..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		if n := len(regexp.MustCompile(`(?m)^func Fuzz`).FindAll(source, -1)); n > 0 {
			directory, _, _ := strings.Cut(filepath.ToSlash(strings.TrimPrefix(path, filepath.FromSlash("../../"))),
				"/")
			targets[directory] += n
		}
		return err
	}))
	require.ElementsMatch(t, slices.Collect(maps.Keys(targets)), strings.Split(string(listed[1]), ", "))
	for directory, n := range targets {
		require.LessOrEqual(t, 11*n, 300, "minutes for the targets of %s: give more than one job to it", directory)
	}
}

// flagsOf lists the flags that a test file declares.
func flagsOf(file *ast.File) []string {
	var all []string
	ast.Inspect(file, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && strings.HasPrefix(nameOf(call.Fun), "flag.") && len(call.Args) > 1 {
			if name := textOf(call.Args[0]); name != "" {
				all = append(all, name)
			}
		}
		return true
	})
	return all
}

// skipsOf lists the functions of a test file that can skip a test.
func skipsOf(file *ast.File) []string {
	var all []string
	for _, declaration := range file.Decls {
		f, ok := declaration.(*ast.FuncDecl)
		if !ok {
			continue
		}
		for _, call := range calls(f) {
			if receiver, method, _ := strings.Cut(call, "."); slices.Contains([]string{"Skip", "Skipf", "SkipNow"},
				method) && receiver != "" {
				all = append(all, f.Name.Name)
			}
			if call == "testing.Short" {
				all = append(all, f.Name.Name+" in short mode")
			}
		}
	}
	return all
}

func TestTheRulesOfCIBite(t *testing.T) {
	parsed, err := parser.ParseFile(token.NewFileSet(), "a_test.go", `package a
var deep = flag.Bool("deep", false, "more")
func TestA(t *testing.T) { if testing.Short() { return } }
func TestB(t *testing.T) { t.Run("c", func(t *testing.T) { t.Skipf("no") }) }
func BenchmarkD(b *testing.B) { b.SkipNow() }
`, 0)
	require.NoError(t, err)
	require.Equal(t, []string{"deep"}, flagsOf(parsed))
	require.Equal(t, []string{"TestA in short mode", "TestB", "BenchmarkD"}, skipsOf(parsed))
}
