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
)

// records answers with the records of a table: a JSON array, ascending by bucket. Without a limit it has
// every record of the query, or is refused with the numbers; with a limit it has the newest.
func (s *server) records(w http.ResponseWriter, r *http.Request, p *params) error {
	q, err := s.readQuery(r, p)
	if err != nil {
		return err
	}
	entry, err := s.catalogue.resolve(r.Context(), q.table)
	if err != nil {
		return err
	}
	q.table = entry.Table
	// The version is read first: every later write changes it, so the answer is never newer than its ETag.
	version, err := s.reader.Version(r.Context(), q.table)
	if err != nil {
		return away(err)
	}
	sel, err := s.selectBuckets(r.Context(), q)
	if err != nil {
		return err
	}
	etag := etagOf(version, entry.LastWrite, sel)
	w.Header().Set("ETag", etag)
	if matches(r.Header.Get("If-None-Match"), etag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	a := &answer{
		query: q, filter: record.NewFilter(q.table.Name, record.Wanted{Fields: q.fields, Tags: q.tags}), timeline: sel.timeline,
		maxRecords: s.MaxRecords, maxBytes: s.MaxBytes, maxBuckets: s.MaxBuckets,
	}
	if err := s.read(r.Context(), a, sel.starts); err != nil {
		return err
	}
	if sel.partial && !a.complete {
		w.Header().Del("ETag") // it does not cover the older buckets
		if err := s.readOlder(r.Context(), a, sel.starts[0]); err != nil {
			return err
		}
	}
	write(w, a.json())
	return nil
}

// selection is the buckets that may have the records of a query.
type selection struct {
	starts []time.Time // ascending
	// partial is true if older buckets of the query's range are not among starts.
	partial bool
	// timeline is set only if the query wants final records.
	timeline timeline
}

// openAllowance is how many buckets without a final record are expected among the newest of a table: those that wait for
// late values.
const openAllowance = 100

// selectBuckets returns the buckets of a query. Which buckets have a final record is known when they are read, so a
// query for the last n of these gets some more.
func (s *server) selectBuckets(ctx context.Context, q query) (sel selection, err error) {
	span := q.span
	if q.final {
		if sel.timeline, err = s.timeline(ctx, q.table); err != nil {
			return selection{}, err
		}
		if span.Last > 0 {
			span.Last += openAllowance
		}
	}
	sel.starts, err = s.reader.Buckets(ctx, q.table, span)
	sel.partial = q.final && span.Last > 0 && len(sel.starts) == span.Last
	return sel, away(err)
}

// readOlder reads the buckets of the query's range that begin before start.
func (s *server) readOlder(ctx context.Context, a *answer, start time.Time) error {
	older, err := s.reader.Buckets(ctx, a.table, record.Range{Start: a.span.Start, End: start})
	if err != nil {
		return away(err)
	}
	return s.read(ctx, a, older)
}

// etagOf names a state of an answer. It is made from the table's version; the time of its last write, because a Redis that
// lost its data counts versions from the start again; the buckets, which expire without a write; and, if the query wants
// final records, the time before which a bucket has ended.
func etagOf(version int64, written time.Time, sel selection) string {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d,", written.UnixMilli())
	ended := 0
	for _, start := range sel.starts {
		fmt.Fprintf(h, "%d.%d,", start.Unix(), start.Nanosecond())
		if !start.After(sel.timeline.ended) {
			ended++
		}
	}
	fmt.Fprintf(h, "%d", ended)
	return fmt.Sprintf(`"%d-%x"`, version, h.Sum64())
}

// matches reports whether a header If-None-Match has the ETag. Weak ETags match too, as RFC 9110 has it for this header.
func matches(header, etag string) bool {
	for candidate := range strings.SplitSeq(header, ",") {
		candidate = strings.TrimPrefix(strings.TrimSpace(candidate), "W/")
		if candidate == etag || candidate == "*" {
			return true
		}
	}
	return false
}

// Buckets are read in parts, newest first: firstRead of them, then as many as maxBytes is likely to hold, at most maxRead.
const (
	firstRead = 10
	maxRead   = 100
)

// errEnough ends the reading of an answer that is complete.
var errEnough = errors.New("the answer is complete")

// read reads buckets into an answer, the newest first, until it is complete. The starts are ascending. Memory is bounded
// by the limits of a request.
func (s *server) read(ctx context.Context, a *answer, starts []time.Time) error {
	if !a.endsEarly() && len(starts) > s.MaxBuckets {
		return tooMuch{"buckets", len(starts), s.MaxBuckets}
	}
	for len(starts) > 0 {
		n := min(a.next(), len(starts))
		if n == 0 {
			return tooMuch{"buckets", a.buckets + len(starts), s.MaxBuckets}
		}
		part := slices.Clone(starts[len(starts)-n:])
		slices.Reverse(part)
		err := s.reader.Records(ctx, a.table, part, a.take)
		switch {
		case errors.Is(err, errEnough):
			a.complete = true
			return nil
		case errors.As(err, &tooMuch{}):
			return err
		case err != nil:
			return away(err)
		}
		starts, a.buckets = starts[:len(starts)-n], a.buckets+n
	}
	return nil
}

// answer collects the records of a query, newest bucket first.
type answer struct {
	query
	filter                           record.Filter
	timeline                         timeline // for the query's final
	maxRecords, maxBytes, maxBuckets int

	kept           [][]string // of each bucket
	records, bytes int        // of those kept
	finals         int        // buckets that have a final record, if the query wants these
	buckets, size  int        // buckets read, and the bytes of all their records
	complete       bool       // older buckets cannot add a record
}

// endsEarly reports whether the answer can be complete before all buckets of the query are read.
func (a *answer) endsEarly() bool { return a.limit > 0 || a.final && a.span.Last > 0 }

// next returns how many buckets to read next, or 0 if the limit of buckets is reached.
func (a *answer) next() int {
	n := firstRead
	if a.buckets > 0 {
		mean := a.size/a.buckets + 1
		n = min(max(a.maxBytes/mean, 1), maxRead)
	}
	return min(n, a.maxBuckets-a.buckets)
}

// take keeps the wanted records of a bucket. It returns errEnough if the answer is complete, and a tooMuch error if it is
// beyond a limit.
func (a *answer) take(start time.Time, records []string) error {
	kept := a.wanted(start, records)
	if a.limit > 0 && len(kept) > a.limit-a.records {
		kept = kept[len(kept)-(a.limit-a.records):]
	}
	for _, text := range kept {
		a.bytes += len(text) + 1
	}
	a.records += len(kept)
	a.kept = append(a.kept, kept)
	switch {
	case a.records > a.maxRecords:
		return tooMuch{"records or more", a.records, a.maxRecords}
	case a.bytes > a.maxBytes:
		return tooMuch{"bytes or more", a.bytes, a.maxBytes}
	case a.limit > 0 && a.records >= a.limit, a.final && a.span.Last > 0 && a.finals >= a.span.Last:
		return errEnough
	}
	return nil
}

// wanted returns the records that the query wants, in the array of records. It counts the bucket if it has a final
// record, wanted or not, as last counts buckets of the table.
func (a *answer) wanted(start time.Time, records []string) []string {
	kept, hasFinal := records[:0], false
	for _, text := range records {
		a.size += len(text)
		if a.final && !a.timeline.isFinal(start, text) {
			continue
		}
		hasFinal = true
		if a.filter.Match(text) {
			kept = append(kept, text)
		}
	}
	if hasFinal {
		a.finals++
	}
	return kept
}

// json returns the records as a JSON array, ascending by bucket.
func (a *answer) json() []byte {
	b := make([]byte, 0, a.bytes+3)
	b = append(b, '[')
	for _, records := range slices.Backward(a.kept) {
		for _, text := range records {
			if len(b) > 1 {
				b = append(b, ',')
			}
			b = append(b, text...)
		}
	}
	return append(b, ']', '\n')
}
