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
	p.Tags, p.Fields = p.Tags[:0], p.Fields[:0]
	for _, tag := range m.TagList() {
		p.Tags = append(p.Tags, engine.Tag{Key: tag.Key, Value: tag.Value})
	}
	for _, f := range m.FieldList() {
		v, ok := f.Value.(float64)
		if !ok {
			if v, ok = d.number(f.Value); !ok {
				d.ignored++
				continue
			}
		}
		p.Fields = append(p.Fields, engine.Field{Name: f.Key, Value: v})
	}
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

	blank telegraf.Metric // what the rows of one bucket have in common
	of    bucketKey       // the bucket of blank
	field int             // where among the tags of blank the name of the field is
}

// bucketKey identifies a bucket of a series among the rows of a Push.
type bucketKey struct {
	table string
	tags  *engine.Tag // the first tag of the series: the rows of a series share them
	start time.Time
}

// metric returns the row as a metric. Rows of one bucket come one after another, so most of the metric is a copy.
func (m *rowMaker) metric(r *engine.Row) telegraf.Metric {
	key := bucketKey{table: r.Table, start: r.Start}
	if len(r.Tags) > 0 {
		key.tags = &r.Tags[0]
	}
	if m.blank == nil || key != m.of {
		m.of, m.blank = key, m.newBlank(r)
		m.field = slices.IndexFunc(m.blank.TagList(), func(t *telegraf.Tag) bool { return t.Key == record.FieldName })
	}
	row := m.blank.Copy()
	row.TagList()[m.field].Value = r.Field
	m.AddFields(row, &r.Record)
	return row
}

func (m *rowMaker) newBlank(r *engine.Row) telegraf.Metric {
	blank := metric.New(r.Table, nil, nil, m.Time(&r.Record, r.End, time.Time{}))
	m.AddTags(blank, &r.Record)
	blank.AddTag(record.FieldName, "")
	return blank
}
