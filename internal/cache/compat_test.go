package cache_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
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

func TestTheCompatibilityValueHasTheNewestRecords(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, client redis.UniversalClient) {
		w, table := writerOf(t, client, func(o *cache.Options) { o.CompatRecords = 7 }), newTable()
		for b := range 50 {
			start := int64(b) * 864000
			put(t, w, table, rec(start, "f", "h", float64(b)), rec(start, "g", "h", float64(b)))
		}
		require.NoError(t, w.Close(patience))
		records := compat(t, client, table)
		require.Len(t, records, 7)
		require.Equal(t, []any{46.0, "g"}, []any{records[0]["mean"], records[0]["field_name"]})
		require.Equal(t, map[string]any{
			"table_name": "analytics_cpu", "field_name": "g", "time_bucket": "1971-05-06T00:00:00Z", "time": 4.2336e10, "agent": "a1", "host": "h",
			"count": 1.0, "mean": 49.0,
		}, records[6])
	})
}

func TestCloseLeavesEveryCompatibilityValueComplete(t *testing.T) {
	t.Parallel()
	client := server(t)
	for round := range 5 {
		w := writerOf(t, client, nil)
		for i := range 30 {
			put(t, w, record.Table{Database: fmt.Sprint("db", round), Name: fmt.Sprint("analytics_", i)}, rec(60, "f", "h", 1))
		}
		require.NoError(t, w.Close(patience))
		for i := range 30 {
			require.Len(t, compat(t, client, record.Table{Database: fmt.Sprint("db", round), Name: fmt.Sprint("analytics_", i)}), 1)
		}
	}
}

func TestCloseRebuildsTheOtherValuesIfOneFails(t *testing.T) {
	t.Parallel()
	client := server(t)
	w := cache.NewWriter(client, cache.Options{Retention: time.Hour, CompatRecords: 1000})
	bad := record.Table{Database: "db", Name: "analytics_bad"}
	require.NoError(t, client.Set(t.Context(), cache.IndexKey(bad), "no index", 0).Err())
	w.MarkTable(bad)
	for i := range 30 {
		put(t, w, record.Table{Database: "db", Name: fmt.Sprint("analytics_", i)}, rec(60, "f", "h", 1))
	}
	require.ErrorContains(t, w.Close(patience), "compatibility value of db:analytics_bad: WRONGTYPE")
	for i := range 30 {
		require.Len(t, compat(t, client, record.Table{Database: "db", Name: fmt.Sprint("analytics_", i)}), 1)
	}
}

// Put and Close run at the same time. The value after Close has the records of each Put that returned nil.
func TestPutAndCloseMayRunConcurrently(t *testing.T) {
	t.Parallel()
	client := server(t)
	for round := range 20 {
		table := record.Table{Database: fmt.Sprint("db", round), Name: "analytics_cpu"}
		w := writerOf(t, client, nil)
		var wg sync.WaitGroup
		written := make([]int, 4)
		for writer := range written {
			wg.Go(func() {
				for i := range 100 {
					err := w.Put(t.Context(), table, []record.Record{rec(int64(i), fmt.Sprint("f", writer), "h", 1)})
					if errors.Is(err, cache.ErrClosed) {
						return
					}
					if err != nil {
						t.Error(err)
						return
					}
					written[writer]++
				}
			})
		}
		require.Eventually(t, func() bool { return client.Exists(t.Context(), cache.VersionKey(table)).Val() == 1 }, patience, time.Millisecond)
		require.NoError(t, w.Close(patience))
		wg.Wait()
		want := 0
		for _, n := range written {
			want += n
		}
		require.Len(t, compat(t, client, table), want)
	}
}

func TestAClosedWriterRefusesRecords(t *testing.T) {
	t.Parallel()
	client, _ := inProcess(t)
	for _, records := range []int{0, 10} {
		w := writerOf(t, client, func(o *cache.Options) { o.CompatRecords = records })
		require.NoError(t, w.Close(patience))
		require.NoError(t, w.Close(patience), "patience again does nothing")
		require.ErrorIs(t, w.Put(t.Context(), table, []record.Record{rec(60, "f", "h", 1)}), cache.ErrClosed)
	}
	require.Empty(t, client.Keys(t.Context(), "*").Val())
}

func TestTheCompatibilityValueFollowsTheWrites(t *testing.T) {
	t.Parallel()
	client := server(t)
	w := writerOf(t, client, nil)
	w.Hasten()
	for i := range 5 {
		put(t, w, table, rec(int64(i)*60, "f", "h", 1))
		require.Eventually(t, func() bool {
			return strings.Count(client.Get(t.Context(), table.String()).Val(), "time_bucket") == i+1
		}, patience, 5*time.Millisecond)
	}
}

func TestAgentsAgreeOnTheCompatibilityValue(t *testing.T) {
	t.Parallel()
	client := server(t)
	const agents, writes = 4, 30
	done := make(chan error, agents)
	for a := range agents {
		w := writerOf(t, client, nil)
		go func() {
			for i := range writes {
				r := rec(int64(i)*60, "f", "h", float64(i))
				r.Agent = fmt.Sprint("agent", a)
				if err := w.Put(context.Background(), table, []record.Record{r}); err != nil {
					done <- err
					return
				}
			}
			done <- w.Close(patience)
		}()
	}
	for range agents {
		require.NoError(t, <-done)
	}
	require.Len(t, compat(t, client, table), agents*writes)
}

