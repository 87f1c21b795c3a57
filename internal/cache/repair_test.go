package cache_test

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
)

// keeping returns a writer that keeps its records to write them again.
func keeping(t testing.TB, client redis.UniversalClient, edit func(*cache.Options)) *cache.Writer {
	t.Helper()
	return writerOf(t, client, func(o *cache.Options) {
		o.RecentBytes = 1 << 20
		if edit != nil {
			edit(o)
		}
	})
}

// of returns a record with a state.
func of(state record.State, start int64, field string, value float64) record.Record {
	r := rec(start, field, "h", value)
	r.State, r.Summary = state, fmt.Append(nil, "summary ", value)
	return r
}

// eventually waits until the table has exactly these records.
func eventually(t testing.TB, client redis.UniversalClient, table record.Table, records ...record.Record) {
	t.Helper()
	require.Eventually(t, func() bool { return slices.Equal(all(t, client, table, record.Range{}), jsonOf(records...)) }, patience, 10*time.Millisecond,
		"want %s", jsonOf(records...))
}

// dump returns the contents of all keys: see contentsOf.
func dump(t testing.TB, client redis.UniversalClient) map[string]any {
	t.Helper()
	return contentsOf(t, client, client.Keys(t.Context(), "*").Val())
}

func TestAfterTheLossOfAllDataTheOpenBucketsAndTheLastFinalOnesComeBack(t *testing.T) {
	t.Parallel()
	client := server(t)
	var restored, lostTables atomic.Int64
	w := keeping(t, client, func(o *cache.Options) {
		o.Restored = func(tables, records int) { lostTables.Add(int64(tables)); restored.Add(int64(records)) }
	})
	idle := record.Table{Database: "db", Name: "analytics_idle"}
	put(t, w, table, of(record.Final, 0, "f", 1), of(record.Open, 60, "f", 2), of(record.Open, 60, "g", 3))
	put(t, w, idle, of(record.Open, 0, "f", 4))
	require.NoError(t, w.Settle(table, patience))
	require.NoError(t, w.Settle(idle, patience))
	before := dump(t, client)
	require.NoError(t, client.FlushDB(t.Context()).Err())

	put(t, w, table, of(record.Open, 60, "g", 3))
	eventually(t, client, table, of(record.Final, 0, "f", 1), of(record.Open, 60, "f", 2), of(record.Open, 60, "g", 3))
	eventually(t, client, idle, of(record.Open, 0, "f", 4)) // it is not written again by a Put
	// The compatibility value is rebuilt a moment after the records are back.
	require.EventuallyWithT(t, func(c *assert.CollectT) { assert.Equal(c, before, dump(t, client)) }, patience, 10*time.Millisecond)
	require.Equal(t, []int64{2, 4, 4}, []int64{lostTables.Load(), restored.Load(), w.Restored()})
}

// Several agents write a table. One of them has incremented the version beyond that of the others before they write again.
func TestEachOfSeveralAgentsNoticesTheLoss(t *testing.T) {
	t.Parallel()
	client := server(t)
	w, fast := keeping(t, client, nil), keeping(t, client, nil)
	other := of(record.Open, 60, "f", 2)
	other.Agent = "a2"
	put(t, w, table, of(record.Open, 60, "f", 1), of(record.Open, 60, "g", 1))
	put(t, fast, table, other)
	require.NoError(t, client.FlushDB(t.Context()).Err())
	for range 10 {
		put(t, fast, table, other)
	}
	put(t, w, table, of(record.Open, 60, "g", 1))
	require.Eventually(t, func() bool { return len(all(t, client, table, record.Range{})) == 3 }, patience, 10*time.Millisecond)
}

func TestAfterARestartFromAnOlderFileTheNewerRecordsComeBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := redistest.Start(t, redisserver.Options{Args: []string{"--dir", dir}})
	client := redistest.Client(t, s)
	w := keeping(t, client, whileAway(t))
	old, final, open := of(record.Final, 0, "f", 1), of(record.Final, 60, "f", 2), of(record.Open, 120, "f", 3)
	put(t, w, table, old, of(record.Open, 60, "f", 0))
	require.NoError(t, client.Save(t.Context()).Err())
	put(t, w, table, final, of(record.Open, 120, "f", 1))
	put(t, w, table, open, of(record.Open, 120, "g", 1))
	_ = client.ShutdownNoSave(t.Context()).Err()
	<-s.Done()
	redistest.Start(t, redisserver.Options{Addr: s.Addr(), Args: []string{"--dir", dir}})
	require.Len(t, all(t, client, table, record.Range{}), 2, "the file has the first two")
	put(t, w, table, open)
	eventually(t, client, table, old, final, open, of(record.Open, 120, "g", 1))
	require.NoError(t, w.Close(patience)) // before the server ends
}

