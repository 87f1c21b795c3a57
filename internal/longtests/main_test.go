package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// write writes the files of a module named m, and returns its folder. A file has the line "package p" before its text.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for path, text := range files {
		path = filepath.Join(root, filepath.FromSlash(path))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o750))
		require.NoError(t, os.WriteFile(path, []byte("package p\n"+text), 0o600))
	}
	require.NoError(t, os.WriteFile(filepath.Join(root, "go.mod"), []byte("// text\nmodule m\n\ngo 1.26\n"), 0o600))
	return root
}

func TestTestsThatTakeASampleAreFound(t *testing.T) {
	t.Parallel()
	root := write(t, map[string]string{
		"a/direct_test.go": "func TestDirect(t *testing.T) { if testing.Short() { return } }\nfunc TestOther(t *testing.T) { go sizes() }",
		"a/helper_test.go": "func many() int { return fewer(5) }\nfunc fewer(n int) int { if testing.Short() { n /= 2 }; return n }",
		"a/more_test.go":   "func TestByAHelper(t *testing.T) { for range many() {} }\nfunc FuzzSeeds(f *testing.F) { f.Add(fewer(2)) }\nfunc sizes() {}",
		"b/b_test.go":      "func TestWithoutASample(t *testing.T) { go f() }",
		"b/b.go":           "func TestNoTestFile() { testing.Short() }",
		"c/c_test.go":      "type x struct{}\nfunc (x) sample() int { testing.Short(); return 1 }\nfunc TestByAMethod(t *testing.T) { go x{}.sample() }",
		"data/data.go":     "func Sets() { if testing.Short() {} }\nfunc One() {}",
		"d/d_test.go":      "func TestOfAnotherPackage(t *testing.T) { go data.Sets() }\nfunc TestOne(t *testing.T) { data.One() }",
		"e/e_test.go":      "func TestWithoutGoroutines(t *testing.T) { testing.Short() }",
		"nested/go.mod":    "",
		"nested/a_test.go": "func TestNested(t *testing.T) { testing.Short() }",
	})
	got, err := arguments(root, []string{"whole"})
	require.NoError(t, err)
	require.Equal(t, []string{"-run=^(FuzzSeeds|TestByAHelper|TestByAMethod|TestDirect|TestOfAnotherPackage)$", "./a", "./c", "./d"}, got)
}

// The tests of each package run in one of the two groups.
func TestPackagesWithoutGoroutinesAreFound(t *testing.T) {
	t.Parallel()
	const test = "func TestOne(t *testing.T) {}"
	root := write(t, map[string]string{
		"value/v.go":               "import \"strings\"\nfunc V() { strings.ToUpper(\"\") }",
		"value/v_test.go":          "import \"sync\"\nvar once = sync.OnceValue(f)\n" + test,
		"user/u.go":                `import "m/value"`,
		"user/u_test.go":           test,
		"example/e_test.go":        "func ExampleOne() {}",
		"parallel/a.go":            "func f() { go g() }",
		"parallel/a_test.go":       test,
		"above/a.go":               `import "m/over"`,
		"above/a_test.go":          test,
		"over/o.go":                `import "m/parallel"`,
		"throughtest/a_test.go":    "import \"m/over\"\n" + test,
		"intest/a_test.go":         "func TestOne(t *testing.T) { var wg sync.WaitGroup; wg.Go(f) }",
		"elsewhere/a.go":           "import \"m/testsonly\"",
		"elsewhere/a_test.go":      test,
		"testsonly/a.go":           "func F() {}",
		"testsonly/a_test.go":      "func TestOne(t *testing.T) { go F() }",
		"locked/a.go":              "import \"sync\"\nvar mu sync.Mutex",
		"locked/a_test.go":         test,
		"server/a.go":              "import \"net/http\"\nfunc f(http.Handler) {}",
		"server/a_test.go":         test,
		"later/a.go":               "import \"time\"\nfunc f() { time.AfterFunc(1, f) }",
		"later/a_test.go":          test,
		"withouttests/a.go":        "func f() {}",
		"withouttests/b_test.go":   "func BenchmarkF(b *testing.B) { b.RunParallel(nil) }",
		"benchmarked/b_test.go":    "func BenchmarkF(b *testing.B) { b.RunParallel(nil) }\n" + test,
		"value/testdata/corpus.go": "func f() { go f() }",
	})
	race, err := arguments(root, []string{"race"})
	require.NoError(t, err)
	require.Equal(t, "./above ./benchmarked ./intest ./later ./locked ./parallel ./server ./testsonly ./throughtest",
		strings.Join(race, " "))
	plain, err := arguments(root, []string{"plain"})
	require.NoError(t, err)
	require.Equal(t, "./elsewhere ./example ./user ./value", strings.Join(plain, " "))
}

func TestUselessCallsAreErrors(t *testing.T) {
	t.Parallel()
	root := write(t, map[string]string{"b/b_test.go": "func TestWithoutASample(t *testing.T) { go f() }"})
	_, err := arguments(root, []string{"whole"})
	require.ErrorContains(t, err, "there is no such test")
	_, err = arguments(root, []string{"long"})
	require.EqualError(t, err, `arguments ["long"], want race, plain or whole`)
	require.NoError(t, os.WriteFile(filepath.Join(root, "b", "bad_test.go"), []byte("package"), 0o600))
	_, err = arguments(root, []string{"race"})
	require.Error(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(root, "go.mod"), nil, 0o600))
	_, err = arguments(root, []string{"race"})
	require.ErrorContains(t, err, "no line with the path of the module")
	_, err = arguments(t.TempDir(), []string{"race"})
	require.ErrorIs(t, err, os.ErrNotExist)
}
