// Package cache keeps records in Redis, and reads them.
//
// The records of a bucket are one hash, with a field for each series, field and agent. Around it stand
// an index of the buckets, a version that counts writes, a channel that tells them, and a catalogue of
// all tables; key.go has the names. Nothing is ever found by scanning, and every key expires.
//
// What a writer and a reader send keeps to these commands, so that an ACL can list them. Writer: PING
// HSET EXPIRE ZADD ZREM ZRANGEBYSCORE ZREMRANGEBYSCORE INCR SET PUBLISH HVALS MULTI EXEC. Reader: PING
// GET HVALS ZRANGEBYSCORE ZREVRANGE.
package cache

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// Options say how a Store writes. A Store that only reads needs none.
type Options struct {
	// Retention is how long a bucket is kept after its last write. Agents that share a database should
	// have the same.
	Retention time.Duration
	// MaxBuckets is how many buckets a table keeps, the newest by event time; 0 keeps all.
	MaxBuckets int
	// CompatRecords is the most records that a table's compatibility value holds; 0 writes none.
	CompatRecords int
	// Report is told of faults in what the store does beside the writes: cleaning up, the compatibility
	// value, and a catalogue that is none. It may be called concurrently. These are tried again.
	Report func(error)
	// Now is the clock; the default is time.Now.
	Now func() time.Time
}

// Store reads and writes the cache of a Redis. Its methods may be called concurrently.
type Store struct {
	client redis.UniversalClient
	Options

	mu     sync.Mutex
	tables map[record.Table]*tableState // what a writer remembers, guarded by mu
	compat *compatWorker                // started by the first write, guarded by mu
}

// tableState is what a writer remembers of a table.
type tableState struct {
	cleaned time.Time // when the index was cleaned
	newest  time.Time // the newest bucket written
	low     float64   // score of the oldest bucket in the last compatibility value
	known   bool      // low is set
}

// NewStore returns a store that uses the client, which stays the caller's.
func NewStore(client redis.UniversalClient, o Options) *Store {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Report == nil {
		o.Report = func(error) {}
	}
	return &Store{client: client, Options: o, tables: make(map[record.Table]*tableState)}
}

// Ping returns an error when Redis does not answer.
func (s *Store) Ping(ctx context.Context) error { return s.client.Ping(ctx).Err() }

// Entry is a table of the catalogue.
type Entry struct {
	record.Table
	LastWrite time.Time
}

// Tables returns the tables of the catalogue, the one last written first. What in it no table can be, which
// no writer of ours puts there, is left out.
func (s *Store) Tables(ctx context.Context) ([]Entry, error) {
	members, err := s.client.ZRevRangeWithScores(ctx, catalogueKey, 0, -1).Result()
	if err != nil {
		return nil, err
	}
	var entries []Entry
	for _, m := range members {
		text, _ := m.Member.(string)
		t, err := parseMember(text)
		if err != nil || CheckTable(t) != nil {
			continue
		}
		entries = append(entries, Entry{Table: t, LastWrite: time.UnixMilli(int64(m.Score)).UTC()})
	}
	return entries, nil
}

// Info is what a table has.
type Info struct {
	Fields, TagKeys []string  // sorted
	First, Last     time.Time // starts of the first and the last bucket
	Version         int64     // counts the writes
}

// Info returns what the table has; nothing, where there is no such table.
func (s *Store) Info(ctx context.Context, t record.Table) (Info, error) {
	pipe := s.client.Pipeline()
	names := pipe.ZRangeByScore(ctx, namesKey(t), &redis.ZRangeBy{Min: "-inf", Max: "+inf"})
	first := pipe.ZRangeByScore(ctx, indexKey(t), &redis.ZRangeBy{Min: "-inf", Max: "+inf", Count: 1})
	last := pipe.ZRevRange(ctx, indexKey(t), 0, 0)
	version := pipe.Get(ctx, versionKey(t))
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return Info{}, err
	}
	info := Info{}
	info.Fields, info.TagKeys = splitNames(names.Val())
	var err error
	if info.First, info.Last, err = s.ends(ctx, t, first.Val(), last.Val()); err != nil {
		return Info{}, err
	}
	info.Version, err = parseVersion(version)
	return info, err
}

// ends returns the starts that the ends of the index have, or of the whole index where one of them is none.
func (s *Store) ends(ctx context.Context, t record.Table, first, last []string) (from, to time.Time, err error) {
	starts := parseStarts(append(first, last...))
	if len(starts) < len(first)+len(last) {
		if starts, err = s.Buckets(ctx, t, Range{}); err != nil {
			return from, to, err
		}
	}
	if len(starts) == 0 {
		return from, to, nil
	}
	return starts[0], starts[len(starts)-1], nil
}

