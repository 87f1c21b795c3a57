package cache

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// Hashes of buckets expire by themselves, but the members of sorted sets do not. So each writer removes the members whose time
// has passed. Other agents may write meanwhile. So an expired bucket is removed from the index only after its hash is gone, and
// after the removal the writer looks again: a bucket that another agent has written in between is entered again.

const (
	// cleanEvery is the shortest time between two cleanings of a table's index.
	cleanEvery = time.Minute
	// maxCleaned is the largest number of expired buckets that one cleaning removes.
	maxCleaned = 5000
)

// cleanIfDue cleans the index of a table that was written, at most once in cleanEvery. It reports an error instead of returning
// it, because the records are written; the next cleaning tries again. The caller holds the lock of the table.
func (w *Writer) cleanIfDue(ctx context.Context, t record.Table, s *tableState) {
	if !w.isCleanDue(t) {
		return
	}
	if err := w.clean(ctx, t, s, w.clock.now()); err != nil {
		w.o.Report(fmt.Errorf("cleaning the index of %s: %w", t, err))
	}
}

// cleanCatalogueIfDue cleans the catalogue, at most once in cleanEvery.
func (w *Writer) cleanCatalogueIfDue(ctx context.Context) {
	if !w.isCleanDue(record.Table{}) { // no table has empty names
		return
	}
	if err := w.cleanCatalogue(ctx, w.clock.now()); err != nil {
		w.o.Report(fmt.Errorf("cleaning the list of all tables, %q: %w", catalogueKey, err))
	}
}

// isCleanDue reports whether the last cleaning of a table is cleanEvery ago. If so, it notes that the table is cleaned
// now.
func (w *Writer) isCleanDue(t record.Table) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.o.Now()
	if now.Sub(w.cleaned[t]) < cleanEvery {
		return false
	}
	w.cleaned[t] = now
	return true
}

// clean removes expired buckets, the buckets beyond MaxBuckets, and expired fields, tag keys and writers from the sets of the
// table. Each part is tried even if another one fails.
func (w *Writer) clean(ctx context.Context, t record.Table, s *tableState, now time.Time) error {
	return errors.Join(w.cleanExpired(ctx, t, s, now), w.cleanOldest(ctx, t, now), w.cleanNames(ctx, t, now), w.cleanWriters(ctx, t, s, now))
}

// endedAfter is how long a mark whose time has passed must not change until its writer counts as ended. A running writer sets its mark to a
// time that has passed if it does not know the clock of Redis and its own clock is behind. It is expected to write at least once a day.
const endedAfter = 48 * time.Hour

// cleanWriters removes the marks of writers that have not written the table within their retention, and that have ended: without its
// mark, a running writer would write everything again. A writer that does not know the clock of Redis leaves that to others.
//
// It removes marks by their scores, because a writer that still runs may have set its mark to another one meanwhile.
func (w *Writer) cleanWriters(ctx context.Context, t record.Table, s *tableState, now time.Time) error {
	if !w.clock.isOfServer() {
		return nil
	}
	marks, err := w.client.ZRangeByScoreWithScores(ctx, writersKey(t), &redis.ZRangeBy{Min: "-inf", Max: microsText(float64(now.UnixMicro()))}).Result()
	if err != nil {
		return err
	}
	pipe := w.client.Pipeline()
	for _, z := range s.ended.settle(marks, w.o.Now(), endedAfter) {
		pipe.ZRemRangeByScore(ctx, writersKey(t), microsText(z.Score), microsText(z.Score))
	}
	_, err = pipe.Exec(ctx)
	return err
}

// cleanNames removes the fields and tag keys whose expiry time has passed.
func (w *Writer) cleanNames(ctx context.Context, t record.Table, now time.Time) error {
	return w.client.ZRemRangeByScore(ctx, namesKey(t), "-inf", strconv.FormatInt(now.UnixMicro(), 10)).Err()
}

