package api_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/api"
	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/exporter"
	"github.com/telegraf-describe/telegraf-describe/internal/promtest"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
)

// gauges are the values of an exposition's gauge of a name, by the value of one label.
func gauges(t *testing.T, w *httptest.ResponseRecorder, name, label string) map[string]float64 {
	t.Helper()
	require.Equal(t, http.StatusOK, w.Code, w.Body.String())
	values := make(map[string]float64)
	for _, m := range regexp.MustCompile(`(?m)^`+name+`\{(?:.*,)?`+label+`="([^"]*)".*\} (\S+)$`).FindAllStringSubmatch(w.Body.String(), -1) {
		v, err := strconv.ParseFloat(m[2], 64)
		require.NoError(t, err)
		require.NotContains(t, values, m[1], "%s is exported twice", m[1])
		values[m[1]] = v
	}
	return values
}

// exports are tables of the database db.
func exports(names ...string) (all []exporter.Table) {
	for _, name := range names {
		all = append(all, exporter.Table{Table: record.Table{Database: "db", Name: name}})
	}
	return all
}

// exportCPU lets the service export the table analytics_cpu.
func exportCPU(o *api.Options) {
	o.Export, o.ExportMaxSeries = exports("cpu"), 1000
}

// exportEach is exportCPU with a series for each agent.
func exportEach(o *api.Options) {
	exportCPU(o)
	o.Export[0].EachAgent = true
}

// means returns the exported means of table analytics_cpu by host.
func (s *service) means(t *testing.T) map[string]float64 {
	t.Helper()
	return gauges(t, s.get(t, "/metrics/analytics"), "analytics_cpu_mean", "host")
}

// dropped returns what a scrape leaves out, by reason, without the reasons that count nothing.
func (s *service) dropped(t *testing.T) map[string]float64 {
	t.Helper()
	all := gauges(t, s.get(t, "/metrics/analytics"), "analytics_export_dropped", "reason")
	require.Len(t, all, 8)
	maps.DeleteFunc(all, func(_ string, v float64) bool { return v == 0 })
	return all
}

func TestExportHasTheNewestEndedBucketOfEachSeries(t *testing.T) {
	t.Parallel()
	s := withRedis(t, func(o *api.Options) {
		o.Export = exports("cpu", "absent", "x.y", "x-y")
		o.ExportMaxSeries = 7
	})
	s.fill(t)
	put := func(s *service, table string, tags []series.Tag, minutes int) {
		r := rec(minutes, "f", "h", 1.5)
		r.Table, r.Tags = table, tags
		require.NoError(t, s.writer.Put(t.Context(), record.Table{Database: "db", Name: table}, []record.Record{r}))
	}
	put(s, "analytics_cpu", []series.Tag{{Key: "host", Value: "gone"}}, 5)
	put(s, "analytics_cpu", []series.Tag{{Key: "host", Value: "slow\n\""}}, 4)
	put(s, "analytics_cpu", []series.Tag{{Key: "a.b", Value: "1"}, {Key: "a-b", Value: "2"}}, 1)
	put(s, "analytics_x.y", nil, 1)
	put(s, "analytics_x-y", nil, 1)
	body := s.get(t, "/metrics/analytics").Body.String()
	for _, want := range []string{
		`analytics_cpu_mean{cpu="cpu0",database="db",field_name="f",host="a"} 1`,
		`analytics_cpu_values{cpu="cpu0",database="db",field_name="g",host="b"} 6`,
		fmt.Sprintf(`analytics_cpu_bucket_start_seconds{cpu="cpu0",database="db",field_name="f",host="a"} %v`, float64(rec(1, "", "", 0).Start.Unix())),
		`analytics_cpu_mean{database="db",field_name="f",host="slow\n\""} 1.5`,
		`analytics_x_y_mean{database="db",field_name="f"} 1.5`,
		`analytics_export_dropped{reason="label_clash"} 1`, `analytics_export_dropped{reason="name_clash"} 0`, `analytics_export_dropped{reason="overflow"} 1`,
	} {
		require.Contains(t, body, want)
	}
	require.NotContains(t, body, "gone")
	require.Equal(t, 1, strings.Count(body, `analytics_cpu_mean{cpu="cpu0",database="db",field_name="f",host="a"}`), "the newest record only")

	s = withRedis(t, func(o *api.Options) {
		o.Export = exports("x.y", "x-y")
	})
	put(s, "analytics_x.y", nil, 1)
	put(s, "analytics_x-y", nil, 1)
	require.Equal(t, map[string]float64{"name_clash": 3}, s.dropped(t))
}

