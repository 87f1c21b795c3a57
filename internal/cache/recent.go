package cache

import (
	"container/list"
	"slices"
	"sync"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

const (
	// keepFor is how long records that are not open are kept after the last write of their bucket: the default of the
	// option state_replay of the aggregator, for the same purpose.
	keepFor = 10 * time.Minute
	// keptOverhead is about what a kept record takes in memory beside its texts: its map entry and the headers.
	keptOverhead = 160
)

// recent holds the records that a writer has written last, so that it can write them again if Redis loses them. Records
// of open buckets stay until they are final; the others stay for keepFor, see prune. Records that could not be written
// yet wait here too. If all together exceed the limit, the buckets that were not written for the longest time leave, first
// those without open records and last those that wait.
//
// A whole bucket of a table enters and leaves at once, because that costs no order among its records.
//
//	Put ─┬─ with open records ─▶ open ── no record is open any more ──▶ closed ── keepFor after the last write ──▶ pruned
//	     └─ without ──────────────────────────────────────────────────────▲
//	Defer ─▶ waiting ── written by a repair (settle) ──▶ open or closed
//
// The records of a bucket are changed under both the lock of their table and mu, so either is enough to read them. The lock of
// the table is taken first.
type recent struct {
	limit int64 // bytes

	mu      sync.Mutex // guards the fields below, the buckets of all tables, and all fields of a keptBucket but records
	size    int64      // bytes of all records
	count   int64      // of records
	dropped int64      // how many records that were written are not kept because of the limit
	lost    int64      // how many records that were not written have left
	open    list.List  // of *keptBucket with open records, in the order of their last write
	closed  list.List  // the same without open records
	waiting list.List  // the same with records that are not written yet
}

// keptBucket holds the records of a bucket of a table. It is in the map of its table and in one list of recent, or in neither: then it
// has left, and place is nil.
type keptBucket struct {
	of      *tableState
	start   time.Time
	text    string                 // start, in the form that keys have
	expiry  time.Time              // until when the records are in Redis at least
	written time.Time              // when the bucket was last written
	size    int64                  // bytes of the records, each with keptOverhead
	opened  int                    // how many records are open
	revised bool                   // whether a record has a revision above 0
	waits   bool                   // whether records may not be written yet
	in      *list.List             // the list of recent that has place
	place   *list.Element          // nil once the bucket has left
	records map[string]*keptRecord // by their hash field
}

// keptRecord is a record as it was written. Its texts are copies.
type keptRecord struct {
	text     []byte // the JSON, and then the summary
	json     int    // the length of the JSON
	revision int64  // -1 for a record without one
	open     bool
	// known is true if Redis cannot have a higher revision, except one that another process of this agent has written.
	known bool
}

// size returns about how many bytes of memory a record needs, given the length of its hash field.
func (k *keptRecord) size(field int) int64 { return int64(keptOverhead + field + cap(k.text)) }

// add keeps the records of a batch that was written, or that waits. It first notes in the batch what was kept before that:
// lives and fresh of each bucket. Records that expire at alive or earlier do not live. The caller holds the lock of the table.
func (r *recent) add(s *tableState, b *batch, expiry, now, alive time.Time, waits bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.limit <= 0 {
		return
	}
	for _, part := range b.buckets {
		k := s.buckets[part.text]
		if k == nil {
			k = &keptBucket{of: s, start: part.start, text: part.text, records: make(map[string]*keptRecord, len(part.source))}
			s.buckets[part.text] = k
		}
		part.lives = !k.waits && k.expiry.After(alive)
		part.fresh = 0
		// If each record of the batch made a new hash field, Redis had none of them before, and so no revision of them.
		known := part.held != nil && part.held.certain() || !waits && part.new(recordsKey) == len(part.source)
		k.expiry, k.written, k.waits = later(k.expiry, expiry), now, k.waits || waits
		r.file(k)
		for i, source := range part.source {
			field, _ := part.records[2*i].([]byte)
			json, _ := part.records[2*i+1].([]byte)
			if k.records[string(field)] == nil {
				part.fresh++
			}
			r.keep(k, field, json, source, known)
		}
		r.file(k) // again, as open records may have come or gone
	}
}

// keep keeps a record, or counts it if there is no room. It never replaces a newer revision. The texts of the batch are copied:
// they are parts of large buffers, which would stay in memory as long as one record does.
//
// The copy of an earlier version of the record is used again if it is large enough, and not more than twice as large as needed.
func (r *recent) keep(k *keptBucket, field, json []byte, source *record.Record, known bool) {
	old := k.records[string(field)]
	need := len(json) + len(source.Summary)
	if old != nil && source.HasRevision && source.Revision < old.revision {
		return
	}
	if old != nil && need <= cap(old.text) && cap(old.text) <= 2*need {
		r.fill(k, old, json, source)
		old.known = old.known || known
		return
	}
	if old != nil {
		known = known || old.known
		r.remove(k, string(field), old)
	}
	if !r.makeRoom(int64(keptOverhead+len(field)+need), k) {
		r.discard(k, 1)
		return
	}
	kept := &keptRecord{text: make([]byte, 0, need), known: known}
	k.records[string(field)] = kept
	size := kept.size(len(field))
	k.size += size
	r.size += size
	r.count++
	r.fill(k, kept, json, source)
}

// fill sets the contents of a kept record.
func (r *recent) fill(k *keptBucket, kept *keptRecord, json []byte, source *record.Record) {
	kept.text = append(append(kept.text[:0], json...), source.Summary...)
	kept.json = len(json)
	kept.revision = -1
	if source.HasRevision {
		kept.revision = source.Revision
	}
	k.revised = k.revised || source.Revision > 0
	k.setOpen(kept, source.State == record.Open)
}

// setOpen sets whether a record is open, and counts the open ones. The caller files the bucket after that.
func (k *keptBucket) setOpen(kept *keptRecord, open bool) {
	if kept.open != open {
		kept.open = open
		if open {
			k.opened++
		} else {
			k.opened--
		}
	}
}

// remove removes a record from its bucket. The bucket stays, even without records.
func (r *recent) remove(k *keptBucket, field string, kept *keptRecord) {
	k.setOpen(kept, false)
	delete(k.records, field)
	size := kept.size(len(field))
	k.size -= size
	r.size -= size
	r.count--
}

// makeRoom drops buckets other than k until size bytes more are within the limit. It returns false if that is not enough. Closed buckets
// go first, then open ones, and last those that wait, whose records are nowhere else.
func (r *recent) makeRoom(size int64, k *keptBucket) bool {
	for r.size+size > r.limit {
		var oldest *keptBucket
		for _, l := range []*list.List{&r.closed, &r.open, &r.waiting} {
			if oldest = oldestBut(l, k); oldest != nil {
				break
			}
		}
		if oldest == nil {
			return false
		}
		r.discard(oldest, len(oldest.records))
		r.drop(oldest)
	}
	return true
}

// discard counts records of a bucket that are not kept.
func (r *recent) discard(k *keptBucket, records int) {
	if k.waits {
		r.lost += int64(records)
	} else {
		r.dropped += int64(records)
	}
}

// oldestBut returns the first bucket of a list that is not k, or nil.
func oldestBut(l *list.List, k *keptBucket) *keptBucket {
	for e := l.Front(); e != nil; e = e.Next() {
		if found, _ := e.Value.(*keptBucket); found != k {
			return found
		}
	}
	return nil
}

// file moves a bucket to the end of the list that it belongs to.
func (r *recent) file(k *keptBucket) {
	if k.place != nil {
		k.in.Remove(k.place)
	}
	k.in = &r.closed
	switch {
	case k.waits:
		k.in = &r.waiting
	case k.opened > 0:
		k.in = &r.open
	}
	k.place = k.in.PushBack(k)
}

// drop removes a bucket. Its records stay valid for a caller that has them.
func (r *recent) drop(k *keptBucket) {
	k.in.Remove(k.place)
	k.place = nil
	delete(k.of.buckets, k.text)
	r.size -= k.size
	r.count -= int64(len(k.records))
}

// prune drops the buckets of a table that have expired, and those without open records that were last written longer than
// keepFor ago. It is called only after Redis turned out to have the table: while Redis is away, everything stays.
func (r *recent) prune(s *tableState, expired, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, k := range s.buckets {
		if !k.expiry.After(expired) || !k.waits && k.opened == 0 && now.Sub(k.written) > keepFor {
			r.drop(k)
		}
	}
}

// settle notes that the records of these buckets are written, and that their revisions were compared with those in Redis.
func (r *recent) settle(buckets []*keptBucket) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, k := range buckets {
		if k.place != nil {
			k.waits = false
			for _, kept := range k.records {
				kept.known = true
			}
			r.file(k)
		}
	}
}

