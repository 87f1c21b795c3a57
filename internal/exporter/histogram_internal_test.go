package exporter

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// These tests are inside of the package because they compare histograms as messages, before these are encoded.

// histogram is a native histogram as counts by the exponent i of the lower boundary 2^(i/2^scale).
type histogram struct {
	scale              int
	positive, negative map[int]uint64
	zero               uint64
	threshold          float64
}

// above reports whether v is above 2^(i/2^scale), by exact arithmetic: v^(2^scale) against 2^i.
func above(v float64, i, scale int) bool {
	power := new(big.Float).SetPrec(53 << scale).SetFloat64(v)
	for range scale {
		power.Mul(power, power)
	}
	return power.Cmp(new(big.Float).SetMantExp(big.NewFloat(1), i)) > 0
}

// bucketOf returns the i for which a is above 2^(i/2^scale) and at most 2^((i+1)/2^scale).
func bucketOf(a float64, scale int) int {
	i := int(math.Floor(math.Log2(a) * math.Exp2(float64(scale))))
	for !above(a, i, scale) {
		i--
	}
	for above(a, i+1, scale) {
		i++
	}
	return i
}

// counted counts the values themselves by the definition of the buckets.
func counted(values []float64, scale int, threshold float64) histogram {
	h := histogram{scale: scale, threshold: threshold, positive: map[int]uint64{}, negative: map[int]uint64{}}
	for _, v := range values {
		switch {
		case math.Abs(v) <= threshold:
			h.zero++
		case v > 0:
			h.positive[bucketOf(v, scale)]++
		default:
			h.negative[bucketOf(-v, scale)]++
		}
	}
	return h
}

func ofPrometheus(h *dto.Histogram) histogram {
	counts := func(spans []*dto.BucketSpan, deltas []int64) map[int]uint64 {
		m := map[int]uint64{}
		index, count := 0, int64(0)
		for _, span := range spans {
			index += int(span.GetOffset())
			for range span.GetLength() {
				count += deltas[0]
				deltas = deltas[1:]
				if count > 0 {
					m[index-1] = uint64(count) // Prometheus' index is that of the upper boundary
				}
				index++
			}
		}
		return m
	}
	return histogram{
		scale: int(h.GetSchema()), zero: h.GetZeroCount(), threshold: h.GetZeroThreshold(),
		positive: counts(h.GetPositiveSpan(), h.GetPositiveDelta()),
		negative: counts(h.GetNegativeSpan(), h.GetNegativeDelta()),
	}
}

func shapes() map[string][]float64 {
	r := rand.New(rand.NewPCG(1, 1))
	fill := func(n int, f func(i int) float64) (xs []float64) {
		for i := range n {
			xs = append(xs, f(i))
		}
		return xs
	}
	return map[string][]float64{
		"none":             nil,
		"one":              {42.5},
		"zeros":            {0, 0, math.Copysign(0, -1)},
		"few distinct":     fill(500, func(int) float64 { return float64(r.IntN(9) - 4) }),
		"exact":            fill(300, func(int) float64 { return r.NormFloat64() }),
		"powers of two":    fill(80, func(i int) float64 { return math.Ldexp(1, i-40) }),
		"boundaries":       fill(1500, func(i int) float64 { return math.Exp2(float64(i-700) / 256) }),
		"beside one":       fill(600, func(i int) float64 { return math.Float64frombits(math.Float64bits(1) + uint64(i) - 300) }),
		"continuous":       fill(3000, func(int) float64 { return 50 + 10*r.NormFloat64() }),
		"heavy tail":       fill(3000, func(int) float64 { return math.Exp(3 * r.NormFloat64()) }),
		"below zero":       fill(3000, func(int) float64 { return -r.ExpFloat64() }),
		"collapsed":        fill(3000, func(i int) float64 { return float64(i%3-1) * math.Pow(10, 30*r.Float64()-15) }),
		"subnormal":        fill(700, func(i int) float64 { return float64(i+1) * math.SmallestNonzeroFloat64 }),
		"largest":          fill(600, func(i int) float64 { return math.MaxFloat64 / (1 + float64(i)/100) }),
		"signs at a scale": fill(3000, func(i int) float64 { return float64(i%3-1) * (1 + r.Float64()*1000) }),
	}
}

