package cache

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"

	"github.com/redis/go-redis/v9"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// headPart is what the transaction of a batch finds of the head of a bucket: see head.go.
type headPart struct {
	began   *redis.IntCmd   // whether the transaction has begun the head; nil unless it tried to
	before  *redis.IntCmd   // how many records the bucket had before the transaction; nil unless it tried to
	pending float64         // what was added to the count
	count   *redis.FloatCmd // the count after that, or redis.Nil if there is no head; nil if this writer does not keep heads
}

// headState is whether the user of the writer may send the commands of heads. An earlier ACL of writers did not have them.
type headState struct{ allowed, refused atomic.Bool }

// keepsHeads reports whether the writer keeps heads. The first call that Redis answers finds out, at the cost of a round trip.
func (w *Writer) keepsHeads(ctx context.Context, t record.Table) bool {
	if w.headState.allowed.Load() || w.headState.refused.Load() {
		return w.headState.allowed.Load()
	}
	pipe := w.client.Pipeline()
	pipe.ZRemRangeByRank(ctx, headKey(t, "0"), 1, 0) // removes nothing
	pipe.HLen(ctx, bucketKey(t, "0"))
	_, err := pipe.Exec(ctx)
	w.headState.allowed.Store(err == nil)
	w.headState.refused.Store(isRefused(err))
	return err == nil
}

// beginHeads adds the commands to the transaction of a batch that begin the heads of large buckets, before those that write the records.
func (b *batch) beginHeads(ctx context.Context, pipe redis.Pipeliner, t record.Table, rules headRules, life lifetime) {
	for _, part := range b.buckets {
		part.head = headPart{}
		if max(len(part.records)/2, part.known) < rules.least {
			continue
		}
		key := headKey(t, part.text)
		part.head.began = pipe.ZAddNX(ctx, key, redis.Z{Member: rules.count()})
		life.expire(ctx, pipe, key)
		part.head.before = pipe.HLen(ctx, bucketKey(t, part.text))
	}
}

// pendHeads adds the commands that make the counts of all heads wrong until the names are offered. They are the last ones of the
// transaction, because [redis.Nil] is an error.
func (b *batch) pendHeads(ctx context.Context, pipe redis.Pipeliner, t record.Table, rules headRules) {
	for _, part := range b.buckets {
		part.head.pending = float64(pendingLeast + rand.Int64N(pendingLeast))
		part.head.count = addToCount(ctx, pipe, headKey(t, part.text), rules, part.head.pending)
	}
}

// addToCount adds the command that adds to the count of a head, if there is a head.
func addToCount(ctx context.Context, pipe redis.Pipeliner, key string, rules headRules, n float64) *redis.FloatCmd {
	return pipe.ZAddArgsIncr(ctx, key, redis.ZAddArgs{XX: true, Members: []redis.Z{{Score: n, Member: rules.count()}}})
}

// keepHeads offers the names of a batch that was written to the heads of its buckets. It reports an error instead of returning it,
// because the records are written; the heads of the batch are then not complete any more.
func (w *Writer) keepHeads(ctx context.Context, t record.Table, b *batch) {
	err := w.offerAll(ctx, t, b)
	for _, part := range b.buckets {
		if err == nil && part.head.began != nil && part.head.began.Val() == 1 && part.head.before.Val() > 0 {
			err = w.completeHead(ctx, t, part)
		}
	}
	if err != nil {
		w.o.Report(fmt.Errorf("keeping the first names of the large buckets of %s: %w", t, err))
	}
}

// offerAll offers the names of the parts of a batch whose buckets have heads.
func (w *Writer) offerAll(ctx context.Context, t record.Table, b *batch) error {
	var parts []*bucket
	for _, part := range b.buckets {
		if count := part.head.count; count != nil && !errors.Is(count.Err(), redis.Nil) && count.Val() < headGone/2 {
			parts = append(parts, part)
		}
	}
	if len(parts) == 0 {
		return nil
	}
	return w.transact(ctx, func(pipe redis.Pipeliner) {
		for _, part := range parts {
			added := part.new(recordsKey)
			o, ok := offerer{ends: ends{n: w.heads.end}, form: record.NewForm(t.Name, part.start)}, true
			for i := 0; i < len(part.records) && added > 0; i += 2 {
				ok = ok && o.record(bytesOf(part.records[i]), bytesOf(part.records[i+1]))
			}
			w.queueOffer(ctx, pipe, t, part.text, &o.ends, ok, float64(added)-part.head.pending)
		}
	})
}

// queueOffer adds the commands that offer names to the head of a bucket, and then add to its count. If the places of the names are not
// known, the head is never complete.
func (w *Writer) queueOffer(ctx context.Context, pipe redis.Pipeliner, t record.Table, start string, e *ends, known bool, counted float64) {
	key := headKey(t, start)
	if members := e.members(); len(members) > 0 {
		pipe.ZAdd(ctx, key, members...)
		pipe.ZRemRangeByRank(ctx, key, int64(w.heads.end), int64(-w.heads.end-2)) // the count is the last member
	}
	if !known {
		counted = headGone
	}
	addToCount(ctx, pipe, key, w.heads, counted)
	w.lifetime().expire(ctx, pipe, key)
}

// bytesOf returns a hash field or a JSON of a batch. In the batch of a repair, hash fields are strings.
func bytesOf(text any) []byte {
	if s, ok := text.(string); ok {
		return []byte(s)
	}
	b, _ := text.([]byte)
	return b
}

// completeHead offers the names that a bucket had when its head began, and others that it has now, and counts the former.
func (w *Writer) completeHead(ctx context.Context, t record.Table, part *bucket) error {
	before, complete := part.head.before.Val(), true
	o := offerer{ends: ends{n: w.heads.end}, form: record.NewForm(t.Name, part.start)}
	if before > int64(w.heads.most) {
		complete = false
	} else if err := w.scanRecords(ctx, t, []string{part.text}, func(_, field, text string) {
		complete = o.record([]byte(field), []byte(text)) && complete
	}); isRefused(err) {
		complete = false
	} else if err != nil {
		return err
	}
	return w.transact(ctx, func(pipe redis.Pipeliner) {
		w.queueOffer(ctx, pipe, t, part.text, &o.ends, complete, float64(before))
	})
}
