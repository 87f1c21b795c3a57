package describe

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/influxdata/telegraf"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/golden"
)

// goldenRecord compares rows of the aggregator with a record of the reference.
type goldenRecord golden.Record

func TestGoldenData(t *testing.T) {
	for _, name := range golden.Names(t) {
		metrics := parse(t, golden.Lines(t, name))
		for rest, want := range golden.Tables(t, name) {
			t.Run(name+"."+rest, func(t *testing.T) {
				for _, method := range []string{"linear", "nearest_rank", "floor_rank"} {
					for _, accuracy := range []string{"exact", "auto"} {
						compareGolden(t, metrics, want, accuracy, method, strings.Contains(rest, "by_series"))
					}
				}
			})
		}
	}
}

func compareGolden(t *testing.T, metrics []telegraf.Metric, want golden.Table, accuracy, method string, bySeries bool) {
	got := make(map[string]map[string]any)
	for _, m := range through(t, loaded(t, goldenConfig(want.Bucket, accuracy, method, bySeries)), metrics) {
		start := m.Time().UnixNano()
		if want.Bucket == "all" {
			start = 0
		}
		tags := m.Tags()
		field := tags["field_name"]
		delete(tags, "field_name")
		got[goldenKey(start, joined(tags), field)] = m.Fields()
	}
	require.Len(t, got, len(want.Records), "rows")
	smallest := smallestMagnitudes(metrics)
	for _, r := range want.Records {
		r := goldenRecord(r)
		key := goldenKey(r.Start, r.Tags, r.Field)
		row, ok := got[key]
		require.True(t, ok, "no row %s", key)
		if row["max_error"] == 0.0 {
			r.compare(t, key+" "+method, method, row)
		} else {
			require.Equal(t, "auto", accuracy)
			r.compareBounded(t, key+" "+method, method, row, smallest[r.Field])
		}
	}
}

func goldenConfig(bucket, accuracy, method string, bySeries bool) string {
	groupBy, origin := "[]", ""
	if bySeries {
		groupBy = `["*"]`
	}
	if bucket == "all" {
		bucket, origin = "100000d", "\n  origin = \"1900-01-01T00:00:00Z\""
	}
	return fmt.Sprintf(`
[[aggregators.describe]]
  bucket = %q
  accuracy = %q
  quantile_method = %q
  emit = "update"
  group_by = %s%s
  stats = ["count", "min", "max", "sum", "mean", "median", "mode", "mode_count", "p95", "p25", "p75", "stddev", "mode_error", "max_error"]
`, bucket, accuracy, method, groupBy, origin)
}

func goldenKey(start int64, tags, field string) string {
	return fmt.Sprintf("%d %s %s", start, tags, field)
}

func joined(tags map[string]string) string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		parts = append(parts, key+"="+tags[key])
	}
	return strings.Join(parts, ",")
}

// compare compares a row with the reference, within the tolerances in the data.
func (r goldenRecord) compare(t *testing.T, key, method string, got map[string]any) {
	t.Helper()
	require.Equal(t, r.Count, got["count"], key)
	exactly := map[string]float64{"min": r.Min, "max": r.Max, "mode": r.Mode, "mode_count": r.ModeCount}
	r.compareMoments(t, key, got)
	closely := make(map[string]float64)
	switch method {
	case "linear":
		exactly["median"] = r.Median
		closely["p95"], closely["p25"], closely["p75"] = r.P95, r.P25, r.P75
	case "nearest_rank":
		exactly["p95"], exactly["p25"], exactly["p75"] = r.P95Rank, r.P25Rank, r.P75Rank
	case "floor_rank":
		exactly["median"], exactly["p95"] = r.Median, r.P95Floor
	}
	for name, want := range exactly {
		require.Equal(t, want, got[name], "%s of %s", name, key)
	}
	for name, want := range closely {
		require.InDelta(t, want, got[name], 1e-12*math.Abs(want), "%s of %s", name, key)
	}
}

func (r goldenRecord) compareMoments(t *testing.T, key string, got map[string]any) {
	t.Helper()
	for name, want := range map[string]float64{"mean": r.Mean, "sum": r.Sum} {
		require.InDelta(t, want, got[name], 1e-12*math.Abs(want), "%s of %s", name, key)
	}
	if r.StdDev == nil {
		require.NotContains(t, got, "stddev", key)
		return
	}
	require.InDelta(t, *r.StdDev, got["stddev"], 1e-9*math.Max(*r.StdDev, math.Abs(r.Max)), "stddev of %s", key)
}

// smallestMagnitudes returns the smallest magnitude of each field, except zero.
func smallestMagnitudes(metrics []telegraf.Metric) map[string]float64 {
	d, smallest := newDescribe(), make(map[string]float64)
	for _, m := range metrics {
		for _, f := range m.FieldList() {
			v, ok := d.number(f.Value)
			if before, known := smallest[f.Key]; ok && v != 0 && (!known || math.Abs(v) < before) {
				smallest[f.Key] = math.Abs(v)
			}
		}
	}
	return smallest
}

// compareBounded compares the row of a histogram with the reference, within max_error and mode_error of the row.
// smallest is the smallest magnitude of its values, except zero.
func (r goldenRecord) compareBounded(t *testing.T, key, method string, got map[string]any, smallest float64) {
	t.Helper()
	require.Equal(t, r.Count, got["count"], key)
	require.Equal(t, r.Min, got["min"], key)
	require.Equal(t, r.Max, got["max"], key)
	r.compareMoments(t, key, got)
	count, errorOf := got["mode_count"].(float64), got["mode_error"].(float64)
	require.LessOrEqual(t, count, r.ModeCount, key)
	require.LessOrEqual(t, r.ModeCount, count+errorOf, key)
	require.LessOrEqual(t, errorOf, float64(r.Count)/17, key)
	quantiles := map[string]float64{"median": r.Median, "p95": r.P95, "p25": r.P25, "p75": r.P75}
	switch method {
	case "nearest_rank":
		quantiles = map[string]float64{"p95": r.P95Rank, "p25": r.P25Rank, "p75": r.P75Rank}
	case "floor_rank":
		quantiles = map[string]float64{"median": r.Median, "p95": r.P95Floor}
	}
	largest, collapsed := math.Max(math.Abs(r.Min), math.Abs(r.Max)), 0.0
	if max(r.Min, -r.Max, smallest)*65_536 < largest {
		collapsed = 1.6e-5 * largest
	}
	for name, want := range quantiles {
		bound := got["max_error"].(float64)*math.Abs(want) + collapsed
		if r.Min < 0 && r.Max > 0 { // it may lie between values of both signs
			bound += got["max_error"].(float64) * largest
		}
		require.InDelta(t, want, got[name], bound, "%s of %s", name, key)
	}
}
