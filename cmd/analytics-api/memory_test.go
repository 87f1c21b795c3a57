package main

import (
	"runtime/debug"
	"runtime/metrics"
	"testing"

	"github.com/stretchr/testify/require"
)

// It changes settings of the process, so it does not run beside other tests.
func TestSettingsOfTheCollectorInTheEnvironmentAreNotChanged(t *testing.T) { //nolint:paralleltest // see above
	percent, limit := debug.SetGCPercent(100), debug.SetMemoryLimit(-1)
	defer func() {
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(limit)
	}()
	c := config{MaxTotalBytes: 10 << 20, CacheSize: 5 << 20}
	for _, test := range []struct {
		environ        []string
		percent, limit uint64
	}{
		{nil, 200, 25<<20 + ownMemory},
		{[]string{"GOGC=100"}, 100, 25<<20 + ownMemory},
		{[]string{"GOMEMLIMIT=1GiB"}, 200, 1 << 30},
	} {
		debug.SetGCPercent(100)
		debug.SetMemoryLimit(1 << 30)
		c.limitMemory(test.environ)
		read := []metrics.Sample{{Name: "/gc/gogc:percent"}, {Name: "/gc/gomemlimit:bytes"}}
		metrics.Read(read)
		require.Equal(t, []uint64{test.percent, test.limit}, []uint64{read[0].Value.Uint64(), read[1].Value.Uint64()}, test.environ)
	}
}
