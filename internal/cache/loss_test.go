package cache_test

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// finalAt returns a final record of a bucket with a revision.
func finalAt(start int64, field string, revision int64, value float64) record.Record {
	r := of(record.Final, start, field, value)
	r.HasRevision, r.Revision = true, revision
	return r
}

// asAgent returns a record of another agent.
func asAgent(r record.Record, name string) record.Record {
	r.Agent = name
	return r
}

// sameContents waits until keys have the contents and the times to live that they had before. It calls again before each look.
func sameContents(t testing.TB, client redis.UniversalClient, before map[string]any, again func()) {
	t.Helper()
	keys := make([]string, 0, len(before))
	for key := range before {
		keys = append(keys, key)
	}
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		again()
		require.Equal(c, before, contentsOf(t, client, keys))
		for _, key := range keys {
			require.InDelta(c, time.Hour, ttl(t, client, key), float64(time.Minute), key)
		}
	}, patience, 10*time.Millisecond)
}

// Redis may evict any key of a table at any time. Then late and older revisions come, and a late write of another agent. The
// writes do not wait for the audit, which comes a minute later.
func TestTheLossOfAnyKeyBetweenTwoWritesIsMended(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, client redis.UniversalClient) {
		for place := range keysOf(table, "60", "120") {
			table := newTable()
			keys := keysOf(table, "60", "120")
			key := keys[place]
			t.Run(strings.ReplaceAll(key, table.Database, "db"), func(t *testing.T) {
				t.Parallel()
				w, other := keeping(t, client, nil), keeping(t, client, nil)
				put(t, w, table, finalAt(60, "f", 2, 2), finalAt(60, "g", 1, 1), of(record.Open, 120, "f", 5), of(record.Open, 120, "g", 5))
				put(t, other, table, asAgent(finalAt(60, "f", 3, 3), "a2"), asAgent(finalAt(120, "f", 1, 3), "a2"))
				require.NoError(t, w.Settle(table, patience))
				before := contentsOf(t, client, append(keys, cache.CatalogueKey))
				require.Equal(t, int64(1), client.Del(t.Context(), key).Val())

				put(t, other, table, asAgent(finalAt(60, "f", 1, 9), "a2"), asAgent(finalAt(120, "f", 0, 9), "a2"), asAgent(of(record.Open, 180, "f", 1), "a2"))
				put(t, w, table, finalAt(60, "f", 1, 9), finalAt(60, "g", 0, 9), of(record.Open, 120, "f", 5))
				put(t, other, table, asAgent(finalAt(60, "f", 2, 9), "a2"))
				if key == cache.SummaryKey(table, "60") { // which no write touches
					require.NoError(t, w.Audit(t.Context()))
				}
				require.Equal(t, []int64{2, 3}, []int64{w.Outdated(), other.Outdated()})
				delete(before, cache.IndexKey(table)) // these have another bucket now
				delete(before, cache.ExpiryKey(table))
				delete(before, table.String())
				delete(before, cache.CatalogueKey)
				sameContents(t, client, before, func() {
					put(t, w, table, of(record.Open, 120, "f", 5))
					put(t, other, table, asAgent(of(record.Open, 180, "f", 1), "a2"))
				})
				require.EventuallyWithT(t, func(c *assert.CollectT) {
					require.Equal(c, []int64{60, 120, 180}, startsOf(t, client, table))
					require.Subset(c, client.ZRange(t.Context(), cache.ExpiryKey(table), 0, -1).Val(), []string{"60", "120", "180"})
					require.Equal(c, int64(1), client.Exists(t.Context(), table.String()).Val())
					require.Contains(c, tablesOf(t, client), table)
				}, patience, 10*time.Millisecond)
			})
		}
	})
}

