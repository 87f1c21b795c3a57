package state

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
)

// Final buckets
//
// The file "finals.db" is a bbolt database. A final bucket is in the bolt bucket of a slot: 8 bytes, the age of the
// store (see clock) at which the slot ends, big endian with the sign bit flipped. The bucket became final before that
// age. A slot is removed as a whole, which is fast, when its end is older than the retention. expired.go describes
// the records of removed buckets.
//
// Its key is
//
//	8 bytes   start, big endian with the sign bit flipped
//	          the key of the series, or 0xff and the SHA-256 of it if that is longer than 1,024 bytes
//
// and its value
//
//	1 byte    version: 1, or 2 with earlier fields
//	4 bytes   CRC32C, little endian, of the key and of what follows
//	varint    start
//	uvarint   how far the end is above the start, modulo 2^64
//	uvarint   revision
//	varint    wall time of the last value
//	varint    age of the store when its final row left
//	uvarint   handle: the later a bucket opened, the larger
//	string    series
//	uvarint   number of fields, and for each, string name, string summary (see record.go)
//	uvarint   in version 2, the number of earlier revisions, and for each, uvarint revision, varint wall time of the last value,
//	          and its fields, as above
//
// The earlier fields are those of earlier revisions that this one lacks, because another store has got their values since. They are kept
// until the bucket is removed: if a crash loses the bucket of the other store, nothing else has these values. Readers take each field
// from its newest revision, so they count no longer when the other store has saved a later one.
//
// The bolt bucket "meta" has numbers: "stored" is that of a commit, and all buckets that became final in it or before
// are in the database; "handle" is not below any handle in it; "age" and "wall" are the age of the store and the wall time
// as of the last transaction; "id" is the id of the store, see loans.go. A number is 8 bytes, big endian, and their CRC32C, 4 bytes, little
// endian.
const (
	finalsFile   = "finals.db"
	finalVersion = 1
	keptVersion  = 2    // with earlier fields
	maxSeriesKey = 1024 // bytes; bbolt allows 32,768
	// maxBatch and batchBytes bound the final buckets of one transaction, and the bytes of their values: bbolt holds all pages that a
	// transaction changes in memory, and the writer the buckets.
	maxBatch   = 10_000
	batchBytes = 32 << 20
	// fillPercent is the share of a page that bbolt fills when it splits pages. It is high because most buckets are
	// written in the order of their keys: one start after another, and the series of one start in one or a few
	// transactions.
	fillPercent = 0.9
	// maxScratch bounds the memory that is kept for encoding the next final bucket.
	maxScratch = 1 << 20
)

// The bolt bucket with the numbers, and the keys of these: see the format above.
var (
	metaBucket = []byte("meta")
	storedKey  = []byte("stored")
	handleKey  = []byte("handle")
	ageKey     = []byte("age")
	wallKey    = []byte("wall")
	idKey      = []byte("id")
)

// errDamaged is wrapped by errors about a database with damaged pages.
var errDamaged = errors.New("database is damaged")

// final is a bucket that became final and is not in the database yet.
//
// Whoever needs the value first encodes it, the next Commit or a reader: see encode. Then it waits for its commit to be durable, and
// for the transaction that stores it.
type final struct {
	handle     *handle // the bucket while it was open; its number is stored
	series     string  // its key
	start, end int64   // nanoseconds since 1970
	// commit is that of the record that it became final. The bucket may be stored when this commit is durable. 0 means that
	// the log lacks the record, so it may be stored at once.
	commit  uint64
	slot    int64  // the end of its slot
	at      int64  // age of the store when it became final
	bucket  Bucket // until it is encoded
	encoded bool   // whether value was made, also if it was dropped since
	value   []byte // nil before it is encoded, and if it was dropped
	before  *final // until it is encoded: the version before this one, if that was not in the database yet
}

// newFinal returns a bucket that becomes final in a commit, at an age of the store.
func (s *Store) newFinal(h *handle, b Bucket, commit uint64, at int64) *final {
	h.correct(&b)
	return &final{
		handle: h, series: b.Series, start: b.Start, end: b.End, commit: commit, slot: s.finals.slotOf(s.clock.time()), at: at, bucket: b,
	}
}

