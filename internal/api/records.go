package api

import (
	"errors"
	"fmt"
	"hash/fnv"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// records answers with the records of a table: a JSON array, ascending by bucket. Without a limit it has
// every record of the query, or is refused with the numbers; with one the newest.
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
	// The version first: what is written from here on changes it.
	version, err := s.reader.Version(r.Context(), q.table)
	if err != nil {
		return away(err)
	}
	starts, err := s.reader.Buckets(r.Context(), q.table, q.span)
	if err != nil {
		return away(err)
	}
	etag := etagOf(version, entry.LastWrite, starts)
	w.Header().Set("ETag", etag)
	if matches(r.Header.Get("If-None-Match"), etag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	body, err := s.collect(r, q, starts)
	if err != nil {
		return err
	}
	write(w, body)
	return nil
}

// etagOf names a state of an answer: the table's version, the time of its last write, because a Redis that
// has lost its data counts versions from the start again, and the buckets, which can expire without a write.
func etagOf(version int64, written time.Time, starts []time.Time) string {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d,", written.UnixMilli())
	for _, start := range starts {
		fmt.Fprintf(h, "%d.%d,", start.Unix(), start.Nanosecond())
	}
	return fmt.Sprintf(`"%d-%x"`, version, h.Sum64())
}

func matches(header, etag string) bool {
	for candidate := range strings.SplitSeq(header, ",") {
		candidate = strings.TrimPrefix(strings.TrimSpace(candidate), "W/")
		if candidate == etag || candidate == "*" {
			return true
		}
	}
	return false
}

// Buckets are read some at a time, newest first: firstRead of them, then as many as maxBytes is likely to
// hold, at most maxRead.
const (
	firstRead = 10
	maxRead   = 100
)

var errEnough = errors.New("enough records")

// collect reads the records of the buckets that the query wants. Memory is bounded by the limits of a
// request.
func (s *server) collect(r *http.Request, q query, starts []time.Time) ([]byte, error) {
	if q.limit == 0 && len(starts) > s.MaxBuckets {
		return nil, tooMuch{"buckets", len(starts), s.MaxBuckets}
	}
	a := answer{query: q, filter: record.NewFilter(q.table.Name, record.Wanted{Fields: q.fields, Tags: q.tags}), maxRecords: s.MaxRecords, maxBytes: s.MaxBytes}
	for read, n := 0, firstRead; len(starts) > 0; n = a.next(read) {
		n = min(n, s.MaxBuckets-read, len(starts))
		if n == 0 {
			return nil, tooMuch{"buckets", read + len(starts), s.MaxBuckets}
		}
		part := slices.Clone(starts[len(starts)-n:])
		slices.Reverse(part)
		err := s.reader.Records(r.Context(), q.table, part, a.take)
		switch {
		case errors.Is(err, errEnough):
			return a.json(), nil
		case errors.As(err, &tooMuch{}):
			return nil, err
		case err != nil:
			return nil, away(err)
		}
		starts, read = starts[:len(starts)-n], read+n
	}
	return a.json(), nil
}

// answer collects records, newest bucket first.
type answer struct {
	query
	filter               record.Filter
	maxRecords, maxBytes int
	buckets              [][]string
	records, bytes       int
	read                 int // bytes of all records that came, wanted or not
}

// next returns how many buckets to read after that many.
func (a *answer) next(read int) int {
	mean := a.read/read + 1
	return min(max(a.maxBytes/mean, 1), maxRead)
}

// take takes the wanted records of a bucket. It returns errEnough when the limit is reached, or what is
// too much.
func (a *answer) take(_ time.Time, records []string) error {
	kept := records[:0]
	for _, text := range records {
		a.read += len(text)
		if a.filter.Match(text) {
			kept = append(kept, text)
		}
	}
	if a.limit > 0 && len(kept) > a.limit-a.records {
		kept = kept[len(kept)-(a.limit-a.records):]
	}
	for _, text := range kept {
		a.bytes += len(text) + 1
	}
	a.records += len(kept)
	a.buckets = append(a.buckets, kept)
	switch {
	case a.records > a.maxRecords:
		return tooMuch{"records or more", a.records, a.maxRecords}
	case a.bytes > a.maxBytes:
		return tooMuch{"bytes or more", a.bytes, a.maxBytes}
	case a.limit > 0 && a.records >= a.limit:
		return errEnough
	}
	return nil
}

// json returns the records as a JSON array, ascending by bucket.
func (a *answer) json() []byte {
	b := make([]byte, 0, a.bytes+3)
	b = append(b, '[')
	for _, records := range slices.Backward(a.buckets) {
		for _, text := range records {
			if len(b) > 1 {
				b = append(b, ',')
			}
			b = append(b, text...)
		}
	}
	return append(b, ']', '\n')
}

var _ Reader = (*cache.Store)(nil)
