package stats_test

import (
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

var update = flag.Bool("update", false, "write the golden files again")

func TestDecodingUndoesEncoding(t *testing.T) {
	eachShape(t, func(t *testing.T, xs []float64) {
		for _, limit := range limits {
			s := limited(limit, xs)
			b := encoded(t, s)
			got := stats.New(limit)
			require.NoError(t, got.UnmarshalBinary(b))
			require.Equal(t, s.Count(), got.Count())
			require.Equal(t, s.Exact(), got.Exact())
			require.Equal(t, fmt.Sprint(s.First(), s.Last()), fmt.Sprint(got.First(), got.Last()))
			require.Equal(t, b, encoded(t, &got))
			require.Equal(t, fmt.Sprint(mustSelect(t).Append(nil, s)), fmt.Sprint(mustSelect(t).Append(nil, &got)))
		}
	})
}

// A limited encoding is the encoding of a summary with that exact limit.
func TestAppendLimitedEncodesASummaryWithThatLimit(t *testing.T) {
	eachShape(t, func(t *testing.T, xs []float64) {
		want := limited(64, xs)
		for _, limit := range limits[1:] {
			s := limited(limit, xs)
			before := encoded(t, s)
			var got stats.Summary
			require.NoError(t, got.UnmarshalBinary(s.AppendLimited(nil, 64)))
			require.Equal(t, before, encoded(t, s), "the summary is as it was")
			require.Equal(t, want.Exact(), got.Exact())
			if want.Exact() {
				require.Equal(t, encoded(t, want), encoded(t, &got))
			} else {
				require.Equal(t, want.Bins(), got.Bins())
			}
		}
	})
}

// The bounds are those of the documentation, for an exact limit of 64.
func TestEncodingsAreNotLongerThanDocumented(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		shape   string
		n, most int
	}{
		{"constant", 360, 20}, {"flag", 360, 20}, {"small integers", 360, 50}, {"few distinct", 360, 110}, {"continuous", 360, 360},
		{"continuous", 64, 540}, {"32 distinct", 100_000, 350}, {"continuous", 100_000, 350}, {"wide", 100_000, 560},
		{"log-uniform", 100_000, 700}, {"log-uniform with candidates", 100_000, 800},
		{"log-uniform", 1_000_000, 900}, {"signs and zero", 1_000_000, 1600}, {"both signs with candidates", 1_000_000, 1700},
	} {
		if testing.Short() && c.n > 100_000 {
			continue
		}
		b := encoded(t, untimed(64, sized(c.shape, c.n)))
		t.Logf("%s, n=%d: %d bytes", c.shape, c.n, len(b))
		require.LessOrEqual(t, len(b), c.most, "%s, n=%d", c.shape, c.n)
	}
}

// The first and the last value with their times take up to 36 bytes more, in both forms of a summary.
func TestTimesTakeAtMost36Bytes(t *testing.T) {
	t.Parallel()
	for _, n := range []int{64, 360} {
		xs := shape("continuous", n)
		without := untimed(64, xs)
		with, at := stats.New(64), make([]int64, n)
		at[0], at[n-1] = math.MinInt64, math.MaxInt64
		require.Equal(t, n, with.AddAll(xs, at))
		require.Equal(t, n <= 64, with.Exact())
		require.Len(t, encoded(t, &with), len(encoded(t, without))+36)
	}
}

// sized returns n values of a shape.
func sized(kind string, n int) []float64 {
	if kinds[kind] != nil {
		return shape(kind, n)
	}
	r := rand.New(rand.NewPCG(1, 1))
	xs := make([]float64, n)
	for i := range xs {
		switch kind {
		case "few distinct":
			xs[i] = 0.1 * float64(i*i%10)
		case "32 distinct":
			xs[i] = float64(r.IntN(32)) / 7
		case "wide":
			xs[i] = 50 + 10*r.NormFloat64()
		case "log-uniform":
			xs[i] = math.Exp2(2 * r.Float64())
		case "log-uniform with candidates":
			if xs[i] = math.Exp2(2 * r.Float64()); i%2 == 0 {
				xs[i] = 1 + float64(r.IntN(16))/7
			}
		case "both signs with candidates":
			xs[i] = math.Copysign(math.Exp2(16*r.Float64()), r.Float64()-0.5)
			if i%2 == 0 {
				xs[i] = float64(r.IntN(16)-8) / 7
			}
		default:
			panic("unknown shape " + kind)
		}
	}
	return xs
}