// cleanExpired removes at most maxCleaned buckets whose expiry time has passed, if Redis has already removed their
// hashes. A hash that still exists was written by an agent that used another clock. More expired buckets are left to the next
// cleanings.
//
// Members with removedPrefix have no hash. They are removed after this writer has found them unchanged for removedFor after their time,
// because its own clock or that of the writer that set them may be wrong.
func (w *Writer) cleanExpired(ctx context.Context, t record.Table, s *tableState, now time.Time) error {
	expired := &redis.ZRangeBy{Min: "-inf", Max: millis(now), Count: maxCleaned}
	members, err := w.client.ZRangeByScoreWithScores(ctx, expiryKey(t), expired).Result()
	if err != nil {
		return err
	}
	var starts []string
	var removed []redis.Z
	for _, z := range members {
		if member, _ := z.Member.(string); strings.HasPrefix(member, removedPrefix) {
			removed = append(removed, z)
		} else {
			starts = append(starts, member)
		}
	}
	_, gone, err := split(ctx, w.client, starts, func(start string) string { return bucketKey(t, start) })
	if err != nil {
		return err
	}
	for _, z := range s.removed.settle(removed, w.o.Now(), removedFor) {
		member, _ := z.Member.(string)
		gone = append(gone, member)
	}
	if len(gone) == 0 {
		return nil
	}
	if err := transact(ctx, w.client, func(pipe redis.Pipeliner) {
		pipe.ZRem(ctx, indexKey(t), anys(gone)...)
		pipe.ZRem(ctx, expiryKey(t), anys(gone)...)
	}); err != nil {
		return err
	}
	return w.restore(ctx, t, gone)
}

// restore adds buckets to the index again that another agent wrote while this agent removed them. The hash of such a
// bucket exists. Its expiry time is then the one that this agent would give it, or a later one that is there already.
func (w *Writer) restore(ctx context.Context, t record.Table, starts []string) error {
	existing, _, err := split(ctx, w.client, starts, func(start string) string { return bucketKey(t, start) })
	if err != nil {
		return err
	}
	var index, expiries []redis.Z
	for _, start := range existing {
		if at, err := parseStart(start); err == nil {
			index = append(index, redis.Z{Score: score(at), Member: start})
			expiries = append(expiries, redis.Z{Score: float64(w.clock.now().Add(w.o.Retention).UnixMilli()), Member: start})
		}
	}
	if len(index) == 0 {
		return nil
	}
	return transact(ctx, w.client, func(pipe redis.Pipeliner) {
		pipe.ZAdd(ctx, indexKey(t), index...)
		w.lifetime().extend(ctx, pipe, expiryKey(t), expiries...)
	})
}

// cleanCatalogue removes at most maxCleaned tables whose expiry time has passed, if their keys have expired too: a table that
// an agent with another clock wrote may exist although its time has passed.
func (w *Writer) cleanCatalogue(ctx context.Context, now time.Time) error {
	// From 0: the members with a time of the last write have negative scores, and leave together with their tables.
	passed := &redis.ZRangeBy{Min: "0", Max: millis(now), Count: maxCleaned}
	members, err := w.client.ZRangeByScore(ctx, catalogueKey, passed).Result()
	if err != nil {
		return err
	}
	_, gone, err := split(ctx, w.client, members, versionOf)
	if err != nil || len(gone) == 0 {
		return err
	}
	removed := anys(gone)
	for _, m := range gone {
		removed = append(removed, writtenPrefix+m)
	}
	if err := w.client.ZRem(ctx, catalogueKey, removed...).Err(); err != nil {
		return err
	}
	// Another agent may have written a table between the check and the removal.
	existing, _, err := split(ctx, w.client, gone, versionOf)
	if err != nil || len(existing) == 0 {
		return err
	}
	again := make([]redis.Z, 0, len(existing))
	for _, m := range existing {
		again = append(again, redis.Z{Score: float64(now.Add(w.o.Retention).UnixMilli()), Member: m})
	}
	pipe := w.client.Pipeline()
	w.lifetime().extend(ctx, pipe, catalogueKey, again...)
	_, err = pipe.Exec(ctx)
	return err
}

// split separates names into those whose key exists and those whose key does not. It sends GET, because EXISTS is not in
// the documented ACL: see existence. A key that the user may not read is left to the agents that may. Keys on a server
// of a cluster that does not answer count as existing, unless none answers.
func split(ctx context.Context, client redis.UniversalClient, names []string, key func(name string) string) (existing, gone []string, err error) {
	pipe := client.Pipeline()
	cmds := make([]*redis.StringCmd, len(names))
	for i, name := range names {
		cmds[i] = pipe.Get(ctx, key(name))
	}
	_, _ = pipe.Exec(ctx) // the error of each command is checked below
	unanswered := 0
	for i, name := range names {
		exists, failed := existence(cmds[i].Err())
		if failed != nil {
			unanswered++
			err = failed
		}
		if exists || failed != nil {
			existing = append(existing, name)
		} else {
			gone = append(gone, name)
		}
	}
	if unanswered == len(names) {
		return nil, nil, err
	}
	return existing, gone, nil
}

