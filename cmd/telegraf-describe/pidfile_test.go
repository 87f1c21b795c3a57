package main

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPidfileFollowsNoSymlink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	victim := filepath.Join(dir, "victim")
	require.NoError(t, os.WriteFile(victim, []byte("precious"), 0o600))
	for name, target := range map[string]string{"link": victim, "dangling": filepath.Join(dir, "none")} {
		link := filepath.Join(dir, name)
		require.NoError(t, os.Symlink(target, link))
		require.EqualError(t, writePID(link), link+" is a symbolic link, want a file or nothing")
		if noFollow != 0 {
			_, err := os.OpenFile(link, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|noFollow, 0o600)
			require.Error(t, err, "a link that appears after the check")
		}
		p := pidFile{path: link}
		p.write()
		p.remove()
		require.FileExists(t, victim)
	}
	require.NoFileExists(t, filepath.Join(dir, "none"))
	text, err := os.ReadFile(victim)
	require.NoError(t, err)
	require.Equal(t, "precious", string(text))
}

func TestPidfileReplacesTheIDOfAnEarlierRun(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "pid")
	require.NoError(t, os.WriteFile(path, []byte("12345678901\n"), 0o600))
	require.NoError(t, writePID(path))
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, strconv.Itoa(os.Getpid())+"\n", string(text))
	require.EqualError(t, writePID(filepath.Dir(path)), filepath.Dir(path)+" is a folder, want a file or nothing")
}
