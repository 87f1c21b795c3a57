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
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/corpus"
	"github.com/telegraf-describe/telegraf-describe/internal/oracle"
	_ "github.com/telegraf-describe/telegraf-describe/plugins/aggregators/describe" // registers itself
	"github.com/telegraf-describe/telegraf-describe/plugins/plugintest"
)

// For every file and grouping, the statistics of describe are equal to those of the oracle with accuracy = "exact", and
// within max_error by default.
func TestDescribeAgreesWithTheOracle(t *testing.T) {
	t.Parallel()
	widths := map[string]time.Duration{"5m": 5 * time.Minute, "1h": time.Hour, "1d": 24 * time.Hour, "10d": 240 * time.Hour}
	if testing.Short() {
		widths = map[string]time.Duration{"1d": 24 * time.Hour} // the fewest groups of several buckets
	}
	for name, lines := range corpus.Files() {
		metrics := parse(t, lines)
		for bucket, width := range widths {
			for _, bySeries := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s/bucket=%s/by_series=%t", name, bucket, bySeries), func(t *testing.T) {
					t.Parallel()
					want, err := groupsOf(lines, width, bySeries)
					require.NoError(t, err)
					truth := make([]expected, len(want))
					for i, w := range want {
						truth[i] = expect(w)
					}
					for method, q := range methods() {
						quantiles := make([]map[string]float64, len(want))
						for i, w := range want {
							quantiles[i] = quantilesOf(w.Values, q)
						}
						for _, accuracy := range []string{"exact", "auto"} {
							rows := described(t, metrics, bucket, accuracy, method, bySeries)
							require.Len(t, rows, len(want))
							for i, w := range want {
								key := truth[i].key
								row := rows[key]
								require.NotNil(t, row, "no row %s", key)
								require.True(t, accuracy == "auto" || row["max_error"] == 0.0, key)
								compareQuantiles(t, key, w, row, quantiles[i])
								if method == "linear" {
									compareOthers(t, w, row, truth[i])
								}
							}
						}
					}
				})
			}
		}
	}
}

// quantile returns the percentile p of the values.
type quantile func(v oracle.Values, p int64) float64

func methods() map[string]quantile {
	return map[string]quantile{
		"linear":       func(v oracle.Values, p int64) float64 { return v.Linear(p, 100) },
		"nearest_rank": func(v oracle.Values, p int64) float64 { return v.NearestRank(p, 100) },
		"floor_rank":   func(v oracle.Values, p int64) float64 { return v.FloorRank(p, 100) },
	}
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
  emit = "update"
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
	var acc plugintest.Accumulator
	ra.Push(&acc)
	return byKey(t, acc.Metrics())
}

func byKey(t *testing.T, metrics []telegraf.Metric) map[string]map[string]any {
	t.Helper()
	rows := make(map[string]map[string]any, len(metrics))
	for _, m := range metrics {
		key := rowKey(m.Name(), m.Tags(), m.Time())
		require.Nil(t, rows[key], "two rows: %s", key)
		rows[key] = m.Fields()
	}
	return rows
}

func rowKey(table string, tags map[string]string, at time.Time) string {
	return fmt.Sprintf("%q %q %d", table, tags, at.UnixNano())
}

// expected is what the rows of a group must have, whatever the accuracy and the method of quantiles. The exact statistics take long to
// compute.
type expected struct {
	key                         string // of the row
	mode                        float64
	modeCount                   int
	sum, mean, median, variance float64 // variance of more than one value
}

func expect(w *group) expected {
	tags := renamed(w.tags)
	tags["field_name"] = w.field
	e := expected{
		key: rowKey("analytics_"+w.measurement, tags, w.start), sum: oracle.Nearest(w.Sum()), mean: oracle.Nearest(w.Mean()), median: w.Linear(1, 2),
	}
	e.mode, e.modeCount = w.Mode()
	if w.Count() > 1 {
		e.variance = oracle.Nearest(w.Variance())
	}
	return e
}

