package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/telegraf-describe/telegraf-describe/cmd/telegraf-describe/blocks"
)

// configured returns the tags of the plugins in configurations. Each path is a file or a folder. The tags may repeat. The
// first file that cannot be read or is no TOML is an error.
func configured(paths []string) ([]string, error) {
	var tags []string
	for _, path := range paths {
		files, err := filesOf(path)
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			found, err := blocks.Parse(text)
			if err != nil {
				return nil, fmt.Errorf("configuration %q: %w", file, err)
			}
			for _, block := range found {
				tags = append(tags, block.Tags()...)
			}
		}
	}
	return tags, nil
}

// filesOf returns the path of a file, or the *.conf files in a folder and the folders below it, as Telegraf loads them. A folder whose name
// begins with ".." is left out: Kubernetes keeps the targets of its links there, and the files would come twice. A folder without a *.conf
// file is an error, because a build without the plugins that the user wanted would only fail when it runs.
func filesOf(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() {
		return []string{path}, err
	}
	var files []string
	top := path + string(filepath.Separator) // a link to a folder is followed
	err = filepath.WalkDir(top, func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && file != top && strings.HasPrefix(entry.Name(), ".."):
			return fs.SkipDir
		case !entry.IsDir() && filepath.Ext(file) == ".conf":
			files = append(files, file)
		}
		return nil
	})
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("folder %q has no *.conf file", path)
	}
	return files, err
}
