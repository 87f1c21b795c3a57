package cache

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

const (
	// maxFields is how many fields one HSET sets.
	maxFields = 500
	// cleanEvery is how often a table's index is cleaned.
	cleanEvery = time.Minute
	// maxCleaned is how many buckets one cleaning takes from the index.
	maxCleaned = 5000
)

// Put writes records of one table in one transaction. With an error none of them was written, or it is
// not known, unless a key of the table holds something else (WRONGTYPE). Writing a record again replaces
// it. What is done beside that, see [Options].Report, never fails a Put, nor does a catalogue that is no
// sorted set: it is reported, as the records stand where they belong.
func (s *Store) Put(ctx context.Context, t record.Table, records []record.Record) error {
	if len(records) == 0 {
		return nil
	}
	if s.Retention < time.Second {
		return fmt.Errorf("retention %s is below a second", s.Retention)
	}
	if err := CheckTable(t); err != nil {
		return err
	}
	b := newBatch(records)
	now := s.Now()
	if _, err := s.client.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		b.queue(ctx, pipe, t, now, s.Retention)
		return nil
	}); err != nil {
		return err
	}
	err := s.enter(ctx, t, now)
	switch {
	case redis.HasErrorPrefix(err, "WRONGTYPE"): // trying again does not help, and the records are written
		s.Report(err)
	case err != nil:
		return err
	}
	s.afterPut(ctx, t, b, now)
	return nil
}

// batch is what one Put writes, by bucket.
type batch struct {
	starts    map[string]time.Time
	records   map[string][]any // pairs of a hash field and a record, by start
	summaries map[string][]any // pairs of a hash field and an encoded summary, by start
	names     map[string]bool
	newest    time.Time
}

func newBatch(records []record.Record) *batch {
	b := &batch{
		starts:  make(map[string]time.Time),
		records: make(map[string][]any), summaries: make(map[string][]any), names: make(map[string]bool),
		newest: records[0].Start,
	}
	var buf []byte
	for i := range records {
		r := &records[i]
		start, field := startText(r.Start), hashField(r)
		buf = r.AppendJSON(buf[:0])
		b.starts[start] = r.Start
		b.records[start] = append(b.records[start], field, string(buf))
		if r.Start.After(b.newest) {
			b.newest = r.Start
		}
		b.names[fieldName+r.Field] = true
		for _, tag := range r.JSONTags() {
			b.names[tagName+tag.Key] = true
		}
		if len(r.Summary) > 0 {
			b.summaries[start] = append(b.summaries[start], field, r.Summary)
		}
	}
	return b
}

// queue adds the commands of the transaction to the pipeline.
func (b *batch) queue(ctx context.Context, pipe redis.Pipeliner, t record.Table, now time.Time, retention time.Duration) {
	starts := slices.Sorted(maps.Keys(b.starts))
	expiry := expiryScore(now.Add(retention))
	index, expiries, names := make([]redis.Z, 0, len(starts)), make([]redis.Z, 0, len(starts)), make([]redis.Z, 0, len(b.names))
	for _, start := range starts {
		set(ctx, pipe, bucketKey(t, start), b.records[start], retention)
		set(ctx, pipe, summaryKey(t, start), b.summaries[start], retention)
		index = append(index, redis.Z{Score: score(b.starts[start]), Member: start})
		expiries = append(expiries, redis.Z{Score: expiry, Member: start})
	}
	for name := range b.names {
		names = append(names, redis.Z{Score: float64(now.UnixMilli()), Member: name})
	}
	pipe.ZAdd(ctx, indexKey(t), index...)
	pipe.ZAdd(ctx, expiryKey(t), expiries...)
	pipe.ZAdd(ctx, namesKey(t), names...)
	pipe.Incr(ctx, versionKey(t))
	for _, key := range []string{indexKey(t), expiryKey(t), namesKey(t), versionKey(t)} {
		pipe.Expire(ctx, key, retention)
	}
	pipe.Publish(ctx, channel(t), strings.Join(starts, " "))
}

// expiryScore returns the score of what expires then: milliseconds, with a random fraction, so that two writes within a
// millisecond can be told apart.
func expiryScore(at time.Time) float64 { return float64(at.UnixMilli()) + rand.Float64() }

func set(ctx context.Context, pipe redis.Pipeliner, key string, pairs []any, retention time.Duration) {
	if len(pairs) == 0 {
		return
	}
	for part := range slices.Chunk(pairs, 2*maxFields) {
		pipe.HSet(ctx, key, part...)
	}
	pipe.Expire(ctx, key, retention)
}

