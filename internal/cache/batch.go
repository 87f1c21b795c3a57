package cache

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
)

const (
	// maxFields is the largest number of fields that one HSET sets.
	maxFields = 500
	// usualJSON and usualHash are the sizes in bytes for which a new batch allocates memory, for each record's JSON
	// and hash field. Longer ones make the buffers grow.
	usualJSON, usualHash = 256, 64
)

// batch is the data that one Put writes. Its buffers hold the texts of all records. The pairs of the buckets are
// slices of these buffers, so that a record costs no allocation for its texts.
//
//	newBatch ─▶ dropOutdated (revision.go) ─▶ queue ─▶ answers ─▶ noticeEvicted (loss.go)
//
// A batch of records that are written again has only buckets and newest: see [Writer.rewriteSome]. One goroutine uses a
// batch.
type batch struct {
	buckets []*bucket          // those of newBatch ascend by text, not by time
	byStart map[string]*bucket // by their start as text
	fields  map[string]bool    // the names of described fields
	tags    map[string]bool    // the keys of tags
	newest  time.Time          // the start of the newest bucket

	json   []byte       // of all records, one after another
	hash   []byte       // the hash fields of all records, one after another
	series []byte       // the first part of the hash field, which all records of a series have in common
	of     []series.Tag // the tags from which series was made
	shown  []series.Tag // the tags whose keys were added last

	// Of the last queue: the members of the table's names, and which keys of the table were new.
	names     []redis.Z
	creations [versionCreation + 1]creation
	indexed   *redis.IntCmd // how many of the buckets were not in the index, of those that are not kept
	version   *redis.IntCmd
}

// Indices of the keys of a table in creations.
const (
	indexCreation = iota
	expiriesCreation
	namesCreation
	versionCreation
)

// bucket is the part of a batch that goes into the hashes of one bucket. The elements 2i and 2i+1 of records and of summaries, and the
// element i of source if there is one, belong to the same record.
type bucket struct {
	start     time.Time
	text      string    // start, in the form that keys have
	records   []any     // pairs of a hash field and the JSON of a record
	summaries []any     // pairs of the same hash fields and an encoded summary, empty for a record without one
	revised   bool      // whether a record has a revision, which may be 0
	revisions []redis.Z // of the records whose revision is above 0, by hash field

	source []*record.Record // the records in the order of the pairs; none for records that are written again
	held   *held            // what Redis has, if it was read

	// What recent had of the bucket before the write.
	kept  bool // whether it had the bucket
	lives bool // whether its records are in Redis, unless they are lost: they were written and have not expired
	known int  // how many records of the bucket it had
	fresh int  // how many different records of the batch it did not have

	// Of the last queue.
	added     [2][]*redis.IntCmd // how many fields were new to the two hashes
	creations [3]creation        // whether the two hashes and the revisions were new
	indexed   *redis.IntCmd      // whether the bucket was not in the index, nil unless it is kept
	head      headPart
}

// The keys of a bucket, as indices.
const (
	recordsKey = iota
	summariesKey
	revisionsKey
)

// newBatch returns the batch of one or more records of one table. The batch keeps the summaries and the tags of the
// records, and pointers to them: the records must not change as long as the batch is used.
func newBatch(records []record.Record) *batch {
	b := &batch{
		byStart: make(map[string]*bucket), fields: make(map[string]bool), tags: make(map[string]bool), newest: records[0].Start,
		json: make([]byte, 0, usualJSON*len(records)), hash: make([]byte, 0, usualHash*len(records)),
	}
	var last *bucket
	for i := range records {
		r := &records[i]
		if last == nil || !last.start.Equal(r.Start) {
			last = b.bucketOf(r.Start)
		}
		b.add(last, r)
	}
	slices.SortFunc(b.buckets, func(a, b *bucket) int { return cmp.Compare(a.text, b.text) })
	return b
}

// bucketOf returns the part of the batch for the bucket that begins at start, and makes it if it is new.
func (b *batch) bucketOf(start time.Time) *bucket {
	text := startText(start)
	found := b.byStart[text]
	if found == nil {
		found = &bucket{start: start, text: text}
		b.byStart[text] = found
		b.buckets = append(b.buckets, found)
	}
	if start.After(b.newest) {
		b.newest = start
	}
	return found
}

// add adds a record to the part of its bucket. Records of one series often follow each other, so tags that are those of the
// record before are not added again.
func (b *batch) add(to *bucket, r *record.Record) {
	// If append allocates a new buffer, the slices of the old buffer stay valid.
	at := len(b.json)
	b.json = r.AppendJSON(b.json)
	to.add(b.hashField(r), b.json[at:len(b.json):len(b.json)], r)
	b.fields[r.Field] = true
	if tags := r.JSONTags(); !slices.Equal(tags, b.shown) {
		b.shown = tags
		for _, tag := range tags {
			b.tags[tag.Key] = true
		}
	}
}

// add adds a record with its hash field and its JSON, of which it keeps the slices. A record that is added twice is written twice, and the
// later one stays.
func (p *bucket) add(field, json []byte, r *record.Record) {
	revision := int64(-1)
	if r.HasRevision {
		revision = r.Revision
	}
	p.addText(field, json, r.Summary, revision)
	p.source = append(p.source, r)
}

