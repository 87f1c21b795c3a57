package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/influxdata/telegraf/agent"
	"github.com/influxdata/telegraf/config"
	"github.com/influxdata/telegraf/logger"
	"github.com/influxdata/telegraf/plugins/aggregators"
	"github.com/influxdata/telegraf/plugins/inputs"
	"github.com/influxdata/telegraf/plugins/outputs"
	"github.com/influxdata/telegraf/plugins/parsers"
	"github.com/influxdata/telegraf/plugins/processors"
	"github.com/influxdata/telegraf/plugins/secretstores"

	"github.com/telegraf-describe/telegraf-describe/internal/show"
)

// The goroutines of a run, and the channels by which they report to runOnce. Only runOnce decides what follows, and only it changes the
// cycle:
//
//	runOnce ─┬▶ loadAndRun: loads, then runs the agent              closes loaded, sends to ended
//	         ├▶ the watchers of files and URLs                      send to changed
//	         └▶ checkNew, once for each reload of a running agent   sends to checked
//	the server of profiles, if any, over all cycles                 sends to failed
//
// Each of these channels has room for its value, so no goroutine is blocked after runOnce has returned. The context of the cycle ends the
// agent and the watchers. The check and the loading of a configuration cannot be cancelled, as Telegraf's functions take no context.

// runner runs the agent until a signal stops it, and runs it again after each reload. Its methods are for one goroutine, except
// loadAndRun and checkNew, which run beside runOnce and change nothing of it.
type runner struct {
	options
	signals <-chan os.Signal // those of catchSignals; one that comes during a reload waits in it for the next cycle
	failed  <-chan error     // gets the error that ended the server of profiles; nothing comes without that server
	pid     pidFile
}

// run returns when the agent has ended and no reload follows. The process id and the server of profiles stay over reloads.
func (r *runner) run() error {
	r.failed = servePprof(r.pprofAddress)
	r.pid.path = r.pidFile
	defer r.pid.remove()
	for {
		again, err := r.runOnce()
		if err != nil || !again {
			return err
		}
		log.Print("I! Reloading the configuration")
	}
}

// runOnce loads the configuration and runs the agent until it has ended: by itself, or because of a signal, a
// change of the configuration or an error of the server of profiles. It reports whether to run again, which it never does after a stop. The
// error is that of the agent or of loading, joined with that of the server of profiles.
//
// After a stop while the configuration is loading, it does not wait: the goroutine that loads goes on until the process ends.
func (r *runner) runOnce() (again bool, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c := &cycle{runner: r, cancel: cancel, loaded: make(chan struct{})}
	changed := r.watchConfig(ctx) // before loading, so that no change during it is missed
	ended := make(chan error, 1)  // with room, as nobody may receive: see below
	go func() { ended <- r.loadAndRun(ctx, c.loaded) }()
	var failure error
	for {
		select {
		case err := <-ended:
			return c.again && !c.stopping, errors.Join(failure, err)
		case err := <-r.failed:
			// The agent is stopped as by a signal, with a last push and flush. The error ends the command after that.
			failure = fmt.Errorf("serving profiles: %w", err)
			c.end(false)
		case s := <-r.signals:
			c.signal(s)
		case <-changed:
			changed = r.watchConfig(ctx) // the watchers have ended: each reports one change
			c.reload()
		case err := <-c.checked:
			c.decide(err)
		}
		if c.stopping && !closed(c.loaded) { // loading may wait for a server and cannot be cancelled
			return false, failure
		}
	}
}

// closed reports whether c is closed. Nothing is ever sent on c.
func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// notify notifies systemd, if it started the process, that the agent stops or reloads: see sd_notify(3). Each reload ends with READY=1.
func notify(stopping bool) {
	state := daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec()
	if stopping {
		state = daemon.SdNotifyStopping
	}
	notifyState(state)
}

// notifyState sends a state to systemd. Without the variable NOTIFY_SOCKET it does nothing. An error is logged, because the agent works
// without systemd.
func notifyState(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Printf("D! Notifying systemd: %v", err)
	}
}

