// Package rollup merges the summaries of stored records: over agents, series and time. Percentiles of the result come
// from the merged values; they are never averaged.
//
//	stored bucket ─ Add ─▶ fullest replica of each agent ─▶ group (tags, field, bucket) ─ Merge ─▶ record
//
// Two agents that describe the same series and bucket have described different values, so both are added. Replicas of one
// agent have described the same values, so the one with the most values counts, and the others are ignored. For example, the merged
// record of these three has 150 values:
//
//	agent a, replica 1    97 values    ignored
//	agent a, replica 2    100 values
//	agent b               50 values
package rollup

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/bucket"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// ErrNoSummary is wrapped by the error of [Rollup.Add] for a part without a summary.
var ErrNoSummary = errors.New("no cached summary")

// ErrTooMany is wrapped by the error of [Rollup.Add] if the result has more groups than the plan allows.
var ErrTooMany = errors.New("too many series")

// ErrRange is wrapped by the error of [Rollup.Add] for a bucket that no bucket of the grid contains.
var ErrRange = errors.New("a time out of range")

// Plan defines a roll-up. A roll-up does not change its plan, so several can use one at the same time.
type Plan struct {
	// Table is the name of the table in the records of the result.
	Table string
	// Wanted selects the records that are merged. If Wanted.Final is set, open records are merged too, but only final records
	// of the result are yielded: a result without the values of the open records would be wrong.
	Wanted record.Wanted
	// Ended is used if Wanted selects final records: a record without a state counts as final if its bucket begins at or
	// before this time.
	Ended time.Time
	// Only, unless it is nil, selects the series and fields that are merged, for each bucket of the result. The tags are those of
	// [record.Record.JSONTags]. Only must neither change nor keep them.
	Only func(start time.Time, field string, tags []series.Tag) bool
	// Apart makes a record for each agent and replica, instead of adding agents up and ignoring all replicas but one.
	Apart bool
	// Grouped removes the tags whose keys are not in GroupBy, and merges the series that then have the same tags. A series
	// without a tag of GroupBy is in the group without that tag. If Grouped is false, GroupBy is not used.
	Grouped bool
	GroupBy []string
	// Grid, unless it is nil, divides time into the buckets of the result. A stored bucket belongs to the one that
	// contains its start.
	Grid *bucket.Grid
	// Selection are the statistics of the result.
	Selection *stats.Selection
	// Shares are limits of values. For each, the result has the share of the values up to that limit, and the largest
	// error of that share: see [stats.Summary.Share]. The statistics are named share_le_<limit> and share_le_<limit>_error, such
	// as share_le_0.5 and share_le_0.5_error.
	Shares []float64
	// ExactLimit is the exact limit of merged summaries, 1 or more.
	ExactLimit int
	// MaxGroups is the largest number of records for one bucket of the result, 1 or more.
	MaxGroups int
	// Complete is the time up to which all values have arrived. A record of a Grid's bucket that ends after it is open, even
	// if all stored records of the bucket are final.
	Complete time.Time
}

// Rollup merges the parts of one table. It is not safe for concurrent use.
//
// It has one bucket of the result in memory: as many groups as that has records, each with a merged summary. The groups of a bucket that was
// yielded are used again, so that the memory does not grow with the number of buckets.
type Rollup struct {
	plan  *Plan
	yield func(*record.Record) error // gets the records of the result

	open    bool                    // whether groups belong to a bucket
	start   time.Time               // the start of that bucket
	groups  map[identity]*group     // of that bucket, by what is left of tags
	members map[identity]*group     // the group of each series and field of this bucket, nil for one that is not wanted
	spare   []*group                // groups of earlier buckets, to use again
	tags    map[string][]series.Tag // the tags of a text that was parsed lately; see maxTags
	scratch stats.Summary           // the summary of the part that is being added
	values  []float64               // scratch of a record: the values of its statistics
	shape   record.Shape            // of the statistics of the selection
	fullest map[replicated]int      // scratch of replicas: the index of the fullest one so far
}

// identity identifies the summaries that belong together. If they are kept apart by agents, tags contains the agent and the
// replica too.
type identity struct{ tags, field string }

// identity returns the identity of a part. tags is the text of its tags, or of those that are left of them.
func (p *Plan) identity(tags string, part *record.SummaryPart) identity {
	if p.Apart {
		tags = string(series.AppendEscaped(append(series.AppendEscaped([]byte(tags+"|"), part.Agent), '|'), part.Replica))
	}
	return identity{tags, part.Field}
}

// replicated identifies the replicas of one record.
type replicated struct {
	identity
	agent string
}

