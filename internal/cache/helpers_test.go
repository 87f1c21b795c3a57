package cache_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
)

func TestMain(m *testing.M) { redistest.Main(m) }

// patience is the longest time that a test waits for an event, and that a client waits for an answer. No test passes because this time is
// over. A client that waits less sends a transaction again on a machine that stands still meanwhile. A rebuild of a compatibility value that
// such a machine makes last 20 seconds is followed by the next one 400 seconds later.
const patience = 8 * time.Minute

// table is the table of tests that have a Redis of their own.
var table = record.Table{Database: "db", Name: "analytics_cpu"}

var tables atomic.Int64

// newTable returns a table that no other test uses.
func newTable() record.Table {
	return record.Table{Database: fmt.Sprint("db", tables.Add(1)), Name: "analytics_cpu"}
}

// server returns a client of an empty logical database of a redis-server.
func server(t testing.TB) *redis.Client {
	t.Helper()
	return redistest.Open(t, redistest.Database(t))
}

// inProcess returns a client of a Redis within the test.
func inProcess(t testing.TB) (*redis.Client, *miniredis.Miniredis) {
	t.Helper()
	m := miniredis.RunT(t)
	return redistest.Open(t, m.Addr()), m
}

func cluster(t testing.TB) *redis.ClusterClient {
	t.Helper()
	c := redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: redistest.SharedCluster(t), DialTimeout: patience, ReadTimeout: patience, WriteTimeout: patience,
	})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// eachRedis runs a test with a redis-server, with a cluster and with a Redis in this process. Other tests use the
// cluster at the same time.
func eachRedis(t *testing.T, test func(t *testing.T, client redis.UniversalClient)) {
	t.Helper()
	t.Run("redis-server", func(t *testing.T) {
		t.Parallel()
		test(t, server(t))
	})
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		test(t, cluster(t))
	})
	t.Run("in process", func(t *testing.T) {
		t.Parallel()
		client, _ := inProcess(t)
		test(t, client)
	})
}

// eachVersion is eachRedis, and runs the test also with a redis-server that answers as before Redis 7.
func eachVersion(t *testing.T, test func(t *testing.T, client redis.UniversalClient)) {
	t.Helper()
	eachRedis(t, test)
	t.Run("before Redis 7", func(t *testing.T) {
		t.Parallel()
		client := server(t)
		var refused atomic.Int64
		client.AddHook(beforeRedis7(&refused))
		t.Cleanup(func() { require.Positive(t, refused.Load()) })
		test(t, client)
	})
}

// writerOf returns a writer that fails the test if it reports an error. It closes with the test.
func writerOf(t testing.TB, client redis.UniversalClient, edit func(*cache.Options)) *cache.Writer {
	t.Helper()
	o := cache.Options{Retention: time.Hour, CompatRecords: 1000, Report: func(err error) { t.Errorf("reported: %v", err) }}
	if edit != nil {
		edit(&o)
	}
	w := cache.NewWriter(client, o)
	t.Cleanup(func() { require.NoError(t, w.Close(patience)) })
	return w
}

// withoutCompat makes a writer build no compatibility value: for tests of many records that do not need it.
func withoutCompat(o *cache.Options) { o.CompatRecords = 0 }

// whileAway makes a writer build no compatibility value, and report no server that does not answer: once a minute it looks for lost records,
// perhaps just while the test has stopped the server.
func whileAway(t testing.TB) func(*cache.Options) {
	return func(o *cache.Options) {
		o.CompatRecords = 0
		o.Report = func(err error) {
			if !cache.IsUnavailable(err) {
				t.Errorf("reported: %v", err)
			}
		}
	}
}

func rec(start int64, field, host string, value float64) record.Record {
	return record.Record{
		Table: "analytics_cpu", Field: field, Agent: "a1", Tags: []series.Tag{{Key: "host", Value: host}},
		Start: time.Unix(start, 0).UTC(), Stats: []record.Stat{{Name: "count", Value: int64(1)}, {Name: "mean", Value: value}},
	}
}

// put writes records of a table, and fails the test if it cannot.
func put(t testing.TB, w *cache.Writer, table record.Table, records ...record.Record) {
	t.Helper()
	require.NoError(t, w.Put(t.Context(), table, records))
}

