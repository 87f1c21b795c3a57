package state

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// bbolt does not check the pages that it reads, and has no checksums of data. A damaged page can end the process, by
// a panic in another goroutine or by endless recursion. So before bbolt opens a file, this code reads all pages, and
// checks everything that bbolt relies on and the checksums of the final buckets. bbolt reads all pages too when it
// opens the file, because its list of free pages is not stored here.
//
// The format is that of bbolt version 2, in the byte order of the machine. A page is
//
//	8 bytes   its number
//	2 bytes   kind: 1 branch, 2 leaf, 4 meta, 16 list of free pages
//	2 bytes   number of elements
//	4 bytes   number of pages after it that belong to it
//	elements of 16 bytes, and then keys and values
//
// An element of a branch is the position of the key relative to the element, its length (4 bytes each), and the number
// of a page (8). That of a leaf is flags, the position of key and value, and their lengths (4 bytes each). With flag 1
// the value is a bucket: 8 bytes the number of its root, 8 bytes a sequence, and if the root is 0, a leaf page.
//
// The first two pages are the headers. After the 16 bytes of the page each has
//
//	4 bytes   magic
//	4 bytes   version
//	4 bytes   size of a page
//	4 bytes   flags
//	8 bytes   number of the root page, and 8 bytes a sequence
//	8 bytes   number of the page of the list of free pages
//	8 bytes   a number above those of all used pages
//	8 bytes   number of the transaction
//	8 bytes   FNV-1a of the 56 bytes before
//
// The ways through this file:
//
//	Open ─▶ verifyDatabase ─ good ─────▶ bbolt opens the file
//	          a strict walk └ damaged ─▶ salvage: rename, new database, copyFrom ─▶ finalCopy ─▶ finals.put
//	                                                     a lenient walk for each header, and a scan of other pages
const (
	boltMagic      = 0xED0CDAED
	boltVersion    = 2
	boltHeader     = 16
	boltMetaSize   = 64
	boltBranch     = 1
	boltLeaf       = 2
	boltFreelist   = 16
	boltBucketFlag = 1
	boltNoFreelist = ^uint64(0)
	boltMaxDepth   = 64
	boltMaxPage    = 1 << 16
	boltMaxElement = 1 << 31
	boltMaxScan    = 1 << 26 // the most bytes that are read for one page of a damaged file
)

// native is the byte order of bbolt.
var native = binary.NativeEndian

// boltMeta is one of the two headers of a bbolt file. Transactions write them in turn, so the one with the larger txid counts, and the
// other has the tree before the last transaction.
type boltMeta struct {
	pageSize uint64 // bytes
	root     uint64 // number of the root page of the root bucket
	freelist uint64 // number of the page of the list of free pages, or boltNoFreelist
	high     uint64 // above the number of each used page
	txid     uint64 // number of the transaction
}

// parseBoltMeta reads the header in a page. ok reports whether the page has a header, and intact whether its checksum
// is right.
func parseBoltMeta(page []byte) (m boltMeta, intact, ok bool) {
	if len(page) < boltHeader+boltMetaSize {
		return m, false, false
	}
	b := page[boltHeader:]
	h := fnv.New64a()
	_, _ = h.Write(b[:56])
	m = boltMeta{
		pageSize: uint64(native.Uint32(b[8:])), root: native.Uint64(b[16:]), freelist: native.Uint64(b[32:]),
		high: native.Uint64(b[40:]), txid: native.Uint64(b[48:]),
	}
	ok = native.Uint32(b) == boltMagic && native.Uint32(b[4:]) == boltVersion &&
		m.pageSize >= 1024 && m.pageSize <= boltMaxPage && m.pageSize&(m.pageSize-1) == 0
	return m, ok && h.Sum64() == native.Uint64(b[56:]), ok
}

