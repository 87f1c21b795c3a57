package redisserver_test

import (
	"bufio"
	"context"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
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
	s, err := redisserver.Start(ctx, redisserver.Options{Addr: redistest.Free(t), Password: "secret"})
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
	const keys = 10_000
	dir := t.TempDir()
	s := redistest.Start(t, redisserver.Options{Dir: dir})
	pipe := redistest.Client(t, s).Pipeline()
	for i := range keys {
		pipe.Set(t.Context(), strconv.Itoa(i), "v", 0)
	}
	_, err := pipe.Exec(t.Context())
	require.NoError(t, err)
	require.NoError(t, s.Stop())
	// While it reads, the server answers after each 1,024 keys. A slow machine needs a longer delay of each key for an answer in time.
	for delay := 250 * time.Microsecond; ; delay *= 3 {
		patience, began := delay*keys*4/5, time.Now()
		s, err = redisserver.StartWithin(t.Context(), redisserver.Options{Addr: redistest.Free(t), Dir: dir, Args: []string{"--key-load-delay", strconv.FormatInt(delay.Microseconds(), 10)}}, patience)
		if err != nil && strings.Contains(err.Error(), "no answer") && patience < time.Minute {
			continue
		}
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Stop()) })
		require.Greater(t, time.Since(began), patience)
		break
	}
	require.Equal(t, int64(keys), redistest.Client(t, s).DBSize(t.Context()).Val())
}

func TestStartEndsIfTheServerDoesNotAnswer(t *testing.T) {
	t.Parallel()
	_, err := redisserver.StartWithin(t.Context(), redisserver.Options{Binary: redistest.Script(t, "exec sleep 600")}, 100*time.Millisecond)
	require.ErrorContains(t, err, "no answer")
}

// The attempts after the last answer only run out of time, which is no reason.
func TestStartReportsTheLastAnswer(t *testing.T) {
	t.Parallel()
	sleeping := redistest.Script(t, "exec sleep 600")
	var answered atomic.Bool
	once := func(addr, _ string) { // answers up to the first PING, and then nothing
		answered.Store(false)
		var l net.Listener
		require.Eventually(t, func() (free bool) { // a third program can have the port for a moment
			var err error
			l, err = net.Listen("tcp", addr)
			return err == nil
		}, time.Minute, 10*time.Millisecond)
		t.Cleanup(func() { _ = l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				t.Cleanup(func() { _ = c.Close() })
				for commands := bufio.NewScanner(c); !answered.Load() && commands.Scan(); {
					switch command := strings.ToLower(commands.Text()); command {
					case "hello", "ping":
						_, err = c.Write([]byte("-ERR not today\r\n"))
						answered.Store(err == nil && command == "ping")
					}
				}
			}
		}()
	}
	requireReason(t, redisserver.Options{Binary: sleeping, Before: once}, "no answer: ERR not today")
}

// requireReason starts a server that does not answer well, and requires a reason in the error. A slow machine has it after a longer time.
func requireReason(t *testing.T, o redisserver.Options, reason string) {
	t.Helper()
	var err error
	for patience := 100 * time.Millisecond; patience < time.Minute; patience *= 5 {
		_, err = redisserver.StartWithin(t.Context(), o, patience)
		require.ErrorContains(t, err, "no answer: ")
		if strings.Contains(err.Error(), reason) {
			return
		}
	}
	require.ErrorContains(t, err, reason)
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
	redistest.Need(t)
	taken := redisserver.Options{Before: func(addr, _ string) {
		require.Eventually(t, func() (free bool) { // a third program can have the port for a moment
			s, err := redisserver.Start(t.Context(), redisserver.Options{Addr: addr})
			if err == nil {
				t.Cleanup(func() { _ = s.Stop() })
			}
			return err == nil
		}, time.Minute, 10*time.Millisecond)
	}}
	_, err := redisserver.Start(t.Context(), taken)
	require.ErrorContains(t, err, "the process ended before it answered")
	require.ErrorContains(t, err, "Address already in use")

	taken.Binary = redistest.Script(t, "exec sleep 600")
	requireReason(t, taken, " has the port, want ")
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
