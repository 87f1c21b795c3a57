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
	pages map[uint64]*[pageSize]*T // by handle divided by pageSize; a page stays when it is empty
}

// Find returns the value of a handle, or nil if there is none.
func (t *Table[T]) Find(handle uint64) *T {
	page := t.pages[handle/pageSize]
	if page == nil {
		return nil
	}
	return page[handle%pageSize]
}

// Put sets the value of a handle, which is not nil.
func (t *Table[T]) Put(handle uint64, v *T) {
	page := t.pages[handle/pageSize]
	if page == nil {
		if t.pages == nil {
			t.pages = make(map[uint64]*[pageSize]*T)
		}
		page = new([pageSize]*T)
		t.pages[handle/pageSize] = page
	}
	page[handle%pageSize] = v
}

// Remove removes the value of a handle, if there is one.
func (t *Table[T]) Remove(handle uint64) {
	if page := t.pages[handle/pageSize]; page != nil {
		page[handle%pageSize] = nil
	}
}

// All yields all handles and their values, in no particular order. Values may be removed meanwhile.
func (t *Table[T]) All() iter.Seq2[uint64, *T] {
	return func(yield func(uint64, *T) bool) {
		for number, page := range t.pages {
			for i, v := range page {
				if v != nil && !yield(number*pageSize+uint64(i), v) {
					return
				}
			}
		}
	}
}