// Another agent writes records during the rebuild. It writes the value too, and its value is newer.
func TestCloseDoesNotWriteAValueThatIsOutdated(t *testing.T) {
	t.Parallel()
	addr := redistest.Database(t)
	client := redistest.Open(t, addr)
	other := cache.NewWriter(redistest.Open(t, addr), cache.Options{Retention: time.Hour, Now: func() time.Time { return time.Unix(1e9, 0) }})
	w := cache.NewWriter(client, cache.Options{Retention: time.Hour, CompatRecords: 1000})
	put(t, other, table, rec(60, "f", "h", 1))
	reads, interfering := 0, true
	client.AddHook(pipelines(func(commands []redis.Cmder, next func() error) error {
		err := next()
		if named(commands, "hvals", "hscan") > 0 {
			reads++
			if interfering {
				put(t, other, table, rec(60, "f", "h", 2)) // at the same millisecond as all others
			}
		}
		return err
	}))
	require.NoError(t, w.Settle(table, patience))
	require.Equal(t, cache.SettleTries, reads)
	require.Zero(t, client.Exists(t.Context(), table.String()).Val())
	interfering = false
	require.NoError(t, w.Settle(table, patience))
	require.Len(t, compat(t, client, table), 1)
}

func TestAValueThatBecameOutdatedWhileItWasWrittenIsRebuilt(t *testing.T) {
	t.Parallel()
	addr := redistest.Database(t)
	client := redistest.Open(t, addr)
	other := cache.NewWriter(redistest.Open(t, addr), cache.Options{Retention: time.Hour})
	w := writerOf(t, client, nil)
	var once sync.Once
	client.AddHook(pipelines(func(commands []redis.Cmder, next func() error) error {
		if slices.ContainsFunc(commands, func(c redis.Cmder) bool { return c.Name() == "set" && c.Args()[1] == table.String() }) {
			once.Do(func() { put(t, other, table, rec(60, "f", "h", 2)) })
		}
		return next()
	}))
	put(t, w, table, rec(60, "f", "h", 1))
	require.NoError(t, w.Close(patience))
	require.Equal(t, 2.0, compat(t, client, table)[0]["mean"])
}

func TestErrorsOfTheCompatibilityValueAreReportedAndTriedAgain(t *testing.T) {
	t.Parallel()
	client := server(t)
	reported := make(chan error, 100)
	w := writerOf(t, client, func(o *cache.Options) {
		o.Report = func(err error) {
			select {
			case reported <- err:
			default:
			}
		}
	})
	w.Hasten()
	put(t, w, table, rec(60, "f", "h", 1))
	require.Eventually(t, func() bool { return client.Exists(t.Context(), table.String()).Val() == 1 }, patience, 5*time.Millisecond)
	require.NoError(t, client.Set(t.Context(), cache.BucketKey(table, "120"), "no hash", 0).Err())
	require.NoError(t, client.ZAdd(t.Context(), cache.IndexKey(table), redis.Z{Score: 120, Member: "120"}).Err())
	put(t, w, table, rec(60, "f", "h", 2))
	require.ErrorContains(t, <-reported, `compatibility value of db:analytics_cpu: WRONGTYPE`)
	require.NoError(t, client.Del(t.Context(), cache.BucketKey(table, "120")).Err())
	require.Eventually(t, func() bool { return strings.Contains(client.Get(t.Context(), table.String()).Val(), `"mean":2`) }, patience, 5*time.Millisecond)
}

func TestALargeTableIsReadFromItsNewestBucketsOnly(t *testing.T) {
	t.Parallel()
	client, _ := inProcess(t)
	w := writerOf(t, client, func(o *cache.Options) { o.CompatRecords = 30 })
	w.Hasten()
	var records []record.Record
	for i := range int64(2000) {
		records = append(records, rec(i*60, "f", "h", float64(i)))
	}
	put(t, w, table, records...)
	read := 0
	client.AddHook(pipelines(func(commands []redis.Cmder, next func() error) error {
		read += named(commands, "hvals", "hscan")
		return next()
	}))
	require.NoError(t, w.Close(patience))
	require.Len(t, compat(t, client, table), 30)
	require.LessOrEqual(t, read, 3*40, "each try reads two pipelines of 20 buckets")
}

// A large bucket is read in parts, so that Redis answers others meanwhile. Small ones are read by the cheaper HVALS.
func TestALargeBucketIsReadInPartsForTheCompatibilityValue(t *testing.T) {
	t.Parallel()
	client := server(t)
	var records []record.Record
	for i := range 3000 {
		records = append(records, rec(0, "f", fmt.Sprint("h", i), float64(i)))
	}
	table := newTable()
	w := writerOf(t, client, func(o *cache.Options) { o.CompatRecords = 20 })
	put(t, w, table, records...)
	var whole atomic.Int64
	client.AddHook(pipelines(func(commands []redis.Cmder, next func() error) error {
		whole.Add(int64(named(commands, "hvals")))
		return next()
	}))
	require.NoError(t, w.Settle(table, patience))
	want := jsonOf(records...)
	slices.Sort(want)
	require.Equal(t, "["+strings.Join(want[len(want)-20:], ",")+"]", client.Get(t.Context(), table.String()).Val())
	require.Zero(t, whole.Load())

	few := newTable()
	w2 := writerOf(t, client, func(o *cache.Options) { o.CompatRecords = 20 })
	w2.Hasten()
	for i := range 5 {
		put(t, w2, few, rec(0, "f", "h", float64(i)))
		require.Eventually(t, func() bool {
			return client.Get(t.Context(), few.String()).Val() == "["+jsonOf(rec(0, "f", "h", float64(i)))[0]+"]"
		}, patience, time.Millisecond)
	}
	require.Positive(t, whole.Load())
}
