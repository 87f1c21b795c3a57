//go:build unix

package main

import "syscall"

// keepFilesPrivate makes the files that this process and its children create readable for their owner only.
func keepFilesPrivate() { syscall.Umask(0o077) }
