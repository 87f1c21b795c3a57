package redisserver_test

import (
	"context"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/redisserver"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
)

func TestAServerRunsUntilItIsStopped(t *testing.T) {
	s := redistest.Server(t)
	c := redistest.Client(t, s)
	require.NoError(t, c.Set(t.Context(), "k", "v", 0).Err())
	require.NoError(t, s.Stop())
	require.NoError(t, s.Stop(), "stopping again does nothing")
	require.Error(t, c.Ping(t.Context()).Err())
}

func TestAServerEndsWithItsContext(t *testing.T) {
	redistest.Need(t)
	ctx, cancel := context.WithCancel(t.Context())
	s, err := redisserver.Start(ctx, redisserver.Options{Password: "secret"})
	require.NoError(t, err)
	cancel()
	select {
	case <-s.Done():
	case <-time.After(30 * time.Second):
		t.Fatal("the server goes on")
	}
}

func TestDataOutlivesAServerWithAFolder(t *testing.T) {
	dir := t.TempDir()
	s := redistest.Start(t, redisserver.Options{Dir: dir})
	require.NoError(t, redistest.Client(t, s).Set(t.Context(), "k", "v", 0).Err())
	require.NoError(t, s.Stop())
	s = redistest.Start(t, redisserver.Options{Dir: dir})
	require.Equal(t, "v", redistest.Client(t, s).Get(t.Context(), "k").Val())
}

func TestAnAddressInUseIsNamed(t *testing.T) {
	redistest.Need(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	_, err = redisserver.Start(t.Context(), redisserver.Options{Addr: l.Addr().String()})
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	require.ErrorContains(t, err, l.Addr().String())
}

func TestAServerThatEndsAtOnceSaysWhy(t *testing.T) {
	redistest.Need(t)
	_, err := redisserver.Start(t.Context(), redisserver.Options{Args: []string{"--no-such-option", "1"}})
	require.ErrorContains(t, err, "it ended at once")
	require.ErrorContains(t, err, "no-such-option")
}

func TestAClusterAnswers(t *testing.T) {
	c := redis.NewClusterClient(&redis.ClusterOptions{Addrs: redistest.Cluster(t)})
	defer c.Close()
	for _, key := range []string{"a", "b", "c", "d", "e"} {
		require.NoError(t, c.Set(t.Context(), key, key, 0).Err())
		require.Equal(t, key, c.Get(t.Context(), key).Val())
	}
}
