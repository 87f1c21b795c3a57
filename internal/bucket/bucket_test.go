package bucket

import (
	"math"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWidthsAreRead(t *testing.T) {
	const day = 24 * time.Hour
	for s, want := range map[string]time.Duration{
		"30s": 30 * time.Second, "1m": time.Minute, "10d": 10 * day, "1w": 7 * day, "1h30m": 90 * time.Minute,
		"1w2d3h4m5s": 9*day + 3*time.Hour + 4*time.Minute + 5*time.Second, "0h5s": 5 * time.Second, "106751d": 106751 * day,
	} {
		got, err := ParseWidth(s)
		require.NoError(t, err, s)
		require.Equal(t, want, got, s)
	}
}

func TestBadWidthsAreNamed(t *testing.T) {
	const rule = `want whole numbers with the units`
	for s, want := range map[string]string{
		"": rule, "10": rule, "10x": rule, "-1d": rule, "d": rule, "1.5d": rule, "1h 30m": rule, "30m1h": rule, "1d1d": rule, "1mo": rule,
		"1ms": rule, "1 d": rule, "+1d": rule, "١d": rule, "1d\x00": rule,
		"0s": "is zero", "0d": "is zero", "106752d": "is too large", "99999999999999999999s": "is too large", "15000w2000d": "is too large",
	} {
		_, err := ParseWidth(s)
		require.ErrorContains(t, err, want, s)
	}
}

func FuzzParseWidth(f *testing.F) {
	f.Add("1w2d3h4m5s")
	f.Fuzz(func(t *testing.T, s string) {
		if width, err := ParseWidth(s); err == nil {
			require.Positive(t, width)
		}
	})
}

func grid(t *testing.T, width time.Duration, origin time.Time) Grid {
	t.Helper()
	g, err := NewGrid(width, origin)
	require.NoError(t, err)
	return g
}

// With the zero origin a bucket starts where Go's Truncate and the Python plugin start it.
func TestStartsAreThoseOfTruncate(t *testing.T) {
	for _, width := range []time.Duration{time.Second, 7 * time.Second, time.Minute, time.Hour, 24 * time.Hour, 240 * time.Hour, 168 * time.Hour, 1234567} {
		g := grid(t, width, time.Time{})
		for _, text := range []string{
			"2020-05-15T00:00:00Z", "2020-05-15T23:59:59.999999999Z", "1970-01-01T00:00:00Z", "1969-12-31T23:59:59.999999999Z",
			"2001-09-09T01:46:39Z", "1700-01-01T12:00:00Z", "2261-01-01T00:00:00Z",
		} {
			at, err := time.Parse(time.RFC3339Nano, text)
			require.NoError(t, err)
			start, ok := g.Start(at.UnixNano())
			require.True(t, ok)
			require.Equal(t, at.Truncate(width), time.Unix(0, start).UTC(), "%s at %s", width, text)
		}
	}
}

func TestWeeksStartOnMonday(t *testing.T) {
	start, ok := grid(t, 7*24*time.Hour, time.Time{}).Start(time.Date(2026, 11, 24, 1, 2, 3, 4, time.UTC).UnixNano())
	require.True(t, ok)
	require.Equal(t, time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC), time.Unix(0, start).UTC())
}

func TestBucketsAreHalfOpen(t *testing.T) {
	g := grid(t, 10*time.Second, time.Unix(3, 0))
	for at, want := range map[int64]int64{3e9: 3e9, 13e9 - 1: 3e9, 13e9: 13e9, 3e9 - 1: -7e9, -7e9: -7e9, -7e9 - 1: -17e9} {
		start, ok := g.Start(at)
		require.True(t, ok)
		require.Equal(t, want, start, "at %d", at)
		require.Equal(t, want+10e9, g.End(start))
	}
}

func TestStartAgreesWithExactArithmetic(t *testing.T) {
	for _, origin := range []time.Time{{}, time.Unix(0, 0), time.Unix(-1, 1), time.Date(2300, 1, 1, 0, 0, 0, 999, time.UTC)} {
		for _, width := range []time.Duration{1, 2, 3, time.Hour, 1e18, 1 << 62, 1<<62 + 1, 6.7e18, math.MaxInt64} {
			g := grid(t, width, origin)
			for _, at := range []int64{math.MinInt64, math.MinInt64 + 1, -31e17, -1, 0, 1, 1e18, math.MaxInt64 - 1, math.MaxInt64} {
				want := exactStart(at, width, origin)
				start, ok := g.Start(at)
				require.Equal(t, want.IsInt64(), ok)
				if ok {
					require.Equal(t, want.Int64(), start)
					require.GreaterOrEqual(t, g.End(start), at)
				}
			}
		}
	}
}

func exactStart(at int64, width time.Duration, origin time.Time) *big.Int {
	o := new(big.Int).Mul(big.NewInt(origin.Unix()), big.NewInt(1e9))
	o.Add(o, big.NewInt(int64(origin.Nanosecond())))
	d := new(big.Int).Sub(big.NewInt(at), o)
	return d.Sub(big.NewInt(at), d.Mod(d, big.NewInt(int64(width))))
}

func TestGridRefusesNoWidth(t *testing.T) {
	for _, width := range []time.Duration{0, -1} {
		_, err := NewGrid(width, time.Time{})
		require.ErrorContains(t, err, "is not above zero")
	}
}

func TestNanoRefusesWhatInt64CannotHold(t *testing.T) {
	for _, at := range []time.Time{{}, time.Date(1677, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2263, 1, 1, 0, 0, 0, 0, time.UTC)} {
		_, ok := Nano(at)
		require.False(t, ok, at)
	}
	ns, ok := Nano(time.Unix(-1, 5))
	require.True(t, ok)
	require.Equal(t, int64(-1e9+5), ns)
}
