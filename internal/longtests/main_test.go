package main

import (
	"os"
	"path/filepath"
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

	_, err = arguments(filepath.Join(root, "b"))
	require.ErrorContains(t, err, "no test calls testing.Short")
	require.NoError(t, os.WriteFile(filepath.Join(root, "b", "bad_test.go"), []byte("package"), 0o600))
	_, err = arguments(root)
	require.Error(t, err)
}
