package scan_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/scan"
)

// grammar is that of Number, and integer that of whole numbers.
var (
	grammar = regexp.MustCompile(`^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$`)
	integer = regexp.MustCompile(`^[+-]?[0-9]+$`)
)

// checkNumber compares Number with the grammar and with strconv, bit by bit.
func checkNumber(t *testing.T, text string) {
	t.Helper()
	v, whole, ok := scan.Number([]byte(text))
	if rest, found := strings.CutPrefix(text, "−"); found && !strings.HasPrefix(rest, "-") && !strings.HasPrefix(rest, "+") {
		text = "-" + rest // as it is read
	}
	want, err := strconv.ParseFloat(text, 64)
	if wantOK := grammar.MatchString(text) && err == nil; ok != wantOK {
		t.Fatalf("Number(%q) is ok=%t, want %t", text, ok, wantOK)
	}
	if !ok {
		return
	}
	if math.Float64bits(v) != math.Float64bits(want) {
		t.Fatalf("Number(%q) = %v, want %v", text, v, want)
	}
	if wantWhole := integer.MatchString(text); whole != wantWhole {
		t.Fatalf("Number(%q) is whole=%t, want %t", text, whole, wantWhole)
	}
}

var numbers = []string{
	"", "0", "-0", "+0", "1", "-12", "+.5", "3.", ".", "-", "+", "e5", "1e", "1e+", "1e5", "1E-5", "1.5e-3", "1e400", "-1e400", "1e-400",
	"21.5", "0.1", "0.123456", "123456789.123456", "9007199254740992", "9007199254740993", "9007199254740993.5", "0.3", "179769313486231570000",
	"1.7976931348623157e308", "1.7976931348623159e308", "4.9e-324", "2.2250738585072011e-308", "00000000000000000000001", "1.00000000000000000000000",
	"0.0000000000000000000000000001", "1_000", "1,000", "0x10", "inf", "Inf", "NaN", "nan", "1 ", " 1", "--1", "1.2.3", "1e5.5", "99999999999999999999",
	"18446744073709551616", "18446744073709551617.5", "1\x00", "１", "−1.5", "−.5", "−", "−-1", "−−1", "−12345678901234567890", "−1e5", "1−",
	"−1e400",
}

func TestNumberIsTheNearestFloat(t *testing.T) {
	t.Parallel()
	for _, text := range numbers {
		checkNumber(t, text)
	}
	r := rand.New(rand.NewPCG(1, 2))
	n := 200_000
	if testing.Short() {
		n = 10_000 // Number has no state for the race detector to watch
	}
	for range n {
		v := math.Ldexp(r.Float64()-.5, r.IntN(120)-60)
		checkNumber(t, strconv.FormatFloat(v, 'f', r.IntN(25), 64))
		checkNumber(t, strconv.FormatFloat(v, 'g', -1, 64))
		checkNumber(t, strconv.FormatUint(r.Uint64()>>r.IntN(64), 10))
	}
}

func FuzzNumber(f *testing.F) {
	for _, text := range numbers {
		f.Add(text)
	}
	f.Fuzz(checkNumber)
}

func TestNumberAllocatesNothing(t *testing.T) {
	for _, text := range []string{"21.5", "-0.123456", "9007199254740993.123", "1e-5"} {
		b := []byte(text)
		require.Zero(t, testing.AllocsPerRun(100, func() { scan.Number(b) }), text)
	}
}

func TestTimesAreThoseOfTheStandardLibrary(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	layouts := []string{
		time.RFC3339, time.RFC3339Nano, "2006-01-02", "2006/01/02", "02.01.2006", "02.01.2006 15:04:05", "2006-01-02 15:04", "2006-01-02 15:04:05", "2006-01-02T15:04:05.000",
		"2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05Z07", "2006-01-02 15:04:05 -0700", "2006-01-02T15:04Z07:00",
	}
	n := 2000
	if testing.Short() {
		n = 200
	}
	r := rand.New(rand.NewPCG(3, 4))
	for _, zone := range []*time.Location{nil, time.UTC, berlin, time.FixedZone("", -5*3600-1800)} {
		in := zone
		if in == nil {
			in = time.UTC
		}
		for range n {
			at := time.Unix(r.Int64N(17e9)-8e9, r.Int64N(1e9)).In(in)
			for _, layout := range layouts {
				text := at.Format(layout)
				want, err := time.ParseInLocation(layout, text, in)
				require.NoError(t, err)
				got, ok := scan.Times{Zone: zone}.Read([]byte(text))
				require.True(t, ok, text)
				require.Equal(t, want.UnixNano(), got, text)
			}
		}
	}
}

