package describe

import (
	"slices"
	"strings"
	"time"

	"github.com/influxdata/telegraf"

	"github.com/telegraf-describe/telegraf-describe/internal/engine"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// rowMaker makes metrics from rows: one metric for each row or, with columns, one metric for all rows of a bucket.
//
//	layout "rows"     row ─▶ metric, with the tag field_name and the fields count, mean, …
//	layout "columns"  rows of a bucket ─▶ metric with the fields <field>_count, <field>_mean, … of all of them
//
// With stats = ["count", "mean"] and the fields idle and usage, a bucket of the host a is in line protocol
//
//	analytics_cpu,bucket_state=final,field_name=idle,host=a count=2i,mean=4 1767225600000000000
//	analytics_cpu,bucket_state=final,field_name=usage,host=a count=2i,mean=2 1767225600000000000
//
// or, in columns,
//
//	analytics_cpu,bucket_state=final,host=a idle_count=2i,idle_mean=4,usage_count=2i,usage_mean=2 1767225600000000000
//
// A Push calls begin, then add for each row, then end. A rowMaker is not safe for concurrent use.
type rowMaker struct {
	record.Layout
	columns bool
	pushed  time.Time // the wall time of the running Push, for timestamp = "push"

	fields fieldList // scratch: the fields of the row
	tags   tagList   // the tags of the rows of one bucket
	name   int       // the index of the tag field_name in tags
	tagged bucketKey // the bucket that tags are of; the zero key before the first row

	wide  fieldList           // with columns: those of the bucket of the last row; empty if no metric waits
	of    bucketKey           // the bucket that wide describes
	at    time.Time           // the time of its metric; m.tags has the tags
	names map[string][]column // the names of the columns of each field, at most maxNames fields
}

// column is the name of the column of a statistic of a field: "mean" and "usage_mean".
type column struct{ statistic, name string }

// maxNames is the largest number of fields whose column names a rowMaker keeps.
const maxNames = 1000

// bucketKey identifies the rows of one bucket of one series. Two states or revisions of a bucket are two keys, because one Push can
// emit both. It compares series by the address of their tags, which is faster than comparing texts. Two series without tags can only
// differ in the table.
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
func (m *rowMaker) begin(now time.Time) { m.pushed, m.wide = now, m.wide[:0] }

// add calls emit for each metric that is complete. The rows of a bucket must be added one after another.
func (m *rowMaker) add(r *engine.Row, emit func(telegraf.Metric)) {
	key := keyOf(r)
	m.fields = m.fields[:0]
	m.AddFields(&m.fields, &r.Record)
	switch {
	case !m.columns:
		emit(m.newRow(key, r))
	case len(m.wide) == 0 || key != m.of:
		m.endColumns(emit)
		m.beginColumns(key, r)
		m.addColumns(r.Field, m.fields)
	default:
		m.addColumns(r.Field, slices.DeleteFunc(m.fields, isRevision)) // one field for all columns
	}
}

// end calls emit for the metric that waits for more columns, and releases the strings of the rows.
func (m *rowMaker) end(emit func(telegraf.Metric)) {
	m.endColumns(emit)
	clear(m.fields[:cap(m.fields)])
	clear(m.wide[:cap(m.wide)])
	clear(m.tags[:cap(m.tags)])
	m.tagged = bucketKey{}
}

// endColumns calls emit for the metric that waits, if there is one.
func (m *rowMaker) endColumns(emit func(telegraf.Metric)) {
	if len(m.wide) > 0 {
		emit(newRow(m.of.table, m.at, m.tags, m.wide))
	}
	m.wide = m.wide[:0]
}

// newRow returns the row as a metric. The fields are in m.fields. The rows of a bucket differ only in these and in the
// name of the field, so the tags are made once for the bucket.
func (m *rowMaker) newRow(key bucketKey, r *engine.Row) telegraf.Metric {
	if m.tagged != key {
		m.tags = m.tags[:0]
		m.AddTags(&m.tags, &r.Record)
		m.tags.AddTag(record.FieldName, "")
		m.name, _ = m.tags.find(record.FieldName)
		m.tagged = key
	}
	m.tags[m.name].Value = r.Field
	return newRow(r.Table, m.Time(&r.Record, r.End, m.pushed), m.tags, m.fields)
}

// beginColumns begins a metric with the name, the time and the tags that all rows of a bucket have.
func (m *rowMaker) beginColumns(key bucketKey, r *engine.Row) {
	m.of, m.at = key, m.Time(&r.Record, r.End, m.pushed)
	m.tags = m.tags[:0]
	m.AddTags(&m.tags, &r.Record)
}

// addColumns adds the statistics of a field to the metric of its bucket. Names are made once for all rows of a field, and
// statistics mostly come in the order of the row before.
func (m *rowMaker) addColumns(field string, statistics fieldList) {
	names := m.names[field]
	next := 0
	for _, f := range statistics {
		if isRevision(f) {
			m.wide = append(m.wide, f)
			continue
		}
		if next == len(names) || names[next].statistic != f.Key {
			if next = slices.IndexFunc(names, func(c column) bool { return c.statistic == f.Key }); next < 0 {
				next = len(names)
				names = append(names, column{f.Key, columnName(field, f.Key)})
				m.keepNames(field, names)
			}
		}
		m.wide = append(m.wide, telegraf.Field{Key: names[next].name, Value: f.Value})
		next++
	}
}

// keepNames keeps the names of the columns of a field for the next rows. At maxNames fields it forgets all of them and begins anew.
func (m *rowMaker) keepNames(field string, names []column) {
	if m.names == nil || len(m.names) >= maxNames && m.names[field] == nil {
		m.names = make(map[string][]column)
	}
	m.names[field] = names
}

// isRevision reports whether a field of a row is the revision of its bucket, which is no statistic.
func isRevision(f telegraf.Field) bool { return f.Key == record.Revision }

// columnName returns the name of the column of a statistic of a field: <field>_<statistic>. No two columns have the
// same name. The count of a field a_mode would have the name of the mode_count of a field a, so its name is
// a_mode_field_count. That is the name which the count of a field a_mode_field would have, so that one gets another _field, and so on:
//
//	field          count                      mode_count
//	a              a_count                    a_mode_count
//	a_mode         a_mode_field_count         a_mode_mode_count
//	a_mode_field   a_mode_field_field_count   a_mode_field_mode_count
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

// isColumnSuffix reports whether the name of a column may be equal to the tag's key: that of some field and one of the statistics.
// InfluxDB 3 refuses a column that is both a tag and a field.
func isColumnSuffix(key string, statistics []string) bool {
	return slices.ContainsFunc(statistics, func(name string) bool { return strings.HasSuffix(key, "_"+name) })
}

// fieldList collects the fields of a row, in the order in which the record adds them. It is a [record.Metric].
type fieldList []telegraf.Field

// AddTag does nothing.
func (*fieldList) AddTag(string, string) {}

// AddField appends a field. A record adds no name twice.
func (l *fieldList) AddField(name string, value any) {
	*l = append(*l, telegraf.Field{Key: name, Value: value})
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
