package main

import (
	"context"
	"errors"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/logger"
	"github.com/urfave/cli/v2"

	"github.com/telegraf-describe/telegraf-describe/cmd/telegraf-describe/execd"
	"github.com/telegraf-describe/telegraf-describe/internal/state"
)

// execdCommand returns the command "execd", which a stock Telegraf starts. It keeps the agent's handling of signals, because the child must
// emit its rows before it ends: see execd.Run.
func execdCommand(signals <-chan os.Signal) *cli.Command {
	return &cli.Command{
		Name:  "execd",
		Usage: "describe the metrics of a stock Telegraf: its processors.execd starts this command",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "config", Usage: "`FILE` with [[aggregators.describe]] tables, required"},
			&cli.BoolFlag{Name: "round-interval", Usage: "align the ends of periods with the clock, as the agent's option does", Value: true},
			&cli.BoolFlag{Name: "debug", Usage: "log debug messages"},
			&cli.BoolFlag{Name: "quiet", Usage: "log errors only"},
		},
		Action: func(c *cli.Context) error {
			return logExecd(c, os.Stderr, func() error { return runExecd(c, os.Stdin, os.Stdout, signals) })
		},
	}
}

// logExecd calls run with a log for processors.execd on stderr, logs its error, and closes stderr when the log was read. Otherwise
// Telegraf can miss the last lines: it closes its end of the pipe when the child exits.
func logExecd(c *cli.Context, stderr *os.File, run func() error) error {
	level := telegraf.Info
	switch {
	case c.Bool("quiet"):
		level = telegraf.Error
	case c.Bool("debug"):
		level = telegraf.Debug
	}
	stop, err := execd.RedirectLog(stderr, level)
	if err != nil {
		return err
	}
	if err = run(); err != nil {
		log.Printf("E! %s", err)
	}
	stop() // the caller logs the error too
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = execd.CloseWhenRead(stderr)(ctx.Done()) // there is no log for an error
	return err
}

// runExecd describes line protocol from in until it ends. Its errors name the file and line of the block, as those of the agent do. Telegraf
// starts the command again after an error: see processors.execd, restart_delay.
//
// An error of a locked state has a second line with its usual reason: a stock Telegraf that starts the command twice.
func runExecd(c *cli.Context, in io.Reader, out *os.File, signals <-chan os.Signal) error {
	if c.NArg() > 0 {
		return errors.New("execd has no arguments, only flags")
	}
	if c.String("config") == "" {
		return errors.New("execd needs --config FILE, a file with [[aggregators.describe]] tables: --help lists the flags")
	}
	// A write to a closed stdout must return an error, and not end the process.
	signal.Ignore(syscall.SIGPIPE)
	conf, err := loadPluginConf(c.String("config"))
	if err != nil {
		return err
	}
	err = execd.Run(execd.Options{
		Blocks: conf.blocks, RoundInterval: c.Bool("round-interval"), In: in, Out: out, Drained: execd.CloseWhenRead(out),
		Signals: signals, Log: logger.New("", "", ""),
	})
	var faulty *execd.BlockError
	if errors.As(err, &faulty) {
		err = conf.locate(faulty.Number, err)
	}
	if errors.Is(err, state.ErrLocked) {
		err = errors.Join(err, errors.New("if telegraf.conf has aggregators, set skip_processors_after_aggregators = true in [agent]: "+
			"without it, Telegraf starts each processor twice"))
	}
	return err
}
