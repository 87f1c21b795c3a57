package stats

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEncodingReadsBack(t *testing.T) {
	eachShape(t, func(t *testing.T, xs []float64) {
		s := summaryOf(xs)
		b, err := s.MarshalBinary()
		require.NoError(t, err)
		var got Summary
		require.NoError(t, got.UnmarshalBinary(b))
		require.Equal(t, s.Count(), got.Count())
		require.Equal(t, s.first, got.first)
		require.Equal(t, s.last, got.last)
		again, err := got.MarshalBinary()
		require.NoError(t, err)
		require.Equal(t, b, again)
	})
}

// malformed are encodings that are almost right.
func malformed() map[string][]byte {
	good, _ := summaryOf([]float64{1, 2, 2, 3}).MarshalBinary()
	edit := func(at int, b ...byte) []byte {
		c := append([]byte(nil), good...)
		copy(c[at:], b)
		return c
	}
	bits := func(v float64) []byte { return binary.LittleEndian.AppendUint64(nil, math.Float64bits(v)) }
	const values = 3 + 2*pointSize
	return map[string][]byte{
		"empty":                {},
		"version only":         {1},
		"no count":             {1, 1},
		"unknown version":      edit(0, 9),
		"unknown form":         edit(1, 9),
		"long uvarint":         {1, 1, 0x80, 0},
		"cut in first":         good[:10],
		"cut in values":        good[:values+9],
		"cut in counts":        good[:len(good)-1],
		"one byte more":        append(append([]byte(nil), good...), 0),
		"more after empty":     {1, 1, 0, 0},
		"too many values":      append([]byte{1, 1}, binary.AppendUvarint(nil, math.MaxUint64)...),
		"NaN":                  edit(values, bits(math.NaN())...),
		"infinity":             edit(values+16, bits(math.Inf(1))...),
		"negative zero":        edit(values, bits(math.Copysign(0, -1))...),
		"not ascending":        edit(values, bits(2)...),
		"a count of 0":         edit(len(good)-1, 0),
		"first outside":        edit(11, bits(7)...),
		"last outside":         edit(27, bits(-7)...),
		"last before first":    edit(19, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
		"counts beyond uint64": append(append([]byte(nil), good[:values+24]...), append(append(binary.AppendUvarint(nil, math.MaxUint64), 1), 1)...),
	}
}

func TestMalformedEncodingsAreRefused(t *testing.T) {
	for name, b := range malformed() {
		t.Run(name, func(t *testing.T) {
			s := summaryOf([]float64{5})
			require.ErrorIs(t, s.UnmarshalBinary(b), ErrFormat)
			require.Equal(t, uint64(1), s.Count(), "the receiver is as it was")
		})
	}
}

func FuzzUnmarshalBinary(f *testing.F) {
	for _, b := range malformed() {
		f.Add(b)
	}
	for _, xs := range shapes(5) {
		b, _ := summaryOf(xs).MarshalBinary()
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var s Summary
		if s.UnmarshalBinary(b) != nil {
			return
		}
		again, err := s.MarshalBinary()
		require.NoError(t, err)
		require.Equal(t, b, again, "an encoding is canonical")
		for i, v := range mustSelect(t).Append(nil, &s) {
			require.False(t, math.IsInf(v, 0), "statistic %d", i)
		}
	})
}

func mustSelect(t *testing.T) *Selection {
	sel, err := NewSelection([]string{"sum", "mean", "variance", "stddev", "median", "mode", "p99.9", "iqr"}, Linear)
	require.NoError(t, err)
	return sel
}
