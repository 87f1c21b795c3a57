package state

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"go.etcd.io/bbolt"
)

// Expired buckets
//
// A final bucket is removed after its retention. A later value for it must not begin a new bucket, because a row of
// that value alone would replace the right one. So the bolt bucket "expired" has a record for each series with
// removed buckets. The key is the first 16 bytes of the SHA-256 of the key of the series. The id of another store follows if the
// buckets are those of that store: see Expire. The value is
//
//	4 bytes   CRC32C, little endian, of the key and of what follows
//	varint    age of the store when a bucket of the series was removed last
//	uvarint   number of spans, and for each, ascending:
//	          uvarint, how far its start is above the end of the one before, modulo 2^64 (above 0 for the first);
//	          uvarint, its length
//	uvarint   the largest revision of the buckets
//	uvarint   number of fields, or 0 for every field, and for each, ascending:
//	          4 bytes, CRC32C of its name, little endian
//	          if not all buckets had the same fields, for each era, ascending, up to the end of the value:
//	          uvarint, how far its begin is above that of the one before, modulo 2^64 (of the first: 0);
//	          1 byte, 0 if its fields are not known, 1 for every field, or else the number of bytes that follow, plus 1;
//	          a bit for each of the fields above, from the lowest bit of the first byte, 1 if the era has the field
//
// A span covers removed buckets that follow each other without a gap, so a series that gets values all the time has
// one span. Buckets in a gap were never final and may still be opened.
//
// The revision and the fields are for other stores, which have other fields of the series or other revisions of its buckets: see Latest.
// The revision is that of all buckets in the record. The fields of a series change seldom, as when filters change, so the record has them by
// eras: buckets that follow each other and had the same fields are one era, whatever gaps are between them. For example:
//
//	buckets   u v   u v         u     u     u     u v
//	eras      └ u v from −∞ ──┘ └ u ──────────┘ └ u v ─▶
//
// A record of an older version of this program ends with the spans, or with the fields of all its buckets.
const (
	expiredKeySize = 16
	// maxSpans is the largest number of spans of a record. Beyond it, the smallest gaps are closed, so values for
	// buckets in these gaps are late and counted. The alternative, to drop a span, would be worse: values for its
	// buckets would replace right rows.
	maxSpans = 1024
	// maxRemovedFields is the largest number of fields of a record. Beyond it, the record counts for every field.
	maxRemovedFields = 256
	// maxEras is the largest number of eras of a record. Beyond it, the two oldest become one, with the fields of both, so some values for
	// old buckets are late in other stores although they need not be. It bounds the record of a series whose fields differ from bucket to
	// bucket: such a record takes 16 times 7 bytes more.
	maxEras = 16
	// expiredLife is how long a record is kept after the last removal of a bucket of its series.
	expiredLife = 366 * 24 * time.Hour
	// maxExpired is the largest number of records, which take about 60 MB, and 4 MB more for each field of a series.
	maxExpired = 1 << 20
	// expiredBatch and expiredEras bound the memory of the removal of a slot: they are the number of series whose spans are collected at
	// a time, and that of the eras of all of them. An era with 200 fields takes 800 bytes, unless another one of the series has the same.
	expiredBatch = 100_000
	expiredEras  = 200_000
)

// expiredBucket is the name of the bolt bucket with the records.
var expiredBucket = []byte("expired")

// span is the time [start, end), in nanoseconds since 1970. The end is above the start, except in the argument of add.
type span struct{ start, end int64 }

// spans are spans in ascending order with gaps between them: an end is always below the next start, so that has can search by start.
type spans []span

// has reports whether a span contains the time at.
func (s spans) has(at int64) bool {
	i, found := slices.BinarySearchFunc(s, at, func(e span, at int64) int { return cmp.Compare(e.start, at) })
	return found || i > 0 && at < s[i-1].end
}

// add returns the spans with a added, in the same memory if it suffices. A span that ends before it starts counts as
// a single nanosecond.
func (s spans) add(a span) spans {
	if a.end <= a.start {
		a.end = a.start + 1
	}
	from, _ := slices.BinarySearchFunc(s, a.start, func(e span, start int64) int { return cmp.Compare(e.end, start) })
	to := from
	for ; to < len(s) && s[to].start <= a.end; to++ {
		a.start, a.end = min(a.start, s[to].start), max(a.end, s[to].end)
	}
	return slices.Replace(s, from, to, a)
}

