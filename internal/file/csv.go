package file

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/telegraf-describe/telegraf-describe/internal/scan"
)

// csvParser reads the rows of CSV as RFC 4180 defines it, with any delimiter of one byte, and line ends with or without a
// carriage return. A quote within a cell that does not start with one is part of the text. Blank lines are no rows.
//
// encoding/csv was not used: it copies each record into strings, which takes longer than reading the numbers in it, and a quote
// that is not closed takes the rest of the file with it.
//
// A record takes these steps, in this order:
//
//	record          finds its cells; a bad line if it cannot
//	isBlank         a blank line is no row
//	repeatsHeader   a header in the middle of the file is not a row; it is counted
//	fit             makes one cell for each column; a bad line if it cannot
//	row             reads the cells into the columns of the batch
//
// The detection uses a csvParser too, while the schema is not complete.
type csvParser struct {
	source  *source
	schema  *csvSchema
	cells   []cell    // of the current row
	columns []*Column // of the current batch, by the number of the cell; nil for those that are skipped
	raw     []*Column // those that are Raw, where columns are Open; nil until there is a cell
	text    []byte    // scratch of value
	number  []byte    // scratch of readMarked
}

// cell is data[start:end], without the quotes around it. A row is first divided into cells and then read, so that a row with the
// wrong number of cells adds none.
type cell struct {
	start, end int
	escaped    bool // whether two quotes in it are one
}

// errQuote is the error of a record that ends within quotes.
var errQuote = errors.New("a quote is not closed")

// record reads the cells of the record that starts at i into p.cells, and returns where the next one starts. If there is an
// error, that is after the first line end: so a stray quote costs its line, and not all lines up to the next quote.
//
//	a,"b ""c""",⏎     three cells: a, b "c" and an empty one
//	a"b,c⏎            two cells: a"b and c
//	"a"x,b⏎           an error: x is behind the closing quote
//	⏎                 one empty cell: each record has at least one
//
// Without an error there is at least one cell. After one, p.cells has no meaning.
func (p *csvParser) record(data []byte, i int) (next int, err error) {
	p.cells = p.cells[:0]
	start := i
	for {
		c := cell{start: i}
		if i < len(data) && data[i] == '"' {
			closing := closingQuote(data, i)
			if closing < 0 {
				err = errQuote
				break
			}
			c = cell{start: i + 1, end: closing - 1}
			c.escaped = bytes.IndexByte(data[c.start:c.end], '"') >= 0
			if i = closing; i < len(data) && data[i] == '\r' {
				i++ // of the line end, which must follow
			}
			if i < len(data) && data[i] != p.schema.delimiter && data[i] != '\n' {
				err = fmt.Errorf("cell %d has text after its closing quote", len(p.cells)+1)
				break
			}
		} else {
			i = plainEnd(data, i, p.schema.delimiter)
			c.end = i
			if (i == len(data) || data[i] == '\n') && c.end > c.start && data[c.end-1] == '\r' {
				c.end--
			}
		}
		p.cells = append(p.cells, c)
		if i >= len(data) {
			return len(data), nil
		}
		// data[i] is a delimiter or a line end. With noDelimiter it is both, and ends the record.
		i++
		if data[i-1] == '\n' {
			return i, nil
		}
	}
	if n := bytes.IndexByte(data[start:], '\n'); n >= 0 {
		return start + n + 1, err
	}
	return len(data), err
}

// plainEnd returns where a cell without quotes ends: at the delimiter, at the line feed or at the end of data.
func plainEnd(data []byte, i int, delimiter byte) int {
	for i < len(data) && data[i] != delimiter && data[i] != '\n' {
		i++
	}
	return i
}

// isBlank reports whether the record that starts at i is a line of nothing but spaces and tabs. A line with "" is not blank: it
// is the missing cell of a file with one column.
func (p *csvParser) isBlank(data []byte, i int) bool {
	return len(p.cells) == 1 && p.cells[0].start == i && len(scan.Trim(data[i:p.cells[0].end])) == 0
}

// fit makes p.cells, the cells of the record data[start:end], as many as there are columns, and returns how many cells were added. It
// returns an error if the record cannot be a row.
//
// An empty cell more is none: some programs end each line of data, but not the header, with a delimiter. Cells that lack at the
// end are missing: other programs leave out empty ones. But a last line without a line end has most likely been cut off, and its last
// cell too.
func (p *csvParser) fit(data []byte, start, end int) (added int, err error) {
	n := len(p.schema.columns)
	if len(p.cells) == n+1 && p.cells[n].start == p.cells[n].end {
		p.cells = p.cells[:n]
	}
	found := len(p.cells)
	if found < n && !p.source.o.Strict && data[start] != '#' && data[end-1] == '\n' {
		for len(p.cells) < n {
			p.cells = append(p.cells, cell{})
		}
	}
	if len(p.cells) != n {
		return 0, fmt.Errorf("%s, want %d", counted(found, "cell"), n)
	}
	return n - found, nil
}

