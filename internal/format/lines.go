package format

import (
	"fmt"
	"strings"
	"time"

	"github.com/influxdata/line-protocol/v2/lineprotocol"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
)

// layout is the layout of the lines: that of the aggregator by default.
var layout = record.Layout{StateTag: record.BucketState}

// appendLines appends one line for each record: the row of the record as the aggregator writes it, with the tags agent and
// replica. Names that line protocol cannot express are changed as in [series.Sendable]. A record without a statistic, and a
// tag without a value, are left out.
func appendLines(dst []byte, texts []string) ([]byte, error) {
	var e lineprotocol.Encoder
	e.SetPrecision(lineprotocol.Nanosecond)
	e.SetBuffer(dst)
	for _, text := range texts {
		r, err := record.Parse([]byte(text))
		if err != nil {
			return dst, err
		}
		if len(r.Stats) == 0 {
			continue
		}
		if strings.HasPrefix(r.Table, "#") {
			return dst, fmt.Errorf("%w: the table %q: a line that begins with # is a comment", ErrInexpressible, r.Table)
		}
		encode(&e, &r)
		if err := e.Err(); err != nil {
			return dst, fmt.Errorf("%w: the record of field %q in the bucket %s: %w", ErrInexpressible, r.Field, r.Start.Format(time.RFC3339Nano), err)
		}
	}
	return e.Bytes(), nil
}

// encode encodes the line of a record that has a statistic. Its errors are those of the encoder, which keeps the first one.
func encode(e *lineprotocol.Encoder, r *record.Record) {
	e.StartLine(printable(r.Table))
	var row line
	// The tags are collected first, because the encoder wants them in the order of their keys.
	layout.AddTags(&row, r)
	row.AddTag(record.FieldName, r.Field)
	row.AddTag(record.Agent, r.Agent)
	row.AddTag(record.Replica, r.Replica)
	series.SortTags(row.tags)
	for _, tag := range row.tags {
		e.AddTag(tag.Key, tag.Value)
	}
	row.encoder = e
	layout.AddFields(&row, r)
	e.EndLine(layout.Time(r, r.Start, r.Start))
}

// line is the [record.Metric] to which a layout adds the row of a record. Tags are kept until all are there, and fields are encoded at
// once: so encoder is set between the two.
type line struct {
	tags    []series.Tag
	encoder *lineprotocol.Encoder
}

// AddTag keeps a tag that has a value.
func (l *line) AddTag(key, value string) {
	if value = printable(value); value != "" {
		l.tags = append(l.tags, series.Tag{Key: printable(key), Value: value})
	}
}

// AddField encodes a field. In JSON a float without a fraction looks like an integer. InfluxDB gives each column one type,
// so counts are integers and all other numbers are floats, as the aggregator writes them.
func (l *line) AddField(key string, value any) {
	if !record.IsCount(key) {
		switch v := value.(type) {
		case int64:
			value = float64(v)
		case uint64:
			value = float64(v)
		}
	}
	if v, ok := lineprotocol.NewValue(value); ok {
		l.encoder.AddField(printable(key), v)
	}
}

// printable returns a name as line protocol can carry it: a control character that [series.Sendable] leaves becomes U+FFFD.
func printable(name string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f {
			return '\uFFFD'
		}
		return r
	}, series.Sendable(name))
}
