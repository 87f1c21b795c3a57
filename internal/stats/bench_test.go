package stats_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// The names of benchmarks are key=value pairs, which benchstat can compare by key. Each benchmark checks its result
// before the timer starts.

// benchShapes are the kinds of data: a constant, one of a few levels, a random walk, noise in which hardly any value
// occurs twice, sensors that report few digits, with about 100 and 250 distinct values, and noise of both signs.
var benchShapes = []string{"constant", "few", "wandering", "continuous", "sensor100", "sensor250", "signed"}

// benchValues is how many values a summary has in most benchmarks.
const benchValues = 360

// benchData returns n values of a shape.
func benchData(shape string, n int, seed uint64) []float64 {
	r := rand.New(rand.NewPCG(1, seed))
	xs := make([]float64, n)
	for i := range xs {
		switch shape {
		case "constant":
			xs[i] = 100
		case "few":
			xs[i] = float64(r.IntN(8))
		case "wandering":
			xs[i] = 50 + 20*math.Sin(float64(i)/40) + r.NormFloat64()
		case "continuous":
			xs[i] = 50 + 10*r.NormFloat64()
		case "sensor100":
			xs[i] = math.Round(200+50*math.Sin(float64(i)/200+r.Float64()/10)) / 10
		case "sensor250":
			xs[i] = math.Round(500+125*math.Sin(float64(i)/200+r.Float64()/10)) / 10
		case "signed":
			xs[i] = 10 * r.NormFloat64()
		}
	}
	return xs
}

func benchSummary(shape string, limit, n int, seed uint64) *stats.Summary {
	s := stats.New(limit)
	addInBatches(&s, benchData(shape, n, seed))
	return &s
}

// addInBatches adds 16 values at a time, like the engine, which collects a few rows of a series first.
func addInBatches(s *stats.Summary, xs []float64) {
	for i := 0; i < len(xs); i += 16 {
		s.AddAll(xs[i:min(i+16, len(xs))], nil)
	}
}

// benchSummaries returns different summaries of one shape.
func benchSummaries(shape string, limit int) (all [200]*stats.Summary) {
	for i := range all {
		all[i] = benchSummary(shape, limit, benchValues, uint64(i))
	}
	return all
}

func eachBench(b *testing.B, shapes []string, run func(b *testing.B, shape string, limit int)) {
	for _, limit := range []int{64, stats.DefaultExactLimit} {
		for _, shape := range shapes {
			b.Run(fmt.Sprintf("limit=%d/data=%s", limit, shape), func(b *testing.B) { run(b, shape, limit) })
		}
	}
}

// eachFresh times calls of do with copies of different summaries. It does not time the copying.
func eachFresh(b *testing.B, shape string, limit int, do func(i int, s *stats.Summary)) {
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

func mustHave(b *testing.B, s *stats.Summary, n int) {
	b.Helper()
	if s.Count() != uint64(n) {
		b.Fatalf("%d values, want %d", s.Count(), n)
	}
}

// BenchmarkAdd adds values to an empty summary. It reports the time for each value and the memory that the summary
// then holds.
func BenchmarkAdd(b *testing.B) {
	for _, n := range []int{benchValues, 1440} {
		eachBench(b, benchShapes, func(b *testing.B, shape string, limit int) {
			b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
				xs := benchData(shape, n, 1)
				mustHave(b, benchSummary(shape, limit, n, 1), n)
				var s stats.Summary
				b.ReportAllocs()
				for b.Loop() {
					s = stats.New(limit)
					addInBatches(&s, xs)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/value")
				b.ReportMetric(float64(s.Bytes()), "B-held")
			})
		})
	}
}

// BenchmarkAddFew adds a few values at a time to an empty summary, as when a Push comes after every third row.
func BenchmarkAddFew(b *testing.B) {
	const few = 3
	eachBench(b, benchShapes, func(b *testing.B, shape string, limit int) {
		xs := benchData(shape, benchValues, 1)
		var s stats.Summary
		b.ReportAllocs()
		for b.Loop() {
			s = stats.New(limit)
			for i := 0; i < len(xs); i += few {
				s.AddAll(xs[i:i+few], nil)
			}
		}
		mustHave(b, &s, benchValues)
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*benchValues), "ns/value")
		b.ReportMetric(float64(s.Bytes()), "B-held")
	})
}

