// Package blocks finds the plugins in a Telegraf configuration: which there are, where, and which build tags they need.
//
//	1  [agent]                        none: it has no plugins
//	2  [[inputs.http]]                inputs.http, line 2; tags inputs.http, parsers.xpath
//	3    data_format = "xpath_json"
//	4  [[outputs.file]]               outputs.file, line 4; tags outputs.file, serializers.json
//	5    data_format = "json"
//
// It reads the text only. Whether Telegraf has a plugin or a build contains it is for the callers: the agent, which names the places of
// faults, and the command tags. It does not import Telegraf, so that the command tags is built in a moment.
package blocks

import (
	"bytes"
	"cmp"
	"regexp"
	"slices"
	"strings"

	"github.com/influxdata/toml"
	"github.com/influxdata/toml/ast"
)

// Kinds are the sections of a configuration that have plugins. Parsers and serializers are not among them, as they have no sections of
// their own. It must not be changed.
var Kinds = []string{"inputs", "outputs", "processors", "aggregators", "secretstores"}

// Block is the table of one plugin, such as [[inputs.cpu]]. A configuration has one for each time the table is written. Table is the text
// as it was parsed: variables and references to secrets are not replaced, and no option is checked.
type Block struct {
	Kind, Name string // such as "inputs" and "cpu"
	Table      *ast.Table
}

// Plugin returns the plugin as a build tag names it, such as "inputs.cpu".
func (b *Block) Plugin() string { return b.Kind + "." + b.Name }

// Line returns the line of an option in the file, or that of the block if the block does not set the option. Lines are counted from 1. An
// option can be a table, such as [inputs.cpu.tags], or several tables of one name, of which the first counts.
func (b *Block) Line(option string) int {
	switch node := b.Table.Fields[option].(type) {
	case *ast.KeyValue:
		return node.Line
	case *ast.Table:
		return node.Line
	case []*ast.Table:
		if len(node) > 0 {
			return node[0].Line
		}
	}
	return b.Table.Line
}

// Tags returns the build tags of the plugin and of its data formats, the plugin first. Tags of formats may repeat, and are in no order.
func (b *Block) Tags() []string {
	found := formats(b.Table)
	tags := append(make([]string, 0, 1+len(found)), b.Plugin())
	for _, format := range found {
		tags = append(tags, formatTags(b.Plugin(), format)...)
	}
	return tags
}

// Parse returns the blocks of a configuration in the order of their lines. The error of text that is no TOML is the one of the parser,
// which names the line. Sections that have no plugins, such as [agent], are skipped, and so is an unknown section. Text without a plugin
// has no blocks.
//
// A plugin in single brackets, such as [inputs.cpu], is a block too, although Telegraf refuses that of most kinds.
func Parse(text []byte) ([]*Block, error) {
	root, err := parse(text)
	if err != nil {
		return nil, err
	}
	var all []*Block
	for _, kind := range Kinds {
		section, ok := root.Fields[kind].(*ast.Table)
		if !ok {
			continue
		}
		for name, node := range section.Fields {
			switch tables := node.(type) {
			case *ast.Table:
				all = append(all, &Block{kind, name, tables})
			case []*ast.Table:
				for _, table := range tables {
					all = append(all, &Block{kind, name, table})
				}
			}
		}
	}
	slices.SortFunc(all, func(a, b *Block) int {
		return cmp.Or(cmp.Compare(a.Table.Line, b.Table.Line), strings.Compare(a.Plugin(), b.Plugin()))
	})
	return all, nil
}

// Sections returns the names of the tables of a configuration with the line of each, or of its first table. It returns none for text that
// is no TOML. For [agent] in line 1 and [[aggregator.describe]] in line 3 it returns "agent": 1 and "aggregator": 3.
func Sections(text []byte) map[string]int {
	root, err := parse(text)
	if err != nil {
		return nil
	}
	lines := map[string]int{}
	for name, node := range root.Fields {
		if line := firstLine(node); line > 0 {
			lines[name] = line
		}
	}
	return lines
}

// firstLine returns the smallest line of a table and the tables in it, or 0 if node is no table. The table of [[inputs.cpu]] has a line,
// that of inputs has none.
func firstLine(node any) (first int) {
	var inner []int
	switch node := node.(type) {
	case *ast.Table:
		inner = append(inner, node.Line)
		for _, n := range node.Fields {
			inner = append(inner, firstLine(n))
		}
	case []*ast.Table:
		for _, table := range node {
			inner = append(inner, table.Line)
		}
	}
	for _, line := range inner {
		if line > 0 && (first == 0 || line < first) {
			first = line
		}
	}
	return first
}

// variable matches an environment variable as Telegraf replaces it: ${NAME}, also with a default, and $NAME.
var variable = regexp.MustCompile(`\$\{[^}]*\}|\$[A-Za-z_][A-Za-z0-9_]*`)

// parse parses a configuration. If that fails, it parses it with 0 in place of each variable, because a variable can be a number or a
// boolean. Names of plugins have no variables. The error is that of the first attempt, which is about the text that the user wrote. A byte
// order mark at the beginning is no part of TOML, but editors on Windows write it.
func parse(text []byte) (*ast.Table, error) {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	root, err := toml.Parse(text)
	if err == nil {
		return root, nil
	}
	if root, err := toml.Parse(variable.ReplaceAllLiteral(text, []byte("0"))); err == nil {
		return root, nil
	}
	return nil, err
}

// formats returns every data_format in the settings of a plugin, and every option whose name ends in data_format, with duplicates and in no
// order. It searches the tables in the plugin's table too.
func formats(settings any) []string {
	var found []string
	switch s := settings.(type) {
	case []*ast.Table:
		for _, table := range s {
			found = append(found, formats(table)...)
		}
	case *ast.Table:
		for key, value := range s.Fields {
			if kv, ok := value.(*ast.KeyValue); ok && strings.HasSuffix(key, "data_format") {
				value = kv.Value
			}
			found = append(found, formats(value)...)
		}
	case *ast.String:
		found = append(found, s.Value)
	}
	return found
}

// formatTags returns the tags of the parsers and serializers of a format. Outputs need a serializer, other plugins a
// parser, and processors.execd needs both.
func formatTags(plugin, format string) []string {
	switch {
	case format == "":
		return nil
	case format == "xml", strings.HasPrefix(format, "xpath_"):
		return []string{"parsers.xpath"}
	case format == "influx_upstream":
		return []string{"parsers.influx"}
	case strings.HasPrefix(plugin, "outputs."):
		return []string{"serializers." + format}
	case plugin == "processors.execd":
		return []string{"parsers." + format, "serializers." + format}
	}
	return []string{"parsers." + format}
}
