// Package cache stores records in Redis. A [Writer] writes them, and a [Reader] reads them.
//
//	            ┌─ Put ─▶ hash of each bucket, index, names, version, channel (one MULTI per table), catalogue of all tables
//	[Writer] ───┤
//	            ├─ a second later at most ─▶ compatibility value (compat.go)
//	            └─ if Redis has lost data ──▶ the records that were written last, again (loss.go, repair.go)
//
// The records of a bucket are one hash, with a field for each series, field and agent. So writing a record twice has
// the same effect as writing it once, and agents never overwrite each other's records. An older revision of a record
// never replaces a newer one (revision.go). No operation scans the keyspace, and every key expires; key.go makes
// every key.
//
// A writer and a reader send no other commands than these, so that an ACL can list them:
//
//	Writer  PING HSET EXPIRE ZADD ZREM ZRANGEBYSCORE ZREMRANGEBYSCORE INCR GET SET PUBLISH HVALS TIME MULTI EXEC
//	Reader  PING GET HLEN HVALS HGETALL HSCAN ZRANGEBYSCORE ZREVRANGE ZREVRANGEBYSCORE INFO SUBSCRIBE
//
// Both also send SELECT for a database other than 0, and HELLO, which no ACL can deny.
package cache

import (
	"context"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// parseStarts returns the bucket starts in an index, in the order of its members. It skips members that are not
// bucket starts; our writers add none.
func parseStarts(members []string) []time.Time {
	starts := make([]time.Time, 0, len(members))
	for _, m := range members {
		if at, err := parseStart(m); err == nil {
			starts = append(starts, at)
		}
	}
	return starts
}

// readBuckets returns the JSON of the records of each bucket, sorted, and no records for an expired bucket. It takes
// one round trip.
func readBuckets(ctx context.Context, client redis.UniversalClient, t record.Table, starts []time.Time) ([][]string, error) {
	pipe := client.Pipeline()
	cmds := make([]*redis.StringSliceCmd, len(starts))
	for i, start := range starts {
		cmds[i] = pipe.HVals(ctx, bucketKey(t, startText(start)))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, err
	}
	buckets := make([][]string, len(starts))
	for i, cmd := range cmds {
		buckets[i] = cmd.Val()
		slices.Sort(buckets[i])
	}
	return buckets, nil
}
