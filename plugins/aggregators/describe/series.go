package describe

import (
	"encoding/binary"
	"slices"
	"strings"
	"time"
	"unsafe"

	"github.com/influxdata/telegraf"

	"github.com/telegraf-describe/telegraf-describe/internal/bucket"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

const (
	// remembered is how long a closed bucket is known to be closed.
	remembered = 7 * 24 * time.Hour
	// sweepEvery is how often what is older than that is forgotten.
	sweepEvery = time.Hour
	// fewFields is how many fields a schema searches one by one.
	fewFields = 16
)

// series is a measurement and the tags by which it is grouped.
type series struct {
	measurement string
	tags        []record.Tag // as they leave: sorted, renamed where they clash
	keys        []string     // under which the table knows it; the first is its identity
	schema      schema
	window      *bucket.Window[summaries]
}

// summaries are what one bucket of one series collects.
type summaries struct {
	fields  []stats.Summary // by position in the schema of the series
	changed bool            // since they were emitted
	bytes   int             // held when they were emitted
}

func (b *summaries) add(s *series, values []sample, t int64) {
	if b.fields == nil {
		b.fields = make([]stats.Summary, 0, max(len(s.schema.names), len(values)))
	}
	for _, v := range values {
		i := s.schema.position(v.field, v.hint)
		for i >= len(b.fields) {
			b.fields = append(b.fields, stats.Summary{})
		}
		b.fields[i].Add(v.value, t)
	}
	b.changed = true
}

// schema gives each field of a series a position, in the order in which they first came.
type schema struct {
	names []string
	index map[string]int // of names, once they are many
}

// position returns the position of the field. The hint is where it probably is.
func (s *schema) position(field string, hint int) int {
	if hint < len(s.names) && s.names[hint] == field {
		return hint
	}
	if i, ok := s.find(field); ok {
		return i
	}
	s.names = append(s.names, strings.Clone(field))
	if s.index != nil {
		s.index[s.names[len(s.names)-1]] = len(s.names) - 1
	}
	return len(s.names) - 1
}

func (s *schema) find(field string) (int, bool) {
	if len(s.names) <= fewFields {
		i := slices.Index(s.names, field)
		return i, i >= 0
	}
	if s.index == nil {
		s.index = make(map[string]int, 2*len(s.names))
		for i, name := range s.names {
			s.index[name] = i
		}
	}
	i, ok := s.index[field]
	return i, ok
}

// seriesTable holds the series that have open buckets, and of those that went quiet which buckets
// were closed.
type seriesTable struct {
	limit     int // of series, 0 for none
	bucketTag string
	byKey     map[string]*series
	order     []*series // in the order in which they came
	quiet     map[string]*bucket.Window[summaries]
	swept     time.Time
}

func (t *seriesTable) init(limit int, bucketTag string) {
	t.limit, t.bucketTag = limit, bucketTag
	t.byKey = make(map[string]*series)
	t.quiet = make(map[string]*bucket.Window[summaries])
}

// seriesOf returns the series of the metric, or nil where it would be one too many.
func (d *Describe) seriesOf(m telegraf.Metric) *series {
	d.key = appendText(d.key[:0], m.Name())
	for _, tag := range m.TagList() {
		if d.grouping.keeps(tag.Key) {
			d.key = appendText(appendText(d.key, tag.Key), tag.Value)
		}
	}
	if s, ok := d.table.byKey[string(d.key)]; ok {
		return s
	}
	var tags []record.Tag
	for _, tag := range m.TagList() {
		if d.grouping.keeps(tag.Key) {
			tags = append(tags, record.Tag{Key: strings.Clone(tag.Key), Value: strings.Clone(tag.Value)})
		}
	}
	s, renamed := d.table.add(string(d.key), m.Name(), tags)
	d.warnRenamed(renamed)
	return s
}

func (g *grouping) keeps(tag string) bool {
	return g.all || g.keep != nil && g.keep.Match(tag)
}

// appendText appends s with its length before it, so that no two lists of texts look the same.
func appendText(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// add adds the series, or one more key for a series that leaves under the same name and tags. It
// returns the old names of the tags that it renamed.
func (t *seriesTable) add(key, measurement string, tags []record.Tag) (s *series, renamed []string) {
	tags, renamed = t.outgoing(tags)
	id := identity(measurement, tags)
	s, ok := t.byKey[id]
	if !ok {
		if t.limit > 0 && len(t.order) >= t.limit {
			return nil, renamed
		}
		s = &series{measurement: strings.Clone(measurement), tags: tags, keys: []string{id}, window: t.windowOf(id)}
		t.byKey[id] = s
		t.order = append(t.order, s)
	}
	if key != id {
		s.keys = append(s.keys, key)
		t.byKey[key] = s
	}
	return s, renamed
}

// outgoing returns the tags as they leave. Line protocol knows no empty tags and no backslash at the
// end of one, so without this two series could end up in one row.
func (t *seriesTable) outgoing(tags []record.Tag) (out []record.Tag, renamed []string) {
	for _, tag := range tags {
		tag.Value = strings.TrimRight(tag.Value, `\`)
		if tag.Value != "" && tag.Key != "" {
			out = append(out, tag)
		}
	}
	renamed = record.TagNames(out, func(name string) bool { return name == t.bucketTag })
	slices.SortFunc(out, func(a, b record.Tag) int { return strings.Compare(a.Key, b.Key) })
	return out, renamed
}

func identity(measurement string, tags []record.Tag) string {
	id := appendText(nil, measurement)
	for _, tag := range tags {
		id = appendText(appendText(id, tag.Key), tag.Value)
	}
	return string(id)
}

func (t *seriesTable) windowOf(id string) *bucket.Window[summaries] {
	if w, ok := t.quiet[id]; ok {
		delete(t.quiet, id)
		return w
	}
	return new(bucket.Window[summaries])
}

// retire lets go of the series that have no open bucket, and now and then of what is remembered of
// closed ones.
func (t *seriesTable) retire(now time.Time) {
	t.order = slices.DeleteFunc(t.order, func(s *series) bool {
		if len(s.window.Buckets()) > 0 {
			return false
		}
		for _, key := range s.keys {
			delete(t.byKey, key)
		}
		t.quiet[s.keys[0]] = s.window
		return true
	})
	if now.Sub(t.swept) >= sweepEvery {
		t.sweep(now)
	}
}

func (t *seriesTable) sweep(now time.Time) {
	t.swept = now
	for _, s := range t.order {
		s.window.Forget(now.Add(-remembered))
	}
	for id, w := range t.quiet {
		if w.Forget(now.Add(-remembered)) {
			delete(t.quiet, id)
		}
	}
}

// summarySize is the size of an empty summary.
const summarySize = int(unsafe.Sizeof(stats.Summary{}))
