// Package packaging_test tests the scripts that packages are made with.
package packaging_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// checkout is a folder with a copy of the script version.
type checkout struct {
	t      *testing.T
	folder string
}

func newCheckout(t *testing.T) checkout {
	t.Helper()
	c := checkout{t, t.TempDir()}
	script, err := os.ReadFile("version")
	require.NoError(t, err)
	require.NoError(t, os.Mkdir(filepath.Join(c.folder, "packaging"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(c.folder, "packaging", "version"), script, 0o700))
	return c
}

// run runs a command in the folder and returns its output. Git finds no repository but that of the folder, even in a hook, and no settings of
// this machine, and leaves no process behind that works in the folder.
func (c checkout) run(name string, args ...string) string {
	c.t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = c.folder
	cmd.Env = append(withoutGit(os.Environ()), "GIT_CEILING_DIRECTORIES="+filepath.Dir(c.folder), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=maintenance.auto", "GIT_CONFIG_VALUE_0=false",
		"GIT_AUTHOR_NAME=n", "GIT_AUTHOR_EMAIL=e@example.com", "GIT_COMMITTER_NAME=n", "GIT_COMMITTER_EMAIL=e@example.com")
	out, err := cmd.CombinedOutput()
	require.NoError(c.t, err, "%s", out)
	return strings.TrimSpace(string(out))
}

// withoutGit returns an environment without the variables of Git, such as GIT_DIR.
func withoutGit(env []string) []string {
	return slices.DeleteFunc(env, func(variable string) bool { return strings.HasPrefix(variable, "GIT_") })
}

func (c checkout) commit(message string) {
	c.t.Helper()
	c.run("git", "add", ".")
	c.run("git", "commit", "-q", "--allow-empty", "-m", message)
}

func (c checkout) version() string {
	c.t.Helper()
	v := c.run("sh", "packaging/version")
	require.Regexp(c.t, semver, v)
	return v
}

// semver is the syntax of semantic versions: https://semver.org, without the rule about leading zeros.
var semver = regexp.MustCompile(`^\d+\.\d+\.\d+(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$`)

func TestVersionsFollowTheTags(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	c := newCheckout(t)
	require.Equal(t, "0.2.0-dev", c.version(), "not a Git checkout")
	c.run("git", "init", "-q")
	c.commit("first")
	head := func() string { return c.run("git", "rev-parse", "--short", "HEAD") }
	require.Equal(t, "0.2.0-dev+"+head(), c.version(), "no tag")
	c.run("git", "tag", "v0.2.9")
	c.run("git", "tag", "cmd/telegraf-describe/v0.9.0")
	require.Equal(t, "0.2.9", c.version(), "a tagged commit")
	c.commit("second")
	c.commit("third")
	require.Equal(t, "0.2.10-dev.2+"+head(), c.version(), "two commits after a tag")
	c.run("git", "tag", "v0.3.0-rc.1")
	require.Equal(t, "0.3.0-rc.1", c.version())
	c.commit("fourth")
	require.Equal(t, "0.3.0-rc.1.dev.1+"+head(), c.version(), "a commit after a release candidate")
}

func TestChangesWithoutACommitAreInTheVersion(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	c := newCheckout(t)
	c.run("git", "init", "-q")
	c.commit("first")
	clean := c.version()
	script := filepath.Join(c.folder, "packaging", "version")
	text, err := os.ReadFile(script)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(script, append(text, "# changed\n"...), 0o600))
	require.Equal(t, clean+".dirty", c.version())
	c.run("git", "tag", "v1.0.0")
	require.Equal(t, "1.0.0+dirty", c.version())
}