// readBoltMetas returns the headers of the file, ascending by transaction. intact reports whether both are intact. It
// also returns a damaged header if its page size is right, because the pages that it refers to may be intact.
//
// The second header is at the size of a page, which is known only from a header. As the first one may be damaged, each possible size is
// tried.
func readBoltMetas(f io.ReaderAt) (metas []boltMeta, intact bool) {
	page := make([]byte, boltHeader+boltMetaSize)
	read := func(at int64) (m boltMeta, intact, ok bool) {
		if _, err := f.ReadAt(page, at); err != nil {
			return m, false, false
		}
		return parseBoltMeta(page)
	}
	first, firstIntact, firstOK := read(0)
	for size := int64(1024); size <= boltMaxPage; size *= 2 {
		second, secondIntact, ok := read(size)
		if !ok || int64(second.pageSize) != size {
			continue
		}
		metas = append(metas, second)
		if firstOK && first.pageSize == second.pageSize {
			intact = firstIntact && secondIntact
			break
		}
		return metas, false
	}
	if firstOK {
		metas = append(metas, first)
	}
	slices.SortFunc(metas, func(a, b boltMeta) int { return cmp.Compare(a.txid, b.txid) })
	return metas, intact
}

// pageWalk walks the pages of a bbolt file. It ends for any contents: a page is read once, the depth has a bound, and nothing is
// allocated from a number that was not compared with the size of the file.
//
// A strict walk ends at the first damage: bbolt must not open the file then. A lenient one counts it, skips what is damaged and goes on, to
// find what can be saved.
type pageWalk struct {
	f       io.ReaderAt
	size    int64                           // of the file, bytes
	meta    boltMeta                        // the header whose pages are walked through
	seen    []uint64                        // a bit for each page
	value   func(bucket, key, value []byte) // gets what is intact; the slices are valid during the call
	lenient bool                            // whether the walk continues after damage
	bad     int                             // how often damage was found
	first   error                           // the first damage
}

// newPageWalk returns a walk of a file of that size that calls value for each intact final bucket and each value of the
// meta bucket.
func newPageWalk(f io.ReaderAt, size int64, meta boltMeta, value func(bucket, key, value []byte)) *pageWalk {
	w := &pageWalk{f: f, size: size, meta: meta, value: value}
	w.seen = make([]uint64, w.size/int64(w.meta.pageSize)/64+1)
	if int64(w.meta.high) < 0 || int64(w.meta.high) > w.size/int64(w.meta.pageSize) {
		w.damage("it has %d bytes, want %d pages of %d", w.size, w.meta.high, w.meta.pageSize)
	}
	if w.meta.freelist != boltNoFreelist {
		w.freelist()
	}
	return w
}

// freelist checks the list of free pages, which only a new file has: it is empty.
func (w *pageWalk) freelist() {
	page := w.page(w.meta.freelist, 0)
	if page != nil && (native.Uint16(page[8:]) != boltFreelist || native.Uint16(page[10:]) != 0) {
		w.damage("it has a list of free pages")
	}
}

// damage counts a fault and keeps the first one as an error.
func (w *pageWalk) damage(format string, args ...any) {
	w.bad++
	if w.first == nil {
		w.first = fmt.Errorf("%w: %s", errDamaged, fmt.Sprintf(format, args...))
	}
}

// stop reports whether the walk is over.
func (w *pageWalk) stop() bool { return w.first != nil && !w.lenient }

// keyRange is the range of keys that a page may have: [min, max), without an upper bound if max is nil.
// A page of a tree has the keys from the one that its branch has for it, up to the one of the next page. bbolt searches by that, so that a
// key elsewhere would never be found.
type keyRange struct{ min, max []byte }

// has reports whether the range contains a key.
func (r keyRange) has(key []byte) bool {
	return bytes.Compare(key, r.min) >= 0 && (r.max == nil || bytes.Compare(key, r.max) < 0)
}

// tree walks the pages of a bucket, beginning with its root page. bucket is its name, and nil for the root bucket. depth counts the pages
// above, also those of the buckets around it.
func (w *pageWalk) tree(bucket []byte, number uint64, keys keyRange, depth int) {
	if w.stop() {
		return
	}
	page := w.page(number, depth)
	if page == nil {
		return
	}
	switch kind := native.Uint16(page[8:]); kind {
	case boltBranch:
		w.branch(bucket, page, keys, depth)
	case boltLeaf:
		w.leaf(bucket, page, keys, depth)
	default:
		w.damage("page %d has kind %d", number, kind)
		for i := number; i < number+uint64(len(page))/w.meta.pageSize; i++ {
			w.seen[i/64] &^= 1 << (i % 64) // so that scan looks at it
		}
	}
}