func TestTimesThatAreNumbers(t *testing.T) {
	t.Parallel()
	const second = 1_793_536_200
	for _, c := range []struct {
		text string
		unit scan.Unit
		want int64
	}{
		{"1793536200", scan.Auto, second * 1e9},
		{"1793536200000", scan.Auto, second * 1e9},
		{"1793536200000000", scan.Auto, second * 1e9},
		{"1793536200000000000", scan.Auto, second * 1e9},
		{"1793536200.25", scan.Auto, second*1e9 + 25e7},
		{"-1", scan.Seconds, -1e9},
		{"-0.5", scan.Seconds, -5e8},
		{"12", scan.Milliseconds, 12e6},
		{"12", scan.Microseconds, 12e3},
		{"9223372036854775807", scan.Nanoseconds, math.MaxInt64},
	} {
		got, ok := scan.Times{Unit: c.unit}.Read([]byte(c.text))
		require.True(t, ok, c.text)
		require.Equal(t, c.want, got, c.text)
	}
}

func TestTimesWithNamesOfZones(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	const midnight = 1_793_491_200 * int64(1e9) // 2026-11-01T00:00:00Z
	for text, want := range map[string]int64{
		"2026-11-01 00:00:00 GMT": midnight, "2026-11-01T00:00GMT": midnight, "2026-11-01 00:00:00 +0000 UTC": midnight, "2026-11-01 01:00:00.5 +0100 CET": midnight + 5e8,
		"2026-11-01T01:00:00+01:00[Europe/Berlin]": midnight, "2026-11-01T00:00:00Z[UTC]": midnight, "20261101T000000Z": midnight, "20261101T0100+0100": midnight,
		"20261101T000000.25": midnight + 25e7,
	} {
		ns, ok := scan.Times{}.Read([]byte(text))
		require.True(t, ok, text)
		require.Equal(t, want, ns, text)
		require.True(t, scan.Times{}.Written([]byte(text)), text)
	}
	// On 2026-10-25, the hour from 2 to 3 o'clock was twice in Berlin.
	for text, want := range map[string]string{
		"2026-11-01 00:00:00 CET": "2026-10-31T23:00:00Z", "2026-07-01 12:30 CEST": "2026-07-01T10:30:00Z", "2026-10-25 02:30:00.5 CEST": "2026-10-25T00:30:00.5Z",
		"2026-10-25 02:30:00 CET": "2026-10-25T01:30:00Z",
	} {
		ns, ok := scan.Times{Zone: berlin}.Read([]byte(text))
		require.True(t, ok, text)
		require.Equal(t, want, time.Unix(0, ns).UTC().Format(time.RFC3339Nano))
		_, ok = scan.Times{}.Read([]byte(text))
		require.False(t, ok, "%s without a zone that has the name", text)
	}
	_, ok := scan.Times{Zone: berlin}.Read([]byte("2026-11-01 00:00:00 EST"))
	require.False(t, ok, "a name that Berlin does not have")
}