// enter writes the table into the catalogue, which has a slot of its own, and takes out of it what was
// not written for the retention.
func (s *Store) enter(ctx context.Context, t record.Table, now time.Time) error {
	pipe := s.client.Pipeline()
	pipe.ZAdd(ctx, catalogueKey, redis.Z{Score: float64(now.UnixMilli()), Member: member(t)})
	pipe.ZRemRangeByScore(ctx, catalogueKey, "-inf", millis(now.Add(-s.Retention)))
	pipe.Expire(ctx, catalogueKey, s.Retention)
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("entering %s into the list of all tables, %q: %w", t, catalogueKey, err)
	}
	return nil
}

func millis(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }

// afterPut does what a write leaves to do: clean the index now and then, and rebuild the compatibility
// value soon.
func (s *Store) afterPut(ctx context.Context, t record.Table, b *batch, now time.Time) {
	s.mu.Lock()
	state := s.tables[t]
	if state == nil {
		state = &tableState{newest: b.newest}
		s.tables[t] = state
	}
	if b.newest.After(state.newest) {
		state.newest = b.newest
	}
	due := now.Sub(state.cleaned) >= cleanEvery
	if due {
		state.cleaned = now
	}
	s.mu.Unlock()
	if due {
		if err := s.clean(ctx, t, now); err != nil {
			s.Report(fmt.Errorf("cleaning the index of %s: %w", t, err))
		}
	}
	if s.CompatRecords > 0 {
		s.worker().mark(t)
	}
}

// clean takes buckets that have expired, and those beyond MaxBuckets, from the index, and names that
// were not written for the retention from the names.
func (s *Store) clean(ctx context.Context, t record.Table, now time.Time) error {
	return errors.Join(
		s.cleanExpired(ctx, t, now),
		s.cleanOldest(ctx, t),
		s.client.ZRemRangeByScore(ctx, namesKey(t), "-inf", millis(now.Add(-s.Retention))).Err(),
	)
}

func (s *Store) cleanExpired(ctx context.Context, t record.Table, now time.Time) error {
	expired := &redis.ZRangeBy{Min: "-inf", Max: millis(now), Count: maxCleaned}
	starts, err := s.client.ZRangeByScore(ctx, expiryKey(t), expired).Result()
	if err != nil || len(starts) == 0 {
		return err
	}
	if _, err := s.client.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		pipe.ZRem(ctx, indexKey(t), anys(starts)...)
		pipe.ZRem(ctx, expiryKey(t), anys(starts)...)
		return nil
	}); err != nil {
		return err
	}
	return s.restore(ctx, t, starts)
}

// restore puts the buckets back that were written while they were taken from the index: their hash is
// there again.
func (s *Store) restore(ctx context.Context, t record.Table, starts []string) error {
	pipe := s.client.Pipeline()
	cmds := make([]*redis.StringSliceCmd, len(starts))
	for i, start := range starts {
		cmds[i] = pipe.HVals(ctx, bucketKey(t, start))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return err
	}
	var index, expiries []redis.Z
	for i, start := range starts {
		if len(cmds[i].Val()) == 0 {
			continue
		}
		at, err := parseStart(start)
		if err != nil {
			continue // no writer of ours has put it there
		}
		index = append(index, redis.Z{Score: score(at), Member: start})
		expiries = append(expiries, redis.Z{Score: float64(s.Now().Add(s.Retention).UnixMilli()), Member: start})
	}
	if len(index) == 0 {
		return nil
	}
	_, err := s.client.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		pipe.ZAdd(ctx, indexKey(t), index...)
		pipe.ZAdd(ctx, expiryKey(t), expiries...)
		return nil
	})
	return err
}

// cleanOldest drops the oldest buckets beyond MaxBuckets.
func (s *Store) cleanOldest(ctx context.Context, t record.Table) error {
	if s.MaxBuckets <= 0 {
		return nil
	}
	starts, err := s.client.ZRangeByScore(ctx, indexKey(t), &redis.ZRangeBy{Min: "-inf", Max: "+inf"}).Result()
	if err != nil {
		return err
	}
	starts = slices.DeleteFunc(starts, func(start string) bool { _, err := parseStart(start); return err != nil })
	if len(starts) <= s.MaxBuckets {
		return nil
	}
	oldest := starts[:len(starts)-s.MaxBuckets]
	_, err = s.client.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		for _, start := range oldest {
			pipe.Expire(ctx, bucketKey(t, start), 0)
			pipe.Expire(ctx, summaryKey(t, start), 0)
		}
		pipe.ZRem(ctx, indexKey(t), anys(oldest)...)
		pipe.ZRem(ctx, expiryKey(t), anys(oldest)...)
		return nil
	})
	return err
}

func anys(texts []string) []any {
	all := make([]any, len(texts))
	for i, text := range texts {
		all[i] = text
	}
	return all
}

func sorted(texts []string) []string {
	slices.Sort(texts)
	return texts
}
