package bucket_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"sync"
	"testing"
	"time"
	_ "time/tzdata" // the tests need the same zones on every host

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/bucket"
)

// zones have every kind of clock change: by half an hour, at midnight, over midnight, across the date
// line, during Ramadan, in both hemispheres, with standard time in summer, none at all.
var zones = []string{
	"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "America/Sao_Paulo", "Asia/Kathmandu", "America/St_Johns",
	"Africa/Casablanca", "America/Santiago", "Asia/Tehran", "Europe/Dublin", "Africa/Cairo", "Asia/Gaza", "America/Havana", "Asia/Manila",
	"America/Scoresbysund", "UTC",
}

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := bucket.LoadZone(name)
	require.NoError(t, err)
	return z
}

// oracle finds the first instants of local dates by trying instants, with Go's clock of a zone.
type oracle struct {
	zone    *time.Location
	changes []time.Time // of the offset, from 1899 to 2101
}

func newOracle(zone *time.Location) oracle {
	o := oracle{zone: zone}
	const step = 6 * time.Hour
	at := time.Date(1899, 1, 1, 0, 0, 0, 0, time.UTC)
	for before := offset(at, zone); at.Year() < 2101; at = at.Add(step) {
		after := offset(at.Add(step), zone)
		if after != before {
			n := sort.Search(int(step/time.Second), func(n int) bool { return offset(at.Add(time.Duration(n)*time.Second), zone) != before })
			o.changes = append(o.changes, at.Add(time.Duration(n)*time.Second))
		}
		before = after
	}
	return o
}

func offset(at time.Time, zone *time.Location) time.Duration {
	_, seconds := at.In(zone).Zone()
	return time.Duration(seconds) * time.Second
}

// first returns the first instant at which the clock shows the local time or a later one. The local
// time is written as if it were in UTC.
func (o oracle) first(local time.Time) time.Time {
	near := func(at time.Time) bool { return at.Sub(local).Abs() < 3*24*time.Hour }
	i, _ := slices.BinarySearchFunc(o.changes, local.AddDate(0, 0, -3), time.Time.Compare)
	candidates := []time.Time{local.Add(-offset(local.AddDate(0, 0, -3), o.zone))}
	for ; i < len(o.changes) && near(o.changes[i]); i++ {
		candidates = append(candidates, o.changes[i], local.Add(-offset(o.changes[i], o.zone)))
	}
	slices.SortFunc(candidates, time.Time.Compare)
	for _, at := range candidates {
		if shown := at.Add(offset(at, o.zone)); !shown.Before(local) {
			return at
		}
	}
	panic("the clock never shows " + local.String())
}

// requireStart requires that a bucket starts at want and that the nanosecond before is in another one.
func requireStart(t *testing.T, g bucket.Grid, want time.Time) {
	t.Helper()
	at := want.UnixNano()
	start, ok := g.Start(at)
	if !ok || start != at {
		require.Equal(t, want, time.Unix(0, start).UTC(), "the bucket that holds the start")
	}
	before, ok := g.Start(at - 1)
	if !ok || before >= at || g.End(before) != at {
		require.Equal(t, want, time.Unix(0, g.End(before)).UTC(), "the end of the bucket before, which starts at %d", before)
	}
}

var oracles = sync.OnceValue(func() (all []oracle) {
	for _, name := range zones {
		zone, err := time.LoadLocation(name)
		if err != nil {
			panic(err)
		}
		all = append(all, newOracle(zone))
	}
	return all
})

// eachZone runs a test for every zone, with its oracle.
func eachZone(t *testing.T, test func(*testing.T, oracle)) {
	t.Parallel()
	for _, o := range oracles() {
		t.Run(o.zone.String(), func(t *testing.T) {
			t.Parallel()
			test(t, o)
		})
	}
}