// page reads a page with those that belong to it, and marks them as seen. It returns nil if it is damaged. A page that was seen is damage:
// the tree would have a loop, or two branches would share a page.
func (w *pageWalk) page(number uint64, depth int) []byte {
	size := w.meta.pageSize
	pages := min(uint64(w.size)/size, w.meta.high)
	if number < 2 || number >= pages || depth > boltMaxDepth {
		w.damage("page %d of %d at depth %d", number, pages, depth)
		return nil
	}
	header := make([]byte, boltHeader)
	if _, err := w.f.ReadAt(header, int64(number*size)); err != nil {
		w.damage("page %d: %v", number, err)
		return nil
	}
	more := uint64(native.Uint32(header[12:]))
	if native.Uint64(header) != number || more >= pages-number || (more+1)*size > boltMaxElement {
		w.damage("page %d has the number %d and %d more pages, in a file of %d", number, native.Uint64(header), more, pages)
		return nil
	}
	for i := number; i <= number+more; i++ {
		if w.seen[i/64]&(1<<(i%64)) != 0 {
			w.damage("page %d is used twice", i)
			return nil
		}
		w.seen[i/64] |= 1 << (i % 64)
	}
	page := make([]byte, (more+1)*size)
	if _, err := w.f.ReadAt(page, int64(number*size)); err != nil {
		w.damage("page %d: %v", number, err)
		return nil
	}
	return page
}

// elements returns how many elements the page has, at most as many as fit. A number that is too small is damage too: bbolt would find fewer
// keys than there are, without an error.
func (w *pageWalk) elements(page []byte) int {
	n := int(native.Uint16(page[10:]))
	if most := (len(page) - boltHeader) / 16; n > most {
		w.damage("page %d has %d elements, at most %d fit", native.Uint64(page), n, most)
		return most
	}
	// bbolt writes the first key right after the elements, so a wrong number of elements shows.
	pos := 4
	if native.Uint16(page[8:]) == boltBranch {
		pos = 0
	}
	if n == 0 {
		if len(bytes.Trim(page[boltHeader:min(len(page), boltHeader+16)], "\x00")) > 0 {
			w.damage("page %d has no elements, but data", native.Uint64(page))
		}
		return 0
	}
	if first := native.Uint32(page[boltHeader+pos:]); int(first) != 16*n {
		w.damage("page %d has %d elements and its first key at %d", native.Uint64(page), n, first)
	}
	return n
}

// cut returns the bytes of an element at that position relative to it, or nil if they are not within the page. They share the memory of the
// page, but appending to them does not change it.
func (w *pageWalk) cut(page []byte, element int, pos, size uint32) []byte {
	from := uint64(element) + uint64(pos)
	if from+uint64(size) > uint64(len(page)) || from < boltHeader {
		w.damage("an element of page %d reaches beyond it", native.Uint64(page))
		return nil
	}
	return page[from : from+uint64(size) : from+uint64(size)]
}

// branch checks a branch page and walks its children. Their keys must be within the range of the page.
func (w *pageWalk) branch(bucket, page []byte, keys keyRange, depth int) {
	n := w.elements(page)
	if n == 0 {
		w.damage("branch page %d has no elements", native.Uint64(page))
	}
	type child struct {
		key    []byte
		number uint64
	}
	children := make([]child, 0, n)
	last := keyRange{keys.min, keys.max}
	for i := range n {
		at := boltHeader + 16*i
		key := w.cut(page, at, native.Uint32(page[at:]), native.Uint32(page[at+4:]))
		if key == nil {
			continue
		}
		if !last.has(key) || i > 0 && bytes.Equal(key, last.min) {
			w.damage("the keys of page %d are not in order", native.Uint64(page))
			continue
		}
		last.min = key
		children = append(children, child{key, native.Uint64(page[at+8:])})
	}
	for i, c := range children {
		r := keyRange{c.key, keys.max}
		if i+1 < len(children) {
			r.max = children[i+1].key
		}
		w.tree(bucket, c.number, r, depth+1)
	}
}

