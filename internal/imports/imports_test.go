// Package imports holds the rules of who may import whom, and proves that the
// tree keeps them.
package imports

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

const module = "github.com/batchway/batchway-go"

// A pkg is what go list says of a package.
type pkg struct {
	ImportPath string
	Standard   bool
	Imports    []string // of the package itself, without its tests
	Deps       []string // everything that is linked with it
}

// A rule says what packages may import. Paths that begin with a slash are
// ours; the others are modules.
type rule struct {
	of   string   // the package, or with /... it and all below it
	may  []string // what it may import beside the standard library; /... as above
	link []string // what may be linked beside the standard library; nil means anything
	why  string
}

var (
	wire = []string{"github.com/hashicorp/go-retryablehttp", "github.com/hashicorp/go-cleanhttp",
		"github.com/go-json-experiment/json"}
	providers = []string{"citypay", "centrapay", "sixdotfifty", "snapbill"}
	testOnly  = []string{"github.com/stretchr/testify", "github.com/google/go-cmp", "gopkg.in/h2non/gock.v1",
		"go.uber.org/goleak", "pgregory.net/rapid", "github.com/lib/pq"}
)

func rules() []rule {
	list := []rule{
		{"/batch", nil, []string{"/batch"}, "the vocabulary needs only the standard library"},
		{"/batch/internal/record", []string{"/batch"}, []string{"/batch", "/batch/internal/record"},
			"what journals share knows no store"},
		{"/batch/boltjournal", []string{"/batch", "/batch/internal/record", "/internal/private", "go.etcd.io/bbolt"},
			nil, "a journal is the vocabulary and its engine"},
		{"/batch/sqljournal", []string{"/batch", "/batch/internal/record"}, nil,
			"a journal on database/sql knows no driver"},
		{"/batch/batchcsv", []string{"/batch"}, []string{"/batch", "/batch/batchcsv"},
			"a file of items needs only the standard library"},
		{"/batch/batchtest", []string{"/batch", "/batch/batchsim"},
			[]string{"/batch", "/batch/batchtest", "/batch/batchsim"}, "the suite is for any provider"},
		{"/batch/batchhttp", append([]string{"/batch"}, wire...), nil, "one HTTP call knows no provider"},
		{"/batch/batchsim", nil, []string{"/batch/batchsim"}, "a simulator's kit knows no service and no client"},
		{"/examples/toypay", []string{"/batch", "/batch/batchhttp"}, nil,
			"a provider of one's own needs nothing that is ours alone"},
		{"/examples/toypay/toypaytest", []string{"/batch/batchsim"}, nil,
			"a simulator of one's own shares nothing with its client"},
		{"/internal/private", nil, []string{"/internal/private"},
			"who else can write a file needs only the standard library"},
		{"/internal/floor", nil, []string{"/internal/floor"}, "the floor is what the standard library does alone"},
		{"/internal/pgtest", nil, []string{"/internal/pgtest"}, "a server for tests knows no journal and no driver"},
		{"/internal/imports", nil, nil, "only a test"},
		{"/internal/campaign", nil, nil, "only a test"},
	}
	for _, p := range providers {
		// The standard library from Go 1.27 on.
		may := []string{"/batch", "/batch/batchhttp", "github.com/go-json-experiment/json"}
		link := append([]string{"/batch", "/batch/batchhttp", "/" + p}, wire...)
		if p == "centrapay" {
			may, link = append(may, "golang.org/x/time", "/internal/private"),
				append(link, "golang.org/x/time", "/internal/private")
		}
		list = append(list,
			rule{"/" + p, may, link, "whoever imports one provider links almost nothing else"},
			rule{"/" + p + "/" + p + "test", []string{"/batch/batchsim", "/" + p}, nil,
				"a simulator never shares code with the client, only its Config"})
	}
	return list
}