// BenchmarkAddBlocks adds the values of a bucket to an empty summary after a restart: of 6 or 12 Pushes, with 1 or 3 values each. with=AddAll
// adds one block after another, without a Room.
func BenchmarkAddBlocks(b *testing.B) {
	for _, size := range []struct{ blocks, rows int }{{6, 1}, {12, 3}} {
		for _, shape := range []string{"constant", "few", "continuous"} {
			name := fmt.Sprintf("blocks=%d/rows=%d/data=%s/with=", size.blocks, size.rows, shape)
			n := size.blocks * size.rows
			xs := benchData(shape, n, 1)
			sizes := slices.Repeat([]int{size.rows}, size.blocks)
			b.Run(name+"blocks", func(b *testing.B) {
				var room stats.Room
				var s stats.Summary
				b.ReportAllocs()
				for b.Loop() {
					s = stats.New(stats.DefaultExactLimit)
					room.AddBlocks(&s, xs, nil, sizes, 0)
				}
				mustHave(b, &s, n)
			})
			b.Run(name+"AddAll", func(b *testing.B) {
				var s stats.Summary
				b.ReportAllocs()
				for b.Loop() {
					s = stats.New(stats.DefaultExactLimit)
					for block := range slices.Chunk(xs, size.rows) {
						s.AddAll(block, nil)
					}
				}
				mustHave(b, &s, n)
			})
		}
	}
}

// BenchmarkAddMore adds values to a summary that has its distinct values already, as in a bucket that is open for a
// long time.
func BenchmarkAddMore(b *testing.B) {
	eachBench(b, benchShapes, func(b *testing.B, shape string, limit int) {
		s := benchSummary(shape, limit, 5000, 1)
		mustHave(b, s, 5000)
		xs := benchData(shape, 5000, 1)
		i := 0
		b.ReportAllocs()
		for b.Loop() {
			s.AddAll(xs[i:i+16], nil)
			if i += 16; i > len(xs)-16 {
				i = 0
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*16), "ns/value")
	})
}

// BenchmarkMerge merges two summaries.
func BenchmarkMerge(b *testing.B) {
	eachBench(b, benchShapes, func(b *testing.B, shape string, limit int) {
		others := benchSummaries(shape, limit)
		eachFresh(b, shape, limit, func(i int, s *stats.Summary) {
			if err := s.Merge(others[(i+1)%len(others)]); err != nil || s.Count() != 2*benchValues {
				b.Fatalf("%d values, want %d, error %v", s.Count(), 2*benchValues, err)
			}
		})
	})
}

// BenchmarkQuantiles reads three quantiles: for the first time after values were added, again, and after each three more values, as in a
// bucket that is open during many Pushes.
func BenchmarkQuantiles(b *testing.B) {
	var ps []stats.Percentile
	for _, text := range []string{"50", "95", "99"} {
		p, err := stats.ParsePercentile(text)
		if err != nil {
			b.Fatal(err)
		}
		ps = append(ps, p)
	}
	read := func(s *stats.Summary) {
		low := math.Inf(-1)
		for _, p := range ps {
			v := s.Quantile(p, stats.Linear)
			if v < low {
				b.Fatalf("p%s is %g, less than the one before, %g", p, v, low)
			}
			low = v
		}
	}
	eachBench(b, benchShapes, func(b *testing.B, shape string, limit int) {
		b.Run("reading=first", func(b *testing.B) {
			eachFresh(b, shape, limit, func(_ int, s *stats.Summary) { read(s) })
		})
		b.Run("reading=again", func(b *testing.B) {
			s := benchSummary(shape, limit, benchValues, 1)
			read(s)
			for b.Loop() {
				read(s)
			}
		})
		b.Run("reading=more", func(b *testing.B) {
			xs := benchData(shape, benchValues, 1)
			for b.Loop() {
				s := stats.New(limit)
				for more := range slices.Chunk(xs, 3) {
					s.AddAll(more, nil)
					read(&s)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*benchValues/3), "ns/reading")
		})
	})
}

// BenchmarkSelection reads the default statistics for the first time after values were added, as at the end of a
// period.
func BenchmarkSelection(b *testing.B) {
	sel, err := stats.NewSelection(nil, stats.Linear)
	if err != nil {
		b.Fatal(err)
	}
	eachBench(b, benchShapes, func(b *testing.B, shape string, limit int) {
		var row []float64
		eachFresh(b, shape, limit, func(_ int, s *stats.Summary) {
			if row = sel.Append(row[:0], s); row[0] != benchValues {
				b.Fatalf("count %g, want %d", row[0], benchValues)
			}
		})
	})
}

// BenchmarkStdDev reads the standard deviation for the first time after values were added.
func BenchmarkStdDev(b *testing.B) {
	eachBench(b, benchShapes, func(b *testing.B, shape string, limit int) {
		eachFresh(b, shape, limit, func(_ int, s *stats.Summary) {
			if v := s.StdDev(); !(v >= 0) {
				b.Fatalf("standard deviation %g", v)
			}
		})
	})
}