// addText adds a record by its texts. The revision is -1 for a record without one.
func (p *bucket) addText(field any, json, summary []byte, revision int64) {
	p.records = append(p.records, field, json)
	p.summaries = append(p.summaries, field, summary)
	p.revised = p.revised || revision >= 0
	if revision > 0 {
		p.revisions = append(p.revisions, redis.Z{Score: float64(revision), Member: field})
	}
}

// hashField returns the field of a record in the hash of its bucket, see [appendHashField]. It makes the part of the tags
// once for records of one series that follow each other.
func (b *batch) hashField(r *record.Record) []byte {
	if b.of == nil || !slices.Equal(b.of, r.Tags) {
		b.of, b.series = r.Tags, series.AppendTags(b.series[:0], r.Tags)
	}
	at := len(b.hash)
	b.hash = appendHashField(append(b.hash, b.series...), r)
	return b.hash[at:len(b.hash):len(b.hash)]
}

// queue adds the commands of the transaction to the pipeline. The records expire at expiry or later. It may be called again,
// for a second try: the answers are then those of the last call.
//
// The life of a key is extended after the command that may make it, because EXPIRE does nothing for a key that does not exist.
// The message to subscribers comes last. All of it is in one transaction, so a reader that gets the message finds the records.
//
// Buckets that recent has get a ZADD of their own, whose answer shows whether that bucket was in the index. The others share
// one, as one command for all costs less.
func (b *batch) queue(ctx context.Context, pipe redis.Pipeliner, t record.Table, expiry time.Time, life lifetime) {
	expiries, starts := make([]redis.Z, 0, len(b.buckets)), make([]string, 0, len(b.buckets))
	for _, part := range b.buckets {
		part.queue(ctx, pipe, t, life)
		expiries = append(expiries, redis.Z{Score: float64(expiry.UnixMilli()), Member: part.text})
		starts = append(starts, part.text)
	}
	b.names = b.namesUntil(float64(expiry.UnixMicro()))
	b.creations[indexCreation] = life.write(ctx, pipe, indexKey(t), func() { b.queueIndex(ctx, pipe, t) })
	b.creations[expiriesCreation] = life.write(ctx, pipe, expiryKey(t), func() { life.extend(ctx, pipe, expiryKey(t), expiries...) })
	b.creations[namesCreation] = life.write(ctx, pipe, namesKey(t), func() {
		if len(b.names) > 0 {
			life.extend(ctx, pipe, namesKey(t), b.names...)
		}
	})
	b.creations[versionCreation] = life.write(ctx, pipe, versionKey(t), func() { b.version = pipe.Incr(ctx, versionKey(t)) })
	pipe.Publish(ctx, channel(t), strings.Join(starts, " "))
}

// queueIndex adds the commands that enter the buckets into the index.
func (b *batch) queueIndex(ctx context.Context, pipe redis.Pipeliner, t record.Table) {
	index := make([]redis.Z, 0, len(b.buckets))
	for _, part := range b.buckets {
		z := redis.Z{Score: score(part.start), Member: part.text}
		if part.kept {
			part.indexed = pipe.ZAdd(ctx, indexKey(t), z)
		} else {
			index = append(index, z)
		}
	}
	if len(index) > 0 {
		b.indexed = pipe.ZAdd(ctx, indexKey(t), index...)
	}
}

// namesUntil returns the members for the table's names: its fields and tag keys, with their expiry time in microseconds as
// score.
func (b *batch) namesUntil(expiry float64) []redis.Z {
	names := make([]redis.Z, 0, len(b.fields)+len(b.tags))
	for name := range b.fields {
		names = append(names, redis.Z{Score: expiry, Member: fieldName + name})
	}
	for key := range b.tags {
		names = append(names, redis.Z{Score: expiry, Member: tagName + key})
	}
	return names
}

// queue adds the commands that write the records, summaries and revisions of the bucket.
func (p *bucket) queue(ctx context.Context, pipe redis.Pipeliner, t record.Table, life lifetime) {
	for i, pairs := range [...][]any{recordsKey: p.records, summariesKey: p.summaries} {
		key := [...]string{bucketKey(t, p.text), summaryKey(t, p.text)}[i]
		p.added[i] = p.added[i][:0]
		p.creations[i] = life.write(ctx, pipe, key, func() {
			for part := range slices.Chunk(pairs, 2*maxFields) {
				p.added[i] = append(p.added[i], pipe.HSet(ctx, key, part...))
			}
		})
	}
	if !p.revised {
		return
	}
	// All revisions that the set lacked are known, so it is complete from now on: see proof.
	members := p.revisions
	if p.held != nil && p.held.certain() && !p.held.proved {
		members = append(slices.Clone(members), redis.Z{Member: proof})
	}
	// Even if no revision is above 0, an older set must expire together with its bucket.
	p.creations[revisionsKey] = life.write(ctx, pipe, revisionKey(t, p.text), func() {
		if len(members) > 0 {
			pipe.ZAdd(ctx, revisionKey(t, p.text), members...)
		}
	})
}

// new returns how many fields the last queue has added to one of the two hashes.
func (p *bucket) new(key int) (n int) {
	for _, added := range p.added[key] {
		n += int(added.Val())
	}
	return n
}
