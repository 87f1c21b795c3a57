package influxtest_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/influxtest"
)

// post writes lines and returns the status and the body of the answer.
func post(t *testing.T, s *influxtest.Server, query, lines string, edit ...func(*http.Request)) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/api/v3/write_lp?"+query, strings.NewReader(lines))
	require.NoError(t, err)
	for _, e := range edit {
		e(r)
	}
	resp, err := s.Client().Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(b)
}

func TestRowsAreMergedByTagsAndTime(t *testing.T) {
	t.Parallel()
	s := influxtest.New(t, influxtest.Options{Overwrite: influxtest.Newest})
	status, _ := post(t, s, "db=d", "m,b=2,a=1 x=1,y=2i 1700000000000000000\nm,a=1,b=2 x=3,z=\"s\" 1700000000000000000\n\n# comment\nm x=1 1700000000000000001\n")
	require.Equal(t, http.StatusNoContent, status)
	require.Equal(t, []influxtest.Row{
		{map[string]string{"a": "1", "b": "2"}, map[string]any{"x": 3.0, "y": int64(2), "z": "s"}, 1700000000000000000, 2},
		{map[string]string{}, map[string]any{"x": 1.0}, 1700000000000000001, 1},
	}, s.Rows("d", "m"))
	require.Equal(t, []string{"m"}, s.Tables("d"))
	require.Empty(t, s.Rows("e", "m"))
	require.Empty(t, s.Refused())
}

func TestBadLinesAreRefusedInTheWordsOfTheDatabase(t *testing.T) {
	t.Parallel()
	many := make([]string, influxtest.MaxColumns)
	for i := range many {
		many[i] = fmt.Sprintf("c%d=1", i)
	}
	for line, want := range map[string]string{
		"m,x=a x=1i":                   "invalid column type for column 'x', expected iox::column_type::tag, got iox::column_type::field::integer",
		"m n=\"s\"":                    "invalid column type for column 'n', expected iox::column_type::field::integer, got iox::column_type::field::string",
		"m n=1":                        "invalid column type for column 'n', expected iox::column_type::field::integer, got iox::column_type::field::float",
		"m n=1u":                       "got iox::column_type::field::uinteger",
		"m n=true":                     "got iox::column_type::field::boolean",
		"m,n=t o=1":                    "expected iox::column_type::field::integer, got iox::column_type::tag",
		"m host=1":                     "expected iox::column_type::tag, got iox::column_type::field::float",
		"m,t=a,t=b f=1i":               "invalid line protocol - multiple instances of 't' tag found",
		"m f=1i,f=2i":                  "invalid line protocol - multiple instances of 'f' field found",
		"m,t= f=1i 1":                  "Expected tag value, got ` f=1i 1`",
		`m,a\=b=c,t=,u=x f=1i 1`:       "Expected tag value, got `,u=x f=1i 1`",
		"m,t=a":                        "No fields were provided",
		"m time=1i":                    "column 'time', expected iox::column_type::time",
		"m,time=a f=1":                 "column 'time', expected iox::column_type::time",
		"m f=NaN":                      "f",
		"m f=1 notatime":               "time",
		"m f=1 12abc":                  "time",
		"m f=1 9223372036854775808":    "timestamp \"9223372036854775808\" is not a number",
		"w " + strings.Join(many, ","): "table 'w' would have 501 columns, more than 500",
	} {
		t.Run(line[:min(20, len(line))], func(t *testing.T) {
			s := influxtest.New(t, influxtest.Options{})
			post(t, s, "db=d", "m,host=a n=1i 1\n")
			status, body := post(t, s, "db=d", "good v=1 1\n"+line+"\ngood v=2 2\n")
			require.Equal(t, http.StatusBadRequest, status)
			require.Contains(t, body, `"error":"partial write of line protocol occurred"`)
			var refusal struct {
				Data []struct {
					Message string `json:"error_message"`
					Number  int    `json:"line_number"`
					Line    string `json:"original_line"`
				}
			}
			require.NoError(t, json.Unmarshal([]byte(body), &refusal))
			require.Len(t, refusal.Data, 1)
			require.Contains(t, refusal.Data[0].Message, want)
			require.Equal(t, 2, refusal.Data[0].Number)
			require.Equal(t, line, refusal.Data[0].Line)
			require.Len(t, s.Rows("d", "good"), 2, "the good lines are written")
			require.Len(t, s.Refused(), 1)
			require.Len(t, s.Rows("d", "m"), 1)
			require.NotContains(t, s.Tables("d"), "w", "a refused line makes no table")
		})
	}
}

