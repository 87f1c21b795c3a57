package state

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// Records
//
// The payload of a commit is records. Each is
//
//	uvarint   length of what follows
//	1 byte    kind
//
// and, by kind:
//
//	1 schema    uvarint its number, strings the fields. It holds to the end of the commit.
//	2 open      uvarint handle, bucket. It replaces an open bucket with the same handle.
//	3 name      uvarint handle, bucket without fields. It repeats an open of the commit before, so that the rows after a
//	            damaged commit still belong to a bucket.
//	4 rows      uvarint handle, uvarint schema and, if that is 0, strings the fields; uvarint n, the number of rows;
//	            1 byte, 1 if the rows have times; if so, n varints: the first time and then differences, modulo 2^64;
//	            a column for each field (see column.go)
//	5 demoted   uvarint handle, string field
//	6 final     uvarint handle, string series, varint start, uvarint revision, varint age at which the row left
//	7 time      varint wall time of the commit, varint age, and the ages of the last two Pushes, which are two varints: see pushes
//	8 end       the run ended cleanly
//	9 again     uvarint 0, string series, varint start, varint age. The row of a final bucket of the last run left again.
//	10 joined   uvarint 0, string id of an orphan, uvarint how many of its open buckets were added to this store: see
//	            Store.Join
//	11 lent     uvarint handle, strings fields. Another store has copies of these fields of the open bucket, or of all fields if
//	            there is no list: see Store.Lent
//	12 dropped  uvarint handle. The bucket is not open any more
//	13 loan     uvarint number, string id of another store, uvarint handle there, string series, varint start, strings fields.
//	            This store has got these fields of the open bucket: see loans.go
//	14 settled  uvarint number. The other store has noted the loan
//
// A bucket is
//
//	string    series
//	varint    start
//	uvarint   how far the end is above the start, modulo 2^64
//	uvarint   revision
//	varint    wall time of the last value
//	uvarint   number of fields
//	          for each, string its name, string its summary as stats.Summary.AppendBinary encodes it
//
// strings are a uvarint, how many, and that many times string, which is a uvarint, its length, and the bytes. Integers
// are those of encoding/binary. Times are nanoseconds since 1970. An age is that of the store in nanoseconds,
// see clock.
const (
	recordSchema = 1 + iota
	recordOpen
	recordName
	recordRows
	recordDemoted
	recordFinal
	recordTime
	recordEnd
	recordAgain
	recordJoined
	recordLent
	recordDropped
	recordLoan
	recordSettled
)

// recorder collects the records of a commit. A schema is defined anew in each commit, so that a lost commit makes no other one
// unreadable. Store.mu guards it.
type recorder struct {
	buf     []byte              // the payload so far
	schemas map[uint64]struct{} // defined in this commit
	scratch []byte              // the record under construction, because its length comes first
	values  int64               // in the rows
}

// reset begins an empty payload, in the memory of buf.
func (r *recorder) reset(buf []byte) {
	r.buf, r.values = buf[:0], 0
	clear(r.schemas)
}

// put appends the record in scratch.
func (r *recorder) put() {
	r.buf = binary.AppendUvarint(r.buf, uint64(len(r.scratch)))
	r.buf = append(r.buf, r.scratch...)
}

// begin starts a record in scratch.
func (r *recorder) begin(kind byte, handle uint64) {
	r.scratch = binary.AppendUvarint(append(r.scratch[:0], kind), handle)
}

// open appends a record that a bucket opened, or that it is logged as a whole.
func (r *recorder) open(handle uint64, b Bucket) {
	r.begin(recordOpen, handle)
	r.scratch = appendBucket(r.scratch, b)
	r.put()
}

// name appends a record that repeats the identity of an open bucket.
func (r *recorder) name(h *handle) {
	r.begin(recordName, h.number)
	r.scratch = appendBucket(r.scratch, Bucket{Series: h.series, Start: h.start, End: h.end, Revision: h.revision})
	r.put()
}

// schema appends a record of the fields of a schema, once in each commit.
func (r *recorder) schema(number uint64, fields []string) {
	if _, ok := r.schemas[number]; ok {
		return
	}
	if r.schemas == nil {
		r.schemas = make(map[uint64]struct{})
	}
	r.schemas[number] = struct{}{}
	r.begin(recordSchema, number)
	r.scratch = appendStrings(r.scratch, fields)
	r.put()
}

// rows appends a record of rows. It encodes each field as a column, because most columns are constant or whole
// numbers.
func (r *recorder) rows(handle, schema uint64, fields []string, rows []float64, times []int64) {
	if schema != 0 {
		r.schema(schema, fields)
	}
	r.begin(recordRows, handle)
	b := binary.AppendUvarint(r.scratch, schema)
	if schema == 0 {
		b = appendStrings(b, fields)
	}
	width := len(fields)
	b = binary.AppendUvarint(b, uint64(len(rows)/width))
	if times == nil {
		b = append(b, 0)
	} else {
		b = append(b, 1)
		last := int64(0)
		for _, t := range times {
			b = binary.AppendVarint(b, t-last)
			last = t
		}
	}
	for f := range width {
		b = appendColumn(b, rows, f, width)
	}
	r.scratch = b
	r.put()
	r.values += int64(len(rows))
}

