// Package cache stores records in Redis. A [Writer] writes them, and a [Reader] reads them.
//
//	            ┌─ Put ─▶ hash of each bucket, index, names, version, channel (one MULTI per table), catalogue of all tables
//	[Writer] ───┤
//	            ├─ a second later at most ─▶ compatibility value (compat.go)
//	            └─ if Redis has lost data ──▶ the records that were written last, again (loss.go, repair.go)
//
// The records of a bucket are one hash, with a field for each series, field and agent. So writing a record twice has
// the same effect as writing it once, and agents never overwrite each other's records. An older revision of a record
// never replaces a newer one (revision.go). A large bucket has a list of its first and last names (head.go). No operation scans the
// keyspace, and every key expires; key.go makes every key.
//
//	            ┌─ Tables ────▶ catalogue
//	[Reader] ───┼─ Info, Version, Index, Buckets ─▶ names, version and index of a table
//	            ├─ Records, Summaries ─▶ hashes of buckets, in bounded round trips (scan.go, summaries.go)
//	            ├─ Head ────────▶ the first names of a large bucket, or the last ones (headreader.go)
//	            ├─ Names, Named ─▶ the names of a large bucket without its records, and a few records by name (names.go)
//	            └─ Watch ─────▶ channel of a table: the starts of changed buckets
//
// Readers and writers share only the keys. Neither locks anything in Redis: what needs several round trips allows for writes
// of other agents in between.
//
// [Dial] makes the client of both: for a single server (topology.go), a cluster (cluster.go) or the primary of Sentinels.
// answer.go explains errors to operators.
//
// A writer and a reader send no other commands than these, so that an ACL can list them:
//
//	Writer  PING HSET EXPIRE ZADD ZREM ZRANGEBYSCORE ZREMRANGEBYSCORE INCR GET SET PUBLISH HVALS HGETALL HSCAN TIME MULTI EXEC HLEN
//	        ZREMRANGEBYRANK
//	Reader  PING GET HLEN HVALS HGETALL HMGET HSCAN PTTL ZRANGEBYSCORE ZREVRANGE ZREVRANGEBYSCORE INFO SUBSCRIBE
//
// Both also send SELECT for a database other than 0, and HELLO, which no ACL can deny. In a cluster, the client also sends
// commands that read its structure, such as CLUSTER SLOTS: the README of rediscache has the rules.
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
// one round trip, so the caller bounds the number of buckets. HVALS returns records in any order; sorting them makes the
// result of the same records the same for all agents.
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
