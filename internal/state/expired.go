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
// A final bucket is removed after its retention. If nothing remained of it, a later value would begin it anew, and a row
// of that value alone would replace the right one. So the bolt bucket "expired" has a record for each series with removed
// buckets. The key is the first 16 bytes of the SHA-256 of the key of the series, and the value is
//
//	4 bytes   CRC32C, little endian, of the key and of what follows
//	varint    age of the store when a bucket of the series was removed last
//	uvarint   number of spans, and for each, ascending:
//	          uvarint, how far its start is above the end of the one before, modulo 2^64 (above 0 for the first);
//	          uvarint, its length
//
// A span covers removed buckets that follow each other without a gap, so a series that gets values all the time has one
// span. Buckets in a gap were never final and may still come.
const (
	expiredKeySize = 16
	// maxSpans is how many spans a record has at most. Beyond it the smallest gaps are closed: values for them are
	// late, which is counted; the other choice, to forget a span, would let them replace a right row.
	maxSpans = 1024
	// expiredLife is how long a record is kept after a bucket of its series was removed last.
	expiredLife = 366 * 24 * time.Hour
	// maxExpired is how many records there are at most: some 60 MB.
	maxExpired = 1 << 20
	// expiredBatch bounds the memory that the removal of a slot takes: for so many series, spans are collected at a time.
	expiredBatch = 100_000
)

var expiredBucket = []byte("expired")

// span is the time [start, end).
type span struct{ start, end int64 }

// spans are spans in ascending order with gaps between them.
type spans []span

// has reports whether a span contains that time.
func (s spans) has(at int64) bool {
	i, found := slices.BinarySearchFunc(s, at, func(e span, at int64) int { return cmp.Compare(e.start, at) })
	return found || i > 0 && at < s[i-1].end
}

// add returns the spans with another one, in their memory if it suffices. A span that ends before it starts counts as a
// single nanosecond.
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

// limit closes the smallest gaps so that there are no more spans than most.
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

// expiredKey is the key of a record.
type expiredKey [expiredKeySize]byte

func expiredKeyOf(series string) expiredKey {
	sum := sha256.Sum256([]byte(series))
	return expiredKey(sum[:])
}

func encodeExpired(key expiredKey, age int64, all spans) []byte {
	v := make([]byte, 4, 32)
	v = binary.AppendVarint(v, age)
	v = binary.AppendUvarint(v, uint64(len(all)))
	last := int64(0)
	for _, s := range all {
		v = binary.AppendUvarint(v, uint64(s.start)-uint64(last))
		v = binary.AppendUvarint(v, uint64(s.end)-uint64(s.start))
		last = s.end
	}
	binary.LittleEndian.PutUint32(v, checksum(append(key[:], v[4:]...)))
	return v
}

// decodeExpired returns the age and the spans of a record.
func decodeExpired(key, value []byte) (age int64, all spans, err error) {
	if len(key) != expiredKeySize || len(value) < 4 || checksum(slices.Concat(key, value[4:])) != binary.LittleEndian.Uint32(value) {
		return 0, nil, fmt.Errorf("%w: no record of expired buckets", errFormat)
	}
	d := decoder{b: value[4:]}
	age = d.varint()
	all = make(spans, d.length(2))
	last := int64(0)
	for i := range all {
		start := int64(uint64(last) + d.uvarint())
		last = int64(uint64(start) + d.uvarint())
		all[i] = span{start, last}
	}
	return age, all, d.end()
}

// expired are spans by series.
type expired map[expiredKey]spans

func (e expired) add(key expiredKey, s span) { e[key] = e[key].add(s) }

