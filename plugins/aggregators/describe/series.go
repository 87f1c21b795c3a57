package describe

import (
	"encoding/binary"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/influxdata/telegraf"

	"github.com/telegraf-describe/telegraf-describe/internal/bucket"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	ids "github.com/telegraf-describe/telegraf-describe/internal/series"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

const (
	// maxQuiet is of how many series without open buckets the closed ones are remembered.
	maxQuiet = 1 << 18
	// fewFields is how many fields a series may have had beyond twice those that it has.
	fewFields = 16
	// maxKeys is how many keys the table remembers a series by beside its own. What comes under others is looked up
	// by how it leaves.
	maxKeys = 16
	// maxKnownTags is of how many tags it is remembered whether they are kept.
	maxKnownTags = 1000
)

// series is a measurement and the tags by which it is grouped.
type series struct {
	window  bucket.Window[summaries]
	schema  *schema
	id      string   // its measurement and tags as they leave, and a key under which the table knows it
	keys    []string // further ones, under which its metrics come
	next    *series  // whose metric came after one of this series the last time, or nil
	spare   *spare   // nil mostly
	retired bool     // the table does not know it any more
}

// spare is the memory of the bucket that closed last, for the next one to open, which most likely needs as much.
// It is let go where none opens in the next period.
type spare struct {
	fields []stats.Summary // empty, but not their memory
	rows   []float64
	bytes  int // as the budget counts it
}

// reuse gives the spare memory to a bucket that was just opened.
func (s *series) reuse(b *summaries) {
	if s.spare == nil || len(s.spare.fields) > len(s.schema.names) {
		return
	}
	b.fields, b.stage.rows, b.bytes = s.spare.fields, s.spare.rows, s.spare.bytes
	s.spare = nil
}

// close closes the buckets of the series that are due. Nothing is staged.
func (d *Describe) close(s *series, now time.Time) {
	d.dropSpare(s)
	if s.window.Close(now, d.linger, func(b *bucket.Bucket[summaries]) { d.closed(s, &b.State) }) {
		d.compact(s)
	}
}

func (d *Describe) dropSpare(s *series) {
	if s.spare != nil {
		d.budget.held -= s.spare.bytes
		s.spare = nil
	}
}

// closed takes over the memory of a closed bucket, or lets go of it.
func (d *Describe) closed(s *series, b *summaries) {
	if s.spare != nil {
		d.budget.release(b)
		return
	}
	for i := range b.fields {
		b.fields[i].Reset()
	}
	d.budget.hold(b)
	s.spare = &spare{fields: b.fields, rows: b.stage.rows, bytes: b.bytes}
}

// compact drops the fields that no open bucket has values of, when these are most: else every bucket would
// carry every field that the series has ever had. Nothing is staged.
func (d *Describe) compact(s *series) {
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
	d.dropSpare(s)
	old := s.schema
	var names []string
	for _, k := range old.known {
		if used[k.position] {
			names = append(names, k.name)
		}
	}
	s.schema = d.table.schemas.extend(d.table.schemas.empty, names)
	for _, b := range s.window.Buckets() {
		b.State.fields = d.move(b.State.fields, old, s.schema)
		d.budget.hold(&b.State)
	}
}

// move brings summaries from their positions in one schema to those in another.
func (d *Describe) move(fields []stats.Summary, from, to *schema) []stats.Summary {
	moved := d.grow(nil, len(to.names))
	for _, k := range to.known {
		if i := from.known[from.find(k.name)].position; i < len(fields) {
			moved[k.position] = fields[i]
		}
	}
	return moved
}

// seriesTable holds the series that have open buckets, and of those that went quiet which buckets
// were closed.
type seriesTable struct {
	limit      int // of series, 0 for none
	quietLimit int // of quiet series
	bucketTag  string
	index      index
	order      []*series // in the order in which they came
	schemas    schemas   // of the series

	quiet       map[string]quietSeries // by identity
	retired     []retirement           // of quiet, the oldest first; those that woke up since are among them
	quietBytes  int                    // that quiet holds, about
	retirements int64                  // how many there were
	forgotten   int64                  // how many quiet series were forgotten
}

// quietSeries is what stays of a series without open buckets.
type quietSeries struct {
	window bucket.Window[summaries]
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
	t.index.init()
	t.schemas.init()
	t.quiet = make(map[string]quietSeries)
}

// seriesOf returns the series of the metric; nil where it has no number to make a series of, or where the
// series would be one too many, which is counted.
//
// Metrics mostly come in the order in which they came the last time, so the series that followed the previous
// one then is looked at first.
func (d *Describe) seriesOf(m telegraf.Metric) *series {
	previous := d.previous
	if previous != nil && previous.next != nil && !previous.next.retired && d.matches(previous.next, m) {
		d.previous = previous.next
		return d.previous
	}
	d.key = appendText(d.key[:0], m.Name())
	if !d.grouping.none {
		for _, tag := range m.TagList() {
			if d.grouping.keeps(tag.Key) {
				d.key = appendText(appendText(d.key, tag.Key), tag.Value)
			}
		}
	}
	s := d.table.index.find(d.key)
	if s == nil {
		s = d.newSeries(m)
	}
	if previous != nil && s != nil {
		previous.next = s
	}
	d.previous = s
	return s
}

// key returns the key under which the metrics of the series come, or one of them.
func (s *series) key() string {
	if len(s.keys) > 0 {
		return s.keys[0]
	}
	return s.id
}

// matches reports whether the metric has the series' key, as seriesOf makes it.
func (d *Describe) matches(s *series, m telegraf.Metric) bool {
	rest, ok := cutText(s.key(), m.Name())
	if d.grouping.none {
		return ok && rest == ""
	}
	for _, tag := range m.TagList() {
		if !ok {
			return false
		}
		if !d.grouping.keeps(tag.Key) {
			continue
		}
		if rest, ok = cutText(rest, tag.Key); ok {
			rest, ok = cutText(rest, tag.Value)
		}
	}
	return ok && rest == ""
}

func (d *Describe) newSeries(m telegraf.Metric) *series {
	if !d.hasNumber(m) {
		d.drop(m, d.counters.nan) // which counts what is NaN
		return nil
	}
	var tags []ids.Tag
	for _, tag := range m.TagList() {
		if d.grouping.keeps(tag.Key) {
			tags = append(tags, ids.Tag{Key: tag.Key, Value: tag.Value})
		}
	}
	s, renamed := d.table.add(string(d.key), m.Name(), tags)
	d.warnRenamed(renamed)
	if s == nil {
		d.counters.seriesDropped.Incr(1)
	}
	return s
}

func (d *Describe) hasNumber(m telegraf.Metric) bool {
	return slices.ContainsFunc(m.FieldList(), func(f *telegraf.Field) bool {
		v, ok := d.number(f.Value)
		return ok && v-v == 0
	})
}

func (g *grouping) keeps(tag string) bool {
	if g.all {
		return true
	}
	kept, ok := g.known[tag]
	if !ok {
		kept = g.keep != nil && g.keep.Match(tag)
		if len(g.known) < maxKnownTags {
			g.known[strings.Clone(tag)] = kept
		}
	}
	return kept
}

// appendText appends s with its length before it, so that no two lists of texts look the same.
func appendText(dst []byte, s string) []byte {
	if len(s) < 0x80 {
		dst = append(dst, byte(len(s))) // as a uvarint is
	} else {
		dst = binary.AppendUvarint(dst, uint64(len(s)))
	}
	return append(dst, s...)
}

// cutText takes s off the front of a key that appendText made, where it stands there and is short.
func cutText(key, s string) (rest string, ok bool) {
	if n := len(s); n < 0x80 && len(key) > n && int(key[0]) == n && key[1:1+n] == s {
		return key[1+n:], true
	}
	return key, false
}

// add adds the series, or one more key for a series that leaves under the same name and tags. It
// returns the old names of the tags that it renamed.
func (t *seriesTable) add(key, measurement string, tags []ids.Tag) (s *series, renamed []string) {
	tags, renamed = t.outgoing(tags)
	measurement = ids.Sendable(measurement)
	id := identity(measurement, tags)
	s = t.index.find([]byte(id))
	if s == nil {
		if t.limit > 0 && len(t.order) >= t.limit {
			return nil, renamed
		}
		s = &series{id: id, window: t.windowOf(id), schema: t.schemas.empty}
		t.index.put(id, s)
		t.order = append(t.order, s)
	}
	if key != id && len(s.keys) < maxKeys {
		s.keys = append(s.keys, key)
		t.index.put(key, s)
	}
	return s, renamed
}

// outgoing returns the tags as they arrive. Line protocol knows no empty tags and no backslash at the end of
// one, so without this two series could end up in one row.
func (t *seriesTable) outgoing(tags []ids.Tag) (out []ids.Tag, renamed []string) {
	for _, tag := range tags {
		tag.Value = ids.Sendable(tag.Value)
		if tag.Value != "" && tag.Key != "" {
			out = append(out, tag)
		}
	}
	renamed = record.RenameTags(out, func(name string) bool { return name == t.bucketTag })
	slices.SortFunc(out, func(a, b ids.Tag) int { return strings.Compare(a.Key, b.Key) })
	return out, renamed
}

// identity returns the key of a series as it leaves.
func identity(measurement string, tags []ids.Tag) string {
	key := appendText(nil, measurement)
	for _, tag := range tags {
		key = appendText(appendText(key, tag.Key), tag.Value)
	}
	return string(key)
}

// texts takes an identity apart again: measurement, then key and value of each tag.
func texts(id string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for rest := []byte(id); len(rest) > 0; {
			n, size := binary.Uvarint(rest)
			at := len(id) - len(rest) + size
			if !yield(id[at : at+int(n)]) {
				return
			}
			rest = rest[size+int(n):]
		}
	}
}

func (t *seriesTable) windowOf(id string) (w bucket.Window[summaries]) {
	if q, ok := t.quiet[id]; ok {
		t.wake(id, q)
		w = q.window
	}
	return w
}

// wake takes a series from the quiet ones.
func (t *seriesTable) wake(id string, q quietSeries) {
	delete(t.quiet, id)
	t.quietBytes -= q.size(id)
}

func (q quietSeries) size(id string) int { return quietSize + len(id) + q.window.Bytes() }

// retire lets go of the series that have had no open bucket for a period, but for the knowledge of which were
// closed. Of too many of these the oldest are forgotten.
func (t *seriesTable) retire() {
	t.order = slices.DeleteFunc(t.order, func(s *series) bool {
		if len(s.window.Buckets()) > 0 || s.spare != nil {
			return false
		}
		t.index.remove(s.id)
		for _, key := range s.keys {
			t.index.remove(key)
		}
		s.retired, s.next = true, nil
		t.rest(s)
		return true
	})
	t.schemas.sweep(t.order)
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
	id := s.id
	t.quiet[id] = q
	t.retired = append(t.retired, retirement{id, q.number})
	t.quietBytes += q.size(id)
}
