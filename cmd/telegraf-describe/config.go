package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net/url"
	"os"
	"path/filepath"

	"github.com/influxdata/telegraf/agent"
	"github.com/influxdata/telegraf/config"
	"github.com/influxdata/telegraf/logger"
	_ "github.com/influxdata/telegraf/migrations/all" // what config migrate knows
	"github.com/urfave/cli/v2"

	"github.com/telegraf-describe/telegraf-describe/plugins/aggregators/describe"
)

func configCommand(out io.Writer) *cli.Command {
	create := func(c *cli.Context) error { return printConfig(out, newFilters(c)) }
	return &cli.Command{
		Name:   "config",
		Usage:  "commands for generating, checking and migrating configurations",
		Flags:  configFlags(),
		Action: create,
		Subcommands: []*cli.Command{
			{Name: "create", Usage: "print a full sample configuration", Flags: configFlags(), Action: create},
			{Name: "check", Usage: "load the configuration and initialize its plugins without starting them", Flags: configFlags(), Action: checkConfig},
			{
				Name:   "migrate",
				Usage:  "write the configuration without deprecated plugins and options to <file>.migrated",
				Flags:  append(configFlags(), &cli.BoolFlag{Name: "force", Usage: "overwrite an existing file"}),
				Action: migrateConfig,
			},
		},
	}
}

func checkConfig(c *cli.Context) error {
	if err := logger.SetupLogging(&logger.Config{Debug: c.Bool("debug")}); err != nil {
		return err
	}
	if err := setEnvHandling(c); err != nil {
		return err
	}
	files, err := configFiles(c.StringSlice("config"), c.StringSlice("config-directory"))
	if err != nil {
		return err
	}
	cfg := config.NewConfig()
	if err := cfg.LoadAll(files...); err != nil {
		return err
	}
	for _, aggregator := range cfg.Aggregators {
		describe.OpenGates(aggregator)
	}
	if cfg.Agent.SkipProcessorsAfterAggregators == nil {
		log.Print("W! [agent] skip_processors_after_aggregators is not set, and its default changes with Telegraf v1.40")
		skip := false
		cfg.Agent.SkipProcessorsAfterAggregators = &skip
	}
	return agent.NewAgent(cfg).InitPlugins()
}

func migrateConfig(c *cli.Context) error {
	if err := logger.SetupLogging(&logger.Config{Debug: c.Bool("debug")}); err != nil {
		return err
	}
	files, err := configFiles(c.StringSlice("config"), c.StringSlice("config-directory"))
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := migrateFile(file, c.Bool("force")); err != nil {
			return fmt.Errorf("migrating %q: %w", file, err)
		}
	}
	return nil
}

// migrateFile writes the migrated file beside the file, or into the current folder when it is a URL.
func migrateFile(file string, force bool) error {
	data, remote, err := config.LoadConfigFile(file)
	if err != nil {
		return err
	}
	migrated, applied, err := config.ApplyMigrations(data)
	if err != nil {
		return err
	}
	if applied == 0 {
		log.Printf("I! No migration applied for %q", file)
		return nil
	}
	target := file + ".migrated"
	if remote {
		u, err := url.Parse(file)
		if err != nil {
			return err
		}
		target = filepath.Base(u.Path) + ".migrated"
	}
	if _, err := os.Stat(target); !force && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("output file %q already exists", target)
	}
	log.Printf("I! %d migrations applied for %q, writing %q", applied, file, target)
	return os.WriteFile(target, migrated, 0o640) //nolint:gosec // as configurations are
}
