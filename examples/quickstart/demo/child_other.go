//go:build !unix

package main

import "syscall"

// apart returns nil: the system has no process groups.
func apart() *syscall.SysProcAttr { return nil }
