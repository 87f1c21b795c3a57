package handles_test

import (
	"maps"
	"math/rand/v2"
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
}
