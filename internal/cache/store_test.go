package cache

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
)

var table = record.Table{Database: "db", Name: "analytics_cpu"}

// eachRedis runs a test on a real redis-server, on a real cluster and in process.
func eachRedis(t *testing.T, test func(t *testing.T, client redis.UniversalClient)) {
	t.Run("redis-server", func(t *testing.T) { test(t, redistest.Client(t, redistest.Server(t))) })
	t.Run("cluster", func(t *testing.T) {
		c := redis.NewClusterClient(&redis.ClusterOptions{Addrs: redistest.Cluster(t)})
		t.Cleanup(func() { _ = c.Close() })
		test(t, c)
	})
	t.Run("in process", func(t *testing.T) {
		c := redis.NewClient(&redis.Options{Addr: miniredis.RunT(t).Addr()})
		t.Cleanup(func() { _ = c.Close() })
		test(t, c)
	})
}

// storeOf returns a store that fails the test when it reports a fault.
func storeOf(t *testing.T, client redis.UniversalClient, edit func(*Options)) *Store {
	o := Options{Retention: time.Hour, CompatRecords: 1000, Report: func(err error) { t.Errorf("reported: %v", err) }}
	if edit != nil {
		edit(&o)
	}
	s := NewStore(client, o)
	t.Cleanup(func() { require.NoError(t, s.Close(10*time.Second)) })
	return s
}

func rec(start int64, field, host string, value float64) record.Record {
	return record.Record{
		Table: table.Name, Field: field, Agent: "a1", Tags: []series.Tag{{Key: "host", Value: host}},
		Start: time.Unix(start, 0).UTC(), Stats: []record.Stat{{Name: "count", Value: int64(1)}, {Name: "mean", Value: value}},
	}
}

// all reads every record of a table.
func all(t *testing.T, s *Store, table record.Table, r Range) []string {
	t.Helper()
	starts, err := s.Buckets(t.Context(), table, r)
	require.NoError(t, err)
	var records []string
	require.NoError(t, s.Records(t.Context(), table, starts, func(_ time.Time, batch []string) error {
		records = append(records, batch...)
		return nil
	}))
	return records
}

func TestRecordsReadBackByBucket(t *testing.T) {
	eachRedis(t, func(t *testing.T, client redis.UniversalClient) {
		s := storeOf(t, client, nil)
		var records []record.Record
		var want []string
		for b := range 250 {
			for f := range 3 {
				r := rec(int64(b)*10-500, fmt.Sprintf("f%d", f), "h", float64(b))
				records = append(records, r)
				want = append(want, string(r.AppendJSON(nil)))
			}
		}
		require.NoError(t, s.Put(t.Context(), table, records))
		require.Equal(t, want, all(t, s, table, Range{}))
		require.Equal(t, want[len(want)-6:], all(t, s, table, Range{Last: 2}))
		at := func(seconds int64) time.Time { return time.Unix(seconds, 0) }
		require.Equal(t, want[:3], all(t, s, table, Range{End: at(-490)}))
		require.Equal(t, want[150:156], all(t, s, table, Range{Start: at(0), End: at(20)}))
		require.Equal(t, want[153:156], all(t, s, table, Range{Start: at(0), End: at(20), Last: 1}))
		require.Empty(t, all(t, s, table, Range{Start: at(10), End: at(10)}))
		require.Empty(t, all(t, s, record.Table{Database: "db", Name: "analytics_none"}, Range{}))
	})
}

func TestWritingAgainOverwritesAndAgentsDoNot(t *testing.T) {
	eachRedis(t, func(t *testing.T, client redis.UniversalClient) {
		s := storeOf(t, client, nil)
		first, second, other := rec(60, "f", "h", 1), rec(60, "f", "h", 2), rec(60, "f", "h", 3)
		other.Agent = "a2"
		for _, r := range []record.Record{first, other, second, second} {
			require.NoError(t, s.Put(t.Context(), table, []record.Record{r}))
		}
		require.Equal(t, []string{string(second.AppendJSON(nil)), string(other.AppendJSON(nil))}, all(t, s, table, Range{}))
		version, err := s.Version(t.Context(), table)
		require.NoError(t, err)
		require.Equal(t, int64(4), version)
	})
}

