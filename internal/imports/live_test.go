package imports

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

// live is the variable that allows tests and examples to send requests to a
// real service.
const live = "BATCHWAY_LIVE"

var (
	providerVariable = regexp.MustCompile(`^(CITYPAY|CENTRAPAY|SIXDOTFIFTY|SNAPBILL)_`)
	productionHost   = regexp.MustCompile(
		`(?i)(^|[^a-z0-9-])(api\.citypay|(api|pay|secure)\.6dot50|api\.snapbill|service\.centrapay)\.com`)
	productionNames = []string{"citypay.Production", "sixdotfifty.RedemptionsProduction", "snapbill.Production",
		"centrapay.Service"}
	// ownHost lists the packages whose Config needs no BaseURL.
	ownHost = []string{"citypay", "centrapay"}
)

// unreachable are the functions that name a production host and have a context,
// but send nothing to it, each with the reason.
var unreachable = map[string]string{
	"examples/quickstart/main_test.go TestProductionIsRefused":         "quickstart refuses every one of these hosts",
	"citypay/attack_test.go TestATestTransactionIsNotPaidInProduction": "its middleware answers every request itself",
	"citypay/provider_test.go TestBadDrafts":                           "it calls Create: CityPay's sends nothing",
}

// TestLiveIsAskedBeforeAnythingIsSent holds tests and examples to the rules that keep them from moving
// real money.
func TestLiveIsAskedBeforeAnythingIsSent(t *testing.T) {
	read, excused := 0, make(map[string]bool)
	for own, text := range filesOf(t, ".go") {
		if !strings.HasPrefix(own, "examples/") && !strings.HasSuffix(own, "_test.go") ||
			own == "internal/imports/live_test.go" {
			continue
		}
		read++
		for _, fault := range liveFaults(own, text, excused) {
			t.Error(fault)
		}
	}
	require.Greater(t, read, 50)
	for name := range unreachable {
		if !excused[name] {
			t.Errorf("unreachable has %q, which needs no excuse: take it out", name)
		}
	}
}

// liveFaults lists what breaks the rules in one file:
//
//   - A test that reads the environment skips itself unless BATCHWAY_LIVE is 1,
//     and does nothing before. A variable of no provider is free.
//   - An example that reads a variable of a provider calls sandbox.Check before
//     it opens a client.
//   - A function that names a production host sends nothing: it hands no context
//     to anything. A test that asks BATCHWAY_LIVE, and an example that calls
//     sandbox.Check, may. Others are in unreachable, and are added to excused.
func liveFaults(path, text string, excused map[string]bool) []string {
	parsed, err := parser.ParseFile(token.NewFileSet(), path, text, 0)
	if err != nil {
		return []string{err.Error()}
	}
	var faults []string
	test, constants := strings.HasSuffix(path, "_test.go"), constantsOf(parsed)
	for name, body := range functions(parsed) {
		fault := func(format string, args ...any) {
			faults = append(faults, fmt.Sprintf("%s %s ", path, name)+fmt.Sprintf(format, args...))
		}
		if test {
			gate := gateOf(body)
			if variable, reads := readsEnvironment(body, constants); reads && gate < 0 {
				fault("reads %s and does not skip unless %s is 1", variable, live)
			}
			if _, declared := body.(*ast.ValueSpec); declared {
				fault("names %s outside of a function", production(body, false))
			}
			if host := production(body, true); host != "" && gate < 0 && sends(body) {
				if key := path + " " + name; unreachable[key] != "" {
					excused[key] = true
					continue
				}
				fault("names %s and hands a context to something: it could send a request there", host)
			}
			continue
		}
		checked := positionOf(body, func(call string) bool { return call == "sandbox.Check" })
		opens := positionOf(body, func(call string) bool {
			return strings.HasSuffix(call, ".New") || strings.HasPrefix(call, "open")
		})
		if variable := asksForVariable(body); variable != "" && (checked == token.NoPos || opens != token.NoPos &&
			opens < checked) {
			fault("reads %s and opens a client before sandbox.Check", variable)
		}
		if host := production(body, true); host != "" && checked == token.NoPos {
			fault("names %s without sandbox.Check", host)
		}
	}
	slices.Sort(faults)
	return faults
}

