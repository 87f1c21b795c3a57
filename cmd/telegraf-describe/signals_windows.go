package main

import (
	"math"
	"os"
	"os/signal"
)

// catchSignals returns the signals that stop the agent. Windows has none for a reload or a flush: there, an agent reloads only if it
// watches its configuration.
func catchSignals() <-chan os.Signal {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt)
	return signals
}

// lockedMemoryLimit returns the number of bytes of memory that the process may lock. There is no limit that can be read.
func lockedMemoryLimit() uint64 { return math.MaxUint64 }
