//go:build unix

package redisserver_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/lock"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
	"github.com/telegraf-describe/telegraf-describe/internal/unprivileged"
)

func TestFilesOfAFolderThatExistedAreForTheirOwnerOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o755))
	other := filepath.Join(dir, "other")
	require.NoError(t, os.WriteFile(other, nil, 0o644))
	require.NoError(t, os.Chmod(other, 0o644))
	s := redistest.Start(t, redisserver.Options{Dir: dir})
	require.NoError(t, redistest.Client(t, s).Set(t.Context(), "k", "v", 0).Err())
	require.NoError(t, s.Stop())
	files, err := filepath.Glob(filepath.Join(dir, "appendonlydir", "*"))
	require.NoError(t, err)
	for _, name := range files { // as an earlier version left them
		require.NoError(t, os.Chmod(name, 0o644))
	}
	require.NoError(t, os.Chmod(filepath.Join(dir, "appendonlydir"), 0o755))

	s = redistest.Start(t, redisserver.Options{Dir: dir, PasswordFile: filepath.Join(dir, "redis.password")})
	for _, name := range append(files, filepath.Join(dir, "redis.password"), filepath.Join(dir, "redis-server.lock")) {
		info, err := os.Stat(name)
		require.NoError(t, err)
		require.Equal(t, "-rw-------", info.Mode().String(), name)
	}
	info, err := os.Stat(filepath.Join(dir, "appendonlydir"))
	require.NoError(t, err)
	require.Equal(t, "drwx------", info.Mode().String())
	for name, want := range map[string]os.FileMode{other: 0o644, dir: 0o755} {
		info, err := os.Stat(name)
		require.NoError(t, err)
		require.Equal(t, want, info.Mode().Perm(), "%s is not of redis-server", name)
	}
	first := s.Password()
	require.Regexp(t, `^[a-z2-7]{32}$`, first)
	c := redis.NewClient(&redis.Options{Addr: s.Addr(), Password: first})
	defer c.Close()
	require.Equal(t, "v", c.Get(t.Context(), "k").Val())
	require.NoError(t, s.Stop())
	s = redistest.Start(t, redisserver.Options{Dir: dir, PasswordFile: filepath.Join(dir, "redis.password")})
	require.Equal(t, first, s.Password(), "the password survives a restart")
}

func TestTwoServersCannotShareAFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := redistest.Start(t, redisserver.Options{Dir: dir})
	_, err := redisserver.Start(t.Context(), redisserver.Options{Dir: dir})
	require.ErrorIs(t, err, lock.ErrHeld)
	require.ErrorContains(t, err, "the folder "+dir+" is in use by another redis-server of analytics-api, want another folder")
	require.NoError(t, s.Stop())
	redistest.Start(t, redisserver.Options{Dir: dir})
}

func TestAFolderInWhichEverybodyCanWriteIsRefused(t *testing.T) {
	t.Parallel()
	redistest.Need(t)
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o777))
	_, err := redisserver.Start(t.Context(), redisserver.Options{Dir: dir})
	require.EqualError(t, err, "every user can write in the folder "+dir+" (mode 0777), want one for redis-server alone, with mode 0700")
}

// The names of folders can have the characters of patterns.
func TestAFolderWhoseNameIsAPatternIsNotTakenForOthers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	other := filepath.Join(dir, "ab", "appendonlydir", "other")
	require.NoError(t, os.MkdirAll(filepath.Dir(other), 0o700))
	require.NoError(t, os.WriteFile(other, nil, 0o644))
	require.NoError(t, os.Chmod(other, 0o644))
	for _, name := range []string{"a*", "a[", "a[b]", "a?"} {
		s := redistest.Start(t, redisserver.Options{Dir: filepath.Join(dir, name)})
		require.NoError(t, s.Stop())
	}
	info, err := os.Stat(other)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o644), info.Mode().Perm(), "it is of another folder")
}

func TestAFolderInWhichNothingCanBeMadeIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o500))
	unprivileged.Do(t, func() {
		for _, path := range []string{dir, filepath.Join(dir, "new")} {
			assert.EqualError(t, redisserver.CheckFolder(path), "write in "+dir+": permission denied")
		}
		assert.EqualError(t, redisserver.CheckPasswordFile(filepath.Join(dir, "new")), "write in "+dir+": permission denied")
	})
}

func TestFoldersAreCheckedWithoutMakingThem(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.NoError(t, os.Symlink(filepath.Join(dir, "none"), link))
	for path, want := range map[string]string{
		file: file + " is not a folder", file + "/below": "not a directory", link: link + " is a symbolic link to a folder that does not exist",
		link + "/below": link + " is a symbolic link to a folder that does not exist",
	} {
		require.ErrorContains(t, redisserver.CheckFolder(path), want)
	}
	for _, path := range []string{dir, filepath.Join(dir, "a", "b"), "a/b", "."} {
		require.NoError(t, redisserver.CheckFolder(path), path)
	}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 2)
}

