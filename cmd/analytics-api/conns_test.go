package main

import (
	"io"
	"net"
	"net/http"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/apitest"
)

// Probes come from other machines, also if the service itself is for this machine only.
func TestHealthHasAListenerOfItsOwn(t *testing.T) {
	t.Parallel()
	c := start(t, []string{"ANALYTICS_API_HEALTH_LISTEN=0.0.0.0:0"}, "--listen", "127.0.0.1:0", "--embedded", "memory", "--embedded-listen", "127.0.0.1:0")
	port := regexp.MustCompile(`msg="serving health" at=http://\S+:(\d+)`).FindStringSubmatch(c.stderr.String())[1]
	for path, want := range map[string]int{"/health": 200, "/ready": 200, "/databases": 404, "/metrics": 404, "/": 404} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:"+port+path, http.NoBody)
		require.NoError(t, err)
		r.Host = "10.0.0.7:" + port
		resp, err := apitest.Client.Do(r)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, want, resp.StatusCode, path)
	}
	_, metrics := c.get(t, "/metrics")
	require.Regexp(t, `(?m)^analytics_api_connections 1$`, metrics)
}

func TestHealthListenInUseIsReportedWithItsSetting(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	_, _, err = runOnce(t, []string{"ANALYTICS_API_HEALTH_LISTEN=" + l.Addr().String()}, "--listen", "127.0.0.1:0", "--embedded", "memory", "--embedded-listen", "127.0.0.1:0")
	require.ErrorContains(t, err, "cannot listen on "+l.Addr().String())
	require.ErrorContains(t, err, "health_listen")
}

func TestConnectionsOfOneAddressAreLimited(t *testing.T) {
	t.Parallel()
	c := start(t, []string{"ANALYTICS_API_MAX_CONNECTIONS_PER_ADDRESS=1"}, "--listen", "127.0.0.1:0", "--embedded", "memory", "--embedded-listen", "127.0.0.1:0")
	first, err := net.Dial("tcp", c.url[len("http://"):])
	require.NoError(t, err)
	defer first.Close()
	second, err := net.Dial("tcp", c.url[len("http://"):])
	require.NoError(t, err)
	defer second.Close()
	answer, err := io.ReadAll(second)
	require.NoError(t, err)
	require.Equal(t, refusal, string(answer))
}

func TestBrowsersGetThePage(t *testing.T) {
	t.Parallel()
	c := start(t, nil, embeddedArgs("memory")...)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.url, http.NoBody)
	require.NoError(t, err)
	r.Header.Set("Accept", "text/html")
	resp, err := apitest.Client.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Contains(t, string(body), "<!doctype html>")
}
