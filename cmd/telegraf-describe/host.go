package main

import (
	"log"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"github.com/influxdata/telegraf/config"
	"github.com/influxdata/telegraf/models"

	"github.com/telegraf-describe/telegraf-describe/internal/bucket"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/plugins/aggregators/describe"
)

// host informs the describe aggregators of a configuration that the agent stops. Plugins of Telegraf cannot see that themselves: an
// aggregator has no Stop or Close. newHost is called first, then stop, unless the agent ends by itself, and close after the agent
// has ended. stop runs beside the agent; the plugins call the functions of describe.Host from several goroutines.
//
//	newHost ─▶ Init ─▶ Push, Push … in the background      ─▶ stop ─▶ the agent's context ends ─▶ the last Push ─▶ close
//	                   while metrics are added meanwhile              Telegraf closes the channel for rows after it
type host struct {
	stopping atomic.Bool          // whether a Push that the agent does not call is the last one
	plugins  []*describe.Describe // in the order of the configuration
}

// newHost sets the host of each describe aggregator. It must be called before the agent initializes the plugins. once and test are the
// flags of the command line. Blocks with the same ID get different numbers in the order of the configuration, so that each has a state of
// its own.
//
// Runs with --once or --test end after one gathering: their Pushes need no background, they leave Telegraf's state file alone, and each
// Push that the agent does not call itself is the last one from the beginning.
func newHost(c *config.Config, once, test bool) *host {
	h := new(host)
	h.stopping.Store(once || test) // these runs end by themselves
	ids, buffers := make(map[string]int), newFill(c)
	for _, ra := range c.Aggregators {
		d, ok := ra.Aggregator.(*describe.Describe)
		if !ok {
			continue
		}
		keepsState := c.Agent.Statefile != "" && !once && !test
		block, number := len(h.plugins), ids[d.ID()]
		ids[d.ID()]++
		d.SetHost(describe.Host{
			Background: !once && !test,
			Emitted:    func(rows int) { buffers.emitted(block, rows) },
			IsLast:     func() bool { return isLast(pushPlace(), h.stopping.Load()) },
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

// agentPush is the function of Telegraf that calls Push.
const agentPush = "github.com/influxdata/telegraf/agent.(*Agent).push"

// caller is a place in agentPush that calls Push. agentPush calls Push at the end of each period, and once more after the last
// metric. The call is the last one if only the return of the function follows it. A test runs the agent to check that.
//
//	select {
//	case <-time.After(until):
//		aggregator.Push(acc) // periodEnd: in the loop, the call below follows
//	case <-ctx.Done():
//		aggregator.Push(acc) // atStop
//		return
//	}
//
// The time of a Push does not show which call it is, because the run may stop in the instant in which a period ends. Without a state, the
// last Push emits the open buckets as final. If it were not recognized, they would never leave as final rows. A Push that is wrongly taken
// for the last one would end buckets that still get values.
type caller int

const (
	unknown   caller = iota // called from elsewhere
	periodEnd               // at the end of a period
	atStop                  // the last Push of a run
)

// pushPlace returns the place from which the caller was called. agentPush is five or six frames above, so 32 are enough. It is
// called before a Push continues in the background, because that goroutine has other callers.
func pushPlace() caller {
	var callers [32]uintptr
	frames := runtime.CallersFrames(callers[:runtime.Callers(2, callers[:])])
	for {
		frame, more := frames.Next()
		if frame.Function == agentPush {
			return placeOf(frame)
		}
		if !more {
			return unknown
		}
	}
}

// placeOf returns the place of a call in agentPush, from the line numbers that the compiler has recorded: it walks through the instructions
// of the function and collects the lines behind the one of the call. Behind the last call is only the line of the return, and behind the
// other ones that call too. No line behind the call at all means that the source is not the one that this was written for, and then
// isLast falls back to the stop of the run.
//
// It reads every instruction's line, a byte of code at a time, but only during a Push, once for each block.
func placeOf(frame runtime.Frame) caller {
	if frame.Func == nil { // it is a part of another function
		return unknown
	}
	entry := frame.Func.Entry()
	later := make(map[int]bool) // lines
	for pc := entry; ; pc++ {
		if f := runtime.FuncForPC(pc); f == nil || f.Entry() != entry {
			break
		}
		if file, line := frame.Func.FileLine(pc); file == frame.File && line > frame.Line {
			later[line] = true
		}
	}
	switch len(later) {
	case 0:
		return unknown
	case 1:
		return atStop
	}
	return periodEnd
}

// isLast reports, during a Push, whether it is the last one. A Push that the agent does not call is the last one if the run stops.
func isLast(place caller, stopping bool) bool {
	return place == atStop || place == unknown && stopping
}

// stop must be called before the agent's context ends. After it every Push waits until its rows were emitted, because a Push in the
// background could send to the channel that Telegraf closes after the last one.
func (h *host) stop() {
	h.stopping.Store(true)
	for _, d := range h.plugins {
		d.Stop()
	}
}

// close closes the state of each block, and must be called after the agent has ended. After a reload the blocks of the next agent open the
// same folders, which are locked until then. An error is only logged.
func (h *host) close() {
	for _, d := range h.plugins {
		if err := d.Close(); err != nil {
			log.Printf("E! [aggregators.describe] Closing the state: %v", err)
		}
	}
}

// dropOpenRows makes every InfluxDB 3 output drop the open rows of describe and the tag that marks the final ones.
// InfluxDB 3 does not promise that the newest write of a point wins, so a row must be written once, when it is final. An output whose
// filters name the tag is left alone. It adds what a user could write in the block of the output:
//
//	tagexclude = ["bucket_state"]
//	[outputs.influxdb_v3.tagdrop]
//	  bucket_state = ["open"]
//
// Metrics without the tag pass. The filter of an output is compiled when it is loaded, so it must be compiled again.
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
		log.Printf("I! [%s] Gets the rows of a bucket once, when it has ended and got no value for %s (linger): tagexclude = %q was added, and "+
			"tagdrop of the rows that are \"open\"", output.LogName(), quiet(c.Aggregators), added)
	}
	return nil
}

// quiet returns the times after which buckets of describe blocks become final, as a text such as "10m" or "30s to 10m". There must be a
// describe block.
func quiet(all []*models.RunningAggregator) string {
	var times []time.Duration
	for _, ra := range all {
		if d, ok := ra.Aggregator.(*describe.Describe); ok {
			times = append(times, d.Quiet())
		}
	}
	shortest, longest := slices.Min(times), slices.Max(times)
	if shortest == longest {
		return bucket.Fixed(shortest).String()
	}
	return bucket.Fixed(shortest).String() + " to " + bucket.Fixed(longest).String()
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

// stateTags returns the tags that mark open rows, each once. Only blocks with emit = "both" have one: with "final" or "update" all rows
// are of one kind.
func stateTags(all []*models.RunningAggregator) (tags []string) {
	for _, ra := range all {
		if d, ok := ra.Aggregator.(*describe.Describe); ok && d.Emit == "both" && d.StateTag != "" && !slices.Contains(tags, d.StateTag) {
			tags = append(tags, d.StateTag)
		}
	}
	return tags
}

// namesTag reports whether a filter mentions the tag by its whole name. A pattern such as "bucket_*" does not count.
func namesTag(f *models.Filter, tag string) bool {
	isIt := func(t models.TagFilter) bool { return t.Name == tag }
	return slices.Contains(f.TagExclude, tag) || slices.Contains(f.TagInclude, tag) ||
		slices.ContainsFunc(f.TagDropFilters, isIt) || slices.ContainsFunc(f.TagPassFilters, isIt)
}
