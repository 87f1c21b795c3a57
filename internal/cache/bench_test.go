package cache_test

import (
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
)

// BenchmarkWrite compares Put, without ("bare") and with records that are kept, with a plain client that makes the JSON of the
// same records and writes it in the same layout ("layout"): a hash for each bucket with a field for each record, its time to
// live, the index and the version, in one transaction. Put adds the summaries, revisions, names, expiry times, the writers
// and the list of tables. "hashes" is only the sending of both hashes, whose texts were made before.
//
// A batch has 1,000 records of about 210 bytes: 10 buckets of 10 series and 10 fields. All ways write the same batch in turn,
// so that other load affects them equally. The times are medians, those of Redis are means of its processor time; the
// bytes are the memory of Redis.
func BenchmarkWrite(b *testing.B) {
	for _, kind := range []record.State{record.Unmarked, record.Open, record.Final} {
		for _, summarized := range []bool{false, true} {
			b.Run(fmt.Sprintf("state=%s/summaries=%t", kind, summarized), func(b *testing.B) { benchmarkWrite(b, kind, summarized) })
		}
	}
}

// way is one of the ways that write the same batches.
type way struct {
	name    string
	client  *redis.Client
	prepare func(records []record.Record) (write func() error)
	wall    []float64 // ns a record
}

func benchmarkWrite(b *testing.B, kind record.State, summarized bool) {
	ways := []*way{{name: "layout"}, {name: "hashes"}, {name: "bare"}, {name: "kept"}}
	for _, way := range ways {
		way.client = redistest.Client(b, redistest.Server(b))
	}
	ways[0].prepare = func(records []record.Record) func() error {
		return func() error { return plainPut(b, ways[0].client, records, false)() }
	}
	ways[1].prepare = func(records []record.Record) func() error { return plainPut(b, ways[1].client, records, true) }
	for i, kept := range map[int]int64{2: 0, 3: 1 << 30} {
		w := writerOf(b, ways[i].client, func(o *cache.Options) { o.CompatRecords, o.RecentBytes = 0, kept })
		ways[i].prepare = func(records []record.Record) func() error {
			return func() error { return w.Put(b.Context(), table, records) }
		}
	}
	batches := 0
	for b.Loop() {
		records := benchmarkBatch(batches, kind, summarized)
		for _, way := range ways {
			write := way.prepare(records)
			began := time.Now()
			if err := write(); err != nil {
				b.Fatal(err)
			}
			way.wall = append(way.wall, float64(time.Since(began).Nanoseconds())/float64(len(records)))
		}
		batches++
	}
	layout := median(ways[0].wall)
	for _, way := range ways {
		records := float64(batches * 1000)
		require.Len(b, all(b, way.client, table, record.Range{Last: 1}), 100)
		b.ReportMetric(median(way.wall), way.name+"-ns/record")
		b.ReportMetric(median(way.wall)/layout, way.name+"/layout")
		b.ReportMetric(usage(b, way.client, "cpu", "used_cpu_user_main_thread", "used_cpu_sys_main_thread")*1e9/records, way.name+"-redis-ns/record")
		b.ReportMetric(usage(b, way.client, "memory", "used_memory_dataset")/records, way.name+"-B/record")
	}
}

// benchmarkBatch returns the records of the nth ten buckets.
func benchmarkBatch(n int, kind record.State, summarized bool) []record.Record {
	records := make([]record.Record, 0, 1000)
	for bucket := range 10 {
		for _, host := range hosts {
			for _, field := range fields {
				r := rec(1_700_000_000+int64(n*10+bucket)*10, field, host, 0)
				r.Tags = []series.Tag{{Key: "host", Value: host}}
				r.State, r.HasRevision = kind, kind == record.Final
				r.Stats = r.Stats[:0]
				for i, name := range []string{"count", "min", "max", "mean"} {
					r.Stats = append(r.Stats, record.Stat{Name: name, Value: float64(n+i) + .25})
				}
				if summarized {
					r.Summary = summary
				}
				records = append(records, r)
			}
		}
	}
	return records
}

func median(x []float64) float64 {
	slices.Sort(x)
	return x[len(x)/2]
}

// usage returns the sum of fields of a section of INFO.
func usage(b *testing.B, client *redis.Client, section string, names ...string) (sum float64) {
	b.Helper()
	info := redistest.Info(b, client, section)
	for _, name := range names {
		_, rest, ok := strings.Cut(info, "\n"+name+":")
		require.True(b, ok, name)
		text, _, _ := strings.Cut(rest, "\r")
		value, err := strconv.ParseFloat(text, 64)
		require.NoError(b, err)
		sum += value
	}
	return sum
}

