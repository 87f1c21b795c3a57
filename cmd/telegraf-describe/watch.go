package main

import (
	"cmp"
	"context"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// watchConfig returns a channel that says when a configuration has changed after now, as far as the flags
// ask for it. What cannot be watched is logged. Watching ends with the context.
func (r *runner) watchConfig(ctx context.Context) <-chan struct{} {
	changed := make(chan struct{}, 1)
	files, err := configFiles(r.files, r.folders)
	if err != nil {
		return changed // loading says the same
	}
	report := func(what string) {
		log.Printf("I! Configuration %q has changed", what)
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	local := slices.DeleteFunc(append(slices.Clone(files), r.folders...), isURL)
	remote := slices.DeleteFunc(files, func(f string) bool { return !isURL(f) })
	switch {
	case r.watch == "notify" && len(local) > 0:
		if err := r.watchNotify(ctx, local, report); err != nil {
			log.Printf("W! Cannot watch the configuration: %v", err)
		}
	case r.watch == "poll" && len(local) > 0:
		go r.watchPoll(ctx, local, stamps(local), report)
	}
	if r.urlWatchInterval > 0 && len(remote) > 0 {
		go watchURLs(ctx, r.urlWatchInterval, remote, report)
	}
	return changed
}

func isURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme != "" && u.Host != ""
}

// watchNotify watches the folders of the files, as editors replace a file by another one.
func (r *runner) watchNotify(ctx context.Context, paths []string, report func(string)) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	before := stamps(paths)
	for _, path := range paths {
		if err := w.Add(folderOf(path)); err != nil {
			log.Printf("W! Cannot watch %q: %v", path, err)
		}
	}
	go r.reportEvents(ctx, w, paths, before, report)
	return nil
}

func folderOf(path string) string {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return path
	}
	return filepath.Dir(path)
}

// reportEvents reports the first change once the files have settled.
func (r *runner) reportEvents(ctx context.Context, w *fsnotify.Watcher, paths, before []string, report func(string)) {
	defer w.Close()
	for {
		select {
		case <-ctx.Done():
			return
		case err := <-w.Errors:
			log.Printf("E! Watching the configuration: %v", err)
		case event := <-w.Events:
			if path := concerned(event, paths, before); path != "" {
				if r.settled(ctx) {
					report(path)
				}
				return
			}
		}
	}
}

// concerned returns the path that an event concerns, or nothing: the path is the file of the event, or a
// folder that has it as a *.conf file, or looks different from before, as when a link above it was moved.
func concerned(event fsnotify.Event, paths, before []string) string {
	if event.Op == fsnotify.Chmod { // also comes of reading, where access times are kept
		return ""
	}
	file := filepath.Clean(event.Name)
	for i, path := range paths {
		clean := filepath.Clean(path)
		if clean == file || clean == filepath.Dir(file) && strings.HasSuffix(file, ".conf") || folderOf(path) != path && stamp(path) != before[i] {
			return path
		}
	}
	return ""
}

// watchPoll compares now and then what the files look like with what they looked like before.
func (r *runner) watchPoll(ctx context.Context, paths, before []string, report func(string)) {
	for wait(ctx, cmp.Or(r.watchInterval, pollInterval)) {
		for i, path := range paths {
			if stamp(path) != before[i] {
				if r.settled(ctx) {
					report(path)
				}
				return
			}
		}
	}
}

// pollInterval is the default of how often to look at files.
const pollInterval = 250 * time.Millisecond

// settled waits until all files of the configuration are there and none has changed for the time to settle:
// editors move a file away or empty it before they write it anew. That a file stays away is logged once. It
// returns false when the context ended first.
func (r *runner) settled(ctx context.Context) bool {
	warned := false
	for before := ""; ; {
		now, err := r.look()
		switch stable := now == before || r.settle == 0; {
		case stable && err == nil:
			return true
		case stable && !warned:
			log.Printf("W! The configuration is gone, the agent goes on with what it has until it is back: %v", err)
			warned = true
		}
		before = now
		if !wait(ctx, cmp.Or(r.settle, pollInterval)) {
			return false
		}
	}
}

// look returns what the local files of the configuration look like now. Where one that is named is not
// there, it returns an error, and its text. A file that is gone from a folder is no error.
func (r *runner) look() (string, error) {
	files, err := configFiles(r.files, r.folders)
	if err != nil {
		return err.Error(), err
	}
	var b strings.Builder
	for _, path := range files {
		if isURL(path) {
			continue
		}
		if _, err := os.Stat(path); err != nil {
			return err.Error(), err
		}
		fmt.Fprintln(&b, path, stamp(path))
	}
	return b.String(), nil
}

func stamps(paths []string) []string {
	all := make([]string, len(paths))
	for i, path := range paths {
		all[i] = stamp(path)
	}
	return all
}

// stamp tells one state of a file or folder from another.
func stamp(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return "absent"
	}
	return fmt.Sprint(info.Size(), info.ModTime().UnixNano())
}

// wait waits and returns false when the context ended first.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// watchURLs asks for the Last-Modified of each URL now and then.
func watchURLs(ctx context.Context, interval time.Duration, urls []string, report func(string)) {
	before := make(map[string]string)
	for wait(ctx, interval) {
		for _, u := range urls {
			now, err := lastModified(ctx, u)
			switch {
			case ctx.Err() != nil:
				return
			case err != nil:
				log.Printf("W! Asking for changes of %q: %v", u, err)
			case before[u] == "":
				before[u] = now
			case before[u] != now:
				report(u)
				return
			}
		}
	}
}

func lastModified(ctx context.Context, u string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, u, http.NoBody)
	if err != nil {
		return "", err
	}
	// The same tokens that Telegraf loads the configuration with.
	if token, ok := os.LookupEnv("TELEGRAF_CONTROLLER_TOKEN"); ok {
		req.Header.Set("Authorization", "Bearer "+token)
	} else if token, ok := os.LookupEnv("INFLUX_TOKEN"); ok {
		req.Header.Set("Authorization", "Token "+token)
	}
	req.Header.Set("User-Agent", "Telegraf/"+version)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	modified := resp.Header.Get("Last-Modified")
	if modified == "" {
		return "", fmt.Errorf("the answer %q has no Last-Modified", resp.Status)
	}
	return modified, nil
}
