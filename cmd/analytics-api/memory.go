package main

import "runtime/debug"

// ownMemory is about how many bytes the service uses in addition to answers.
const ownMemory = 128 << 20

// limitMemory makes the garbage collector run more often when the service uses more memory than two times that of all answers,
// that of kept ones and ownMemory. By default the collector runs when the memory has doubled. The environment variable GOMEMLIMIT overrides
// this limit.
func (c config) limitMemory(environ []string) {
	if lookup(environ, "GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(2*int64(c.MaxTotalBytes) + int64(c.CacheSize) + ownMemory)
	}
}
