package main

import (
	"os/signal"

	"github.com/urfave/cli/v2"
)

// defaultSignals restores the default effect of signals. Without it only the agent responds to them, and a
// subcommand that waits for a server or for a password could not be interrupted.
func defaultSignals(*cli.Context) error {
	signal.Reset()
	return nil
}