// Redis may evict any key. The next write of the bucket, or otherwise the audit, restores it.
func TestEveryEvictedKeyComesBack(t *testing.T) {
	t.Parallel()
	open, final := of(record.Open, 60, "f", 1), of(record.Final, 0, "f", 1)
	for _, r := range []*record.Record{&open, &final} {
		r.HasRevision, r.Revision = true, 1
	}
	keys := append(keysOf(table, "0", "60"), cache.CatalogueKey)
	for _, key := range keys {
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			client := server(t)
			w := keeping(t, client, nil)
			put(t, w, table, open, final)
			require.NoError(t, w.Settle(table, patience))
			before := dump(t, client)
			require.Len(t, before, len(keys))
			require.Equal(t, int64(1), client.Del(t.Context(), key).Val())
			require.NoError(t, w.Audit(t.Context()))
			require.Eventually(t, func() bool { return client.Exists(t.Context(), key).Val() == 1 }, patience, 10*time.Millisecond)
			require.Equal(t, before, dump(t, client))
			for name := range before {
				require.InDelta(t, time.Hour, ttl(t, client, name), float64(time.Minute), name)
			}
		})
	}
}

func TestAWriteRestoresTheRestOfItsEvictedBucket(t *testing.T) {
	t.Parallel()
	for _, key := range []string{cache.BucketKey(table, "60"), cache.SummaryKey(table, "60"), cache.IndexKey(table), cache.ExpiryKey(table), cache.NamesKey(table)} {
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			client := server(t)
			w := keeping(t, client, withoutCompat)
			put(t, w, table, of(record.Final, 0, "old", 1), of(record.Open, 60, "f", 1), of(record.Open, 60, "g", 1))
			before := dump(t, client)
			require.NoError(t, client.Del(t.Context(), key).Err())
			put(t, w, table, of(record.Open, 60, "g", 1))
			require.Eventually(t, func() bool { return fmt.Sprint(dump(t, client)[key]) == fmt.Sprint(before[key]) }, patience, 10*time.Millisecond)
		})
	}
}

// Telegraf cuts batches at any metric, so the next batch of an evicted bucket may have none of the records that were in it.
func TestAWriteOfNewRecordsRestoresTheOthersOfTheirEvictedBucket(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, client redis.UniversalClient) {
		for _, kind := range []string{"b:60", "q:60"} {
			table := newTable()
			w := keeping(t, client, withoutCompat)
			put(t, w, table, of(record.Open, 60, "f", 1), of(record.Open, 60, "g", 1))
			require.Equal(t, int64(1), client.Del(t.Context(), cache.Key(table, kind)).Val())
			put(t, w, table, of(record.Open, 60, "new", 1))
			eventually(t, client, table, of(record.Open, 60, "f", 1), of(record.Open, 60, "g", 1), of(record.Open, 60, "new", 1))
			require.Eventually(t, func() bool { return client.HLen(t.Context(), cache.SummaryKey(table, "60")).Val() == 3 }, patience, 10*time.Millisecond)
		}
	})
}

// Another agent has made the evicted key again. A write of a new record and of one that was there shows that the latter was gone, so the
// others are too.
func TestAWriteOfOneRecordRestoresTheOthersOfABucketThatAnotherAgentHasMadeAgain(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"b:60", "q:60"} {
		client := server(t)
		w, other := keeping(t, client, withoutCompat), writerOf(t, client, withoutCompat) // other does not report the loss
		theirs := asAgent(of(record.Open, 60, "f", 3), "a2")
		put(t, w, table, of(record.Open, 60, "f", 1), of(record.Open, 60, "g", 1), of(record.Open, 60, "h", 1))
		require.Equal(t, int64(1), client.Del(t.Context(), cache.Key(table, kind)).Val())
		put(t, other, table, theirs)
		put(t, w, table, of(record.Open, 60, "g", 2), of(record.Open, 60, "new", 1))
		eventually(t, client, table,
			of(record.Open, 60, "f", 1), theirs, of(record.Open, 60, "g", 2), of(record.Open, 60, "h", 1), of(record.Open, 60, "new", 1))
		require.Eventually(t, func() bool { return client.HLen(t.Context(), cache.SummaryKey(table, "60")).Val() == 5 }, patience, 10*time.Millisecond)
	}
}