// loadAndRun loads the configuration, closes loaded, and runs the agent until the context ends. If the context has ended while it was
// loading, it starts no agent. After an error of loading, loaded stays open.
//
// The error of a canceled context is not returned, because a stop is no failure: the agent returns it if it waited at that moment, for
// example to connect an output again.
func (r *runner) loadAndRun(ctx context.Context, loaded chan<- struct{}) error {
	c, err := r.load()
	if err != nil {
		return err
	}
	close(loaded)
	if !closed(ctx.Done()) {
		err = r.runAgent(ctx, c)
	}
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// read loads the configuration and checks the options of our plugins, but initializes none. The sources are those of the files, in the
// order of loading. In test mode, outputs have no buffers on disk, which a running agent may use. quiet leaves out the log lines of
// loading. The secrets that Telegraf counts in package variables are reset, so read must not run at the same time as another read; secrets
// that are linked stay valid.
func (r *runner) read(testMode, quiet bool) (*config.Config, []source, error) {
	files, err := configFiles(r.files, r.folders)
	if err != nil {
		return nil, nil, err
	}
	config.ResetSecrets()
	c := newConfig()
	c.Agent.Quiet = quiet
	c.Agent.ConfigURLRetryAttempts = r.urlRetries
	c.InputFilters, c.OutputFilters, c.SecretStoreFilters = r.filters.inputs, r.filters.outputs, r.filters.secretstores
	c.TestMode = testMode
	sources, err := loadFiles(c, files)
	if err != nil {
		return nil, nil, err
	}
	return c, sources, checkOptions(c, sources)
}

// load reads the configuration, sets our defaults for describe and its outputs, and checks it. Its warnings come before the agent's log
// is set up: at the first start they are on stderr, even if the configuration has a log file. After a reload they are in the log of the
// agent before.
//
// A new check or default must also be considered in check and checkNew, which have the same steps for a configuration that does not run.
func (r *runner) load() (*config.Config, error) {
	c, sources, err := r.read(r.test && !r.once, r.quiet)
	if err != nil {
		return nil, err
	}
	openGates(c.Aggregators)
	// From here on each line looks at the whole configuration, which a plugin alone never sees.
	warnOverlaps(c.Aggregators, placesOf(sources, "aggregators.describe"))
	warnMerges(c.Aggregators)
	warnUnreached(c)
	warnOutputMerges(c)
	warnBuffers(c)
	if err := dropOpenRows(c); err != nil {
		return nil, err
	}
	return c, checkConfig(c, r.once || !r.test)
}

// bufferLimit is our default of metric_buffer_limit. Telegraf's default is 10,000. describe can emit more rows in
// one period, and a row that an output drops is not emitted again unless its bucket changes.
const bufferLimit = 100_000

// newConfig returns an empty configuration with our defaults. Loading a file overrides them.
func newConfig() *config.Config {
	c := config.NewConfig()
	c.Agent.MetricBufferLimit = bufferLimit
	return c
}

// checkConfig returns an error if the agent cannot run the configuration. Outputs are needed unless it is a test. The errors have the
// words of upstream.
func checkConfig(c *config.Config, needOutputs bool) error {
	switch {
	case len(c.Inputs) == 0:
		return errors.New("no inputs found, probably invalid config file provided")
	case len(c.Outputs) == 0 && needOutputs:
		return errors.New("no outputs found, probably invalid config file provided")
	case c.Agent.Interval <= 0:
		return fmt.Errorf("agent interval must be positive, found %s", time.Duration(c.Agent.Interval))
	case c.Agent.FlushInterval <= 0:
		return fmt.Errorf("agent flush_interval must be positive, found %s", time.Duration(c.Agent.FlushInterval))
	}
	return nil
}

// runAgent runs the agent until the context ends. Describe aggregators must be informed before the agent stops, so
// the agent has a context of its own, which is canceled after that. Only then do they know that their next Push is the last one.
func (r *runner) runAgent(ctx context.Context, c *config.Config) error {
	if err := r.setupLogging(c); err != nil {
		return fmt.Errorf("setting up logging: %w", err)
	}
	r.announce(c)
	h := newHost(c, r.once, r.test)
	defer h.close()
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		h.stop()
		cancel()
	})()
	a := agent.NewAgent(c)
	// The agent does not report when its plugins have started, so systemd is notified before that, as by upstream.
	notifyState(daemon.SdNotifyReady)
	switch {
	case r.once: // with outputs, and before test: see options
		return a.Once(running, r.wait)
	case r.test:
		return a.Test(running, r.wait)
	}
	r.pid.write()
	return a.Run(running)
}