// demoted appends a record that the summary of a field became a histogram.
func (r *recorder) demoted(handle uint64, field string) {
	r.begin(recordDemoted, handle)
	r.scratch = appendString(r.scratch, field)
	r.put()
}

// final appends a record that a bucket became final at an age of the store.
func (r *recorder) final(handle uint64, b Bucket, at int64) {
	r.begin(recordFinal, handle)
	r.scratch = appendString(r.scratch, b.Series)
	r.scratch = binary.AppendVarint(r.scratch, b.Start)
	r.scratch = binary.AppendUvarint(r.scratch, uint64(b.Revision))
	r.scratch = binary.AppendVarint(r.scratch, at)
	r.put()
}

// again appends a record that the row of a final bucket left again, at an age of the store.
func (r *recorder) again(series string, start, at int64) {
	r.begin(recordAgain, 0)
	r.scratch = appendString(r.scratch, series)
	r.scratch = binary.AppendVarint(r.scratch, start)
	r.scratch = binary.AppendVarint(r.scratch, at)
	r.put()
}

// joined appends a record of how many open buckets of an orphan were added.
func (r *recorder) joined(id string, done int) {
	r.begin(recordJoined, 0)
	r.scratch = appendString(r.scratch, id)
	r.scratch = binary.AppendUvarint(r.scratch, uint64(done))
	r.put()
}

// lent appends a record that another store has fields of an open bucket.
func (r *recorder) lent(handle uint64, fields []string) {
	r.begin(recordLent, handle)
	r.scratch = appendStrings(r.scratch, fields)
	r.put()
}

// loan appends a record of fields that another store had.
func (r *recorder) loan(number uint64, l Loan) {
	r.begin(recordLoan, number)
	r.scratch = appendString(r.scratch, l.Lender)
	r.scratch = binary.AppendUvarint(r.scratch, l.Handle)
	r.scratch = appendString(r.scratch, l.Series)
	r.scratch = binary.AppendVarint(r.scratch, l.Start)
	r.scratch = appendStrings(r.scratch, l.Fields)
	r.put()
}

// mark appends a record of a number only.
func (r *recorder) mark(kind byte, handle uint64) {
	r.begin(kind, handle)
	r.put()
}

// time appends the wall time and the age of the commit, and the ages of the last Pushes.
func (r *recorder) time(wall, age int64, p pushes) {
	r.scratch = append(r.scratch[:0], recordTime)
	for _, at := range []int64{wall, age, p.last, p.before} {
		r.scratch = binary.AppendVarint(r.scratch, at)
	}
	r.put()
}

// end appends a record that the run ended cleanly.
func (r *recorder) end() {
	r.scratch = append(r.scratch[:0], recordEnd)
	r.put()
}

// appendStrings appends strings in the format above.
func appendStrings(dst []byte, all []string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(all)))
	for _, s := range all {
		dst = appendString(dst, s)
	}
	return dst
}

// appendBucket appends the bucket without its empty summaries.
func appendBucket(dst []byte, b Bucket) []byte {
	dst = appendString(dst, b.Series)
	dst = binary.AppendVarint(dst, b.Start)
	dst = binary.AppendUvarint(dst, uint64(b.End)-uint64(b.Start))
	dst = binary.AppendUvarint(dst, uint64(b.Revision))
	dst = binary.AppendVarint(dst, b.Touched)
	return appendFields(dst, b)
}

// appendFields appends the fields whose summaries are not empty.
func appendFields(dst []byte, b Bucket) []byte {
	n := 0
	for i := range b.Summaries {
		if b.Summaries[i].Count() > 0 {
			n++
		}
	}
	dst = binary.AppendUvarint(dst, uint64(n))
	for i := range b.Summaries {
		if b.Summaries[i].Count() > 0 {
			dst = appendString(dst, b.Fields[i])
			dst = appendSummary(dst, &b.Summaries[i])
		}
	}
	return dst
}

// appendSummary appends the length of the encoded summary and the encoded summary. It encodes in place, with room for
// a length of 2 bytes, the most frequent, and moves the bytes if the length takes another number.
func appendSummary(dst []byte, s *stats.Summary) []byte {
	const room = 2
	at := len(dst)
	dst, _ = s.AppendBinary(append(dst, make([]byte, room)...)) // the error is always nil
	var length [binary.MaxVarintLen64]byte
	size := len(dst) - at - room
	n := binary.PutUvarint(length[:], uint64(size))
	if n > room {
		dst = append(dst, length[:n-room]...)
	}
	if n != room {
		copy(dst[at+n:], dst[at+room:at+room+size])
	}
	copy(dst[at:], length[:n])
	return dst[:at+n+size]
}

// skipStrings reads past what appendStrings has written.
func (d *decoder) skipStrings() {
	for range d.length(1) {
		d.bytes()
	}
}

