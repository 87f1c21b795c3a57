package bucket

import (
	"fmt"
	"math"
	"math/big"
	"time"
)

// Grid divides time into buckets of one width. The zero Grid is not valid; use [NewGrid]. A Grid is
// immutable and safe for concurrent use.
//
// Start, End and Bounds allocate nothing. Start takes a few nanoseconds for buckets of one length, ten times as long
// for local days and 25 times as long for months (BenchmarkGrid). A caller with many times should keep the last
// bounds and call Bounds again only for a time outside of them.
type Grid struct {
	width    int64     // of every bucket, in nanoseconds, where calendar is nil
	offset   int64     // the start of a bucket modulo width, in [0, width)
	calendar *calendar // nil where all buckets have the same length
}

// NewGrid returns the grid of buckets of that width, one of which starts at the origin. The zone nil is UTC. It
// returns an error if the width is not above zero, if the width combines days with shorter units in a zone whose days
// differ in length, or if the year of the origin is not in 0 to 9999.
//
// For a width in hours, minutes and seconds, the origin is an instant, and the zone does not matter.
//
// For a width in days, weeks, months or years, the origin is a local date and time of the zone. Buckets start at its
// time of day. Days and weeks are counted from its date, months and years from its month; they start on its day of
// the month or, in a shorter month, on the last day. An origin with the offset zero ("2020-01-01T00:00:00Z") is read
// as that date and time in the zone, so that one origin has the same meaning in every zone. An origin with another
// offset is an instant; its local date and time are those of the zone at that instant.
//
// With the zero origin, the start of the year 1, days start at midnight, weeks on Mondays, months on the
// first and years on the first of January. In UTC, the buckets of all widths but months and years are
// then those of [time.Time.Truncate].
func NewGrid(width Width, origin time.Time, zone *time.Location) (Grid, error) {
	if width.months <= 0 && width.length() <= 0 {
		return Grid{}, fmt.Errorf("width %s is not above zero", width)
	}
	if year := origin.Year(); year < 0 || year > 9999 {
		return Grid{}, fmt.Errorf("origin in the year %d, want 0 to 9999", year)
	}
	if width.months == 0 && width.days == 0 {
		return fixedGrid(int64(width.clock), origin), nil
	}
	if zone == nil {
		zone = time.UTC
	}
	local, all := localOrigin(origin, zone), pieces(zone)
	if width.months == 0 && len(all) == 1 { // every day has 24 hours
		return fixedGrid(int64(width.length()), local.Add(-time.Duration(all[0].offset)*time.Second)), nil
	}
	if width.clock > 0 {
		return Grid{}, fmt.Errorf("width %s combines days with shorter units, want one or the other in the time zone %s, where days differ in length",
			width, zone)
	}
	return Grid{calendar: newCalendar(width, local, all)}, nil
}

// localOrigin returns the origin's date and time on the clock of the zone, as if that were UTC.
func localOrigin(origin time.Time, zone *time.Location) time.Time {
	if _, offset := origin.Zone(); offset != 0 {
		origin = origin.In(zone)
	}
	_, offset := origin.Zone()
	return origin.UTC().Add(time.Duration(offset) * time.Second)
}

// fixedGrid returns the grid of buckets of width nanoseconds, one of which starts at origin.
func fixedGrid(width int64, origin time.Time) Grid {
	// The origin may be out of the range of int64 nanoseconds: the year 1 is.
	ns := big.NewInt(origin.Unix())
	ns.Mul(ns, big.NewInt(perSecond))
	ns.Add(ns, big.NewInt(int64(origin.Nanosecond())))
	ns.Mod(ns, big.NewInt(width))
	return Grid{width: width, offset: ns.Int64()}
}

// Start returns the inclusive start of the bucket that holds t. Both are in nanoseconds since 1970. It returns 0 and false
// if int64 cannot hold the start. That happens only in the first bucket of the range, which may start before the range
// does.
func (g Grid) Start(t int64) (start int64, ok bool) {
	if g.calendar != nil {
		return g.calendar.start(t)
	}
	behind := t % g.width
	if behind < 0 {
		behind += g.width
	}
	behind -= g.offset // both are in [0, width), so nothing overflows
	if behind < 0 {
		behind += g.width
	}
	if t < math.MinInt64+behind {
		return 0, false
	}
	return t - behind, true
}

// End returns the exclusive end of the bucket that begins at start, or the largest int64 if the end is larger. start
// must be a result of Start or Bounds, in nanoseconds since 1970.
func (g Grid) End(start int64) int64 {
	if g.calendar != nil {
		return g.calendar.end(start)
	}
	if start > math.MaxInt64-g.width {
		return math.MaxInt64
	}
	return start + g.width
}

// Bounds returns the bucket [start, end) that holds t. The results are those of Start and End, but one call takes
// less time than two. If ok is false, start and end are 0.
func (g Grid) Bounds(t int64) (start, end int64, ok bool) {
	if g.calendar != nil {
		return g.calendar.bounds(t)
	}
	if start, ok = g.Start(t); !ok {
		return 0, 0, false
	}
	return start, g.End(start), true
}

// Equal reports whether both grids have the same buckets. So the grids of "24h" and "1d" are equal in UTC, and those of
// hours are equal in all zones.
func (g Grid) Equal(o Grid) bool {
	if g.calendar == nil || o.calendar == nil {
		return g == o
	}
	return g.calendar.equal(o.calendar)
}

// Nano returns t in nanoseconds since 1970. It returns 0 and false for times before 21 September 1677 and after 11 April
// 2262, which int64 cannot hold, and also for those within two seconds of the first and the last time that it can hold.
func Nano(t time.Time) (int64, bool) {
	const seconds = math.MaxInt64 / int64(time.Second)
	if s := t.Unix(); s <= -seconds || s >= seconds {
		return 0, false
	}
	return t.UnixNano(), true
}
