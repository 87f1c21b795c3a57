package show

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"io"
	"strconv"
)

// CSV writes a table as CSV with a header, as RFC 4180 defines it but with line feeds as line ends. With clean, control characters in
// texts are escapes, for a terminal.
func CSV(w io.Writer, table *Table, clean bool) error {
	out := csv.NewWriter(w) // it quotes cells with commas, quotes and line ends
	record := make([]string, len(table.Columns))
	for i, c := range table.Columns {
		record[i] = cleaned(c.Name, clean)
	}
	if err := out.Write(record); err != nil {
		return err
	}
	for _, row := range table.Rows {
		for i, c := range row {
			record[i] = cleaned(c.precise(), clean)
		}
		if err := out.Write(record); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// This file has the forms for programs. They have every column and every digit, so that a number which is read back is the same float64,
// and the names of columns as they are. They never depend on the width of a terminal.

// cleaned returns a text, which it cleans if asked to.
func cleaned(s string, clean bool) string {
	if clean {
		return Clean(s)
	}
	return s
}

// JSON writes a table as an array of objects, or, with lines, as one object a line. The members of each are in the order of the
// columns. Empty cells are null, so that all objects have the same members. Times are strings by RFC 3339. Names of columns must differ,
// as the members of an object do.
//
//	{"name":"größe","count":3456,"mean":null,"top":null}
//
// A table without rows is "[" and "]" on two lines, or nothing with lines.
func JSON(w io.Writer, table *Table, lines bool) error {
	out := bufio.NewWriter(w)
	names := make([]string, len(table.Columns))
	for i, c := range table.Columns {
		names[i] = c.Name
	}
	before, between, after := "[\n", ",\n", "\n]\n"
	if lines {
		before, between, after = "", "\n", "\n"
	}
	if len(table.Rows) == 0 {
		after = after[1:] // no line to end
	}
	write := func(b []byte) {
		_, _ = out.Write(b) // a bufio.Writer keeps its first error, which Flush returns
	}
	write([]byte(before))
	for i, row := range table.Rows {
		if i > 0 {
			write([]byte(between))
		}
		write(object(names, row))
	}
	write([]byte(after))
	return out.Flush()
}

// object returns a row as JSON. It is written by hand as encoding/json would sort the members of a map by name.
func object(names []string, row []Cell) []byte {
	b := []byte{'{'}
	for i, c := range row {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, names[i]), ':')
		switch c.kind {
		case ofNumber:
			b = appendFloat(b, c.number)
		case ofCount:
			b = strconv.AppendUint(b, c.count, 10)
		case ofText, ofTime:
			b = appendString(b, c.precise())
		case empty:
			b = append(b, "null"...)
		}
	}
	return append(b, '}')
}

// appendString appends a JSON string. Besides what JSON requires, DEL and the control characters above it are escapes.
func appendString(dst []byte, s string) []byte {
	quoted, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string always marshals
	}
	for _, r := range string(quoted) {
		if r >= 0x7f && r < 0xa0 {
			dst = append(dst, `\u00`...)
			dst = strconv.AppendUint(dst, uint64(r), 16)
			continue
		}
		dst = append(dst, string(r)...)
	}
	return dst
}
