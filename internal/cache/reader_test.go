package cache_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
)

func TestRecordsReadBackByBucket(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, client redis.UniversalClient) {
		table := newTable()
		var records []record.Record
		for b := range 250 {
			for f := range 3 {
				records = append(records, rec(int64(b)*10-500, fmt.Sprintf("f%d", f), "h", float64(b)))
			}
		}
		put(t, writerOf(t, client, nil), table, records...)
		want := jsonOf(records...)
		at := func(seconds int64) time.Time { return time.Unix(seconds, 0) }
		require.Equal(t, want, all(t, client, table, record.Range{}))
		require.Equal(t, want[len(want)-6:], all(t, client, table, record.Range{Last: 2}))
		require.Equal(t, want[:3], all(t, client, table, record.Range{End: at(-490)}))
		require.Equal(t, want[150:156], all(t, client, table, record.Range{Start: at(0), End: at(20)}))
		require.Equal(t, want[153:156], all(t, client, table, record.Range{Start: at(0), End: at(20), Last: 1}))
		require.Equal(t, want[:6], all(t, client, table, record.Range{First: 2}))
		require.Equal(t, want[153:159], all(t, client, table, record.Range{Start: at(10), First: 2}))
		require.Equal(t, want[153:156], all(t, client, table, record.Range{Start: at(10), End: at(20), First: 5}))
		require.Empty(t, all(t, client, table, record.Range{Start: at(10), End: at(10)}))
		require.Empty(t, all(t, client, newTable(), record.Range{}))
	})
}

// members counts the members of sorted sets that are read.
type members struct{ n int }

func (*members) DialHook(next redis.DialHook) redis.DialHook { return next }
func (*members) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (m *members) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if read, ok := cmd.(*redis.StringSliceCmd); ok {
			m.n += len(read.Val())
		}
		return err
	}
}

// The end of a range has the score of a bucket that is not in the range, and a start that is a nanosecond later too.
func TestAFewBucketsAtTheEdgeOfARangeDoNotReadTheWholeIndex(t *testing.T) {
	t.Parallel()
	client, server := inProcess(t)
	table := newTable()
	var records []record.Record
	for b := range 1000 {
		records = append(records, rec(int64(b)*10, "f", "h", 1))
	}
	put(t, writerOf(t, client, withoutCompat), table, records...)
	var read members
	reading := redistest.Open(t, server.Addr()) // a client of its own, as the writer also reads
	reading.AddHook(&read)
	reader := cache.NewReader(reading)
	for want, span := range map[string]record.Range{
		"4970 4980 4990": {End: time.Unix(5000, 0), Last: 3},
		"5010 5020 5030": {Start: time.Unix(5000, 1), First: 3},
		"9970 9980 9990": {Last: 3},
		"0 10":           {End: time.Unix(20, 0), Last: 3},
	} {
		read.n = 0
		starts, err := reader.Buckets(t.Context(), table, span)
		require.NoError(t, err)
		var got []string
		for _, start := range starts {
			got = append(got, strconv.FormatInt(start.Unix(), 10))
		}
		require.Equal(t, want, strings.Join(got, " "))
		require.LessOrEqual(t, read.n, 9)
	}
}

func TestRecordsEndWithTheErrorOfYield(t *testing.T) {
	t.Parallel()
	client, _ := inProcess(t)
	put(t, writerOf(t, client, nil), table, rec(60, "f", "h", 1), rec(120, "f", "h", 1))
	enough := errors.New("enough")
	calls := 0
	err := cache.NewReader(client).Records(t.Context(), table, []time.Time{time.Unix(60, 0), time.Unix(120, 0)}, 0, func(record.Part) error {
		calls++
		return enough
	})
	require.ErrorIs(t, err, enough)
	require.Equal(t, 1, calls)
}

