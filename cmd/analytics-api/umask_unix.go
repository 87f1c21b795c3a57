//go:build unix

package main

import "syscall"

// keepFilesPrivate makes the files that this process and its children create readable for their owner only: an embedded
// redis-server writes records to its folder. It is for the whole process, so only main calls it, before files are made.
func keepFilesPrivate() { syscall.Umask(0o077) }
