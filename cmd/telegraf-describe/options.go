package main

import (
	"errors"
	"fmt"
	"log"
	"slices"
	"strings"
	"time"

	"github.com/influxdata/telegraf/config"
	"github.com/urfave/cli/v2"
)

// options are the flags of the agent, as newOptions has checked them. They do not change afterwards, also not by a reload. Not here are
// the flags that Telegraf keeps in variables of its config package: --select, --password, --print-plugin-config-source and those for
// environment variables.
type options struct {
	files, folders        []string      // both empty for the default files; a file may be a URL
	filters               filters       // of the plugins to load; sections, aggregators and processors only choose what is printed
	test, once            bool          // gather once; if both are set, once counts
	wait                  time.Duration // for service inputs, after the start of a run that gathers once
	debug, quiet          bool          // for the log; the configuration may set both too
	unprotected           bool          // secrets are in memory that is not locked
	urlRetries            int           // attempts; -1 for no limit, 0 for Telegraf's default of 3
	urlWatchInterval      time.Duration // 0 for never
	urlPatience           time.Duration // 0 for the constant urlPatience; longer in a test
	watch                 string        // "notify", "poll", or "" for no watching of files
	watchInterval, settle time.Duration // 0 for pollInterval, and 0 for no waiting
	pidFile, pprofAddress string        // empty for none
}

// filters are the names of the sections and plugins to load or to print. An empty filter selects all.
type filters struct {
	sections, inputs, outputs, aggregators, processors, secretstores []string
}

// configFlags returns the flags that select a configuration and its plugins. The command config accepts them too, before and after its
// name: see levels.
func configFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "config", Usage: "configuration `FILE` or URL to load"},
		&cli.StringSliceFlag{Name: "config-directory", Usage: "`FOLDER` with additional *.conf files, and the folders below it"},
		&cli.StringFlag{
			Name:  "section-filter",
			Usage: "`NAMES` of the sections to print, separated by ':': agent, global_tags, secretstores, outputs, processors, aggregators, inputs",
		},
		&cli.StringFlag{Name: "input-filter", Usage: "`NAMES` of the inputs to enable, separated by ':'"},
		&cli.StringFlag{Name: "output-filter", Usage: "`NAMES` of the outputs to enable, separated by ':'"},
		&cli.StringFlag{Name: "aggregator-filter", Usage: "`NAMES` of the aggregators to print, separated by ':'"},
		&cli.StringFlag{Name: "processor-filter", Usage: "`NAMES` of the processors to print, separated by ':'"},
		&cli.StringFlag{Name: "secretstore-filter", Usage: "`NAMES` of the secret stores to enable, separated by ':'"},
		&cli.BoolFlag{Name: "debug", Usage: "turn on debug logging"},
		&cli.BoolFlag{Name: "quiet", Usage: "log errors only"},
		&cli.BoolFlag{Name: "strict-env-handling", Usage: "replace environment variables in strings only (the default)"},
		&cli.BoolFlag{Name: "non-strict-env-handling", Usage: "replace environment variables in all settings, not only in strings"},
	}
}

// agentFlags returns the flags that only the command without a subcommand has. Where DefaultText is set, the default is not the zero value
// of the flag: 0 is replaced where the option is used.
func agentFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "test", Usage: "gather once, print the metrics after processors and aggregators, and exit; outputs are not used"},
		&cli.IntFlag{Name: "test-wait", Usage: "as --test, and wait for service inputs, this number of `SECONDS`"},
		&cli.BoolFlag{Name: "once", Usage: "gather once, write to the outputs, and exit"},
		&cli.StringFlag{Name: "watch-config", Usage: "reload when a configuration file or folder changes; `HOW` is notify or poll"},
		&cli.DurationFlag{Name: "watch-interval", Usage: "how often to look for changes, a `DURATION`, with --watch-config poll", DefaultText: "250ms"},
		&cli.DurationFlag{Name: "watch-debounce-interval", Usage: "`DURATION` to wait after a change before reloading", Value: 250 * time.Millisecond},
		&cli.IntFlag{Name: "config-url-retry-attempts", Usage: "`NUMBER` of attempts to load from a URL at start, -1 for no limit", DefaultText: "3"},
		&cli.DurationFlag{Name: "config-url-watch-interval", Usage: "how often to look for changes of URLs, a `DURATION`", DefaultText: "disabled"},
		&cli.StringFlag{Name: "pidfile", Usage: "`FILE` to write the process id to"},
		&cli.StringFlag{Name: "pprof-addr", Usage: "`ADDRESS` to serve profiles on, such as localhost:6060"},
		&cli.StringSliceFlag{Name: "select", Usage: "enable only plugins with these `LABELS`: key=value pairs joined by ';' (and), repeated (or)"},
		&cli.StringFlag{Name: "password", Usage: "`PASSWORD` to unlock secret stores"},
		&cli.BoolFlag{Name: "unprotected", Usage: "do not protect secrets in memory"},
		&cli.BoolFlag{Name: "old-env-behavior", Usage: "replace environment variables as before v1.27"},
		&cli.BoolFlag{Name: "print-plugin-config-source", Usage: "log which file each plugin comes from"},
		&cli.StringFlag{Name: "usage", Usage: "print the options of a `PLUGIN`, such as --usage describe"},
		&cli.BoolFlag{Name: "deprecation-list", Usage: "print the deprecated plugins"},
		&cli.BoolFlag{Name: "input-list", Usage: "print the inputs, as 'plugins inputs' does"},
		&cli.BoolFlag{Name: "output-list", Usage: "print the outputs, as 'plugins outputs' does"},
		&cli.BoolFlag{Name: "sample-config", Usage: "print a full sample configuration, as 'config create' does"},
		&cli.BoolFlag{Name: "version", Usage: "print the version"},
	}
}

