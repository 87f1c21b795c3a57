package rediscache

import (
	"errors"
	"slices"

	"github.com/influxdata/telegraf"

	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// batch is the state of one Write: the records by table, and the result for each metric. Metrics are known by their index in
// the argument of Write, as Telegraf wants it in [partialError]. A metric is in accepted, in rejected or in neither; Telegraf
// writes those in neither again:
//
//	not a record                              rejected, unfit
//	written                                   accepted
//	waits in the writer for a server          accepted, counted in deferred
//	of a table that Redis rejects for good    rejected, refused
//	of a table that could not be written      neither; failed has the reason, unless Write did not try the table
type batch struct {
	tables   map[record.Table]*part
	order    []record.Table // the tables in the order of their first metrics
	ignored  int64          // fields that have no place in a record
	accepted []int          // the indices of the metrics that are written
	rejected []int          // the indices of the metrics that cannot be written
	reasons  []error        // the reason for each index in rejected
	unfit    []error        // the reasons of metrics that are not records; they are logged, not returned
	refused  []error        // one for each table that Redis rejects permanently
	failed   []error        // one for each table whose metrics must be written again
	away     []away         // the tables of a cluster whose server does not answer
	deferred int            // how many accepted records wait in the writer
}

// away is a table whose server in a cluster does not answer.
type away struct {
	table record.Table
	err   error // nil if it was not tried, because the server did not answer for another table
}

// part holds the records of one table, in the order of their metrics. Both slices have the same length.
type part struct {
	records []record.Record
	indices []int // the index of the metric of each record
}

// sort reads the records of the metrics, by table, and rejects the metrics that are not records.
func (r *RedisCache) sort(metrics []telegraf.Metric) *batch {
	b := &batch{tables: make(map[record.Table]*part)}
	for i, m := range metrics {
		t, rec, err := r.read(m, b)
		if err != nil {
			b.reject(i, err)
			b.unfit = append(b.unfit, err)
			continue
		}
		p := b.tables[t]
		if p == nil {
			p = &part{}
			b.tables[t] = p
			b.order = append(b.order, t)
		}
		p.records, p.indices = append(p.records, rec), append(p.indices, i)
	}
	return b
}

// reject notes that a metric is never written, and why.
func (b *batch) reject(i int, reason error) {
	b.rejected, b.reasons = append(b.rejected, i), append(b.reasons, reason)
}

// refuse rejects all metrics of a table. The reason is returned to Telegraf once, not for each metric.
func (b *batch) refuse(p *part, reason error) {
	for _, i := range p.indices {
		b.reject(i, reason)
	}
	b.refused = append(b.refused, reason)
}

// err returns the result in the form that Telegraf expects. Metrics that are not records cause no error, because
// Telegraf would log it with every batch for as long as such metrics reach this output. They are counted, and each
// reason is logged once.
//
// Without a result for any metric, a plain error makes Telegraf keep the whole batch. Otherwise the error is a
// [partialError], with which Telegraf keeps only the metrics that are neither accepted nor rejected.
func (b *batch) err() error {
	errs := append(slices.Clone(b.refused), b.failed...)
	switch {
	case len(errs) == 0:
		return nil
	case len(b.accepted) == 0 && len(b.rejected) == 0:
		return errors.Join(errs...)
	}
	return &partialError{err: errors.Join(errs...), accept: b.accepted, reject: b.rejected, reasons: b.reasons}
}

// read returns the record of a metric and the table that it belongs to, and adds to b.ignored. It does not change the metric;
// the record has the same strings, so that the record costs no copy of them. A metric without database_tag belongs to the
// database of the options.
func (r *RedisCache) read(m telegraf.Metric, b *batch) (record.Table, record.Record, error) {
	t := record.Table{Database: r.Database, Name: m.Name()}
	// record.FromRow reads tags and fields in place. The tag of the database is left out, so that it is no tag of the record.
	tags := func(yield func(key, value string) bool) {
		for _, tag := range m.TagList() {
			if r.DatabaseTag != "" && tag.Key == r.DatabaseTag {
				t.Database = tag.Value
			} else if !yield(tag.Key, tag.Value) {
				return
			}
		}
	}
	fields := func(yield func(name string, value any) bool) {
		for _, f := range m.FieldList() {
			if !yield(f.Key, f.Value) {
				return
			}
		}
	}
	rec, ignored, err := record.FromRow(m.Name(), m.Time(), tags, fields) // after that, t has the database of the tag
	if err != nil {
		return t, rec, err
	}
	b.ignored += int64(ignored)
	rec.Agent, rec.Replica = r.Agent, r.Replica
	return t, rec, cache.CheckTable(t)
}
