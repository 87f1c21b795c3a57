package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net/url"
	"os"
	"path/filepath"

	"github.com/influxdata/telegraf/config"
	"github.com/influxdata/telegraf/logger"
	"github.com/influxdata/telegraf/migrations"
	_ "github.com/influxdata/telegraf/migrations/all" // the migrations of config migrate
	"github.com/urfave/cli/v2"

	"github.com/telegraf-describe/telegraf-describe/internal/show"
	"github.com/telegraf-describe/telegraf-describe/plugins/aggregators/describe"
)

// configCommand returns the command "config". Without a subcommand it does the same as "config create", as in upstream.
func configCommand(out io.Writer) *cli.Command {
	create := func(c *cli.Context) error {
		if c.NArg() > 0 {
			return unknownCommand(c)
		}
		return printConfig(out, newFilters(c))
	}
	return &cli.Command{
		Name:   "config",
		Usage:  "commands for generating, checking and migrating configurations",
		Flags:  configFlags(),
		Before: defaultSignals,
		Action: create,
		Subcommands: []*cli.Command{
			{Name: "create", Usage: "print a sample configuration of all plugins and sections that pass the filters", Flags: configFlags(), Action: create},
			{
				Name: "check", Usage: "load the configuration and initialize its plugins without starting them", Flags: configFlags(),
				Action: func(c *cli.Context) error { return check(c, out) },
			},
			{
				Name:   "migrate",
				Usage:  "write the configuration without deprecated plugins and options to <file>.migrated",
				Flags:  append(configFlags(), &cli.BoolFlag{Name: "force", Usage: "overwrite an existing file"}),
				Action: migrate,
			},
		},
	}
}

// configFiles returns the given files and the *.conf files of the folders, or the default files if there are none: the first that exists
// of $TELEGRAF_CONFIG_PATH, ~/.telegraf/telegraf.conf, and /etc/telegraf/telegraf.conf with /etc/telegraf/telegraf.d. A folder is searched
// with the folders below it, except those whose name begins with "..": Kubernetes keeps the targets of its links there. The order matters:
// Telegraf loads the files in it, and a later value of [agent] replaces an earlier one. An entry of files may be a URL. It is not
// requested here, and no file is opened.
func configFiles(files, folders []string) ([]string, error) {
	all := append([]string(nil), files...)
	for _, folder := range folders {
		found, err := config.WalkDirectory(folder)
		if err != nil {
			return nil, fmt.Errorf("reading configuration directory: %w", err)
		}
		all = append(all, found...)
	}
	if len(all) > 0 {
		return all, nil
	}
	all, err := config.GetDefaultConfigPath()
	if err != nil {
		err = fmt.Errorf("%w: name a file with --config; the command 'config create' prints one", err)
	}
	return all, err
}

// chosenFiles sets up logging, environment variables and secrets of a subcommand, and returns the configuration files of its flags. Like
// newOptions, it changes variables of Telegraf's config package, so a process runs one command only.
func chosenFiles(c *cli.Context) ([]string, error) {
	if err := logger.SetupLogging(&logger.Config{Debug: isSet(c, "debug"), Quiet: isSet(c, "quiet")}); err != nil {
		return nil, err
	}
	if err := setEnvHandling(c); err != nil {
		return nil, err
	}
	setSecrets(c)
	return configFiles(texts(c, "config"), texts(c, "config-directory"))
}

// check is the command "config check". It loads the configuration and initializes the plugins as the agent does, but opens
// neither the state of describe nor buffers on disk. It prints OK, unless it is quiet. It may run beside an agent with the same
// configuration. Warnings do not change the exit status.
func check(c *cli.Context, out io.Writer) error {
	files, err := chosenFiles(c)
	if err != nil {
		return err
	}
	cfg := newConfig()
	cfg.Agent.Quiet = isSet(c, "quiet")
	cfg.TestMode = true // an agent may run with the same buffers on disk
	// The same steps as in runner.read and runner.load, without those that change what an agent does.
	sources, err := loadFiles(cfg, files)
	if err != nil {
		return err
	}
	if err := checkOptions(cfg, sources); err != nil {
		return err
	}
	openGates(cfg.Aggregators)
	warnOverlaps(cfg.Aggregators, placesOf(sources, "aggregators.describe"))
	warnMerges(cfg.Aggregators)
	warnUnreached(cfg)
	warnOutputMerges(cfg)
	warnBuffers(cfg)
	if err := checkConfig(cfg, true); err != nil {
		return err
	}
	if cfg.Agent.SkipProcessorsAfterAggregators == nil {
		log.Print("W! [agent] skip_processors_after_aggregators is not set, and its default changes with Telegraf v1.40")
	}
	if err := initThrowaway(cfg, describe.Host{}); err != nil || cfg.Agent.Quiet {
		return err
	}
	_, err = fmt.Fprintln(out, "OK")
	return err
}

// migrate is the command "config migrate". It stops at the first file that cannot be migrated; the files before it have been written.
func migrate(c *cli.Context) error {
	files, err := chosenFiles(c)
	if err != nil {
		return err
	}
	if len(migrations.GeneralMigrations)+len(migrations.GlobalMigrations)+len(migrations.PluginMigrations)+len(migrations.PluginOptionMigrations) == 0 {
		return errors.New("this build has no migrations: build it with the tag \"migrations\"")
	}
	for _, file := range files {
		if err := migrateFile(file, c.Bool("force")); err != nil {
			return fmt.Errorf("migrating %q: %w", file, err)
		}
	}
	return nil
}

// migrateFile writes the migrated configuration to file + ".migrated". That of a URL is written to the current folder: that of
// http://example.com/a/telegraf.conf to telegraf.conf.migrated. It writes nothing if there is nothing to migrate. A file that exists is an
// error, unless force is set. The file itself never changes.
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
		return fmt.Errorf("output file %q exists: --force overwrites it", target)
	}
	log.Printf("I! %s applied for %q, writing %q", show.Counted(applied, "migration"), file, target)
	return os.WriteFile(target, migrated, 0o640) //nolint:gosec // configurations are readable by their group
}