// limit closes the smallest gaps, so that at most most spans remain.
func (s spans) limit(most int) spans {
	for len(s) > most {
		smallest, size := 1, uint64(math.MaxUint64)
		for i := 1; i < len(s); i++ {
			if gap := uint64(s[i].start) - uint64(s[i-1].end); gap < size {
				smallest, size = i, gap
			}
		}
		s[smallest-1].end = s[smallest].end
		s = slices.Delete(s, smallest, smallest+1)
	}
	return s
}

// fieldSet has the checksums of names of fields, ascending. Two names with the same checksum are one field, so a value of the wrong one is
// late. nil means that the fields are not known, and an empty set that is not nil means every field.
type fieldSet []uint32

// newFieldSet returns the set of checksums in any order, in the same memory. It is that of every field if there are too many.
func newFieldSet(sums []uint32) fieldSet {
	slices.Sort(sums)
	if sums = slices.Compact(sums); len(sums) > maxRemovedFields {
		return fieldSet{}
	}
	return sums
}

// has reports whether the field is known to be in the set.
func (f fieldSet) has(name string) bool {
	if f == nil {
		return false
	}
	_, found := slices.BinarySearch(f, checksum([]byte(name)))
	return found || len(f) == 0
}

// with returns the fields of both sets that are known.
func (f fieldSet) with(o fieldSet) fieldSet {
	switch {
	case f == nil || o != nil && len(o) == 0:
		return o
	case o == nil || len(f) == 0 || slices.Equal(f, o):
		return f
	}
	both := newFieldSet(slices.Concat(f, o))
	switch len(both) {
	case len(f): // has all of them, so no other memory is needed
		return f
	case len(o):
		return o
	}
	return both
}

// or returns the fields that one of two buckets had: every field if those of only one of them are known.
func (f fieldSet) or(o fieldSet) fieldSet {
	if (f == nil) != (o == nil) {
		return fieldSet{}
	}
	return f.with(o)
}

// equal reports whether both sets are known and have the same fields, or both are not known.
func (f fieldSet) equal(o fieldSet) bool { return (f == nil) == (o == nil) && slices.Equal(f, o) }

// The sets of an era that have no bits. A larger number is that of the bytes with bits, plus one.
const (
	unknownFields = 0
	everyField    = 1
)

// appendBits appends the set in the format of an era. all has the fields of f, unless f has every field.
func (f fieldSet) appendBits(dst []byte, all fieldSet) []byte {
	switch {
	case f == nil:
		return append(dst, unknownFields)
	case len(f) == 0:
		return append(dst, everyField)
	}
	size := (len(all) + 7) / 8
	dst = append(dst, byte(everyField+size))
	at := len(dst)
	dst = append(dst, make([]byte, size)...)
	for _, field := range f {
		i, _ := slices.BinarySearch(all, field)
		dst[at+i/8] |= 1 << (i % 8)
	}
	return dst
}

// fieldBits reads what appendBits has written.
func (d *decoder) fieldBits(all fieldSet) fieldSet {
	kind, size := d.byte(), (len(all)+7)/8
	switch {
	case d.err != nil || kind == unknownFields:
		return nil
	case kind == everyField:
		return fieldSet{}
	case int(kind) != everyField+size || len(d.b) < size:
		d.fail("an era with %d bytes for %d fields", kind-everyField, len(all))
		return nil
	}
	f := make(fieldSet, 0, len(all))
	for i, field := range all {
		if d.b[i/8]&(1<<(i%8)) != 0 {
			f = append(f, field)
		}
	}
	if d.b = d.b[size:]; len(f) == 0 {
		d.fail("an era without a field")
	}
	return f
}

// removed describes removed buckets of a series, as a record does.
type removed struct {
	spans    spans
	revision int64 // not below that of any of the buckets
	eras     []era // ascending; the first one is from math.MinInt64. None if there are no buckets
}

// era has the fields of the removed buckets that start at a time or later, but before the next era.
type era struct {
	from   int64    // nanoseconds since 1970
	fields fieldSet // that the buckets had
}

// removedBuckets returns removed buckets with the same fields.
func removedBuckets(at span, revision int64, fields fieldSet) removed {
	return removed{spans: spans{at}, revision: revision, eras: []era{{math.MinInt64, fields}}}
}

// at returns the fields of the removed bucket that contains the time. ok is false if there is none.
func (r *removed) at(time int64) (fields fieldSet, ok bool) {
	if !r.spans.has(time) {
		return nil, false
	}
	i, found := slices.BinarySearchFunc(r.eras, time, func(e era, time int64) int { return cmp.Compare(e.from, time) })
	if !found {
		i--
	}
	return r.eras[i].fields, true
}

