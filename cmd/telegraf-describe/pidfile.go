package main

import (
	"fmt"
	"log"
	"os"
)

// pidFile is the file that holds the process id while the agent runs, also across reloads. Without a
// path there is none.
type pidFile struct {
	path    string
	written bool
}

// write writes the file unless it is written already. That it cannot be written is logged only.
func (p *pidFile) write() {
	if p.path == "" || p.written {
		return
	}
	if err := os.WriteFile(p.path, fmt.Appendf(nil, "%d\n", os.Getpid()), 0o640); err != nil { //nolint:gosec // others read it too
		log.Printf("E! Writing the pidfile: %v", err)
		return
	}
	p.written = true
}

// remove removes the file if it was written.
func (p *pidFile) remove() {
	if !p.written {
		return
	}
	if err := os.Remove(p.path); err != nil {
		log.Printf("E! Removing the pidfile: %v", err)
	}
}
