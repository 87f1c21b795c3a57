package cache_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
)

const day = 24 * time.Hour

// agent returns a writer with a retention and a clock.
func agent(t testing.TB, client redis.UniversalClient, retention time.Duration, c *clock) *cache.Writer {
	t.Helper()
	return writerOf(t, client, func(o *cache.Options) { o.Retention, o.Now = retention, c.now })
}

// tablesOf returns the tables of the catalogue.
func tablesOf(t testing.TB, client redis.UniversalClient) (tables []record.Table) {
	t.Helper()
	entries, err := cache.NewReader(client).Tables(t.Context())
	require.NoError(t, err)
	for _, e := range entries {
		tables = append(tables, e.Table)
	}
	return tables
}

func fieldsOf(t testing.TB, client redis.UniversalClient, table record.Table) []string {
	t.Helper()
	info, err := cache.NewReader(client).Info(t.Context(), table)
	require.NoError(t, err)
	return info.Fields
}

func ttl(t testing.TB, client redis.UniversalClient, key string) time.Duration {
	t.Helper()
	d, err := client.TTL(t.Context(), key).Result()
	require.NoError(t, err)
	return d
}

func TestAShortRetentionDoesNotHideTheTablesOfOthers(t *testing.T) {
	t.Parallel()
	client, m := inProcess(t)
	long, short := record.Table{Database: "longdb", Name: "analytics_daily"}, record.Table{Database: "shortdb", Name: "analytics_cpu"}
	c := newClock(time.Now().Unix())
	put(t, agent(t, client, 30*day, c), long, rec(60, "f", "h", 1))
	w := agent(t, client, 2*time.Second, c)
	for range 3 {
		put(t, w, short, rec(60, "f", "h", 1))
		require.ElementsMatch(t, []record.Table{long, short}, tablesOf(t, client))
		m.FastForward(time.Minute)
		c.at.Add(60)
	}
	require.Greater(t, ttl(t, client, cache.CatalogueKey), 29*day)
	put(t, w, record.Table{Database: "shortdb", Name: "analytics_mem"}, rec(60, "f", "h", 1))
	require.ElementsMatch(t, []record.Table{long, {Database: "shortdb", Name: "analytics_mem"}}, tablesOf(t, client), "the table that expired is removed")
	require.Len(t, all(t, client, long, record.Range{}), 1)
}

func TestAShortRetentionDoesNotShortenATableOfSeveralAgents(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, client redis.UniversalClient) {
		c := newClock(time.Now().Unix())
		// An hour is the retention of the other tests in the cluster, which share its catalogue.
		long, short := agent(t, client, time.Hour, c), agent(t, client, 10*time.Minute, c)
		for _, order := range [][]*cache.Writer{{long, short}, {short, long}, {short, long, short}} {
			table := newTable()
			for i, w := range order {
				r := revised(1, float64(i))
				r.Agent, r.Field = strconv.Itoa(i), strconv.Itoa(i)
				put(t, w, table, r)
				require.NoError(t, w.Settle(table, patience))
			}
			c.at.Add(1200)
			put(t, short, table, rec(120, "g", "h", 1))
			require.NoError(t, short.Settle(table, patience))
			for _, key := range append(keysOf(table, "60"), cache.CatalogueKey) {
				require.Greater(t, ttl(t, client, key), 59*time.Minute, key)
			}
			kept := []string{strconv.Itoa(slices.Index(order, long)), "g"}
			require.Equal(t, kept, fieldsOf(t, client, table), "the fields of the other agent have expired")
			require.Equal(t, []int64{60, 120}, startsOf(t, client, table))
		}
	})
}

