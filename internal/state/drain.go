package state

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// Drain replays the open buckets of the last run and yields them whole, with their handles, in the order of their series and
// starts, without the fields that were lent or have no values. A bucket whose fields were all lent is left out. It is for a store
// whose options have changed, so that no engine will continue its buckets. The buckets stay open in the store unless the caller makes
// them final, and a Drain in a later run would yield them again: call Retire after their rows were emitted. Drain returns the first
// error of yield.
func (s *Store) Drain(yield func(handle uint64, b Bucket) error) error {
	c := collector{limit: s.o.ExactLimit, open: make(map[uint64]*Bucket), lent: make(map[uint64][]lentField)}
	if err := s.Replay(&c); err != nil {
		return err
	}
	for handle, fields := range s.givenUp {
		if c.open[handle] != nil {
			c.Lent(handle, fields)
		}
	}
	for handle := range c.lent {
		if c.dropLent(handle); len(c.open[handle].withoutEmpty().Fields) == 0 {
			delete(c.open, handle)
		}
	}
	all := slices.SortedFunc(maps.Keys(c.open), func(a, b uint64) int {
		return cmp.Or(cmp.Compare(c.open[a].Series, c.open[b].Series), cmp.Compare(c.open[a].Start, c.open[b].Start))
	})
	for _, handle := range all {
		if err := yield(handle, c.open[handle].withoutEmpty()); err != nil {
			return err
		}
	}
	return nil
}

// withoutEmpty returns the bucket without the fields that have no values: its rows had places for them.
func (b *Bucket) withoutEmpty() Bucket {
	found := *b
	found.Fields, found.Summaries = nil, nil
	for i := range b.Summaries {
		if b.Summaries[i].Count() > 0 {
			found.Fields, found.Summaries = append(found.Fields, b.Fields[i]), append(found.Summaries, b.Summaries[i])
		}
	}
	return found
}

// collector is a Replayer that keeps the buckets. A replay calls Rows and Demoted concurrently, but for buckets of different series,
// so a bucket needs no lock, and the map of the open ones does not change meanwhile.
//
// It takes the place of an engine for a store whose options no block has any more.
type collector struct {
	limit int                // exact limit of the summaries, as Options.ExactLimit
	open  map[uint64]*Bucket // by handle

	lent map[uint64][]lentField // by handle
}

// lentField is a field that was marked as lent when it had count values. If it has more values at the end of the replay, a row with a
// value has come since, and it is not lent any more.
type lentField struct {
	name  string
	count uint64
}

// Open implements [Replayer].
func (c *collector) Open(handle uint64, b Bucket) error {
	if c.open[handle] != nil {
		return fmt.Errorf("handle %d is open already", handle)
	}
	c.open[handle] = &b
	return nil
}

// summary returns the summary of a field of the bucket, which it adds if the bucket lacks the field. The pointer is valid until the next
// call.
func (c *collector) summary(b *Bucket, field string) *stats.Summary {
	i := slices.Index(b.Fields, field)
	if i < 0 {
		i = len(b.Fields)
		b.Fields = append(b.Fields, field)
		b.Summaries = append(b.Summaries, stats.New(c.limit))
	}
	return &b.Summaries[i]
}

// Rows implements [Replayer].
func (c *collector) Rows(handle uint64, fields []string, columns []float64, times []int64, blocks []int, _ int) {
	b, n := c.open[handle], len(columns)/len(fields)
	for f, field := range fields {
		c.summary(b, field).AddBlocks(columns[f*n:][:n], times, blocks)
	}
}

// Lent implements [Replayer].
func (c *collector) Lent(handle uint64, fields []string) {
	b := c.open[handle]
	for i, name := range b.Fields {
		if len(fields) == 0 || slices.Contains(fields, name) {
			c.lent[handle] = append(c.lent[handle], lentField{name, b.Summaries[i].Count()})
		}
	}
}

// dropLent removes the fields of a bucket that got no values after they were lent.
func (c *collector) dropLent(handle uint64) {
	b := c.open[handle]
	for _, l := range c.lent[handle] {
		if i := slices.Index(b.Fields, l.name); i >= 0 && b.Summaries[i].Count() == l.count {
			b.Fields, b.Summaries = slices.Delete(b.Fields, i, i+1), slices.Delete(b.Summaries, i, i+1)
		}
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
	c.dropLent(handle)
	delete(c.open, handle)
	delete(c.lent, handle)
	return *b, true
}
