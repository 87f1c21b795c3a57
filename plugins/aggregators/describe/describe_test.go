package describe_test

import (
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/config"
	"github.com/influxdata/telegraf/metric"
	"github.com/influxdata/telegraf/models"
	"github.com/influxdata/telegraf/plugins/aggregators"
	_ "github.com/influxdata/telegraf/plugins/aggregators/merge"
	"github.com/influxdata/telegraf/selfstat"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/stats"
	"github.com/telegraf-describe/telegraf-describe/plugins/aggregators/describe"
	"github.com/telegraf-describe/telegraf-describe/plugins/plugintest"
)

// clock is a wall clock that tests move. A store reads it in other goroutines.
type clock struct{ ns atomic.Int64 }

func newClock(at time.Time) *clock {
	c := new(clock)
	c.set(at)
	return c
}

func (c *clock) now() time.Time { return time.Unix(0, c.ns.Load()) }

func (c *clock) set(at time.Time) { c.ns.Store(at.UnixNano()) }

// open is an aggregator under test, with its log and clock.
type open struct {
	*describe.Describe
	log     *plugintest.Log
	clock   *clock
	emitted *func() // called at the end of each Push, if not nil; only of those with a state
}

// opened is how many aggregators under test there were.
var opened atomic.Int64

// newDescribe returns an aggregator with the default options.
func newDescribe() *describe.Describe {
	return aggregators.Aggregators["describe"]().(*describe.Describe)
}

// describer returns an initialised aggregator with the default options after edit has changed them.
func describer(t *testing.T, edit func(*describe.Describe)) open {
	t.Helper()
	gate := config.Duration(openGate)
	o := open{Describe: newDescribe(), log: &plugintest.Log{}, clock: newClock(time.Unix(1_800_000_000, 0))}
	o.Log, o.Grace, o.Delay = o.log, &gate, &gate
	o.SetClock(o.clock.now)
	o.Emit = "update" // most tests are not about the state of buckets
	o.SetHost(describe.Host{Bounded: true})
	o.Statistics = selfstat.NewCollector(map[string]string{"test": t.Name(), "block": strconv.FormatInt(opened.Add(1), 10)})
	t.Cleanup(o.Statistics.UnregisterAll)
	if edit != nil {
		edit(o.Describe)
	}
	require.NoError(t, o.Init())
	return o
}

// push returns the metrics that a Push emits.
func (o open) push() []telegraf.Metric {
	var acc plugintest.Accumulator
	o.Push(&acc)
	o.Reset()
	return acc.Metrics()
}

// stat returns one of the plugin's own statistics, as of the last Push.
func (o open) stat(field string) int64 { return o.Statistics.Get("describe", field, nil).Get() }

func point(tags map[string]string, fields map[string]any, at time.Time) telegraf.Metric {
	return metric.New("cpu", tags, fields, at)
}

// values adds one metric a second with field "v", from the given time on.
func (o open) values(from time.Time, vs ...any) {
	for i, v := range vs {
		o.Add(point(nil, map[string]any{"v": v}, from.Add(time.Duration(i)*time.Second)))
	}
}

// fields returns the fields of the only metric.
func fields(t *testing.T, ms []telegraf.Metric) map[string]any {
	t.Helper()
	require.Len(t, ms, 1)
	return ms[0].Fields()
}

var bucketStart = time.Date(2020, 5, 16, 0, 0, 0, 0, time.UTC)

func TestDefaultStatistics(t *testing.T) {
	o := describer(t, func(d *describe.Describe) { d.Bucket = "1m" })
	o.Add(point(map[string]string{"host": "a"}, map[string]any{"v": 3.0}, bucketStart.Add(time.Second)))
	o.Add(point(map[string]string{"host": "a"}, map[string]any{"v": int64(1)}, bucketStart.Add(59*time.Second)))
	o.Add(point(map[string]string{"host": "a"}, map[string]any{"v": uint64(2)}, bucketStart))
	want := metric.New("analytics_cpu", map[string]string{"host": "a", "field_name": "v"}, map[string]any{
		"count": int64(3), "min": 1.0, "max": 3.0, "mean": 2.0, "median": 2.0, "mode": 1.0, "p95": 2.9,
	}, bucketStart)
	rows := o.push()
	require.Equal(t, want.Fields(), fields(t, rows))
	require.Len(t, rows[0].FieldList(), len(want.FieldList()))
	require.Equal(t, want.TagList(), rows[0].TagList())
	require.Equal(t, []any{want.Name(), want.Time().UnixNano(), want.Type()}, []any{rows[0].Name(), rows[0].Time().UnixNano(), rows[0].Type()})
}

