package profile

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/bucket"
	"github.com/telegraf-describe/telegraf-describe/internal/file"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// Options configure a run. The zero Options are not usable: Selection, ExactLimit, TextLimit, MemoryLimit and Workers must be set.
// Several goroutines call Group and Select at once.
type Options struct {
	// Grid divides the rows by time; nil puts all rows into one bucket. With a Grid, the Reader must be made with NeedTime.
	Grid *bucket.Grid
	// Group selects the tags and columns of texts whose values divide the rows; nil selects none.
	Group func(name string, tag bool) bool
	// Select selects the columns to describe; nil selects all. Columns of Group are not described.
	// Without Select and with a Grid, the column with the time of a row is described only if there is no other: buckets show the time.
	Select func(name string) bool
	// Selection is the statistics of columns of numbers.
	Selection *stats.Selection
	// ExactLimit is the exact limit of summaries, see [stats.New]: [stats.Unlimited] keeps all values.
	ExactLimit int
	// TextLimit is how many different texts of a column and group are counted exactly.
	TextLimit int
	// MemoryLimit is how many bytes the values may hold, chunks on their way not included. Beyond it the columns and groups that hold
	// most become estimates.
	MemoryLimit int
	// Workers is how many goroutines parse and how many add, at least 1. The result is the same for any number.
	Workers int
	// Strict ends the run at the first bad line.
	Strict bool
}

// Bad is a line that could not be read.
type Bad struct {
	Path   string // of the file as the user named it
	Line   int    // counted from 1, over the whole file
	Reason string // for people, in one line, without the path
}

// Error returns the line as compilers write it: path:line: reason.
func (b Bad) Error() string { return fmt.Sprintf("%s:%d: %s", b.Path, b.Line, b.Reason) }

// Invalid counts the cells of a column that are not of its kind. They are not described, and are missing in [Row].
type Invalid struct {
	Column string // its name; two tables may have columns of one name, with an Invalid each
	Kind   string // the type of the column, such as [TypeInteger]
	Count  int    // at least 1 in a Result
	First  string // the start of the first of them
}

// Result is what a run found.
type Result struct {
	Rows     []Row // by table, bucket, group and column
	Lines    int   // how many lines were read
	Points   int   // how many rows these had
	Bad      []Bad // the first bad lines, at most maxBad
	BadCount int   // how many there are in all
	Short    int   // rows of CSV with fewer cells than the header; those that lack are missing
	// FirstShort is where the first of them is.
	FirstShort Bad
	Repeated   int       // lines of CSV that are the header again; they are no rows
	Invalid    []Invalid // of the described columns that have invalid cells, by table
	Demoted    int       // how many columns and groups became estimates for want of memory
	Over       bool      // whether memory was exceeded all the same
	// Rounded are the described columns with whole numbers that float64 may not have, see [file.MaxWhole].
	Rounded []string
	Grouped bool     // whether a column of Options.Group was found
	Columns []string // the names of all columns that were read, of each table as they came
}

// maxBad is how many bad lines a result has: enough to see what is wrong, and few enough to hold. BadCount counts all.
const maxBad = 10

// job is one chunk on its way, see the diagram in the package comment. One goroutine after the other has it; only the adders have it
// at the same time, and only read it.
//
// Its owner is first read, until it is sent on todo; then a parser, until done is closed; then the collector, until it has called
// adders.add; then the adders, until left is 0. After that it is in run.free, or garbage if the run ends early.
//
// It is sent twice, on ordered and on todo: the first keeps the order of the file, the second finds a parser that is idle. done connects
// the two.
type job struct {
	chunk *file.Chunk   // set by read
	buf   []byte        // the memory of chunk.Data, for the next chunk
	batch *file.Batch   // its memory is used again for each chunk
	parts []*part       // of the batch, which they point into
	done  chan struct{} // closed once it is parsed
	left  atomic.Int32  // the adders that have not added it yet
}

