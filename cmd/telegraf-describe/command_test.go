package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestVersionIsTelegrafs(t *testing.T) {
	for _, args := range [][]string{{"version"}, {"--version"}} {
		r := runTelegraf(t, args...)
		require.Zero(t, r.code)
		require.Regexp(t, `^Telegraf 1\.39\.3-describe`, r.stdout)
	}
}