func TestADumpInTheWorkingFolderIsNotLoaded(t *testing.T) {
	redistest.Need(t)
	wd := t.TempDir()
	t.Chdir(wd)
	inFolder := redisserver.Options{Args: []string{"--dir", wd}}
	maker := redistest.Start(t, inFolder)
	c := redistest.Client(t, maker)
	require.NoError(t, c.Set(t.Context(), "foreign", 1, 0).Err())
	require.NoError(t, c.Save(t.Context()).Err())
	require.NoError(t, maker.Stop())
	require.FileExists(t, "dump.rdb")
	require.EqualValues(t, 1, redistest.Client(t, redistest.Start(t, inFolder)).DBSize(t.Context()).Val(), "the dump is valid")
	for _, o := range []redisserver.Options{{}, {Dir: "."}} {
		s := redistest.Start(t, o)
		require.Zero(t, redistest.Client(t, s).DBSize(t.Context()).Val())
		require.NoError(t, s.Stop())
	}
}

func TestThePasswordIsNoArgumentOfTheProcess(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has /proc")
	}
	const password = `S3cret "PW" \x00 ä # '`
	s := redistest.Start(t, redisserver.Options{Password: password})
	pids, err := filepath.Glob("/proc/[0-9]*")
	require.NoError(t, err)
	for _, pid := range pids {
		for _, name := range []string{"cmdline", "environ"} {
			b, err := os.ReadFile(filepath.Join(pid, name))
			if err == nil {
				require.NotContains(t, string(b), password)
			}
		}
	}
	c := redis.NewClient(&redis.Options{Addr: s.Addr(), Password: password})
	defer c.Close()
	require.NoError(t, c.Ping(t.Context()).Err())
	require.Error(t, redistest.Client(t, s).Ping(t.Context()).Err())
}

func TestAPublishedPasswordIsFoundWhileItsServerRuns(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	find := func() string {
		password, err := redisserver.LocalPassword("localhost:1234")
		require.NoError(t, err)
		return password
	}
	require.Empty(t, find())
	p, err := redisserver.Publish("127.0.0.1:1234", "S3cretPW")
	require.NoError(t, err)
	info, err := os.Stat(p.Path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	require.Equal(t, "S3cretPW", find())
	other, err := redisserver.LocalPassword("127.0.0.1:1235")
	require.NoError(t, err)
	require.Empty(t, other)
	require.NoError(t, p.Close())
	require.NoFileExists(t, p.Path)
	require.Empty(t, find())
	require.NoError(t, os.WriteFile(p.Path, fmt.Appendln(nil, "old"), 0o600))
	require.Empty(t, find(), "the file of a process that was killed")
	p, err = redisserver.Publish("127.0.0.1:1234", "new")
	require.NoError(t, err)
	require.Equal(t, "new", find())

	// Another user could have made the folder.
	dir := filepath.Dir(p.Path)
	require.NoError(t, os.Chmod(dir, 0o755))
	require.Empty(t, find())
	_, err = redisserver.Publish("127.0.0.1:1236", "new")
	require.ErrorContains(t, err, dir+" is not a folder of this user alone (mode drwxr-xr-x)")
	require.NoError(t, os.Chmod(dir, 0o700))
	require.NoError(t, p.Close())
	moved := filepath.Join(t.TempDir(), "real")
	require.NoError(t, os.Rename(dir, moved))
	require.NoError(t, os.Symlink(moved, dir))
	_, err = redisserver.Publish("127.0.0.1:1236", "new")
	require.ErrorContains(t, err, "is not a folder of this user alone")
}

// A restart publishes the password while the program before still removes its file.
func TestAPasswordPublishedDuringARemovalIsFound(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	const addr = "127.0.0.1:1234"
	before, err := redisserver.Publish(addr, "before")
	require.NoError(t, err)
	openings := func() (n int) {
		links, err := filepath.Glob("/proc/self/fd/*")
		require.NoError(t, err)
		for _, link := range links {
			if target, err := os.Readlink(link); err == nil && target == before.Path {
				n++
			}
		}
		return n
	}
	if openings() != 1 {
		t.Skip("this system does not list open files")
	}
	type result struct {
		p   *redisserver.Publication
		err error
	}
	published := make(chan result, 1)
	go func() {
		p, err := redisserver.PublishWithin(addr, "after", time.Minute)
		published <- result{p, err}
	}()
	require.Eventually(t, func() bool { return openings() == 2 }, time.Minute, time.Millisecond, "the second one waits for the lock")
	require.NoError(t, before.Close())
	after := <-published
	require.NoError(t, after.err)
	password, err := redisserver.LocalPassword(addr)
	require.NoError(t, err)
	require.Equal(t, "after", password)
	require.NoError(t, after.p.Close())
}
