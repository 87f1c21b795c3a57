package engine

import (
	"slices"
	"strings"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
	ids "github.com/telegraf-describe/telegraf-describe/internal/series"
)

const (
	// maxKeys is the largest number of keys that the table stores for one series. For a point with yet another key,
	// the engine makes the key of its rows each time.
	maxKeys = 17
	// maxKnownTags is the largest number of tag keys for which the table caches the result of Options.Keep.
	maxKnownTags = 1000
)

// identity is a series in the form of points and in the form of rows. The two differ if line protocol cannot carry a name,
// if a tag has no value, or if rows use a tag key for another purpose.
type identity struct {
	arriving ids.Series  // the tags that are kept, in the order of the first point
	leaving  *ids.Series // the tags of the rows, in ascending order of keys; nil if it is equal to arriving
}

// inRows returns the series in the form of rows.
func (id *identity) inRows() *ids.Series {
	if id.leaving == nil {
		return &id.arriving
	}
	return id.leaving
}

// key returns the key of the series as in its rows.
func (s *series) key() string { return s.rowKey }

// table holds the series that have open buckets. Others stay in it until a Push retires them: see [Engine.retire]. The keys of index are
// the rowKey and the pointKeys of each series in order, and no others.
type table struct {
	index   map[string]*series // by each of their keys
	order   []*series          // in the order in which they were added
	schemas schemas
	quiet   quiet
	keep    map[string]bool // answers of Options.Keep by tag key
}

// init makes an empty table.
func (t *table) init() {
	t.index, t.keep = make(map[string]*series), make(map[string]bool)
	t.schemas.init()
	t.quiet.init()
}

// seriesOf returns the series of the point. If the table does not have the series, it adds it. It returns nil if a
// new series would have no value or would exceed Options.MaxSeries, and counts the values as dropped.
//
// The points of a period usually have the same order as in the period before. So seriesOf first compares the point
// with the series that followed the previous series the last time. If it matches, no key must be made and looked up: without that,
// BenchmarkSeriesLookup/order=same/series=100 took 152 ns instead of 59.
func (e *Engine) seriesOf(p *Point) *series {
	previous := e.previous
	if previous != nil && previous.next != nil && !previous.next.gone && e.matches(previous.next, p) {
		e.previous = previous.next
		return e.previous
	}
	arriving := e.arriving(p)
	e.key = arriving.AppendKey(e.key[:0])
	s := e.table.index[string(e.key)]
	if s == nil {
		s = e.newSeries(arriving, p)
	}
	if previous != nil && s != nil {
		previous.next = s
	}
	e.previous = s
	return s
}

// arriving returns the measurement and the kept tags of the point. It shares memory with the point and with e.tags, so it is valid until
// the next point.
func (e *Engine) arriving(p *Point) ids.Series {
	if e.o.Keep == nil {
		return ids.Series{Measurement: p.Measurement, Tags: p.Tags}
	}
	e.tags = e.tags[:0]
	for _, tag := range p.Tags {
		if e.keeps(tag.Key) {
			e.tags = append(e.tags, tag)
		}
	}
	return ids.Series{Measurement: p.Measurement, Tags: e.tags}
}

// matches reports whether the point is of the series and has the tags in the same order.
func (e *Engine) matches(s *series, p *Point) bool {
	kept := e.arriving(p)
	return kept.Measurement == s.arriving.Measurement && slices.Equal(kept.Tags, s.arriving.Tags)
}

// keeps returns the result of Options.Keep for a tag key, from the cache if possible. Without the cache, BenchmarkGroupBy/globs=8 of
// the plugin describe took four times as long.
func (e *Engine) keeps(tag string) bool {
	kept, ok := e.table.keep[tag]
	if !ok {
		kept = e.o.Keep(tag)
		if len(e.table.keep) < maxKnownTags {
			e.table.keep[strings.Clone(tag)] = kept
		}
	}
	return kept
}

// newSeries returns the series of a point whose key, in e.key, is not in the table. It may return a series that is in
// the table already: one whose rows have the same key. For example, a point with the measurement cpu, the tag host=a and the empty
// tag rack has the series whose rows have the key cpu,host=a. It returns nil if the point is dropped.
func (e *Engine) newSeries(arriving ids.Series, p *Point) *series {
	if !hasNumber(p) {
		e.drop(p, &e.counters.NaN)
		return nil
	}
	key := string(e.leaving(arriving).AppendKey(nil))
	s := e.table.index[key]
	if s == nil {
		if e.o.MaxSeries > 0 && len(e.table.order) >= e.o.MaxSeries {
			e.counters.SeriesDropped++
			e.drop(p, &e.counters.ValuesOfDropped)
			return nil
		}
		s = e.addSeries(key, identityOf(key, arriving))
	}
	if string(e.key) != key && 1+len(s.pointKeys) < maxKeys {
		s.pointKeys = append(s.pointKeys, string(e.key))
		e.table.index[s.pointKeys[len(s.pointKeys)-1]] = s
	}
	return s
}

// identityOf returns the identity of the series of a point. key is the key of its rows. It keeps no part of arriving.
func identityOf(key string, arriving ids.Series) identity {
	leaving, err := ids.ParseKey(key) // most of its strings are parts of the key, so they take no memory
	if err != nil {
		panic(err) // the key was made by AppendKey
	}
	if arriving.Measurement == leaving.Measurement && slices.Equal(arriving.Tags, leaving.Tags) {
		return identity{arriving: leaving}
	}
	own := ids.Series{Measurement: strings.Clone(arriving.Measurement), Tags: cloneTags(arriving.Tags)}
	return identity{own, new(leaving)}
}

// addSeries adds a series to the table. key is the key of its rows.
func (e *Engine) addSeries(key string, id identity) *series {
	s := &series{identity: id, schema: e.table.schemas.empty, rowKey: key}
	if e.o.Store == nil {
		s.final = e.table.quiet.wake(key)
	}
	e.table.index[key] = s
	e.table.order = append(e.table.order, s)
	return s
}

// cloneTags returns a deep copy of the tags.
func cloneTags(tags []Tag) []Tag {
	own := make([]Tag, len(tags))
	for i, tag := range tags {
		own[i] = Tag{Key: strings.Clone(tag.Key), Value: strings.Clone(tag.Value)}
	}
	return own
}

// hasNumber reports whether a value of the point is neither NaN nor infinite.
func hasNumber(p *Point) bool {
	for i := range p.Fields {
		if isNumber(p.Fields[i].Value) {
			return true
		}
	}
	return false
}

// leaving returns the series in the form of rows. Line protocol can express neither tags without a value nor a backslash
// at the end of a name, so series that differ only in these become one series.
func (e *Engine) leaving(arriving ids.Series) ids.Series {
	leaving := ids.Series{Measurement: ids.Sendable(arriving.Measurement), Tags: make([]Tag, 0, len(arriving.Tags))}
	for _, tag := range arriving.Tags {
		tag.Value = ids.Sendable(tag.Value)
		if tag.Value != "" && tag.Key != "" {
			leaving.Tags = append(leaving.Tags, tag)
		}
	}
	for _, tag := range record.RenameTags(leaving.Tags, e.o.Taken) {
		e.notify(Notice{Kind: TagRenamed, Text: strings.Clone(tag)})
	}
	ids.SortTags(leaving.Tags)
	return leaving
}