// Each write makes these keys again, so that none of them is missing after it.
func TestKeysOfATableThatAreEvictedTogetherComeBack(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, client redis.UniversalClient) {
		for evicted := 1; evicted < 1<<4; evicted++ {
			table := newTable()
			keys := []string{cache.IndexKey(table), cache.ExpiryKey(table), cache.NamesKey(table), cache.VersionKey(table)}
			w := keeping(t, client, withoutCompat)
			put(t, w, table, of(record.Final, 0, "old", 1), of(record.Open, 60, "f", 1))
			for i, key := range keys {
				if evicted&(1<<i) != 0 {
					require.Equal(t, int64(1), client.Del(t.Context(), key).Val())
				}
			}
			put(t, w, table, of(record.Open, 120, "f", 1))
			require.EventuallyWithT(t, func(c *assert.CollectT) {
				require.Equal(c, []int64{0, 60, 120}, startsOf(t, client, table))
				require.ElementsMatch(c, []string{"0", "60", "120"}, client.ZRange(t.Context(), cache.ExpiryKey(table), 0, -1).Val())
				require.Equal(c, []string{"f", "old"}, fieldsOf(t, client, table))
			}, patience, 10*time.Millisecond, "%04b", evicted)
		}
	})
}

// Two agents notice a loss each at the same time, so that each removes the mark of the other one. The hook is the other agent: it has
// made the bucket 0 again.
func TestAgentsThatLetEachOtherKnowOfALossBothNotice(t *testing.T) {
	t.Parallel()
	client := server(t)
	admin := redistest.Open(t, fmt.Sprintf("%s/%d", client.Options().Addr, client.Options().DB))
	theirs := asAgent(of(record.Final, 0, "f", 2), "a2")
	var once sync.Once
	client.AddHook(pipelines(func(commands []redis.Cmder, next func() error) error {
		if named(commands, "zremrangebyscore") > 0 && named(commands, "multi") > 0 {
			once.Do(func() {
				admin.Del(t.Context(), cache.BucketKey(table, "0"), cache.Key(table, "w"))
				admin.HSet(t.Context(), cache.BucketKey(table, "0"), cache.HashField(theirs), jsonOf(theirs)[0])
			})
		}
		return next()
	}))
	w := keeping(t, client, withoutCompat)
	put(t, w, table, of(record.Final, 0, "f", 1), of(record.Open, 60, "f", 1))
	require.Equal(t, int64(1), admin.Del(t.Context(), cache.BucketKey(table, "60")).Val())
	put(t, w, table, of(record.Open, 60, "f", 1))
	eventually(t, admin, table, of(record.Final, 0, "f", 1), theirs, of(record.Open, 60, "f", 1))
}

// A bucket and its places in the index and in the expiry times are evicted, and other agents have made these keys again before
// the writer looks at them.
func TestABucketThatIsEvictedTogetherWithItsPlacesComesBack(t *testing.T) {
	t.Parallel()
	for _, most := range []int{0, 5} {
		for name, look := range map[string]func(w *cache.Writer, table record.Table){
			"audit": func(w *cache.Writer, _ record.Table) { require.NoError(t, w.Audit(t.Context())) },
			"write": func(w *cache.Writer, table record.Table) { put(t, w, table, of(record.Open, 60, "g", 1)) },
		} {
			t.Run(fmt.Sprint(name, most), func(t *testing.T) {
				t.Parallel()
				client, table := server(t), newTable()
				w := keeping(t, client, func(o *cache.Options) { o.CompatRecords, o.MaxBuckets = 0, most })
				put(t, w, table, of(record.Final, 0, "f", 1), of(record.Open, 60, "f", 1), of(record.Open, 60, "g", 1), of(record.Open, 120, "f", 1))
				keys := keysOf(table, "60")
				before := contentsOf(t, client, keys)
				client.Del(t.Context(), cache.BucketKey(table, "60"), cache.SummaryKey(table, "60"))
				client.ZRem(t.Context(), cache.IndexKey(table), "60")
				client.ZRem(t.Context(), cache.ExpiryKey(table), "60")
				look(w, table)
				require.EventuallyWithT(t, func(c *assert.CollectT) { assert.Equal(c, before, contentsOf(t, client, keys)) }, patience, 5*time.Millisecond)
			})
		}
	}
}

