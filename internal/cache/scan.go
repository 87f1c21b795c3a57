package cache

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// Limits of one round trip. They bound the memory of a reading, and how long Redis is busy with it while its other clients
// wait: about 0.1 ms for 1,000 records by HVALS and 0.6 ms by HSCAN.
const (
	// firstRecords bounds the records of the first round trip if the size of the table's records is known, and unknownRecords if
	// it is not: many clients that asked for 1,000 records of 4 kB kept Redis and the service busy for 0.1 s. The first round
	// trip reads at most firstBuckets buckets.
	firstRecords   = 1000
	unknownRecords = 250
	firstBuckets   = 10
	// maxRecords bounds the records of other round trips, and maxScan those of a part of a large bucket.
	maxRecords = 2500
	maxScan    = 1000
	// minScan is how many records of a bucket are read at a time if fewer are wanted.
	minScan = 100
	// maxRead is about how many bytes of records one round trip reads, by the mean size of the records before.
	maxRead = 1 << 20
	// ahead is how many buckets are asked for their size in advance.
	ahead = maxPipeline
)

// scan reads the records of buckets. The first few buckets are read by HSCAN, which reads a part of a large bucket, in one
// round trip. It then asks for the number of records of each bucket in advance, reads several small buckets in one round
// trip by HVALS, which costs Redis a fifth of HSCAN, and large ones in parts. If an earlier reading has found the sizes of the
// first buckets, and the table has not changed since then, it begins with HVALS. One goroutine uses it.
//
//	first: HSCAN of a few buckets, HLEN of the next ──▶ loop: fitting buckets ─▶ round: HVALS, HLEN of the next
//	 or sizes of an earlier reading ──────────────────┘       a large bucket ─▶ parts: HSCAN until the cursor is 0
//
// sizes belongs to the first of starts, and is never longer: both are shortened together as buckets are read. A bucket can have grown
// since its size was read. Then the round trip takes longer than it should, but no record is left out.
type scan struct {
	client redis.UniversalClient
	table  record.Table
	starts []time.Time // of the buckets that are not read yet
	sizes  []int64     // the number of records of the first of these buckets
	want   int64       // how many records are enough, or 0 for all
	known  *sizes
	yield  func(record.Part) error

	mean           int         // bytes of the records of an earlier reading, or 0
	all            []time.Time // of all buckets
	counts         []int64     // how many records the first of all buckets have
	records, bytes int         // read so far
}

// run calls yield for each part of the buckets, in order.
func (s *scan) run(ctx context.Context) error {
	var version int64
	s.all = s.starts
	s.mean, version, s.sizes = s.known.begin(s.table, s.all)
	defer func() { s.known.end(s.table, s.meanSize(), version, s.all, s.counts) }()
	if len(s.sizes) == 0 {
		if err := s.first(ctx); err != nil {
			return err
		}
	}
	for len(s.starts) > 0 {
		if n := s.fitting(); n > 0 || len(s.sizes) == 0 {
			if err := s.round(ctx, n); err != nil {
				return err
			}
			continue
		}
		start, size := s.starts[0], s.sizes[0]
		s.starts, s.sizes = s.starts[1:], s.sizes[1:]
		if err := s.parts(ctx, start, 0, int(size)); err != nil {
			return err
		}
	}
	return nil
}

// first reads the first buckets, whose sizes are not known, in one round trip, and the rest of those that are large. It also asks for the
// sizes of the next ones. Its buckets share the room of a round trip equally.
func (s *scan) first(ctx context.Context) error {
	room := s.room()
	n := min(len(s.starts), firstBuckets, int(max(room/minScan, 1)))
	if s.want > 0 {
		n = min(n, 1)
	}
	if n == 0 {
		return nil
	}
	pipe := s.client.Pipeline()
	reads, whole := make([]*redis.ScanCmd, n), make([]*redis.IntCmd, n)
	for i, start := range s.starts[:n] {
		reads[i] = pipe.HScan(ctx, bucketKey(s.table, startText(start)), 0, "", s.scanned(max(room/int64(n), 1)))
		if s.want > 0 {
			whole[i] = pipe.HLen(ctx, bucketKey(s.table, startText(start)))
		}
	}
	starts, sizes := s.starts[:n], s.askSizes(ctx, pipe, n)
	if _, err := pipe.Exec(ctx); err != nil {
		return explain(err, s.table)
	}
	s.starts = s.starts[n:]
	s.addSizes(sizes)
	for i, read := range reads {
		pairs, cursor := read.Val()
		part := s.part(starts[i], pairs, cursor)
		if whole[i] != nil {
			part.Size = int(whole[i].Val())
		}
		if part.Last { // the only part of the bucket, as the cursor is 0 at once
			part.Names = nil
			s.size(starts[i], len(part.Texts))
		}
		if err := s.yield(part); err != nil {
			return err
		}
		if part.Last {
			continue
		}
		if err := s.parts(ctx, starts[i], cursor, part.Size); err != nil {
			return err
		}
	}
	return nil
}