// violations lists what breaks the rules.
func violations(pkgs []pkg) []string {
	var found []string
	standard := make(map[string]bool)
	for _, p := range pkgs {
		standard[p.ImportPath] = p.Standard
	}
	for _, p := range pkgs {
		own, ours := strings.CutPrefix(p.ImportPath, module)
		if !ours {
			continue
		}
		for _, path := range p.Deps {
			for _, test := range testOnly {
				if within(path, test+"/...") {
					found = append(found, fmt.Sprintf("%s links %s: it is for tests only", own, path))
				}
			}
		}
		if strings.HasPrefix(own, "/examples/") {
			continue
		}
		i := slices.IndexFunc(rules(), func(r rule) bool { return within(own, r.of) })
		if i < 0 {
			found = append(found, fmt.Sprintf("%s has no rule here: add one", own))
			continue
		}
		r := rules()[i]
		check := func(verb string, paths, allowed []string) {
			for _, path := range paths {
				if path == p.ImportPath || standard[path] || allows(allowed, path) {
					continue
				}
				found = append(found, fmt.Sprintf("%s %s %s: %s", own, verb, strings.TrimPrefix(path, module), r.why))
			}
		}
		check("imports", p.Imports, r.may)
		if r.link != nil {
			check("links", p.Deps, r.link)
		}
		if own == "/batch" && slices.Contains(p.Deps, "net/http") {
			found = append(found, "/batch links net/http: the vocabulary knows no transport")
		}
	}
	return found
}

func allows(allowed []string, path string) bool {
	return slices.ContainsFunc(allowed, func(a string) bool {
		if own, ok := strings.CutPrefix(path, module); ok {
			return within(own, a)
		}
		return within(path, a+"/...")
	})
}

// within reports whether path is pattern, or below it if that ends in /...
func within(path, pattern string) bool {
	root, below := strings.CutSuffix(pattern, "/...")
	return path == root || below && strings.HasPrefix(path, root+"/")
}

func TestImports(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,Standard,Imports,Deps",
		module+"/...").Output()
	require.NoError(t, err)
	var pkgs []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else {
			require.NoError(t, err)
		}
		pkgs = append(pkgs, p)
	}
	require.Greater(t, len(pkgs), 50)
	for _, violation := range violations(pkgs) {
		t.Error(violation)
	}
}

func TestTheRulesBite(t *testing.T) {
	std := pkg{ImportPath: "net/http", Standard: true}
	for name, c := range map[string]struct {
		planted pkg
		want    []string
	}{
		"the core speaks HTTP": {pkg{ImportPath: module + "/batch", Imports: []string{"net/http"},
			Deps: []string{"net/http"}},
			[]string{"/batch links net/http: the vocabulary knows no transport"}},
		"the core takes a module": {pkg{ImportPath: module + "/batch", Imports: []string{"example.com/x"},
			Deps: []string{"example.com/x"}},
			[]string{"/batch imports example.com/x: the vocabulary needs only the standard library",
				"/batch links example.com/x: the vocabulary needs only the standard library"}},
		"a provider uses another": {pkg{ImportPath: module + "/citypay", Imports: []string{module + "/snapbill"}},
			[]string{"/citypay imports /snapbill: whoever imports one provider links almost nothing else"}},
		"a provider links a test module": {pkg{ImportPath: module + "/citypay",
			Deps: []string{"github.com/stretchr/testify/require"}},
			[]string{"/citypay links github.com/stretchr/testify/require: it is for tests only",
				"/citypay links github.com/stretchr/testify/require: whoever imports one provider links almost nothing else"}},
		"a simulator uses the client's transport": {pkg{ImportPath: module + "/citypay/citypaytest",
			Imports: []string{module + "/batch/batchhttp"}},
			[]string{
				"/citypay/citypaytest imports /batch/batchhttp: a simulator never shares code with the client, only its Config"}},
		"a package that nobody thought of": {pkg{ImportPath: module + "/pkg/util"},
			[]string{"/pkg/util has no rule here: add one"}},
		"what is allowed": {pkg{ImportPath: module + "/citypay", Imports: []string{module + "/batch/batchhttp",
			"net/http"}, Deps: []string{"net/http", wire[0]}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, violations([]pkg{std, c.planted})); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
