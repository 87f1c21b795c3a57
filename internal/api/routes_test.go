package api_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/api"
	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

func TestOtherMethodsAreNotAllowed(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	s.fill(t)
	for _, path := range []string{"/analytics/cpu?database=db", "/databases", "/health", "/metrics", "/"} {
		for _, method := range []string{http.MethodPost, http.MethodDelete, http.MethodPut, "BREW"} {
			w := httptest.NewRecorder()
			s.ServeHTTP(w, httptest.NewRequest(method, path, http.NoBody))
			problemOf(t, w, http.StatusMethodNotAllowed)
			require.Equal(t, "GET, HEAD, OPTIONS", w.Header().Get("Allow"))
		}
	}
	server := httptest.NewServer(s)
	defer server.Close()
	resp, err := server.Client().Head(server.URL + "/analytics/cpu?database=db")
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Empty(t, body)
}

// everyRoute returns the address of each route of a service that has all of them, by its pattern in the index.
func everyRoute(t testing.TB, s *service) map[string]string {
	t.Helper()
	var index struct{ Routes []string }
	require.NoError(t, json.Unmarshal(s.get(t, "/").Body.Bytes(), &index))
	addresses := map[string]string{"/": "/"}
	for _, address := range index.Routes {
		pattern, _, _ := strings.Cut(address, "?")
		addresses[pattern] = strings.NewReplacer("{database}", "db", "{table}", "cpu").Replace(address)
	}
	require.Contains(t, addresses, "/analytics/{table}/stream")
	return addresses
}

// withStreams returns a service that has every route.
func withStreams(t testing.TB, edit func(*api.Options)) *service {
	t.Helper()
	return withRedis(t, func(o *api.Options) {
		o.Streams = api.NewStreams(unwatched{}, 10, nil, nil)
		t.Cleanup(o.Streams.Close)
		if edit != nil {
			edit(o)
		}
	})
}

// unwatched is a cache in which nothing changes.
type unwatched struct{ *cache.Reader }

func (unwatched) Watch(ctx context.Context, _ record.Table, ready func(), _ func([]time.Time)) error {
	ready()
	<-ctx.Done()
	return ctx.Err()
}

func TestEveryRouteAnswersHeadAndOptions(t *testing.T) {
	t.Parallel()
	s := withStreams(t, nil)
	s.fill(t)
	for pattern, address := range everyRoute(t, s) {
		for method, status := range map[string]int{http.MethodHead: http.StatusOK, http.MethodOptions: http.StatusNoContent} {
			w := httptest.NewRecorder()
			s.ServeHTTP(w, httptest.NewRequest(method, address, http.NoBody))
			require.Equal(t, status, w.Code, "%s %s", method, address)
			if method == http.MethodOptions {
				require.Equal(t, "GET, HEAD, OPTIONS", w.Header().Get("Allow"), address)
				require.Empty(t, w.Body.String())
			}
		}
		if pattern == "/" {
			continue
		}
		path, query, _ := strings.Cut(address, "?")
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			w := httptest.NewRecorder()
			s.ServeHTTP(w, httptest.NewRequest(method, path+"/?"+query, http.NoBody))
			require.Equal(t, http.StatusTemporaryRedirect, w.Code, "%s %s/", method, path)
			location, err := url.Parse(w.Header().Get("Location"))
			require.NoError(t, err)
			require.Equal(t, strings.TrimSuffix(address, "?"), (&url.URL{Path: path + "/"}).ResolveReference(location).String())
		}
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodOptions, "/nothing", http.NoBody))
	problemOf(t, w, http.StatusNotFound)
}

// A client asks for the methods before it has a token, as browsers do.
func TestOptionsNeedsNoToken(t *testing.T) {
	t.Parallel()
	g := guard(t, func(o *api.Options) { o.AddressRate = 2 })
	for i := range 3 {
		want := []int{http.StatusNoContent, http.StatusNoContent, http.StatusTooManyRequests}[i]
		require.Equal(t, want, with(g, http.MethodOptions, "/analytics/cpu?database=db").Code)
	}
	require.Equal(t, http.StatusNoContent, with(g, http.MethodOptions, "/health").Code, "probes have no limit")
}

func TestEveryAnswerHasTheSecurityHeaders(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	for _, path := range []string{"/", "/health", "/nothing", "/databases", "/analytics/x?database=y"} {
		h := s.get(t, path).Header()
		require.Equal(t, "nosniff", h.Get("X-Content-Type-Options"))
		require.Equal(t, "no-referrer", h.Get("Referrer-Policy"))
		require.Contains(t, h.Get("Content-Security-Policy"), "frame-ancestors 'none'")
		require.NotEmpty(t, h.Get("Cache-Control"))
	}
}

