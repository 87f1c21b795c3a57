//go:build unix && !linux

package main

import "syscall"

// apart puts a child into a process group of its own, so that Ctrl-C does not reach it: the demo stops its children in order.
func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