const rollUpParts = 24_000

// rollUpSummaries returns the summaries of a day of 100 series in buckets of six minutes.
func rollUpSummaries(shape string) []*stats.Summary {
	parts := make([]*stats.Summary, rollUpParts)
	for i := range parts {
		s := stats.New(64)
		xs := benchData(shape, benchValues, uint64(i))
		for j := range xs {
			xs[j] += float64(i % 100)
		}
		s.AddAll(xs, nil)
		parts[i] = &s
	}
	return parts
}

// BenchmarkRollUp merges 24,000 compact summaries into one.
func BenchmarkRollUp(b *testing.B) {
	for _, shape := range []string{"few", "continuous"} {
		b.Run("data="+shape, func(b *testing.B) {
			parts := rollUpSummaries(shape)
			for b.Loop() {
				var all stats.Summary
				for _, part := range parts {
					if err := all.Merge(part); err != nil {
						b.Fatal(err)
					}
				}
				mustHave(b, &all, rollUpParts*benchValues)
			}
		})
	}
}

// BenchmarkRollUpEncoded decodes 24,000 compact summaries and merges them into one.
func BenchmarkRollUpEncoded(b *testing.B) {
	for _, shape := range []string{"few", "continuous"} {
		b.Run("data="+shape, func(b *testing.B) {
			var parts [][]byte
			for _, s := range rollUpSummaries(shape) {
				parts = append(parts, s.AppendLimited(nil, 64))
			}
			b.ReportAllocs()
			for b.Loop() {
				var all, part stats.Summary
				for _, encoded := range parts {
					if err := part.UnmarshalBinary(encoded); err != nil {
						b.Fatal(err)
					}
					if err := all.Merge(&part); err != nil {
						b.Fatal(err)
					}
				}
				mustHave(b, &all, rollUpParts*benchValues)
			}
		})
	}
}

// BenchmarkRollUpExact merges exact summaries of 700 values into one exact summary and reads it: values that occur
// once, values that occur in many parts, and values that occur twice in one part. If merging takes linear time,
// ns/value hardly grows with the number of parts.
func BenchmarkRollUpExact(b *testing.B) {
	const partValues = 700
	for _, data := range []string{"continuous", "rounded", "repeated"} {
		for _, n := range []int{250, 1000, 4000} {
			b.Run(fmt.Sprintf("data=%s/parts=%d", data, n), func(b *testing.B) {
				r := rand.New(rand.NewPCG(3, 3))
				parts := make([]*stats.Summary, n)
				for i := range parts {
					s := stats.New(stats.Unlimited)
					for range partValues / 2 {
						v, w := 50+float64(i%100)+10*r.NormFloat64(), 50+float64(i%100)+10*r.NormFloat64()
						switch data {
						case "rounded":
							v, w = math.Round(v*1000), math.Round(w*1000)
						case "repeated":
							w = v
						}
						s.AddAll([]float64{v, w}, nil)
					}
					parts[i] = &s
				}
				for b.Loop() {
					all := stats.New(stats.Unlimited)
					for _, part := range parts {
						if err := all.Merge(part); err != nil {
							b.Fatal(err)
						}
					}
					if all.Median(stats.Linear); !all.Exact() || all.Count() != uint64(n*partValues) {
						b.Fatalf("%d values, want %d, exact", all.Count(), n*partValues)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n*partValues), "ns/value")
			})
		}
	}
}

// BenchmarkEncode encodes a summary and reports the length of the encoding.
func BenchmarkEncode(b *testing.B) {
	eachBench(b, benchShapes, func(b *testing.B, shape string, limit int) {
		s := benchSummary(shape, limit, benchValues, 1)
		mustHave(b, s, benchValues)
		var buf []byte
		b.ReportAllocs()
		for b.Loop() {
			buf, _ = s.AppendBinary(buf[:0])
		}
		b.ReportMetric(float64(len(buf)), "B-encoded")
	})
}

// BenchmarkDecode decodes into a summary that was used before.
func BenchmarkDecode(b *testing.B) {
	eachBench(b, benchShapes, func(b *testing.B, shape string, limit int) {
		encoded, err := benchSummary(shape, limit, benchValues, 1).MarshalBinary()
		if err != nil {
			b.Fatal(err)
		}
		var s stats.Summary
		if err := s.UnmarshalBinary(encoded); err != nil {
			b.Fatal(err)
		}
		mustHave(b, &s, benchValues)
		b.ReportAllocs()
		for b.Loop() {
			if err := s.UnmarshalBinary(encoded); err != nil {
				b.Fatal(err)
			}
		}
	})
}
