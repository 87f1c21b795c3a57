package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/influxdata/telegraf/agent"
	"github.com/influxdata/telegraf/config"
	"github.com/influxdata/telegraf/plugins/aggregators"
	"github.com/influxdata/telegraf/plugins/outputs"

	"github.com/telegraf-describe/telegraf-describe/cmd/telegraf-describe/blocks"
	"github.com/telegraf-describe/telegraf-describe/internal/option"
	"github.com/telegraf-describe/telegraf-describe/plugins/aggregators/describe"
)

// initThrowaway initializes the plugins of a configuration that will not run. The state of describe is not opened; the caller
// has loaded the configuration in test mode, so that the outputs have no buffers on disk. It finds what only Init of a plugin can: wrong
// values of the options of other plugins. Errors that appear only when a plugin starts, such as an address that is in use, are not found.
// The configuration must not run afterwards, because its describe blocks have the host of a test.
func initThrowaway(c *config.Config, h describe.Host) error {
	h.Test = true
	for _, ra := range c.Aggregators {
		if d, ok := ra.Aggregator.(*describe.Describe); ok {
			d.SetHost(h)
		}
	}
	// Telegraf sets this default in Agent.Run, which is not called here; InitPlugins would dereference nil.
	if c.Agent.SkipProcessorsAfterAggregators == nil {
		c.Agent.SkipProcessorsAfterAggregators = new(bool)
	}
	return agent.NewAgent(c).InitPlugins()
}

// checkOptions checks the options of our plugins. The error joins all faults of all blocks, each with its file and line. Init of a plugin
// would find the same faults, but Telegraf initializes one plugin after the other and ends at the first error, which has no line.
func checkOptions(c *config.Config, sources []source) error {
	var describes, caches []loadedBlock
	for _, ra := range c.Aggregators {
		if d, ok := ra.Aggregator.(*describe.Describe); ok {
			describes = append(describes, loadedBlock{ra.LogName(), d.Check})
		}
	}
	for _, ro := range c.Outputs {
		if r, ok := ro.Output.(interface{ Check() error }); ok && ro.Config.Name == "rediscache" {
			caches = append(caches, loadedBlock{ro.LogName(), r.Check})
		}
	}
	return errors.Join(checkBlocks(describes, sources, "aggregators.describe"), checkBlocks(caches, sources, "outputs.rediscache"))
}

// loadedBlock is a block of one of our plugins: its name and alias as in the log, and its check.
type loadedBlock struct {
	name  string       // such as "aggregators.describe::alias"
	check func() error // joins all faults, each an [option.Error] where it is about one option
}

// checkBlocks checks all blocks of one plugin. Telegraf loads them in the order of the files and lines, which is what connects a plugin
// with its block: Telegraf keeps no positions. If it has skipped some, as flags can make it do, the errors have no file and line. The order
// holds for the blocks of one plugin only: those of different plugins are loaded in the random order of a Go map.
func checkBlocks(all []loadedBlock, sources []source, plugin string) error {
	positions := positionsOf(sources, plugin)
	var errs []error
	for i, b := range all {
		for _, err := range option.All(b.check()) {
			where := b.name
			if len(positions) == len(all) {
				where = positions[i].of(option.Of(err)) + ": " + b.name
			}
			errs = append(errs, fmt.Errorf("%s: %w", where, err))
		}
	}
	return errors.Join(errs...)
}

// position is where a block is written.
type position struct {
	path  string // of the file, or its URL
	block *blocks.Block
}

// of returns the file and line of an option, or that of the block if the block does not set it.
func (p position) of(name string) string { return fmt.Sprintf("%s:%d", p.path, p.block.Line(name)) }

// positionsOf returns the blocks of a plugin in the order in which Telegraf loads them.
func positionsOf(sources []source, plugin string) (found []position) {
	for _, s := range sources {
		for _, b := range s.blocks {
			if b.Plugin() == plugin {
				found = append(found, position{s.path, b})
			}
		}
	}
	return found
}

// unknownOptions returns an error with the options of our blocks in a source that do not exist, or nil. It must be called only
// if Telegraf has refused an option, because Telegraf may have general options that are not in our list.
func unknownOptions(s source) error {
	var errs []error
	for plugin, prototype := range map[string]any{
		"aggregators.describe": aggregators.Aggregators["describe"](), "outputs.rediscache": outputs.Outputs["rediscache"](),
	} {
		own := optionsOf(reflect.TypeOf(prototype).Elem())
		known := slices.Concat(own, generalOptions)
		for _, p := range positionsOf([]source{s}, plugin) {
			for _, name := range slices.Sorted(maps.Keys(p.block.Table.Fields)) {
				if !slices.Contains(known, name) {
					suggestion := cmp.Or(option.Suggest(name, known), ": telegraf-describe --usage "+plugin+" prints all")
					errs = append(errs, fmt.Errorf("%s: %s has no option %q%s", p.of(name), plugin, name, suggestion))
				}
			}
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}

// optionsOf returns the names of the options of a plugin's type, in alphabetical order.
func optionsOf(plugin reflect.Type) []string { return slices.Sorted(maps.Keys(optionTypes(plugin))) }

// optionTypes returns the types of the options of a plugin's type by name, as the TOML library finds them: by the tag of a field, and in
// embedded structs such as those of Telegraf's TLS options.
func optionTypes(plugin reflect.Type) map[string]reflect.Type {
	types := map[string]reflect.Type{}
	for i := range plugin.NumField() {
		f := plugin.Field(i)
		switch name, ok := f.Tag.Lookup("toml"); {
		case f.Anonymous && f.Type.Kind() == reflect.Struct:
			maps.Copy(types, optionTypes(f.Type))
		case ok && name != "-":
			name, _, _ = strings.Cut(name, ",")
			types[name] = f.Type
		}
	}
	return types
}

// generalOptions are the options that Telegraf has for aggregators and outputs of any kind. Telegraf does not export its list; a test loads
// each of these with an output. If a new version of Telegraf has more of them, only the suggestions for a misspelled option miss them.
var generalOptions = []string{
	"alias", "buffer_directory", "buffer_disk_sync", "buffer_strategy", "collection_jitter", "collection_offset", "data_format", "delay",
	"drop", "drop_original", "fielddrop", "fieldexclude", "fieldinclude", "fieldpass", "flush_interval", "flush_jitter", "grace", "id",
	"interval", "labels", "log_level", "metric_batch_size", "metric_buffer_limit", "metricpass", "name_override", "name_prefix",
	"name_suffix", "namedrop", "namedrop_separator", "namepass", "namepass_separator", "order", "pass", "period", "precision",
	"startup_error_behavior", "tagdrop", "tagexclude", "taginclude", "tagpass", "tags",
}
