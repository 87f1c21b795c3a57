package describe_test

import (
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/metric"
	"github.com/influxdata/telegraf/models"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/plugins/aggregators/describe"
	"github.com/telegraf-describe/telegraf-describe/plugins/plugintest"
)

var rowStart = time.Date(2024, 2, 25, 0, 0, 0, 7, time.UTC)

// sampleRows returns a function that makes, with the aggregator, a row, and a metric of Telegraf's own kind that is equal to it.
func sampleRows(t *testing.T) func() (r, same telegraf.Metric) {
	t.Helper()
	o := describer(t, func(d *describe.Describe) {
		d.Bucket, d.Origin, d.Stats = "1h", rowStart.Format(time.RFC3339Nano), []string{"count", "max", "mean"}
	})
	hours := 0
	return func() (r, same telegraf.Metric) {
		t.Helper()
		at := rowStart.Add(time.Duration(hours) * time.Hour)
		hours++
		for _, v := range []float64{math.MaxFloat64, -math.MaxFloat64, 7.5} {
			o.Add(point(map[string]string{"cpu": "total", "host": "a"}, map[string]any{"idle": v}, at))
		}
		rows := o.push()
		require.Len(t, rows, 1)
		o.Add(point(map[string]string{"region": "eu"}, map[string]any{"other": 1.0}, at))
		require.Len(t, o.push(), 1) // the aggregator uses the memory again with which it made the row
		same = metric.New("analytics_cpu", map[string]string{"cpu": "total", "field_name": "idle", "host": "a"}, nil, at)
		same.AddField("count", int64(3))
		same.AddField("max", math.MaxFloat64)
		same.AddField("mean", 2.5)
		return rows[0], same
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
	sample := sampleRows(t)
	random := rand.New(rand.NewPCG(1, 2))
	keys := []string{"cpu", "field_name", "host", "count", "mean", "zone", "a"}
	for range 200 {
		r, same := sample()
		plugintest.RequireSame(t, same, r)
		for range 12 {
			change, key := changes[random.IntN(len(changes))], keys[random.IntN(len(keys))]
			change(r, key)
			change(same, key)
			plugintest.RequireSame(t, same, r)
		}
	}
}

// Other metrics return an empty map if they have no tags or no fields, to which a processor can add.
func TestTheMapsOfARowWithoutTagsAndFieldsAreNotNil(t *testing.T) {
	t.Parallel()
	o := describer(t, func(d *describe.Describe) { d.Layout, d.Stats = "columns", []string{"count"} })
	o.values(bucketStart, 1.0)
	rows, same := o.push(), metric.New("m", nil, nil, rowStart)
	require.Len(t, rows, 1)
	r := rows[0]
	r.RemoveField("v_count")
	require.Equal(t, same.Tags(), r.Tags())
	require.Equal(t, same.Fields(), r.Fields())
}

func TestCopiesOfARowShareNothingWithIt(t *testing.T) {
	t.Parallel()
	sample := sampleRows(t)
	for _, change := range changes {
		r, same := sample()
		r.SetType(telegraf.Gauge)
		same.SetType(telegraf.Gauge)
		copied := r.Copy()
		plugintest.RequireSame(t, same, copied)
		change(copied, "host")
		plugintest.RequireSame(t, same, r)
		other := r.Copy()
		change(r, "mean")
		plugintest.RequireSame(t, same, other)
	}
}

func TestUnwrappedRowsAndTheirMetricChangeTogether(t *testing.T) {
	t.Parallel()
	sample := sampleRows(t)
	for _, key := range []string{"cpu", "mean", "zone"} {
		for i, change := range changes {
			r, same := sample()
			unwrapped := r.(telegraf.UnwrappableMetric).Unwrap()
			require.IsType(t, same, unwrapped)
			change(same, key)
			change([]telegraf.Metric{r, unwrapped}[i%2], key)
			plugintest.RequireSame(t, same, r)
			plugintest.RequireSame(t, same, unwrapped)
			plugintest.RequireSame(t, same, r.Copy())
			require.Same(t, unwrapped, r.(telegraf.UnwrappableMetric).Unwrap())
		}
	}
}

// The race detector reports a write in Unwrap. The processor dedup reads metrics while outputs unwrap them.
func TestSeveralGoroutinesMayUnwrapAndReadARow(t *testing.T) {
	t.Parallel()
	sample := sampleRows(t)
	r, same := sample()
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
		plugintest.RequireSame(t, same, u)
	}
}

// An agent without this plugin must be able to read the buffer.
func TestRowsInABufferOnDiskAreOfTelegrafsOwnKind(t *testing.T) {
	sample := sampleRows(t)
	buffer, err := models.NewBuffer("test", "1", "", 100, "disk_write_through", t.TempDir(), false)
	require.NoError(t, err)
	r, same := sample()
	require.Zero(t, buffer.Add(r))
	tx := buffer.BeginTransaction(1)
	require.Len(t, tx.Batch, 1)
	require.IsType(t, same, tx.Batch[0])
	plugintest.RequireSame(t, same, tx.Batch[0])
	tx.AcceptAll()
	buffer.EndTransaction(tx)
	require.NoError(t, buffer.Close())
}
