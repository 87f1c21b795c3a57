package describe

import (
	"github.com/influxdata/telegraf"

	"github.com/telegraf-describe/telegraf-describe/internal/engine"
)

// readPoint fills d.point with the metric, except the time. The point shares the strings of the metric, and its slices are those
// of the point before, so a metric costs no allocation. Values that are not described are counted and left out; a point can end up
// without fields.
func (d *Describe) readPoint(m telegraf.Metric) {
	p := &d.point
	p.Measurement = m.Name()
	tags := p.Tags[:0]
	for _, tag := range m.TagList() {
		tags = append(tags, engine.Tag{Key: tag.Key, Value: tag.Value})
	}
	fields := p.Fields[:0]
	for _, f := range m.FieldList() {
		v, ok := f.Value.(float64) // here and not in number, because most values are
		if !ok {
			if v, ok = d.number(f.Value); !ok {
				d.ignored.Add(1)
				continue
			}
		}
		fields = append(fields, engine.Field{Name: f.Key, Value: v})
	}
	p.Tags, p.Fields = tags, fields
}

// number returns the value of a field that is not a float64 as a float64: 1 and 0 for true and false. It returns false if the value
// is not described: a text, or a truth value if the option booleans is "ignore". Integers beyond 2^53 in magnitude are rounded.
// Telegraf converts the other types of numbers when a field is added.
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
