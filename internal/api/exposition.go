package api

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/token"
)

// droppedName is the name of the exporter's own gauge. A statistic "dropped" of a table "analytics_export" would have
// the same name; [exposition.gauge] counts such a clash.
const droppedName = "analytics_export_dropped"

// droppedReasons are the values of its label.
var droppedReasons = []string{"buckets", "future", "label_clash", "malformed", "name_clash", "overflow"}

// exposition has the newest final record of each series of the exported tables as gauges: <table>_<statistic> for each
// statistic, and <table>_bucket_start_seconds for the start of the record's bucket. One goroutine makes it. After that
// it does not change.
type exposition struct {
	families map[string]*family
	dropped  map[string]int // how many series, gauges, records and buckets are not exported, by reason
	size     int            // about how many bytes of memory the gauges need

	// Used while it is made.
	room    int                   // how many more series may be exported
	scans   int                   // how many more records may be read
	tables  map[record.Table]bool // tables that are exported already; the options can name a table with and without its prefix
	hashing maphash.Seed          // of tableScrape.cached
}

// family are the gauges of one name, which belong to one table.
type family struct {
	table   string
	samples []sample
}

// sample is one gauge.
type sample struct {
	labels string // with the braces, as in the exposition
	value  float64
}

// newExposition reads the records of the exported tables that are allowed.
func (s *server) newExposition(ctx context.Context, grant token.Grant) (*exposition, error) {
	x := &exposition{
		families: make(map[string]*family), dropped: make(map[string]int),
		room: s.ExportMaxSeries, scans: s.MaxScanned, tables: make(map[record.Table]bool), hashing: maphash.MakeSeed(),
	}
	for _, named := range s.Export {
		if err := x.addTable(ctx, s, grant, named); err != nil {
			return nil, err
		}
	}
	for _, f := range x.families {
		slices.SortFunc(f.samples, func(a, b sample) int { return strings.Compare(a.labels, b.labels) })
	}
	return x, nil
}

// addTable adds the gauges of one table, and nothing for a table that does not exist or is not allowed.
func (x *exposition) addTable(ctx context.Context, s *server, grant token.Grant, named record.Table) error {
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
		exposition: x, table: entry.Table, plan: plan, buckets: s.ExportBuckets, cached: make(map[uint64]bool), exported: make(map[string]bool),
	}
	return away(t.read(ctx, s.reader))
}

// tableScrape is the state of the export of one table.
type tableScrape struct {
	*exposition
	table   record.Table
	plan    scrapePlan
	buckets int  // how many more buckets may be read
	marked  bool // whether a record with the member "final" was read
	// cached has the series of the cache whose newest final record was read, as hashes of the results of seriesOf. The
	// texts would need 100 MB for a million series. Of so many series, one in 10^7 scrapes confuses two.
	cached   map[uint64]bool
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
	_, err := t.readParts(ctx, reader, t.plan.future, t.countFuture)
	return err
}

// readSome takes the records of the buckets, up to the limits of buckets and records, and counts the buckets beyond the
// limits as dropped.
func (t *tableScrape) readSome(ctx context.Context, reader Reader, starts []time.Time) error {
	n := min(len(starts), t.buckets)
	left, err := t.readParts(ctx, reader, starts[:n], t.take)
	t.buckets -= n
	t.dropped["buckets"] += len(starts) - n + left
	return err
}

