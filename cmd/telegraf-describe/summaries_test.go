package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/golden"
	"github.com/telegraf-describe/telegraf-describe/internal/influxtest"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// The cache has the summary of each record. Merging the summaries of all series gives the quantiles of the values of all
// series. Outputs with fieldexclude = ["summary"] do not get them.
func TestCachedSummariesMerge(t *testing.T) {
	t.Parallel()
	input := goldenLines(t, "solar_plant1_plus4h")
	for mode, accuracy := range map[string]string{"full": "exact", "compact": "auto"} {
		t.Run(mode, func(t *testing.T) {
			server := redistest.Database(t)
			influxdb := influxtest.New(t, influxtest.Options{Token: "secret"})
			runOnce(t, describedWith(input, fmt.Sprintf("  bucket = \"1d\"\n  accuracy = %q\n  emit_summary = %q\n", accuracy, mode),
				redisOutput(server, "db")+influxOutput(influxdb.URL)+"  fieldexclude = [\"summary\"]\n"))

			require.Empty(t, influxdb.Refused())
			for _, row := range influxdb.Rows("db", "analytics_solar") {
				require.NotContains(t, row.Fields, "summary")
			}
			merged := mergedByDay(t, redistest.Open(t, server))
			days := golden.ReadTable(t, "solar_plant1_plus4h", "1d").Records
			require.Len(t, merged, len(days))
			for _, want := range days {
				got := merged[fmt.Sprint(want.Start/int64(time.Second), " ", want.Field)]
				require.NotNil(t, got, "%+v", want)
				checkMerged(t, want, got)
				require.True(t, mode == "compact" || got.Exact())
			}
		})
	}
}

func checkMerged(t *testing.T, want golden.Record, got *stats.Summary) {
	t.Helper()
	require.EqualValues(t, want.Count, got.Count())
	within := func(what string, want, got, relative float64) {
		require.InDelta(t, want, got, relative*want+1e-9, what)
	}
	p95, err := stats.ParsePercentile("95")
	require.NoError(t, err)
	bound := got.MaxError() + 1e-12
	within("mean", want.Mean, got.Mean(), 1e-12)
	within("median", want.Median, got.Median(stats.Linear), bound)
	within("p95", want.P95, got.Quantile(p95, stats.Linear), bound)
	if got.Exact() {
		mode, _ := got.Mode()
		require.Equal(t, want.Mode, mode)
	}
}

// mergedByDay merges the cached summaries of each day and field, and checks that every record has one.
func mergedByDay(t *testing.T, client *redis.Client) map[string]*stats.Summary {
	t.Helper()
	merged := make(map[string]*stats.Summary)
	const prefix = "{db:analytics_solar}:"
	starts, err := client.ZRange(t.Context(), prefix+"idx", 0, -1).Result()
	require.NoError(t, err)
	for _, start := range starts {
		records, err := client.HGetAll(t.Context(), prefix+"b:"+start).Result()
		require.NoError(t, err)
		summaries, err := client.HGetAll(t.Context(), prefix+"q:"+start).Result()
		require.NoError(t, err)
		require.Len(t, summaries, len(records))
		for field, text := range records {
			r, err := record.Parse([]byte(text))
			require.NoError(t, err)
			require.True(t, strings.HasSuffix(field, "|"+r.Field+"|a1"), field)
			s := stats.New(stats.Unlimited)
			require.NoError(t, s.UnmarshalBinary([]byte(summaries[field])))
			require.Equal(t, record.Stat{Name: "count", Value: int64(s.Count())}, r.Stats[0])
			key := start + " " + r.Field
			if merged[key] == nil {
				all := stats.New(stats.Unlimited)
				merged[key] = &all
			}
			require.NoError(t, merged[key].Merge(&s))
		}
	}
	return merged
}
