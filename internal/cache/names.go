package cache

import (
	"cmp"
	"context"
	"math"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
)

// Names reads the names of all records of a bucket, and calls yield with some of them at a time. A name may come twice. yield must
// not keep the slice. An error of yield ends the reading and is returned. Names returns the number of records, or -1 if some were
// added during the reading. Records of a bucket are never removed one by one, so the names are the same as long as their number
// is, and the bucket does not expire. lives is how long it lives at least, from the call on; 0 if that is not known, as the user may
// not send PTTL. The error is [record.ErrUnclear] if a name does not show the outline of its record.
//
// Before Redis 7, a writer can shorten the life of a bucket: see [Options.Retention].
//
// A server from Redis 7.4 and Valkey 8 on sends the names alone, others send them with the records: 2 to 4 times the time.
func (r *Reader) Names(ctx context.Context, t record.Table, start time.Time, yield func([]record.Name) error) (size int, lives time.Duration, err error) {
	key := bucketKey(t, startText(start))
	pipe := r.client.Pipeline()
	before := pipe.HLen(ctx, key)
	shown := pipe.ZRangeByScore(ctx, namesKey(t), &redis.ZRangeBy{Min: "-inf", Max: "+inf", Count: maxNames})
	ttl := pipe.PTTL(ctx, key)
	_, _ = pipe.Exec(ctx) // the error of each command is checked below
	if err := cmp.Or(before.Err(), shown.Err()); err != nil {
		return -1, 0, explain(err, t)
	}
	if lives, err = lifeOf(ttl); err != nil {
		return -1, 0, explain(err, t)
	}
	if len(shown.Val()) == maxNames {
		return -1, 0, record.ErrUnclear // these may not be all names
	}
	if err := r.scanNames(ctx, t, key, newNamer(shown.Val()), yield); err != nil {
		return -1, 0, err
	}
	after, err := r.client.HLen(ctx, key).Result()
	if err != nil || after != before.Val() {
		return -1, lives, explain(err, t)
	}
	return int(after), lives, nil
}

// lifeOf returns how long a key lives, given the answer to PTTL.
func lifeOf(ttl *redis.DurationCmd) (time.Duration, error) {
	switch lives, err := ttl.Result(); {
	case isRefused(err):
		return 0, nil
	case err == nil && lives == -1:
		return math.MaxInt64, nil // it never expires
	default:
		return max(lives, 0), err
	}
}

// scanNames reads the hash fields of a bucket and yields the names that n makes of them.
func (r *Reader) scanNames(ctx context.Context, t record.Table, key string, n *namer, yield func([]record.Name) error) error {
	alone := true // whether the server sends names without the records
	for cursor := uint64(0); ; {
		fields, next, err := r.hashFields(ctx, t, key, cursor, alone)
		if alone && hasPrefix(err, "ERR syntax error") {
			alone = false
			continue
		}
		if err != nil {
			return explain(err, t)
		}
		names, ok := n.names(fields)
		if !ok {
			return record.ErrUnclear
		}
		if err := yield(names); err != nil || next == 0 {
			return err
		}
		cursor = next
	}
}

// hashFields reads some fields of a hash, from a cursor on: alone, or with their values.
func (r *Reader) hashFields(ctx context.Context, t record.Table, key string, cursor uint64, alone bool) (fields []string, next uint64, err error) {
	if alone {
		return r.client.HScanNoValues(ctx, key, cursor, "", maxRecords).Result()
	}
	pairs, next, err := r.client.HScan(ctx, key, cursor, "", min(r.room(t), maxScan)).Result()
	fields = pairs[:len(pairs)/2]
	for i := range fields {
		fields[i] = pairs[2*i]
	}
	return fields, next, err
}

// room returns how many records of a table one round trip may read, by their mean size in an earlier reading. It is at least 1.
func (r *Reader) room(t record.Table) int64 {
	if mean := r.known.meanOf(t); mean > 0 {
		return int64(min(max(maxRead/mean, 1), maxRecords))
	}
	return unknownRecords
}

// Named reads the records of a bucket that have these names: those of the first names, as many as one round trip may read. It
// returns their JSON, or "" for a name without a record, and the number of all records of the bucket.
func (r *Reader) Named(ctx context.Context, t record.Table, start time.Time, names []string) (texts []string, size int, err error) {
	key := bucketKey(t, startText(start))
	names = names[:min(len(names), int(r.room(t)))]
	pipe := r.client.Pipeline()
	count, read := pipe.HLen(ctx, key), &redis.SliceCmd{}
	if len(names) > 0 {
		read = pipe.HMGet(ctx, key, names...)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, 0, explain(err, t)
	}
	texts = make([]string, len(names))
	for i, v := range read.Val() {
		texts[i], _ = v.(string) // nil for a name without a record
	}
	return texts, int(count.Val()), nil
}

