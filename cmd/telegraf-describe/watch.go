package main

import (
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

// watchConfig returns a channel that is closed when a configuration changes after now, as far as the
// flags ask for it, or nil when they do not.
func (r *runner) watchConfig(ctx context.Context) (<-chan struct{}, error) {
	files, err := configFiles(r.files, r.folders)
	if err != nil {
		return nil, err
	}
	local := slices.DeleteFunc(append(slices.Clone(files), r.folders...), isURL)
	remote := slices.DeleteFunc(slices.Clone(files), func(f string) bool { return !isURL(f) })
	changed := make(chan struct{}, 1)
	report := func(what string) {
		log.Printf("I! %s has changed", what)
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	switch {
	case r.watch == "notify" && len(local) > 0:
		if err := r.watchNotify(ctx, local, report); err != nil {
			return nil, fmt.Errorf("watching the configuration: %w", err)
		}
	case r.watch == "poll" && len(local) > 0:
		go r.watchPoll(ctx, local, report)
	}
	if r.urlWatchInterval > 0 && len(remote) > 0 {
		go watchURLs(ctx, r.urlWatchInterval, remote, report)
	}
	return changed, nil
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
	for _, path := range paths {
		if err := w.Add(folderOf(path)); err != nil {
			w.Close()
			return fmt.Errorf("%q: %w", path, err)
		}
	}
	go r.reportEvents(ctx, w, paths, report)
	return nil
}

func folderOf(path string) string {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return path
	}
	return filepath.Dir(path)
}

func (r *runner) reportEvents(ctx context.Context, w *fsnotify.Watcher, paths []string, report func(string)) {
	defer w.Close()
	settled := time.NewTimer(0)
	<-settled.C
	last := ""
	for {
		select {
		case <-ctx.Done():
			return
		case err := <-w.Errors:
			log.Printf("E! Watching the configuration: %v", err)
		case event := <-w.Events:
			if !event.Has(fsnotify.Chmod) && concerns(event.Name, paths) {
				last = event.Name
				settled.Reset(r.settle)
			}
		case <-settled.C:
			report(last)
		}
	}
}

// concerns reports whether a change of the file concerns one of the paths: it is one, or a *.conf file in
// one.
func concerns(file string, paths []string) bool {
	return slices.ContainsFunc(paths, func(path string) bool {
		return filepath.Clean(path) == filepath.Clean(file) ||
			filepath.Clean(path) == filepath.Dir(file) && strings.HasSuffix(file, ".conf")
	})
}

// watchPoll compares what the files look like now and then.
func (r *runner) watchPoll(ctx context.Context, paths []string, report func(string)) {
	before := stamps(paths)
	for wait(ctx, r.watchInterval) {
		now := stamps(paths)
		for i, path := range paths {
			if now[i] != before[i] {
				if wait(ctx, r.settle) {
					report(path)
				}
				return
			}
		}
	}
}

// stamps tells one state of each path from another.
func stamps(paths []string) []string {
	var all []string
	for _, path := range paths {
		stamp := "absent"
		if info, err := os.Stat(path); err == nil {
			stamp = fmt.Sprint(info.Size(), info.ModTime().UnixNano())
		}
		all = append(all, stamp)
	}
	return all
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
			case err != nil:
				log.Printf("W! Asking for changes of %s: %v", u, err)
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
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, u, http.NoBody)
	if err != nil {
		return "", err
	}
	if token, ok := os.LookupEnv("INFLUX_TOKEN"); ok {
		req.Header.Set("Authorization", "Token "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	modified := resp.Header.Get("Last-Modified")
	if modified == "" {
		return "", fmt.Errorf("the answer %s has no Last-Modified", resp.Status)
	}
	return modified, nil
}
