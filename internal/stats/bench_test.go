package stats

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// benchData are the shapes of data that the benchmarks use, n values each: what a CPU's usage looks like to a
// field that wanders, one with few distinct values and a constant one, and noise, of which no value comes twice.
func benchData(n int) map[string][]float64 { return seededData(n, 1) }

func seededData(n int, seed uint64) map[string][]float64 {
	r := rand.New(rand.NewPCG(1, seed))
	data := map[string][]float64{}
	for range n {
		t := float64(len(data["constant"]))
		data["constant"] = append(data["constant"], 100)
		data["few distinct"] = append(data["few distinct"], float64(r.IntN(8)))
		data["wandering"] = append(data["wandering"], 50+20*math.Sin(t/40)+r.NormFloat64())
		data["continuous"] = append(data["continuous"], 50+10*r.NormFloat64())
	}
	return data
}

var benchShapes = []string{"constant", "few distinct", "wandering", "continuous"}

const benchValues = 360

func benchSummary(shape string, limit int) *Summary {
	s := New(limit)
	s.AddAll(benchData(benchValues)[shape], nil)
	return &s
}

// benchSummaries are unlike summaries of one shape of data.
func benchSummaries(shape string, limit int) (all [200]*Summary) {
	for i := range all {
		s := New(limit)
		s.AddAll(seededData(benchValues, uint64(i))[shape], nil)
		all[i] = &s
	}
	return all
}

// eachFresh times what is done to copies of unlike summaries, which are made in bulk and outside of the timing.
func eachFresh(b *testing.B, shape string, limit int, do func(i int, s *Summary)) {
	originals := benchSummaries(shape, limit)
	copies := originals
	i := len(copies)
	for b.Loop() {
		if i == len(copies) {
			b.StopTimer()
			for j, s := range originals {
				copies[j] = s.Clone()
			}
			i = 0
			b.StartTimer()
		}
		do(i, copies[i])
		i++
	}
}

func eachBench(b *testing.B, run func(b *testing.B, shape string, limit int)) {
	for _, limit := range []int{64, DefaultExactLimit} {
		for _, shape := range benchShapes {
			b.Run(fmt.Sprintf("limit=%d/data=%s", limit, shape), func(b *testing.B) { run(b, shape, limit) })
		}
	}
}

// Adding 360 values in batches of 16.
func BenchmarkAdd(b *testing.B) {
	eachBench(b, func(b *testing.B, shape string, limit int) {
		xs := benchData(benchValues)[shape]
		var s Summary
		b.ReportAllocs()
		for b.Loop() {
			s = New(limit)
			for i := 0; i < len(xs); i += batchSize {
				s.AddAll(xs[i:min(i+batchSize, len(xs))], nil)
			}
		}
		if s.Count() != benchValues {
			b.Fatalf("%d values, want %d", s.Count(), benchValues)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*benchValues), "ns/value")
		b.ReportMetric(float64(s.Bytes()), "B-held")
	})
}

// Merging two summaries of 360 values.
func BenchmarkMerge(b *testing.B) {
	eachBench(b, func(b *testing.B, shape string, limit int) {
		others := benchSummaries(shape, limit)
		eachFresh(b, shape, limit, func(i int, s *Summary) {
			if err := s.Merge(others[(i+1)%len(others)]); err != nil || s.Count() != 2*benchValues {
				b.Fatalf("%d values, want %d, error %v", s.Count(), 2*benchValues, err)
			}
		})
	})
}

