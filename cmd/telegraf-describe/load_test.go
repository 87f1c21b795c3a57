package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/influxdata/telegraf/config"
	"github.com/stretchr/testify/require"
)

// loading loads files with these texts and returns the error and the paths.
func loading(t *testing.T, filters []string, texts ...string) (paths []string, err error) {
	t.Helper()
	for _, text := range texts {
		paths = append(paths, writeFile(t, "telegraf.conf", text))
	}
	c := newConfig()
	c.Agent.Quiet, c.InputFilters = true, filters
	_, err = loadFiles(c, paths)
	return paths, err
}

func TestOneErrorListsEveryPluginThatTheBuildLacks(t *testing.T) {
	t.Parallel()
	const first = "[[outputs.discard]]\n[[inputs.nonesuch]]\n[[inputs.file]]\n  data_format = \"nosuch\"\n[[inputs.nonesuch]]\n"
	const second = "[[aggregators.describ]]\n[[processors.nonesuch]]\n[[secretstores.nonesuch]]\n[[outputs.file]]\n  data_format = \"nosuch\"\n"
	paths, err := loading(t, nil, first, second)
	require.EqualError(t, err, "this build lacks 6 plugins that the configuration needs: inputs.nonesuch ("+paths[0]+":2), parsers.nosuch ("+
		paths[0]+":3), aggregators.describ ("+paths[1]+`:1, did you mean "describe"?), processors.nonesuch (`+paths[1]+":2), secretstores.nonesuch ("+
		paths[1]+":3), serializers.nosuch ("+paths[1]+":4); add them with: make build CONFIG=\""+paths[0]+" "+paths[1]+"\"")

	one, err := loading(t, nil, "[[outputs.discard]]\n", "[[outputs.nonesuch]]\n")
	require.EqualError(t, err, "this build lacks 1 plugin that the configuration needs: outputs.nonesuch ("+one[1]+":1); add them with: make build CONFIG="+one[1])
}

func TestAPluginThatAFilterLeavesOutIsNotLacking(t *testing.T) {
	t.Parallel()
	paths, err := loading(t, []string{"file"}, "[[inputs.nonesuch]]\n[[outputs.nonesuch]]\n")
	require.EqualError(t, err, "this build lacks 1 plugin that the configuration needs: outputs.nonesuch ("+paths[0]+":2); add them with: make build CONFIG="+paths[0])
	_, err = loading(t, []string{"file"}, "[[inputs.nonesuch]]\n[[outputs.discard]]\n")
	require.NoError(t, err)
}

func TestAPathWithASpaceHasNoBuildCommandOfItsOwn(t *testing.T) {
	t.Parallel()
	require.Contains(t, buildHint([]string{"/a b/telegraf.conf"}), "make build PLUGINS=")
	require.Contains(t, buildHint([]string{"/a b/one.conf", "/two.conf"}), "make build PLUGINS=")
	require.Contains(t, buildHint(nil), "make build PLUGINS=")
}

// LoadAll of an empty list does what it does after the last file: it sorts the processors and links the secrets.
func TestLoadedFilesAreThoseOfTelegraf(t *testing.T) {
	t.Parallel()
	text := "[[processors.rename]]\n  order = 2\n[[processors.override]]\n  order = 1\n[[inputs.file]]\n[[outputs.discard]]\n"
	path := writeFile(t, "telegraf.conf", text)
	ours, theirs := newConfig(), newConfig()
	_, err := loadFiles(ours, []string{path})
	require.NoError(t, err)
	require.NoError(t, theirs.LoadAll(path))
	for _, c := range []*config.Config{ours, theirs} {
		require.Equal(t, []string{"override", "rename"}, []string{c.Processors[0].Config.Name, c.Processors[1].Config.Name})
	}
	_, err = loadFiles(newConfig(), []string{filepath.Join(t.TempDir(), "missing.conf")})
	require.ErrorContains(t, err, "missing.conf failed: ")
}