// add adds buckets of the same series. A bucket that is in both has the fields of both.
func (r *removed) add(o removed) {
	switch {
	case len(o.spans) == 0:
		return
	case len(r.spans) == 0:
		r.eras = o.eras
	case r.continues(&o):
	case len(o.eras) == 1 && o.spans[0].start >= r.spans[len(r.spans)-1].end: // as in the order of the database
		r.eras = limitEras(append(r.eras, era{o.spans[0].start, r.shared(o.eras[0].fields)}))
	default:
		r.eras = r.erasWith(&o)
	}
	for _, s := range o.spans {
		r.spans = r.spans.add(s)
	}
	r.revision = max(r.revision, o.revision)
}

// continues reports whether the buckets of o have the fields of the last era of r and belong to it, as mostly.
func (r *removed) continues(o *removed) bool {
	last := r.eras[len(r.eras)-1]
	return len(o.eras) == 1 && o.spans[0].start >= last.from && last.fields.equal(o.eras[0].fields)
}

// shared returns the set in the memory of an era that has the same fields, if there is one.
func (r *removed) shared(f fieldSet) fieldSet {
	for _, e := range r.eras {
		if e.fields.equal(f) {
			return e.fields
		}
	}
	return f
}

// erasWith returns the eras of the buckets of both. It takes time for each of their spans.
func (r *removed) erasWith(o *removed) (all []era) {
	var cuts []int64 // the times at which the fields can change
	for _, part := range []*removed{r, o} {
		for _, s := range part.spans {
			cuts = append(cuts, s.start, s.end)
		}
		for _, e := range part.eras {
			cuts = append(cuts, e.from)
		}
	}
	slices.Sort(cuts)
	for _, time := range slices.Compact(cuts) {
		fields, ok := r.at(time)
		others, there := o.at(time)
		switch {
		case !ok && !there:
			continue
		case !ok:
			fields = others
		case there:
			fields = fields.with(others)
		}
		if len(all) == 0 || !all[len(all)-1].fields.equal(fields) {
			all = append(all, era{time, fields})
		}
	}
	return limitEras(all)
}

// limitEras makes the oldest eras one, so that at most maxEras remain, and begins the first one at the lowest time.
func limitEras(all []era) []era {
	for len(all) > maxEras || len(all) > 1 && all[0].fields.equal(all[1].fields) {
		all[1].fields = all[0].fields.or(all[1].fields)
		all = all[1:]
	}
	if len(all) > 0 {
		all[0].from = math.MinInt64
	}
	return all
}

// known returns the fields of all eras whose fields are known, and which do not have every field. ok is false if there are too many.
func (r *removed) known() (fields fieldSet, ok bool) {
	for _, e := range r.eras {
		if len(e.fields) > 0 {
			fields = fields.with(e.fields)
		}
	}
	return fields, fields == nil || len(fields) > 0
}

// expiredKey is the key of a record. It begins with a hash of constant size, because there may be a million of them, and two series with
// the same first 16 bytes of a SHA-256 are not to be expected.
type expiredKey string

// expiredKeyOf returns the key of the record of a series.
func expiredKeyOf(series string) expiredKey {
	sum := sha256.Sum256([]byte(series))
	return expiredKey(sum[:expiredKeySize])
}

// store returns the id of the store that had the buckets of a record, or "" for the store with the record.
func (k expiredKey) store() string { return string(k[expiredKeySize:]) }

// encodeExpired returns the value of a record, in the format above.
func encodeExpired(key expiredKey, age int64, r removed) []byte {
	fields, ok := r.known()
	if !ok {
		r.eras = []era{{math.MinInt64, fieldSet{}}}
	}
	v := make([]byte, 4, 32+4*len(fields))
	v = binary.AppendVarint(v, age)
	v = binary.AppendUvarint(v, uint64(len(r.spans)))
	last := int64(0)
	for _, s := range r.spans {
		v = binary.AppendUvarint(v, uint64(s.start)-uint64(last))
		v = binary.AppendUvarint(v, uint64(s.end)-uint64(s.start))
		last = s.end
	}
	if len(r.eras) > 1 || len(r.eras) == 1 && r.eras[0].fields != nil {
		v = binary.AppendUvarint(v, uint64(r.revision))
		v = appendEras(v, r.eras, fields)
	}
	binary.LittleEndian.PutUint32(v, checksum(append([]byte(key), v[4:]...)))
	return v
}

// appendEras appends the fields and, if there are several, the eras.
func appendEras(v []byte, eras []era, fields fieldSet) []byte {
	v = binary.AppendUvarint(v, uint64(len(fields)))
	for _, field := range fields {
		v = binary.LittleEndian.AppendUint32(v, field)
	}
	if len(eras) == 1 {
		return v
	}
	last := int64(math.MinInt64)
	for _, e := range eras {
		v = binary.AppendUvarint(v, uint64(e.from)-uint64(last))
		v = e.fields.appendBits(v, fields)
		last = e.from
	}
	return v
}