// Reading three quantiles of a summary of 360 values: for the first time after they were added, and again, when they
// are in order.
func BenchmarkQuantiles(b *testing.B) {
	eachBench(b, func(b *testing.B, shape string, limit int) {
		read := func(s *Summary) {
			low := math.Inf(-1)
			for _, p := range []Percentile{p50, {num: 95}, {num: 99}} {
				v := s.Quantile(p, Linear)
				if v < low {
					b.Fatalf("p%s is %g, less than the one before, %g", p, v, low)
				}
				low = v
			}
		}
		b.Run("reading=first", func(b *testing.B) {
			eachFresh(b, shape, limit, func(_ int, s *Summary) { read(s) })
		})
		b.Run("reading=again", func(b *testing.B) {
			s := benchSummary(shape, limit)
			read(s)
			for b.Loop() {
				read(s)
			}
		})
	})
}

// Rolling 24,000 summaries up into one, as a day of 100 series at bins of six minutes.
func BenchmarkRollUp(b *testing.B) {
	const buckets = 24_000
	parts := make([]*Summary, buckets)
	r := rand.New(rand.NewPCG(2, 2))
	for i := range parts {
		s := New(64)
		for range benchValues {
			s.Add(50 + float64(i%100) + 10*r.NormFloat64())
		}
		parts[i] = &s
	}
	b.ResetTimer()
	for b.Loop() {
		var all Summary
		for _, part := range parts {
			if err := all.Merge(part); err != nil {
				b.Fatal(err)
			}
		}
		if all.Count() != buckets*benchValues {
			b.Fatalf("%d values, want %d", all.Count(), buckets*benchValues)
		}
	}
}

// Rolling exact summaries of 1,000 values up into an exact one, and reading it: of values that never come twice, and of
// some that do in every part, so that each is merged with its count. Where it is linear, ns/value does not grow with
// the parts.
func BenchmarkRollUpExact(b *testing.B) {
	const partValues = 1000
	for _, data := range []string{"continuous", "rounded"} {
		for _, n := range []int{250, 1000} {
			b.Run(fmt.Sprintf("data=%s/parts=%d", data, n), func(b *testing.B) {
				r := rand.New(rand.NewPCG(3, 3))
				parts := make([]*Summary, n)
				for i := range parts {
					s := New(Unlimited)
					for range partValues {
						v := 50 + float64(i%100) + 10*r.NormFloat64()
						if data == "rounded" {
							v = math.Round(v * 1000)
						}
						s.Add(v)
					}
					parts[i] = &s
				}
				for b.Loop() {
					all := New(Unlimited)
					for _, part := range parts {
						if err := all.Merge(part); err != nil {
							b.Fatal(err)
						}
					}
					if all.Median(Linear); !all.Exact() || all.Count() != uint64(n*partValues) {
						b.Fatalf("%d values, want %d, exact", all.Count(), n*partValues)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n*partValues), "ns/value")
			})
		}
	}
}

// Encoding and decoding a summary of 360 values.
func BenchmarkEncode(b *testing.B) {
	eachBench(b, func(b *testing.B, shape string, limit int) {
		s := benchSummary(shape, limit)
		var buf []byte
		b.ReportAllocs()
		for b.Loop() {
			buf, _ = s.AppendBinary(buf[:0])
		}
		b.ReportMetric(float64(len(buf)), "B-encoded")
	})
}

func BenchmarkDecode(b *testing.B) {
	eachBench(b, func(b *testing.B, shape string, limit int) {
		encoded, _ := benchSummary(shape, limit).MarshalBinary()
		var s Summary
		b.ReportAllocs()
		for b.Loop() {
			if err := s.UnmarshalBinary(encoded); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// The default statistics of a summary whose values are not sorted yet, as a Push reads them.
func BenchmarkSelection(b *testing.B) {
	sel, err := NewSelection(nil, Linear)
	if err != nil {
		b.Fatal(err)
	}
	eachBench(b, func(b *testing.B, shape string, limit int) {
		s := benchSummary(shape, limit)
		var row []float64
		for b.Loop() {
			c := *s
			c.exact.single = append([]float64(nil), s.exact.single...)
			row = sel.Append(row[:0], &c)
		}
		if row[0] != benchValues {
			b.Fatalf("count %g, want %d", row[0], benchValues)
		}
	})
}
