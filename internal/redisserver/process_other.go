//go:build !linux

package redisserver

import (
	"os"
	"syscall"
)

func endWithParent() *syscall.SysProcAttr { return nil }

func terminate(p *os.Process) error { return p.Signal(os.Interrupt) }
