package cache_test

import (
	"fmt"
	"slices"
	"strconv"
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

func TestWritingAgainReplacesARecordOfTheSameAgentOnly(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, client redis.UniversalClient) {
		w, table := writerOf(t, client, nil), newTable()
		first, second, other := rec(60, "f", "h", 1), rec(60, "f", "h", 2), rec(60, "f", "h", 3)
		other.Agent = "a2"
		versions := []int64{0}
		for _, r := range []record.Record{first, other, second, second} {
			put(t, w, table, r)
			version, _, err := cache.NewReader(client).Index(t.Context(), table, record.Range{})
			require.NoError(t, err)
			require.Greater(t, version, slices.Max(versions), "each write increases the version")
			versions = append(versions, version)
		}
		require.Equal(t, jsonOf(second, other), all(t, client, table, record.Range{}))
	})
}

// revised returns a record with the given revision.
func revised(revision int64, value float64) record.Record {
	r := rec(60, "f", "h", value)
	r.State, r.HasRevision, r.Revision = record.Final, true, revision
	return r
}

func TestAnOlderRevisionNeverReplacesANewerOne(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, client redis.UniversalClient) {
		w, table := writerOf(t, client, nil), newTable()
		other := revised(0, 7)
		other.Field = "g"
		for _, step := range []struct {
			name     string
			records  []record.Record
			want     record.Record
			outdated int64
		}{
			{"the first revision", []record.Record{revised(0, 1)}, revised(0, 1), 0},
			{"the same again", []record.Record{revised(0, 2)}, revised(0, 2), 0},
			{"a newer one", []record.Record{revised(1, 3)}, revised(1, 3), 0},
			{"an older one", []record.Record{revised(0, 2)}, revised(1, 3), 1},
			{"the same again", []record.Record{revised(1, 3)}, revised(1, 3), 1},
			{"two in one batch", []record.Record{revised(3, 5), revised(2, 4)}, revised(3, 5), 2},
			{"two in one batch, in order", []record.Record{revised(4, 6), revised(5, 7)}, revised(5, 7), 2},
			{"an older one beside another field", []record.Record{revised(4, 6), other}, revised(5, 7), 3},
		} {
			put(t, w, table, step.records...)
			got := all(t, client, table, record.Range{})
			require.Equal(t, jsonOf(step.want), got[:1], step.name)
			require.Equal(t, step.outdated, w.Outdated(), step.name)
		}
		require.Len(t, all(t, client, table, record.Range{}), 2)

		restarted := writerOf(t, client, nil)
		put(t, restarted, table, revised(4, 6))
		require.Equal(t, jsonOf(revised(5, 7), other), all(t, client, table, record.Range{}), "another writer reads the revisions too")
		require.Equal(t, int64(1), restarted.Outdated())
		unknown := rec(60, "f", "h", 8)
		put(t, w, table, unknown)
		require.Equal(t, jsonOf(unknown, other), all(t, client, table, record.Range{}), "a record without a revision cannot be compared")
	})
}

func TestARevisionBelongsToItsBucketAndAgent(t *testing.T) {
	t.Parallel()
	client := server(t)
	w := writerOf(t, client, nil)
	put(t, w, table, revised(2, 1))
	later, other := revised(0, 2), revised(1, 3)
	later.Start = time.Unix(120, 0).UTC()
	other.Agent = "a2"
	put(t, w, table, later, other)
	require.Equal(t, jsonOf(revised(2, 1), other, later), all(t, client, table, record.Range{}))
	require.Zero(t, w.Outdated())
}

func TestEveryKeyOfATableExpiresAndSharesASlot(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, client redis.UniversalClient) {
		spaced := newTable()
		spaced.Name = "analytics_with space,and=comma|pipe"
		for _, table := range []record.Table{newTable(), spaced} {
			everyKeyExpiresAndSharesASlot(t, client, table)
		}
	})
}

func everyKeyExpiresAndSharesASlot(t *testing.T, client redis.UniversalClient, table record.Table) {
	t.Helper()
	w := writerOf(t, client, nil)
	put(t, w, table, revised(1, 1))
	require.NoError(t, w.Close(patience))
	keys := keysOf(table, "60")
	slots := make(map[int64]bool)
	for _, key := range append(keys, cache.CatalogueKey) {
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
}

// A record without a summary replaces the summary of its predecessor by an empty one, so no summary is older than its
// record.
func TestASummaryIsWrittenWithEveryRecord(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, client redis.UniversalClient) {
		w, table := writerOf(t, client, nil), newTable()
		with, without := rec(60, "f", "h", 1), rec(60, "g", "h", 1)
		with.Summary = []byte("summary\xff")
		put(t, w, table, with, without)
		key := cache.SummaryKey(table, "60")
		require.Equal(t, map[string]string{cache.HashField(with): "summary\xff", cache.HashField(without): ""}, client.HGetAll(t.Context(), key).Val())
		with.Summary = nil
		put(t, w, table, with)
		require.Equal(t, map[string]string{cache.HashField(with): "", cache.HashField(without): ""}, client.HGetAll(t.Context(), key).Val())
	})
}

