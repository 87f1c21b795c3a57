package exporter

import (
	"context"
	"errors"
	"hash/maphash"
	"math/bits"
	"slices"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// Limits of how long a merged series waits for its slowest agent.
const (
	// minAgentWait is for buckets of seconds, because agents write some of them at a time.
	minAgentWait = time.Minute
	// agentWidths is in widths of a bucket.
	agentWidths = 3
)

// tableScrape is the state of the export of one table. It first finds the newest final records of each series, by agent. Then it
// exports each series from one bucket: as the record is if one agent has described it, or else merged from the summaries.
//
// It is for one goroutine and one scrape. Of the records that it reads, it keeps the newest outline of each series and agent: the limits of
// series, buckets and records bound the memory.
type tableScrape struct {
	*Exposition      // gets the samples and the counts, and has the limits that tables share
	export           Table
	plan             plan
	starts           []time.Time // of the recent buckets and then of the late ones, the newest first; a place is an index here
	buckets          int         // how many more buckets may be read
	marked, unmarked bool        // whether records with and without the member "final" were read

	series   map[seriesKey]*found
	order    []*found          // the same in the order in which they were found
	agents   map[string]int    // the place of the newest final bucket of each agent, over all series
	refused  map[uint64]bool   // series that are not exported, as hashes: the texts of a million would need 100 MB
	hashing  maphash.Seed      // of refused; of a million series, one in 10^7 scrapes confuses two
	exported map[string]bool   // label sets that are exported; several series of the cache can have the same labels
	wanted   map[int][]*target // series whose summaries are needed, by the places of their buckets
	tags     map[string]string // see tableScrape.tagsOf
}

// seriesKey identifies a series of the exposition by parts of its outlines. Agent and replica are empty if agents are merged.
type seriesKey struct{ field, tags, agent, replica string }

// found is one series of the exposition. It has at least one feed, each of another agent or replica.
type found struct{ feeds []feed }

// feed has the final records that one agent, or one replica of an agent, has of a series.
type feed struct {
	newest  int            // the place of the newest of them
	outline record.Outline // of that record
	final   places         // of all of them
}

// places is a set of places, a bit for each: place p is bit p mod 64 of the element p / 64. A smaller place is a newer bucket. The nil set
// is empty.
//
// For example, {0, 2, 65} is {5, 2}.
type places []uint64

// add adds a place, 0 or more.
func (p *places) add(place int) {
	for len(*p) <= place/64 {
		*p = append(*p, 0)
	}
	(*p)[place/64] |= 1 << (place % 64)
}

// has reports whether a place is in the set.
func (p places) has(place int) bool { return place/64 < len(p) && p[place/64]>>(place%64)&1 == 1 }

// from returns the first place of the set that is not below the given one, or -1.
func (p places) from(place int) int {
	for i := place / 64; i < len(p); i++ {
		word := p[i]
		if i == place/64 {
			word = word >> (place % 64) << (place % 64)
		}
		if word != 0 {
			return 64*i + bits.TrailingZeros64(word)
		}
	}
	return -1
}

// newTableScrape returns the state before the first bucket is read. At most so many buckets of the plan are read.
func newTableScrape(x *Exposition, e Table, plan plan, buckets int) *tableScrape {
	return &tableScrape{
		Exposition: x, export: e, plan: plan, starts: slices.Concat(plan.recent, plan.late), buckets: buckets,
		series: make(map[seriesKey]*found), agents: make(map[string]int), refused: make(map[uint64]bool), hashing: maphash.MakeSeed(),
		exported: make(map[string]bool), wanted: make(map[int][]*target), tags: make(map[string]string),
	}
}

// run reads the buckets of the plan and exports the series. It does not read the late buckets if the recent ones have only records
// that are not marked as final or open: such records in late buckets are too old. The future bucket is read last, because it is
// only for a count, and the limit of records applies to it too.
func (t *tableScrape) run(ctx context.Context, reader Reader) error {
	recent := len(t.plan.recent)
	if err := t.readSome(ctx, reader, 0, recent); err != nil {
		return err
	}
	// Without any record, it is not known which kind the table has.
	if t.marked || !t.unmarked {
		if err := t.readSome(ctx, reader, recent, len(t.starts)); err != nil {
			return err
		}
	}
	_, err := t.readParts(ctx, reader, t.plan.future, func(_ int, part record.Part) { t.countFuture(part) })
	if err != nil {
		return err
	}
	for _, f := range t.order {
		t.exportSeries(f, t.choose(f))
	}
	return t.readSummaries(ctx, reader)
}

// readSome takes the records of the buckets from one place to another, up to the limits of buckets and records, and counts the
// buckets beyond the limits as dropped.
func (t *tableScrape) readSome(ctx context.Context, reader Reader, from, to int) error {
	n := min(to-from, t.buckets)
	left, err := t.readParts(ctx, reader, t.starts[from:from+n], func(i int, part record.Part) { t.take(from+i, part) })
	t.buckets -= n
	t.dropped["buckets"] += to - from - n + left
	return err
}

// readParts calls take for the parts of the buckets, up to the limit of records, with the index of the bucket. It returns how
// many of the buckets are not read to their end.
func (t *tableScrape) readParts(ctx context.Context, reader Reader, starts []time.Time, take func(int, record.Part)) (left int, err error) {
	done := 0
	err = reader.Records(ctx, t.export.Table, starts, 0, func(part record.Part) error {
		if t.scans -= len(part.Texts); t.scans < 0 {
			return errEnough
		}
		slices.Sort(part.Texts) // so that the choice between two series with equal labels stays the same
		take(done, part)
		if part.Last {
			done++
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return len(starts) - done, err
}

// take notes the final records of a part of a bucket. Places come in ascending order, so the first final record of an agent is its
// newest one.
func (t *tableScrape) take(place int, part record.Part) {
	form := record.NewForm(t.export.Name, part.Start)
	for _, text := range part.Texts {
		state := record.StateOf(text)
		t.marked, t.unmarked = t.marked || state != record.Unmarked, t.unmarked || state == record.Unmarked
		if !t.plan.IsFinal(part.Start, text) || state == record.Unmarked && part.Start.Before(t.plan.oldest) {
			continue
		}
		o, ok := form.Outline(text)
		if !ok {
			t.dropped["malformed"]++
			continue
		}
		if _, known := t.agents[o.Agent]; !known {
			t.agents[o.Agent] = place
		}
		if f := t.seriesFor(&o); f != nil {
			f.note(o, place)
		}
	}
}

// seriesFor returns the series of the exposition that a record belongs to, or nil and a counted overflow if there is no room for
// it.
func (t *tableScrape) seriesFor(o *record.Outline) *found {
	key := t.key(o)
	f := t.series[key]
	switch {
	case f != nil:
	case t.room > 0:
		f = new(found)
		t.series[key] = f
		t.order = append(t.order, f)
		t.room--
	default:
		t.refuse(key, "overflow")
	}
	return f
}

// key returns the key of the series that a record belongs to.
func (t *tableScrape) key(o *record.Outline) seriesKey {
	key := seriesKey{field: o.Field, tags: o.Tags}
	if t.export.EachAgent {
		key.agent, key.replica = o.Agent, o.Replica
	}
	return key
}

// refuse counts a series that is not exported, once for all reasons together.
func (t *tableScrape) refuse(key seriesKey, reason string) {
	hash := maphash.Comparable(t.hashing, key)
	if !t.refused[hash] {
		t.refused[hash] = true
		t.dropped[reason]++
	}
}

// countFuture counts the series in a part of a bucket that begins after now, except those that are exported from another
// bucket.
func (t *tableScrape) countFuture(part record.Part) {
	form := record.NewForm(t.export.Name, part.Start)
	for _, text := range part.Texts {
		o, ok := form.Outline(text)
		if !ok {
			t.dropped["malformed"]++
			continue
		}
		if key := t.key(&o); t.series[key] == nil {
			t.refuse(key, "future")
		}
	}
}

// note notes a final record of the series. The newest one of each agent and replica comes first. A record in a later part is a
// newer version only if it is of the same place.
func (f *found) note(o record.Outline, place int) {
	for i := range f.feeds {
		if feed := &f.feeds[i]; feed.outline.Agent == o.Agent && feed.outline.Replica == o.Replica {
			if feed.newest == place {
				feed.outline = o // a newer version in a later part of the bucket
			}
			feed.final.add(place)
			return
		}
	}
	f.feeds = append(f.feeds, feed{newest: place, outline: o})
	f.feeds[len(f.feeds)-1].final.add(place)
}

// severalAgents reports whether the feeds are of several agents.
func severalAgents(feeds []feed) bool {
	return slices.ContainsFunc(feeds, func(feed feed) bool { return feed.outline.Agent != feeds[0].outline.Agent })
}

// at returns the feeds that have a final record at a place.
func (f *found) at(place int) (feeds []feed) {
	for _, feed := range f.feeds {
		if feed.final.has(place) {
			feeds = append(feeds, feed)
		}
	}
	return feeds
}

// next returns the place of the newest final record at or after a place, or -1.
func (f *found) next(place int) int {
	first := -1
	for _, feed := range f.feeds {
		if p := feed.final.from(place); p >= 0 && (first < 0 || p < first) {
			first = p
		}
	}
	return first
}

// choose returns the place of the bucket that is exported: the newest one up to which all agents of the series have written
// their final records of the table. An agent that is behind the fastest one by more than the longest wait is not waited for, so
// that one that has ended does not hold the series up.
//
// For example, of a series of the agents x and y, where y writes its records a bucket later than x:
//
//	place      0      1      2
//	agent x    final  final  final    its newest place is 0, so it is the fastest one
//	agent y           final  final    its newest place is 1: the series is exported from there
//
// The newest place of an agent is that over all series: an agent may have no values of this series in a bucket. If no record is at
// the slowest place or older, the newest one is exported.
func (t *tableScrape) choose(f *found) int {
	if !severalAgents(f.feeds) {
		return f.next(0)
	}
	fastest := len(t.starts)
	for _, feed := range f.feeds {
		fastest = min(fastest, t.agents[feed.outline.Agent])
	}
	wait := max(minAgentWait, agentWidths*t.plan.Likely)
	slowest := fastest
	for _, feed := range f.feeds {
		if place := t.agents[feed.outline.Agent]; t.starts[fastest].Sub(t.starts[place]) <= wait {
			slowest = max(slowest, place)
		}
	}
	if place := f.next(slowest); place >= 0 {
		return place
	}
	return f.next(0)
}
