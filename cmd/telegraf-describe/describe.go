package main

import (
	"github.com/urfave/cli/v2"

	"github.com/telegraf-describe/telegraf-describe/internal/describefile"
)

// isDescribe reports whether the command line is that of the subcommand describe, which needs nothing of Telegraf: it runs
// before the rest of the program is set up. args has the name of the program first.
func isDescribe(args []string) bool { return len(args) > 1 && args[1] == "describe" }

// describeCommand lists the subcommand in the help of the program. It also runs it behind flags of the agent, which have no
// effect on it.
func describeCommand() *cli.Command {
	return &cli.Command{
		Name:            "describe",
		Usage:           "describe the columns of files: line protocol, CSV, JSON",
		ArgsUsage:       "FILE…",
		SkipFlagParsing: true,
		// "help describe" prints it. "describe --help" does not get here.
		CustomHelpTemplate: describefile.Help,
		Before:             defaultSignals,
		Action: func(c *cli.Context) error {
			if status := describefile.Main(c.Args().Slice()); status != 0 {
				return cli.Exit("", status)
			}
			return nil
		},
	}
}
