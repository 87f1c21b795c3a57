package grafana_test

import (
	"bufio"
	"io"
	"maps"
	"math"
	"net/url"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/apitest"
	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/oracle"
	"github.com/telegraf-describe/telegraf-describe/internal/promtest"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// latencies are the values of two services. Their percentiles differ, and the second has fewer values.
func latencies() map[string][]float64 {
	values := map[string][]float64{}
	for i := range 2000 {
		values["api"] = append(values["api"], math.Exp(float64(i%50)/10))
		if i%4 == 0 {
			values["web"] = append(values["web"], .1+float64(i)/1e4)
		}
	}
	return values
}

// percentile returns the value of the nearest rank.
func percentile(percent int64, values []float64) float64 {
	return oracle.Of(values).NearestRank(percent, 100)
}

func mean(values []float64) float64 { return oracle.Nearest(oracle.Of(values).Mean()) }

// cached returns the address of a Redis that has the latencies as final records of a bucket.
func cached(t *testing.T, start time.Time) string {
	t.Helper()
	server := miniredis.RunT(t)
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	t.Cleanup(func() { _ = client.Close() })
	table := record.Table{Database: "demo", Name: "analytics_latency"}
	var records []record.Record
	for name, values := range latencies() {
		sum := stats.New(64)
		sum.AddAll(values, nil)
		r := record.Record{
			Table: table.Name, Field: "seconds", Agent: "a", Tags: []series.Tag{{Key: "service", Value: name}}, State: record.Final, Start: start,
			Stats: []record.Stat{
				{Name: "count", Value: int64(len(values))}, {Name: "min", Value: sum.Min()}, {Name: "max", Value: sum.Max()}, {Name: "mean", Value: sum.Mean()},
				{Name: "median", Value: percentile(50, values)}, {Name: "p95", Value: percentile(95, values)},
			},
		}
		r.Summary, _ = sum.MarshalBinary()
		records = append(records, r)
	}
	require.NoError(t, cache.NewWriter(client, cache.Options{Retention: time.Hour}).Put(t.Context(), table, records))
	return server.Addr()
}

// service builds analytics-api, starts it with the tables that it exports in the quickstart, and returns its address.
func service(t *testing.T, redis string) string {
	t.Helper()
	program, err := apitest.Build("../..", t.TempDir())
	require.NoError(t, err)
	command := exec.Command(program, "--config", "../quickstart/analytics-api.toml", "--listen", "127.0.0.1:0", "--redis", "redis://"+redis)
	log, err := command.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		if m := regexp.MustCompile(`msg=serving .*address=http://(\S+)`).FindStringSubmatch(lines.Text()); m != nil {
			go func() { _, _ = io.Copy(io.Discard, log) }()
			return m[1]
		}
		t.Log(lines.Text())
	}
	t.Fatal("analytics-api does not serve")
	return ""
}

// options returns the choices of a variable as Grafana gets them from Prometheus: see its page on template variables.
func options(t assert.TestingT, address, query, regex string) (options []string) {
	for _, kind := range []struct{ query, path, match string }{
		{`^metrics\((.+)\)$`, "/api/v1/label/__name__/values", `{__name__=~"$1"}`},
		{`^label_names\((.+)\)$`, "/api/v1/labels", `{__name__=~".*$1.*"}`},
		{`^label_values\((.+), (\w+)\)$`, "/api/v1/label/$2/values", "$1"},
	} {
		if re := regexp.MustCompile(kind.query); re.MatchString(query) {
			promtest.Get(t, address, re.ReplaceAllString(query, kind.path)+"?match[]="+url.QueryEscape(re.ReplaceAllString(query, kind.match)), &options)
		}
	}
	return selected(options, regex)
}

// selected returns what the regular expression of a variable leaves of its options: the group, if there is one. JavaScript has
// negative lookahead, and Go has not.
func selected(options []string, regex string) (left []string) {
	if regex == "" {
		return options
	}
	regex = strings.Trim(regex, "/")
	if forbidden, found := strings.CutPrefix(regex, "^(?!"); found {
		forbidden = strings.TrimSuffix(forbidden, ").+")
		return slices.DeleteFunc(slices.Clone(options), regexp.MustCompile("^(?:"+forbidden+")").MatchString)
	}
	for _, o := range options {
		if m := regexp.MustCompile(regex).FindStringSubmatch(o); m != nil {
			left = append(left, m[len(m)-1])
		}
	}
	return left
}

// choose checks the choices that the variables of the dashboard offer, and returns one of each.
func choose(t *testing.T, d *dashboard, address string) map[string][]string {
	t.Helper()
	offered := map[string][]string{
		"table": {"analytics_latency"}, "database": {"demo"}, "field": {"seconds"}, "label": {"field_name", "service"}, "value": {"api", "web"},
	}
	chosen := maps.Clone(offered)
	chosen["label"] = []string{"service"}
	for _, v := range d.Templating.List {
		if v.Type == "query" {
			require.Equal(t, offered[v.Name], options(t, address, interpolate(t, v.Query, chosen), v.Regex), v.Name)
		}
	}
	chosen["limit"] = []string{d.variable(t, "limit").Query}
	return chosen
}

