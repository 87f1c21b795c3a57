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

// rowMaker makes metrics of rows: one of each row, or one of all rows of a bucket with a column for each statistic.
type rowMaker struct {
	record.Layout
	columns bool
	pushed  time.Time // of the Push under way

	fields fieldList       // scratch: of the row
	blank  telegraf.Metric // of the bucket of the last row: see newBlank; nil before the first row
	of     bucketKey       // the bucket of blank
	name   int             // where among the tags of blank the name of the field is
}

// bucketKey identifies the rows of a bucket of a series that leave together.
type bucketKey struct {
	table    string
	tags     *engine.Tag // the first tag of the series: the rows of a series share them
	start    time.Time
	state    record.State
	revision int64
}

func keyOf(r *engine.Row) bucketKey {
	key := bucketKey{table: r.Table, start: r.Start, state: r.State, revision: r.Revision}
	if len(r.Tags) > 0 {
		key.tags = &r.Tags[0]
	}
	return key
}

// begin prepares for the rows of a Push at that time.
func (m *rowMaker) begin(now time.Time) { m.pushed, m.blank = now, nil }

// add passes the metrics that are complete to emit. Rows of one bucket come one after another.
func (m *rowMaker) add(r *engine.Row, emit func(telegraf.Metric)) {
	key := keyOf(r)
	m.fields = m.fields[:0]
	m.AddFields(&m.fields, &r.Record)
	switch {
	case !m.columns:
		emit(m.row(key, r))
	case m.blank == nil || key != m.of:
		m.end(emit)
		m.of, m.blank = key, m.newBlank(r)
		m.addColumns(r)
	default:
		m.addColumns(r)
	}
}

// end passes the metric that waits for more columns to emit.
func (m *rowMaker) end(emit func(telegraf.Metric)) {
	if m.columns && m.blank != nil {
		emit(m.blank)
	}
	m.blank = nil
}

// row returns the row as a metric. Most rows are a copy of the one before in which only the values change.
func (m *rowMaker) row(key bucketKey, r *engine.Row) telegraf.Metric {
	if m.blank == nil || key != m.of || !m.fields.namesEqual(m.blank.FieldList()) {
		m.of, m.blank = key, m.newBlank(r)
		m.blank.AddTag(record.FieldName, "")
		m.name = slices.IndexFunc(m.blank.TagList(), func(t *telegraf.Tag) bool { return t.Key == record.FieldName })
		for _, f := range m.fields {
			m.blank.AddField(f.Key, f.Value)
		}
	}
	row := m.blank.Copy()
	row.TagList()[m.name].Value = r.Field
	for i, f := range row.FieldList() {
		f.Value = m.fields[i].Value
	}
	return row
}

// newBlank returns a metric with the name, the time and the tags that all rows of a bucket have.
func (m *rowMaker) newBlank(r *engine.Row) telegraf.Metric {
	blank := metric.New(r.Table, nil, nil, m.Time(&r.Record, r.End, m.pushed))
	m.AddTags(blank, &r.Record)
	return blank
}

// addColumns adds the fields of the row to the metric of its bucket.
func (m *rowMaker) addColumns(r *engine.Row) {
	for _, f := range m.fields {
		if f.Key == record.Revision {
			m.blank.AddField(f.Key, f.Value) // one for all columns
		} else {
			m.blank.AddField(columnName(r.Field, f.Key), f.Value)
		}
	}
}

// columnName returns the name of the column of a statistic of a field: <field>_<statistic>. No two columns have the same
// name. The count of a field a_mode would be named as the mode_count of a field a, so it is a_mode_field_count.
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

// isColumnSuffix reports whether a column's name may end as the tag's key does, so that a tag of that name may be a column
// too, which InfluxDB 3 refuses.
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

// namesEqual reports whether the fields of a metric have the same names in the same order.
func (l *fieldList) namesEqual(fields []*telegraf.Field) bool {
	return slices.EqualFunc(*l, fields, func(a telegraf.Field, b *telegraf.Field) bool { return a.Key == b.Key })
}