func TestDaysStartAtTheFirstInstantOfTheLocalDate(t *testing.T) {
	for _, clock := range []time.Duration{0, 2*time.Hour + 30*time.Minute, 6 * time.Hour, 24*time.Hour - 1} {
		t.Run(clock.String(), func(t *testing.T) {
			eachZone(t, func(t *testing.T, o oracle) {
				g := grid(t, width(t, "1d"), time.Time{}.Add(clock), o.zone)
				for _, change := range o.changes {
					y, m, d := change.Date()
					start := o.first(time.Date(y, m, d-4, 0, 0, 0, 0, time.UTC).Add(clock))
					for n := -3; n <= 3; n++ {
						end := o.first(time.Date(y, m, d+n, 0, 0, 0, 0, time.UTC).Add(clock))
						if end.Equal(start) {
							continue // the date is skipped
						}
						requireStart(t, g, end)
						require.Equal(t, end.UnixNano(), g.End(start.UnixNano()))
						start = end
					}
				}
			})
		})
	}
}

// On days without a clock change nearby there is only one midnight, the one of Go's Date.
func TestDaysAreThoseOfGosDate(t *testing.T) {
	eachZone(t, func(t *testing.T, o oracle) {
		g, checked := grid(t, width(t, "1d"), time.Time{}, o.zone), 0
		first := time.Date(1678, 1, 1, 0, 0, 0, 0, o.zone)
		for at := first; at.Year() < 2262; at = first.AddDate(0, 0, 3*checked) {
			checked++
			if o.steady(at) {
				requireStart(t, g, at)
			}
		}
		require.Greater(t, checked, 71_000)
	})
}

// steady reports whether the clock does not change within 26 hours of a time.
func (o oracle) steady(at time.Time) bool {
	const near = 26 * time.Hour
	return offset(at.Add(-near), o.zone) == offset(at, o.zone) && offset(at.Add(near), o.zone) == offset(at, o.zone)
}

func TestLongBucketsStartOnTheLocalDateThatTheOriginGives(t *testing.T) {
	for _, test := range []struct {
		width, origin       string
		years, months, days int // the width
	}{
		{"1w", "0001-01-01T00:00:00Z", 0, 0, 7},
		{"2w", "2020-03-29T02:30:00Z", 0, 0, 14},
		{"10d", "1970-01-01T00:00:00Z", 0, 0, 10},
		{"400d", "1970-01-01T00:00:00Z", 0, 0, 400},
		{"1mo", "0001-01-01T00:00:00Z", 0, 1, 0},
		{"5mo", "1999-11-15T06:00:00Z", 0, 5, 0},
		{"1y", "0001-01-01T00:00:00Z", 1, 0, 0},
		{"7y", "2001-10-28T02:00:00.000000001Z", 7, 0, 0},
	} {
		t.Run(test.width+" "+test.origin, func(t *testing.T) {
			eachZone(t, func(t *testing.T, o oracle) {
				origin, err := time.Parse(time.RFC3339Nano, test.origin)
				require.NoError(t, err)
				g := grid(t, width(t, test.width), origin, o.zone)
				about := 365*test.years + 30*test.months + test.days // days
				for k := (1901 - origin.Year()) * 365 / about; ; k++ {
					local := origin.AddDate(k*test.years, k*test.months, k*test.days)
					if local.Year() > 2100 {
						break
					}
					if local.Year() >= 1900 {
						requireStart(t, g, o.first(local))
					}
				}
			})
		})
	}
}

func TestBucketsOfAnOriginLateInAMonthStartOnItsLastDay(t *testing.T) {
	t.Parallel()
	berlin := zone(t, "Europe/Berlin")
	starts := func(width bucket.Width, origin time.Time, from time.Time, n int) (all []string) {
		g := grid(t, width, origin, berlin)
		at, ok := g.Start(from.UnixNano())
		require.True(t, ok)
		for range n {
			all = append(all, time.Unix(0, at).In(berlin).Format(time.DateTime))
			at = g.End(at)
		}
		return all
	}
	require.Equal(t, []string{"2023-12-31 00:00:00", "2024-01-31 00:00:00", "2024-02-29 00:00:00", "2024-03-31 00:00:00", "2024-04-30 00:00:00"},
		starts(width(t, "1mo"), time.Date(2020, 1, 31, 0, 0, 0, 0, time.UTC), time.Date(2024, 1, 30, 12, 0, 0, 0, berlin), 5))
	require.Equal(t, []string{"2022-02-28 06:00:00", "2023-02-28 06:00:00", "2024-02-29 06:00:00", "2025-02-28 06:00:00"},
		starts(width(t, "1y"), time.Date(2020, 2, 29, 6, 0, 0, 0, time.UTC), time.Date(2023, 2, 28, 5, 0, 0, 0, berlin), 4))
}