// decodeExpired returns the age and the buckets of a record.
func decodeExpired(key, value []byte) (age int64, r removed, err error) {
	if len(key) < expiredKeySize || len(value) < 4 || checksum(slices.Concat(key, value[4:])) != binary.LittleEndian.Uint32(value) {
		return 0, removed{}, fmt.Errorf("%w: no record of expired buckets", errFormat)
	}
	d := decoder{b: value[4:]}
	age = d.varint()
	r.spans = make(spans, d.length(2))
	last := int64(0)
	for i := range r.spans {
		start := int64(uint64(last) + d.uvarint())
		last = int64(uint64(start) + d.uvarint())
		r.spans[i] = span{start, last}
	}
	r.eras = d.eras(&r.revision)
	if err := d.end(); err != nil {
		return 0, removed{}, err
	}
	return age, r, nil
}

// eras reads the rest of a record of expired buckets.
func (d *decoder) eras(revision *int64) []era {
	if len(d.b) == 0 { // of an older version
		return []era{{from: math.MinInt64}}
	}
	*revision = d.whole()
	fields := make(fieldSet, d.length(4))
	for i := range fields {
		if fields[i] = d.uint32(); i > 0 && fields[i] <= fields[i-1] {
			d.fail("fields that do not ascend")
		}
	}
	if len(fields) > maxRemovedFields {
		d.fail("%d fields, want at most %d", len(fields), maxRemovedFields)
	}
	if len(d.b) == 0 {
		return []era{{math.MinInt64, fields}}
	}
	var all []era
	for last := int64(math.MinInt64); len(d.b) > 0; {
		last = int64(uint64(last) + d.uvarint())
		all = append(all, era{last, d.fieldBits(fields)})
	}
	if all[0].from != math.MinInt64 || !slices.IsSortedFunc(all, func(a, b era) int { return cmp.Compare(a.from, b.from) }) {
		d.fail("eras that do not ascend")
	}
	return all
}

// expired are removed buckets by series.
type expired map[expiredKey]removed

// add adds removed buckets of a series.
func (e expired) add(key expiredKey, r removed) {
	all := e[key]
	all.add(r)
	e[key] = all
}

// put merges the buckets into the records of the database. age is the current age of the store. It writes in the order of the keys, which
// is the order of the pages of the database.
func (e expired) put(tx *bbolt.Tx, age int64) error {
	if len(e) == 0 {
		return nil
	}
	b, err := tx.CreateBucketIfNotExists(expiredBucket)
	if err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(e)) {
		all := e[key]
		if before := b.Get([]byte(key)); before != nil {
			_, more, _ := decodeExpired([]byte(key), before) // a damaged record has no buckets
			all.add(more)
		}
		all.spans = all.spans.limit(maxSpans)
		if err := b.Put([]byte(key), encodeExpired(key, age, all)); err != nil {
			return err
		}
	}
	return nil
}

// removeSlot removes the buckets of a slot, after it has recorded them as expired, and returns their number. It can
// be repeated after an error.
func (f *finals) removeSlot(slot, age int64) (n int, err error) {
	name := orderedBytes(slot)
	err = guard(func() error {
		for from := []byte(nil); ; {
			found, seen, next, err := f.collectExpired(name, from)
			if err != nil {
				return err
			}
			n += seen
			f.noteExpired(found) // before the buckets are removed, so that Find never misses one
			err = f.db.Update(func(tx *bbolt.Tx) error {
				if err := found.put(tx, age); err != nil || next != nil || tx.Bucket(name) == nil {
					return err
				}
				return tx.DeleteBucket(name)
			})
			if from = next; err != nil || next == nil {
				return err
			}
		}
	})
	return n, err
}

// noteExpired raises expiredEnd to the largest end of the spans. It never lowers it: a bucket that starts later has not expired, so
// most new buckets need no lookup.
func (f *finals) noteExpired(all expired) {
	end := f.expiredEnd.Load()
	for _, r := range all {
		end = max(end, r.spans[len(r.spans)-1].end)
	}
	f.expiredEnd.Store(end)
}

// collectExpired returns n buckets of a slot, beginning with the key from. next is the key to continue
// with, or nil at the end of the slot.
func (f *finals) collectExpired(slot, from []byte) (found expired, n int, next []byte, err error) {
	found = make(expired)
	eras := 0
	err = f.db.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket(slot)
		if b == nil {
			return nil
		}
		c := b.Cursor()
		for key, value := c.Seek(from); key != nil; key, value = c.Next() {
			if len(found) >= expiredBatch || eras >= expiredEras {
				next = bytes.Clone(key)
				return nil
			}
			n++
			series, r := expiredOf(key, value)
			before := len(found[series].eras)
			found.add(series, r)
			eras += len(found[series].eras) - before
		}
		return nil
	})
	return found, n, next, err
}

