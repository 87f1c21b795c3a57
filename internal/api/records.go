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
	q, err := s.readQuery(r, p)
	if err != nil {
		return err
	}
	entry, err := s.catalogue.resolve(r.Context(), p.grant, token.Read, q.table)
	if err != nil {
		return err
	}
	q.table = entry.Table
	// The version is read before the records. A write after that changes the version, so an ETag is never newer than
	// the records of its answer.
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
		w.Header().Del("ETag") // the ETag does not cover older buckets
		if err := s.readOlder(r.Context(), a, sel.starts[0]); err != nil {
			return err
		}
	}
	write(w, a.json())
	return nil
}

// selection is the list of buckets that may contain the records of a query.
type selection struct {
	starts []time.Time // ascending
	// partial is true if starts lacks older buckets of the query's range.
	partial bool
	// timeline is set only if the query wants final records.
	timeline timeline
}

// openAllowance is how many of the newest buckets of a table are expected to have no final record, because they wait
// for late values.
const openAllowance = 100

// selectBuckets returns the buckets of a query. For the last n buckets with a final record, it returns more than n
// buckets, because only reading a bucket shows whether it has a final record.
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

// etagOf returns the ETag of an answer. It is a hash of the table's version; of the time of its last write, because
// versions start again if Redis loses its data; of the buckets, which expire without a write; and, for final records,
// of the time before which a bucket has ended.
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

// matches reports whether a header If-None-Match contains the ETag. Weak ETags match too, as RFC 9110 defines for
// this header.
func matches(header, etag string) bool {
	for candidate := range strings.SplitSeq(header, ",") {
		candidate = strings.TrimPrefix(strings.TrimSpace(candidate), "W/")
		if candidate == etag || candidate == "*" {
			return true
		}
	}
	return false
}

// Buckets are read in parts, newest first: firstRead buckets, then as many as will probably fit into maxBytes, at
// most maxRead.
const (
	firstRead = 10
	maxRead   = 100
)

// errEnough ends the reading when the answer is complete. No caller outside of this file gets it.
var errEnough = errors.New("the answer is complete")

// read reads buckets into an answer, the newest first, until the answer is complete. The starts are ascending. The
// limits of a request bound the memory.
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

	kept           [][]string // the wanted records, by bucket
	records, bytes int        // the number and the bytes of the kept records
	finals         int        // buckets with a final record, counted if the query wants final records
	buckets, size  int        // buckets read, and the bytes of all their records
	complete       bool       // whether older buckets cannot add a record
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

// take keeps the wanted records of a bucket. It returns errEnough if the answer is complete, and a tooMuch error if
// the answer exceeds a limit.
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

// wanted returns the records that the query wants, in the memory of records. If the query wants final records, it
// counts the bucket if it has a final record, even one that does not match the query, because the parameter last
// counts buckets of the table.
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