// repeatsHeader reports whether a record is the header again, as in a file that was made of several files. It ignores byte order marks at
// the start, and then compares bytes: a header that is written in another way is a row.
func (p *csvParser) repeatsHeader(record []byte) bool {
	header := p.schema.header
	if len(header) == 0 || record[0] != header[0] && record[0] != '\xef' { // nearly all rows begin with another character
		return false
	}
	record = record[markLength(record):]
	return bytes.Equal(bytes.TrimRight(record, "\r\n"), header)
}

// firstRecord returns the cells of the first record that is not blank, and where the record after it starts. It returns
// none if there is no such record. The cells are copies. An error ends the reading of the file: without its first record nothing is
// known about the columns.
func (p *csvParser) firstRecord(data []byte) (cells [][]byte, end int, err error) {
	for end < len(data) {
		start := end
		if end, err = p.record(data, start); err != nil {
			return nil, 0, fmt.Errorf("the first line: %w", err)
		}
		if !p.isBlank(data, start) {
			for _, c := range p.cells {
				cells = append(cells, bytes.Clone(p.value(data, c)))
			}
			return cells, end, nil
		}
	}
	return nil, len(data), nil
}

// sample counts the kinds of the cells of the first rows, up to sampleRows, by column. Records that are no rows are left out, but count
// towards sampleRows. The schema needs to have its delimiter and the number of its columns. data is not yet cut at the end of a record.
// If its last record has too few cells, it is left out. Otherwise its last cell may be incomplete, and is counted all the same.
func (p *csvParser) sample(data []byte, o *Options) []sample {
	samples := make([]sample, len(p.schema.columns))
	for i, rows := 0, 0; i < len(data) && rows < sampleRows; rows++ {
		var err error
		start := i
		if i, err = p.record(data, i); err != nil || p.repeatsHeader(data[start:i]) {
			continue
		}
		if _, err = p.fit(data, start, i); err != nil {
			continue
		}
		for k, c := range p.cells {
			samples[k].add(p.value(data, c), o)
		}
	}
	for k := range samples {
		samples[k].acceptMarks(o.Decimal, p.schema.delimiter)
	}
	return samples
}

// value returns the text of a cell. It is valid until the next call.
func (p *csvParser) value(data []byte, c cell) []byte {
	if !c.escaped {
		return data[c.start:c.end]
	}
	p.text = append(p.text[:0], data[c.start:c.end]...)
	return bytes.ReplaceAll(p.text, []byte(`""`), []byte{'"'})
}

// parse fills b from a chunk, see [Parser.Parse].
func (p *csvParser) parse(data []byte, b *Batch) {
	t := p.prepare(b)
	for i := 0; i < len(data); {
		start := i
		var err error
		i, err = p.record(data, i)
		switch {
		case err != nil:
		case p.isBlank(data, start):
			continue
		case p.repeatsHeader(data[start:i]):
			b.Repeated++
			continue
		default:
			err = p.wholeRow(data, start, i, t, b)
		}
		if err != nil {
			b.bad(lineOf(data, start, len(b.Bad) < maxBad), err.Error())
		}
	}
	b.Lines = lines(data)
}

// wholeRow adds the record data[start:end], whose cells were read, as a row. If there is an error, it adds none.
func (p *csvParser) wholeRow(data []byte, start, end int, t *Table, b *Batch) error {
	added, err := p.fit(data, start, end)
	if err != nil {
		return err
	}
	if err := p.row(data, t, b); err != nil {
		return err
	}
	if added > 0 {
		if b.Short++; b.Short == 1 {
			b.FirstShort = lineOf(data, start, true)
		}
	}
	return nil
}

// lineOf returns how many lines are before a position, if that is wanted, and otherwise 0. Counting them for each bad line of a chunk
// would take longer than reading the chunk.
func lineOf(data []byte, position int, wanted bool) int {
	if !wanted {
		return 0
	}
	return bytes.Count(data[:position], newline)
}

// lines returns how many lines there are, the last of which may lack its line end. Only the last chunk of a file has such a line.
func lines(data []byte) int {
	n := bytes.Count(data, newline)
	if len(data) > 0 && data[len(data)-1] != '\n' {
		n++
	}
	return n
}

// counted returns a number with its noun.
func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

// prepare returns the table of the batch and sets p.columns to its columns, which it adds if the batch is new. Afterwards
// p.columns and p.raw have one element for each cell of a row, so that cells are added by position, without a lookup by name.
// It is called once a chunk: the next one may come with another batch.
func (p *csvParser) prepare(b *Batch) *Table {
	name := ""
	if p.source.o.Table != nil {
		name = p.source.o.Table(p.source.path)
	}
	t := b.table([]byte(name))
	p.columns = p.columns[:0]
	p.raw = slices.Grow(p.raw[:0], len(p.schema.columns))[:len(p.schema.columns)]
	clear(p.raw)
	for i := range p.schema.columns {
		c := &p.schema.columns[i]
		if c.kind == Skip {
			p.columns = append(p.columns, nil)
			continue
		}
		column := t.Columns[t.expectDeclared(i, c)]
		column.Open = c.open
		p.columns = append(p.columns, column)
		if i == p.schema.time {
			t.Time = column
		}
	}
	return t
}

