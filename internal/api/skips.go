package api

import (
	"sync"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// skipsEvery is the shortest time between two log lines about skipped texts.
const skipsEvery = time.Minute

// skips limits the log lines about skipped texts. It is safe for concurrent use.
type skips struct {
	mu     sync.Mutex // guards the fields below
	logged time.Time  // when the last line was logged
	count  int        // texts since that line
}

// skipped counts n texts of a table that a request skipped because they are not records, and logs them, at most once in skipsEvery.
// The line has the number of all texts since the line before, of any table.
func (s *server) skipped(t record.Table, n int) {
	s.metrics.invalid.Add(float64(n))
	s.skips.mu.Lock()
	defer s.skips.mu.Unlock()
	s.skips.count += n
	if now := time.Now(); s.skips.logged.IsZero() || now.Sub(s.skips.logged) >= skipsEvery {
		s.Log.Warn("skipped texts in Redis that are not records", "count", s.skips.count, "last_table", t.String())
		s.skips.logged, s.skips.count = now, 0
	}
}
