package describe

import (
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/state"
)

// This file gives the tests in package describe_test what no user of the plugin needs: times and kills that a test chooses, and the store.

// SetClock replaces the wall clock, before Init.
func (d *Describe) SetClock(now func() time.Time) { d.now = now }

// SetOwner makes d, before Init, a block of a Telegraf with other arguments.
func (d *Describe) SetOwner(owner string) { d.owner = owner }

// SetAtCommit sets a function to call at points of the order of commits, see [store.Commit].
func (d *Describe) SetAtCommit(call func(point string)) { d.atCommit = call }

// Store returns the store of the option state.
func (d *Describe) Store() *state.Store { return d.store }

// Late returns how many values were late. The statistic values_late is as of the last Push.
func (d *Describe) Late() int64 { return d.engine.Counters().Late }

// Wait waits for a Push in the background.
func (d *Describe) Wait() { d.pusher.wait() }

// Leave makes the other blocks of this process take d for a block of another process.
func (d *Describe) Leave() { running.remove(d) }

// Renaming reports whether values wait because folders are renamed.
func Renaming() bool {
	if !running.renaming.TryRLock() {
		return true
	}
	running.renaming.RUnlock()
	return false
}
