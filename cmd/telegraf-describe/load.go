package main

import (
	"errors"
	"fmt"
	"log"
	"maps"
	"slices"
	"strings"

	"github.com/influxdata/telegraf/config"
	"github.com/influxdata/toml/ast"

	"github.com/telegraf-describe/telegraf-describe/cmd/telegraf-describe/blocks"
	"github.com/telegraf-describe/telegraf-describe/internal/option"
)

// Telegraf's errors for the usual mistakes in a configuration name neither the line nor the remedy. So files are loaded one by one here,
// and Telegraf's error is replaced where ours is better:
//
//	in the file              Telegraf's error            our error
//	period = 30              none, it is ignored         a.conf:3: … invalid 'period' setting 30, want a duration in quotes; …
//	[[inputs.prometheus]]    undefined but requested     this build lacks 1 plugin … inputs.prometheus (a.conf:1); add them with: …
//	[[aggregator.describe]]  undefined but requested     a.conf:2: found the section "aggregator", did you mean "aggregators"?
//	[aggregators.describe]   unsupported config format   a.conf:2: found [aggregators.describe], want two brackets: …
//	stat = ["mean"]          but they were not used      a.conf:3: aggregators.describe has no option "stat", did you mean …
//
// The first of them is found before Telegraf loads anything, by checkTypes. The others are found by explainLoad after Telegraf's error.

// source is one file or URL of a configuration. It is kept while the configuration is checked, as only its text has the lines for errors.
type source struct {
	path   string          // as in the flags, or from a folder of them; may be a URL
	text   []byte          // before variables and secrets are replaced
	blocks []*blocks.Block // in the order of their lines; nil if the text is no TOML
}

// loadFiles loads files and URLs into a configuration that has our defaults, and returns their blocks for messages. It
// replaces LoadAll of [config.Config], whose errors name only the first plugin that the build lacks.
//
// All texts are read before the first is loaded, since Telegraf stops at the first fault: lackError can list the plugins of all files then,
// and checkTypes the wrong types of all blocks. After an error the configuration is only partly loaded, and must not be used.
func loadFiles(c *config.Config, paths []string) ([]source, error) {
	sources := make([]source, 0, len(paths))
	for _, path := range paths {
		if !c.Agent.Quiet {
			log.Printf("I! Loading config: %s", path)
		}
		text, _, err := config.LoadConfigFileWithRetries(path, c.Agent.ConfigURLRetryAttempts)
		if err != nil {
			return nil, loadError(path, err)
		}
		found, _ := blocks.Parse(text) // Telegraf reports the error
		sources = append(sources, source{path: path, text: text, blocks: found})
	}
	if err := checkTypes(sources); err != nil {
		return nil, err
	}
	for _, s := range sources {
		if err := c.LoadConfigData(s.text, s.path); err != nil {
			return nil, explainLoad(c, sources, s, err)
		}
	}
	return sources, c.LoadAll() // without files, it sorts the processors and links the secrets
}

// loadError returns an error in the words of Telegraf's own LoadConfig, so that messages about a file look alike in both programs.
func loadError(path string, err error) error {
	return fmt.Errorf("loading config file %s failed: %w", path, err)
}

// explainLoad returns a better error than Telegraf's for plugins that the build lacks and for unknown options of our plugins. Telegraf's
// errors have no types, so their texts are compared. s is the source that Telegraf did not load, and all are those of the configuration.
// An error that has no better one is returned in the words of loadError.
//
// Telegraf ranges over the sections and plugins of a file as over a Go map. So which fault of a file it reports differs from run to run,
// and each case below looks for all faults of its kind, not only for the one in the error.
func explainLoad(c *config.Config, all []source, s source, err error) error {
	var better error
	switch text := err.Error(); {
	case strings.Contains(text, "undefined but requested"), strings.Contains(text, "parser not found"),
		strings.Contains(text, "serializer not found"):
		if better = unknownSections(s); better == nil {
			better = lackError(c, all)
		}
	case strings.Contains(text, "unsupported config format"):
		better = singleBrackets(s)
	case strings.Contains(text, "but they were not used"):
		better = unknownOptions(s)
	}
	if better != nil {
		return better
	}
	return loadError(s.path, err)
}

// singleBrackets returns an error for the plugins of a source that are written as a table such as [aggregators.describe], or nil. Telegraf
// accepts that of inputs and outputs, as an old form of their blocks.
func singleBrackets(s source) error {
	var errs []error
	for _, b := range s.blocks {
		if b.Table.Type == ast.TableTypeNormal && b.Kind != "inputs" && b.Kind != "outputs" {
			errs = append(errs, fmt.Errorf("%s:%d: found [%s], want two brackets: [[%s]]", s.path, b.Table.Line, b.Plugin(), b.Plugin()))
		}
	}
	return errors.Join(errs...)
}

// unknownSections returns an error for the sections of a source whose name is near to one that Telegraf has, or nil. Telegraf takes a
// section of any other name for an input, as old configurations name inputs. So its error for [[aggregator.describe]] is about an input
// "aggregator".
func unknownSections(s source) error {
	var errs []error
	found := blocks.Sections(s.text)
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if nearest := option.Nearest(name, blocks.Kinds); nearest != "" && !slices.Contains(blocks.Kinds, name) {
			errs = append(errs, fmt.Errorf("%s:%d: found the section %q, did you mean %q?", s.path, found[name], name, nearest))
		}
	}
	return errors.Join(errs...)
}
