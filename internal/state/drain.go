package state

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// Drain replays the open buckets of the last run and yields them whole, in the order of their series and starts. It
// is for a store whose options have changed, so that no engine will continue its buckets. The buckets stay open in
// the store, and a Drain in a later run would yield them again: call Retire after their rows were emitted. Drain
// returns the first error of yield.
func (s *Store) Drain(yield func(Bucket) error) error {
	c := collector{limit: s.o.ExactLimit, open: make(map[uint64]*Bucket)}
	if err := s.Replay(&c); err != nil {
		return err
	}
	all := make([]*Bucket, 0, len(c.open))
	for _, b := range c.open {
		all = append(all, b)
	}
	slices.SortFunc(all, func(a, b *Bucket) int {
		return cmp.Or(cmp.Compare(a.Series, b.Series), cmp.Compare(a.Start, b.Start))
	})
	for _, b := range all {
		if err := yield(*b); err != nil {
			return err
		}
	}
	return nil
}

// collector is a Replayer that keeps the buckets.
type collector struct {
	limit int
	open  map[uint64]*Bucket
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