func TestExportHasTheNewestFinalRecordOfEachSeries(t *testing.T) {
	t.Parallel()
	s := withRedis(t, exportCPU)
	for m := range 20 {
		s.put(t, marked(rec(m, "f", "both", float64(m)), m >= 12), marked(rec(m, "f", "open", float64(m)), false))
	}
	s.put(t, marked(rec(14, "f", "late", 14), true), marked(rec(16, "f", "gone", 16), true), rec(6, "f", "unmarked and gone", 6))
	s.clock.Store(0)
	require.Equal(t, map[string]float64{"both": 12, "late": 14}, s.means(t))
	require.NotContains(t, s.get(t, "/metrics/analytics").Body.String(), "analytics_cpu_final")
	s.clock.Store(60)
	require.Equal(t, map[string]float64{"both": 12}, s.means(t), "15 minutes are the most for records that are marked as final")
	s.clock.Store(15 * 60)
	require.Empty(t, s.means(t), "no record is recent")
}

// Buckets that begin after now neither push other series out nor are they exported, before the clock reaches them.
func TestExportIsNotChangedByADeviceWhoseClockIsAhead(t *testing.T) {
	t.Parallel()
	for _, final := range []bool{false, true} {
		s := withRedis(t, exportCPU)
		mark := func(r record.Record) record.Record {
			if final {
				return marked(r, true)
			}
			return r
		}
		var all []record.Record
		for m := range 5 {
			all = append(all, mark(rec(m, "f", "a", float64(m))), mark(rec(-2-m, "f", "fast", float64(-2-m))))
		}
		s.put(t, all...)
		s.clock.Store(0)
		newest := map[bool]float64{false: 1, true: 0}[final]
		require.Equal(t, map[string]float64{"a": newest}, s.means(t))
		require.Equal(t, map[string]float64{"future": 1}, s.dropped(t))

		all = all[:0]
		for m := range 200 { // more than the newest buckets among which the width is looked for
			all = append(all, mark(rec(-500000-m, "f", "a year", 1)))
		}
		s.put(t, all...)
		s.clock.Store(0)
		require.Equal(t, map[string]float64{"a": newest}, s.means(t))
		require.Equal(t, map[string]float64{"future": 1}, s.dropped(t))
		s.clock.Store(180)
		require.Equal(t, map[string]float64{"a": 0, "fast": map[bool]float64{false: -2, true: -3}[final]}, s.means(t))
	}
}

// One agent emits every two seconds, the other every 20: between its emissions, its series stays.
func TestExportKeepsTheSeriesOfASlowAgent(t *testing.T) {
	t.Parallel()
	s := withRedis(t, exportCPU)
	begin := now.Truncate(20 * time.Second)
	bucket := func(agent string, second int) record.Record {
		r := rec(0, "f", agent, float64(second))
		r.Agent, r.Start = agent, begin.Add(time.Duration(second)*time.Second)
		return r
	}
	for second := 0; second < 100; second += 2 {
		s.put(t, bucket("A", second))
		if second%20 == 0 {
			for back := second - 20; back < second; back += 2 {
				s.put(t, bucket("B", back))
			}
		}
		s.clock.Store(int64(begin.Sub(now)/time.Second) + int64(second) + 2)
		require.Equal(t, map[string]float64{"A": float64(second), "B": float64(second/20*20 - 2)}, s.means(t))
	}
}

