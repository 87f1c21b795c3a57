package describe

import (
	"math"
	"math/rand/v2"
	"reflect"
	"runtime"
	"testing"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// summaryGroup is the group of what is measured of summaries alone.
const summaryGroup = "summaries"

const (
	summaryRounds = 6
	summaryValues = 360
	// summaryBatch is how many summaries are prepared at a time, and summaryBatches how often.
	summaryBatch, summaryBatches = 250, 20
	rollUpParts                  = 24_000
)

var summaryLimits = map[string]int{"compact": 64, "default": stats.DefaultExactLimit}

// measureSummaries measures one summary of one field, compact (an exact limit of 64) and by default: summaries of 360
// values where nothing else is said. A quantile is read "first" after adding and "again" when the summary has got its
// order. What is merged into and what is read first is made anew each time, outside of the timing.
func measureSummaries(b *testing.B, all results) {
	samples := make(map[string]samplesOf)
	add := func(name, what string, v float64) {
		if samples[name] == nil {
			samples[name] = make(samplesOf)
		}
		samples[name].add(map[string]float64{what: v})
	}
	for range summaryRounds {
		add("hard cap per sign", "B", hardCap(b, 0))
		add("hard cap per sign, a bin of 65,536", "B", hardCap(b, 1<<16))
		for _, kind := range []string{"constant", "few distinct", "continuous"} {
			add("serialised, compact, "+kind, "B", serialised(b, kind, summaryValues))
		}
		add("serialised, compact, 100,000 values", "B", serialised(b, "continuous", 100_000))
		for name, limit := range summaryLimits {
			for _, kind := range []string{"few distinct", "continuous"} {
				add("merge, "+name+", "+kind, "µs", merging(b, limit, kind))
			}
			add("three quantiles, "+name+", first", "µs", quantiles(b, limit, false))
			add("three quantiles, "+name+", again", "µs", quantiles(b, limit, true))
			add("roll-up of 24,000, "+name, "ms", rollUp(b, limit))
		}
		add("merge of 100 hosts", "orders with other bins", unlike(b))
	}
	all[summaryGroup] = make(map[string]map[string]float64)
	for name, s := range samples {
		all[summaryGroup][name] = s.medians(summaryRounds)
	}
}

// summaryOf returns a summary of values of a kind, added in batches as describe adds them.
func summaryOf(r *rand.Rand, limit int, kind string, mean float64, n int) *stats.Summary {
	s := stats.New(limit)
	batch := make([]float64, 0, stageRows)
	for i := range n {
		v := mean
		switch kind {
		case "few distinct":
			v = float64(r.IntN(8))
		case "continuous":
			v += 10 * r.NormFloat64()
		}
		if batch = append(batch, v); len(batch) == stageRows || i == n-1 {
			s.AddAll(batch, nil)
			batch = batch[:0]
		}
	}
	return &s
}

// summariesOf returns unlike summaries of one kind.
func summariesOf(limit int, kind string, n int) []*stats.Summary {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	all := make([]*stats.Summary, n)
	for i := range all {
		all[i] = summaryOf(r, limit, kind, 50, summaryValues)
	}
	return all
}

// hardCap returns the bytes that all bins of one sign take, with more than 255 values in each, and in one of them some
// more: what a summary holds more whose values have both signs.
func hardCap(b *testing.B, more int) float64 {
	return fullBins(b, more, 1, -1) - fullBins(b, more, 1)
}

// fullBins returns the bytes that a summary holds of values that fill all bins of some signs.
func fullBins(b *testing.B, more int, signs ...float64) float64 {
	const n, bins = 20, 513
	var kept [n]*stats.Summary
	before := heap()
	for i := range kept {
		s := stats.New(64)
		for _, sign := range signs {
			for range math.MaxUint8 + 1 {
				for bin := range bins {
					s.Add(sign * math.Exp2((float64(bin)-0.5)/256))
				}
			}
			for range more {
				s.Add(sign * math.Exp2(0.5/256))
			}
		}
		kept[i] = &s
	}
	held := (heap() - before) / n
	if e := kept[0].Exponential(); len(e.Positive.Counts) != bins {
		b.Fatalf("%d bins, want %d", len(e.Positive.Counts), bins)
	}
	runtime.KeepAlive(kept)
	return held
}

func serialised(b *testing.B, kind string, n int) float64 {
	encoded, err := summaryOf(rand.New(rand.NewPCG(1, 1)), 64, kind, 50, n).MarshalBinary()
	if err != nil {
		b.Fatal(err)
	}
	return float64(len(encoded))
}

// merging returns the microseconds that it takes to merge one summary into another one.
func merging(b *testing.B, limit int, kind string) float64 {
	others := summariesOf(limit, kind, summaryBatch+1)[1:]
	return eachOf(limit, kind, func(i int, s *stats.Summary) {
		if err := s.Merge(others[i]); err != nil || s.Count() != 2*summaryValues {
			b.Fatalf("%d values, want %d, error %v", s.Count(), 2*summaryValues, err)
		}
	}, func(*stats.Summary) {})
}

// quantiles returns the microseconds that it takes to read three of one summary.
func quantiles(b *testing.B, limit int, again bool) float64 {
	var ps []stats.Percentile
	for _, text := range []string{"50", "95", "99"} {
		p, err := stats.ParsePercentile(text)
		if err != nil {
			b.Fatal(err)
		}
		ps = append(ps, p)
	}
	return eachOf(limit, "continuous", func(_ int, s *stats.Summary) {
		last := 0.0
		for _, p := range ps {
			v := s.Quantile(p, stats.Linear)
			if v < last {
				b.Fatalf("p%s is %g, less than the one before, %g", p, v, last)
			}
			last = v
		}
	}, func(s *stats.Summary) {
		if again {
			s.Median(stats.Linear)
		}
	})
}

// eachOf returns the microseconds that it takes to do something to one of many unlike summaries, prepared anew each time.
func eachOf(limit int, kind string, do func(i int, s *stats.Summary), prepare func(*stats.Summary)) float64 {
	var took time.Duration
	fresh := summariesOf(limit, kind, summaryBatch)
	prepared := make([]*stats.Summary, len(fresh))
	for range summaryBatches {
		for i, s := range fresh {
			prepared[i] = s.Clone()
			prepare(prepared[i])
		}
		start := cpu()
		for i, s := range prepared {
			do(i, s)
		}
		took += cpu() - start
	}
	return float64(took) / float64(time.Microsecond) / float64(len(fresh)*summaryBatches)
}

// rollUp returns the milliseconds that it takes to merge the summaries of a day of 100 series, in bins of six minutes.
func rollUp(b *testing.B, limit int) float64 {
	r := rand.New(rand.NewPCG(2, 2))
	parts := make([]*stats.Summary, rollUpParts)
	for i := range parts {
		parts[i] = summaryOf(r, limit, "continuous", float64(50+i%100), summaryValues)
	}
	runtime.GC() // what preparing left is not to be paid here
	all := stats.New(limit)
	start := cpu()
	for _, part := range parts {
		if err := all.Merge(part); err != nil {
			b.Fatal(err)
		}
	}
	took := cpu() - start
	if all.Count() != rollUpParts*summaryValues {
		b.Fatalf("%d values, want %d", all.Count(), rollUpParts*summaryValues)
	}
	return float64(took) / float64(time.Millisecond)
}

// unlike returns in how many of ten orders 100 unlike hosts merge to other bins than those of one summary of all values.
func unlike(b *testing.B) float64 {
	r := rand.New(rand.NewPCG(3, 3))
	whole := stats.New(64)
	hosts := make([]*stats.Summary, 100)
	for i := range hosts {
		host := stats.New(64)
		for range summaryValues {
			v := math.Pow(10, float64(i%5)) * (r.NormFloat64() + float64(i%7))
			host.Add(v)
			whole.Add(v)
		}
		hosts[i] = &host
	}
	want, others := whole.Exponential(), 0
	for range 10 {
		r.Shuffle(len(hosts), func(i, j int) { hosts[i], hosts[j] = hosts[j], hosts[i] })
		all := stats.New(64)
		for _, host := range hosts {
			if err := all.Merge(host); err != nil {
				b.Fatal(err)
			}
		}
		got := all.Exponential()
		got.Sum = want.Sum // which is no bin
		if !reflect.DeepEqual(got, want) {
			others++
		}
	}
	return float64(others)
}