// functions returns the bodies of the outermost functions by name. What is
// declared outside of functions is one body more.
func functions(file *ast.File) map[string]ast.Node {
	all := make(map[string]ast.Node)
	for _, declaration := range file.Decls {
		if f, ok := declaration.(*ast.FuncDecl); ok {
			all[f.Name.Name] = f
			continue
		}
		ast.Inspect(declaration, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncLit:
				all[fmt.Sprintf("func %d", n.Pos())] = n
				return false
			case *ast.ValueSpec:
				if production(n, false) != "" { // Any function could use it.
					all[n.Names[0].Name] = n
				}
			}
			return true
		})
	}
	return all
}

// constantsOf returns the strings that the constants of a file name.
func constantsOf(file *ast.File) map[string]string {
	all := make(map[string]string)
	ast.Inspect(file, func(n ast.Node) bool {
		if d, ok := n.(*ast.GenDecl); ok && d.Tok == token.CONST {
			for _, spec := range d.Specs {
				spec := spec.(*ast.ValueSpec)
				for i, value := range spec.Values {
					all[spec.Names[i].Name] = textOf(value)
				}
			}
		}
		return true
	})
	return all
}

// gateOf returns the place of the statement that skips the test unless
// BATCHWAY_LIVE is 1, or -1. Before it, a test may only read the environment.
func gateOf(function ast.Node) int {
	f, ok := function.(*ast.FuncDecl)
	if !ok {
		return -1
	}
	for n, statement := range f.Body.List {
		if s, ok := statement.(*ast.IfStmt); ok && asksLive(s.Cond) && strings.HasPrefix(calls(s.Body)[0], "t.Skip") {
			return n
		}
		for _, call := range calls(statement) {
			if !slices.Contains([]string{"os.Getenv", "fmt.Sscan", "live"}, call) {
				return -1
			}
		}
	}
	return -1
}

// asksLive reports whether the condition is true if BATCHWAY_LIVE is not 1.
func asksLive(cond ast.Expr) bool {
	binary, ok := cond.(*ast.BinaryExpr)
	if !ok {
		return false
	}
	if binary.Op == token.LOR {
		return asksLive(binary.X) || asksLive(binary.Y)
	}
	call, ok := binary.X.(*ast.CallExpr)
	return ok && binary.Op == token.NEQ && nameOf(call.Fun) == "os.Getenv" && len(call.Args) == 1 &&
		textOf(call.Args[0]) == live && textOf(binary.Y) == "1"
}

// readsEnvironment reports whether a variable of a provider can be read, and
// which.
func readsEnvironment(n ast.Node, constants map[string]string) (variable string, reads bool) {
	free := make(map[ast.Node]bool) // os.Getenv of a literal that names no provider
	ast.Inspect(n, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && len(call.Args) == 1 {
			if name := cmp.Or(textOf(call.Args[0]), constants[nameOf(call.Args[0])]); name != "" &&
				!providerVariable.MatchString(name) {
				free[call.Fun] = true
			}
		}
		if e, ok := n.(*ast.SelectorExpr); ok && !free[e] &&
			slices.Contains([]string{"os.Getenv", "os.LookupEnv", "os.ExpandEnv", "syscall.Getenv"}, nameOf(e)) {
			variable, reads = "the environment by "+nameOf(e), true
		}
		return true
	})
	return variable, reads
}

// asksForVariable returns the provider's variable that is an argument of a
// call.
func asksForVariable(n ast.Node) string {
	found := ""
	ast.Inspect(n, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			for _, arg := range call.Args {
				if providerVariable.MatchString(textOf(arg)) &&
					strings.Contains(strings.ToLower(nameOf(call.Fun)), "env") {
					found = textOf(arg)
				}
			}
		}
		return true
	})
	return found
}

