package describe

import "hash/maphash"

// index finds a series by its key: open addressing with linear probing. A key is compared as a whole
// wherever hashes agree, so that two series are never taken for one.
type index struct {
	hash  func(key []byte) uint64
	slots []slot // a power of two of them, at most three quarters in use
	used  int
}

// slot holds a series under one of its keys; a nil series is a free slot.
type slot struct {
	hash   uint64
	key    string
	series *series
}

const minSlots = 64

func (x *index) init() {
	seed := maphash.MakeSeed()
	x.hash = func(key []byte) uint64 { return maphash.Bytes(seed, key) }
	x.slots, x.used = make([]slot, minSlots), 0
}

// find returns the series that has the key, or nil.
func (x *index) find(key []byte) *series {
	s, _ := x.locate(x.hash(key), key)
	return s
}

// locate returns the series that has the key and its slot, or nil and the free slot where it belongs.
func (x *index) locate(hash uint64, key []byte) (*series, int) {
	mask := len(x.slots) - 1
	for i := int(hash) & mask; ; i = (i + 1) & mask {
		s := &x.slots[i]
		if s.series == nil {
			return nil, i
		}
		if s.hash == hash && s.key == string(key) {
			return s.series, i
		}
	}
}

// put enters a series under a key that no series has.
func (x *index) put(key string, s *series) {
	if 4*(x.used+1) > 3*len(x.slots) {
		x.resize(2 * len(x.slots))
	}
	hash := x.hash([]byte(key))
	_, i := x.locate(hash, []byte(key))
	x.slots[i] = slot{hash, key, s}
	x.used++
}

// remove takes the key out, moves back what probed past it, and gives memory back where little is in use.
func (x *index) remove(key string) {
	s, i := x.locate(x.hash([]byte(key)), []byte(key))
	if s == nil {
		return
	}
	mask := len(x.slots) - 1
	for j := (i + 1) & mask; x.slots[j].series != nil; j = (j + 1) & mask {
		if home := int(x.slots[j].hash) & mask; (j-home)&mask >= (j-i)&mask {
			x.slots[i] = x.slots[j]
			i = j
		}
	}
	x.slots[i] = slot{}
	x.used--
	if len(x.slots) > minSlots && 8*x.used < len(x.slots) {
		x.resize(len(x.slots) / 2)
	}
}

func (x *index) resize(size int) {
	old := x.slots
	x.slots = make([]slot, size)
	mask := size - 1
	for _, s := range old {
		if s.series == nil {
			continue
		}
		i := int(s.hash) & mask
		for x.slots[i].series != nil {
			i = (i + 1) & mask
		}
		x.slots[i] = s
	}
}
