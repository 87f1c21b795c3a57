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
	// Open opens a bucket with its summaries. The handle was not opened before. After an error, nothing more comes for
	// the handle, and the bucket is lost.
	Open(handle uint64, b Bucket) error
	// Rows adds rows to an open bucket, as blocks of that many rows each. The arguments are valid until it returns. The
	// same fields mostly come as the same slice.
	Rows(handle uint64, fields []string, rows []float64, times []int64, blocks []int)
	// Demoted makes a histogram of the summary of a field.
	Demoted(handle uint64, field string)
	// Final takes out an open bucket that became final, and returns it. ok is false if it does not have it.
	Final(handle uint64) (b Bucket, ok bool)
}

const (
	// windowBytes and windowChanges bound the part of the log whose changes are collected by bucket. All changes of a
	// bucket in it are handed over together: the summaries of a bucket are far apart in memory, so that a Push after
	// another would touch each of them again. They also bound the memory that a replay takes.
	windowBytes   = 32 << 20
	windowChanges = 1 << 20
	// windowValues bounds the values of one call of Replayer.Rows. A record has at most maxBlock.
	windowValues = 1 << 14
	// maxReplayers bounds the goroutines of a replay.
	maxReplayers = 8
)

// Replay makes the calls of the last run for its open buckets again, from the last Snapshot of each bucket on. The calls
// for one bucket, and the blocks of its rows, are the same and in the same order; those for different buckets are
// ordered otherwise. The handles stay valid: the caller goes on with them. Buckets that became final, and were not
// stored, are taken out again with Final, in the order in which they became final.
//
// It may be called once, before the buckets of this run open.
func (s *Store) Replay(r Replayer) error {
	p := replay{
		s: s, r: r, schemas: make(map[uint64]int32), lists: make(map[string]int32), seed: maphash.MakeSeed(),
		parts: make([]part, min(runtime.GOMAXPROCS(0), maxReplayers)),
	}
	p.bytes = make([]byte, 0, min(int64(s.o.window), s.log.size()))
	last := uint64(0)
	for _, seg := range s.log.all {
		b, err := readLogFile(s.log.path(seg.number), s.past.file)
		if err != nil {
			return fmt.Errorf("state: replay: %w", err)
		}
		reader, _ := newCommitReader(b, last, s.past.payload)
		for {
			commit, payload, ok := reader.read()
			if !ok {
				break
			}
			last = commit
			p.commit = commit
			clear(p.schemas)
			_ = records(payload, p.record) // what is damaged was reported by Open
		}
		s.past.file, s.past.payload = b, reader.payload
	}
	p.flush()
	s.past.buckets, s.past.file, s.past.payload = index{}, nil, nil
	return nil
}

// replay is a replay that is under way.
type replay struct {
	s       *Store
	r       Replayer
	commit  uint64
	schemas map[uint64]int32 // of the commit: the index in fields, by number
	lists   map[string]int32 // the same, by the encoded list
	fields  [][]string
	seed    maphash.Seed

	bytes   []byte   // the bodies of the changes that wait
	changes []change // that wait
	parts   []part   // one for each goroutine
}

// change is a record of rows or of a demotion that waits.
type change struct {
	at, end uint32 // where its body is in replay.bytes
	next    int32  // the next change of the bucket, by index plus 1; 0 if there is none
	fields  int32  // of rows: their fields, by index in replay.fields; −1 if the change is a demotion
}

// waiting is the list of the changes of a bucket that wait, by index plus 1; 0 if there is none.
type waiting struct {
	first, last int32
	part        int // the goroutine of the series
}

// part is the work of one goroutine.
type part struct {
	buckets []*pastBucket // with changes
	blocks  rowBlocks
}