// strings reads what appendStrings has written.
func (d *decoder) strings() []string {
	all := make([]string, d.length(1))
	for i := range all {
		all[i] = d.string()
	}
	return all
}

// bucket reads a bucket of a series whose key is known. Its summaries get the given exact limit.
func (d *decoder) bucket(series string, limit int) Bucket {
	d.bytes() // the key
	b := Bucket{Series: series, Start: d.varint()}
	b.End = int64(uint64(b.Start) + d.uvarint())
	b.Revision = d.whole()
	b.Touched = d.varint()
	d.fields(&b, limit)
	return b
}

// fields reads the fields and summaries of a bucket.
func (d *decoder) fields(b *Bucket, limit int) {
	n := d.length(2)
	if n == 0 {
		return
	}
	b.Fields = make([]string, n)
	b.Summaries = make([]stats.Summary, 0, min(n, 64)) // a summary takes 64 bytes, and an encoded one can take 2
	for i := range b.Fields {
		b.Fields[i] = d.string()
		encoded := d.bytes()
		if d.err != nil {
			return
		}
		b.Summaries = append(b.Summaries, stats.New(limit))
		if err := b.Summaries[i].UnmarshalBinary(encoded); err != nil {
			d.fail("field %q: %v", b.Fields[i], err)
			return
		}
	}
}

// fieldSums reads what appendFields has written, and returns the checksums of the names.
func (d *decoder) fieldSums() []uint32 {
	all := make([]uint32, d.length(2))
	for i := range all {
		all[i] = checksum(d.bytes())
		d.bytes() // the summary
	}
	return all
}

// rowBlocks are the rows of one or more records with the same fields.
type rowBlocks struct {
	values []float64 // column by column, one value of each row
	times  []int64   // one a row; nil if the rows have no times
	memory []int64   // of times
}

// make makes room for the rows of records of those sizes.
func (b *rowBlocks) make(sizes []int, width int, timed bool) {
	rows := 0
	for _, n := range sizes {
		rows += n
	}
	b.values = slices.Grow(b.values[:0], rows*width)[:rows*width]
	if b.times = nil; timed {
		b.memory = slices.Grow(b.memory[:0], rows)[:rows]
		b.times = b.memory
	}
}

// maxValues is the largest number of values of one record. A constant column takes few bytes for any number of rows,
// so the length of the input is no bound. An engine logs blocks of some dozens of rows.
const maxValues = 1 << 22

// rowsHead reads how many rows of that many fields a record has, and whether they have times. After an error, n is 0.
func (d *decoder) rowsHead(width int) (n int, timed bool) {
	size := d.uvarint()
	if d.err == nil && (width == 0 || size == 0 || size > maxValues/uint64(width)) {
		d.fail("%d rows of %d fields, want 1 to %d values", size, width, maxValues)
		return 0, false
	}
	if timed = d.byte() == 1; d.err != nil {
		return 0, false
	}
	return int(size), timed
}

// rows reads n rows of that many fields into b, from row at on: the times, if they have times, and a column for each field. After an error,
// these rows have no values.
func (d *decoder) rows(b *rowBlocks, at, n, width int) {
	if n == 0 {
		return
	}
	if b.times != nil {
		d.times(b.times[at : at+n])
	}
	rows := len(b.values) / width
	for i := at; i < len(b.values) && d.err == nil; i += rows {
		if n == 1 && d.short(&b.values[i]) {
			continue
		}
		d.column(b.values[i : i+n])
	}
	if d.err == nil {
		return
	}
	for i := at; i < len(b.values); i += rows {
		for k := range n {
			b.values[i+k] = math.NaN()
		}
	}
}

// times reads times. Each is encoded as its difference from the one before.
func (d *decoder) times(times []int64) {
	last := int64(0)
	for i := range times {
		last += d.varint()
		times[i] = last
	}
}

// loan reads the rest of a record of a loan.
func (d *decoder) loan(number uint64) Loan {
	return Loan{Number: number, Lender: d.string(), Handle: d.uvarint(), Series: d.string(), Start: d.varint(), Fields: d.strings()}
}

// lent reads the fields of a record of the kind lent. None means all.
func (d *decoder) lent() []string {
	if len(d.b) == 0 {
		return nil
	}
	return d.strings()
}

// finalRecord is a decoded record of a bucket that became final, or whose final rows left again.
type finalRecord struct {
	handle   uint64 // 0 if the rows left again
	series   string // its key
	start    int64  // nanoseconds since 1970
	revision int64  // of the final row; 0 if the rows left again
	at       int64  // age of the store when the row left
}

// final reads the rest of a record of a bucket that became final.
func (d *decoder) final(handle uint64) finalRecord {
	return finalRecord{handle: handle, series: d.string(), start: d.varint(), revision: d.whole(), at: d.varint()}
}

// again reads a record of a final bucket whose rows were emitted again. It has no handle and no revision.
func (d *decoder) again() finalRecord {
	return finalRecord{series: d.string(), start: d.varint(), at: d.varint()}
}
