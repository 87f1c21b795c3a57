package main

import (
	"fmt"
	"log"
	"os"
)

// pidFile is the file with the process id. It exists while the agent runs and during reloads.
type pidFile struct {
	path    string // empty for no file
	written bool   // by this process
}

// write writes the file once. An error is logged and does not stop the agent.
func (p *pidFile) write() {
	if p.path == "" || p.written {
		return
	}
	if err := os.WriteFile(p.path, fmt.Appendf(nil, "%d\n", os.Getpid()), 0o640); err != nil { //nolint:gosec // its group can read it
		log.Printf("E! Writing the pidfile: %v", err)
		return
	}
	p.written = true
}

// remove removes the file if write has written it. An error is logged.
func (p *pidFile) remove() {
	if !p.written {
		return
	}
	if err := os.Remove(p.path); err != nil {
		log.Printf("E! Removing the pidfile: %v", err)
	}
}
