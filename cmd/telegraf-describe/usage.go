package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/telegraf-describe/telegraf-describe/internal/option"
)

// explainUsage makes all commands return one line for a mistake in their flags. By default, cli prints the whole help, in which that
// line is easily missed.
func explainUsage(commands []*cli.Command) {
	for _, c := range commands {
		c.OnUsageError = wrongFlag
		explainUsage(c.Subcommands)
	}
}

// wrongFlag returns an error about a command's flags in the form of our other errors, with a suggestion for a flag that does not
// exist: "unknown flag --conf, did you mean --config?: --help lists the flags".
func wrongFlag(c *cli.Context, err error, _ bool) error {
	known := []string{"help"}
	for _, f := range c.Command.Flags {
		known = append(known, f.Names()...)
	}
	if flag, unknown := option.UnknownFlag(err, known); unknown {
		return fmt.Errorf("unknown flag %s: --help lists the flags", flag)
	}
	return fmt.Errorf("%w: --help lists the flags", err)
}

// unknownCommand returns the error for the first argument of a command that has no arguments of its own. The argument is not a
// subcommand either: "unknown command "plugin", did you mean "plugins"?: --help lists the commands".
func unknownCommand(c *cli.Context) error {
	name := c.Args().First()
	known := make([]string, 0, len(c.Command.Subcommands))
	for _, sub := range c.Command.Subcommands {
		known = append(known, sub.Name)
	}
	return fmt.Errorf("unknown command %q%s: --help lists the commands", name, option.Suggest(name, known))
}