// expectDeclared returns the index of the column of cell i of the schema, and marks it as declared.
func (t *Table) expectDeclared(i int, c *csvColumn) int {
	n := t.expect(i, []byte(c.name), c.kind, false)
	t.Columns[n].Declared = true
	return n
}

// row adds the cells of a row to their columns. If there is an error, it adds none: the time, the only cell that can make a row a
// bad line, is read first. p.cells has as many cells as there are columns.
func (p *csvParser) row(data []byte, t *Table, b *Batch) error {
	var at int64
	timed := false
	if i := p.schema.time; i >= 0 {
		text := scan.Trim(p.value(data, p.cells[i]))
		if at, timed = p.source.o.Times.Read(text); !timed && p.source.o.NeedTime {
			return fmt.Errorf("%q in column %q is not a time", clip(text), p.schema.columns[i].name)
		} else if !timed && !scan.Missing(text) {
			p.columns[i].addInvalid(text)
		}
	}
	for i, c := range p.columns {
		switch {
		case c == nil:
		case i == p.schema.time:
			if timed {
				c.addTime(t.Rows, at)
			}
		case c.Kind == Number && p.schema.columns[i].marks.decimal != 0:
			p.readMarked(c, t.Rows, scan.Trim(p.value(data, p.cells[i])), p.schema.columns[i].marks)
		case c.Open:
			p.readOpen(i, t, p.value(data, p.cells[i]), b)
		case c.Kind == Number:
			readNumber(c, t.Rows, p.value(data, p.cells[i]))
		default:
			p.readOther(c, t.Rows, p.value(data, p.cells[i]), b)
		}
	}
	t.Rows++
	return nil
}

// readNumber adds a cell to a column of numbers: a number, a truth value as 1 or 0, or nothing if it is missing. Any other text
// is counted as invalid, see readBool. It tries the most frequent case first: a number without spaces around it.
func readNumber(c *Column, row int, text []byte) {
	v, whole, ok := scan.Number(text) // most cells have no spaces around them
	if !ok {
		if text = scan.Trim(text); scan.Missing(text) {
			return
		}
		if v, whole, ok = scan.Number(text); !ok {
			readBool(c, row, text)
			return
		}
	}
	if whole {
		c.noteWhole(v)
	} else {
		c.Fraction = true
	}
	c.addNumber(row, v)
}

// readOpen adds a cell to column i of the row, which is Open, and to its column of texts. The column of texts is made by the first cell
// in the chunk: most columns without a cell in the sample stay empty. Package profile uses one of the two, and ignores the other.
func (p *csvParser) readOpen(i int, t *Table, text []byte, b *Batch) {
	if scan.Missing(scan.Trim(text)) {
		return
	}
	if p.raw[i] == nil {
		p.raw[i] = t.Columns[t.column([]byte(p.schema.columns[i].name), Text, false)]
		p.raw[i].Raw = true
	}
	p.raw[i].addText(t.Rows, b.keep(text))
	readNumber(p.columns[i], t.Rows, text)
}

// readMarked adds a cell to a column of numbers with decimal commas, grouped digits or a unit. A point where commas are decimal and
// none groups is invalid: it may be either. So is a number without the unit: 0.5 among percents may be 50 %. In a column without a unit,
// other cells such as truth values are read as in a column without marks.
func (p *csvParser) readMarked(c *Column, row int, text []byte, m marks) {
	number, ok := m.read(text, p.number)
	switch {
	case ok:
		p.number = number
		readNumber(c, row, number)
	case scan.Missing(text):
	case m.unit != "" || m.decimal == ',' && bytes.IndexByte(text, '.') >= 0:
		c.addInvalid(text)
	default:
		readNumber(c, row, text)
	}
}

// readBool adds a truth value to a column of numbers. Any other text is an invalid cell.
func readBool(c *Column, row int, text []byte) {
	v, ok := scan.Bool(text)
	if !ok {
		c.addInvalid(text)
		return
	}
	c.Bool = true
	c.addNumber(row, truth(v))
}

// truth returns 1 for true and 0 for false.
func truth(v bool) float64 {
	if v {
		return 1
	}
	return 0
}

// readOther adds a cell to a column of texts or of times. A text keeps the spaces around it: two texts that differ in these are
// different values.
func (p *csvParser) readOther(c *Column, row int, text []byte, b *Batch) {
	trimmed := scan.Trim(text)
	if scan.Missing(trimmed) {
		return
	}
	if c.Kind == Text {
		c.addText(row, b.keep(text))
		return
	}
	if at, ok := p.source.o.Times.Read(trimmed); ok {
		c.addTime(row, at)
	} else {
		c.addInvalid(trimmed)
	}
}

// clip returns the start of a text, for messages. It may end within a character.
func clip(text []byte) []byte {
	const longest = 40
	return text[:min(len(text), longest)]
}
