package main

import (
	"log"
	"slices"
	"sync/atomic"
	"time"

	"github.com/influxdata/telegraf/config"
	"github.com/influxdata/telegraf/models"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/plugins/aggregators/describe"
)

// host informs the describe aggregators of a configuration that the agent stops. Plugins of Telegraf cannot see that themselves.
type host struct {
	stopping atomic.Bool
	plugins  []*describe.Describe
}

// newHost sets the host of each describe aggregator. It must be called before the agent initializes the plugins.
func newHost(c *config.Config, once, test bool) *host {
	h := new(host)
	h.stopping.Store(once || test) // these runs end by themselves
	for _, ra := range c.Aggregators {
		d, ok := ra.Aggregator.(*describe.Describe)
		if !ok {
			continue
		}
		w := &window{ra: ra}
		d.SetHost(describe.Host{
			Background: !once && !test,
			Started:    w.observe,
			IsLast:     func() bool { return w.endsEarly() && h.stopping.Load() },
			KeepsState: c.Agent.Statefile != "" && !once && !test,
			Bounded:    once || test,
			Test:       test && !once,
		})
		h.plugins = append(h.plugins, d)
	}
	return h
}

// window follows the periods of a running aggregator. Its methods are called with the aggregator's lock held.
type window struct {
	ra  *models.RunningAggregator
	end time.Time // of the period under way
}

func (w *window) observe() { w.end = w.ra.EndPeriod() }

// endsEarly reports, during a Push, whether the period ends before its time by the clock: Telegraf pushes early only when
// no metric follows. Timers may fire a little before the end of a period.
func (w *window) endsEarly() bool {
	const slack = 2 * time.Millisecond
	early := time.Now().Before(w.end.Add(-slack))
	w.observe()
	return early
}

// stop must be called before the agent's context ends.
func (h *host) stop() {
	h.stopping.Store(true)
	for _, d := range h.plugins {
		d.Stop()
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
