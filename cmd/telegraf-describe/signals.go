package main

import (
	"os/signal"

	"github.com/urfave/cli/v2"
)

// defaultSignals gives signals their usual effect again: only the agent answers them otherwise, and a
// subcommand may wait for a server or for a password.
func defaultSignals(*cli.Context) error {
	signal.Reset()
	return nil
}
