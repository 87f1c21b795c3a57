package state

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// How Open reads the log of the last run:
//
//	files ─▶ readSegment ─▶ commitReader ─▶ read ─▶ open, rows, final, …: a method for each kind of record
//	         sets aside     frames          records      │
//	         foreign ones                                ▼
//	                                                    past ─▶ adopt, adoptJoined, adoptLoans ─▶ the Store
//
// No value is decoded here. Of an open bucket only its last whole record and the number of rows after that are noted.

// past describes the log of the last run. Open reads the log once to learn which buckets are open, where each begins, and what is
// damaged. Replay reads it a second time, and then only the records that are needed: reading twice needs no memory for the values.
//
// Open alone changes it, before the store has a second goroutine, except that Replay removes what it has replayed, and Recent what it
// has yielded. After Replay, buckets is empty.
type past struct {
	clean   bool              // whether the last record is the end of a run
	last    uint64            // number of the last commit
	end     int64             // age of the store at that commit
	pushes  pushes            // as of that commit
	wall    int64             // wall time of that commit
	replay  time.Duration     // Options.Replay
	next    uint64            // largest handle
	series  int               // the largest number of open buckets with the same start
	buckets index             // by handle, all that the log has; after adopt, those that are not in the database
	recent  []finalRecord     // final buckets whose rows leave again: see pushes
	joined  map[string]joined // by id of the orphan
	loans   map[uint64]loaned // that are not settled, by number
	walls   []commitWall      // of the commits, ascending
	strays  map[uint64]int64  // the number of rows of handles whose open record is missing or damaged
	damaged []string          // names of files
	commits int64             // lost
	torn    int64             // bytes
	file    []byte            // memory for a part of a file of the log
	payload []byte            // memory for the payloads of commits
	longest int               // the length of the longest of these
	changes int               // how many records are changes of a replay, at most
}

// pastBucket is a bucket in the log.
type pastBucket struct {
	series     string // its key
	start, end int64
	revision   int64
	touched    int64       // wall time of the last value when the bucket was logged whole, nanoseconds since 1970
	handle     uint64      // 0 if it was removed from the index
	begin      recordAt    // the last record that has it whole: earlier ones are not needed
	ended      uint64      // the commit in which it became final
	rows       uint64      // the commit of its last rows, or 0
	left       int         // how many rows the log has after begin; while it is replayed, how many are left
	at         int64       // age of the store when its final row left
	next       *pastBucket // see index
	waiting                // of a replay
	final      bool        // whether it became final
}

// commitWall is the wall time and the age of the store at a commit.
type commitWall struct {
	commit uint64 // its number
	wall   int64  // nanoseconds since 1970; may go back
	age    int64  // nanoseconds; never goes back
}

// touched returns an upper bound of the wall time of the last value of a bucket, or 0 if it is not known. Rows have no wall time in the
// log, but their commit has: the values came before it.
func (p *past) touched(b *pastBucket) int64 {
	if b.rows == 0 {
		return b.touched
	}
	i, _ := slices.BinarySearchFunc(p.walls, b.rows, func(w commitWall, commit uint64) int { return cmp.Compare(w.commit, commit) })
	if i == len(p.walls) {
		return 0
	}
	return max(b.touched, p.walls[i].wall)
}

// recordAt is the place of a record in the log. Of an open bucket, the records before pastBucket.begin are in the summaries of the record
// at begin already: a replay that added them too would count their values twice.
type recordAt struct {
	commit uint64 // its number
	index  int    // within the commit, from 0
}

// before reports whether a comes before b in the log.
func (a recordAt) before(b recordAt) bool {
	return a.commit < b.commit || a.commit == b.commit && a.index < b.index
}

// readPast reads the log of the last run, and prepares the log of this run.
func (s *Store) readPast() error {
	s.past = &past{
		clean: true, replay: s.o.Replay, strays: make(map[uint64]int64), joined: make(map[string]joined),
		loans: make(map[uint64]loaned),
	}
	s.log = &segments{folder: s.folder, openFile: s.o.openFile, next: 1}
	numbers, size, err := listSegments(s.folder)
	if err != nil {
		return err
	}
	s.past.payload = make([]byte, 0, min(firstPayload, size))
	for _, number := range numbers {
		if err := s.readSegment(number); err != nil {
			return err
		}
		s.log.next = number + 1
	}
	s.pushes = s.past.pushes
	if s.past.clean { // all rows have left
		s.pushes = pushes{s.past.end, s.past.end}
	}
	s.durable = max(s.past.last, s.finals.stored)
	s.resume()
	s.commit = s.durable + 1
	s.next = max(s.past.next, s.finals.handle)
	s.stats.LogBytes = s.log.size()
	s.adopt()
	if err := s.adoptJoined(); err != nil {
		return err
	}
	s.adoptLoans()
	s.report()
	return nil
}

