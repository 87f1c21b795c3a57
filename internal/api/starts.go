package api

import (
	"context"
	"sync"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// maxStarts bounds the starts of buckets in memory. They need 24 bytes each.
const maxStarts = 100_000

// starts keeps the starts of the newest or oldest buckets of tables as long as answers are kept: until their table is written,
// and at most for keptAge. So different requests for the newest buckets of a table need one round trip to Redis instead of two.
// It is safe for concurrent use.
type starts struct {
	mu    sync.Mutex // guards the fields below
	known map[ends]index
	size  int // how many starts these have, and one more for each index; at most maxStarts, unless one index alone has more
}

// ends are the newest buckets of a table, or its oldest ones: at most one of first and last is above 0, as in [record.Range]. With
// both 0, they are all buckets of the table.
type ends struct {
	table       record.Table
	first, last int
}

// index is a result of [Reader.Index]. It is immutable.
type index struct {
	version int64       // of the table when the starts were read
	starts  []time.Time // ascending
	at      time.Time   // before it was read
}

// buckets is [Reader.Index]. The caller must not change the starts, which other requests may have too. Only ranges without a start
// and an end are kept, because times such as start=-6h are others in each request.
func (s *server) buckets(ctx context.Context, t record.Table, r record.Range) (version int64, starts []time.Time, err error) {
	key, now := ends{t, r.First, r.Last}, s.Now()
	keeps := r.Start.IsZero() && r.End.IsZero()
	if known, ok := s.starts.get(key); ok && keeps && now.Sub(known.at).Abs() < keptAge {
		// The version may be up to versionAge old, as for kept answers.
		version, _, err := s.versions.of(ctx, t, now)
		if err != nil || version == known.version {
			return version, known.starts, err
		}
	}
	version, starts, err = s.reader.Index(ctx, t, r)
	if err == nil && keeps {
		s.starts.put(key, index{version, starts, now})
	}
	return version, starts, err
}

// get returns the index that is kept for some buckets. It can be of another version, or too old.
func (s *starts) get(key ends) (index, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known, ok := s.known[key]
	return known, ok
}

// put keeps an index. If there are too many starts, it forgets all others. From then on, several requests share the slice of the index.
func (s *starts) put(key ends, x index) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.size += len(x.starts) + 1 - s.weight(key)
	if s.known == nil || s.size > maxStarts {
		s.known, s.size = make(map[ends]index), len(x.starts)+1
	}
	s.known[key] = x
}

// weight returns what an index that is kept counts.
func (s *starts) weight(key ends) int {
	if known, ok := s.known[key]; ok {
		return len(known.starts) + 1
	}
	return 0
}
