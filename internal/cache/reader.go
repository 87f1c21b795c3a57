package cache

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// maxPipeline is the largest number of buckets that one pipeline reads. Longer pipelines would delay other clients of
// Redis.
const maxPipeline = 100

// Reader reads records. Its methods may be called concurrently. They return the errors of the client unchanged: see
// [IsAnswer]. The only exceptions are a [record.Corrupt], for data of a table that no writer has stored, and
// [record.ErrUnclear] of Names. The caller owns the results.
type Reader struct {
	client redis.UniversalClient
	known  sizes // of the tables that were read, for the next reading: see scan
	heads  headRules
}

// NewReader returns a reader that uses the client. The caller closes the client.
func NewReader(client redis.UniversalClient) *Reader {
	return &Reader{client: client, heads: defaultHeads(), known: sizes{now: time.Now}}
}

// Ping returns an error if Redis does not answer. One primary of a cluster is enough.
func (r *Reader) Ping(ctx context.Context) error { return ping(ctx, r.client) }

// Tables returns the tables of the catalogue, the last written one first. It skips members that cannot be tables; our
// writers add none. The time of the last write is zero if the catalogue has none, or one that is not in the years 1 to
// 9999.
func (r *Reader) Tables(ctx context.Context) ([]record.TableEntry, error) {
	members, err := r.client.ZRevRangeWithScores(ctx, catalogueKey, 0, -1).Result()
	if err != nil {
		return nil, explain(err, record.Table{})
	}
	written := make(map[string]float64) // the last writes, by the member of the table
	for _, m := range members {
		text, _ := m.Member.(string)
		if table, ok := strings.CutPrefix(text, writtenPrefix); ok {
			written[table] = -m.Score
		}
	}
	var entries []record.TableEntry
	for _, m := range members {
		text, _ := m.Member.(string)
		t, err := parseMember(text)
		if err != nil || CheckTable(t) != nil {
			continue
		}
		last, ok := written[text]
		if !ok {
			last = math.NaN()
		}
		entries = append(entries, record.TableEntry{Table: t, LastWrite: writeTime(last)})
	}
	slices.SortStableFunc(entries, func(a, b record.TableEntry) int { return b.LastWrite.Compare(a.LastWrite) })
	return entries, nil
}

// execRead sends the commands of a pipeline and returns the first error of a command that is not [redis.Nil], the answer for a key that
// does not exist. The client itself returns the first error of any command, which can be redis.Nil although a later one matters.
func execRead(ctx context.Context, pipe redis.Pipeliner) error {
	cmds, err := pipe.Exec(ctx)
	if err == nil {
		return nil
	}
	for _, cmd := range cmds {
		if err := cmd.Err(); err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
	}
	if errors.Is(err, redis.Nil) {
		return nil
	}
	return err
}

// writeTime returns the time of milliseconds since 1970, or the zero time if that is not in the years 1 to 9999.
func writeTime(milliseconds float64) time.Time {
	const most = 1e15                     // beyond year 9999, and exact in an int64
	if !(math.Abs(milliseconds) < most) { // or NaN
		return time.Time{}
	}
	at := time.UnixMilli(int64(milliseconds)).UTC()
	if !inYears(at) {
		return time.Time{}
	}
	return at
}

// explain returns a [record.Corrupt] if err is the answer that a key has another type, or else err.
func explain(err error, t record.Table) error {
	if !hasPrefix(err, "WRONGTYPE") {
		return err
	}
	return &record.Corrupt{Table: t, What: "a key in Redis has another type than the writers give it"}
}

// endMembers is how many members at the ends of an index are looked at to find a start among members that are none.
const endMembers = 10

// maxNames bounds the names of fields and tags of a table.
const maxNames = 10_000

// Info returns the description of a table, and the zero TableInfo for a table that does not exist. Fields and TagKeys have
// at most 10,000 names together. It takes one round trip, unless the ends of the index have no starts: see ends.
func (r *Reader) Info(ctx context.Context, t record.Table) (record.TableInfo, error) {
	pipe := r.client.Pipeline()
	names := pipe.ZRangeByScore(ctx, namesKey(t), &redis.ZRangeBy{Min: "-inf", Max: "+inf", Count: maxNames})
	first := pipe.ZRangeByScore(ctx, indexKey(t), &redis.ZRangeBy{Min: minScore, Max: maxScore, Count: endMembers})
	last := readIndex(ctx, pipe, t, record.Range{Last: endMembers})
	version, beyond := pipe.Get(ctx, versionKey(t)), readBeyond(ctx, pipe, t)
	if err := execRead(ctx, pipe); err != nil {
		return record.TableInfo{}, explain(err, t)
	}
	info := record.TableInfo{}
	info.Fields, info.TagKeys = splitNames(names.Val())
	var err error
	if info.First, info.Last, err = r.ends(ctx, t, first.Val(), last.Val()); err != nil {
		return record.TableInfo{}, err
	}
	if err := beyond.check(t); err != nil {
		return record.TableInfo{}, err
	}
	info.Version, err = parseVersion(version, t)
	return info, err
}