func TestABatchOfManySeriesFieldsAndBucketsIsStoredWhole(t *testing.T) {
	t.Parallel()
	client := server(t)
	var records []record.Record
	for i := range 2400 {
		r := rec(int64(i%3)*60, fmt.Sprint("f", i/3%4), fmt.Sprint("h", i/12), float64(i))
		if i%5 == 0 {
			r.Tags = nil
			r.Field += strconv.Itoa(i)
		}
		records = append(records, r)
	}
	put(t, writerOf(t, client, nil), table, records...)
	want := jsonOf(records...)
	got := all(t, client, table, record.Range{})
	slices.Sort(want)
	slices.Sort(got)
	require.Equal(t, want, got)
	require.Equal(t, int64(800), client.HLen(t.Context(), cache.SummaryKey(table, "60")).Val())
}

func TestAWritePublishesTheStartsOfItsBuckets(t *testing.T) {
	t.Parallel()
	client, _ := inProcess(t)
	sub := client.Subscribe(t.Context(), cache.ChannelName(table))
	defer sub.Close()
	_, err := sub.Receive(t.Context())
	require.NoError(t, err)
	put(t, writerOf(t, client, nil), table, rec(60, "f", "h", 1), rec(120, "f", "h", 1), rec(60, "g", "h", 1))
	m, err := sub.ReceiveMessage(t.Context())
	require.NoError(t, err)
	require.Equal(t, "120 60", m.Payload)
}

func TestExpiredBucketsLeaveTheIndex(t *testing.T) {
	t.Parallel()
	client, m := inProcess(t)
	c := newClock(1_800_000_000)
	w, r := writerOf(t, client, func(o *cache.Options) { o.Now, o.CompatRecords = c.now, 0 }), cache.NewReader(client)
	pass := func(d time.Duration) {
		c.at.Add(int64(d / time.Second))
		m.FastForward(d)
	}
	put(t, w, table, rec(60, "old", "h", 1), rec(120, "f", "h", 1))
	pass(40 * time.Minute)
	put(t, w, table, rec(120, "f", "h", 2))
	pass(40 * time.Minute)
	require.Len(t, all(t, client, table, record.Range{}), 1, "a reader tolerates the expired bucket")
	put(t, w, table, rec(180, "f", "h", 3))
	require.Equal(t, []int64{120, 180}, startsOf(t, client, table))
	info, err := r.Info(t.Context(), table)
	require.NoError(t, err)
	require.Equal(t, []string{"f"}, info.Fields)

	pass(2 * time.Hour)
	put(t, w, record.Table{Database: "db", Name: "analytics_mem"}, rec(1, "f", "h", 1))
	entries, err := r.Tables(t.Context())
	require.NoError(t, err)
	require.Len(t, entries, 1, "tables leave the catalogue too")
}

func TestABucketThatIsWrittenWhileItIsCleanedStaysInTheIndex(t *testing.T) {
	t.Parallel()
	client := server(t)
	w := writerOf(t, client, withoutCompat)
	put(t, w, table, rec(60, "f", "h", 1))
	// Another agent found the bucket expired, and removed it just after this agent had written it.
	require.NoError(t, client.ZRem(t.Context(), cache.IndexKey(table), "60").Err())
	require.NoError(t, client.ZRem(t.Context(), cache.ExpiryKey(table), "60").Err())
	require.NoError(t, w.Restore(t.Context(), table, []string{"60", "120"}))
	require.Equal(t, []int64{60}, startsOf(t, client, table))
}

func TestMaxBucketsKeepsTheNewestByEventTime(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, client redis.UniversalClient) {
		table, c := newTable(), newClock(time.Now().Unix())
		w := writerOf(t, client, func(o *cache.Options) { o.MaxBuckets, o.Now = 3, c.now })
		for _, start := range []int64{500, 100, 300, 200, 400} {
			c.at.Add(61)
			r := revised(1, 1)
			r.Start = time.Unix(start, 0)
			put(t, w, table, r)
		}
		require.Equal(t, []int64{300, 400, 500}, startsOf(t, client, table))
		for _, key := range []string{cache.BucketKey(table, "100"), cache.SummaryKey(table, "100"), cache.RevisionKey(table, "100")} {
			require.Zero(t, client.Exists(t.Context(), key).Val(), key)
		}
	})
}

