package api

import (
	"sync"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// presence remembers which exported tables are missing, so that each is logged once. It is safe for concurrent use.
type presence struct {
	mu      sync.Mutex // guards the field below
	missing map[record.Table]bool
}

// change notes whether a table was found, and reports whether that is another result than before. At first, tables count as
// found.
func (p *presence) change(t record.Table, found bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.missing[t] != found {
		return false
	}
	if p.missing == nil {
		p.missing = make(map[record.Table]bool)
	}
	p.missing[t] = !found
	return true
}

// foundExport notes in the log and in the metrics whether an exported table is in Redis.
func (s *server) foundExport(t record.Table, found bool) {
	up := 0.0
	if found {
		up = 1
	}
	s.metrics.tables.WithLabelValues(t.Database, t.Name).Set(up)
	switch changed := s.exported.change(t, found); {
	case changed && found:
		s.Log.Info("a table of [[export]] is in Redis now", "database", t.Database, "table", t.Name)
	case changed:
		s.Log.Warn("a table of [[export]] is not in Redis: no agent has written it, or its records have expired; check the names",
			"database", t.Database, "table", t.Name)
	}
}