// removedFor is the shortest time for which the writers know that a bucket was removed because of MaxBuckets. An agent that lags behind can
// write the bucket again. Another agent must then know that its own records of the bucket were removed and not lost.
const removedFor = time.Hour

// cleanOldest removes the oldest buckets beyond MaxBuckets, first of those that have begun and then of those that begin
// in the future, and notes that among the expiry times. EXPIRE with 0 deletes a key; DEL is not in the documented ACL.
func (w *Writer) cleanOldest(ctx context.Context, t record.Table, now time.Time) error {
	if w.o.MaxBuckets <= 0 {
		return nil
	}
	oldest, _, err := w.divide(ctx, t, now, nil)
	if err != nil || len(oldest) == 0 {
		return err
	}
	return transact(ctx, w.client, func(pipe redis.Pipeliner) {
		for _, start := range oldest {
			pipe.Expire(ctx, bucketKey(t, start), 0)
			pipe.Expire(ctx, summaryKey(t, start), 0)
			pipe.Expire(ctx, revisionKey(t, start), 0)
			pipe.Expire(ctx, headKey(t, start), 0)
		}
		pipe.ZRem(ctx, indexKey(t), anys(oldest)...)
		pipe.ZRem(ctx, expiryKey(t), anys(oldest)...)
		removed := make([]redis.Z, 0, len(oldest))
		for _, start := range oldest {
			removed = append(removed, redis.Z{Score: float64(now.Add(removedFor).UnixMilli()), Member: removedPrefix + start})
		}
		life := w.lifetime()
		life.extend(ctx, pipe, expiryKey(t), removed...)
		life.expire(ctx, pipe, expiryKey(t))
	})
}

// removed returns the starts of the buckets that an agent has removed in the last hours because of its MaxBuckets. Their times do not
// count, because the clock of that agent may be wrong.
func (w *Writer) removed(ctx context.Context, t record.Table) (map[string]bool, error) {
	members, err := w.client.ZRangeByScore(ctx, expiryKey(t), &redis.ZRangeBy{Min: "-inf", Max: "+inf"}).Result()
	removed := make(map[string]bool)
	for _, m := range members {
		if start, ok := strings.CutPrefix(m, removedPrefix); ok {
			removed[start] = true
		}
	}
	return removed, err
}

// divide returns the starts of the buckets beyond MaxBuckets and those of the others, among those of the index and of the lost ones.
// It reads the whole index, because the documented ACL of a writer has no command that reads it from its end. MaxBuckets is above 0.
//
// With MaxBuckets 2, of the buckets 1, 2, 3 that have begun and 8, 9 that begin in the future, only 1 is beyond it: the buckets that have
// begun and those of the future are counted separately.
func (w *Writer) divide(ctx context.Context, t record.Table, now time.Time, lost []string) (oldest, newest []string, err error) {
	members, err := w.client.ZRangeByScore(ctx, indexKey(t), &redis.ZRangeBy{Min: "-inf", Max: "+inf"}).Result()
	if err != nil {
		return nil, nil, err
	}
	starts := parseStarts(append(members, lost...))
	slices.SortFunc(starts, time.Time.Compare)
	starts = slices.CompactFunc(starts, time.Time.Equal)
	begun := len(starts) // how many of them have begun
	if i := slices.IndexFunc(starts, func(at time.Time) bool { return at.After(now) }); i >= 0 {
		begun = i
	}
	for _, part := range [][]time.Time{starts[:begun], starts[begun:]} {
		beyond := max(0, len(part)-w.o.MaxBuckets)
		oldest, newest = append(oldest, startTexts(part[:beyond])...), append(newest, startTexts(part[beyond:])...)
	}
	return oldest, newest, nil
}

// startTexts returns the starts in the form that keys have.
func startTexts(starts []time.Time) []string {
	texts := make([]string, 0, len(starts))
	for _, start := range starts {
		texts = append(texts, startText(start))
	}
	return texts
}

// anys returns the texts as arguments of a command.
func anys(texts []string) []any {
	all := make([]any, len(texts))
	for i, text := range texts {
		all[i] = text
	}
	return all
}
