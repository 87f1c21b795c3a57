package cache_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// fillBuckets writes buckets of these sizes, a minute each, and returns their starts.
func fillBuckets(t testing.TB, client redis.UniversalClient, table record.Table, sizes ...int) (starts []time.Time) {
	t.Helper()
	w := cache.NewWriter(client, cache.Options{Retention: time.Hour})
	defer func() { require.NoError(t, w.Close(patience)) }()
	for b, size := range sizes {
		records := make([]record.Record, 0, size)
		for i := range size {
			records = append(records, rec(int64(b)*60, "f", fmt.Sprintf("host%06d", i), float64(b)))
		}
		put(t, w, table, records...)
		starts = append(starts, time.Unix(int64(b)*60, 0).UTC())
	}
	return starts
}

func TestRecordsOfALargeBucketComeInParts(t *testing.T) {
	t.Parallel()
	client, table := server(t), newTable()
	sizes := []int{3, 6000, 0, 700, 700, 2600, 700, 700, 700, 700, 3, 3, 5000, 3}
	starts := fillBuckets(t, client, table, sizes...)
	var order []time.Time
	found, parts := make(map[time.Time]map[string]bool), make(map[time.Time]int)
	require.NoError(t, cache.NewReader(client).Records(t.Context(), table, starts, 0, func(part record.Part) error {
		require.LessOrEqual(t, len(part.Texts), 2500)
		if found[part.Start] == nil {
			found[part.Start] = make(map[string]bool)
			order = append(order, part.Start)
		}
		parts[part.Start]++
		require.Equal(t, part.Last && parts[part.Start] == 1, part.Names == nil, "only the records of several parts have names")
		for i, text := range part.Texts {
			found[part.Start][text] = true
			if part.Names != nil {
				host := strings.TrimSuffix(strings.TrimPrefix(part.Names[i], "host="), "|f|a1")
				require.Contains(t, text, `"host":"`+host+`"`)
			}
		}
		return nil
	}))
	require.Equal(t, starts, order)
	for i, size := range sizes {
		require.Len(t, found[starts[i]], size, "bucket %d", i)
	}
	require.Greater(t, parts[starts[1]], 5)
	require.Greater(t, parts[starts[12]], 4)
}

func TestReadingFewRecordsDoesNotReadALargeBucket(t *testing.T) {
	t.Parallel()
	client, table := server(t), newTable()
	starts := fillBuckets(t, client, table, 20_000, 5)
	enough := errors.New("enough")
	for first, most := range map[int]int{0: 300, 1: 5} {
		read := 0
		err := cache.NewReader(client).Records(t.Context(), table, starts[first:], 1, func(part record.Part) error {
			read += len(part.Texts)
			return enough
		})
		require.ErrorIs(t, err, enough)
		require.LessOrEqual(t, read, most)
		require.Positive(t, read)
	}
}

// The first records show how large the others probably are.
func TestFewLargeRecordsAreReadAtATime(t *testing.T) {
	t.Parallel()
	client, table := server(t), newTable()
	w := cache.NewWriter(client, cache.Options{Retention: time.Hour})
	defer func() { require.NoError(t, w.Close(patience)) }()
	var starts []time.Time
	for b := range 100 {
		r := rec(int64(b)*60, "f", strings.Repeat("x", 100_000), 1)
		put(t, w, table, r)
		starts = append(starts, r.Start)
	}
	var reads []int
	client.AddHook(pipelines(func(commands []redis.Cmder, next func() error) error {
		if n := named(commands, "hvals", "hscan"); n > 0 {
			reads = append(reads, n)
		}
		return next()
	}))
	buckets := 0
	require.NoError(t, cache.NewReader(client).Records(t.Context(), table, starts, 0, func(part record.Part) error {
		buckets++
		require.Len(t, part.Texts, 1)
		return nil
	}))
	require.Equal(t, 100, buckets)
	require.Len(t, reads, 11, "%v", reads)
	require.Equal(t, 10, slices.Max(reads), "a megabyte at a time")
}

// The second reading of a table knows the size of its records.
func TestTheFirstReadingOfATableIsSmall(t *testing.T) {
	t.Parallel()
	client, table := server(t), newTable()
	starts := fillBuckets(t, client, table, 600, 600)
	reader := cache.NewReader(client)
	for _, want := range []int{125, 500} { // of each of the two buckets, by HSCAN, which returns a few more
		first := 0
		require.NoError(t, reader.Records(t.Context(), table, starts, 0, func(part record.Part) error {
			if first == 0 {
				first = len(part.Texts)
			}
			return nil
		}))
		require.InDelta(t, want, first, 100)
	}
}

// corrupted returns a table of two buckets that edit has damaged.
func corrupted(t *testing.T, client redis.UniversalClient, edit func(table record.Table)) record.Table {
	t.Helper()
	table := newTable()
	putOnce(t, client, table, rec(60, "f", "h", 1), rec(120, "f", "h", 1))
	edit(table)
	return table
}

