package exporter

import (
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/proto"

	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// nativeHistogram returns the summary as a native histogram, without classic buckets. It loses nothing, because a summary has the
// same buckets.
//
// The boundaries of the buckets are powers of 2^(2^-schema), and most of them are not float64 values. A summary compares values with
// the exact boundary, as the specification defines it (https://prometheus.io/docs/specs/native_histograms/). client_golang
// compares them with a float64 near the boundary, so it may count a value right next to a boundary in the neighbouring bucket.
//
// Prometheus numbers a bucket by its upper boundary and a summary by its lower boundary, so the index is one higher in Prometheus.
func nativeHistogram(s *stats.Summary) *dto.Histogram {
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
//
// The counts of a bucket are encoded as the difference from the bucket before. A span is a run of buckets, with its distance from
// the end of the span before, which for the first one is its index. For example, the run {First: 3, Counts: 2 0 0 5 0 0 0 1} is the
// buckets 4 to 11 of Prometheus. The gap of two is filled, that of three is not:
//
//	spans   {offset 4, length 4} {offset 3, length 1}
//	deltas  2 -2 0 5             -4
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