// namer makes names of the hash fields of one bucket: see [appendHashField]. It remembers the parts that many fields have in
// common, which makes it three times faster: BenchmarkNamer. One goroutine uses it.
//
//	host=web1,room=a%2Cb|usage|agent1  ─▶  Tags ,"host":"web1","room":"a,b"   Field "usage"   Agent "agent1"
type namer struct {
	shown map[string]bool           // the keys of tags that the JSON of the table's records has
	keys  map[string]tagKey         // of tags, by their keys
	ends  map[string]record.Outline // Field, Agent and Replica, by the part of a hash field after the tags

	// Of the names that are being made; the memory is used again.
	made []record.Name
	json []byte // of the tags
	cuts []int  // the ends of the tags of each name in json
}

// tagKey is the key of a tag in JSON.
type tagKey struct {
	begin   string // of the member: `,"key":`
	renamed bool   // whether JSON has the tag under another key, so that begin is not it
}

// maxKnown bounds each map of a namer. At the limit it is emptied.
const maxKnown = 10_000

// newNamer returns a namer for a table whose names have these members.
func newNamer(members []string) *namer {
	n := &namer{shown: make(map[string]bool), keys: make(map[string]tagKey), ends: make(map[string]record.Outline)}
	for _, m := range members {
		if key, ok := strings.CutPrefix(m, tagName); ok {
			n.shown[key] = true
		}
	}
	return n
}

// names returns the names of some hash fields, which are valid until the next call. It returns false if one does not show the outline
// of its record.
func (n *namer) names(fields []string) (names []record.Name, ok bool) {
	n.made, n.json, n.cuts = n.made[:0], n.json[:0], n.cuts[:0]
	for _, field := range fields {
		tags, rest, _ := strings.Cut(field, "|")
		end, ok := n.end(rest)
		if !ok || !n.appendTags(tags) {
			return nil, false
		}
		n.made, n.cuts = append(n.made, record.Name{Text: field, Outline: end}), append(n.cuts, len(n.json))
	}
	all, begin := string(n.json), 0
	for i, end := range n.cuts {
		n.made[i].Tags = all[begin:end]
		begin = end
	}
	return n.made, true
}

// end returns the outline, without tags, of a record with that part of its hash field after the tags.
func (n *namer) end(text string) (o record.Outline, ok bool) {
	if o, ok = n.ends[text]; ok {
		return o, true
	}
	field, agent, replica, ok := parseHashField(text)
	if !ok {
		return o, false
	}
	o = record.Outline{Field: string(record.AppendText(nil, field)), Agent: string(record.AppendText(nil, agent))}
	if replica != "" {
		o.Replica = string(record.AppendText(nil, replica))
	}
	if len(n.ends) >= maxKnown {
		clear(n.ends)
	}
	n.ends[strings.Clone(text)] = o
	return o, true
}

// appendTags appends the tags of a hash field to n.json, as JSON has them. It returns false if that is not certain. As long as no key is
// renamed, the order of the tags is that of the hash field.
func (n *namer) appendTags(text string) bool {
	tags, err := series.ParseTags(text)
	if err != nil {
		return false
	}
	begin, renamed := len(n.json), false
	for _, tag := range tags {
		k, ok := n.key(tag.Key)
		if !ok {
			return false
		}
		renamed = renamed || k.renamed
		n.json = record.AppendText(append(n.json, k.begin...), tag.Value)
	}
	if renamed {
		r := record.Record{Tags: tags}
		n.json = record.AppendTags(n.json[:begin], r.JSONTags())
	}
	return true
}

// key returns the key of a tag in JSON. It returns false if that is not certain: JSON has a tag under a longer key if a statistic of the
// record has its name, and only the record shows that. Then the table's names have the longer key.
func (n *namer) key(key string) (k tagKey, ok bool) {
	if k, ok = n.keys[key]; ok {
		return k, true
	}
	r := record.Record{Tags: []series.Tag{{Key: key}}}
	inJSON := r.JSONTags()[0].Key
	if n.shown[inJSON+series.ClashSuffix] {
		return k, false
	}
	k = tagKey{begin: "," + string(record.AppendText(nil, key)) + ":", renamed: inJSON != key}
	if len(n.keys) >= maxKnown {
		clear(n.keys)
	}
	n.keys[strings.Clone(key)] = k
	return k, true
}
