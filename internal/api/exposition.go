package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
)

// droppedName is the exporter's own gauge, which no statistic can be: of the table "export" one could.
const droppedName = "analytics_export_dropped"

// exporter collects the newest records of the exported tables as gauges: <table>_<statistic> for each
// statistic and <table>_bucket_start_seconds for the time of the bucket.
type exporter struct {
	server *server
	ctx    context.Context // of the request that is answered
}

// export answers with the gauges of the exported tables. It stops reading Redis when the request's context ends.
func (s *server) export(w http.ResponseWriter, r *http.Request, _ *params) error {
	registry := prometheus.NewRegistry()
	registry.MustRegister(&exporter{server: s, ctx: r.Context()})
	return serveMetrics(w, r, registry)
}

// Describe sends nothing: which gauges there are depends on the records.
func (*exporter) Describe(chan<- *prometheus.Desc) {}

// Collect reads the records and sends the gauges. A failure becomes an invalid metric, which fails the
// whole scrape.
func (e *exporter) Collect(ch chan<- prometheus.Metric) {
	x := &exposition{
		ch: ch, room: e.server.ExportMaxSeries, tables: make(map[record.Table]bool), dropped: make(map[string]int),
		types: map[string]string{droppedName: ""},
	}
	for _, named := range e.server.Export {
		if err := x.table(e.ctx, e.server, named); err != nil {
			ch <- prometheus.NewInvalidMetric(prometheus.NewDesc("analytics_export", "The exported tables.", nil, nil), err)
			return
		}
	}
	x.overflow()
}

// exposition is one scrape.
type exposition struct {
	ch      chan<- prometheus.Metric
	room    int                   // for series
	tables  map[record.Table]bool // exported already: a table can be named with and without its prefix
	dropped map[string]int        // series that are not exported, by reason
	types   map[string]string     // the table of each name of a gauge, or none where it is the exporter's own
}

// table sends the gauges of one table. A table that is not there has none.
func (x *exposition) table(ctx context.Context, s *server, named record.Table) error {
	entry, err := s.catalogue.resolve(ctx, named)
	if err != nil {
		if _, missing := err.(notFound); missing { //nolint:errorlint // as resolve returns it
			return nil
		}
		return err
	}
	t := entry.Table
	if x.tables[t] {
		return nil
	}
	x.tables[t] = true
	starts, err := s.reader.Buckets(ctx, t, cache.Range{Last: s.ExportBuckets})
	if err != nil {
		return away(err)
	}
	slices.Reverse(starts)
	seen := seenSeries{cached: make(map[string]bool), exported: make(map[string]bool)}
	return away(s.reader.Records(ctx, t, starts, func(_ time.Time, records []string) error {
		for _, text := range records {
			r, err := record.Parse([]byte(text))
			if err != nil {
				x.dropped["malformed"]++
				continue
			}
			x.record(t, &r, seen)
		}
		return nil
	}))
}

// seenSeries are of one table that a scrape has met.
type seenSeries struct {
	cached   map[string]bool // as the cache names them
	exported map[string]bool // as Prometheus does, for which several of the cache can be one
}

// record sends the gauges of a record when it is the newest of its series.
func (x *exposition) record(t record.Table, r *record.Record, seen seenSeries) {
	cached := joined([]string{r.Field, r.Agent}, r.Tags)
	if seen.cached[cached] {
		return
	}
	seen.cached[cached] = true
	names, values, ok := labels(t, r)
	exported := strings.Join(names, separator) + separator + strings.Join(values, separator)
	switch {
	case !ok || seen.exported[exported]:
		x.dropped["label_clash"]++
		return
	case x.room == 0:
		x.dropped["overflow"]++
		return
	}
	seen.exported[exported] = true
	x.room--
	prefix := metricName(t.Name)
	sent := []string{prefix + "_bucket_start_seconds"}
	x.gauge(sent[0], t, float64(r.Start.UnixNano())/1e9, names, values)
	for _, s := range r.Stats {
		v, ok := number(s.Value)
		name := prefix + "_" + metricName(s.Name)
		switch {
		case !ok:
		case slices.Contains(sent, name):
			x.dropped["name_clash"]++
		default:
			sent = append(sent, name)
			x.gauge(name, t, v, names, values)
		}
	}
}

// gauge sends one gauge, unless another table or the exporter has its name already: names that differ in the
// cache can be one in Prometheus.
func (x *exposition) gauge(name string, t record.Table, v float64, names, values []string) {
	owner := t.Name
	if have, ok := x.types[name]; ok && have != owner {
		x.dropped["name_clash"]++
		return
	}
	x.types[name] = owner
	desc := prometheus.NewDesc(name, fmt.Sprintf("A statistic of table %s in its newest bucket.", t.Name), names, nil)
	m, err := prometheus.NewConstMetric(desc, prometheus.GaugeValue, v, values...)
	if err != nil {
		x.dropped["malformed"]++
		return
	}
	x.ch <- m
}

// overflow sends how many series were not exported, by reason.
func (x *exposition) overflow() {
	desc := prometheus.NewDesc(droppedName, "Series and gauges that this scrape leaves out, by reason.", []string{"reason"}, nil)
	for _, reason := range []string{"overflow", "label_clash", "name_clash", "malformed"} {
		x.ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(x.dropped[reason]), reason)
	}
}

// separator is in no text of a record, which is UTF-8.
const separator = "\xff"

func joined(parts []string, tags []series.Tag) string {
	for _, tag := range tags {
		parts = append(parts, tag.Key, tag.Value)
	}
	return strings.Join(parts, separator)
}

// ownLabels are those that every series has beside its tags.
var ownLabels = []string{"database", record.FieldName, record.Agent}

// labels returns the labels of a record, sorted by name. A tag that has the name of an own label becomes
// <name>_tag. It returns false where two of its tags have one name in Prometheus then.
func labels(t record.Table, r *record.Record) (names, values []string, ok bool) {
	all := make([]series.Tag, 0, len(ownLabels)+len(r.Tags))
	for i, value := range []string{t.Database, r.Field, r.Agent} {
		all = append(all, series.Tag{Key: ownLabels[i], Value: value})
	}
	for _, tag := range r.Tags {
		name := labelName(tag.Key)
		if slices.Contains(ownLabels, name) {
			name += series.ClashSuffix
		}
		all = append(all, series.Tag{Key: name, Value: strings.ToValidUTF8(tag.Value, "\uFFFD")})
	}
	slices.SortFunc(all, func(a, b series.Tag) int { return strings.Compare(a.Key, b.Key) })
	names, values, ok = make([]string, 0, len(all)), make([]string, 0, len(all)), true
	for i, label := range all {
		ok = ok && (i == 0 || label.Key != all[i-1].Key)
		names, values = append(names, label.Key), append(values, label.Value)
	}
	return names, values, ok
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case int64:
		return float64(v), true
	case uint64:
		return float64(v), true
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	}
	return 0, false
}

// metricName makes a name that Prometheus has always allowed.
func metricName(s string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return '_'
	}, s)
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		return "_" + name
	}
	return name
}

// labelName is metricName without the two underscores at the front that Prometheus keeps for itself.
func labelName(s string) string {
	name := metricName(s)
	if strings.HasPrefix(name, "__") {
		return "tag" + name
	}
	return name
}
