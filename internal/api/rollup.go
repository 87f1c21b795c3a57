package api

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/bucket"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/rollup"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
	"github.com/telegraf-describe/telegraf-describe/internal/timeline"
)

// rolling are the parameters of a request that rolls records up. It is made by params.rolling and then not changed.
type rolling struct {
	grouped   bool             // whether there is the parameter group_by; without it, series stay apart
	groupBy   []string         // keys of tags; empty, if grouped, for one record of all series
	grid      *bucket.Grid     // nil for the stored buckets
	selection *stats.Selection // of the merged records
	shares    []float64        // limits of the values whose share is wanted; finite, each once
}

// rollsUp reports whether the request has a parameter of roll-ups.
func (p *params) rollsUp() bool {
	for i := range p.known {
		if p.known[i].rollup && p.values.Has(p.known[i].name) {
			return true
		}
	}
	return false
}

// rolling reads the parameters of roll-ups. It returns nil if the request has none of them. With a wrong parameter its result is
// not used, as the request fails.
func (p *params) rolling() *rolling {
	if !p.rollsUp() {
		return nil
	}
	r := &rolling{grouped: p.values.Has("group_by"), groupBy: p.list("group_by"), grid: p.grid(), shares: p.shares()}
	method, err := stats.ParseMethod(p.orDefault("method", stats.Linear.String()))
	if err != nil {
		p.faults.add("query.method", p.values.Get("method"), "%v", err)
	}
	names := p.list("stats")
	// With max_error a client knows how exact the percentiles are. The default statistics have it for records that are not exact.
	if len(names) > 0 && !slices.Contains(names, rollup.MaxError) {
		names = append(names, rollup.MaxError)
	}
	if r.selection, err = stats.NewSelection(names, method); err != nil {
		p.faults.add("query.stats", strings.Join(p.values["stats"], ","), "%v", err)
	}
	return r
}

// list reads a repeated parameter whose values may also be separated by commas. Empty elements are left out.
func (p *params) list(name string) (list []string) {
	for _, text := range p.values[name] {
		for element := range strings.SplitSeq(text, ",") {
			if element = strings.TrimSpace(element); element != "" {
				list = append(list, element)
			}
		}
	}
	return list
}

// orDefault returns a parameter, or the value for an absent one.
func (p *params) orDefault(name, value string) string {
	if p.values.Has(name) {
		return p.values.Get(name)
	}
	return value
}

// grid reads the parameters bucket and timezone. It returns nil if they are absent or wrong. The buckets have the usual origin, the
// year 1: see [bucket.NewGrid].
func (p *params) grid() *bucket.Grid {
	// Each parameter is read although the other one may be wrong, so that the client gets the faults of both.
	zone, err := bucket.LoadZone(p.orDefault("timezone", "UTC"))
	if err != nil {
		p.faults.add("query.timezone", p.values.Get("timezone"), "%v", err)
	}
	if !p.values.Has("bucket") {
		if p.values.Has("timezone") && err == nil {
			p.faults.add("query.timezone", p.values.Get("timezone"), "want the parameter bucket too, whose days begin at midnight of the zone")
		}
		return nil
	}
	text := p.values.Get("bucket")
	width, widthErr := bucket.ParseWidth(text)
	if widthErr != nil {
		p.faults.add("query.bucket", text, "%v", widthErr)
	}
	if err != nil || widthErr != nil {
		return nil
	}
	grid, err := bucket.NewGrid(width, time.Time{}, zone)
	if err != nil {
		p.faults.add("query.bucket", text, "%v", err)
		return nil
	}
	return &grid
}

// shares reads the repeated parameter share_le, each number once, in the order of the request. Two texts of one number, such as 1
// and 1.0, are one.
func (p *params) shares() (shares []float64) {
	for _, text := range p.values["share_le"] {
		v, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
			p.faults.add("query.share_le", text, "want a number")
			continue
		}
		if !slices.Contains(shares, v) {
			shares = append(shares, v)
		}
	}
	return shares
}

// widen extends a range to whole buckets of the grid, so that no bucket of the answer lacks values. A bucket of the grid that
// contains the start or the end of the range is in the answer. For example, with bucket=1h, from 03:04 to 04:34 becomes from 03:00
// to 05:00. It changes neither First nor Last.
func (r *rolling) widen(span record.Range) record.Range {
	if r.grid == nil {
		return span
	}
	if start, ok := r.startOf(span.Start); ok && !span.Start.IsZero() {
		span.Start = start
	}
	if !span.End.IsZero() {
		// The end is exclusive, so the last time of the range decides.
		if start, ok := r.startOf(span.End.Add(-1)); ok {
			span.End = r.endOf(start)
		}
	}
	return span
}