// The index names buckets that the writer does not keep: those of other agents, and older ones.
func TestAnEvictedIndexComesBackFromTheExpiryTimesAndTheReverse(t *testing.T) {
	t.Parallel()
	for _, key := range []string{cache.IndexKey(table), cache.ExpiryKey(table)} {
		client := server(t)
		w := keeping(t, client, nil)
		put(t, writerOf(t, client, nil), table, rec(0, "f", "h", 1), rec(60, "f", "h", 1))
		put(t, w, table, of(record.Open, 120, "f", 1))
		require.NoError(t, client.Del(t.Context(), key).Err())
		require.NoError(t, w.Audit(t.Context()))
		require.Equal(t, []int64{0, 60, 120}, startsOf(t, client, table))
		require.ElementsMatch(t, []string{"0", "60", "120"}, client.ZRange(t.Context(), cache.ExpiryKey(table), 0, -1).Val())
	}
}

func TestARestoredRecordNeverReplacesANewerRevision(t *testing.T) {
	t.Parallel()
	client := server(t)
	w := keeping(t, client, nil)
	other := revised(1, 5)
	other.Field = "g"
	put(t, w, table, revised(1, 1), other)
	put(t, writerOf(t, client, nil), table, revised(2, 2)) // the same agent after a restart
	require.NoError(t, client.Del(t.Context(), cache.Key(table, "w")).Err())
	require.NoError(t, w.Audit(t.Context()))
	require.Equal(t, jsonOf(revised(2, 2), other), all(t, client, table, record.Range{}))
	require.Equal(t, int64(1), w.Restored())
}

// Buckets that another agent has removed because of its max_buckets, and expired ones, are not lost.
func TestRemovedAndExpiredBucketsDoNotComeBack(t *testing.T) {
	t.Parallel()
	client, m := inProcess(t)
	c := newClock(time.Now().Unix())
	w := keeping(t, client, func(o *cache.Options) { o.Now = c.now })
	pass := func(d time.Duration) {
		c.at.Add(int64(d / time.Second))
		m.FastForward(d)
	}
	put(t, w, table, of(record.Open, 0, "f", 1), of(record.Open, 60, "f", 1))
	put(t, writerOf(t, client, func(o *cache.Options) { o.Now, o.MaxBuckets = c.now, 2 }), table, rec(120, "g", "h", 1))
	require.Equal(t, []int64{60, 120}, startsOf(t, client, table))
	require.NoError(t, w.Audit(t.Context()))
	require.Equal(t, []int64{60, 120}, startsOf(t, client, table))
	kept, _, _ := w.Recent()
	require.Equal(t, int64(1), kept, "the removed bucket is forgotten")

	pass(40 * time.Minute)
	put(t, w, table, of(record.Open, 180, "f", 1))
	pass(20*time.Minute - 5*time.Second) // the bucket of 60 is about to expire: the clocks may differ
	require.NoError(t, client.Del(t.Context(), cache.BucketKey(table, "60")).Err())
	require.NoError(t, w.Audit(t.Context()))
	require.Empty(t, client.HVals(t.Context(), cache.BucketKey(table, "60")).Val())
	require.EventuallyWithT(t, func(c *assert.CollectT) { // a compatibility value that is made meanwhile is written after the two hours
		pass(2 * time.Hour)
		require.NoError(c, w.Audit(t.Context()))
		require.Empty(c, client.Keys(t.Context(), "*").Val())
	}, patience, 10*time.Millisecond)
	kept, size, _ := w.Recent()
	require.Zero(t, kept+size)
	require.Zero(t, w.Restored())
}

