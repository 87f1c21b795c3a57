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

// The flags select how a configuration is watched. Files and URLs are watched independently:
//
//	--watch-config notify        events of the folders of the files
//	--watch-config poll          the stamps of the files, every --watch-interval
//	--config-url-watch-interval  the Last-Modified of the URLs, at that interval
//
// A change of a file is reported once the files have settled. A change of a URL is reported at once, as a server has no half-written file.

// watchConfig returns a channel that receives when a watched configuration changes after the call. The flags
// select whether files and URLs are watched. Errors of watching are logged. Watching ends with the context.
//
// The channel receives once at most, and then all watchers of the call end: the caller asks again after it, with the files that there are
// then. If nothing is watched, it never receives.
func (r *runner) watchConfig(ctx context.Context) <-chan struct{} {
	changed := make(chan struct{}, 1)
	files, err := configFiles(r.files, r.folders)
	if err != nil {
		return changed // loading returns the same error
	}
	ctx, cancel := context.WithCancel(ctx)
	report := func(path string) {
		log.Printf("I! Configuration %q has changed", path)
		select {
		case changed <- struct{}{}:
		default: // another watcher was first
		}
		cancel()
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
		go watchURLs(ctx, r.urlWatchInterval, cmp.Or(r.urlPatience, urlPatience), remote, report)
	}
	return changed
}

// isURL reports whether s has a scheme and a host. A path has none, also not one of Windows, such as C:\telegraf.conf.
func isURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme != "" && u.Host != ""
}

// watchNotify watches by the events of the system, such as inotify. It watches the folders of the files, because editors replace a
// file by a new one, and a watch of the file would stay with the old one. It watches until the context ends or one change is
// reported: a reload calls watchConfig again, as it may have other files.
func (r *runner) watchNotify(ctx context.Context, paths []string, report func(string)) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	before := stamps(paths) // taken first, so that a change while the watches are added differs from them
	for _, path := range paths {
		if err := w.Add(folderOf(path)); err != nil {
			log.Printf("W! Cannot watch %q: %v", path, err)
		}
	}
	go r.reportEvents(ctx, w, paths, before, report)
	return nil
}

// folderOf returns the path itself if it is a folder, or the folder of the file.
func folderOf(path string) string {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return path
	}
	return filepath.Dir(path)
}

// reportEvents reports the first change after the files have settled, and returns. It owns w and closes it. An error of w, such as an
// overflow of its events, is logged and does not end the watching.
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

// concerned returns the path that an event concerns, or "". It is the file of the event, the folder of a *.conf file, or a
// file whose stamp is not the one of before, for example because a link above it was moved. Kubernetes mounts a ConfigMap in that way: the
// files are links into a folder that is itself a link, and an update replaces that one. No event has the name of the file then:
//
//	/etc/conf/telegraf.conf ─▶ ..data/telegraf.conf      the path of the flag
//	/etc/conf/..data        ─▶ ..2026_07_01/             replaced by an update
func concerned(event fsnotify.Event, paths, before []string) string {
	// Events are of whole folders, with files that are not of the configuration.
	if event.Op == fsnotify.Chmod { // reading a file causes it too, on a file system that records access times
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

// watchPoll compares the stamps of the files with those of before at every interval. It reports the first change after the
// files have settled, and returns. It is for file systems without events, such as NFS and some mounts of containers.
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

// pollInterval is the default time between two looks at the files.
const pollInterval = 250 * time.Millisecond

// settled waits until all files of the configuration exist and have not changed for the time r.settle, because editors
// move or empty a file before they write it. It logs once that a file stays missing. It returns false if the context
// ends first. It looks at least once more after r.settle, unless that is 0: then it returns at once if all files exist.
func (r *runner) settled(ctx context.Context) bool {
	warned := false
	for before := ""; ; {
		now, err := r.look()
		switch stable := now == before || r.settle == 0; {
		case stable && err == nil:
			return true
		case stable && !warned:
			log.Printf("W! The configuration is missing; the agent runs on without a reload until it is there again: %v", err)
			warned = true
		}
		before = now
		if !wait(ctx, cmp.Or(r.settle, pollInterval)) {
			return false
		}
	}
}

// look returns the stamps of the local files of the configuration, a line for each file. If a file or folder of the flags is missing, it
// returns the error and its text, so that a fault which stays is stable too: see settled. A file that was removed from a folder is not an
// error.
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

// stamps returns the stamp of each path, in their order.
func stamps(paths []string) []string {
	all := make([]string, len(paths))
	for i, path := range paths {
		all[i] = stamp(path)
	}
	return all
}

// stamp returns a text that changes when the file or folder changes, or "absent". It has the size and the time of the last change only: a
// file that is replaced by one of the same size and time counts as unchanged. It follows links. A folder changes when a file in it is
// added, removed or renamed, but not when a file in it is written to.
func stamp(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return "absent"
	}
	return fmt.Sprint(info.Size(), info.ModTime().UnixNano())
}

// wait waits for the duration. It returns false if the context ends first.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// watchURLs requests the Last-Modified of each URL at every interval. It reports the first change and returns. Later answers are compared
// with the first one, so a change in the first interval is not noticed. A request that fails is logged and repeated at the next
// interval. It waits for an answer for the time patience. Times are compared as texts: any difference is a change, also an earlier time.
func watchURLs(ctx context.Context, interval, patience time.Duration, urls []string, report func(string)) {
	before := make(map[string]string)
	for wait(ctx, interval) {
		for _, u := range urls {
			now, err := lastModified(ctx, patience, u)
			switch {
			case ctx.Err() != nil:
				return
			case err != nil:
				log.Printf("W! Reading Last-Modified of %q: %v", u, err)
			case before[u] == "":
				before[u] = now
			case before[u] != now:
				report(u)
				return
			}
		}
	}
}

// urlPatience is how long the answer of a server about a configuration may take.
const urlPatience = 10 * time.Second

// lastModified returns the header Last-Modified of a URL. It waits for the answer for the time patience. An answer of any status counts if it
// has the header.
func lastModified(ctx context.Context, patience time.Duration, u string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, u, http.NoBody)
	if err != nil {
		return "", err
	}
	// Telegraf sends the same tokens when it loads the configuration.
	if token, ok := os.LookupEnv("TELEGRAF_CONTROLLER_TOKEN"); ok {
		req.Header.Set("Authorization", "Bearer "+token)
	} else if token, ok := os.LookupEnv("INFLUX_TOKEN"); ok {
		req.Header.Set("Authorization", "Token "+token)
	}
	req.Header.Set("User-Agent", userAgent())
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	modified := resp.Header.Get("Last-Modified")
	if modified == "" {
		return "", fmt.Errorf("the response %q has no Last-Modified", resp.Status)
	}
	return modified, nil
}
