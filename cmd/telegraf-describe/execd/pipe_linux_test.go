package execd_test

import (
	"io"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/cmd/telegraf-describe/execd"
)

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	t.Cleanup(func() {
		r.Close()
		w.Close()
	})
	_, err = w.WriteString("rows")
	require.NoError(t, err)
	return r, w
}

func TestAPipeIsClosedWhenItWasRead(t *testing.T) {
	t.Parallel()
	r, w := pipe(t)
	closed := make(chan error, 1)
	go func() { closed <- execd.CloseWhenRead(w)(nil) }()
	time.Sleep(20 * time.Millisecond)
	require.NoError(t, r.SetReadDeadline(time.Now()))
	_, err := r.Read(nil)
	require.NoError(t, err)
	require.NoError(t, r.SetReadDeadline(time.Time{}))
	require.Empty(t, closed, "it was not read")
	all, err := io.ReadAll(r)
	require.NoError(t, err)
	require.Equal(t, "rows", string(all))
	require.NoError(t, <-closed)
}

func TestAPipeWithoutReaderIsAnError(t *testing.T) {
	t.Parallel()
	r, w := pipe(t)
	require.NoError(t, r.Close())
	require.ErrorIs(t, execd.CloseWhenRead(w)(nil), syscall.EPIPE)
}

func TestWaitingForTheReaderOfAPipeCanBeCanceled(t *testing.T) {
	t.Parallel()
	_, w := pipe(t)
	cancel := make(chan struct{})
	close(cancel)
	require.EqualError(t, execd.CloseWhenRead(w)(cancel), "it is not read")
}

func TestAFileIsClosedAtOnce(t *testing.T) {
	t.Parallel()
	f, err := os.Create(t.TempDir() + "/rows")
	require.NoError(t, err)
	require.NoError(t, execd.CloseWhenRead(f)(nil))
	require.Error(t, f.Close())
}
