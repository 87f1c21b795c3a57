package api_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/api"
	"github.com/telegraf-describe/telegraf-describe/internal/format"
	"github.com/telegraf-describe/telegraf-describe/internal/promtest"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
)

// Headers Accept of Prometheus, with and without native histograms.
const (
	acceptProto = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6," +
		"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1"
	acceptOpenMetrics = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1"
)

// parsed is an exposition as Prometheus reads it.
type parsed struct {
	samples    map[string]float64 // by the series
	histograms map[string]*histogram.Histogram
	helps      map[string]string
	types      map[string]model.MetricType
}

// accept requests the exposition with a header Accept.
func (s *service) accept(t testing.TB, header string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/metrics/analytics", http.NoBody)
	r.Header.Set("Accept", header)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	require.Equal(t, http.StatusOK, w.Code, w.Body.String())
	return w
}

// parse reads an answer with the parser of Prometheus.
func parse(t testing.TB, w *httptest.ResponseRecorder) parsed {
	t.Helper()
	p, err := textparse.New(w.Body.Bytes(), w.Header().Get("Content-Type"), labels.NewSymbolTable(), textparse.ParserOptions{})
	require.NoError(t, err)
	result := parsed{make(map[string]float64), make(map[string]*histogram.Histogram), make(map[string]string), make(map[string]model.MetricType)}
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return result
		}
		require.NoError(t, err)
		var l labels.Labels
		switch entry {
		case textparse.EntrySeries:
			_, at, v := p.Series()
			require.Nil(t, at)
			p.Labels(&l)
			_, again := result.samples[l.String()] // NotContains would look at each element
			require.False(t, again, l.String())
			result.samples[l.String()] = v
		case textparse.EntryHistogram:
			_, _, h, _ := p.Histogram()
			p.Labels(&l)
			require.Nil(t, result.histograms[l.String()], l.String())
			result.histograms[l.String()] = h
		case textparse.EntryHelp:
			name, help := p.Help()
			require.NotContains(t, result.helps, string(name))
			result.helps[string(name)] = string(help)
		case textparse.EntryType:
			name, kind := p.Type()
			result.types[string(name)] = kind
		}
	}
}