// finals is the database of final buckets. It may be read and written concurrently: bbolt lets one goroutine write at a time. The
// starts of its buckets are in memory, but not their series, so a new bucket with a new start needs no lookup.
type finals struct {
	db     *bbolt.DB         // nil while it is closed
	path   string            // of the file
	width  int64             // of new slots, nanoseconds; slots of an earlier run may have another
	starts map[int64][]int64 // slots that have buckets with that start, guarded by Store.mu
	slots  []int64           // ascending, guarded by Store.mu
	stored uint64            // see the key "stored", as of Open
	handle uint64            // see the key "handle", as of Open
	age    int64             // of the store, as of the end of the last run; 0 if it is new
	wall   int64             // wall time of that
	id     uint64            // of the store; 0 if the database does not have it
	// expiredEnd is not below the end of any bucket that was removed after its retention.
	expiredEnd atomic.Int64
}

// slotWidth returns the length of slots for a retention. It is much shorter than the retention, so that buckets are
// not kept much longer.
func slotWidth(retention time.Duration) int64 {
	return int64(min(max(retention/4, time.Minute), 24*time.Hour))
}

// slotOf returns the end of the slot for a bucket that becomes final at the given age of the store. age is not
// negative and at most about maxAge, so the result does not overflow.
func (f *finals) slotOf(age int64) int64 { return age - age%f.width + f.width }

// orderedBytes returns 8 bytes that are in the order of the numbers.
func orderedBytes(v int64) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(v)^1<<63)
}

// orderedInt returns the number of the first 8 bytes of b, as orderedBytes has encoded it.
func orderedInt(b []byte) int64 {
	return int64(binary.BigEndian.Uint64(b) ^ 1<<63)
}

// finalKey returns the key of a final bucket. Long series keys are hashed, because bbolt limits the length of keys.
func finalKey(series string, start int64) []byte {
	key := append(make([]byte, 0, 8+len(series)), orderedBytes(start)...)
	if len(series) <= maxSeriesKey {
		return append(key, series...)
	}
	sum := sha256.Sum256([]byte(series))
	return append(append(key, 0xff), sum[:]...)
}

// encode sets the value of a final bucket, unless it is set. The caller must not hold s.mu: adding values would have to
// wait for it.
func (s *Store) encode(f *final) {
	s.encoding.Lock()
	defer s.encoding.Unlock()
	s.encodeLocked(f)
}

