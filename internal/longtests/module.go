package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// module is what the source of a module says. Folders are relative to that of the module, with slashes.
//
// It is read from the syntax alone, without types: names are compared as they are written.
type module struct {
	path      string          // as in go.mod
	packages  map[string]*pkg // by folder
	functions []function      // of all packages, those of tests too
}

// pkg is a package, with its tests and those of the package beside it whose name ends in _test.
type pkg struct {
	concurrent           bool // its code starts goroutines, or is made to be used by several
	imports, testImports []string
	tests                bool // it has some
	testsConcurrent      bool // they start goroutines
}

// function is a function or method. Its name and those that it uses begin with the last part of the path of their package, as in
// stats.New. A name may be that of several functions; then a test too many is found, which does no harm.
type function struct {
	name, folder string
	test         string // its name without the package, if it is a test
	uses         []string
}

// modulePath finds the path of a module in its go.mod, and isTest the names of functions that go test runs.
var (
	modulePath = regexp.MustCompile(`(?m)^module (\S+)`)
	isTest     = regexp.MustCompile(`^(Test|Fuzz|Example)`)
)

// forSeveral are packages of the standard library that code imports for the use by several goroutines. Tests can use
// sync to share a value that is made once, because they run at the same time, but each of them has its own objects.
var forSeveral = []string{"sync", "sync/atomic", "net", "net/http", "testing/synctest"}

// read reads the source of the module in a folder. Nested modules are left out.
func read(root string) (*module, error) {
	text, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return nil, err
	}
	path := modulePath.FindSubmatch(text)
	if path == nil {
		return nil, fmt.Errorf("%s has no line with the path of the module", filepath.Join(root, "go.mod"))
	}
	m := &module{path: string(path[1]), packages: make(map[string]*pkg)}
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil && path != root {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(path) != ".go" {
			return nil
		}
		return m.readFile(root, path)
	})
	return m, err
}

func (m *module) readFile(root, path string) error {
	folder, err := filepath.Rel(root, filepath.Dir(path))
	if err != nil {
		return err
	}
	folder = filepath.ToSlash(folder)
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	p := m.packages[folder]
	if p == nil {
		p = &pkg{}
		m.packages[folder] = p
	}
	test := strings.HasSuffix(path, "_test.go")
	imports, several := m.imports(file)
	if test {
		p.testImports = append(p.testImports, imports...)
		p.testsConcurrent = p.testsConcurrent || startsGoroutines(file)
	} else {
		p.imports = append(p.imports, imports...)
		p.concurrent = p.concurrent || several || startsGoroutines(file)
	}
	for _, decl := range file.Decls {
		if decl, ok := decl.(*ast.FuncDecl); ok {
			f := newFunction(decl, folder)
			if test && isTest.MatchString(decl.Name.Name) {
				f.test, p.tests = decl.Name.Name, true
			}
			m.functions = append(m.functions, f)
		}
	}
	return nil
}

// imports returns the folders of the module's packages that a file imports, and whether it imports one that is for several goroutines.
func (m *module) imports(file *ast.File) (folders []string, several bool) {
	for _, spec := range file.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue // the parser has refused it
		}
		if folder, ok := strings.CutPrefix(path, m.path+"/"); ok {
			folders = append(folders, folder)
		}
		several = several || slices.Contains(forSeveral, path)
	}
	return folders, several
}

// startsGoroutines reports whether a file has a go statement or calls a method or function that starts a goroutine.
func startsGoroutines(file *ast.File) (found bool) {
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			found = true
		case *ast.SelectorExpr:
			found = found || slices.Contains([]string{"Go", "AfterFunc", "RunParallel"}, n.Sel.Name)
		}
		return !found
	})
	return found
}

// newFunction returns a function of the package in a folder.
func newFunction(decl *ast.FuncDecl, folder string) function {
	name := filepath.Base(folder)
	f := function{name: name + "." + decl.Name.Name, folder: folder}
	ast.Inspect(decl, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok {
				f.uses = append(f.uses, x.Name+"."+n.Sel.Name)
			}
		case *ast.Ident:
			if n != decl.Name {
				f.uses = append(f.uses, name+"."+n.Name)
			}
		}
		return true
	})
	return f
}
