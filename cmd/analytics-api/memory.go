package main

import "runtime/debug"

// ownMemory is about how many bytes the service uses in addition to answers.
const ownMemory = 128 << 20

// limitMemory makes the garbage collector run more often when the service uses more memory than the sum of these: two times
// the memory of all answers, the memory of kept answers, and ownMemory. Without that limit the collector runs when the live
// memory has doubled. The limit is soft: the service can exceed it, and only becomes slower. The runtime reads the
// environment variable GOMEMLIMIT by itself; if it is set, that limit is not changed.
func (c config) limitMemory(environ []string) {
	if lookup(environ, "GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(2*int64(c.MaxTotalBytes) + int64(c.CacheSize) + ownMemory)
	}
}
