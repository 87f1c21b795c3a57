package redisserver

import (
	"os"
	"syscall"
)

// endWithParent makes the kernel end the child when this process dies without stopping it.
func endWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
}

func terminate(p *os.Process) error { return p.Signal(syscall.SIGTERM) }