// setupLogging replaces the log of the process by the one of the configuration, and closes the one before. A flag can make it more detailed
// or more quiet, but cannot undo debug or quiet of the configuration. Of both together, quiet counts.
func (r *runner) setupLogging(c *config.Config) error {
	return logger.SetupLogging(&logger.Config{
		Debug:                   c.Agent.Debug || r.debug,
		Quiet:                   c.Agent.Quiet || r.quiet,
		LogTarget:               c.Agent.LogTarget,
		LogFormat:               c.Agent.LogFormat,
		Logfile:                 c.Agent.Logfile,
		StructuredLogMessageKey: c.Agent.StructuredLogMessageKey,
		RotationInterval:        time.Duration(c.Agent.LogfileRotationInterval),
		RotationMaxSize:         int64(c.Agent.LogfileRotationMaxSize),
		RotationMaxArchives:     c.Agent.LogfileRotationMaxArchives,
		LogWithTimezone:         c.Agent.LogWithTimezone,
	})
}

// announce logs the version, the plugins and the tags before the agent runs.
func (r *runner) announce(c *config.Config) {
	log.Printf("I! Starting %s", versions())
	log.Printf("I! Available plugins: %d inputs, %d aggregators, %d processors, %d parsers, %d outputs, %d secret stores",
		len(inputs.Inputs), len(aggregators.Aggregators), len(processors.Processors),
		len(parsers.Parsers), len(outputs.Outputs), len(secretstores.SecretStores))
	announcePlugins(c)
	if r.test && !r.once {
		log.Print("W! Outputs are not used in testing mode!")
	}
	log.Printf("I! Tags enabled: %s", c.ListTags())
	// Three pages for each secret are upstream's estimate.
	required, available := 3*c.NumberSecrets*uint64(os.Getpagesize()), lockedMemoryLimit()
	if !r.unprotected && required > available {
		log.Printf("W! Secrets need %d kB of locked memory, but the limit is %d kB: raise it, for example with 'ulimit -l'", required/1024, available/1024)
	}
}

// announcePlugins logs the plugins of each kind and how many of them, and of their options, are deprecated. The sources are empty unless
// --print-plugin-config-source is set.
func announcePlugins(c *config.Config) {
	for _, loaded := range []struct {
		kind    string
		names   []string
		sources string
	}{
		{"inputs", c.InputNames(), c.InputNamesWithSources()},
		{"aggregators", c.AggregatorNames(), c.AggregatorNamesWithSources()},
		{"processors", c.ProcessorNames(), c.ProcessorNamesWithSources()},
		{"secretstores", c.SecretstoreNames(), c.SecretstoreNamesWithSources()},
		{"outputs", c.OutputNames(), c.OutputNamesWithSources()},
	} {
		// Deprecations has two counts for each kind: plugins and options.
		log.Printf("I! Loaded %s: %s\n%s", loaded.kind, strings.Join(loaded.names, " "), loaded.sources)
		if n := c.Deprecations[loaded.kind]; len(n) > 1 && n[0]+n[1] > 0 {
			log.Printf("W! Deprecated %s: %s and %s", loaded.kind, show.Counted(n[0], "plugin"), show.Counted(n[1], "option"))
		}
	}
}