// One agent's clock is 40 days ahead, more than the retention. Its ACL may be one without TIME.
func TestAnAgentWhoseClockIsAheadRemovesNothingOfOthers(t *testing.T) {
	t.Parallel()
	s := redistest.Server(t)
	admin := redistest.Client(t, s)
	setUser(t, admin, "current", writerACL)
	setUser(t, admin, "before", strings.ReplaceAll(writerACL, "+time", ""))
	for name, compatible := range map[string]bool{"current": true, "before": false} {
		client := dialAs(t, name, 0, s.Addr())
		now := time.Now().Unix()
		good, ahead := newClock(now), newClock(now+40*86400)
		shared, own := record.Table{Database: name, Name: "analytics_cpu"}, record.Table{Database: name, Name: "analytics_mem"}
		w, fast := agent(t, client, 30*day, good), agent(t, client, 30*day, ahead)
		for i := range int64(3) {
			put(t, w, own, rec(now-300, "f", "h", 1))
			put(t, w, shared, rec(now-300+i*60, "f", "h", 1))
			put(t, fast, shared, rec(now+40*86400+i*60, "fast", "h", 9))
			good.at.Add(61)
			ahead.at.Add(61)
		}
		tables := tablesOf(t, admin)
		require.Contains(t, tables, shared)
		require.Contains(t, tables, own)
		require.Len(t, startsOf(t, admin, shared), 6)
		if compatible {
			require.Equal(t, []string{"f", "fast"}, fieldsOf(t, admin, shared))
		}
	}
}

// One agent's clock is 40 days behind, more than the retention, and its ACL is one without TIME. So its mark has expired at once for the
// other agent, which has the clock of Redis.
func TestAnAgentWhoseClockIsBehindReportsNoLoss(t *testing.T) {
	t.Parallel()
	s := redistest.Server(t)
	admin := redistest.Client(t, s)
	setUser(t, admin, "current", writerACL)
	setUser(t, admin, "before", strings.ReplaceAll(writerACL, "+time", ""))
	now := time.Now().Unix()
	good, behind := newClock(now), newClock(now-40*86400)
	w := agent(t, dialAs(t, "current", 0, s.Addr()), 30*day, good)
	slow := writerOf(t, dialAs(t, "before", 0, s.Addr()), func(o *cache.Options) {
		o.Retention, o.Now, o.RecentBytes = 30*day, behind.now, 1<<20
		o.Restored = func(tables, records int) { t.Errorf("%d records of %d tables are written again", records, tables) }
	})
	for i := range int64(5) {
		put(t, slow, table, rec(now-300+i*60, "slow", "h", 9))
		put(t, w, table, rec(now-300+i*60, "f", "h", 1))
		require.NoError(t, slow.Audit(t.Context()))
		good.at.Add(86300)
		behind.at.Add(86300)
	}
	require.Equal(t, int64(2), admin.ZCard(t.Context(), cache.Key(table, "w")).Val())

	require.NoError(t, slow.Close(patience))
	for range 4 { // and once the other one has ended, its mark leaves
		put(t, w, table, rec(now, "f", "h", 1))
		good.at.Add(86300)
	}
	require.Equal(t, int64(1), admin.ZCard(t.Context(), cache.Key(table, "w")).Val())

	require.NoError(t, admin.Del(t.Context(), cache.Key(table, "w")).Err())
	var ended []redis.Z
	for i := range 3000 {
		ended = append(ended, redis.Z{Score: float64(i), Member: i})
	}
	require.NoError(t, admin.ZAdd(t.Context(), cache.Key(table, "w"), ended...).Err())
	put(t, w, table, rec(now, "f", "h", 1))
	require.Equal(t, int64(1001), admin.ZCard(t.Context(), cache.Key(table, "w")).Val(), "their number is bounded")
}

// One agent's clock is wrong by 40 days, and its ACL is one without TIME. Both agents, or one of them, remove buckets because of MaxBuckets.
// The other one must know that, whatever the time is for either.
func TestBucketsThatMaxBucketsHasRemovedAreNotLostIfAClockIsWrong(t *testing.T) {
	t.Parallel()
	for _, ahead := range []int64{-40 * 86400, 40 * 86400} {
		for _, most := range [][2]int{{3, 3}, {3, 0}, {0, 3}} {
			t.Run(fmt.Sprint(ahead, most), func(t *testing.T) {
				t.Parallel()
				s := redistest.Server(t)
				setUser(t, redistest.Client(t, s), "current", writerACL)
				setUser(t, redistest.Client(t, s), "before", strings.ReplaceAll(writerACL, "+time", ""))
				now := time.Now().Unix()
				var agents [2]*cache.Writer
				var clocks [2]*clock
				for i, name := range []string{"current", "before"} {
					clocks[i] = newClock(now + int64(i)*ahead)
					agents[i] = writerOf(t, dialAs(t, name, 0, s.Addr()), func(o *cache.Options) {
						o.Retention, o.Now, o.MaxBuckets, o.RecentBytes, o.CompatRecords = 30*day, clocks[i].now, most[i], 1<<20, 0
						o.Restored = func(_, records int) { t.Errorf("%s: %d records are written again", name, records) }
					})
				}
				for start := now - 600; start < now-60; start += 60 {
					for i, w := range agents {
						put(t, w, table, asAgent(rec(start, "f", "h", 1), strconv.Itoa(i)))
					}
					for i, w := range agents {
						require.NoError(t, w.Audit(t.Context()))
						clocks[i].at.Add(61)
					}
				}
			})
		}
	}
}

