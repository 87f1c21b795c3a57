package corpus_test

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/config"
	"github.com/influxdata/telegraf/plugins/parsers/influx"
	"github.com/influxdata/telegraf/testutil"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/corpus"
	_ "github.com/telegraf-describe/telegraf-describe/plugins/aggregators/describe" // registers itself
)

// The statistics of describe are those of the oracle for every file and grouping: equal with accuracy = "exact", and by
// default within max_error.
func TestDescribeAgreesWithTheOracle(t *testing.T) {
	t.Parallel()
	widths := map[string]time.Duration{"5m": 5 * time.Minute, "1h": time.Hour, "1d": 24 * time.Hour, "10d": 240 * time.Hour}
	for name, lines := range corpus.Files() {
		metrics := parse(t, lines)
		for bucket, width := range widths {
			for _, bySeries := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s/bucket=%s/by_series=%t", name, bucket, bySeries), func(t *testing.T) {
					t.Parallel()
					want, err := corpus.Describe(lines, corpus.Grouping{Width: width, BySeries: bySeries})
					require.NoError(t, err)
					for method, q := range methods() {
						for _, accuracy := range []string{"exact", "auto"} {
							rows := described(t, metrics, bucket, accuracy, method, bySeries)
							require.Len(t, rows, len(want))
							for _, w := range want {
								key, row := rowOf(t, w, rows)
								require.True(t, accuracy == "auto" || row["max_error"] == 0.0, key)
								compareQuantiles(t, key, w, row, q)
								if method == "linear" {
									compareOthers(t, key, w, row)
								}
							}
						}
					}
				})
			}
		}
	}
}

type quantile func(*corpus.Described, int) float64

func methods() map[string]quantile {
	return map[string]quantile{"linear": (*corpus.Described).Linear, "nearest_rank": (*corpus.Described).NearestRank, "floor_rank": (*corpus.Described).FloorRank}
}

func parse(t *testing.T, lines []byte) []telegraf.Metric {
	t.Helper()
	p := &influx.Parser{}
	require.NoError(t, p.Init())
	metrics, err := p.Parse(lines)
	require.NoError(t, err)
	return metrics
}

// described returns the rows that the aggregator emits for the metrics, by table, tags and time. It does not change the
// metrics.
func described(t *testing.T, metrics []telegraf.Metric, bucket, accuracy, method string, bySeries bool) map[string]map[string]any {
	t.Helper()
	groupBy := map[bool]string{true: `["*"]`, false: "[]"}[bySeries]
	c := config.NewConfig()
	require.NoError(t, c.LoadConfigData(fmt.Appendf(nil, `
[[aggregators.describe]]
  bucket = %q
  accuracy = %q
  quantile_method = %q
  group_by = %s
  stats = ["count", "min", "max", "sum", "mean", "range", "stddev", "variance", "median", "mode", "mode_count", "p0", "p5", "p95", "p99", "p100", "iqr", "first", "last", "mode_error", "max_error"]
`, bucket, accuracy, method, groupBy), config.EmptySourcePath))
	ra := c.Aggregators[0]
	const openGate = 100 * 8766 * time.Hour // Telegraf passes values of any time in it to the plugin
	ra.Config.Grace, ra.Config.Delay = openGate, openGate
	require.NoError(t, ra.Init())
	now := time.Now()
	ra.UpdateWindow(now, now.Add(ra.Period()))
	for _, m := range metrics {
		ra.Add(m)
	}
	var acc testutil.Accumulator
	ra.Push(&acc)
	return byKey(t, acc.GetTelegrafMetrics())
}

func byKey(t *testing.T, metrics []telegraf.Metric) map[string]map[string]any {
	t.Helper()
	rows := make(map[string]map[string]any, len(metrics))
	for _, m := range metrics {
		key := rowKey(m.Name(), m.Tags(), m.Time())
		require.Nil(t, rows[key], "a row twice: %s", key)
		rows[key] = m.Fields()
	}
	return rows
}

func rowKey(table string, tags map[string]string, at time.Time) string {
	return fmt.Sprintf("%q %q %d", table, tags, at.UnixNano())
}

