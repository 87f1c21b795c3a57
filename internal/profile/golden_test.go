package profile_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/file"
	"github.com/telegraf-describe/telegraf-describe/internal/golden"
	"github.com/telegraf-describe/telegraf-describe/internal/profile"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

func TestGoldenData(t *testing.T) {
	t.Parallel()
	for _, name := range golden.Names(t) {
		for rest, want := range golden.Tables(t, name) {
			t.Run(name+"."+rest, func(t *testing.T) {
				t.Parallel()
				o := profile.Options{Selection: selection(t, "count min max mean median mode p95 p25 stddev", stats.Linear), Workers: 2}
				if want.Bucket != "all" {
					o.Grid = grid(t, want.Bucket)
				}
				if strings.Contains(rest, "by_series") {
					o.Group = func(_ string, tag bool) bool { return tag }
				}
				result, err := runFile(t, golden.LinesPath(t, name), o, file.Options{Size: 50_000})
				require.NoError(t, err)
				compare(t, result, &want)
			})
		}
	}
}

func joined(tags []series.Tag) string {
	parts := make([]string, len(tags))
	for i, tag := range tags {
		parts[i] = tag.Key + "=" + tag.Value
	}
	return strings.Join(parts, ",")
}

func compare(t *testing.T, result *profile.Result, want *golden.Table) {
	t.Helper()
	got := make(map[string]*profile.Row)
	for i := range result.Rows {
		r := &result.Rows[i]
		if len(r.Stats) == 0 || r.Count == 0 {
			continue
		}
		start := int64(0)
		if want.Bucket != "all" {
			start = r.Start.UnixNano()
		}
		got[fmt.Sprint(start, " ", joined(r.Tags), " ", r.Column)] = r
	}
	require.Len(t, got, len(want.Records))
	for _, w := range want.Records {
		key := fmt.Sprint(w.Start, " ", w.Tags, " ", w.Field)
		r := got[key]
		require.NotNil(t, r, key)
		require.EqualValues(t, w.Count, r.Count, key)
		// In order of output: count min max mean stddev median mode p25 p95.
		require.Equal(t, []float64{float64(w.Count), w.Min, w.Max}, r.Stats[:3], key)
		require.InDelta(t, w.Mean, r.Stats[3], 1e-12*math.Abs(w.Mean), key)
		require.Equal(t, []float64{w.Median, w.Mode}, r.Stats[5:7], key)
		require.InDelta(t, w.P25, r.Stats[7], 1e-12*math.Abs(w.P25), key)
		require.InDelta(t, w.P95, r.Stats[8], 1e-12*math.Abs(w.P95), key)
		if w.StdDev == nil {
			require.True(t, math.IsNaN(r.Stats[4]), key)
		} else {
			require.InDelta(t, *w.StdDev, r.Stats[4], 1e-9*math.Max(*w.StdDev, math.Abs(w.Max)), key)
		}
	}
}