func TestExportDropsSeriesThatAreTooOld(t *testing.T) {
	t.Parallel()
	const minute, hour = time.Minute, time.Hour
	for name, test := range map[string]struct {
		width, option time.Duration
		keep, gone    time.Duration // ages
		final         bool
	}{
		"five minutes":                  {width: 10 * time.Second, keep: 5 * minute, gone: 5*minute + 10*time.Second},
		"three widths":                  {width: hour, keep: 3 * hour, gone: 4 * hour},
		"three widths and ten minutes":  {width: 10 * minute, keep: 40 * minute, gone: 50 * minute, final: true},
		"the option":                    {width: 10 * time.Second, option: hour, keep: hour, gone: hour + 10*time.Second},
		"the option with final records": {width: 10 * time.Second, option: hour, keep: hour, gone: hour + 10*time.Second, final: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			midnight := now.Truncate(24 * time.Hour)
			s := withRedis(t, func(o *api.Options) {
				exportCPU(o)
				o.ExportMaxAge = test.option
				o.Now = func() time.Time { return midnight }
			})
			put := func(host string, age time.Duration) {
				r := rec(0, "f", host, 1)
				r.Start = midnight.Add(-age)
				if test.final {
					r = marked(r, true)
				}
				s.put(t, r)
			}
			for n := range 8 {
				put("live", time.Duration(n)*test.width)
			}
			put("keep", test.keep)
			put("gone", test.gone)
			require.Equal(t, map[string]float64{"live": 1, "keep": 1}, s.means(t))
		})
	}
}

// After a pause, a table has two or three buckets whose starts are far apart. The distance is not their width.
func TestExportLeavesOutTheBucketBeforeAPause(t *testing.T) {
	t.Parallel()
	s := withRedis(t, exportCPU)
	for _, minutes := range []int{20*24*60 + 7, 1, 0} {
		s.put(t, marked(rec(minutes, "f", "h", float64(minutes)), minutes != 0))
		s.clock.Store(0)
		want := map[string]float64{"h": 1}
		if minutes > 1 {
			want = map[string]float64{}
		}
		require.Equal(t, want, s.means(t), "the bucket of 20 days ago is not the newest value")
	}
	s = withRedis(t, exportCPU)
	s.put(t, marked(rec(20*24*60+7, "f", "h", 20), true), marked(rec(0, "f", "h", 0), false))
	s.clock.Store(0)
	require.Empty(t, s.means(t))
}

// The width of buckets of three hours shows in the 30 days before now, and that of buckets of a week only in all of them.
func TestExportFindsTheWidthBehindManyFutureBuckets(t *testing.T) {
	t.Parallel()
	for _, width := range []time.Duration{time.Minute, 3 * time.Hour, 7 * 24 * time.Hour} {
		s := withRedis(t, exportCPU)
		at := func(host string, start time.Time) record.Record {
			r := rec(0, "f", host, 1)
			r.Start = start
			return r
		}
		begin := now.Truncate(width)
		all := []record.Record{at("keep", begin.Add(-2*width)), at("gone", begin.Add(-6*width))}
		for n := range 20 {
			all = append(all, at("live", begin.Add(-time.Duration(n)*width)))
		}
		for n := range 100 {
			all = append(all, at("fast", begin.Add(time.Duration(n+1)*width)))
		}
		s.put(t, all...)
		s.clock.Store(0)
		require.Equal(t, map[string]float64{"live": 1, "keep": 1}, s.means(t), width)
	}
}

// What a scrape reads depends on the age of the buckets, not on the size of the table.
func TestScrapeReadsOnlyRecentBuckets(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	var all []record.Record
	for m := range 400 {
		all = append(all, rec(m, "f", "unmarked", 1))
	}
	s.put(t, all...)
	sizes := func(limit int) (int, string) {
		o := api.Options{Timeout: time.Minute, ExportMaxSeries: 10, ExportBuckets: limit, Now: func() time.Time { return now }}
		exportCPU(&o)
		reader := &reads{Reader: s.reader}
		w := httptest.NewRecorder()
		newAPI(t, reader, o).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics/analytics", http.NoBody))
		total := 0
		for _, n := range reader.sizes {
			total += n
		}
		for _, span := range reader.spans {
			require.Positive(t, span.Last, "%+v reads the whole index", span)
		}
		return total, w.Body.String()
	}
	n, _ := sizes(1000)
	require.Equal(t, 5, n, "the minutes that began in the last five")
	all = all[:0]
	for m := range 100 {
		all = append(all, rec(-1-m, "f", "fast", 1))
	}
	s.put(t, all...)
	n, _ = sizes(1000)
	require.Equal(t, 5+1, n, "and the newest one")
	n, body := sizes(3)
	require.Equal(t, 3+1, n)
	require.Contains(t, body, `analytics_export_dropped{reason="buckets"} 2`)
	s.put(t, marked(rec(0, "f", "marked", 1), false))
	n, _ = sizes(1000)
	require.Equal(t, 15+1, n, "final records may come ten minutes later")
	n, body = sizes(7)
	require.Equal(t, 7+1, n)
	require.Contains(t, body, `analytics_export_dropped{reason="buckets"} 8`)
}

