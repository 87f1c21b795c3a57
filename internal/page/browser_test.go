package page_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/api"
	"github.com/telegraf-describe/telegraf-describe/internal/browser"
	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/page"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// service is an API with the page, over TCP, and the cache that it reads.
type service struct {
	*httptest.Server
	redis  *miniredis.Miniredis
	writer *cache.Writer
	newest time.Time // the start of the newest bucket of the test
}

// files are those of the page. Compressing them takes a tenth of a second.
var files = sync.OnceValue(page.New)

// start starts a service and stops it when the test ends.
func start(t testing.TB, edit func(*api.Options)) *service {
	t.Helper()
	s := &service{redis: miniredis.RunT(t), newest: time.Now().Truncate(width)}
	client := redis.NewClient(&redis.Options{ // with times for busy machines
		Addr: s.redis.Addr(), MaxRetries: -1, DialTimeout: time.Minute, ReadTimeout: time.Minute, WriteTimeout: time.Minute,
	})
	t.Cleanup(func() { _ = client.Close() })
	s.writer = cache.NewWriter(client, cache.Options{Retention: 24 * time.Hour})
	reader := cache.NewReader(client)
	hub := api.NewStreams(reader, 100, nil, nil)
	t.Cleanup(hub.Close)
	o := api.Options{
		MaxRecords: 10_000, MaxBuckets: 50_000, MaxBytes: 32 << 20, Timeout: time.Minute, Storage: "a test, not persistent", Version: "v1",
		Streams: hub, Page: files(),
	}
	if edit != nil {
		edit(&o)
	}
	s.Server = httptest.NewServer(api.New(reader, o))
	t.Cleanup(func() {
		s.CloseClientConnections() // the streams of open pages
		s.Close()
	})
	return s
}

// put writes records of the database db.
func (s *service) put(t testing.TB, records ...record.Record) {
	t.Helper()
	byTable := make(map[string][]record.Record)
	for _, r := range records {
		byTable[r.Table] = append(byTable[r.Table], r)
	}
	for table, all := range byTable {
		for len(all) > 0 {
			n := min(len(all), 2000)
			require.NoError(t, s.writer.Put(context.Background(), record.Table{Database: "db", Name: table}, all[:n]))
			all = all[n:]
		}
	}
}

// address returns the address of the page with a query, which has names and values by turns.
func (s *service) address(query ...string) string {
	v := url.Values{}
	for i := 0; i < len(query); i += 2 {
		v.Add(query[i], query[i+1])
	}
	return s.URL + "/?" + v.Encode()
}

var (
	described = []string{"count", "min", "max", "mean", "median", "p95"}
	width     = 10 * time.Second
)

// rec returns the record of values with their summary, in the table analytics_latency. Tags are names and values by turns.
func rec(at time.Time, field string, final bool, tags []string, values ...float64) record.Record {
	sum := stats.New(stats.DefaultExactLimit)
	sum.AddAll(values, nil)
	selection, err := stats.NewSelection(described, stats.Linear)
	if err != nil {
		panic(err)
	}
	r := record.Record{Table: "analytics_latency", Field: field, Agent: "a1", Start: at, State: record.Open}
	if final {
		r.State = record.Final
	}
	for i := 0; i < len(tags); i += 2 {
		r.Tags = append(r.Tags, series.Tag{Key: tags[i], Value: tags[i+1]})
	}
	for i, v := range selection.Append(nil, &sum) {
		stat := record.Stat{Name: described[i], Value: v}
		if described[i] == "count" {
			stat.Value = int64(v)
		}
		r.Stats = append(r.Stats, stat)
	}
	r.Summary, _ = sum.MarshalBinary()
	return r
}

// latencies returns n buckets of the field seconds of each service, up to now. The newest six are open.
func (s *service) latencies(n int, services ...string) (all []record.Record) {
	random := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		at := s.ago(n - 1 - i)
		for k, name := range services {
			values := make([]float64, 40)
			level := .04 * (1 + .5*math.Sin(float64(i)/25) + .4*float64(k))
			for j := range values {
				values[j] = math.Round(level*math.Exp(random.NormFloat64()*.6)*1e6) / 1e6
			}
			all = append(all, rec(at, "seconds", i < n-6, []string{"host", "vm", "service", name}, values...))
		}
	}
	return all
}

func TestPage(t *testing.T) {
	b := browser.Start(t)
	for name, test := range map[string]func(*testing.T, *browser.Browser){
		"looks":                               looks,
		"choices are in the address":          choices,
		"typing filters the choices":          typing,
		"a bucket has its distribution":       distributions,
		"live buckets appear":                 live,
		"merged buckets are live too":         liveMerged,
		"names become text":                   hostile,
		"a token is asked for":                tokens,
		"a service without tables":            empty,
		"a range without buckets":             emptyRange,
		"a table that does not exist":         unknownTable,
		"the first bucket":                    firstBucket,
		"Redis is away":                       away,
		"a limit is explained":                limited,
		"keys":                                keys,
		"buckets are merged to the width":     rolled,
		"buckets without summaries are plain": plain,
		"many series are merged":              manySeries,
		"statistics are merged when missing":  missingStatistics,
		"agents are merged, or apart":         agents,
		"pauses leave nothing":                pauses,
		"the table is sorted":                 sorted,
		"files have what is seen":             exports,
		"an own range in the zone":            ownRange,
		"the page works below a path":         prefix,
		"peaks are cut off and marked":        peaks,
		"gaps and single buckets":             gaps,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, b)
		})
	}
}

// ready is true when the page shows records.
const ready = "document.querySelector('#main').ariaBusy === 'false' && !document.querySelector('#view').hidden && document.querySelector('#table tbody tr')"

// cutOff has the selects whose text is wider than the room for it: the width less the padding and some 20 pixels for the arrow.
const cutOff = `[...document.querySelectorAll("select")].filter((select) => {
	const style = getComputedStyle(select), context = document.createElement("canvas").getContext("2d");
	context.font = style.fontSize + " " + style.fontFamily;
	const room = select.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight) - 20;
	return context.measureText(select.selectedOptions[0].text).width > room;
}).map((select) => select.id)`

func looks(t *testing.T, b *browser.Browser) {
	s := start(t, nil)
	s.put(t, s.latencies(300, "api", "web")...)
	tab := b.Tab(t)
	for _, theme := range []string{"light", "dark"} {
		if theme == "dark" {
			tab.Dark()
		}
		for _, size := range [][2]int64{{1440, 1000}, {390, 844}} {
			tab.Size(size[0], size[1])
			name := fmt.Sprintf("page-%d-%s", size[0], theme)
			show(tab, s.address())
			tab.Until(isLive)
			tab.Screenshot(name)
			require.EqualValues(t, size[0], browser.Eval[float64](tab, "document.documentElement.scrollWidth"), "nothing is wider than the window")
			require.LessOrEqual(t, browser.Eval[float64](tab, "document.querySelector('#theme').getBoundingClientRect().right"), float64(size[0]-8), "the header has a margin")
			require.Empty(t, browser.Eval[[]string](tab, cutOff), "texts of choices that do not fit")
			if size[0] == 1440 {
				browser.Eval[bool](tab, "document.querySelector('#table tbody tr:nth-child(9) button').click(), true")
				tab.Until("document.querySelector('#distribution svg')")
				tab.Screenshot(name + "-distribution")
			}
		}
	}
	tab.Clean(s.URL)
}
