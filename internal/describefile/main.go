package describefile

import (
	"context"
	"os"
	"os/signal"
)

// Main runs the command with its arguments, without its name, on the standard files of the process, and returns the exit
// status. Ctrl-C ends it as the end of the context ends [Run]; the second one ends the process at once.
func Main(args []string) (status int) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, stop) // Run may wait for ever, in a write to a pipe that nobody reads: the second Ctrl-C must work
	return Run(ctx, args, os.Stdin, os.Stdout, os.Stderr)
}
