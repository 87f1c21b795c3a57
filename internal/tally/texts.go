package tally

import (
	"cmp"
	"slices"
)

// candidates is how many texts are kept once there were too many. A text that is more than 1/257 of all is certainly
// among them.
const candidates = 256

// perText is about how many bytes a different text takes besides its own: a string in names and one in index, of 16 bytes each, the
// count, and the rest of its place in the map.
const perText = 72

// Texts counts texts. It is exact while there are at most as many different ones as its limit. Beyond that it estimates how
// many there are (see [Distinct]), and keeps the 256 that are likely the most frequent, with lower bounds of their counts
// (Misra and Gries, "Finding repeated elements", 1982).
//
// A Texts is not safe for concurrent use. What it returns depends on the texts alone while it is exact, and on their order
// too beyond that.
type Texts struct {
	limit   int
	index   map[string]int32 // in names and counts
	names   []string
	counts  []uint64
	last    int32     // in names, of the text that was added before: equal ones often follow each other
	bytes   int       // that the names take, see Bytes
	seen    *Distinct // all texts that were added; nil while exact
	touched uint64    // how many texts were added
}

// NewTexts returns an empty Texts that is exact up to a number of different texts.
func NewTexts(limit int) *Texts {
	return &Texts{limit: limit, index: make(map[string]int32)}
}

// Add counts a text. It keeps no part of it.
//
// While exact, a new text that would exceed the limit makes the counts estimates. From then on, a text that is not among the
// candidates finds a free place or takes one off the count of each of them: the step of Misra and Gries. Each such step
// forgets 257 texts at once, so that it is rare, and a count is too low by the number of steps at most.
func (t *Texts) Add(text []byte) {
	t.touched++
	if int(t.last) < len(t.names) && t.names[t.last] == string(text) {
		t.counts[t.last]++
		return
	}
	if t.seen != nil {
		t.seen.AddText(text)
	}
	i, ok := t.index[string(text)]
	if ok {
		t.counts[i]++
		t.last = i
		return
	}
	if t.seen == nil && len(t.names) >= t.limit {
		t.Demote()
		t.seen.AddText(text)
	}
	if t.seen != nil && len(t.names) >= candidates {
		t.reduce(1) // the new text and each of the others were counted once too much
		return
	}
	t.insert(string(text), 1)
}

// insert adds a text that is not in the index.
func (t *Texts) insert(name string, count uint64) {
	t.last = int32(len(t.names))
	t.index[name] = t.last
	t.names, t.counts = append(t.names, name), append(t.counts, count)
	t.bytes += len(name) + perText
}

// reduce subtracts less from all counts and forgets the texts that have none left.
func (t *Texts) reduce(less uint64) {
	names, counts := t.names, t.counts
	t.names, t.counts, t.bytes = nil, nil, 0
	clear(t.index)
	for i, name := range names {
		if counts[i] > less {
			t.insert(name, counts[i]-less)
		}
	}
	t.last = 0
}

// Demote makes the counts estimates, which takes little memory, and cannot be undone. Of more than 256 texts it keeps those more
// frequent than the 257th, with the count of that one subtracted as if by so many steps of Add.
func (t *Texts) Demote() {
	if t.seen != nil {
		return
	}
	t.seen = new(Distinct)
	for _, name := range t.names {
		t.seen.AddText([]byte(name))
	}
	if len(t.names) <= candidates {
		return
	}
	sorted := slices.Clone(t.counts)
	slices.SortFunc(sorted, func(a, b uint64) int { return cmp.Compare(b, a) })
	t.index = make(map[string]int32) // a map keeps the memory that it had once
	t.reduce(sorted[candidates])
}

// Exact reports whether all counts are exact.
func (t *Texts) Exact() bool { return t.seen == nil }

// Count returns how many texts were added.
func (t *Texts) Count() uint64 { return t.touched }

// Distinct returns how many different texts there are, or an estimate if t is not exact.
func (t *Texts) Distinct() uint64 {
	if t.seen != nil {
		return min(t.seen.Count(), t.touched)
	}
	return uint64(len(t.names))
}

// Top returns the most frequent text, the smallest among ties, and its count: a lower bound if t is not exact, and then
// another text may be as frequent. It returns 0 without texts, and if no text is known to be frequent.
func (t *Texts) Top() (text string, count uint64) {
	for i, name := range t.names {
		if c := t.counts[i]; c > count || c == count && name < text {
			text, count = name, c
		}
	}
	return text, count
}

// Bytes returns about how much memory the texts hold.
func (t *Texts) Bytes() int {
	size := t.bytes + perText
	if t.seen != nil {
		size += registers
	}
	return size
}
