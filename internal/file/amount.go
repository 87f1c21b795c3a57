package file

import (
	"bytes"
	"fmt"
	"slices"
	"unicode"
	"unicode/utf8"
)

// apart is the mark between thousands that is read for each of those which are no decimal marks anywhere: apostrophes and spaces.
const apart = '\''

// amount is a number as people write it: with the sign of a currency or of percent, and with spaces or apostrophes between thousands.
//
//	cell            bare         unit
//	"$1,234.50"     "1,234.50"   "$"
//	"−1 234,50 €"   "-1'234,50"  "€"
//	"($3)"          "-3"         "$"    as accountants write amounts below zero
//	"US$5"          "5"          "US$"
//	"12.5 %"        "12.5"       "%"
//	"abc"           "abc"        ""     ok is true, but this is not a number
//
// Cells are taken apart twice: for the sample (amounts), which finds the unit of a column, and when they are read (marks.read).
type amount struct {
	bare []byte // the number: its marks may be those of any [marks]
	unit []byte // a part of the cell; empty without one
}

// amountOf takes a cell apart. The bare number is in the memory of scratch, or in new memory where that is too small. It need not be
// one that can be read. ok is false if the cell certainly is no amount, as it has two units or parentheses without a currency.
func amountOf(cell, scratch []byte) (a amount, ok bool) {
	b := cell
	sign, b := cutSign(b)
	inParentheses := len(b) > 2 && b[0] == '(' && b[len(b)-1] == ')'
	if inParentheses {
		if sign != 0 {
			return a, false
		}
		sign, b = '-', b[1:len(b)-1]
	}
	a.unit, b = cutCurrency(b)
	if len(a.unit) > 0 && sign == 0 {
		sign, b = cutSign(b)
	}
	if b, ok = a.cutUnitBehind(b); !ok || inParentheses && (len(a.unit) == 0 || a.unit[0] == '%') {
		return a, false
	}
	a.bare = scratch[:0]
	if sign != 0 {
		a.bare = append(a.bare, sign)
	}
	a.bare = appendDigits(a.bare, b)
	return a, true
}

// cutSign returns the sign at the start of b, 0 if there is none, and the rest. The minus sign of Unicode is a '-'.
func cutSign(b []byte) (sign byte, rest []byte) {
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		return b[0], b[1:]
	}
	if rest, ok := bytes.CutPrefix(b, []byte("\u2212")); ok {
		return '-', rest
	}
	return 0, b
}

// cutCurrency returns the sign of a currency at the start of b, and the rest without the spaces before it. Up to two capital letters may
// be a part of the sign, as in US$ and R$.
func cutCurrency(b []byte) (unit, rest []byte) {
	const letters = 2
	n := 0
	for n < letters && n < len(b) && b[n] >= 'A' && b[n] <= 'Z' {
		n++
	}
	r, size := utf8.DecodeRune(b[n:])
	if !unicode.Is(unicode.Sc, r) {
		return nil, b
	}
	return b[:n+size], bytes.TrimLeftFunc(b[n+size:], unicode.IsSpace)
}

// cutUnitBehind sets the unit to the sign of a currency or of percent at the end of b, if there is one, and returns what is before it. ok
// is false if there is a unit already.
func (a *amount) cutUnitBehind(b []byte) (number []byte, ok bool) {
	r, size := utf8.DecodeLastRune(b)
	if r != '%' && !unicode.Is(unicode.Sc, r) {
		return b, true
	}
	if len(a.unit) > 0 {
		return nil, false
	}
	a.unit = b[len(b)-size:]
	return bytes.TrimRightFunc(b[:len(b)-size], unicode.IsSpace), true
}

// appendDigits appends b, with apart in the place of each apostrophe and space: those of ASCII, the typographic apostrophe, and all
// spaces of Unicode, because many programs group digits with a no-break space.
func appendDigits(dst, b []byte) []byte {
	for i, r := range string(b) {
		switch {
		case r == '\'', r == '\u2019', unicode.Is(unicode.Zs, r):
			dst = append(dst, apart)
		case r < utf8.RuneSelf:
			dst = append(dst, byte(r))
		default:
			return append(dst, b[i:]...) // no number
		}
	}
	return dst
}

// read returns a number with these marks as scan.Number reads it. The result is in the memory of scratch, or in new memory where that is
// too small. ok is false for any other text, and for a number with another unit or without the unit of the marks.
func (m marks) read(cell, scratch []byte) (number []byte, ok bool) {
	if m.unit == "" && m.group != apart {
		return m.plain(cell, scratch)
	}
	var bare [64]byte
	a, ok := amountOf(cell, bare[:])
	if !ok || string(a.unit) != m.unit {
		return nil, false
	}
	return m.plain(a.bare, scratch)
}

