package describe

import (
	"encoding/binary"
	"slices"
	"strings"
	"unsafe"

	"github.com/influxdata/telegraf"

	"github.com/telegraf-describe/telegraf-describe/internal/bucket"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

const (
	// maxQuiet is of how many series without open buckets the closed ones are remembered.
	maxQuiet = 1 << 18
	// fewFields is how many fields a schema searches one by one.
	fewFields = 16
	// namelessField is what a field is called whose name cannot be said in line protocol at all.
	namelessField = "_"
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
			b.fields = append(b.fields, stats.New(stats.Unlimited))
		}
		b.fields[i].AddAt(v.value, t)
	}
	b.changed = true
}

// schema gives each field of a series a position, in the order in which they first came. Fields whose
// names arrive alike have one position.
type schema struct {
	names []string
	index map[string]int // of names once they are many, and of names that arrive as another one
}

// position returns the position of the field. The hint is where it probably is.
func (s *schema) position(field string, hint int) int {
	if hint < len(s.names) && s.names[hint] == field {
		return hint
	}
	if i, ok := s.find(field); ok {
		return i
	}
	return s.add(field)
}

func (s *schema) find(field string) (int, bool) {
	if i, ok := s.index[field]; ok || len(s.names) > fewFields {
		return i, ok
	}
	i := slices.Index(s.names, field)
	return i, i >= 0
}

// add adds a field, or one more name of a field that arrives as one that is there.
func (s *schema) add(field string) int {
	field = strings.Clone(field)
	name := record.Sendable(field)
	if name == "" {
		name = namelessField
	}
	i, ok := s.find(name)
	if name == field || !ok {
		i = len(s.names)
		s.names = append(s.names, name)
	}
	if name != field {
		s.remember(field, i)
	}
	switch n := len(s.names); {
	case n == fewFields+1:
		for j, known := range s.names {
			s.remember(known, j)
		}
	case n > fewFields:
		s.remember(name, i)
	}
	return i
}

func (s *schema) remember(field string, position int) {
	if s.index == nil {
		s.index = make(map[string]int)
	}
	s.index[field] = position
}

// compact drops the fields that no open bucket has values of, when these are most: else every bucket would
// carry every field that the series has ever had.
func (s *series) compact() {
	used := make([]bool, len(s.schema.names))
	n := 0
	for _, b := range s.window.Buckets() {
		for i := range b.State.fields {
			if b.State.fields[i].Count() > 0 && !used[i] {
				used[i] = true
				n++
			}
		}
	}
	if len(used) <= 2*n+fewFields {
		return
	}
	var kept schema
	moved := make([]int, len(used))
	for i, name := range s.schema.names {
		if used[i] {
			moved[i] = kept.add(name)
		}
	}
	for _, b := range s.window.Buckets() {
		fields := make([]stats.Summary, n)
		for i := range b.State.fields {
			if used[i] {
				fields[moved[i]] = b.State.fields[i]
			}
		}
		b.State.fields = fields
	}
	s.schema = kept
}

// seriesTable holds the series that have open buckets, and of those that went quiet which buckets
// were closed.
type seriesTable struct {
	limit      int // of series, 0 for none
	quietLimit int // of quiet series
	bucketTag  string
	byKey      map[string]*series
	order      []*series // in the order in which they came

	quiet       map[string]quietSeries // by identity
	retired     []retirement           // of quiet, the oldest first; those that woke up since are among them
	quietBytes  int                    // that quiet holds, about
	retirements int64                  // how many there were
	forgotten   int64                  // how many quiet series were forgotten
}

// quietSeries is what stays of a series without open buckets.
type quietSeries struct {
	window *bucket.Window[summaries]
	number int64 // of its retirement
}

// retirement names a series that went quiet.
type retirement struct {
	id     string
	number int64
}

// quietSize is about how many bytes a quiet series takes, beside its identity and its closed buckets.
const quietSize = 200

func (t *seriesTable) init(limit int, bucketTag string) {
	t.limit, t.quietLimit, t.bucketTag = limit, maxQuiet, bucketTag
	t.byKey = make(map[string]*series)
	t.quiet = make(map[string]quietSeries)
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
	measurement = record.Sendable(measurement)
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

// outgoing returns the tags as they arrive. Line protocol knows no empty tags and no backslash at the end of
// one, so without this two series could end up in one row.
func (t *seriesTable) outgoing(tags []record.Tag) (out []record.Tag, renamed []string) {
	for _, tag := range tags {
		tag.Value = record.Sendable(tag.Value)
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
	if q, ok := t.quiet[id]; ok {
		t.wake(id, q)
		return q.window
	}
	return new(bucket.Window[summaries])
}

// wake takes a series from the quiet ones.
func (t *seriesTable) wake(id string, q quietSeries) {
	delete(t.quiet, id)
	t.quietBytes -= q.size(id)
}

func (q quietSeries) size(id string) int { return quietSize + len(id) + q.window.Bytes() }

// retire lets go of the series that have no open bucket, but for the knowledge of which were closed. Of too
// many of these the oldest are forgotten.
func (t *seriesTable) retire() {
	t.order = slices.DeleteFunc(t.order, func(s *series) bool {
		if len(s.window.Buckets()) > 0 {
			return false
		}
		for _, key := range s.keys {
			delete(t.byKey, key)
		}
		t.rest(s)
		return true
	})
	for len(t.quiet) > t.quietLimit {
		oldest := t.retired[0]
		t.retired = t.retired[1:]
		if q, ok := t.quiet[oldest.id]; ok && q.number == oldest.number {
			t.wake(oldest.id, q)
			t.forgotten++
		}
	}
	if len(t.retired) > 2*len(t.quiet)+fewFields {
		t.retired = slices.DeleteFunc(slices.Clone(t.retired), func(r retirement) bool { return t.quiet[r.id].number != r.number })
	}
}

// rest puts a series among the quiet ones.
func (t *seriesTable) rest(s *series) {
	t.retirements++
	q := quietSeries{window: s.window, number: t.retirements}
	id := s.keys[0]
	t.quiet[id] = q
	t.retired = append(t.retired, retirement{id, q.number})
	t.quietBytes += q.size(id)
}

// summarySize is the size of an empty summary.
const summarySize = int(unsafe.Sizeof(stats.Summary{}))