// leaf checks a leaf page: its keys must ascend within the range. It walks nested buckets and calls value for each
// value.
func (w *pageWalk) leaf(bucket, page []byte, keys keyRange, depth int) {
	last := keys
	for i := range w.elements(page) {
		at := boltHeader + 16*i
		pos, keySize, valueSize := native.Uint32(page[at+4:]), native.Uint32(page[at+8:]), native.Uint32(page[at+12:])
		key := w.cut(page, at, pos, keySize)
		if uint64(pos)+uint64(keySize) > boltMaxElement {
			w.damage("an element of page %d reaches beyond it", native.Uint64(page))
			continue
		}
		value := w.cut(page, at, pos+keySize, valueSize)
		if len(key) == 0 || value == nil {
			w.damage("page %d has an element without a key", native.Uint64(page))
			continue
		}
		if !last.has(key) || i > 0 && bytes.Equal(key, last.min) {
			w.damage("the keys of page %d are not in order", native.Uint64(page))
			continue
		}
		last.min = key
		w.element(bucket, native.Uint32(page[at:]), key, value, depth)
		if w.stop() {
			return
		}
	}
}

// scan looks for final buckets in the pages that the walk did not reach, as a damaged page led to them. They may be
// older than those that are lost, or may have been removed; the checksums show only that they were right once. bbolt does not overwrite a
// page when it is freed, so that a free page looks like a leaf until it is used again.
func (w *pageWalk) scan() {
	size := w.meta.pageSize
	for number := uint64(2); number < uint64(w.size)/size; number++ {
		if w.seen[number/64]&(1<<(number%64)) != 0 {
			continue
		}
		header := make([]byte, boltHeader)
		if _, err := w.f.ReadAt(header, int64(number*size)); err != nil {
			return
		}
		pages := min(uint64(native.Uint32(header[12:]))+1, uint64(w.size)/size-number, boltMaxScan/size)
		page := make([]byte, pages*size)
		if _, err := w.f.ReadAt(page, int64(number*size)); err != nil {
			return
		}
		w.scanPage(page)
	}
}

// scanPage looks for final buckets in a page that may be a leaf. It trusts nothing of it but checksums, and skips what has none. It calls
// value without the name of the bucket for a final bucket, because the slot is only known from the pages above.
func (w *pageWalk) scanPage(page []byte) {
	if len(page) < boltHeader {
		return
	}
	for i := range min(int(native.Uint16(page[10:])), (len(page)-boltHeader)/16) {
		at := boltHeader + 16*i
		flags, pos := native.Uint32(page[at:]), uint64(native.Uint32(page[at+4:]))
		keySize, valueSize := uint64(native.Uint32(page[at+8:])), uint64(native.Uint32(page[at+12:]))
		from := uint64(at) + pos
		if from+keySize+valueSize > uint64(len(page)) {
			continue
		}
		key, value := page[from:from+keySize], page[from+keySize:from+keySize+valueSize]
		if flags == boltBucketFlag && len(value) >= 16 {
			w.scanPage(value[16:])
		} else if _, err := checkFinal(key, value); err == nil && len(key) >= 8 {
			w.value(nil, key, value)
		} else if _, _, err := decodeExpired(key, value); err == nil {
			w.value(expiredBucket, key, value)
		}
	}
}

