package packaging_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The services start the programs with flags that these have, and wait until they are ready.
func TestServicesStartThePrograms(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.service")
	require.NoError(t, err)
	require.Len(t, files, 2)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		program := strings.TrimSuffix(file, ".service")
		require.Contains(t, string(text), "\nType=notify\n", file)
		require.Contains(t, string(text), "\nExecStart=/usr/bin/"+program+" --config /etc/", file)
		_, err = os.Stat(filepath.Join("../cmd", program))
		require.NoError(t, err)
	}
}
