package file

// Kind is what the cells of a column are. Truth values are numbers, as everywhere in this module. In CSV, a sample decides on the
// kind of a column. In the other formats each value shows its kind, and a name with values of two kinds is two columns.
type Kind uint8

// The kinds. Columns of the kind Skip are not read: no Column has it.
const (
	Skip Kind = iota
	Number
	Text
	Time
)

// MaxWhole is 2^53. Whole numbers below it are exact as float64; from it on, different ones may be the same float64.
const MaxWhole = 1 << 53

// Span is a text in [Batch.Bytes], which is shorter than 4 GiB, as a chunk is. See [Batch.Text]. A Span takes half the memory of a
// string, and the garbage collector does not have to follow a pointer in it.
type Span struct{ start, end uint32 }

// Column has the cells of one column in one batch. Missing cells have no place in it:
//
//	rows of the file  0     1     2     3          Numbers  {1.5, 2.5, 3.5}
//	cells             1.5   2.5         3.5        Rows     {0, 1, 3}
//
// So package stats adds the Numbers as they are. Most columns have no missing cell, and then no Rows either.
//
// Only the slice of the kind has cells: Numbers, Texts or Times. Rows, unless it is nil, is as long as that slice. A row has at most
// one cell in a column. Numbers has neither NaN nor an infinity: the first is missing, the second invalid.
//
// The marks Whole, Fraction, Bool and Large are of this batch alone. A mark stays if its cell is replaced by a later one of the same row.
type Column struct {
	Name string
	Kind Kind
	Tag  bool // whether it is a tag of line protocol; these are texts
	// Declared is whether the file names the column, even if the batch has no cell of it, as CSV and JSON nulls do. Without
	// a cell, the kind is a guess.
	Declared bool

	Numbers []float64 // of the kind Number; true is 1 and false is 0
	Texts   []Span    // of the kind Text
	Times   []int64   // of the kind Time, in nanoseconds since 1970
	// Rows has the row of each cell, ascending. It is nil if the cells are those of the rows 0, 1, 2, … without a gap.
	Rows []int32

	Invalid      int    // how many further cells are neither missing nor of the kind
	FirstInvalid string // the first 40 bytes of the first of these
	Whole        bool   // whether there is a whole number
	Fraction     bool   // whether there is a number with a point or an exponent
	Bool         bool   // whether there is a truth value
	Large        bool   // whether there is a whole number of at least MaxWhole in magnitude

	// Open is whether the sample had no cell of the column, so that Number is no more than a guess. Then a column of the kind Text with
	// the same name follows, which is Raw: it has all cells as they are written, the numbers too.
	Open, Raw bool
}

// Len returns how many cells the column has.
func (c *Column) Len() int {
	switch c.Kind {
	case Number:
		return len(c.Numbers)
	case Text:
		return len(c.Texts)
	case Time:
		return len(c.Times)
	case Skip:
	}
	return 0
}

// Row returns the row of cell i.
func (c *Column) Row(i int) int {
	if c.Rows == nil {
		return i
	}
	return int(c.Rows[i])
}

// at notes that the next cell is of that row, which is larger than that of the cell before. Rows are made at the first gap, so a
// column without a missing cell needs no memory for them. It must be called before the cell is added: it compares the row with
// the number of cells.
func (c *Column) at(row int) {
	n := c.Len()
	if c.Rows == nil {
		// As long as there was no gap, cell i is of row i.
		if n == row {
			return
		}
		c.Rows = make([]int32, n, 2*n+16)
		for i := range c.Rows {
			c.Rows[i] = int32(i)
		}
	}
	c.Rows = append(c.Rows, int32(row))
}

// addNumber adds the cell of a row to a column of numbers.
func (c *Column) addNumber(row int, v float64) {
	c.at(row)
	c.Numbers = append(c.Numbers, v)
}

// noteWhole notes that v, the cell added last, was written as a whole number. Package profile needs that for the type of the
// column: integers if all of its numbers were written so.
func (c *Column) noteWhole(v float64) {
	c.Whole = true
	c.Large = c.Large || v >= MaxWhole || v <= -MaxWhole
}

// addText adds the cell of a row to a column of texts.
func (c *Column) addText(row int, s Span) {
	c.at(row)
	c.Texts = append(c.Texts, s)
}

// addTime adds the cell of a row to a column of times.
func (c *Column) addTime(row int, ns int64) {
	c.at(row)
	c.Times = append(c.Times, ns)
}

// dropLast removes the last cell of a column of numbers or texts, of which there must be one. Rows may be empty afterwards, but not nil
// again.
func (c *Column) dropLast() {
	if c.Kind == Number {
		c.Numbers = c.Numbers[:len(c.Numbers)-1]
	} else {
		c.Texts = c.Texts[:len(c.Texts)-1]
	}
	if c.Rows != nil {
		c.Rows = c.Rows[:len(c.Rows)-1]
	}
}

// addInvalid counts a cell that is not of the kind, and keeps a copy of the first one.
func (c *Column) addInvalid(text []byte) {
	if c.Invalid++; c.Invalid == 1 {
		const longest = 40
		c.FirstInvalid = string(text[:min(len(text), longest)])
	}
}

// reset empties the column and keeps its memory, except that of Rows: nil means that there is no gap.
func (c *Column) reset() {
	*c = Column{
		Name: c.Name, Kind: c.Kind, Tag: c.Tag, Declared: c.Declared, Open: c.Open, Raw: c.Raw,
		Numbers: c.Numbers[:0], Texts: c.Texts[:0], Times: c.Times[:0],
	}
}