func TestStatisticsAreInOrderOfOutput(t *testing.T) {
	o := describer(t, func(d *describe.Describe) { d.Stats = []string{"last", "p99.9", "stddev", "count", "p5"} })
	o.values(bucketStart, 1.0, 2.0)
	var names []string
	for _, f := range o.push()[0].FieldList() {
		names = append(names, f.Key)
	}
	require.Equal(t, []string{"count", "stddev", "p5", "p99_9", "last"}, names)
}

func TestPushEmitsWholeBucketsAndNothingTheSecondTime(t *testing.T) {
	o := describer(t, func(d *describe.Describe) { d.Bucket = "1h" })
	o.values(bucketStart, 1.0, 2.0)
	first := o.push()
	require.Len(t, first, 1)
	require.Empty(t, o.push(), "nothing changed")
	o.values(bucketStart.Add(time.Minute), 6.0)
	second := o.push()
	require.Equal(t, first[0].HashID(), second[0].HashID(), "the row is overwritten")
	require.Equal(t, first[0].Time(), second[0].Time())
	require.Equal(t, int64(3), fields(t, second)["count"])
	require.Equal(t, 3.0, fields(t, second)["mean"])
}

func TestLaterEmissionsHaveAtLeastTheFieldsOfEarlierOnes(t *testing.T) {
	o := describer(t, func(d *describe.Describe) {
		d.Bucket = "1d"
		d.Stats = []string{"count", "sum", "mean", "range", "stddev", "variance", "median", "mode", "mode_count", "mode_error", "p0", "iqr", "first", "max_error"}
	})
	before := make(map[string]bool)
	for i, v := range []any{1.0, 1.0, math.MaxFloat64, -math.MaxFloat64, math.MaxFloat64, 0.0, int64(math.MaxInt64), uint64(math.MaxUint64), true} {
		o.values(bucketStart.Add(time.Duration(i)*time.Second), v)
		now := fields(t, o.push())
		for name := range before {
			require.Contains(t, now, name)
		}
		for name, value := range now {
			before[name] = true
			if f, ok := value.(float64); ok {
				require.False(t, math.IsNaN(f) || math.IsInf(f, 0), "%s is %v", name, f)
			}
		}
	}
}

func TestHistoryAndTheFutureAreOpenSideBySide(t *testing.T) {
	o := describer(t, func(d *describe.Describe) { d.Bucket = "1d" })
	times := []time.Time{bucketStart, time.Unix(0, 0), time.Unix(-1, 0), time.Date(1700, 1, 1, 5, 0, 0, 0, time.UTC), o.clock.now().AddDate(5, 0, 0)}
	for _, at := range times {
		o.values(at, 1.0)
	}
	got := o.push()
	require.Len(t, got, len(times))
	for i, at := range slices.SortedFunc(slices.Values(times), time.Time.Compare) {
		require.Equal(t, at.Truncate(24*time.Hour).UTC(), got[i].Time())
	}
	require.Len(t, o.log.Warnings(), 1, "InfluxDB would misread early times, which is said once")
	require.Contains(t, o.log.Warnings()[0], "1700-01-01T00:00:00Z")
}

func TestTimesThatNanosecondsCannotHoldAreCounted(t *testing.T) {
	o := describer(t, func(d *describe.Describe) { d.Bucket = "10d" })
	o.values(time.Time{}, 1.0)
	o.values(time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC), 1.0)
	o.values(time.Unix(0, math.MinInt64).Add(3*time.Second), 1.0)
	o.values(time.Time{}, math.NaN())
	require.Empty(t, o.push())
	require.Equal(t, int64(3), o.stat("values_out_of_range"))
	require.Equal(t, int64(1), o.stat("values_nan"), "a NaN is counted as one whatever its time is")
}