// element walks what a leaf has under a key. The root bucket, which has no name, has the other buckets; these have
// values:
//
//	root bucket ─┬▶ "meta"           numbers
//	             ├▶ expiredBucket    records of removed buckets, by series
//	             └▶ 8 bytes, a slot  final buckets, by start and series
//
// A small bucket has its leaf page within the value, and not as a page of the file. Anything else is damage: this package has not
// written it.
func (w *pageWalk) element(bucket []byte, flags uint32, key, value []byte, depth int) {
	switch {
	case bucket == nil && flags == boltBucketFlag && len(value) >= 16:
		if root := native.Uint64(value); root != 0 {
			w.tree(key, root, keyRange{}, depth+1)
			return
		}
		inline := value[16:]
		if len(inline) < boltHeader || native.Uint16(inline[8:]) != boltLeaf {
			w.damage("bucket %x has no page", key)
			return
		}
		w.leaf(key, inline, keyRange{}, depth+1)
	case bucket != nil && flags == 0 && bytes.Equal(bucket, metaBucket):
		if _, ok := parseMetaNumber(value); !ok {
			w.damage("%q has a wrong checksum", key)
			return
		}
		w.value(bucket, key, value)
	case bucket != nil && flags == 0 && bytes.Equal(bucket, expiredBucket):
		if _, _, err := decodeExpired(key, value); err != nil {
			w.damage("expired buckets %x: %v", key, err)
			return
		}
		w.value(bucket, key, value)
	case bucket != nil && flags == 0 && len(bucket) == 8 && len(key) >= 8:
		if _, err := checkFinal(key, value); err != nil {
			w.damage("final bucket %q: %v", key[8:], err)
			return
		}
		w.value(bucket, key, value)
	default:
		w.damage("element %x of bucket %x has flags %d and %d bytes", key, bucket, flags, len(value))
	}
}

// verifyDatabase checks the file and returns how many bytes of it are used. Errors about its contents wrap errDamaged. An empty file is
// not damaged: bbolt makes a database of it. It must not be open for writing meanwhile. Both headers must be intact: with one, bbolt
// could use the tree before the last transaction, and nobody would notice that the buckets of the last one are lost.
func verifyDatabase(path string) (used int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() == 0 && info.Mode().IsRegular() {
		return 0, err
	}
	metas, intact := readBoltMetas(f)
	if !intact {
		return 0, fmt.Errorf("%w: at least one of its two headers is not intact", errDamaged)
	}
	w := newPageWalk(f, info.Size(), metas[1], func(_, _, _ []byte) {})
	w.tree(nil, w.meta.root, keyRange{}, 0)
	return w.used(), w.first
}

// salvage renames a damaged database and opens a new one with what can be read of it. f is closed before, and open afterwards unless there
// is an error. The damaged file stays for the user.
func (s *Store) salvage(f *finals, damage error) error {
	name, err := setAside(f.path, "damaged", s.o.Now())
	if err != nil {
		return err
	}
	s.warn("%v; the database was renamed to %q", damage, filepath.Base(name))
	if err := f.open(); err != nil {
		return err
	}
	saved, bad, err := f.copyFrom(name, int64(s.o.Retention))
	s.stats.LostBuckets += int64(bad)
	s.warn("%d final buckets of the damaged database are in the new one; %d parts of the damaged one could not be read", saved, bad)
	if err != nil {
		return errors.Join(err, f.close())
	}
	return guard(f.load)
}

// copyFrom stores what can be read of a damaged database. It returns how many final buckets that were, and how many
// damaged parts it found.
//
// Pages that no other page refers to are read last, and those with final buckets after those with expired ones: they may
// have buckets that were removed after their retention, perhaps of an older revision. Those must stay expired. A bucket that is found
// several times, such as under both headers, is stored in the version that opened last: see finalBatch.careful.
func (f *finals) copyFrom(path string, retention int64) (saved, bad int, err error) {
	old, err := os.Open(path)
	if err != nil {
		return 0, 0, err
	}
	defer old.Close()
	c := finalCopy{to: f, batch: finalBatch{careful: true}, retention: retention}
	info, err := old.Stat()
	if err != nil {
		return 0, 0, err
	}
	metas, intact := readBoltMetas(old)
	if intact {
		metas = metas[1:]
	} else {
		bad++
	}
	var walks []*pageWalk
	for _, meta := range metas {
		w := newPageWalk(old, info.Size(), meta, c.add)
		w.lenient = true
		w.tree(nil, w.meta.root, keyRange{}, 0)
		bad += w.bad
		walks = append(walks, w)
	}
	if bad > 0 {
		for _, c.strays = range []bool{false, true} {
			c.flush()
			for _, w := range walks {
				w.scan()
			}
		}
	}
	c.flush()
	return c.saved, bad, c.err
}

