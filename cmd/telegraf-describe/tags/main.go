// Command tags prints the build tags that select upstream's plugins for a build of telegraf-describe: those of
// plugins.txt, of the flag -plugins and of the plugins in the configurations of -config. A name that upstream does
// not have is an error: go build ignores an unknown tag, and the plugin would be missing without a word.
//
//	go build -tags "$(go run ./tags -config telegraf.conf)"
//
// The shell runs go build also after an error of this command, but then with no tags, which would build every plugin: so the Makefile looks
// at its exit status. It runs in the folder cmd/telegraf-describe, where go.mod has the version of Telegraf and plugins.txt is.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "tags:", err)
		}
		os.Exit(1)
	}
}

// run prints one line to out: the tags, sorted and separated by commas. The first is "custom": with it, a build has only
// those of upstream's plugins that another tag selects. The line is such as
//
//	custom,inputs.cpu,outputs.file,serializers.influx
//
// After an error it has printed nothing.
func run(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("tags", flag.ContinueOnError)
	list := flags.String("list", "plugins.txt", "file with one tag a line")
	plugins := flags.String("plugins", "", `more plugins, such as "inputs.prometheus outputs.http"`)
	configs := flags.String("config", "", "configurations with more plugins: files, or folders of *.conf files, separated by spaces")
	if err := flags.Parse(args); err != nil {
		return err
	}
	tags, err := listed(*list)
	if err != nil {
		return err
	}
	tags = append(tags, names(*plugins)...)
	configured, err := configured(strings.Fields(*configs))
	if err != nil {
		return err
	}
	tags = append(tags, configured...)
	tags = slices.DeleteFunc(tags, own)
	slices.Sort(tags)
	tags = slices.Compact(tags)
	if err := check(tags); err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, "custom,"+strings.Join(tags, ","))
	return err
}

// own reports whether a plugin is one of ours. Every build has them, and upstream does not know them, so they would be errors of check.
func own(tag string) bool { return tag == "aggregators.describe" || tag == "outputs.rediscache" }

// listed returns the tags in a file, in its order. A # begins a comment. A line may have several tags, or none.
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
		tags = append(tags, names(line)...)
	}
	return tags, lines.Err()
}

// names splits a list of names at spaces, tabs and commas, so that both "inputs.cpu inputs.mem" and "inputs.cpu,inputs.mem" are two names.
func names(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
}
