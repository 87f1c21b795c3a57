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
)

// rollupBytes is about how much memory a roll-up needs beside the records of its answer: the parts of the buckets that are
// read together, and the summaries that are merged.
const rollupBytes = 8 << 20

// maxErrorName is the statistic that every roll-up has, as the error depends on the merged values.
const maxErrorName = "max_error"

// rolling are the parameters of a request that rolls records up.
type rolling struct {
	grouped   bool
	groupBy   []string
	grid      *bucket.Grid // nil for the stored buckets
	selection *stats.Selection
	shares    []float64
}

// rolling reads the parameters group_by, bucket, timezone, stats, method and share_le. It returns nil if the request has none
// of them.
func (p *params) rolling() *rolling {
	if !slices.ContainsFunc([]string{"group_by", "bucket", "timezone", "stats", "method", "share_le"}, p.values.Has) {
		return nil
	}
	r := &rolling{grouped: p.values.Has("group_by"), groupBy: p.list("group_by"), grid: p.grid(), shares: p.shares()}
	method, err := stats.ParseMethod(p.orDefault("method", stats.Linear.String()))
	if err != nil {
		p.faults.add("query.method", p.values.Get("method"), "%v", err)
	}
	names := p.list("stats")
	if len(names) > 0 && !slices.Contains(names, maxErrorName) {
		names = append(names, maxErrorName)
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

// grid reads the parameters bucket and timezone. It returns nil if they are absent or wrong.
func (p *params) grid() *bucket.Grid {
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

// shares reads the repeated parameter share_le.
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
// contains the start or the end of the range is in the answer.
func (r *rolling) widen(span record.Range) record.Range {
	if r.grid == nil {
		return span
	}
	if start, ok := r.startOf(span.Start); ok && !span.Start.IsZero() {
		span.Start = start
	}
	if !span.End.IsZero() {
		if start, ok := r.startOf(span.End.Add(-1)); ok {
			span.End = r.endOf(start)
		}
	}
	return span
}

// startOf returns the start of the bucket of the grid that contains a time.
func (r *rolling) startOf(at time.Time) (time.Time, bool) {
	nanos, ok := bucket.Nano(at)
	if ok {
		nanos, ok = r.grid.Start(nanos)
	}
	return time.Unix(0, nanos), ok
}

// endOf returns the end of the bucket of the grid that begins at start.
func (r *rolling) endOf(start time.Time) time.Time { return time.Unix(0, r.grid.End(start.UnixNano())) }

// newest returns the stored buckets of the last n buckets of the answer. The starts are ascending.
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
		if n == 0 {
			return starts[i+1:]
		}
		current = first
		n--
	}
	return starts
}

// rollUp answers with records that are merged from the summaries of the stored records.
func (s *server) rollUp(w http.ResponseWriter, r *http.Request, p *params, q query, work *work, k *kept) error {
	span := q.rolling.widen(q.span)
	span.Last = s.MaxBuckets + 1
	version, starts, err := s.reader.Index(r.Context(), q.table, span)
	if err != nil {
		return away(err)
	}
	if last := q.span.Last; last > 0 {
		if q.final {
			last += openAllowance // because only merging shows whether a bucket is final
		}
		starts = q.rolling.newest(starts, last)
	}
	if len(starts) > s.MaxBuckets {
		return tooMuch{what: fmt.Sprintf("the request has to read %d buckets or more", len(starts)), limit: s.MaxBuckets, reads: true}
	}
	if err := work.grow(rollupBytes); err != nil {
		return err
	}
	a, err := s.merge(r.Context(), q, starts, work)
	if err != nil {
		return err
	}
	v := s.rollupValidity(r.Context(), p, q, starts, k.at)
	work.rest()
	if etag := a.etag(); !notModified(w, r, etag) {
		return s.send(w, r, a, k.with(version, etag, v))
	}
	return nil
}

// etag returns the ETag of a rolled-up answer: a hash of its records and its form. Whether the last bucket is final depends on
// the time too, so the version of the table is not enough.
func (a *answer) etag() string {
	h := fnv.New64a()
	for _, text := range a.current.texts {
		_, _ = io.WriteString(h, text)
	}
	fmt.Fprintf(h, "%s,%t,%t", a.format, a.pretty, a.descending)
	return fmt.Sprintf(`"r-%x"`, h.Sum64())
}

// merge reads the summaries of the buckets and returns the merged records.
func (s *server) merge(ctx context.Context, q query, starts []time.Time, work *work) (*answer, error) {
	a := &answer{query: q, work: work, maxRecords: s.MaxRecords, maxBytes: s.MaxBytes, maxScanned: s.MaxScanned}
	plan := rollup.Plan{
		Table: q.table.Name, Wanted: record.Wanted{Fields: q.fields, Tags: q.tags, Final: q.final}, Grouped: q.rolling.grouped, GroupBy: q.rolling.groupBy,
		Grid: q.rolling.grid, Selection: q.rolling.selection, Shares: q.rolling.shares, ExactLimit: stats.DefaultExactLimit,
		MaxGroups: s.MaxRecords,
	}
	var err error
	if plan.Ended, plan.Complete, err = s.complete(ctx, q); err != nil {
		return nil, err
	}
	merged := rollup.New(&plan, a.merged)
	invalid := 0
	err = s.summaries(ctx, q.table, starts, func(b record.Summaries) error {
		invalid += b.Invalid
		if read := work.read + len(b.Parts); read > s.MaxScanned {
			return tooMuch{what: fmt.Sprintf("the request has to read %d records or more", read), limit: s.MaxScanned, reads: true}
		}
		size := 0
		for i := range b.Parts {
			size += len(b.Parts[i].Summary)
		}
		if err := work.add(ctx, len(b.Parts), size); err != nil {
			return err
		}
		return merged.Add(b.Start, b.Parts)
	})
	if err == nil {
		err = merged.Close()
	}
	if invalid > 0 {
		s.skipped(q.table, invalid)
	}
	a.cutLast()
	a.cutMerged()
	return a, s.rollupError(q.table, err)
}

// settled is how long after the end of a bucket no more records are expected, if no later bucket of the table shows that.
const settled = time.Hour

// complete returns the start of the newest stored bucket that has ended, if the query wants final records, and the time up to
// which the table has its records: the start of its newest bucket, without those that begin in the future, or the time of
// settled. Agents that store only final records store them some minutes after the end of a bucket.
func (s *server) complete(ctx context.Context, q query) (ended, upTo time.Time, err error) {
	if q.final {
		line, err := s.timeline(ctx, q.table)
		if err != nil {
			return ended, upTo, err
		}
		ended = line.ended
	}
	if q.rolling.grid == nil {
		return ended, upTo, nil
	}
	now := s.Now()
	upTo = now.Add(-settled)
	newest, err := s.reader.Buckets(ctx, q.table, record.Range{End: after(now), Last: 1})
	if err != nil {
		return ended, upTo, away(err)
	}
	if len(newest) > 0 && newest[0].After(upTo) {
		upTo = newest[0]
	}
	return ended, upTo, nil
}

// summaries reads the summaries of buckets and calls yield for each, in order. It reads ahead while yield runs.
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
	if err := <-ended; failed == nil {
		return away(err)
	}
	return failed
}

