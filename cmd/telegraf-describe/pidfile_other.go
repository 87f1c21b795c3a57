//go:build !unix

package main

// noFollow is 0: the system has no flag that refuses a symbolic link.
const noFollow = 0
