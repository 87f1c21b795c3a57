package redisserver

import (
	"os"
	"syscall"
)

// endWithParent returns attributes with which the kernel ends the child when this process ends. The child has a process
// group of its own, so that an interrupt of the terminal reaches only this process, which then stops the child.
func endWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
}

// terminate asks the process to end.
func terminate(p *os.Process) error { return p.Signal(syscall.SIGTERM) }
