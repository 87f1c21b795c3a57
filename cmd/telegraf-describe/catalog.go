package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/config"
	"github.com/influxdata/telegraf/plugins/aggregators"
	"github.com/influxdata/telegraf/plugins/inputs"
	"github.com/influxdata/telegraf/plugins/outputs"
	"github.com/influxdata/telegraf/plugins/parsers"
	"github.com/influxdata/telegraf/plugins/processors"
	"github.com/influxdata/telegraf/plugins/secretstores"
	"github.com/influxdata/telegraf/plugins/serializers"
	"github.com/urfave/cli/v2"
)

// The commands of this file print what the build has: "plugins" and --input-list print names, --usage prints the options of one plugin,
// and "config create" a configuration with all plugins. All of them read upstream's registries through the type kind.

// kind is a kind of plugin, with the plugins of this build. It makes one of upstream's registries, each a map of its own type, usable
// in a loop.
type kind struct {
	name       string                              // as in a configuration, such as "inputs"
	names      []string                            // of the plugins, sorted; they are keys of the registry that create reads
	deprecated map[string]telegraf.DeprecationInfo // by name; also of plugins that upstream has removed
	// create returns a new plugin, which is not initialized. It is nil for kinds without a section in a configuration, whose options are
	// in the sections of other plugins.
	create func(name string) telegraf.PluginDescriber
}

// kinds returns the kinds in the order in which "config create" prints their sections, and with the plugins that this build registered in
// Telegraf. Those are complete after the init functions of all packages.
func kinds() []kind {
	return []kind{
		// A secret store is created with an ID. It does not appear in the sample.
		{"secretstores", sorted(secretstores.SecretStores), secretstores.Deprecations,
			func(n string) telegraf.PluginDescriber { return secretstores.SecretStores[n]("dummy") }},
		{"outputs", sorted(outputs.Outputs), outputs.Deprecations, func(n string) telegraf.PluginDescriber { return outputs.Outputs[n]() }},
		{"processors", sorted(processors.Processors), processors.Deprecations,
			func(n string) telegraf.PluginDescriber { return processors.Processors[n]() }},
		{"aggregators", sorted(aggregators.Aggregators), aggregators.Deprecations,
			func(n string) telegraf.PluginDescriber { return aggregators.Aggregators[n]() }},
		{"inputs", sorted(inputs.Inputs), inputs.Deprecations, func(n string) telegraf.PluginDescriber { return inputs.Inputs[n]() }},
		{"parsers", sorted(parsers.Parsers), parsers.Deprecations, nil},
		{"serializers", sorted(serializers.Serializers), serializers.Deprecations, nil},
	}
}

// sorted returns the keys of a registry in ascending order.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// pluginsCommand returns the command "plugins", which lists all kinds, with a subcommand for each kind.
func pluginsCommand(out io.Writer) *cli.Command {
	list := func(only ...string) *cli.Command {
		return &cli.Command{
			Flags: []cli.Flag{&cli.BoolFlag{Name: "deprecated", Usage: "print only deprecated plugins"}},
			Action: func(c *cli.Context) error {
				if c.NArg() > 0 {
					return unknownCommand(c)
				}
				return listPlugins(out, len(levels(c, "deprecated")) > 0, only...)
			},
		}
	}
	command := list()
	command.Name, command.Usage, command.Before = "plugins", "commands for printing available plugins", defaultSignals
	for _, k := range kinds() {
		sub := list(k.name)
		sub.Name, sub.Usage = k.name, "print available "+k.name
		command.Subcommands = append(command.Subcommands, sub)
	}
	return command
}

// listPlugins prints the plugins of the kinds in only, or of all kinds if only is empty. deprecated selects the deprecated
// plugins.
func listPlugins(out io.Writer, deprecated bool, only ...string) error {
	for _, k := range kinds() {
		if !wanted(only, k.name) {
			continue
		}
		if err := k.list(out, deprecated); err != nil {
			return err
		}
	}
	return nil
}

// list prints a line for each plugin, as a build tag names it: inputs.cpu. With deprecated it prints the plugins of upstream's list of
// deprecations instead, which also has plugins that upstream has removed.
func (k kind) list(out io.Writer, deprecated bool) error {
	names := k.names
	if deprecated {
		names = sorted(k.deprecated)
	}
	for _, name := range names {
		if _, err := fmt.Fprintf(out, "%s.%s\n", k.name, name); err != nil {
			return err
		}
	}
	return nil
}

// printDeprecations prints the deprecated plugins and the deprecated options of other plugins. Telegraf finds the options by creating each
// plugin that passes the filters and reading the tags of its struct.
func printDeprecations(out io.Writer, f filters) error {
	c := config.NewConfig()
	infos := c.CollectDeprecationInfos(f.inputs, f.outputs, f.aggregators, f.processors)
	for _, kind := range []string{"inputs", "outputs", "processors", "aggregators"} {
		if _, err := fmt.Fprintf(out, "Deprecated %s:\n", kind); err != nil {
			return err
		}
		c.PrintDeprecationList(infos[kind]) // it prints to os.Stdout, not to out
	}
	return nil
}

