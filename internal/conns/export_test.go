package conns

import "time"

// UseClock replaces the clock by which a new connection is fresh. It must be called before the first connection.
func (l *Listener) UseClock(now func() time.Time) { l.now = now }
