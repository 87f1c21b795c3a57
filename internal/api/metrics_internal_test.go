package api

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// This test is inside of the package because it compares the list of reasons with the source.

// A reason that is not in the list would be a time series that begins with its first request, and that nobody knows of.
func TestEveryReasonToRefuseARequestIsListed(t *testing.T) {
	t.Parallel()
	used := []string{"token_rate", "address_rate"} // see [server.refuse]
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, m := range regexp.MustCompile(`(?:reason: |refused\(|waited\(ctx, )"([a-z_]+)"`).FindAllStringSubmatch(string(text), -1) {
			used = append(used, m[1])
		}
	}
	require.Subset(t, refusals, used)
	require.Subset(t, used, refusals)
}
