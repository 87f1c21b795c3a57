//go:build unix && !linux

package main

import "syscall"

// apart keeps Ctrl-C from the children, which the demo ends in their order.
func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