// Run describes what the reader reads, which it closes at the end. The error wraps that of the reader or of ctx, or is a [Bad] line
// if Options.Strict; then there is no result.
//
// If ctx ends while the reader waits for input, Run returns and leaves that one call behind: a read from a terminal or a pipe
// cannot be interrupted. Nothing else of Run is left.
//
// At the end of the input, read closes ordered and todo, which ends the collector and the parsers. After an error, or if ctx ends, stop ends
// reading and parsing. In both cases the adders finish what was passed to them, and end last.
func Run(ctx context.Context, r *file.Reader, o Options) (*Result, error) {
	reading, stop := context.WithCancel(ctx)
	defer stop()
	p := newRun(o)
	todo := make(chan *job)
	ordered := make(chan *job, len(p.free))
	go p.read(reading, r, todo, ordered)
	var parsers sync.WaitGroup
	for range o.Workers {
		parsers.Go(func() { p.parse(reading, todo) })
	}
	err := p.collect(reading, ordered)
	stop() // after an error, reading and parsing go no further; the reading goroutine may still be within a read
	parsers.Wait()
	p.adders.stop()
	if err == nil {
		err = p.finish(ctx)
	}
	if err != nil {
		return nil, err
	}
	return &p.result, nil
}

// run is the state of a run. The collecting goroutine, which is that of Run, has all of it, except: o is not changed; free is a
// channel; read alone sets failure, before it closes the channel of jobs from which the collector learns of it.
type run struct {
	o       Options
	free    chan *job // jobs to reuse; their number bounds the memory; has room for all, so a send never waits, and is never closed
	adders  *adders
	tables  map[string]*table // by name
	order   []*table          // as they came, until finish sorts them
	result  Result            // counted on the way; finish adds what is known at the end
	path    string            // of the batch before
	lines   int               // of that file so far
	unknown int               // bytes that may have been added since the memory was last measured
	held    int               // bytes of the values when it was
	next    int               // memory is measured again once held and unknown exceed it
	failure error             // of reading; set before the channel of jobs is closed
}

// newRun returns a run with its jobs, and starts its adders.
//
// The jobs bound the memory of chunks: for each worker one that is parsed, one that is collected and one that is added, and two
// that are read and passed on.
func newRun(o Options) *run {
	const perWorker, more = 3, 2
	p := &run{o: o, tables: make(map[string]*table), next: o.MemoryLimit}
	n := perWorker*o.Workers + more
	p.free = make(chan *job, n)
	for range n {
		p.free <- &job{batch: new(file.Batch)}
	}
	p.adders = startAdders(o.Workers, n)
	return p
}

// read cuts the input into jobs, until it ends or ctx does. Each job is first put in order, which never waits, and then given to
// any parser. After an error in one file it does not go on with the next one.
func (p *run) read(ctx context.Context, r *file.Reader, todo, ordered chan<- *job) {
	defer close(todo)
	defer close(ordered)
	defer r.Close()
	for {
		var j *job
		select {
		case j = <-p.free:
		case <-ctx.Done():
			return
		}
		chunk, err := r.Next(j.buf)
		if p.failure = err; err != nil || chunk == nil {
			return
		}
		j.chunk, j.buf, j.done = chunk, chunk.Data, make(chan struct{})
		for _, to := range []chan<- *job{ordered, todo} {
			select {
			case to <- j:
			case <-ctx.Done():
				return
			}
		}
	}
}

// parse parses and groups chunks, each of which is done then.
func (p *run) parse(ctx context.Context, todo <-chan *job) {
	var parser *file.Parser
	g := grouper{o: &p.o, timed: needsTime(p.o.Selection)}
	for {
		select {
		case j, ok := <-todo:
			if !ok {
				return
			}
			parser = j.chunk.Parser(parser)
			j.batch.Reset()
			parser.Parse(j.chunk, j.batch)
			j.parts = g.group(j.batch, j.parts[:0])
			close(j.done)
		case <-ctx.Done():
			return
		}
	}
}