// renamed returns the tags of a row: a tag whose name the row needs has the suffix "_tag", and has it twice if the series
// already has a tag of that name.
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

// percentiles are those in the rows, and the quartiles that their interquartile range is made of.
var percentiles = map[string]int64{"p0": 0, "p5": 5, "p25": 25, "p75": 75, "p95": 95, "p99": 99, "p100": 100}

// quantilesOf returns the percentiles of the values. They take long to compute, as the oracle has thousands of bits.
func quantilesOf(v oracle.Values, q quantile) map[string]float64 {
	quantiles := make(map[string]float64, len(percentiles))
	for name, p := range percentiles {
		quantiles[name] = q(v, p)
	}
	return quantiles
}

func compareQuantiles(t *testing.T, key string, w *group, row map[string]any, want map[string]float64) {
	t.Helper()
	bound := boundOf(w, row)
	for _, name := range []string{"p0", "p5", "p95", "p99", "p100"} {
		near(t, key, want[name], row[name], bound(want[name]))
	}
	near(t, key, want["p75"]-want["p25"], row["iqr"], 3e-15*w.MaxAbs()+bound(want["p75"])+bound(want["p25"]))
}

// boundOf returns how far from its true value a percentile may be.
func boundOf(w *group, row map[string]any) func(v float64) float64 {
	maxError := row["max_error"].(float64)
	return func(v float64) float64 {
		if maxError == 0 {
			return 1e-15 * w.MaxAbs()
		}
		if w.Min() < 0 && w.Max() > 0 {
			v = w.MaxAbs() // the percentile may be between two values, one of which is as large
		}
		bound := maxError * math.Abs(v)
		if !w.Within(65_536) {
			bound += 1.6e-5 * w.MaxAbs() // bins near zero have collapsed
		}
		return bound
	}
}

func compareOthers(t *testing.T, w *group, row map[string]any, want expected) {
	t.Helper()
	key := want.key
	require.Equal(t, map[string]any{
		"count": int64(w.Count()), "min": w.Min(), "max": w.Max(), "first": w.first, "last": w.last,
	}, pick(row, "count", "min", "max", "first", "last"), key)
	if row["max_error"] == 0.0 {
		require.Equal(t, map[string]any{"mode": want.mode, "mode_count": float64(want.modeCount)}, pick(row, "mode", "mode_count"), key)
		require.Equal(t, 0.0, row["mode_error"], key)
	} else {
		require.LessOrEqual(t, row["mode_count"], float64(want.modeCount), key)
		require.LessOrEqual(t, float64(want.modeCount), row["mode_count"].(float64)+row["mode_error"].(float64), key)
	}
	near(t, key, want.sum, row["sum"], 1e-15*w.MaxAbs()*float64(w.Count()))
	near(t, key, want.mean, row["mean"], 1e-15*w.MaxAbs())
	near(t, key, want.median, row["median"], boundOf(w, row)(want.median))
	near(t, key, w.Max()-w.Min(), row["range"], 0)
	if w.Count() == 1 {
		require.NotContains(t, row, "stddev", "of a single value")
		require.NotContains(t, row, "variance", "of a single value")
		return
	}
	near(t, key, want.variance, row["variance"], 1e-9*want.variance)
	near(t, key, math.Sqrt(want.variance), row["stddev"], 1e-9*math.Sqrt(want.variance))
}

func near(t *testing.T, key string, want float64, got any, tolerance float64) {
	t.Helper()
	f, ok := got.(float64)
	if !ok || math.Abs(f-want) > tolerance {
		require.InDelta(t, want, got, tolerance, key)
	}
}

// pick returns the fields of row with one of the names.
func pick(row map[string]any, names ...string) map[string]any {
	picked := maps.Clone(row)
	maps.DeleteFunc(picked, func(name string, _ any) bool { return !slices.Contains(names, name) })
	return picked
}