// ends returns the first and the last start, given the members at the two ends of the index. If the members of one end are
// all no starts, it reads the index.
func (r *Reader) ends(ctx context.Context, t record.Table, first, last []string) (from, to time.Time, err error) {
	earliest, latest := parseStarts(first), parseStarts(last)
	if len(earliest) == 0 && len(first) == endMembers || len(latest) == 0 && len(last) == endMembers {
		all, err := r.Buckets(ctx, t, record.Range{})
		if err != nil {
			return from, to, err
		}
		earliest, latest = all, all[max(0, len(all)-1):]
	}
	if len(earliest) == 0 || len(latest) == 0 {
		return from, to, nil
	}
	return earliest[0], latest[0], nil
}

// splitNames separates the members of a table's names into the names of fields and the keys of tags, both sorted.
func splitNames(members []string) (fields, tags []string) {
	for _, m := range members {
		if name, ok := strings.CutPrefix(m, fieldName); ok {
			fields = append(fields, name)
		} else if name, ok := strings.CutPrefix(m, tagName); ok {
			tags = append(tags, name)
		}
	}
	slices.Sort(fields)
	slices.Sort(tags)
	return fields, tags
}

// parseVersion returns the version that a command has read, and 0 if there was none. The command must have no other error than
// that the key does not exist.
func parseVersion(cmd *redis.StringCmd, t record.Table) (int64, error) {
	if errors.Is(cmd.Err(), redis.Nil) {
		return 0, nil
	}
	v, err := strconv.ParseInt(cmd.Val(), 10, 64)
	if err != nil {
		return 0, &record.Corrupt{Table: t, What: "its version in Redis is not an integer"}
	}
	return v, nil
}

// Version returns the version of the table, which each write increases and which is 0 for a table that does not exist.
func (r *Reader) Version(ctx context.Context, t record.Table) (int64, error) {
	before := r.known.now()
	get := r.client.Get(ctx, versionKey(t))
	if err := get.Err(); err != nil && !errors.Is(err, redis.Nil) {
		return 0, explain(err, t)
	}
	version, err := parseVersion(get, t)
	r.known.setVersion(t, version, before)
	return version, err
}

// Index returns the version of the table, which each write increases and which is 0 for a table that does not exist, and
// its buckets as [Reader.Buckets] does. The version is read first. So after a write between the two readings, the buckets may
// be newer than the version but never older, and a caller that compares versions reads once too often instead of missing
// a bucket. An index with a bucket that begins or is sorted beyond the years 1 to 9999 is an error. Buckets that have expired are
// left out, as far as the clock here shows them: see [Reader.expired].
func (r *Reader) Index(ctx context.Context, t record.Table, span record.Range) (version int64, starts []time.Time, err error) {
	before := r.known.now()
	pipe := r.client.Pipeline()
	get := pipe.Get(ctx, versionKey(t))
	members, beyond := readIndex(ctx, pipe, t, span), readBeyond(ctx, pipe, t)
	passed := pipe.ZRevRangeByScore(ctx, expiryKey(t), &redis.ZRangeBy{Min: "-inf", Max: millis(before), Count: maxPassed})
	if err := execRead(ctx, pipe); err != nil {
		return 0, nil, explain(err, t)
	}
	if version, err = parseVersion(get, t); err != nil {
		return 0, nil, err
	}
	r.known.setVersion(t, version, before)
	if err := beyond.check(t); err != nil {
		return 0, nil, err
	}
	gone, err := r.expired(ctx, t, members.Val(), passed.Val())
	if err != nil {
		return 0, nil, err
	}
	starts, err = r.selectStarts(ctx, t, span, members.Val(), gone)
	return version, starts, err
}

// maxPassed bounds the buckets that one reading of an index looks at because their expiry time has passed. Those that expired last are
// looked at, so that a bucket that expires changes the starts also if more have expired since the last write.
const maxPassed = 100

// expired returns the members of an index that have expired, of those whose expiry time has passed. Only a write removes them from the
// index. The second round trip, for the members that are in both lists, is needed because the clock here can be ahead of that of Redis.
func (r *Reader) expired(ctx context.Context, t record.Table, members, passed []string) (gone []string, err error) {
	if len(passed) == 0 {
		return nil, nil
	}
	hasPassed := make(map[string]bool, len(passed))
	for _, start := range passed {
		hasPassed[start] = true
	}
	both := slices.DeleteFunc(slices.Clone(members), func(start string) bool { return !hasPassed[start] })
	if len(both) == 0 {
		return nil, nil
	}
	_, gone, err = split(ctx, r.client, both, func(start string) string { return bucketKey(t, start) })
	return gone, err
}

