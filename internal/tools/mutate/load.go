package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A pkg is a package that is mutated, parsed and type-checked.
type pkg struct {
	target target
	root   string // of the repository, absolute
	name   string
	path   string // import path
	files  []*file
	fset   *token.FileSet
	info   *types.Info
	types  *types.Package
	config types.Config
	// patience is how long the tests of a command may take: three times what the
	// original takes, and a little.
	patience map[string]time.Duration
}

// A file is one source file of a package.
type file struct {
	name   string // its path, absolute
	source string
	ast    *ast.File
}

// load reads the targets below root.
func load(ctx context.Context, root string, targets []target) ([]*pkg, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	args := []string{"list", "-deps", "-export", "-json=ImportPath,Dir,Export,GoFiles"}
	for _, t := range targets {
		args = append(args, "./"+t.dir)
	}
	command := exec.CommandContext(ctx, "go", args...) //nolint:gosec // The targets are a constant.
	command.Dir, command.Stderr = root, os.Stderr
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	type listed struct {
		ImportPath, Dir, Export string
		GoFiles                 []string
	}
	exports := make(map[string]string) // files of export data by import path
	dirs := make(map[string]listed)
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var l listed
		if err := d.Decode(&l); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		exports[l.ImportPath], dirs[l.Dir] = l.Export, l
	}
	fset := token.NewFileSet()
	imports := importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) {
		if exports[path] == "" {
			return nil, fmt.Errorf("go list gives no export data of %s", path)
		}
		return os.Open(exports[path])
	})
	var all []*pkg
	for _, t := range targets {
		l := dirs[filepath.Join(root, t.dir)]
		p := &pkg{target: t, root: root, path: l.ImportPath, fset: fset, config: types.Config{Importer: imports},
			patience: make(map[string]time.Duration)}
		for _, name := range t.files {
			if !slices.Contains(l.GoFiles, name) {
				return nil, fmt.Errorf("%s has no file %s: mend the targets in main.go", t.dir, name)
			}
		}
		for _, name := range l.GoFiles {
			path := filepath.Join(l.Dir, name)
			source, err := os.ReadFile(path)
			if err != nil {
				return nil, err
			}
			parsed, err := parser.ParseFile(fset, path, source, parser.ParseComments)
			if err != nil {
				return nil, err
			}
			p.name = parsed.Name.Name
			p.files = append(p.files, &file{path, string(source), parsed})
		}
		p.info = &types.Info{Types: make(map[ast.Expr]types.TypeAndValue), Uses: make(map[*ast.Ident]types.Object),
			Defs: make(map[*ast.Ident]types.Object)}
		if p.types, err = p.check(nil, nil, p.info); err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// check type-checks the package, with another file in the place of old.
func (p *pkg) check(old *file, replacement *ast.File, info *types.Info) (*types.Package, error) {
	var files []*ast.File
	for _, f := range p.files {
		if f == old {
			files = append(files, replacement)
		} else {
			files = append(files, f.ast)
		}
	}
	return p.config.Check(p.path, p.fset, files, info)
}

// mutated reports whether the mutants of f are wanted.
func (p *pkg) mutated(f *file) bool {
	return len(p.target.files) == 0 || slices.Contains(p.target.files, filepath.Base(f.name))
}
