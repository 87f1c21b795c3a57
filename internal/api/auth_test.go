package api_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/api"
	"github.com/telegraf-describe/telegraf-describe/internal/exporter"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/token"
)

// guarded is a service that needs tokens, with the table analytics_cpu in the databases db, db2 and secret.
type guarded struct {
	*service
	file string
}

func guard(t testing.TB, edit func(*api.Options)) *guarded {
	t.Helper()
	g := &guarded{file: filepath.Join(t.TempDir(), "tokens")}
	g.token(t)
	clock := func() time.Time {
		if g.service == nil {
			return now
		}
		return now.Add(time.Duration(g.clock.Load()) * time.Second)
	}
	store, err := token.Open(g.file, clock, func(_ int, err error) { require.NoError(t, err) })
	require.NoError(t, err)
	g.service = inProcess(t, func(o *api.Options) {
		o.Tokens = store
		for _, database := range []string{"db", "db2", "secret"} {
			o.Export = append(o.Export, exporter.Table{Table: record.Table{Database: database, Name: "cpu"}})
		}
		if edit != nil {
			edit(o)
		}
	})
	for _, database := range []string{"db", "db2", "secret"} {
		require.NoError(t, g.writer.Put(t.Context(), record.Table{Database: database, Name: "analytics_cpu"}, []record.Record{marked(rec(2, "f", database+"-host", 1), true)}))
	}
	return g
}

// token adds a token to the file and returns it.
func (g *guarded) token(t testing.TB, permissions ...string) string {
	t.Helper()
	var parsed []token.Permission
	for _, text := range permissions {
		p, err := token.ParsePermission(text)
		require.NoError(t, err)
		parsed = append(parsed, p)
	}
	text, made := token.New("", parsed, now, time.Time{})
	require.NoError(t, token.Add(g.file, made))
	if g.service != nil {
		g.clock.Add(2) // the service reads the file again
	}
	return text
}

// with sends a request with headers, which are names and values by turns.
func with(h http.Handler, method, path string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, http.NoBody)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

var guardedPaths = []string{
	"/analytics/cpu?database=db", "/analytics/none?database=none", "/analytics?database=db", "/databases", "/metrics", "/metrics/analytics", "/", "/nothing",
	"/analytics/cpu/", "/analytics/cpu?database=db&nonsense=1",
}

func TestEveryRouteButTheProbesNeedsAToken(t *testing.T) {
	t.Parallel()
	g := guard(t, nil)
	valid := g.token(t, "db:*:read,metrics", "system:metrics:read")
	for _, path := range guardedPaths {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			w := with(g, method, path)
			problemOf(t, w, http.StatusUnauthorized)
			require.Equal(t, `Bearer realm="analytics-api"`, w.Header().Get("WWW-Authenticate"))
			require.Empty(t, w.Header().Get("ETag"))
		}
		require.NotEqual(t, http.StatusUnauthorized, with(g, http.MethodGet, path, "Authorization", "Bearer "+valid).Code, path)
	}
	for _, scheme := range []string{"Bearer ", "Token ", "bearer ", "TOKEN  "} {
		require.Equal(t, http.StatusOK, with(g, http.MethodGet, "/databases", "Authorization", scheme+valid).Code, scheme)
	}
	require.JSONEq(t, `{"status":"ok"}`, g.get(t, "/health").Body.String(), "without a token there are no details")
	require.JSONEq(t, `{"status":"ok","version":"v1","storage":"a test"}`, with(g, http.MethodGet, "/health", "Authorization", "Bearer "+valid).Body.String())
	require.Equal(t, http.StatusOK, g.get(t, "/ready").Code)
}

func TestEveryInvalidTokenGetsTheSameAnswer(t *testing.T) {
	t.Parallel()
	g := guard(t, nil)
	valid := g.token(t, "db:*:read")
	want := with(g, http.MethodGet, "/databases")
	id := valid[:len("aapi_")+8]
	for _, headers := range [][]string{
		{"Authorization", ""}, {"Authorization", "Bearer"}, {"Authorization", "Bearer "}, {"Authorization", valid}, {"Authorization", "Basic " + valid},
		{"Authorization", "Bearer " + id}, {"Authorization", "Bearer " + id + "_" + strings.Repeat("a", 32)}, {"Authorization", "Bearer aapi_aaaaaaaa_" + valid[len(valid)-32:]},
		{"Authorization", "Bearer " + valid + "x"}, {"Authorization", "Bearer " + strings.Repeat("x", 10000)}, {"Authorization", "Bearer " + valid, "Authorization", "Bearer " + valid},
		{"X-Api-Key", valid}, {"Cookie", "token=" + valid},
	} {
		w := with(g, http.MethodGet, "/databases", headers...)
		require.Equal(t, http.StatusUnauthorized, w.Code, headers)
		require.Equal(t, want.Body.String(), w.Body.String(), headers)
		w.Header().Del("X-Request-Id")
		want.Header().Del("X-Request-Id")
		require.Equal(t, want.Header(), w.Header(), headers)
	}
	require.Equal(t, http.StatusUnauthorized, g.get(t, "/databases?token="+valid).Code, "a token in a URL would be in logs")
}

