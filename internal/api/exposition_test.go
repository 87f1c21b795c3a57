package api_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/api"
	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
)

func TestExportHasTheNewestRecordOfEachSeries(t *testing.T) {
	t.Parallel()
	s := inProcess(t, func(o *api.Options) {
		o.Export = []record.Table{{Database: "db", Name: "cpu"}, {Database: "db", Name: "absent"}, {Database: "db", Name: "x.y"}, {Database: "db", Name: "x-y"}}
		o.ExportMaxSeries = 6
	})
	s.fill(t)
	put := func(table string, tags []series.Tag, minutes int) {
		r := rec(minutes, "f", "h", 1.5)
		r.Table, r.Tags = table, tags
		require.NoError(t, s.store.Put(t.Context(), record.Table{Database: "db", Name: table}, []record.Record{r}))
	}
	put("analytics_cpu", []series.Tag{{Key: "host", Value: "gone"}}, 3) // too old
	put("analytics_cpu", []series.Tag{{Key: "host", Value: "slow\n\""}}, 2)
	put("analytics_cpu", []series.Tag{{Key: "a.b", Value: "1"}, {Key: "a-b", Value: "2"}}, 0)
	put("analytics_x.y", nil, 0)
	put("analytics_x-y", nil, 0)
	s.clock.Add(10)
	body := s.get(t, "/metrics/analytics").Body.String()
	for _, want := range []string{
		`analytics_cpu_mean{agent="a1",cpu="cpu0",database="db",field_name="f",host="a"} 0`,
		`analytics_cpu_count{agent="a1",cpu="cpu0",database="db",field_name="g",host="b"} 6`,
		fmt.Sprintf(`analytics_cpu_bucket_start_seconds{agent="a1",cpu="cpu0",database="db",field_name="f",host="a"} %v`, float64(rec(0, "", "", 0).Start.Unix())),
		`analytics_cpu_mean{agent="a1",database="db",field_name="f",host="slow\n\""} 1.5`,
		`analytics_x_y_mean{agent="a1",database="db",field_name="f"} 1.5`,
		`analytics_export_dropped{reason="label_clash"} 1`, `analytics_export_dropped{reason="name_clash"} 0`, `analytics_export_dropped{reason="overflow"} 1`,
	} {
		require.Contains(t, body, want)
	}
	require.NotContains(t, body, "gone")
	require.Equal(t, 1, strings.Count(body, `analytics_cpu_mean{agent="a1",cpu="cpu0",database="db",field_name="f",host="a"}`), "the newest record only")

	s = inProcess(t, func(o *api.Options) {
		o.Export = []record.Table{{Database: "db", Name: "x.y"}, {Database: "db", Name: "x-y"}}
	})
	put("analytics_x.y", nil, 0)
	put("analytics_x-y", nil, 0)
	require.Contains(t, s.get(t, "/metrics/analytics").Body.String(), `analytics_export_dropped{reason="name_clash"} 3`)
}

// What is one in Prometheus, though not in the cache, is counted and spoils nothing.
func TestExportDropsSeriesThatClashInPrometheus(t *testing.T) {
	t.Parallel()
	s := inProcess(t, func(o *api.Options) {
		o.Export = []record.Table{{Database: "db", Name: "cpu"}, {Database: "db", Name: "analytics_cpu"}, {Database: "db", Name: "cpu"}}
	})
	for _, tags := range [][]series.Tag{
		{{Key: "a.b", Value: "1"}, {Key: "a.a", Value: "2"}}, {{Key: "a-b", Value: "1"}, {Key: "a.a", Value: "2"}}, // another order by name
		{{Key: "x.y", Value: "1"}}, {{Key: "x-y", Value: "1"}},
		{{Key: "host", Value: "a"}},
	} {
		for minutes := range 2 { // the older record is no other series
			r := rec(minutes, "f", "", 1.5)
			r.Tags = tags
			r.Stats = append(r.Stats, record.Stat{Name: "s.t", Value: 1.0}, record.Stat{Name: "s-t", Value: 2.0}, record.Stat{Name: "bucket_start_seconds", Value: 3.0})
			require.NoError(t, s.store.Put(t.Context(), record.Table{Database: "db", Name: "analytics_cpu"}, []record.Record{r}))
		}
	}
	w := s.get(t, "/metrics/analytics")
	require.Equal(t, http.StatusOK, w.Code, w.Body.String())
	for _, labels := range []string{`a_a="2",a_b="1",agent="a1",database="db",field_name="f"`, `agent="a1",database="db",field_name="f",x_y="1"`, `host="a"`} {
		require.Equal(t, 1, strings.Count(w.Body.String(), labels+"} 1.5"), labels)
	}
	require.Contains(t, w.Body.String(), `analytics_export_dropped{reason="label_clash"} 2`)
	require.Contains(t, w.Body.String(), `analytics_export_dropped{reason="name_clash"} 6`)
}

