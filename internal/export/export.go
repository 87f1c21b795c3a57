// Package export gives summaries the form in which other systems take histograms. Nothing is estimated: the
// bins of a summary are theirs, only counted from another index.
package export

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	otlp "go.opentelemetry.io/proto/otlp/metrics/v1"

	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// Prometheus returns the summary as a native histogram of that description, with its label values. created
// is when the counting began: the start of the bucket.
//
// Prometheus numbers a bucket by its upper bound, which is included, and a summary by its lower one, which is
// not: so the index is one higher, see https://prometheus.io/docs/specs/native_histograms/. An error means that
// the labels do not fit the description.
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

// OTLP returns the summary as a data point of an exponential histogram of delta temporality: of the values from
// start to end. Its buckets exclude their lower bound and include the upper one, as those of a summary do, see
// https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram. An empty summary has neither
// min nor max. Attributes are the caller's to add.
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
		if e.Min >= 0 { // the protocol's sum is of values that are not negative
			p.Sum = &e.Sum
		}
	}
	return p
}

func offsetBuckets(r stats.Run) *otlp.ExponentialHistogramDataPoint_Buckets {
	return &otlp.ExponentialHistogramDataPoint_Buckets{Offset: int32(r.First), BucketCounts: r.Counts}
}
