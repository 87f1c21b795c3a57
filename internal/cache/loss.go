package cache

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// Redis may lose what was written: by FLUSHALL, a restart without persistence or from an older file, a failover to a
// replica that lags behind, or the eviction of single keys. A writer notices this in two ways.
//
// When it writes: each writer has a member of its own in a set of the table, the mark. Its score is set by each write. If
// the mark does not have the score of the last write, something was lost since. The version would not show this to each
// of several agents, as the others increment it too. The answers also show which keys and hash fields were new, although
// they should not be: they were evicted (noticeEvicted).
//
// At least every auditEvery: it looks for the mark and the keys of each table that it keeps records of (audit).
//
// A writer that finds a key evicted removes the marks of the others (tell), so that they write their records again too: they
// could not notice it if this writer has made the key again.
//
//	answers to a write ─▶ notice, noticeEvicted ─┐
//	every auditEvery ───▶ audit ─────────────────┼─▶ tableState.lost ─▶ repairer (repair.go) ─▶ records of recent, again
//	Defer ───────────────────────────────────────┘

// expiryMargin is how long a key must have to live at least for its absence to be a loss: clocks differ.
const expiryMargin = 10 * time.Second

// margin returns expiryMargin, or less if the retention is so short that no key would live that long.
func (w *Writer) margin() time.Duration { return min(expiryMargin, w.o.Retention/10) }

// mark is the score that the member of a writer has in the set of a table's writers. After an error it is unknown whether the
// score was set, so it may be in a range. The zero mark is unknown.
//
//	zero ── set(5) ─▶ 5 ── try(8) ─▶ 5 to 8 ── an error ─▶ 5 to 8 ── try(9) ─▶ 5 to 9 ── set(9) ─▶ 9
//	                                    └───── no error: set(8) ─▶ 8
type mark struct {
	known     bool
	low, high float64 // the range, both inclusive; equal after a write without an error
}

// newMember returns a random text for the member of a new writer. The name of the agent is not enough, because several processes may
// have the same name.
func newMember() string {
	id := make([]byte, 8)
	_, _ = rand.Read(id) // it never fails
	return hex.EncodeToString(id)
}

// score returns the next score of a mark, for a write whose keys expire then: microseconds, so that two writes rarely
// have the same.
func (mark) score(expiry time.Time) float64 { return float64(expiry.UnixMicro()) }

// try notes that a score may be set: a write is sent, and may have its effect even if its answer does not come, or twice.
func (m *mark) try(score float64) {
	if m.known {
		m.low, m.high = min(m.low, score), max(m.high, score)
	}
}

// set notes that a score is set.
func (m *mark) set(score float64) { *m = mark{true, score, score} }

// queue adds a command that reads the members with the scores that the mark may have. It returns nil for an unknown mark, such as that of a
// writer before its first write, which cannot have lost anything.
func (m mark) queue(ctx context.Context, pipe redis.Pipeliner, t record.Table) *redis.ZSliceCmd {
	if !m.known {
		return nil
	}
	return pipe.ZRangeByScoreWithScores(ctx, writersKey(t), &redis.ZRangeBy{Min: microsText(m.low), Max: microsText(m.high)})
}

// microsText returns a score of a mark as an argument of a command.
func microsText(score float64) string { return strconv.FormatFloat(score, 'f', -1, 64) }

// notice notes whether the answers to a successful transaction show that the table is not as this writer left it, or that another
// writer with the same name has written it. found are the members with the scores that the mark may have, as they were before the
// transaction. A table that may have expired is not lost. The caller holds the lock of the table.
func (w *Writer) notice(s *tableState, found *redis.ZSliceCmd, now time.Time) {
	if found == nil {
		return
	}
	score, ok := scoreOf(found, w.member)
	switch {
	case ok:
		name, ok := scoreOf(found, w.name)
		s.twins.due = s.twins.due || w.name != "" && (!ok || name != score)
	case s.expiry.After(now.Add(w.margin())):
		s.lost.all = true
		w.repairer.request(true)
	}
}

// noticeEvicted notes which keys the answers to a successful write show to be evicted. lives is whether the keys of the table, which
// this writer had made or found, had not expired before the write. The caller holds the lock of the table.
//
// If the table lived, each key of it that was new was evicted. Otherwise the keys of a table are made together, so one is evicted if
// it was new but others were not. The same holds for the hashes of a bucket. A hash was also evicted if more of its fields were new
// than there are records that recent does not have: those that it has should have been there. Another writer may have made the key
// again before this one.
func (w *Writer) noticeEvicted(s *tableState, b *batch, lives bool) {
	index, expiries, version := b.creations[indexCreation].isNew(), b.creations[expiriesCreation].isNew(), b.creations[versionCreation].isNew()
	lost := loss{
		index: index != expiries || (lives || !version) && index || lives && version,
		names: b.creations[namesCreation].isNew() && (lives || !version),
	}
	made := 0
	for _, part := range b.buckets {
		switch {
		case part.isEvicted():
			lost.add(part.text)
		case part.indexed == nil && (part.creations[recordsKey].isNew() || part.creations[summariesKey].isNew()):
			made++
		}
	}
	// More hashes than places in the index were new: a bucket that other writers may have records of was evicted.
	lost.untold = lost.any() || b.indexed != nil && made > int(b.indexed.Val())
	if lost.any() {
		s.lost.join(lost)
		w.repairer.request(false)
	}
}

