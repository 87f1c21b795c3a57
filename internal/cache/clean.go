package cache

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

const (
	// cleanEvery is the shortest time between two cleanings of a table's index.
	cleanEvery = time.Minute
	// maxCleaned is the largest number of expired buckets that one cleaning removes.
	maxCleaned = 5000
)

// cleanIfDue cleans the index of a table that was written, at most once in cleanEvery.
func (w *Writer) cleanIfDue(ctx context.Context, t record.Table, now time.Time) {
	w.mu.Lock()
	due := now.Sub(w.cleaned[t]) >= cleanEvery
	if due {
		w.cleaned[t] = now
	}
	w.mu.Unlock()
	if !due {
		return
	}
	if err := w.clean(ctx, t, now); err != nil {
		w.o.Report(fmt.Errorf("cleaning the index of %s: %w", t, err))
	}
}

// clean removes expired buckets and the buckets beyond MaxBuckets from the index. It also removes the fields and tag
// keys that no agent has written within the retention.
func (w *Writer) clean(ctx context.Context, t record.Table, now time.Time) error {
	return errors.Join(
		w.cleanExpired(ctx, t, now),
		w.cleanOldest(ctx, t, now),
		w.client.ZRemRangeByScore(ctx, namesKey(t), "-inf", millis(now.Add(-w.o.Retention))).Err(),
	)
}

// cleanExpired removes at most maxCleaned buckets whose expiry time has passed. Redis has already removed their
// hashes.
func (w *Writer) cleanExpired(ctx context.Context, t record.Table, now time.Time) error {
	expired := &redis.ZRangeBy{Min: "-inf", Max: millis(now), Count: maxCleaned}
	starts, err := w.client.ZRangeByScore(ctx, expiryKey(t), expired).Result()
	if err != nil || len(starts) == 0 {
		return err
	}
	if err := transact(ctx, w.client, func(pipe redis.Pipeliner) {
		pipe.ZRem(ctx, indexKey(t), anys(starts)...)
		pipe.ZRem(ctx, expiryKey(t), anys(starts)...)
	}); err != nil {
		return err
	}
	return w.restore(ctx, t, starts)
}

// restore adds buckets to the index again that another agent wrote while this agent removed them. The hash of such a
// bucket exists.
func (w *Writer) restore(ctx context.Context, t record.Table, starts []string) error {
	pipe := w.client.Pipeline()
	cmds := make([]*redis.StringSliceCmd, len(starts))
	for i, start := range starts {
		cmds[i] = pipe.HVals(ctx, bucketKey(t, start))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return err
	}
	var index, expiries []redis.Z
	for i, start := range starts {
		at, err := parseStart(start)
		if err != nil || len(cmds[i].Val()) == 0 {
			continue
		}
		index = append(index, redis.Z{Score: score(at), Member: start})
		expiries = append(expiries, redis.Z{Score: float64(w.o.Now().Add(w.o.Retention).UnixMilli()), Member: start})
	}
	if len(index) == 0 {
		return nil
	}
	return transact(ctx, w.client, func(pipe redis.Pipeliner) {
		pipe.ZAdd(ctx, indexKey(t), index...)
		pipe.ZAdd(ctx, expiryKey(t), expiries...)
	})
}

// cleanOldest removes the oldest buckets beyond MaxBuckets, first of those that have begun and then of those that begin
// in the future.
func (w *Writer) cleanOldest(ctx context.Context, t record.Table, now time.Time) error {
	if w.o.MaxBuckets <= 0 {
		return nil
	}
	members, err := w.client.ZRangeByScore(ctx, indexKey(t), &redis.ZRangeBy{Min: "-inf", Max: "+inf"}).Result()
	if err != nil {
		return err
	}
	starts := parseStarts(members)
	begun := len(starts)
	if i := slices.IndexFunc(starts, func(at time.Time) bool { return at.After(now) }); i >= 0 {
		begun = i
	}
	oldest := slices.Concat(w.beyond(starts[:begun]), w.beyond(starts[begun:]))
	if len(oldest) == 0 {
		return nil
	}
	return transact(ctx, w.client, func(pipe redis.Pipeliner) {
		for _, start := range oldest {
			pipe.Expire(ctx, bucketKey(t, start), 0)
			pipe.Expire(ctx, summaryKey(t, start), 0)
			pipe.Expire(ctx, revisionKey(t, start), 0)
		}
		pipe.ZRem(ctx, indexKey(t), anys(oldest)...)
		pipe.ZRem(ctx, expiryKey(t), anys(oldest)...)
	})
}

// beyond returns the texts of all starts but the newest MaxBuckets. The starts are ascending.
func (w *Writer) beyond(starts []time.Time) []string {
	oldest := starts[:max(0, len(starts)-w.o.MaxBuckets)]
	texts := make([]string, 0, len(oldest))
	for _, start := range oldest {
		texts = append(texts, startText(start))
	}
	return texts
}

func anys(texts []string) []any {
	all := make([]any, len(texts))
	for i, text := range texts {
		all[i] = text
	}
	return all
}
