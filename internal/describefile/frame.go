package describefile

import (
	"slices"
	"strings"

	"github.com/telegraf-describe/telegraf-describe/internal/profile"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
	"github.com/telegraf-describe/telegraf-describe/internal/show"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// This file makes a table of the rows of a profile. --stats names two kinds of columns, which are in one list for users: statistics of
// numbers, which package stats computes, and facts, which package profile counts for columns of any type. An outputColumn is either.

// fact is a property of a column that is not a statistic of numbers. Columns of all types have facts.
type fact struct {
	name string // as the user writes it in --stats, and in the output
	drop int    // see show.Column
	// read returns the cell of a row, which is empty if the row has no such property. It does not change the row.
	read func(r *profile.Row) show.Cell
}

// facts are all of them, in the order of the default output. Their numbers of drop and those of outputColumn.drop are of one order, with
// gaps for more of them: only which is larger counts.
var facts = []fact{
	{"type", 50, func(r *profile.Row) show.Cell { return show.Text(r.Type) }},
	{"missing", 40, func(r *profile.Row) show.Cell { return show.Count(r.Missing, false) }},
	{"distinct", 60, func(r *profile.Row) show.Cell { return show.Count(r.Distinct, !r.DistinctExact) }},
	{"top", 75, topCell},
	{"top_count", 80, topCountCell},
}

// topCell returns the most frequent text, or an empty cell if there is none.
func topCell(r *profile.Row) show.Cell {
	if r.TopCount == 0 {
		return show.Cell{}
	}
	return show.Text(r.Top)
}

// topCountCell returns how often the most frequent text occurs. If that is an estimate, it is a lower bound.
func topCountCell(r *profile.Row) show.Cell {
	if r.TopCount == 0 {
		return show.Cell{}
	}
	return show.Count(r.TopCount, !r.Exact)
}

// factNames returns the names of all facts.
func factNames() []string {
	names := make([]string, len(facts))
	for i := range facts {
		names[i] = facts[i].name
	}
	return names
}

// factOf returns the fact of a name, or nil.
func factOf(name string) *fact {
	i := slices.IndexFunc(facts, func(f fact) bool { return f.name == name })
	if i < 0 {
		return nil
	}
	return &facts[i]
}

// outputColumn is one column of the output: a fact or a statistic. It belongs to the options, and is the same for all rows; a layout has
// the columns that the rows of one run need.
type outputColumn struct {
	name     string     // as in the output: the canonical one of a statistic
	fact     *fact      // nil for a statistic
	stat     int        // in the selection, if fact is nil
	kind     stats.Kind // of the statistic, if fact is nil
	standard bool       // whether the user named no statistics
	// ifEstimated is whether the column is only there if a row is not exact.
	ifEstimated bool
}

// defaultNames are what is shown unless the user names statistics. The last four are not always there: mode_error and max_error need an
// estimate, and for people top and top_count need a text.
var defaultNames = []string{
	"type", "count", "missing", "distinct", "min", "max", "mean", "median", "mode", "p95", "mode_error", "max_error", "top", "top_count",
}

// expanded returns the names of statistics with "all" replaced by all of them, and the name that pandas has by ours. Of the percentiles,
// which have no end, "all" has a fixed choice. A test wants each new statistic in it.
func expanded(names []string) (all []string) {
	for _, name := range names {
		switch name {
		case "all":
			all = append(all, "type", "count", "missing", "distinct", "min", "max", "sum", "mean", "range", "stddev", "variance",
				"p25", "median", "p75", "p95", "p99", "iqr", "mode", "mode_count", "mode_error", "first", "last", "max_error", "top", "top_count")
		case "std":
			all = append(all, "stddev")
		default:
			all = append(all, name)
		}
	}
	return all
}

// outputColumns returns the columns in the order of the names, or those that are shown by default. selection has the statistics among
// the names. Names must have been checked: those that package stats does not know are left out.
func outputColumns(names []string, selection *stats.Selection) []outputColumn {
	standard := len(names) == 0
	if standard {
		names = defaultNames
	}
	var columns []outputColumn
	for _, name := range names {
		if f := factOf(name); f != nil {
			columns = append(columns, outputColumn{name: name, fact: f})
			continue
		}
		s, err := stats.ParseStatistic(name)
		if err != nil {
			continue // NewSelection has refused it
		}
		columns = append(columns, outputColumn{
			name: s.String(), standard: standard, stat: slices.Index(selection.Statistics(), s), kind: s.Kind(),
			ifEstimated: standard && (s.Kind() == stats.ModeError || s.Kind() == stats.MaxError),
		})
	}
	return columns
}

// cell returns the cell of a row. The minimum and the maximum of times are times; other statistics of times, and all of texts, are
// empty. The number of values is there for each type:
//
//	type of the column       count    min, max   other statistics
//	integer, float, boolean  a count  a number   a number, or a count for mode_count and mode_error
//	time                     a count  a time     empty
//	text, tag, empty         a count  empty      empty
func (c *outputColumn) cell(r *profile.Row, o *options) show.Cell {
	if c.fact != nil {
		return c.fact.read(r)
	}
	switch {
	case c.kind == stats.Count:
		return show.Count(r.Count, false)
	case r.Type == profile.TypeTime && r.Count > 0 && c.kind == stats.Min:
		return show.Time(r.Earliest.In(o.zone))
	case r.Type == profile.TypeTime && r.Count > 0 && c.kind == stats.Max:
		return show.Time(r.Latest.In(o.zone))
	case r.Stats == nil: // of texts, and of columns without a value
		return show.Cell{}
	case c.kind == stats.ModeCount || c.kind == stats.ModeError:
		if v := r.Stats[c.stat]; v >= 0 { // not NaN: these are counts, as floats
			return show.Count(uint64(v), false)
		}
	}
	return show.Number(r.Stats[c.stat])
}

// drop returns when a table that is too wide loses the column, see show.Column: the count last, then the statistics that the user named,
// the last one of them first; of those that nobody asked for, mode before the percentiles. If most rows are of texts, what describes texts
// stays longer than what describes numbers. Without --stats, most rows being of numbers, the order is: top_count, top, mode, distinct,
// type, p95, missing, max_error, mode_error, median, mean, max, min, count.
//
// position is the place of the column among the columns of the layout, from 0. Places beyond 30 are equal, so that they stay below the
// numbers of the facts.
func (c *outputColumn) drop(position int, texts bool) int {
	switch {
	case c.fact != nil && texts && slices.Contains([]string{"distinct", "top", "top_count"}, c.name):
		return 2
	case c.fact != nil:
		return c.fact.drop
	case c.kind == stats.Count:
		return 1
	case c.standard && c.kind == stats.Mode:
		return 70
	case c.standard && c.kind == stats.Quantile:
		return 45
	}
	return 2 + min(position, 30)
}

// useful reports whether a row has an answer to --stats: any row without that option, and otherwise those of numbers, those of any
// type if a fact was asked for or nothing but counts, and those of times for min and max. So `--stats mean` has no empty rows
// for texts, `--stats count` has a row for each column, and `--stats count,mean` one for each column of numbers.
func (o *options) useful(r *profile.Row) bool {
	if len(o.flags.stats) == 0 || r.Stats != nil {
		return true
	}
	for i := range o.columns {
		c := &o.columns[i]
		if c.fact != nil || c.kind == stats.Count && len(o.columns) == 1 {
			return true
		}
	}
	return r.Type == profile.TypeTime && slices.ContainsFunc(o.columns, func(c outputColumn) bool { return c.kind == stats.Min || c.kind == stats.Max })
}

// layout is what the columns of the output are:
//
//	measurement  bucket  <tag> …  column  <statistic or fact> …  estimated
//
// All but column are only there if a row has something for them. --by 1h --group-by host for a file of line protocol, for example, gives
//
//	measurement,bucket,host,column,type,count,…
//	cpu,2026-01-01T00:00:00Z,a,usage,float,60,…
//
// The columns before the statistics identify a row. A table that is too wide never loses them.
type layout struct {
	tables    bool           // whether rows have names of measurements
	buckets   bool           // whether rows have the start of a bucket
	keys      []string       // of the tags, ascending
	columns   []outputColumn // of the options, without those that no row needs
	standard  bool           // whether the user named none of these
	texts     bool           // whether most rows are of texts
	estimated bool           // whether a last column names the estimates: for programs, as people see a tilde
}

// layoutOf returns the columns that the rows need. Only columns that the user did not ask for depend on the rows.
func (o *options) layoutOf(rows []profile.Row) *layout {
	l := &layout{buckets: o.profile.Grid != nil, columns: slices.Clone(o.columns), standard: len(o.flags.stats) == 0}
	texts := 0
	for i := range rows {
		if rows[i].TopCount > 0 {
			texts++
		}
	}
	l.texts = texts*2 > len(rows)
	if !slices.ContainsFunc(rows, func(r profile.Row) bool { return !r.Exact && r.Stats != nil }) {
		l.columns = slices.DeleteFunc(l.columns, func(c outputColumn) bool { return c.ifEstimated })
	}
	l.tables, l.keys = identities(rows, o.groupBy)
	l.estimated = o.output != "table" && o.output != "markdown" && slices.ContainsFunc(rows, func(r profile.Row) bool { return !r.DistinctExact })
	return l
}

// head returns the names of the columns. A tag whose name another column has gets another name, as the aggregator names it: a tag count is
// count_tag if there is a column count. Columns of head and cells of cells are in the same order.
func (l *layout) head() (columns []show.Column) {
	add := func(name string, drop int) {
		columns = append(columns, show.Column{Name: name, Drop: drop, Optional: l.standard && drop > 1})
	}
	if l.tables {
		add("measurement", 0)
	}
	if l.buckets {
		add("bucket", 0)
	}
	taken := func(name string) bool {
		return name == "measurement" || name == "bucket" || name == "column" || name == "estimated" ||
			slices.ContainsFunc(l.columns, func(c outputColumn) bool { return c.name == name })
	}
	tags := make([]series.Tag, len(l.keys))
	for i, key := range l.keys {
		tags[i].Key = key
	}
	series.RenameTags(tags, taken)
	for _, tag := range tags {
		add(tag.Key, 0)
	}
	add("column", 0)
	for i := range l.columns {
		add(l.columns[i].name, l.columns[i].drop(i, l.texts))
	}
	if l.estimated {
		add("estimated", 0)
	}
	return columns
}

// cells returns the cells of a row, one for each column of head. Times are in the zone of the options.
func (l *layout) cells(r *profile.Row, o *options) (cells []show.Cell) {
	if l.tables {
		cells = append(cells, show.Text(r.Table))
	}
	if l.buckets {
		cells = append(cells, show.Time(r.Start.In(o.zone)))
	}
	for _, key := range l.keys {
		cells = append(cells, tagCell(r.Tags, key))
	}
	cells = append(cells, show.Text(r.Column))
	for i := range l.columns {
		cells = append(cells, l.columns[i].cell(r, o))
	}
	if l.estimated {
		cells = append(cells, estimates(r))
	}
	return cells
}

// frame makes the table of the rows, which stay in the order of package profile: by measurement, bucket, group and column. Rows without an
// answer to what was asked are left out, see useful.
func (o *options) frame(rows []profile.Row) *show.Table {
	rows = slices.DeleteFunc(slices.Clone(rows), func(r profile.Row) bool { return !o.useful(&r) }) // the caller's rows stay
	l := o.layoutOf(rows)
	t := &show.Table{Columns: l.head()}
	for i := range rows {
		t.Rows = append(t.Rows, l.cells(&rows[i], o))
	}
	return t
}

// identities returns whether the rows have names of tables, and the keys of their tags in ascending order. The names in
// groupBy, but not its globs, are keys even if no row has a value of them: a script that asks for --group-by host finds the column in the
// output of any file.
func identities(rows []profile.Row, groupBy []string) (tables bool, keys []string) {
	seen := make(map[string]bool)
	for _, name := range groupBy {
		if !seen[name] && !isGlob(name) {
			seen[name] = true
			keys = append(keys, name)
		}
	}
	for i := range rows {
		tables = tables || rows[i].Table != ""
		for _, tag := range rows[i].Tags {
			if !seen[tag.Key] {
				seen[tag.Key] = true
				keys = append(keys, tag.Key)
			}
		}
	}
	slices.Sort(keys)
	return tables, keys
}

// tagCell returns the value of a tag, or an empty cell for a row without it.
func tagCell(tags []series.Tag, key string) show.Cell {
	for _, tag := range tags {
		if tag.Key == key {
			return show.Text(tag.Value)
		}
	}
	return show.Cell{}
}

// estimates names what of a row is estimated, for programs: "distinct", "quantiles", "mode" and "top", with spaces between them. A row of a
// histogram has "distinct quantiles mode", one of too many texts "distinct top", and an exact one an empty cell. People see a tilde before
// an estimated count instead.
func estimates(r *profile.Row) show.Cell {
	var names []string
	if !r.DistinctExact {
		names = append(names, "distinct")
	}
	if !r.Exact && r.Stats != nil {
		names = append(names, "quantiles", "mode")
	}
	if !r.Exact && r.Stats == nil && r.Type != profile.TypeTime {
		names = append(names, "top")
	}
	if len(names) == 0 {
		return show.Cell{}
	}
	return show.Text(strings.Join(names, " "))
}
