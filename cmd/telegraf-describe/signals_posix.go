//go:build !windows

package main

import (
	"log"
	"os"
	"os/signal"
	"runtime"
	"syscall"
)

// catchSignals returns the signals that stop or reload the agent. The agent itself handles SIGUSR1 while it runs.
// catchSignals catches SIGUSR1 too, so that it does not end the process at other times.
//
// Package signal does not block: a signal for which the channel has no room is dropped. Nobody ever receives SIGUSR1 from its channel.
func catchSignals() <-chan os.Signal {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGUSR1)
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	return signals
}

// lockedMemoryLimit returns the number of bytes of memory that the process may lock, or 0 if it cannot be read. It is the hard limit, up
// to which a process may raise its own limit. Package syscall has no constant for it on Linux.
func lockedMemoryLimit() uint64 {
	resource := 8 // RLIMIT_MEMLOCK on Linux
	if runtime.GOOS != "linux" {
		resource = 6 // the same on the BSDs and macOS
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(resource, &limit); err != nil {
		log.Printf("E! Reading the limit of locked memory: %v", err)
		return 0
	}
	return uint64(limit.Max) //nolint:unconvert // int64 on FreeBSD
}
