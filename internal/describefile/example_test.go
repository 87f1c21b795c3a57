package describefile_test

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/describefile"
)

var update = flag.Bool("update", false, "write the outputs of the example's README anew")

const exampleDir = "../../examples/describe-files"

// block is a command in a README and its output.
var block = regexp.MustCompile("(?s)```text\n\\$ telegraf-describe describe ([^\n]*)\n(.*?)```")

// The README of the example shows what its commands print.
func TestExampleReadmeShowsTheOutput(t *testing.T) {
	path := filepath.Join(exampleDir, "README.md")
	readme, err := os.ReadFile(path)
	require.NoError(t, err)
	t.Setenv("COLUMNS", "")
	blocks := 0
	got := block.ReplaceAllStringFunc(string(readme), func(text string) string {
		blocks++
		line := block.FindStringSubmatch(text)[1]
		args := strings.Fields(strings.ReplaceAll(line, "'", ""))
		args[len(args)-1] = filepath.Join(exampleDir, args[len(args)-1])
		stdout, stderr, status := run(t, "", args...)
		require.Zero(t, status, stderr)
		notes := strings.ReplaceAll(stderr, exampleDir+"/", "")
		return "```text\n$ telegraf-describe describe " + line + "\n" + notes + stdout + "```"
	})
	require.Equal(t, 7, blocks)
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o600))
		return
	}
	require.Equal(t, string(readme), got)
}

// run runs the command.
func run(t *testing.T, stdin string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	var out, errors bytes.Buffer
	status = describefile.Run(context.Background(), args, strings.NewReader(stdin), &out, &errors)
	return out.String(), errors.String(), status
}
