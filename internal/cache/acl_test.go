package cache_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
)

// The ACL rules in the README of rediscache.
const (
	writerACL = "resetchannels ~*:analytics_* ~analytics:tables &*:analytics_* -@all +ping +hset +expire +zadd +zrem +zrangebyscore +zremrangebyscore +incr +get +set " +
		"+publish +hvals +hgetall +hscan +time +multi +exec +hlen +zremrangebyrank"
	readerACL = "resetchannels %R~*:analytics_* %R~analytics:tables &*:analytics_* -@all +ping +get +mget +hlen +hvals +hgetall +hmget +hscan +pttl " +
		"+zrangebyscore +zrevrange +zrevrangebyscore +subscribe +info"
	selectACL  = " +select"
	clusterACL = " +cluster|slots +cluster|shards +command +readonly"
)

func TestTheREADMEListsTheseACLs(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../plugins/outputs/rediscache/README.md")
	require.NoError(t, err)
	for _, want := range []string{
		"ACL SETUSER telegraf on >secret " + writerACL + "\n", "ACL SETUSER api on >secret " + readerACL + "\n", "`" + strings.TrimSpace(selectACL) + "`",
		"`" + strings.TrimSpace(clusterACL) + "`",
	} {
		require.True(t, strings.Contains(string(readme), want), want) //nolint:testifylint // the README is not worth printing
	}
}

func setUser(t testing.TB, admin *redis.Client, name, rules string) {
	t.Helper()
	args := []any{"ACL", "SETUSER", name, "reset", "on", ">secret"}
	for rule := range strings.FieldsSeq(rules) {
		args = append(args, rule)
	}
	require.NoError(t, admin.Do(t.Context(), args...).Err())
}

// user returns a client, as [cache.Dial] makes it, of a user with these rules on a redis-server of its own.
func user(t testing.TB, rules string) redis.UniversalClient {
	t.Helper()
	s := redistest.Server(t)
	setUser(t, redistest.Client(t, s), "user", rules)
	return dialAs(t, "user", 0, s.Addr())
}