// finalCopy stores final buckets in batches. After the first error it stores nothing more.
type finalCopy struct {
	to    *finals    // the new database, which is open
	batch finalBatch // that is not stored yet
	size  int        // bytes of the values in it
	saved int        // buckets that were stored
	err   error      // the first error

	strays    bool  // whether final buckets in pages that no other page refers to are stored
	retention int64 // of the store
}

// add copies a value of the damaged database to the new one, in batches. It skips a value with a wrong checksum. bucket is the bolt bucket
// of the value: the name of a slot is its end, and nil means a page that no other page refers to. A stray final bucket that is older than
// the retention, or of which there is a record that it has expired, becomes expired.
func (c *finalCopy) add(bucket, key, value []byte) {
	switch {
	case bytes.Equal(bucket, metaBucket):
		c.number(key, value)
		return
	case bytes.Equal(bucket, expiredBucket):
		c.addExpired(key, value)
		return
	case bucket == nil && !c.strays:
		return
	}
	d, err := checkFinal(key, value)
	if err != nil {
		return
	}
	b := d.finalHead()
	slot := c.to.slotOf(min(max(b.at, 0), maxAge))
	switch {
	case len(bucket) == 8:
		slot = orderedInt(bucket)
	case slot <= c.batch.age-c.retention || c.hasExpired(b.Series, b.Start):
		c.expire(expiredOf(key, value))
		return
	}
	c.batch.handle = max(c.batch.handle, b.handle)
	c.batch.all = append(c.batch.all, &final{
		series: b.Series, start: b.Start, end: b.End, slot: slot, value: bytes.Clone(value), handle: &handle{number: b.handle},
	})
	c.batch.older = append(c.batch.older, nil)
	if c.size += len(value); len(c.batch.all) >= maxBatch || c.size > batchBytes {
		c.flush()
	}
}

// number takes over a number of the meta bucket, the largest one that is found. The number "stored" is not taken over: see flush.
func (c *finalCopy) number(key, value []byte) {
	n, ok := parseMetaNumber(value)
	switch {
	case !ok:
	case bytes.Equal(key, handleKey):
		c.batch.handle = max(c.batch.handle, n)
	case bytes.Equal(key, ageKey):
		c.batch.age = max(c.batch.age, int64(n))
	case bytes.Equal(key, wallKey):
		c.batch.wall = max(c.batch.wall, int64(n))
	case bytes.Equal(key, idKey):
		c.to.id = n
	}
}

// addExpired copies a record of expired buckets. It skips a damaged one.
func (c *finalCopy) addExpired(key, value []byte) {
	if _, r, err := decodeExpired(key, value); err == nil && len(r.spans) > 0 {
		c.expire(expiredKey(key), r)
	}
}

// expire stores expired buckets.
func (c *finalCopy) expire(key expiredKey, r removed) {
	if c.batch.expired == nil {
		c.batch.expired = make(expired)
	}
	c.batch.expired.add(key, r)
	if len(c.batch.expired) >= expiredBatch {
		c.flush()
	}
}

// hasExpired reports whether the new database has a record that the bucket has expired. After an error, it has not.
func (c *finalCopy) hasExpired(series string, start int64) bool {
	found, err := c.to.removals(series, start, func(string) bool { return false })
	return err == nil && len(found) > 0
}

// flush stores the batch. What is stored up to which commit is left open, so that the log is asked for every bucket.
func (c *finalCopy) flush() {
	if c.err == nil {
		c.err = c.to.put(&c.batch)
		c.saved += c.batch.put
	}
	c.batch = finalBatch{handle: c.batch.handle, age: c.batch.age, wall: c.batch.wall, careful: true}
	c.size = 0
}