// group is one record of the result before its bucket is complete.
type group struct {
	tags    []series.Tag // of the result
	field   string
	agent   string // the agent of all parts, or empty if they have several
	replica string // that of all parts if they are kept apart, or else empty
	parts   int
	state   record.State
	summary stats.Summary // of all parts so far
}

// New returns a roll-up that yields each record of the result. The buckets come in the order in which Add begins them; within
// one, records come by field, and those of one field always in the same order. The record and the memory that it refers to
// are valid until yield returns. An error of yield ends the call of Add or Close that called it and is returned. The plan
// must not change while the roll-up is used.
func New(p *Plan, yield func(*record.Record) error) *Rollup {
	return &Rollup{
		plan: p, yield: yield, shape: record.ShapeOf(p.Selection),
		groups: make(map[identity]*group), members: make(map[identity]*group), tags: make(map[string][]series.Tag),
	}
}

// Add adds the parts of the stored bucket that begins at start, in any order. The caller adds each stored bucket once, and
// all stored buckets that belong to one bucket of the result one after another. When a bucket of the result begins, Add
// yields the records of the one before. It does not change parts and keeps none of them. After an error the roll-up cannot
// be used again.
//
// Beside the errors of yield, an error wraps one of these: [ErrNoSummary] if a wanted part has no summary, [stats.ErrFormat]
// if its bytes are not a summary, [series.ErrKey] if its tags are malformed, [stats.ErrOverflow] if there are too many
// values to count, [ErrTooMany] if the bucket of the result has more than MaxGroups records, and [ErrRange] if the grid has
// no bucket for start.
func (r *Rollup) Add(start time.Time, parts []record.SummaryPart) error {
	if err := r.begin(start); err != nil {
		return err
	}
	parts = r.wanted(start, parts)
	parts, ignored, err := r.countReplicas(start, parts)
	if err != nil {
		return err
	}
	for i := range parts {
		if ignored != nil && ignored[i] {
			continue
		}
		if err := r.add(&parts[i]); err != nil {
			return in(start, &parts[i], err)
		}
	}
	return nil
}

// in returns an error of a part with the place of the part.
func in(start time.Time, p *record.SummaryPart, err error) error {
	return fmt.Errorf("field %q of the series %q in the bucket %s: %w", p.Field, p.Tags, start.UTC().Format(time.RFC3339Nano), err)
}

// Close yields the records of the last bucket. It returns the error of yield.
func (r *Rollup) Close() error { return r.flush() }

// compare is the order in which parts are merged, so that a roll-up of the same parts is the same to the last bit.
func compare(a, b record.SummaryPart) int {
	return cmp.Or(cmp.Compare(a.Field, b.Field), cmp.Compare(a.Tags, b.Tags), cmp.Compare(a.Agent, b.Agent), cmp.Compare(a.Replica, b.Replica))
}

// wanted returns a sorted copy of the parts whose agents and replicas are wanted. If Wanted selects final records, parts
// without a state that have ended are final there.
func (r *Rollup) wanted(start time.Time, parts []record.SummaryPart) []record.SummaryPart {
	parts = slices.Clone(parts)
	slices.SortFunc(parts, compare)
	if r.plan.Wanted.Final && !start.After(r.plan.Ended) {
		for i := range parts {
			if parts[i].State == record.Unmarked {
				parts[i].State = record.Final
			}
		}
	}
	return slices.DeleteFunc(parts, func(p record.SummaryPart) bool { return !r.fromWanted(&p) })
}

// fromWanted reports whether a part is from a wanted agent and replica.
func (r *Rollup) fromWanted(p *record.SummaryPart) bool {
	for _, tag := range r.plan.Wanted.Tags {
		if tag.Key == record.Agent && p.Agent != tag.Value || tag.Key == record.Replica && p.Replica != tag.Value {
			return false
		}
	}
	return true
}

// Wants reports whether Add would merge a part of the bucket that begins at start. Other parts can be left out, so that a caller
// which collects the parts of a bucket needs less memory. It is also true for a part for which Add returns an error.
func (r *Rollup) Wants(start time.Time, p *record.SummaryPart) bool {
	_, wanted, err := r.wants(start, p)
	return err != nil || wanted && r.fromWanted(p)
}

// wants reports whether the field and the series of a part are wanted, and returns the tags of the series.
func (r *Rollup) wants(start time.Time, p *record.SummaryPart) (tags []series.Tag, wanted bool, err error) {
	if fields := r.plan.Wanted.Fields; len(fields) > 0 && !slices.Contains(fields, p.Field) {
		return nil, false, nil
	}
	tags, err = r.tagsOf(p.Tags)
	return tags, err == nil && r.matches(tags) && (r.plan.Only == nil || r.plan.Only(start, p.Field, tags)), err
}

