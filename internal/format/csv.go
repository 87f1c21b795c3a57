package format

import (
	"bytes"
	"encoding/csv"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
)

// table collects records and the columns that they need. A column exists if one record has it. It is filled by add, then placeTags is
// called once, and then the header and the rows are made: before placeTags, tagAt has the positions in which tags were found.
type table struct {
	records []record.Record
	// replica, final and revision are whether a record has that member.
	replica, final, revision bool
	tags, stats              []string       // the names of the columns, in the order in which they were found
	tagAt, statAt            map[string]int // their positions
}

// appendCSV appends a line with the names of the columns, and one for each record (RFC 4180, with "\n" at the ends of
// lines). The columns are the members of the records in the order that their JSON has, but all tags come before all
// statistics, and the keys of tags are sorted. A record without a member has an empty cell. A tag that has the name of a statistic of
// another record is renamed, as in the JSON of a record with both. cells is that of [Format.Append].
func appendCSV(dst []byte, texts []string, cells func(n int) error) ([]byte, error) {
	t := table{tagAt: make(map[string]int), statAt: make(map[string]int)}
	for _, text := range texts {
		if err := t.add(text); err != nil {
			return dst, err
		}
	}
	t.placeTags()
	header := t.header()
	if err := cells(len(t.records) * len(header)); err != nil {
		return dst, err
	}
	buf := bytes.NewBuffer(dst)
	w := csv.NewWriter(buf)
	if err := w.Write(header); err != nil {
		return dst, err
	}
	for i := range t.records {
		if err := w.Write(t.row(&t.records[i])); err != nil {
			return dst, err
		}
	}
	w.Flush()
	return buf.Bytes(), w.Error()
}

// add parses a record and adds its columns.
func (t *table) add(text string) error {
	r, err := record.Parse([]byte(text))
	if err != nil {
		return err
	}
	t.records = append(t.records, r)
	t.replica = t.replica || r.Replica != ""
	t.final = t.final || r.State != record.Unmarked
	t.revision = t.revision || r.Revision > 0
	for _, tag := range r.Tags {
		if _, ok := t.tagAt[tag.Key]; !ok {
			t.tagAt[tag.Key] = len(t.tags)
			t.tags = append(t.tags, tag.Key)
		}
	}
	for _, s := range r.Stats {
		if _, ok := t.statAt[s.Name]; !ok {
			t.statAt[s.Name] = len(t.stats)
			t.stats = append(t.stats, s.Name)
		}
	}
	return nil
}

// placeTags sorts the columns of tags and sets the position of each tag. Two tags share a column if one of them is renamed and no
// record has both.
//
//	a record with the tags a and x, another one with the statistic x    columns a and x_tag
//	a third one with the tag x_tag                                      the same: both tags are in the column x_tag
//	a fourth one with the tags x and x_tag                              columns a, x_tag and, for x, x_tag_tag
func (t *table) placeTags() {
	columns := make(map[string][]string, len(t.tags)) // the keys of the tags by the name of their column
	for _, key := range t.tags {
		if !t.isStat(key) {
			columns[key] = []string{key}
		}
	}
	for _, key := range t.tags {
		if !t.isStat(key) {
			continue // it keeps its name, and the tags that are renamed give way
		}
		name := key + series.ClashSuffix
		for t.isStat(name) || t.shared(columns[name], key) {
			name += series.ClashSuffix
		}
		columns[name] = append(columns[name], key)
	}
	t.tags = slices.Sorted(maps.Keys(columns))
	for i, name := range t.tags {
		for _, key := range columns[name] {
			t.tagAt[key] = i
		}
	}
}

// isStat reports whether a record has a statistic of that name.
func (t *table) isStat(name string) bool {
	_, ok := t.statAt[name]
	return ok
}

// shared reports whether a record has the tag key and one of the other tags.
func (t *table) shared(others []string, key string) bool {
	return slices.ContainsFunc(others, func(other string) bool {
		return slices.ContainsFunc(t.records, func(r record.Record) bool { return hasTag(&r, key) && hasTag(&r, other) })
	})
}

// hasTag reports whether a record has a tag with that key.
func hasTag(r *record.Record, key string) bool {
	return slices.ContainsFunc(r.Tags, func(tag series.Tag) bool { return tag.Key == key })
}

// header returns the names of the columns.
func (t *table) header() []string {
	names := []string{record.TableName, record.FieldName, record.TimeBucket, record.Time, record.Agent}
	names = appendIf(names, t.replica, record.Replica)
	names = appendIf(names, t.final, record.FinalName)
	names = appendIf(names, t.revision, record.Revision)
	for _, name := range append(slices.Clone(t.tags), t.stats...) {
		names = append(names, inert(name))
	}
	return names
}

// row returns the cells of a record.
func (t *table) row(r *record.Record) []string {
	cells := []string{
		inert(r.Table), inert(r.Field), r.Start.Format(time.RFC3339Nano), strconv.FormatInt(r.Start.UnixMilli(), 10), inert(r.Agent),
	}
	cells = appendIf(cells, t.replica, inert(r.Replica))
	final := ""
	if r.State != record.Unmarked {
		final = strconv.FormatBool(r.State == record.Final)
	}
	cells = appendIf(cells, t.final, final)
	cells = appendIf(cells, t.revision, strconv.FormatInt(r.Revision, 10))
	values := make([]string, len(t.tags)+len(t.stats))
	for _, tag := range r.Tags {
		values[t.tagAt[tag.Key]] = inert(tag.Value)
	}
	for _, s := range r.Stats {
		values[len(t.tags)+t.statAt[s.Name]] = cell(s.Value)
	}
	return append(cells, values...)
}

// appendIf appends a text to a list if the condition holds.
func appendIf(list []string, condition bool, text string) []string {
	if condition {
		return append(list, text)
	}
	return list
}

// inert returns a text that a spreadsheet does not run as a formula: one that begins with =, +, -, @, a tab or a carriage
// return gets an apostrophe in front (https://owasp.org/www-community/attacks/CSV_Injection).
func inert(text string) string {
	if text == "" {
		return ""
	}
	switch text[0] {
	case '=', '+', '-', '@', '\t', '\r':
		return "'" + text
	}
	return text
}

// cell returns the value of a statistic as the record's JSON has it.
func cell(v any) string {
	switch v := v.(type) {
	case int64:
		return strconv.FormatInt(v, 10)
	case uint64:
		return strconv.FormatUint(v, 10)
	case float64:
		return string(record.AppendFloat(nil, v))
	case bool:
		return strconv.FormatBool(v)
	}
	return ""
}
