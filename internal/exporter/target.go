package exporter

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/rollup"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// target is a series whose summaries in one bucket are needed: for its histogram, for its gauges if they are merged, and to see
// whether another agent still has an open record there.
//
// A merged series has no record of its own: record has its labels and start, and gets its statistics once all parts are there. A series
// of one agent is exported at once, and only its histogram waits for the summary.
type target struct {
	found    *found
	place    int           // of the bucket
	key      partKey       // of its summaries in that bucket
	record   record.Record // of the agent that described it; a merged one has no statistics at first
	merged   bool
	names    []string // of the statistics of a merged one
	exported bool     // whether its gauges are exported, which then have these labels
	labels   string
	parts    []record.SummaryPart // the newest version of each agent and replica, as they are read
}

// partKey identifies the summaries of one series of the exposition.
// tags are those of series.AppendTags; agent and replica are empty if agents are merged.
type partKey struct{ tags, field, agent, replica string }

// exportSeries exports the gauges of a series from the bucket at a place, or makes it a target if its summaries are needed. A
// series of one agent needs its summary only for a histogram. One of several agents needs the summaries in any case, also to see
// whether an agent still has an open record there.
func (t *tableScrape) exportSeries(f *found, place int) {
	tg := &target{found: f, place: place}
	feeds := f.at(place)
	tg.merged = severalAgents(feeds)
	// The record with its statistics is known only of the newest place of a feed; of an older place only the summaries are left.
	for _, feed := range feeds {
		tg.names = feed.outline.AppendStatNames(tg.names)
		tg.merged = tg.merged || feed.newest != place // the outline is of another bucket
	}
	var err error
	if tg.record, err = fullest(feeds).Record(); err != nil {
		t.dropped["malformed"]++
		return
	}
	tg.record.Start = t.starts[place]
	// Nothing is left to do, or the labels are those of another series.
	if !severalAgents(f.feeds) && (!t.exportGauges(tg) || !t.protobuf) {
		return
	}
	tg.key = partKey{tags: string(series.AppendTags(nil, tg.record.Tags)), field: tg.record.Field}
	if t.export.EachAgent {
		tg.key.agent, tg.key.replica = tg.record.Agent, tg.record.Replica
	}
	t.wanted[place] = append(t.wanted[place], tg)
}

// fullest returns the outline with the most values. Of equally full ones, it returns that of the first replica by name.
func fullest(feeds []feed) *record.Outline {
	best, most := &feeds[0].outline, uint64(0)
	for i := range feeds {
		o := &feeds[i].outline
		n, _ := o.Count()
		if i == 0 || n > most || n == most && o.Replica < best.Replica {
			best, most = o, n
		}
	}
	return best
}

// exportGauges exports the gauges of a target. It returns false if their labels are those of another series. Of several series with
// equal labels, the first one that was found is exported.
func (t *tableScrape) exportGauges(tg *target) bool {
	l, ok := labelsOf(t.export, &tg.record)
	tg.labels = l.encode(t.protobuf)
	if !ok || t.exported[tg.labels] {
		t.dropped["label_clash"]++
		return false
	}
	t.exported[tg.labels] = true
	t.size += len(tg.labels) + labelsCost
	t.gauges(t.export.Table, &tg.record, tg.labels)
	tg.exported = true
	return true
}

