package describe

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/config"
	"github.com/influxdata/telegraf/metric"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

func TestSeriesWhoseHashesCollideNeverMix(t *testing.T) {
	for name, hash := range map[string]func([]byte) uint64{
		"all alike":  func([]byte) uint64 { return 42 },
		"two values": func(key []byte) uint64 { return uint64(len(key) % 2) },
		"high bits":  func(key []byte) uint64 { return uint64(key[len(key)-1]) << 56 },
	} {
		t.Run(name, func(t *testing.T) {
			o := describer(t, func(d *Describe) { d.Stats = []string{"count", "sum"} })
			o.table.index.hash = hash
			r := rand.New(rand.NewPCG(1, 1))
			want := make(map[string]float64)
			for i := range 5000 {
				host := strconv.Itoa(r.IntN(300))
				want[host] += float64(i)
				o.Add(point(map[string]string{"host": host}, map[string]any{"v": float64(i)}, bucketStart))
			}
			got := make(map[string]float64)
			for _, m := range o.push() {
				got[m.Tags()["host"]] = m.Fields()["sum"].(float64)
			}
			require.Equal(t, want, got)
			o.clock.at = o.clock.at.Add(time.Hour)
			o.push()
			o.push()
			require.Zero(t, o.table.index.used)
		})
	}
}

// The index is compared with a map.
func TestIndexFindsWhatIsInIt(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	for _, hashes := range []uint64{1, 7, 1 << 20} {
		var x index
		x.init()
		x.hash = func(key []byte) uint64 { return (uint64(key[0])*31 + uint64(key[len(key)-1])*17) % hashes }
		model := make(map[string]*series)
		for range 20_000 {
			key := fmt.Sprintf("k%d", r.IntN(400))
			if s := model[key]; s == nil && r.IntN(3) > 0 {
				model[key] = new(series)
				x.put(key, model[key])
			} else if s != nil && r.IntN(2) == 0 {
				delete(model, key)
				x.remove(key)
			}
			require.Same(t, model[key], x.find([]byte(key)))
		}
		require.Equal(t, len(model), x.used)
		for i := range 400 {
			key := fmt.Sprintf("k%d", i)
			require.Same(t, model[key], x.find([]byte(key)))
			x.remove(key)
		}
		require.Len(t, x.slots, minSlots)
	}
}

func TestSeriesWithTheSameFieldsShareASchema(t *testing.T) {
	o := describer(t, nil)
	r := rand.New(rand.NewPCG(3, 3))
	for i := range 500 {
		m := metric.New("m", map[string]string{"host": strconv.Itoa(i)}, nil, bucketStart)
		for _, f := range r.Perm(30) { // as of a map, which most inputs make metrics of
			m.AddField("field"+strconv.Itoa(f), float64(f))
		}
		o.Add(m)
	}
	require.Equal(t, 1, o.table.schemas.count)
	for _, m := range o.push() {
		require.Equal(t, "field"+strconv.Itoa(int(m.Fields()["mean"].(float64))), m.Tags()["field_name"])
	}
}

func TestSchemasWithoutASeriesAreLetGo(t *testing.T) {
	o := describer(t, func(d *Describe) { d.Linger = new(config.Duration) })
	for i := range 2000 {
		o.Add(point(nil, map[string]any{"f" + strconv.Itoa(i): 1.0}, bucketStart.Add(time.Duration(i)*time.Minute)))
		o.push()
		o.clock.at = o.clock.at.Add(time.Minute)
	}
	require.LessOrEqual(t, o.table.schemas.count, 2*fewSchemas+10)
	require.LessOrEqual(t, len(o.table.schemas.empty.grown), 2*fewSchemas+10)
}

// The values of several series, buckets and fields come in any order, with Pushes in between; each summary must
// be that of its own values.
func TestRowsReachTheirSummaries(t *testing.T) {
	type place struct {
		host, field string
		minute      int
	}
	o := describer(t, func(d *Describe) {
		d.Bucket, d.Stats = "1m", []string{"count", "sum", "p50", "first", "last"}
	})
	r := rand.New(rand.NewPCG(4, 4))
	want := make(map[place]*stats.Summary)
	got := make(map[place]telegraf.Metric)
	for i := range 20_000 {
		host, minute := strconv.Itoa(r.IntN(3)), r.IntN(4)
		at := bucketStart.Add(time.Duration(minute)*time.Minute + time.Duration(r.IntN(60))*time.Second)
		m := metric.New("m", map[string]string{"host": host}, nil, at)
		for _, f := range r.Perm(8) {
			if r.IntN(3) == 0 || f > i/1000 {
				continue // fields are missing, and come late
			}
			v := r.NormFloat64()
			m.AddField("f"+strconv.Itoa(f), v)
			p := place{host, "f" + strconv.Itoa(f), minute}
			if want[p] == nil {
				want[p] = new(stats.Summary)
			}
			want[p].AddAt(v, at.UnixNano())
		}
		o.Add(m)
		if r.IntN(700) == 0 || i == 19_999 {
			for _, m := range o.push() {
				got[place{m.Tags()["host"], m.Tags()["field_name"], m.Time().Minute()}] = m
			}
		}
	}
	require.Len(t, got, len(want))
	sel, err := stats.NewSelection(o.Stats, stats.Linear)
	require.NoError(t, err)
	for p, summary := range want {
		row := sel.Append(nil, summary)
		f := got[p].Fields()
		require.Equal(t, int64(row[0]), f["count"], p)
		require.InDelta(t, row[1], f["sum"], 1e-9, p)
		got := []float64{f["p50"].(float64), f["first"].(float64), f["last"].(float64)}
		require.Equal(t, row[2:], got, p)
	}
}