// An exact summary takes 8 bytes for a distinct value, and up to 3 for a count up to a million.
func TestAFullEncodingTakesUpTo11BytesForADistinctValue(t *testing.T) {
	t.Parallel()
	for _, most := range []int{1, 10, 1000, 1_000_000} {
		r := rand.New(rand.NewPCG(2, 2))
		s := stats.New(stats.Unlimited)
		const distinct = 1000
		for i := range distinct {
			var one stats.Summary
			one.Add(float64(i) / 7)
			for n := r.IntN(most); n > 0; n /= 2 { // so the counts are up to most
				require.NoError(t, one.Merge(&one))
			}
			require.NoError(t, s.Merge(&one))
		}
		require.LessOrEqual(t, len(encoded(t, &s)), 11*distinct, "counts up to %d", most)
	}
}

// A copy allocates about as much as Bytes returns. The allocator rounds up, so it may be more.
func TestBytesIsTheMemoryOfASummary(t *testing.T) {
	for _, n := range []int{1, 16, 100, 512, 5000} {
		for name, xs := range shapes(n) {
			for _, limit := range limits {
				s, without := limited(limit, xs), untimed(limit, xs)
				require.Equal(t, s.Max(), without.Max()) // which sorts
				require.Equal(t, 32, s.Bytes()-without.Bytes(), "for the times")
				s = s.Clone()
				const copies = 100
				var kept [copies]*stats.Summary
				allocated := int(stats.AllocatedBy(func() {
					for i := range kept {
						kept[i] = s.Clone()
					}
				}))/copies - 64
				if held := s.Bytes(); allocated < held-held/50-8 || allocated > held+held/4+64 {
					t.Errorf("%s, n=%d, limit %d: %d bytes, allocated are %d", name, n, limit, held, allocated)
				}
			}
		}
	}
}

// The bounds are those of the documentation, for an exact summary of very many values.
func TestMemoryOfManyDistinctValues(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 3))
	for _, bytes := range []int{8, 16} { // 16 if some occur twice
		s := stats.New(stats.Unlimited)
		for i := range sampled(100_000, 20_000) {
			v := r.Float64()
			s.Add(v)
			if bytes == 16 && i%1000 == 0 {
				s.Add(v)
			}
			if most := bytes*(i+1)*3/2 + 8192; i > 10_000 && s.Bytes() > most {
				t.Fatalf("%d values take %d bytes, want at most %d", i+1, s.Bytes(), most)
			}
		}
	}
}

func TestDecodingIntoAUsedSummaryAllocatesAtMostTwice(t *testing.T) {
	distinct := sized("continuous", 300)
	samples := shapes(360)
	samples["few distinct"], samples["wide"] = sized("few distinct", 360), sized("wide", 360)
	samples["both signs with candidates"] = sized("both signs with candidates", 360)
	samples["mostly distinct"], samples["four values"] = append(distinct, distinct[:60]...), []float64{1.5, 2, 2, 3}
	for name, xs := range samples {
		for _, limit := range []int{64, 512} {
			for _, original := range []*stats.Summary{untimed(limit, xs), limited(limit, xs)} {
				b := encoded(t, original)
				var s stats.Summary
				require.NoError(t, s.UnmarshalBinary(b))
				allocs := testing.AllocsPerRun(50, func() { _ = s.UnmarshalBinary(b) })
				require.LessOrEqual(t, allocs, 2.0, "%s, limit %d", name, limit)
				require.Equal(t, b, encoded(t, &s))
			}
		}
	}
}

