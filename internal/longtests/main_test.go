package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTestsThatTakeASampleAreFound(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for path, text := range map[string]string{
		"a/direct_test.go": "func TestDirect(t *testing.T) { if testing.Short() { return } }\nfunc TestOther(t *testing.T) { sizes() }",
		"a/helper_test.go": "func many() int { return fewer(5) }\nfunc fewer(n int) int { if testing.Short() { n /= 2 }; return n }",
		"a/more_test.go":   "func TestByAHelper(t *testing.T) { for range many() {} }\nfunc FuzzSeeds(f *testing.F) { f.Add(fewer(2)) }\nfunc sizes() {}",
		"b/b_test.go":      "func TestWithoutASample(t *testing.T) {}",
		"b/b.go":           "func TestNoTestFile() { testing.Short() }",
		"c/c_test.go":      "type x struct{}\nfunc (x) sample() int { testing.Short(); return 1 }\nfunc TestByAMethod(t *testing.T) { x{}.sample() }",
		"data/data.go":     "func Sets() { if testing.Short() {} }\nfunc One() {}",
		"d/d_test.go":      "func TestOfAnotherPackage(t *testing.T) { data.Sets() }\nfunc TestOne(t *testing.T) { data.One() }",
		"nested/go.mod":    "",
		"nested/a_test.go": "func TestNested(t *testing.T) { testing.Short() }",
	} {
		path = filepath.Join(root, filepath.FromSlash(path))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o750))
		if filepath.Ext(path) == ".go" {
			text = "package p\n" + text
		}
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	got, err := arguments(root)
	require.NoError(t, err)
	require.Equal(t, []string{"-run=^(FuzzSeeds|TestByAHelper|TestByAMethod|TestDirect|TestOfAnotherPackage)$", "./a", "./c", "./d"}, got)

	got, err = arguments(root, "./d", "./a")
	require.NoError(t, err)
	require.Equal(t, []string{"-run=^(TestByAMethod)$", "./c"}, got)

	_, err = arguments(root, "./a", "./c", "./d")
	require.ErrorContains(t, err, "no test calls testing.Short")
	_, err = arguments(filepath.Join(root, "b"))
	require.ErrorContains(t, err, "no test calls testing.Short")
	require.NoError(t, os.WriteFile(filepath.Join(root, "b", "bad_test.go"), []byte("package"), 0o600))
	_, err = arguments(root)
	require.Error(t, err)
}

// module is the path of this module in imports.
const module = "github.com/telegraf-describe/telegraf-describe/"

// concurrent lists how a file starts goroutines, itself or by packages that it imports.
func concurrent(t *testing.T, path string, sequential []string) (found []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	require.NoError(t, err)
	for _, i := range file.Imports {
		name, err := strconv.Unquote(i.Path.Value)
		require.NoError(t, err)
		inside, ours := strings.CutPrefix(name, module)
		if ours && !slices.Contains(sequential, "./"+inside) || slices.Contains([]string{"context", "net/http", "os/exec", "sync/errgroup"}, name) {
			found = append(found, path+" imports "+name)
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			found = append(found, path+" has a go statement")
		case *ast.SelectorExpr:
			if slices.Contains([]string{"Go", "AfterFunc", "RunParallel", "Eventually", "EventuallyWithT", "Never", "Pull", "Pull2"}, n.Sel.Name) {
				found = append(found, path+" calls "+n.Sel.Name)
			}
		}
		return true
	})
	return found
}

// The packages that make test runs only without the race detector, and those of the module that they or their tests import, start no
// goroutines.
func TestPackagesWithoutTheRaceDetectorStartNoGoroutines(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	require.NoError(t, err)
	line := regexp.MustCompile(`(?m)^SEQUENTIAL := (.+)$`).FindSubmatch(makefile)
	require.NotNil(t, line)
	sequential := append(strings.Fields(string(line[1])), "./internal/oracle") // for tests
	require.Greater(t, len(sequential), 1)
	for _, folder := range sequential {
		paths, err := filepath.Glob(filepath.Join(root, folder, "*.go"))
		require.NoError(t, err)
		require.NotEmpty(t, paths, folder)
		for _, path := range paths {
			require.Empty(t, concurrent(t, path, sequential))
		}
	}
}

func TestGoroutinesOfAFileAreFound(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.go")
	for text, want := range map[string]string{
		"import \"sync\"\nvar once sync.Once":                                    "",
		"import \"" + module + "internal/a\"\nvar _ = a.A":                       "",
		"import \"" + module + "internal/b\"\nvar _ = b.B":                       path + " imports " + module + "internal/b",
		"import \"os/exec\"":                                                     path + " imports os/exec",
		"func f() { go f() }":                                                    path + " has a go statement",
		"import \"sync\"\nfunc f() { var wg sync.WaitGroup; wg.Go(f) }":          path + " calls Go",
		"import \"testing\"\nfunc BenchmarkA(b *testing.B) { b.RunParallel(f) }": path + " calls RunParallel",
	} {
		require.NoError(t, os.WriteFile(path, []byte("package p\n"+text), 0o600))
		require.Equal(t, want, strings.Join(concurrent(t, path, []string{"./internal/a"}), ", "), text)
	}
}