// Buckets returns the starts of the table's buckets in the range, ascending. Some of the buckets may have expired:
// [Reader.Records] finds no records in these. Buckets beyond the years 1 to 9999 are skipped.
func (r *Reader) Buckets(ctx context.Context, t record.Table, span record.Range) ([]time.Time, error) {
	members, err := readIndex(ctx, r.client, t, span).Result()
	if err != nil {
		return nil, explain(err, t)
	}
	return r.selectStarts(ctx, t, span, members, nil)
}

// The scores of the first and of the last second of the years 1 to 9999. RFC 3339 cannot express the times of other years.
const (
	minScore = "-62135596800"
	maxScore = "253402300799"
)

// inYears reports whether t is in the years 1 to 9999.
func inYears(t time.Time) bool { return t.Year() >= 1 && t.Year() <= 9999 }

// readIndex sends the command that reads the members of the index in a range: ascending, or the newest span.Last
// descending. If span.First is above 0, it reads that many of the oldest ones.
func readIndex(ctx context.Context, client redis.Cmdable, t record.Table, span record.Range) *redis.StringSliceCmd {
	by := scores(span)
	if span.Last == 0 {
		by.Count = int64(span.First)
		return client.ZRangeByScore(ctx, indexKey(t), by)
	}
	by.Count = int64(span.Last)
	return client.ZRevRangeByScore(ctx, indexKey(t), by)
}

// scores returns the scores of the range in the index. Scores are rounded, so a few buckets outside of the range may have
// such a score too. So does a bucket that begins at the end of the range, which the range excludes: selectStarts removes these.
func scores(r record.Range) *redis.ZRangeBy {
	by := &redis.ZRangeBy{Min: minScore, Max: maxScore}
	if !r.Start.IsZero() {
		by.Min = scoreText(r.Start)
	}
	if !r.End.IsZero() {
		by.Max = scoreText(r.End)
	}
	return by
}

// beyond are members of an index whose scores are beyond the years 1 to 9999, some from each end.
type beyond [2]*redis.StringSliceCmd

// readBeyond sends the commands that read these members. They cost 1 µs if there are none.
func readBeyond(ctx context.Context, pipe redis.Pipeliner, t record.Table) beyond {
	return beyond{
		pipe.ZRangeByScore(ctx, indexKey(t), &redis.ZRangeBy{Min: "-inf", Max: "(" + minScore, Count: endMembers}),
		pipe.ZRangeByScore(ctx, indexKey(t), &redis.ZRangeBy{Min: "(" + maxScore, Max: "+inf", Count: endMembers}),
	}
}

// check returns an error if one of the members is a start.
func (b beyond) check(t record.Table) error {
	for _, cmd := range b {
		if starts := parseStarts(cmd.Val()); len(starts) > 0 {
			what := fmt.Sprintf("its index has the bucket %s at a time that is not in the years 1 to 9999", startText(starts[0]))
			return &record.Corrupt{Table: t, What: what}
		}
	}
	return nil
}

// selectStarts returns the starts of the range among the members that readIndex has read, ascending and without those that are gone. If
// members that are gone, not starts, or not in the range, have taken the place of others, it reads more members: twice as many each time,
// until there are enough, or no more in the index.
func (r *Reader) selectStarts(ctx context.Context, t record.Table, span record.Range, members, gone []string) (starts []time.Time, err error) {
	most, dead := max(span.First, span.Last), parseStarts(gone)
	for wider := span; ; {
		starts = slices.DeleteFunc(parseStarts(members), func(at time.Time) bool {
			return !span.Contains(at) || slices.ContainsFunc(dead, at.Equal)
		})
		if len(starts) >= most || len(members) < max(wider.First, wider.Last) {
			break
		}
		wider.First, wider.Last = 2*wider.First, 2*wider.Last
		if members, err = readIndex(ctx, r.client, t, wider).Result(); err != nil {
			return nil, explain(err, t)
		}
	}
	if most > 0 {
		starts = starts[:min(len(starts), most)]
	}
	if span.Last > 0 {
		slices.Reverse(starts)
	}
	if !slices.IsSortedFunc(starts, time.Time.Compare) {
		return nil, &record.Corrupt{Table: t, What: "its index has buckets in another order than that of their starts"}
	}
	return starts, nil
}

// Records reads the records of the buckets that begin at starts. It calls yield for the parts of each bucket, in the order
// of starts. A bucket of more than 1,000 records can have several parts. An expired bucket has one, without records. The
// caller may keep and change the part. An error of yield ends the reading and is returned. If want is above 0, about that
// many records are enough for the caller, so that fewer are read at a time.
func (r *Reader) Records(ctx context.Context, t record.Table, starts []time.Time, want int, yield func(record.Part) error) error {
	return (&scan{client: r.client, table: t, starts: starts, want: int64(want), known: &r.known, yield: yield}).run(ctx)
}