// rowOf returns the row of a description, and its key.
func rowOf(t *testing.T, w *corpus.Described, rows map[string]map[string]any) (string, map[string]any) {
	t.Helper()
	tags := renamed(w.Tags)
	tags["field_name"] = w.Field
	key := rowKey("analytics_"+w.Measurement, tags, w.Start)
	require.NotNil(t, rows[key], "no row %s", key)
	return key, rows[key]
}

// renamed returns the tags as they leave: those with names of ours have the suffix "_tag", twice where the
// series has a tag of that name.
func renamed(tags map[string]string) map[string]string {
	leave := make(map[string]string, len(tags)+1)
	for name, value := range tags {
		switch name {
		case "field_name", "time", "time_bucket", "table_name", "summary", "count", "mean", "median", "p95", "p99_9", "mode_count":
			name += "_tag"
			if _, taken := tags[name]; taken {
				name += "_tag"
			}
		}
		leave[name] = value
	}
	return leave
}

func compareQuantiles(t *testing.T, key string, w *corpus.Described, row map[string]any, q quantile) {
	t.Helper()
	bound := boundOf(w, row)
	for name, p := range map[string]int{"p0": 0, "p5": 5, "p95": 95, "p99": 99, "p100": 100} {
		near(t, key, q(w, p), row[name], bound(q(w, p)))
	}
	near(t, key, q(w, 75)-q(w, 25), row["iqr"], 3e-15*w.Scale()+bound(q(w, 75))+bound(q(w, 25)))
}

// boundOf returns how far from its true value a percentile may be.
func boundOf(w *corpus.Described, row map[string]any) func(v float64) float64 {
	maxError := row["max_error"].(float64)
	return func(v float64) float64 {
		if maxError == 0 {
			return 1e-15 * w.Scale()
		}
		largest := math.Max(math.Abs(w.Min()), math.Abs(w.Max()))
		if w.Min() < 0 && w.Max() > 0 {
			v = largest // it may lie between two values of which one is as large
		}
		return maxError*math.Abs(v) + collapsed(w, largest)
	}
}

// collapsed returns by how much more a percentile may be off where the magnitudes are not within a factor of 65,536.
func collapsed(w *corpus.Described, largest float64) float64 {
	for _, v := range w.Sorted {
		if v != 0 && math.Abs(v)*65536 < largest {
			return 1.6e-5 * largest
		}
	}
	return 0
}

func compareOthers(t *testing.T, key string, w *corpus.Described, row map[string]any) {
	t.Helper()
	require.Equal(t, map[string]any{
		"count": int64(w.Count()), "min": w.Min(), "max": w.Max(), "first": w.First, "last": w.Last,
	}, pick(row, "count", "min", "max", "first", "last"), key)
	mode, modeCount := w.Mode()
	if row["max_error"] == 0.0 {
		require.Equal(t, map[string]any{"mode": mode, "mode_count": float64(modeCount)}, pick(row, "mode", "mode_count"), key)
		require.Equal(t, 0.0, row["mode_error"], key)
	} else {
		require.LessOrEqual(t, row["mode_count"], float64(modeCount), key)
		require.LessOrEqual(t, float64(modeCount), row["mode_count"].(float64)+row["mode_error"].(float64), key)
	}
	near(t, key, w.Sum(), row["sum"], 1e-15*w.Scale()*float64(w.Count()))
	near(t, key, w.Mean(), row["mean"], 1e-15*w.Scale())
	near(t, key, w.Linear(50), row["median"], boundOf(w, row)(w.Linear(50)))
	near(t, key, w.Max()-w.Min(), row["range"], 0)
	if w.Count() == 1 {
		require.NotContains(t, row, "stddev", "of a single value")
		require.NotContains(t, row, "variance", "of a single value")
		return
	}
	variance := w.Variance()
	near(t, key, variance, row["variance"], 1e-9*variance)
	near(t, key, math.Sqrt(variance), row["stddev"], 1e-9*math.Sqrt(variance))
}

func near(t *testing.T, key string, want float64, got any, tolerance float64) {
	t.Helper()
	f, ok := got.(float64)
	if !ok || math.Abs(f-want) > tolerance {
		require.InDelta(t, want, got, tolerance, key)
	}
}

// pick returns the fields of these names that there are.
func pick(row map[string]any, names ...string) map[string]any {
	picked := maps.Clone(row)
	maps.DeleteFunc(picked, func(name string, _ any) bool { return !slices.Contains(names, name) })
	return picked
}
