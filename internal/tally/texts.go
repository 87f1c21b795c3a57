package tally

import (
	"cmp"
	"slices"
)

// candidates is how many texts are kept once there were too many.
const candidates = 256

// perText is about how many bytes a different text takes besides its own.
const perText = 72

// Texts counts texts. It is exact while there are at most as many different ones as its limit. Beyond that it estimates how
// many there are (see [Distinct]), and keeps the 256 that are likely the most frequent, with lower bounds of their counts
// (Misra and Gries, "Finding repeated elements", 1982).
//
// A Texts is not safe for concurrent use. What it returns depends on the texts alone while it is exact, and on their order
// too beyond that.
type Texts struct {
	limit   int
	index   map[string]int32 // in counts
	names   []string
	counts  []uint64
	last    int32 // of the text that was added before
	bytes   int
	seen    *Distinct // nil while exact
	missed  uint64    // how much a count may be too low
	touched uint64    // of all texts
}

// NewTexts returns an empty Texts that is exact up to a number of different texts.
func NewTexts(limit int) *Texts {
	return &Texts{limit: limit, index: make(map[string]int32)}
}

// Add counts a text. It keeps no part of it.
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
		t.missed++
		return
	}
	t.insert(string(text), 1)
}

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

// Demote makes the counts estimates, which takes little memory.
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
	t.missed = sorted[candidates]
	t.index = make(map[string]int32)
	t.reduce(t.missed)
}

// Exact reports whether all counts are exact.
func (t *Texts) Exact() bool { return t.seen == nil }

// Count returns how many texts were added.
func (t *Texts) Count() uint64 { return t.touched }

// Distinct returns how many different texts there are, or an estimate.
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