// Positions of the moments in the encoding of a histogram.
const (
	unitAt       = 18
	sumAt        = 19
	sumLowAt     = 27
	squaresAt    = 35
	squaresLowAt = 43
)

// demoted returns the encoding of a histogram of the values.
func demoted(t *testing.T, xs ...float64) []byte {
	t.Helper()
	s := untimed(stats.DefaultExactLimit, xs)
	s.Demote()
	return encoded(t, s)
}

// withFloat returns a copy of b with a float at a position.
func withFloat(b []byte, at int, v float64) []byte {
	b = slices.Clone(b)
	binary.LittleEndian.PutUint64(b[at:], math.Float64bits(v))
	return b
}

// Moments that no values can have are an error: merging them would overflow, or the result could not be decoded.
func TestDecodingRejectsImplausibleMoments(t *testing.T) {
	t.Parallel()
	continuous := demoted(t, shape("continuous", 360)...)
	for _, at := range []int{sumAt, sumLowAt, squaresAt, squaresLowAt} {
		for _, v := range []float64{math.MaxFloat64, -math.MaxFloat64} {
			require.ErrorIs(t, new(stats.Summary).UnmarshalBinary(withFloat(continuous, at, v)), stats.ErrFormat, "byte %d", at)
		}
	}
	near := make([]float64, 100)
	for i := range near {
		near[i] = 1e6 + float64(i)*1e-5
	}
	sum := untimed(512, near).Sum()
	require.ErrorIs(t, new(stats.Summary).UnmarshalBinary(withFloat(demoted(t, near...), sumAt, sum+99)), stats.ErrFormat)
}

// The mean may be beyond the values by 2^-40 of the largest magnitude, and the squares may be larger than those of any
// values by a share of 10^-9.
func TestDecodingAcceptsRoundedMoments(t *testing.T) {
	t.Parallel()
	decode := func(b []byte, at int, v float64) error {
		return new(stats.Summary).UnmarshalBinary(withFloat(b, at, v))
	}
	ones, pair := demoted(t, 1, 1, 1, 1), demoted(t, 1, 1, 2, 2)
	for _, c := range []struct {
		b     []byte
		at    int
		value float64
		ok    bool
	}{
		{ones, sumAt, 4 * (1 + 0x1p-41), true},
		{ones, sumAt, 4 * (1 + 0x1p-39), false},
		{ones, sumAt, 4 * (1 - 0x1p-41), true},
		{ones, sumAt, 4 * (1 - 0x1p-39), false},
		{pair, squaresAt, 1, true},
		{pair, squaresAt, 1 + 5e-10, true},
		{pair, squaresAt, 1 + 2e-9, false},
		{pair, squaresAt, 0, true},
		{pair, squaresAt, -1e-300, false},
		{withFloat(pair, sumAt, 0), sumLowAt, 6, true},
		{withFloat(pair, sumAt, -3), sumLowAt, 9, false}, // the sum is right, but the compensation is larger than any sum
		{withFloat(pair, squaresAt, 0), squaresLowAt, 1, true},
		{withFloat(pair, squaresAt, -1), squaresLowAt, 2, false},
	} {
		err := decode(c.b, c.at, c.value)
		if c.ok {
			require.NoError(t, err, "%v at byte %d", c.value, c.at)
		} else {
			require.ErrorIs(t, err, stats.ErrFormat, "%v at byte %d", c.value, c.at)
		}
	}
}

// The format defines the unit of the moments by the largest magnitude.
func TestTheUnitOfTheMomentsIsThatOfTheFormat(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		largest float64
		want    byte
	}{
		{0x1p400, 0}, {math.Nextafter(0x1p400, math.Inf(1)), 2}, {math.MaxFloat64, 2},
		{0x1p-400, 0}, {math.Nextafter(0x1p-400, 0), 1}, {math.SmallestNonzeroFloat64, 1}, {0, 1}, {1, 0},
	} {
		for _, sign := range []float64{1, -1} {
			one := demoted(t, sign*c.largest)
			require.Equal(t, c.want, one[unitAt], "%g", sign*c.largest)
			s := stats.New(1) // it adds in batches
			for range 40 {
				s.Add(sign * c.largest)
			}
			require.Equal(t, c.want, encoded(t, &s)[unitAt], "%g", sign*c.largest)
			require.NoError(t, new(stats.Summary).UnmarshalBinary(encoded(t, &s)))
		}
	}
}

