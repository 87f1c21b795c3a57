package buildinfo

import (
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
)

// These tests are inside of the package because they choose the build information, which is otherwise that of the test itself.

func TestTheLinkedVersionPrecedesTheVersionOfTheModule(t *testing.T) {
	t.Parallel()
	installed := &debug.BuildInfo{Main: debug.Module{Version: "v0.2.0"}}
	require.Equal(t, "0.3.0", version("0.3.0", installed))
	require.Equal(t, "0.2.0", version("", installed))
	require.Equal(t, "0.3.0", version("0.3.0", nil))
}

func TestABuildWithoutAVersionIsUnknown(t *testing.T) {
	t.Parallel()
	for _, info := range []*debug.BuildInfo{nil, {}, {Main: debug.Module{Version: "(devel)"}}} {
		require.Equal(t, unknown, version("", info))
	}
}
