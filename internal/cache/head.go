package cache

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// The head of a large bucket is a sorted set with its first and its last names in the order of answers, so that a reader that needs
// only these does not read all names. Only all names show which ones are first. So the head also has a count: how many names of the
// bucket were offered to it. A head is complete if its count is the number of records of the bucket.
//
//	                 transaction of the records                        transaction after it
//	large bucket     ZADD NX: count 0 if there is none, HLEN before ─┐
//	each bucket      ZADD XX INCR: pending added to the count        ├▶ ZADD of names, ZREMRANGEBYRANK of those in the middle,
//	                 HSET: added is how many names are new ──────────┘   ZADD XX INCR: added - pending
//
// A name is new in the bucket once, so the count is never too high, and it is too low if a name was not offered: by a writer that does
// not keep heads, or one that ended in between, because pending is larger than any number of records. It is a random number, so that
// several of them, added or subtracted by the repeated command of a client, do not compensate each other. If the head is evicted, the
// count is gone too, because it is a member of it. If only the bucket is evicted, the count stays too high: it still has the names of the
// evicted bucket, and all new ones are added. A name that was removed from the middle of the head can never be one of its first or last
// names again, because names are only added. So the order of writers, repetitions and repairs does not matter.
//
// There is one exception: if the count is too high, because only the bucket was evicted or a client has repeated both transactions, and
// then writers that do not keep heads write exactly as many names as the difference, the head counts as complete. Most such heads have
// names that the bucket does not have, which readers notice.
//
// A head that begins when its bucket has names already is completed from these, unless they are too many.

const (
	// headEnd is how many names a head has from each end of the order. It is enough for pages of up to 31 records. A head needs about
	// 10 kB in Redis, which are 20 bytes for each record of the smallest bucket with a head.
	headEnd = 32
	// headLeast is how many records a writer writes into a bucket, at once or as far as it keeps them, before the bucket has a head.
	// Batches of Telegraf have 1,000 records, often of two buckets or tables. Readers read buckets of up to 2,000 records whole.
	headLeast = 500
	// headMost is how many names a bucket has at most when its head begins. Reading them takes Redis 6 ms.
	headMost = 10_000
	// headGone is a count with which a head is never complete, and which no writer changes any more.
	headGone = float64(1 << 52)
	// pendingLeast is the least number that is pending. It is above any number of records, and the sum of some thousand is exact.
	pendingLeast = 1 << 40
)

// headRules are the limits of heads, so that tests can have small ones. All writers and readers of a table have the same end.
type headRules struct{ end, least, most int }

// defaultHeads returns the limits of heads.
func defaultHeads() headRules { return headRules{end: headEnd, least: headLeast, most: headMost} }

// count returns the member of a head whose score is the count. Another end has another member, so heads of that are not complete. Its
// score is 0 or more, so that it is the last member.
func (h headRules) count() string { return strconv.Itoa(h.end) }

// nameScore is the score of the names in a head, which are sorted by their bytes.
const nameScore = -1

// appendHeadMember appends the member of a head for a record with that outline and that name, its hash field: the place of the series
// and that of the agent, each followed by a zero byte, and the name. So the members are in the order of answers. A
// JSON string has no zero byte.
func appendHeadMember(dst []byte, o *record.Outline, name []byte) []byte {
	dst = append(appendPlace(dst, o.Field, o.Tags), 0)
	dst = append(appendPlace(dst, o.Agent, o.Replica), 0)
	return append(dst, name...)
}

// appendPlace appends [record.Bounded] of the concatenation of two texts. The hash of a long one is in hexadecimal, which has the
// same order and no zero byte.
func appendPlace(dst []byte, a, b string) []byte {
	if len(a)+len(b) <= record.MaxPlace {
		return append(append(dst, a...), b...)
	}
	bounded := record.Bounded(a + b)
	return hex.AppendEncode(append(dst, bounded[:record.MaxPlace]...), []byte(bounded[record.MaxPlace:]))
}

// nameOfMember returns the name in a member of a head. It returns false for a text that appendHeadMember does not write.
func nameOfMember(member string) (name string, ok bool) {
	_, rest, ok := strings.Cut(member, "\x00")
	_, name, found := strings.Cut(rest, "\x00")
	return name, ok && found
}

// ends collects the first and the last members for a head.
type ends struct {
	n           int      // how many of each
	first, last []string // ascending, each once
}

// offer adds a member if it is one of the first or of the last ones. It does not keep the slice.
func (e *ends) offer(member []byte) {
	if len(e.first) < e.n || string(member) < e.first[e.n-1] {
		e.first = insert(e.first, member)
		e.first = e.first[:min(len(e.first), e.n)]
	}
	if len(e.last) < e.n || string(member) > e.last[0] {
		e.last = insert(e.last, member)
		e.last = e.last[max(0, len(e.last)-e.n):]
	}
}

// insert inserts a member into a sorted list, unless the list has it.
func insert(list []string, member []byte) []string {
	at, found := slices.BinarySearchFunc(list, member, func(s string, m []byte) int { return strings.Compare(s, string(m)) })
	if found {
		return list
	}
	return slices.Insert(list, at, string(member))
}

// members returns the members as elements of a sorted set, some of them twice.
func (e *ends) members() []redis.Z {
	members := make([]redis.Z, 0, len(e.first)+len(e.last))
	for _, list := range [...][]string{e.first, e.last} {
		for _, m := range list {
			members = append(members, redis.Z{Score: nameScore, Member: m})
		}
	}
	return members
}

// offerer offers the records of one bucket to its head.
type offerer struct {
	ends
	form   record.Form
	member []byte // the memory is used again
}

// record offers a record, given its hash field and its JSON. It returns false for a text that is not the JSON of a record.
func (o *offerer) record(field, text []byte) bool {
	outline, ok := o.form.Outline(string(text))
	if ok {
		o.member = appendHeadMember(o.member[:0], &outline, field)
		o.offer(o.member)
	}
	return ok
}

// isPlaceOf reports whether a member of a head has the place of a name.
func isPlaceOf(member string, n *record.Name) bool {
	return bytes.Equal(appendHeadMember(nil, &n.Outline, []byte(n.Text)), []byte(member))
}
