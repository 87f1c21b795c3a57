package cache

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// Head reads the first names of a bucket in the order of their places, or the last ones in descending order: see [record.Bounded]. It
// has all names of a series or none. The caller may keep them. They are all names of the bucket if there are size of them or more. size is
// the number of records, or -1 if the first names are not known: then there are no names. lives is as in [Reader.Names]. The error is
// [record.ErrUnclear] if a name does not show the outline of its record.
//
// A name may be that of a record which the bucket does not have, if an earlier bucket with the same start was evicted.
func (r *Reader) Head(ctx context.Context, t record.Table, start time.Time, last bool) (names []record.Name, size int, lives time.Duration, err error) {
	key := bucketKey(t, startText(start))
	pipe := r.client.Pipeline()
	most := int64(2*r.heads.end + 2) // one more than a head has
	head := pipe.ZRangeByScoreWithScores(ctx, headKey(t, startText(start)), &redis.ZRangeBy{Min: "-inf", Max: "+inf", Count: most})
	length := pipe.HLen(ctx, key) // after the head: if it equals the count, the bucket had no other names when the head was read
	shown := pipe.ZRangeByScore(ctx, namesKey(t), &redis.ZRangeBy{Min: "-inf", Max: "+inf", Count: maxNames})
	ttl := pipe.PTTL(ctx, key)
	_, _ = pipe.Exec(ctx) // the error of each command is checked below
	if err := cmp.Or(head.Err(), length.Err(), shown.Err()); err != nil {
		return nil, -1, 0, explain(err, t)
	}
	if lives, err = lifeOf(ttl); err != nil {
		return nil, -1, 0, explain(err, t)
	}
	size = int(length.Val())
	members := r.membersOf(head.Val(), size, last)
	if len(members) == 0 || len(shown.Val()) == maxNames {
		return nil, -1, 0, nil
	}
	if names, err = namesOf(members, newNamer(shown.Val())); err != nil {
		return nil, -1, 0, err
	}
	if len(names) < size {
		names = wholeSeries(names)
	}
	return names, size, lives, nil
}

// membersOf returns the members of a complete head that are the first names of a bucket of that size, or the last ones in
// descending order. It returns none for another head.
func (r *Reader) membersOf(head []redis.Z, size int, last bool) (members []string) {
	n := len(head) - 1
	if n < 0 || n > 2*r.heads.end || head[n].Member != r.heads.count() || head[n].Score != float64(size) {
		return nil
	}
	names := head[:n]
	switch {
	case n >= size: // all
	case n < 2*r.heads.end:
		return nil
	case last:
		names = names[r.heads.end:]
	default:
		names = names[:r.heads.end]
	}
	for _, z := range names {
		member, _ := z.Member.(string)
		members = append(members, member)
	}
	if last {
		slices.Reverse(members)
	}
	return members
}

// namesOf returns the names in members of a head.
func namesOf(members []string, n *namer) ([]record.Name, error) {
	fields := make([]string, len(members))
	for i, m := range members {
		field, ok := nameOfMember(m)
		if !ok {
			return nil, record.ErrUnclear
		}
		fields[i] = field
	}
	names, ok := n.names(fields)
	for i := range names {
		ok = ok && isPlaceOf(members[i], &names[i])
	}
	if !ok {
		return nil, record.ErrUnclear
	}
	return names, nil
}

// wholeSeries returns the names without those of the last series, some of which may be missing.
func wholeSeries(names []record.Name) []record.Name {
	n := len(names)
	for n > 0 && names[n-1].SameSeries(&names[len(names)-1].Outline) {
		n--
	}
	return names[:n]
}
