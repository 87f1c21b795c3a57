//go:build unix

package token

// othersWrite are the permissions of a file that lets other users change it.
const othersWrite = 0o002
