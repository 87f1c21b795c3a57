//go:build !unix

package secret

import "os"

// keepOwner does nothing: the system has no owners as Unix has them.
func keepOwner(*os.File, string) error { return nil }

// syncFolder does nothing: the system cannot sync a folder.
func syncFolder(string) error { return nil }