func TestErrorsOfOptionsNameFileLineAndBlock(t *testing.T) {
	t.Parallel()
	one := writeFile(t, "one.conf", "[[inputs.file]]\n[[aggregators.describe]]\n  period = \"1m\"\n  bucket = \"7x\"\n  emit = \"finale\"\n")
	two := writeFile(t, "two.conf", "[[aggregators.describe]]\n[[outputs.rediscache]]\n[[aggregators.describe]]\n  alias = \"hourly\"\n\n  layout = \"rows \"\n")
	c := newConfig()
	c.Agent.Quiet = true
	sources, err := loadFiles(c, []string{one, two})
	require.NoError(t, err)
	err = checkOptions(c, sources)
	require.Error(t, err)
	for _, want := range []string{
		one + ":4: aggregators.describe: invalid 'bucket' setting",
		one + `:5: aggregators.describe: invalid 'emit' setting "finale", want "both", "final" or "update", did you mean "final"?; for example emit = "final"`,
		two + `:2: outputs.rediscache: invalid 'database' setting "", want the name of a database, or a 'database_tag'; for example database = "mydb"`,
		two + `:6: aggregators.describe::hourly: invalid 'layout' setting "rows ", want "rows"`,
	} {
		require.ErrorContains(t, err, want)
	}
	// Without the places of all blocks, the errors name the block only.
	err = checkOptions(c, sources[1:])
	require.ErrorContains(t, err, "\naggregators.describe::hourly: invalid 'layout' setting")
	require.NotContains(t, err.Error(), two+":6")
}

func TestUnknownOptionsOfOurPluginsAreSuggested(t *testing.T) {
	t.Parallel()
	const text = "[[aggregators.describe]]\n  bukcet = \"1h\"\n  namepass = [\"cpu\"]\n  name_pass = [\"cpu\"]\n  [aggregators.describe.tags]\n    a = \"b\"\n"
	paths, err := loading(t, nil, text+"[[outputs.rediscache]]\n  database = \"d\"\n  tls_cert = \"x\"\n  nothing_like_it = 1\n")
	got := err.Error()
	// Telegraf stops at the first block with an unknown option. All of them are in the error.
	require.Equal(t, paths[0]+`:10: outputs.rediscache has no option "nothing_like_it": telegraf-describe --usage outputs.rediscache prints all`+"\n"+
		paths[0]+`:2: aggregators.describe has no option "bukcet", did you mean "bucket"?`+"\n"+
		paths[0]+`:4: aggregators.describe has no option "name_pass", did you mean "namepass"?`, got)
	_, err = loading(t, nil, "[[inputs.file]]\n  nonesuch = 1\n")
	require.ErrorContains(t, err, `configuration specified the fields ["nonesuch"]`)
}

func TestWrongBracketsAndSectionsAreExplained(t *testing.T) {
	t.Parallel()
	paths, err := loading(t, nil, "[inputs.mem]\n[aggregators.describe]\n  bucket = \"1h\"\n[outputs.discard]\n")
	require.EqualError(t, err, paths[0]+":2: found [aggregators.describe], want two brackets: [[aggregators.describe]]")
	for section, want := range map[string]string{
		"[[aggregator.describe]]": `found the section "aggregator", did you mean "aggregators"?`,
		"[[output.rediscache]]":   `found the section "output", did you mean "outputs"?`,
		"[[ouputs.file]]":         `found the section "ouputs", did you mean "outputs"?`,
	} {
		paths, err = loading(t, nil, "[[outputs.discard]]\n\n"+section+"\n")
		require.EqualError(t, err, paths[0]+":3: "+want)
	}
	_, err = loading(t, nil, "[[something.else]]\n")
	require.ErrorContains(t, err, "undefined but requested input: something")
}

func TestAnUnknownOptionWithoutANearOneNamesTheCommandThatListsAll(t *testing.T) {
	t.Parallel()
	paths, err := loading(t, nil, "[[outputs.rediscache]]\n  database = \"d\"\n  url = \"redis://a\"\n")
	require.EqualError(t, err, paths[0]+`:3: outputs.rediscache has no option "url": telegraf-describe --usage outputs.rediscache prints all`)
}