// expiredOf returns the key of the record for a final bucket in the database, and what the record has of it. Of a damaged bucket, only the
// start is known.
func expiredOf(key, value []byte) (expiredKey, removed) {
	at := span{start: orderedInt(key)}
	at.end = at.start + 1 // unless the bucket can be read
	var revision int64
	var had fieldSet
	if d, err := checkFinal(key, value); err == nil {
		b := d.finalHead()
		fields := d.fieldSums()
		if value[0] == keptVersion {
			for range d.length(3) {
				d.whole()
				d.varint()
				fields = append(fields, d.fieldSums()...)
			}
		}
		at.end, revision, had = b.End, b.Revision, newFieldSet(fields)
	}
	r := removedBuckets(at, revision, had)
	if key = key[8:]; len(key) == 1+sha256.Size && key[0] == 0xff {
		return expiredKey(key[1 : 1+expiredKeySize]), r
	}
	return expiredKeyOf(string(key)), r
}

// removal is what a record has about a bucket that was removed.
type removal struct {
	revision int64    // not below that of the bucket
	fields   fieldSet // that the bucket may have had
	own      bool     // whether the store had the bucket itself, not one that it has joined
	otherEnd bool     // whether the bucket may have had another end; relative.find sets it
}

// removals returns what there is about buckets of the series with that start that were removed after their retention, from this store or
// from one for whose id gone returns true.
func (f *finals) removals(series string, start int64, gone func(id string) bool) (found []removal, err error) {
	prefix := []byte(expiredKeyOf(series))
	err = guard(func() error {
		return f.db.View(func(tx *bbolt.Tx) error {
			b := tx.Bucket(expiredBucket)
			if b == nil {
				return nil
			}
			c := b.Cursor()
			for key, value := c.Seek(prefix); bytes.HasPrefix(key, prefix); key, value = c.Next() {
				_, r, bad := decodeExpired(key, value)
				fields, ok := r.at(start)
				if id := expiredKey(key).store(); ok && (id == "" || gone(id)) {
					found = append(found, removal{revision: r.revision, fields: fields, own: id == ""})
				}
				err = errors.Join(err, bad)
			}
			return err
		})
	})
	return found, err
}

// loadExpired sets expiredEnd to the largest end of a span in all records.
func (f *finals) loadExpired(tx *bbolt.Tx) error {
	f.expiredEnd.Store(math.MinInt64)
	b := tx.Bucket(expiredBucket)
	if b == nil {
		return nil
	}
	return b.ForEach(func(key, value []byte) error {
		if _, r, err := decodeExpired(key, value); err == nil && len(r.spans) > 0 {
			f.noteExpired(expired{expiredKey(key): r})
		}
		return nil
	})
}

// forgetExpired removes the records that are older than expiredLife, and then the oldest ones until at most most
// remain. It returns how many were removed although they were not too old.
func (f *finals) forgetExpired(age int64, most int) (early int, err error) {
	type record struct {
		key expiredKey
		age int64
	}
	var all []record
	err = guard(func() error {
		return f.db.Update(func(tx *bbolt.Tx) error {
			b := tx.Bucket(expiredBucket)
			if b == nil {
				return nil
			}
			c := b.Cursor()
			for key, value := c.First(); key != nil; key, value = c.Next() {
				at, _, err := decodeExpired(key, value)
				if err == nil {
					all = append(all, record{expiredKey(key), at})
				}
			}
			slices.SortFunc(all, func(a, b record) int { return cmp.Compare(a.age, b.age) })
			old, _ := slices.BinarySearchFunc(all, age-int64(expiredLife), func(r record, at int64) int { return cmp.Compare(r.age, at) })
			early = max(len(all)-most-old, 0)
			for _, r := range all[:old+early] {
				err = errors.Join(err, b.Delete([]byte(r.key)))
			}
			return err
		})
	})
	return early, err
}

// removals returns what there is about buckets of the series with that start that were removed after their retention.
func (s *Store) removals(series string, start int64) ([]removal, error) {
	if start >= s.finals.expiredEnd.Load() {
		return nil, nil
	}
	found, err := s.finals.removals(series, start, s.isGone)
	if err != nil {
		return nil, fmt.Errorf("state %q: %w", s.finals.path, err)
	}
	return found, nil
}