// scanned returns the argument COUNT of an HSCAN that may read so many records.
func (s *scan) scanned(most int64) int64 {
	if s.want > 0 {
		return min(most, max(s.want, minScan))
	}
	return most
}

// askSizes adds commands to a pipeline that reads n buckets, so that the sizes of the next buckets are known after that.
func (s *scan) askSizes(ctx context.Context, pipe redis.Pipeliner, n int) (sizes []*redis.IntCmd) {
	known := max(n, len(s.sizes))
	for _, start := range s.starts[known:min(len(s.starts), max(known, n+ahead))] {
		sizes = append(sizes, pipe.HLen(ctx, bucketKey(s.table, startText(start))))
	}
	return sizes
}

// addSizes adds the results of the commands of askSizes.
func (s *scan) addSizes(sizes []*redis.IntCmd) {
	for _, size := range sizes {
		s.sizes = append(s.sizes, size.Val())
	}
}

// room returns how many records the next round trip may read: by the mean size of those read so far, or else of those that
// were read of this table before. It is at least 1.
//
//	mean size   not known   99 bytes   999 bytes   10 kB   2 MB
//	first       250         1000       1000        104     1
//	others                  2500       1048        104     1
func (s *scan) room() int64 {
	if s.records > 0 {
		return int64(min(max(maxRead/(s.bytes/s.records+1), 1), maxRecords))
	}
	if s.mean > 0 {
		return int64(min(max(maxRead/s.mean, 1), firstRecords))
	}
	return unknownRecords
}

// meanSize returns the mean size of the records that were read, or 0 if there are none.
func (s *scan) meanSize() int {
	if s.records == 0 {
		return 0
	}
	return s.bytes/s.records + 1
}

// fitting returns how many of the next buckets to read in one round trip, or 0 if the next one is too large for that or
// no size is known. With want, it stops at the bucket with which there are enough records.
func (s *scan) fitting() int {
	room, found := s.room(), int64(0)
	for n, size := range s.sizes {
		if room -= size; room < 0 || s.want > 0 && found >= s.want {
			return n
		}
		found += size
	}
	return len(s.sizes)
}

// round reads the next n buckets, and the sizes of those after them. With n = 0 it only asks for sizes, which is needed if those of an
// earlier reading end before the buckets do.
func (s *scan) round(ctx context.Context, n int) error {
	pipe := s.client.Pipeline()
	reads := make([]*redis.StringSliceCmd, n)
	for i, start := range s.starts[:n] {
		reads[i] = pipe.HVals(ctx, bucketKey(s.table, startText(start)))
	}
	starts, sizes := s.starts[:n], s.askSizes(ctx, pipe, n)
	if _, err := pipe.Exec(ctx); err != nil {
		return explain(err, s.table)
	}
	s.starts, s.sizes = s.starts[n:], s.sizes[n:]
	s.addSizes(sizes)
	for i, read := range reads {
		s.count(read.Val())
		s.size(starts[i], len(read.Val()))
		if err := s.yield(record.Part{Start: starts[i], Texts: read.Val(), Last: true}); err != nil {
			return err
		}
	}
	return nil
}

// parts reads a bucket in parts, from a cursor on. The bucket has that size, or 0 if it is not known. HSCAN returns every record that is
// in the bucket during the whole reading at least once, and may return it twice: parts have names, by which the caller finds such records.
func (s *scan) parts(ctx context.Context, start time.Time, cursor uint64, size int) error {
	key := bucketKey(s.table, startText(start))
	for {
		pairs, next, err := s.client.HScan(ctx, key, cursor, "", min(s.room(), maxScan)).Result()
		if err != nil {
			return explain(err, s.table)
		}
		part := s.part(start, pairs, next)
		part.Size = size
		if err := s.yield(part); err != nil || part.Last {
			return err
		}
		cursor = next
	}
}

// part returns the part of a bucket that an HSCAN has returned: pairs of names and texts, and the next cursor.
func (s *scan) part(start time.Time, pairs []string, next uint64) record.Part {
	part := record.Part{Start: start, Texts: make([]string, 0, len(pairs)/2), Names: make([]string, 0, len(pairs)/2), Last: next == 0}
	for i := 0; i+1 < len(pairs); i += 2 {
		part.Names, part.Texts = append(part.Names, pairs[i]), append(part.Texts, pairs[i+1])
	}
	s.count(part.Texts)
	return part
}

// count adds the texts to the number and the bytes of the records that were read.
func (s *scan) count(texts []string) {
	s.records += len(texts)
	for _, text := range texts {
		s.bytes += len(text)
	}
}

// size notes how many records a bucket has, if it is the next one after those of which that is noted.
func (s *scan) size(start time.Time, n int) {
	if next := len(s.counts); next < min(len(s.all), maxSized) && s.all[next].Equal(start) {
		s.counts = append(s.counts, int64(n))
	}
}
