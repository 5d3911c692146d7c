package main

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"hash/fnv"
	"path/filepath"
	"slices"
	"strings"
)

// A mutant is a program with one change.
type mutant struct {
	pkg      *pkg
	in       *file
	file     string // its path from the root of the repository
	line     int
	function string // "batch.(*engine).submit"
	from, to int    // what is replaced in the source
	text     string // with what
	change   string // the lines before and after, as String prints them
}

// String names the mutant by its function and its change.
func (m *mutant) String() string { return m.function + "\n" + m.change }

// source is the whole mutated file.
func (m *mutant) source() string { return m.in.source[:m.from] + m.text + m.in.source[m.to:] }

// compiles reports whether the mutant is a program.
func (m *mutant) compiles() bool {
	parsed, err := parser.ParseFile(m.pkg.fset, m.in.name, m.source(), parser.SkipObjectResolution)
	if err != nil {
		return false
	}
	_, err = m.pkg.check(m.in, parsed, nil)
	return err == nil
}

// shuffle puts the mutants into the order of a seed. A mutant keeps its rank
// when other code changes, so that one seed stays nearly one sample.
func shuffle(mutants []*mutant, seed uint64) {
	rank := func(m *mutant) uint64 {
		h := fnv.New64a()
		_, _ = fmt.Fprintf(h, "%d\n%s", seed, m)
		// FNV changes the high bits too little with the last bytes.
		x := h.Sum64()
		x = (x ^ x>>33) * 0xff51afd7ed558ccd
		return x ^ x>>33
	}
	slices.SortFunc(mutants, func(a, b *mutant) int {
		switch x, y := rank(a), rank(b); {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return strings.Compare(a.String(), b.String())
	})
}

// A finder collects the mutants of one file.
type finder struct {
	p     *pkg
	f     *file
	stack []ast.Node // from the file to the node at hand
	found []*mutant
}

// mutants returns all mutants of the package, in the order of its sources,
// those that do not compile among them.
func (p *pkg) mutants() []*mutant {
	var all []*mutant
	for _, f := range p.files {
		if !p.mutated(f) {
			continue
		}
		d := &finder{p: p, f: f}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if n == nil {
				d.stack = d.stack[:len(d.stack)-1]
				return true
			}
			d.stack = append(d.stack, n)
			d.visit(n)
			return true
		})
		all = append(all, d.found...)
	}
	type place struct {
		in       *file
		from, to int
		text     string
	}
	places := make(map[place]bool)
	all = slices.DeleteFunc(all, func(m *mutant) bool {
		at := place{m.in, m.from, m.to, m.text}
		twice := places[at]
		places[at] = true
		return twice
	})
	times := make(map[string]int)
	for _, m := range all {
		key := m.String()
		if times[key]++; times[key] > 1 {
			m.change += fmt.Sprintf(" (%d)", times[key]) // The same change in another place of the function.
		}
	}
	return all
}

// visit collects the mutants of one node.
func (d *finder) visit(n ast.Node) {
	switch n := n.(type) {
	case *ast.IfStmt:
		d.condition(n.Cond, true)
	case *ast.ForStmt:
		if n.Cond != nil {
			d.condition(n.Cond, false)
		}
	case *ast.CaseClause:
		d.caseClause(n)
	case *ast.BinaryExpr:
		d.binary(n)
	case *ast.BasicLit:
		d.literal(n)
	case *ast.Ident:
		d.identifier(n)
	case *ast.ReturnStmt:
		d.results(n)
	case *ast.CompositeLit:
		d.fields(n)
	case ast.Stmt:
		d.statement(n)
	}
}

// condition is never true, and always true.
func (d *finder) condition(cond ast.Expr, always bool) {
	d.replace(cond, "false && ("+d.source(cond)+")")
	if always {
		d.replace(cond, "true || ("+d.source(cond)+")")
	}
}