// begin begins the bucket of the result that a stored bucket belongs to, unless it has begun.
func (r *Rollup) begin(start time.Time) error {
	if r.plan.Grid != nil {
		nanos, ok := bucket.Nano(start)
		if ok {
			nanos, ok = r.plan.Grid.Start(nanos)
		}
		if !ok {
			return fmt.Errorf("%w: the bucket %s begins outside of the years 1678 to 2261", ErrRange, start.UTC().Format(time.RFC3339Nano))
		}
		start = time.Unix(0, nanos).UTC()
	}
	if r.open && r.start.Equal(start) {
		return nil
	}
	err := r.flush()
	r.open, r.start = true, start
	return err
}

// replicas returns which parts are ignored because another replica of the agent has more values, or nil if there are no
// replicas. Among replicas with equally many values it takes a final record rather than an open one, and then the one whose
// name is first. at is the index of the part that an error is about.
func (r *Rollup) replicas(parts []record.SummaryPart) (ignored []bool, at int, err error) {
	if !slices.ContainsFunc(parts, isReplica) {
		return nil, 0, nil
	}
	ignored = make([]bool, len(parts))
	counts := make([]uint64, len(parts))
	if r.fullest == nil {
		r.fullest = make(map[replicated]int)
	}
	clear(r.fullest)
	for i := range parts {
		p := &parts[i]
		if len(p.Summary) > 0 {
			if err := r.scratch.UnmarshalBinary(p.Summary); err != nil {
				return nil, i, err
			}
			counts[i] = r.scratch.Count()
		}
		key := replicated{identity{p.Tags, p.Field}, p.Agent}
		best, found := r.fullest[key]
		if found && !fuller(counts[i], p, counts[best], &parts[best]) {
			ignored[i] = true
			continue
		}
		if found {
			ignored[best] = true
		}
		r.fullest[key] = i
	}
	return ignored, 0, nil
}

// isReplica reports whether a part is of an agent that has replicas.
func isReplica(p record.SummaryPart) bool { return p.Replica != "" }

// countReplicas returns which parts are ignored, as replicas does. If some parts are replicas, it leaves out the parts whose
// fields and series are not wanted, so that their summaries are not read. It may make groups; each gets the fullest of its replicas, so
// none stays empty.
func (r *Rollup) countReplicas(start time.Time, parts []record.SummaryPart) (kept []record.SummaryPart, ignored []bool, err error) {
	if r.plan.Apart || !slices.ContainsFunc(parts, isReplica) {
		return parts, nil, nil
	}
	for i := range parts {
		switch g, err := r.group(&parts[i]); {
		case err != nil:
			return nil, nil, in(start, &parts[i], err)
		case g != nil:
			kept = append(kept, parts[i])
		}
	}
	ignored, at, err := r.replicas(kept)
	if err != nil {
		return nil, nil, in(start, &kept[at], err)
	}
	return kept, ignored, nil
}

// fuller reports whether replica p, which has n values, is taken rather than q, which has m.
func fuller(n uint64, p *record.SummaryPart, m uint64, q *record.SummaryPart) bool {
	if n != m {
		return n > m
	}
	if a, b := p.State == record.Final, q.State == record.Final; a != b {
		return a
	}
	return p.Replica < q.Replica
}

// add merges one part into its group.
func (r *Rollup) add(p *record.SummaryPart) error {
	g, err := r.group(p)
	if err != nil || g == nil {
		return err
	}
	if len(p.Summary) == 0 {
		return ErrNoSummary
	}
	g.note(p)
	if g.parts == 1 { // the summary of the group is empty, so nothing is merged
		return g.summary.UnmarshalBinary(p.Summary)
	}
	if err := r.scratch.UnmarshalBinary(p.Summary); err != nil {
		return err
	}
	return g.summary.Merge(&r.scratch)
}

// note updates what the group knows of its parts beside their values.
func (g *group) note(p *record.SummaryPart) {
	g.parts++
	if g.parts == 1 {
		g.agent, g.state = p.Agent, p.State
		return
	}
	if g.agent != p.Agent {
		g.agent = ""
	}
	g.state = earlier(g.state, p.State)
}

// earlier returns the state of a record that is merged from two: open if one is open, else unmarked if one is unmarked.
func earlier(a, b record.State) record.State {
	switch {
	case a == record.Open || b == record.Open:
		return record.Open
	case a == record.Unmarked || b == record.Unmarked:
		return record.Unmarked
	}
	return record.Final
}