// startOf returns the start of the bucket of the grid that contains a time. It returns false for a time that no bucket of the grid
// contains: outside of the years 1678 to 2261.
func (r *rolling) startOf(at time.Time) (time.Time, bool) {
	nanos, ok := bucket.Nano(at)
	if ok {
		nanos, ok = r.grid.Start(nanos)
	}
	return time.Unix(0, nanos), ok
}

// endOf returns the exclusive end of the bucket of the grid that begins at start, a result of startOf.
func (r *rolling) endOf(start time.Time) time.Time { return time.Unix(0, r.grid.End(start.UnixNano())) }

// newest returns the stored buckets of the last n buckets of the answer, n above 0. The starts are ascending. Buckets of the answer without a
// stored one do not count.
//
// For example, with bucket=1h, the last 2 of the stored buckets at 00:00, 00:30, 01:00, 01:30 and 03:00 are those at 01:00, 01:30
// and 03:00.
func (r *rolling) newest(starts []time.Time, n int) []time.Time {
	if r.grid == nil {
		return starts[max(0, len(starts)-n):]
	}
	var current time.Time
	for i, start := range slices.Backward(starts) {
		first, ok := r.startOf(start)
		if !ok || first.Equal(current) {
			continue
		}
		// This stored bucket belongs to one more bucket of the answer, and there are as many as wanted already.
		if n == 0 {
			return starts[i+1:]
		}
		current = first
		n--
	}
	return starts
}

// rollUp answers with records that are merged from the summaries of the stored records. Unlike stored, it cannot answer 304 before it has
// read and merged: whether the last bucket is complete depends on the clock, and so the ETag is of the result. [server.records] has
// checked the parameters and the names.
func (s *server) rollUp(w http.ResponseWriter, r *http.Request, p *params, q query, work *work, k *kept) error {
	if err := work.beginMerge(r.Context()); err != nil {
		return err
	}
	if err := s.pinRollUp(r.Context(), &q, work); err != nil {
		return err
	}
	a := s.newAnswer(q, selection{}, work)
	sel, err := s.merge(r.Context(), a)
	if err != nil {
		return err
	}
	// The validity counts from the time before the reading, so that it is never too long.
	v := s.rollupValidity(r.Context(), p, q, sel.starts, k.at)
	work.endMerge()
	a.arrange()
	a.link(w, r)
	etag := a.etag()
	k = k.with(sel.version, etag, v)
	if !notModified(w, r, etag) {
		return s.send(w, r, a, k)
	}
	if e := keptWith(w, etag); e != nil {
		s.renew(e, r, k)
	}
	return nil
}

// pinRollUp is pin for a roll-up. It selects whole buckets of the grid.
func (s *server) pinRollUp(ctx context.Context, q *query, work *work) error {
	if q.limit == 0 || q.span.Last == 0 {
		return nil
	}
	whole := *q
	whole.limit = 0
	sel, err := s.rollUpStarts(ctx, &whole)
	// The advice of the whole query would be to use pages, which this request does.
	if much, ok := err.(tooMuch); ok { //nolint:errorlint // as rollUpStarts returns it
		much.advice = q.adviceOfRollUp()
		return much
	}
	if err != nil || len(sel.starts) == 0 {
		q.span.Last = 0
		return err
	}
	from, until := sel.starts[0], timeline.After(sel.starts[len(sel.starts)-1])
	// Only merging shows which buckets are final: a probe merges all of them and keeps nothing.
	if q.final {
		a := s.newAnswer(whole, selection{}, work)
		a.probe = true
		if _, err := s.merge(ctx, a); err != nil {
			return err
		}
		from = a.current.start
	}
	q.span = record.Range{Start: from, End: until}
	return nil
}