func TestExportRenamesTagsThatClashWithLabels(t *testing.T) {
	t.Parallel()
	s := inProcess(t, func(o *api.Options) { o.Export = []record.Table{{Database: "db", Name: "cpu"}} })
	for i, tags := range [][]series.Tag{
		{{Key: "database", Value: "pg"}},
		{{Key: "field.name", Value: "x"}},
		{{Key: "database", Value: "pg"}, {Key: "database_tag", Value: "other"}}, // the new name is taken
	} {
		r := rec(0, fmt.Sprint("f", i), "h", 1.5)
		r.Tags = tags
		require.NoError(t, s.store.Put(t.Context(), record.Table{Database: "db", Name: "analytics_cpu"}, []record.Record{r}))
	}
	body := s.get(t, "/metrics/analytics").Body.String()
	for _, want := range []string{
		`analytics_cpu_mean{agent="a1",database="db",database_tag="pg",field_name="f0"} 1.5`,
		`analytics_cpu_mean{agent="a1",database="db",field_name="f1",field_name_tag="x"} 1.5`,
		`analytics_export_dropped{reason="label_clash"} 1`,
	} {
		require.Contains(t, body, want)
	}
	require.NotContains(t, body, `"f2"`)
}

func TestExportDropsAStatisticNamedAsTheExportersOwnGauge(t *testing.T) {
	t.Parallel()
	s := inProcess(t, func(o *api.Options) {
		o.Export = []record.Table{{Database: "db", Name: "export"}, {Database: "db", Name: "cpu"}}
	})
	s.fill(t)
	r := rec(0, "f", "h", 1.5)
	r.Table = "analytics_export"
	r.Stats = append(r.Stats, record.Stat{Name: "dropped", Value: 1.0})
	require.NoError(t, s.store.Put(t.Context(), record.Table{Database: "db", Name: r.Table}, []record.Record{r}))
	w := s.get(t, "/metrics/analytics")
	require.Equal(t, http.StatusOK, w.Code, w.Body.String())
	for _, want := range []string{"analytics_export_mean{", "analytics_cpu_mean{", `analytics_export_dropped{reason="name_clash"} 1`} {
		require.Contains(t, w.Body.String(), want)
	}
}

// hanging is a cache with one table whose records never come.
type hanging struct{ *cache.Store }

func (hanging) Tables(context.Context) ([]cache.Entry, error) {
	return []cache.Entry{{Table: record.Table{Database: "db", Name: "analytics_cpu"}}}, nil
}

func (hanging) Buckets(context.Context, record.Table, cache.Range) ([]time.Time, error) {
	return []time.Time{now}, nil
}

func (hanging) Records(ctx context.Context, _ record.Table, _ []time.Time, _ func(time.Time, []string) error) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestScrapeStopsReadingWhenItsClientIsGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := api.New(hanging{}, api.Options{
			MaxRecords: 1, MaxBuckets: 1, MaxBytes: 1, Timeout: time.Hour, ExportMaxSeries: 1, ExportBuckets: 1,
			Export: []record.Table{{Database: "db", Name: "cpu"}}, Now: func() time.Time { return now },
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, "/metrics/analytics", http.NoBody))
		require.Equal(t, time.Second, time.Since(start))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody))
		require.Contains(t, w.Body.String(), `analytics_api_requests_total{route="/metrics/analytics",status="499"} 1`)
	})
}
