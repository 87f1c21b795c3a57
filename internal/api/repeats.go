package api

import (
	"sync"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

const (
	// repeatsEvery is the shortest time between two log lines about the same fault of a table.
	repeatsEvery = time.Minute
	// maxRepeats is how many different faults are remembered. The lines of further ones are limited together.
	maxRepeats = 100
)

// repeats limits the log lines about corrupt tables, which fail each request that reads them. The zero repeats are ready to use. It is safe
// for concurrent use.
type repeats struct {
	mu     sync.Mutex // guards the field below
	faults map[record.Corrupt]*repeated
}

// repeated is a fault that was logged.
type repeated struct {
	logged time.Time // the last line
	failed int       // requests since that line
}

// fail notes a request that failed because of a fault. It returns whether to log it, and how many requests have failed because of it since
// its last line, with this one.
func (r *repeats) fail(fault record.Corrupt, now time.Time) (log bool, failed int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.of(fault, now)
	f.failed++
	if !f.logged.IsZero() && now.Sub(f.logged) < repeatsEvery {
		return false, 0
	}
	failed, f.failed, f.logged = f.failed, 0, now
	return true, failed
}

// of returns what is known of a fault. If there are too many, it forgets those that were not logged within repeatsEvery. The caller holds
// mu.
func (r *repeats) of(fault record.Corrupt, now time.Time) *repeated {
	if f := r.faults[fault]; f != nil {
		return f
	}
	if len(r.faults) >= maxRepeats {
		for other, f := range r.faults {
			if now.Sub(f.logged) >= repeatsEvery {
				delete(r.faults, other)
			}
		}
	}
	if len(r.faults) >= maxRepeats {
		fault = record.Corrupt{}
	}
	if r.faults == nil {
		r.faults = make(map[record.Corrupt]*repeated)
	}
	f := r.faults[fault]
	if f == nil {
		f = &repeated{}
		r.faults[fault] = f
	}
	return f
}