// readParts calls take for the parts of the buckets, up to the limit of records. It returns how many of the buckets are
// not read to their end.
func (t *tableScrape) readParts(ctx context.Context, reader Reader, starts []time.Time, take func(record.Part)) (left int, err error) {
	left = len(starts)
	err = reader.Records(ctx, t.table, starts, 0, func(part record.Part) error {
		if t.scans -= len(part.Texts); t.scans < 0 {
			return errEnough
		}
		slices.Sort(part.Texts) // so that the choice between two series with equal labels stays the same
		take(part)
		if part.Last {
			left--
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return left, err
}

// take exports each final record of a part of a bucket, unless a newer final record of the same series was exported
// before.
func (t *tableScrape) take(part record.Part) {
	form := record.NewForm(t.table.Name, part.Start)
	for _, text := range part.Texts {
		state := stateOf(text)
		t.marked = t.marked || state != record.Unmarked
		if !t.plan.isFinal(part.Start, text) || state == record.Unmarked && part.Start.Before(t.plan.oldest) {
			continue
		}
		if name, isNew := t.unseen(form, text); isNew {
			t.export(name, text)
		}
	}
}

// export exports a record whose series has that name in t.cached.
func (t *tableScrape) export(name uint64, text string) {
	r, err := record.Parse([]byte(text))
	if err != nil {
		t.dropped["malformed"]++
		return
	}
	t.cached[name] = true
	t.record(&r)
}

// countFuture counts the series in a part of a bucket that begins after now, except those that were exported from
// another bucket.
func (t *tableScrape) countFuture(part record.Part) {
	form := record.NewForm(t.table.Name, part.Start)
	for _, text := range part.Texts {
		if name, isNew := t.unseen(form, text); isNew {
			t.cached[name] = true
			t.dropped["future"]++
		}
	}
}

// unseen returns the name of the record's series for t.cached, and whether that name is not in t.cached yet. For a text
// that is not a record, it counts the text and returns false.
func (t *tableScrape) unseen(form record.Form, text string) (name uint64, isNew bool) {
	series, ok := seriesOf(text)
	if !ok || !form.Matches(text) {
		t.dropped["malformed"]++
		return 0, false
	}
	name = maphash.String(t.hashing, series)
	return name, !t.cached[name]
}

// record adds the gauges of a record.
func (t *tableScrape) record(r *record.Record) {
	names, values, ok := labels(t.table, r)
	set := labelSet(names, values)
	switch {
	case !ok || t.exported[set]:
		t.dropped["label_clash"]++
		return
	case t.room == 0:
		t.dropped["overflow"]++
		return
	}
	t.exported[set] = true
	t.room--
	t.size += len(set) + textCost
	prefix := metricName(t.table.Name)
	sent := []string{prefix + "_bucket_start_seconds"}
	t.gauge(sent[0], t.table, float64(r.Start.Unix())+float64(r.Start.Nanosecond())/1e9, set)
	for _, s := range r.Stats {
		v, ok := number(s.Value)
		name := prefix + "_" + metricName(s.Name)
		switch {
		case !ok:
		case slices.Contains(sent, name):
			t.dropped["name_clash"]++
		default:
			sent = append(sent, name)
			t.gauge(name, t.table, v, set)
		}
	}
}

// gauge adds one gauge. If another table or the exporter itself has a gauge of that name, it counts a clash instead:
// different names in the cache can become the same name in Prometheus.
func (x *exposition) gauge(name string, t record.Table, v float64, labels string) {
	f := x.families[name]
	switch {
	case name == droppedName || f != nil && f.table != t.Name:
		x.dropped["name_clash"]++
		return
	case f == nil:
		f = &family{table: t.Name}
		x.families[name] = f
	}
	f.samples = append(f.samples, sample{labels, v})
	x.size += sampleCost
}

// sampleCost is about how many bytes of memory a gauge needs beside its labels, which the gauges of a record share.
const sampleCost = 40

// appendTo appends the exposition in the text format of Prometheus, version 0.0.4, and calls flush after each
// piece with what was appended so far. flush returns the slice to append to.
func (x *exposition) appendTo(b []byte, flush func([]byte) ([]byte, error)) (_ []byte, err error) {
	names := slices.Sorted(maps.Keys(x.families))
	i, _ := slices.BinarySearch(names, droppedName)
	for _, name := range slices.Insert(names, i, droppedName) {
		if name == droppedName {
			b = x.appendDropped(b)
			continue
		}
		f := x.families[name]
		b = appendHead(b, name, "A statistic of table "+f.table+" in the newest final bucket of each series.")
		for _, s := range f.samples {
			b = appendSample(b, name, s.labels, s.value)
			if b, err = flush(b); err != nil {
				return b, err
			}
		}
	}
	return b, nil
}

// appendDropped appends the numbers of what was not exported, by reason.
func (x *exposition) appendDropped(b []byte) []byte {
	b = appendHead(b, droppedName, "Series, gauges, records and buckets that this scrape leaves out, by reason.")
	for _, reason := range droppedReasons {
		b = appendSample(b, droppedName, labelSet([]string{"reason"}, []string{reason}), float64(x.dropped[reason]))
	}
	return b
}

// appendHead appends the help and the type of a gauge.
func appendHead(b []byte, name, help string) []byte {
	help = strings.NewReplacer(`\`, `\\`, "\n", `\n`).Replace(help)
	return fmt.Appendf(b, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name)
}

// appendSample appends the line of one gauge.
func appendSample(b []byte, name, labels string, v float64) []byte {
	b = append(append(append(b, name...), labels...), ' ')
	return append(strconv.AppendFloat(b, v, 'g', -1, 64), '\n')
}

// labelSet returns labels as they are in the exposition, such as {agent="a",host="b"}. The names are valid names of
// labels. The results are equal if and only if the labels are.
func labelSet(names, values []string) string {
	escape := strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
	b := []byte{'{'}
	for i, name := range names {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(b, name...), `="`...)
		b = append(append(b, escape.Replace(values[i])...), '"')
	}
	return string(append(b, '}'))
}
