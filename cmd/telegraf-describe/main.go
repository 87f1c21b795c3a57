// Command telegraf-describe is Telegraf with the describe aggregator and the rediscache output. It has
// Telegraf's flags, subcommands and signals, and is built on Telegraf's public packages.
//
// Build tags select upstream's plugins. The file plugins.txt lists the tags of the default build, and the
// command in the folder tags prints them.
//
// SIGHUP loads the configuration again. SIGINT and SIGTERM stop the agent after a last push and flush.
// SIGUSR1 flushes the outputs.
//
//	main ─▶ describe ─────────────▶ internal/describefile, without Telegraf
//	     └▶ run ─▶ act ─▶ runner ─▶ load ─▶ the agent of Telegraf         run.go
//	           │            ▲         └──▶ defaults, warnings, checks     gates.go, host.go, overlap.go, merges.go, pass.go, buffers.go
//	           │            └─ reload after a signal or a change          reload.go, watch.go
//	           ├▶ config, plugins, secrets                                config.go, catalog.go, secrets.go
//	           └▶ execd ─▶ execd.Run                                      execd.go, pluginconf.go
//
// Upstream's cmd/telegraf is a main package with imports of its module's internal packages: it cannot be called or changed
// from outside. What of it users rely on is here again: flags, subcommands, signals, messages.
package main

import (
	"fmt"
	"io"
	"log"
	"os"
	_ "time/tzdata" // for the option timezone, on hosts without a time zone database

	"github.com/awnumar/memguard"
	"github.com/influxdata/telegraf/logger"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/urfave/cli/v2"

	"github.com/telegraf-describe/telegraf-describe/internal/describefile"
)

// main has its own path for the command describe, which needs neither Telegraf's log nor the agent's handling of signals.
func main() {
	if isDescribe(os.Args) {
		os.Exit(describefile.Main(os.Args[2:]))
	}
	// Without it, the keyring secret store starts KWallet on a desktop.
	if err := os.Setenv("DISABLE_KWALLET", "1"); err != nil {
		log.Printf("W! %v", err)
	}
	// The Redis client logs to os.Stderr, past Telegraf's log. The output logs the same errors.
	redis.SetLogger(&logging.VoidLogger{})
	// From here on no signal ends the process, because SIGHUP may arrive before the agent runs.
	signals := catchSignals()
	if err := run(os.Args, os.Stdout, signals); err != nil {
		os.Exit(1)
	}
}

// run runs the command line and logs the error that it returns, so that main only sets the exit status. signals receives the signals that
// stop or reload the agent. At the end the log is closed and the keys of protected secrets are destroyed. Both are deferred here and
// not in main, because [os.Exit] runs no deferred functions.
func run(args []string, out io.Writer, signals <-chan os.Signal) error {
	defer memguard.Purge()
	defer func() {
		if err := logger.CloseLogging(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}()
	err := newApp(out, signals).Run(args)
	if err != nil {
		log.Printf("E! %s", err)
	}
	return err
}

// newApp returns the command line of upstream, with the commands describe and execd. out gets what a user asked for, such as a list of
// plugins. Logs and errors go to os.Stderr.
func newApp(out io.Writer, signals <-chan os.Signal) *cli.App {
	app := &cli.App{
		Name:      "telegraf-describe",
		Usage:     "Telegraf with statistics of metrics",
		Writer:    out,
		ErrWriter: os.Stderr,
		Flags:     append(agentFlags(), configFlags()...),
		Action:    func(c *cli.Context) error { return act(c, out, signals) },
		Commands: []*cli.Command{
			{
				Name:   "version",
				Usage:  "print current version to stdout",
				Before: defaultSignals,
				Action: func(*cli.Context) error { return printVersion(out) },
			},
			configCommand(out),
			pluginsCommand(out),
			secretsCommand(out),
			describeCommand(),
			execdCommand(signals),
		},
		OnUsageError: wrongFlag,
	}
	explainUsage(app.Commands)
	return app
}

// printVersion prints one line, for the flag and for the command.
func printVersion(out io.Writer) error {
	_, err := fmt.Fprintln(out, versions())
	return err
}

// act runs the command without a subcommand: it prints the output of a flag such as --version, or runs the agent. Of several flags that
// print, the first of the list below counts. They need no configuration, and the values of other flags beside them are not checked.
func act(c *cli.Context, out io.Writer, signals <-chan os.Signal) error {
	switch {
	case c.NArg() > 0:
		return unknownCommand(c)
	case c.Bool("version"):
		return printVersion(out)
	case c.String("usage") != "":
		return printUsage(out, c.String("usage"))
	case c.Bool("sample-config"):
		return printConfig(out, newFilters(c))
	case c.Bool("deprecation-list"):
		return printDeprecations(out, newFilters(c))
	case c.Bool("input-list"):
		return listPlugins(out, false, "inputs")
	case c.Bool("output-list"):
		return listPlugins(out, false, "outputs")
	}
	o, err := newOptions(c)
	if err != nil {
		return err
	}
	return (&runner{options: o, signals: signals}).run()
}