func TestRecordsThatAreNotOpenAreKeptForTenMinutes(t *testing.T) {
	t.Parallel()
	client := server(t)
	c := newClock(time.Now().Unix())
	w := keeping(t, client, func(o *cache.Options) { o.Now = c.now })
	put(t, w, table, of(record.Final, 0, "f", 1), of(record.Unmarked, 60, "f", 1), of(record.Open, 120, "f", 1), of(record.Open, 180, "f", 1))
	put(t, w, table, of(record.Final, 180, "f", 2))
	for _, step := range []struct{ seconds, want int64 }{{600, 4}, {1, 1}} {
		c.at.Add(step.seconds)
		require.NoError(t, w.Audit(t.Context()))
		kept, _, _ := w.Recent()
		require.Equal(t, step.want, kept)
	}
	require.NoError(t, client.FlushDB(t.Context()).Err())
	c.at.Add(2000)
	put(t, w, record.Table{Database: "db", Name: "analytics_other"}, rec(0, "f", "h", 1))
	require.NoError(t, w.Audit(t.Context()))
	require.Equal(t, jsonOf(of(record.Open, 120, "f", 1)), all(t, client, table, record.Range{}))
}

// While Redis is away, nothing is forgotten.
func TestRecordsStayWhileRedisIsAway(t *testing.T) {
	t.Parallel()
	s := redistest.Server(t)
	client := redistest.Client(t, s)
	c := newClock(time.Now().Unix())
	w := keeping(t, client, func(o *cache.Options) {
		whileAway(t)(o)
		o.Now = c.now
	})
	put(t, w, table, of(record.Final, 0, "f", 1))
	require.NoError(t, s.Stop())
	c.at.Add(3000)
	require.Error(t, w.Audit(t.Context()))
	redistest.Start(t, redisserver.Options{Addr: s.Addr()})
	put(t, w, table, of(record.Open, 60, "f", 1))
	eventually(t, client, table, of(record.Final, 0, "f", 1), of(record.Open, 60, "f", 1))
	require.NoError(t, w.Close(patience)) // before the server ends
}

func TestTheKeptRecordsAreBoundedAndTheRestIsCounted(t *testing.T) {
	t.Parallel()
	client := server(t)
	const bound = 60_000
	w := keeping(t, client, func(o *cache.Options) { o.RecentBytes = bound })
	wide := func(state record.State, start int64, n int) (records []record.Record) {
		for i := range n {
			records = append(records, of(state, start, fmt.Sprint("f", i), 1))
		}
		return records
	}
	sized := func() (records, dropped int64) {
		records, size, dropped := w.Recent()
		require.LessOrEqual(t, size, int64(bound))
		require.Greater(t, size, records*300, "more than the texts of %d records", records)
		return records, dropped
	}
	put(t, w, table, wide(record.Open, 0, 60)...)
	put(t, w, table, wide(record.Final, 60, 60)...)
	records, dropped := sized()
	require.Equal(t, []int64{120, 0}, []int64{records, dropped})
	put(t, w, table, wide(record.Open, 120, 80)...)
	records, dropped = sized()
	require.Equal(t, []int64{140, 60}, []int64{records, dropped}, "the bucket that is final leaves before the older open one")
	put(t, w, table, wide(record.Open, 180, 1000)...)
	records, dropped = sized()
	require.Equal(t, int64(60+60+80+1000), records+dropped)
	require.Greater(t, records, int64(100), "a bucket that is too large is kept in part")

	require.NoError(t, client.FlushDB(t.Context()).Err())
	require.NoError(t, w.Audit(t.Context()))
	require.Len(t, all(t, client, table, record.Range{}), int(records))

	off := writerOf(t, client, nil)
	put(t, off, table, wide(record.Open, 240, 10)...)
	records, size, dropped := off.Recent()
	require.Zero(t, records+size+dropped)
}

// A loss that is noticed by the last write is repaired by Close.
func TestCloseWritesAgainWhatIsLost(t *testing.T) {
	t.Parallel()
	for range 20 {
		client := server(t)
		w := keeping(t, client, nil)
		put(t, w, table, of(record.Final, 0, "f", 1))
		require.NoError(t, client.FlushDB(t.Context()).Err())
		put(t, w, table, of(record.Final, 60, "f", 1))
		require.NoError(t, w.Close(patience))
		require.Len(t, all(t, client, table, record.Range{}), 2)
		require.Len(t, compat(t, client, table), 2)
	}
}
