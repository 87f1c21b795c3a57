package secret_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/secret"
)

func TestNewSecretsDiffer(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 1000 {
		s := secret.New(32)
		require.Regexp(t, `^[a-z2-7]{32}$`, s)
		require.False(t, seen[s])
		seen[s] = true
	}
	require.Len(t, secret.New(9), 9)
}

func TestWriteReplacesAFileWholeWithMode0600(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secret")
	for _, text := range []string{"first", "a second, longer one"} {
		require.NoError(t, secret.Write(path, []byte(text+"\n")))
		got, err := secret.Read(path)
		require.NoError(t, err)
		require.Equal(t, text, got)
		info, err := os.Stat(path)
		require.NoError(t, err)
		if runtime.GOOS != "windows" {
			require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
			require.NoError(t, os.Chmod(path, 0o644)) // the next Write corrects it
		}
	}
	names, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, names, 1, "no temporary file stays")
}

func TestWriteReplacesASymlinkInsteadOfItsTarget(t *testing.T) {
	t.Parallel()
	target := filepath.Join(t.TempDir(), "target")
	require.NoError(t, os.WriteFile(target, []byte("precious"), 0o600))
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(target, link))
	require.NoError(t, secret.Write(link, []byte("secret")))
	got, err := secret.Read(target)
	require.NoError(t, err)
	require.Equal(t, "precious", got)
}

func TestReadRefusesAFileThatIsNotOneLine(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secret")
	for text, want := range map[string]string{
		"": "is empty, want one line", "\n": "is empty, want one line", "S3cret\nPW\n": "has several lines or a NUL byte, want one line", "S3cret\x00": "has several lines or a NUL byte, want one line",
		"\ufeffS3cret\n": "begins with a byte order mark, want the line alone", strings.Repeat("S3cret", 1000): "has more than 4096 bytes, want one line",
	} {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, err := secret.Read(path)
		require.EqualError(t, err, path+" "+want)
	}
	_, err := secret.Read(filepath.Join(t.TempDir(), "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestANewFileIsMadeOnlyAtAPathWithAFolder(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, os.Mkdir("folder", 0o700))
	require.NoError(t, os.WriteFile("file", nil, 0o600))
	for path, valid := range map[string]bool{
		"./S3cret": true, "../S3cret": true, "folder/S3cret": true, "file": true, filepath.Join(t.TempDir(), "S3cret"): true,
		"S3cret": false, "/S3cret": false, "none/S3cret": false, "./none/S3cret": false, "file/S3cret": false, "": false, "S3cret\x00": false,
	} {
		err := secret.CheckNew(path)
		require.Equal(t, valid, err == nil, path)
		if err != nil {
			require.NotContains(t, err.Error(), "S3cret")
		}
	}
	names, err := os.ReadDir(".")
	require.NoError(t, err)
	require.Len(t, names, 2, "nothing is made")
}

// A password in place of the path of its file is not a part of the error, which is logged.
func TestAnErrorOfReadHasNoSecretInPlaceOfAPath(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for _, text := range []string{"S3cret", "/S3cret", "./S3cret", "a/S3cret", dir + "/none/S3cret", file + "/S3cret", "S3cret\nS3cret", strings.Repeat("S3cret", 1000)} {
		_, err := secret.Read(text)
		require.ErrorContains(t, err, "the value is not shown, because it may be the secret itself, want the path of a file: ")
		require.NotContains(t, err.Error(), "S3cret")
	}
	_, err := secret.Read("S3cret")
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = secret.Read(dir + "/none")
	require.ErrorContains(t, err, "open "+dir+"/none")
	require.ErrorIs(t, err, os.ErrNotExist)
}