// The agent whose clock is ahead has limits that its own records of the future exceed.
func TestRecordsOfNowStayIfAnAgentsClockIsAhead(t *testing.T) {
	t.Parallel()
	client := server(t)
	now := time.Now().Unix()
	good, ahead := newClock(now), newClock(now+40*86400)
	limit := func(c *clock) *cache.Writer {
		return writerOf(t, client, func(o *cache.Options) { o.Now, o.MaxBuckets, o.CompatRecords = c.now, 3, 3 })
	}
	w, fast := limit(good), limit(ahead)
	for i := range int64(4) {
		put(t, w, table, rec(now-600+i*60, "f", "good", 1))
		put(t, fast, table, rec(now+40*86400-600+i*60, "f", "fast", 9))
		good.at.Add(61)
		ahead.at.Add(61)
	}
	require.NoError(t, w.Close(patience))
	require.NoError(t, fast.Settle(table, patience))
	starts := startsOf(t, client, table)
	require.Equal(t, []int64{now - 540, now - 480, now - 420}, starts[:3])
	for _, r := range compat(t, client, table) {
		require.Equal(t, "good", r["host"])
	}
}

// beforeRedis7 returns a hook that answers as a server before Redis 7: EXPIRE has no conditions, and a transaction that has
// one is refused as a whole.
func beforeRedis7(refused *atomic.Int64) pipelines {
	return func(commands []redis.Cmder, next func() error) error {
		if !slices.ContainsFunc(commands, func(c redis.Cmder) bool { return c.Name() == "expire" && len(c.Args()) > 3 }) {
			return next()
		}
		refused.Add(1)
		err := oldAnswer("ERR wrong number of arguments for 'expire' command")
		for _, c := range commands {
			c.SetErr(err)
		}
		return err
	}
}

type oldAnswer string

func (a oldAnswer) Error() string { return string(a) }
func (oldAnswer) RedisError()     {}

// Each of the first transactions is sent before the answer to another one shows that the server is older.
func TestFirstWritesAtTheSameTimeToAServerBeforeRedis7(t *testing.T) {
	t.Parallel()
	client := server(t)
	var refused atomic.Int64
	var sent sync.WaitGroup
	sent.Add(2)
	client.AddHook(pipelines(func(commands []redis.Cmder, next func() error) error {
		if refused.Load() == 0 && slices.ContainsFunc(commands, func(c redis.Cmder) bool { return len(c.Args()) > 3 && c.Name() == "expire" }) {
			sent.Done()
			sent.Wait()
		}
		return next()
	}))
	client.AddHook(beforeRedis7(&refused))
	w := writerOf(t, client, nil)
	errs := make(chan error, 2)
	tables := []record.Table{newTable(), newTable()}
	for _, table := range tables {
		go func() { errs <- w.Put(t.Context(), table, []record.Record{rec(60, "f", "h", 1)}) }()
	}
	for range tables {
		require.NoError(t, <-errs)
	}
	for _, table := range tables {
		require.Len(t, all(t, client, table, record.Range{}), 1)
	}
}

func TestAServerBeforeRedis7GetsPlainTimesToLive(t *testing.T) {
	t.Parallel()
	client := server(t)
	var refused atomic.Int64
	client.AddHook(beforeRedis7(&refused))
	w := writerOf(t, client, nil)
	put(t, w, table, revised(1, 1))
	put(t, w, table, revised(1, 2))
	require.NoError(t, w.Close(patience))
	require.Equal(t, int64(1), refused.Load(), "the writer remembers the answer")
	require.Len(t, compat(t, client, table), 1)
	for _, key := range []string{table.String(), cache.BucketKey(table, "60"), cache.IndexKey(table), cache.CatalogueKey} {
		require.InDelta(t, time.Hour, ttl(t, client, key), float64(time.Minute), key)
	}
}
