package describefile_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/describefile"
)

// different writes rows in which hardly a number or a text occurs twice.
func different(w io.Writer, rows int) {
	r := rand.New(rand.NewPCG(3, 3))
	fmt.Fprintln(w, "user,a,b")
	for i := range rows {
		fmt.Fprintf(w, "user-%d,%.6f,%.6f\n", i, r.NormFloat64(), r.Float64())
	}
}

// atEnd measures the heap once all of the input was read. The values are still in it, as nothing was computed yet.
type atEnd struct {
	io.Reader
	heap uint64
}

func (a *atEnd) Read(p []byte) (int, error) {
	n, err := a.Reader.Read(p)
	if err == io.EOF {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		a.heap = m.HeapAlloc
	}
	return n, err //nolint:wrapcheck // io.EOF has to stay as it is
}

// With --accuracy auto, many times the rows need no more memory; with exact they need the memory of their values. How much of the input is in
// buffers at its end depends on how fast it was described, so that the limit is above all of them, and far below the memory of the values.
// This test is not parallel, so that the heap has nothing of other tests.
func TestAccuracyAutoNeedsNoMemoryForMoreRows(t *testing.T) { //nolint:paralleltest // it measures the heap
	if testing.Short() {
		t.Skip("a million rows take seconds with the race detector")
	}
	heap := func(rows int, accuracy string) int64 {
		reading, writing := io.Pipe()
		go func() {
			w := bufio.NewWriter(writing)
			different(w, rows)
			_ = writing.CloseWithError(w.Flush()) // nil becomes io.EOF
		}()
		input := &atEnd{Reader: reading}
		var stdout, stderr bytes.Buffer
		status := describefile.Run(context.Background(), []string{"--accuracy", accuracy, "--workers", "2", "-o", "csv", "-"}, input, &stdout, &stderr)
		require.Zero(t, status, stderr.String())
		return int64(input.heap)
	}
	const rows = 120_000 // all buffers have been in use
	for _, c := range []struct {
		accuracy    string
		more        int64 // how many times the rows
		least, most int64 // bytes by which the heap is larger
	}{
		{"auto", 16, math.MinInt64, 8 << 20},
		{"exact", 4, 16 * 3 * rows, 200 * 3 * rows}, // 8 bytes a number, and each text; memory that grows is there twice for a moment
	} {
		few, many := heap(rows, c.accuracy), heap(int(c.more)*rows, c.accuracy)
		t.Logf("%s: %d bytes of heap with %d rows, %d with %d", c.accuracy, few, rows, many, c.more*rows)
		require.Greater(t, many-few, c.least, c.accuracy)
		require.Less(t, many-few, c.most, c.accuracy)
	}
}
