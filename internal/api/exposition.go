package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
	"github.com/telegraf-describe/telegraf-describe/internal/token"
)

// droppedName is the name of the exporter's own gauge. A statistic "dropped" of a table "analytics_export" would have
// the same name; [exposition.gauge] counts such a clash.
const droppedName = "analytics_export_dropped"

// exporter collects the newest final record of each series of the exported tables as gauges: <table>_<statistic> for each
// statistic, and <table>_bucket_start_seconds for the start of the record's bucket.
type exporter struct {
	server *server
	ctx    context.Context // of the request that is answered
	grant  token.Grant     // of the request
}

// export answers with the gauges of the exported tables. It stops reading Redis when the request's context ends.
func (s *server) export(w http.ResponseWriter, r *http.Request, p *params) error {
	registry := prometheus.NewRegistry()
	registry.MustRegister(&exporter{server: s, ctx: r.Context(), grant: p.grant})
	return serveMetrics(w, r, registry)
}

// Describe sends nothing, because the gauges depend on the records.
func (*exporter) Describe(chan<- *prometheus.Desc) {}

// Collect reads the records and sends the gauges. A failure becomes an invalid metric, which fails the
// whole scrape.
func (e *exporter) Collect(ch chan<- prometheus.Metric) {
	x := &exposition{
		ch: ch, room: e.server.ExportMaxSeries, tables: make(map[record.Table]bool), dropped: make(map[string]int),
		types: map[string]string{droppedName: ""},
	}
	for _, named := range e.server.Export {
		if err := x.table(e.ctx, e.server, e.grant, named); err != nil {
			ch <- prometheus.NewInvalidMetric(prometheus.NewDesc("analytics_export", "The exported tables.", nil, nil), err)
			return
		}
	}
	x.sendDropped()
}

// exposition is the state of one scrape. One goroutine uses it.
type exposition struct {
	ch      chan<- prometheus.Metric
	room    int                   // how many more series may be exported
	tables  map[record.Table]bool // tables that are exported already; the options can name a table with and without its prefix
	dropped map[string]int        // how many series, gauges, records and buckets are not exported, by reason
	types   map[string]string     // by the name of a gauge, the table that it belongs to; "" for the exporter's own gauge
}

// table sends the gauges of one table, and nothing for a table that does not exist.
func (x *exposition) table(ctx context.Context, s *server, grant token.Grant, named record.Table) error {
	entry, err := s.catalogue.resolve(ctx, grant, token.Metrics, named)
	if err != nil {
		if _, missing := err.(notFound); missing { //nolint:errorlint // as resolve returns it
			return nil
		}
		return err
	}
	if x.tables[entry.Table] {
		return nil
	}
	x.tables[entry.Table] = true
	plan, err := s.planScrape(ctx, entry.Table)
	if err != nil {
		return err
	}
	t := &tableScrape{
		exposition: x, table: entry.Table, plan: plan, buckets: s.ExportBuckets, cached: make(map[string]bool), exported: make(map[string]bool),
	}
	return away(t.read(ctx, s.reader))
}

// tableScrape is the state of the export of one table.
type tableScrape struct {
	*exposition
	table    record.Table
	plan     scrapePlan
	buckets  int             // how many more buckets may be read
	marked   bool            // whether a record with the member "final" was read
	cached   map[string]bool // series of the cache whose newest final record was read, by the result of seriesOf
	exported map[string]bool // label sets that are exported; several series of the cache can have the same labels
}

// read reads the buckets of the plan. It reads the late buckets only if records are marked as final or open: unmarked
// records in late buckets are too old.
func (t *tableScrape) read(ctx context.Context, reader Reader) error {
	if err := t.readSome(ctx, reader, t.plan.recent); err != nil {
		return err
	}
	if t.marked {
		if err := t.readSome(ctx, reader, t.plan.late); err != nil {
			return err
		}
	}
	return reader.Records(ctx, t.table, t.plan.future, t.countFuture)
}

// readSome reads the buckets, up to the limit of buckets, and counts those beyond the limit as dropped.
func (t *tableScrape) readSome(ctx context.Context, reader Reader, starts []time.Time) error {
	n := min(len(starts), t.buckets)
	t.buckets -= n
	t.dropped["buckets"] += len(starts) - n
	return reader.Records(ctx, t.table, starts[:n], t.take)
}

