package scan

import (
	"bytes"
	"fmt"
	"math"
	"time"
)

// Unit is the unit of times that are numbers.
type Unit int64

// The units. Auto decides by magnitude: seconds below 1e11, milliseconds below 1e14, microseconds below 1e17 and
// nanoseconds from there on. So times from 1973 to 5138 are read right in every unit.
const (
	Auto         Unit = 0
	Nanoseconds  Unit = 1
	Microseconds Unit = 1e3
	Milliseconds Unit = 1e6
	Seconds      Unit = 1e9
)

// ParseUnit reads the name of a unit: "auto", "s", "ms", "us" or "ns".
func ParseUnit(name string) (Unit, error) {
	switch name {
	case "auto":
		return Auto, nil
	case "s":
		return Seconds, nil
	case "ms":
		return Milliseconds, nil
	case "us", "µs":
		return Microseconds, nil
	case "ns":
		return Nanoseconds, nil
	}
	return Auto, fmt.Errorf("unknown unit of time %q, want auto, s, ms, us or ns", name)
}

// Times reads times. Zone is that of times without an offset; nil is UTC. The zero Times reads times in UTC, and decides on units. It may
// be used by several goroutines.
type Times struct {
	Zone *time.Location // nil for UTC
	Unit Unit           // of numbers; Auto decides by their size
}

// Read reads a date, a date and time, or a number of units since 1970, and returns nanoseconds since 1970:
//
//	2026-11-01   2026/11/01   01.11.2026   2026-11-01T12:30   2026-11-01 12:30:00.25   2026-11-01T12:30:00+01:00   1793536200
//	20261101T123000Z   2026-11-01 12:30:00 CET   2026-11-01 12:30:00 +0100 CET   2026-11-01T12:30:00+01:00[Europe/Berlin]
//
// A date with points has the day first, as in most of Europe. Dates such as 01/11/2026 are not read, as Americans write the
// month first. An offset is Z, UTC, GMT, ±hh, ±hhmm or ±hh:mm, with or without a space before it; a comma may replace the point of
// a second. A name of a zone behind an offset has no meaning, as Go and Java write it. Without an offset, a short name such as CET must
// be one that Zone uses: the same letters mean different offsets in different countries. A leap second, :60 in the last minute of a
// day in UTC, is the start of the next day, as in Unix time.
//
// ok is false for any other text, for dates that the calendar does not have, and for times that int64 nanoseconds cannot hold
// (before 1678 and after 2261).
func (t Times) Read(b []byte) (ns int64, ok bool) {
	if year, month, day, ok := date(b); ok {
		return t.clock(b[len("2006-01-02"):], year, month, day)
	}
	var long [64]byte
	if b, ok := extended(b, long[:0]); ok {
		return t.Read(b)
	}
	return t.Epoch(b)
}

// extended returns a time in the basic format of ISO 8601, 20060102T1504 or 20060102T150405, in the extended format, which has
// hyphens and colons. The result is in the memory of dst, or in new memory where that is too small. It checks the length and the T only:
// what else is wrong stays wrong, and Read refuses it.
//
//	20261101T123000.5Z   ─▶   2026-11-01T12:30:00.5Z
func extended(b, dst []byte) (long []byte, ok bool) {
	const date, hhmm = len("20060102"), len("20060102T1504")
	if len(b) < hhmm || b[date] != 'T' {
		return nil, false
	}
	dst = append(append(append(dst, b[:4]...), '-'), b[4:6]...)
	dst = append(append(append(dst, '-'), b[6:11]...), ':')
	dst, b = append(dst, b[11:hhmm]...), b[hhmm:]
	if len(b) > 0 && b[0]-'0' <= 9 {
		dst = append(dst, ':')
	}
	return append(dst, b...), true
}

// Written reports whether b is a time in words, not a number. It is true only for what Read reads with the same options: a time with the
// name of a zone is one only with a Zone that has the name.
func (t Times) Written(b []byte) bool {
	if _, _, _, ok := date(b); !ok {
		var long [64]byte
		if _, ok := extended(b, long[:0]); !ok {
			return false
		}
	}
	_, ok := t.Read(b)
	return ok
}

// Epoch reads a number of units since 1970, as a whole number or with a fraction, and returns nanoseconds. Whole numbers are exact;
// others go through a float64, which is exact to about 0.2 µs for a time of today in seconds.
func (t Times) Epoch(b []byte) (ns int64, ok bool) {
	if n, ok := integer(b); ok {
		return t.scaled(n)
	}
	v, _, ok := Number(b)
	if !ok {
		return 0, false
	}
	return t.Float(v)
}

