package cache_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
)

// watch watches a table and returns the changes, once it is ready, and the result of Watch.
func watch(ctx context.Context, t *testing.T, client redis.UniversalClient, table record.Table) (changes <-chan []time.Time, ended <-chan error) {
	t.Helper()
	ready, seen, result := make(chan struct{}), make(chan []time.Time, 100), make(chan error, 1)
	go func() {
		result <- cache.NewReader(client).Watch(ctx, table, func() { close(ready) }, func(starts []time.Time) { seen <- starts })
	}()
	select {
	case <-ready:
	case err := <-result:
		require.NoError(t, err)
	case <-time.After(patience):
		require.Fail(t, "the watch is not ready")
	}
	return seen, result
}

func TestWatchReportsChangedBuckets(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, client redis.UniversalClient) {
		table := newTable()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		changes, ended := watch(ctx, t, client, table)
		w := writerOf(t, client, nil)
		put(t, w, newTable(), rec(0, "f", "h", 1))
		put(t, w, table, rec(0, "f", "h", 1), rec(-60, "f", "h", 1))
		put(t, w, table, rec(60, "f", "h", 1))
		require.ElementsMatch(t, []time.Time{time.Unix(0, 0).UTC(), time.Unix(-60, 0).UTC()}, receive(t, changes))
		require.NoError(t, client.Publish(t.Context(), cache.ChannelName(table), "x 1e3  7.5").Err())
		require.Equal(t, []time.Time{time.Unix(60, 0).UTC()}, receive(t, changes))
		require.Equal(t, []time.Time{time.Unix(7, 5e8).UTC()}, receive(t, changes))
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
	})
}

func receive(t *testing.T, changes <-chan []time.Time) []time.Time {
	t.Helper()
	select {
	case starts := <-changes:
		return starts
	case <-time.After(patience):
		require.Fail(t, "no change")
		return nil
	}
}

func TestWatchEndsWhenItsConnectionBreaks(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redisserver.Options{})
	client := redistest.Open(t, server.Addr())
	_, ended := watch(t.Context(), t, client, newTable())
	require.NoError(t, client.ClientKillByFilter(t.Context(), "TYPE", "pubsub").Err())
	require.Error(t, <-ended)
}

// A server that no longer answers looks like a quiet table, so a quiet watch asks for an answer.
func TestAQuietWatchGoesOnWhileRedisAnswers(t *testing.T) {
	t.Parallel()
	client := redistest.Client(t, redistest.Server(t))
	pings := func() (n int) {
		_, calls, _ := strings.Cut(client.Info(t.Context(), "commandstats").Val(), "cmdstat_ping:calls=")
		_, _ = fmt.Sscan(calls, &n)
		return n
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	result := make(chan error, 1)
	before := pings()
	go func() { result <- cache.NewReader(client).WatchQuiet(ctx, newTable(), time.Millisecond, func() {}) }()
	require.Eventually(t, func() bool { return pings() >= before+5 }, patience, 10*time.Millisecond)
	cancel()
	require.ErrorIs(t, <-result, context.Canceled)
}

// On a machine that is so busy that the watch is not ready within the time for an answer, that time is doubled.
func TestWatchEndsWhenRedisNoLongerAnswers(t *testing.T) {
	t.Parallel()
	for timeout := 200 * time.Millisecond; ; timeout *= 2 {
		server := redistest.Server(t)
		client := redis.NewClient(&redis.Options{Addr: server.Addr(), ReadTimeout: timeout})
		t.Cleanup(func() { _ = client.Close() })
		ready, result := make(chan struct{}), make(chan error, 1)
		go func() {
			result <- cache.NewReader(client).WatchQuiet(t.Context(), newTable(), 100*time.Millisecond, func() { close(ready) })
		}()
		select {
		case <-ready:
		case err := <-result:
			require.ErrorContains(t, err, "timeout")
			require.Less(t, timeout, patience, "the watch is never ready")
			continue
		}
		redistest.Pause(t, server.Addr())
		select {
		case err := <-result:
			require.ErrorContains(t, err, "timeout")
		case <-time.After(patience):
			require.Fail(t, "the watch goes on")
		}
		return
	}
}
