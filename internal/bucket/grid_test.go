package bucket_test

import (
	"math"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/bucket"
)

func grid(t testing.TB, width bucket.Width, origin time.Time, zone *time.Location) bucket.Grid {
	t.Helper()
	g, err := bucket.NewGrid(width, origin, zone)
	require.NoError(t, err)
	return g
}

func fixed(t testing.TB, width time.Duration, origin time.Time) bucket.Grid {
	t.Helper()
	return grid(t, bucket.Fixed(width), origin, time.UTC)
}

// With the zero origin, buckets start where Go's Truncate and the Python plugin start them.
func TestBucketsInUTCStartAsTruncateDoes(t *testing.T) {
	t.Parallel()
	for _, width := range []time.Duration{time.Second, 7 * time.Second, time.Minute, time.Hour, 24 * time.Hour, 240 * time.Hour, 168 * time.Hour, 1234567} {
		g := fixed(t, width, time.Time{})
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
	t.Parallel()
	start, ok := grid(t, width(t, "1w"), time.Time{}, nil).Start(time.Date(2026, 11, 24, 1, 2, 3, 4, time.UTC).UnixNano())
	require.True(t, ok)
	require.Equal(t, time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC), time.Unix(0, start).UTC())
}

func TestBucketsAreHalfOpen(t *testing.T) {
	t.Parallel()
	g := fixed(t, 10*time.Second, time.Unix(3, 0))
	for at, want := range map[int64]int64{3e9: 3e9, 13e9 - 1: 3e9, 13e9: 13e9, 3e9 - 1: -7e9, -7e9: -7e9, -7e9 - 1: -17e9} {
		start, ok := g.Start(at)
		require.True(t, ok)
		require.Equal(t, want, start, "at %d", at)
		require.Equal(t, want+10e9, g.End(start))
	}
}

func TestStartAgreesWithExactArithmetic(t *testing.T) {
	t.Parallel()
	for _, origin := range []time.Time{{}, time.Unix(0, 0), time.Unix(-1, 1), time.Date(2300, 1, 1, 0, 0, 0, 999, time.UTC)} {
		for _, width := range []time.Duration{1, 2, 3, time.Hour, 1e18, 1 << 62, 1<<62 + 1, 6.7e18, math.MaxInt64} {
			g := fixed(t, width, origin)
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

func TestNanoRefusesTimesOutsideOfInt64(t *testing.T) {
	t.Parallel()
	for _, at := range []time.Time{{}, time.Date(1677, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2263, 1, 1, 0, 0, 0, 0, time.UTC)} {
		_, ok := bucket.Nano(at)
		require.False(t, ok, at)
	}
	ns, ok := bucket.Nano(time.Unix(-1, 5))
	require.True(t, ok)
	require.Equal(t, int64(-1e9+5), ns)
}

func TestGridsAreEqualIfTheirBucketsAre(t *testing.T) {
	t.Parallel()
	type spelling struct{ width, origin, zone string }
	const first = "0001-01-01T00:00:00Z"
	for _, test := range []struct {
		a, b  spelling
		equal bool
	}{
		{spelling{"24h", first, "UTC"}, spelling{"1d", first, "UTC"}, true},
		{spelling{"24h", first, "UTC"}, spelling{"1d", "2020-05-05T00:00:00Z", "UTC"}, true},
		{spelling{"24h", first, "UTC"}, spelling{"1d", "2020-05-05T01:00:00Z", "UTC"}, false},
		{spelling{"24h", first, "Europe/Berlin"}, spelling{"24h", first, "UTC"}, true},
		{spelling{"24h", first, "Europe/London"}, spelling{"1d", first, "Europe/London"}, false},
		{spelling{"1d", first, "Europe/Berlin"}, spelling{"1d", "2020-05-05T00:00:00Z", "Europe/Berlin"}, true},
		{spelling{"2d", first, "Europe/Berlin"}, spelling{"2d", "0001-01-02T00:00:00Z", "Europe/Berlin"}, false},
		{spelling{"1d", first, "Europe/Berlin"}, spelling{"1d", first, "Europe/Dublin"}, false},
		{spelling{"1d", first, "Europe/Berlin"}, spelling{"1d", "0001-01-01T00:00:00.5Z", "Europe/Berlin"}, false},
		{spelling{"1mo", first, "UTC"}, spelling{"1mo", "2020-05-01T00:00:00Z", "UTC"}, true},
		{spelling{"1mo", first, "UTC"}, spelling{"1mo", "2020-05-02T00:00:00Z", "UTC"}, false},
		{spelling{"12mo", first, "UTC"}, spelling{"1y", "2020-01-01T00:00:00Z", "UTC"}, true},
		{spelling{"1mo", first, "UTC"}, spelling{"30d", first, "UTC"}, false},
		{spelling{"1h", first, "UTC"}, spelling{"2h", first, "UTC"}, false},
	} {
		load := func(s spelling) bucket.Grid {
			zone, err := bucket.LoadZone(s.zone)
			require.NoError(t, err)
			origin, err := time.Parse(time.RFC3339Nano, s.origin)
			require.NoError(t, err)
			return grid(t, width(t, s.width), origin, zone)
		}
		a, b := load(test.a), load(test.b)
		require.Equal(t, []bool{test.equal, test.equal}, []bool{a.Equal(b), b.Equal(a)}, "%v and %v", test.a, test.b)
		same := true
		for at := time.Date(2019, 12, 30, 1, 2, 3, 4, time.UTC); at.Year() < 2021; at = at.Add(7 * time.Hour) {
			s, e, _ := a.Bounds(at.UnixNano())
			start, end, _ := b.Bounds(at.UnixNano())
			same = same && s == start && e == end
		}
		require.Equal(t, test.equal, same, "%v and %v", test.a, test.b)
	}
}
