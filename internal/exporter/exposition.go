package exporter

import (
	"context"
	"errors"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// The exporter's own gauges. No table can have a gauge of one of these names: [Exposition.family] counts a clash.
const (
	droppedName = "analytics_export_dropped"
	tableUpName = "analytics_export_table_up"
)

// droppedReasons are the values of the label of droppedName. Each has a sample, also with the value 0:
//
//	buckets      buckets that a limit of buckets or records has left unread
//	future       series of the newest bucket, if that begins after now, which are not exported from another bucket
//	label_clash  series whose labels another series has, or which have one name twice
//	malformed    texts in Redis that are not valid records, and series with a summary that is not valid
//	name_clash   gauges whose name another table, another statistic or the exporter has
//	no_summary   series of several agents that cannot be merged without summaries
//	overflow     series beyond [Options.MaxSeries]
//	unreadable   tables that could not be read
var droppedReasons = []string{"buckets", "future", "label_clash", "malformed", "name_clash", "no_summary", "overflow", "unreadable"}

// distributionEnd is the end of the name of a table's histograms.
const distributionEnd = "_distribution"

// Exposition has the samples of one scrape. It does not change, so it is safe for concurrent use. Its size includes neither the
// names nor the help of the families, which are few.
type Exposition struct {
	families map[string]*family // by name
	protobuf bool               // the encoding of the labels, and whether there are histograms
	dropped  map[string]int     // how many series, gauges, records and buckets are not exported, by reason
	size     int                // about how many bytes of memory the samples need
	failed   []error            // why each source could not be read, nil if it could

	// Used while it is made.
	room   int                    // how many more series may be exported
	scans  int                    // how many more records may be read
	tables map[record.Table]error // the results of tables that were read; two sources can be stored as one table
}

// family are the samples of one name, which belong to one table.
type family struct {
	table     string   // empty for the exporter's own gauges
	help      string   // not escaped
	histogram bool     // whether the samples are native histograms; they are gauges otherwise
	samples   []sample // with different labels; sorted by these once all are there
}

// sample is one gauge or one native histogram.
type sample struct {
	labels    string  // in the encoding of the exposition; the samples of a record share its memory
	value     float64 // of a gauge
	histogram string  // the encoded message Histogram
}

// Read reads the newest final records of the sources from Redis. With protobuf, the exposition has histograms and can only be
// written by [Exposition.WriteProto], or else only by [Exposition.WriteText]. The limits of o are not errors, but counted in the
// exposition. So is a table whose data is corrupt, or whose server does not answer: see [Exposition.Failed]. The error is that of
// ctx, or of the reader if it did not answer for any table.
func Read(ctx context.Context, reader Reader, sources []Source, protobuf bool, o Options) (*Exposition, error) {
	x := &Exposition{
		families: make(map[string]*family), protobuf: protobuf, dropped: make(map[string]int),
		room: o.MaxSeries, scans: o.MaxScanned, tables: make(map[record.Table]error),
	}
	for _, source := range sources {
		x.failed = append(x.failed, x.addTable(ctx, reader, source, &o))
	}
	if err := x.failure(ctx); err != nil {
		return nil, err
	}
	for _, reason := range droppedReasons {
		x.own(droppedName, "Series, gauges, records and buckets that this scrape leaves out, by reason.", x.dropped[reason], "reason", reason)
	}
	for _, f := range x.families {
		slices.SortFunc(f.samples, func(a, b sample) int { return strings.Compare(a.labels, b.labels) })
	}
	return x, nil
}

// Failed returns why the source with that index could not be read, or nil. Samples of it can be missing.
func (x *Exposition) Failed(source int) error { return x.failed[source] }

// failure returns the error of Read.
func (x *Exposition) failure(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, err := range x.failed {
		if err == nil || errors.As(err, new(*record.Corrupt)) {
			return nil // the reader answers
		}
	}
	return errors.Join(x.failed...)
}

// Size returns about how many bytes of memory the exposition needs.
func (x *Exposition) Size() int { return x.size }

// addTable adds the samples of one table, and whether the table exists. It returns why the table could not be read, or nil.
func (x *Exposition) addTable(ctx context.Context, reader Reader, source Source, o *Options) error {
	err := source.Err
	if err == nil && !source.Missing {
		err = x.readTable(ctx, reader, source, o)
	}
	up := 1
	switch {
	case err != nil:
		x.dropped["unreadable"]++
		up = 0
	case source.Missing:
		up = 0
	}
	x.own(tableUpName, "Whether a table of the settings [[export]] is in Redis and can be read.", up, "database", source.Database, "table", source.Name)
	return err
}

// readTable reads the table of a source, once if several sources are stored as one table. That happens if the settings have a table
// with its prefix and without.
func (x *Exposition) readTable(ctx context.Context, reader Reader, source Source, o *Options) error {
	if err, again := x.tables[source.Stored]; again {
		return err
	}
	plan, err := newPlan(ctx, reader, source.Stored, o)
	if err == nil {
		err = newTableScrape(x, Table{source.Stored, source.EachAgent}, plan, o.MaxBuckets).run(ctx, reader)
	}
	x.tables[source.Stored] = err
	return err
}

// own adds a gauge of the exporter itself. names has the names and values of its labels in turn.
func (x *Exposition) own(name, help string, v int, names ...string) {
	f := x.families[name]
	if f == nil {
		f = &family{help: help}
		x.families[name] = f
	}
	var labels labels
	for pair := range slices.Chunk(names, 2) {
		labels.names, labels.values = append(labels.names, pair[0]), append(labels.values, pair[1])
	}
	f.samples = append(f.samples, sample{labels: labels.encode(x.protobuf), value: float64(v)})
}

// gauges adds the gauges of a record, whose labels are encoded. A statistic that is neither a number nor a boolean has no gauge.
func (x *Exposition) gauges(t record.Table, r *record.Record, labels string) {
	prefix := metricName(t.Name)
	start := prefix + "_bucket_start_seconds"
	// Two statistics can get one name, as other characters become "_": the first one wins.
	sent := []string{start, prefix + distributionEnd} // names that no statistic may have
	if f := x.family(start, t, "", helpOfStart(t)); f != nil {
		x.add(f, sample{labels: labels, value: float64(r.Start.Unix()) + float64(r.Start.Nanosecond())/1e9})
	}
	for _, s := range r.Stats {
		v, ok := number(s.Value)
		name := prefix + "_" + statName(s.Name)
		switch {
		case !ok:
		case slices.Contains(sent, name):
			x.dropped["name_clash"]++
		default:
			sent = append(sent, name)
			if f := x.family(name, t, s.Name, ""); f != nil {
				x.add(f, sample{labels: labels, value: v})
			}
		}
	}
}

// histogram adds the native histogram of a summary.
func (x *Exposition) histogram(t record.Table, s *stats.Summary, labels string) {
	b, err := proto.Marshal(nativeHistogram(s))
	if err != nil {
		panic(err) // such a message always marshals
	}
	if f := x.family(metricName(t.Name)+distributionEnd, t, "", helpOfDistribution(t)); f != nil {
		f.histogram = true
		x.add(f, sample{labels: labels, histogram: string(b)})
	}
}

// family returns the family of a name for samples of a table. The help is that of the statistic unless help has it. If another
// table or the exporter itself has a family of that name, it counts a clash and returns nil: different names in the cache can
// become the same name in Prometheus.
func (x *Exposition) family(name string, t record.Table, stat, help string) *family {
	f := x.families[name]
	switch {
	case name == droppedName || name == tableUpName || f != nil && f.table != t.Name:
		x.dropped["name_clash"]++
		return nil
	case f == nil:
		if help == "" {
			help = helpOfStat(t, stat)
		}
		f = &family{table: t.Name, help: help}
		x.families[name] = f
	}
	return f
}

// add adds a sample to a family.
func (x *Exposition) add(f *family, s sample) {
	f.samples = append(f.samples, s)
	x.size += sampleCost + len(s.histogram)
}

// About how many bytes of memory are needed for a sample without its labels, and for the labels of a record, which its samples
// share, without their text.
const (
	sampleCost = 56
	labelsCost = 32
)
