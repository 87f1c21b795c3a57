// Command tags prints the build tags that select upstream's plugins for a build of telegraf-describe:
// those of plugins.txt, those that -plugins names and those that the configuration of -config needs.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "tags:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("tags", flag.ContinueOnError)
	list := flags.String("list", "plugins.txt", "file with one tag a line")
	plugins := flags.String("plugins", "", "more plugins, such as \"inputs.prometheus outputs.http\"")
	config := flags.String("config", "", "configuration whose plugins are needed")
	if err := flags.Parse(args); err != nil {
		return err
	}
	tags, err := listed(*list)
	if err != nil {
		return err
	}
	tags = append(tags, strings.Fields(strings.ReplaceAll(*plugins, ",", " "))...)
	if *config != "" {
		needed, err := configured(*config)
		if err != nil {
			return err
		}
		tags = append(tags, needed...)
	}
	tags = slices.DeleteFunc(tags, own)
	slices.Sort(tags)
	tags = slices.Compact(tags)
	if err := known(tags); err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, "custom,"+strings.Join(tags, ","))
	return err
}

// own reports whether a plugin is ours, which every build has.
func own(tag string) bool { return tag == "aggregators.describe" || tag == "outputs.rediscache" }

func listed(path string) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var tags []string
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line, _, _ := strings.Cut(lines.Text(), "#")
		tags = append(tags, strings.Fields(line)...)
	}
	return tags, lines.Err()
}

// configured returns the tags of the plugins that a configuration names.
func configured(path string) ([]string, error) {
	var sections map[string]any
	if _, err := toml.DecodeFile(path, &sections); err != nil {
		return nil, fmt.Errorf("configuration %q: %w", path, err)
	}
	var tags []string
	for _, kind := range []string{"inputs", "outputs", "processors", "aggregators", "secretstores"} {
		plugins, ok := sections[kind].(map[string]any)
		if !ok {
			continue
		}
		formats := "parsers."
		if kind == "outputs" {
			formats = "serializers."
		}
		for name, settings := range plugins {
			tags = append(tags, kind+"."+name)
			for _, format := range dataFormats(settings) {
				tags = append(tags, formats+format)
			}
		}
	}
	return tags, nil
}

// dataFormats returns every data_format in the settings of a plugin.
func dataFormats(settings any) []string {
	var formats []string
	switch s := settings.(type) {
	case []map[string]any:
		for _, table := range s {
			formats = append(formats, dataFormats(table)...)
		}
	case map[string]any:
		for key, value := range s {
			if format, ok := value.(string); ok && strings.HasSuffix(key, "data_format") {
				formats = append(formats, plugin(format))
			}
			formats = append(formats, dataFormats(value)...)
		}
	}
	return formats
}

// plugin returns the name of the plugin that knows a format: a few know several.
func plugin(format string) string {
	if strings.HasPrefix(format, "xpath_") {
		return "xpath"
	}
	return format
}

// known checks that upstream has each plugin: it has a file for it.
func known(tags []string) error {
	upstream, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/influxdata/telegraf").Output()
	if err != nil {
		return fmt.Errorf("looking for upstream's plugins: %w", err)
	}
	root := strings.TrimSpace(string(upstream))
	var errs []error
	for _, tag := range tags {
		kind, name, one := strings.Cut(tag, ".")
		file := filepath.Join(root, "plugins", kind, "all")
		if kind == "migrations" {
			file = filepath.Join(root, kind, "all")
		}
		if one {
			file = filepath.Join(file, name+".go")
		}
		if _, err := os.Stat(file); err != nil || strings.ContainsAny(tag, `/\`) {
			errs = append(errs, fmt.Errorf("upstream has no plugin %q, want one such as \"inputs.prometheus\"", tag))
		}
	}
	return errors.Join(errs...)
}