// A bucket that takes over the memory of the one that closed knows nothing of its values.
func TestMemoryIsReusedAndEmpty(t *testing.T) {
	for _, accuracy := range []string{"auto", "exact"} {
		o := describer(t, func(d *Describe) {
			d.Bucket, d.Linger, d.ExactLimit, d.Accuracy = "1m", new(config.Duration), 20, accuracy
			d.Stats = []string{"count", "min", "max", "mode_count", "first"}
		})
		for minute := range 30 {
			at := bucketStart.Add(time.Duration(minute) * time.Minute)
			for i := range 1 + minute*7%60 {
				o.Add(point(nil, map[string]any{"a": float64(1000*minute + i), "b": float64(minute)}, at.Add(time.Second)))
			}
			rows := o.push()
			require.Len(t, rows, 2)
			n := int64(1 + minute*7%60)
			require.Equal(t, map[string]any{
				"count": n, "min": float64(1000 * minute), "max": float64(1000*minute) + float64(n) - 1, "mode_count": 1.0, "first": float64(1000 * minute),
			}, rows[0].Fields())
			require.Equal(t, map[string]any{
				"count": n, "min": float64(minute), "max": float64(minute), "mode_count": float64(n), "first": float64(minute),
			}, rows[1].Fields())
			o.clock.at = o.clock.at.Add(time.Minute)
		}
	}
}

func TestMemoryIsGivenBackWhenSeriesGoQuiet(t *testing.T) {
	o := describer(t, func(d *Describe) { d.Bucket = "1h" })
	for i := range 2000 {
		for range 40 {
			o.Add(point(map[string]string{"host": strconv.Itoa(i)}, map[string]any{"a": rand.NormFloat64(), "b": rand.NormFloat64()}, bucketStart))
		}
	}
	o.push()
	require.Greater(t, o.budget.held, 2000*2*40*8)
	rows := o.budget.held
	o.push()
	require.Less(t, o.budget.held, rows-2000*2*8*stageRows+1, "the rows of buckets that got nothing in a period")
	o.clock.at = o.clock.at.Add(time.Hour)
	o.push()
	o.push()
	require.Zero(t, o.budget.held)
	require.Empty(t, o.table.order)
	require.Len(t, o.table.index.slots, minSlots)
}

// Of each four fields one is constant, one has few distinct values, one has a value that comes often, and one has none
// that comes twice. The candidates for the mode of the last kind come from a pool, which under the race detector loses
// some on purpose: a few allocations are those.
func TestAddingAllocatesNothingInSteadyState(t *testing.T) {
	const series, fields, rows = 10, 12, 32 // rows are enough for all that is collected to be taken into the summaries
	noise := make([]any, 1<<12)
	r := rand.New(rand.NewPCG(5, 5))
	for i := range noise {
		noise[i] = 50 + r.Float64()*30
	}
	few := []any{0.0, 1.0, 2.0, 3.0, 4.0}
	for _, limit := range []int{64, 512} {
		o := describer(t, func(d *Describe) { d.Bucket, d.ExactLimit = "1d", limit })
		var metrics []telegraf.Metric
		for i := range series {
			m := point(map[string]string{"host": strconv.Itoa(i), "cpu": "cpu0"}, nil, bucketStart)
			for f := range fields {
				m.AddField("f"+strconv.Itoa(f), 0.0)
			}
			metrics = append(metrics, m)
		}
		k := 0
		add := func() {
			for range rows {
				for _, m := range metrics {
					for i, f := range m.FieldList() {
						k++
						f.Value = noise[k%len(noise)]
						if kind := i % 4; kind == 0 || kind == 2 && k%3 == 0 {
							f.Value = few[0]
						} else if kind == 1 {
							f.Value = few[k%len(few)]
						}
					}
					o.Add(m)
				}
			}
		}
		for range 100 {
			add()
		}
		settled := series * rows / stageRows
		require.Less(t, testing.AllocsPerRun(20, add), float64(settled)/2, "limit %d", limit)
	}
}

