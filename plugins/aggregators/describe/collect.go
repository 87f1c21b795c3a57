package describe

import (
	"runtime/debug"
	"slices"
	"sync"
)

const (
	// rarely is the setting of the garbage collector during a restart, which fills the memory with buckets that stay. With the usual
	// setting, collections took 30 % of the CPU time of BenchmarkRestart. The peak of memory is 1.4 times what the buckets take.
	rarely = 400
	// never is the setting while a log of at most shortLog bytes is replayed. That takes up to 10 bytes of memory for each byte of the
	// log, most of which stay in use: with the other setting, a collection took 10 % of the CPU time of BenchmarkRestart.
	never    = -1
	shortLog = 64 << 20
)

// garbage is the setting of the garbage collector of this process, for all blocks that restart.
var garbage collector

// collector makes garbage collections rarer for some time.
type collector struct {
	mu    sync.Mutex // guards the fields below
	own   int        // the setting without restarts
	asked []int      // the settings that are wanted now
}

// collect makes collections as rare as wanted until the returned function is called. If they are rarer already, they stay so. percent is
// that of [debug.SetGCPercent]: by how much the heap may grow before the next collection, or never. Calls may overlap, in one block and in
// several, and end in any order. restore must be called once.
func (c *collector) collect(percent int) (restore func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.asked) == 0 {
		c.own = debug.SetGCPercent(percent)
	}
	c.asked = append(c.asked, percent)
	c.set()
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		i := slices.Index(c.asked, percent)
		c.asked = slices.Delete(c.asked, i, i+1)
		c.set()
	}
}

// set sets the rarest of all settings: never before all others, and otherwise the largest number. The caller holds mu.
func (c *collector) set() {
	rarest := c.own
	for _, percent := range c.asked {
		if rarest != never && (percent == never || percent > rarest) {
			rarest = percent
		}
	}
	debug.SetGCPercent(rarest)
}