// readSummaries completes the targets. It reads whole buckets, those with the newest series first. The limit of records applies
// to them too.
func (t *tableScrape) readSummaries(ctx context.Context, reader Reader) error {
	// A turn can add targets in older buckets, for series that are still open in a newer one: see complete. Each turn moves such a
	// series to an older place, so there is an end.
	for len(t.wanted) > 0 {
		wanted := t.wanted
		t.wanted = make(map[int][]*target)
		left := slices.Sorted(maps.Keys(wanted))
		starts := make([]time.Time, 0, len(left))
		for _, place := range left {
			starts = append(starts, t.starts[place])
		}
		var targets map[partKey]*target // of the bucket that is being read
		err := reader.Summaries(ctx, t.export.Table, starts, func(b record.Summaries) error {
			if t.scans -= len(b.Parts); t.scans < 0 {
				return errEnough
			}
			// The summaries of a large bucket come in several calls.
			if targets == nil {
				targets = byKey(wanted[left[0]])
			}
			t.distribute(targets, b.Parts)
			if b.Last {
				t.completeAll(wanted[left[0]])
				left, targets = left[1:], nil
			}
			return nil
		})
		if errors.Is(err, errEnough) {
			t.dropped["buckets"] += len(left)
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// byKey returns targets by their keys.
func byKey(all []*target) map[partKey]*target {
	targets := make(map[partKey]*target, len(all))
	for _, tg := range all {
		targets[tg.key] = tg
	}
	return targets
}

// distribute gives parts to their targets.
func (t *tableScrape) distribute(targets map[partKey]*target, parts []record.SummaryPart) {
	for i := range parts {
		p := &parts[i]
		key := partKey{tags: t.tagsOf(p.Tags), field: p.Field}
		if t.export.EachAgent {
			key.agent, key.replica = p.Agent, p.Replica
		}
		if tg := targets[key]; tg != nil {
			tg.add(p)
		}
	}
}

// add adds a part, or replaces the older version of one.
func (tg *target) add(p *record.SummaryPart) {
	i := slices.IndexFunc(tg.parts, func(q record.SummaryPart) bool { return q.Agent == p.Agent && q.Replica == p.Replica })
	if i < 0 {
		tg.parts = append(tg.parts, *p)
		return
	}
	tg.parts[i] = *p
}

// completeAll completes the targets of one bucket.
func (t *tableScrape) completeAll(targets []*target) {
	for _, tg := range targets {
		t.complete(tg)
		tg.parts = nil
	}
}

// tagsOf returns the tags of a part as they are in JSON, where some have another name. The results are kept, because the same
// series come in each bucket. A text that is not valid stays as it is.
func (t *tableScrape) tagsOf(text string) string {
	renamed, known := t.tags[text]
	if !known {
		tags, err := series.ParseTags(text)
		renamed = text
		if err == nil {
			for i := range tags {
				tags[i].Value = string([]rune(tags[i].Value)) // invalid bytes become U+FFFD, as in JSON
			}
			r := record.Record{Tags: tags}
			renamed = string(series.AppendTags(nil, r.JSONTags()))
		}
		t.tags[text] = renamed
	}
	return renamed
}

// complete exports what is left to export of a target whose parts are known. There are four cases: an agent is still open, so the
// series is exported from an older bucket; one agent, whose histogram is left; several agents, merged; and a summary that is
// missing or not valid.
func (t *tableScrape) complete(tg *target) {
	if older := tg.found.next(tg.place + 1); older >= 0 && severalAgents(tg.found.feeds) && stillOpen(tg.parts) {
		t.exportSeries(tg.found, older)
		return
	}
	if !tg.merged {
		if !tg.exported && !t.exportGauges(tg) || !t.protobuf {
			return
		}
		// Like the gauges, the histogram is of the agent's final records.
		tg.parts = slices.DeleteFunc(tg.parts, func(p record.SummaryPart) bool { return p.Agent != tg.record.Agent || p.State == record.Open })
	}
	summary, err := rollup.Merge(tg.parts, stats.DefaultExactLimit)
	switch {
	case errors.Is(err, rollup.ErrNoSummary):
		if tg.merged {
			t.dropped["no_summary"]++
		}
		return
	case err != nil:
		t.dropped["malformed"]++
		return
	case summary.Count() == 0: // the bucket has expired
		return
	}
	if tg.merged {
		tg.record.Stats = statsOf(summary, tg.names)
		if !t.exportGauges(tg) {
			return
		}
	}
	if t.protobuf {
		t.histogram(t.export.Table, summary, tg.labels)
	}
}

// stillOpen reports whether one of the agents may still get values for the bucket. An agent whose replicas include one that is not
// open is final.
func stillOpen(parts []record.SummaryPart) bool {
	return slices.ContainsFunc(parts, func(p record.SummaryPart) bool {
		return p.State == record.Open && !slices.ContainsFunc(parts, func(q record.SummaryPart) bool { return q.Agent == p.Agent && q.State != record.Open })
	})
}

// statsOf returns the statistics of a summary by their names in records, as merged records of the API have them: see
// [rollup.Selection].
func statsOf(s *stats.Summary, wanted []string) []record.Stat {
	selection := rollup.Selection(wanted)
	return record.ShapeOf(selection).Append(nil, selection.Append(nil, s))
}
