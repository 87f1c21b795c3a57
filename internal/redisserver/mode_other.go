//go:build !unix

package redisserver

// othersWrite is 0: the system has no such permissions.
const othersWrite = 0