// rollUpStarts returns the stored buckets of a roll-up. If a page is of more buckets than a request may read, the selection is
// partial: it has those that are read first, as the page can be complete without the others. The error is a tooMuch if all of them
// are needed and there are too many.
func (s *server) rollUpStarts(ctx context.Context, q *query) (sel selection, err error) {
	span, most := q.rolling.widen(q.rest()), s.MaxBuckets
	// One more than allowed shows that there are more.
	span.First, span.Last = 0, most+1
	if !q.backward() {
		span.First, span.Last = most+1, 0
	}
	if sel.version, sel.starts, err = s.buckets(ctx, q.table, span); err != nil {
		return sel, away(err)
	}
	if last := q.span.Last; last > 0 {
		if q.final {
			last += openAllowance // because only merging shows whether a bucket is final
		}
		sel.starts = q.rolling.newest(sel.starts, last)
	}
	if len(sel.starts) <= most {
		return sel, nil
	}
	if q.limit == 0 {
		return sel, s.tooManyBuckets(len(sel.starts), q.adviceOfRollUp())
	}
	sel.partial = true
	// The one beyond the limit is the oldest one if the newest are read first, and else the newest one.
	if q.backward() {
		sel.starts = sel.starts[1:]
	} else {
		sel.starts = sel.starts[:most]
	}
	return sel, nil
}

// adviceOfRollUp returns what a client can do about a roll-up that has to read too many buckets. All stored buckets of one bucket
// of the answer are read, however small the page and the range are.
func (q *query) adviceOfRollUp() string {
	advice := adviceReads
	if q.rolling.grid != nil {
		advice = adviceBuckets
	}
	if q.limit == 0 {
		advice += orPages
	}
	return advice
}

// tooManyBuckets returns the error for a request that has to read so many buckets.
func (s *server) tooManyBuckets(n int, advice string) error {
	return tooMuch{what: fmt.Sprintf("the request has to read %d buckets or more", n), limit: s.MaxBuckets, advice: advice}
}

// etag returns the ETag of a rolled-up answer: a hash of its records and its form. Whether the last bucket is final depends on the
// time too, so the version of the table is not enough. It needs the whole answer, unlike that of [etagOf].
func (a *answer) etag() entityTag {
	h := fnv.New64a()
	for _, records := range a.kept {
		for _, text := range records {
			_, _ = io.WriteString(h, text)
		}
	}
	fmt.Fprintf(h, "%s,%t,%t,%t", a.format, a.pretty, a.descending, a.more)
	return newEntityTag(fmt.Sprintf(`"r-%x"`, h.Sum64()))
}

// backwards returns starts, which are ascending, in the order of a reading that begins with the newest bucket of the grid.
//
// For example, with bucket=1h, 00:00, 00:30, 01:00, 01:30 and 03:00 become 03:00, 01:00, 01:30, 00:00 and 00:30: within a bucket of
// the grid the order stays, so that the same stored buckets are always merged in the same order.
func (r *rolling) backwards(starts []time.Time) []time.Time {
	ordered := make([]time.Time, 0, len(starts))
	for len(starts) > 0 {
		n := len(r.newest(starts, 1))
		ordered = append(ordered, starts[len(starts)-n:]...)
		starts = starts[:len(starts)-n]
	}
	return ordered
}

// merge reads the summaries of the query's buckets and adds the merged records to an answer. The selection has no timeline. Its last
// buckets in the order of the reading are not read if the answer is complete before. The error is a tooMuch, an unmergeable, a busy, a
// [record.Corrupt], or that of the reader.
func (s *server) merge(ctx context.Context, a *answer) (sel selection, err error) {
	if sel, err = s.rollUpStarts(ctx, &a.query); err != nil {
		return sel, err
	}
	starts := sel.starts
	if a.backward() {
		starts = a.rolling.backwards(starts)
	}
	plan := rollup.Plan{
		Table: a.table.Name, Wanted: record.Wanted{Fields: a.fields, Tags: a.tags, Final: a.final}, Apart: a.apart,
		Grouped: a.rolling.grouped, GroupBy: a.rolling.groupBy, Grid: a.rolling.grid, Selection: a.rolling.selection, Shares: a.rolling.shares,
		ExactLimit: stats.DefaultExactLimit, MaxGroups: s.MaxRecords,
	}
	if plan.Ended, plan.Complete, err = s.complete(ctx, a.query); err != nil {
		return sel, err
	}
	merged := rollup.New(&plan, a.merged)
	invalid, err := s.addSummaries(ctx, a.table, starts, merged.Wants, a.work, func(b record.Summaries) error {
		if err := merged.Add(b.Start, b.Parts); err != nil {
			return err
		}
		// The first stored bucket of the next bucket of the answer ends the bucket before. A page can be complete then.
		return a.endBefore(b.Start)
	})
	if err == nil && sel.partial {
		err = s.tooManyBuckets(len(starts)+1, a.adviceOfRollUp())
	}
	if err == nil {
		err = merged.Close()
	}
	if err == nil && a.current.started {
		err = a.endBucket()
	}
	if invalid > 0 {
		s.skipped(a.table, invalid)
	}
	if errors.Is(err, errEnough) {
		return sel, nil
	}
	return sel, s.rollupError(a.table, err)
}

