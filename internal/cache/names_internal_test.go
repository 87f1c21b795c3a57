package cache

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// This benchmark is inside of the package because it measures a namer without a Redis.

// BenchmarkNamer makes the names of 10,000 records with three tags and ten fields, a time for each name. "alone" parses each name without
// what a namer remembers.
func BenchmarkNamer(b *testing.B) {
	fields := make([]string, 10_000)
	for i := range fields {
		fields[i] = fmt.Sprintf("cpu=cpu%d,host=web%d,region=eu-1|usage_%d|agent1", i%16, i/160, i%10)
	}
	perName := func(b *testing.B) {
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(fields)), "ns/name")
	}
	b.Run("remembering", func(b *testing.B) {
		for b.Loop() {
			_, ok := newNamer(nil).names(fields)
			require.True(b, ok)
		}
		perName(b)
	})
	b.Run("alone", func(b *testing.B) {
		for b.Loop() {
			for i := range fields {
				_, ok := newNamer(nil).names(fields[i : i+1])
				require.True(b, ok)
			}
		}
		perName(b)
	})
}