// requireAsClientGolang checks that client_golang writes a histogram with these counts in the same way.
func requireAsClientGolang(t *testing.T, got *dto.Histogram, counts histogram) {
	t.Helper()
	buckets := func(m map[int]uint64) map[int]int64 {
		b := make(map[int]int64, len(m))
		for i, n := range m {
			b[i+1] = int64(n)
		}
		return b
	}
	m, err := prometheus.NewConstNativeHistogram(prometheus.NewDesc("latency_seconds", "The latency.", nil, nil), got.GetSampleCount(), got.GetSampleSum(),
		buckets(counts.positive), buckets(counts.negative), counts.zero, int32(counts.scale), counts.threshold, time.Time{})
	require.NoError(t, err)
	var out dto.Metric
	require.NoError(t, m.Write(&out))
	want := out.GetHistogram()
	want.CreatedTimestamp = nil // a histogram of one bucket of time does not count on
	require.True(t, proto.Equal(want, got), "want %v\ngot %v", want, got)
}

func TestBucketsCountTheValuesOfTheirRange(t *testing.T) {
	for name, values := range shapes() {
		t.Run(name, func(t *testing.T) {
			for _, limit := range []int{1, stats.DefaultExactLimit, stats.Unlimited} {
				s := stats.New(limit)
				s.AddAll(values, nil)

				h := nativeHistogram(&s)
				require.Equal(t, uint64(len(values)), h.GetSampleCount())
				require.Equal(t, s.Sum(), h.GetSampleSum())
				got := ofPrometheus(h)
				require.Equal(t, counted(values, got.scale, got.threshold), got)
				requireAsClientGolang(t, h, got)
			}
		})
	}
}

func TestCollapsedBinsBelongToTheZeroBucket(t *testing.T) {
	s := stats.New(1)
	s.AddAll(shapes()["collapsed"], nil)
	p := nativeHistogram(&s)
	require.Positive(t, p.GetZeroThreshold())
	require.LessOrEqual(t, p.GetZeroThreshold(), 2e-5*s.Max())
	require.Greater(t, p.GetZeroCount(), uint64(1000), "the zeros and the values near them")
}

// filled returns the index of the only bucket of a native histogram with schema 8 that client_golang filled.
func filled(t *testing.T, v float64) int {
	t.Helper()
	const factor = 1.00272 // a little more than 2^(2^-8)
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "latency_seconds", NativeHistogramBucketFactor: factor})
	h.Observe(v)
	var out dto.Metric
	require.NoError(t, h.Write(&out))
	require.EqualValues(t, 8, out.GetHistogram().GetSchema())
	return only(t, out.GetHistogram())
}

// only returns the index of the only bucket of a histogram.
func only(t *testing.T, h *dto.Histogram) int {
	t.Helper()
	buckets := ofPrometheus(h).positive
	require.Len(t, buckets, 1)
	for i := range buckets {
		return i
	}
	return 0
}

// client_golang counts a value in the same bucket, or in the neighbouring one if the boundary between them is next to the
// value.
func TestBucketsAreThoseOfClientGolangExceptNextToABoundary(t *testing.T) {
	bucket := func(v float64) int {
		var s stats.Summary
		s.Add(v)
		h := nativeHistogram(&s)
		require.EqualValues(t, 8, h.GetSchema())
		return only(t, h)
	}
	differ := 0
	for j := range 256 {
		at := math.Exp2(float64(j) / 256)
		for _, v := range []float64{math.Nextafter(at, 0), at, math.Nextafter(at, 2)} {
			ours, theirs := bucket(v), filled(t, v)
			if ours == theirs {
				continue
			}
			differ++
			between := max(ours, theirs) // the boundary
			require.Equal(t, between-1, min(ours, theirs), "%v", v)
			require.True(t, above(v*(1+0x1p-50), between, 8) && !above(v*(1-0x1p-50), between, 8), "%v is next to the boundary", v)
		}
	}
	require.Positive(t, differ)
	r := rand.New(rand.NewPCG(2, 2))
	for range 500 {
		v := math.Exp(20 * r.NormFloat64())
		require.Equal(t, bucket(v), filled(t, v), "%v", v)
	}
}
