package file

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/telegraf-describe/telegraf-describe/internal/scan"
)

// Decimal is the character before the fraction of the numbers of a CSV: the point or the comma. The other one of these may group
// the digits before it by thousands.
type Decimal uint8

// The values of Decimal. DetectDecimal decides column by column, and reads a column as text where it is not certain:
//
//   - Commas are decimal ones if one of them cannot group thousands ("1,5", "1.234,50"), and the delimiter is another character.
//   - Commas group thousands if one of them cannot be a decimal one ("1,234,567", "1,234.50").
//   - "1,234" alone can be both, and makes the column one of texts. DecimalPoint reads it as 1234, and DecimalComma as 1.234.
const (
	DetectDecimal Decimal = iota
	DecimalPoint
	DecimalComma
)

// ParseDecimal reads the name of a Decimal in any case, "auto", "point" or "comma", or the character itself.
func ParseDecimal(name string) (Decimal, error) {
	switch strings.ToLower(name) {
	case "auto":
		return DetectDecimal, nil
	case "point", ".":
		return DecimalPoint, nil
	case "comma", ",":
		return DecimalComma, nil
	}
	return DetectDecimal, fmt.Errorf("%q, want auto, point or comma", name)
}

// marks are the characters within the numbers of a column. The zero marks are those of scan.Number: a point and no groups.
type marks struct {
	decimal byte   // before the fraction; 0 only in the zero marks
	group   byte   // between thousands; 0 if digits are not grouped, and see apart
	unit    string // before or behind each number; "" if there is none
}

// The marks of columns. Those with groups also read numbers without groups.
var (
	commas        = marks{decimal: ','}
	groupedCommas = marks{decimal: ',', group: '.'}
	groupedPoints = marks{decimal: '.', group: ','}
)

// plain returns a number with these marks as scan.Number reads it. The result is in the memory of scratch, or in new memory
// where that is too small. ok is false for any other text, also for a number with marks of another kind. It does not know the unit, see
// read. m must not be the zero marks, whose decimal mark is no character.
//
//	               "1.5"   "1,5"   "1.234"   "1.234,5"   "1,234.5"
//	commas                 1.5
//	groupedCommas          1.5     1234      1234.5
//	groupedPoints  1.5             1.234                 1234.5
func (m marks) plain(cell, scratch []byte) (number []byte, ok bool) {
	whole, fraction, found := bytes.Cut(cell, []byte{m.decimal})
	number = scratch[:0]
	switch {
	case m.group == 0 || bytes.IndexByte(whole, m.group) < 0:
		number = append(number, whole...)
	case !isGrouped(whole, m.group):
		return nil, false
	default:
		for _, c := range whole {
			if c != m.group {
				number = append(number, c)
			}
		}
	}
	if m.decimal != '.' && bytes.IndexByte(number, '.') >= 0 {
		return nil, false // a point that is neither
	}
	if found {
		number = append(append(number, '.'), fraction...)
	}
	_, _, ok = scan.Number(number) // it refuses a second mark
	return number, ok
}

// isGrouped reports whether a mark groups the digits of a cell by thousands, as in "1,234,567" with a comma: at least two
// groups, the first of one to three digits without a leading zero, the others of three. There may be a sign, but no fraction.
func isGrouped(cell []byte, mark byte) bool {
	const full = 3
	groups, digits := 1, 0 // digits of the current group
	_, cell = cutSign(cell)
	for i, c := range cell {
		switch {
		case c == mark && digits > 0 && (groups == 1 || digits == full):
			groups++
			digits = 0
		case c-'0' > 9 || digits == full || i == 0 && c == '0':
			return false
		default:
			digits++
		}
	}
	return groups > 1 && digits == full
}

// marked counts the cells of a column that are numbers only if commas have a meaning. A cell that can be read in both ways counts
// in commas and in grouped; one that shows which way it is also counts in onlyCommas or onlyGrouped:
//
//	"1,5" "12,34"       commas, onlyCommas
//	"1.234,5"           commas, onlyCommas and groups
//	"1,234"             commas and grouped
//	"1,234.5"           grouped, onlyGrouped
type marked struct {
	commas  int // with decimal commas, perhaps points between thousands
	grouped int // with commas between thousands, perhaps a decimal point

	onlyCommas, onlyGrouped int    // of these, the cells that cannot be read in the other way
	groups                  int    // with decimal commas and certainly points between thousands
	first                   string // the first of all
}

// mayBeNumber reports whether a cell begins as a number does. Most texts do not, and so need no closer look.
func mayBeNumber(cell []byte) bool {
	_, rest := cutSign(cell)
	return len(rest) > 0 && (rest[0]-'0' <= 9 || rest[0] == '.' || rest[0] == ',')
}

// add counts a cell that scan.Number does not read. A cell of more than 64 bytes is not counted: it is a text.
func (m *marked) add(cell []byte) {
	var scratch [64]byte
	if len(cell) > len(scratch) || !mayBeNumber(cell) {
		return
	}
	_, decimal := groupedCommas.plain(cell, scratch[:])
	_, grouped := groupedPoints.plain(cell, scratch[:])
	if !decimal && !grouped {
		return
	}
	if m.first == "" {
		m.first = string(cell)
	}
	if decimal {
		m.commas++
		if bytes.IndexByte(cell, '.') >= 0 {
			m.groups++
		}
	}
	if grouped {
		m.grouped++
	}
	switch {
	case !grouped:
		m.onlyCommas++
	case !decimal:
		m.onlyGrouped++
	}
}

// acceptMarks sets the marks of the column, if it is to be read with any. Then cells that fit are numbers and not others. It is called
// once, after all cells of the sample were added, and before kind. Amounts come first: their numbers may have commas too.
//
// With the delimiter comma, decimal commas are not detected: a cell can have one only if it is in quotes.
func (s *sample) acceptMarks(decimal Decimal, delimiter byte) {
	if s.acceptAmounts(decimal, delimiter); s.marks != (marks{}) {
		return
	}
	detect := decimal == DetectDecimal
	// A column is one of numbers if all but a few cells are, as for columns without marks: see mostly. wrong are numbers with a point that
	// would be read as another value.
	others, all := s.others, s.all()
	fits := func(n, wrong int) bool { return n > 0 && s.times == 0 && (others-n+wrong)*100 <= (100-mostly)*all }
	if decimal == DecimalComma || detect && delimiter != ',' && s.onlyCommas > 0 {
		m, wrong := commas, s.points
		if s.groups > 0 || !detect {
			m, wrong = groupedCommas, s.points-s.thousands
		}
		if fits(s.commas, wrong) {
			s.accept(m, s.commas)
			return
		}
	}
	if (decimal == DecimalPoint || detect && s.onlyGrouped > 0) && fits(s.grouped, 0) {
		s.accept(groupedPoints, s.grouped)
	}
}

// accept makes numbers of n others, which are read with the marks m.
func (s *sample) accept(m marks, n int) {
	s.marks = m
	s.numbers, s.others = s.numbers+n, s.others-n
}
