package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/timeline"
	"github.com/telegraf-describe/telegraf-describe/internal/token"
)

// records answers with the records of a table, in their order: a JSON array, ascending by bucket, field, tags and agent. Without
// the parameters limit and cursor, the answer has all records of the query, or is an error with their number if these are too
// many. With one of them it is a page, and has the address of the next page if there is one.
//
//	begin: a place ─▶ share: a kept answer, or one in making ─▶ readQuery ─▶ resolve: the table ─▶ resume: the cursor ─▶ checkNames
//	        ┌─────────────────────────────────────────────────────────────────────────────────────────────────────────┘
//	        ├▶ stored:  selectBuckets ─▶ 304, or read ─▶ mergeAgents ─▶ arrange ─▶ send, and keep the answer
//	        └▶ rollUp:  rollUpStarts ─▶ merge ─▶ arrange ─▶ 304, or the same
//
// The version of the table is read before the buckets and the records. A write meanwhile makes the answer newer than its version, never
// older: at worst it is read once more.
func (s *server) records(w http.ResponseWriter, r *http.Request, p *params) error {
	work, err := s.limits.begin(r.Context(), clientOf(w))
	if err != nil {
		return err
	}
	defer work.end()
	end, sent, err := s.share(r.Context(), w, r, p.grant, work)
	if sent || err != nil {
		return err
	}
	defer end()
	work.made = end // send calls it once the answer is kept, before a slow client has read it
	vary(w.Header())
	k := &kept{at: s.Now()}
	q, err := s.readQuery(r, p)
	if err != nil {
		return err
	}
	entry, err := s.catalogue.resolve(r.Context(), p.grant, token.Read, q.table)
	if err != nil {
		return err
	}
	k.named, k.table, q.table = q.table, entry.Table, entry.Table // from here on, the table is the stored one
	if err := q.resume(p.values); err != nil {
		return err
	}
	if err := s.checkNames(r.Context(), q.table, q.names()); err != nil {
		return err
	}
	if q.rolling != nil {
		return s.rollUp(w, r, p, q, work, k)
	}
	return s.stored(w, r, p, q, work, k)
}

// stored answers with records as they are stored, except for those that several agents have described. q is a copy, so that pin can
// change it.
func (s *server) stored(w http.ResponseWriter, r *http.Request, p *params, q query, work *work, k *kept) error {
	sel, err := s.selectBuckets(r.Context(), &q, work)
	if err != nil {
		return err
	}
	etag := etagOf(sel, q)
	if notModified(w, r, etag) { // no record was read; a kept answer that has this ETag is right again
		if e := keptWith(w, etag); e != nil {
			s.renew(e, r, k.with(sel.version, etag, s.validityOf(r.Context(), p, q, sel, k.at)))
		}
		return nil
	}
	a := s.newAnswer(q, sel, work)
	if err := s.read(r.Context(), a, sel.starts); err != nil {
		return err
	}
	// With other buckets than those of sel, the answer is not kept, because neither its ETag nor its validity covers them.
	k = k.with(sel.version, etag, s.validityOf(r.Context(), p, q, sel, k.at))
	if sel.partial && !a.complete {
		w.Header().Del("ETag") // the ETag does not cover the other buckets
		k = nil
		if err := s.readRest(r.Context(), a, sel.starts); err != nil {
			return err
		}
	}
	if err := s.mergeAgents(r.Context(), a); err != nil {
		return err
	}
	if a.invalid > 0 {
		s.skipped(q.table, a.invalid)
	}
	a.arrange()
	a.link(w, r)
	return s.send(w, r, a, k)
}

// selection is the list of buckets that may contain the records of a query. The zero selection has no buckets.
type selection struct {
	version int64       // of the table, read before the starts, so that an ETag is never newer than the records of its answer
	starts  []time.Time // ascending
	// partial is true if starts lacks buckets of the query's range: the oldest ones, or the newest ones if the answer begins with
	// the oldest.
	partial bool
	// timeline is set only if the query wants final records.
	timeline timeline.Timeline
}

// openAllowance is how many of the newest buckets of a table are expected to have no final record, because they wait
// for late values.
const openAllowance = 100