func TestABucketClosesAfterLingerAndRefusesLateValues(t *testing.T) {
	o := describer(t, func(d *describe.Describe) { d.Bucket = "1h" })
	o.values(bucketStart, 1.0, 2.0)
	require.Len(t, o.push(), 1)
	o.clock.set(o.clock.now().Add(9 * time.Minute))
	o.values(bucketStart.Add(time.Minute), 3.0)
	require.Equal(t, int64(3), fields(t, o.push())["count"], "open until linger has passed without a value")
	o.clock.set(o.clock.now().Add(10 * time.Minute))
	require.Empty(t, o.push())
	require.Empty(t, o.push())
	require.Zero(t, o.stat("series"), "the series went quiet")

	o.values(bucketStart.Add(2*time.Minute), 4.0, 5.0)
	o.values(bucketStart.Add(-time.Hour), 7.0)
	require.Equal(t, bucketStart.Add(-time.Hour), o.push()[0].Time(), "a bucket that was never open is not closed")
	require.Equal(t, int64(2), o.stat("values_late"))
}

func TestABucketStaysOpenUntilItsEnd(t *testing.T) {
	o := describer(t, func(d *describe.Describe) { d.Bucket, d.Linger = "1d", new(config.Duration) })
	o.values(o.clock.now(), 1.0)
	require.Len(t, o.push(), 1)
	o.clock.set(o.clock.now().Add(10 * time.Hour))
	o.push()
	o.values(o.clock.now().Add(-time.Second), 2.0)
	require.Equal(t, int64(2), fields(t, o.push())["count"])
	require.Equal(t, int64(1), o.stat("buckets_open"))
}

func TestAClosedBucketStaysClosed(t *testing.T) {
	o := describer(t, func(d *describe.Describe) { d.Bucket = "1d" })
	o.values(bucketStart, 1.0, 2.0, 3.0)
	o.push()
	o.clock.set(o.clock.now().Add(time.Hour))
	o.push()
	for range 100 {
		o.clock.set(o.clock.now().AddDate(0, 0, 30))
		o.values(bucketStart, 9.0)
		require.Empty(t, o.push())
	}
	require.Equal(t, int64(100), o.stat("values_late"))
}