func TestClockChangesMakeDaysOfOtherLengths(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		zone, at, start, end string // at is any time in the bucket
	}{
		{"Europe/Berlin", "2026-03-29T12:00:00+02:00", "2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00"},       // 23 hours
		{"Europe/Berlin", "2026-10-25T12:00:00+01:00", "2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00"},       // 25 hours
		{"Australia/Lord_Howe", "2026-10-04T12:00:00+11:00", "2026-10-04T00:00:00+10:30", "2026-10-05T00:00:00+11:00"}, // 23.5 hours
		{"Australia/Lord_Howe", "2026-04-05T12:00:00+10:30", "2026-04-05T00:00:00+11:00", "2026-04-06T00:00:00+10:30"}, // 24.5 hours
		{"Pacific/Apia", "2011-12-29T12:00:00-10:00", "2011-12-29T00:00:00-10:00", "2011-12-31T00:00:00+14:00"},        // the 30th is skipped
		{"America/Sao_Paulo", "2018-11-04T12:00:00-02:00", "2018-11-04T01:00:00-02:00", "2018-11-05T00:00:00-02:00"},   // midnight is skipped
		{"America/Sao_Paulo", "2018-02-17T23:30:00-03:00", "2018-02-17T00:00:00-02:00", "2018-02-18T00:00:00-03:00"},   // 23:00 comes twice
		{"America/Havana", "2026-11-01T00:30:00-05:00", "2026-11-01T00:00:00-04:00", "2026-11-02T00:00:00-05:00"},      // midnight comes twice
		{"America/St_Johns", "2000-10-28T23:30:00-03:30", "2000-10-29T00:00:00-02:30", "2000-10-30T00:00:00-03:30"},    // at 00:01 back to 23:01
	} {
		g := grid(t, width(t, "1d"), time.Time{}, zone(t, test.zone))
		start, end, ok := g.Bounds(parse(t, test.at).UnixNano())
		require.True(t, ok)
		require.Equal(t, parse(t, test.start).UTC(), time.Unix(0, start).UTC(), test)
		require.Equal(t, parse(t, test.end).UTC(), time.Unix(0, end).UTC(), test)
	}
}

func parse(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, s)
	require.NoError(t, err)
	return at
}

func TestOriginWithAnOffsetIsAnInstantAndOneWithoutIsLocal(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ zone, width, origin, start string }{
		{"Europe/Berlin", "1d", "2020-01-01T06:00:00Z", "2026-06-10T06:00:00+02:00"},
		{"Europe/Berlin", "1d", "2020-01-01T06:00:00+01:00", "2026-06-10T06:00:00+02:00"},
		{"Europe/Berlin", "1d", "2020-01-01T00:00:00-05:00", "2026-06-10T06:00:00+02:00"},
		{"Asia/Kolkata", "1w", "1970-01-01T00:00:00Z", "2026-06-04T00:00:00+05:30"},
		{"Etc/GMT-5", "1d", "1970-01-01T00:00:00Z", "2026-06-10T00:00:00+05:00"},
		{"Etc/GMT-5", "1mo", "1970-01-01T00:00:00Z", "2026-06-01T00:00:00+05:00"},
		{"UTC", "1d", "2020-01-01T00:00:00-05:00", "2026-06-10T05:00:00Z"},
		{"Asia/Kolkata", "1h", "1970-01-01T00:00:00Z", "2026-06-10T12:30:00+05:30"}, // absolute time
	} {
		at := time.Date(2026, 6, 10, 13, 0, 0, 0, zone(t, test.zone))
		start, ok := grid(t, width(t, test.width), parse(t, test.origin), zone(t, test.zone)).Start(at.UnixNano())
		require.True(t, ok)
		require.Equal(t, parse(t, test.start).UTC(), time.Unix(0, start).UTC(), test)
	}
}