// expected are the results of the expressions by the titles of their panels and their legends. A result is by the label service. An age is
// NaN, as it depends on the time of the query.
func expected() map[string]map[string]float64 {
	values := latencies()
	api, web := values["api"], values["web"]
	all := append(slices.Clone(api), web...)
	one := func(v float64) map[string]float64 { return map[string]float64{"": v} }
	two := func(f func([]float64) float64) map[string]float64 {
		return map[string]float64{"api": f(api), "web": f(web)}
	}
	p95 := func(values []float64) float64 { return percentile(95, values) }
	median := func(values []float64) float64 { return percentile(50, values) }
	count := func(values []float64) float64 { return float64(len(values)) }
	const band, percentiles, each = "All selected series: minimum to maximum, and mean/", "All selected series: percentiles of all values/", "$value/"
	age := one(math.NaN())
	return map[string]map[string]float64{
		"Age of the newest bucket/": age, "Age of the oldest series/": age, "Series/": one(2), "Values in their buckets/": one(count(all)),
		"Missing tables/": one(1), "Left out/": one(0),
		band + "maximum": one(slices.Max(all)), band + "mean": one(mean(all)), band + "minimum": one(slices.Min(all)),
		percentiles + "p99": one(percentile(99, all)), percentiles + "p95": one(p95(all)), percentiles + "median": one(median(all)),
		"p95 of each series/__auto": two(p95), "Median of each series/__auto": two(median), "Mean of each series/__auto": two(mean),
		"Values in the bucket of each series/__auto": two(count),
		"Share of the values up to $limit/__auto":    {"api": 0, "web": 1},
		each + "maximum": one(slices.Max(all)), each + "p95": one(p95(api)), each + "mean": one(mean(all)),
		each + "median": one(median(api)), each + "minimum": one(slices.Min(all)),
	}
}

// tolerance is the largest difference to an expected result: exact for gauges, a bin for percentiles of histograms, and a minute for ages,
// in which the machine may stand still between the query and the comparison.
func tolerance(panel string, want float64) float64 {
	switch {
	case strings.HasPrefix(panel, "Age"):
		return 60
	case strings.Contains(panel, "percentiles"):
		return .02 * want
	}
	return 1e-9 * want
}

func TestTheQueriesInPrometheusAreRight(t *testing.T) {
	t.Parallel()
	promtest.Need(t)
	start := time.Now().Truncate(time.Minute).Add(-2 * time.Minute)
	target := service(t, cached(t, start))
	address := promtest.Start(t, "../prometheus/prometheus.yml", target, "--enable-feature=native-histograms")
	promtest.WaitUp(t, address)
	d := load(t, "prometheus.json")
	chosen, want := choose(t, &d, address), expected()
	for _, p := range d.leaves() {
		for _, q := range p.Targets {
			expr := strings.ReplaceAll(interpolate(t, q.Expr, chosen), "$__rate_interval", "1m")
			name := p.Title + "/" + q.LegendFormat
			results, known := want[name]
			if !known {
				requireNumber(t, address, target, expr, name)
				continue
			}
			promtest.Eventually(t, func(c *assert.CollectT) {
				got := promtest.Query(c, address, expr, "service")
				assert.Len(c, got, len(results), name)
				for by, v := range results {
					if strings.HasPrefix(name, "Age") {
						v = time.Since(start).Seconds()
					}
					assert.InDelta(c, v, got[by], tolerance(name, v), "%s of %q: %s", name, by, expr)
				}
			})
			delete(want, name)
		}
	}
	require.Empty(t, want, "results of no panel")
}

// requireNumber waits until an expression has a number, which takes two scrapes for rates. Meanwhile it requests records of the API.
func requireNumber(t *testing.T, address, target, expr, name string) {
	t.Helper()
	promtest.Eventually(t, func(c *assert.CollectT) {
		resp, err := apitest.Client.Get("http://" + target + "/analytics/latency?database=demo")
		if !assert.NoError(c, err) {
			return
		}
		_ = resp.Body.Close()
		var data struct {
			Result []struct {
				Value     []any `json:"value"`
				Histogram []any `json:"histogram"`
			} `json:"result"`
		}
		promtest.Get(c, address, "/api/v1/query?query="+url.QueryEscape(expr), &data)
		if assert.NotEmpty(c, data.Result, "%s: %s", name, expr) {
			r := data.Result[0]
			assert.Len(c, append(r.Value, r.Histogram...), 2)
			assert.NotContains(c, r.Value, "NaN", "%s: %s", name, expr)
		}
	})
}