func TestAnotherDatabaseDoesNotExistForAToken(t *testing.T) {
	t.Parallel()
	g := guard(t, nil)
	auth := "Bearer " + g.token(t, "db:db*:read,metrics")
	get := func(path string) *httptest.ResponseRecorder {
		return with(g, http.MethodGet, path, "Authorization", auth)
	}
	require.Equal(t, http.StatusOK, get("/analytics/cpu?database=db").Code)
	require.Equal(t, http.StatusOK, get("/analytics/analytics_cpu?database=db2").Code)
	for _, path := range []string{"/analytics/cpu?database=%s", "/analytics/analytics_cpu?database=%s&last=1", "/analytics?database=%s"} {
		hidden, missing := get(fmt.Sprintf(path, "secret")), get(fmt.Sprintf(path, "s3cret"))
		require.Equal(t, http.StatusNotFound, hidden.Code)
		require.Equal(t, strings.ReplaceAll(missing.Body.String(), "s3cret", "secret"), hidden.Body.String())
	}
	for _, trick := range []string{
		"/analytics/cpu?database=secret&database=db", "/analytics/cpu?database=db&database=secret", "/analytics/cpu?database=secret%00", "/analytics/cpu?database=db/../secret",
		"/analytics/..%2Fsecret?database=db", "/analytics/secret:analytics_cpu?database=db", "/analytics/%7Bsecret:analytics_cpu%7D?database=db", "//analytics/cpu?database=secret",
		"/analytics/cpu/?database=secret", "/./analytics/cpu?database=secret", "/analytics/../analytics/cpu?database=secret", "/analytics/cpu?database=SECRET", "/analytics/cpu?database=*",
		"/analytics/cpu?database=db%2Csecret", "/analytics/cpu;database=secret?database=db",
	} {
		require.NotContains(t, get(trick).Body.String(), "secret-host", trick)
	}
	require.NotContains(t, get("/databases").Body.String(), "secret")
	var databases []struct{ Database string }
	require.NoError(t, json.Unmarshal(get("/databases").Body.Bytes(), &databases))
	require.Len(t, databases, 2)
	exported := get("/metrics/analytics").Body.String()
	require.Contains(t, exported, `database="db2"`)
	require.NotContains(t, exported, "secret")
}

func TestAnActionThatIsNotAllowedIsForbidden(t *testing.T) {
	t.Parallel()
	g := guard(t, nil)
	for permission, allowed := range map[string]string{
		"db:db:read": "/analytics/cpu?database=db /analytics?database=db /databases /", "db:db:metrics": "/metrics/analytics /", "system:metrics:read": "/metrics /", "db:db:stream": "/",
	} {
		auth := "Bearer " + g.token(t, permission)
		for _, path := range []string{"/analytics/cpu?database=db", "/analytics?database=db", "/databases", "/metrics/analytics", "/metrics", "/"} {
			w := with(g, http.MethodGet, path, "Authorization", auth)
			if strings.Contains(" "+allowed+" ", " "+path+" ") {
				require.Equal(t, http.StatusOK, w.Code, "%s %s", permission, path)
				continue
			}
			require.Contains(t, problemOf(t, w, http.StatusForbidden).Detail, "the token does not allow this, want one with a permission such as ")
		}
	}
}

func TestDeletedAndExpiredTokensAreRefusedWithoutARestart(t *testing.T) {
	t.Parallel()
	g := guard(t, nil)
	text, made := token.New("", nil, now, now.Add(time.Minute))
	require.NoError(t, token.Add(g.file, made))
	status := func() int {
		g.clock.Add(2)
		return with(g, http.MethodGet, "/", "Authorization", "Token "+text).Code
	}
	require.Equal(t, http.StatusOK, status())
	g.clock.Add(60)
	require.Equal(t, http.StatusUnauthorized, status())

	other := g.token(t, "db:*:read")
	require.Equal(t, http.StatusOK, with(g, http.MethodGet, "/databases", "Authorization", "Bearer "+other).Code)
	require.NoError(t, token.Delete(g.file, other[len("aapi_"):len("aapi_")+8]))
	g.clock.Add(2)
	require.Equal(t, http.StatusUnauthorized, with(g, http.MethodGet, "/databases", "Authorization", "Bearer "+other).Code)
}