// group returns the group of a part, or nil if its field or series is not wanted.
func (r *Rollup) group(p *record.SummaryPart) (*group, error) {
	id := r.plan.identity(p.Tags, p)
	if g, known := r.members[id]; known {
		return g, nil
	}
	g, err := r.groupOf(p)
	if err == nil {
		r.members[id] = g
	}
	return g, err
}

// groupOf is group for the first part of a series and field in a bucket.
func (r *Rollup) groupOf(p *record.SummaryPart) (*group, error) {
	tags, wanted, err := r.wants(r.start, p)
	if err != nil || !wanted {
		return nil, err //nolint:nilnil // not wanted
	}
	if r.plan.Grouped {
		tags = slices.DeleteFunc(slices.Clone(tags), func(tag series.Tag) bool { return !slices.Contains(r.plan.GroupBy, tag.Key) })
	}
	key := r.plan.identity(string(series.AppendTags(nil, tags)), p)
	g := r.groups[key]
	if g == nil {
		if len(r.groups) == r.plan.MaxGroups {
			return nil, fmt.Errorf("%w: the bucket %s has more than %d", ErrTooMany, r.start.UTC().Format(time.RFC3339Nano), r.plan.MaxGroups)
		}
		g = r.newGroup(tags, p.Field)
		if r.plan.Apart {
			g.replica = p.Replica
		}
		r.groups[key] = g
	}
	return g, nil
}

// tagsOf returns the tags of a series as JSON has them. It remembers the tags of maxTags series.
func (r *Rollup) tagsOf(text string) ([]series.Tag, error) {
	if tags, known := r.tags[text]; known {
		return tags, nil
	}
	tags, err := series.ParseTags(text)
	if err != nil {
		return nil, err
	}
	rec := record.Record{Tags: tags}
	tags = rec.JSONTags()
	if len(r.tags) >= maxTags {
		clear(r.tags)
	}
	r.tags[text] = tags
	return tags, nil
}

// maxTags is how many texts of tags a Rollup keeps parsed: all are forgotten when there are more. The same texts come again in each bucket.
const maxTags = 10_000

// matches reports whether a series with these tags is wanted. The agent and the replica are checked by wanted.
func (r *Rollup) matches(tags []series.Tag) bool {
	for _, tag := range r.plan.Wanted.Tags {
		if tag.Key != record.Agent && tag.Key != record.Replica && !slices.Contains(tags, tag) {
			return false
		}
	}
	return true
}

// newGroup returns an empty group, which has the memory of one of an earlier bucket if there is one.
func (r *Rollup) newGroup(tags []series.Tag, field string) *group {
	n := len(r.spare)
	if n == 0 {
		return &group{tags: tags, field: field, summary: stats.New(r.plan.ExactLimit)}
	}
	g := r.spare[n-1]
	r.spare = r.spare[:n-1]
	g.summary.Reset()
	*g = group{tags: tags, field: field, summary: g.summary}
	return g
}

// flush yields the records of the bucket, by field, tags and agent, and ends the bucket. Without a bucket it does nothing.
func (r *Rollup) flush() error {
	order := make([]identity, 0, len(r.groups))
	for key := range r.groups {
		order = append(order, key)
	}
	slices.SortFunc(order, func(a, b identity) int { return cmp.Or(cmp.Compare(a.field, b.field), cmp.Compare(a.tags, b.tags)) })
	var rec record.Record
	for _, key := range order {
		g := r.groups[key]
		r.fill(&rec, g)
		if rec.State == record.Final || !r.plan.Wanted.Final {
			if err := r.yield(&rec); err != nil {
				return err
			}
		}
		r.spare = append(r.spare, g)
	}
	clear(r.groups)
	clear(r.members)
	r.open = false
	return nil
}

// fill makes rec the record of a group.
func (r *Rollup) fill(rec *record.Record, g *group) {
	*rec = record.Record{
		Table: r.plan.Table, Field: g.field, Agent: g.agent, Replica: g.replica, Tags: g.tags, Start: r.start.UTC(), State: g.state, Stats: rec.Stats[:0],
	}
	if grid := r.plan.Grid; grid != nil && g.state == record.Final && time.Unix(0, grid.End(r.start.UnixNano())).After(r.plan.Complete) {
		rec.State = record.Open // more stored buckets will come
	}
	r.values = r.plan.Selection.Append(r.values[:0], &g.summary)
	rec.Stats = r.shape.Append(rec.Stats, r.values)
	for _, limit := range r.plan.Shares {
		if share, maxError, ok := g.summary.Share(limit); ok {
			text := "share_le_" + strconv.FormatFloat(limit, 'f', -1, 64)
			rec.Stats = append(rec.Stats, record.Stat{Name: text, Value: share}, record.Stat{Name: text + "_error", Value: maxError})
		}
	}
}