// plainPut makes the texts of the records of a batch. It returns a function that writes them in the plain layout, with or
// without the hashes of the summaries.
func plainPut(b *testing.B, client *redis.Client, records []record.Record, summaries bool) (write func() error) {
	b.Helper()
	hashes := make(map[string][]any)
	var index []redis.Z
	for i := range records {
		start := cache.StartText(records[i].Start)
		key := cache.BucketKey(table, start)
		if hashes[key] == nil {
			index = append(index, redis.Z{Score: float64(records[i].Start.Unix()), Member: start})
		}
		field := cache.HashField(records[i])
		hashes[key] = append(hashes[key], field, records[i].AppendJSON(nil))
		if summaries {
			key = cache.SummaryKey(table, start)
			hashes[key] = append(hashes[key], field, records[i].Summary)
		}
	}
	return func() error {
		_, err := client.TxPipelined(b.Context(), func(pipe redis.Pipeliner) error {
			for key, pairs := range hashes {
				pipe.HSet(b.Context(), key, pairs...)
				pipe.Expire(b.Context(), key, time.Hour)
			}
			pipe.ZAdd(b.Context(), cache.IndexKey(table), index...)
			pipe.Incr(b.Context(), cache.VersionKey(table))
			return nil
		})
		return err
	}
}

// BenchmarkKeep measures the time and the memory that it takes to keep records of new buckets.
func BenchmarkKeep(b *testing.B) {
	const size = 1000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	add, stats := cache.NewKeeper(1 << 40)
	for n := 0; b.Loop(); n++ {
		b.StopTimer()
		records := make([]record.Record, size)
		for i := range records {
			records[i] = rec(int64(n)*10+int64(i/100), fields[i%10], hosts[i/10%10], float64(n)) // ten buckets
			records[i].Summary = summary
		}
		keep := add(records)
		b.StartTimer()
		keep()
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	kept, bytes, _ := stats()
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(kept), "ns/record")
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(kept), "heap-B/record")
	b.ReportMetric(float64(bytes)/float64(kept), "counted-B/record")
	if kept != int64(b.N)*size {
		b.Fatalf("%d records are kept, want %d", kept, b.N*size)
	}
}

var (
	fields  = numbered(10, "f")
	hosts   = numbered(10, "host")
	summary = make([]byte, 200)
)

func numbered(n int, prefix string) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprint(prefix, i))
	}
	return names
}

// BenchmarkHead compares Put into large buckets with a writer that keeps their heads and one that does not. Each call writes a
// bucket of 10,000 records in ten batches, and then the same records again.
func BenchmarkHead(b *testing.B) {
	type side struct {
		client   *redis.Client
		w        *cache.Writer
		new, old []float64
	}
	sides := map[string]*side{"with": {}, "without": {}}
	for name, s := range sides {
		s.client = redistest.Client(b, redistest.Server(b))
		s.w = writerOf(b, s.client, withoutCompat)
		if name == "without" {
			s.w.RefuseHeads()
		}
	}
	for n := 0; b.Loop(); n++ {
		for again := range 2 {
			for batch := range 10 {
				records := make([]record.Record, 1000)
				for i := range records {
					records[i] = rec(int64(n)*10, fields[i%10], fmt.Sprintf("host%04d", batch*100+i/10), float64(again))
					records[i].Summary = summary
				}
				for _, s := range sides {
					began := time.Now()
					put(b, s.w, table, records...)
					took := float64(time.Since(began).Nanoseconds()) / 1000
					if again == 0 {
						s.new = append(s.new, took)
					} else {
						s.old = append(s.old, took)
					}
				}
			}
		}
	}
	for name, s := range sides {
		records := float64(len(s.new)+len(s.old)) * 1000
		b.ReportMetric(median(s.new), name+"-new-ns/record")
		b.ReportMetric(median(s.old), name+"-old-ns/record")
		b.ReportMetric(usage(b, s.client, "cpu", "used_cpu_user_main_thread", "used_cpu_sys_main_thread")*1e9/records, name+"-redis-ns/record")
		b.ReportMetric(usage(b, s.client, "memory", "used_memory_dataset")/records*2, name+"-B/record")
	}
}