// Prometheus has rules for names of gauges, and those of a histogram belong to the distribution.
func TestStatisticsOfOtherProgramsHaveNamesThatPrometheusAllows(t *testing.T) {
	t.Parallel()
	s := withRedis(t, exportCPU)
	r := rec(1, "f", "h", 1)
	r.Stats = nil
	for i, name := range []string{"a_count", "a_sum", "a_bucket", "a_total", "count", "bucket", "total", "distribution_count", "a_values"} {
		r.Stats = append(r.Stats, record.Stat{Name: name, Value: float64(i)})
	}
	s.put(t, r)
	s.clock.Store(0)
	w := s.get(t, "/metrics/analytics")
	for i, name := range []string{"", "a_sum_of_values", "a_bucket_value", "a_total_value", "values", "bucket_value", "total_value", "distribution_values", "a_values"} {
		if name != "" {
			require.Contains(t, w.Body.String(), fmt.Sprintf("\nanalytics_cpu_%s{cpu=", name), i)
		}
	}
	require.Regexp(t, `analytics_cpu_a_values\{.*\} 0\n`, w.Body.String(), "the first of two with one name")
	require.Equal(t, map[string]float64{"name_clash": 1}, s.dropped(t))
	promtest.Need(t)
	check := exec.CommandContext(t.Context(), "promtool", "check", "metrics")
	check.Stdin = strings.NewReader(w.Body.String())
	out, err := check.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Empty(t, out)
}

// Series that differ in the cache can have the same labels in Prometheus. They are counted, and the others are exported.
func TestExportDropsSeriesThatClashInPrometheus(t *testing.T) {
	t.Parallel()
	s := withRedis(t, func(o *api.Options) {
		o.Export = exports("cpu", "analytics_cpu", "cpu")
	})
	for _, tags := range [][]series.Tag{
		{{Key: "a.b", Value: "1"}, {Key: "a.a", Value: "2"}}, {{Key: "a-b", Value: "1"}, {Key: "a.a", Value: "2"}}, // another order by name
		{{Key: "x.y", Value: "1"}}, {{Key: "x-y", Value: "1"}},
		{{Key: "host", Value: "a"}},
	} {
		for minutes := range 2 { // the older record is of the same series
			r := rec(minutes+1, "f", "", 1.5)
			r.Tags = tags
			r.Stats = append(r.Stats, record.Stat{Name: "s.t", Value: 1.0}, record.Stat{Name: "s-t", Value: 2.0}, record.Stat{Name: "bucket_start_seconds", Value: 3.0})
			require.NoError(t, s.writer.Put(t.Context(), record.Table{Database: "db", Name: "analytics_cpu"}, []record.Record{r}))
		}
	}
	w := s.get(t, "/metrics/analytics")
	require.Equal(t, http.StatusOK, w.Code, w.Body.String())
	for _, labels := range []string{`a_a="2",a_b="1",database="db",field_name="f"`, `database="db",field_name="f",x_y="1"`, `host="a"`} {
		require.Equal(t, 1, strings.Count(w.Body.String(), labels+"} 1.5"), labels)
	}
	require.Contains(t, w.Body.String(), `analytics_export_dropped{reason="label_clash"} 2`)
	require.Contains(t, w.Body.String(), `analytics_export_dropped{reason="name_clash"} 6`)
}

func TestExportTakesTheFullestReplica(t *testing.T) {
	t.Parallel()
	records := func() []record.Record {
		first, second := rec(1, "f", "h", 1), rec(1, "f", "h", 2)
		first.Replica, second.Replica = "x", "y"
		second.Stats[0].Value = int64(7)
		return []record.Record{first, second}
	}
	s := withRedis(t, exportCPU)
	s.put(t, records()...)
	s.clock.Store(0)
	require.Equal(t, map[string]float64{"h": 2}, s.means(t))
	require.NotContains(t, s.get(t, "/metrics/analytics").Body.String(), "replica=")

	s = withRedis(t, exportEach)
	s.put(t, records()...)
	s.clock.Store(0)
	require.Equal(t, map[string]float64{"x": 1, "y": 2}, gauges(t, s.get(t, "/metrics/analytics"), "analytics_cpu_mean", "replica"))
}