// take exports each final record of a bucket, unless a newer final record of the same series was exported before.
func (t *tableScrape) take(start time.Time, records []string) error {
	for _, text := range records {
		state := stateOf(text)
		t.marked = t.marked || state != record.Unmarked
		if !t.plan.isFinal(start, text) || state == record.Unmarked && start.Before(t.plan.oldest) {
			continue
		}
		name, r, ok := t.unseen(text)
		if !ok {
			continue
		}
		if r == nil {
			if r, ok = t.parse(text); !ok {
				continue
			}
		}
		t.cached[name] = true
		t.record(r)
	}
	return nil
}

// countFuture counts the series in a bucket that begins after now, except those that were exported from another
// bucket.
func (t *tableScrape) countFuture(_ time.Time, records []string) error {
	for _, text := range records {
		if name, _, ok := t.unseen(text); ok {
			t.cached[name] = true
			t.dropped["future"]++
		}
	}
	return nil
}

// unseen returns the name of the record's series for t.cached, and whether that name is not in t.cached yet. It
// returns the record too if it had to parse it. For a malformed record, it counts the record and returns false.
func (t *tableScrape) unseen(text string) (name string, parsed *record.Record, ok bool) {
	name, ok = seriesOf(text)
	if !ok {
		if parsed, ok = t.parse(text); !ok {
			return "", nil, false
		}
		name = keyOf(parsed)
	}
	return name, parsed, !t.cached[name]
}

// parse parses a record. If the record is malformed, it counts it and returns false.
func (t *tableScrape) parse(text string) (*record.Record, bool) {
	r, err := record.Parse([]byte(text))
	if err != nil {
		t.dropped["malformed"]++
		return nil, false
	}
	return &r, true
}

// keyOf returns a text that is equal for two records of a table if and only if their fields, agents and tags are
// equal. It is used for records that [seriesOf] cannot scan.
func keyOf(r *record.Record) string {
	s := series.Series{Measurement: r.Field, Tags: r.Tags}
	return string(series.AppendEscaped(append(s.AppendKey(nil), '|'), r.Agent))
}

// labelsKey returns a text that is equal for two label sets if and only if the label sets are equal.
func labelsKey(names, values []string) string {
	tags := make([]series.Tag, len(names))
	for i, name := range names {
		tags[i] = series.Tag{Key: name, Value: values[i]}
	}
	return string(series.AppendTags(nil, tags))
}

// record sends the gauges of a record.
func (t *tableScrape) record(r *record.Record) {
	names, values, ok := labels(t.table, r)
	exported := labelsKey(names, values)
	switch {
	case !ok || t.exported[exported]:
		t.dropped["label_clash"]++
		return
	case t.room == 0:
		t.dropped["overflow"]++
		return
	}
	t.exported[exported] = true
	t.room--
	prefix := metricName(t.table.Name)
	sent := []string{prefix + "_bucket_start_seconds"}
	t.gauge(sent[0], t.table, float64(r.Start.UnixNano())/1e9, names, values)
	for _, s := range r.Stats {
		v, ok := number(s.Value)
		name := prefix + "_" + metricName(s.Name)
		switch {
		case !ok:
		case slices.Contains(sent, name):
			t.dropped["name_clash"]++
		default:
			sent = append(sent, name)
			t.gauge(name, t.table, v, names, values)
		}
	}
}

// gauge sends one gauge. If another table or the exporter itself has a gauge of that name, it counts a clash instead:
// different names in the cache can become the same name in Prometheus.
func (x *exposition) gauge(name string, t record.Table, v float64, names, values []string) {
	owner := t.Name
	if have, ok := x.types[name]; ok && have != owner {
		x.dropped["name_clash"]++
		return
	}
	x.types[name] = owner
	desc := prometheus.NewDesc(name, fmt.Sprintf("A statistic of table %s in the newest final bucket of each series.", t.Name), names, nil)
	m, err := prometheus.NewConstMetric(desc, prometheus.GaugeValue, v, values...)
	if err != nil {
		x.dropped["malformed"]++
		return
	}
	x.ch <- m
}

// sendDropped sends the numbers of what was not exported, by reason.
func (x *exposition) sendDropped() {
	desc := prometheus.NewDesc(droppedName, "Series, gauges, records and buckets that this scrape leaves out, by reason.", []string{"reason"}, nil)
	for _, reason := range []string{"buckets", "future", "label_clash", "malformed", "name_clash", "overflow"} {
		x.ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(x.dropped[reason]), reason)
	}
}