func TestEveryKeyOfATableExpiresAndSharesASlot(t *testing.T) {
	for _, table := range []record.Table{table, {Database: "my db", Name: "analytics_with space,and=comma|pipe"}} {
		eachRedis(t, func(t *testing.T, client redis.UniversalClient) { everyKeyExpiresAndSharesASlot(t, client, table) })
	}
}

func everyKeyExpiresAndSharesASlot(t *testing.T, client redis.UniversalClient, table record.Table) {
	t.Helper()
	s := storeOf(t, client, nil)
	r := rec(60, "f", "h", 1)
	r.Summary = []byte("summary")
	require.NoError(t, s.Put(t.Context(), table, []record.Record{r}))
	require.NoError(t, s.Close(10*time.Second))
	keys := []string{
		table.String(), bucketKey(table, "60"), summaryKey(table, "60"), indexKey(table), expiryKey(table), namesKey(table), versionKey(table),
	}
	slots := make(map[int64]bool)
	for _, key := range append(keys, catalogueKey) {
		ttl, err := client.TTL(t.Context(), key).Result()
		require.NoError(t, err)
		require.InDelta(t, time.Hour, ttl, float64(time.Minute), key)
	}
	if c, ok := client.(*redis.ClusterClient); ok {
		for _, key := range keys {
			slots[c.ClusterKeySlot(t.Context(), key).Val()] = true
		}
		require.Len(t, slots, 1)
	}
	require.Equal(t, "summary", client.HGet(t.Context(), summaryKey(table, "60"), hashField(&r)).Val())
}

func TestInfoAndCatalogue(t *testing.T) {
	eachRedis(t, func(t *testing.T, client redis.UniversalClient) {
		s := storeOf(t, client, nil)
		awkward := record.Table{Database: "my:db", Name: "analytics_|ü, 😀=%"}
		require.NoError(t, s.Put(t.Context(), table, []record.Record{rec(120, "g", "h", 1), rec(60, "f", "h", 1)}))
		require.NoError(t, s.Put(t.Context(), awkward, []record.Record{rec(60, "f", "h", 1)}))
		info, err := s.Info(t.Context(), table)
		require.NoError(t, err)
		require.Equal(t, Info{Fields: []string{"f", "g"}, TagKeys: []string{"host"}, First: time.Unix(60, 0).UTC(), Last: time.Unix(120, 0).UTC(), Version: 1}, info)
		require.NoError(t, client.ZAdd(t.Context(), catalogueKey, redis.Z{Score: 1, Member: "no table%"}, redis.Z{Score: 2, Member: "db:a/b"}).Err())
		entries, err := s.Tables(t.Context())
		require.NoError(t, err, "what is no table is left out")
		var tables []record.Table
		for _, e := range entries {
			require.WithinDuration(t, time.Now(), e.LastWrite, time.Minute)
			tables = append(tables, e.Table)
		}
		require.ElementsMatch(t, []record.Table{table, awkward}, tables)
		require.Len(t, all(t, s, awkward, Range{}), 1)

		none, err := s.Info(t.Context(), record.Table{Database: "no", Name: "table"})
		require.NoError(t, err)
		require.Zero(t, none)
	})
}

func TestAWriteTellsItsBuckets(t *testing.T) {
	client := redistest.Client(t, redistest.Server(t))
	sub := client.Subscribe(t.Context(), channel(table))
	defer sub.Close()
	_, err := sub.Receive(t.Context())
	require.NoError(t, err)
	require.NoError(t, storeOf(t, client, nil).Put(t.Context(), table, []record.Record{rec(60, "f", "h", 1), rec(120, "f", "h", 1), rec(60, "g", "h", 1)}))
	m, err := sub.ReceiveMessage(t.Context())
	require.NoError(t, err)
	require.Equal(t, "120 60", m.Payload)
}

// clock is a wall clock that tests move.
type clock struct{ at atomic.Int64 }

func (c *clock) now() time.Time { return time.Unix(c.at.Load(), 0) }