// tile requires the laws of a grid for the bucket that holds t.
func tile(tb testing.TB, g bucket.Grid, t int64) {
	tb.Helper()
	start, ok := g.Start(t)
	s, end, same := g.Bounds(t)
	if ok != same || s != start {
		require.Fail(tb, "Bounds and Start differ", "at %d: %d %t, %d %t", t, s, same, start, ok)
	}
	if !ok {
		require.Less(tb, t, int64(math.MaxInt64/300)*-7, "only the first bucket may start too early")
		return
	}
	again, ok := g.Start(start)
	switch {
	case !ok || again != start:
		require.Fail(tb, "a start is not in its own bucket", "at %d: %d, %d", t, start, again)
	case end != g.End(start):
		require.Fail(tb, "Bounds and End differ", "at %d: %d, %d", t, end, g.End(start))
	case t < start || t >= end && (end != math.MaxInt64 || t != end):
		require.Fail(tb, "a time is outside of its bucket", "%d in %d to %d", t, start, end)
	}
	if last, _ := g.Start(end - 1); last != start {
		require.Fail(tb, "the last nanosecond is in another bucket", "at %d: %d, want %d", t, last, start)
	}
	if before, ok := g.Start(start - 1); ok && start > math.MinInt64 && (before >= start || g.End(before) != start) {
		require.Fail(tb, "a gap or overlap", "at %d: the bucket before is %d to %d, want the end %d", t, before, g.End(before), start)
	}
	if next, ok := g.Start(end); end != math.MaxInt64 && (!ok || next != end) {
		require.Fail(tb, "a gap or overlap", "at %d: the end is %d, the next start %d", t, end, next)
	}
}

var (
	widths  = []string{"1s", "7m", "1h", "25h", "1d", "3d", "1w", "10d", "4000d", "106751d", "1mo", "7mo", "1y", "100y", "292y"}
	origins = []time.Time{
		{}, time.Unix(0, 0), time.Date(2020, 2, 29, 2, 30, 0, 1, time.UTC), time.Date(1900, 12, 31, 23, 59, 59, 999_999_999, time.UTC),
		time.Date(9999, 10, 30, 0, 0, 0, 0, time.FixedZone("", -7*3600)), time.Date(0, 1, 1, 0, 0, 0, 5, time.UTC),
	}
)

func TestBucketsTileAllTimes(t *testing.T) {
	eachZone(t, func(t *testing.T, o oracle) {
		times := instants(o.changes)
		for i, w := range widths {
			for j, origin := range origins {
				g, last := grid(t, width(t, w), origin, o.zone), int64(math.MinInt64)
				for k := (i + j) % 5; k < len(times); k += 5 {
					tile(t, g, times[k])
					start, ok := g.Start(times[k])
					switch {
					case ok && start < last:
						require.Fail(t, "starts do not ascend with times", "at %d: %d after %d", times[k], start, last)
					case ok:
						last = start
					}
				}
			}
		}
	})
}

// instants returns ascending times: the edges of int64, every change of the clock and times
// near it, and random ones.
func instants(changes []time.Time) []int64 {
	all := []int64{math.MinInt64, math.MinInt64 + 1, math.MinInt64 + 145_224_192, -1, 0, 1, math.MaxInt64 - 1, math.MaxInt64}
	for _, at := range changes {
		for _, d := range []time.Duration{-24 * time.Hour, -time.Hour, -1, 0, 1, time.Second, time.Hour, 24 * time.Hour} {
			all = append(all, at.Add(d).UnixNano())
		}
	}
	random := rand.New(rand.NewPCG(1, 1))
	for range 500 {
		all = append(all, int64(random.Uint64()), math.MinInt64+random.Int64N(int64(48*time.Hour)), math.MaxInt64-random.Int64N(int64(48*time.Hour)))
	}
	slices.Sort(all)
	return all
}

