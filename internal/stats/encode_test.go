package stats

import (
	"encoding/binary"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestEncodingReadsBack(t *testing.T) {
	eachShape(t, func(t *testing.T, xs []float64) {
		for _, limit := range limits {
			s := limited(limit, xs)
			b := encoded(t, s)
			got := New(limit)
			require.NoError(t, got.UnmarshalBinary(b))
			require.Equal(t, s.Count(), got.Count())
			require.Equal(t, s.Exact(), got.Exact())
			require.Equal(t, s.timed(), got.timed())
			require.Equal(t, b, encoded(t, &got))
			require.Equal(t, fmt.Sprint(mustSelect(t).Append(nil, s)), fmt.Sprint(mustSelect(t).Append(nil, &got)))
		}
	})
}

// A limited encoding is that of a summary with the limit.
func TestLimitedEncoding(t *testing.T) {
	eachShape(t, func(t *testing.T, xs []float64) {
		want := limited(64, xs)
		for _, limit := range limits[1:] {
			s := limited(limit, xs)
			before := encoded(t, s)
			var got Summary
			require.NoError(t, got.UnmarshalBinary(s.AppendLimited(nil, 64)))
			require.Equal(t, before, encoded(t, s), "the summary is as it was")
			require.Equal(t, want.Exact(), got.Exact())
			if want.Exact() {
				require.Equal(t, encoded(t, want), encoded(t, &got))
			} else {
				require.Equal(t, shapeOf(want.hist), shapeOf(got.hist))
			}
		}
	})
}

// The encoded sizes of common data, compact.
func TestEncodedSizes(t *testing.T) {
	for _, c := range []struct {
		shape   string
		n, most int
	}{
		{"constant", 360, 20}, {"flag", 360, 20}, {"small integers", 360, 50}, {"few distinct", 360, 110}, {"continuous", 360, 360}, {"continuous", 100_000, 560},
		{"continuous", 64, 540},
	} {
		xs := shapes(c.n)[c.shape]
		if c.shape == "few distinct" {
			for i := range c.n {
				xs = append(xs, 0.1*float64(i*i%10))
			}
		}
		s := New(64)
		s.AddAll(xs, nil)
		b := encoded(t, &s)
		t.Logf("%s, n=%d: %d bytes", c.shape, c.n, len(b))
		require.LessOrEqual(t, len(b), c.most, "%s, n=%d", c.shape, c.n)
	}
}

// What version 1 wrote stays readable, and is written again as it was.
func TestGoldenVersion1(t *testing.T) {
	const file = "testdata/version1.txt"
	var lines []string
	for _, n := range []int{0, 1, 40, 600} {
		all := shapes(n)
		for _, name := range slices.Sorted(keys(all)) {
			lines = append(lines, fmt.Sprintf("%s n=%d %x", name, n, encoded(t, limited(64, all[name]))))
		}
	}
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o644))
	}
	golden, err := os.ReadFile(file)
	require.NoError(t, err)
	for _, line := range strings.Split(strings.TrimSpace(string(golden)), "\n") {
		var b []byte
		_, err := fmt.Sscanf(line[strings.LastIndex(line, " ")+1:], "%x", &b)
		require.NoError(t, err)
		var s Summary
		require.NoError(t, s.UnmarshalBinary(b), line)
		require.Equal(t, b, encoded(t, &s), line)
	}
}