// rollupError returns the error of the API for an error of a roll-up.
func (s *server) rollupError(t record.Table, err error) error {
	switch {
	case errors.Is(err, rollup.ErrNoSummary):
		return unmergeable{err.Error()}
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
type unmergeable struct{ what string }

func (e unmergeable) Error() string {
	return e.what + `, and percentiles cannot be merged without: set emit_summary = "compact" in [[aggregators.describe]]`
}

// merged keeps a record of a roll-up. Records come in the order of the answer. It returns an error if they are too many.
func (a *answer) merged(r *record.Record) error {
	text := string(r.AppendJSON(nil))
	a.current.texts = append(a.current.texts, text)
	if a.final && a.span.Last > 0 {
		a.starts = append(a.starts, r.Start)
	}
	a.records++
	a.bytes += len(text) + 1
	if err := a.work.grow(len(text) + 1 + textCost); err != nil {
		return err
	}
	switch {
	case a.limit > 0 && a.records >= 2*max(a.limit, 1000):
		a.cutMerged()
	case a.limit == 0 && a.records > a.maxRecords:
		return tooMuch{what: fmt.Sprintf("the answer has %d records or more", a.records), limit: a.maxRecords}
	}
	if a.bytes > a.maxBytes {
		return tooMuch{what: fmt.Sprintf("the answer has %d bytes or more", a.bytes), limit: a.maxBytes}
	}
	return nil
}

// cutLast leaves the records of the last buckets that have final ones, as many as the query wants.
func (a *answer) cutLast() {
	buckets := 0
	for i, start := range slices.Backward(a.starts) {
		if i == len(a.starts)-1 || !start.Equal(a.starts[i+1]) {
			buckets++
		}
		if buckets > a.span.Last {
			a.dropFirst(i + 1)
			return
		}
	}
}

// dropFirst removes the first n merged records.
func (a *answer) dropFirst(n int) {
	for _, text := range a.current.texts[:n] {
		a.bytes -= len(text) + 1
		a.work.shrink(len(text) + 1 + textCost)
	}
	a.current.texts = slices.Clone(a.current.texts[n:])
	a.starts = a.starts[min(n, len(a.starts)):]
	a.records -= n
}

// cutMerged leaves the newest records, as many as the limit allows, and makes them the answer's.
func (a *answer) cutMerged() {
	if excess := a.records - a.limit; a.limit > 0 && excess > 0 {
		a.dropFirst(excess)
	}
	a.kept = [][]string{a.current.texts}
}
