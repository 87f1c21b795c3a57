package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	_ "net/http/pprof" //nolint:gosec // served on --pprof-addr only
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/influxdata/telegraf/agent"
	"github.com/influxdata/telegraf/config"
	"github.com/influxdata/telegraf/logger"

	"github.com/telegraf-describe/telegraf-describe/plugins/aggregators/describe"
)

// runner runs the agent until a signal ends it, and again after each reload.
type runner struct {
	options
	signals <-chan os.Signal
}

// run returns when the agent has ended for good. As upstream, a configuration that is wrong at a reload
// ends the command with an error.
func (r *runner) run() error {
	failed := make(chan error, 1)
	if r.pprofAddress != "" {
		go func() { failed <- servePprof(r.pprofAddress) }()
	}
	for {
		reload, err := r.runOnce(failed)
		if err != nil || !reload {
			return err
		}
		log.Print("I! Reloading the configuration")
	}
}

// runOnce loads the configuration and runs the agent until it ends or a signal comes. It reports
// whether the configuration is to be loaded again.
func (r *runner) runOnce(failed <-chan error) (reload bool, err error) {
	c, err := r.load()
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	changed, err := r.watchConfig(ctx)
	if err != nil {
		return false, err
	}
	ended := make(chan error, 1)
	go func() { ended <- r.runAgent(ctx, c) }()
	for {
		select {
		case err = <-ended:
			if errors.Is(err, context.Canceled) {
				err = nil
			}
			return reload, err
		case err = <-failed:
			log.Printf("E! Serving profiles: %v", err)
			cancel(err)
		case s := <-r.signals:
			reload = s == syscall.SIGHUP
			cancel(nil)
		case <-changed:
			reload, changed = true, nil
			cancel(nil)
		}
	}
}

func servePprof(address string) error {
	server := &http.Server{Addr: address, ReadTimeout: 10 * time.Second, WriteTimeout: time.Minute}
	log.Printf("I! Serving profiles at http://%s/debug/pprof", address)
	return server.ListenAndServe()
}

// load loads the configuration and opens the gates of describe.
func (r *runner) load() (*config.Config, error) {
	files, err := configFiles(r.files, r.folders)
	if err != nil {
		return nil, err
	}
	config.ResetSecrets()
	c := config.NewConfig()
	c.Agent.Quiet = r.quiet
	c.Agent.ConfigURLRetryAttempts = r.urlRetries
	c.InputFilters, c.OutputFilters, c.SecretStoreFilters = r.filters.inputs, r.filters.outputs, r.filters.secretstores
	c.TestMode = r.test && !r.once
	if err := c.LoadAll(files...); err != nil {
		return nil, err
	}
	for _, aggregator := range c.Aggregators {
		describe.OpenGates(aggregator)
	}
	return c, r.check(c)
}

// configFiles returns the files to load: those named, those in the folders, or else the default ones.
func configFiles(files, folders []string) ([]string, error) {
	all := append([]string(nil), files...)
	for _, folder := range folders {
		found, err := config.WalkDirectory(folder)
		if err != nil {
			return nil, fmt.Errorf("reading configuration directory %q: %w", folder, err)
		}
		all = append(all, found...)
	}
	if len(all) > 0 {
		return all, nil
	}
	return config.GetDefaultConfigPath()
}

func (r *runner) check(c *config.Config) error {
	switch {
	case len(c.Inputs) == 0:
		return errors.New("no inputs found, probably invalid config file provided")
	case len(c.Outputs) == 0 && (r.once || !r.test):
		return errors.New("no outputs found, probably invalid config file provided")
	case c.Agent.Interval <= 0:
		return fmt.Errorf("agent interval must be positive, found %s", time.Duration(c.Agent.Interval))
	case c.Agent.FlushInterval <= 0:
		return fmt.Errorf("agent flush_interval must be positive, found %s", time.Duration(c.Agent.FlushInterval))
	}
	return nil
}

func (r *runner) runAgent(ctx context.Context, c *config.Config) error {
	if err := r.setupLogging(c); err != nil {
		return fmt.Errorf("setting up logging: %w", err)
	}
	r.announce(c)
	a := agent.NewAgent(c)
	notify(daemon.SdNotifyReady)
	defer notify(daemon.SdNotifyStopping)
	switch {
	case r.once:
		return a.Once(ctx, r.wait)
	case r.test:
		return a.Test(ctx, r.wait)
	}
	remove, err := writePidFile(r.pidFile)
	if err != nil {
		log.Printf("E! Writing the pidfile: %v", err)
	}
	defer remove()
	return a.Run(ctx)
}

// notify tells systemd, where it is there.
func notify(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Printf("D! Notifying systemd: %v", err)
	}
}

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

func (r *runner) announce(c *config.Config) {
	log.Printf("I! Starting Telegraf %s", version)
	for _, loaded := range []struct {
		what    string
		names   []string
		sources string
	}{
		{"inputs", c.InputNames(), c.InputNamesWithSources()},
		{"aggregators", c.AggregatorNames(), c.AggregatorNamesWithSources()},
		{"processors", c.ProcessorNames(), c.ProcessorNamesWithSources()},
		{"secretstores", c.SecretstoreNames(), c.SecretstoreNamesWithSources()},
		{"outputs", c.OutputNames(), c.OutputNamesWithSources()},
	} {
		log.Printf("I! Loaded %s: %s\n%s", loaded.what, strings.Join(loaded.names, " "), loaded.sources)
		if n := c.Deprecations[loaded.what]; len(n) > 1 && n[0]+n[1] > 0 {
			log.Printf("W! Deprecated %s: %d and %d options", loaded.what, n[0], n[1])
		}
	}
	if r.test && !r.once {
		log.Print("W! Outputs are not used in testing mode!")
	}
	log.Printf("I! Tags enabled: %s", c.ListTags())
	required, available := 3*c.NumberSecrets*uint64(os.Getpagesize()), lockedMemoryLimit()
	if !r.unprotected && required > available {
		log.Printf("W! %d secrets want %d kB of memory that is never swapped out, %d kB are allowed: raise the limit of locked memory",
			c.NumberSecrets, required/1024, available/1024)
	}
}

// writePidFile writes the process id and returns what removes the file again.
func writePidFile(path string) (remove func(), err error) {
	if path == "" {
		return func() {}, nil
	}
	if err := os.WriteFile(path, fmt.Appendf(nil, "%d\n", os.Getpid()), 0o640); err != nil { //nolint:gosec // others read it too
		return func() {}, err
	}
	return func() {
		if err := os.Remove(path); err != nil {
			log.Printf("E! Removing the pidfile: %v", err)
		}
	}, nil
}
