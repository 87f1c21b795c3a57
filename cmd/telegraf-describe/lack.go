package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/influxdata/telegraf/config"

	"github.com/telegraf-describe/telegraf-describe/cmd/telegraf-describe/blocks"
	"github.com/telegraf-describe/telegraf-describe/internal/option"
	"github.com/telegraf-describe/telegraf-describe/internal/show"
)

// registered returns the names of the build's plugins by kind, as build tags spell them: "cpu" under "inputs", for the tag "inputs.cpu".
func registered() map[string][]string {
	names := make(map[string][]string)
	for _, k := range kinds() {
		names[k.name] = k.names
	}
	if slices.Contains(names["parsers"], "xml") { // one plugin, whose formats are xml and xpath_*
		names["parsers"] = append(names["parsers"], "xpath")
	}
	return names
}

// lackError returns one error with every plugin of the sources that the build does not have, its first place, and the
// command that builds them in. It returns nil if the build has all. Plugins that filters leave out are not needed. Parsers and serializers
// count as plugins: their place is the block with the data_format. The command contains the files that lack a plugin, but no URLs. The
// error is in one line, such as
//
//	this build lacks 2 plugins that the configuration needs: inputs.sql (t.conf:1), parsers.avro (t.conf:4); add them with:
//	make build CONFIG=/etc/telegraf/t.conf
func lackError(c *config.Config, sources []source) error {
	// Telegraf ends at the first plugin that it lacks: a user would have to build once for each of them.
	names, seen := registered(), make(map[string]bool)
	var lacking, paths []string
	for _, s := range sources {
		before := len(lacking)
		for _, block := range s.blocks {
			if leftOut(c, block) {
				continue
			}
			for _, tag := range block.Tags() {
				kind, name, _ := strings.Cut(tag, ".")
				if seen[tag] || slices.Contains(names[kind], name) {
					continue
				}
				seen[tag] = true
				lacking = append(lacking, fmt.Sprintf("%s (%s:%d%s)", tag, s.path, block.Table.Line, option.Suggest(name, names[kind])))
			}
		}
		if len(lacking) > before && !isURL(s.path) {
			paths = append(paths, absolutePath(s.path))
		}
	}
	if len(lacking) == 0 {
		return nil
	}
	return fmt.Errorf("this build lacks %s that the configuration needs: %s%s", show.Counted(len(lacking), "plugin"), strings.Join(lacking, ", "),
		buildHint(paths))
}

// buildHint returns the end of an error: the make command that adds the plugins of the files to the build. The Makefile separates paths by
// spaces, so that a path with a space gets a command with PLUGINS instead.
func buildHint(paths []string) string {
	all := strings.Join(paths, " ")
	switch {
	case len(paths) == 0 || strings.Count(all, " ") >= len(paths):
		return `; add them with: make build PLUGINS="inputs.NAME outputs.NAME"`
	case len(paths) > 1:
		all = `"` + all + `"`
	}
	return "; add them with: make build CONFIG=" + all
}

// leftOut reports whether the flags may make Telegraf skip the block. A block with labels counts as skipped, as --select may do that.
func leftOut(c *config.Config, b *blocks.Block) bool {
	chosen := map[string][]string{"inputs": c.InputFilters, "outputs": c.OutputFilters, "secretstores": c.SecretStoreFilters}[b.Kind]
	_, labeled := b.Table.Fields["labels"]
	return labeled || len(chosen) > 0 && !slices.Contains(chosen, b.Name)
}

// absolutePath returns the path from the root, because make runs in the folder of the project. If the current folder is gone, it returns
// the path as it is.
func absolutePath(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}
