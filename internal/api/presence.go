package api

import (
	"sync"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// presence remembers which exported tables are missing or cannot be read, so that each is logged once. It is safe for concurrent
// use.
type presence struct {
	mu     sync.Mutex              // guards the field below
	absent map[record.Table]string // why a table is not exported, "" if it is; the tables are those of the settings
}

// change notes why a table is not exported, "" if it is, and reports whether that is another reason than before. At first, tables
// count as exported. The reason is one of a few words, not an error, so that the same reason with another text is not logged again.
func (p *presence) change(t record.Table, absent string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.absent[t] == absent {
		return false
	}
	if p.absent == nil {
		p.absent = make(map[record.Table]string)
	}
	p.absent[t] = absent
	return true
}

// foundExport notes in the log and in the metrics whether an exported table is missing, or could not be read because of an error.
// It is called for each exported table after each reading of the export. If it is missing and there is an error, it counts as unreadable.
func (s *server) foundExport(t record.Table, missing bool, err error) {
	up, absent := 1.0, ""
	if missing {
		up, absent = 0, "missing"
	}
	if err != nil {
		up, absent = 0, "unreadable"
	}
	s.metrics.tables.WithLabelValues(t.Database, t.Name).Set(up)
	if !s.exported.change(t, absent) {
		return
	}
	switch absent {
	case "":
		s.Log.Info("a table of [[export]] is in Redis now", "database", t.Database, "table", t.Name)
	case "missing":
		s.Log.Warn("a table of [[export]] is not in Redis: no agent has written it, or its records have expired; check the names",
			"database", t.Database, "table", t.Name)
	default:
		s.Log.Warn("a table of [[export]] cannot be read, others are exported", "database", t.Database, "table", t.Name, "error", s.Explain(err))
	}
}
