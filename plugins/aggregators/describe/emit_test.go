package describe

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

	"github.com/telegraf-describe/telegraf-describe/internal/engine"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
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
	o := describer(t, func(d *Describe) { d.Bucket, d.Emit = "1h", "both" })
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
		o := describer(t, func(d *Describe) { d.Bucket, d.Emit = "1h", emit })
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
		o := describer(t, func(d *Describe) { d.Emit, d.StateTag = "both", name })
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
	o := describer(t, func(d *Describe) { d.Bucket, d.Emit = "1h", "both" })
	o.values(o.clock.now().AddDate(1, 0, 0), 1.0)
	require.Equal(t, []string{"open"}, states(o.push()))
	o.clock.set(o.clock.now().Add(10 * time.Minute))
	require.Equal(t, []string{"final"}, states(o.push()))
	o.push()
	require.Zero(t, o.counters.buckets.Get())
}

func TestATimestampOfThePushIsNewEachTime(t *testing.T) {
	o := describer(t, func(d *Describe) { d.Bucket, d.Timestamp, d.BucketTag = "1h", "push", "time_bucket" })
	for range 2 {
		o.values(bucketStart, 1.0)
		row := o.push()[0]
		require.Equal(t, o.clock.now().UnixNano(), row.Time().UnixNano())
		require.Equal(t, "2020-05-16T00:00:00Z", row.Tags()["time_bucket"])
		o.clock.set(o.clock.now().Add(time.Minute))
	}
}

func TestColumnsAreOneMetricForEachSeriesAndBucket(t *testing.T) {
	o := describer(t, func(d *Describe) {
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
	m := rowMaker{columns: true}
	var got []string
	emit := func(metric telegraf.Metric) {
		var text strings.Builder
		text.WriteString(metric.Name())
		for _, f := range metric.FieldList() {
			fmt.Fprintf(&text, " %s=%v", f.Key, f.Value)
		}
		got = append(got, text.String())
	}
	add := func(start int64, field string, statistics ...record.Stat) {
		r := engine.Row{Record: record.Record{Table: "t", Field: field, Start: time.Unix(start, 0), Stats: statistics, State: record.Final}}
		r.HasRevision, r.Revision = true, 2
		m.add(&r, emit)
	}
	count, deviation, p95 := record.Stat{Name: "count", Value: int64(1)}, record.Stat{Name: "stddev", Value: 2.5}, record.Stat{Name: "p95", Value: 3.5}
	for range 2 {
		m.begin(time.Now())
		add(0, "f", count, p95)
		add(0, "g", count)
		add(60, "f", count, deviation, p95)
		add(60, "g", count, deviation, p95)
		add(120, "f", p95)
		m.end(emit)
	}
	want := []string{
		"t f_count=1 f_p95=3.5 revision=2 g_count=1",
		"t f_count=1 f_stddev=2.5 f_p95=3.5 revision=2 g_count=1 g_stddev=2.5 g_p95=3.5",
		"t f_p95=3.5 revision=2",
	}
	require.Equal(t, slices.Repeat(want, 2), got)
}

func TestNoTwoColumnsHaveOneName(t *testing.T) {
	seen := make(map[string]string)
	for _, field := range []string{"a", "a_mode", "a_mode_field", "a_mode_field_field", "a_field", "mode", "_mode"} {
		for _, statistic := range []string{"count", "mode", "mode_count", "mode_error", "max", "max_error", "p9", "p99_9"} {
			name := columnName(field, statistic)
			require.NotContains(t, seen, name, "%s of %s", statistic, field)
			seen[name] = field
		}
	}
}

func TestTheLastPushMakesEveryBucketFinalIfThereIsNoState(t *testing.T) {
	for _, keeps := range []bool{false, true} {
		o := describer(t, func(d *Describe) {
			d.Bucket, d.Emit = "1h", "both"
			d.SetHost(Host{IsLast: func() bool { return true }, KeepsState: keeps})
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
	o := describer(t, func(d *Describe) { d.Bucket, d.Linger = "1h", new(config.Duration); d.SetHost(Host{Background: true}) })
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