func TestExactLimitAndAccuracy(t *testing.T) {
	for _, test := range []struct {
		accuracy         string
		limit, n         int
		exact, histogram int64
	}{
		{"auto", 50, 50, 1, 0}, {"auto", 50, 51, 0, 1}, {"exact", 50, 5000, 1, 0}, {"auto", 5000, 5000, 1, 0},
	} {
		o := describer(t, func(d *Describe) {
			d.Bucket, d.Accuracy, d.ExactLimit, d.Stats = "1d", test.accuracy, test.limit, []string{"max_error", "p50"}
		})
		for i := range test.n {
			o.values(bucketStart.Add(time.Duration(i)*time.Second), float64(i)+0.5)
		}
		f := fields(t, o.push())
		require.Equal(t, test.histogram == 1, f["max_error"].(float64) > 0, "%+v", test)
		require.InDelta(t, float64(test.n)/2, f["p50"], f["max_error"].(float64)*float64(test.n), "%+v", test)
		require.Equal(t, test.exact, o.counters.exact.Get())
		require.Equal(t, test.histogram, o.counters.histograms.Get())
	}
}

func TestTheLargestSummariesAreDemotedBeyondTheMemoryLimit(t *testing.T) {
	o := describer(t, func(d *Describe) {
		d.Bucket, d.Accuracy, d.MemoryLimit = "1d", "exact", 200_000
		d.Stats = []string{"count", "max_error"}
	})
	add := func(host string, n int) {
		for range n {
			o.Add(point(map[string]string{"host": host}, map[string]any{"v": rand.NormFloat64()}, bucketStart))
		}
	}
	for i := range 10 {
		add("small"+strconv.Itoa(i), 100)
	}
	add("large", 30_000)
	require.LessOrEqual(t, o.budget.held, 200_000)
	require.Equal(t, int64(1), o.counters.demotions.Get())
	for _, m := range o.push() {
		demoted := m.Tags()["host"] == "large"
		require.Equal(t, demoted, m.Fields()["max_error"].(float64) > 0, m.Tags()["host"])
		if demoted {
			require.Equal(t, int64(30_000), m.Fields()["count"])
		}
	}
	require.Len(t, o.log.Warnings(), 1)
	require.Contains(t, o.log.Warnings()[0], "memory_limit of 200000 bytes")

	for i := range 1000 {
		add("many"+strconv.Itoa(i), 10)
	}
	require.Len(t, o.log.Warnings(), 2, "nothing is left to demote, which is said once")
	require.Contains(t, o.log.Warnings()[1], "max_series")
	require.Len(t, o.push(), 1000)
	require.Greater(t, o.budget.next, o.budget.limit, "it is not tried again at once")
	o.clock.at = o.clock.at.Add(time.Hour)
	o.push()
	o.push()
	require.Equal(t, o.budget.limit, o.budget.next, "the limit counts again once it is kept")
}

func TestTheLargestSummaryIsDemotedFirst(t *testing.T) {
	o := describer(t, func(d *Describe) {
		d.Bucket, d.Accuracy, d.Stats = "1d", "exact", []string{"max_error"}
	})
	for _, host := range []struct {
		name string
		n    int
	}{{"middle", 2000}, {"large", 5000}, {"small", 800}} {
		for i := range host.n {
			o.Add(point(map[string]string{"host": host.name}, map[string]any{"v": float64(i) / 7}, bucketStart))
		}
	}
	o.push()
	for demoted, want := range []string{"large", "middle", "small"} {
		o.budget.limit = o.budget.held - 1
		o.demote()
		require.Equal(t, int64(demoted+1), o.counters.demotions.Get())
		o.Add(point(map[string]string{"host": want}, map[string]any{"v": 1.0}, bucketStart)) // so that it is emitted again
		require.Positive(t, fields(t, o.push())["max_error"], want)
	}
}

func TestEmitSummary(t *testing.T) {
	for mode, test := range map[string]struct {
		exactTo int // values, for which the summary is exact
	}{"compact": {compactLimit}, "full": {300}} {
		for _, n := range []int{1, compactLimit, compactLimit + 1, 300, 400} {
			o := describer(t, func(d *Describe) {
				d.Bucket, d.EmitSummary, d.ExactLimit, d.Stats = "1d", mode, 300, []string{"count", "first", "mean"}
			})
			for i := range n {
				o.values(bucketStart.Add(time.Duration(i)*time.Second), float64(i*i%977)+0.25)
			}
			f := fields(t, o.push())
			encoded, err := base64.StdEncoding.DecodeString(f["summary"].(string))
			require.NoError(t, err)
			var s stats.Summary
			require.NoError(t, s.UnmarshalBinary(encoded))
			require.Equal(t, uint64(n), s.Count())
			require.Equal(t, n <= test.exactTo, s.Exact(), "%s, n=%d", mode, n)
			require.InEpsilon(t, f["mean"], s.Mean(), 1e-12)
			first, err := stats.NewSelection([]string{"first"}, stats.Linear)
			require.NoError(t, err)
			require.Equal(t, []float64{f["first"].(float64)}, first.Append(nil, &s), "times are part of it where first or last is a statistic")
			if mode == "compact" {
				require.Less(t, len(encoded), 700)
			}
		}
	}
	o := describer(t, nil)
	o.values(bucketStart, 1.0)
	require.NotContains(t, fields(t, o.push()), "summary")
}
