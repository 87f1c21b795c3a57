//go:build !linux

package redisserver

import (
	"os"
	"syscall"
)

// endWithParent returns no attributes: this system cannot end a child with its parent.
func endWithParent() *syscall.SysProcAttr { return nil }

// terminate asks the process to end. Windows has no such signal: there Stop kills the process after its timeout.
func terminate(p *os.Process) error { return p.Signal(os.Interrupt) }