// record reads a record. What it is about is handed over at once or waits.
func (p *replay) record(index int, kind byte, d *decoder) error {
	number := d.uvarint()
	if kind == recordSchema {
		p.schemas[number] = p.list(d)
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
			p.wait(b, change{fields: fields}, d.b)
		}
	case recordDemoted:
		if d.err == nil {
			p.wait(b, change{fields: -1}, d.b)
		}
	case recordFinal:
		p.hand(b, &p.parts[b.part])
		p.final(b)
	}
	return d.err
}

// list reads a list of fields and returns its index. Lists that are equal have one index, as most commits have the same.
func (p *replay) list(d *decoder) int32 {
	encoded := d.b
	n := d.length(1)
	for range n {
		d.bytes()
	}
	if d.err != nil {
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
	if schema == 0 {
		return p.list(d)
	}
	fields, ok := p.schemas[schema]
	if !ok {
		d.fail("schema %d is not defined", schema)
	}
	return fields
}

// wait adds a change to those of the bucket. It hands all over if there are many.
func (p *replay) wait(b *pastBucket, c change, body []byte) {
	if len(p.bytes)+len(body) > p.s.o.window || len(p.changes) >= windowChanges {
		p.flush()
	}
	c.at = uint32(len(p.bytes))
	p.bytes = append(p.bytes, body...)
	c.end = uint32(len(p.bytes))
	p.changes = append(p.changes, c)
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

// flush hands over all changes that wait.
func (p *replay) flush() {
	var running sync.WaitGroup
	for i := range p.parts {
		running.Go(func() { p.work(&p.parts[i]) })
	}
	running.Wait()
	p.bytes, p.changes = p.bytes[:0], p.changes[:0]
}

func (p *replay) work(w *part) {
	for _, b := range w.buckets {
		p.hand(b, w)
	}
	w.buckets = w.buckets[:0]
}

// hand hands over the changes of a bucket that wait.
func (p *replay) hand(b *pastBucket, w *part) {
	fields := int32(-1) // of the collected rows
	w.blocks.reset(false)
	for i := b.first; i > 0; i = p.changes[i-1].next {
		c := &p.changes[i-1]
		d := decoder{b: p.bytes[c.at:c.end]}
		if c.fields < 0 {
			p.rows(b.handle, fields, w, false)
			if field := d.string(); d.err == nil {
				p.r.Demoted(b.handle, field)
			}
			continue
		}
		width := len(p.fields[c.fields])
		n, timed := d.rowsHead(width)
		if c.fields != fields || timed != w.blocks.timed || len(w.blocks.rows) > windowValues {
			p.rows(b.handle, fields, w, timed)
			fields = c.fields
		}
		d.rows(&w.blocks, n, width)
	}
	p.rows(b.handle, fields, w, false)
	b.first, b.last = 0, 0
}

// rows hands over the collected rows, and begins to collect others.
func (p *replay) rows(number uint64, fields int32, w *part, timed bool) {
	if b := &w.blocks; len(b.sizes) > 0 {
		times := b.times
		if !b.timed {
			times = nil
		}
		p.r.Rows(number, p.fields[fields], b.rows, times, b.sizes)
	}
	w.blocks.reset(timed)
}

func (p *replay) open(b *pastBucket, at recordAt, d *decoder) error {
	if b.begin != at {
		return nil // repeats the name
	}
	bucket := d.bucket(p.s.o.ExactLimit)
	b.part = int(maphash.String(p.seed, b.Series) % uint64(len(p.parts)))
	if d.err == nil {
		d.err = p.r.Open(b.handle, bucket)
	}
	if d.err != nil {
		p.s.warn("the open bucket of series %q at %d is lost: %v", b.Series, b.Start, d.err)
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
	if h := s.handles[b.handle]; h != nil {
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
	defer s.mu.Unlock()
	if h := s.handles[b.handle]; h != nil {
		s.finish(h)
		s.pend(&final{
			handle: h, series: bucket.Series, start: bucket.Start, end: bucket.End, commit: b.ended,
			slot: s.finals.slotOf(s.clock.time()), value: encodeFinal(bucket, b.handle, b.at),
		})
	}
	s.past.buckets.remove(b)
}