// caseClause drops a case, or each of its values.
func (d *finder) caseClause(n *ast.CaseClause) {
	tagless := false
	for _, parent := range slices.Backward(d.stack) {
		if s, ok := parent.(*ast.SwitchStmt); ok {
			tagless = s.Tag == nil
			break
		}
	}
	switch {
	case len(n.List) > 1:
		d.elements(n.List)
	case len(n.List) == 1 && tagless:
		d.condition(n.List[0], true)
	default:
		d.drop(n)
	}
}

// elements drops each element of a list with its comma.
func (d *finder) elements(list []ast.Expr) {
	for i := range list {
		if i+1 < len(list) {
			d.add(list[i].Pos(), list[i+1].Pos(), "")
		} else {
			d.add(list[i-1].End(), list[i].End(), "")
		}
	}
}

var (
	boundaries = map[token.Token]string{token.LSS: "<=", token.LEQ: "<", token.GTR: ">=", token.GEQ: ">"}
	equalities = map[token.Token]string{token.EQL: "!=", token.NEQ: "=="}
	arithmetic = map[token.Token]string{token.ADD: "-", token.SUB: "+", token.MUL: "/", token.QUO: "*", token.REM: "*"}
)

func (d *finder) binary(n *ast.BinaryExpr) {
	// Without either side. Who notices both notices a swapped operator, too.
	if n.Op == token.LAND || n.Op == token.LOR {
		d.add(n.X.Pos(), n.Y.Pos(), "")
		d.add(n.X.End(), n.Y.End(), "")
		return
	}
	operator := func(text string) { d.add(n.OpPos, n.OpPos+token.Pos(len(n.Op.String())), text) }
	if text, ok := boundaries[n.Op]; ok {
		operator(text)
	}
	if text, ok := equalities[n.Op]; ok && !d.decides(n) {
		operator(text)
	}
	if text, ok := arithmetic[n.Op]; ok && !d.isString(n) {
		operator(text)
	}
}

// decides reports whether n is a whole condition, or a side of && or ||, which
// have stronger mutants than a negation.
func (d *finder) decides(n ast.Expr) bool {
	switch parent := d.parent().(type) {
	case *ast.IfStmt, *ast.ForStmt, *ast.CaseClause:
		return true
	case *ast.BinaryExpr:
		return parent.Op == token.LAND || parent.Op == token.LOR
	}
	return false
}

func (d *finder) isString(e ast.Expr) bool {
	t := d.p.info.TypeOf(e)
	if t == nil {
		return false
	}
	basic, ok := t.Underlying().(*types.Basic)
	return ok && basic.Info()&types.IsString != 0
}

// literal is one more, or another string where strings are compared or named.
func (d *finder) literal(n *ast.BasicLit) {
	switch n.Kind {
	case token.INT:
		if d.sizeOnly() || d.besideError() {
			return
		}
		if v, ok := constant.Int64Val(constant.MakeFromLiteral(n.Value, n.Kind, 0)); ok {
			d.replace(n, fmt.Sprint(v+1))
		}
	case token.STRING:
		switch parent := d.parent().(type) {
		case *ast.ValueSpec:
		case *ast.CaseClause:
		case *ast.BinaryExpr:
			if parent.Op != token.EQL && parent.Op != token.NEQ {
				return
			}
		default:
			return
		}
		d.replace(n, n.Value[:len(n.Value)-1]+"?"+n.Value[len(n.Value)-1:])
	}
}

// sizeOnly reports whether the node at hand is an argument of make: a capacity
// changes nothing.
func (d *finder) sizeOnly() bool {
	call, ok := d.parent().(*ast.CallExpr)
	if !ok {
		return false
	}
	name, ok := call.Fun.(*ast.Ident)
	return ok && name.Name == "make"
}

// besideError reports whether the node at hand is returned with an error: a
// number beside an error means nothing.
func (d *finder) besideError() bool {
	n, ok := d.parent().(*ast.ReturnStmt)
	if !ok || len(n.Results) < 2 {
		return false
	}
	last := n.Results[len(n.Results)-1]
	t := d.p.info.TypeOf(last)
	return d.source(last) != "nil" && t != nil && types.AssignableTo(t, types.Universe.Lookup("error").Type())
}

