package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/influxdata/toml"
	"github.com/influxdata/toml/ast"
)

// configured returns the tags of the plugins in configurations. Each path is a file or a folder of *.conf files.
func configured(paths []string) ([]string, error) {
	var tags []string
	for _, path := range paths {
		files, err := filesOf(path)
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			root, err := parse(file)
			if err != nil {
				return nil, fmt.Errorf("configuration %q: %w", file, err)
			}
			tags = append(tags, needed(root)...)
		}
	}
	return tags, nil
}

func filesOf(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() {
		return []string{path}, err
	}
	files, err := filepath.Glob(filepath.Join(path, "*.conf"))
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("folder %q has no *.conf file", path)
	}
	return files, err
}

var variable = regexp.MustCompile(`\$\{[^}]*\}|\$[A-Za-z_][A-Za-z0-9_]*`)

// parse parses a configuration. If that fails, it parses it with 0 in place of each variable, because a variable
// can be a number or a boolean. Names of plugins have no variables.
func parse(file string) (*ast.Table, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
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

// needed returns the tags of the plugins and data formats in a configuration.
func needed(root *ast.Table) []string {
	var tags []string
	for _, kind := range []string{"inputs", "outputs", "processors", "aggregators", "secretstores"} {
		section, ok := root.Fields[kind].(*ast.Table)
		if !ok {
			continue
		}
		for name, settings := range section.Fields {
			plugin := kind + "." + name
			tags = append(tags, plugin)
			for _, format := range formats(settings) {
				tags = append(tags, formatTags(plugin, format)...)
			}
		}
	}
	return tags
}

// formats returns every data_format in the settings of a plugin, and every option whose name ends in data_format.
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
