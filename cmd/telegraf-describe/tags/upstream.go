package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// upstream is the module with the plugins.
const upstream = "github.com/influxdata/telegraf"

// check returns an error with every tag that upstream does not have. A kind alone, such as "processors", is a tag of upstream too: it
// selects all plugins of the kind.
func check(tags []string) error {
	known, err := upstreamTags()
	if err != nil {
		return fmt.Errorf("looking for upstream's plugins: %w", err)
	}
	var errs []error
	for _, tag := range tags {
		if !known[tag] {
			errs = append(errs, fmt.Errorf("upstream has no plugin %q%s", tag, alike(tag, known)))
		}
	}
	return errors.Join(errs...)
}

// alike returns a hint with the plugins of the same name and another kind. For "prometheus" it is ", want inputs.prometheus or
// parsers.prometheus or serializers.prometheus", and without such plugins an example of a name.
func alike(tag string, known map[string]bool) string {
	name := tag[strings.LastIndexByte(tag, '.')+1:]
	var found []string
	for _, other := range slices.Sorted(maps.Keys(known)) {
		if strings.HasSuffix(other, "."+name) {
			found = append(found, other)
		}
	}
	if len(found) == 0 {
		return ", want a name such as inputs.prometheus"
	}
	return ", want " + strings.Join(found, " or ")
}

// Each file that registers a plugin has a line such as "//go:build !custom || inputs || inputs.cpu", with a tag of its kind and one of
// its own. These lines are what go build reads, so they cannot differ from it as a list of names could.
var (
	constraint = regexp.MustCompile(`(?m)^//go:build !custom \|\| .*$`)
	oneTag     = regexp.MustCompile(`[a-z]+(\.\w+)?`) // in the line above: go, build, custom, inputs, inputs.cpu
)

// upstreamTags returns all tags in the build constraints of the files that register upstream's plugins, which are
// plugins/*/all/*.go. Plugins for one system only are among them on every system. The tag "migrations" selects the migrations of
// configurations, which are in another folder.
func upstreamTags() (map[string]bool, error) {
	root, err := upstreamFolder()
	if err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(root, "plugins", "*", "all", "*.go"))
	if err != nil {
		return nil, err
	}
	known := map[string]bool{"migrations": true}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		for _, tag := range oneTag.FindAllString(string(constraint.Find(text)), -1) {
			known[tag] = true
		}
	}
	for _, word := range []string{"go", "build", "custom"} {
		delete(known, word)
	}
	return known, nil
}

// upstreamFolder returns the folder of upstream's module. It downloads the module if it is missing, in the version of go.mod. The command
// prints JSON also when it fails, with the reason in its member Error.
func upstreamFolder() (string, error) {
	download := exec.Command("go", "mod", "download", "-json", upstream)
	download.Stderr = os.Stderr
	answer, err := download.Output()
	var module struct{ Dir, Error string }
	if e := json.Unmarshal(answer, &module); e != nil {
		return "", errors.Join(err, e)
	}
	if module.Error != "" {
		return "", errors.New(module.Error)
	}
	return module.Dir, err
}