// collect passes the batches on in the order of the files, and returns once all are with the adders.
//
// It may return nil although ctx has ended, as reading closes ordered then too. finish looks at ctx again.
func (p *run) collect(ctx context.Context, ordered <-chan *job) error {
	for {
		select {
		case j, ok := <-ordered:
			if !ok {
				return p.failure
			}
			select {
			case <-j.done:
			case <-ctx.Done():
				return ctx.Err()
			}
			if err := p.take(j); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// take passes on one batch. If it may exceed the limit of memory, take waits for the adders and measures.
func (p *run) take(j *job) error {
	if err := p.count(j.batch); err != nil {
		return err
	}
	for _, part := range j.parts {
		p.resolve(part)
		p.unknown += part.bytes()
	}
	p.adders.add(j, func() { p.free <- j })
	if p.held+p.unknown > p.next {
		p.adders.wait()
		p.measure()
	}
	return nil
}

// count counts lines and bad lines. Lines are numbered within their file: a batch knows only its own. It returns the first bad line as an
// error if Options.Strict.
func (p *run) count(b *file.Batch) error {
	if b.Path != p.path {
		p.path, p.lines = b.Path, 0
	}
	for _, bad := range b.Bad {
		if len(p.result.Bad) < maxBad {
			p.result.Bad = append(p.result.Bad, Bad{b.Path, p.lines + bad.Line + 1, bad.Reason})
		}
	}
	if b.Short > 0 && p.result.Short == 0 {
		p.result.FirstShort = Bad{Path: b.Path, Line: p.lines + b.FirstShort + 1}
	}
	p.result.Short += b.Short
	p.result.Repeated += b.Repeated
	p.result.BadCount += b.BadCount
	p.lines += b.Lines
	p.result.Lines += b.Lines
	if p.o.Strict && len(p.result.Bad) > 0 {
		return p.result.Bad[0]
	}
	return nil
}

// table is a measurement of line protocol, or all files of another format.
//
// Only the collector uses it, except for the fields of its groups. Columns and groups are only added, so that their numbers stay.
type table struct {
	name    string                // "" without measurements
	columns []*column             // as they came
	index   map[columnKey]*column // the same
	groups  map[groupKey]*group   // those of order
	order   []*group              // as they came, until finish sorts them
}

// columnKey identifies a column of a table. The columns of file.Table that differ in kind only are one here.
type columnKey struct {
	name string
	tag  bool // line protocol may have a tag and a field of one name
}

// column is a column of a table. The kind of its first cells is that of all; until there are any, the kind is a guess.
//
// A hidden column has no fields and no row. It is in Result.Columns, which messages list.
type column struct {
	name     string
	kind     file.Kind // never changes once settled
	tag      bool      // of line protocol
	position int       // in table.columns
	hidden   bool      // whether it is not described: not selected, or grouped by
	time     bool      // whether it has the time of a row
	settled  bool      // whether there were cells or invalid ones

	invalid Invalid // Column and Kind are set by finish
	// Whether any batch had such a cell, also one of another kind than the column: see file.Column. They decide on the type.
	whole, fraction, boolean, large bool
}

// groupKey identifies a group of a table, and of a part.
type groupKey struct {
	start int64  // of the bucket, in nanoseconds since 1970; 0 without buckets
	tags  string // by series.AppendTags
}

// group has the rows of one bucket and one combination of the values of the group columns.
type group struct {
	groupKey

	number int          // in table.order, as the groups came
	tags   []series.Tag // what groupKey.tags encodes
	rows   int          // in all batches so far
	fields []*field     // by column.position; nil for those without cells, which may also be beyond its end
}

// resolve finds the columns and groups of a part, and adds those that are new. It is the only step for which parts must come in order:
// the first cells of a column decide its kind. Columns and groups come before fields, which are made for pairs of them.
func (p *run) resolve(q *part) {
	t := p.tables[q.table.Name]
	if t == nil {
		t = &table{name: q.table.Name, index: make(map[columnKey]*column), groups: make(map[groupKey]*group)}
		p.tables[t.name] = t
		p.order = append(p.order, t)
	}
	p.result.Points += q.table.Rows
	p.result.Grouped = p.result.Grouped || q.grouped
	for i := range q.columns {
		c := &q.columns[i]
		c.to = t.column(q.batch, c.from, p.o)
		if c.to != nil && c.from == q.table.Time {
			c.to.time = true
		}
	}
	for i := range q.keys {
		g := t.group(q.keys[i])
		g.rows += q.rows[i]
		q.groups = append(q.groups, g)
	}
	for i := range q.columns {
		p.prepare(q, &q.columns[i])
	}
}

// column returns the column that the cells of c, of the batch b, belong to, or nil if they are not of its kind or not described.
//
//	the first cells are   the cells of c are   they are
//	nothing yet           any                  added, and decide on the kind
//	numbers               numbers              added
//	numbers               texts                invalid, all of them
//	of an Open column     in both forms        added in the form of the kind; the other form is left out
func (t *table) column(b *file.Batch, c *file.Column, o Options) *column {
	key := columnKey{c.Name, c.Tag}
	known := t.index[key]
	if known == nil {
		known = &column{name: c.Name, kind: c.Kind, tag: c.Tag, position: len(t.columns)}
		known.hidden = o.Select != nil && !o.Select(c.Name) || t.groupedBy(c, o)
		t.index[key] = known
		t.columns = append(t.columns, known)
	}
	if !known.settled {
		known.settle(c)
	}
	if c.Raw && known.kind != file.Text || c.Open && known.kind == file.Text {
		return nil // the other column of the two has the cells
	}
	known.large = known.large || c.Large
	known.whole = known.whole || c.Whole
	known.fraction = known.fraction || c.Fraction
	known.boolean = known.boolean || c.Bool
	known.addInvalid(c.Invalid, c.FirstInvalid)
	if known.kind != c.Kind {
		known.addInvalid(c.Len(), firstCell(b, c))
		return nil
	}
	if known.hidden {
		return nil
	}
	return known
}

// settle decides on the kind of a column by its first cells. If the sample had none of them, it is one of texts unless nearly all of
// them are numbers.
func (c *column) settle(from *file.Column) {
	const few = 20 // one of so many
	cells := from.Len() + from.Invalid
	c.kind, c.settled = from.Kind, cells > 0
	if from.Open && from.Invalid*few > cells {
		c.kind = file.Text
	}
}

// groupedBy reports whether rows are grouped by a column. Of a tag and a field with one name it is the tag: tags come first in a row.
func (t *table) groupedBy(c *file.Column, o Options) bool {
	return o.Group != nil && c.Kind == file.Text && o.Group(c.Name, c.Tag) && (c.Tag || t.index[columnKey{c.Name, true}] == nil)
}

// firstCell returns the text of the first cell of c, or "" if there is none. Of a long text it is the start.
func firstCell(b *file.Batch, c *file.Column) string {
	if c.Len() == 0 {
		return ""
	}
	switch {
	case c.Kind == file.Text:
		const longest = 40
		text := b.Text(c.Texts[0])
		return string(text[:min(len(text), longest)])
	case c.Kind == file.Time:
		return time.Unix(0, c.Times[0]).UTC().Format(time.RFC3339Nano)
	case c.Bool && !c.Whole && !c.Fraction:
		return strconv.FormatBool(c.Numbers[0] != 0)
	}
	return strconv.FormatFloat(c.Numbers[0], 'g', -1, 64)
}

// addInvalid counts n invalid cells, of which first is the first.
func (c *column) addInvalid(n int, first string) {
	if n > 0 && c.invalid.Count == 0 {
		c.invalid.First = first
	}
	c.invalid.Count += n
}

// group returns a group of the table, which it adds if there is none.
func (t *table) group(key groupKey) *group {
	g := t.groups[key]
	if g != nil {
		return g
	}
	tags, err := series.ParseTags(key.tags)
	if err != nil {
		panic(err) // AppendTags made it
	}
	g = &group{groupKey: key, number: len(t.order), tags: tags}
	t.groups[key] = g
	t.order = append(t.order, g)
	return g
}

// prepare finds the fields that the cells of a column are added to, and makes those that are new. The adders of earlier parts
// may be at work: they use the fields of their parts, and only this goroutine uses group.fields.
func (p *run) prepare(q *part, c *partColumn) {
	if c.to == nil {
		return
	}
	c.fields = make([]*field, len(c.runs))
	for i, cells := range c.runs {
		g := q.groups[cells.group]
		for len(g.fields) <= c.to.position {
			g.fields = append(g.fields, nil)
		}
		if g.fields[c.to.position] == nil {
			g.fields[c.to.position] = newField(c.to.kind, &p.o)
		}
		c.fields[i] = g.fields[c.to.position]
	}
}
