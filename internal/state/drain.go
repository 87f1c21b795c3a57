package state

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// Drain replays the open buckets of the last run and yields them whole, with their handles, in the order of their series and
// starts, but not those that were lent. It is for a store whose options have changed, so that no engine will continue its buckets. The buckets stay open in
// the store unless the caller makes them final, and a Drain in a later run would yield them again: call Retire after their
// rows were emitted. Drain returns the first error of yield.
func (s *Store) Drain(yield func(handle uint64, b Bucket) error) error {
	c := collector{limit: s.o.ExactLimit, open: make(map[uint64]*Bucket), lent: make(map[uint64]bool)}
	if err := s.Replay(&c); err != nil {
		return err
	}
	maps.DeleteFunc(c.open, func(handle uint64, _ *Bucket) bool { return c.lent[handle] })
	all := slices.SortedFunc(maps.Keys(c.open), func(a, b uint64) int {
		return cmp.Or(cmp.Compare(c.open[a].Series, c.open[b].Series), cmp.Compare(c.open[a].Start, c.open[b].Start))
	})
	for _, handle := range all {
		if err := yield(handle, *c.open[handle]); err != nil {
			return err
		}
	}
	return nil
}

// collector is a Replayer that keeps the buckets. A replay calls Rows and Demoted concurrently, but for buckets of different series,
// so a bucket needs no lock, and the map of the open ones does not change meanwhile.
type collector struct {
	limit int                // exact limit of the summaries
	open  map[uint64]*Bucket // by handle

	mu   sync.Mutex      // guards lent
	lent map[uint64]bool // by handle
}

// Open implements [Replayer].
func (c *collector) Open(handle uint64, b Bucket) error {
	if c.open[handle] != nil {
		return fmt.Errorf("handle %d is open already", handle)
	}
	c.open[handle] = &b
	return nil
}

// summary returns the summary of a field of the bucket.
func (c *collector) summary(b *Bucket, field string) *stats.Summary {
	i := slices.Index(b.Fields, field)
	if i < 0 {
		i = len(b.Fields)
		b.Fields = append(b.Fields, field)
		b.Summaries = append(b.Summaries, stats.New(c.limit))
	}
	return &b.Summaries[i]
}

// Rows implements [Replayer]. It adds the values column by column, as the engine does, so that the summaries are
// equal.
func (c *collector) Rows(handle uint64, fields []string, rows []float64, times []int64, blocks []int) {
	c.setLent(handle, false)
	b := c.open[handle]
	column := make([]float64, 0, len(rows)/len(fields))
	for f, field := range fields {
		column = column[:0]
		for i := f; i < len(rows); i += len(fields) {
			column = append(column, rows[i])
		}
		c.summary(b, field).AddBlocks(column, times, blocks)
	}
}

// Lent implements [Replayer].
func (c *collector) Lent(handle uint64) { c.setLent(handle, true) }

// setLent notes whether a bucket is lent. A row takes that back.
func (c *collector) setLent(handle uint64, lent bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if lent {
		c.lent[handle] = true
	} else if len(c.lent) > 0 {
		delete(c.lent, handle)
	}
}

// Demoted implements [Replayer].
func (c *collector) Demoted(handle uint64, field string) {
	c.summary(c.open[handle], field).Demote()
}

// Final implements [Replayer].
func (c *collector) Final(handle uint64) (Bucket, bool) {
	b, ok := c.open[handle]
	if !ok {
		return Bucket{}, false
	}
	delete(c.open, handle)
	return *b, true
}