func TestExportRenamesTagsThatClashWithLabels(t *testing.T) {
	t.Parallel()
	s := withRedis(t, func(o *api.Options) { o.Export = exports("cpu") })
	for i, tags := range [][]series.Tag{
		{{Key: "database", Value: "pg"}},
		{{Key: "field.name", Value: "x"}},
		{{Key: "database", Value: "pg"}, {Key: "database_tag", Value: "other"}}, // the new name is taken
		{{Key: "le", Value: "0.5"}, {Key: "quantile", Value: "1"}},
	} {
		r := rec(1, fmt.Sprint("f", i), "h", 1.5)
		r.Tags = tags
		require.NoError(t, s.writer.Put(t.Context(), record.Table{Database: "db", Name: "analytics_cpu"}, []record.Record{r}))
	}
	body := s.get(t, "/metrics/analytics").Body.String()
	for _, want := range []string{
		`analytics_cpu_mean{database="db",database_tag="pg",field_name="f0"} 1.5`,
		`analytics_cpu_mean{database="db",field_name="f1",field_name_tag="x"} 1.5`,
		`analytics_cpu_mean{database="db",field_name="f3",le_tag="0.5",quantile_tag="1"} 1.5`,
		`analytics_export_dropped{reason="label_clash"} 1`,
	} {
		require.Contains(t, body, want)
	}
	require.NotContains(t, body, `"f2"`)
}

func TestExportDropsAStatisticNamedAsTheExportersOwnGauge(t *testing.T) {
	t.Parallel()
	s := withRedis(t, func(o *api.Options) {
		o.Export = exports("export", "cpu")
	})
	s.fill(t)
	r := rec(1, "f", "h", 1.5)
	r.Table = "analytics_export"
	r.Stats = append(r.Stats, record.Stat{Name: "dropped", Value: 1.0}, record.Stat{Name: "distribution", Value: 1.0})
	require.NoError(t, s.writer.Put(t.Context(), record.Table{Database: "db", Name: r.Table}, []record.Record{r}))
	w := s.get(t, "/metrics/analytics")
	require.Equal(t, http.StatusOK, w.Code, w.Body.String())
	for _, want := range []string{"analytics_export_mean{", "analytics_cpu_mean{", `analytics_export_dropped{reason="name_clash"} 2`} {
		require.Contains(t, w.Body.String(), want)
	}
	require.NotContains(t, w.Body.String(), "analytics_export_distribution", "that is a name of histograms")
}

// hanging is a cache with one table whose records never come.
type hanging struct{ *cache.Reader }

func (hanging) Tables(context.Context) ([]record.TableEntry, error) {
	return []record.TableEntry{{Table: record.Table{Database: "db", Name: "analytics_cpu"}, LastWrite: now}}, nil
}

func (hanging) Buckets(context.Context, record.Table, record.Range) ([]time.Time, error) {
	return []time.Time{now}, nil
}

