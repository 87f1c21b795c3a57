package describe

import (
	"math"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/metric"

	"github.com/telegraf-describe/telegraf-describe/internal/bucket"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// emit adds one metric for each field that has values in the bucket.
func (d *Describe) emit(acc telegraf.Accumulator, s *series, b *bucket.Bucket[summaries]) {
	at := time.Unix(0, b.Start).UTC()
	if d.Timestamp == "end" {
		at = time.Unix(0, b.End).UTC()
	}
	d.warnOld(at)
	b.State.bytes = 0
	for i := range b.State.fields {
		summary := &b.State.fields[i]
		if summary.Count() == 0 {
			continue
		}
		m := metric.New(d.Prefix+s.measurement, nil, nil, at)
		d.addTags(m, s, s.schema.names[i], b.Start)
		d.addStats(m, summary)
		b.State.bytes += summary.Bytes()
		acc.AddMetric(m)
	}
}

func (d *Describe) addTags(m telegraf.Metric, s *series, field string, start int64) {
	for _, tag := range s.tags {
		m.AddTag(tag.Key, tag.Value)
	}
	m.AddTag(record.FieldName, field)
	if d.BucketTag != "" {
		m.AddTag(d.BucketTag, time.Unix(0, start).UTC().Format(time.RFC3339Nano))
	}
}

// addStats adds the statistics that the summary has. Which these are never shrinks as values come in,
// so a later emission of a bucket has at least the fields of an earlier one.
func (d *Describe) addStats(m telegraf.Metric, summary *stats.Summary) {
	d.row = d.selection.Append(d.row[:0], summary)
	for i, v := range d.row {
		switch {
		case math.IsNaN(v):
		case d.selection.Statistics()[i].Kind() == stats.Count:
			m.AddField(d.names[i], int64(v))
		default:
			m.AddField(d.names[i], v)
		}
	}
}