// identifier is another constant of its type, the other boolean, or one more.
func (d *finder) identifier(n *ast.Ident) {
	object, ok := d.p.info.Uses[n].(*types.Const)
	if !ok {
		return
	}
	var whole ast.Expr = n
	if selector, ok := d.parent().(*ast.SelectorExpr); ok {
		whole = selector
	}
	switch object {
	case types.Universe.Lookup("true"):
		d.replace(whole, "false")
		return
	case types.Universe.Lookup("false"):
		d.replace(whole, "true")
		return
	}
	if named, ok := object.Type().(*types.Named); ok && object.Pkg() != nil && object.Parent() == object.Pkg().Scope() {
		d.add(n.Pos(), n.End(), next(object, named, object.Pkg() == d.p.types))
		return
	}
	if v, exact := constant.Int64Val(constant.ToInt(object.Val())); exact &&
		object.Type().Underlying().(*types.Basic).Info()&types.IsInteger != 0 {
		d.replace(whole, fmt.Sprint(v+1))
	}
}

// next returns the name of another constant of the type, or of the same if
// there is none.
func next(object *types.Const, named *types.Named, own bool) string {
	var names []string
	scope := object.Pkg().Scope()
	for _, name := range scope.Names() { // They are sorted.
		c, ok := scope.Lookup(name).(*types.Const)
		if ok && types.Identical(c.Type(), named) && (own || c.Exported()) &&
			(c == object || !constant.Compare(c.Val(), token.EQL, object.Val())) {
			names = append(names, name)
		}
	}
	return names[(slices.Index(names, object.Name())+1)%len(names)]
}

// results replaces each result by its zero value, and a boolean by its
// opposite.
func (d *finder) results(n *ast.ReturnStmt) {
	if len(n.Results) == 0 {
		d.statement(n)
		return
	}
	signature := d.signature()
	if signature == nil || signature.Results().Len() != len(n.Results) {
		return
	}
	for i, result := range n.Results {
		t := signature.Results().At(i).Type()
		if basic, ok := t.Underlying().(*types.Basic); ok && basic.Info()&types.IsBoolean != 0 {
			binary, compares := result.(*ast.BinaryExpr)
			if compares && equalities[binary.Op] != "" { // Its operator is swapped.
				continue
			}
			if d.source(result) != "true" && d.source(result) != "false" { // identifier does those.
				d.replace(result, "!("+d.source(result)+")")
			}
			continue
		}
		if zero, ok := d.zero(t); ok && d.source(result) != zero {
			d.replace(result, zero)
		}
	}
}

// signature is that of the innermost function.
func (d *finder) signature() *types.Signature {
	for _, n := range slices.Backward(d.stack) {
		var t types.Type
		switch n := n.(type) {
		case *ast.FuncLit:
			t = d.p.info.TypeOf(n)
		case *ast.FuncDecl:
			t = d.p.info.Defs[n.Name].Type()
		default:
			continue
		}
		signature, _ := t.(*types.Signature)
		return signature
	}
	return nil
}

// zero writes the zero value of a type.
func (d *finder) zero(t types.Type) (string, bool) {
	if _, ok := t.(*types.TypeParam); ok {
		return "", false
	}
	switch u := t.Underlying().(type) {
	case *types.Basic:
		if u.Info()&types.IsString != 0 {
			return `""`, true
		}
		return "0", u.Info()&types.IsNumeric != 0
	case *types.Struct, *types.Array:
		return types.TypeString(t, func(p *types.Package) string {
			if p == d.p.types {
				return ""
			}
			return p.Name()
		}) + "{}", true
	}
	return "nil", true
}

// fields drops each field of a struct literal; errors have their kinds
// swapped, and their words are not money.
func (d *finder) fields(n *ast.CompositeLit) {
	t := d.p.info.TypeOf(n)
	if t == nil || len(n.Elts) == 0 {
		return
	}
	if _, ok := t.Underlying().(*types.Struct); !ok {
		return
	}
	if named, ok := t.(*types.Named); ok && strings.HasSuffix(named.Obj().Name(), "Error") {
		return
	}
	if _, ok := n.Elts[0].(*ast.KeyValueExpr); !ok {
		return
	}
	if len(n.Elts) == 1 {
		d.add(n.Lbrace+1, n.Rbrace, "")
		return
	}
	d.elements(n.Elts)
}