func TestInfoAndCatalogueDescribeTheTables(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, client redis.UniversalClient) {
		w, r := writerOf(t, client, nil), cache.NewReader(client)
		table := newTable()
		awkward := record.Table{Database: "my:" + table.Database, Name: "analytics_|ü, 😀=%"}
		put(t, w, table, rec(120, "g", "h", 1), rec(60, "f", "h", 1))
		put(t, w, awkward, rec(60, "f", "h", 1))
		info, err := r.Info(t.Context(), table)
		require.NoError(t, err)
		require.Positive(t, info.Version)
		info.Version = 1
		require.Equal(t, record.TableInfo{Fields: []string{"f", "g"}, TagKeys: []string{"host"}, First: time.Unix(60, 0).UTC(), Last: time.Unix(120, 0).UTC(), Version: 1}, info)
		require.NoError(t, client.ZAdd(t.Context(), cache.CatalogueKey, redis.Z{Score: 1, Member: "no table%"}, redis.Z{Score: 2, Member: "db:a/b"}).Err())
		entries, err := r.Tables(t.Context())
		require.NoError(t, err, "members that cannot be tables are skipped")
		found := 0
		for _, e := range entries {
			if e.Table == table || e.Table == awkward {
				require.WithinDuration(t, time.Now(), e.LastWrite, time.Minute)
				found++
			}
		}
		require.Equal(t, 2, found)
		require.Len(t, all(t, client, awkward, record.Range{}), 1)

		none, err := r.Info(t.Context(), record.Table{Database: "no", Name: "table"})
		require.NoError(t, err)
		require.Zero(t, none)
	})
}

// Other programs may add members to a table's sets.
func TestMembersOfTheIndexThatAreNotStartsAreSkipped(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, client redis.UniversalClient) {
		table, c := newTable(), newClock(time.Now().Unix())
		w, r := writerOf(t, client, func(o *cache.Options) { o.MaxBuckets, o.Now = 3, c.now }), cache.NewReader(client)
		foreign := []redis.Z{{Score: -1e12, Member: "garbage"}, {Score: 250, Member: "250.0"}, {Score: 1e12, Member: ""}, {Score: 2e12, Member: "later"}}
		for _, key := range []string{cache.IndexKey(table), cache.ExpiryKey(table)} {
			require.NoError(t, client.ZAdd(t.Context(), key, foreign...).Err())
		}
		require.NoError(t, client.HSet(t.Context(), cache.BucketKey(table, "garbage"), "f", "{}").Err())
		info, err := r.Info(t.Context(), table)
		require.NoError(t, err)
		require.Zero(t, info, "there is no bucket yet")
		var want []string
		for _, start := range []int64{100, 200, 300, 400} {
			c.at.Add(61)
			put(t, w, table, rec(start, "f", "h", 1))
			want = append(want, jsonOf(rec(start, "f", "h", 1))...)
		}
		require.Equal(t, want[1:], all(t, client, table, record.Range{}), "MaxBuckets counts buckets only")
		require.Equal(t, want[2:], all(t, client, table, record.Range{Last: 2}))
		require.Equal(t, want[1:], all(t, client, table, record.Range{Last: 9}))
		require.Equal(t, want[1:3], all(t, client, table, record.Range{Start: time.Unix(200, 0), End: time.Unix(400, 0)}))
		info, err = r.Info(t.Context(), table)
		require.NoError(t, err)
		require.Equal(t, []time.Time{time.Unix(200, 0).UTC(), time.Unix(400, 0).UTC()}, []time.Time{info.First, info.Last})
		require.NoError(t, w.Close(patience))
		require.Len(t, compat(t, client, table), 3)
	})
}

// Info lists tag keys as they are in the JSON of records, because queries use these.
func TestTagKeysAreThoseOfTheRecords(t *testing.T) {
	t.Parallel()
	client := server(t)
	r := rec(60, "f", "h", 1)
	r.Tags = []series.Tag{{Key: "agent", Value: "x"}, {Key: "host", Value: "h"}}
	put(t, writerOf(t, client, nil), table, r)
	info, err := cache.NewReader(client).Info(t.Context(), table)
	require.NoError(t, err)
	require.Equal(t, []string{"agent_tag", "host"}, info.TagKeys)
	require.Contains(t, all(t, client, table, record.Range{})[0], `"agent":"a1","agent_tag":"x","host":"h"`)
}
