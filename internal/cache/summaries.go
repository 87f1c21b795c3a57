package cache

import (
	"context"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

const (
	// maxSummaries bounds the summaries that one round trip reads: as long as Redis is busy with them, its other clients wait. They
	// also have at most about maxRead bytes, by the mean size of those before.
	maxSummaries = 2500
	// summariesGrowth bounds the summaries of a round trip by those that were read before, if no earlier reading has shown their size.
	// The first one is read alone: an exact summary can have megabytes.
	summariesGrowth = 10
)

// Summaries reads the summaries of the buckets that begin at starts. It calls yield for each bucket, in that order, and several
// times for a bucket that one round trip does not read; an expired bucket has no parts. An error of yield ends the reading and is
// returned.
//
// The state of a record is read before its summary, so a summary is at least as new as its state.
//
//	sizes of up to 100 buckets ─▶ as many as fit ─▶ whole: HGETALL of both hashes
//	                              a larger one   ─▶ parts: HSCAN of the records, HMGET of their summaries
func (r *Reader) Summaries(ctx context.Context, t record.Table, starts []time.Time, yield func(record.Summaries) error) error {
	s := &summing{r: r, client: r.client, table: t, mean: r.known.summaryOf(t), yield: yield}
	defer s.end()
	for len(starts) > 0 {
		sizes, err := r.sizes(ctx, t, starts[:min(len(starts), maxPipeline)])
		if err != nil {
			return explain(err, t)
		}
		for len(sizes) > 0 {
			n, total, room := 0, int64(0), s.room()
			for n < len(sizes) && (n == 0 || total+sizes[n] <= room) {
				total += sizes[n]
				n++
			}
			if total > room {
				err = s.parts(ctx, starts[0])
			} else {
				err = s.whole(ctx, starts[:n])
			}
			if err != nil {
				return explain(err, t)
			}
			starts, sizes = starts[n:], sizes[n:]
		}
	}
	return nil
}

// summing reads the summaries of buckets of a table. One goroutine uses it.
type summing struct {
	r      *Reader
	client redis.UniversalClient
	table  record.Table
	mean   int // bytes of a record and its summary in an earlier reading, or 0
	yield  func(record.Summaries) error

	records, bytes int // read so far
}

// room returns how many summaries the next round trip may read. It is at least 1.
func (s *summing) room() int64 {
	mean := s.meanSize()
	if mean == 0 {
		return 1
	}
	room := min(max(maxRead/mean, 1), maxSummaries)
	if s.mean == 0 {
		room = min(room, summariesGrowth*s.records)
	}
	return int64(room)
}

// meanSize returns the mean size of a record and its summary: of those that were read, or else of those of an earlier reading.
func (s *summing) meanSize() int {
	if s.records == 0 {
		return s.mean
	}
	return s.bytes/s.records + 1
}

// count adds a record and its summary to those that were read.
func (s *summing) count(text, summary string) {
	s.records++
	s.bytes += len(text) + len(summary)
}

// end notes the mean size for the next reading.
func (s *summing) end() { s.r.known.setSummary(s.table, s.meanSize()) }

// sizes returns the number of records of each bucket, 0 for one that does not exist. It takes one round trip.
func (r *Reader) sizes(ctx context.Context, t record.Table, starts []time.Time) ([]int64, error) {
	pipe := r.client.Pipeline()
	cmds := make([]*redis.IntCmd, len(starts))
	for i, start := range starts {
		cmds[i] = pipe.HLen(ctx, bucketKey(t, startText(start)))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, err
	}
	sizes := make([]int64, len(starts))
	for i, cmd := range cmds {
		sizes[i] = cmd.Val()
	}
	return sizes, nil
}

// whole reads buckets in one round trip. The hash of records is read before that of summaries. A write may come between the two: a record
// that is new then has a summary and no state, and is left out.
func (s *summing) whole(ctx context.Context, starts []time.Time) error {
	pipe := s.client.Pipeline()
	texts, encoded := make([]*redis.MapStringStringCmd, len(starts)), make([]*redis.MapStringStringCmd, len(starts))
	for i, start := range starts {
		texts[i] = pipe.HGetAll(ctx, bucketKey(s.table, startText(start)))
		encoded[i] = pipe.HGetAll(ctx, summaryKey(s.table, startText(start)))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return err
	}
	for i, start := range starts {
		bucket := record.Summaries{Start: start, Parts: make([]record.SummaryPart, 0, len(texts[i].Val())), Last: true}
		summaries := encoded[i].Val()
		form := record.NewForm(s.table.Name, start)
		for field, text := range texts[i].Val() {
			s.count(text, summaries[field])
			add(&bucket, form, field, text, summaries[field])
		}
		if err := s.yield(bucket); err != nil {
			return err
		}
	}
	return nil
}

// parts reads a large bucket, some records at a time. A record that HSCAN returns twice comes twice.
func (s *summing) parts(ctx context.Context, start time.Time) error {
	form := record.NewForm(s.table.Name, start)
	for cursor := uint64(0); ; {
		pairs, next, err := s.client.HScan(ctx, bucketKey(s.table, startText(start)), cursor, "", s.room()).Result()
		if err != nil {
			return err
		}
		for first := true; first || len(pairs) > 0; first = false { // HSCAN may return more than it should
			n := min(2*int(s.room()), len(pairs))
			bucket := record.Summaries{Start: start, Parts: make([]record.SummaryPart, 0, n/2), Last: next == 0 && n == len(pairs)}
			encoded, err := s.summariesOf(ctx, start, pairs[:n])
			if err != nil {
				return err
			}
			for i := 0; i+1 < n; i += 2 {
				s.count(pairs[i+1], encoded[i/2])
				add(&bucket, form, pairs[i], pairs[i+1], encoded[i/2])
			}
			if err := s.yield(bucket); err != nil {
				return err
			}
			pairs = pairs[n:]
		}
		if next == 0 {
			return nil
		}
		cursor = next
	}
}

// summariesOf reads the encoded summaries of records, given their hash fields and texts in turn. It is empty for a record without
// one.
func (s *summing) summariesOf(ctx context.Context, start time.Time, pairs []string) ([]string, error) {
	encoded := make([]string, len(pairs)/2)
	if len(pairs) == 0 {
		return encoded, nil
	}
	fields := make([]string, 0, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		fields = append(fields, pairs[i])
	}
	values, err := s.client.HMGet(ctx, summaryKey(s.table, startText(start)), fields...).Result()
	for i, v := range values {
		encoded[i], _ = v.(string) // nil for a record that has none
	}
	return encoded, err
}

// add adds the part of a record to those of its bucket, or counts a record that no writer has made.
func add(bucket *record.Summaries, form record.Form, field, text, summary string) {
	if part, ok := summaryPart(form, field, text, summary); ok {
		bucket.Parts = append(bucket.Parts, part)
	} else {
		bucket.Invalid++
	}
}

// summaryPart returns the part of a record with that hash field, JSON and encoded summary. It returns false for a hash field
// or JSON that no writer has made: see [appendHashField] and [record.Form].
func summaryPart(form record.Form, field, text, summary string) (part record.SummaryPart, ok bool) {
	part = record.SummaryPart{State: record.StateOf(text), Summary: []byte(summary)}
	tags, rest, _ := strings.Cut(field, "|")
	part.Tags = tags
	part.Field, part.Agent, part.Replica, ok = parseHashField(rest)
	return part, ok && form.Matches(text)
}