func TestTimesRefuseOtherTexts(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "x", "2026-02-29", "2026-13-01", "2026-00-10", "2026-01-00", "2026-01-01T", "2026-01-01T24:00:00", "2026-01-01T12:60", "2026-01-01T12:00:60",
		"2026-01-01T12:00:00+01:00[", "2026-01-01T12:00:00+01:00[]", "2026-01-01T12:00:00+01:00 C3T", "2026-01-01T12:00:00 ", "2026-01-01T12:00:00 [UTC]",
		"20260101T", "20260101T12", "20261301T1200", "20260101T12:00", "20260101T120", "2026-01-01T12:00:00+1", "2026-01-01T12:00:00+24:00", "2026-01-01T12:00:00+01:60", "2026-01-01T12:00:00 CET", "2026-01/01", "1600-01-01", "2300-01-01",
		"1e30", "9223372036854775808", "2026-01-01T12:00:00.", "2026-01-01x12:00", "99999999999999",
		"31.02.2026", "13.13.2026", "1.02.2026", "01.02.26", "01/02/2026", "01.02/2026", "0.12.20261", "01.02.2026.",
	} {
		unit := scan.Auto
		if text == "99999999999999" {
			unit = scan.Seconds // beyond int64 nanoseconds
		}
		_, ok := scan.Times{Unit: unit}.Read([]byte(text))
		require.False(t, ok, text)
	}
}

func FuzzTimes(f *testing.F) {
	for _, text := range []string{"2026-11-01", "2026-11-01T12:30:00.5+01:00", "2026/11/01 12:30", "1793536200", "-5.5", "1e9"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ns, ok := scan.Times{}.Read([]byte(text))
		if !ok {
			return
		}
		if want, err := time.Parse(time.RFC3339Nano, text); err == nil && want.UnixNano() != ns {
			t.Fatalf("%q is %s, want %s", text, time.Unix(0, ns).UTC(), want)
		}
	})
}

func TestMissingAndBool(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "NA", "n/a", "#N/A", "NaN", "null", "NULL", "None", "nil"} {
		require.True(t, scan.Missing([]byte(text)), text)
	}
	for _, text := range []string{"-", "0", "no", "missing", "nulls", "N"} {
		require.False(t, scan.Missing([]byte(text)), text)
	}
	for text, want := range map[string]string{"true": "true true", "FALSE": "false true", "True": "true true", "yes": "false false", "1": "false false"} {
		v, ok := scan.Bool([]byte(text))
		require.Equal(t, want, fmt.Sprint(v, ok), text)
	}
	require.Equal(t, "a b", string(scan.Trim([]byte(" \ta b \t"))))
}

func BenchmarkNumber(b *testing.B) {
	for _, text := range []string{"7", "21.5", "123.456789", "-0.000123", "9007199254740993.5"} {
		b.Run("text="+text, func(b *testing.B) {
			cell := []byte(text)
			for b.Loop() {
				scan.Number(cell)
			}
		})
	}
}

func BenchmarkTimes(b *testing.B) {
	cell := []byte("2026-11-01T12:30:00Z")
	for b.Loop() {
		scan.Times{}.Read(cell)
	}
}

// A leap second is the second after it, as in Unix time, and no other minute has a second 60.
func TestLeapSecondIsTheStartOfTheNextDay(t *testing.T) {
	t.Parallel()
	const next = 1483228800 * int64(1e9) // 2017-01-01T00:00:00Z
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	for text, zone := range map[string]*time.Location{
		"2016-12-31T23:59:60Z": nil, "2017-01-01T00:59:60+01:00": nil, "2016-12-31 15:59:60 -0800": nil, "2016-12-31T23:59:60": time.UTC,
		"2017-01-01T00:59:60": berlin, "2017-01-01T05:29:60+05:30": nil,
	} {
		ns, ok := scan.Times{Zone: zone}.Read([]byte(text))
		require.True(t, ok, text)
		require.Equal(t, next, ns, text)
	}
	ns, ok := scan.Times{}.Read([]byte("2016-12-31T23:59:60.25Z"))
	require.True(t, ok)
	require.Equal(t, next+250_000_000, ns)
	for _, text := range []string{"2016-12-31T22:59:60Z", "2016-12-31T23:59:61Z", "2016-12-31T23:59:60+01:00"} {
		_, ok := scan.Times{}.Read([]byte(text))
		require.False(t, ok, text)
	}
	_, ok = scan.Times{Zone: berlin}.Read([]byte("2016-12-31T23:59:60"))
	require.False(t, ok)
}
