package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// tagsOf returns the tags that the command prints for the default list and the arguments.
func tagsOf(t *testing.T, args ...string) []string {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, run(append([]string{"-list", "../plugins.txt"}, args...), &out))
	require.True(t, strings.HasSuffix(out.String(), "\n"))
	return strings.Split(strings.TrimSpace(out.String()), ",")
}

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "telegraf.conf")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestDefaultTagsAreThoseOfTheList(t *testing.T) {
	tags := tagsOf(t)
	require.Equal(t, "custom", tags[0], "without it every plugin would be built")
	for _, want := range []string{"aggregators", "inputs.cpu", "inputs.opcua", "outputs.influxdb_v3", "processors.starlark", "parsers.grok", "serializers.csv"} {
		require.Contains(t, tags, want)
	}
	for _, stock := range []string{"cpu", "mem", "swap", "system", "kernel", "processes", "disk", "diskio"} { // Telegraf's own default configuration
		require.Contains(t, tags, "inputs."+stock)
	}
	for _, heavy := range []string{"inputs", "outputs", "inputs.prometheus", "outputs.http", "inputs.sql", "parsers.xpath"} {
		require.NotContains(t, tags, heavy)
	}
}

func TestPluginsAreAdded(t *testing.T) {
	for _, list := range []string{"inputs.prometheus outputs.http", "inputs.prometheus,outputs.http", " inputs.prometheus, outputs.http "} {
		tags := tagsOf(t, "-plugins", list)
		require.ElementsMatch(t, append(tagsOf(t), "inputs.prometheus", "outputs.http"), tags)
	}
}

func TestPluginsOfTheListAndOurPluginsAddNoTag(t *testing.T) {
	require.Equal(t, tagsOf(t), tagsOf(t, "-plugins", "inputs.cpu aggregators.describe outputs.rediscache"))
}

func TestAWholeKindIsOneTag(t *testing.T) {
	require.ElementsMatch(t, append(tagsOf(t), "processors"), tagsOf(t, "-plugins", "processors"))
}

func TestErrorsNameUnknownPlugins(t *testing.T) {
	for name, want := range map[string]string{
		"inputs.promtheus": `upstream has no plugin "inputs.promtheus"`,
		"prometheus":       "want inputs.prometheus or parsers.prometheus or serializers.prometheus",
		"inputs.all":       `"inputs.all"`,
		"custom":           `"custom"`,
		"inputs.../cpu":    `"inputs.../cpu"`,
		"output.http":      `upstream has no plugin "output.http", want inputs.http or outputs.http`,
	} {
		var out bytes.Buffer
		require.ErrorContains(t, run([]string{"-list", "../plugins.txt", "-plugins", "inputs.sql " + name}, &out), want)
		require.Empty(t, out.String(), "go build must not go on with half of the tags")
	}
}

func TestPluginsOfAConfigurationAreAdded(t *testing.T) {
	path := writeConfig(t, `
[agent]
  interval = "1s"
[[inputs.prometheus]]
  urls = ["http://localhost"]
[[inputs.http]]
  data_format = "xpath_json"
  [[inputs.http.xpath]]
    metric_name = "'a'"
[[inputs.cpu]]
[[inputs.cpu]]
[[inputs.mqtt_consumer]]
  data_format = "avro"
[[inputs.socket_listener]]
  data_format = "influx_upstream"
[[processors.parser]]
  data_format = "binary"
[[processors.execd]]
  data_format = "msgpack"
[[aggregators.describe]]
[[aggregators.merge]]
[[outputs.rediscache]]
[[outputs.file]]
  data_format = "carbon2"
[[secretstores.docker]]
  id = "secrets"
`)
	// The parser for msgpack does not exist, so upstream would refuse the configuration, too.
	err := run([]string{"-list", "../plugins.txt", "-config", path}, &bytes.Buffer{})
	require.EqualError(t, err, `upstream has no plugin "parsers.msgpack", want serializers.msgpack`)

	text, err := os.ReadFile(path)
	require.NoError(t, err)
	path = writeConfig(t, strings.ReplaceAll(string(text), "msgpack", "json"))
	tags := tagsOf(t, "-config", path)
	require.ElementsMatch(t, append(tagsOf(t), "inputs.prometheus", "parsers.xpath", "parsers.avro", "processors.parser", "parsers.binary",
		"aggregators.merge", "serializers.carbon2", "secretstores.docker"), tags)
}

func TestSeveralConfigurationsAndFolders(t *testing.T) {
	one, two := writeConfig(t, "[[inputs.sql]]"), writeConfig(t, "[[outputs.http]]")
	require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(two), "notes.txt"), []byte("no configuration"), 0o600))
	tags := tagsOf(t, "-config", one+" "+filepath.Dir(two))
	require.ElementsMatch(t, append(tagsOf(t), "inputs.sql", "outputs.http"), tags)
}

// Telegraf loads the files of folders below the given one too, but not those of Kubernetes, which are there twice.
func TestFoldersBelowAFolderAreSearched(t *testing.T) {
	folder := t.TempDir()
	for name, text := range map[string]string{
		"telegraf.conf": "[[inputs.sql]]", "telegraf.d/output.conf": "[[outputs.http]]", "telegraf.d/more/input.conf": "[[inputs.prometheus]]",
		"telegraf.d/notes.txt": "no configuration", "..data/old.conf": "[[inputs.nonesuch]]",
	} {
		path := filepath.Join(folder, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(folder, link))
	want := append(tagsOf(t), "inputs.sql", "outputs.http", "inputs.prometheus")
	require.ElementsMatch(t, want, tagsOf(t, "-config", folder))
	require.ElementsMatch(t, want, tagsOf(t, "-config", link))
}

func TestVariablesInAConfiguration(t *testing.T) {
	path := writeConfig(t, "[agent]\n  metric_batch_size = ${BATCH:-1000}\n[[inputs.sql]]\n  dsn = \"${DSN}\"\n")
	require.Contains(t, tagsOf(t, "-config", path), "inputs.sql")
}

func TestErrorsNameBadConfigurations(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing.conf")
	for path, want := range map[string]string{
		missing:                                missing,
		t.TempDir():                            "has no *.conf file",
		writeConfig(t, "[[inputs.cpu"):         "telegraf.conf\": ",
		writeConfig(t, "[[inputs.nonesuch]]"):  `upstream has no plugin "inputs.nonesuch"`,
		writeConfig(t, "[[outputs.describe]]"): `upstream has no plugin "outputs.describe"`,
		writeConfig(t, "[[processors.cpu]]\n"): `upstream has no plugin "processors.cpu", want inputs.cpu`,
		writeConfig(t, "[[inputs.file]]\n  data_format = \"yaml\""): `upstream has no plugin "parsers.yaml"`,
	} {
		require.ErrorContains(t, run([]string{"-list", "../plugins.txt", "-config", path}, &bytes.Buffer{}), want)
	}
}
