// Package handles finds values by handles: numbers above 0 that are given in ascending order, so that most of those in use are
// close to each other.
package handles

import "iter"

// pageSize is how many handles have one entry in the map of a table.
const pageSize = 64

// Table finds values by handle. Its map has one entry for many handles. With a map of all handles, a restart with 100,000 buckets
// took 10 % more CPU time: BenchmarkRestart of package describe.
//
// The zero Table is empty and ready to use. Calls of Find may be concurrent, but not with other methods.
type Table[T any] struct {
	pages map[uint64]*page[T] // by handle divided by pageSize; none is empty
	n     int                 // values
}

// page has the values of pageSize successive handles.
type page[T any] struct {
	values [pageSize]*T // by handle modulo pageSize, nil if there is none
	n      int          // how many are not nil
}

// Len returns the number of values.
func (t *Table[T]) Len() int { return t.n }

// Find returns the value of a handle, or nil if there is none.
func (t *Table[T]) Find(handle uint64) *T {
	p := t.pages[handle/pageSize]
	if p == nil {
		return nil
	}
	return p.values[handle%pageSize]
}

// Put sets the value of a handle, which is not nil.
func (t *Table[T]) Put(handle uint64, v *T) {
	p := t.pages[handle/pageSize]
	if p == nil {
		if t.pages == nil {
			t.pages = make(map[uint64]*page[T])
		}
		p = new(page[T])
		t.pages[handle/pageSize] = p
	}
	at := &p.values[handle%pageSize]
	if *at == nil {
		p.n++
		t.n++
	}
	*at = v
}

// Remove removes the value of a handle, if there is one.
func (t *Table[T]) Remove(handle uint64) {
	p := t.pages[handle/pageSize]
	if p == nil || p.values[handle%pageSize] == nil {
		return
	}
	p.values[handle%pageSize] = nil
	t.n--
	if p.n--; p.n == 0 { // else a table would keep all pages of a long run
		delete(t.pages, handle/pageSize)
	}
}

// All yields all handles and their values, in no particular order. Values may be removed meanwhile.
func (t *Table[T]) All() iter.Seq2[uint64, *T] {
	return func(yield func(uint64, *T) bool) {
		for number, p := range t.pages {
			for i := range p.values {
				if v := p.values[i]; v != nil && !yield(number*pageSize+uint64(i), v) {
					return
				}
			}
		}
	}
}