func TestValuesOfTheWrongTypeAreErrorsWithAnExample(t *testing.T) {
	t.Parallel()
	paths, err := loading(t, nil, `[[aggregators.describe]]
  period = 30
  bucket = 60
  stats = "p95"
  emit_summary = true
  max_series = "10"
  memory_limit = "1G"
  linger = "1w"
  drop_original = "yes"
  namepass = "cpu"
[[outputs.rediscache]]
  database = "d"
  retention = "10 days"
  servers = "redis://127.0.0.1:6379"
  metric_batch_size = "5"
`)
	var want []string
	for line, text := range []string{
		2:  `aggregators.describe: invalid 'period' setting 30, want a duration in quotes; for example period = "30s"`,
		3:  `aggregators.describe: invalid 'bucket' setting 60, want a text in quotes; for example bucket = "10m"`,
		4:  `aggregators.describe: invalid 'stats' setting "p95", want a list of texts in brackets; for example stats = ["p95"]`,
		5:  `aggregators.describe: invalid 'emit_summary' setting true, want a text in quotes; for example emit_summary = "compact"`,
		6:  `aggregators.describe: invalid 'max_series' setting "10", want a whole number without quotes; for example max_series = 100000`,
		7:  `aggregators.describe: invalid 'memory_limit' setting "1G", want a size with the units KiB, MiB and GiB; for example memory_limit = "1GiB"`,
		8:  `aggregators.describe: invalid 'linger' setting "1w", want a duration with the units ms, s, m, h and d; for example linger = "10m"`,
		9:  `aggregators.describe: invalid 'drop_original' setting "yes", want true or false; for example drop_original = true`,
		10: `aggregators.describe: invalid 'namepass' setting "cpu", want a list of texts in brackets; for example namepass = ["cpu"]`,
		13: `outputs.rediscache: invalid 'retention' setting "10 days", want a duration with the units ms, s, m, h and d; for example retention = "30d"`,
		14: `outputs.rediscache: invalid 'servers' setting "redis://127.0.0.1:6379", want a list of texts in brackets; for example servers = ["redis://127.0.0.1:6379"]`,
		15: `outputs.rediscache: invalid 'metric_batch_size' setting "5", want a whole number without quotes`,
	} {
		if text != "" {
			want = append(want, fmt.Sprintf("%s:%d: %s", paths[0], line, text))
		}
	}
	require.Error(t, err)
	require.ElementsMatch(t, want, strings.Split(err.Error(), "\n"))
}

func TestUnsetVariablesAreErrorsWithTheirLine(t *testing.T) {
	t.Setenv("LIMIT", "5")
	paths, err := loading(t, nil, `[[aggregators.describe]]
  linger = "${NO_LINGER}"
  state = "${NO_STATE}/${LIMIT}"
  max_series = "${LIMIT}"
  prefix = "$${NO_ESCAPE}_"
  group_by = ["host", "${NO_TAG}"]
[[outputs.rediscache]]
  database = "${NO_DATABASE:-d}"
  tls_ca = "${NO_CA}"
  password = "a${NO_PASSWORD}"
`)
	require.Error(t, err)
	unset := "invalid '%s' setting: the environment variable %s is not set"
	require.Equal(t, []string{
		paths[0] + ":6: aggregators.describe: " + fmt.Sprintf(unset, "group_by", "NO_TAG") + `; for example group_by = ["host"]`,
		paths[0] + ":2: aggregators.describe: " + fmt.Sprintf(unset, "linger", "NO_LINGER") + `; for example linger = "10m"`,
		paths[0] + `:4: aggregators.describe: invalid 'max_series' setting "${LIMIT}", want a whole number without quotes` +
			"; outside of quotes, variables are replaced only with --non-strict-env-handling; for example max_series = 100000",
		paths[0] + ":3: aggregators.describe: " + fmt.Sprintf(unset, "state", "NO_STATE") + `; for example state = "/var/lib/telegraf-describe"`,
		paths[0] + ":9: outputs.rediscache: " + fmt.Sprintf(unset, "tls_ca", "NO_CA"),
	}, strings.Split(err.Error(), "\n"))
}

func TestValuesThatTelegrafAcceptsAreOfTheRightType(t *testing.T) {
	_, err := loading(t, nil, `[[aggregators.describe]]
  period = "90s"
  linger = 600
  memory_limit = 1000000
  stats = []
  bucket = "${BUCKET:-1h}"
[[outputs.rediscache]]
  database = "d"
  timeout = 2.5
  insecure_skip_verify = false
`)
	require.NoError(t, err)
	config.NonStrictEnvVarHandling = true
	t.Cleanup(func() { config.NonStrictEnvVarHandling = false })
	t.Setenv("SERIES", "7")
	t.Setenv("PERIOD", `"9s"`)
	_, err = loading(t, nil, "[[aggregators.describe]]\n  max_series = ${SERIES}\n  period = ${PERIOD}\n")
	require.NoError(t, err)
}

// Options that Telegraf accepts in any block are not unknown.
func TestGeneralOptionsAreThoseOfTelegraf(t *testing.T) {
	t.Parallel()
	for _, name := range generalOptions {
		c := config.NewConfig()
		err := c.LoadConfigData([]byte("[[outputs.discard]]\n  "+name+" = \"1\"\n"), config.EmptySourcePath)
		if err != nil {
			require.NotContains(t, err.Error(), "but they were not used", name)
		}
	}
}