// put merges the spans into the records of the database.
func (e expired) put(tx *bbolt.Tx, age int64) error {
	if len(e) == 0 {
		return nil
	}
	b, err := tx.CreateBucketIfNotExists(expiredBucket)
	if err != nil {
		return err
	}
	for _, key := range slices.SortedFunc(maps.Keys(e), func(a, b expiredKey) int { return bytes.Compare(a[:], b[:]) }) {
		all := e[key]
		if before := b.Get(key[:]); before != nil {
			_, more, _ := decodeExpired(key[:], before) // a damaged one has no spans
			for _, s := range more {
				all = all.add(s)
			}
		}
		all = all.limit(maxSpans)
		if err := b.Put(key[:], encodeExpired(key, age, all)); err != nil {
			return err
		}
	}
	return nil
}

// removeSlot removes the buckets of a slot, of which records remain, and returns how many there were. It can be repeated
// after an error.
func (f *finals) removeSlot(slot, age int64) (n int, err error) {
	name := orderedBytes(slot)
	err = guard(func() error {
		for from := []byte(nil); ; {
			found, seen, next, err := f.collectExpired(name, from)
			if err != nil {
				return err
			}
			n += seen
			f.noteExpired(found) // before the buckets are gone, so that Find does not miss them
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

// noteExpired raises expiredEnd to the largest end of the spans.
func (f *finals) noteExpired(all expired) {
	end := f.expiredEnd.Load()
	for _, s := range all {
		end = max(end, s[len(s)-1].end)
	}
	f.expiredEnd.Store(end)
}

// collectExpired returns the spans of the buckets of a slot, n buckets from that key on. next is the key to go on with, or
// nil at the end.
func (f *finals) collectExpired(slot, from []byte) (found expired, n int, next []byte, err error) {
	found = make(expired)
	err = f.db.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket(slot)
		if b == nil {
			return nil
		}
		c := b.Cursor()
		for key, value := c.Seek(from); key != nil; key, value = c.Next() {
			if len(found) >= expiredBatch {
				next = bytes.Clone(key)
				return nil
			}
			n++
			found.add(expiredOf(key, value))
		}
		return nil
	})
	return found, n, next, err
}

// expiredOf returns the key of the record and the span for a final bucket in the database.
func expiredOf(key, value []byte) (expiredKey, span) {
	at := span{start: orderedInt(key)}
	if d, err := checkFinal(key, value); err == nil {
		at.end = d.finalHead().End
	}
	if key = key[8:]; len(key) == 1+sha256.Size && key[0] == 0xff {
		return expiredKey(key[1:]), at
	}
	return expiredKeyOf(string(key)), at
}

// hasExpired reports whether a bucket of the series with that start was removed after its retention.
func (f *finals) hasExpired(series string, start int64) (found bool, err error) {
	key := expiredKeyOf(series)
	err = guard(func() error {
		return f.db.View(func(tx *bbolt.Tx) error {
			b := tx.Bucket(expiredBucket)
			if b == nil {
				return nil
			}
			value := b.Get(key[:])
			if value == nil {
				return nil
			}
			_, all, err := decodeExpired(key[:], value)
			found = all.has(start)
			return err
		})
	})
	return found, err
}

// loadExpired reads the largest end of the spans of all records.
func (f *finals) loadExpired(tx *bbolt.Tx) error {
	f.expiredEnd.Store(math.MinInt64)
	b := tx.Bucket(expiredBucket)
	if b == nil {
		return nil
	}
	return b.ForEach(func(key, value []byte) error {
		if _, all, err := decodeExpired(key, value); err == nil && len(all) > 0 {
			f.noteExpired(expired{expiredKey(key): all})
		}
		return nil
	})
}

// forgetExpired removes the records whose life is over, and the oldest of those beyond most. It returns how many of the
// latter there were.
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
				err = errors.Join(err, b.Delete(r.key[:]))
			}
			return err
		})
	})
	return early, err
}

// absent is Find for a bucket that is not there: it may have been removed after its retention.
func (s *Store) absent(series string, start int64) error {
	if start >= s.finals.expiredEnd.Load() {
		return nil
	}
	found, err := s.finals.hasExpired(series, start)
	switch {
	case err != nil:
		return fmt.Errorf("state %q: %w", s.finals.path, err)
	case found:
		return ErrExpired
	}
	return nil
}