// encodeLocked is encode for a caller that has locked encoding.
func (s *Store) encodeLocked(f *final) {
	if f.encoded {
		return
	}
	kept := s.lacking(f)
	s.scratch = appendFinal(s.scratch[:0], f.bucket, kept, f.handle.number, f.at)
	value := bytes.Clone(s.scratch) // has no spare memory
	if cap(s.scratch) > maxScratch {
		s.scratch = nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f.value, f.bucket, f.encoded, f.before = value, Bucket{}, true, nil
}

// lacking returns the fields of earlier revisions that a final bucket lacks, one bucket for each revision. The caller has locked encoding.
func (s *Store) lacking(f *final) (kept []Bucket) {
	if f.bucket.Revision == 0 {
		return nil
	}
	earlier, ok, err := s.previous(f)
	switch {
	case err != nil:
		s.mu.Lock()
		s.stats.LostBuckets++
		s.mu.Unlock()
		s.warn("a changed final bucket may have lost the fields that only its earlier revisions had: %s: %v", finalID{f.series, f.start}, err)
		return nil
	case !ok:
		return nil
	}
	has := make(map[string]bool)
	for i, field := range f.bucket.Fields {
		has[field] = f.bucket.Summaries[i].Count() > 0
	}
	for _, b := range append([]Bucket{earlier.Bucket}, earlier.kept...) {
		rest := Bucket{Revision: b.Revision, Touched: b.Touched}
		for i, field := range b.Fields {
			if !has[field] {
				rest.Fields, rest.Summaries = append(rest.Fields, field), append(rest.Summaries, b.Summaries[i])
			}
		}
		if len(rest.Fields) > 0 {
			kept = append(kept, rest)
		}
	}
	return kept
}

// previous returns the version of a final bucket that it will replace. ok is false if there is none.
func (s *Store) previous(f *final) (b storedFinal, ok bool, err error) {
	key := finalKey(f.series, f.start)
	var value []byte
	if f.before != nil {
		s.encodeLocked(f.before)
		s.mu.Lock()
		value = f.before.value // nil if it was dropped, which was counted
		s.mu.Unlock()
	} else {
		s.mu.Lock()
		slots := s.finals.starts[f.start]
		s.mu.Unlock()
		if len(slots) > 0 {
			value, err = s.finals.get(key, slots)
		}
	}
	if err != nil || value == nil {
		return b, false, err
	}
	b, err = decodeFinal(key, value, s.o.ExactLimit)
	return b, err == nil && b.Series == f.series && b.handle < f.handle.number, err
}

// appendFinal appends the value of a final bucket, with the kept fields of earlier revisions, to the empty v.
func appendFinal(v []byte, b Bucket, kept []Bucket, handle uint64, at int64) []byte {
	v = append(v, finalVersion, 0, 0, 0, 0)
	v = binary.AppendVarint(v, b.Start)
	v = binary.AppendUvarint(v, uint64(b.End)-uint64(b.Start))
	v = binary.AppendUvarint(v, uint64(b.Revision))
	v = binary.AppendVarint(v, b.Touched)
	v = binary.AppendVarint(v, at)
	v = binary.AppendUvarint(v, handle)
	v = appendString(v, b.Series)
	v = appendFields(v, b)
	if len(kept) > 0 {
		v[0] = keptVersion
		v = binary.AppendUvarint(v, uint64(len(kept)))
	}
	for _, k := range kept {
		v = binary.AppendUvarint(v, uint64(k.Revision))
		v = binary.AppendVarint(v, k.Touched)
		v = appendFields(v, k)
	}
	binary.LittleEndian.PutUint32(v[1:], finalSum(finalKey(b.Series, b.Start), v))
	return v
}

// finalSum returns the checksum of a final bucket. The key is in it, so a value under a wrong key is damage too.
func finalSum(key, value []byte) uint32 {
	return crc32.Update(checksum(key), crcTable, value[5:])
}

// checkFinal returns a decoder of what follows the checksum.
func checkFinal(key, value []byte) (*decoder, error) {
	if len(value) < 5 || value[0] != finalVersion && value[0] != keptVersion {
		return nil, fmt.Errorf("%w: no final bucket of version %d or %d", errFormat, finalVersion, keptVersion)
	}
	if finalSum(key, value) != binary.LittleEndian.Uint32(value[1:]) {
		return nil, fmt.Errorf("%w: wrong checksum", errFormat)
	}
	return &decoder{b: value[5:]}, nil
}

// storedFinal is a decoded final bucket.
type storedFinal struct {
	Bucket
	kept   []Bucket // the fields of earlier revisions that it lacks, one bucket for each revision
	at     int64    // age of the store when its final row left
	handle uint64   // the later the bucket opened, the larger

	removals []removal // of versions of it that were removed, as find and relative.find set them
}

// decodeFinal decodes a final bucket. limit is the exact limit of its summaries.
func decodeFinal(key, value []byte, limit int) (storedFinal, error) {
	d, err := checkFinal(key, value)
	if err != nil {
		return storedFinal{}, err
	}
	b := d.finalHead()
	d.fields(&b.Bucket, limit)
	if value[0] == keptVersion {
		b.kept = d.kept(b.Bucket, limit)
	}
	return b, d.end()
}

// kept reads the fields of earlier revisions of a final bucket.
func (d *decoder) kept(of Bucket, limit int) []Bucket {
	all := make([]Bucket, d.length(3))
	for i := range all {
		all[i] = Bucket{Series: of.Series, Start: of.Start, End: of.End, Revision: d.whole(), Touched: d.varint()}
		d.fields(&all[i], limit)
	}
	return all
}

// finalHead reads the part of a final bucket before its fields.
func (d *decoder) finalHead() (b storedFinal) {
	b.Start = d.varint()
	b.End = int64(uint64(b.Start) + d.uvarint())
	b.Revision = d.whole()
	b.Touched = d.varint()
	b.at = d.varint()
	b.handle = d.uvarint()
	b.Series = d.string()
	return b
}

// guard calls f, which reads or writes the database. It returns a panic or a memory fault in f as an error that wraps
// errDamaged. bbolt reads the file as memory and panics for pages that it does not understand, also when the file was damaged after it
// was opened. Panics in goroutines that f starts are not caught.
func guard(f func() error) (err error) {
	before := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(before)
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errDamaged, r)
		}
	}()
	return f()
}

