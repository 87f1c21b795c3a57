package main

import "runtime/debug"

// ownMemory is about how many bytes the service uses in addition to answers.
const ownMemory = 128 << 20

// limitMemory makes the garbage collector run more often when the service uses more memory than the sum of these: two times
// the memory of all answers, the memory of kept answers, and ownMemory. The limit is soft: the service can exceed it, and only becomes
// slower. Below the limit, the collector runs when the live memory has grown by collectAfter percent. The runtime reads the environment
// variables GOMEMLIMIT and GOGC by itself; a value that is set there is not changed.
//
// With the default settings, the limit is 2 × 128 + 32 + 128 = 416 MiB.
func (c config) limitMemory(environ []string) {
	if lookup(environ, "GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(2*int64(c.MaxTotalBytes) + int64(c.CacheSize) + ownMemory)
	}
	if lookup(environ, "GOGC") == "" {
		debug.SetGCPercent(collectAfter)
	}
}

// collectAfter is twice the default of Go. The live memory of the service is small, so that with the default the collector runs many
// times a second under load. In BenchmarkServed of package api, answers of 35 records that are not kept then need an eighth more
// processor time, and answers that are not modified a fifteenth more.
const collectAfter = 200