func TestCorruptTablesAreErrorsOfTheirOwn(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, client redis.UniversalClient) {
		ctx, r := t.Context(), cache.NewReader(client)
		for want, edit := range map[string]func(record.Table){
			"its version in Redis is not an integer": func(t record.Table) { client.Set(ctx, cache.VersionKey(t), "abc", 0) },
			"a key in Redis has another type": func(t record.Table) {
				client.Del(ctx, cache.IndexKey(t))
				client.Set(ctx, cache.IndexKey(t), "x", 0)
			},
			"has the bucket 60 at a time that is not in the years": func(t record.Table) { client.ZAdd(ctx, cache.IndexKey(t), redis.Z{Score: math.Inf(1), Member: "60"}) },
			"has the bucket 120 at a time that is not":             func(t record.Table) { client.ZAdd(ctx, cache.IndexKey(t), redis.Z{Score: math.Inf(-1), Member: "120"}) },
			"has the bucket 253402300800 at a time that is not": func(t record.Table) {
				client.ZAdd(ctx, cache.IndexKey(t), redis.Z{Score: 253402300800, Member: "253402300800"})
			},
			"in another order": func(t record.Table) { client.ZAdd(ctx, cache.IndexKey(t), redis.Z{Score: 500, Member: "60"}) },
		} {
			table := corrupted(t, client, edit)
			var corrupt *record.Corrupt
			_, _, err := r.Index(ctx, table, record.Range{})
			require.ErrorAs(t, err, &corrupt, want)
			require.ErrorContains(t, err, want)
			require.Equal(t, table, corrupt.Table)
			if want == "in another order" {
				continue // Info reads the ends of the index only
			}
			_, err = r.Info(ctx, table)
			require.ErrorAs(t, err, &corrupt, want)
			require.ErrorContains(t, err, want)
		}
		table := corrupted(t, client, func(t record.Table) {
			client.Del(ctx, cache.BucketKey(t, "60"))
			client.Set(ctx, cache.BucketKey(t, "60"), "x", 0)
		})
		var corrupt *record.Corrupt
		starts := []time.Time{time.Unix(60, 0), time.Unix(120, 0)}
		require.ErrorAs(t, r.Records(ctx, table, starts, 0, func(record.Part) error { return nil }), &corrupt)
	})
}

func TestTimeOfTheLastWriteThatIsNoTimeIsZero(t *testing.T) {
	t.Parallel()
	client, _ := inProcess(t)
	for i, score := range []float64{math.Inf(1), math.Inf(-1), 1e18, -1e18, 253402300800000} {
		name := fmt.Sprint("analytics_", i)
		require.NoError(t, client.ZAdd(t.Context(), cache.CatalogueKey, redis.Z{Score: score, Member: "db:" + name}, redis.Z{Score: -score, Member: ":db:" + name}).Err())
	}
	require.NoError(t, client.ZAdd(t.Context(), cache.CatalogueKey, redis.Z{Score: 5000, Member: "db:analytics_good"}, redis.Z{Score: -1000, Member: ":db:analytics_good"}).Err())
	entries, err := cache.NewReader(client).Tables(t.Context())
	require.NoError(t, err)
	require.Len(t, entries, 6)
	require.Equal(t, record.TableEntry{Table: record.Table{Database: "db", Name: "analytics_good"}, LastWrite: time.UnixMilli(1000).UTC()}, entries[0])
	for _, e := range entries[1:] {
		require.Zero(t, e.LastWrite)
	}
}

func TestSummariesOfAKeyOfAnotherTypeAreCorrupt(t *testing.T) {
	t.Parallel()
	client, _ := inProcess(t)
	table := corrupted(t, client, func(table record.Table) {
		client.Del(t.Context(), cache.SummaryKey(table, "60"))
		client.Set(t.Context(), cache.SummaryKey(table, "60"), "x", 0)
	})
	var corrupt *record.Corrupt
	err := cache.NewReader(client).Summaries(t.Context(), table, []time.Time{time.Unix(60, 0)}, func(record.Summaries) error { return nil })
	require.ErrorAs(t, err, &corrupt)
	require.Equal(t, table, corrupt.Table)
}

// A reading of a table that has not changed since the last one needs no HSCAN, which is more expensive than HVALS.
func TestSizesOfAnUnchangedTableAreKnown(t *testing.T) {
	t.Parallel()
	client, table := server(t), newTable()
	starts := fillBuckets(t, client, table, 3, 4, 5)
	reader, now := cache.NewReader(client), time.Now()
	reader.SetClock(func() time.Time { return now })
	scans, values := 0, 0
	client.AddHook(pipelines(func(commands []redis.Cmder, next func() error) error {
		scans, values = scans+named(commands, "hscan"), values+named(commands, "hvals")
		return next()
	}))
	read := func(starts []time.Time, want, wantScans, wantValues int) {
		t.Helper()
		scans, values = 0, 0
		records := 0
		require.NoError(t, reader.Records(t.Context(), table, starts, 0, func(part record.Part) error {
			records += len(part.Texts)
			return nil
		}))
		require.Equal(t, []int{want, wantScans, wantValues}, []int{records, scans, values})
	}
	version := func() {
		t.Helper()
		now = now.Add(time.Millisecond)
		_, err := reader.Version(t.Context(), table)
		require.NoError(t, err)
	}
	read(starts, 12, 2, 1) // the first round trip reads two buckets
	version()
	read(starts, 12, 3, 0) // the first reading did not know the version
	version()
	read(starts, 12, 0, 3)
	read(starts[:1], 3, 0, 1)
	read(starts[1:], 9, 2, 0) // other buckets
	read(starts[1:], 9, 0, 2)

	putOnce(t, client, table, rec(60, "f", "another", 1))
	version()
	read(starts[1:], 10, 2, 0)
	now = now.Add(time.Millisecond)
	_, _, err := reader.Index(t.Context(), table, record.Range{})
	require.NoError(t, err)
	read(starts[1:], 10, 0, 2)
	now = now.Add(60 * time.Millisecond) // the version may be another one by now
	read(starts[1:], 10, 2, 0)
}
