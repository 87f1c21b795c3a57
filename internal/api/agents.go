package api

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/rollup"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// Several agents can describe one series, field and bucket, and each agent can have several replicas. Unless the query has agents=each, the
// answer has one record for them. For example, of three stored records of usage_idle of host a in one bucket:
//
//	agent x             count 10 ─────────────────────▶ x   ┐
//	agent y, replica 1  count 7  ─ dropped                  ├─▶ one record, merged from the summaries of x and y/2: count 18
//	agent y, replica 2  count 8  ─ the fullest of y ──▶ y/2 ┘
//
// settle chooses the records of a bucket when all of them were read. mergeAgents reads the summaries, but only after the records of all
// buckets, because a page needs no summaries of records that are not on it. Until then a merged record has its place in the answer and an
// empty text.

// settle returns the records of the current bucket from its entries, which are sorted: one for each series and field, unless the
// query wants the records of each agent. It reuses the memory of the entries. The usual bucket of one agent is returned as it is,
// unless final records are wanted: then each record is checked.
func (a *answer) settle(entries []entry) []entry {
	// A roll-up has merged its records already, and has left out those that are not final. With agents=each, wanted has left these out.
	if a.apart || a.rolling != nil || !a.final && allDifferent(entries) {
		return entries
	}
	settled := entries[:0]
	for len(entries) > 0 {
		// The records of a series and field follow each other, and within them those of an agent.
		n := sameSeries(entries)
		if e, ok := a.one(entries[:n]); ok {
			settled = append(settled, e)
		}
		entries = entries[n:]
	}
	return settled
}

// allDifferent reports whether no two entries, which are sorted, are of one series and field.
func allDifferent(entries []entry) bool {
	for i := 1; i < len(entries); i++ {
		if entries[i].SameSeries(&entries[i-1].Outline) {
			return false
		}
	}
	return true
}

// one returns the record of a series and field from those of its agents: the fullest replica if there is one agent, else one to
// be merged later. It returns false if the query wants final records and the values of an agent are not final.
//
// Replicas of one agent describe the same values, so one of their records is enough, and adding them would count each value twice. Agents
// describe different values of one series, so their summaries are merged. Without the statistic count, it is not known which
// replica is the fullest: the merging then compares their summaries.
func (a *answer) one(records []entry) (e entry, ok bool) {
	if len(records) == 1 {
		return records[0], a.isFinal(&records[0])
	}
	// chosen has the fullest replica of each agent so far. counted is false once two replicas could not be compared.
	counted := true
	var chosen []entry
	for i := range records {
		r := &records[i]
		if i == 0 || r.Agent != records[i-1].Agent {
			chosen = append(chosen, *r)
			continue
		}
		last := &chosen[len(chosen)-1]
		fuller, known := isFuller(r, last)
		if counted = counted && known; fuller {
			*last = *r
		}
	}
	// One open record makes the whole one open: values of that agent may still come.
	if slices.ContainsFunc(chosen, func(e entry) bool { return !a.isFinal(&e) }) {
		return e, false
	}
	if e = chosen[0]; len(chosen) == 1 && counted {
		return e, true
	}
	// The merged record has every statistic that one of the records has, also one that was not chosen: the merging may choose another
	// replica.
	e.merged = true
	for i := range records {
		e.stats = records[i].AppendStatNames(e.stats)
	}
	return e, true
}

// isFuller reports whether a replica has more values than another one: among equally full ones a final record is preferred to an open
// one, then the first in order. It returns known false if a record has no statistic count. The order of the arguments does not matter: of
// two replicas with a count, the same one is always the fuller.
func isFuller(r, other *entry) (fuller, known bool) {
	n, ok := r.Count()
	m, okOther := other.Count()
	if !ok || !okOther {
		return false, false
	}
	if n != m {
		return n > m, true
	}
	if a, b := record.StateOf(r.text) == record.Final, record.StateOf(other.text) == record.Final; a != b {
		return a, true
	}
	return r.Replica < other.Replica, true
}

// isFinal reports whether an entry is final. It returns true for every entry if the query has no parameter final, and for those of a
// roll-up, which leaves out records that are not final: see [rollup.Plan.Wanted].
func (a *answer) isFinal(e *entry) bool {
	return !a.final || a.rolling != nil || a.timeline.IsFinal(a.current.start, e.text)
}

// merging are the records of a bucket that are merged from the summaries of several agents. It belongs to one answer. put removes a
// record from series when it has its text, so the records that are left at the end have expired.
type merging struct {
	start  time.Time               // of the bucket
	bucket int                     // its index in answer.kept, before arrange reverses that
	series map[string]mergedRecord // by field and tags, as record.AppendSeries has them
}

// mergedRecord is a record that is made by merging. Names are as the JSON has them.
type mergedRecord struct {
	place int      // among the records of its bucket
	stats []string // the names of its statistics
}