func keys(m map[string][]float64) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// malformed are encodings that are almost right.
func malformed() map[string][]byte {
	good, _ := limited(Unlimited, []float64{1.5, 2.5, 2.5, 3.5}).MarshalBinary()
	histogram, _ := limited(1, shapes(360)["signs and zero"]).MarshalBinary()
	edit := func(b []byte, at int, with ...byte) []byte {
		c := slices.Clone(b)
		copy(c[at:], with)
		return c
	}
	bits := func(v float64) []byte { return binary.LittleEndian.AppendUint64(nil, math.Float64bits(v)) }
	const values, counts = 3, 3 + 3*8
	cases := map[string][]byte{
		"empty":               {},
		"version only":        {1},
		"no count":            {1, 0},
		"unknown version":     edit(good, 0, 9),
		"unknown flag":        edit(good, 1, 8),
		"times of none":       {1, 2, 0},
		"long uvarint":        {1, 0, 0x80, 0},
		"cut in values":       good[:values+9],
		"cut in counts":       good[:counts+1],
		"cut in times":        good[:len(good)-1],
		"one byte more":       append(slices.Clone(good), 0),
		"more after empty":    {1, 0, 0, 0},
		"too many values":     append([]byte{1, 0}, binary.AppendUvarint(nil, math.MaxUint64)...),
		"NaN":                 edit(good, values, bits(math.NaN())...),
		"infinity":            edit(good, values+16, bits(math.Inf(1))...),
		"negative zero":       edit(good, values, bits(math.Copysign(0, -1))...),
		"not ascending":       edit(good, values, bits(2.5)...),
		"whole, not as such":  edit(edit(edit(good, values, bits(1)...), values+8, bits(2)...), values+16, bits(3)...),
		"another order":       edit(good, counts, 1),
		"order beyond range":  edit(good, counts, 63),
		"first outside":       edit(good, len(good)-16, bits(7)...),
		"last outside":        edit(good, len(good)-8, bits(-7)...),
		"whole gap of 0":      {1, 4, 2, 2, 0, 0, 0x80},
		"whole beyond 2^53":   append(append([]byte{1, 4, 1}, binary.AppendVarint(nil, 1<<53+1)...), 0, 0x80),
		"histogram of none":   {1, 1},
		"histogram of a byte": {1, 1, 0},
	}
	for _, at := range []int{2, 10, 18, 19, 51, 52, 53, 55, 56, 60, len(histogram) / 2, len(histogram) - 1} {
		cases[fmt.Sprintf("histogram with byte %d changed", at)] = edit(histogram, at, histogram[at]^0x55)
		cases[fmt.Sprintf("histogram cut at %d", at)] = histogram[:at]
	}
	return cases
}

func TestMalformedEncodingsAreRefused(t *testing.T) {
	for name, b := range malformed() {
		t.Run(name, func(t *testing.T) {
			s := summaryOf([]float64{5})
			before := encoded(t, s)
			err := s.UnmarshalBinary(b)
			if strings.Contains(name, "changed") && err == nil {
				return // another summary
			}
			require.ErrorIs(t, err, ErrFormat)
			require.Equal(t, before, encoded(t, s), "the receiver is as it was")
		})
	}
}

func FuzzUnmarshalBinary(f *testing.F) {
	for _, b := range malformed() {
		f.Add(b)
	}
	for _, n := range []int{1, 5, 70, 600} {
		for _, xs := range shapes(n) {
			for _, limit := range limits {
				b, _ := limited(limit, xs).MarshalBinary()
				f.Add(b)
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var s Summary
		allocated := allocatedBy(func() {
			if s.UnmarshalBinary(b) != nil {
				s.n = 0
			}
		})
		require.LessOrEqual(t, allocated, uint64(16<<10+40*len(b)), "bytes allocated for %d", len(b))
		if s.n == 0 {
			return
		}
		require.Equal(t, b, encoded(t, &s), "an encoding is canonical")
		readable(t, &s)
		merged := limited(64, shapes(80)["signs and zero"])
		if merged.Merge(&s) == nil {
			readable(t, merged)
			var again Summary
			require.NoError(t, again.UnmarshalBinary(encoded(t, merged)))
		}
		s.Demote()
		s.AddAll([]float64{1, 2, 3.5, -1e300, 1e-300, 0}, nil)
		readable(t, &s)
	})
}

// allocatedBy returns about how many bytes f allocates.
func allocatedBy(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func readable(t *testing.T, s *Summary) {
	t.Helper()
	for i, v := range mustSelect(t).Append(nil, s) {
		require.False(t, math.IsInf(v, 0), "statistic %d", i)
	}
	for _, p := range []Percentile{{}, p25, p50, {num: 100}} {
		v := s.Quantile(p, Linear)
		require.True(t, s.Min() <= v && v <= s.Max(), "p%s is %g", p, v)
	}
}

func mustSelect(t *testing.T) *Selection {
	t.Helper()
	sel, err := NewSelection([]string{
		"count", "min", "max", "sum", "mean", "variance", "median", "mode", "mode_count", "mode_error", "p99.9", "iqr", "max_error",
	}, Linear)
	require.NoError(t, err)
	return sel
}