func TestExpiredBucketsLeaveTheIndex(t *testing.T) {
	m := miniredis.RunT(t)
	client := redis.NewClient(&redis.Options{Addr: m.Addr()})
	t.Cleanup(func() { _ = client.Close() })
	c := &clock{}
	c.at.Store(1_800_000_000)
	s := storeOf(t, client, func(o *Options) { o.Now, o.CompatRecords = c.now, 0 })
	pass := func(d time.Duration) {
		c.at.Add(int64(d / time.Second))
		m.FastForward(d)
	}
	require.NoError(t, s.Put(t.Context(), table, []record.Record{rec(60, "old", "h", 1), rec(120, "f", "h", 1)}))
	pass(40 * time.Minute)
	require.NoError(t, s.Put(t.Context(), table, []record.Record{rec(120, "f", "h", 2)}))
	pass(40 * time.Minute)
	require.Len(t, all(t, s, table, Range{}), 1, "a reader tolerates the expired bucket")
	require.NoError(t, s.Put(t.Context(), table, []record.Record{rec(180, "f", "h", 3)}))
	starts, err := s.Buckets(t.Context(), table, Range{})
	require.NoError(t, err)
	require.Equal(t, []time.Time{time.Unix(120, 0).UTC(), time.Unix(180, 0).UTC()}, starts)
	info, err := s.Info(t.Context(), table)
	require.NoError(t, err)
	require.Equal(t, []string{"f"}, info.Fields)

	pass(2 * time.Hour)
	require.NoError(t, s.Put(t.Context(), record.Table{Database: "db", Name: "analytics_mem"}, []record.Record{rec(1, "f", "h", 1)}))
	entries, err := s.Tables(t.Context())
	require.NoError(t, err)
	require.Len(t, entries, 1, "the catalogue forgets too")
}

func TestABucketWrittenWhileItIsCleanedStaysInTheIndex(t *testing.T) {
	client := redistest.Client(t, redistest.Server(t))
	s := storeOf(t, client, func(o *Options) { o.CompatRecords = 0 })
	require.NoError(t, s.Put(t.Context(), table, []record.Record{rec(60, "f", "h", 1)}))
	// As another agent's cleaning leaves it, which saw the bucket expired just before this one was written.
	require.NoError(t, client.ZRem(t.Context(), indexKey(table), "60").Err())
	require.NoError(t, client.ZRem(t.Context(), expiryKey(table), "60").Err())
	require.NoError(t, s.restore(t.Context(), table, []string{"60", "120"}))
	starts, err := s.Buckets(t.Context(), table, Range{})
	require.NoError(t, err)
	require.Equal(t, []time.Time{time.Unix(60, 0).UTC()}, starts)
}

func TestMaxBucketsKeepsTheNewestByEventTime(t *testing.T) {
	eachRedis(t, func(t *testing.T, client redis.UniversalClient) {
		c := &clock{}
		c.at.Store(time.Now().Unix())
		s := storeOf(t, client, func(o *Options) { o.MaxBuckets, o.Now = 3, c.now })
		for _, start := range []int64{500, 100, 300, 200, 400} {
			c.at.Add(61)
			require.NoError(t, s.Put(t.Context(), table, []record.Record{rec(start, "f", "h", 1)}))
		}
		starts, err := s.Buckets(t.Context(), table, Range{})
		require.NoError(t, err)
		require.Equal(t, []time.Time{time.Unix(300, 0).UTC(), time.Unix(400, 0).UTC(), time.Unix(500, 0).UTC()}, starts)
		require.Zero(t, client.Exists(t.Context(), bucketKey(table, "100")).Val())
	})
}

// What others put into a table's sets is skipped by who reads, and by who writes.
func TestWhatIsNoStartInTheIndexIsSkipped(t *testing.T) {
	eachRedis(t, func(t *testing.T, client redis.UniversalClient) {
		c := &clock{}
		c.at.Store(time.Now().Unix())
		s := storeOf(t, client, func(o *Options) { o.MaxBuckets, o.Now = 3, c.now })
		foreign := []redis.Z{{Score: -1e12, Member: "garbage"}, {Score: 250, Member: "250.0"}, {Score: 1e12, Member: ""}, {Score: 2e12, Member: "later"}}
		for _, key := range []string{indexKey(table), expiryKey(table)} {
			require.NoError(t, client.ZAdd(t.Context(), key, foreign...).Err())
		}
		require.NoError(t, client.HSet(t.Context(), bucketKey(table, "garbage"), "f", "{}").Err())
		info, err := s.Info(t.Context(), table)
		require.NoError(t, err)
		require.Zero(t, info, "there is no bucket yet")
		var want []string
		for _, start := range []int64{100, 200, 300, 400} {
			c.at.Add(61)
			r := rec(start, "f", "h", 1)
			require.NoError(t, s.Put(t.Context(), table, []record.Record{r}))
			want = append(want, string(r.AppendJSON(nil)))
		}
		require.Equal(t, want[1:], all(t, s, table, Range{}), "max_buckets counts buckets only")
		require.Equal(t, want[2:], all(t, s, table, Range{Last: 2}))
		require.Equal(t, want[1:], all(t, s, table, Range{Last: 9}))
		require.Equal(t, want[1:3], all(t, s, table, Range{Start: time.Unix(200, 0), End: time.Unix(400, 0)}))
		info, err = s.Info(t.Context(), table)
		require.NoError(t, err)
		require.Equal(t, []time.Time{time.Unix(200, 0).UTC(), time.Unix(400, 0).UTC()}, []time.Time{info.First, info.Last})
		require.NoError(t, s.Close(10*time.Second))
		require.Len(t, compat(t, client, table), 3)
	})
}