// note remembers the records of a bucket that are merged later. The bucket is the next one in a.kept.
func (a *answer) note(start time.Time, entries []entry) {
	var m merging
	for i := range entries {
		e := &entries[i]
		if !e.merged {
			continue
		}
		if m.series == nil {
			m = merging{start: start, bucket: len(a.kept), series: make(map[string]mergedRecord)}
			a.merging = append(a.merging, m)
		}
		// For example "usage_idle","cpu":"0","host":"a": the field's name as JSON, and the members of the tags.
		m.series[e.Field+e.Tags] = mergedRecord{place: i, stats: e.stats}
	}
}

// mergeAgents makes the records of an answer that are merged from those of several agents: it reads the summaries of their buckets once
// more and puts each result into its place. If a summary is missing, the error is an unmergeable with the advice for a query without a
// roll-up. Otherwise it is one of [server.rollupError] or of a limit.
func (s *server) mergeAgents(ctx context.Context, a *answer) error {
	if len(a.merging) == 0 {
		return nil
	}
	m := merger{answer: a, at: make(map[time.Time]*merging, len(a.merging))}
	starts := make([]time.Time, 0, len(a.merging))
	for i := range a.merging {
		b := &a.merging[i]
		starts = append(starts, b.start)
		// Equal times in two locations would be two keys.
		m.at[b.start.UTC()] = b
	}
	// MaxGroups must be above 0. It is never reached, because the function in the field Only allows no other groups than the records that
	// were read.
	plan := rollup.Plan{
		Table: a.table.Name, Wanted: record.Wanted{Fields: a.fields, Tags: a.tags}, Selection: m.selection(),
		ExactLimit: stats.DefaultExactLimit, MaxGroups: s.MaxScanned, Only: m.only,
	}
	// The memory of the merging is counted while it lasts; that of its results is counted by put.
	if err := a.work.beginMerge(ctx); err != nil {
		return err
	}
	merged := rollup.New(&plan, m.put)
	_, err := s.addSummaries(ctx, a.table, starts, merged.Wants, a.work, func(b record.Summaries) error { return merged.Add(b.Start, b.Parts) })
	if err == nil {
		err = merged.Close()
	}
	a.work.endMerge()
	switch {
	case errors.Is(err, rollup.ErrNoSummary):
		return unmergeable{what: err.Error(), agents: true}
	case err != nil:
		return s.rollupError(a.table, err)
	}
	m.finish()
	return nil
}

// merger puts merged records into an answer. It is used once, by the goroutine of the request.
type merger struct {
	*answer
	at  map[time.Time]*merging // by the start of the bucket, in UTC
	key []byte
}

// selection returns the statistics that any of the records has, and [rollup.MaxError]. The roll-up computes the same statistics for
// all records; put removes those that a record does not have.
func (m *merger) selection() *stats.Selection {
	var names []string
	for _, b := range m.merging {
		for _, r := range b.series {
			for _, name := range r.stats {
				if !slices.Contains(names, name) {
					names = append(names, name)
				}
			}
		}
	}
	return rollup.Selection(names)
}

// find returns the record of a bucket, series and field that is merged. The key is that of note. It is made in m.key, so that only, which
// the roll-up calls for each summary, allocates nothing.
func (m *merger) find(start time.Time, field string, tags []series.Tag) (b *merging, r mergedRecord, ok bool) {
	if b = m.at[start.UTC()]; b == nil {
		return nil, r, false
	}
	m.key = record.AppendSeries(m.key[:0], field, tags)
	r, ok = b.series[string(m.key)]
	return b, r, ok
}

// only is [rollup.Plan.Only]: it selects the series and fields that are merged.
func (m *merger) only(start time.Time, field string, tags []series.Tag) bool {
	_, _, ok := m.find(start, field, tags)
	return ok
}

// put puts a merged record, with the statistics that the stored records have, into its place. The error is a tooMuch if the answer
// becomes too large. The record is valid only during the call, so its JSON is copied.
func (m *merger) put(r *record.Record) error {
	b, place, ok := m.find(r.Start, r.Field, r.Tags)
	if !ok {
		return fmt.Errorf("a record of field %q was merged that is not in the answer", r.Field)
	}
	r.Stats = slices.DeleteFunc(r.Stats, func(s record.Stat) bool { return s.Name != rollup.MaxError && !slices.Contains(place.stats, s.Name) })
	text := string(r.AppendJSON(nil))
	m.kept[b.bucket][place.place] = text
	delete(b.series, string(m.key))
	m.bytes += len(text) + 1
	if m.bytes > m.maxBytes {
		return m.tooManyBytes()
	}
	return m.grow(len(text) + 1 + textCost)
}

// finish removes the records that were not merged because they have expired meanwhile: between the reading of the records and that of their
// summaries.
func (m *merger) finish() {
	for _, b := range m.merging {
		if len(b.series) == 0 {
			continue
		}
		m.records -= len(b.series)
		m.kept[b.bucket] = slices.DeleteFunc(m.kept[b.bucket], func(text string) bool { return text == "" })
	}
}
