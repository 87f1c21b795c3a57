//go:build unix

package main

import "syscall"

// noFollow is the flag of [os.OpenFile] that refuses a symbolic link as the last part of a path.
const noFollow = syscall.O_NOFOLLOW