// production returns the production host that n names: by its text, by a
// constant, or by leaving the BaseURL out. Functions within n count if inner is
// set.
func production(n ast.Node, inner bool) string {
	found := ""
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return inner
		case *ast.BasicLit:
			if productionHost.MatchString(textOf(n)) {
				found = textOf(n)
			}
		case *ast.SelectorExpr:
			if slices.Contains(productionNames, nameOf(n)) {
				found = nameOf(n)
			}
		case *ast.CompositeLit:
			p, config := strings.CutSuffix(nameOf(n.Type), ".Config")
			if !config || !slices.Contains(ownHost, p) || len(n.Elts) == 0 {
				return true
			}
			if !slices.ContainsFunc(n.Elts, func(e ast.Expr) bool {
				field, ok := e.(*ast.KeyValueExpr)
				return ok && nameOf(field.Key) == "BaseURL"
			}) {
				found = nameOf(n.Type) + " without a BaseURL"
			}
		}
		return true
	})
	return found
}

// sends reports whether a context is handed to anything: no request goes out
// without one.
func sends(n ast.Node) bool {
	found := false
	ast.Inspect(n, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			for _, arg := range call.Args {
				inner, isCall := arg.(*ast.CallExpr)
				found = found || nameOf(arg) == "ctx" || isCall &&
					slices.Contains([]string{"t.Context", "b.Context", "context.Background", "context.TODO"},
						nameOf(inner.Fun))
			}
			found = found || nameOf(call.Fun) == "batchtest.Run"
		}
		return true
	})
	return found
}

// calls lists the names of the functions that are called, and one empty name
// if there are none.
func calls(n ast.Node) []string {
	var all []string
	ast.Inspect(n, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			all = append(all, nameOf(call.Fun))
		}
		return true
	})
	if len(all) == 0 {
		if _, ok := n.(*ast.BlockStmt); ok {
			return []string{""}
		}
	}
	return all
}

// positionOf returns where the first call is that matches.
func positionOf(n ast.Node, match func(call string) bool) token.Pos {
	found := token.NoPos
	ast.Inspect(n, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && found == token.NoPos && match(nameOf(call.Fun)) {
			found = call.Pos()
		}
		return true
	})
	return found
}

// nameOf writes an identifier, or two with a point between them.
func nameOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return nameOf(e.X) + "." + e.Sel.Name
	}
	return ""
}

// textOf returns the value of a string literal.
func textOf(e ast.Expr) string {
	if literal, ok := e.(*ast.BasicLit); ok && literal.Kind == token.STRING {
		text, _ := strconv.Unquote(literal.Value)
		return text
	}
	return ""
}

