//go:build !unix

package main

import "syscall"

// apart changes nothing where the system has no such attributes.
func apart() *syscall.SysProcAttr { return nil }
