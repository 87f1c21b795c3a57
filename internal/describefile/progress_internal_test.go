package describefile

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// These tests are inside of the package because they choose how many bytes were read in how much time.

// Sizes have up to three digits, also where these round up to the next unit.
func TestByteSize(t *testing.T) {
	t.Parallel()
	for n, want := range map[float64]string{
		0: "0 B", 999: "999 B", 999.6: "1 kB", 1000: "1 kB", 1234: "1.23 kB", 999_400: "999 kB", 999_600: "1 MB", 12_345_678: "12.3 MB",
		5e9: "5 GB", 999.7e9: "1 TB", 5e12: "5 TB",
	} {
		require.Equal(t, want, byteSize(n), "%v", n)
	}
}

// The line shows what is known: a share and the time left if the size is known, and otherwise how much was read.
func TestProgress(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		read, size int64
		want       string
	}{
		{0, 1e9, "[                    ]   0 %  0 B of 1 GB, 0 B/s, ? left"},
		{250e6, 1e9, "[#####               ]  25 %  250 MB of 1 GB, 125 MB/s, 6s left"},
		{999_999_999, 1e9, "[####################] 100 %  1 GB of 1 GB, 500 MB/s, 0s left"},
		{1e9, 1e9, "1 GB read, computing"},
		{2e9, 1e9, "2 GB read, computing"},
		{5000, -1, "5 kB read, 2.5 kB/s"},
		{0, 0, "0 B read, 0 B/s"},
	} {
		require.Equal(t, c.want, progress(c.read, c.size, 2*time.Second))
	}
}
