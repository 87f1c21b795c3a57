package static_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/static"
)

func packed(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

func get(f static.Files, method, name string, headers ...string) (*httptest.ResponseRecorder, bool) {
	r := httptest.NewRequest(method, "/", http.NoBody)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	found := f.Serve(w, r, name)
	return w, found
}

func TestFilesAreServedInTheFormThatTheClientAccepts(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("let a = 'ü';\n", 100)
	files, err := static.New(fstest.MapFS{
		"a/short.svg": {Data: []byte("<svg/>")}, "a/long.js": {Data: []byte(long)}, "b/packed.css.gz": {Data: packed(t, long)}, "LICENSE": {Data: []byte("as is")},
	})
	require.NoError(t, err)
	for name, want := range map[string]struct {
		content, media string
		packed         bool
	}{
		"short.svg": {"<svg/>", "image/svg+xml", false}, "LICENSE": {"as is", "text/plain; charset=utf-8", false},
		"long.js": {long, "text/javascript; charset=utf-8", true}, "packed.css": {long, "text/css; charset=utf-8", true},
	} {
		for accept, gzipped := range map[string]bool{"": false, "br, gzip": true, "gzip;q=0.5": true, "gzip;q=0": false, "br": false, "x-gzip": false} {
			w, found := get(files, http.MethodGet, name, "Accept-Encoding", accept)
			require.True(t, found, name)
			require.Equal(t, want.media, w.Header().Get("Content-Type"))
			require.Equal(t, strconv.Itoa(w.Body.Len()), w.Header().Get("Content-Length"))
			require.Equal(t, want.packed, w.Header().Get("Vary") == "Accept-Encoding")
			require.Equal(t, want.packed && gzipped, w.Header().Get("Content-Encoding") == "gzip", accept)
			var body io.Reader = w.Body
			if want.packed && gzipped {
				body, err = gzip.NewReader(w.Body)
				require.NoError(t, err)
			}
			content, err := io.ReadAll(body)
			require.NoError(t, err)
			require.Equal(t, want.content, string(content))
		}
		w, _ := get(files, http.MethodHead, name)
		require.Empty(t, w.Body.String())
		require.NotEmpty(t, w.Header().Get("Content-Length"))
		for _, known := range []string{`"x", ` + w.Header().Get("ETag"), "*", " * "} {
			again, _ := get(files, http.MethodGet, name, "If-None-Match", known)
			require.Equal(t, http.StatusNotModified, again.Code, known)
			require.Empty(t, again.Body.String())
		}
		for _, other := range []string{"", `"x"`, `"*"`} {
			again, _ := get(files, http.MethodGet, name, "If-None-Match", other)
			require.Equal(t, http.StatusOK, again.Code, other)
		}
	}
	_, found := get(files, http.MethodGet, "none")
	require.False(t, found)
	w, found := get(static.Of("x.json", []byte("{}")), http.MethodGet, "x.json")
	require.True(t, found)
	require.Equal(t, []string{"{}", "application/json"}, []string{w.Body.String(), w.Header().Get("Content-Type")})
}

// A file is compressed for its first client, which may not be alone.
func TestFirstClientsAtTheSameTimeGetTheWholeFile(t *testing.T) {
	t.Parallel()
	content := strings.Repeat("let a = 'ü';\n", 10_000)
	files := static.Of("long.js", []byte(content))
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			w, _ := get(files, http.MethodGet, "long.js")
			assert.Equal(t, "Accept-Encoding", w.Header().Get("Vary"))
			assert.Equal(t, content, w.Body.String())
		})
	}
	clients.Wait()
}

func TestFilesWithTheSameNameAreRefused(t *testing.T) {
	t.Parallel()
	_, err := static.New(fstest.MapFS{"a/x.js": {}, "b/x.js.gz": {Data: packed(t, "")}})
	require.ErrorContains(t, err, "there is another file with this name")
}
