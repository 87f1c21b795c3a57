package cache_test

import (
	"cmp"
	"errors"
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
	"github.com/telegraf-describe/telegraf-describe/internal/series"
)

// summaries reads the summaries of buckets, each sorted.
func summaries(t *testing.T, client redis.UniversalClient, table record.Table, starts ...int64) (all []record.Summaries) {
	t.Helper()
	var times []time.Time
	for _, start := range starts {
		times = append(times, time.Unix(start, 0).UTC())
	}
	require.NoError(t, cache.NewReader(client).Summaries(t.Context(), table, times, func(s record.Summaries) error {
		slices.SortFunc(s.Parts, func(a, b record.SummaryPart) int {
			return cmp.Or(strings.Compare(a.Tags, b.Tags), strings.Compare(a.Field, b.Field), strings.Compare(a.Agent, b.Agent), strings.Compare(a.Replica, b.Replica))
		})
		all = append(all, s)
		return nil
	}))
	return all
}

// joined returns whole buckets.
func joined(all []record.Summaries) (whole []record.Summaries) {
	for i, s := range all {
		if i == 0 || all[i-1].Last {
			whole = append(whole, s)
			continue
		}
		b := &whole[len(whole)-1]
		b.Parts, b.Invalid, b.Last = append(b.Parts, s.Parts...), b.Invalid+s.Invalid, s.Last
	}
	return whole
}

func TestSummariesComeWithWhatIdentifiesTheirRecords(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, client redis.UniversalClient) {
		table := newTable()
		a := rec(0, "f|%", "h,=", 1)
		a.Summary, a.State, a.Agent = []byte{0, 1, '"'}, record.Final, "a|b"
		b := rec(0, "g", "h", 1)
		b.State, b.Replica, b.Tags = record.Open, "r|", nil
		c := rec(60, "g", "h", 1)
		put(t, writerOf(t, client, nil), table, a, b, c)
		require.NoError(t, client.HSet(t.Context(), cache.BucketKey(table, "60"), "garbage", "{}", "x|%zz|a", "{}").Err())
		want := []record.Summaries{
			{Start: time.Unix(60, 0).UTC(), Parts: []record.SummaryPart{{Tags: "host=h", Field: "g", Agent: "a1", Summary: []byte{}}}, Invalid: 2, Last: true},
			{Start: time.Unix(7, 0).UTC(), Parts: []record.SummaryPart{}, Last: true},
			{Start: time.Unix(0, 0).UTC(), Parts: []record.SummaryPart{
				{Tags: "host=h%2C%3D", Field: "f|%", Agent: "a|b", State: record.Final, Summary: []byte{0, 1, '"'}},
				{Field: "g", Agent: "a1", Replica: "r|", State: record.Open, Summary: []byte{}},
			}, Last: true},
		}
		got := joined(summaries(t, client, table, 60, 7, 0))
		for _, b := range got {
			slices.SortFunc(b.Parts, func(a, b record.SummaryPart) int { return strings.Compare(a.Field, b.Field) })
		}
		require.Equal(t, want, got)
		stop := errors.New("stop")
		require.ErrorIs(t, cache.NewReader(client).Summaries(t.Context(), table, []time.Time{a.Start}, func(record.Summaries) error { return stop }), stop)
	})
}

// Small buckets are read together, and a large one in parts.
func TestSummariesOfBucketsOfAnySizeAreRead(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, client redis.UniversalClient) {
		table := newTable()
		w := writerOf(t, client, withoutCompat)
		sizes := map[int64]int{0: 3000, 60: 1, 120: 1300, 180: 1300, 240: 5}
		for start, n := range sizes {
			records := make([]record.Record, n)
			for i := range records {
				records[i] = rec(start, fmt.Sprint("f", i), "h", 1)
				records[i].Summary = fmt.Appendf(nil, "%d/%d", start, i)
			}
			put(t, w, table, records...)
		}
		require.NoError(t, client.HSet(t.Context(), cache.BucketKey(table, "0"), "garbage", "{}").Err())
		all := summaries(t, client, table, 0, 60, 120, 180, 240)
		if !strings.HasSuffix(t.Name(), "in_process") { // whose HSCAN returns everything
			require.Greater(t, len(all), 5, "the large bucket comes in several parts")
		}
		got := joined(all)
		require.Len(t, got, 5)
		for i, s := range got {
			require.Len(t, s.Parts, sizes[int64(i)*60])
			require.Equal(t, map[bool]int{true: 1}[i == 0], s.Invalid)
			for _, p := range s.Parts {
				if want := strconv.Itoa(i*60) + "/" + strings.TrimPrefix(p.Field, "f"); want != string(p.Summary) {
					require.Equal(t, want, string(p.Summary))
				}
			}
		}
	})
}

// The first summaries show how large the others probably are, in many small buckets and in a large one. The second reading knows it.
func TestFewLargeSummariesAreReadAtATime(t *testing.T) {
	t.Parallel()
	client := server(t)
	trips := []int{0} // how many hashes of summaries were read in each
	client.AddHook(pipelines(func(commands []redis.Cmder, next func() error) error {
		if n := named(commands, "hgetall"); n > 0 {
			trips = append(trips, n/2)
		}
		return next()
	}))
	const summary = 50_000 // bytes, so that 20 of them are about a megabyte
	for what, width := range map[string]int64{"many buckets": 60, "a large bucket": 0} {
		table := newTable()
		var records []record.Record
		var starts []time.Time
		for i := range int64(200) {
			r := rec(i*width, fmt.Sprint("f", i), "h", 1)
			r.Summary = make([]byte, summary)
			records = append(records, r)
			if i == 0 || width > 0 {
				starts = append(starts, r.Start)
			}
		}
		put(t, writerOf(t, client, withoutCompat), table, records...)
		reader := cache.NewReader(client)
		for _, first := range []int{1, 20} {
			trips = trips[:1]
			var parts []int
			require.NoError(t, reader.Summaries(t.Context(), table, starts, func(b record.Summaries) error {
				parts = append(parts, len(b.Parts))
				return nil
			}))
			if width > 0 {
				parts = trips[1:]
			}
			require.InDelta(t, first, parts[0], float64(first/4), what)
			require.LessOrEqual(t, slices.Max(parts[1:]), 25, what)
			// HSCAN returns 20 or more, and those beyond 20 are a part of their own. The first reading has up to two parts more.
			require.LessOrEqual(t, len(parts), 2*200/20+2, "%s: %v", what, parts)
		}
	}
}

// BenchmarkSummaries reads 24,000 summaries of 480 buckets.
func BenchmarkSummaries(b *testing.B) {
	client := server(b)
	table := newTable()
	w := writerOf(b, client, nil)
	var starts []time.Time
	for bucket := range int64(480) {
		records := make([]record.Record, 50)
		for i := range records {
			records[i] = rec(bucket*60, fmt.Sprint("f", i%5), fmt.Sprint("h", i/5), 1)
			records[i].Summary = make([]byte, 180)
			records[i].Tags = append(records[i].Tags, series.Tag{Key: "region", Value: "eu"})
		}
		put(b, w, table, records...)
		starts = append(starts, time.Unix(bucket*60, 0))
	}
	for b.Loop() {
		n := 0
		if err := cache.NewReader(client).Summaries(b.Context(), table, starts, func(s record.Summaries) error {
			n += len(s.Parts)
			return nil
		}); err != nil || n != 24_000 {
			b.Fatalf("%d summaries, error %v", n, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/24_000, "ns/summary")
}