// The clock of one device is a year ahead.
func TestBucketsInTheFutureDoNotRemoveThoseThatHaveBegun(t *testing.T) {
	t.Parallel()
	client := server(t)
	now := time.Now().Unix() / 60 * 60
	c := newClock(now)
	w := writerOf(t, client, func(o *cache.Options) { o.MaxBuckets, o.CompatRecords, o.Now = 3, 4, c.now })
	const year = 365 * 86400
	for i := range int64(5) {
		c.at.Add(61)
		put(t, w, table, rec(now+i*60, "f", "good", 1), rec(now+year+i*60, "f", "fast", 9))
	}
	want := []int64{now + 120, now + 180, now + 240, now + year + 120, now + year + 180, now + year + 240}
	require.Equal(t, want, startsOf(t, client, table))
	require.NoError(t, w.Close(patience))
	var hosts []any
	for _, r := range compat(t, client, table) {
		hosts = append(hosts, r["host"])
	}
	require.Equal(t, []any{"good", "good", "good", "fast"}, hosts, "records of the future only take places that are left")
}

func TestPutRefusesTablesThatCannotBeStored(t *testing.T) {
	t.Parallel()
	client, _ := inProcess(t)
	w := writerOf(t, client, nil)
	records := []record.Record{rec(0, "f", "h", 1)}
	require.NoError(t, w.Put(t.Context(), table, nil))
	require.ErrorContains(t, w.Put(t.Context(), record.Table{Database: "", Name: "t"}, records), `database name "": want a name`)
	require.ErrorContains(t, w.Put(t.Context(), record.Table{Database: "analytics", Name: "tables"}, records), "is the list of all tables")
	require.EqualError(t, cache.NewWriter(client, cache.Options{}).Put(t.Context(), table, records), "retention 0s, want 1s or more")
	require.Empty(t, all(t, client, table, record.Range{}))
}

func TestACatalogueOfAnotherTypeIsReported(t *testing.T) {
	t.Parallel()
	client := server(t)
	var reported []error
	w := writerOf(t, client, func(o *cache.Options) {
		o.CompatRecords = 0
		o.Report = func(err error) { reported = append(reported, err) }
	})
	require.NoError(t, client.Set(t.Context(), cache.CatalogueKey, "no sorted set", 0).Err())
	put(t, w, table, rec(60, "f", "h", 1))
	require.Len(t, all(t, client, table, record.Range{}), 1)
	require.Len(t, reported, 1)
	require.ErrorContains(t, reported[0], `adding db:analytics_cpu to the list of all tables, "analytics:tables": WRONGTYPE`)
	require.NoError(t, client.Del(t.Context(), cache.CatalogueKey).Err())
	put(t, w, table, rec(60, "f", "h", 1))
	entries, err := cache.NewReader(client).Tables(t.Context())
	require.NoError(t, err)
	require.Len(t, entries, 1, "each write tries again")
}

// Redis answers EXEC with EXECABORT if it refused a command of the transaction.
func TestPutReturnsTheAnswerToTheCommandThatRedisRefused(t *testing.T) {
	t.Parallel()
	full := redistest.Start(t, redisserver.Options{Args: []string{"--maxmemory", "1"}})
	err := cache.NewWriter(redistest.Client(t, full), cache.Options{Retention: time.Hour}).Put(t.Context(), table, []record.Record{rec(60, "f", "h", 1)})
	require.ErrorContains(t, err, "OOM command not allowed")
	require.NoError(t, redistest.Client(t, full).ReplicaOf(t.Context(), "127.0.0.1", "1").Err())
	err = cache.NewWriter(redistest.Client(t, full), cache.Options{Retention: time.Hour}).Put(t.Context(), table, []record.Record{rec(60, "f", "h", 1)})
	require.ErrorContains(t, err, "READONLY You can't write against a read only replica")
	client := user(t, strings.ReplaceAll(writerACL, "+hset", ""))
	err = cache.NewWriter(client, cache.Options{Retention: time.Hour}).Put(t.Context(), table, []record.Record{rec(60, "f", "h", 1)})
	require.ErrorContains(t, err, "NOPERM")
	require.ErrorContains(t, err, "'hset'")
	client = user(t, strings.ReplaceAll(writerACL, "+exec", ""))
	err = cache.NewWriter(client, cache.Options{Retention: time.Hour}).Put(t.Context(), table, []record.Record{rec(60, "f", "h", 1)})
	require.ErrorContains(t, err, "NOPERM")
	require.ErrorContains(t, err, "'exec'")
	require.NotContains(t, err.Error(), "EXECABORT")
	require.True(t, cache.IsAnswer(err))
}
