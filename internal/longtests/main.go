// Command longtests divides the packages of this module among the targets of make test. It prints arguments for go test:
//
//	longtests race    the packages whose tests run with the race detector, on a sample of much data: go test -race -short
//	longtests plain   the packages in which nothing happens at the same time: they have no goroutines that the detector could watch
//	longtests whole   the tests that take a sample with -short, in the packages of race: go test without -short
package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

func main() {
	words, err := arguments(".", os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "longtests:", err)
		os.Exit(1)
	}
	fmt.Println(strings.Join(words, " "))
}

// arguments returns the words to print for the arguments of the command, about the module in a folder.
func arguments(root string, args []string) ([]string, error) {
	m, err := read(root)
	if err != nil {
		return nil, err
	}
	var words []string
	switch strings.Join(args, " ") {
	case "race":
		words = m.tested(true)
	case "plain":
		words = m.tested(false)
	case "whole":
		words = m.whole()
	default:
		return nil, fmt.Errorf("arguments %q, want race, plain or whole", args)
	}
	if len(words) == 0 {
		return nil, errors.New("there is no such test")
	}
	return words, nil
}

// tested returns the packages with tests in which something happens at the same time, or the others.
func (m *module) tested(concurrent bool) (folders []string) {
	for folder, p := range m.packages {
		if p.tests && m.concurrentTests(folder) == concurrent {
			folders = append(folders, "./"+folder)
		}
	}
	slices.Sort(folders)
	return folders
}

// concurrentTests reports whether the tests of a package, the package or one that these import start goroutines.
func (m *module) concurrentTests(folder string) bool {
	p := m.packages[folder]
	if p.testsConcurrent {
		return true
	}
	seen := make(map[string]bool)
	return slices.ContainsFunc(slices.Concat(p.testImports, []string{folder}), func(folder string) bool { return m.concurrent(folder, seen) })
}

// concurrent reports whether a package, or one that it imports, starts goroutines or is made for several. Packages that were
// seen are not looked at again.
func (m *module) concurrent(folder string, seen map[string]bool) bool {
	p := m.packages[folder]
	if p == nil || seen[folder] {
		return false
	}
	seen[folder] = true
	return p.concurrent || slices.ContainsFunc(p.imports, func(folder string) bool { return m.concurrent(folder, seen) })
}

// whole returns a flag -run with the tests that call testing.Short, themselves or through functions of the module, then their packages.
func (m *module) whole() []string {
	long := map[string]bool{"testing.Short": true}
	for before := 0; before < len(long); {
		before = len(long)
		for _, f := range m.functions {
			if slices.ContainsFunc(f.uses, func(name string) bool { return long[name] }) {
				long[f.name] = true
			}
		}
	}
	var tests, folders []string
	for _, f := range m.functions {
		if f.test != "" && long[f.name] && m.concurrentTests(f.folder) {
			tests, folders = append(tests, f.test), append(folders, "./"+f.folder)
		}
	}
	if len(tests) == 0 {
		return nil
	}
	slices.Sort(tests)
	slices.Sort(folders)
	return append([]string{"-run=^(" + strings.Join(slices.Compact(tests), "|") + ")$"}, slices.Compact(folders)...)
}