// Summaries that version 1 encoded can be decoded, and their encoding is the same.
func TestSummariesOfVersion1CanBeDecoded(t *testing.T) {
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
	for _, line := range readLines(t, file) {
		b, err := hex.DecodeString(line[strings.LastIndex(line, " ")+1:])
		require.NoError(t, err)
		var s stats.Summary
		require.NoError(t, s.UnmarshalBinary(b), line)
		require.Equal(t, b, encoded(t, &s), line)
	}
}

// Summaries that version 1 encoded have the statistics in testdata/version1_statistics.txt, line by line.
func TestSummariesOfVersion1HaveTheSameStatistics(t *testing.T) {
	sel, err := stats.NewSelection([]string{"count", "min", "max", "mean", "median", "mode", "mode_count", "first", "last"}, stats.Linear)
	require.NoError(t, err)
	lines, statistics := readLines(t, "testdata/version1.txt"), readLines(t, "testdata/version1_statistics.txt")
	require.Len(t, statistics, len(lines))
	for i, line := range lines {
		space := strings.LastIndex(line, " ")
		b, err := hex.DecodeString(line[space+1:])
		require.NoError(t, err)
		var s stats.Summary
		require.NoError(t, s.UnmarshalBinary(b), line)
		got := []byte(line[:space])
		for j, v := range sel.Append(nil, &s) {
			got = fmt.Appendf(got, " %s=%v", sel.Statistics()[j], v)
		}
		require.Equal(t, statistics[i], string(got))
	}
}