func TestHealthNamesTheStorage(t *testing.T) {
	t.Parallel()
	require.JSONEq(t, `{"status":"ok","version":"v1","storage":"a test"}`, withRedis(t, nil).get(t, "/health").Body.String())
}

func TestServiceMetricsCountRequestsByRoute(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	s.fill(t)
	s.get(t, "/analytics/cpu?database=db")
	s.get(t, "/analytics/none?database=db")
	body := s.get(t, "/metrics").Body.String()
	for _, want := range []string{
		`analytics_api_requests_total{route="/analytics/{table}",status="200"} 1`, `analytics_api_requests_total{route="/analytics/{table}",status="404"} 1`,
		`analytics_api_build_info{version="v1"} 1`, `analytics_api_request_duration_seconds_count{route="/analytics/{table}"} 2`, "go_goroutines",
	} {
		require.Contains(t, body, want)
	}
}

func TestGoneClientIsNotCountedAsAFailure(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, "/databases", http.NoBody))
	body := s.get(t, "/metrics").Body.String()
	require.Contains(t, body, `analytics_api_requests_total{route="/databases",status="499"} 1`)
	require.Contains(t, body, "analytics_api_failures_total{status=\"500\"} 0\nanalytics_api_failures_total{status=\"503\"} 0\n")
}

func TestTrailingSlashIsRedirected(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	s.fill(t)
	for path, want := range map[string]string{
		"/analytics/cpu/?database=db":          "../cpu?database=db",
		"/analytics/a%2Fb/?database=db&last=1": "../a%2Fb?database=db&last=1",
		"/analytics/a:b/":                      "../a:b",
		"/analytics/?database=db":              "../analytics?database=db",
		"/databases/":                          "../databases",
		"/health/":                             "../health",
		"/ready/":                              "../ready",
		"/metrics/":                            "../metrics",
		"/metrics/analytics/":                  "../analytics",
	} {
		w := s.get(t, path)
		require.Equal(t, http.StatusTemporaryRedirect, w.Code, path)
		require.Equal(t, want, w.Header().Get("Location"), path)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/analytics/cpu/", http.NoBody))
	problemOf(t, w, http.StatusMethodNotAllowed)
}

func TestRepeatedSlashesAreRedirected(t *testing.T) {
	t.Parallel()
	g := guard(t, nil)
	for path, want := range map[string]string{
		"/analytics/cpu//?database=db":      "/analytics/cpu?database=db",
		"//analytics//cpu":                  "/analytics/cpu",
		"//example.com/analytics":           "/example.com/analytics",
		"/analytics//a%2Fb///?limit=1&last": "/analytics/a%2Fb?limit=1&last",
		"//":                                "/",
	} {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		target, err := url.ParseRequestURI(path)
		require.NoError(t, err)
		r.URL = target
		w := httptest.NewRecorder()
		g.ServeHTTP(w, r)
		require.Equal(t, http.StatusTemporaryRedirect, w.Code, path)
		require.Empty(t, w.Body.String())
		location, err := url.Parse(w.Header().Get("Location"))
		require.NoError(t, err)
		for _, prefix := range []string{"", "/stats"} { // that a proxy adds
			base, err := url.Parse("http://localhost" + prefix + path)
			require.NoError(t, err)
			require.Equal(t, "http://localhost"+prefix+want, base.ResolveReference(location).String(), path)
		}
	}
	problemOf(t, with(g, http.MethodGet, "/analytics%2F%2Fcpu"), http.StatusUnauthorized) // one segment
}

// A proxy may serve the API below a path of its own, which a redirect keeps.
func TestRedirectOfATrailingSlashKeepsTheQueryAndAPrefix(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	s.fill(t)
	for prefix, handler := range map[string]http.Handler{"": s, "/stats": http.StripPrefix("/stats", s)} {
		server := httptest.NewServer(handler)
		resp, err := server.Client().Get(server.URL + prefix + "/analytics/cpu/?database=db&limit=3")
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, prefix+"/analytics/cpu", resp.Request.URL.Path)
		require.Equal(t, 3, strings.Count(string(body), `{"table_name"`), "%s", body)
		server.Close()
	}
}

func TestIndexListsEveryRoute(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	var index struct{ Routes []string }
	require.NoError(t, json.Unmarshal(s.get(t, "/").Body.Bytes(), &index))
	require.Equal(t, []string{
		"/databases", "/analytics?database={database}", "/analytics/{table}?database={database}", "/health", "/ready", "/metrics", "/metrics/analytics",
		"/openapi.json", "/docs",
	}, index.Routes)
	s.fill(t)
	for _, address := range index.Routes {
		address = strings.NewReplacer("{database}", "db", "{table}", "cpu").Replace(address)
		require.Equal(t, http.StatusOK, s.get(t, address).Code, address)
	}
}
