package main

import (
	"log/slog"
	"sync"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// watchEvery is the shortest time between two log lines about streams that fail. Each table is tried again every second.
const watchEvery = time.Minute

// watchLog logs that tables with streams cannot be watched or read: the first failure, then at most one line in watchEvery for all tables,
// and one when all of them work again. It is safe for concurrent use.
type watchLog struct {
	log     *slog.Logger
	explain func(error) error // adds what to change to an error
	now     func() time.Time

	mu      sync.Mutex            // guards the fields below
	failing map[record.Table]bool // the tables that do not work; nil before the first failure
	failed  int                   // failures since all tables worked
	since   time.Time             // the first of them
	logged  time.Time             // the last line about failures; zero if there was none
}

// fail notes that a table cannot be watched, or a changed bucket of it cannot be read.
func (w *watchLog) fail(t record.Table, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.now()
	if len(w.failing) == 0 {
		w.failing, w.failed, w.since = make(map[record.Table]bool), 0, now
	}
	w.failing[t] = true
	w.failed++
	if !w.logged.IsZero() && now.Sub(w.logged) < watchEvery {
		return
	}
	w.logged = now
	w.log.Warn("a table cannot be watched, or a changed bucket cannot be read; it is tried again", "table", t.String(),
		"tables", len(w.failing), "failed", w.failed, "error", w.explain(err))
}

// end notes that a table works again, or is not watched any more.
func (w *watchLog) end(t record.Table) {
	w.mu.Lock()
	defer w.mu.Unlock()
	known := w.failing[t]
	delete(w.failing, t)
	if !known || len(w.failing) > 0 || w.logged.Before(w.since) {
		return // this is known already, others fail, or these failures were not logged
	}
	w.log.Info("all streams are up to date again", "after", w.now().Sub(w.since).Round(time.Second), "failed", w.failed)
}
