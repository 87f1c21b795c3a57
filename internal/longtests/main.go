// Command longtests prints arguments for go test that run the tests that take a sample of their data with -short, and no others.
// These are the tests that call testing.Short, themselves or in a function of their package:
//
//	go test $(go run ./internal/longtests)
package main

import (
	"errors"
	"fmt"
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
)

func main() {
	args, err := arguments(".")
	if err != nil {
		fmt.Fprintln(os.Stderr, "longtests:", err)
		os.Exit(1)
	}
	fmt.Println(strings.Join(args, " "))
}

// arguments returns a flag -run, then the packages below a folder that have such tests. Nested modules are left out.
func arguments(root string) ([]string, error) {
	folders, err := testFiles(root)
	if err != nil {
		return nil, err
	}
	var names, packages []string
	for _, folder := range slices.Sorted(maps.Keys(folders)) {
		tests, err := longTests(folders[folder])
		if err != nil {
			return nil, err
		}
		if len(tests) > 0 {
			names, packages = append(names, tests...), append(packages, "./"+filepath.ToSlash(folder))
		}
	}
	if len(names) == 0 {
		return nil, errors.New("no test calls testing.Short")
	}
	slices.Sort(names)
	return append([]string{"-run=^(" + strings.Join(slices.Compact(names), "|") + ")$"}, packages...), nil
}

// testFiles returns the paths of test files by their folder.
func testFiles(root string) (map[string][]string, error) {
	folders := make(map[string][]string)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil && path != root {
				return filepath.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(path, "_test.go") {
			folder, err := filepath.Rel(root, filepath.Dir(path))
			if err != nil {
				return err
			}
			folders[folder] = append(folders[folder], path)
		}
		return nil
	})
	return folders, err
}

var isTest = regexp.MustCompile(`^(Test|Fuzz)`)

// longTests returns the tests in the files of a package that call testing.Short. A function counts as called where its name
// occurs, because a test too many does no harm.
func longTests(files []string) ([]string, error) {
	used, err := usedNames(files)
	if err != nil {
		return nil, err
	}
	long := map[string]bool{"Short": true}
	for before := 0; before < len(long); {
		before = len(long)
		for name, uses := range used {
			if slices.ContainsFunc(uses, func(use string) bool { return long[use] }) {
				long[name] = true
			}
		}
	}
	var tests []string
	for name := range long {
		if isTest.MatchString(name) {
			tests = append(tests, name)
		}
	}
	return tests, nil
}

// usedNames returns the names in the bodies of functions, by the function's name.
func usedNames(files []string) (map[string][]string, error) {
	used := make(map[string][]string)
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			ast.Inspect(f, func(n ast.Node) bool {
				if name, ok := n.(*ast.Ident); ok && name != f.Name {
					used[f.Name.Name] = append(used[f.Name.Name], name.Name)
				}
				return true
			})
		}
	}
	return used, nil
}