func TestWithoutPartialWritesNothingIsWritten(t *testing.T) {
	t.Parallel()
	for _, lines := range []string{"good v=1 1\nbad\n", "good v=1 1\ngood v=1i 2\n"} {
		s := influxtest.New(t, influxtest.Options{})
		status, body := post(t, s, "db=d&accept_partial=false", lines)
		require.Equal(t, http.StatusBadRequest, status)
		require.Contains(t, body, `"error":"line protocol parsing error"`)
		require.Contains(t, body, `"data":{"error_message"`)
		require.Contains(t, body, `"line_number":2`)
		require.Empty(t, s.Tables("d"))
		status, _ = post(t, s, "db=d&accept_partial=false", "good v=1i 1\ngood v=2i 2\n")
		require.Equal(t, http.StatusNoContent, status, "what was refused left no columns")
		require.Len(t, s.Rows("d", "good"), 2)
	}
}

func TestLinesOfOneBodyAgreeOnTypes(t *testing.T) {
	t.Parallel()
	s := influxtest.New(t, influxtest.Options{})
	status, body := post(t, s, "db=d", "m v=1 1\nm v=1i 2\nm v=2 3\nm,v=a w=1 4\n")
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, body, `"line_number":2`)
	require.Contains(t, body, `"line_number":4`)
	require.Len(t, s.Rows("d", "m"), 2)
}

func TestStringsHaveNewlinesAndNamesHaveQuotes(t *testing.T) {
	t.Parallel()
	s := influxtest.New(t, influxtest.Options{})
	lines := "# \"comment\n  \nm,t=\"a\\ b q=\"x=1,y=\\\"\n# z \\\\\",f\"=1,g=2 1\nm v=\"1\" 2\nbad\n"
	status, body := post(t, s, "db=d", lines)
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, body, `"line_number":6,"original_line":"bad"`)
	require.Equal(t, []influxtest.Row{
		{map[string]string{"t": `"a b`}, map[string]any{"q": "x=1,y=\"\n# z \\", `f"`: 1.0, "g": 2.0}, 1e9, 1},
		{map[string]string{}, map[string]any{"v": "1"}, 2e9, 1},
	}, s.Rows("d", "m"))
	status, body = post(t, s, "db=d", "m w=\"open 1\nm v=\"2\" 3\n")
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, body, `"original_line":"m w=\"open 1\nm v=\"2\" 3`, "a string without an end takes the next line with it")
}

func TestDatabasesAreSeparate(t *testing.T) {
	t.Parallel()
	s := influxtest.New(t, influxtest.Options{})
	for query, line := range map[string]string{"db=a": "b/c v=1 1", "db=a/b": "c v=1i 1"} {
		status, _ := post(t, s, query, line)
		require.Equal(t, http.StatusNoContent, status)
	}
	require.Equal(t, []string{"b/c"}, s.Tables("a"))
	require.Equal(t, []string{"c"}, s.Tables("a/b"))
	s.Rows("a", "b/c")[0].Fields["v"] = 2.0
	require.Equal(t, 1.0, s.Rows("a", "b/c")[0].Fields["v"], "rows are the caller's")
}