// statement drops a statement that declares nothing.
func (d *finder) statement(n ast.Stmt) {
	switch n := n.(type) {
	case *ast.ExprStmt:
		if locks(n.X) {
			return
		}
	case *ast.DeferStmt:
		if locks(n.Call) {
			return
		}
	case *ast.AssignStmt:
		if n.Tok == token.DEFINE {
			return
		}
	case *ast.IncDecStmt, *ast.GoStmt, *ast.SendStmt, *ast.BranchStmt, *ast.ReturnStmt, *ast.RangeStmt:
	default:
		return
	}
	switch d.parent().(type) {
	case *ast.BlockStmt, *ast.CaseClause, *ast.CommClause:
		d.drop(n)
	}
}

// locks reports whether e locks or unlocks: the race detector watches those.
func locks(e ast.Expr) bool {
	call, ok := e.(*ast.CallExpr)
	if !ok {
		return false
	}
	selector, ok := call.Fun.(*ast.SelectorExpr)
	return ok && slices.Contains([]string{"Lock", "Unlock", "RLock", "RUnlock"}, selector.Sel.Name)
}

func (d *finder) parent() ast.Node { return d.stack[len(d.stack)-2] }

func (d *finder) source(n ast.Node) string { return d.f.source[d.offset(n.Pos()):d.offset(n.End())] }

func (d *finder) offset(pos token.Pos) int { return d.p.fset.Position(pos).Offset }

func (d *finder) replace(n ast.Node, text string) { d.add(n.Pos(), n.End(), text) }

func (d *finder) drop(n ast.Node) { d.add(n.Pos(), n.End(), "") }

// add collects a mutant, unless it changes nothing.
func (d *finder) add(from, to token.Pos, text string) {
	function := d.function()
	if function == "" {
		return
	}
	m := &mutant{pkg: d.p, in: d.f, line: d.p.fset.Position(from).Line, function: function, from: d.offset(from),
		to: d.offset(to), text: text}
	if m.in.source[m.from:m.to] == text {
		return
	}
	if path, err := filepath.Rel(d.p.root, d.f.name); err == nil {
		m.file = filepath.ToSlash(path)
	}
	m.change = d.change(m)
	d.found = append(d.found, m)
}

// function names the function or the declaration at hand; it is empty where
// nothing is mutated.
func (d *finder) function() string {
	for _, n := range d.stack {
		switch n := n.(type) {
		case *ast.FuncDecl:
			name := n.Name.Name
			if n.Recv != nil {
				receiver := d.source(n.Recv.List[0].Type)
				if strings.HasPrefix(receiver, "*") {
					receiver = "(" + receiver + ")"
				}
				name = receiver + "." + name
			}
			return d.p.name + "." + name
		case *ast.ValueSpec:
			return d.p.name + "." + n.Names[0].Name
		}
	}
	return ""
}

// change prints the lines before and after, without comments.
func (d *finder) change(m *mutant) string {
	source := d.f.source
	begin := strings.LastIndex(source[:m.from], "\n") + 1
	end := len(source)
	if n := strings.Index(source[m.to:], "\n"); n >= 0 {
		end = m.to + n
	}
	before, after := source[begin:m.from], source[m.to:end]
	for _, group := range d.f.ast.Comments { // One that ends the line says nothing of the change.
		if at := d.offset(group.Pos()); at >= m.to && at < end {
			after = source[m.to:at]
			break
		}
	}
	changed := oneLine(before + m.text + after)
	if changed == "" {
		changed = "(nothing)"
	}
	return "- " + oneLine(before+source[m.from:m.to]+after) + "\n+ " + changed
}

// oneLine joins lines; of more than three only the first and the last stay.
func oneLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) > 3 {
		lines = []string{lines[0], "...", lines[len(lines)-1]}
	}
	return strings.Join(strings.Fields(strings.Join(lines, " ")), " ")
}
