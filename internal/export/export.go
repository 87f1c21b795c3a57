// Package export converts summaries to the histograms of other systems: the native histograms of Prometheus and the
// exponential histograms of OpenTelemetry. The conversion loses nothing, because a summary has the same buckets.
//
// The boundaries of the buckets are powers of 2^(2^-scale), and most of them are not float64 values. A summary
// compares values with the exact boundary, as the specifications define it. client_golang compares them with a
// float64 near the boundary. So client_golang may count a value right next to a boundary in the neighbouring bucket.
package export

import (
	"time"

	dto "github.com/prometheus/client_model/go"
	otlp "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/protobuf/proto"

	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// Prometheus returns the summary as a native histogram. It describes the values of one bucket, so it belongs into a
// family of the type GAUGE_HISTOGRAM. It has no classic buckets. The caller may change it.
//
// Prometheus numbers a bucket by its upper boundary (https://prometheus.io/docs/specs/native_histograms/) and a
// summary by its lower boundary, so the index is one higher in Prometheus.
func Prometheus(s *stats.Summary) *dto.Histogram {
	e := s.Exponential()
	h := &dto.Histogram{
		SampleCount:   proto.Uint64(e.Count),
		SampleSum:     proto.Float64(e.Sum),
		Schema:        proto.Int32(int32(e.Scale)),
		ZeroThreshold: proto.Float64(e.ZeroThreshold),
		ZeroCount:     proto.Uint64(e.ZeroCount),
	}
	h.PositiveSpan, h.PositiveDelta = spans(e.Positive)
	h.NegativeSpan, h.NegativeDelta = spans(e.Negative)
	if e.Count == 0 {
		h.PositiveSpan = []*dto.BucketSpan{{Offset: proto.Int32(0), Length: proto.Uint32(0)}} // without it, nothing would show that it is a native one
	}
	return h
}

// maxGap is the longest run of empty buckets within a span. A new span takes more bytes.
const maxGap = 2

// spans returns the spans of a run, and the differences between successive counts.
func spans(r stats.Run) (spans []*dto.BucketSpan, deltas []int64) {
	end, last := 0, int64(0) // of the last span: the index after it, and its last count
	for k, n := range r.Counts {
		if n == 0 {
			continue
		}
		index := r.First + k + 1
		switch gap := index - end; {
		case len(spans) == 0 || gap > maxGap:
			spans = append(spans, &dto.BucketSpan{Offset: proto.Int32(int32(gap)), Length: proto.Uint32(0)})
		default:
			for range gap {
				deltas = append(deltas, -last)
				last = 0
			}
			*spans[len(spans)-1].Length += uint32(gap)
		}
		deltas = append(deltas, int64(n)-last) // a summary has at most 2^63−1 values
		last = int64(n)
		*spans[len(spans)-1].Length++
		end = index + 1
	}
	return spans, deltas
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
