package api

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/token"
)

// records answers with the records of a table: a JSON array, ascending by bucket. Without the parameter limit, the
// answer has all records of the query, or is an error with their number if these are too many. With limit, it has the
// newest records.
func (s *server) records(w http.ResponseWriter, r *http.Request, p *params) error {
	w.Header()["Vary"] = append(w.Header()["Vary"], varying...)
	k := &kept{at: s.Now()}
	q, err := s.readQuery(r, p)
	if err != nil {
		return err
	}
	entry, err := s.catalogue.resolve(r.Context(), p.grant, token.Read, q.table)
	if err != nil {
		return err
	}
	k.named, k.entry, q.table = q.table, entry, entry.Table
	work, err := s.limits.begin(r)
	if err != nil {
		return err
	}
	defer work.end()
	if err := s.checkNames(r.Context(), q.table, q.names()); err != nil {
		return err
	}
	if q.rolling != nil {
		return s.rollUp(w, r, p, q, work, k)
	}
	sel, err := s.selectBuckets(r.Context(), q)
	if err != nil {
		return err
	}
	etag := etagOf(entry.LastWrite, sel, q)
	if notModified(w, r, etag) {
		return nil
	}
	a := s.newAnswer(q, sel, work)
	if err := s.read(r.Context(), a, sel.starts); err != nil {
		return err
	}
	k = k.with(sel.version, etag, s.validityOf(r.Context(), p, q, sel, k.at))
	if sel.partial && !a.complete {
		w.Header().Del("ETag") // the ETag does not cover older buckets
		k = nil
		if err := s.readOlder(r.Context(), a, sel.starts[0]); err != nil {
			return err
		}
	}
	work.rest()
	if a.invalid > 0 {
		s.skipped(q.table, a.invalid)
	}
	return s.send(w, r, a, k)
}

// selection is the list of buckets that may contain the records of a query.
type selection struct {
	version int64       // of the table, read before the starts, so that an ETag is never newer than the records of its answer
	starts  []time.Time // ascending
	// partial is true if starts lacks older buckets of the query's range.
	partial bool
	// timeline is set only if the query wants final records.
	timeline timeline
}

// openAllowance is how many of the newest buckets of a table are expected to have no final record, because they wait
// for late values.
const openAllowance = 100

// selectBuckets returns the buckets of a query, at most one more than a request may read. If the answer may be complete
// before all of them are read, it returns the newest of them that are probably enough. For the last n buckets with a
// final record, these are more than n buckets, because only reading a bucket shows whether it has a final record.
func (s *server) selectBuckets(ctx context.Context, q query) (sel selection, err error) {
	span := q.span
	if q.final {
		if sel.timeline, err = s.timeline(ctx, q.table); err != nil {
			return selection{}, err
		}
	}
	switch {
	case q.final && span.Last > 0:
		span.Last += openAllowance
		sel.partial = true
	case span.Last == 0 && q.limit > 0:
		span.Last = min(q.limit+openAllowance, s.MaxBuckets+1)
		sel.partial = true
	case span.Last == 0:
		span.Last = s.MaxBuckets + 1
	}
	sel.version, sel.starts, err = s.reader.Index(ctx, q.table, span)
	sel.partial = sel.partial && len(sel.starts) == span.Last
	return sel, away(err)
}

// readOlder reads the buckets of the query's range that begin before start.
func (s *server) readOlder(ctx context.Context, a *answer, start time.Time) error {
	older, err := s.reader.Buckets(ctx, a.table, record.Range{Start: a.span.Start, End: start, Last: s.MaxBuckets + 1 - a.buckets})
	if err != nil {
		return away(err)
	}
	return s.read(ctx, a, older)
}

// read reads buckets into an answer, the newest first, until the answer is complete. The starts are ascending.
func (s *server) read(ctx context.Context, a *answer, starts []time.Time) error {
	most := s.MaxBuckets - a.buckets
	if !a.endsEarly() && len(starts) > most {
		return tooMuch{what: fmt.Sprintf("the answer has %d buckets or more", a.buckets+len(starts)), limit: s.MaxBuckets}
	}
	newest := slices.Clone(starts[max(0, len(starts)-most):])
	slices.Reverse(newest)
	err := s.reader.Records(ctx, a.table, newest, a.enough(), func(part record.Part) error { return a.take(ctx, part) })
	switch {
	case errors.Is(err, errEnough):
		a.complete = true
		return nil
	case err != nil:
		return away(err)
	case len(starts) > most:
		return tooMuch{what: fmt.Sprintf("the request has to read %d buckets or more", a.buckets+len(starts)-len(newest)), limit: s.MaxBuckets}
	}
	return nil
}

// etagOf returns the ETag of an answer. It is a hash of the table's version; of the time of its last write, because
// versions start again if Redis loses its data; of the buckets, which expire without a write; and, for final records,
// of the time before which a bucket has ended; and of the form of the answer, which a header can select.
func etagOf(written time.Time, sel selection, q query) string {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d,", written.UnixMilli())
	ended := 0
	for _, start := range sel.starts {
		fmt.Fprintf(h, "%d.%d,", start.Unix(), start.Nanosecond())
		if !start.After(sel.timeline.ended) {
			ended++
		}
	}
	fmt.Fprintf(h, "%d,%s,%t,%t", ended, q.format, q.pretty, q.descending)
	return fmt.Sprintf(`"%d-%x"`, sel.version, h.Sum64())
}

// notModified sets the ETag of an answer. If the client has that answer, it answers with that, and returns true.
func notModified(w http.ResponseWriter, r *http.Request, etag string) bool {
	h := w.Header()
	h.Set("ETag", etag)
	own, ok := matching(r.Header.Get("If-None-Match"), etag)
	if !ok {
		return false
	}
	h.Set("ETag", own) // it is weak if the client has the compressed form
	w.WriteHeader(http.StatusNotModified)
	return true
}

// matching returns the ETag in a header If-None-Match that matches an ETag, and whether there is one. Weak ETags match too, as
// RFC 9110 defines for this header.
func matching(header, etag string) (own string, ok bool) {
	for candidate := range strings.SplitSeq(header, ",") {
		candidate = strings.TrimSpace(candidate)
		switch {
		case candidate == "*":
			return etag, true
		case strings.TrimPrefix(candidate, "W/") == etag:
			return candidate, true
		}
	}
	return "", false
}