// forget drops a bucket of a table.
func (r *recent) forget(s *tableState, start string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if k := s.buckets[start]; k != nil {
		r.drop(k)
	}
}

// has reports whether records of the bucket are kept that were written and live beyond the time.
func (r *recent) has(s *tableState, start string, beyond time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := s.buckets[start]
	return k != nil && !k.waits && k.expiry.After(beyond)
}

// find notes which of the buckets of a batch are kept, and how many of their records.
func (r *recent) find(s *tableState, b *batch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, part := range b.buckets {
		if k := s.buckets[part.text]; k != nil {
			part.kept, part.known = true, len(k.records)
		}
	}
}

// knows reports whether Redis cannot have higher revisions of the records of a part of a batch than those that are kept. It is false if
// the bucket is not kept, or one of its records with a revision. Records without a revision do not count.
func (r *recent) knows(s *tableState, p *bucket) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := s.buckets[p.text]
	if k == nil {
		return false
	}
	for i, source := range p.source {
		field, _ := p.records[2*i].([]byte)
		if kept := k.records[string(field)]; source.HasRevision && (kept == nil || !kept.known) {
			return false
		}
	}
	return true
}

// revisions returns the revisions above 0 that are kept of the records of a part of a batch, by hash field.
func (r *recent) revisions(s *tableState, p *bucket) map[string]int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := s.buckets[p.text]
	if k == nil || !k.revised {
		return nil
	}
	revisions := make(map[string]int64)
	for i := range p.source {
		field, _ := p.records[2*i].([]byte)
		if kept := k.records[string(field)]; kept != nil && kept.revision > 0 {
			revisions[string(field)] = kept.revision
		}
	}
	return revisions
}

// keeps reports whether records of a table are kept.
func (r *recent) keeps(s *tableState) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(s.buckets) > 0
}

// buckets returns the kept buckets of a table that live beyond the time, ascending. The caller holds the lock of the table, so their records
// do not change; but they may leave meanwhile, to make room for other tables.
func (r *recent) buckets(s *tableState, beyond time.Time) []*keptBucket {
	r.mu.Lock()
	defer r.mu.Unlock()
	kept := make([]*keptBucket, 0, len(s.buckets))
	for _, k := range s.buckets {
		if k.expiry.After(beyond) {
			kept = append(kept, k)
		}
	}
	slices.SortFunc(kept, func(a, b *keptBucket) int { return a.start.Compare(b.start) })
	return kept
}

// backlog returns how many records of buckets that wait there are, and how many such records have left because of the limit.
func (r *recent) backlog() (records, lost int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for e := r.waiting.Front(); e != nil; e = e.Next() {
		if k, ok := e.Value.(*keptBucket); ok {
			records += int64(len(k.records))
		}
	}
	return records, r.lost
}

// stats returns the number of records, their size in bytes, and how many were not kept because of the limit.
func (r *recent) stats() (count, size, dropped int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count, r.size, r.dropped
}

// later returns the later of two times.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
