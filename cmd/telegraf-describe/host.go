package main

import (
	"log"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/influxdata/telegraf/config"
	"github.com/influxdata/telegraf/models"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/plugins/aggregators/describe"
)

// host informs the describe aggregators of a configuration that the agent stops. Plugins of Telegraf cannot see that themselves: an
// aggregator has no Stop or Close. newHost is called first, then stop, unless the agent ends by itself, and close after the agent
// has ended. stop runs beside the agent; the plugins call the functions of describe.Host from several goroutines.
type host struct {
	stopping atomic.Bool
	plugins  []*describe.Describe // in the order of the configuration
	windows  []*window            // of the plugins for which the last Push differs from others
}

// newHost sets the host of each describe aggregator. It must be called before the agent initializes the plugins. once and test are the flags
// of the command line. Blocks with the same ID get different numbers in the order of the configuration, so that each has a state of its own.
func newHost(c *config.Config, once, test bool) *host {
	h := new(host)
	h.stopping.Store(once || test) // these runs end by themselves
	ids, buffers := make(map[string]int), newFill(c)
	for _, ra := range c.Aggregators {
		d, ok := ra.Aggregator.(*describe.Describe)
		if !ok {
			continue
		}
		w := &window{ra: ra, place: pushPlace}
		keepsState := c.Agent.Statefile != "" && !once && !test
		block, number := len(h.plugins), ids[d.ID()]
		ids[d.ID()]++
		if d.State == "" && !keepsState {
			h.windows = append(h.windows, w)
		}
		d.SetHost(describe.Host{
			Background: !once && !test,
			Started:    w.observe,
			Emitted:    func(rows int) { buffers.emitted(block, rows) },
			IsLast:     func() bool { return w.isLast(h.stopping.Load()) },
			Closes:     true,
			Number:     number,
			KeepsState: keepsState,
			Bounded:    once || test,
			Test:       test && !once,
		})
		h.plugins = append(h.plugins, d)
	}
	return h
}

// window follows the periods of a running aggregator, to recognize its last Push. Telegraf pushes at the end of each
// period, and once more when no metric follows. These are two calls in the code of Telegraf, so they differ in their
// place. The place of the first kind is known from the first Push before the run stops.
//
// A run that stops in its first period has no such Push. There, a Push before the end of the period is the last one. So if that end is near,
// stop waits for the Push at it before the agent may stop, and a Push at the end while the run stops moves the next end out of reach: see isLast.
type window struct {
	ra    *models.RunningAggregator
	place func() uintptr // returns pushPlace; tests replace it
	timer uintptr        // the place of a Push at the end of a period; 0 before the first; guarded by the lock of the aggregator

	mu   sync.Mutex
	end  time.Time // of the period under way; zero before the first; guarded by mu
	sure bool      // whether timer is known; guarded by mu
}

const (
	// slack is how much before the end of a period its timer may fire.
	slack = 2 * time.Millisecond
	// near is the longest time until the end of a period for which stop waits.
	near = time.Second
	// never is longer than any run.
	never = 365 * 24 * time.Hour
)

// agentPush is the function of Telegraf that calls Push.
const agentPush = "github.com/influxdata/telegraf/agent.(*Agent).push"

// pushPlace returns the place in agentPush from which the caller was called, or 0 if it was called from elsewhere.
func pushPlace() uintptr {
	var callers [32]uintptr
	frames := runtime.CallersFrames(callers[:runtime.Callers(2, callers[:])])
	for {
		frame, more := frames.Next()
		if frame.Function == agentPush {
			return frame.PC
		}
		if !more {
			return 0
		}
	}
}

// observe reads the end of the period. It must be called with the lock of the aggregator held.
func (w *window) observe() { w.set(w.ra.EndPeriod()) }

// set stores the end of the period and returns the one before.
func (w *window) set(end time.Time) (before time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before, w.end, w.sure = w.end, end, w.timer != 0
	return before
}

// isLast reports, during a Push, whether it is the last one. If the place of the Push does not show that, the last one is a Push
// while the run stops and before the period has ended. If the run stops and this is not the last Push, the period that follows is then
// made to never end, so that the next Push is the last one.
func (w *window) isLast(stopping bool) bool {
	place := w.place()
	if !stopping {
		w.timer = place
	}
	end, now := w.set(w.ra.EndPeriod()), time.Now()
	switch {
	case !stopping:
		return false
	case w.timer != 0 && place != 0:
		return place != w.timer
	case now.Before(end.Add(-slack)):
		return true
	}
	w.ra.UpdateWindow(now, now.Add(never))
	w.observe()
	return false
}