// Float returns the nanoseconds since 1970 of a number of units, rounded down. ok is false if int64 cannot hold them.
func (t Times) Float(v float64) (ns int64, ok bool) {
	// The whole units and the rest are scaled apart: their sum has 63 bits, and a float64 only 53.
	unit := t.unit(math.Abs(v))
	whole, fraction := math.Modf(v)
	if math.Abs(whole) >= math.MaxInt64/2 { // also infinities and whatever the conversion to int64 could not hold
		return 0, false
	}
	n := int64(whole)
	scaled := n * int64(unit)
	if scaled/int64(unit) != n {
		return 0, false
	}
	return scaled + int64(math.Floor(fraction*float64(unit))), true
}

// scaled returns n units in nanoseconds. ok is false if int64 cannot hold them.
func (t Times) scaled(n int64) (int64, bool) {
	unit := int64(t.unit(math.Abs(float64(n))))
	scaled := n * unit
	return scaled, scaled/unit == n
}

// unit returns the unit of a number of that magnitude: the one that is set, or what Auto makes of it.
func (t Times) unit(magnitude float64) Unit {
	switch {
	case t.Unit != Auto:
		return t.Unit
	case magnitude < 1e11:
		return Seconds
	case magnitude < 1e14:
		return Milliseconds
	case magnitude < 1e17:
		return Microseconds
	}
	return Nanoseconds
}

// integer reads a whole number of at most 19 digits, perhaps with a minus sign. ok is false for any other text and beyond int64:
// such a number is left to Number, which rounds it to a float64.
func integer(b []byte) (n int64, ok bool) {
	digits := b
	if len(b) > 0 && b[0] == '-' {
		digits = b[1:]
	}
	if len(digits) == 0 || len(digits) > 19 {
		return 0, false
	}
	var u uint64
	for _, c := range digits {
		if c-'0' > 9 {
			return 0, false
		}
		u = u*10 + uint64(c-'0')
	}
	if u > math.MaxInt64 {
		return 0, false
	}
	if len(digits) < len(b) {
		return -int64(u), true
	}
	return int64(u), true
}

// date reads the ten characters of a date at the start of b: 2026-11-01, 2026/11/01 or 01.11.2026. It checks that the calendar has the
// day, and not what follows. If ok is false, the other results have no meaning.
func date(b []byte) (year, month, day int, ok bool) {
	const length = len("2006-01-02")
	y, m, d := 0, 5, 8 // where in b each part begins
	switch {
	case len(b) < length:
		return 0, 0, 0, false
	case b[2] == '.' && b[5] == '.':
		y, m, d = 6, 3, 0
	case b[4] != b[7] || b[4] != '-' && b[4] != '/':
		return 0, 0, 0, false
	}
	century, ok1 := two(b[y:])
	years, ok2 := two(b[y+2:])
	month, ok3 := two(b[m:])
	day, ok4 := two(b[d:])
	year = 100*century + years
	ok = ok1 && ok2 && ok3 && ok4 && month >= 1 && month <= 12 && day >= 1 && day <= daysIn(year, month)
	return year, month, day, ok
}

// clock reads what follows a date: nothing, or a time of day and perhaps an offset. Without an offset the time is one of the zone;
// [time.Date] decides on hours that a zone has twice or skips. Times with an offset and those of UTC are computed here.
//
// The years are those that lie in int64 nanoseconds as a whole, so that nothing overflows.
func (t Times) clock(b []byte, year, month, day int) (ns int64, ok bool) {
	var hour, minute, second int
	if len(b) > 0 {
		if b[0] != 'T' && b[0] != 't' && b[0] != ' ' {
			return 0, false
		}
		if hour, minute, second, ns, b, ok = timeOfDay(b[1:]); !ok {
			return 0, false
		}
	}
	if year < 1678 || year > 2261 {
		return 0, false
	}
	const secondsOfDay, leap = 86400, 60
	if len(b) == 0 && t.Zone != nil && t.Zone != time.UTC {
		at := time.Date(year, time.Month(month), day, hour, minute, second, int(ns), t.Zone)
		return at.UnixNano(), second < leap || at.Unix()%secondsOfDay == 0
	}
	if len(b) == 4 || len(b) == 5 {
		if name, ok := abbreviation(b); ok {
			return t.named(name, year, month, day, hour, minute, second, ns)
		}
	}
	offset, ok := offsetOf(b)
	seconds := daysSince1970(year, month, day)*secondsOfDay + int64(hour*3600+minute*60+second-offset)
	return seconds*1e9 + ns, ok && (second < leap || seconds%secondsOfDay == 0)
}

// abbreviation returns the name of a zone that is a space and three or four capital letters, other than UTC and GMT.
func abbreviation(b []byte) (name []byte, ok bool) {
	if b[0] != ' ' || string(b[1:]) == "UTC" || string(b[1:]) == "GMT" {
		return nil, false
	}
	for _, c := range b[1:] {
		if c-'A' > 'Z'-'A' {
			return nil, false
		}
	}
	return b[1:], true
}

