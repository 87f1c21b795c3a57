package show

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/mattn/go-runewidth"
)

// Column is a column of a table. Drop and Optional are for people only: CSV and JSON have every column.
type Column struct {
	Name string // in the terminal it is in capitals
	// Drop is when a table that is too wide loses the column: those with the largest number first, and those with 0 never.
	Drop int
	// Optional is whether people see the column only if it has a cell that is not empty.
	Optional bool
}

// Cell is one cell. The zero Cell is empty. It keeps the value, and each form of output decides on the text of it: the count 3456 that is
// an estimate is "~3456" for people and 3456 for programs. Only the fields of its kind are set.
type Cell struct {
	kind      kind
	text      string    // ofText
	number    float64   // ofNumber; not NaN
	count     uint64    // ofCount
	time      time.Time // ofTime
	estimated bool      // ofCount
}

// kind is which value a cell has.
type kind uint8

// The kinds of cells.
const (
	empty kind = iota
	ofText
	ofNumber
	ofCount
	ofTime
)

// Text returns the cell of a text. Control characters are written as escapes where a terminal would obey them.
func Text(s string) Cell { return Cell{kind: ofText, text: s} }

// Number returns the cell of a number; NaN is empty. Infinities are not for JSON, and no statistic is one.
func Number(v float64) Cell {
	if math.IsNaN(v) {
		return Cell{}
	}
	return Cell{kind: ofNumber, number: v}
}

// Count returns the cell of a count. An estimate is marked for people by a tilde.
func Count(n uint64, estimated bool) Cell { return Cell{kind: ofCount, count: n, estimated: estimated} }

// Time returns the cell of a time, which is shown in its zone.
func Time(t time.Time) Cell { return Cell{kind: ofTime, time: t} }

// Empty reports whether the cell is empty.
func (c Cell) Empty() bool { return c.kind == empty }

// Table is rows of cells. Each row has one cell for each column. No function of this package changes a Table.
type Table struct {
	Columns []Column
	Rows    [][]Cell
}

// forPeople returns the table without the optional columns that are empty.
func (t *Table) forPeople() *Table {
	empty := func(i int) bool {
		return t.Columns[i].Optional && !slices.ContainsFunc(t.Rows, func(row []Cell) bool { return !row[i].Empty() })
	}
	var kept []int
	for i := range t.Columns {
		if !empty(i) {
			kept = append(kept, i)
		}
	}
	less := &Table{}
	for _, i := range kept {
		less.Columns = append(less.Columns, t.Columns[i])
	}
	for _, row := range t.Rows {
		cells := make([]Cell, len(kept))
		for k, i := range kept {
			cells[k] = row[i]
		}
		less.Rows = append(less.Rows, cells)
	}
	return less
}

// precise returns the cell for programs: numbers with all their digits, times by RFC 3339, nothing for an empty cell.
func (c Cell) precise() string {
	switch c.kind {
	case ofText:
		return c.text
	case ofNumber:
		return string(appendFloat(nil, c.number))
	case ofCount:
		return strconv.FormatUint(c.count, 10)
	case ofTime:
		return c.time.Format(time.RFC3339Nano)
	case empty:
	}
	return ""
}

// appendFloat appends the shortest decimal that reads back as v, with an exponent below 1e-6 and from 1e21 on, as encoding/json does. The
// exponent has two digits at least, as in 1e-09. v is finite.
func appendFloat(dst []byte, v float64) []byte {
	if a := math.Abs(v); a != 0 && (a < 1e-6 || a >= 1e21) {
		return strconv.AppendFloat(dst, v, 'e', -1, 64)
	}
	return strconv.AppendFloat(dst, v, 'f', -1, 64)
}

// human returns the cell for people: short and clean, times with that layout. See [Digits] and [Clean].
func (c Cell) human(layout string) string {
	switch c.kind {
	case ofText:
		return Clean(c.text)
	case ofNumber:
		return Digits(c.number)
	case ofCount:
		if c.estimated {
			return "~" + strconv.FormatUint(c.count, 10)
		}
		return strconv.FormatUint(c.count, 10)
	case ofTime:
		return c.time.Format(layout)
	case empty:
	}
	return ""
}

// Digits returns a number for people: whole numbers in full up to 15 digits, others with six digits that count, and at least
// one behind the point. Zeros at the end are left out:
//
//	1234567        1234567        19.299999999999997   19.3
//	1234567.891    1234567.9      0.001234567          0.00123457
//	99.99999999    100            0.00001              1e-05
//
// So the points of numbers in one column are at different places.
func Digits(v float64) string {
	a := math.Abs(v)
	switch {
	case a >= 1e15 || a != 0 && a < 1e-4: // as a power of ten: more digits could not be compared at a glance
		return strconv.FormatFloat(v, 'g', 6, 64)
	case v == math.Trunc(v):
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	// Six digits, less those before the point, and more for the zeros behind it.
	const digits, fewest = 6, 1
	decimals := digits
	for b := 1.0; decimals > fewest && a >= b; b *= 10 {
		decimals--
	}
	for b := 0.1; a < b; b /= 10 {
		decimals++
	}
	s := strconv.FormatFloat(v, 'f', decimals, 64)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

// layouts are those of times, each with more parts than the one before: days, minutes, seconds, milliseconds and nanoseconds. Offsets are
// not written: all times of a table are in one zone, which the user has chosen.
var layouts = []string{time.DateOnly, "2006-01-02 15:04", "2006-01-02 15:04:05", "2006-01-02 15:04:05.000", "2006-01-02 15:04:05.000000000"}

// layoutOf returns the shortest layout that shows all times among the cells of column i. All of them have it, as times that are below each
// other are compared.
func layoutOf(rows [][]Cell, i int) string {
	most := 0
	for _, row := range rows {
		if t := row[i].time; row[i].kind == ofTime {
			most = max(most, partsOf(t))
		}
	}
	return layouts[most]
}

// partsOf returns the first of the layouts that shows a time. Of fractions of a second, milliseconds are enough if there are any: 1.5 ms
// are shown as .001, and 2 µs as .000002000.
func partsOf(t time.Time) int {
	const ofDays, ofMinutes, ofSeconds, ofMilliseconds, ofNanoseconds = 0, 1, 2, 3, 4 // indexes of layouts
	switch {
	case t.Nanosecond() >= int(time.Millisecond):
		return ofMilliseconds
	case t.Nanosecond() > 0:
		return ofNanoseconds
	case t.Second() != 0:
		return ofSeconds
	case t.Hour() != 0 || t.Minute() != 0:
		return ofMinutes
	}
	return ofDays
}

// Clean returns a text that a terminal only prints: control characters and those that turn the direction of writing are
// escapes, as in Go, and invalid UTF-8 is U+FFFD.
func Clean(s string) string {
	if isClean(s) {
		return s
	}
	var b strings.Builder
	for _, r := range strings.ToValidUTF8(s, "\uFFFD") {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
	}
	return b.String()
}

// isClean reports whether a text has printable ASCII only, as most have. A clean text with other letters is not recognized; Clean then
// makes an equal copy.
func isClean(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// width returns how many columns of a terminal a text takes: two for a Chinese character, none for a combining accent.
func width(s string) int { return runewidth.StringWidth(s) }

// clipped returns the start of a text that is at most n wide, with an ellipsis if it is longer.
func clipped(s string, n int) string { return runewidth.Truncate(s, n, "…") }
