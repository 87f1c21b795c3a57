package describe

import (
	"encoding/base64"
	"math"
	"slices"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/metric"

	"github.com/telegraf-describe/telegraf-describe/internal/bucket"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// compactLimit is up to how many values a compact summary is exact.
const compactLimit = 64

// emit adds one metric for each field that has values in the bucket. Nothing is staged.
func (d *Describe) emit(acc telegraf.Accumulator, s *series, b *bucket.Bucket[summaries]) {
	blank := d.blank(s, b)
	field := slices.IndexFunc(blank.TagList(), func(t *telegraf.Tag) bool { return t.Key == record.FieldName })
	for i := range b.State.fields {
		summary := &b.State.fields[i]
		if summary.Count() == 0 {
			continue
		}
		m := blank.Copy()
		m.TagList()[field].Value = s.schema.names[i]
		d.fill(m, summary)
		acc.AddMetric(m)
	}
}

// blank returns what the metrics of a bucket have in common: all but the field's name and the statistics.
func (d *Describe) blank(s *series, b *bucket.Bucket[summaries]) telegraf.Metric {
	at := time.Unix(0, b.Start).UTC()
	if d.Timestamp == "end" {
		at = time.Unix(0, b.End).UTC()
	}
	d.warnOld(at)
	m := metric.New(d.Prefix, nil, nil, at)
	key, n := "", 0
	for text := range texts(s.id) {
		switch {
		case n == 0:
			m.SetName(d.Prefix + text)
		case n%2 == 1:
			key = text
		default:
			m.AddTag(key, text)
		}
		n++
	}
	m.AddTag(record.FieldName, "")
	if d.BucketTag != "" {
		m.AddTag(d.BucketTag, time.Unix(0, b.Start).UTC().Format(time.RFC3339Nano))
	}
	for _, name := range d.names {
		m.AddField(name, 0.0)
	}
	return m
}

// fill gives the metric the statistics that the summary has. Which these are never shrinks as values come in,
// so a later emission of a bucket has at least the fields of an earlier one.
func (d *Describe) fill(m telegraf.Metric, summary *stats.Summary) {
	d.stats = d.selection.Append(d.stats[:0], summary)
	absent := false
	for i, f := range m.FieldList() {
		switch v := d.stats[i]; {
		case math.IsNaN(v):
			absent = true
		case d.selection.Statistics()[i].Kind() == stats.Count:
			f.Value = int64(v)
		default:
			f.Value = v
		}
	}
	if absent {
		for i, v := range d.stats {
			if math.IsNaN(v) {
				m.RemoveField(d.names[i])
			}
		}
	}
	if d.EmitSummary != "off" {
		m.AddField(record.Summary, d.encoded(summary))
	}
}

// encoded returns the summary as base64.
func (d *Describe) encoded(summary *stats.Summary) string {
	if d.EmitSummary == "compact" {
		d.bytes = summary.AppendLimited(d.bytes[:0], compactLimit)
	} else {
		d.bytes, _ = summary.AppendBinary(d.bytes[:0]) // never an error
	}
	return base64.StdEncoding.EncodeToString(d.bytes)
}