// named returns a time with the short name of a zone. ok is false unless t.Zone has that name.
func (t Times) named(name []byte, year, month, day, hour, minute, second int, ns int64) (int64, bool) {
	if t.Zone == nil || second >= 60 {
		return 0, false
	}
	// Of an hour that a zone has twice, the name decides which one it is: package time knows, and gives a time of t.Zone only if that
	// has the name.
	text := fmt.Sprintf("%04d-%02d-%02dT%02d:%02d:%02d %s", year, month, day, hour, minute, second, name)
	at, err := time.ParseInLocation("2006-01-02T15:04:05 MST", text, t.Zone)
	return at.UnixNano() + ns, err == nil && at.Location() == t.Zone
}

// timeOfDay reads hh:mm, hh:mm:ss or hh:mm:ss.fraction and returns the rest. Fractions beyond nanoseconds are cut off. The
// second may be 60; whether that is a leap second depends on the date and the offset.
func timeOfDay(b []byte) (hour, minute, second int, ns int64, rest []byte, ok bool) {
	const hhmm, hhmmss = len("15:04"), len("15:04:05")
	if len(b) < hhmm || b[2] != ':' {
		return 0, 0, 0, 0, nil, false
	}
	hour, ok1 := two(b)
	minute, ok2 := two(b[3:])
	rest = b[hhmm:]
	if len(rest) >= hhmmss-hhmm && rest[0] == ':' {
		var ok3 bool
		second, ok3 = two(rest[1:])
		ok2 = ok2 && ok3
		rest = rest[hhmmss-hhmm:]
		if len(rest) > 1 && (rest[0] == '.' || rest[0] == ',') && rest[1]-'0' <= 9 {
			ns, rest = fraction(rest[1:])
		}
	}
	return hour, minute, second, ns, rest, ok1 && ok2 && hour < 24 && minute < 60 && second <= 60
}

// fraction reads the digits of a fraction of a second.
func fraction(b []byte) (ns int64, rest []byte) {
	scale := int64(1e8)
	for len(b) > 0 && b[0]-'0' <= 9 {
		ns += int64(b[0]-'0') * scale
		scale /= 10
		b = b[1:]
	}
	return ns, b
}

// offsetOf reads an offset in seconds: nothing, Z, ±hh, ±hhmm or ±hh:mm, perhaps with the name of a zone behind it.
func offsetOf(b []byte) (seconds int, ok bool) {
	if len(b) == 0 {
		return 0, true
	}
	if b = withoutName(bytes.TrimPrefix(b, []byte{' '})); len(b) == 0 {
		return 0, false
	}
	if string(b) == "Z" || string(b) == "z" || string(b) == "UTC" || string(b) == "GMT" {
		return 0, true
	}
	const hh, hhmm, withColon = 3, 5, 6
	if len(b) != hh && len(b) != hhmm && (len(b) != withColon || b[hh] != ':') || b[0] != '+' && b[0] != '-' {
		return 0, false
	}
	hours, ok := two(b[1:])
	minutes := 0
	if len(b) > hh {
		var ok2 bool
		minutes, ok2 = two(b[len(b)-2:])
		ok = ok && ok2
	}
	seconds = hours*3600 + minutes*60
	if b[0] == '-' {
		seconds = -seconds
	}
	return seconds, ok && hours < 24 && minutes < 60
}

// withoutName returns an offset without the name of a zone behind it: [Europe/Berlin], or a space and letters.
func withoutName(b []byte) []byte {
	if len(b) == 0 || b[0] != 'Z' && b[0] != '+' && b[0] != '-' {
		return b
	}
	for i, c := range b {
		if c != '[' && c != ' ' {
			continue
		}
		name := b[i+1:]
		if c == '[' && (len(name) < 2 || name[len(name)-1] != ']') {
			return b
		}
		for _, l := range name {
			if c == ' ' && l|0x20-'a' > 'z'-'a' {
				return b
			}
		}
		return b[:i]
	}
	return b
}

// two reads two digits at the start of b, which has them.
func two(b []byte) (n int, ok bool) {
	tens, ones := b[0]-'0', b[1]-'0'
	return int(tens)*10 + int(ones), tens <= 9 && ones <= 9
}

// daysIn returns the days of a month, of which the second depends on the year.
func daysIn(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// daysSince1970 returns the days from 1970-01-01 to a date of the Gregorian calendar. It counts years from March, so that
// the leap day is the last day of a year. Then the days before a month follow from its number alone: with March as 3, they are
// (153*(month-3)+2)/5, that is 0, 31, 61, 92, 122 and so on. The year must not be negative.
func daysSince1970(year, month, day int) int64 {
	const daysOf400Years, daysTo1970 = 146_097, 719_468
	if month <= 2 {
		year--
		month += 12
	}
	era := year / 400
	ofEra := year - era*400
	ofYear := (153*(month-3)+2)/5 + day - 1
	return int64(era*daysOf400Years + ofEra*365 + ofEra/4 - ofEra/100 + ofYear - daysTo1970)
}