// openFinals opens the database of the store, and creates it if there is none. If most of it is free, it is compacted
// first. If it is damaged, it is renamed, and all buckets that can be read are copied to a new database.
func openFinals(s *Store) (*finals, error) {
	f := &finals{path: filepath.Join(s.folder, finalsFile), width: slotWidth(s.o.Retention)}
	used, err := verifyDatabase(f.path)
	if err == nil {
		s.shrink(f, used)
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		err = f.open()
	}
	if errors.Is(err, errDamaged) {
		err = s.salvage(f, err)
	}
	if err != nil {
		return nil, fmt.Errorf("state %q: %w", f.path, err)
	}
	return f, nil
}

// open opens the database and reads its slots and the starts of its buckets.
func (f *finals) open() error {
	err := guard(func() (err error) {
		f.db, err = bbolt.Open(f.path, 0o600, &bbolt.Options{
			Timeout: time.Second, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType, NoStatistics: true,
		})
		return err
	})
	if err != nil {
		return err
	}
	if err = guard(f.load); err != nil {
		return errors.Join(err, f.close())
	}
	return nil
}

// load reads the numbers of the meta bucket, the slots, and the starts of the buckets in each slot. It seeks from one start to the next,
// so that it does not read the buckets of each series.
func (f *finals) load() error {
	f.starts, f.slots = make(map[int64][]int64), nil
	return f.db.View(func(tx *bbolt.Tx) error {
		if meta := tx.Bucket(metaBucket); meta != nil {
			f.stored, f.handle = metaNumber(meta, storedKey), metaNumber(meta, handleKey)
			f.age, f.wall = int64(metaNumber(meta, ageKey)), int64(metaNumber(meta, wallKey))
			f.id = metaNumber(meta, idKey)
		}
		if err := f.loadExpired(tx); err != nil {
			return err
		}
		defer f.guessAge()
		return tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
			if b == nil || len(name) != 8 {
				return nil
			}
			slot := orderedInt(name)
			f.slots = append(f.slots, slot)
			c := b.Cursor()
			for k, _ := c.First(); len(k) >= 8; {
				start := orderedInt(k)
				f.starts[start] = append(f.starts[start], slot)
				next := binary.BigEndian.Uint64(k) + 1
				if next == 0 {
					break
				}
				k, _ = c.Seek(binary.BigEndian.AppendUint64(nil, next))
			}
			return nil
		})
	})
}

// guessAge sets the age from the newest slot, if the database has no age.
func (f *finals) guessAge() {
	if f.age == 0 && len(f.slots) > 0 {
		f.age = max(f.slots[len(f.slots)-1]-f.width, 0)
		f.wall = f.age
	}
}

// metaNumber returns a number of the meta bucket, or 0 if it is not there.
func metaNumber(meta *bbolt.Bucket, key []byte) uint64 {
	n, _ := parseMetaNumber(meta.Get(key))
	return n
}

// parseMetaNumber reads a number of the meta bucket. ok is false if its checksum is wrong.
func parseMetaNumber(value []byte) (n uint64, ok bool) {
	if len(value) != 12 || checksum(value[:8]) != binary.LittleEndian.Uint32(value[8:]) {
		return 0, false
	}
	return binary.BigEndian.Uint64(value), true
}

// formatMetaNumber returns the value of a number of the meta bucket.
func formatMetaNumber(n uint64) []byte {
	b := binary.BigEndian.AppendUint64(nil, n)
	return binary.LittleEndian.AppendUint32(b, checksum(b))
}

// keepID stores the id of the store, unless the database has it. After an error, the next transaction stores it.
func (f *finals) keepID(id string) {
	n, _ := strconv.ParseUint(id, 16, 64) // it is an id
	if f.id == n {
		return
	}
	f.id = n
	_ = guard(func() error {
		return f.db.Update(func(tx *bbolt.Tx) error {
			meta, err := tx.CreateBucketIfNotExists(metaBucket)
			if err != nil {
				return err
			}
			return meta.Put(idKey, formatMetaNumber(n))
		})
	})
}

