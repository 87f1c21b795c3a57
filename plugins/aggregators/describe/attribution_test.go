package describe

import (
	"encoding/base64"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/config"
	"github.com/influxdata/telegraf/metric"
	"github.com/stretchr/testify/require"

	ids "github.com/telegraf-describe/telegraf-describe/internal/series"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// described is what a test knows of the values of one field of one series in one bucket.
type described struct {
	count         int64
	sum, min, max float64
	emitted       map[string]bool // the fields of emissions so far
}

// model is compared with an aggregator: it keeps what each row must say by a text for the row.
type model map[string]*described

func (m model) add(row string, v float64) {
	d := m[row]
	if d == nil {
		d = &described{min: v, max: v, emitted: make(map[string]bool)}
		m[row] = d
	}
	d.count++
	d.sum += v
	d.min, d.max = min(d.min, v), max(d.max, v)
}

func (m model) check(t *testing.T, row string, got map[string]any) {
	t.Helper()
	want := m[row]
	require.NotNil(t, want, row)
	require.Equal(t, want.count, got["count"], row)
	require.InDelta(t, want.sum, got["sum"], 1e-6, row)
	require.Equal(t, []any{want.min, want.max}, []any{got["min"], got["max"]}, row)
	for name := range want.emitted {
		require.Contains(t, got, name, "a later emission has at least the fields of an earlier one")
	}
	for name := range got {
		want.emitted[name] = true
	}
	if text, ok := got["summary"].(string); ok {
		encoded, err := base64.StdEncoding.DecodeString(text)
		require.NoError(t, err)
		var s stats.Summary
		require.NoError(t, s.UnmarshalBinary(encoded))
		require.Equal(t, uint64(want.count), s.Count())
	}
}

func rowText(measurement string, tags []ids.Tag, field string, start time.Time) string {
	return fmt.Sprintf("%q %q %q %d", measurement, tags, field, start.Unix())
}

// rowOf returns the text of the row that a metric's field belongs to.
func (o open) rowOf(m telegraf.Metric, field string) string {
	var tags []ids.Tag
	for _, tag := range m.TagList() {
		if o.grouping.keeps(tag.Key) {
			tags = append(tags, ids.Tag{Key: tag.Key, Value: tag.Value})
		}
	}
	tags, _ = o.table.outgoing(tags)
	name := ids.Sendable(field)
	if name == "" {
		name = namelessField
	}
	return rowText(ids.Sendable(m.Name()), tags, name, m.Time().Truncate(time.Minute))
}

// rowIs returns the text of a row that was emitted.
func rowIs(m telegraf.Metric) string {
	var tags []ids.Tag
	for _, tag := range m.TagList() {
		if tag.Key != "field_name" {
			tags = append(tags, ids.Tag{Key: tag.Key, Value: tag.Value})
		}
	}
	return rowText(strings.TrimPrefix(m.Name(), "analytics_"), tags, m.Tags()["field_name"], m.Time())
}

// heldByBuckets is what the budget must say.
func (o open) heldByBuckets() (held int) {
	for _, s := range o.table.order {
		for _, b := range s.window.Buckets() {
			held += b.State.bytes
		}
		if s.spare != nil {
			held += s.spare.bytes
		}
	}
	return held
}

func pick[T any](r *rand.Rand, all ...T) T { return all[r.IntN(len(all))] }

// randomOptions makes an aggregator whose buckets close, summaries change their form, and hashes collide.
func randomOptions(t *testing.T, r *rand.Rand) open {
	t.Helper()
	o := describer(t, func(d *Describe) {
		linger := pick(r, config.Duration(0), config.Duration(2*time.Minute))
		d.Bucket, d.Linger = "1m", &linger
		d.Stats = []string{"count", "sum", "min", "max", "max_error", "first", "last", "stddev", "mode_count"}
		d.GroupBy = pick(r, []string{"*"}, []string{}, []string{"a*", "k*"}, []string{"host", "field*"})
		d.Accuracy = pick(r, "auto", "exact")
		d.ExactLimit = 1 + r.IntN(40)
		d.MemoryLimit = pick[config.Size](r, 2000, 50_000, 1<<30)
		d.EmitSummary = pick(r, "off", "compact", "full")
		d.MaxSeries = pick(r, 0, 0, 5)
	})
	o.clock.at = bucketStart
	if r.IntN(2) == 0 {
		o.table.index.hash = func([]byte) uint64 { return 1 }
	}
	return o
}

// randomSources returns measurements with tags that are hard to tell apart.
func randomSources(r *rand.Rand) (sources []telegraf.Metric) {
	long := strings.Repeat("x", 127)
	for range 12 {
		tags := make(map[string]string)
		for range r.IntN(5) {
			key := pick(r, "a", "b", "host", "field_name", "field_name_tag", "time", `a\`, "a_tag", strings.Repeat("k", 130))
			tags[key] = pick(r, "", "1", "2", `1\`, "x\ty", `x\ty`, long, long+"x", long+"xy", strings.Repeat("y", 300))
		}
		sources = append(sources, metric.New(pick(r, "m", `m\`, "n", strings.Repeat("m", 200)), tags, nil, bucketStart))
	}
	return sources
}

// randomFields gives the metric some fields, of which some arrive alike, some are NaN, and some are new.
func randomFields(r *rand.Rand, m telegraf.Metric, step int) {
	all := []string{"f", "g", `f\`, "h\t", `h\t`, "", `\`, "i"}
	for _, i := range r.Perm(len(all)) {
		if r.IntN(3) == 0 {
			m.AddField(all[i], pick(r, math.NaN(), float64(r.IntN(2000))+0.25, float64(r.IntN(9))))
		}
	}
	if r.IntN(10) == 0 {
		m.AddField("new"+strconv.Itoa(step), 1.5)
	}
}

// Whatever comes, in whatever order, every value is in the row of its own series, field and bucket, or counted as
// dropped.
func TestEveryValueReachesItsOwnRow(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1))
		o, want := randomOptions(t, r), make(model)
		sources := randomSources(r)
		for step := range 1500 {
			m := sources[step%len(sources)].Copy() // mostly in the same order
			if r.IntN(6) == 0 {
				m = pick(r, sources...).Copy()
			}
			m.SetTime(o.clock.at.Add(time.Duration(r.IntN(150)-90) * time.Second))
			randomFields(r, m, step)
			dropped := o.counters.seriesDropped.Get() + o.counters.late.Get()
			o.Add(m)
			if o.counters.seriesDropped.Get()+o.counters.late.Get() == dropped {
				for _, f := range m.FieldList() {
					if v := f.Value.(float64); v == v {
						want.add(o.rowOf(m, f.Key), v)
					}
				}
			}
			if r.IntN(60) == 0 {
				for _, row := range o.push() {
					want.check(t, rowIs(row), row.Fields())
				}
				require.Equal(t, o.heldByBuckets(), o.budget.held, "seed %d", seed)
				o.clock.at = o.clock.at.Add(time.Duration(r.IntN(120)) * time.Second)
			}
		}
		for _, row := range o.push() {
			want.check(t, rowIs(row), row.Fields())
		}
		for row, d := range want {
			require.NotEmpty(t, d.emitted, "seed %d: %s", seed, row)
		}
		o.clock.at = o.clock.at.Add(time.Hour)
		o.push()
		o.push()
		require.Zero(t, o.budget.held, "seed %d", seed)
		require.Zero(t, o.table.index.used, "seed %d", seed)
	}
}

// Fields that arrive alike in one metric are values of one field, also where the metric is late.
func TestFieldsThatArriveAlikeInOneMetric(t *testing.T) {
	o := describer(t, func(d *Describe) {
		d.Bucket, d.Linger, d.Stats = "1m", new(config.Duration), []string{"count", "sum", "first", "last"}
	})
	alike := func(host string, at time.Time) telegraf.Metric {
		m := metric.New("m", map[string]string{"host": host}, nil, at)
		for i, field := range []string{"z", `z\`, `z\\`} {
			m.AddField(field, float64(i+1))
		}
		return m
	}
	o.Add(alike("a", bucketStart))
	require.Equal(t, map[string]any{"count": int64(3), "sum": 6.0, "first": 1.0, "last": 3.0}, fields(t, o.push()), "in the order in which they came")
	o.Add(alike("a", bucketStart))
	require.Equal(t, int64(3), o.counters.late.Get())
	o.Add(metric.New("m", map[string]string{"host": "b"}, map[string]any{"x": 1.0}, bucketStart.Add(time.Hour)))
	require.Equal(t, 1.0, fields(t, o.push())["sum"], "nothing is left over from the late ones")
}

// A series that gets one field a metric, as of inputs.prometheus without tags, takes time and memory for these only.
func TestSparseMetricsOfAWideSeries(t *testing.T) {
	const width = 3000
	o := describer(t, func(d *Describe) { d.Bucket, d.Stats = "1d", []string{"count", "sum"} })
	for round := range 3 {
		for i := range width {
			o.Add(point(nil, map[string]any{"f" + strconv.Itoa(i): float64(i + round)}, bucketStart.Add(time.Duration(round)*time.Second)))
		}
	}
	require.Less(t, o.budget.held, 400*width)
	rows := o.push()
	require.Len(t, rows, width)
	for _, m := range rows {
		i, err := strconv.Atoi(strings.TrimPrefix(m.Tags()["field_name"], "f"))
		require.NoError(t, err)
		require.Equal(t, map[string]any{"count": int64(3), "sum": float64(3*i + 3)}, m.Fields())
	}
	require.LessOrEqual(t, o.table.schemas.count, fewSchemas, "the schemas on the way are let go")
}

func TestKeysOfOneSeriesAreBounded(t *testing.T) {
	o := describer(t, func(d *Describe) { d.MaxSeries, d.Stats = 1, []string{"count"} })
	for i := range 500 {
		o.Add(point(map[string]string{"host": "a" + strings.Repeat(`\`, i)}, map[string]any{"v": 1.0}, bucketStart))
	}
	require.LessOrEqual(t, o.table.index.used, 1+maxKeys)
	require.Equal(t, int64(500), fields(t, o.push())["count"])
}