// putOnce writes records of a table with a writer that is closed then.
func putOnce(t testing.TB, client redis.UniversalClient, table record.Table, records ...record.Record) {
	t.Helper()
	w := cache.NewWriter(client, cache.Options{Retention: time.Hour})
	put(t, w, table, records...)
	require.NoError(t, w.Close(patience))
}

// jsonOf returns the JSON of records as the cache stores it.
func jsonOf(records ...record.Record) (texts []string) {
	for _, r := range records {
		texts = append(texts, string(r.AppendJSON(nil)))
	}
	return texts
}

// all reads the records of a table in a range.
func all(t testing.TB, client redis.UniversalClient, table record.Table, span record.Range) []string {
	t.Helper()
	r := cache.NewReader(client)
	starts, err := r.Buckets(t.Context(), table, span)
	require.NoError(t, err)
	var records []string
	require.NoError(t, r.Records(t.Context(), table, starts, 0, func(part record.Part) error {
		slices.Sort(part.Texts)
		records = append(records, part.Texts...)
		return nil
	}))
	return records
}

// startsOf returns the bucket starts in the index of a table, in seconds.
func startsOf(t testing.TB, client redis.UniversalClient, table record.Table) (starts []int64) {
	t.Helper()
	buckets, err := cache.NewReader(client).Buckets(t.Context(), table, record.Range{})
	require.NoError(t, err)
	for _, at := range buckets {
		starts = append(starts, at.Unix())
	}
	return starts
}

// compat reads the compatibility value as a user of the Python plugin does.
func compat(t testing.TB, client redis.UniversalClient, table record.Table) []map[string]any {
	t.Helper()
	text, err := client.Get(t.Context(), table.String()).Result()
	require.NoError(t, err)
	var records []map[string]any
	require.NoError(t, json.Unmarshal([]byte(text), &records))
	return records
}

// keysOf returns all keys of a table that has these buckets, without the list of all tables.
func keysOf(table record.Table, starts ...string) []string {
	keys := []string{
		table.String(), cache.IndexKey(table), cache.ExpiryKey(table), cache.NamesKey(table), cache.VersionKey(table), cache.Key(table, "w"),
	}
	for _, start := range starts {
		keys = append(keys, cache.BucketKey(table, start), cache.SummaryKey(table, start), cache.RevisionKey(table, start))
	}
	return keys
}

// contentsOf returns the contents of keys by name, without times to live and the version. A sorted set has its members only,
// as a repair may raise their scores, except for revisions.
func contentsOf(t testing.TB, client redis.UniversalClient, keys []string) map[string]any {
	t.Helper()
	ctx := t.Context()
	contents := make(map[string]any)
	for _, key := range keys {
		switch kind := client.Type(ctx, key).Val(); {
		case strings.HasSuffix(key, ":ver") || strings.HasSuffix(key, ":w"):
			contents[key] = kind
		case kind == "hash":
			contents[key] = client.HGetAll(ctx, key).Val()
		case kind == "zset" && strings.Contains(key, ":r:"):
			contents[key] = client.ZRangeWithScores(ctx, key, 0, -1).Val()
		case kind == "zset":
			members := client.ZRange(ctx, key, 0, -1).Val()
			slices.Sort(members)
			contents[key] = members
		default:
			contents[key] = client.Get(ctx, key).Val()
		}
	}
	return contents
}

// pipelines is a hook of a client that is called with each pipeline and each transaction, to send it.
type pipelines func(commands []redis.Cmder, next func() error) error

func (pipelines) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (pipelines) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (p pipelines) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, commands []redis.Cmder) error {
		return p(commands, func() error { return next(ctx, commands) })
	}
}

// named returns how many commands have one of the names.
func named(commands []redis.Cmder, names ...string) (n int) {
	for _, c := range commands {
		if slices.Contains(names, c.Name()) {
			n++
		}
	}
	return n
}

// clock is a wall clock that tests move.
type clock struct{ at atomic.Int64 }

func newClock(seconds int64) *clock {
	c := &clock{}
	c.at.Store(seconds)
	return c
}

func (c *clock) now() time.Time { return time.Unix(c.at.Load(), 0) }