func TestConcurrentWritesAndReads(t *testing.T) {
	t.Parallel()
	s := influxtest.New(t, influxtest.Options{})
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for range 20 {
				resp, err := s.Client().Post(s.URL+"/api/v3/write_lp?db=d", "", strings.NewReader(fmt.Sprintf("m,w=%d v=1 1\nm f%d=1 1\n", i, i))) //nolint:noctx // ends with the server
				if assert.NoError(t, err) {
					resp.Body.Close()
				}
				for _, row := range s.Rows("d", "m") {
					_ = fmt.Sprint(row.Fields)
				}
				s.Fail(http.StatusServiceUnavailable, 0)
			}
		})
	}
	group.Wait()
	rows := s.Rows("d", "m")
	require.Len(t, rows, 9)
	require.Len(t, rows[8].Fields, 8)
	require.Equal(t, 160, rows[8].Writes)
	require.Equal(t, 160, s.Requests())
}

func TestPrecision(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]map[string]int64{
		"":                      {"4999999999": 4999999999e9, "5000000000": 5000000000e6, "5000000000000": 5000000000000e3, "5000000000000000": 5000000000000000},
		"&precision=auto":       {"1": 1e9, "-1": -1e9},
		"&precision=nanosecond": {"1": 1},
		"&precision=second":     {"1": 1e9},
	} {
		for text, at := range want {
			s := influxtest.New(t, influxtest.Options{})
			status, _ := post(t, s, "db=d"+query, "m v=1 "+text)
			require.Equal(t, http.StatusNoContent, status)
			require.Equal(t, at, s.Rows("d", "m")[0].Time, text)
		}
	}
	s := influxtest.New(t, influxtest.Options{})
	for _, query := range []string{"", "db=d&precision=hour"} {
		status, _ := post(t, s, query, "m v=1 1")
		require.Equal(t, http.StatusBadRequest, status)
	}
}

func TestTokensSizesAndGzip(t *testing.T) {
	t.Parallel()
	s := influxtest.New(t, influxtest.Options{Token: "secret", MaxBytes: 20})
	header := func(key, value string) func(*http.Request) { return func(r *http.Request) { r.Header.Set(key, value) } }
	status, _ := post(t, s, "db=d", "m v=1 1")
	require.Equal(t, http.StatusUnauthorized, status)
	status, _ = post(t, s, "db=d", "m v=1 1", header("Authorization", "Bearer wrong"))
	require.Equal(t, http.StatusForbidden, status)
	for _, kind := range []string{"Bearer", "Token"} {
		status, _ = post(t, s, "db=d", "m v=1 1", header("Authorization", kind+" secret"))
		require.Equal(t, http.StatusNoContent, status)
	}
	status, _ = post(t, s, "db=d", strings.Repeat("m v=1 1\n", 3), header("Authorization", "Bearer secret"))
	require.Equal(t, http.StatusRequestEntityTooLarge, status)

	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err := z.Write([]byte("m v=9 2"))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	status, _ = post(t, s, "db=d", packed.String(), header("Authorization", "Bearer secret"), header("Content-Encoding", "gzip"))
	require.Equal(t, http.StatusNoContent, status)
	require.Len(t, s.Rows("d", "m"), 2)
}

func TestFaults(t *testing.T) {
	t.Parallel()
	s := influxtest.New(t, influxtest.Options{})
	s.Fail(http.StatusServiceUnavailable, 2)
	for _, want := range []int{503, 503, 204} {
		status, _ := post(t, s, "db=d", "m v=1 1")
		require.Equal(t, want, status)
	}
	s.Fail(http.StatusTooManyRequests, -1)
	for range 3 {
		status, _ := post(t, s, "db=d", "m v=1 1")
		require.Equal(t, http.StatusTooManyRequests, status)
	}
	s.Fail(0, -1)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/api/v3/write_lp?db=d", strings.NewReader("m v=1 1"))
	require.NoError(t, err)
	resp, err := s.Client().Do(r)
	if err == nil {
		resp.Body.Close()
	}
	require.Error(t, err, "the connection closes")
	s.Fail(0, 0)
	status, _ := post(t, s, "db=d", "m v=1 1")
	require.Equal(t, http.StatusNoContent, status)
	require.GreaterOrEqual(t, s.Requests(), 5)
}
