package describe

import (
	"slices"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/metric"

	"github.com/telegraf-describe/telegraf-describe/internal/engine"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// readPoint makes d.point of the metric, but for its time. The point shares the metric's texts.
func (d *Describe) readPoint(m telegraf.Metric) {
	p := &d.point
	p.Measurement = m.Name()
	tags := p.Tags[:0]
	for _, tag := range m.TagList() {
		tags = append(tags, engine.Tag{Key: tag.Key, Value: tag.Value})
	}
	fields := p.Fields[:0]
	for _, f := range m.FieldList() {
		v, ok := f.Value.(float64)
		if !ok {
			if v, ok = d.number(f.Value); !ok {
				d.ignored++
				continue
			}
		}
		fields = append(fields, engine.Field{Name: f.Key, Value: v})
	}
	p.Tags, p.Fields = tags, fields
}

// number returns the value of a field that is no float64 as one, or false where it is no number.
func (d *Describe) number(value any) (float64, bool) {
	switch v := value.(type) {
	case int64:
		return float64(v), true
	case uint64:
		return float64(v), true
	case bool:
		switch {
		case d.Booleans == "ignore":
			return 0, false
		case v:
			return 1, true
		}
		return 0, true
	}
	return 0, false
}

// rowMaker makes metrics of rows.
type rowMaker struct {
	record.Layout

	fields fieldList       // scratch: of the row
	blank  telegraf.Metric // a metric as the rows of one bucket are that have the same fields
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

// metric returns the row as a metric. Rows of one bucket come one after another, so most of them are a copy of which
// only the values change.
func (m *rowMaker) metric(r *engine.Row) telegraf.Metric {
	key := bucketKey{table: r.Table, start: r.Start, state: r.State, revision: r.Revision}
	if len(r.Tags) > 0 {
		key.tags = &r.Tags[0]
	}
	m.fields = m.fields[:0]
	m.AddFields(&m.fields, &r.Record)
	if m.blank == nil || key != m.of || !m.fields.namesEqual(m.blank.FieldList()) {
		m.of, m.blank = key, m.newBlank(r)
		m.name = slices.IndexFunc(m.blank.TagList(), func(t *telegraf.Tag) bool { return t.Key == record.FieldName })
	}
	row := m.blank.Copy()
	row.TagList()[m.name].Value = r.Field
	for i, f := range row.FieldList() {
		f.Value = m.fields[i].Value
	}
	return row
}

// newBlank returns a metric that has the tags and m.fields, but no name of the described field.
func (m *rowMaker) newBlank(r *engine.Row) telegraf.Metric {
	blank := metric.New(r.Table, nil, nil, m.Time(&r.Record, r.End, time.Time{}))
	m.AddTags(blank, &r.Record)
	blank.AddTag(record.FieldName, "")
	for _, f := range m.fields {
		blank.AddField(f.Key, f.Value)
	}
	return blank
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