// resume sets the clock to the end of the last run. If the log and the database differ in it, the later one counts. They do when the files
// of the log were lost, or when the writer stored something after the last commit.
func (s *Store) resume() {
	age, wall := s.past.end, s.past.wall
	if s.finals.age > age {
		age, wall = s.finals.age, s.finals.wall
	}
	now := s.o.Now()
	if age == 0 { // a new store
		wall = now.UnixNano()
		age = wall
	}
	s.clock.resume(age, now.Sub(time.Unix(0, wall)), time.Duration(s.finals.width))
}

// readSegment reads a file of the log. A file in which nothing can be read is renamed and left out. One that is damaged in part stays a
// part of the log, and is renamed when it is no longer needed. An unfinished commit at the end is no damage, as a crash leaves one: it is
// counted in torn.
//
// It returns only errors of the system. What is damaged costs commits, which are counted: one that cannot be decoded, and those whose
// numbers are missing.
func (s *Store) readSegment(number uint64) error {
	path := s.log.path(number)
	p := s.past
	seg := segment{number: number}
	r, err := p.readFile(path, p.last, func(_ *commitReader, commit uint64, payload []byte) {
		p.longest = max(p.longest, len(payload))
		if p.last > 0 && commit > p.last+1 {
			p.commits += int64(min(commit-p.last-1, 1<<32))
			seg.damaged = true
		}
		p.last, p.clean = commit, false
		if err := p.read(commit, payload); err != nil {
			p.commits++
			seg.damaged = true
		}
		seg.last, seg.time = commit, p.end
	})
	foreign := errors.Is(err, errFormat)
	if err != nil && !foreign {
		return err
	}
	seg.size = int64(r.size)
	if seg.damaged = seg.damaged || r.damaged > 0 || !r.known && r.size > 0; seg.damaged {
		p.damaged = append(p.damaged, filepath.Base(path))
	}
	if !r.known && r.size > 0 && seg.last == 0 || foreign {
		name, err := setAside(path, "damaged", s.o.Now())
		if err != nil {
			return err
		}
		s.warn("the file %q is not a part of the log; it was renamed to %q", filepath.Base(path), filepath.Base(name))
		return nil
	}
	p.torn = int64(r.damage)
	s.log.all = append(s.log.all, seg)
	return nil
}

// readFile calls f for each commit after last in a file of the log, and returns the reader of the file. The payload is valid until f
// returns, unless f sets the member kept of the reader to keep it. If the file is too large for a file of the log, the error wraps errFormat.
func (p *past) readFile(path string, last uint64, f func(r *commitReader, commit uint64, payload []byte)) (commitReader, error) {
	file, err := os.Open(path)
	if err != nil {
		return commitReader{}, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return commitReader{}, err
	}
	if info.Size() > maxSegment {
		return commitReader{}, fmt.Errorf("%w: %d bytes, want at most %d", errFormat, info.Size(), int64(maxSegment))
	}
	r := newCommitReader(file, info.Size(), last, p.file, p.payload)
	for {
		commit, payload, ok := r.read()
		if !ok {
			break
		}
		f(r, commit, payload)
	}
	p.file, p.payload = r.buf, r.payload[:r.kept]
	return *r, r.err
}

// records calls f for each record of a payload, with its kind, a decoder of the rest, which f must not keep, and the offset of its end
// in the payload. It stops at the first error.
func records(payload []byte, f func(index int, kind byte, d *decoder, end int) error) error {
	d := decoder{b: payload}
	var body decoder // one for all records, as it is on the heap
	for i := 0; len(d.b) > 0; i++ {
		body = decoder{b: d.bytes()}
		kind := body.byte()
		if d.err != nil || body.err != nil {
			return errors.Join(d.err, body.err)
		}
		if err := f(i, kind, &body, len(payload)-len(d.b)); err != nil {
			return err
		}
	}
	return d.err
}

// read updates the past with the records of a commit. Records of a kind that it does not know, as of a later version, are skipped. After an
// error the records before it have been taken, and those after it are lost.
func (p *past) read(commit uint64, payload []byte) error {
	return records(payload, func(index int, kind byte, d *decoder, _ int) error {
		switch kind {
		case recordOpen, recordName:
			p.open(recordAt{commit, index}, kind, d)
		case recordRows:
			p.rows(d)
		case recordDemoted:
			p.changes++
		case recordFinal:
			p.final(commit, d)
		case recordAgain:
			p.again(d)
		case recordDropped:
			p.dropped(d)
		case recordTime:
			p.time(d)
		case recordJoined:
			p.join(commit, d)
		case recordLoan:
			p.loan(commit, d)
		case recordSettled:
			delete(p.loans, d.uvarint())
		case recordEnd:
			p.clean = true
		}
		return d.err
	})
}

// open reads a record of the kind open or name. A bucket of the kind name is only used if its open record is missing.
func (p *past) open(at recordAt, kind byte, d *decoder) {
	number := d.uvarint()
	b := p.buckets.find(number)
	if b != nil && kind == recordName {
		return
	}
	series := d.bytes()
	read := pastBucket{handle: number, begin: at, start: d.varint()}
	read.end = int64(uint64(read.start) + d.uvarint())
	read.revision = d.whole()
	read.touched = d.varint()
	if d.err != nil || number == 0 {
		return
	}
	p.next = max(p.next, number)
	if b == nil {
		b = p.buckets.add(number)
		delete(p.strays, number)
	}
	if read.series = b.series; string(series) != b.series {
		read.series = string(series)
	}
	read.next = b.next
	*b = read
}

