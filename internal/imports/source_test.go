package imports

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// banned are names that no library code here may use, each with the reason.
var banned = map[string]string{
	"http.DefaultClient":        "it belongs to the whole program (S7)",
	"http.DefaultTransport":     "it belongs to the whole program (S7)",
	"http.Get":                  "it uses the client of the whole program (S7)",
	"http.Post":                 "it uses the client of the whole program (S7)",
	"http.PostForm":             "it uses the client of the whole program (S7)",
	"http.Head":                 "it uses the client of the whole program (S7)",
	"http.ProxyFromEnvironment": "a library reads no environment (S20)",
	"os.Getenv":                 "a library reads no environment (S20)",
	"os.LookupEnv":              "a library reads no environment (S20)",
	"os.Environ":                "a library reads no environment (S20)",
	"httputil.DumpRequest":      "a dump shows credentials (S3)",
	"httputil.DumpRequestOut":   "a dump shows credentials (S3)",
	"httputil.DumpResponse":     "a dump shows credentials (S3)",
	"fmt.Print":                 "a library prints nothing (S3)",
	"fmt.Printf":                "a library prints nothing (S3)",
	"fmt.Println":               "a library prints nothing (S3)",
	"log.Print":                 "a library logs only where it is told to (S3)",
	"log.Printf":                "a library logs only where it is told to (S3)",
	"log.Println":               "a library logs only where it is told to (S3)",
	"slog.Default":              "a library logs only where it is told to (S3)",
	"slog.Debug":                "a library logs only where it is told to (S3)",
	"slog.Info":                 "a library logs only where it is told to (S3)",
	"slog.Warn":                 "a library logs only where it is told to (S3)",
	"slog.Error":                "a library logs only where it is told to (S3)",
	"strconv.ParseFloat":        "an amount is exact",
	"big.Float":                 "an amount is exact",
	"float64":                   "an amount is exact",
	"float32":                   "an amount is exact",
	"InsecureSkipVerify: true":  "certificates are verified (S6)",
}

// TestSourceKeepsTheRules: the source itself shows what no test of behaviour
// can: that something is never used.
func TestSourceKeepsTheRules(t *testing.T) {
	files := 0
	require.NoError(t, filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		slashed := filepath.ToSlash(path)
		if err == nil && d.IsDir() && (strings.HasSuffix(slashed, "/examples") || strings.HasSuffix(slashed, "/internal/tools") ||
			strings.HasSuffix(slashed, "/otelbatch") || strings.HasPrefix(d.Name(), ".") && d.Name() != "..") {
			return fs.SkipDir // Programs, and a module whose metrics are floating-point numbers.
		}
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		files++
		for _, name := range bannedIn(parsed) {
			t.Errorf("%s uses %s: %s", path, name, banned[name])
		}
		return nil
	}))
	require.Greater(t, files, 80)
}

func bannedIn(file *ast.File) (found []string) {
	ast.Inspect(file, func(n ast.Node) bool {
		name := ""
		switch n := n.(type) {
		case *ast.SelectorExpr:
			name = nameOf(n)
		case *ast.Ident:
			name = n.Name
		case *ast.KeyValueExpr:
			name = fmt.Sprint(n.Key, ": ", n.Value)
		}
		if banned[name] != "" {
			found = append(found, name)
		}
		return true
	})
	slices.Sort(found)
	return found
}

func TestTheRulesOfSourceBite(t *testing.T) {
	parsed, err := parser.ParseFile(token.NewFileSet(), "a.go", `package a
var c = http.DefaultClient
func f(x float64) { fmt.Println(os.Getenv("A"), tls.Config{InsecureSkipVerify: true}, tls.Config{InsecureSkipVerify: false}) }
`, 0)
	require.NoError(t, err)
	require.Equal(t, []string{"InsecureSkipVerify: true", "float64", "fmt.Println", "http.DefaultClient", "os.Getenv"}, bannedIn(parsed))
}