func readLines(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	return strings.Split(strings.TrimSpace(string(text)), "\n")
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

// malformed returns encodings that have one fault each, by the name of the fault.
func malformed() map[string][]byte {
	good, _ := limited(stats.Unlimited, []float64{1.5, 2.5, 2.5, 3.5}).MarshalBinary()
	histogram, _ := limited(1, shape("signs and zero", 360)).MarshalBinary()
	edit := func(b []byte, at int, with ...byte) []byte {
		c := slices.Clone(b)
		copy(c[at:], with)
		return c
	}
	bits := func(v float64) []byte { return binary.LittleEndian.AppendUint64(nil, math.Float64bits(v)) }
	const values, counts = 3, 3 + 3*8
	timed := func(first int64, later uint64) []byte { // one value, 1, with these times
		b := binary.AppendUvarint(binary.AppendVarint([]byte{1, 6, 1, 2, 0, 0x80}, first), later)
		return append(append(b, bits(1)...), bits(1)...)
	}
	cases := map[string][]byte{
		"empty":               {},
		"version only":        {1},
		"no count":            {1, 0},
		"unknown version":     edit(good, 0, 9),
		"unknown flag":        edit(good, 1, 8),
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
		"whole, as floats":    edit(edit(edit(good, values, bits(1)...), values+8, bits(2)...), values+16, bits(3)...),
		"order beyond range":  edit(good, counts, 63),
		"first outside":       edit(good, len(good)-16, bits(7)...),
		"last outside":        edit(good, len(good)-8, bits(-7)...),
		"equal values":        append([]byte{1, 0, 2}, append(append(bits(2.5), bits(2.5)...), 0, 0b1100_0000)...),
		"descending values":   append([]byte{1, 0, 2}, append(append(bits(2.5), bits(1.5)...), 0, 0b1100_0000)...),
		"whole gap of 0":      {1, 4, 2, 2, 0, 0, 0b1100_0000},
		"whole gap below 0":   append(append([]byte{1, 4, 2, 2}, binary.AppendUvarint(nil, math.MaxUint64)...), 0, 0b1100_0000),
		"cut in a long count": append(append([]byte{1, 0, 1}, bits(2.5)...), 0, 0, 0, 0, 0, 0, 0x80, 0xff),
		"cut in high order":   append(append([]byte{1, 0, 1}, bits(2.5)...), 63, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
		"cut in a count":      append(append([]byte{1, 0, 1}, bits(2.5)...), 0, 0b0000_0001),
		"whole beyond 2^53":   append(append([]byte{1, 4, 1}, binary.AppendVarint(nil, 1<<53+1)...), 0, 0x80),
		"last before first":   timed(math.MaxInt64, 1),
		"histogram of none":   {1, 1},
		"histogram of a byte": {1, 1, 0},
	}
	for _, at := range []int{2, 10, 18, 19, 51, 52, 53, 55, 56, 60, len(histogram) / 2, len(histogram) - 1} {
		cases[fmt.Sprintf("histogram with byte %d changed", at)] = edit(histogram, at, histogram[at]^0x55)
		cases[fmt.Sprintf("histogram cut at %d", at)] = histogram[:at]
	}
	maps.Copy(cases, stats.Contradictions())
	return cases
}

func TestDecodingRejectsMalformedBytes(t *testing.T) {
	for name, b := range malformed() {
		t.Run(name, func(t *testing.T) {
			for _, s := range used() {
				before := encoded(t, s)
				err := s.UnmarshalBinary(b)
				if strings.Contains(name, "changed") && err == nil {
					continue // another summary
				}
				require.ErrorIs(t, err, stats.ErrFormat)
				require.Equal(t, before, encoded(t, s), "the receiver is as it was")
			}
		})
	}
}

// used returns summaries whose memory decoding can use again: exact ones, and histograms of both signs with candidates; with times and
// without.
func used() (all []*stats.Summary) {
	for _, xs := range [][]float64{{5}, {1.5, 2, 2, 3}, sized("continuous", 300), sized("both signs with candidates", 360)} {
		all = append(all, limited(64, xs), untimed(64, xs))
	}
	return all
}

// Decoding uses the memory of the summary again, but not that of its clones.
func TestDecodingChangesNoClone(t *testing.T) {
	t.Parallel()
	for _, next := range used() {
		for _, s := range used() {
			clone, before := s.Clone(), encoded(t, s)
			require.NoError(t, s.UnmarshalBinary(encoded(t, next)))
			require.Equal(t, encoded(t, next), encoded(t, s))
			require.Equal(t, before, encoded(t, clone))
		}
	}
}

// Whole numbers are written as integers up to 2^53 in magnitude.
func TestWholeNumbersBeyond2To53AreWrittenAsFloats(t *testing.T) {
	t.Parallel()
	const most = 1 << 53
	for _, x := range []float64{most, -most, most + 2, -most - 2, 1e300} {
		b := encoded(t, summaryOf([]float64{x, 1}))
		require.Equal(t, math.Abs(x) <= most, b[1]&4 != 0, "%g", x)
		var s stats.Summary
		require.NoError(t, s.UnmarshalBinary(b), "%g", x)
		require.Equal(t, x+1, s.Sum())
	}
}

// Bins are counted from the lowest one, whose number has 32 bits.
func TestDecodingRejectsBinsBeyondTheRangeOfFloats(t *testing.T) {
	t.Parallel()
	b := demoted(t, 1.5)
	const runAt = squaresLowAt + 8 + 2 // after the scale and the zeros
	_, size := binary.Varint(b[runAt+1:])
	lowest, _ := binary.Varint(b[runAt+1:])
	for _, lo := range []int64{lowest + 1<<32, lowest - 1<<32, 1 << 20, -1 << 20} {
		moved := append(binary.AppendVarint(slices.Clone(b[:runAt+1]), lo), b[runAt+1+size:]...)
		require.ErrorContains(t, new(stats.Summary).UnmarshalBinary(moved), fmt.Sprintf("1 bins from %d on", lo))
	}
}

// AppendBinary never writes these bytes, but they encode a summary.
func TestDecodingAcceptsBytesThatAreNotCanonical(t *testing.T) {
	appendFloats := func(b []byte, values ...float64) []byte {
		for _, v := range values {
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
		}
		return b
	}
	for name, c := range map[string]struct {
		b      []byte
		values []float64
	}{
		"times of an empty summary":            {[]byte{1, 2, 0}, nil},
		"a number of values in too many bytes": {[]byte{1, 0, 0x80, 0}, nil},
		"whole numbers as floats":              {append(appendFloats([]byte{1, 0, 2}, 1, 5), 0, 0b1010_0000), []float64{1, 5, 5}},
		"counts in too high an order":          {append(appendFloats([]byte{1, 0, 2}, 1.5, 5), 2, 0b100_101_00), []float64{1.5, 5, 5}},
		"padding that is not zero":             {append(appendFloats([]byte{1, 0, 1}, 1.5), 0, 0b1111_1111), []float64{1.5}},
	} {
		var s stats.Summary
		require.NoError(t, s.UnmarshalBinary(c.b), name)
		want := encoded(t, untimed(stats.DefaultExactLimit, c.values))
		require.Equal(t, want, encoded(t, &s), name)
		require.NotEqual(t, want, c.b, name)
	}
}

func FuzzUnmarshalBinary(f *testing.F) {
	for _, b := range malformed() {
		f.Add(b)
	}
	seeds := make(map[string]bool)
	for _, n := range []int{1, 5, 70, 600} {
		for _, xs := range shapes(n) {
			for _, limit := range limits {
				b, _ := limited(limit, xs).MarshalBinary()
				if !seeds[string(b)] { // limits above the number of values give the same bytes
					f.Add(b)
				}
				seeds[string(b)] = true
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var s stats.Summary
		allocated := stats.AllocatedBy(func() { _ = s.UnmarshalBinary(b) })
		require.LessOrEqual(t, allocated, uint64(16<<10+40*len(b)), "bytes allocated for %d", len(b))
		if s.Count() == 0 {
			return
		}
		canonical := encoded(t, &s)
		var again stats.Summary
		require.NoError(t, again.UnmarshalBinary(canonical))
		require.Equal(t, canonical, encoded(t, &again), "an encoding is canonical")
		readable(t, &s)
		twice := s.Clone()
		for range 3 {
			if twice.Merge(twice) == nil && twice.Merge(&s) == nil {
				readable(t, twice)
			}
		}
		merged := limited(64, shape("signs and zero", 80))
		if merged.Merge(&s) == nil {
			readable(t, merged)
		}
		s.Demote()
		readable(t, &s)
		s.AddAll(slices.Repeat([]float64{s.Min(), s.Max(), s.Min()/2 + s.Max()/2}, 100), nil)
		readable(t, &s)
		s.AddAll([]float64{1, 2, 3.5, -1e300, 1e-300, 0}, nil)
		readable(t, &s)
	})
}

// readable checks that the statistics of a summary are finite and that its encoding can be decoded.
func readable(t *testing.T, s *stats.Summary) {
	t.Helper()
	require.NoError(t, new(stats.Summary).UnmarshalBinary(encoded(t, s)))
	for i, v := range mustSelect(t).Append(nil, s) {
		require.False(t, math.IsInf(v, 0) || math.IsNaN(v) && s.Count() > 1, "statistic %d is %g", i, v)
	}
	for _, p := range percentiles("0", "25", "50", "100") {
		v := s.Quantile(p, stats.Linear)
		require.True(t, s.Min() <= v && v <= s.Max(), "p%s is %g", p, v)
	}
}

func mustSelect(t *testing.T) *stats.Selection {
	t.Helper()
	sel, err := stats.NewSelection([]string{
		"count", "min", "max", "sum", "mean", "variance", "median", "mode", "mode_count", "mode_error", "p99.9", "iqr", "max_error",
	}, stats.Linear)
	require.NoError(t, err)
	return sel
}