// addSummaries reads the summaries of buckets and calls add once for each bucket, in the order of starts, with all its summaries.
// Of a bucket that comes in parts, it leaves out summaries that are not wanted; parts of that bucket are joined in memory, which
// the budget counts until add has returned. add must not keep its argument. invalid is how many texts were skipped because they are
// not records. The error is that of add, a tooMuch, a busy, or that of the reader.
func (s *server) addSummaries(
	ctx context.Context, t record.Table, starts []time.Time, wanted func(time.Time, *record.SummaryPart) bool, work *work, add func(record.Summaries) error,
) (invalid int, err error) {
	whole, most := joiner{wanted: wanted}, s.MaxTotalBytes/clientShare-work.bytes
	err = s.summaries(ctx, t, starts, func(b record.Summaries) error {
		invalid += b.Invalid
		if read := work.read + len(b.Parts); read > s.MaxScanned {
			return tooManyReads(read, s.MaxScanned)
		}
		size := 0
		for i := range b.Parts {
			size += len(b.Parts[i].Summary)
		}
		if err := work.add(ctx, len(b.Parts), size); err != nil {
			return err
		}
		// The usual bucket comes whole, and is not copied.
		if b.Last && whole.places == nil {
			return add(b)
		}
		cost := whole.add(b)
		if whole.cost > most {
			return tooMuch{what: fmt.Sprintf("a bucket has summaries of %d bytes or more", whole.cost), limit: most, advice: adviceSeries}
		}
		if err := work.grow(cost); err != nil {
			return err
		}
		if !b.Last {
			return nil
		}
		err := add(whole.bucket)
		work.shrink(whole.cost)
		whole = joiner{wanted: wanted}
		return err
	})
	return invalid, err
}

// partCost is about how many bytes of memory a part of a joined bucket needs beside its summary.
const partCost = 400

// partKey identifies a part of a bucket.
type partKey struct{ tags, field, agent, replica string }

// joiner joins the parts of a large bucket, which the reader yields some at a time. It is used for one bucket. The zero joiner with
// a filter is ready to use.
type joiner struct {
	wanted func(time.Time, *record.SummaryPart) bool
	bucket record.Summaries
	places map[partKey]int // in bucket.Parts, because a part may come again
	cost   int             // about how many bytes of memory it needs
}

// add adds a part of the bucket. It returns by how much that raises the cost. A part that comes again replaces the one before. The cost
// counts both, so it is never too low.
func (j *joiner) add(b record.Summaries) (cost int) {
	if j.places == nil {
		j.bucket.Start, j.bucket.Last, j.places = b.Start, true, make(map[partKey]int)
	}
	for _, p := range b.Parts {
		if !j.wanted(b.Start, &p) {
			continue
		}
		cost += len(p.Summary) + partCost
		key := partKey{tags: p.Tags, field: p.Field, agent: p.Agent, replica: p.Replica}
		if place, again := j.places[key]; again {
			j.bucket.Parts[place] = p
			continue
		}
		j.places[key] = len(j.bucket.Parts)
		j.bucket.Parts = append(j.bucket.Parts, p)
	}
	j.cost += cost
	return cost
}

// settled is how long after the end of a bucket no more records are expected, if no later bucket of the table shows that.
const settled = time.Hour

