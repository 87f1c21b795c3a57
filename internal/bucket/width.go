package bucket

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

// maxMonths is the largest width in months: 292 years, as many as int64 nanoseconds hold.
const maxMonths = 292 * 12

// Width is the width of buckets: a number of months, or a number of days and a length of absolute
// time. Widths are comparable with ==; 1w equals 7d and 1y equals 12mo, but 24h differs from 1d,
// which has 23 or 25 hours where the clock changes. The zero Width is not valid in a [Grid].
type Width struct {
	months int64         // 0 to maxMonths; above 0 only where days and clock are 0
	days   int64         // 0 or more
	clock  time.Duration // of absolute time, 0 or more; with days at 24 h it fits int64
}

// Fixed returns the width of d in absolute time. [NewGrid] refuses it unless it is above zero.
func Fixed(d time.Duration) Width { return Width{clock: d} }

// units are the units of a width in the order in which they may follow each other.
var units = []struct {
	name string
	size Width
}{
	{"y", Width{months: 12}},
	{"mo", Width{months: 1}},
	{"w", Width{days: 7}},
	{"d", Width{days: 1}},
	{"h", Width{clock: time.Hour}},
	{"m", Width{clock: time.Minute}},
	{"s", Width{clock: time.Second}},
}

var errWidth = errors.New(`want whole numbers with the units y, mo, w, d, h, m or s, the largest first, such as "30s", "1h30m", "10d" or "1mo"`)

// ParseWidth reads a width: whole numbers with the units y (12 months), mo (months), w (7 days), d
// (days), h, m (minutes) and s, the largest first and each at most once, such as "30s", "1h30m", "10d"
// or "1mo". A width is above zero and at most 292 years. The error quotes s and describes the form.
//
// Years and months do not combine with the other units, because a month has no fixed number of days.
// Weeks and days combine with shorter units, but [NewGrid] accepts this only where every day has 24
// hours.
func ParseWidth(s string) (Width, error) {
	var width Width
	next, rest := 0, s // next is the largest unit that may follow
	for rest != "" {
		number, name, after := cutUnit(rest)
		for next < len(units) && units[next].name != name {
			next++
		}
		if number == "" || next == len(units) {
			return Width{}, fmt.Errorf("width %q: %w", s, errWidth)
		}
		n, err := strconv.ParseInt(number, 10, 64) // fails only where the number is too large
		var ok bool
		if width, ok = width.plus(n, units[next].size); err != nil || !ok {
			return Width{}, fmt.Errorf("width %q is too large, want 292 years at most", s)
		}
		next, rest = next+1, after
	}
	switch {
	case s == "":
		return Width{}, fmt.Errorf("width %q: %w", s, errWidth)
	case width == Width{}:
		return Width{}, fmt.Errorf("width %q is zero, want more", s)
	case width.months > 0 && width.length() > 0:
		return Width{}, fmt.Errorf(`width %q combines months with shorter units, want only y and mo, such as "1y6mo", or none of them`, s)
	}
	return width, nil
}

// cutUnit splits "10d2h" into "10", "d" and "2h". The number is empty if s does not begin with a digit.
func cutUnit(s string) (number, unit, after string) {
	digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
	end := digits
	for end < len(s) && (s[end] < '0' || s[end] > '9') {
		end++
	}
	return s[:digits], s[digits:end], s[end:]
}

// plus returns the sum of w and n times the unit, or false if the sum is beyond 292 years.
func (w Width) plus(n int64, unit Width) (Width, bool) {
	if unit.months > 0 {
		ok := n <= (maxMonths-w.months)/unit.months
		w.months += n * unit.months
		return w, ok
	}
	ok := n <= int64((math.MaxInt64-w.length())/unit.length())
	w.days += n * unit.days
	w.clock += time.Duration(n) * unit.clock
	return w, ok
}

// length returns the length of the days and the clock time of w, with 24 hours for each day. It ignores months.
func (w Width) length() time.Duration { return time.Duration(w.days)*day + w.clock }

// String returns w as [ParseWidth] reads it, in the largest units that need only one number for
// months and one for days: "1y", "18mo", "2w", "10d", "1h30m". A fraction of a second, which only
// [Fixed] makes, is written as by [time.Duration]. The zero Width is "0s".
func (w Width) String() string {
	var b strings.Builder
	whole := func(n, large int64, largeName, name string) {
		switch {
		case n == 0:
		case n%large == 0:
			b.WriteString(strconv.FormatInt(n/large, 10) + largeName)
		default:
			b.WriteString(strconv.FormatInt(n, 10) + name)
		}
	}
	whole(w.months, 12, "y", "mo")
	whole(w.days, 7, "w", "d")
	if w.clock != 0 || b.Len() == 0 {
		clock := w.clock.String() // "1h0m0s", "1h30m0s", "90ms"
		if strings.HasSuffix(clock, "m0s") {
			clock = strings.TrimSuffix(clock, "0s")
		}
		if strings.HasSuffix(clock, "h0m") {
			clock = strings.TrimSuffix(clock, "0m")
		}
		b.WriteString(clock)
	}
	return b.String()
}
