package describe

import (
	"maps"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/metric"
	"github.com/influxdata/telegraf/models"
	"github.com/stretchr/testify/require"
)

var rowStart = time.Date(2024, 2, 25, 0, 0, 0, 7, time.UTC)

// sampleRow returns a row and a metric of Telegraf's own kind that is equal to it.
func sampleRow() (r, same telegraf.Metric) {
	tags := []telegraf.Tag{{Key: "cpu", Value: "total"}, {Key: "field_name", Value: "idle"}, {Key: "host", Value: "a"}}
	fields := []telegraf.Field{{Key: "count", Value: int64(3)}, {Key: "mean", Value: 2.5}, {Key: "mode", Value: math.MaxFloat64}}
	same = metric.New("analytics_cpu", nil, nil, rowStart)
	for _, tag := range tags {
		same.AddTag(tag.Key, tag.Value)
	}
	for _, f := range fields {
		same.AddField(f.Key, f.Value)
	}
	r = newRow("analytics_cpu", rowStart, tags, fields)
	clear(tags)
	clear(fields)
	return r, same
}

// requireSame checks every way of reading the metrics. It calls functions of require only for what differs, because they take long.
func requireSame(t testing.TB, want, got telegraf.Metric) {
	t.Helper()
	skipped := []string{"host", "mean"}
	template, ok := got.(telegraf.TemplateMetric)
	require.True(t, ok)
	read := func(m telegraf.Metric) [6]any {
		return [6]any{
			m.Name(), m.Type(), m.Time().UnixNano(), m.HashID(), m.HashIDWithFieldsFiltered(skipped, skipped),
			m.(telegraf.TemplateMetric).String(),
		}
	}
	if a, b := read(want), read(got); a != b {
		require.Equal(t, a, b)
	}
	if a, b := values(want.TagList()), values(got.TagList()); !slices.Equal(a, b) {
		require.Equal(t, a, b)
	}
	if a, b := values(want.FieldList()), values(got.FieldList()); !slices.Equal(a, b) {
		require.Equal(t, a, b)
	}
	if a, b := want.Tags(), got.Tags(); !maps.Equal(a, b) {
		require.Equal(t, a, b)
	}
	if a, b := want.Fields(), got.Fields(); !maps.Equal(a, b) {
		require.Equal(t, a, b)
	}
	for _, key := range []string{"cpu", "field_name", "host", "count", "mean", "zone", "a", ""} {
		tag, hasTag := want.GetTag(key)
		field, hasField := want.GetField(key)
		gotTag, gotHasTag := got.GetTag(key)
		gotField, gotHasField := got.GetField(key)
		a := [8]any{tag, hasTag, hasTag, tag, field, hasField, hasField, field}
		b := [8]any{gotTag, gotHasTag, got.HasTag(key), template.Tag(key), gotField, gotHasField, got.HasField(key), template.Field(key)}
		if a != b {
			require.Equal(t, a, b, key)
		}
	}
}

// changes are the ways in which processors change metrics.
var changes = []func(telegraf.Metric, string){
	func(m telegraf.Metric, key string) { m.AddTag(key, "new") },
	func(m telegraf.Metric, key string) { m.RemoveTag(key) },
	func(m telegraf.Metric, key string) { m.AddField(key, 7) },
	func(m telegraf.Metric, key string) { m.AddField(key, "text") },
	func(m telegraf.Metric, key string) { m.AddField(key, struct{}{}) },
	func(m telegraf.Metric, key string) { m.RemoveField(key) },
	func(m telegraf.Metric, key string) { m.SetName(key) },
	func(m telegraf.Metric, key string) { m.AddPrefix(key) },
	func(m telegraf.Metric, key string) { m.AddSuffix(key) },
	func(m telegraf.Metric, _ string) { m.SetTime(rowStart.Add(time.Hour)) },
	func(m telegraf.Metric, _ string) { m.SetType(telegraf.Gauge) },
	func(m telegraf.Metric, key string) {
		for _, tag := range m.TagList() {
			tag.Value += key
		}
	},
	func(m telegraf.Metric, key string) {
		for _, f := range m.FieldList() {
			f.Value = key
		}
	},
}

func TestRowsChangeAsOtherMetricsDo(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	keys := []string{"cpu", "field_name", "host", "count", "mean", "zone", "a"}
	for range 200 {
		r, same := sampleRow()
		requireSame(t, same, r)
		for range 12 {
			change, key := changes[random.IntN(len(changes))], keys[random.IntN(len(keys))]
			change(r, key)
			change(same, key)
			requireSame(t, same, r)
		}
	}
}