// wait waits for the Push at the end of the period, if that is near and its place is not known yet, and at most for the time near after it.
// It polls, because the Push is seen only by observing the period.
func (w *window) wait() {
	w.mu.Lock()
	end, sure := w.end, w.sure
	w.mu.Unlock()
	if sure || end.IsZero() || time.Until(end) > near {
		return
	}
	for until := end.Add(near); time.Now().Before(until); time.Sleep(time.Millisecond) {
		w.mu.Lock()
		pushed := !w.end.Equal(end)
		w.mu.Unlock()
		if pushed {
			return
		}
	}
}

// stop must be called before the agent's context ends. It takes up to about two seconds where the end of the first period is near.
func (h *host) stop() {
	h.stopping.Store(true)
	for _, d := range h.plugins {
		d.Stop()
	}
	for _, w := range h.windows {
		w.wait()
	}
}

// close must be called after the agent has ended.
func (h *host) close() {
	for _, d := range h.plugins {
		if err := d.Close(); err != nil {
			log.Printf("E! [aggregators.describe] Closing the state: %v", err)
		}
	}
}

// dropOpenRows makes every InfluxDB 3 output drop the open rows of describe and the tag that marks the final ones.
// InfluxDB 3 does not promise that the newest write of a point wins, so a row must be written once, when it is final. An output whose
// filters name the tag is left alone.
func dropOpenRows(c *config.Config) error {
	warnRewrites(c)
	tags := stateTags(c.Aggregators)
	for _, output := range c.Outputs {
		if output.Config.Name != "influxdb_v3" {
			continue
		}
		f := &output.Config.Filter
		added := slices.DeleteFunc(slices.Clone(tags), func(tag string) bool { return namesTag(f, tag) })
		if len(added) == 0 {
			continue
		}
		for _, tag := range added {
			f.TagDropFilters = append(f.TagDropFilters, models.TagFilter{Name: tag, Values: []string{"open"}})
		}
		f.TagExclude = append(f.TagExclude, added...)
		if err := f.Compile(); err != nil {
			return err
		}
		log.Printf("I! [%s] Writes the final rows of describe only: tagexclude = %q was added, and tagdrop drops those that are \"open\"",
			output.LogName(), added)
	}
	return nil
}

// warnRewrites warns of describe blocks whose rows an output cannot handle: InfluxDB 3 may keep either version of a row
// that is written again, and rediscache recognizes open rows by the default tag only.
func warnRewrites(c *config.Config) {
	warnUnknownServers(c)
	for _, ra := range c.Aggregators {
		d, ok := ra.Aggregator.(*describe.Describe)
		if !ok {
			continue
		}
		rewrites := d.Emit == "update" || d.Emit == "both" && d.StateTag == ""
		renamed := d.Emit == "both" && d.StateTag != "" && d.StateTag != record.BucketState
		for _, output := range c.Outputs {
			switch name := output.Config.Name; {
			case rewrites && name == "influxdb_v3":
				log.Printf("W! [%s] emit = %q and state_tag = %q write each row several times, and InfluxDB 3 may keep an earlier version: "+
					"set emit = \"final\", or \"both\" with a state_tag", ra.LogName(), d.Emit, d.StateTag)
			case renamed && name == "rediscache":
				log.Printf("W! [%s] rediscache recognizes open rows by the tag %q only: with state_tag = %q each bucket has two records",
					ra.LogName(), record.BucketState, d.StateTag)
			}
		}
	}
}

// warnUnknownServers warns of outputs that may write to any version of InfluxDB and do not mention the tag of open rows. The configuration
// does not show the version of the server, and each version needs a filter for these rows.
func warnUnknownServers(c *config.Config) {
	for _, tag := range stateTags(c.Aggregators) {
		for _, output := range c.Outputs {
			if name := output.Config.Name; name != "influxdb_v2" && name != "influxdb" || namesTag(&output.Config.Filter, tag) {
				continue
			}
			log.Printf("W! [%s] The open and the final rows of describe are points with different tags. For InfluxDB 1 and 2, write "+
				"tagexclude = [%q], so that the final row replaces the open one. For InfluxDB 3, also write [outputs.%s.tagdrop] with "+
				"%s = [\"open\"]: it may keep either version of a point", output.LogName(), tag, output.Config.Name, tag)
		}
	}
}

// stateTags returns the tags that mark open rows.
func stateTags(all []*models.RunningAggregator) (tags []string) {
	for _, ra := range all {
		if d, ok := ra.Aggregator.(*describe.Describe); ok && d.Emit == "both" && d.StateTag != "" && !slices.Contains(tags, d.StateTag) {
			tags = append(tags, d.StateTag)
		}
	}
	return tags
}

// namesTag reports whether a filter mentions the tag.
func namesTag(f *models.Filter, tag string) bool {
	isIt := func(t models.TagFilter) bool { return t.Name == tag }
	return slices.Contains(f.TagExclude, tag) || slices.Contains(f.TagInclude, tag) ||
		slices.ContainsFunc(f.TagDropFilters, isIt) || slices.ContainsFunc(f.TagPassFilters, isIt)
}
