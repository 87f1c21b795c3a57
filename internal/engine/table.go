package engine

import (
	"slices"
	"strings"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
	ids "github.com/telegraf-describe/telegraf-describe/internal/series"
)

const (
	// maxKeys is how many keys the table remembers a series by. A point under another one takes the way of a new series.
	maxKeys = 17
	// maxKnownTags is how many tags the answers of Options.Keep are remembered for.
	maxKnownTags = 1000
)

// identity is the name of a series as its points carry it and as its rows leave. Both are the same unless line
// protocol cannot carry a text or a tag clashes with a name of ours.
type identity struct {
	arriving ids.Series // the tags that are kept, in the order of the first point
	leaving  ids.Series // in ascending order of keys
}

// key returns the key of the series as its rows leave.
func (s *series) key() string { return s.keys[0] }

// table holds the series that have open buckets.
type table struct {
	index   map[string]*series // by series key, as they leave and as they arrive
	order   []*series          // in the order in which they came
	schemas schemas
	quiet   quiet
	keep    map[string]bool // answers of Options.Keep
}

func (t *table) init() {
	t.index, t.keep = make(map[string]*series), make(map[string]bool)
	t.schemas.init()
	t.quiet.init()
}

// seriesOf returns the series of the point; nil where it has no number to make a series of, or where the series
// would be one too many, which is counted.
//
// Points mostly come in the order in which they came the last time, so the series that followed the previous one then
// is looked at first.
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

// arriving returns the measurement and the kept tags of the point. They are the point's.
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

// matches reports whether the point is of the series, with its tags in the same order.
func (e *Engine) matches(s *series, p *Point) bool {
	if e.o.Keep != nil {
		return e.matchesKept(s, p)
	}
	tags := s.arriving.Tags
	if len(tags) != len(p.Tags) || s.arriving.Measurement != p.Measurement {
		return false
	}
	for i := range tags {
		if tags[i].Value != p.Tags[i].Value || tags[i].Key != p.Tags[i].Key {
			return false
		}
	}
	return true
}

// matchesKept is matches where some tags of the point may not be kept.
func (e *Engine) matchesKept(s *series, p *Point) bool {
	kept := e.arriving(p)
	return kept.Measurement == s.arriving.Measurement && slices.Equal(kept.Tags, s.arriving.Tags)
}

// keeps returns the answer of Options.Keep for a tag.
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

// newSeries returns the series of a point that came under a key that the table does not have. The key is in e.key.
func (e *Engine) newSeries(arriving ids.Series, p *Point) *series {
	if !hasNumber(p) {
		e.drop(p, &e.counters.NaN) // which counts what is NaN
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
		s = e.addSeries(key, arriving)
	}
	if string(e.key) != key && len(s.keys) < maxKeys {
		s.keys = append(s.keys, string(e.key))
		e.table.index[s.keys[len(s.keys)-1]] = s
	}
	return s
}

// addSeries adds a series that the table does not have, with the key under which it leaves. It keeps nothing of
// arriving.
func (e *Engine) addSeries(key string, arriving ids.Series) *series {
	leaving, err := ids.ParseKey(key) // most texts are parts of the key then, and take no memory of their own
	if err != nil {
		panic(err) // AppendKey made it, or ParseKey has parsed it before
	}
	s := &series{identity: identity{leaving, leaving}, schema: e.table.schemas.empty, keys: []string{key}}
	if arriving.Measurement != leaving.Measurement || !slices.Equal(arriving.Tags, leaving.Tags) {
		s.arriving = ids.Series{Measurement: strings.Clone(arriving.Measurement), Tags: cloneTags(arriving.Tags)}
	}
	if e.o.Store == nil {
		s.final = e.table.quiet.wake(key)
	}
	e.table.index[key] = s
	e.table.order = append(e.table.order, s)
	return s
}

// cloneTags returns the tags with texts of their own.
func cloneTags(tags []Tag) []Tag {
	own := make([]Tag, len(tags))
	for i, tag := range tags {
		own[i] = Tag{Key: strings.Clone(tag.Key), Value: strings.Clone(tag.Value)}
	}
	return own
}

func hasNumber(p *Point) bool {
	for i := range p.Fields {
		if isNumber(p.Fields[i].Value) {
			return true
		}
	}
	return false
}

// leaving returns the series as its rows leave. Line protocol has no empty tags and no backslash at the end of a
// name, so without this two series could end up in one row.
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
