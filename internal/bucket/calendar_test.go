package bucket_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
	_ "time/tzdata" // the tests need the same zones on every host

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/bucket"
)

// zones are time zones with every kind of clock change: by half an hour, at midnight, over midnight, across the date
// line, during Ramadan, in both hemispheres, with standard time in summer, and one without changes.
var zones = []string{
	"Europe/Berlin", "Pacific/Apia", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Kathmandu", "America/St_Johns",
	"Africa/Casablanca", "America/Santiago", "Asia/Tehran", "Europe/Dublin", "Africa/Cairo", "Asia/Gaza", "America/Havana", "Asia/Manila",
	"America/Scoresbysund", "UTC",
}

// testedZones returns all zones, with -short only the first two.
func testedZones() []string {
	if testing.Short() {
		return zones[:2]
	}
	return zones
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
	changes []time.Time // of the offset, from 1678 to 2262
	dates   []time.Time // to test, written as if they were in UTC
}

// oracles keeps the oracle of each zone for all tests, because making one takes long.
var oracles sync.Map // from the name of a zone to func() oracle

func oracleOf(t testing.TB, name string) oracle {
	t.Helper()
	z := zone(t, name)
	o, _ := oracles.LoadOrStore(name, sync.OnceValue(func() oracle { return newOracle(z) }))
	return o.(func() oracle)()
}

// newOracle looks for changes in steps: 6 hours in the years with irregular changes (1840 to 2039), a day in later
// years, and a week before 1840, where all zones have local mean time. The zones of tests with -short have no two changes within
// a day.
func newOracle(zone *time.Location) oracle {
	o := oracle{zone: zone}
	at := time.Date(1678, 1, 1, 0, 0, 0, 0, time.UTC)
	for before := offset(at, zone); at.Year() < 2262; {
		step := 24 * time.Hour
		switch year := at.Year(); {
		case year < 1840:
			step = 7 * 24 * time.Hour
		case year < 2040 && !testing.Short():
			step = 6 * time.Hour
		}
		next := at.Add(step)
		if after := offset(next, zone); after != before {
			o.changes = append(o.changes, o.change(at, next))
			before = after
		}
		at = next
	}
	o.dates = o.sample()
	return o
}

// change returns the second in (low, high] at which the offset changes.
func (o oracle) change(low, high time.Time) time.Time {
	before := offset(low, o.zone)
	for high.Sub(low) > time.Second {
		if mid := low.Add(high.Sub(low) / 2).Truncate(time.Second); offset(mid, o.zone) == before {
			low = mid
		} else {
			high = mid
		}
	}
	return high
}

// sample returns the local dates from 1678 to 2261 that are within four days of a change, and one in 50 of the others.
func (o oracle) sample() (dates []time.Time) {
	const near, day = 4 * 24 * 3600, 24 * 3600
	random, i := rand.New(rand.NewPCG(2, 2)), 0
	end := time.Date(2262, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	for date := time.Date(1678, 1, 1, 0, 0, 0, 0, time.UTC).Unix(); date < end; date += day {
		for i < len(o.changes) && o.changes[i].Unix() < date-near {
			i++
		}
		if i < len(o.changes) && o.changes[i].Unix() < date+near || random.IntN(50) == 0 {
			dates = append(dates, time.Unix(date, 0).UTC())
		}
	}
	return dates
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

// eachZone runs a test for every zone, with its oracle.
func eachZone(t *testing.T, test func(*testing.T, oracle)) {
	t.Parallel()
	for _, name := range testedZones() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, oracleOf(t, name))
		})
	}
}

func TestDaysStartAtTheFirstInstantOfTheLocalDate(t *testing.T) {
	for _, clock := range []time.Duration{0, 2*time.Hour + 30*time.Minute, 24*time.Hour - 1} {
		t.Run(clock.String(), func(t *testing.T) {
			eachZone(t, func(t *testing.T, o oracle) {
				g := grid(t, width(t, "1d"), time.Time{}.Add(clock), o.zone)
				for _, date := range o.dates {
					local := date.Add(clock)
					start := o.first(local)
					requireStart(t, g, start)
					end := start
					for day := 1; !end.After(start); day++ { // a date that is skipped has no bucket
						end = o.first(local.AddDate(0, 0, day))
					}
					if g.End(start.UnixNano()) != end.UnixNano() {
						require.Equal(t, end, time.Unix(0, g.End(start.UnixNano())).UTC(), "the end of the day that starts at %s", start)
					}
				}
			})
		})
	}
}

