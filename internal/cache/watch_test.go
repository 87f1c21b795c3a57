package cache_test

import (
	"context"
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
	case <-time.After(10 * time.Second):
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
	case <-time.After(10 * time.Second):
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
func TestWatchEndsWhenRedisNoLongerAnswers(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redisserver.Options{})
	const quiet = 100 * time.Millisecond
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), ReadTimeout: 2 * quiet})
	t.Cleanup(func() { _ = client.Close() })
	ready, result := make(chan struct{}), make(chan error, 1)
	go func() {
		result <- cache.NewReader(client).WatchQuiet(t.Context(), newTable(), quiet, func() { close(ready) })
	}()
	<-ready
	select {
	case err := <-result:
		require.Fail(t, "a server that answers counts as broken", "%v", err)
	case <-time.After(5 * quiet):
	}
	require.NoError(t, client.Do(t.Context(), "CLIENT", "PAUSE", 10_000, "ALL").Err())
	select {
	case err := <-result:
		require.ErrorContains(t, err, "timeout")
	case <-time.After(10 * time.Second):
		require.Fail(t, "the watch goes on")
	}
}
