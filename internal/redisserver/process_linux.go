package redisserver

import (
	"os"
	"syscall"
)

// endWithParent returns attributes that make the kernel end the child when this process ends. The child gets a
// process group of its own, so that Ctrl-C in a terminal interrupts only this process, which then stops the child.
//
// The kernel looks at the thread that started the child, not at the process (prctl(2), PR_SET_PDEATHSIG). Go ends a thread only with
// a goroutine that is locked to it, and none of ours is.
func endWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
}

// terminate asks the process to end.
func terminate(p *os.Process) error { return p.Signal(syscall.SIGTERM) }
