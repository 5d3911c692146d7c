package imports

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestLintForbidsWhatLeaks: what library code must never use is the linter's
// affair (forbidigo). This test holds the list of that against what security
// needs (S3, S6, S7, S20), so that no line of it is lost.
func TestLintForbidsWhatLeaks(t *testing.T) {
	text, err := os.ReadFile("../../.golangci.yml")
	require.NoError(t, err)
	var patterns []*regexp.Regexp
	for _, m := range regexp.MustCompile(`(?m)^ +- pattern: (.+)$`).FindAllStringSubmatch(string(text), -1) {
		patterns = append(patterns, regexp.MustCompile(m[1]))
	}
	for _, name := range []string{"http.DefaultClient", "http.DefaultTransport", "http.Get", "http.Post",
		"http.PostForm", "http.Head",
		"http.ProxyFromEnvironment", "os.Getenv", "os.LookupEnv", "os.Environ", "httputil.DumpRequestOut",
		"httputil.DumpResponse",
		"fmt.Println", "fmt.Printf", "log.Printf", "slog.Default", "slog.Info", "float64", "float32",
		"strconv.ParseFloat", "big.Float"} {
		forbidden := false
		for _, p := range patterns {
			forbidden = forbidden || p.MatchString(name)
		}
		require.True(t, forbidden, "no pattern of forbidigo matches %s", name)
	}
	// Gosec: InsecureSkipVerify, old versions of TLS.
	for _, linter := range []string{"forbidigo", "gosec", "depguard"} {
		require.Contains(t, string(text), "    - "+linter+" ", "the linter is on")
	}
	_, excluded, _ := strings.Cut(string(text), "\n  exclusions:\n")
	var paths []string
	for _, m := range regexp.MustCompile(`path: (\S+)\n +linters: (.+)`).FindAllStringSubmatch(excluded, -1) {
		if !strings.HasPrefix(m[2], "[lll]") {
			paths = append(paths, m[1])
		}
	}
	require.Equal(t, []string{`_test\.go`, `^examples/`}, paths, "only these may use them")
}
