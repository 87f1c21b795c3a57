package describefile

import (
	"cmp"
	"fmt"
	"io"
	"math"

	"github.com/influxdata/line-protocol/v2/lineprotocol"

	"github.com/telegraf-describe/telegraf-describe/internal/profile"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
	"github.com/telegraf-describe/telegraf-describe/internal/show"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// prefix is that of the names of tables, as the aggregator has it by default.
const prefix = "analytics_"

// writeLP writes the rows as line protocol, as the aggregator emits them: the measurement analytics_<measurement>, the tags
// of the group and field_name, the statistics as fields, and the start of the bucket as the time. Without buckets the lines
// have no time. For x.csv with --group-by host:
//
//	analytics_x,field_name=v,host=a type="float",count=2i,missing=0i,distinct=2i,min=1.5,max=7,mean=4.25,…
//
// A row without a field is left out. The error is that of w, or of a name that line protocol cannot carry; lines before it may have been
// written.
func (o *options) writeLP(w io.Writer, rows []profile.Row) error {
	for i := range rows {
		r := &rows[i]
		if !o.useful(r) {
			continue
		}
		var e lineprotocol.Encoder
		e.SetPrecision(lineprotocol.Nanosecond)
		e.StartLine(prefix + sendable(cmp.Or(r.Table, o.name)))
		for _, tag := range lpTags(r) {
			e.AddTag(tag.Key, tag.Value)
		}
		if fields := o.addFields(&e, r); fields == 0 {
			continue // a line needs a field
		}
		e.EndLine(r.Start)
		if err := e.Err(); err != nil {
			return fmt.Errorf("column %q: %w", r.Column, err)
		}
		if _, err := w.Write(e.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// sendable returns a name as line protocol can carry it: control characters are escapes, as the measurements and columns of files may
// have any.
func sendable(name string) string { return series.Sendable(show.Clean(name)) }

// lpTags returns the tags of a row in ascending order of keys, as the encoder wants them. A tag with the name of another part of the
// line is renamed, as the aggregator does: count is count_tag, and type is type_tag. A tag without a value is left out, because line
// protocol cannot have it, and a column without a name is "_".
func lpTags(r *profile.Row) []series.Tag {
	var tags []series.Tag
	for _, tag := range r.Tags {
		if tag.Key, tag.Value = sendable(tag.Key), sendable(tag.Value); tag.Value != "" {
			tags = append(tags, tag)
		}
	}
	record.RenameTags(tags, func(key string) bool { return factOf(key) != nil })
	name := sendable(r.Column)
	if name == "" {
		name = "_"
	}
	tags = append(tags, series.Tag{Key: record.FieldName, Value: name})
	series.SortTags(tags)
	return tags
}

// addFields adds the fields of a row and returns how many there are. What a row does not have is left out, as line protocol has no null.
// The minimum and maximum of times are left out too: line protocol has no type for them.
func (o *options) addFields(e *lineprotocol.Encoder, r *profile.Row) (n int) {
	statistics := o.profile.Selection.Statistics()
	add := func(name string, v any) {
		if value, ok := lineprotocol.NewValue(v); ok {
			e.AddField(name, value)
			n++
		}
	}
	// Counts are integers and all other numbers floats, as the aggregator has them: databases keep the first type of a field.
	for i := range o.columns {
		switch c := &o.columns[i]; {
		case c.name == "type":
			add(c.name, r.Type)
		case c.name == "missing":
			add(c.name, int64(r.Missing))
		case c.name == "distinct":
			add(c.name, int64(r.Distinct))
		case c.name == "top" && r.TopCount > 0:
			add(c.name, series.Sendable(r.Top))
		case c.name == "top_count" && r.TopCount > 0:
			add(c.name, int64(r.TopCount))
		case c.fact != nil:
		case c.kind == stats.Count:
			add(c.name, int64(r.Count))
		case r.Stats != nil && !math.IsNaN(r.Stats[c.stat]):
			add(record.StatName(statistics[c.stat]), r.Stats[c.stat])
		}
	}
	return n
}
