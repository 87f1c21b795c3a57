package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTheAgentRunsOnWhileItsConfigurationIsMissing(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"notify", "poll"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			in, out := files(t, history)
			config := writeFile(t, "telegraf.conf", configuration(settings{input: in, output: out, name: "first"}))
			p := startTelegraf(t, "--config", config, "--watch-config", how)
			p.waitForFile(out, "first,")

			require.NoError(t, os.Rename(config, config+"~")) // editors keep a backup like this
			p.waitForLog("The configuration is missing")
			before := len(readFile(t, out))
			p.waitFor("more metrics", func() bool { return len(readFile(t, out)) > before })

			require.NoError(t, os.WriteFile(config, []byte(configuration(settings{input: in, output: out, name: "second"})), 0o600))
			p.waitForFile(out, "second,")
			r := p.stop()
			require.Equal(t, 1, strings.Count(r.stderr, "The configuration is missing"))
		})
	}
}

func TestTheAgentRunsOnWhileItsFolderIsMissing(t *testing.T) {
	t.Parallel()
	in, out := files(t, history)
	root := t.TempDir()
	folder, away := filepath.Join(root, "conf.d"), filepath.Join(root, "away")
	require.NoError(t, os.Mkdir(folder, 0o700))
	write := func(name string) {
		text := configuration(settings{input: in, output: out, name: name})
		require.NoError(t, os.WriteFile(filepath.Join(folder, "telegraf.conf"), []byte(text), 0o600))
	}
	write("first")
	p := startTelegraf(t, "--config-directory", folder, "--watch-config", "notify")
	p.waitForFile(out, "first,")
	require.NoError(t, os.Rename(folder, away))
	p.waitForLog("The configuration is missing")
	require.NoError(t, os.Mkdir(folder, 0o700))
	write("second")
	p.waitForFile(out, "second,")
	p.stop()
}

// Several steps of an editor are one change, which is reported when the file is complete.
func TestAFileIsReadWhenItIsComplete(t *testing.T) {
	t.Parallel()
	const complete = "complete"
	move := func(t *testing.T, path string) { require.NoError(t, os.Rename(path, path+"~")) }
	empty := func(t *testing.T, path string) { require.NoError(t, os.Truncate(path, 0)) }
	for _, c := range []struct {
		name  string
		begin func(t *testing.T, path string)
		gap   time.Duration
	}{
		{"moved away at once", move, 0},
		{"moved away", move, 600 * time.Millisecond},
		{"moved away for long", move, time.Hour},
		{"emptied at once", empty, 0},
		{"emptied", empty, 240 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := writeFile(t, "telegraf.conf", "before")
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				var read []string
				r := &runner{options: options{files: []string{path}, settle: 250 * time.Millisecond}}
				go r.watchPoll(ctx, r.files, stamps(r.files), func(string) {
					b, err := os.ReadFile(path)
					read = append(read, fmt.Sprint(string(b), err))
				})
				time.Sleep(249 * time.Millisecond) // the files are compared after 250 ms
				c.begin(t, path)
				time.Sleep(c.gap)
				require.NoError(t, os.WriteFile(path, []byte(complete), 0o600))
				time.Sleep(time.Second)
				cancel()
				synctest.Wait()
				require.Equal(t, []string{fmt.Sprint(complete, nil)}, read)
			})
		})
	}
}

// A file and a URL have a watcher each. If the new configuration has an error, the agent runs on and both are watched again, so the watcher
// that has reported nothing must end too. Here it waits for a server that answers only when the request is canceled.
func TestAllWatchersEndWithTheFirstChange(t *testing.T) {
	t.Parallel()
	asked, canceled := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
		close(canceled)
	}))
	defer server.Close()
	path := writeFile(t, "telegraf.conf", "before")
	r := &runner{options: options{
		files: []string{path, server.URL + "/telegraf.conf"}, watch: "poll", watchInterval: time.Millisecond,
		urlWatchInterval: time.Millisecond, urlPatience: time.Hour, // so that the request ends with the change
	}}
	changed := r.watchConfig(t.Context())
	receive(t, asked, "a request for the time of the last change")
	require.NoError(t, os.WriteFile(path, []byte("after the change"), 0o600))
	receive(t, changed, "a change")
	receive(t, canceled, "the end of the request")
}

func TestFilesSettleForAQuarterOfASecond(t *testing.T) {
	t.Parallel()
	require.Regexp(t, `--watch-debounce-interval DURATION .*\(default: 250ms\)`, runTelegraf(t, "--help").stdout)
}