// compat reads the compatibility value as a user of the Python plugin does.
func compat(t *testing.T, client redis.UniversalClient, table record.Table) []map[string]any {
	t.Helper()
	text, err := client.Get(t.Context(), table.String()).Result()
	require.NoError(t, err)
	var records []map[string]any
	require.NoError(t, json.Unmarshal([]byte(text), &records))
	return records
}

func TestCompatibilityValueHasTheNewestRecords(t *testing.T) {
	eachRedis(t, func(t *testing.T, client redis.UniversalClient) {
		s := storeOf(t, client, func(o *Options) { o.CompatRecords = 7 })
		for b := range 50 {
			start := int64(b) * 864000
			require.NoError(t, s.Put(t.Context(), table, []record.Record{rec(start, "f", "h", float64(b)), rec(start, "g", "h", float64(b))}))
		}
		require.NoError(t, s.Close(10*time.Second))
		records := compat(t, client, table)
		require.Len(t, records, 7)
		require.Equal(t, 46.0, records[0]["mean"])
		require.Equal(t, "g", records[0]["field_name"])
		last := records[6]
		require.Equal(t, map[string]any{
			"table_name": "analytics_cpu", "field_name": "g", "time_bucket": "1971-05-06T00:00:00Z", "time": 4.2336e10, "agent": "a1", "host": "h",
			"count": 1.0, "mean": 49.0,
		}, last)
	})
}

func TestCloseLeavesEveryCompatibilityValueComplete(t *testing.T) {
	client := redistest.Client(t, redistest.Server(t))
	for round := range 5 {
		s := storeOf(t, client, nil)
		for i := range 30 {
			require.NoError(t, s.Put(t.Context(), record.Table{Database: fmt.Sprint("db", round), Name: fmt.Sprint("analytics_", i)}, []record.Record{rec(60, "f", "h", 1)}))
		}
		require.NoError(t, s.Close(10*time.Second))
		for i := range 30 {
			require.Len(t, compat(t, client, record.Table{Database: fmt.Sprint("db", round), Name: fmt.Sprint("analytics_", i)}), 1)
		}
	}
}

// What a user reads in the list of a table's tags is what its records have, and what ?tag= finds.
func TestTagKeysAreThoseOfTheRecords(t *testing.T) {
	s := storeOf(t, redistest.Client(t, redistest.Server(t)), nil)
	r := rec(60, "f", "h", 1)
	r.Tags = append(r.Tags, series.Tag{Key: "agent", Value: "x"})
	require.NoError(t, s.Put(t.Context(), table, []record.Record{r}))
	info, err := s.Info(t.Context(), table)
	require.NoError(t, err)
	require.Equal(t, []string{"agent_tag", "host"}, info.TagKeys)
	require.Contains(t, all(t, s, table, Range{})[0], `"agent":"a1","agent_tag":"x","host":"h"`)
}

func TestOneTableThatFailsDoesNotKeepCloseFromTheOthers(t *testing.T) {
	client := redistest.Client(t, redistest.Server(t))
	s := NewStore(client, Options{Retention: time.Hour, CompatRecords: 1000, Report: func(error) {}})
	bad := record.Table{Database: "db", Name: "analytics_bad"}
	require.NoError(t, client.Set(t.Context(), indexKey(bad), "no index", 0).Err())
	s.worker().mark(bad)
	for i := range 30 {
		require.NoError(t, s.Put(t.Context(), record.Table{Database: "db", Name: fmt.Sprint("analytics_", i)}, []record.Record{rec(60, "f", "h", 1)}))
	}
	require.ErrorContains(t, s.Close(10*time.Second), "compatibility value of db:analytics_bad: WRONGTYPE")
	for i := range 30 {
		require.Len(t, compat(t, client, record.Table{Database: "db", Name: fmt.Sprint("analytics_", i)}), 1)
	}
}

