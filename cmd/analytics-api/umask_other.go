//go:build !unix

package main

// keepFilesPrivate does nothing: the system has no such setting.
func keepFilesPrivate() {}
