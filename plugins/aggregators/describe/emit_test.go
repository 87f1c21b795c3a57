package describe_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/config"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/plugins/aggregators/describe"
	"github.com/telegraf-describe/telegraf-describe/plugins/plugintest"
)

// states returns the tag bucket_state of metrics.
func states(ms []telegraf.Metric) (all []string) {
	for _, m := range ms {
		all = append(all, m.Tags()["bucket_state"])
	}
	return all
}

func TestABucketIsEmittedAsOpenWhileItChangesAndOnceAsFinal(t *testing.T) {
	o := describer(t, func(d *describe.Describe) { d.Bucket, d.Emit = "1h", "both" })
	o.values(bucketStart, 1.0, 2.0)
	open := o.push()
	require.Equal(t, []string{"open"}, states(open))
	require.Empty(t, o.push(), "nothing changed")
	o.clock.set(o.clock.now().Add(10 * time.Minute))
	final := o.push()
	require.Equal(t, []string{"final"}, states(final))
	require.Equal(t, open[0].Time(), final[0].Time())
	require.Equal(t, open[0].Fields(), final[0].Fields(), "and no revision, which needs a state")
	require.Empty(t, o.push())
}

func TestEmitFinalAndUpdateHaveNoTag(t *testing.T) {
	for emit, want := range map[string][]int{"final": {0, 1}, "update": {1, 0}} {
		o := describer(t, func(d *describe.Describe) { d.Bucket, d.Emit = "1h", emit })
		o.values(bucketStart, 1.0)
		first := o.push()
		o.clock.set(o.clock.now().Add(10 * time.Minute))
		second := o.push()
		require.Equal(t, want, []int{len(first), len(second)}, emit)
		require.Equal(t, []string{""}, states(append(first, second...)), emit)
	}
}

func TestTheStateTagHasTheNameOfTheOption(t *testing.T) {
	for _, name := range []string{"state", ""} {
		o := describer(t, func(d *describe.Describe) { d.Emit, d.StateTag = "both", name })
		o.Add(point(map[string]string{"state": "x", "bucket_state": "y"}, map[string]any{"v": 1.0}, bucketStart))
		want := map[string]string{"bucket_state_tag": "y", "field_name": "v", "state": "x"}
		if name != "" {
			want["state"], want["state_tag"] = "open", "x"
		}
		require.Equal(t, want, o.push()[0].Tags())
	}
}

// The bucket of a device whose clock is a year ahead must neither take memory nor be the newest of its table for a
// year.
func TestABucketAheadOfTheClockBecomesFinalAfterLinger(t *testing.T) {
	o := describer(t, func(d *describe.Describe) { d.Bucket, d.Emit = "1h", "both" })
	o.values(o.clock.now().AddDate(1, 0, 0), 1.0)
	require.Equal(t, []string{"open"}, states(o.push()))
	o.clock.set(o.clock.now().Add(10 * time.Minute))
	require.Equal(t, []string{"final"}, states(o.push()))
	o.push()
	require.Zero(t, o.stat("buckets_open"))
}

func TestATimestampOfThePushIsNewEachTime(t *testing.T) {
	o := describer(t, func(d *describe.Describe) { d.Bucket, d.Timestamp, d.BucketTag = "1h", "push", "time_bucket" })
	for range 2 {
		o.values(bucketStart, 1.0)
		row := o.push()[0]
		require.Equal(t, o.clock.now().UnixNano(), row.Time().UnixNano())
		require.Equal(t, "2020-05-16T00:00:00Z", row.Tags()["time_bucket"])
		o.clock.set(o.clock.now().Add(time.Minute))
	}
}

func TestColumnsAreOneMetricForEachSeriesAndBucket(t *testing.T) {
	o := describer(t, func(d *describe.Describe) {
		d.Bucket, d.Layout, d.Emit, d.EmitSummary = "1m", "columns", "both", "compact"
		d.Stats = []string{"count", "max", "p99.9"}
	})
	for _, host := range []string{"a", "b"} {
		for minute := range 2 {
			at := bucketStart.Add(time.Duration(minute) * time.Minute)
			o.Add(point(map[string]string{"host": host, "x_max": "1"}, map[string]any{"f": 1.0, "g": 2.0, "h": math.NaN()}, at))
		}
	}
	rows := o.push()
	require.Len(t, rows, 4)
	for _, row := range rows {
		require.Equal(t, "1", row.Tags()["x_max_tag"], "a field x would have a column x_max")
		require.NotContains(t, row.Tags(), "field_name")
		require.Equal(t, "open", row.Tags()["bucket_state"])
		fields := row.Fields()
		for _, name := range []string{"f_summary", "g_summary"} {
			require.NotEmpty(t, fields[name])
			delete(fields, name)
		}
		require.Equal(t, map[string]any{"f_count": int64(1), "f_max": 1.0, "f_p99_9": 1.0, "g_count": int64(1), "g_max": 2.0, "g_p99_9": 2.0}, fields)
	}
}

