package cache

import (
	"slices"
	"sync"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

const (
	// maxSizedTables is how many tables have sizes in memory. Beyond it all are forgotten: sizes that are unknown cost only a smaller
	// first round trip of more expensive commands.
	maxSizedTables = 10_000
	// maxSized is how many buckets of a table have sizes in memory.
	maxSized = 32
	// sizesAge is how old the version of a table may be with which the sizes of its buckets are compared. So a bucket that is read by
	// its known size can be larger by what was written in that time.
	sizesAge = 50 * time.Millisecond
)

// sizes are those of the tables that were read, to read them again with cheaper commands. It is safe for concurrent use.
type sizes struct {
	now func() time.Time

	mu     sync.Mutex // guards the field below, and its values
	tables map[record.Table]*tableSizes
}

// tableSizes are the sizes of a table. starts and counts are of the first buckets of the last reading, at most maxSized, and have the
// same length. They are right as long as version, the newest one that is known, is equal to sized.
type tableSizes struct {
	mean    int       // bytes of a record, or 0 if it is not known
	summary int       // bytes of a record and its summary, or 0 if it is not known
	version int64     // the newest one that was read
	read    time.Time // when that reading began, by sizes.now
	sized   int64     // the version since which the counts are right
	starts  []time.Time
	counts  []int64 // how many records the buckets have that begin at starts
}

// of returns the sizes of a table. The caller holds mu.
func (s *sizes) of(t record.Table) *tableSizes {
	known := s.tables[t]
	if known == nil {
		if s.tables == nil || len(s.tables) >= maxSizedTables {
			s.tables = make(map[record.Table]*tableSizes)
		}
		known = &tableSizes{}
		s.tables[t] = known
	}
	return known
}

// meanOf returns the mean size of the records of a table, or 0 if it is not known.
func (s *sizes) meanOf(t record.Table) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.of(t).mean
}

// summaryOf returns the mean size of the records of a table with their summaries, or 0 if it is not known.
func (s *sizes) summaryOf(t record.Table) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.of(t).summary
}

// setSummary notes that mean size.
func (s *sizes) setSummary(t record.Table, mean int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.of(t).summary = mean
}

// setVersion notes a version of a table, and the time before it was read.
func (s *sizes) setVersion(t record.Table, version int64, read time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.of(t); read.After(known.read) {
		known.version, known.read = version, read
	}
}

// begin returns what is known of a table before it is read: the mean size of its records, its version, and the sizes of the first of
// the buckets that begin at starts. If the version was read too long ago, it is 0, and the sizes are not known.
func (s *sizes) begin(t record.Table, starts []time.Time) (mean int, version int64, counts []int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.of(t)
	if s.now().Sub(known.read) > sizesAge {
		return known.mean, 0, nil
	}
	if known.sized == known.version {
		counts = slices.Clone(known.counts[:common(known.starts, starts)])
	}
	return known.mean, known.version, counts
}

// common returns the length of the longest common prefix.
func common(a, b []time.Time) int {
	n := 0
	for n < len(a) && n < len(b) && a[n].Equal(b[n]) {
		n++
	}
	return n
}

// end notes what a reading has found: the mean size of the records, unless it is 0, and the sizes of the first of the buckets that
// begin at starts. The version of the table was read before the buckets; if it is 0, the sizes are not kept.
func (s *sizes) end(t record.Table, mean int, version int64, starts []time.Time, counts []int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.of(t)
	if mean > 0 {
		known.mean = mean
	}
	starts = starts[:len(counts)]
	if version == 0 || version < known.sized || version == known.sized && common(known.starts, starts) == len(starts) {
		return
	}
	known.sized, known.starts, known.counts = version, slices.Clone(starts), counts
}