// The process that wrote the revisions has ended, so that only Redis has them.
func TestAnEvictedSetOfRevisionsIsRebuiltFromTheRecords(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, client redis.UniversalClient) {
		table := newTable()
		key := cache.RevisionKey(table, "60")
		first := writerOf(t, client, nil)
		put(t, first, table, finalAt(60, "f", 2, 2), finalAt(60, "g", 0, 1))
		put(t, first, table, asAgent(finalAt(60, "f", 3, 3), "a2"))
		want := all(t, client, table, record.Range{})
		before := contentsOf(t, client, []string{key})
		for name, late := range map[string][]record.Record{
			"alone":                 {finalAt(60, "f", 1, 9)},
			"of another agent":      {asAgent(finalAt(60, "f", 2, 9), "a2")},
			"beside equal records":  {finalAt(60, "f", 1, 9), finalAt(60, "g", 0, 1)},
			"beside another bucket": {finalAt(60, "f", 0, 9), finalAt(120, "f", 0, 9)},
		} {
			require.Equal(t, int64(1), client.Del(t.Context(), key).Val(), name)
			restarted := writerOf(t, client, nil)
			put(t, restarted, table, late...)
			require.Equal(t, int64(1), restarted.Outdated(), name)
			require.Equal(t, want, all(t, client, table, record.Range{Start: time.Unix(60, 0), End: time.Unix(61, 0)}), name)
			sameContents(t, client, before, func() {})
		}
		newer := finalAt(60, "f", 3, 4)
		require.Equal(t, int64(1), client.Del(t.Context(), key).Val())
		put(t, writerOf(t, client, nil), table, newer)
		require.Contains(t, all(t, client, table, record.Range{}), jsonOf(newer)[0], "a newer revision is written")
		put(t, writerOf(t, client, nil), table, asAgent(finalAt(60, "f", 2, 9), "a2"))
		require.Contains(t, all(t, client, table, record.Range{}), want[2], "and the revisions of others are known again")
	})
}

// The records and their revisions are lost together, and late revisions come before the newest is written again.
func TestTheWriterRemembersTheRevisionsOfTheRecordsThatItKeeps(t *testing.T) {
	t.Parallel()
	client := server(t)
	w := keeping(t, client, nil)
	put(t, w, table, finalAt(60, "f", 2, 2), finalAt(60, "g", 0, 2), of(record.Open, 120, "f", 1))
	require.Equal(t, int64(2), client.Del(t.Context(), cache.BucketKey(table, "60"), cache.RevisionKey(table, "60")).Val())
	put(t, w, table, finalAt(60, "f", 1, 9))
	require.Equal(t, int64(1), w.Outdated())
	eventually(t, client, table, finalAt(60, "f", 2, 2), finalAt(60, "g", 0, 2), of(record.Open, 120, "f", 1))
}

// After the loss of a key, the first write of another agent makes the key again, so that it is not missing any more.
func TestAnAgentNoticesTheLossOfAKeyThatAnotherHasMadeAgain(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"b:60", "q:60", "idx", "names"} {
		for name, knows := range map[string]bool{"of a bucket that it has written": true, "of a bucket that is new to it": false} {
			t.Run(kind+" "+name, func(t *testing.T) {
				t.Parallel()
				client := server(t)
				w, other := keeping(t, client, withoutCompat), keeping(t, client, withoutCompat)
				theirs := asAgent(of(record.Open, 60, "f", 3), "a2")
				put(t, w, table, of(record.Final, 60, "old", 1), of(record.Final, 0, "older", 1), of(record.Open, 120, "f", 1))
				if knows {
					put(t, other, table, theirs)
				}
				require.Equal(t, int64(1), client.Del(t.Context(), cache.Key(table, kind)).Val())
				put(t, other, table, theirs)
				require.Eventually(t, func() bool { return client.ZCard(t.Context(), cache.Key(table, "w")).Val() == 1 }, patience, time.Millisecond,
					"the other agent removes the mark of this one")
				put(t, w, table, of(record.Open, 120, "f", 1))
				eventually(t, client, table, of(record.Final, 0, "older", 1), theirs, of(record.Final, 60, "old", 1), of(record.Open, 120, "f", 1))
				require.Eventually(t, func() bool {
					return client.HLen(t.Context(), cache.SummaryKey(table, "60")).Val() == 2 && slices.Equal(fieldsOf(t, client, table), []string{"f", "old", "older"})
				}, patience, 10*time.Millisecond)
			})
		}
	}
}

