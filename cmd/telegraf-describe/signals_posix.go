//go:build !windows

package main

import (
	"log"
	"os"
	"os/signal"
	"runtime"
	"syscall"
)

// catchSignals returns the signals that end or reload the agent. SIGUSR1 flushes the outputs; the agent
// listens for it itself, but while there is none the signal must not end the process.
func catchSignals() <-chan os.Signal {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGUSR1)
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	return signals
}

// lockedMemoryLimit returns how many bytes of memory the process may lock.
func lockedMemoryLimit() uint64 {
	resource := 8 // RLIMIT_MEMLOCK of Linux
	if runtime.GOOS != "linux" {
		resource = 6 // of the BSDs and macOS
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(resource, &limit); err != nil {
		log.Printf("E! Reading the limit of locked memory: %v", err)
		return 0
	}
	return uint64(limit.Max) //nolint:unconvert // int64 on FreeBSD
}