func TestCompatibilityValueFollowsTheWrites(t *testing.T) {
	client := redistest.Client(t, redistest.Server(t))
	s := storeOf(t, client, nil)
	for i := range 5 {
		require.NoError(t, s.Put(t.Context(), table, []record.Record{rec(int64(i)*60, "f", "h", 1)}))
		require.Eventually(t, func() bool {
			return strings.Count(client.Get(t.Context(), table.String()).Val(), "time_bucket") == i+1
		}, 20*time.Second, 10*time.Millisecond)
	}
}

func TestAgentsAgreeOnTheCompatibilityValue(t *testing.T) {
	client := redistest.Client(t, redistest.Server(t))
	const agents, writes = 4, 30
	done := make(chan error, agents)
	for a := range agents {
		s := storeOf(t, client, nil)
		go func() {
			for i := range writes {
				r := rec(int64(i)*60, "f", "h", float64(i))
				r.Agent = fmt.Sprint("agent", a)
				if err := s.Put(context.Background(), table, []record.Record{r}); err != nil {
					done <- err
					return
				}
			}
			done <- s.Close(10 * time.Second)
		}()
	}
	for range agents {
		require.NoError(t, <-done)
	}
	require.Len(t, compat(t, client, table), agents*writes)
}

// reading is a hook that runs before each reading of a bucket.
type reading struct{ before func() }

func (reading) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (reading) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (r reading) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, commands []redis.Cmder) error {
		if commands[0].Name() == "hvals" {
			defer r.before()
		}
		return next(ctx, commands)
	}
}

// At the end a value that is behind already is left to whom it was that wrote meanwhile.
func TestCloseDoesNotWriteAValueThatIsBehind(t *testing.T) {
	server := redistest.Server(t)
	other := NewStore(redistest.Client(t, server), Options{Retention: time.Hour})
	client := redistest.Client(t, server)
	s := NewStore(client, Options{Retention: time.Hour, CompatRecords: 1000, Report: func(error) {}})
	require.NoError(t, other.Put(t.Context(), table, []record.Record{rec(60, "f", "h", 1)}))
	reads, interfering := 0, true
	client.AddHook(reading{func() {
		reads++
		if interfering {
			require.NoError(t, other.Put(t.Context(), table, []record.Record{rec(60, "f", "h", 2)}))
		}
	}})
	require.NoError(t, s.settle(table, 10*time.Second))
	require.Equal(t, settleTries, reads)
	require.Zero(t, client.Exists(t.Context(), table.String()).Val())
	interfering = false
	require.NoError(t, s.settle(table, 10*time.Second))
	require.Len(t, compat(t, client, table), 1)
}

func TestWritesWithinAMillisecondAreToldApart(t *testing.T) {
	now := time.Now()
	s := storeOf(t, redistest.Client(t, redistest.Server(t)), func(o *Options) { o.Now = func() time.Time { return now } })
	seen := make(map[float64]bool)
	for range 10 {
		require.NoError(t, s.Put(t.Context(), table, []record.Record{rec(60, "f", "h", 1)}))
		writes, err := s.writes(t.Context(), table)
		require.NoError(t, err)
		seen[writes["60"]] = true
	}
	require.Greater(t, len(seen), 5)
}

func TestFaultsBesideAWriteAreReportedAndTriedAgain(t *testing.T) {
	client := redistest.Client(t, redistest.Server(t))
	reported := make(chan error, 100)
	s := storeOf(t, client, func(o *Options) {
		o.Report = func(err error) {
			select {
			case reported <- err:
			default:
			}
		}
	})
	require.NoError(t, client.HSet(t.Context(), expiryKey(table)+"x", "a", "b").Err())
	require.NoError(t, s.Put(t.Context(), table, []record.Record{rec(60, "f", "h", 1)}))
	require.Eventually(t, func() bool { return client.Exists(t.Context(), table.String()).Val() == 1 }, 20*time.Second, 10*time.Millisecond)
	require.NoError(t, client.Set(t.Context(), bucketKey(table, "120"), "no hash", 0).Err())
	require.NoError(t, client.ZAdd(t.Context(), indexKey(table), redis.Z{Score: 120, Member: "120"}).Err())
	require.NoError(t, s.Put(t.Context(), table, []record.Record{rec(60, "f", "h", 2)}))
	require.ErrorContains(t, <-reported, `compatibility value of db:analytics_cpu: WRONGTYPE`)
	require.NoError(t, client.Del(t.Context(), bucketKey(table, "120")).Err())
	require.Eventually(t, func() bool { return strings.Contains(client.Get(t.Context(), table.String()).Val(), `"mean":2`) }, 20*time.Second, 10*time.Millisecond)
}