// Another process of the same agent has written more, as after a restart. The loss makes the first one write its records again.
func TestARepairNeverReplacesMoreByLess(t *testing.T) {
	t.Parallel()
	counted := func(state record.State, start int64, count int64) record.Record {
		r := of(state, start, "f", 1)
		r.Stats[0].Value = count
		return r
	}
	for name, step := range map[string]struct{ kept, stored, want record.Record }{
		"an open record with more values":      {counted(record.Open, 60, 5), counted(record.Open, 60, 9), counted(record.Open, 60, 9)},
		"an open record with fewer values":     {counted(record.Open, 60, 5), counted(record.Open, 60, 4), counted(record.Open, 60, 5)},
		"an unmarked record with more values":  {counted(record.Unmarked, 60, 5), counted(record.Unmarked, 60, 9), counted(record.Unmarked, 60, 9)},
		"a final record":                       {counted(record.Open, 60, 5), counted(record.Final, 60, 4), counted(record.Final, 60, 4)},
		"an open record, while ours is final":  {counted(record.Final, 60, 5), counted(record.Open, 60, 9), counted(record.Final, 60, 5)},
		"a final record of a later revision":   {finalAt(60, "f", 1, 1), finalAt(60, "f", 2, 2), finalAt(60, "f", 2, 2)},
		"a final record of an older revision":  {finalAt(60, "f", 1, 1), finalAt(60, "f", 0, 2), finalAt(60, "f", 1, 1)},
		"an open record, while it was revised": {counted(record.Open, 60, 9), finalAt(60, "f", 1, 1), finalAt(60, "f", 1, 1)},
	} {
		client := server(t)
		w := keeping(t, client, nil)
		put(t, w, table, step.kept)
		require.NoError(t, client.Del(t.Context(), cache.BucketKey(table, "60"), cache.RevisionKey(table, "60"), cache.Key(table, "w")).Err())
		put(t, writerOf(t, client, nil), table, step.stored)
		require.NoError(t, w.Audit(t.Context()))
		require.Equal(t, jsonOf(step.want), all(t, client, table, record.Range{}), name)
	}
}

// A client that has read an old version would otherwise take the records of a new one for those that it knows.
func TestTheVersionOfATableNeverComesAgain(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, client redis.UniversalClient) {
		table, last := newTable(), int64(0)
		w := keeping(t, client, nil)
		for i := range 6 {
			put(t, w, table, rec(60, "f", "h", float64(i)))
			version, _, err := cache.NewReader(client).Index(t.Context(), table, record.Range{})
			require.NoError(t, err)
			require.Greater(t, version, last)
			last = version
			if i%2 == 1 {
				require.Equal(t, int64(1), client.Del(t.Context(), cache.VersionKey(table)).Val())
			}
			if i == 3 {
				w = keeping(t, client, nil)
			}
		}
	})
}

// Otherwise every write of the table would be refused, and its rows would fill the buffer of the caller.
func TestAVersionThatIsNoNumberIsReplaced(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, client redis.UniversalClient) {
		table := newTable()
		w := keeping(t, client, nil)
		for i, garbage := range []string{"abc", "", "1.5", "9223372036854775807"} {
			require.NoError(t, client.Set(t.Context(), cache.VersionKey(table), garbage, 0).Err())
			put(t, w, table, rec(60, "f", "h", float64(i)))
			require.Equal(t, jsonOf(rec(60, "f", "h", float64(i))), all(t, client, table, record.Range{}))
			version, _, err := cache.NewReader(client).Index(t.Context(), table, record.Range{})
			require.NoError(t, err)
			require.Greater(t, version, int64(1e14))
			require.InDelta(t, time.Hour, ttl(t, client, cache.VersionKey(table)), float64(time.Minute))
		}
	})
}

func TestABucketThatMaxBucketsHasRemovedIsNotLost(t *testing.T) {
	t.Parallel()
	client := server(t)
	c := newClock(time.Now().Unix())
	w := keeping(t, client, func(o *cache.Options) {
		o.MaxBuckets, o.Now, o.CompatRecords = 2, c.now, 0
		o.Restored = func(int, int) { t.Error("nothing is lost") }
	})
	for start := range int64(4) {
		put(t, w, table, of(record.Open, start*60, "f", 1), of(record.Open, start*60, "g", 1))
		c.at.Add(61)
	}
	require.Equal(t, []int64{120, 180}, startsOf(t, client, table))
	put(t, w, table, of(record.Open, 0, "f", 2), of(record.Open, 180, "f", 2))
	require.NoError(t, w.Audit(t.Context()))
	other := writerOf(t, client, func(o *cache.Options) { o.MaxBuckets, o.Now, o.CompatRecords = 1, c.now, 0 })
	put(t, other, table, rec(240, "f", "h", 1))
	put(t, w, table, of(record.Open, 120, "f", 2), of(record.Open, 240, "f", 2))
	require.NoError(t, w.Audit(t.Context()))

	// A third agent makes a removed bucket again.
	put(t, w, table, of(record.Open, 300, "f", 2), of(record.Open, 300, "g", 2))
	c.at.Add(61)
	put(t, other, table, rec(360, "f", "h", 1))
	require.Equal(t, []int64{360}, startsOf(t, client, table))
	put(t, writerOf(t, client, nil), table, asAgent(rec(300, "f", "h", 1), "late"), asAgent(rec(420, "f", "h", 1), "late"))
	put(t, w, table, of(record.Open, 300, "f", 3))
	require.NoError(t, w.Audit(t.Context()))
	require.NoError(t, w.Close(patience))
}

