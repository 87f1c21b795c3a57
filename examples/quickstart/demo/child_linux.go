package main

import "syscall"

// apart keeps Ctrl-C from the children, which the demo ends in their order, and ends them when it dies.
func apart() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