// selectBuckets returns the buckets of a query, at most one more than a request may read. If the answer may be complete
// before all of them are read, it returns those of them that are probably enough. For the last n buckets with a
// final record, these are more than n buckets, because only reading a bucket shows whether it has a final record.
func (s *server) selectBuckets(ctx context.Context, q *query, work *work) (sel selection, err error) {
	if q.final {
		if sel.timeline, err = timeline.Read(ctx, s.reader, q.table, s.Now()); err != nil {
			return selection{}, away(err)
		}
	}
	// pin calls selectBuckets in turn, with a query that is not for a page.
	if err := s.pin(ctx, q, sel.timeline, work); err != nil {
		return selection{}, err
	}
	// One bucket more than allowed shows that there are too many.
	span, n := q.rest(), s.MaxBuckets+1
	switch {
	case q.limit > 0:
		n = min(q.limit+openAllowance, n)
		sel.partial = true
	case q.lastFinals():
		n = span.Last + openAllowance
		sel.partial = true
	case span.Last > 0:
		n = span.Last
	}
	// A page in ascending order needs the oldest buckets, and every other answer the newest ones.
	span.First, span.Last = 0, n
	if q.limit > 0 && !q.descending {
		span.First, span.Last = n, 0
	}
	sel.version, sel.starts, err = s.buckets(ctx, q.table, span)
	sel.partial = sel.partial && len(sel.starts) == n
	return sel, away(err)
}

// pin replaces the parameter last of a query for a page by the range of the buckets that it selects now, so that the later pages are of
// the same buckets: the cursor has the range. Which buckets have a final record is known only after reading them, so for final=true a
// probe reads them: an answer that keeps no records. The span then has no Last. Any other query does not change.
func (s *server) pin(ctx context.Context, q *query, line timeline.Timeline, work *work) error {
	if q.limit == 0 || q.span.Last == 0 {
		return nil
	}
	whole := *q
	whole.limit = 0
	sel, err := s.selectBuckets(ctx, &whole, work)
	if err != nil || len(sel.starts) == 0 {
		// No bucket is in the range, so none is lost without last.
		q.span.Last = 0
		return err
	}
	from, until := sel.starts[0], timeline.After(sel.starts[len(sel.starts)-1])
	if q.final {
		a := s.newAnswer(whole, selection{timeline: line}, work)
		a.probe = true
		if err := s.read(ctx, a, sel.starts); err != nil {
			return err
		}
		if sel.partial && !a.complete {
			if err := s.readRest(ctx, a, sel.starts); err != nil {
				return err
			}
		}
		// The probe has read from the newest bucket on, so the bucket that it read last is the oldest one of the page.
		from = a.current.start
	}
	q.span = record.Range{Start: from, End: until}
	return nil
}

// readRest reads the buckets of the query's range that are not in starts, whose buckets were read before. It looks for at most one bucket
// more than the request may still read. starts must not be empty.
func (s *server) readRest(ctx context.Context, a *answer, starts []time.Time) error {
	span, most := a.rest(), s.MaxBuckets+1-a.buckets
	if !a.backward() {
		// A Range includes its start, so the first bucket that is found was read before, and is left out below.
		newest := starts[len(starts)-1]
		span.Start, span.First = newest, most+1
		newer, err := s.reader.Buckets(ctx, a.table, span)
		if err != nil {
			return away(err)
		}
		return s.read(ctx, a, slices.DeleteFunc(newer, func(at time.Time) bool { return !at.After(newest) }))
	}
	span.End, span.Last = starts[0], most
	older, err := s.reader.Buckets(ctx, a.table, span)
	if err != nil {
		return away(err)
	}
	return s.read(ctx, a, older)
}

// read reads buckets into an answer, in the order of its reading, until it is complete. The starts are ascending. If the answer needs all
// buckets, too many of them are an error before anything is read. Otherwise they are an error only if the answer is not complete after as
// many as are allowed. The error is a tooMuch, a busy, or that of the reader as an unavailable.
func (s *server) read(ctx context.Context, a *answer, starts []time.Time) error {
	most := s.MaxBuckets - a.buckets
	if !a.endsEarly() && len(starts) > most {
		return tooMuch{what: fmt.Sprintf("the answer has %d buckets or more", a.buckets+len(starts)), limit: s.MaxBuckets, advice: advicePages}
	}
	ordered := slices.Clone(starts)
	if a.backward() {
		slices.Reverse(ordered)
	}
	ordered = ordered[:min(len(ordered), most)]
	err := s.readPage(ctx, a, ordered)
	switch {
	case errors.Is(err, errEnough):
		a.complete = true
		return nil
	case err != nil:
		return away(err)
	case len(starts) > most:
		// The request may read no more buckets, and the answer is not complete.
		return s.tooManyBuckets(a.buckets+len(starts)-len(ordered), adviceReads)
	}
	return nil
}