// amounts counts the cells of a column that are numbers only without a unit, or with digits that are grouped by apostrophes or spaces.
//
// A column has one unit, that of its first cell with one. The numbers of this unit have a sample of their own, bare, because each may
// have decimal commas or groups: "1.234,50 €" needs both, the unit and the marks.
type amounts struct {
	apart                   int     // grouped so
	apartPoints, apartComma int     // of these, the ones with a decimal point, and those with a decimal comma
	unit                    string  // the first unit
	bare                    *sample // the numbers with that unit; nil without one
	units                   int     // the cells with any unit
	firstUnit               string  // the first of these
}

// add counts a cell that scan.Number does not read. A cell of more than 64 bytes is not counted: it is a text.
func (n *amounts) add(cell []byte, o *Options) {
	var scratch [64]byte
	if len(cell) > len(scratch) || !mayBeAmount(cell) {
		return
	}
	a, ok := amountOf(cell, scratch[:])
	switch {
	case !ok:
	case len(a.unit) > 0:
		n.addUnit(a, cell, o)
	case bytes.IndexByte(a.bare, apart) >= 0:
		n.addApart(a.bare)
	}
}

// mayBeAmount reports whether a cell begins as an amount does: with a number or a parenthesis, or with the sign of a currency. Most texts
// do not, and so need no closer look.
func mayBeAmount(cell []byte) bool {
	const sign = 3 // in a longer start, such as US$, the sign is the third character
	if mayBeNumber(cell) || cell[0] == '(' || cell[0] == '-' || cell[0] == '+' {
		return true
	}
	return slices.ContainsFunc(cell[:min(len(cell), sign)], func(c byte) bool { return c == '$' || c >= utf8.RuneSelf })
}

// addApart counts a number with groups. One without a fraction, such as 1'234, counts in apart only, because it does not show the decimal
// mark of the column.
func (n *amounts) addApart(bare []byte) {
	var scratch [64]byte
	_, point := marks{decimal: '.', group: apart}.plain(bare, scratch[:])
	_, comma := marks{decimal: ',', group: apart}.plain(bare, scratch[:])
	switch {
	case point && comma:
		n.apart++
	case point:
		n.apart, n.apartPoints = n.apart+1, n.apartPoints+1
	case comma:
		n.apart, n.apartComma = n.apart+1, n.apartComma+1
	}
}

// addUnit counts a cell with a unit, if the rest is a number or can be one with marks: "3-4 %" is not counted.
func (n *amounts) addUnit(a amount, cell []byte, o *Options) {
	var bare sample
	if bare.add(a.bare, o); bare.numbers+bare.commas+bare.grouped+bare.apart == 0 {
		return
	}
	if n.units++; n.units == 1 {
		n.unit, n.bare, n.firstUnit = string(a.unit), new(sample), string(cell)
	}
	if string(a.unit) == n.unit {
		n.bare.add(a.bare, o)
	}
}

// acceptAmounts makes the cells with a unit numbers if nearly all cells of the column have this unit, and otherwise those with groups, if
// all but a few cells are numbers then. Otherwise the marks stay zero.
//
// Numbers without the unit count as others in a column with one: readMarked finds them invalid.
func (s *sample) acceptAmounts(decimal Decimal, delimiter byte) {
	if s.bare != nil && s.bare.all()*100 >= mostly*s.all() {
		// The marks of the bare numbers are detected as those of a column without a unit.
		s.bare.acceptMarks(decimal, delimiter)
		if s.bare.numbers*100 >= mostly*s.all() {
			m := s.bare.marks
			if m.decimal == 0 {
				m.decimal = '.'
			}
			m.unit = s.unit
			s.marks, s.numbers, s.others = m, s.bare.numbers, s.all()-s.bare.numbers
			s.points, s.bools, s.times = s.bare.points, 0, 0
		}
		return
	}
	if s.apart == 0 || s.times > 0 {
		return
	}
	// n is how many of the others become numbers. wrong is how many numbers can no longer be read: those with a point, if commas are
	// decimal. Commas are decimal if a grouped number has a decimal comma, or if other numbers have one and no number has a point.
	m, n := marks{decimal: '.', group: apart}, s.apart-s.apartComma
	wrong := 0
	if s.apartComma > 0 || s.apartPoints+s.points == 0 && s.commas > 0 {
		m.decimal = ','
		n, wrong = s.apart-s.apartPoints+s.commas-s.groups, s.points
	}
	if (s.others-n+wrong)*100 <= (100-mostly)*s.all() {
		s.accept(m, n)
	}
}

// noteUnits notes the columns whose numbers are read without their units.
func (c *csvSchema) noteUnits(samples []sample, s *source) {
	for i := range c.columns {
		if column := &c.columns[i]; column.kind == Number && column.marks.unit != "" {
			number, _ := column.marks.read([]byte(samples[i].firstUnit), nil)
			s.o.note(s.name(), fmt.Sprintf("column %q: numbers are read without %q, so that %q is %s (--text %s reads them as text)",
				column.name, column.marks.unit, samples[i].firstUnit, number, column.name))
		}
	}
}
