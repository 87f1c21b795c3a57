package main

import (
	"context"
	"log"
	"os"
	"strings"
	"syscall"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/telegraf-describe/telegraf-describe/plugins/aggregators/describe"
)

// cycle is the time of one agent: from loading its configuration until it has ended. Its methods are for one goroutine, the one of runOnce.
// A reload while the configuration is loading needs no check: the agent does not run yet, and the next cycle loads the files again.
//
//	loading ─▶ running ─ reload ─▶ checking ─ good ─▶ ending ─▶ the next cycle
//	   │          ▲                    └ an error: logged, the agent runs on
//	   └ reload: the next cycle at once
//
// A signal that stops wins over a reload at any time.
type cycle struct {
	*runner
	cancel   context.CancelFunc // ends the agent of this cycle, and the watching of its configuration
	loaded   chan struct{}      // closed when the configuration is loaded
	checked  chan error         // gets the result of the check of a new configuration, once; has room for it; nil while there is no check
	repeat   bool               // whether another reload was asked for during that check
	again    bool               // whether another agent follows
	stopping bool               // whether the command ends
}

// reload begins a reload. While an agent runs, it begins with a check of the new configuration, so that the agent is
// stopped only for one that can run.
func (c *cycle) reload() {
	switch {
	case c.again || c.stopping:
	case !closed(c.loaded):
		c.end(true)
	case c.checked != nil:
		c.repeat = true
	default:
		checked := make(chan error, 1)
		c.checked = checked
		go func() { checked <- c.checkNew() }()
	}
}

// decide ends the agent if the new configuration is good, and else logs why the agent runs on. err is the result of the check. After an
// error, a reload that was asked for during the check begins now: the files may have been corrected since.
func (c *cycle) decide(err error) {
	repeat := c.repeat
	c.checked, c.repeat = nil, false
	if err == nil {
		c.end(true)
		return
	}
	log.Printf("E! The new configuration has an error, so the agent runs on with the old one: %s", oneLine(err))
	// "systemctl reload" of a unit with Type=notify-reload waits for RELOADING and then READY, also after a reload that changed nothing.
	notify(false)
	notifyState(daemon.SdNotifyReady)
	if repeat {
		c.reload()
	}
}

// end ends the agent, and the command unless another agent follows. It may be called more than once: a reload never undoes a stop. It does
// not wait for the end of the agent, which runOnce receives from the channel ended. systemd is not notified of a stop while the
// configuration is loading, because the process ends at once then.
func (c *cycle) end(again bool) {
	c.again, c.stopping = c.again || again, c.stopping || !again
	c.cancel()
	if !c.stopping || closed(c.loaded) {
		notify(c.stopping)
	}
}

// signal handles a signal of the process: SIGHUP reloads, all others end the command.
func (c *cycle) signal(s os.Signal) {
	if s == syscall.SIGHUP {
		c.reload()
		return
	}
	c.end(false)
}

// checkNew returns an error if the agent could not run with the configuration that the files have now. It does not touch anything that the
// running agent uses: no state, no buffer on disk, no log file. It logs none of the warnings of load, because load follows if the
// configuration is good. The plugins that it makes are never started, and are left to the garbage collector.
func (r *runner) checkNew() error {
	c, _, err := r.read(true, true)
	if err != nil {
		return err
	}
	openGates(c.Aggregators)
	if err := checkConfig(c, r.once || !r.test); err != nil {
		return err
	}
	return initThrowaway(c, describe.Host{Bounded: true})
}

// oneLine returns the text of an error in one line, for the log: joined errors have a line each, which become "first; second".
func oneLine(err error) string {
	return strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}
