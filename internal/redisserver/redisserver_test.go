package redisserver_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/redisserver"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
)

func TestServerRunsUntilItIsStopped(t *testing.T) {
	t.Parallel()
	s := redistest.Server(t)
	c := redistest.Client(t, s)
	require.NoError(t, c.Set(t.Context(), "k", "v", 0).Err())
	require.NoError(t, s.Stop())
	require.NoError(t, s.Stop(), "the second call has no effect")
	require.Error(t, c.Ping(t.Context()).Err())
}

func TestServerEndsWithItsContext(t *testing.T) {
	t.Parallel()
	redistest.Need(t)
	ctx, cancel := context.WithCancel(t.Context())
	s, err := redisserver.Start(ctx, redisserver.Options{Password: "secret"})
	require.NoError(t, err)
	cancel()
	<-s.Done()
	require.NoError(t, s.Stop())
}

func TestDataInAFolderSurvivesARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := redistest.Start(t, redisserver.Options{Dir: dir})
	require.NoError(t, redistest.Client(t, s).Set(t.Context(), "k", "v", 0).Err())
	require.NoError(t, s.Stop())
	s = redistest.Start(t, redisserver.Options{Dir: dir})
	require.Equal(t, "v", redistest.Client(t, s).Get(t.Context(), "k").Val())
}

// A server with much data reads it for longer than Start waits for an answer. It answers that it does.
func TestStartWaitsWhileTheServerReadsItsData(t *testing.T) {
	t.Parallel()
	const keys, patience = 10_000, 2 * time.Second
	dir := t.TempDir()
	s := redistest.Start(t, redisserver.Options{Dir: dir})
	pipe := redistest.Client(t, s).Pipeline()
	for i := range keys {
		pipe.Set(t.Context(), strconv.Itoa(i), "v", 0)
	}
	_, err := pipe.Exec(t.Context())
	require.NoError(t, err)
	require.NoError(t, s.Stop())
	began := time.Now()
	s, err = redisserver.StartWithin(t.Context(), redisserver.Options{Dir: dir, Args: []string{"--key-load-delay", "250"}}, patience) // µs a key
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Stop()) })
	require.Greater(t, time.Since(began), patience)
	require.Equal(t, int64(keys), redistest.Client(t, s).DBSize(t.Context()).Val())
}

func TestStartEndsIfTheServerDoesNotAnswer(t *testing.T) {
	t.Parallel()
	sleeping := filepath.Join(t.TempDir(), "sleeping")
	require.NoError(t, os.WriteFile(sleeping, []byte("#!/bin/sh\nexec sleep 60\n"), 0o700))
	_, err := redisserver.StartWithin(t.Context(), redisserver.Options{Binary: sleeping}, 100*time.Millisecond)
	require.ErrorContains(t, err, "no answer")
}

func TestStartNamesAnAddressInUse(t *testing.T) {
	t.Parallel()
	redistest.Need(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	_, err = redisserver.Start(t.Context(), redisserver.Options{Addr: l.Addr().String()})
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	require.ErrorContains(t, err, l.Addr().String())
}

// Between the check that the port is free and the start of the process, another server can take the port.
func TestStartDoesNotTakeAnotherServerForItsOwn(t *testing.T) {
	t.Parallel()
	taken := redisserver.Options{Before: func(addr, _ string) { redistest.Start(t, redisserver.Options{Addr: addr}) }}
	_, err := redisserver.Start(t.Context(), taken)
	require.ErrorContains(t, err, "the process ended before it answered")
	require.ErrorContains(t, err, "Address already in use")

	taken.Binary = filepath.Join(t.TempDir(), "sleeping")
	require.NoError(t, os.WriteFile(taken.Binary, []byte("#!/bin/sh\nexec sleep 60\n"), 0o700))
	_, err = redisserver.StartWithin(t.Context(), taken, 100*time.Millisecond)
	require.ErrorContains(t, err, "no answer: the process ")
	require.ErrorContains(t, err, " has the port, want ")
}

func TestStartReportsTheOutputOfAServerThatEnds(t *testing.T) {
	t.Parallel()
	redistest.Need(t)
	_, err := redisserver.Start(t.Context(), redisserver.Options{Args: []string{"--no-such-option", "1"}})
	require.ErrorContains(t, err, "the process ended before it answered")
	require.ErrorContains(t, err, "no-such-option")
}

func TestClusterAnswers(t *testing.T) {
	t.Parallel()
	c := redis.NewClusterClient(&redis.ClusterOptions{Addrs: redistest.Cluster(t)})
	defer c.Close()
	for _, key := range []string{"a", "b", "c", "d", "e"} {
		require.NoError(t, c.Set(t.Context(), key, key, 0).Err())
		require.Equal(t, key, c.Get(t.Context(), key).Val())
	}
}
