// Package export converts summaries to the histograms of other systems: the native histograms of Prometheus and the
// exponential histograms of OpenTelemetry. The conversion loses nothing, because a summary has the same buckets.
//
// The boundaries of the buckets are powers of 2^(2^-scale), and most of them are not float64 values. A summary
// compares values with the exact boundary, as the specifications define it. client_golang compares them with a
// float64 near the boundary. So client_golang may count a value right next to a boundary in the neighbouring bucket.
package export

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	otlp "go.opentelemetry.io/proto/otlp/metrics/v1"

	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// Prometheus returns the summary as a native histogram with a description and the values of its labels. created is
// the time at which counting began: the start of the bucket of the summary. It returns an error if the labels do not
// fit the description.
//
// Prometheus numbers a bucket by its upper boundary (https://prometheus.io/docs/specs/native_histograms/) and a
// summary by its lower boundary, so the index is one higher in Prometheus.
func Prometheus(s *stats.Summary, desc *prometheus.Desc, created time.Time, labels ...string) (prometheus.Metric, error) {
	e := s.Exponential()
	return prometheus.NewConstNativeHistogram(desc, e.Count, e.Sum, buckets(e.Positive), buckets(e.Negative),
		e.ZeroCount, int32(e.Scale), e.ZeroThreshold, created, labels...)
}

// buckets returns the counts of a run by the index of Prometheus.
func buckets(r stats.Run) map[int]int64 {
	m := make(map[int]int64, len(r.Counts))
	for k, n := range r.Counts {
		if n > 0 {
			m[r.First+k+1] = int64(n) // a summary has at most 2^63−1 values
		}
	}
	return m
}

// OTLP returns the summary as a data point of an exponential histogram with delta temporality, for the values in
// [start, end) (https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram). The data point of
// an empty summary has neither min nor max, and the sum is absent if a value is below zero. The caller may add
// attributes.
func OTLP(s *stats.Summary, start, end time.Time) *otlp.ExponentialHistogramDataPoint {
	e := s.Exponential()
	p := &otlp.ExponentialHistogramDataPoint{
		StartTimeUnixNano: uint64(start.UnixNano()),
		TimeUnixNano:      uint64(end.UnixNano()),
		Count:             e.Count,
		Scale:             int32(e.Scale),
		ZeroCount:         e.ZeroCount,
		ZeroThreshold:     e.ZeroThreshold,
		Positive:          offsetBuckets(e.Positive),
		Negative:          offsetBuckets(e.Negative),
	}
	if e.Count > 0 {
		p.Min, p.Max = &e.Min, &e.Max
		if e.Min >= 0 { // the protocol has no sum of negative values
			p.Sum = &e.Sum
		}
	}
	return p
}

// offsetBuckets returns a run in the form of OTLP: the index of the first bucket, and the counts.
func offsetBuckets(r stats.Run) *otlp.ExponentialHistogramDataPoint_Buckets {
	return &otlp.ExponentialHistogramDataPoint_Buckets{Offset: int32(r.First), BucketCounts: r.Counts}
}