// printUsage prints the sample configuration of every plugin with the name, of any kind, or of the one plugin whose name has the
// kind before it, as the command plugins prints it: "aggregators.describe".
func printUsage(out io.Writer, name string) error {
	found := false
	for _, k := range kinds() {
		plugin := strings.TrimPrefix(name, k.name+".")
		if k.create == nil || !slices.Contains(k.names, plugin) {
			continue
		}
		found = true
		if err := k.sample(out, plugin, ""); err != nil {
			return err
		}
	}
	if !found {
		return fmt.Errorf("this build has no plugin %q: the command 'plugins' lists its plugins", name)
	}
	return nil
}

// sample prints the sample configuration of a plugin, and an empty line after it. Each line begins with comment, which is empty or "# ".
// The kind must have sections, and the build the plugin.
func (k kind) sample(out io.Writer, name, comment string) error {
	text := k.create(name).SampleConfig()
	// Some plugins have no options. Their section is printed all the same, because it is what enables them.
	if strings.TrimSpace(text) == "" {
		text = fmt.Sprintf("[[%s.%s]]\n  # no configuration\n", k.name, name)
	}
	if info := k.deprecated[name]; info.Since != "" {
		text = fmt.Sprintf("## DEPRECATED since %s: %s.\n%s", info.Since, info.Notice, text)
	}
	for line := range strings.Lines(strings.TrimRight(text, "\n") + "\n\n") {
		if _, err := fmt.Fprintln(out, strings.TrimRight(comment+strings.TrimRight(line, "\n"), " ")); err != nil {
			return err
		}
	}
	return nil
}

// shown lists the plugins that are not commented out in a sample configuration without filters.
var shown = map[string]bool{
	"outputs.file": true, "aggregators.describe": true,
	"inputs.cpu": true, "inputs.mem": true, "inputs.disk": true, "inputs.diskio": true, "inputs.system": true,
}

// globalSections is the beginning of a sample configuration. Its metric_buffer_limit is bufferLimit, so that a user who keeps the file has
// our default too.
const globalSections = `# A configuration of telegraf-describe. Its format is that of Telegraf: see
# https://docs.influxdata.com/telegraf/v1/configuration/

[global_tags]
  # dc = "eu-1"

[agent]
  ## How often inputs are gathered, unless they set their own interval
  interval = "10s"
  round_interval = true

  ## Metrics in one write, and the most metrics to keep for each output while it
  ## cannot be written to, or when all statistics of a period arrive at once
  metric_batch_size = 1000
  metric_buffer_limit = 100000

  ## How often outputs are flushed, unless they set their own flush_interval
  flush_interval = "10s"

  ## Whether the statistics of aggregators skip the processors. The default
  ## changes with Telegraf v1.40, so set it.
  skip_processors_after_aggregators = true

`

// printConfig prints the sample configuration of the plugins and sections that pass the filters, section by section in the order of kinds.
// [agent] and [global_tags] are one text, which the filter selects by either name. What it prints without filters can be loaded: a test
// checks it.
func printConfig(out io.Writer, f filters) error {
	if wanted(f.sections, "agent") || wanted(f.sections, "global_tags") {
		if _, err := fmt.Fprint(out, globalSections); err != nil {
			return err
		}
	}
	only := map[string][]string{
		"secretstores": f.secretstores, "outputs": f.outputs, "processors": f.processors, "aggregators": f.aggregators, "inputs": f.inputs,
	}
	for _, k := range kinds() {
		if k.create == nil || !wanted(f.sections, k.name) {
			continue
		}
		if _, err := fmt.Fprintf(out, "%s\n# %s\n%s\n\n", strings.Repeat("#", 79), strings.ToUpper(k.name), strings.Repeat("#", 79)); err != nil {
			return err
		}
		if err := k.samples(out, only[k.name]); err != nil {
			return err
		}
	}
	return nil
}

// wanted reports whether the filter is empty or has the name.
func wanted(filter []string, name string) bool {
	return len(filter) == 0 || slices.Contains(filter, name)
}

// samples prints the sample configurations of the plugins in only, or of all plugins if only is empty. The plugins that a user did not name
// are comments, except those of shown.
func (k kind) samples(out io.Writer, only []string) error {
	for _, name := range k.names {
		if !wanted(only, name) {
			continue
		}
		comment := "# "
		if len(only) > 0 || shown[k.name+"."+name] {
			comment = ""
		}
		if err := k.sample(out, name, comment); err != nil {
			return err
		}
	}
	return nil
}
