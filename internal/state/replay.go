package state

import (
	"fmt"
	"hash/maphash"
	"runtime"
	"sync"
)

// Replayer receives the open buckets of the last run.
//
// Rows and Demoted are called concurrently for buckets of different series. All other calls come one at a time.
type Replayer interface {
	// Open opens a bucket with its summaries. The handle was not opened before. If Open returns an error, the bucket
	// is lost, and there are no more calls for the handle.
	Open(handle uint64, b Bucket) error
	// Rows adds rows to an open bucket, in blocks of the given numbers of rows: column by column, NaN where a row has no value of
	// the field. The arguments are valid until it returns. Equal fields are usually the same slice. About more rows of these fields
	// will come for the bucket, or 0 if that is not known.
	Rows(handle uint64, fields []string, columns []float64, times []int64, blocks []int, more int)
	// Demoted makes a histogram of the summary of a field.
	Demoted(handle uint64, field string)
	// Lent marks fields of an open bucket as lent, or all of them if fields is empty. Rows with values of a field takes that back for it.
	Lent(handle uint64, fields []string)
	// Final removes an open bucket that became final, and returns it without its lent fields. ok is false if there is no such bucket.
	Final(handle uint64) (b Bucket, ok bool)
}

const (
	// windowBytes is how many bytes of the log are collected in memory, and the commit with which they become so many. All changes
	// of a bucket in this part are replayed together, because the summaries of a bucket are far apart in memory: in the order of
	// the log, each Push would load all of them again. It is the least: see windowOf.
	windowBytes = 32 << 20
	// firstPayload is how many bytes of payloads there is memory for at first, unless the log is shorter.
	firstPayload = windowBytes + 2*commitBytes
	// maxWindow is the largest window. With one commit more, offsets in it fit into 32 bits.
	maxWindow = 512 << 20
	// changeBytes bounds the number of changes that are collected: a window has one for so many bytes.
	changeBytes = 32
	// windowValues is the number of values from which on a call of Replayer.Rows gets no further record. A record has at most maxBlock
	// values.
	windowValues = 1 << 14
	// maxReplayers is the largest number of goroutines of a replay.
	maxReplayers = 8
)

// Replay repeats the calls of the last run for its open buckets, beginning with the last Snapshot of each bucket. The
// calls for one bucket, and the blocks of its rows, are the same and in the same order. The order of calls for
// different buckets is not. The handles stay valid for this run. Buckets that became final, but are not in the
// database, are removed again with Final, in the order in which they became final.
//
// It may be called once, before the buckets of this run open.
func (s *Store) Replay(r Replayer) error {
	p := replay{
		s: s, r: r, schemas: make(map[uint64]int32), lists: make(map[string]int32), seed: maphash.MakeSeed(),
		parts: make([]part, min(runtime.GOMAXPROCS(0), maxReplayers)), most: s.window(),
	}
	p.changes = make([]change, 0, min(p.maxChanges(), s.past.changes))
	if room := int(min(int64(p.most+s.past.longest), s.log.size())); cap(s.past.payload) < room {
		s.past.payload = make([]byte, 0, room)
	}
	last := uint64(0)
	for _, seg := range s.log.all {
		_, err := s.past.readFile(s.log.path(seg.number), last, func(r *commitReader, commit uint64, payload []byte) {
			last = commit
			p.read(r, commit, payload)
		})
		if err != nil {
			return fmt.Errorf("state %q: reading the log: %w", s.folder, err)
		}
	}
	p.flush()
	s.past.buckets, s.past.file, s.past.payload = index{}, nil, nil
	return nil
}