// An agent keeps fewer buckets than another one, or than it has itself now, and a third one writes a removed bucket again. So that
// bucket has a place in the index and lacks records of the second.
func TestABucketThatAnotherMaxBucketsHasRemovedIsNotLost(t *testing.T) {
	t.Parallel()
	for _, most := range []int{0, 5} {
		client, table := server(t), newTable()
		c := newClock(time.Now().Unix())
		w := keeping(t, client, func(o *cache.Options) {
			o.MaxBuckets, o.Now, o.CompatRecords = most, c.now, 0
			o.Restored = func(_, records int) { t.Errorf("nothing is lost: max_buckets %d, %d records", most, records) }
		})
		put(t, w, table, of(record.Open, 60, "f", 1), of(record.Open, 60, "g", 1))
		c.at.Add(61)
		few := writerOf(t, client, func(o *cache.Options) { o.MaxBuckets, o.Now, o.CompatRecords = 1, c.now, 0 })
		put(t, few, table, asAgent(rec(120, "f", "h", 1), "few"))
		require.Equal(t, []int64{120}, startsOf(t, client, table))
		put(t, writerOf(t, client, nil), table, asAgent(rec(60, "f", "h", 1), "late"))
		put(t, w, table, of(record.Open, 60, "f", 2))
		require.NoError(t, w.Audit(t.Context()))
		require.NoError(t, w.Close(patience))
	}
}

// Agents write the same buckets at the same time, in any order.
func TestNoLossIsNoticedIfNothingIsLost(t *testing.T) {
	t.Parallel()
	writes := 100
	if testing.Short() {
		writes = 40
	}
	eachVersion(t, func(t *testing.T, client redis.UniversalClient) {
		table := newTable()
		var agents sync.WaitGroup
		for n := range 3 {
			c := newClock(time.Now().Unix())
			w := keeping(t, client, func(o *cache.Options) {
				o.Now = c.now
				o.Restored = func(tables, records int) { t.Errorf("%d tables, %d records", tables, records) }
			})
			random := rand.New(rand.NewPCG(1, uint64(n)))
			agents.Go(func() {
				for i := range writes {
					c.at.Add(random.Int64N(30))
					var records []record.Record
					for range 1 + random.IntN(10) {
						start, field := int64(max(0, i/5-random.IntN(4)))*60, "f"+strconv.Itoa(random.IntN(5))
						r := of(record.Open, start, field, float64(i))
						if random.IntN(3) == 0 {
							r = finalAt(start, field, random.Int64N(4), float64(i))
						}
						records = append(records, asAgent(r, strconv.Itoa(n)))
					}
					if !assert.NoError(t, w.Put(t.Context(), table, records)) || i%10 == 0 && !assert.NoError(t, w.Audit(t.Context())) {
						return
					}
				}
			})
		}
		agents.Wait()
	})
}

