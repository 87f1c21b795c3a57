package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"

	"github.com/influxdata/telegraf/config"
	"github.com/influxdata/telegraf/models"
	"github.com/influxdata/toml"
	"github.com/influxdata/toml/ast"

	"github.com/telegraf-describe/telegraf-describe/internal/option"
	"github.com/telegraf-describe/telegraf-describe/plugins/aggregators/describe"
)

// pluginConf is a plugin.conf: the describe blocks for the command execd, as they are in a telegraf.conf. It has no other sections, because
// the inputs, outputs and [agent] are those of the Telegraf that starts the command:
//
//	[[aggregators.describe]]
//	  period = "30s"
//	  namepass = ["cpu"]
type pluginConf struct {
	path   string                      // as in --config; may be a URL
	tables []*ast.Table                // in the order of the file; at least one
	blocks []*models.RunningAggregator // of the same tables, in the same order; not initialized
}

// loadPluginConf loads a plugin.conf from a file or a URL. Environment variables in texts are replaced as in a telegraf.conf. The
// errors name the file and the line.
//
// Our own checks read the parsed file and come first, because Telegraf's errors have no lines. Then Telegraf loads the same text, to
// replace the variables and to build the blocks with their filters. Both have the blocks in the same order, so an index in tables is one
// in blocks. The values of the options are checked by Init, when execd.Run starts: see locate.
func loadPluginConf(path string) (*pluginConf, error) {
	data, _, err := config.LoadConfigFile(path)
	if err != nil {
		return nil, fmt.Errorf("loading %s: %w", path, err)
	}
	p := &pluginConf{path: path}
	root, err := toml.Parse(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if p.tables, err = describeTables(root); err != nil {
		return nil, fmt.Errorf("%s:%w", path, err)
	}
	if err := errors.Join(p.checkSecrets(), p.checkTypes(data)); err != nil {
		return nil, err
	}
	c := newConfig()
	c.Agent.OmitHostname = true // the metrics have the tag host of the Telegraf that they come from
	if err := c.LoadConfigData(data, path); err != nil {
		if unknown := p.unknown(slices.Sorted(maps.Keys(c.UnusedFields))); unknown != nil {
			return nil, unknown
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	p.blocks = c.Aggregators
	openGates(p.blocks)
	warnOverlaps(p.blocks, p.places())
	warnMerges(p.blocks)
	return p, nil
}

// describeTables returns the describe blocks. Another table is an error, which begins with its line.
func describeTables(root *ast.Table) ([]*ast.Table, error) {
	var blocks []*ast.Table
	for _, name := range slices.Sorted(maps.Keys(root.Fields)) {
		plugins, ok := root.Fields[name].(*ast.Table)
		if !ok || name != "aggregators" {
			return nil, misplaced(name, root.Fields[name])
		}
		for _, plugin := range slices.Sorted(maps.Keys(plugins.Fields)) {
			tables, ok := plugins.Fields[plugin].([]*ast.Table)
			if !ok || plugin != "describe" {
				return nil, misplaced(name+"."+plugin, plugins.Fields[plugin])
			}
			blocks = tables
		}
	}
	if len(blocks) == 0 {
		return nil, errors.New("1: there is no [[aggregators.describe]] table")
	}
	return blocks, nil
}

// misplaced returns the error for a table or an option that is no describe block. It begins with the line, or with line 1 if the value has
// none; the caller puts the path before it.
func misplaced(name string, value any) error {
	line := 1
	switch v := value.(type) {
	case *ast.Table:
		line = v.Line
	case []*ast.Table:
		line = v[0].Line
	case *ast.KeyValue:
		line = v.Line
	}
	return fmt.Errorf("%d: found %q, want [[aggregators.describe]] tables only: everything else belongs in telegraf.conf", line, name)
}

// secret matches a reference to a secret. Telegraf replaces it in the options of type Secret only, and describe has none.
var secret = regexp.MustCompile(`@\{\w+:\w+\}`)

// checkSecrets returns an error for the first reference to a secret. Without this check the value of the option would be the reference
// itself.
func (p *pluginConf) checkSecrets() error {
	for i, table := range p.tables {
		for _, option := range slices.Sorted(maps.Keys(table.Fields)) {
			kv, ok := table.Fields[option].(*ast.KeyValue)
			if !ok {
				continue
			}
			if found := secret.FindString(kv.Value.Source()); found != "" {
				return p.at(i, option, fmt.Errorf("option '%s' has the secret %q, but describe has no option for secrets: "+
					"use an environment variable, such as \"${NAME}\"", option, found))
			}
		}
	}
	return nil
}

// checkTypes returns an error for options whose value has the wrong type: see typeErrors. text is that of the file.
func (p *pluginConf) checkTypes(text []byte) error {
	var errs []error
	for i, table := range p.tables {
		for _, err := range typeErrors(new(describe.Describe), table, text) {
			errs = append(errs, p.at(i, option.Of(err), err))
		}
	}
	return errors.Join(errs...)
}

// unknown returns an error for options that Telegraf did not use, or nil if they are in no block.
func (p *pluginConf) unknown(options []string) error {
	known := slices.Concat(optionsOf(reflect.TypeFor[describe.Describe]()), generalOptions)
	var errs []error
	for i, table := range p.tables {
		for _, name := range options {
			if _, ok := table.Fields[name]; ok {
				errs = append(errs, p.at(i, name, fmt.Errorf("unknown option '%s'%s: telegraf-describe --usage describe prints all options",
					name, option.Suggest(name, known))))
			}
		}
	}
	return errors.Join(errs...)
}

// setting matches the beginning of describe's errors about options.
var setting = regexp.MustCompile(`^invalid '(\w+)' setting`)

// locate adds the file and the line to each error of a block, which is counted from 0. The line is that of the option which the text of
// the error names. "invalid 'bucket' setting …" of the first of several becomes "p.conf:2: block 1 of aggregators.describe: invalid
// 'bucket' setting …".
func (p *pluginConf) locate(block int, err error) error {
	all := flatten(err)
	errs := make([]error, 0, len(all))
	for _, e := range all {
		option := ""
		if m := setting.FindStringSubmatch(e.Error()); m != nil {
			option = m[1]
		}
		errs = append(errs, p.at(block, option, e))
	}
	return errors.Join(errs...)
}

// flatten returns the errors that were joined, at any depth. An error that only adds its type, without a text of its own, is unwrapped:
// there may be joined ones within it. An error that adds a text stays whole, as the text would be lost.
func flatten(err error) []error {
	for {
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			parts := joined.Unwrap()
			all := make([]error, 0, len(parts))
			for _, e := range parts {
				all = append(all, flatten(e)...)
			}
			return all
		}
		inner := errors.Unwrap(err)
		if inner == nil || inner.Error() != err.Error() {
			return []error{err}
		}
		err = inner
	}
}

// places returns the file and line of each block.
func (p *pluginConf) places() []string {
	places := make([]string, len(p.tables))
	for i, table := range p.tables {
		places[i] = fmt.Sprintf("%s:%d", p.path, table.Line)
	}
	return places
}

// at adds the place of an option to an error: the file, the line, and the block if there are several. The line is that of the
// block if it does not set the option.
func (p *pluginConf) at(block int, option string, err error) error {
	line := p.tables[block].Line
	if kv, ok := p.tables[block].Fields[option].(*ast.KeyValue); ok {
		line = kv.Line
	}
	if len(p.tables) == 1 {
		return fmt.Errorf("%s:%d: %w", p.path, line, err)
	}
	return fmt.Errorf("%s:%d: block %d of aggregators.describe: %w", p.path, line, block+1, err)
}