// Version returns how often the table was written, 0 where there is no such table.
func (s *Store) Version(ctx context.Context, t record.Table) (int64, error) {
	cmd := s.client.Get(ctx, versionKey(t))
	if err := cmd.Err(); err != nil && !errors.Is(err, redis.Nil) {
		return 0, err
	}
	return parseVersion(cmd)
}

func parseVersion(cmd *redis.StringCmd) (int64, error) {
	if cmd.Val() == "" {
		return 0, nil
	}
	v, err := strconv.ParseInt(cmd.Val(), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("version %q is no number", cmd.Val())
	}
	return v, nil
}

// Range selects buckets by their start, in [Start, End). A zero time is no bound. Of these, the newest
// Last are selected, or all where Last is 0.
type Range struct {
	Start, End time.Time
	Last       int
}

// Buckets returns the starts of the table's buckets in the range, ascending. A bucket that has expired
// since it was last written may be among them. What in the index is no start, which no writer of ours puts
// there, is left out.
func (s *Store) Buckets(ctx context.Context, t record.Table, r Range) ([]time.Time, error) {
	if r.Last > 0 && r.Start.IsZero() && r.End.IsZero() {
		members, err := s.client.ZRevRange(ctx, indexKey(t), 0, int64(r.Last)-1).Result()
		if err != nil {
			return nil, err
		}
		if starts := parseStarts(members); len(starts) == len(members) {
			reverse(starts)
			return starts, nil
		}
	}
	members, err := s.client.ZRangeByScore(ctx, indexKey(t), r.scores()).Result()
	if err != nil {
		return nil, err
	}
	starts := parseStarts(members)
	starts = r.within(starts)
	if r.Last > 0 && len(starts) > r.Last {
		starts = starts[len(starts)-r.Last:]
	}
	return starts, nil
}

// scores is the range as the index has it: wider than the range by rounding at most.
func (r Range) scores() *redis.ZRangeBy {
	by := &redis.ZRangeBy{Min: "-inf", Max: "+inf"}
	if !r.Start.IsZero() {
		by.Min = strconv.FormatFloat(score(r.Start), 'f', -1, 64)
	}
	if !r.End.IsZero() {
		by.Max = strconv.FormatFloat(score(r.End), 'f', -1, 64)
	}
	return by
}

func (r Range) within(starts []time.Time) []time.Time {
	kept := starts[:0]
	for _, at := range starts {
		if (r.Start.IsZero() || !at.Before(r.Start)) && (r.End.IsZero() || at.Before(r.End)) {
			kept = append(kept, at)
		}
	}
	return kept
}

func reverse(starts []time.Time) {
	for i, j := 0, len(starts)-1; i < j; i, j = i+1, j-1 {
		starts[i], starts[j] = starts[j], starts[i]
	}
}

// parseStarts returns the starts among the members of an index.
func parseStarts(members []string) []time.Time {
	starts := make([]time.Time, 0, len(members))
	for _, m := range members {
		if at, err := parseStart(m); err == nil {
			starts = append(starts, at)
		}
	}
	return starts
}

// maxPipeline is how many hashes one pipeline reads: larger ones hold up Redis' other clients.
const maxPipeline = 100

// Records reads the records of the buckets that begin at starts and calls yield once for each bucket,
// in that order, with the JSON of its records, sorted. An expired bucket has none. An error of yield
// ends the reading and is returned. The bytes are the caller's.
func (s *Store) Records(ctx context.Context, t record.Table, starts []time.Time, yield func(start time.Time, records []string) error) error {
	for len(starts) > 0 {
		n := min(maxPipeline, len(starts))
		batch, err := s.hashes(ctx, t, starts[:n])
		if err != nil {
			return err
		}
		for i, records := range batch {
			if err := yield(starts[i], records); err != nil {
				return err
			}
		}
		starts = starts[n:]
	}
	return nil
}

// hashes reads the records of at most maxPipeline buckets in one round trip.
func (s *Store) hashes(ctx context.Context, t record.Table, starts []time.Time) ([][]string, error) {
	pipe := s.client.Pipeline()
	cmds := make([]*redis.StringSliceCmd, len(starts))
	for i, start := range starts {
		cmds[i] = pipe.HVals(ctx, bucketKey(t, startText(start)))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, err
	}
	batch := make([][]string, len(starts))
	for i, cmd := range cmds {
		batch[i] = sorted(cmd.Val())
	}
	return batch, nil
}

// splitNames takes the members of a table's names apart.
func splitNames(members []string) (fields, tags []string) {
	for _, m := range members {
		if name, ok := strings.CutPrefix(m, fieldName); ok {
			fields = append(fields, name)
		} else if name, ok := strings.CutPrefix(m, tagName); ok {
			tags = append(tags, name)
		}
	}
	return sorted(fields), sorted(tags)
}