func dialAs(t testing.TB, name string, db int, addrs ...string) redis.UniversalClient {
	t.Helper()
	o := cache.DialOptions{Username: name, Password: "secret", Timeout: patience, DB: db}
	for _, addr := range addrs {
		o.Servers = append(o.Servers, "redis://"+addr)
	}
	c, err := cache.Dial(o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestTheDocumentedACLsAllowWritingAndReading(t *testing.T) {
	t.Parallel()
	s := redistest.Server(t)
	admin := redistest.Client(t, s)
	setUser(t, admin, "writer", writerACL)
	setUser(t, admin, "reader", readerACL)
	c := newClock(time.Now().Unix())
	w := writerOf(t, dialAs(t, "writer", 0, s.Addr()), func(o *cache.Options) { o.MaxBuckets, o.RecentBytes, o.Now = 2, 1<<20, c.now })
	require.NoError(t, w.Ping(t.Context()))
	for i := range int64(5) {
		c.at.Add(61)
		r := revised(i, 1)
		r.Start = time.Unix(i*60, 0)
		put(t, w, table, r)
	}
	for _, key := range []string{cache.BucketKey(table, "240"), cache.IndexKey(table), cache.NamesKey(table), cache.Key(table, "w"), cache.CatalogueKey} {
		require.NoError(t, admin.Del(t.Context(), key).Err())
		require.NoError(t, w.Audit(t.Context()), "what is lost is written again, %s", key)
	}
	require.NoError(t, w.Close(patience))

	client := dialAs(t, "reader", 0, s.Addr())
	r := cache.NewReader(client)
	require.NoError(t, r.Ping(t.Context()))
	require.Len(t, all(t, client, table, record.Range{}), 2)
	require.Len(t, all(t, client, table, record.Range{Last: 1}), 1)
	names, size, err := outlines(t, client, table, time.Unix(240, 0))
	require.NoError(t, err)
	require.Equal(t, 1, size)
	texts, _, err := r.Named(t.Context(), table, time.Unix(240, 0), slices.Collect(maps.Keys(names)))
	require.NoError(t, err)
	require.Len(t, texts, 1)
	entries, err := r.Tables(t.Context())
	require.NoError(t, err)
	require.Len(t, entries, 1)
	info, err := r.Info(t.Context(), table)
	require.NoError(t, err)
	require.GreaterOrEqual(t, info.Version, int64(5))
	require.NoError(t, admin.ConfigSet(t.Context(), "maxmemory-policy", "allkeys-lru").Err())
	warnings, err := r.Warnings(t.Context())
	require.NoError(t, err)
	require.Len(t, warnings, 1)
	require.Len(t, summaries(t, client, table, 240), 1)
	ctx, cancel := context.WithCancel(t.Context())
	_, ended := watch(ctx, t, client, table)
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	require.ErrorContains(t, cache.NewWriter(client, cache.Options{Retention: time.Hour}).Put(t.Context(), table, []record.Record{rec(0, "f", "h", 1)}), "NOPERM")
}

// An earlier ACL of writers did not have the commands of heads.
func TestTheFirstNamesOfALargeBucketNeedTheWholeACL(t *testing.T) {
	t.Parallel()
	s := redistest.Server(t)
	admin := redistest.Client(t, s)
	setUser(t, admin, "reader", readerACL)
	reader := cache.NewReader(dialAs(t, "reader", 0, s.Addr()))
	for i, test := range []struct {
		rules string
		size  int
	}{
		{writerACL, 800}, {strings.Replace(writerACL, " +hscan", "", 1), 800}, {strings.Replace(writerACL, " +hlen", "", 1), -1},
		{strings.Replace(writerACL, " +zremrangebyrank", "", 1), -1},
	} {
		name, start := fmt.Sprint("writer", i), int64(60*i)
		setUser(t, admin, name, test.rules)
		put(t, writerOf(t, dialAs(t, name, 0, s.Addr()), nil), table, several(rand.New(rand.NewPCG(1, 1)), start, 0, 200)...)
		_, size := headOf(t, reader, table, time.Unix(start, 0), false)
		require.Equal(t, test.size, size, test.rules)
	}
}

// An earlier ACL of writers did not have HSCAN.
func TestAWriterWithoutHScanReadsWholeBuckets(t *testing.T) {
	t.Parallel()
	s := redistest.Server(t)
	admin := redistest.Client(t, s)
	setUser(t, admin, "writer", strings.Replace(writerACL, " +hscan", "", 1))
	w := writerOf(t, dialAs(t, "writer", 0, s.Addr()), func(o *cache.Options) { o.RecentBytes = 1 << 20 })
	put(t, w, table, revised(1, 2))
	require.NoError(t, w.Settle(table, patience))
	require.Len(t, compat(t, admin, table), 1)
	start := cache.StartText(revised(1, 2).Start)
	require.NoError(t, admin.Del(t.Context(), cache.RevisionKey(table, start), cache.SummaryKey(table, start)).Err())
	require.NoError(t, w.Audit(t.Context()))
	require.EqualValues(t, 2, admin.Exists(t.Context(), cache.RevisionKey(table, start), cache.SummaryKey(table, start)).Val())
}

// Each repair would be tried again a second later.
func TestAWriterThatMayNotRemoveMarksWritesLostRecordsOnce(t *testing.T) {
	t.Parallel()
	s := redistest.Server(t)
	admin := redistest.Client(t, s)
	setUser(t, admin, "writer", strings.Replace(writerACL, " +zremrangebyscore", "", 1))
	var restored, reported []string
	w := cache.NewWriter(dialAs(t, "writer", 0, s.Addr()), cache.Options{
		Retention: time.Hour, RecentBytes: 1 << 20,
		Restored: func(tables, records int) { restored = append(restored, fmt.Sprint(tables, records)) },
		Report:   func(err error) { reported = append(reported, err.Error()) },
	})
	t.Cleanup(func() { require.NoError(t, w.Close(patience)) })
	put(t, w, table, rec(60, "f", "h", 1))
	reported = nil // of the cleaning
	require.NoError(t, admin.Del(t.Context(), cache.BucketKey(table, "60")).Err())
	for range 3 {
		require.NoError(t, w.Audit(t.Context()))
	}
	require.Equal(t, []string{"1 1"}, restored)
	require.Len(t, reported, 3)
	require.Contains(t, reported[0], "letting other writers of db:analytics_cpu know of lost records: NOPERM")
}

func TestADatabaseOtherThanZeroNeedsSelect(t *testing.T) {
	t.Parallel()
	s := redistest.Server(t)
	admin := redistest.Client(t, s)
	for name, rules := range map[string]string{"writer": writerACL, "reader": readerACL} {
		setUser(t, admin, name, rules)
		require.ErrorContains(t, dialAs(t, name, 1, s.Addr()).Ping(t.Context()).Err(), "NOPERM")
		setUser(t, admin, name, rules+selectACL)
		require.NoError(t, dialAs(t, name, 1, s.Addr()).Ping(t.Context()).Err())
	}
	put(t, writerOf(t, dialAs(t, "writer", 1, s.Addr()), nil), table, rec(60, "f", "h", 1))
	require.Len(t, all(t, dialAs(t, "reader", 1, s.Addr()), table, record.Range{}), 1)
	require.Empty(t, all(t, dialAs(t, "reader", 0, s.Addr()), table, record.Range{}))
}

// In a cluster, the client also reads the map of the slots.
func TestTheDocumentedACLsOfAClusterAllowWritingAndReading(t *testing.T) {
	t.Parallel()
	addrs := redistest.SharedCluster(t)
	for _, addr := range addrs {
		admin := redistest.Open(t, addr)
		setUser(t, admin, "writer", writerACL+clusterACL)
		setUser(t, admin, "reader", readerACL+clusterACL)
	}
	w, client := writerOf(t, dialAs(t, "writer", 0, addrs...), nil), dialAs(t, "reader", 0, addrs...)
	database := newTable().Database
	for i := range 10 {
		table := record.Table{Database: database, Name: fmt.Sprint("analytics_", i)}
		put(t, w, table, rec(60, "f", "h", 1))
		require.Len(t, all(t, client, table, record.Range{}), 1)
	}
	require.NoError(t, w.Close(patience))
	entries, err := cache.NewReader(client).Tables(t.Context())
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(entries), 10)
}