// rows reads the head of a record of rows, and counts the rows. A replay allocates memory by their number. Rows of a bucket that is not
// known are values that were lost: the commit in which it opened is damaged, and so is the one after, which has its name.
func (p *past) rows(d *decoder) {
	p.changes++
	number := d.uvarint()
	b := p.buckets.find(number)
	if schema := d.uvarint(); schema == 0 {
		d.skipStrings()
	}
	n := int(min(d.uvarint(), maxValues))
	switch {
	case d.err != nil:
	case b != nil:
		b.rows = p.last
		b.left += n
	default:
		p.next = max(p.next, number)
		p.strays[number] += int64(n) // rows, as the width may be unknown
	}
}

// final reads a record of a bucket that became final. The bucket stays in the index: if the database does not have it, a replay makes it
// final again, from its open record and rows.
func (p *past) final(commit uint64, d *decoder) {
	number := d.uvarint()
	f := d.final(number)
	if d.err != nil {
		return
	}
	p.next = max(p.next, number)
	delete(p.strays, number)
	p.recent = append(p.recent, f)
	if b := p.buckets.find(number); b != nil {
		b.final, b.ended, b.at = true, commit, f.at
	}
}

// again reads a record of a final bucket whose rows were emitted again.
func (p *past) again(d *decoder) {
	d.uvarint()
	if f := d.again(); d.err == nil {
		p.recent = append(p.recent, f)
	}
}

// dropped reads a record of an open bucket that is not needed any more.
func (p *past) dropped(d *decoder) {
	if b := p.buckets.find(d.uvarint()); b != nil {
		p.buckets.remove(b)
	}
}

// join reads a record of the open buckets of an orphan.
func (p *past) join(commit uint64, d *decoder) {
	d.uvarint()
	id, done := d.string(), d.whole()
	if d.err != nil {
		return
	}
	j, ok := p.joined[id]
	if !ok {
		j.commit = commit
	}
	j.done = int(done)
	p.joined[id] = j
}

// loan reads a record of a loan. It may repeat an earlier one.
func (p *past) loan(commit uint64, d *decoder) {
	number := d.uvarint()
	if l := d.loan(number); d.err == nil {
		p.next = max(p.next, number)
		p.loans[number] = loaned{Loan: l, commit: commit}
	}
}

// time reads the wall time and the age of a commit. The record was extended twice: what is missing in an older one is taken from what it
// has. It is the last record of a commit.
func (p *past) time(d *decoder) {
	p.wall = d.varint()
	if p.end = p.wall; len(d.b) > 0 { // else of a version without the age
		p.end = d.varint()
	}
	if p.pushes = (pushes{p.end, p.end}); len(d.b) > 0 { // else of a version without them
		p.pushes = pushes{d.varint(), d.varint()}
	}
	p.walls = append(p.walls, commitWall{p.last, p.wall, p.end})
	p.prune()
}

// adopt adds the buckets of the last run to this run, except the final ones that are in the database. They keep their handles. The
// database is asked for each of them, because a bucket whose final record was dropped for lack of room is open in the log.
//
// Without a Replay they stay open: their handles keep the log that they need.
func (s *Store) adopt() {
	var chunk []handle
	starts := make(map[int64]int)
	for b := range s.past.buckets.all() {
		if b.final && b.ended <= s.finals.stored || s.isStored(b) {
			s.past.buckets.remove(b)
			continue
		}
		if len(chunk) == 0 {
			chunk = make([]handle, chunkBuckets)
		}
		h := &chunk[0]
		chunk = chunk[1:]
		*h = handle{
			number: b.handle, series: b.series, start: b.start, end: b.end, revision: b.revision, first: b.begin.commit, since: s.past.end,
		}
		s.track(h)
		starts[b.start]++
		s.past.series = max(s.past.series, starts[b.start])
		if h.touched = s.past.touched(b); h.touched > s.began { // the clock was set back
			h.touched = s.began - 1
		}
	}
}

// isStored reports whether the database has the bucket, or one of the same series and start that opened later. Handles ascend over all
// runs, so that the larger one is of the bucket that opened later. If the database cannot be read, the result is false.
func (s *Store) isStored(b *pastBucket) bool {
	slots := s.finals.starts[b.start]
	if len(slots) == 0 {
		return false
	}
	key := finalKey(b.series, b.start)
	value, err := s.finals.get(key, slots)
	return err == nil && value != nil && finalHandle(key, value) >= b.handle
}

// report logs and counts damage.
func (s *Store) report() {
	p := s.past
	s.stats.LostCommits, s.stats.TornBytes = p.commits, p.torn
	for _, n := range p.strays {
		s.stats.LostValues += n
	}
	if len(p.damaged) > 0 || s.stats.LostValues > 0 {
		s.warn("the log is damaged in %q: %d commits are lost, and %d rows belong to no known bucket; the rest was read",
			p.damaged, p.commits, s.stats.LostValues)
	}
}
