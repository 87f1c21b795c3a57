package page_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/api"
	"github.com/telegraf-describe/telegraf-describe/internal/browser"
)

// paint draws a chart of all records of the table in the page and reads a pixel of it, which waits until it is drawn. It returns
// the milliseconds of the fastest of five.
const paint = `(async () => {
	const [{ Charts }, { Store }] = await Promise.all([import("./page/chart.js"), import("./page/series.js")]);
	const store = new Store();
	store.fill(await (await fetch("analytics/latency?database=db")).json());
	const [series] = store.list();
	const view = { from: series.starts[0], to: series.starts.at(-1), zone: "UTC", width: 10000, labels: new Map(), title: "" };
	let fastest = Infinity;
	for (let i = 0; i < 5; i++) {
		document.querySelector("#charts").replaceChildren();
		const charts = new Charts({});
		const begin = performance.now();
		charts.update([series], view);
		await 0; // the chart is drawn in a microtask
		const canvas = document.querySelector("#charts canvas");
		const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
		fastest = Math.min(fastest, performance.now() - begin);
		if (!pixels.some((value) => value > 0)) throw new Error("nothing is drawn");
	}
	return [series.length, fastest];
})()`

// BenchmarkPage measures the chart and the memory of the page with all buckets of a table: the time until a chart is drawn, and
// the heap over that of an empty page. Records without summaries are not merged.
func BenchmarkPage(b *testing.B) {
	chromium := browser.Start(b)
	for _, n := range []int{1440, 20_000} {
		b.Run(fmt.Sprintf("buckets=%d", n), func(b *testing.B) {
			s := start(b, func(o *api.Options) { o.MaxRecords = 50_000 })
			s.put(b, withoutSummary(s.latencies(n, "api"))...)
			empty := chromium.Tab(b)
			empty.Open(s.URL + "/page/icon.svg")
			floor := empty.Heap()
			tab := chromium.Tab(b)
			tab.Open(s.address("range", "all"))
			tab.Until(ready)
			tab.Until(isLive)
			heap := tab.Heap() - floor
			for b.Loop() {
				measured := browser.Eval[[]float64](tab, paint)
				require.Equal(b, float64(n), measured[0])
				b.ReportMetric(measured[1], "paint-ms")
			}
			b.ReportMetric(heap/1e6, "heap-MB")
		})
	}
}
