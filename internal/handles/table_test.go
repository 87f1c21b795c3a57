package handles_test

import (
	"maps"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/handles"
)

// A table and a map that get the same random changes have the same content.
func TestTableIsAMap(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 1))
	var table handles.Table[int]
	want := make(map[uint64]*int)
	for range 20_000 {
		number := []uint64{1, 1 << 40, 1<<64 - 300}[r.IntN(3)] + r.Uint64N(300)
		require.Equal(t, want[number], table.Find(number))
		require.Equal(t, len(want), table.Len())
		if r.IntN(3) == 0 {
			delete(want, number)
			table.Remove(number)
		} else {
			want[number] = new(r.Int())
			table.Put(number, want[number])
		}
	}
	require.Equal(t, want, maps.Collect(table.All()))
	for number := range table.All() {
		table.Remove(number)
	}
	require.Empty(t, maps.Collect(table.All()))
	require.Zero(t, table.Len())
}

// A table in which each handle is removed a while after it was put holds no more memory after a million of them.
func TestTheMemoryOfRemovedHandlesIsReleased(t *testing.T) {
	var table handles.Table[int]
	const kept, rounds = 1000, 100_000
	v := new(int)
	move := func(from, to uint64) {
		for handle := from; handle < to; handle++ {
			table.Put(handle, v)
			if handle > kept {
				table.Remove(handle - kept)
			}
		}
	}
	move(1, rounds)
	before := heap()
	move(rounds, 10*rounds)
	require.Less(t, heap()-before, 256<<10)
	require.Equal(t, kept, table.Len())
}

// heap returns the bytes that are in use.
func heap() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
