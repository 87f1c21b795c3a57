package state_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/state"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// The rows of the benchmarks are as those of a plugin about processors: of ten fields, five are measured with decimals,
// three are 0 and two are small whole numbers.
const (
	benchFields = 10
	benchRows   = 3
	benchSeries = 10_000
)

var benchNames = []string{"user", "system", "idle", "iowait", "softirq", "steal", "guest", "nice", "running", "blocked"}

// benchBlock returns random rows.
func benchBlock(r *rand.Rand, rows []float64) []float64 {
	rows = rows[:0]
	for range benchRows {
		for f := range benchFields {
			switch {
			case f < 5:
				rows = append(rows, math.Round(r.Float64()*1e10)/1e8)
			case f < 8:
				rows = append(rows, 0)
			default:
				rows = append(rows, float64(r.IntN(40)))
			}
		}
	}
	return rows
}

// openBench opens a store with open buckets.
func openBench(b *testing.B, o state.Options) (*state.Store, []uint64) {
	o.Now, o.Log = time.Now, b.Logf
	s, err := state.Open(o)
	require.NoError(b, err)
	handles := make([]uint64, benchSeries)
	for k := range handles {
		handles[k] = s.OpenBucket(bucketOf(fmt.Sprintf("cpu,cpu=cpu%d,host=server-%06d", k%16, k), 0))
	}
	require.NoError(b, s.Commit())
	return s, handles
}