func TestNamesThatAreEqualInLineProtocolAreOne(t *testing.T) {
	o := describer(t, func(d *describe.Describe) { d.Stats = []string{"count"} })
	o.Add(metric.New("m\n", map[string]string{"t\n": "x\ny"}, map[string]any{"a": 1.0, `a\`: 2.0, "": 3.0, `\`: 4.0, "b\n": 5.0, "c\xff": 6.0}, bucketStart))
	o.Add(metric.New(`m\n`, map[string]string{`t\n`: `x\ny`}, map[string]any{"a": 1.0, "_": 3.0, `b\n`: 5.0, "c\xfe": 6.0}, bucketStart))
	counts := make(map[string]any)
	for _, m := range o.push() {
		tags := m.Tags()
		counts[tags["field_name"]] = m.Fields()["count"]
		delete(tags, "field_name")
		require.Equal(t, `analytics_m\n`, m.Name())
		require.Equal(t, `x\ny`, tags[`t\n`])
		require.Len(t, tags, 1)
	}
	require.Equal(t, map[string]any{"a": int64(3), "_": int64(3), `b\n`: int64(2), "c\ufffd": int64(2)}, counts)
}

func TestMaxFutureDropsValuesFurtherAhead(t *testing.T) {
	o := describer(t, func(d *describe.Describe) { d.MaxFuture = config.Duration(time.Minute) })
	o.values(o.clock.now().Add(time.Minute), 1.0)
	require.Len(t, o.push(), 1)
	o.Add(point(nil, map[string]any{"a": 1.0, "b": 2.0, "c": "text"}, o.clock.now().Add(time.Minute+1)))
	require.Empty(t, o.push())
	require.Equal(t, int64(2), o.stat("values_future"))

	far := describer(t, func(d *describe.Describe) { d.MaxFuture = config.Duration(openGate) })
	far.values(far.clock.now(), 1.0)
	require.Len(t, far.push(), 1)
}

func TestMaxSeriesDropsFurtherSeries(t *testing.T) {
	o := describer(t, func(d *describe.Describe) { d.MaxSeries = 2 })
	add := func(host string) {
		o.Add(point(map[string]string{"host": host}, map[string]any{"v": 1.0}, bucketStart))
	}
	for _, host := range []string{"a", "b", "c", "a", "c"} {
		add(host)
	}
	require.Len(t, o.push(), 2)
	require.Equal(t, int64(2), o.stat("series_dropped"))
	o.clock.set(o.clock.now().Add(time.Hour))
	o.push()
	o.push()
	add("c")
	require.Len(t, o.push(), 1, "a quiet series makes room")
}

func TestNumbersAreCountedByKind(t *testing.T) {
	all := map[string]any{"i": int64(-1), "u": uint64(1), "f": 0.5, "t": true, "s": "12", "nan": math.NaN(), "inf": math.Inf(-1)}
	for booleans, want := range map[string][]string{"number": {"f", "i", "t", "u"}, "ignore": {"f", "i", "u"}} {
		t.Run(booleans, func(t *testing.T) {
			o := describer(t, func(d *describe.Describe) { d.Booleans = booleans })
			o.Add(point(nil, all, bucketStart))
			var got []string
			for _, m := range o.push() {
				got = append(got, m.Tags()["field_name"])
			}
			require.ElementsMatch(t, want, got)
			require.Equal(t, int64(2), o.stat("values_nan"))
		})
	}
}

func TestAMetricWithoutNumbersOpensNothing(t *testing.T) {
	o := describer(t, func(d *describe.Describe) { d.MaxSeries = 1 })
	o.Add(point(nil, map[string]any{"s": "text"}, bucketStart))
	require.Empty(t, o.push())
}

func TestGroupBySelectsTheTagsOfASeries(t *testing.T) {
	tags := map[string]string{"host": "a", "cpu": "cpu0", "region": "eu", "empty": ""}
	for name, test := range map[string]struct {
		groupBy []string
		want    map[string]string
	}{
		"every tag": {[]string{"*"}, map[string]string{"host": "a", "cpu": "cpu0", "region": "eu"}},
		"none":      {[]string{}, map[string]string{}},
		"names":     {[]string{"host", "absent"}, map[string]string{"host": "a"}},
		"globs":     {[]string{"h*", "re[gh]ion"}, map[string]string{"host": "a", "region": "eu"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := describer(t, func(d *describe.Describe) { d.GroupBy = test.groupBy })
			o.Add(point(tags, map[string]any{"v": 1.0}, bucketStart))
			other := maps.Clone(tags)
			other["ignored"], other["empty"] = "x", ""
			if name != "every tag" {
				o.Add(point(other, map[string]any{"v": 1.0}, bucketStart))
			}
			got := o.push()
			require.Len(t, got, 1)
			test.want["field_name"] = "v"
			require.Equal(t, test.want, got[0].Tags())
		})
	}
}

func TestSeriesNeverMix(t *testing.T) {
	o := describer(t, nil)
	for i, tags := range []map[string]string{nil, {"a": "b"}, {"ab": ""}, {"a": "bc"}, {"ab": "c"}, {"a": "b", "c": "d"}, {"a": "b\x01c\x01d"}, {"a": "b,c=d"}} {
		for range i + 1 {
			o.Add(point(tags, map[string]any{"v": 1.0}, bucketStart))
		}
	}
	counts := make(map[string]any)
	for _, m := range o.push() {
		tags := m.Tags()
		delete(tags, "field_name")
		counts[fmt.Sprint(tags)] = m.Fields()["count"]
	}
	require.Equal(t, map[string]any{
		"map[]": int64(1 + 3), "map[a:b]": int64(2), "map[a:bc]": int64(4), "map[ab:c]": int64(5), "map[a:b c:d]": int64(6),
		"map[a:b\x01c\x01d]": int64(7), "map[a:b,c=d]": int64(8),
	}, counts)
}

func TestClashingTagsAreRenamedAndLoggedOnce(t *testing.T) {
	o := describer(t, func(d *describe.Describe) { d.BucketTag = "start" })
	tags := map[string]string{"field_name": "1", "time": "2", "time_bucket": "3", "table_name": "4", "summary": "5", "mean": "6", "p95": "7", "start": "8", "host": "9"}
	for range 3 {
		o.Add(point(tags, map[string]any{"v": 1.0}, bucketStart))
		o.clock.set(o.clock.now().Add(time.Hour))
	}
	require.Equal(t, map[string]string{
		"field_name_tag": "1", "time_tag": "2", "time_bucket_tag": "3", "table_name_tag": "4", "summary_tag": "5", "mean_tag": "6", "p95_tag": "7",
		"start_tag": "8", "host": "9", "field_name": "v", "start": "2020-05-16T00:00:00Z",
	}, o.push()[0].Tags())
	require.Len(t, o.log.Infos(), 8)
}

// Two series with equal rows are one series, even if their tags had different names.
func TestSeriesWithEqualRowsAreOne(t *testing.T) {
	o := describer(t, nil)
	for _, tags := range []map[string]string{{"count": "a"}, {"count_tag": "a"}, {"count": `a\`}, {`count_tag\`: "a", "x": ""}} {
		o.Add(point(tags, map[string]any{"v": 1.0}, bucketStart))
	}
	require.Equal(t, int64(4), fields(t, o.push())["count"])
	o.clock.set(o.clock.now().Add(time.Hour))
	o.push()
	o.push()
}

func TestFieldsMayAppearLateAndDisappear(t *testing.T) {
	o := describer(t, func(d *describe.Describe) { d.Bucket = "1h" })
	want := make(map[string]int64)
	for i := range 200 {
		at := map[string]any{}
		for f := range 40 {
			if (i+f)%7 != 0 && f <= i {
				name := fmt.Sprintf("f%02d", f)
				at[name] = float64(i)
				want[name]++
			}
		}
		o.Add(point(nil, at, bucketStart))
	}
	got := make(map[string]int64)
	for _, m := range o.push() {
		got[m.Tags()["field_name"]] = m.Fields()["count"].(int64)
	}
	require.Equal(t, want, got)
}

func TestTimestampSelectsTheTimeAndBucketTagNamesTheStart(t *testing.T) {
	o := describer(t, func(d *describe.Describe) { d.Bucket, d.Timestamp, d.BucketTag = "10s", "end", "time_bucket" })
	o.values(bucketStart.Add(15*time.Second), 1.0)
	got := o.push()
	require.Equal(t, bucketStart.Add(20*time.Second), got[0].Time())
	require.Equal(t, "2020-05-16T00:00:10Z", got[0].Tags()["time_bucket"])
}

func TestOriginAndPeriodMakeTheBuckets(t *testing.T) {
	monday, thursday := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC), time.Date(2026, 11, 19, 0, 0, 0, 0, time.UTC)
	for origin, want := range map[string]time.Time{"0001-01-01T00:00:00Z": monday, "1970-01-01T00:00:00Z": thursday, "1970-01-04T23:00:00-01:00": monday} {
		o := describer(t, func(d *describe.Describe) { d.Bucket, d.Origin = "1w", origin })
		o.values(monday.Add(time.Hour), 1.0)
		require.Equal(t, want, o.push()[0].Time(), origin)
	}
	o := describer(t, func(d *describe.Describe) { d.Period = config.Duration(500 * time.Millisecond) })
	o.values(bucketStart.Add(777*time.Millisecond), 1.0)
	require.Equal(t, bucketStart.Add(500*time.Millisecond), o.push()[0].Time(), "the default bucket is the period, and times keep their precision")
}

func TestInternalStatisticsCountValuesAndBuckets(t *testing.T) {
	o := describer(t, func(d *describe.Describe) { d.Bucket = "1h" })
	o.values(bucketStart, 1.0, 2.0)
	o.values(bucketStart.Add(time.Hour), 1.0)
	o.Add(point(map[string]string{"host": "a"}, map[string]any{"v": 1.0, "w": 2.0}, bucketStart))
	o.push()
	require.Equal(t, int64(2), o.stat("series"))
	require.Equal(t, int64(3), o.stat("buckets_open"))
	require.Equal(t, int64(4), o.stat("summaries_exact"))
	require.Positive(t, o.stat("memory_bytes"))
	require.Positive(t, o.stat("push_time_ns"))
}

func TestDaysAndMonthsFollowTheCalendarOfTheTimezone(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	for _, test := range []struct {
		width, origin string
		start, end    time.Time
	}{
		{"1d", "0001-01-01T00:00:00Z", time.Date(2026, 10, 25, 0, 0, 0, 0, berlin), time.Date(2026, 10, 26, 0, 0, 0, 0, berlin)}, // 25 hours
		{"1d", "2020-01-01T06:00:00Z", time.Date(2026, 10, 24, 6, 0, 0, 0, berlin), time.Date(2026, 10, 25, 6, 0, 0, 0, berlin)},
		{"1mo", "0001-01-01T00:00:00Z", time.Date(2026, 10, 1, 0, 0, 0, 0, berlin), time.Date(2026, 11, 1, 0, 0, 0, 0, berlin)},
	} {
		o := describer(t, func(d *describe.Describe) { d.Bucket, d.Timezone, d.Origin = test.width, "Europe/Berlin", test.origin })
		o.values(test.start.Add(-1), 1.0)
		o.values(test.start, 2.0)
		o.values(test.end.Add(-1), 3.0)
		o.values(test.end, 4.0)
		rows := make(map[int64]any)
		for _, m := range o.push() {
			rows[m.Time().UnixNano()], _ = m.GetField("mean")
		}
		require.Len(t, rows, 3, test)
		require.InDelta(t, 2.5, rows[test.start.UnixNano()], 0, test)
		require.InDelta(t, 4.0, rows[test.end.UnixNano()], 0, test)
	}
}

func TestBadOptionsNameTheOptionTheValueAndTheRule(t *testing.T) {
	negative := config.Duration(-time.Second)
	for want, edit := range map[string]func(*describe.Describe){
		`invalid 'bucket' setting: width "10x": want whole numbers with the units y, mo, w, d, h, m or s`: func(d *describe.Describe) { d.Bucket = "10x" },
		`invalid 'bucket' setting: width "0s" is zero`:                                                    func(d *describe.Describe) { d.Bucket = "0s" },
		`invalid 'bucket' setting: width "-1d": want whole numbers`:                                       func(d *describe.Describe) { d.Bucket = "-1d" },
		`invalid 'bucket' setting: width "1mo1d" combines months with shorter units`:                      func(d *describe.Describe) { d.Bucket = "1mo1d" },
		`invalid 'bucket' setting: width 1d12h combines days with shorter units`:                          func(d *describe.Describe) { d.Bucket, d.Timezone = "1d12h", "Europe/Berlin" },
		`invalid 'timezone' setting: time zone "Berlin": unknown time zone Berlin, want an IANA`:          func(d *describe.Describe) { d.Timezone = "Berlin" },
		`invalid 'timezone' setting: time zone "": want an IANA name such as "Europe/Berlin"`:             func(d *describe.Describe) { d.Timezone = "" },
		`invalid 'timezone' setting: time zone "Local" depends on the host`:                               func(d *describe.Describe) { d.Timezone = "Local" },
		`invalid 'period' setting "-1s", want 1ms or more`:                                                func(d *describe.Describe) { d.Period = negative },
		`invalid 'period' setting "0s", want 1ms or more`:                                                 func(d *describe.Describe) { d.Period, d.Bucket = 0, "1h" },
		`invalid 'prefix' setting "a\x00", want valid UTF-8`:                                              func(d *describe.Describe) { d.Prefix = "a\x00" },
		`invalid 'origin' setting "monday", want a time in the format RFC 3339`:                           func(d *describe.Describe) { d.Origin = "monday" },
		`invalid 'stats' setting: unknown statistic "avg", did you mean "mean"?`:                          func(d *describe.Describe) { d.Stats = []string{"avg"} },
		`invalid 'stats' setting: unknown statistic "medain", known are count, min`:                       func(d *describe.Describe) { d.Stats = []string{"medain"} },
		`statistic "p99.90" is listed twice, the first time as "p99.9"`:                                   func(d *describe.Describe) { d.Stats = []string{"p99.9", "p99.90"} },
		`invalid 'quantile_method' setting: unknown method "R8", known are linear`:                        func(d *describe.Describe) { d.QuantileMethod = "R8" },
		`invalid 'group_by' setting ["[a"]`:                                                               func(d *describe.Describe) { d.GroupBy = []string{"[a"} },
		`invalid 'booleans' setting "yes", want "number" or "ignore"`:                                     func(d *describe.Describe) { d.Booleans = "yes" },
		`invalid 'prefix' setting ""`:                                                                     func(d *describe.Describe) { d.Prefix = "" },
		`invalid 'bucket_tag' setting "agent", want a name that has no other meaning`:                     func(d *describe.Describe) { d.BucketTag = "agent" },
		`invalid 'bucket_tag' setting "x\\", want valid UTF-8`:                                            func(d *describe.Describe) { d.BucketTag = `x\` },
		`invalid 'prefix' setting "a\n", want valid UTF-8`:                                                func(d *describe.Describe) { d.Prefix = "a\n" },
		`invalid 'bucket_tag' setting "mean", want a name that has no other meaning`:                      func(d *describe.Describe) { d.BucketTag = "mean" },
		`invalid 'timestamp' setting "middle", want "start", "end" or "push"`:                             func(d *describe.Describe) { d.Timestamp = "middle" },
		`invalid 'emit' setting "never", want "both", "final" or "update"`:                                func(d *describe.Describe) { d.Emit = "never" },
		`invalid 'layout' setting "table", want "rows" or "columns"`:                                      func(d *describe.Describe) { d.Layout = "table" },
		`invalid 'timestamp' setting "push" without 'bucket_tag', want a tag that names the bucket`:       func(d *describe.Describe) { d.Timestamp = "push" },
		`invalid 'state_tag' setting "mean", want a name that has no other meaning`:                       func(d *describe.Describe) { d.StateTag = "mean" },
		`invalid 'state_tag' setting "s", 'bucket_tag' has it too`:                                        func(d *describe.Describe) { d.StateTag, d.BucketTag = "s", "s" },
		`invalid 'linger' setting "-1s", want 0s or more`:                                                 func(d *describe.Describe) { d.Linger = &negative },
		`invalid 'max_future' setting "-1s", want 0s (no limit) or more`:                                  func(d *describe.Describe) { d.MaxFuture = negative },
		`invalid 'max_series' setting -1, want 0 (no limit) or more`:                                      func(d *describe.Describe) { d.MaxSeries = -1 },
		`invalid 'accuracy' setting "high", want "auto" or "exact"`:                                       func(d *describe.Describe) { d.Accuracy = "high" },
		`invalid 'exact_limit' setting 0, want 1 to 2147483646`:                                           func(d *describe.Describe) { d.ExactLimit = 0 },
		`invalid 'memory_limit' setting 0, want more than 0 bytes`:                                        func(d *describe.Describe) { d.MemoryLimit = 0 },
		`invalid 'emit_summary' setting "yes", want "off", "compact" or "full"`:                           func(d *describe.Describe) { d.EmitSummary = "yes" },
	} {
		d := newDescribe()
		d.Log = &plugintest.Log{}
		edit(d)
		require.ErrorContains(t, d.Init(), want)
	}
	d := newDescribe()
	d.Bucket, d.Timestamp, d.Prefix, d.BucketTag, d.Linger = "1", "x", "", "mean", &negative
	d.MaxFuture, d.MaxSeries, d.Accuracy, d.ExactLimit, d.MemoryLimit = negative, -1, "x", 0, -1
	for _, option := range []string{
		"bucket", "timestamp", "prefix", "bucket_tag", "linger", "max_future", "max_series", "accuracy", "exact_limit", "memory_limit",
	} {
		require.ErrorContains(t, d.Init(), "'"+option+"'", "all faults at once")
	}
}

func loaded(t *testing.T, text string) *models.RunningAggregator {
	t.Helper()
	cfg := config.NewConfig()
	require.NoError(t, cfg.LoadConfigData([]byte(text), config.EmptySourcePath))
	require.Len(t, cfg.Aggregators, 1)
	return cfg.Aggregators[0]
}

// emitted returns what an aggregator that was not initialised emits for metrics.
func emitted(t *testing.T, d *describe.Describe, metrics []telegraf.Metric) []telegraf.Metric {
	t.Helper()
	require.NoError(t, d.Init())
	for _, m := range metrics {
		d.Add(m)
	}
	var acc plugintest.Accumulator
	d.Push(&acc)
	return acc.Metrics()
}

func TestSampleConfigIsTheDefaults(t *testing.T) {
	sample := newDescribe().SampleConfig()
	uncommented := strings.ReplaceAll(sample, "  # ", "  ")
	var metrics []telegraf.Metric
	for i := range 660 { // more values in the first bucket than are exact
		at := bucketStart.Add(time.Duration(i%600)*time.Millisecond + time.Duration(i/600)*time.Minute)
		metrics = append(metrics, point(map[string]string{"host": "a"}, map[string]any{"v": float64(i) / 7, "few": i % 3, "on": i%2 == 0}, at))
	}
	for name, text := range map[string]string{"as it is": sample, "uncommented": uncommented} {
		t.Run(name, func(t *testing.T) {
			d, ok := loaded(t, text).Aggregator.(*describe.Describe)
			require.True(t, ok)
			want := newDescribe()
			want.Log = &plugintest.Log{}
			if name == "uncommented" { // the list is written out, so it is emitted as it is
				for _, s := range stats.Defaults() {
					want.Stats = append(want.Stats, s.String())
				}
			}
			rows := texts(emitted(t, want, metrics))
			require.Len(t, rows, 6)
			require.Equal(t, name == "as it is", strings.Contains(strings.Join(rows, "\n"), "max_error"))
			require.Equal(t, rows, texts(emitted(t, d, metrics)))
			require.Equal(t, want.GetState().(describe.FileState).Identity, d.GetState().(describe.FileState).Identity, "the bounds of buckets")
			require.Equal(t, want.Quiet(), d.Quiet())
			require.Equal(t, want.GroupBy, d.GroupBy)
			require.Equal(t, []any{want.Layout, want.StateTag, want.Booleans, want.Prefix, want.BucketTag, want.Timestamp, want.Emit, want.MaxFuture, want.MaxSeries, want.Period, false},
				[]any{d.Layout, d.StateTag, d.Booleans, d.Prefix, d.BucketTag, d.Timestamp, d.Emit, d.MaxFuture, d.MaxSeries, d.Period, d.DropOriginal})
			require.Equal(t, []any{want.Accuracy, want.ExactLimit, want.MemoryLimit, want.EmitSummary},
				[]any{d.Accuracy, d.ExactLimit, d.MemoryLimit, d.EmitSummary})
		})
	}
	require.Equal(t, strings.Count(uncommented, " = "), strings.Count(sample, "  # "), "every option is there, commented out")
}

func TestEmptyGroupByIsReadFromTheConfiguration(t *testing.T) {
	d := loaded(t, "[[aggregators.describe]]\n  group_by = []\n").Aggregator.(*describe.Describe)
	require.Empty(t, d.GroupBy)
}

func TestUnknownOptionsAndWrongTypesAreErrors(t *testing.T) {
	for option, want := range map[string]string{`buckets = "10d"`: "buckets", `max_series = "many"`: "line 2: (describe.Describe.MaxSeries) cannot unmarshal TOML string into int", `linger = "soon"`: "(describe.Describe.Linger)", `stats = "mean"`: "(describe.Describe.Stats)"} {
		cfg := config.NewConfig()
		err := cfg.LoadConfigData([]byte("[[aggregators.describe]]\n  "+option+"\n"), config.EmptySourcePath)
		require.ErrorContains(t, err, want, option)
	}
}

func TestNarrowGatesAreLoggedAsAWarning(t *testing.T) {
	hour, zero := config.Duration(time.Hour), config.Duration(0)
	for name, test := range map[string]struct {
		grace, delay *config.Duration
		future       config.Duration
		drop         bool
		want         []string
	}{
		"unset":          {nil, nil, 0, false, []string{"grace is 0s and linger 10m0s", "delay is 0s and max_future 0s"}},
		"dropping":       {nil, &hour, 0, true, []string{"grace is 0s", "drop_original"}},
		"wide":           {&hour, &hour, zero, true, nil},
		"delay too low":  {&hour, &zero, hour, false, []string{"delay is 0s and max_future 1h0m0s"}},
		"delay is meant": {&hour, &zero, 0, false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			o := describer(t, func(d *describe.Describe) {
				d.Grace, d.Delay, d.MaxFuture, d.DropOriginal = test.grace, test.delay, test.future, test.drop
			})
			got := o.log.Warnings()
			require.Len(t, got, len(test.want))
			for i, want := range test.want {
				require.Contains(t, got[i], want)
			}
		})
	}
}

func TestREADMEShowsTheSampleConfiguration(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	require.Contains(t, string(readme), "```toml @sample.conf\n"+newDescribe().SampleConfig()+"```\n")
}