// Rows of a field have different statistics: a bucket of one value has no standard deviation.
func TestColumnsAreThoseOfTheirBucketAndHaveOneRevision(t *testing.T) {
	t.Parallel()
	for _, names := range [][]string{{"count", "stddev", "p95"}, {"count", "stddev"}, {"stddev", "p95"}, {"p95"}} {
		o := stated(t, t.TempDir(), time.Unix(1_800_000_000, 0), func(d *describe.Describe) {
			d.Bucket, d.Layout, d.Emit, d.Stats = "1m", "columns", "final", names
		})
		final := func() (all []string) {
			o.push()
			o.clock.set(o.clock.now().Add(10 * time.Minute))
			for _, m := range o.push() {
				var text strings.Builder
				text.WriteString(m.Name())
				for _, f := range m.FieldList() {
					fmt.Fprintf(&text, " %s=%v", f.Key, f.Value)
				}
				all = append(all, text.String())
			}
			return all
		}
		// want returns a row of all three statistics without those that are not in names.
		want := func(row string) string {
			return strings.Join(slices.DeleteFunc(strings.Fields(row), func(field string) bool {
				column, _, isField := strings.Cut(field, "=")
				_, statistic, isStatistic := strings.Cut(column, "_")
				return isField && isStatistic && !slices.Contains(names, statistic)
			}), " ")
		}
		for hour := range 2 {
			at := bucketStart.Add(time.Duration(hour) * time.Hour)
			o.Add(point(nil, map[string]any{"f": 1.0, "g": 1.0}, at))
			for range 2 {
				o.Add(point(nil, map[string]any{"f": 2.0, "g": 2.0}, at.Add(time.Minute)))
			}
			o.Add(point(nil, map[string]any{"f": 3.0}, at.Add(2*time.Minute)))
			require.Equal(t, []string{
				want("analytics_cpu f_count=1 f_p95=1 revision=0 g_count=1 g_p95=1"),
				want("analytics_cpu f_count=2 f_stddev=0 f_p95=2 revision=0 g_count=2 g_stddev=0 g_p95=2"),
				want("analytics_cpu f_count=1 f_p95=3 revision=0"),
			}, final())
		}
		for revision := 1; revision <= 2; revision++ {
			o.Add(point(nil, map[string]any{"f": 1.0}, bucketStart)) // late
			require.Equal(t, []string{
				want(fmt.Sprintf("analytics_cpu f_count=%d f_stddev=0 f_p95=1 revision=%d g_count=1 g_p95=1", revision+1, revision)),
			}, final())
		}
	}
}

func TestNoTwoColumnsHaveOneName(t *testing.T) {
	names := []string{"a", "a_mode", "a_mode_field", "a_mode_field_field", "a_field", "mode", "_mode"}
	statistics := []string{"count", "mode", "mode_count", "mode_error", "max", "max_error", "p9", "p99.9"}
	o := describer(t, func(d *describe.Describe) { d.Layout, d.Stats = "columns", statistics })
	values := make(map[string]any)
	for _, name := range names {
		values[name] = 1.0
	}
	o.Add(point(nil, values, bucketStart))
	rows := o.push()
	require.Len(t, rows, 1)
	seen := make(map[string]bool)
	for _, f := range rows[0].FieldList() {
		require.NotContains(t, seen, f.Key)
		seen[f.Key] = true
	}
	require.Len(t, seen, len(names)*len(statistics))
}

func TestTheLastPushMakesEveryBucketFinalIfThereIsNoState(t *testing.T) {
	for _, keeps := range []bool{false, true} {
		o := describer(t, func(d *describe.Describe) {
			d.Bucket, d.Emit = "1h", "both"
			d.SetHost(describe.Host{IsLast: func() bool { return true }, KeepsState: keeps})
		})
		o.values(o.clock.now(), 1.0)
		want := []string{"final"}
		if keeps {
			want = []string{"open"}
		}
		require.Equal(t, want, states(o.push()))
	}
}

// slowAccumulator accepts one row each time the test allows it.
type slowAccumulator struct {
	plugintest.Accumulator
	next chan struct{}
}

func (a *slowAccumulator) AddMetric(m telegraf.Metric) {
	<-a.next
	a.Accumulator.AddMetric(m)
}

func TestMetricsAreAddedDuringABackgroundPushAndCloseWaitsForIt(t *testing.T) {
	o := describer(t, func(d *describe.Describe) {
		d.Bucket, d.Linger = "1h", new(config.Duration)
		d.SetHost(describe.Host{Background: true})
	})
	acc := &slowAccumulator{next: make(chan struct{})}
	o.values(bucketStart, 1.0)
	o.Push(acc)
	o.values(bucketStart.Add(time.Hour), 2.0)
	o.Push(acc) // the first is still running
	require.Empty(t, acc.Metrics())
	o.Stop()
	go func() { acc.next <- struct{}{}; acc.next <- struct{}{} }()
	o.Push(acc)
	require.Len(t, acc.Metrics(), 2, "both rows have left when the last Push returns")
}
