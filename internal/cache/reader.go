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

// maxPipeline is the largest number of buckets that one pipeline reads. Longer pipelines would delay other clients of
// Redis.
const maxPipeline = 100

// Reader reads records. Its methods may be called concurrently. They return the errors of the client unchanged: see
// [IsAnswer].
type Reader struct {
	client redis.UniversalClient
}

// NewReader returns a reader that uses the client. The caller closes the client.
func NewReader(client redis.UniversalClient) *Reader { return &Reader{client: client} }

// Ping returns an error if Redis does not answer.
func (r *Reader) Ping(ctx context.Context) error { return r.client.Ping(ctx).Err() }

// Tables returns the tables of the catalogue, the last written one first. It skips members that cannot be tables; our
// writers add none.
func (r *Reader) Tables(ctx context.Context) ([]record.TableEntry, error) {
	members, err := r.client.ZRevRangeWithScores(ctx, catalogueKey, 0, -1).Result()
	if err != nil {
		return nil, err
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
		if !ok { // an older writer
			last = m.Score
		}
		entries = append(entries, record.TableEntry{Table: t, LastWrite: time.UnixMilli(int64(last)).UTC()})
	}
	slices.SortStableFunc(entries, func(a, b record.TableEntry) int { return b.LastWrite.Compare(a.LastWrite) })
	return entries, nil
}

// Info returns the description of a table, and the zero TableInfo for a table that does not exist.
func (r *Reader) Info(ctx context.Context, t record.Table) (record.TableInfo, error) {
	pipe := r.client.Pipeline()
	names := pipe.ZRangeByScore(ctx, namesKey(t), &redis.ZRangeBy{Min: "-inf", Max: "+inf"})
	first := pipe.ZRangeByScore(ctx, indexKey(t), &redis.ZRangeBy{Min: "-inf", Max: "+inf", Count: 1})
	last := pipe.ZRevRange(ctx, indexKey(t), 0, 0)
	version := pipe.Get(ctx, versionKey(t))
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return record.TableInfo{}, err
	}
	info := record.TableInfo{}
	info.Fields, info.TagKeys = splitNames(names.Val())
	var err error
	if info.First, info.Last, err = r.ends(ctx, t, first.Val(), last.Val()); err != nil {
		return record.TableInfo{}, err
	}
	info.Version, err = parseVersion(version)
	return info, err
}

// ends returns the first and the last start, given the first and the last member of the index. It reads the whole index
// if one of these members is not a start.
func (r *Reader) ends(ctx context.Context, t record.Table, first, last []string) (from, to time.Time, err error) {
	starts := parseStarts(append(first, last...))
	if len(starts) < len(first)+len(last) {
		if starts, err = r.Buckets(ctx, t, record.Range{}); err != nil {
			return from, to, err
		}
	}
	if len(starts) == 0 {
		return from, to, nil
	}
	return starts[0], starts[len(starts)-1], nil
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

// Version returns how often the table was written, and 0 for a table that does not exist.
func (r *Reader) Version(ctx context.Context, t record.Table) (int64, error) {
	cmd := r.client.Get(ctx, versionKey(t))
	if err := cmd.Err(); err != nil && !errors.Is(err, redis.Nil) {
		return 0, err
	}
	return parseVersion(cmd)
}

// parseVersion returns the version that a command has read, and 0 if there was none.
func parseVersion(cmd *redis.StringCmd) (int64, error) {
	if cmd.Val() == "" {
		return 0, nil
	}
	v, err := strconv.ParseInt(cmd.Val(), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("version %q is not an integer", cmd.Val())
	}
	return v, nil
}

// Buckets returns the starts of the table's buckets in the range, ascending. Some of the buckets may have expired:
// [Reader.Records] finds no records in these.
func (r *Reader) Buckets(ctx context.Context, t record.Table, span record.Range) ([]time.Time, error) {
	if span.Last > 0 && span.Start.IsZero() && span.End.IsZero() {
		members, err := r.client.ZRevRange(ctx, indexKey(t), 0, int64(span.Last)-1).Result()
		if err != nil {
			return nil, err
		}
		if starts := parseStarts(members); len(starts) == len(members) {
			slices.Reverse(starts)
			return starts, nil
		}
	}
	members, err := r.client.ZRangeByScore(ctx, indexKey(t), scores(span)).Result()
	if err != nil {
		return nil, err
	}
	starts := slices.DeleteFunc(parseStarts(members), func(at time.Time) bool { return !span.Contains(at) })
	if span.Last > 0 && len(starts) > span.Last {
		starts = starts[len(starts)-span.Last:]
	}
	return starts, nil
}

// scores returns the scores of the range in the index. Scores are rounded, so a few buckets outside of the range may have
// such a score too.
func scores(r record.Range) *redis.ZRangeBy {
	by := &redis.ZRangeBy{Min: "-inf", Max: "+inf"}
	if !r.Start.IsZero() {
		by.Min = scoreText(r.Start)
	}
	if !r.End.IsZero() {
		by.Max = scoreText(r.End)
	}
	return by
}

// Records reads the records of the buckets that begin at starts. It calls yield once for each bucket, in that order, with
// the JSON of its records, sorted; an expired bucket has none. The caller may keep and change the slice. An error of yield
// ends the reading and is returned.
func (r *Reader) Records(ctx context.Context, t record.Table, starts []time.Time, yield func(start time.Time, records []string) error) error {
	for part := range slices.Chunk(starts, maxPipeline) {
		buckets, err := readBuckets(ctx, r.client, t, part)
		if err != nil {
			return err
		}
		for i, records := range buckets {
			if err := yield(part[i], records); err != nil {
				return err
			}
		}
	}
	return nil
}