func FuzzGridTilesTime(f *testing.F) {
	f.Add(int64(0), uint8(0), uint8(4), int64(0), uint32(0))
	f.Add(int64(math.MinInt64), uint8(3), uint8(10), int64(-62135596800), uint32(5))
	f.Add(int64(math.MaxInt64), uint8(8), uint8(12), int64(1e9), uint32(999_999_999))
	f.Fuzz(func(t *testing.T, at int64, z, w uint8, originSec int64, originNano uint32) {
		origin := time.Unix(originSec%(1<<37), int64(originNano%1e9)).UTC()
		g, err := bucket.NewGrid(width(t, widths[int(w)%len(widths)]), origin, zone(t, zones[int(z)%len(zones)]))
		if year := origin.Year(); year < 0 || year > 9999 {
			require.ErrorContains(t, err, "want 0 to 9999")
			return
		}
		require.NoError(t, err)
		tile(t, g, at)
	})
}

func TestNewGridRefusesWidthsWithoutMeaning(t *testing.T) {
	t.Parallel()
	for _, w := range []bucket.Width{{}, bucket.Fixed(0), bucket.Fixed(-1)} {
		_, err := bucket.NewGrid(w, time.Time{}, time.UTC)
		require.ErrorContains(t, err, "is not above zero")
	}
	_, err := bucket.NewGrid(width(t, "1d12h"), time.Time{}, zone(t, "Europe/Berlin"))
	require.EqualError(t, err, "width 1d12h combines days with shorter units, want one or the other in the time zone Europe/Berlin, where days differ in length")
	for _, name := range []string{"UTC", "Etc/GMT+3"} {
		_, err = bucket.NewGrid(width(t, "1d12h"), time.Time{}, zone(t, name))
		require.NoError(t, err)
	}
	_, err = bucket.NewGrid(width(t, "1d"), time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), time.UTC)
	require.EqualError(t, err, "origin in the year 10000, want 0 to 9999")
}

func TestLoadZoneAcceptsOnlyNamesThatMeanTheSameEverywhere(t *testing.T) {
	t.Parallel()
	const want = `want an IANA name such as "Europe/Berlin", or "UTC"`
	for name, reason := range map[string]string{
		"": want, "Local": "depends on the host", "localtime": "depends on the host", "right/Europe/Berlin": "counts leap seconds",
		"Berlin": "unknown time zone", "+01:00": "unknown time zone", "../etc/passwd": want, "Europe/Berlin\x00": want,
	} {
		_, err := bucket.LoadZone(name)
		require.ErrorContains(t, err, reason, name)
		require.ErrorContains(t, err, want, name)
		require.ErrorContains(t, err, fmt.Sprintf("time zone %q", name))
	}
	require.Equal(t, time.UTC, zone(t, "UTC"))
	require.Equal(t, "Asia/Kolkata", zone(t, "Asia/Kolkata").String())
}

func BenchmarkGrid(b *testing.B) {
	for _, c := range []struct{ width, zone string }{
		{"1m", "UTC"}, {"1d", "UTC"}, {"1mo", "UTC"}, {"1d", "Europe/Berlin"}, {"1w", "Europe/Berlin"}, {"1mo", "Europe/Berlin"}, {"1d", "Africa/Casablanca"},
	} {
		g := grid(b, width(b, c.width), time.Time{}, zone(b, c.zone))
		now := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC).UnixNano()
		run := func(name string, f func(int64)) {
			b.Run(fmt.Sprintf("width=%s/zone=%s/call=%s", c.width, c.zone, name), func(b *testing.B) {
				tile(b, g, now)
				b.ReportAllocs()
				at := now
				for b.Loop() {
					f(at)
					at += int64(time.Minute)
				}
			})
		}
		run("Start", func(at int64) { sink, _ = g.Start(at) })
		run("Bounds", func(at int64) { sink, _, _ = g.Bounds(at) })
	}
}

var sink int64