func TestAnswersThatDependOnATokenAreForThePrivateCacheOnly(t *testing.T) {
	t.Parallel()
	g := guard(t, nil)
	w := with(g, http.MethodGet, "/analytics/cpu?database=db", "Authorization", "Bearer "+g.token(t, "db:db:read"))
	require.Equal(t, "private, no-cache", w.Header().Get("Cache-Control"))
	require.Equal(t, "Authorization", w.Header().Get("Vary"))
}

func TestRefusalsAreCountedByReason(t *testing.T) {
	t.Parallel()
	g := guard(t, func(o *api.Options) { o.TokenRate = 3 })
	reader, system := g.token(t, "db:db:read"), g.token(t, "system:metrics:read")
	with(g, http.MethodGet, "/databases")
	with(g, http.MethodGet, "/databases", "Authorization", "Bearer x")
	with(g, http.MethodGet, "/metrics", "Authorization", "Bearer "+reader)
	for range 5 {
		with(g, http.MethodGet, "/databases", "Authorization", "Bearer "+reader)
	}
	body := with(g, http.MethodGet, "/metrics", "Authorization", "Bearer "+system).Body.String()
	for _, want := range []string{`{reason="no_token"} 1`, `{reason="bad_token"} 1`, `{reason="no_permission"} 1`, `{reason="token_rate"} 2`} {
		require.Contains(t, body, "analytics_api_refused_total"+want)
	}
}

func TestFastClientsAreSlowedDownAlone(t *testing.T) {
	t.Parallel()
	g := guard(t, func(o *api.Options) { o.TokenRate = 5 })
	fast, good := "Bearer "+g.token(t, "db:db:read"), "Bearer "+g.token(t, "db:db:read")
	get := func(auth string) *httptest.ResponseRecorder {
		return with(g, http.MethodGet, "/databases", "Authorization", auth)
	}
	for range 5 {
		require.Equal(t, http.StatusOK, get(fast).Code)
	}
	w := get(fast)
	require.Contains(t, problemOf(t, w, http.StatusTooManyRequests).Detail, "too many requests with this token")
	require.Equal(t, "1", w.Header().Get("Retry-After"))
	require.Equal(t, http.StatusOK, get(good).Code)
	g.clock.Add(1)
	require.Equal(t, http.StatusOK, get(fast).Code)

	s := withRedis(t, func(o *api.Options) { o.AddressRate = 2 })
	from := func(address, path string) int {
		r := httptest.NewRequest(http.MethodGet, path, http.NoBody)
		r.RemoteAddr = address
		r.Header.Set("X-Forwarded-For", fmt.Sprint(s.clock.Load(), address)) // which a client can write
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		return w.Code
	}
	for range 2 {
		require.Equal(t, http.StatusOK, from("192.0.2.1:1", "/"))
		require.Equal(t, http.StatusOK, from("[2001:db8::1]:1", "/"))
	}
	require.Equal(t, http.StatusTooManyRequests, from("192.0.2.1:2", "/"))
	require.Equal(t, http.StatusTooManyRequests, from("[2001:db8::ffff:1]:1", "/"), "of the same 64 bits")
	require.Equal(t, http.StatusOK, from("192.0.2.2:1", "/"))
	require.Equal(t, http.StatusOK, from("[2001:db8:0:1::1]:1", "/"))
	require.Equal(t, http.StatusOK, from("192.0.2.1:2", "/health"), "probes have no limit")
	s.Handler = s.Handler.(described).Handler // the answers to so many requests are not compared with the document
	const unknown = 11_000                    // more than are known at the same time
	r := httptest.NewRequest(http.MethodHead, "/", http.NoBody)
	for i := range unknown {
		r.RemoteAddr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 1).String()
		s.ServeHTTP(discard{make(http.Header)}, r)
	}
	require.Equal(t, http.StatusTooManyRequests, from("10.9.9.9:1", "/"), "addresses beyond those that are known share a limit")
	s.clock.Add(1)
	require.Equal(t, http.StatusOK, from("10.9.9.9:1", "/"), "addresses that paused are forgotten")
}