func TestACatalogueThatIsNoneIsReported(t *testing.T) {
	eachRedis(t, func(t *testing.T, client redis.UniversalClient) {
		var reported []error
		s := storeOf(t, client, func(o *Options) {
			o.CompatRecords = 0
			o.Report = func(err error) { reported = append(reported, err) }
		})
		require.NoError(t, client.Set(t.Context(), catalogueKey, "no sorted set", 0).Err())
		require.NoError(t, s.Put(t.Context(), table, []record.Record{rec(60, "f", "h", 1)}))
		require.Len(t, all(t, s, table, Range{}), 1)
		require.Len(t, reported, 1)
		require.ErrorContains(t, reported[0], `entering db:analytics_cpu into the list of all tables, "analytics:tables": WRONGTYPE`)
		require.NoError(t, client.Del(t.Context(), catalogueKey).Err())
		require.NoError(t, s.Put(t.Context(), table, []record.Record{rec(60, "f", "h", 1)}))
		entries, err := s.Tables(t.Context())
		require.NoError(t, err)
		require.Len(t, entries, 1, "each write tries again")
	})
}

// The rules that the documentation lists for an ACL.
const (
	writerACL = "~*:analytics_* ~analytics:tables &*:analytics_* -@all +hset +expire +zadd +zrem +zrangebyscore +zremrangebyscore +incr +set +publish " +
		"+hvals +hgetall +multi +exec +ping"
	readerACL = "%R~*:analytics_* %R~analytics:tables -@all +get +mget +hvals +hmget +zrangebyscore +zrevrange +subscribe +ping"
)

func setUser(t *testing.T, admin *redis.Client, user, rules string) {
	t.Helper()
	args := []any{"ACL", "SETUSER", user, "on", ">" + user + "secret", "resetchannels"}
	for _, rule := range strings.Fields(rules) {
		args = append(args, rule)
	}
	require.NoError(t, admin.Do(t.Context(), args...).Err())
}