// awkwardService exports names and values that need escapes or conversions.
func awkwardService(t *testing.T) *service {
	t.Helper()
	s := withRedis(t, func(o *api.Options) { o.Export = exports("cpu", `te"x\t é`, "absent\u2028") })
	for i, tags := range [][]series.Tag{
		{{Key: "host", Value: "line\nbreak \"quoted\" back\\slash \\n é <>& \x7f"}}, {{Key: "__name__", Value: "x"}}, {{Key: "le", Value: "1"}, {Key: "quantile", Value: "2"}},
		{{Key: "ünï cödé", Value: "\xff\xfe"}}, {{Key: "host", Value: ""}, {Key: "1st", Value: `\`}}, {{Key: "host", Value: strings.Repeat("long", 300)}},
	} {
		r := describedBy("A", 11, "", math.Pi, float64(i), -1e300, 5e-324, 1e21)
		r.Tags = tags
		s.put(t, r)
		r.Table = `analytics_te"x\t é`
		require.NoError(t, s.writer.Put(t.Context(), record.Table{Database: "db", Name: r.Table}, []record.Record{r}))
	}
	s.clock.Store(0)
	return s
}

func TestPrometheusReadsTheSameFromEveryFormat(t *testing.T) {
	t.Parallel()
	s := awkwardService(t)
	text, open, proto := s.accept(t, ""), s.accept(t, acceptOpenMetrics), s.accept(t, acceptProto)
	require.Equal(t, "text/plain; version=0.0.4; charset=utf-8; escaping=underscores", text.Header().Get("Content-Type"))
	require.Equal(t, "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8", open.Header().Get("Content-Type"))
	require.Contains(t, proto.Header().Get("Content-Type"), "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited")
	want := parse(t, text)
	require.Len(t, want.samples, 12*5+8+3)
	require.Contains(t, want.samples, `{__name__="analytics_cpu_mean", database="db", field_name="f", host="line\nbreak \"quoted\" back\\slash \\n é <>& \x7f"}`)
	require.Contains(t, want.samples, `{__name__="analytics_te_x_t___mean", database="db", field_name="f", tag__name__="x"}`)
	require.Equal(t, "Number of the values in the newest final bucket of each series of the table analytics_te\"x\\t é.", want.helps["analytics_te_x_t___values"])
	require.Equal(t, want, parse(t, open))
	require.True(t, strings.HasSuffix(open.Body.String(), "\n# EOF\n"))
	got := parse(t, proto)
	require.Len(t, got.histograms, 12)
	for name, kind := range want.types {
		require.Equal(t, model.MetricTypeGauge, kind, name)
		require.Equal(t, want.helps[name], got.helps[name])
	}
	require.Equal(t, want.samples, got.samples)
	require.Equal(t, model.MetricTypeGaugeHistogram, got.types["analytics_cpu_distribution"])
	require.Equal(t, "text/plain; version=0.0.4; charset=utf-8", s.accept(t, strings.Replace(acceptProto, "delimited", "text", 1)).Header().Get("Content-Type"))

	// client_golang's reader too
	for _, w := range []*httptest.ResponseRecorder{text, proto} {
		families := expfmt.NewDecoder(bytes.NewReader(w.Body.Bytes()), expfmt.ResponseFormat(w.Header()))
		n := 0
		for {
			var f dto.MetricFamily
			err := families.Decode(&f)
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
			n += len(f.GetMetric())
		}
		require.Equal(t, len(parse(t, w).samples)+len(parse(t, w).histograms), n)
	}
}

// Histograms of exact summaries, of histograms and of several agents have each value in its bucket.
func TestNativeHistogramsHaveTheValuesOfTheSummaries(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	few, many := []float64{-3, -3, 0, 0, 0, 1, 2.5, 1000}, make([]float64, 5000)
	for i := range many {
		many[i] = math.Exp(2*r.NormFloat64()) * float64(r.IntN(3)-1)
	}
	s := withRedis(t, exportCPU)
	s.put(t, describedBy("A", 11, "few", few...), describedBy("A", 11, "many", many...), describedBy("A", 11, "two", few...), describedBy("B", 11, "two", many...))
	bare := describedBy("A", 11, "none", 1)
	bare.Summary = nil
	s.put(t, bare)
	s.clock.Store(0)
	got := parse(t, s.accept(t, acceptProto)).histograms
	require.Len(t, got, 3)
	for host, values := range map[string][]float64{"few": few, "many": many, "two": append(append([]float64{}, few...), many...)} {
		h := got[`{__name__="analytics_cpu_distribution", cpu="cpu0", database="db", field_name="f", host="`+host+`"}`]
		require.NotNil(t, h, host)
		require.NoError(t, h.Validate())
		require.Equal(t, histogram.GaugeType, h.CounterResetHint)
		require.Equal(t, uint64(len(values)), h.Count)
		sum, zero := 0.0, uint64(0)
		for _, v := range values {
			sum += v
			if math.Abs(v) <= h.ZeroThreshold {
				zero++
			}
		}
		require.InEpsilon(t, sum, h.Sum, 1e-9)
		require.Equal(t, zero, h.ZeroCount)
		counted := zero
		for _, it := range []histogram.BucketIterator[uint64]{h.PositiveBucketIterator(), h.NegativeBucketIterator()} {
			for it.Next() {
				b := it.At()
				want := uint64(0)
				for _, v := range values {
					if math.Abs(v) > h.ZeroThreshold && (v > 0 && v > b.Lower && v <= b.Upper || v < 0 && v >= b.Lower && v < b.Upper) {
						want++
					}
				}
				require.Equal(t, want, b.Count, "%s %v", host, b)
				counted += b.Count
			}
		}
		require.Equal(t, uint64(len(values)), counted)
	}
	require.Empty(t, s.dropped(t))
}

// A new format needs a description in the document, with which newAPI compares the answers, and in the README.
func TestEveryFormatIsDescribed(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	s.fill(t)
	readme, err := os.ReadFile("../../cmd/analytics-api/README.md")
	require.NoError(t, err)
	about := regexp.MustCompile("(?m)^.*`format` .*$").FindString(string(readme))
	for _, name := range format.Names() {
		require.Equal(t, http.StatusOK, s.get(t, "/analytics/cpu?database=db&format="+name).Code, name)
		require.Contains(t, about, "`"+name+"`")
	}
}

func TestPromtoolAcceptsTheMetrics(t *testing.T) {
	t.Parallel()
	promtest.Need(t)
	s := withRedis(t, func(o *api.Options) { o.Export = exports("cpu", "absent") })
	r := describedBy("A", 11, "h", 1, 2, 3)
	r.Stats = nil
	for _, name := range []string{
		"count", "min", "max", "sum", "mean", "range", "stddev", "variance", "median", "mode", "mode_count", "mode_error", "p95", "p99_9", "iqr", "first", "last", "max_error",
	} {
		r.Stats = append(r.Stats, record.Stat{Name: name, Value: 1.0})
	}
	s.put(t, r)
	s.clock.Store(0)
	for _, path := range []string{"/metrics/analytics", "/metrics"} {
		body := s.get(t, path).Body.String()
		require.Equal(t, map[string]int{"/metrics/analytics": 19, "/metrics": 0}[path], strings.Count(body, "\nanalytics_cpu_"), body)
		check := exec.Command("promtool", "check", "metrics")
		check.Stdin = strings.NewReader(body)
		out, err := check.CombinedOutput()
		require.NoError(t, err, "%s: %s", path, out)
		require.Empty(t, string(out), path)
	}
}