// newOptions reads and checks the flags. It also sets the flags that are variables of Telegraf's config package.
func newOptions(c *cli.Context) (options, error) {
	o := options{
		files: texts(c, "config"), folders: texts(c, "config-directory"), filters: newFilters(c),
		test: c.Bool("test") || c.Int("test-wait") != 0, once: c.Bool("once"), wait: time.Duration(c.Int("test-wait")) * time.Second,
		debug: c.Bool("debug"), quiet: c.Bool("quiet"), unprotected: c.Bool("unprotected"),
		urlRetries: c.Int("config-url-retry-attempts"), urlWatchInterval: c.Duration("config-url-watch-interval"),
		watch: c.String("watch-config"), watchInterval: c.Duration("watch-interval"), settle: c.Duration("watch-debounce-interval"),
		pidFile: c.String("pidfile"), pprofAddress: c.String("pprof-addr"),
	}
	if err := o.check(); err != nil {
		return o, err
	}
	if err := setEnvHandling(c); err != nil {
		return o, err
	}
	if err := config.SetPluginLabelSelections(c.StringSlice("select")); err != nil {
		return o, err
	}
	setSecrets(c)
	config.PrintPluginConfigSource = c.Bool("print-plugin-config-source")
	return o, nil
}

// check returns an error for a value that no configuration makes valid. The error names the flag, the value and the rule.
func (o options) check() error {
	switch {
	case o.watch != "" && o.watch != "notify" && o.watch != "poll":
		return fmt.Errorf("invalid --watch-config %q, want notify or poll", o.watch)
	case o.watchInterval < 0:
		return fmt.Errorf("invalid --watch-interval %s, want more than 0s", o.watchInterval)
	case o.settle < 0:
		return fmt.Errorf("invalid --watch-debounce-interval %s, want 0s or more", o.settle)
	case o.wait < 0:
		return fmt.Errorf("invalid --test-wait %d, want 0 or more seconds", o.wait/time.Second)
	}
	return nil
}

// setEnvHandling sets the rules by which environment variables in configurations are replaced.
func setEnvHandling(c *cli.Context) error {
	strict, loose := len(levels(c, "strict-env-handling")) > 0, len(levels(c, "non-strict-env-handling")) > 0
	if strict && loose {
		return errors.New("flags --strict-env-handling and --non-strict-env-handling cannot be used together")
	}
	config.NonStrictEnvVarHandling = loose
	config.OldEnvVarReplacement = c.Bool("old-env-behavior")
	return nil
}

// setSecrets sets the protection of secrets in memory and the password of secret stores.
func setSecrets(c *cli.Context) {
	if c.Bool("unprotected") {
		log.Print("W! Running without protection of secrets in memory")
		config.DisableSecretProtection()
	}
	for _, level := range levels(c, "password") {
		config.Password = config.NewSecret([]byte(level.String("password")))
	}
}

// newFilters reads the filters. Their names are separated by colons. A filter that is given before and after a subcommand has the names of
// both places.
func newFilters(c *cli.Context) filters {
	get := func(flag string) (names []string) {
		for _, level := range levels(c, flag) {
			names = append(names, strings.FieldsFunc(level.String(flag), func(r rune) bool { return r == ':' })...)
		}
		return names
	}
	return filters{
		sections: get("section-filter"), inputs: get("input-filter"), outputs: get("output-filter"),
		aggregators: get("aggregator-filter"), processors: get("processor-filter"), secretstores: get("secretstore-filter"),
	}
}

// texts returns all values of a repeatable flag.
func texts(c *cli.Context, flag string) (values []string) {
	for _, level := range levels(c, flag) {
		values = append(values, level.StringSlice(flag)...)
	}
	return values
}

// isSet returns the last value of a boolean flag on the command line, or false if it is not given.
func isSet(c *cli.Context, flag string) (value bool) {
	for _, level := range levels(c, flag) {
		value = level.Bool(flag)
	}
	return value
}

// levels returns the contexts that have the flag, in the order of the command line. There can be two: a flag is accepted before and after
// a subcommand. urfave/cli itself reads a flag in one context only, the innermost. In
//
//	telegraf-describe --config a.conf config check --config b.conf
//
// the flag has two levels, and texts returns both files.
func levels(c *cli.Context, flag string) []*cli.Context {
	given := slices.DeleteFunc(c.Lineage(), func(level *cli.Context) bool {
		return level.Command == nil || !slices.Contains(level.LocalFlagNames(), flag)
	})
	slices.Reverse(given)
	return given
}
