// Package export converts summaries to the histograms of other systems: the native histograms of Prometheus and the
// exponential histograms of OpenTelemetry. The conversion loses nothing, as a summary has the same buckets.
//
// The boundaries of the buckets are powers of 2^(2^-scale), and mostly not float64 values. A summary compares a value with
// the boundary itself, as the specifications demand. client_golang compares it with a float64 near the boundary. So a value
// that is one of the float64 values next to a boundary may be in the neighbouring bucket of a histogram that client_golang
// filled.
package export

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	otlp "go.opentelemetry.io/proto/otlp/metrics/v1"

	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// Prometheus returns the summary as a native histogram with a description and the values of its labels. created is when
// counting began, which is the start of the bucket of time. The error is that the labels do not fit the description.
//
// The index of a bucket is that of its upper boundary in Prometheus (https://prometheus.io/docs/specs/native_histograms/)
// and that of its lower boundary in a summary, so it is one higher.
func Prometheus(s *stats.Summary, desc *prometheus.Desc, created time.Time, labels ...string) (prometheus.Metric, error) {
	e := s.Exponential()
	return prometheus.NewConstNativeHistogram(desc, e.Count, e.Sum, buckets(e.Positive), buckets(e.Negative),
		e.ZeroCount, int32(e.Scale), e.ZeroThreshold, created, labels...)
}

func buckets(r stats.Run) map[int]int64 {
	m := make(map[int]int64, len(r.Counts))
	for k, n := range r.Counts {
		if n > 0 {
			m[r.First+k+1] = int64(n) // a summary has at most 2^63−1 values
		}
	}
	return m
}

// OTLP returns the summary as a data point of an exponential histogram with delta temporality, of the values from start to
// end (https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram). An empty summary has neither min
// nor max, and one with values below zero has no sum. The caller may add attributes.
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

func offsetBuckets(r stats.Run) *otlp.ExponentialHistogramDataPoint_Buckets {
	return &otlp.ExponentialHistogramDataPoint_Buckets{Offset: int32(r.First), BucketCounts: r.Counts}
}
