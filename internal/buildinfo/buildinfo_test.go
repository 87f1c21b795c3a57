package buildinfo_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/buildinfo"
)

func TestVersionReadsTheBuildOfThisProgram(t *testing.T) {
	t.Parallel()
	require.Equal(t, "0.2.0", buildinfo.Version("0.2.0"))
	require.NotEmpty(t, buildinfo.Version(""))
}
