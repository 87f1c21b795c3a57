package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
	"github.com/telegraf-describe/telegraf-describe/internal/secret"
)

// embeddedArgs start a service with a Redis of a kind on free ports.
func embeddedArgs(kind string) []string {
	return []string{"--listen", "127.0.0.1:0", "--embedded", kind, "--embedded-listen", "127.0.0.1:0"}
}

func TestEmbeddedRedisHasANewPasswordThatItsUserCanFind(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, kind := range []string{"memory", "memory", "redis-server"} {
		if kind == "redis-server" {
			redistest.Need(t)
		}
		c := start(t, nil, embeddedArgs(kind)...)
		password, err := secret.Read(c.passwordFile)
		require.NoError(t, err)
		require.Regexp(t, `^[a-z2-7]{32}$`, password)
		require.False(t, seen[password])
		seen[password] = true
		require.NotContains(t, c.stderr.String(), password)
		stranger := redis.NewClient(&redis.Options{Addr: c.redis})
		require.ErrorContains(t, stranger.Get(t.Context(), "k").Err(), "NOAUTH")
		require.NoError(t, stranger.Close())
		info, err := os.Stat(c.passwordFile)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
		require.NoError(t, c.cmd.Process.Signal(syscall.SIGTERM))
		require.NoError(t, c.wait(t))
		require.NoFileExists(t, c.passwordFile)
	}
}

func TestPasswordBesideTheDataSurvivesARestart(t *testing.T) {
	t.Parallel()
	redistest.Need(t)
	dir := t.TempDir()
	args := append(embeddedArgs("auto"), "--embedded-dir", dir)
	file := filepath.Join(dir, "redis.password")
	var first string
	for range 2 {
		c := start(t, nil, args...)
		require.Contains(t, c.stderr.String(), " password_file="+file)
		password, err := secret.Read(file)
		require.NoError(t, err)
		published, err := secret.Read(c.passwordFile)
		require.NoError(t, err)
		require.Equal(t, published, password)
		if first != "" {
			require.Equal(t, first, password)
		}
		first = password
		require.NoError(t, c.cmd.Process.Kill())
		require.Error(t, c.wait(t))
	}
}

func TestTheUserCanChooseThePassword(t *testing.T) {
	t.Parallel()
	c := start(t, []string{"ANALYTICS_API_EMBEDDED_PASSWORD=S3cretPW"}, embeddedArgs("memory")...)
	require.Empty(t, c.passwordFile)
	require.NotContains(t, c.stderr.String(), "S3cretPW")
	client := redis.NewClient(&redis.Options{Addr: c.redis, Password: "S3cretPW"})
	defer client.Close()
	require.NoError(t, client.Ping(t.Context()).Err())

	file := filepath.Join(t.TempDir(), "password")
	c = start(t, []string{"ANALYTICS_API_EMBEDDED_PASSWORD_FILE=" + file, "TMPDIR=/none"}, embeddedArgs("memory")...)
	password, err := secret.Read(file)
	require.NoError(t, err)
	client = redis.NewClient(&redis.Options{Addr: c.redis, Password: password})
	defer client.Close()
	require.NoError(t, client.Ping(t.Context()).Err())
	require.Contains(t, c.stderr.String(), "programs of this user cannot find its password by themselves")
}

func TestPasswordOfTheEmbeddedRedisIsChecked(t *testing.T) {
	for file, want := range map[string]string{
		`embedded_password = "short"`:                                        "invalid 'embedded_password' setting: it has 5 bytes, want 8 or more",
		"embedded_password = \"longenough\"\nembedded_password_file = \"f\"": "'embedded_password' and 'embedded_password_file' are both set",
	} {
		_, err := load(t, file, nil)
		require.ErrorContains(t, err, want)
	}
}

func TestTwoServicesCannotShareAFolder(t *testing.T) {
	t.Parallel()
	redistest.Need(t)
	dir := t.TempDir()
	args := append(embeddedArgs("redis-server"), "--embedded-dir", dir)
	c := start(t, nil, args...)
	second := exec.CommandContext(t.Context(), os.Args[0], args...)
	second.Env, second.Dir = c.cmd.Env, t.TempDir()
	out, err := second.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "embedded Redis: the folder "+dir+" is in use by another redis-server of analytics-api, want another folder")
	require.NoError(t, c.cmd.Process.Kill())
	require.Error(t, c.wait(t))
	start(t, nil, args...) // waits for the end of the Redis of the killed service
}