// Table has the rows of one measurement of line protocol, or of a file of another format. Row i of a table is the i-th good line
// of its measurement in the chunk; the columns have the numbers of these rows.
//
// A column without cells may be one of an earlier chunk: a batch that is used again keeps its columns.
type Table struct {
	Name    string    // the measurement, or the result of Options.Table for another format
	Rows    int       // good lines; columns count rows from 0
	Columns []*Column // in the order in which they appeared
	// Time is the column with the time of each row, or nil. If the options want times, it has one for every row. It is one of Columns.
	Time *Column

	index map[columnKey]int // in Columns
	order []int             // the columns of the cells of the last row, in their order; see expect
}

// columnKey identifies a column of a table. A field of line protocol that is a number in some lines and a text in others is two
// columns, and so are a tag and a field of one name: package profile decides which of them counts.
type columnKey struct {
	name string
	kind Kind
	tag  bool
}

// column returns the index of a column, which it adds if there is none. It keeps no part of name, which is in the memory of a
// chunk. Looking a name up does not allocate: the compiler does not copy name for the key of a lookup.
func (t *Table) column(name []byte, kind Kind, tag bool) int {
	if i, ok := t.index[columnKey{string(name), kind, tag}]; ok {
		return i
	}
	if t.index == nil {
		t.index = make(map[columnKey]int)
	}
	own := string(name)
	t.index[columnKey{own, kind, tag}] = len(t.Columns)
	t.Columns = append(t.Columns, &Column{Name: own, Kind: kind, Tag: tag})
	return len(t.Columns) - 1
}

// expect returns the index of the column of cell i of a row, and adds the column if there is none. Most rows have the columns of the row
// before, so that comparing a name with that one usually saves looking it up in a map. Only cells that are asked for in their order, from
// 0 and without a gap, are remembered for the next row.
func (t *Table) expect(i int, name []byte, kind Kind, tag bool) int {
	if i < len(t.order) {
		if c := t.Columns[t.order[i]]; c.Kind == kind && c.Tag == tag && c.Name == string(name) {
			return t.order[i]
		}
		t.order = t.order[:i] // what follows in the row before is of no use either
	}
	n := t.column(name, kind, tag)
	if i == len(t.order) {
		t.order = append(t.order, n)
	}
	return n
}

// Bad is a line that could not be read. Its number counts from the start of the chunk, because chunks are parsed at the same time
// and none knows how many lines the others have; package profile adds them up in the order of the file.
type Bad struct {
	Line   int    // lines before it in the chunk, those of a header included
	Reason string // for people, in one line; long cells are clipped
}

// maxBad is how many bad lines of a batch are kept.
const maxBad = 10

// Batch is what a [Parser] read from one chunk. It is used by one goroutine at a time; once filled, several may read it. The zero Batch
// is empty and ready to use.
//
//	new ─▶ Parse ─▶ read by others ─▶ Reset ─▶ Parse a chunk of the same or of another file ─▶ …
//
// Every line of the chunk is in exactly one of these: a row of a table, a bad line, a header, a comment or a blank line. Records of CSV
// and strings of line protocol may have several lines.
type Batch struct {
	Path     string   // of the file, as Chunk.Path
	Tables   []*Table // each has at least one row
	Lines    int      // lines of the chunk, those of a header before its records included
	Bad      []Bad    // the first bad lines, at most maxBad
	BadCount int      // of all bad lines
	Short    int      // rows of CSV with fewer cells than columns; those that lack are missing
	// FirstShort is how many lines of the chunk come before the first of them. It has no meaning if Short is 0.
	FirstShort int
	Repeated   int    // lines of CSV that are the header again; they are no rows
	Bytes      []byte // what the texts are parts of

	source *source // of the chunk; nil after Reset of a batch whose columns were not kept
	byName map[string]*Table
	last   *Table // of the line before, which most lines share
}

// Text returns a text of the batch. It is valid until the batch is reset.
func (b *Batch) Text(s Span) []byte { return b.Bytes[s.start:s.end] }

// keep copies a text into the batch. The texts of a line that turns out to be bad are taken back by shortening Bytes to its length before
// the line: no cell has them yet.
func (b *Batch) keep(text []byte) Span {
	start := len(b.Bytes)
	b.Bytes = append(b.Bytes, text...)
	return Span{uint32(start), uint32(len(b.Bytes))}
}

// bad counts a line that could not be read. line is how many lines of the chunk come before it.
func (b *Batch) bad(line int, reason string) {
	if b.BadCount++; len(b.Bad) < maxBad {
		b.Bad = append(b.Bad, Bad{line, reason})
	}
}

// table returns the table of that name, which it adds if there is none.
func (b *Batch) table(name []byte) *Table {
	if b.last != nil && b.last.Name == string(name) {
		return b.last
	}
	t := b.byName[string(name)]
	if t == nil {
		t = &Table{Name: string(name)}
		if b.byName == nil {
			b.byName = make(map[string]*Table)
		}
		b.byName[t.Name] = t
		b.Tables = append(b.Tables, t)
	}
	b.last = t
	return t
}

// Reset empties the batch, and ends what Text and the columns returned before. It keeps the memory of the cells if the batch had
// one table, as most have. Of many tables or columns, another chunk may have others, and memory kept for each would add up.
//
// The columns of a kept table stay too, without cells, so that the next chunk of the file finds them in the same order. For the first
// chunk of another file, Parse drops them: see Batch.source.
func (b *Batch) Reset() {
	const wide = 1000 // columns
	if len(b.Tables) != 1 || len(b.Tables[0].Columns) > wide {
		*b = Batch{Bad: b.Bad[:0], Bytes: b.Bytes[:0]}
		return
	}
	t := b.Tables[0]
	t.Rows = 0
	for _, c := range t.Columns {
		c.reset()
	}
	*b = Batch{source: b.source, Tables: b.Tables, byName: b.byName, last: b.last, Bad: b.Bad[:0], Bytes: b.Bytes[:0]}
}
