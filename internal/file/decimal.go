package file

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/telegraf-describe/telegraf-describe/internal/scan"
)

// Decimal is the character before the fraction of the numbers of a CSV.
type Decimal uint8

// The values of Decimal. DetectDecimal reads commas in columns whose numbers have one, if that is certain: the delimiter is
// another character, and not all of the commas may group digits by thousands.
const (
	DetectDecimal Decimal = iota
	DecimalPoint
	DecimalComma
)

// ParseDecimal reads the name of a Decimal.
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

// withPoint returns a number with one comma as one with a point. It is in the memory of scratch. For other texts ok is false.
func withPoint(cell, scratch []byte) (number []byte, ok bool) {
	comma := bytes.IndexByte(cell, ',')
	if comma < 0 || bytes.IndexByte(cell, '.') >= 0 {
		return nil, false
	}
	number = scratch[:0]
	number = append(number, cell...)
	number[comma] = '.'
	_, _, ok = scan.Number(number) // it refuses a second comma
	return number, ok
}

// isGrouped reports whether all commas of a cell may group its digits by thousands, as those of "1,234,567" do.
func isGrouped(cell []byte) bool {
	groups := bytes.Split(bytes.TrimLeft(cell, "+-"), []byte{','})
	for i, group := range groups {
		if !isDigits(group) || len(group) > 3 || i > 0 && len(group) < 3 || i == 0 && group[0] == '0' {
			return false
		}
	}
	return len(groups) > 1
}

func isDigits(b []byte) bool {
	for _, c := range b {
		if c-'0' > 9 {
			return false
		}
	}
	return len(b) > 0
}

// addCommas counts a cell that is no number with a point.
func (s *sample) addCommas(cell []byte) {
	var scratch [64]byte
	if len(cell) > len(scratch) {
		return
	}
	_, decimal := withPoint(cell, scratch[:])
	grouped := isGrouped(cell)
	if decimal {
		s.commas++
	}
	if grouped {
		s.grouped++
	}
	if (decimal || grouped) && s.firstComma == "" {
		s.firstComma = string(cell)
	}
}

// acceptCommas makes numbers of the cells with decimal commas, if the column is to be read so.
func (s *sample) acceptCommas(decimal Decimal, delimiter byte) {
	all := s.numbers + s.bools + s.times + s.others
	if decimal == DecimalPoint || s.commas == 0 || s.times > 0 || (s.others-s.commas+s.points)*100 > (100-mostly)*all {
		return
	}
	if decimal == DetectDecimal && (delimiter == ',' || s.commas == s.grouped) {
		return
	}
	s.comma = true
	s.numbers, s.others = s.numbers+s.commas, s.others-s.commas
}

// noteCommas notes the columns of texts that look like numbers with commas.
func (c *csvSchema) noteCommas(samples []sample, s *source) {
	if s.o.Decimal != DetectDecimal {
		return
	}
	for i := range c.columns {
		column, n := &c.columns[i], &samples[i]
		asked := s.o.AsText != nil && s.o.AsText(column.name) || s.o.Group != nil && s.o.Group(column.name, false)
		if column.kind == Text && !asked && max(n.commas, n.grouped)*100 >= mostly*n.others && n.others > 0 {
			s.o.note(s.name(), fmt.Sprintf("column %q is read as text: its cells look like numbers with commas, such as %q "+
				"(--decimal comma reads decimal commas)", column.name, n.firstComma))
		}
	}
}