// Other metrics return an empty map if they have no tags or no fields, to which a processor can add.
func TestTheMapsOfARowWithoutTagsAndFieldsAreNotNil(t *testing.T) {
	t.Parallel()
	r, same := newRow("m", rowStart, nil, nil), metric.New("m", nil, nil, rowStart)
	require.Equal(t, same.Tags(), r.Tags())
	require.Equal(t, same.Fields(), r.Fields())
}

func TestCopiesOfARowShareNothingWithIt(t *testing.T) {
	t.Parallel()
	for _, change := range changes {
		r, same := sampleRow()
		r.SetType(telegraf.Gauge)
		same.SetType(telegraf.Gauge)
		copied := r.Copy()
		requireSame(t, same, copied)
		change(copied, "host")
		requireSame(t, same, r)
		other := r.Copy()
		change(r, "mean")
		requireSame(t, same, other)
	}
}

func TestUnwrappedRowsAndTheirMetricChangeTogether(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"cpu", "mean", "zone"} {
		for i, change := range changes {
			r, same := sampleRow()
			unwrapped := r.(telegraf.UnwrappableMetric).Unwrap()
			require.IsType(t, same, unwrapped)
			change(same, key)
			change([]telegraf.Metric{r, unwrapped}[i%2], key)
			requireSame(t, same, r)
			requireSame(t, same, unwrapped)
			requireSame(t, same, r.Copy())
			require.Same(t, unwrapped, r.(telegraf.UnwrappableMetric).Unwrap())
		}
	}
}

// The race detector reports a write in Unwrap. The processor dedup reads metrics while outputs unwrap them.
func TestSeveralGoroutinesMayUnwrapAndReadARow(t *testing.T) {
	t.Parallel()
	r, same := sampleRow()
	var all sync.WaitGroup
	unwrapped := make([]telegraf.Metric, 4)
	for i := range unwrapped {
		all.Go(func() {
			value, _ := r.GetField("mean")
			unwrapped[i] = r.(telegraf.UnwrappableMetric).Unwrap()
			after, _ := r.GetField("mean")
			if value != after {
				t.Errorf("mean is %v, after Unwrap %v", value, after)
			}
		})
	}
	all.Wait()
	for _, u := range unwrapped {
		require.Same(t, unwrapped[0], u)
		requireSame(t, same, u)
	}
}

// An agent without this plugin must be able to read the buffer.
func TestRowsInABufferOnDiskAreOfTelegrafsOwnKind(t *testing.T) {
	buffer, err := models.NewBuffer("test", "1", "", 100, "disk_write_through", t.TempDir(), false)
	require.NoError(t, err)
	r, same := sampleRow()
	require.Zero(t, buffer.Add(r))
	tx := buffer.BeginTransaction(1)
	require.Len(t, tx.Batch, 1)
	require.IsType(t, same, tx.Batch[0])
	requireSame(t, same, tx.Batch[0])
	tx.AcceptAll()
	buffer.EndTransaction(tx)
	require.NoError(t, buffer.Close())
}

// BenchmarkRow makes the metric of a row with seven statistics and six tags. kind=copy copies a metric of Telegraf's own
// kind. The last rows are kept, as outputs do.
func BenchmarkRow(b *testing.B) {
	const agentHeap = 64 << 20 // about the memory of an agent: see agentHeap of BenchmarkNeighbours
	agent := make([]byte, agentHeap)
	defer runtime.KeepAlive(agent)
	var tags []telegraf.Tag
	for i := range 6 {
		tags = append(tags, telegraf.Tag{Key: "tag" + strconv.Itoa(i), Value: "value"})
	}
	var fields []telegraf.Field
	for i := range 7 {
		fields = append(fields, telegraf.Field{Key: "statistic" + strconv.Itoa(i), Value: float64(i)})
	}
	other := metric.FromMetric(newRow("analytics_cpu", rowStart, tags, fields))
	for _, c := range []struct {
		kind string
		row  func() telegraf.Metric
	}{
		{"copy", other.Copy},
		{"row", func() telegraf.Metric { return newRow("analytics_cpu", rowStart, tags, fields) }},
	} {
		b.Run("kind="+c.kind, func(b *testing.B) {
			requireSame(b, other, c.row())
			kept := make([]telegraf.Metric, 1<<12)
			next := 0
			b.ReportAllocs()
			for b.Loop() {
				kept[next%len(kept)] = c.row()
				next++
			}
		})
	}
}