// The commands that the documentation lists for an ACL are enough, with everything else denied.
func TestACLs(t *testing.T) {
	server := redistest.Server(t)
	admin := redistest.Client(t, server)
	setUser(t, admin, "writer", writerACL)
	setUser(t, admin, "reader", readerACL)
	dial := func(user string) redis.UniversalClient {
		c, err := Dial(DialOptions{Servers: []string{"redis://" + server.Addr()}, Username: user, Password: user + "secret", Timeout: 5 * time.Second})
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	c := &clock{}
	c.at.Store(time.Now().Unix())
	w := storeOf(t, dial("writer"), func(o *Options) { o.MaxBuckets, o.Now = 2, c.now })
	require.NoError(t, w.Ping(t.Context()))
	for i := range int64(5) {
		c.at.Add(61)
		require.NoError(t, w.Put(t.Context(), table, []record.Record{rec(i*60, "f", "h", 1)}))
	}
	require.NoError(t, w.Close(10*time.Second))

	r := NewStore(dial("reader"), Options{})
	require.NoError(t, r.Ping(t.Context()))
	require.Len(t, all(t, r, table, Range{}), 2)
	require.Len(t, all(t, r, table, Range{Last: 1}), 1)
	entries, err := r.Tables(t.Context())
	require.NoError(t, err)
	require.Len(t, entries, 1)
	info, err := r.Info(t.Context(), table)
	require.NoError(t, err)
	require.Equal(t, int64(5), info.Version)
	require.ErrorContains(t, NewStore(dial("reader"), Options{Retention: time.Hour}).Put(t.Context(), table, []record.Record{rec(0, "f", "h", 1)}), "NOPERM")
}

// In a cluster the client asks for the slots too.
func TestACLsInACluster(t *testing.T) {
	const cluster = " +cluster|slots +cluster|shards +command +readonly"
	addrs := redistest.Cluster(t)
	var servers []string
	for _, addr := range addrs {
		admin := redis.NewClient(&redis.Options{Addr: addr})
		for user, rules := range map[string]string{"writer": writerACL + cluster, "reader": readerACL + cluster} {
			setUser(t, admin, user, rules)
		}
		require.NoError(t, admin.Close())
		servers = append(servers, "redis://"+addr)
	}
	dial := func(user string) redis.UniversalClient {
		c, err := Dial(DialOptions{Servers: servers, Username: user, Password: user + "secret", Timeout: 5 * time.Second})
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	w, r := storeOf(t, dial("writer"), nil), NewStore(dial("reader"), Options{})
	for i := range 10 {
		table := record.Table{Database: "db", Name: fmt.Sprint("analytics_", i)}
		require.NoError(t, w.Put(t.Context(), table, []record.Record{rec(60, "f", "h", 1)}))
		require.Len(t, all(t, r, table, Range{}), 1)
	}
	require.NoError(t, w.Close(10*time.Second))
	entries, err := r.Tables(t.Context())
	require.NoError(t, err)
	require.Len(t, entries, 10)
}

func TestPutRefusesWhatCannotBeStored(t *testing.T) {
	client := redis.NewClient(&redis.Options{Addr: miniredis.RunT(t).Addr()})
	defer client.Close()
	s := storeOf(t, client, nil)
	require.NoError(t, s.Put(t.Context(), table, nil))
	require.ErrorContains(t, s.Put(t.Context(), record.Table{Database: "", Name: "t"}, []record.Record{rec(0, "f", "h", 1)}), `database name "": want a name`)
	require.ErrorContains(t, s.Put(t.Context(), record.Table{Database: "analytics", Name: "tables"}, []record.Record{rec(0, "f", "h", 1)}), "is the list of all tables")
	r := rec(0, "f", "h", 1)
	require.ErrorContains(t, NewStore(client, Options{}).Put(t.Context(), table, []record.Record{r}), "retention 0s is below a second")
	require.Empty(t, all(t, s, table, Range{}))
}

func TestDialErrorsNeverShowThePassword(t *testing.T) {
	for _, server := range []string{"redis://user:secret@host:port", "http://user:secret@host", "redis://user:secret@host/db", "redis://user:secret@host?x=y", "::"} {
		_, err := Dial(DialOptions{Servers: []string{server}})
		require.ErrorContains(t, err, "redis://127.0.0.1:6379", server)
		require.NotContains(t, err.Error(), "secret")
	}
	_, err := Dial(DialOptions{})
	require.ErrorContains(t, err, "no server is named")
	_, err = Dial(DialOptions{Servers: []string{"redis://a", "redis://b"}, DB: 2})
	require.ErrorContains(t, err, "database 2 of Redis is not to be had in a cluster")
}

func TestDialTakesCredentialsFromTheURLAndTheOptions(t *testing.T) {
	server := redistest.Start(t, redisserver.Options{Password: "secret"})
	for _, o := range []DialOptions{
		{Servers: []string{"redis://:secret@" + server.Addr() + "/3"}},
		{Servers: []string{"redis://" + server.Addr()}, Password: "secret"},
		{Servers: []string{"redis://:wrong@" + server.Addr()}, Password: "secret", DB: 1},
	} {
		c, err := Dial(o)
		require.NoError(t, err)
		require.NoError(t, c.Ping(t.Context()).Err())
		require.NoError(t, c.Close())
	}
	c, err := Dial(DialOptions{Servers: []string{"redis://:wrong@" + server.Addr()}})
	require.NoError(t, err)
	defer c.Close()
	require.ErrorContains(t, c.Ping(t.Context()).Err(), "WRONGPASS")
	require.Equal(t, []string{server.Addr()}, DialOptions{Servers: []string{"redis://:wrong@" + server.Addr()}}.Addrs())
}

func BenchmarkPut(b *testing.B) {
	client := redistest.Client(b, redistest.Server(b))
	s := NewStore(client, Options{Retention: time.Hour, CompatRecords: 1000})
	defer func() { _ = s.Close(10 * time.Second) }()
	const size = 1000
	records := make([]record.Record, size)
	n := 0
	for b.Loop() {
		for i := range records {
			records[i] = rec(int64(n/100)*10, fmt.Sprint("f", n%10), fmt.Sprint("h", n/10%10), float64(n))
			n++
		}
		if err := s.Put(b.Context(), table, records); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/record")
}
