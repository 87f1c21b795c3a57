package describe_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/influxdata/telegraf"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/golden"
)

func TestGoldenData(t *testing.T) {
	for _, name := range golden.Names(t) {
		metrics := parse(t, golden.Lines(t, name))
		smallest := smallestMagnitudes(metrics)
		for rest, want := range golden.Tables(t, name) {
			t.Run(name+"."+rest, func(t *testing.T) {
				for i, method := range []string{"linear", "nearest_rank", "floor_rank"} {
					for j, accuracy := range []string{"exact", "auto"} {
						if testing.Short() && i*j > 0 {
							continue // few of these rows are estimates
						}
						run := described
						if i+j == 0 { // once, as the wrapper copies each metric, which takes longer than to describe it
							run = through
						}
						rows := run(t, loaded(t, goldenConfig(want.Bucket, accuracy, method, strings.Contains(rest, "by_series"))), metrics)
						compareGolden(t, rows, want, accuracy, method, smallest)
					}
				}
			})
		}
	}
}

func compareGolden(t *testing.T, rows []telegraf.Metric, want golden.Table, accuracy, method string, smallest map[string]float64) {
	t.Helper()
	got := make(map[goldenKey]telegraf.Metric, len(rows))
	for _, m := range rows {
		got[goldenKeyOf(m, want.Bucket)] = m
	}
	require.Len(t, got, len(want.Records), "rows")
	for _, r := range want.Records {
		key := goldenKey{r.Start, r.Tags, r.Field}
		row := got[key]
		require.NotNil(t, row, "no row %v", key)
		c := comparison{t: t, want: r, key: key, method: method, got: row}
		if worst, _ := row.GetField("max_error"); worst == 0.0 {
			c.compare()
		} else {
			require.Equal(t, "auto", accuracy)
			c.compareBounded(worst.(float64), smallest[r.Field])
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

// goldenKey identifies a row or a record of the reference. Tags are key=value pairs sorted by key and separated by commas.
type goldenKey struct {
	start       int64
	tags, field string
}

// goldenKeyOf returns the key of a row in a table with buckets of a width.
func goldenKeyOf(m telegraf.Metric, width string) (key goldenKey) {
	if width != "all" {
		key.start = m.Time().UnixNano()
	}
	var tags strings.Builder
	for _, tag := range m.TagList() {
		if tag.Key == "field_name" {
			key.field = tag.Value
			continue
		}
		if tags.Len() > 0 {
			tags.WriteByte(',')
		}
		tags.WriteString(tag.Key + "=" + tag.Value)
	}
	key.tags = tags.String()
	return key
}

// comparison compares a row of the aggregator with a record of the reference, by the method of quantiles. It calls functions of require only
// for values that differ, because they take long.
type comparison struct {
	t      *testing.T
	want   golden.Record
	key    goldenKey
	method string
	got    telegraf.Metric
}

// equal requires that a statistic of the row is want.
func (c *comparison) equal(name string, want any) {
	if got, _ := c.got.GetField(name); got != want {
		require.Equal(c.t, want, got, "%s of %v %s", name, c.key, c.method)
	}
}

// near requires that a statistic of the row is within a distance of want.
func (c *comparison) near(name string, want, distance float64) {
	value, _ := c.got.GetField(name)
	if got, ok := value.(float64); !ok || !(math.Abs(got-want) <= distance) {
		require.InDelta(c.t, want, value, distance, "%s of %v %s", name, c.key, c.method)
	}
}

// quantiles returns the quantiles of the reference by the method.
func (c *comparison) quantiles() map[string]float64 {
	r := &c.want
	switch c.method {
	case "nearest_rank":
		return map[string]float64{"p95": r.P95Rank, "p25": r.P25Rank, "p75": r.P75Rank}
	case "floor_rank":
		return map[string]float64{"median": r.Median, "p95": r.P95Floor}
	}
	return map[string]float64{"median": r.Median, "p95": r.P95, "p25": r.P25, "p75": r.P75}
}

// compare compares the row with the reference, within the tolerances in the data.
func (c *comparison) compare() {
	r := &c.want
	c.equal("count", r.Count)
	c.equal("min", r.Min)
	c.equal("max", r.Max)
	c.equal("mode", r.Mode)
	c.equal("mode_count", r.ModeCount)
	c.compareMoments()
	for name, want := range c.quantiles() {
		if c.method == "linear" && name != "median" {
			c.near(name, want, 1e-12*math.Abs(want))
		} else {
			c.equal(name, want)
		}
	}
}

func (c *comparison) compareMoments() {
	r := &c.want
	c.near("mean", r.Mean, 1e-12*math.Abs(r.Mean))
	c.near("sum", r.Sum, 1e-12*math.Abs(r.Sum))
	if r.StdDev == nil {
		require.False(c.t, c.got.HasField("stddev"), "stddev of %v", c.key)
		return
	}
	c.near("stddev", *r.StdDev, 1e-9*math.Max(*r.StdDev, math.Abs(r.Max)))
}

// number returns the value of a field as a number, and whether it is one.
func number(value any) (float64, bool) {
	switch v := value.(type) {
	case float64:
		return v, true
	case int64:
		return float64(v), true
	case uint64:
		return float64(v), true
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	}
	return 0, false
}

// smallestMagnitudes returns the smallest magnitude of each field, except zero.
func smallestMagnitudes(metrics []telegraf.Metric) map[string]float64 {
	smallest := make(map[string]float64)
	for _, m := range metrics {
		for _, f := range m.FieldList() {
			v, ok := number(f.Value)
			if before, known := smallest[f.Key]; ok && v != 0 && (!known || math.Abs(v) < before) {
				smallest[f.Key] = math.Abs(v)
			}
		}
	}
	return smallest
}

// compareBounded compares the row of a histogram with the reference, within max_error and mode_error of the row.
// smallest is the smallest magnitude of its values, except zero.
func (c *comparison) compareBounded(worst, smallest float64) {
	r := &c.want
	c.equal("count", r.Count)
	c.equal("min", r.Min)
	c.equal("max", r.Max)
	c.compareMoments()
	fields := c.got.Fields()
	count, errorOf := fields["mode_count"].(float64), fields["mode_error"].(float64)
	require.LessOrEqual(c.t, count, r.ModeCount, c.key)
	require.LessOrEqual(c.t, r.ModeCount, count+errorOf, c.key)
	require.LessOrEqual(c.t, errorOf, float64(r.Count)/17, c.key)
	largest, collapsed := math.Max(math.Abs(r.Min), math.Abs(r.Max)), 0.0
	if max(r.Min, -r.Max, smallest)*65_536 < largest {
		collapsed = 1.6e-5 * largest
	}
	for name, want := range c.quantiles() {
		bound := worst*math.Abs(want) + collapsed
		if r.Min < 0 && r.Max > 0 { // it may lie between values of both signs
			bound += worst * largest
		}
		c.near(name, want, bound)
	}
}