// window returns how many bytes of the log are collected in memory.
func (s *Store) window() int {
	if s.o.window > 0 {
		return s.o.window
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return windowOf(s.handles.Len(), s.log.size())
}

// windowOf returns the window for a number of open buckets and the size of the log. Many buckets have a larger one, so that it has a few
// values of each field of a bucket, but at most a quarter of the log. With 32 MB, a restart with 100,000 buckets of 36 values a field took
// 15 % more CPU time: BenchmarkRestart of package describe.
func windowOf(buckets int, log int64) int {
	const perBucket = 1 << 10
	if log <= firstPayload { // there is memory for all of it
		return firstPayload
	}
	return int(min(max(windowBytes, min(perBucket*int64(buckets), log/4)), maxWindow))
}

// replay is the state of a running replay. One goroutine reads the log and collects changes; when a window is full, it waits until the
// goroutines of all parts have replayed theirs:
//
//	log ─ record ─▶ wait: changes by bucket ─ flush ─▶ work of each part ─ hand ─▶ Replayer.Rows, Demoted
//	          └───────── open, lent, final: the changes of that bucket first ────▶ Replayer.Open, Lent, Final
//
// A series belongs to one part, so that the calls for a series never overlap.
//
// Only the goroutine that reads the log uses the fields, except that each part has its goroutine while flush waits for all of them. The
// memory for changes is bounded: a window has at most Store.window bytes and one commit more.
type replay struct {
	s            *Store
	r            Replayer         // of the caller
	commit       uint64           // the one that is being read
	schemas      map[uint64]int32 // of the commit: the index in fields, by number
	lists        map[string]int32 // the same, by the encoded list
	schema       uint64           // the last one that rows had, or 0
	schemaFields int32            // its index in fields
	fields       [][]string       // the different lists of fields
	seed         maphash.Seed     // of the hash that assigns series to parts

	most    int      // how many bytes the window has at least when it is full
	window  []byte   // the payloads of the commits whose changes wait, up to that which is being read
	begin   int      // of that one's
	changes []change // that wait
	parts   []part   // one for each goroutine
}

// change is a record of rows or of a demotion that was read but not yet replayed.
type change struct {
	at, end uint32 // where its body is in replay.window
	next    int32  // the next change of the bucket, by index plus 1; 0 if there is none
	fields  int32  // of rows: their fields, by index in replay.fields; −1 if the change is a demotion
}

// waiting is the list of changes of a bucket that were not yet replayed: their indexes plus 1, or 0 for none.
type waiting struct {
	first, last int32 // both are 0, or neither is
	part        int32 // the goroutine of the series
}

// part is the work of one goroutine.
type part struct {
	buckets []*pastBucket // with changes
	blocks  rowBlocks     // scratch of rows, as the members below
	sizes   []int         // how many rows each change has
	columns []uint32      // where the columns of each change begin in replay.window
}

// read reads a commit. It keeps the payload for the changes that wait, until the window is full.
func (p *replay) read(r *commitReader, commit uint64, payload []byte) {
	p.commit, p.window, p.begin = commit, r.payload, r.kept
	clear(p.schemas)
	p.schema = 0
	_ = records(payload, p.record) // what is damaged was reported by Open
	if len(r.payload) >= p.most {
		p.flush()
	}
	r.kept = len(r.payload)
	if len(p.changes) == 0 {
		r.kept = 0
	}
}

// record reads a record, which ends at that offset of the payload. Rows and demotions are collected; other records are replayed at
// once.
func (p *replay) record(index int, kind byte, d *decoder, end int) error {
	number := d.uvarint()
	if kind == recordSchema {
		p.schemas[number] = p.list(d)
		p.schema = 0
		return d.err
	}
	b := p.s.past.buckets.find(number)
	if b == nil || (recordAt{p.commit, index}).before(b.begin) {
		return d.err
	}
	switch kind {
	case recordOpen, recordName:
		return p.open(b, recordAt{p.commit, index}, d)
	case recordRows:
		if fields := p.rowFields(d); d.err == nil {
			p.wait(b, fields, d, end)
		}
	case recordDemoted:
		if d.err == nil {
			p.wait(b, -1, d, end)
		}
	case recordLent:
		p.hand(b, &p.parts[b.part])
		if fields := d.lent(); d.err == nil {
			p.r.Lent(b.handle, fields)
		}
	case recordFinal:
		p.hand(b, &p.parts[b.part])
		p.final(b)
	}
	return d.err
}

// list reads a list of fields and returns its index. Equal lists have the same index, because most commits contain
// the same lists.
func (p *replay) list(d *decoder) int32 {
	encoded := d.b
	if d.skipStrings(); d.err != nil {
		return 0
	}
	encoded = encoded[:len(encoded)-len(d.b)]
	if i, ok := p.lists[string(encoded)]; ok {
		return i
	}
	list := decoder{b: encoded}
	p.fields = append(p.fields, list.strings())
	i := int32(len(p.fields) - 1)
	p.lists[string(encoded)] = i
	return i
}

// rowFields reads the fields of a record of rows.
func (p *replay) rowFields(d *decoder) int32 {
	schema := d.uvarint()
	switch schema {
	case 0:
		return p.list(d)
	case p.schema: // of most records
		return p.schemaFields
	}
	fields, ok := p.schemas[schema]
	if !ok {
		d.fail("schema %d is not defined", schema)
		return 0
	}
	p.schema, p.schemaFields = schema, fields
	return fields
}

// maxChanges returns the largest number of changes that wait.
func (p *replay) maxChanges() int { return max(1, p.most/changeBytes) }

// wait adds a change to those of the bucket: that which d has not read yet, up to that offset of the payload. If many changes wait, it
// replays them all.
func (p *replay) wait(b *pastBucket, fields int32, d *decoder, end int) {
	if len(p.changes) >= p.maxChanges() {
		p.flush()
	}
	end += p.begin
	p.changes = append(p.changes, change{at: uint32(end - len(d.b)), end: uint32(end), fields: fields})
	n := int32(len(p.changes))
	if b.first == 0 {
		b.first = n
		part := &p.parts[b.part]
		part.buckets = append(part.buckets, b)
	} else {
		p.changes[b.last-1].next = n
	}
	b.last = n
}

// flush replays all changes that wait.
func (p *replay) flush() {
	var running sync.WaitGroup
	for i := range p.parts {
		running.Go(func() { p.work(&p.parts[i]) })
	}
	running.Wait()
	p.changes = p.changes[:0]
}

// work replays the waiting changes of all buckets of one goroutine. It works with a copy of w, because the parts of other goroutines are in
// the same line of the processor's cache.
func (p *replay) work(w *part) {
	own := *w
	for _, b := range own.buckets {
		p.hand(b, &own)
	}
	own.buckets = own.buckets[:0]
	*w = own
}

// hand replays the changes of a bucket that wait.
func (p *replay) hand(b *pastBucket, w *part) {
	for i := b.first; i > 0; {
		c := &p.changes[i-1]
		if c.fields >= 0 {
			i = p.rows(b, i, w)
			continue
		}
		d := decoder{b: p.window[c.at:c.end]}
		if field := d.string(); d.err == nil {
			p.r.Demoted(b.handle, field)
		}
		i = c.next
	}
	b.first, b.last = 0, 0
}

// rows passes the rows of the i-th change to the Replayer, together with those of the changes after it that have the same fields. It
// returns the number of the first change that it did not pass.
func (p *replay) rows(b *pastBucket, i int32, w *part) (next int32) {
	all, fields := i == b.first, p.changes[i-1].fields
	width, total, timed := len(p.fields[fields]), 0, false
	w.sizes, w.columns = w.sizes[:0], w.columns[:0]
	for next = i; next > 0; {
		c := &p.changes[next-1]
		if c.fields != fields || total*width > windowValues {
			break
		}
		d := decoder{b: p.window[c.at:c.end]}
		n, t := d.rowsHead(width)
		if len(w.sizes) > 0 && t != timed {
			break
		}
		w.sizes, w.columns = append(w.sizes, n), append(w.columns, c.end-uint32(len(d.b)))
		total, timed, next = total+n, t, c.next
	}
	if total == 0 {
		return next
	}
	w.blocks.make(w.sizes, width, timed)
	at := 0
	for k, n := range w.sizes {
		c := &p.changes[i-1]
		d := decoder{b: p.window[w.columns[k]:c.end]}
		d.rows(&w.blocks, at, n, width)
		at, i = at+n, c.next
	}
	more := 0
	if b.left -= total; all && next == 0 { // else the other rows may be of other fields
		more = max(b.left, 0)
	}
	p.r.Rows(b.handle, p.fields[fields], w.blocks.values, w.blocks.times, w.sizes, more)
	return next
}

// open opens a bucket that the log contains as a whole. A bucket that cannot be opened is logged and lost.
func (p *replay) open(b *pastBucket, at recordAt, d *decoder) error {
	if b.begin != at {
		return nil // repeats the name
	}
	bucket := d.bucket(b.series, p.s.o.ExactLimit)
	b.part = int32(maphash.String(p.seed, b.series) % uint64(len(p.parts)))
	if d.err == nil {
		d.err = p.r.Open(b.handle, bucket)
	}
	if d.err != nil {
		p.s.warn("an open bucket is lost: %s: %v", finalID{b.series, b.start}, d.err)
		p.forget(b)
		d.err = nil
	}
	return nil
}

// forget drops a bucket that cannot be replayed.
func (p *replay) forget(b *pastBucket) {
	s := p.s
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.LostBuckets++
	if h := s.handles.Find(b.handle); h != nil {
		s.finish(h)
		s.needed.remove(h.first)
	}
	s.past.buckets.remove(b)
}

// final stores a bucket that became final.
func (p *replay) final(b *pastBucket) {
	bucket, ok := p.r.Final(b.handle)
	if !ok {
		p.forget(b)
		return
	}
	s := p.s
	s.mu.Lock()
	h := s.handles.Find(b.handle)
	s.mu.Unlock()
	if h != nil {
		f := s.newFinal(h, bucket, b.ended, b.at)
		s.mu.Lock()
		s.pending.note(f)
		s.mu.Unlock()
		s.encode(f)
		s.mu.Lock()
		s.finish(h)
		s.pend(f)
		s.mu.Unlock()
	}
	s.past.buckets.remove(b)
}