// BenchmarkSave is a Push: three rows of ten fields for each of 10,000 series, and a Commit for each 1,600 series.
func BenchmarkSave(b *testing.B) {
	s, handles := openBench(b, options(b, b.TempDir()))
	defer s.Abandon()
	r := rand.New(rand.NewPCG(1, 1))
	blocks := make([][]float64, 64)
	for i := range blocks {
		blocks[i] = benchBlock(r, nil)
	}
	before := s.Stats().LogBytes
	b.ResetTimer()
	for b.Loop() {
		for k, handle := range handles {
			s.Rows(handle, 1, benchNames, blocks[k%64], nil)
			if k%1600 == 1599 || k == len(handles)-1 {
				if err := s.Commit(); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	values := float64(b.N) * benchSeries * benchRows * benchFields
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/values, "ns/value")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/values*benchRows, "ns/summary")
	b.ReportMetric(float64(s.Stats().LogBytes-before)/values, "B/value")
}

// BenchmarkReplay is a restart: each of 10,000 buckets has 12 blocks of three rows. It decodes the log, and does not add
// the values to summaries.
func BenchmarkReplay(b *testing.B) {
	o := options(b, b.TempDir())
	s, handles := openBench(b, o)
	r := rand.New(rand.NewPCG(1, 1))
	const pushes = 12
	block := []float64(nil)
	for range pushes {
		for _, handle := range handles {
			block = benchBlock(r, block)
			s.Rows(handle, 1, benchNames, block, nil)
		}
		require.NoError(b, s.Commit())
	}
	s.Abandon()
	const values = pushes * benchSeries * benchRows * benchFields
	for b.Loop() {
		s, err := state.Open(o)
		if err != nil {
			b.Fatal(err)
		}
		var c counter
		if err := s.Replay(&c); err != nil {
			b.Fatal(err)
		}
		if c.values.Load() != values || c.opened != benchSeries {
			b.Fatalf("%d values of %d buckets, want %d of %d", c.values.Load(), c.opened, values, benchSeries)
		}
		s.Abandon()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/values, "ns/value")
}

// counter is a Replayer that counts.
type counter struct {
	opened int
	values atomic.Int64
}

func (c *counter) Open(uint64, state.Bucket) error { c.opened++; return nil }

func (c *counter) Rows(_ uint64, _ []string, columns []float64, _ []int64, _ []int, _ int) {
	c.values.Add(int64(len(columns)))
}

func (c *counter) Demoted(uint64, string) {}

func (c *counter) Lent(uint64, []string)             {}
func (c *counter) Final(uint64) (state.Bucket, bool) { return state.Bucket{}, false }

// benchSummaries returns the summaries of a bucket of 360 values a field.
func benchSummaries(limit int) []stats.Summary {
	r := rand.New(rand.NewPCG(2, 2))
	summaries := make([]stats.Summary, benchFields)
	for f := range summaries {
		summaries[f] = stats.New(limit)
	}
	for range 360 / benchRows {
		block := benchBlock(r, nil)
		for i, v := range block {
			summaries[i%benchFields].Add(v)
		}
	}
	return summaries
}

// BenchmarkFinal is the end of a bucket: final=log is what Final takes, and final=stored is that with the writer.
func BenchmarkFinal(b *testing.B) {
	for _, limit := range []int{64, 512} {
		for _, stored := range []bool{false, true} {
			what := map[bool]string{false: "log", true: "stored"}[stored]
			b.Run(fmt.Sprintf("limit=%d/final=%s", limit, what), func(b *testing.B) {
				summaries := benchSummaries(limit)
				o := options(b, b.TempDir())
				o.Now, o.Log = time.Now, b.Logf
				s, err := state.Open(o)
				require.NoError(b, err)
				defer s.Abandon()
				n := 0
				for b.Loop() {
					bucket := bucketOf(fmt.Sprintf("cpu,cpu=cpu%d,host=server-%06d", n%16, n%100_000), int64(n/100_000)*hour)
					h := s.OpenBucket(bucket)
					bucket.Fields, bucket.Summaries = benchNames, summaries
					s.Final(h, bucket)
					if n++; n%1600 == 0 && stored {
						if err := s.Commit(); err != nil {
							b.Fatal(err)
						}
					}
				}
				if stored {
					require.NoError(b, s.Commit())
					require.Eventually(b, func() bool { return s.Stats().Pending == 0 }, waitFor, tick)
					b.ReportMetric(float64(s.Stats().Bytes-s.Stats().LogBytes)/float64(n), "B/file")
				}
				bucket := bucketOf("cpu,cpu=cpu15,host=server-000001", 0)
				bucket.Fields, bucket.Summaries = benchNames, summaries
				b.ReportMetric(float64(state.FinalSize(bucket)), "B/encoded")
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/bucket")
			})
		}
	}
}

// BenchmarkFind asks for buckets: found=yes has the bucket in the database, found=start has others of that start, and
// found=no has none of that start.
func BenchmarkFind(b *testing.B) {
	const stored = 20_000
	o := options(b, b.TempDir())
	s, err := state.Open(o)
	require.NoError(b, err)
	defer s.Abandon()
	summaries := benchSummaries(512)
	for k := range stored {
		bucket := bucketOf(fmt.Sprint("m,host=", k), 0)
		h := s.OpenBucket(bucket)
		bucket.Fields, bucket.Summaries = benchNames, summaries
		s.Final(h, bucket)
		if k%1600 == 0 {
			require.NoError(b, s.Commit())
		}
	}
	require.NoError(b, s.Commit())
	require.Eventually(b, func() bool { return s.Stats().Pending == 0 }, waitFor, tick)
	for _, c := range []struct {
		name, series string
		start        int64
		found        bool
	}{{"yes", "m,host=", 0, true}, {"start", "x,host=", 0, false}, {"no", "m,host=", hour, false}} {
		names := make([]string, stored)
		for k := range names {
			names[k] = fmt.Sprint(c.series, k)
		}
		b.Run("found="+c.name, func(b *testing.B) {
			n := 0
			for b.Loop() {
				got, ok, err := s.Find(names[n%stored], c.start)
				if err != nil || ok != c.found || ok && got.Summaries[0].Count() != 360 {
					b.Fatalf("found %t, want %t: %v", ok, c.found, err)
				}
				n += 7919
			}
		})
	}
}
