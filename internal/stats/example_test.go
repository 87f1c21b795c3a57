package stats_test

import (
	"fmt"

	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// Two hosts describe their own latencies. Merging the summaries describes the latencies of both, which averaging does not.
func Example() {
	a, b := stats.New(64), stats.New(64)
	for i := range 1000 {
		a.Add(10 + float64(i%50))
	}
	for range 10 {
		b.Add(400)
	}

	sent, err := b.MarshalBinary()
	if err != nil {
		panic(err)
	}
	var received stats.Summary
	if err := received.UnmarshalBinary(sent); err != nil {
		panic(err)
	}
	if err := a.Merge(&received); err != nil {
		panic(err)
	}

	p95, err := stats.ParsePercentile("95")
	if err != nil {
		panic(err)
	}
	fmt.Println("encoded in", len(sent), "bytes")
	fmt.Println(a.Count(), "values from", a.Min(), "to", a.Max())
	fmt.Println("p95 is", a.Quantile(p95, stats.NearestRank), "within", fmt.Sprintf("%.1f %%", 100*a.MaxError()))
	// Output:
	// encoded in 7 bytes
	// 1010 values from 10 to 400
	// p95 is 57 within 1.1 %
}
