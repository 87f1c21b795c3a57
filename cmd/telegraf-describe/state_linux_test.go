package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// counted returns the largest count in the rows of a file.
func counted(t *testing.T, path string) (most int) {
	t.Helper()
	for _, row := range rows(readFile(t, path)) {
		var n int
		_, fields, _ := strings.Cut(row, "count=")
		_, err := fmt.Sscanf(fields, "%d", &n)
		require.NoError(t, err, row)
		most = max(most, n)
	}
	return most
}

// written returns when a file in the folder was last written to.
func written(t *testing.T, dir string) (last time.Time) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if !errors.Is(err, os.ErrNotExist) {
		require.NoError(t, err)
	}
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		info, err := os.Stat(path)
		if errors.Is(err, os.ErrNotExist) { // it has been replaced
			continue
		}
		require.NoError(t, err)
		at := info.ModTime()
		if info.IsDir() {
			at = written(t, path)
		}
		if at.After(last) {
			last = at
		}
	}
	return last
}

// The agent continues while the disk of the state is full, and saves again when there is room.
func TestAFullDiskOfTheStateStopsNothing(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("a small file system needs the right to mount one: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	in, out := files(t, "m v=1 1577836800000000000\n")
	conf := writeFile(t, "telegraf.conf", configuration(settings{
		input: in, output: out, describe: fmt.Sprintf("  period = \"100ms\"\n  stats = [\"count\"]\n  bucket = \"1d\"\n  state = %q", dir),
	}))
	p := startTelegraf(t, "--config", conf)
	p.waitFor("rows", func() bool { return counted(t, out) > 2 })
	filler := filepath.Join(dir, "filler")
	require.ErrorIs(t, os.WriteFile(filler, make([]byte, 2<<20), 0o600), syscall.ENOSPC)
	p.waitForLog("no space left on device")
	full := counted(t, out)
	p.waitFor("rows while the disk is full", func() bool { return counted(t, out) > full+5 })
	require.NoError(t, os.Remove(filler))
	removed := time.Now()
	p.waitFor("a save", func() bool { return written(t, dir).After(removed) }) // rows of Pushes that saved nothing may still be on their way
	full = counted(t, out)
	p.waitFor("rows after it has room", func() bool { return counted(t, out) > full+5 })
	saved := counted(t, out)
	p.signal(syscall.SIGKILL)
	p.wait()

	require.NoError(t, os.Truncate(out, 0))
	p = startTelegraf(t, "--config", conf)
	p.waitFor("rows", func() bool { return counted(t, out) > 0 })
	p.stop()
	require.Greater(t, counted(t, out), saved-3, "what came while the disk was full is there, but for the last period")
}
