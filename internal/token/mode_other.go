//go:build !unix

package token

// othersWrite is 0: the system has no such permissions.
const othersWrite = 0
