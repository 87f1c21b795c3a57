//go:build unix

package redisserver

// othersWrite are the permissions of a folder in which other users can write.
const othersWrite = 0o002
