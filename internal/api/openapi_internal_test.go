package api

import (
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// This test is inside of the package because it needs the list of all problems, some of which a request can hardly cause.

// The type of a problem is the address of its description.
func TestEveryProblemTypeHasADescription(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/problems.md")
	require.NoError(t, err)
	for _, kind := range problemKinds {
		require.Contains(t, string(text), fmt.Sprintf("\n## %s\n\nStatus %d. ", kind.name, kind.status))
	}
}
