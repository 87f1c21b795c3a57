package main

import (
	"math"
	"os"
	"os/signal"
)

// catchSignals returns the signals that end the agent.
func catchSignals() <-chan os.Signal {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt)
	return signals
}

// lockedMemoryLimit returns how many bytes of memory the process may lock.
func lockedMemoryLimit() uint64 { return math.MaxUint64 }