// On days without a clock change nearby there is only one midnight, the one of Go's Date.
func TestDaysAreThoseOfDate(t *testing.T) {
	eachZone(t, func(t *testing.T, o oracle) {
		g, checked, random := grid(t, width(t, "1d"), time.Time{}, o.zone), 0, rand.New(rand.NewPCG(3, 3))
		for day := 1; ; day += 1 + random.IntN(40) {
			at := time.Date(1678, 1, day, 0, 0, 0, 0, o.zone)
			if at.Year() > 2261 {
				break
			}
			if offset(at.Add(-26*time.Hour), o.zone) == offset(at, o.zone) && offset(at.Add(26*time.Hour), o.zone) == offset(at, o.zone) {
				requireStart(t, g, at)
				checked++
			}
		}
		require.Greater(t, checked, 8_000)
	})
}

func TestLongBucketsStartOnTheLocalDateThatTheOriginGives(t *testing.T) {
	for _, test := range []struct {
		width, origin string
		months, days  int // the distance between two starts; one of them is 0
	}{
		{"1w", "0001-01-01T00:00:00Z", 0, 7},
		{"2w", "2020-03-29T02:30:00Z", 0, 14},
		{"10d", "1970-01-01T00:00:00Z", 0, 10},
		{"400d", "1970-01-01T00:00:00Z", 0, 400},
		{"1mo", "0001-01-01T00:00:00Z", 1, 0},
		{"5mo", "1999-11-15T06:00:00Z", 5, 0},
		{"1y", "0001-01-01T00:00:00Z", 12, 0},
		{"7y", "2001-10-28T02:00:00.000000001Z", 84, 0},
	} {
		t.Run(test.width+" "+test.origin, func(t *testing.T) {
			eachZone(t, func(t *testing.T, o oracle) {
				origin := parse(t, test.origin)
				g := grid(t, width(t, test.width), origin, o.zone)
				local := func(n int) time.Time { return origin.AddDate(0, n*test.months, n*test.days) }
				n := (1900 - origin.Year()) * 12 / max(test.months, 1)
				if test.days > 0 {
					n = int(time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC).Unix()-origin.Unix()) / (24 * 3600 * test.days)
				}
				first := n
				for ; local(n).Year() <= 2100; n++ {
					requireStart(t, g, o.first(local(n)))
				}
				require.Greater(t, n-first, 25, "some buckets were checked")
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

// tile requires that the bucket that holds t obeys the laws of a grid: t is inside, the ends agree with Start and
// End, and the neighbours begin and end where this bucket does.
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
		const stride = 31 // so that each time is tested with two or three of the 90 pairs of a width and an origin
		times := o.instants()
		for i, w := range widths {
			for j, origin := range origins {
				g := grid(t, width(t, w), origin, o.zone)
				var last int64 = math.MinInt64
				for k := (i*len(origins) + j) % stride; k < len(times); k += stride {
					tile(t, g, times[k])
					if start, ok := g.Start(times[k]); ok {
						if start < last {
							require.Fail(t, "starts do not ascend with times", "at %d: %d after %d", times[k], start, last)
						}
						last = start
					}
				}
			}
		}
	})
}

// instants returns ascending times: the edges of int64, every change of the clock and the nanoseconds
// next to it, and random ones.
func (o oracle) instants() []int64 {
	all := []int64{math.MinInt64, math.MinInt64 + 1, math.MinInt64 + 145_224_192, -1, 0, 1, math.MaxInt64 - 1, math.MaxInt64}
	for _, at := range o.changes {
		for _, d := range []time.Duration{-24 * time.Hour, -time.Hour, -1, 0, 1, time.Second, time.Hour, 24 * time.Hour} {
			all = append(all, at.Add(d).UnixNano())
		}
	}
	random := rand.New(rand.NewPCG(1, 1))
	for range 1000 {
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

func BenchmarkNewGrid(b *testing.B) {
	for _, name := range []string{"UTC", "Europe/Berlin", "Africa/Casablanca", "Asia/Gaza"} {
		b.Run("zone="+name, func(b *testing.B) {
			w, z := width(b, "1d"), zone(b, name)
			for b.Loop() {
				grid(b, w, time.Time{}, z)
			}
		})
	}
}