// isEvicted reports whether a key was evicted of a bucket that recent has. It is also true for a bucket that was removed because of
// MaxBuckets, by any agent: see dropOldest.
func (p *bucket) isEvicted() bool {
	switch {
	case !p.lives:
		return false
	case p.creations[recordsKey].isNew() || p.creations[summariesKey].isNew():
		return true // even if all records of the batch are new
	case p.new(recordsKey) > p.fresh || p.new(summariesKey) > p.fresh:
		return true // another writer has made the key again
	}
	return p.creations[revisionsKey].isNew() && p.held != nil && (p.held.proved || len(p.held.revisions) > 0)
}

// scoreOf returns the score of a member, and whether the answer has it.
func scoreOf(found *redis.ZSliceCmd, member string) (score float64, ok bool) {
	for _, z := range found.Val() {
		if z.Member == member {
			return z.Score, true
		}
	}
	return 0, false
}

// audit looks for the keys of a table, and notes what is lost. If the keys have expired, it forgets the table. It holds the lock of the table,
// and repairs nothing.
func (w *Writer) audit(ctx context.Context, t record.Table, s *tableState) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := w.clock.now()
	alive := now.Add(w.margin())
	if s.lost.waiting || s.gone {
		return nil // records that wait are looked for when they are written
	}
	if !s.mark.known || !s.expiry.After(alive) {
		w.recent.prune(s, alive, w.o.Now())
		w.forget(t, s)
		return nil
	}
	s.dropNames(now)
	lost, err := w.look(ctx, t, s, alive)
	if err != nil {
		return err
	}
	if !lost.all {
		w.recent.prune(s, alive, w.o.Now())
	}
	s.lost = lost
	return nil
}

// look returns what is lost of a table, together with what is known to be lost already. It takes at most two round
// trips. GET shows whether a key exists at the cost of a short answer: see existence. The caller holds the lock of the table.
func (w *Writer) look(ctx context.Context, t record.Table, s *tableState, alive time.Time) (loss, error) {
	lost := s.lost
	pipe := w.client.Pipeline()
	found := s.mark.queue(ctx, pipe, t)
	var probes []probe
	for _, key := range []string{indexKey(t), expiryKey(t), versionKey(t)} {
		probes = append(probes, probe{pipe.Get(ctx, key), func() { lost.index = true }})
	}
	probes = append(probes, probe{pipe.Get(ctx, namesKey(t)), func() { lost.names = true }})
	missing := make(map[string]bool)
	for _, k := range w.recent.buckets(s, alive) {
		miss := func() { missing[k.text] = true }
		probes = append(probes, probe{pipe.Get(ctx, bucketKey(t, k.text)), miss}, probe{pipe.Get(ctx, summaryKey(t, k.text)), miss})
		if k.revised {
			probes = append(probes, probe{pipe.Get(ctx, revisionKey(t, k.text)), miss})
		}
	}
	var compat *redis.StringSliceCmd
	if w.compat != nil { // the value may be large, so that it is not read: a key of another type is refused
		compat = pipe.ZRangeByScore(ctx, compatKey(t), &redis.ZRangeBy{Min: "1", Max: "0"})
	}
	_, _ = pipe.Exec(ctx) // the error of each command is checked below
	if err := found.Err(); err != nil {
		return lost, err
	}
	_, ok := scoreOf(found, w.member)
	lost.all = lost.all || !ok
	for _, p := range probes {
		exists, err := existence(p.cmd.Err())
		if err != nil {
			return lost, err
		}
		if !exists {
			p.missing()
		}
	}
	lost.compat = lost.compat || compat != nil && compat.Err() == nil
	lost.untold = lost.untold || lost.index || lost.names
	return lost, w.addEvicted(ctx, t, s, &lost, missing)
}

// probe is a command that shows whether a key exists, and what follows if it does not.
type probe struct {
	cmd     *redis.StringCmd
	missing func()
}

// addEvicted adds the missing buckets that were evicted to a loss, and forgets those that were removed because of MaxBuckets, by any
// agent. The index and the expiry times do not show which are which: the places of the bucket may be evicted too, and other agents may
// have made these keys again.
func (w *Writer) addEvicted(ctx context.Context, t record.Table, s *tableState, lost *loss, missing map[string]bool) error {
	if len(missing) == 0 || lost.all || lost.index {
		return nil // all buckets are written again
	}
	removed, err := w.removed(ctx, t)
	if err != nil {
		return err
	}
	for start := range missing {
		if removed[start] {
			w.recent.forget(s, start)
			continue
		}
		lost.add(start)
		lost.untold = true
	}
	return nil
}

// existence returns whether the error of GET means that the key exists. GET refuses a key that is not a string, so a
// refusal means that the key exists. A key that the user may not read counts as existing. Other errors are returned.
func existence(err error) (bool, error) {
	switch {
	case err == nil || redis.HasErrorPrefix(err, "WRONGTYPE") || isRefused(err):
		return true, nil
	case errors.Is(err, redis.Nil):
		return false, nil
	}
	return false, err
}