func TestTheRulesOfLiveBite(t *testing.T) {
	const gate = "if os.Getenv(\"BATCHWAY_LIVE\") != \"1\" || key == \"\" {\n\tt.Skip(\"no\")\n}\n"
	const reads = "key := os.Getenv(\"CITYPAY_LICENCE_KEY\")\n"
	for name, c := range map[string]struct{ path, body, want string }{
		"a gated test": {"a_test.go", reads + gate + "p.Submit(t.Context())", ""},
		"no gate": {"a_test.go", reads +
			"if key == \"\" {\n\tt.Skip(\"no\")\n}\np.Submit(t.Context())",
			"a_test.go Run reads the environment by os.Getenv and does not skip unless BATCHWAY_LIVE is 1"},
		"a gate that is too late": {"a_test.go", reads + "p.Submit(t.Context())\n" + gate,
			"a_test.go Run reads the environment by os.Getenv and does not skip unless BATCHWAY_LIVE is 1"},
		"a gate that needs both": {"a_test.go", reads + strings.Replace(gate, "||", "&&", 1),
			"a_test.go Run reads the environment by os.Getenv and does not skip unless BATCHWAY_LIVE is 1"},
		"a gate that does not skip": {"a_test.go", reads + strings.Replace(gate, "t.Skip", "t.Log", 1),
			"a_test.go Run reads the environment by os.Getenv and does not skip unless BATCHWAY_LIVE is 1"},
		"a gate without a body": {"a_test.go", reads + strings.Replace(gate, "t.Skip(\"no\")", "", 1),
			"a_test.go Run reads the environment by os.Getenv and does not skip unless BATCHWAY_LIVE is 1"},
		"a variable whose name is computed": {"a_test.go", "key := os.Getenv(prefix + \"_KEY\")",
			"a_test.go Run reads the environment by os.Getenv and does not skip unless BATCHWAY_LIVE is 1"},
		"the reader as a value": {"a_test.go", "config := live(os.Getenv)",
			"a_test.go Run reads the environment by os.Getenv and does not skip unless BATCHWAY_LIVE is 1"},
		"a constant that names none": {"a_test.go", "const child = \"TEST_FILE\"\nkey := os.Getenv(child)", ""},
		"a constant that names one": {"a_test.go",
			"const child = \"SNAPBILL_PASSWORD\"\nkey := os.Getenv(child)",
			"a_test.go Run reads the environment by os.Getenv and does not skip unless BATCHWAY_LIVE is 1"},
		"a variable of no provider": {"a_test.go", "key := os.Getenv(\"CAMPAIGN_KEY\")", ""},
		"production by its name": {"a_test.go", "c := citypay.Production\np.Submit(t.Context(), c)",
			"a_test.go Run names citypay.Production and hands a context to something: it could send a request there"},
		"production by its text": {"a_test.go", "c := \"https://API.citypay.com.\"\np.Submit(ctx, c)",
			"a_test.go Run names https://API.citypay.com. and hands a context to something: it could send a request there"},
		"production by leaving the host out": {"a_test.go", "c := centrapay.Config{APIKey: \"key\"}\np.Submit(ctx, c)",
			"a_test.go Run names centrapay.Config without a BaseURL and hands a context to something: it could send a request there"},
		"production in the suite": {"a_test.go", "batchtest.Run(t, snapbill.Production)",
			"a_test.go Run names snapbill.Production and hands a context to something: it could send a request there"},
		"production, and nothing is sent": {"a_test.go", "c := citypay.Production\nrequire.Error(t, c)", ""},
		"staging": {"a_test.go", "c := \"https://api.staging.6dot50.com\"\np.Submit(ctx, c)",
			""},
		"an example": {"examples/a.go",
			"key := getenv(\"CITYPAY_LICENCE_KEY\")\nsandbox.Check(getenv)\ncitypay.New(key)", ""},
		"an example without a check": {"examples/a.go",
			"key := getenv(\"CITYPAY_LICENCE_KEY\")\ncitypay.New(key)",
			"examples/a.go Run reads CITYPAY_LICENCE_KEY and opens a client before sandbox.Check"},
		"an example that checks too late": {"examples/a.go",
			"key := os.Getenv(\"CITYPAY_LICENCE_KEY\")\ncitypay.New(key)\nsandbox.Check(getenv)",
			"examples/a.go Run reads CITYPAY_LICENCE_KEY and opens a client before sandbox.Check"},
		"an example that names production": {"examples/a.go", "c := \"https://pay.6dot50.com\"",
			"examples/a.go Run names https://pay.6dot50.com without sandbox.Check"},
	} {
		t.Run(name, func(t *testing.T) {
			var want []string
			if c.want != "" {
				want = []string{c.want}
			}
			if diff := gocmp.Diff(want, liveFaults(c.path, "package a\n\nfunc Run(t *testing.T) {\n"+c.body+"\n}\n",
				nil)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	require.Equal(t, []string{"a_test.go host names https://api.snapbill.com outside of a function"},
		liveFaults("a_test.go", "package a\n\nvar host = \"https://api.snapbill.com\"\n", nil))
}