func (hanging) Records(ctx context.Context, _ record.Table, _ []time.Time, _ int, _ func(record.Part) error) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestScrapeStopsReadingWhenItsClientIsGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newAPI(t, hanging{}, api.Options{
			MaxRecords: 1, MaxBuckets: 1, MaxBytes: 1, Timeout: time.Hour, ExportMaxSeries: 1, ExportBuckets: 1,
			Export: exports("cpu"), Now: func() time.Time { return now },
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

// A scrape of five minutes of buckets of 10 s, from a Redis in this process.
func BenchmarkExport(b *testing.B) {
	const buckets = 31
	for _, hosts := range []int{10, 1000} {
		b.Run(fmt.Sprintf("series=%d/buckets=%d", hosts, buckets), func(b *testing.B) {
			s := inProcess(b, exportCPU)
			for n := range buckets {
				records := make([]record.Record, 0, hosts)
				for host := range hosts {
					r := rec(0, "f", fmt.Sprint("host", host), 1.5)
					r.Start = now.Truncate(10 * time.Second).Add(-time.Duration(n) * 10 * time.Second)
					records = append(records, r)
				}
				s.put(b, records...)
			}
			s.clock.Store(0)
			var w *httptest.ResponseRecorder
			for b.Loop() {
				w = s.get(b, "/metrics/analytics")
			}
			require.Equal(b, hosts, strings.Count(w.Body.String(), "\nanalytics_cpu_mean{"))
		})
	}
}

func TestMissingTablesOfTheExportAreReported(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s := withRedis(t, func(o *api.Options) {
		o.Export = exports("cpu", "cpu", "later")
		o.Log = slog.New(slog.NewTextHandler(&log, nil))
	})
	s.fill(t)
	up := func(path, name string) map[string]float64 { return gauges(t, s.get(t, path), name, "table") }
	require.Empty(t, up("/metrics", "analytics_api_export_table_up"), "no scrape has looked")
	for range 2 {
		require.Equal(t, map[string]float64{"cpu": 1, "later": 0}, up("/metrics/analytics", "analytics_export_table_up"))
	}
	require.Equal(t, map[string]float64{"cpu": 1, "later": 0}, up("/metrics", "analytics_api_export_table_up"))
	require.Equal(t, 1, strings.Count(log.String(), `msg="a table of [[export]] is not in Redis: no agent has written it, or its records have expired; check the names" database=db table=later`))
	require.Equal(t, 1, strings.Count(log.String(), "\n"))

	r := rec(1, "f", "h", 1.5)
	r.Table = "analytics_later"
	require.NoError(t, s.writer.Put(t.Context(), record.Table{Database: "db", Name: r.Table}, []record.Record{r}))
	s.clock.Add(10)
	require.Equal(t, map[string]float64{"cpu": 1, "later": 1}, up("/metrics/analytics", "analytics_export_table_up"))
	require.Equal(t, map[string]float64{"cpu": 1, "later": 1}, up("/metrics", "analytics_api_export_table_up"))
	require.Contains(t, log.String(), `msg="a table of [[export]] is in Redis now" database=db table=later`)
}

// lostTable is a cache in which the server of one table does not answer, or none.
type lostTable struct {
	*cache.Reader
	all bool
}

func (l *lostTable) Buckets(ctx context.Context, t record.Table, r record.Range) ([]time.Time, error) {
	if l.all || t.Name == "analytics_away" {
		return nil, errors.New("dial tcp 10.0.0.1: refused")
	}
	return l.Reader.Buckets(ctx, t, r)
}

// A table whose data is corrupt, and one whose server in a cluster is away, do not keep others from being exported.
func TestATableThatCannotBeReadDoesNotEndAScrape(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	s.fill(t)
	for _, name := range []string{"analytics_away", "analytics_corrupt"} {
		r := rec(1, "f", "h", 1.5)
		r.Table = name
		require.NoError(t, s.writer.Put(t.Context(), record.Table{Database: "db", Name: name}, []record.Record{r}))
	}
	require.NoError(t, s.client.Del(t.Context(), "{db:analytics_corrupt}:idx").Err())
	require.NoError(t, s.client.Set(t.Context(), "{db:analytics_corrupt}:idx", "x", 0).Err())
	s.clock.Add(10)
	var log bytes.Buffer
	reader := &lostTable{Reader: s.reader}
	l := s.beside(reader, func(o *api.Options) {
		o.Export, o.ExportMaxSeries, o.Log = exports("away", "cpu", "corrupt", "analytics_away"), 100, slog.New(slog.NewTextHandler(&log, nil))
	})
	for range 2 {
		require.Equal(t, map[string]float64{"unreadable": 3}, l.dropped(t))
		require.Contains(t, l.get(t, "/metrics/analytics").Body.String(), "analytics_cpu_mean{")
		up := gauges(t, l.get(t, "/metrics/analytics"), "analytics_export_table_up", "table")
		require.Equal(t, map[string]float64{"away": 0, "analytics_away": 0, "cpu": 1, "corrupt": 0}, up)
		require.Equal(t, up, gauges(t, l.get(t, "/metrics"), "analytics_api_export_table_up", "table"))
	}
	require.Equal(t, 3, strings.Count(log.String(), "\n"), log.String())
	require.Contains(t, log.String(), "table=away error=\"dial tcp 10.0.0.1: refused\"")
	require.Contains(t, log.String(), "is corrupt: a key in Redis has another type")
	require.NoError(t, s.client.Del(t.Context(), "{db:analytics_corrupt}:idx").Err())
	l.get(t, "/metrics/analytics")
	require.Contains(t, log.String(), "is in Redis now\" database=db table=corrupt")
	reader.all = true
	problemOf(t, l.get(t, "/metrics/analytics"), http.StatusServiceUnavailable)
}
