package cache

import (
	"context"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// maxSummaries is about how many summaries one round trip reads: as long as Redis is busy with them, its other clients wait.
// A bucket with more is read in parts of that size.
const maxSummaries = 2500

// Summaries reads the summaries of the buckets that begin at starts. It calls yield for each bucket, in that order, and several
// times for a bucket of more than maxSummaries records; an expired bucket has no parts. An error of yield ends the reading and is
// returned.
//
// The state of a record is read before its summary, so a summary is at least as new as its state.
func (r *Reader) Summaries(ctx context.Context, t record.Table, starts []time.Time, yield func(record.Summaries) error) error {
	for len(starts) > 0 {
		sizes, err := r.sizes(ctx, t, starts[:min(len(starts), maxPipeline)])
		if err != nil {
			return explain(err, t)
		}
		for len(sizes) > 0 {
			n, total := 0, int64(0)
			for n < len(sizes) && (n == 0 || total+sizes[n] <= maxSummaries) {
				total += sizes[n]
				n++
			}
			if err := r.summaries(ctx, t, starts[:n], total, yield); err != nil {
				return explain(err, t)
			}
			starts, sizes = starts[n:], sizes[n:]
		}
	}
	return nil
}

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

// summaries reads buckets of so many records together. More than maxSummaries are those of a single bucket, which is read in
// parts. The hash of records is read before that of summaries.
func (r *Reader) summaries(ctx context.Context, t record.Table, starts []time.Time, records int64, yield func(record.Summaries) error) error {
	if records > maxSummaries {
		return r.scanSummaries(ctx, t, starts[0], yield)
	}
	pipe := r.client.Pipeline()
	texts, encoded := make([]*redis.MapStringStringCmd, len(starts)), make([]*redis.MapStringStringCmd, len(starts))
	for i, start := range starts {
		texts[i] = pipe.HGetAll(ctx, bucketKey(t, startText(start)))
		encoded[i] = pipe.HGetAll(ctx, summaryKey(t, startText(start)))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return err
	}
	for i, start := range starts {
		bucket := record.Summaries{Start: start, Parts: make([]record.SummaryPart, 0, len(texts[i].Val())), Last: true}
		summaries := encoded[i].Val()
		form := record.NewForm(t.Name, start)
		for field, text := range texts[i].Val() {
			part, ok := summaryPart(form, field, text, summaries[field])
			if !ok {
				bucket.Invalid++
				continue
			}
			bucket.Parts = append(bucket.Parts, part)
		}
		if err := yield(bucket); err != nil {
			return err
		}
	}
	return nil
}

// scanSummaries reads a large bucket, some records at a time.
func (r *Reader) scanSummaries(ctx context.Context, t record.Table, start time.Time, yield func(record.Summaries) error) error {
	form := record.NewForm(t.Name, start)
	cursor := uint64(0)
	for {
		pairs, next, err := r.client.HScan(ctx, bucketKey(t, startText(start)), cursor, "", maxSummaries).Result()
		if err != nil {
			return err
		}
		bucket := record.Summaries{Start: start, Parts: make([]record.SummaryPart, 0, len(pairs)/2), Last: next == 0}
		encoded, err := r.summariesOf(ctx, t, start, pairs)
		if err != nil {
			return err
		}
		for i := 0; i+1 < len(pairs); i += 2 {
			if part, ok := summaryPart(form, pairs[i], pairs[i+1], encoded[i/2]); ok {
				bucket.Parts = append(bucket.Parts, part)
			} else {
				bucket.Invalid++
			}
		}
		if err := yield(bucket); err != nil || next == 0 {
			return err
		}
		cursor = next
	}
}

// summariesOf reads the encoded summaries of records, given their hash fields and texts in turn. It is empty for a record without
// one.
func (r *Reader) summariesOf(ctx context.Context, t record.Table, start time.Time, pairs []string) ([]string, error) {
	encoded := make([]string, len(pairs)/2)
	if len(pairs) == 0 {
		return encoded, nil
	}
	fields := make([]string, 0, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		fields = append(fields, pairs[i])
	}
	values, err := r.client.HMGet(ctx, summaryKey(t, startText(start)), fields...).Result()
	for i, v := range values {
		encoded[i], _ = v.(string) // nil for a record that has none
	}
	return encoded, err
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