// Clients behind a trusted proxy have limits of their own, and nobody can take the limit of another one.
func TestTrustedProxiesPassOnTheAddressOfTheClient(t *testing.T) {
	t.Parallel()
	s := withRedis(t, func(o *api.Options) {
		o.AddressRate, o.TrustedProxies = 1, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/16")}
	})
	get := func(address string, forwarded ...string) int {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.RemoteAddr = address
		r.Header["X-Forwarded-For"] = forwarded
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		return w.Code
	}
	for _, c := range []struct {
		what, address string
		forwarded     []string
		client        string // who makes the request
	}{
		{"a client", "10.0.0.1:1", []string{"192.0.2.1"}, "192.0.2.1"},
		{"another client of the same proxy", "10.0.0.1:1", []string{"192.0.2.2"}, "192.0.2.2"},
		{"two proxies", "10.0.0.1:1", []string{"192.0.2.3, 10.2.3.4"}, "192.0.2.3"},
		{"two proxies that add headers", "[fd00::1]:1", []string{"192.0.2.4", "10.2.3.4"}, "192.0.2.4"},
		{"an address with a port", "10.0.0.1:1", []string{"192.0.2.5:678"}, "192.0.2.5"},
		{"an IPv6 network", "10.0.0.1:1", []string{"[2001:db8::1]:678"}, "2001:db8::/64"},
		{"an IPv4 address as IPv6", "[::ffff:10.0.0.1]:1", []string{"::ffff:192.0.2.6"}, "192.0.2.6"},
		{"addresses that the client wrote", "10.0.0.1:1", []string{"192.0.2.99, 10.9.9.9, 192.0.2.7"}, "192.0.2.7"},
		{"the header of a client that is no proxy", "192.0.2.8:1", []string{"192.0.2.98"}, "192.0.2.8"},
		{"a text that is no address", "10.0.0.2:1", []string{"192.0.2.97, unknown"}, "10.0.0.2"},
		{"an empty header", "10.0.0.3:1", []string{""}, "10.0.0.3"},
		{"only proxies", "10.0.0.4:1", []string{"10.0.0.5"}, "10.0.0.5"},
	} {
		require.Equal(t, http.StatusOK, get(c.address, c.forwarded...), c.what)
		own := net.JoinHostPort(strings.TrimSuffix(c.client, "/64"), "1")
		require.Equal(t, http.StatusTooManyRequests, get(own), "%s: the limit is that of %s", c.what, c.client)
	}
	require.Equal(t, http.StatusOK, get("10.0.0.1:1"), "no client has used the limit of the proxy")
}

func TestPagesOfConfiguredOriginsMayReadAnswers(t *testing.T) {
	t.Parallel()
	const page, other = "https://page.example.com", "https://other.example.com"
	g := guard(t, func(o *api.Options) { o.CORSOrigins = []string{page} })
	preflight := with(g, http.MethodOptions, "/analytics/cpu?database=db", "Origin", page, "Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "authorization")
	require.Equal(t, http.StatusNoContent, preflight.Code)
	require.Equal(t, page, preflight.Header().Get("Access-Control-Allow-Origin"))
	require.Equal(t, "Authorization, If-None-Match, Last-Event-ID", preflight.Header().Get("Access-Control-Allow-Headers"))
	w := with(g, http.MethodGet, "/databases", "Origin", page, "Authorization", "Bearer "+g.token(t, "db:*:read"))
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, page, w.Header().Get("Access-Control-Allow-Origin"))
	require.Equal(t, "ETag, Link, Retry-After, X-Request-Id", w.Header().Get("Access-Control-Expose-Headers"))
	require.Equal(t, []string{"Authorization", "Origin"}, w.Header().Values("Vary"))
	require.Empty(t, w.Header().Get("Access-Control-Allow-Credentials"))
	for _, origin := range []string{other, "null", page + ".evil.com", "http://page.example.com", ""} {
		w := with(g, http.MethodOptions, "/databases", "Origin", origin, "Access-Control-Request-Method", "GET")
		require.Equal(t, http.StatusNoContent, w.Code, "the methods are no secret: %s", origin)
		require.Empty(t, w.Header().Get("Access-Control-Allow-Origin"), origin)
	}
	open := withRedis(t, func(o *api.Options) { o.CORSOrigins = []string{"*"} })
	require.Equal(t, "*", with(open, http.MethodGet, "/", "Origin", other).Header().Get("Access-Control-Allow-Origin"))
	require.Empty(t, with(withRedis(t, nil), http.MethodGet, "/", "Origin", other).Header().Get("Access-Control-Allow-Origin"))
}

// What a request costs besides its route: its id, headers, the check of a token, and rates.
func BenchmarkAdmit(b *testing.B) {
	for _, mode := range []string{"open", "token", "token+rates"} {
		b.Run("mode="+mode, func(b *testing.B) {
			var h http.Handler
			r := httptest.NewRequest(http.MethodGet, "/nothing", http.NoBody)
			want := http.StatusNotFound
			if mode == "open" {
				h = inProcess(b, nil)
			} else {
				g := guard(b, func(o *api.Options) {
					if mode == "token+rates" {
						o.TokenRate, o.AddressRate = 1<<30, 1<<30
					}
				})
				h = g
				r.Header.Set("Authorization", "Bearer "+g.token(b, "db:*:read"))
			}
			for b.Loop() {
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				if w.Code != want {
					b.Fatalf("status %d, want %d", w.Code, want)
				}
			}
		})
	}
}