// The records of a bucket are read before a write only if its revisions are in doubt.
func TestRecordsAreNotReadBeforeTheyAreWritten(t *testing.T) {
	t.Parallel()
	client := server(t)
	var trips, reads atomic.Int64
	client.AddHook(pipelines(func(commands []redis.Cmder, next func() error) error {
		trips.Add(1)
		reads.Add(int64(named(commands, "hgetall", "hvals", "hscan")))
		return next()
	}))
	open := func(agent string) *cache.Writer {
		w := keeping(t, client, withoutCompat)
		put(t, w, table, asAgent(rec(0, "f", "h", 1), agent)) // the first write cleans the index
		return w
	}
	w, other := open("a1"), open("a2")
	for name, writes := range map[string]func(start int64){
		"open, then final": func(start int64) {
			put(t, w, table, of(record.Open, start, "f", 1), of(record.Open, start, "g", 1))
			put(t, other, table, asAgent(of(record.Open, start, "f", 1), "a2"))
			put(t, w, table, finalAt(start, "f", 0, 2), finalAt(start, "g", 0, 2))
			put(t, w, table, finalAt(start, "f", 1, 3))
			put(t, other, table, asAgent(finalAt(start, "f", 0, 2), "a2"))
		},
		"only final": func(start int64) {
			put(t, w, table, finalAt(start, "f", 0, 2))
			put(t, other, table, asAgent(finalAt(start, "f", 0, 2), "a2"))
			put(t, w, table, finalAt(start, "g", 0, 2), finalAt(start, "f", 0, 2))
			put(t, other, table, asAgent(finalAt(start, "f", 1, 2), "a2"))
			put(t, other, table, asAgent(finalAt(start, "g", 1, 2), "a2"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			trips.Store(0)
			writes(map[bool]int64{true: 60, false: 120}[name == "only final"])
			require.Zero(t, reads.Load())
			require.LessOrEqual(t, trips.Load(), int64(5*3), "the revisions, the transaction, the list of tables")
		})
	}
}

// Redis answers no other client during a transaction.
func TestAHugeBatchIsWrittenInSeveralTransactions(t *testing.T) {
	t.Parallel()
	client := server(t)
	var sizes []int
	client.AddHook(pipelines(func(commands []redis.Cmder, next func() error) error {
		records := 0
		for _, c := range commands {
			if c.Name() == "hset" {
				records += (len(c.Args()) - 2) / 2
			}
		}
		if records > 0 {
			sizes = append(sizes, records/2) // each has a summary
		}
		return next()
	}))
	size, want := 20_000, []int{10_000, 10_000, 1}
	if testing.Short() {
		size, want = 11_000, []int{10_000, 1001}
	}
	var records []record.Record
	for i := range size {
		records = append(records, finalAt(int64(i%7)*60, "f"+strconv.Itoa(i), int64(i%2), 1))
	}
	records = append(records, finalAt(0, "f0", 0, 2), finalAt(60, "f1", 0, 2)) // the second is outdated, in another transaction
	w := keeping(t, client, func(o *cache.Options) { o.CompatRecords, o.RecentBytes = 0, 64<<20 })
	put(t, w, table, records...)
	require.Equal(t, want, sizes)
	require.Equal(t, int64(1), w.Outdated())
	require.Len(t, all(t, client, table, record.Range{}), size)
}

// Tables can come and go, as those of tenants.
func TestAWriterForgetsTablesAndNamesThatHaveExpired(t *testing.T) {
	t.Parallel()
	client, m := inProcess(t)
	c := newClock(time.Now().Unix())
	w := keeping(t, client, func(o *cache.Options) { o.Now = c.now })
	pass := func(d time.Duration) {
		c.at.Add(int64(d / time.Second))
		m.FastForward(d)
	}
	for i := range 20 {
		put(t, w, record.Table{Database: "db", Name: "analytics_" + strconv.Itoa(i)}, of(record.Open, 60, "f", 1))
		put(t, w, table, of(record.Open, 60, "old"+strconv.Itoa(i), 1))
	}
	tables, names := w.Remembered(table)
	require.Equal(t, []int{21, 21}, []int{tables, names})
	pass(40 * time.Minute)
	put(t, w, table, of(record.Open, 120, "f", 1))
	pass(40 * time.Minute)
	require.NoError(t, w.Audit(t.Context()))
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		require.NoError(c, w.Audit(t.Context()))
		tables, names = w.Remembered(table)
		require.Equal(c, []int{1, 2}, []int{tables, names})
	}, patience, 10*time.Millisecond)
	put(t, w, record.Table{Database: "db", Name: "analytics_3"}, of(record.Open, 60, "f", 1))
	require.ElementsMatch(t, []record.Table{table, {Database: "db", Name: "analytics_3"}}, tablesOf(t, client))
}

// The audit forgets the table between two writes of it.
func TestATableCanBeWrittenWhileItIsForgotten(t *testing.T) {
	t.Parallel()
	client, _ := inProcess(t)
	c := newClock(time.Now().Unix())
	w := keeping(t, client, func(o *cache.Options) { o.Now = c.now })
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 100 {
			assert.NoError(t, w.Put(t.Context(), table, []record.Record{of(record.Open, int64(i)*60, "f", 1)}))
			c.at.Add(3700)
		}
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
			assert.NoError(t, w.Audit(t.Context()))
		}
	}
	require.NoError(t, w.Close(patience))
}
