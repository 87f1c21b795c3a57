package describe

import (
	"slices"
	"strings"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/metric"

	"github.com/telegraf-describe/telegraf-describe/internal/engine"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// rowMaker makes metrics from rows: one metric for each row or, with columns, one metric for all rows of a bucket.
type rowMaker struct {
	record.Layout
	columns bool
	pushed  time.Time // the time of the running Push

	fields fieldList // scratch: the fields of the row
	tags   tagList   // scratch: the tags of the bucket
	blanks []blank   // metrics to copy: see blankOf; empty between two Pushes

	wide telegraf.Metric // the metric with the columns of the bucket of the last row; nil before the first row
	of   bucketKey       // the bucket that wide describes
}

// blank is a metric whose copies become rows. Only the name of the field and the values of a copy are changed:
// copying is faster than making a metric.
type blank struct {
	metric telegraf.Metric
	of     bucketKey // the bucket whose name, time and tags the metric has
	name   int       // the index of the tag field_name
}

// maxBlanks is the largest number of blanks, one for each list of fields. Most rows have one of two lists: with
// max_error and mode_error, or without them.
const maxBlanks = 4

// bucketKey identifies the rows of one bucket of one series.
type bucketKey struct {
	table    string
	tags     *engine.Tag // the first tag of the series: the rows of a series share them
	start    time.Time
	state    record.State
	revision int64
}

// keyOf returns the key of the row's bucket.
func keyOf(r *engine.Row) bucketKey {
	key := bucketKey{table: r.Table, start: r.Start, state: r.State, revision: r.Revision}
	if len(r.Tags) > 0 {
		key.tags = &r.Tags[0]
	}
	return key
}

// begin prepares for the rows of a Push at the given time.
func (m *rowMaker) begin(now time.Time) { m.pushed, m.wide = now, nil }

// add calls emit for each metric that is complete. The rows of a bucket must be added one after another.
func (m *rowMaker) add(r *engine.Row, emit func(telegraf.Metric)) {
	key := keyOf(r)
	m.fields = m.fields[:0]
	m.AddFields(&m.fields, &r.Record)
	switch {
	case !m.columns:
		emit(m.row(key, r))
	case m.wide == nil || key != m.of:
		m.endColumns(emit)
		m.of, m.wide = key, m.newWide(r)
		m.addColumns(r)
	default:
		m.addColumns(r)
	}
}

// end calls emit for the metric that waits for more columns, and releases the strings of the rows.
func (m *rowMaker) end(emit func(telegraf.Metric)) {
	m.endColumns(emit)
	clear(m.blanks)
	m.blanks = m.blanks[:0]
}

func (m *rowMaker) endColumns(emit func(telegraf.Metric)) {
	if m.wide != nil {
		emit(m.wide)
	}
	m.wide = nil
}

// row returns the row as a metric: a copy of a blank in which the name of the field and the values change.
func (m *rowMaker) row(key bucketKey, r *engine.Row) telegraf.Metric {
	b := m.blankOf()
	if b.of != key {
		m.retag(b, r)
		b.of = key
	}
	row := b.metric.Copy()
	row.TagList()[b.name].Value = r.Field
	for i, f := range row.FieldList() {
		f.Value = m.fields[i].Value
	}
	return row
}

// blankOf returns the blank with the fields of the row. If there is none, it makes one, which replaces the oldest if
// there are too many.
func (m *rowMaker) blankOf() *blank {
	for i := range m.blanks {
		if m.fields.namesEqual(m.blanks[i].metric.FieldList()) {
			return &m.blanks[i]
		}
	}
	if len(m.blanks) == maxBlanks {
		m.blanks = slices.Delete(m.blanks, 0, 1)
	}
	m.blanks = append(m.blanks, blank{metric: metric.New("", nil, nil, time.Time{})})
	b := &m.blanks[len(m.blanks)-1]
	for _, f := range m.fields {
		b.metric.AddField(f.Key, f.Value)
	}
	return b
}

// retag sets the name, the time and the tags of the blank to those of the rows of a bucket. It uses the memory of the
// former tags, because most series have the same number of tags.
func (m *rowMaker) retag(b *blank, r *engine.Row) {
	m.tags = m.tags[:0]
	m.AddTags(&m.tags, &r.Record)
	m.tags.AddTag(record.FieldName, "")
	for had := b.metric.TagList(); len(had) > len(m.tags); had = b.metric.TagList() {
		b.metric.RemoveTag(had[0].Key)
	}
	for i, had := range b.metric.TagList() {
		*had = m.tags[i]
	}
	for _, tag := range m.tags[len(b.metric.TagList()):] {
		b.metric.AddTag(tag.Key, tag.Value)
	}
	b.metric.SetName(r.Table)
	b.metric.SetTime(m.Time(&r.Record, r.End, m.pushed))
	b.name, _ = m.tags.find(record.FieldName)
}

// newWide returns a metric without columns, with the name, the time and the tags that all rows of a bucket have.
func (m *rowMaker) newWide(r *engine.Row) telegraf.Metric {
	wide := metric.New(r.Table, nil, nil, m.Time(&r.Record, r.End, m.pushed))
	m.AddTags(wide, &r.Record)
	return wide
}

// addColumns adds the fields of the row to the metric of its bucket.
func (m *rowMaker) addColumns(r *engine.Row) {
	for _, f := range m.fields {
		if f.Key == record.Revision {
			m.wide.AddField(f.Key, f.Value) // one field for all columns
		} else {
			m.wide.AddField(columnName(r.Field, f.Key), f.Value)
		}
	}
}

// columnName returns the name of the column of a statistic of a field: <field>_<statistic>. No two columns have the
// same name. The count of a field a_mode would have the name of the mode_count of a field a, so its name is
// a_mode_field_count.
func columnName(field, statistic string) string {
	if statistic == "count" {
		base := field
		for strings.HasSuffix(base, "_field") {
			base = strings.TrimSuffix(base, "_field")
		}
		if strings.HasSuffix(base, "_mode") {
			field += "_field"
		}
	}
	return field + "_" + statistic
}

// isColumnSuffix reports whether the name of a column may be equal to the tag's key. InfluxDB 3 refuses a column that
// is both a tag and a field.
func isColumnSuffix(key string, statistics []string) bool {
	return slices.ContainsFunc(statistics, func(name string) bool { return strings.HasSuffix(key, "_"+name) })
}

// fieldList collects the fields of a row. It is a [record.Metric].
type fieldList []telegraf.Field

// AddTag does nothing.
func (*fieldList) AddTag(string, string) {}

// AddField appends a field.
func (l *fieldList) AddField(name string, value any) {
	*l = append(*l, telegraf.Field{Key: name, Value: value})
}

// namesEqual reports whether the fields of a metric have the names of l in the same order.
func (l *fieldList) namesEqual(fields []*telegraf.Field) bool {
	return slices.EqualFunc(*l, fields, func(a telegraf.Field, b *telegraf.Field) bool { return a.Key == b.Key })
}

// tagList collects the tags of a bucket, in ascending order of their keys. It is a [record.Metric].
type tagList []telegraf.Tag

// AddTag adds a tag, or replaces the tag with that key, as the method of a metric does.
func (l *tagList) AddTag(key, value string) {
	i, found := l.find(key)
	if found {
		(*l)[i].Value = value
		return
	}
	*l = slices.Insert(*l, i, telegraf.Tag{Key: key, Value: value})
}

// AddField does nothing.
func (*tagList) AddField(string, any) {}

// find returns the index of the tag with that key. If there is none, it returns the index at which to insert it.
func (l *tagList) find(key string) (i int, found bool) {
	return slices.BinarySearchFunc(*l, key, func(t telegraf.Tag, key string) int { return strings.Compare(t.Key, key) })
}