// close closes the database. It may be called twice, and on a nil receiver.
func (f *finals) close() error {
	if f == nil || f.db == nil {
		return nil
	}
	return guard(f.db.Close)
}

// size returns the size of the file, or 0 if it cannot be read.
func (f *finals) size() int64 {
	info, err := os.Stat(f.path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// get returns the value of a final bucket from one of the slots, or nil if none has it. If several have it, the
// bucket that opened last counts.
func (f *finals) get(key []byte, slots []int64) (value []byte, err error) {
	err = guard(func() error {
		return f.db.View(func(tx *bbolt.Tx) error {
			for _, slot := range slots {
				b := tx.Bucket(orderedBytes(slot))
				if b == nil {
					continue
				}
				if v := b.Get(key); v != nil && (value == nil || finalHandle(key, v) > finalHandle(key, value)) {
					value = slices.Clone(v)
				}
			}
			return nil
		})
	})
	return value, err
}

// finalHandle returns the handle of the value of a final bucket, or 0 if it is damaged.
func finalHandle(key, value []byte) uint64 {
	d, err := checkFinal(key, value)
	if err != nil {
		return 0
	}
	return d.finalHead().handle
}

// put stores the buckets of the batch and the numbers of the meta bucket, all or none. So "stored" is right after each crash.
func (f *finals) put(batch *finalBatch) error {
	return guard(func() error {
		return f.db.Update(func(tx *bbolt.Tx) error {
			meta, err := tx.CreateBucketIfNotExists(metaBucket)
			if err != nil {
				return err
			}
			batch.put = 0
			for i, b := range batch.all {
				if batch.careful && b.isOlder(tx) {
					continue
				}
				batch.put++
				if err := putFinal(tx, b, batch.older[i]); err != nil {
					return err
				}
			}
			if err := batch.expired.put(tx, batch.age); err != nil {
				return err
			}
			return errors.Join(
				meta.Put(idKey, formatMetaNumber(f.id)),
				meta.Put(storedKey, formatMetaNumber(batch.stored)),
				meta.Put(handleKey, formatMetaNumber(batch.handle)),
				meta.Put(ageKey, formatMetaNumber(uint64(batch.age))),
				meta.Put(wallKey, formatMetaNumber(uint64(batch.wall))))
		})
	})
}

// isOlder reports whether the slot has this bucket already, or a bucket of the same series and start that opened
// later.
func (f *final) isOlder(tx *bbolt.Tx) bool {
	bucket := tx.Bucket(orderedBytes(f.slot))
	if bucket == nil {
		return false
	}
	key := finalKey(f.series, f.start)
	there := bucket.Get(key)
	return there != nil && finalHandle(key, there) >= f.handle.number
}

// putFinal stores a bucket in its slot, and deletes older versions of it in other slots.
func putFinal(tx *bbolt.Tx, b *final, older []int64) error {
	key := finalKey(b.series, b.start)
	for _, slot := range older {
		if old := tx.Bucket(orderedBytes(slot)); old != nil && slot != b.slot {
			if err := old.Delete(key); err != nil {
				return err
			}
		}
	}
	bucket, err := tx.CreateBucketIfNotExists(orderedBytes(b.slot))
	if err != nil {
		return err
	}
	bucket.FillPercent = fillPercent
	return bucket.Put(key, b.value)
}

// added notes that a slot has buckets with that start. The caller holds Store.mu, also for removed.
func (f *finals) added(start, slot int64) {
	if i, ok := slices.BinarySearch(f.slots, slot); !ok {
		f.slots = slices.Insert(f.slots, i, slot)
	}
	if slots := f.starts[start]; !slices.Contains(slots, slot) {
		f.starts[start] = append(slots[:len(slots):len(slots)], slot) // a copy, because Find may be reading the old slice
	}
}

// removed notes that a slot is gone.
func (f *finals) removed(slot int64) {
	f.slots = slices.DeleteFunc(f.slots, func(s int64) bool { return s == slot })
	for start, slots := range f.starts {
		if !slices.Contains(slots, slot) {
			continue
		}
		rest := slices.DeleteFunc(slices.Clone(slots), func(s int64) bool { return s == slot })
		if f.starts[start] = rest; len(rest) == 0 {
			delete(f.starts, start)
		}
	}
}
