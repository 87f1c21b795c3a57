// Command longtests prints arguments for go test that run the tests that take a sample of their data with -short, and no others.
// These are the tests that call testing.Short, themselves or through functions of the module:
//
//	go test $(go run ./internal/longtests)
//
// It reads the source, without types and without building it. So there is no list of these tests that somebody has to keep up to date: a
// new test that calls testing.Short is found. The output is such as
//
//	-run=^(FuzzA|TestB)$ ./internal/state ./internal/stats
//
// One pattern is for all packages, because go test has one -run. A test of the same name in another of these packages runs too.
package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

func main() {
	args, err := arguments(".")
	if err != nil {
		fmt.Fprintln(os.Stderr, "longtests:", err)
		os.Exit(1)
	}
	fmt.Println(strings.Join(args, " "))
}

// arguments returns a flag -run, then the packages below a folder that have such tests, both sorted and each once. Nested modules are
// left out. If there is no such test, it returns an error: go test without a pattern would run everything.
func arguments(root string) ([]string, error) {
	all, err := functions(root)
	if err != nil {
		return nil, err
	}
	long := map[string]bool{"testing.Short": true}
	// Functions that use a long one are long too, until a pass finds no more. A function may be declared before those that it uses.
	for before := 0; before < len(long); {
		before = len(long)
		for _, f := range all {
			if slices.ContainsFunc(f.uses, func(name string) bool { return long[name] }) {
				long[f.name] = true
			}
		}
	}
	var tests, packages []string
	for _, f := range all {
		if f.test != "" && long[f.name] {
			tests, packages = append(tests, f.test), append(packages, f.folder)
		}
	}
	if len(tests) == 0 {
		return nil, errors.New("no test calls testing.Short")
	}
	slices.Sort(tests)
	slices.Sort(packages)
	return append([]string{"-run=^(" + strings.Join(slices.Compact(tests), "|") + ")$"}, slices.Compact(packages)...), nil
}

// function is a function or method. Its name and those that it uses begin with the last part of the path of their package, as in
// stats.New. A name may be that of several functions; then a test too many is found, which does no harm. Methods have no receiver in their
// names, and an import under another name is not followed.
type function struct {
	name, folder string   // the folder is as go test wants it, such as ./internal/stats
	test         string   // its name without the package, if it is a test
	uses         []string // every name in it, with duplicates; those of types and variables do no harm
}

// isTest matches the names of tests, and of fuzz tests, whose seeds run as tests. Benchmarks do not run with -run.
var isTest = regexp.MustCompile(`^(Test|Fuzz)`)

// functions returns all functions below a folder, those of test files too: helpers of tests call testing.Short. Build constraints are not
// looked at. The first file that cannot be parsed is an error.
func functions(root string) (all []function, err error) {
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
		folder, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, decl := range file.Decls {
			if decl, ok := decl.(*ast.FuncDecl); ok {
				f := newFunction(decl, filepath.Base(folder))
				f.folder = "./" + filepath.ToSlash(folder)
				if strings.HasSuffix(path, "_test.go") && isTest.MatchString(decl.Name.Name) {
					f.test = decl.Name.Name
				}
				all = append(all, f)
			}
		}
		return nil
	})
	return all, err
}

// newFunction returns a function of a package. Both words of a selector such as stats.New also count as names of the package itself, so
// more names may match than the function uses. The folder and test are not set.
func newFunction(decl *ast.FuncDecl, pkg string) function {
	f := function{name: pkg + "." + decl.Name.Name}
	ast.Inspect(decl, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok {
				f.uses = append(f.uses, x.Name+"."+n.Sel.Name)
			}
		case *ast.Ident:
			if n != decl.Name {
				f.uses = append(f.uses, pkg+"."+n.Name)
			}
		}
		return true
	})
	return f
}