// complete returns two times for a [rollup.Plan]. ended is the latest start that a stored bucket can have if it has ended: see
// [timeline.Timeline]. It is zero unless the query wants final records. upTo is the time up to which the table has its records: the start
// of its newest bucket, without those that begin in the future, or the time that is settled before now if it is later. Agents that store
// only final records store them some minutes after the end of a bucket. upTo is zero without a grid, where each record is a stored
// bucket.
func (s *server) complete(ctx context.Context, q query) (ended, upTo time.Time, err error) {
	if q.final {
		line, err := timeline.Read(ctx, s.reader, q.table, s.Now())
		if err != nil {
			return ended, upTo, away(err)
		}
		ended = line.Ended
	}
	if q.rolling.grid == nil {
		return ended, upTo, nil
	}
	now := s.Now()
	upTo = now.Add(-settled)
	newest, err := s.reader.Buckets(ctx, q.table, record.Range{End: timeline.After(now), Last: 1})
	if err != nil {
		return ended, upTo, away(err)
	}
	if len(newest) > 0 && newest[0].After(upTo) {
		upTo = newest[0]
	}
	return ended, upTo, nil
}

// summaries reads the summaries of buckets and calls yield for each, in order. It reads ahead while yield runs, in a goroutine that
// has ended when summaries returns: after an error of yield, it cancels the reading and drops what still comes. An error of yield
// is returned as it is, and one of the reader as an unavailable.
func (s *server) summaries(ctx context.Context, t record.Table, starts []time.Time, yield func(record.Summaries) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	const ahead = 2 // buckets, which are not counted in the budget while they wait
	buckets, ended := make(chan record.Summaries, ahead), make(chan error, 1)
	go func() {
		defer close(buckets)
		ended <- s.reader.Summaries(ctx, t, starts, func(b record.Summaries) error {
			select {
			case buckets <- b:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	var failed error
	for b := range buckets {
		if failed == nil {
			if failed = yield(b); failed != nil {
				cancel()
			}
		}
	}
	// The goroutine has sent it before it closed buckets.
	if err := <-ended; failed == nil {
		return away(err)
	}
	return failed
}

// rollupError returns the error of the API for an error of a roll-up. An error that is one of the API already stays as it is.
func (s *server) rollupError(t record.Table, err error) error {
	switch {
	case errors.Is(err, rollup.ErrNoSummary):
		return unmergeable{what: err.Error()}
	case errors.Is(err, rollup.ErrTooMany):
		return tooMuch{what: "the answer has " + strconv.Itoa(s.MaxRecords+1) + " records or more", limit: s.MaxRecords}
	case errors.Is(err, rollup.ErrRange):
		return faults{{Location: "query.bucket", Value: "", Message: err.Error()}}
	case errors.Is(err, stats.ErrFormat), errors.Is(err, series.ErrKey):
		s.metrics.corrupt.Inc()
		return &record.Corrupt{Table: t, What: err.Error()}
	}
	return err
}

// unmergeable is the error for records whose summaries are not in the cache.
type unmergeable struct {
	what   string
	agents bool // whether the records are those of several agents in a query without a roll-up
}

// Error has the setting that would help: without summaries, only the records of single agents and buckets can be read.
func (e unmergeable) Error() string {
	const setting = `set emit_summary = "compact" in [[aggregators.describe]]`
	if e.agents {
		return e.what + ", and several agents or replicas have described it, whose records cannot be merged without: " + setting +
			" of each, or add agents=each to the request for the record of each"
	}
	return e.what + ", and percentiles cannot be merged without: " + setting
}

// merged keeps a record of a roll-up. It is the yield of the roll-up: records come by bucket, in the order of the reading. The
// error is errEnough, or that of a limit.
func (a *answer) merged(r *record.Record) error {
	if a.current.started && !a.current.start.Equal(r.Start) {
		if err := a.endBucket(); err != nil {
			return err
		}
	}
	if !a.current.started {
		a.begin(r.Start)
	}
	a.current.hasFinal = true // if the query wants final records, there are no others
	text := string(r.AppendJSON(nil))
	outline, ok := a.current.form.Outline(text)
	if !ok {
		return fmt.Errorf("the merged record of field %q in the bucket %s is not valid", r.Field, r.Start)
	}
	// A page after the first one begins in the middle of a bucket, which is merged whole again.
	if a.probe || a.passed(r.Start, &outline) {
		return nil
	}
	a.current.entries = append(a.current.entries, entry{Outline: outline, text: text})
	a.current.size += len(text) + entryCost
	return a.grow(len(text) + entryCost)
}

// endBefore ends the bucket of the records that were merged if the stored bucket that begins at start belongs to another one.
func (a *answer) endBefore(start time.Time) error {
	if a.rolling.grid != nil {
		start, _ = a.rolling.startOf(start)
	}
	if !a.current.started || a.current.start.Equal(start) {
		return nil
	}
	return a.endBucket()
}
