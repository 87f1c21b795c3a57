// The distribution of the values of one bucket: bars of shares, and percentiles. The shares come from query.js, in parts between two
// edges; this module only shows them.

import { byId, element, picture } from "./dom.js";
import { count, number, tagText, time } from "./format.js";

const height = 100; // of the tallest bar, in units of the picture; a part is one unit wide

// showDistribution shows a distribution (spread, see query.js), a problem, or, without both, that it is being read. series is that of
// the chart, and start the start of the bucket. close is called by its button.
export function showDistribution({ start, series, zone, title, spread, problem, close }) {
  const box = byId("distribution");
  const bucket = [time(start, zone), title || tagText(series.tags)].filter(Boolean).join(" · ");
  const heading = element("div", { class: "heading" },
    element("div", {}, element("h2", {}, "Distribution"), element("p", { class: "muted" }, bucket)),
    element("button", { type: "button", class: "quiet", onclick: close }, "Close"));
  let body = element("p", { class: "muted" }, "Reading the summary…");
  if (problem) body = element("p", { role: "alert" }, inWords(problem));
  else if (spread) body = element("div", { class: "spread" }, chart(spread), figures(spread));
  box.replaceChildren(heading, body);
  box.hidden = false;
}

// inWords returns the text of a problem. That of a missing summary is not the one of the API, which names the series again.
function inWords(problem) {
  if (problem.title !== "No summaries") return problem.message;
  return 'This bucket has no summary of its values. With emit_summary = "compact" in [[aggregators.describe]], new buckets have one.';
}

// hideDistribution also removes the elements, so that nothing old is seen when the next one is shown.
export function hideDistribution() {
  byId("distribution").hidden = true;
  byId("distribution").replaceChildren();
}

// chart returns the bars. The list of percentiles beside it has the same for those who cannot see it. The tallest bar is as high as the
// picture; a part with any values is at least 1 high, so that it is seen.
function chart({ series, parts, error, log }) {
  const total = series.value("count", 0);
  const [low, high] = [series.value("min", 0), series.value("max", 0)];
  if (!(high > low)) return element("p", {}, total === 1 ? `The only value is ${number(low)}.` : `All ${count(total)} values are ${number(low)}.`);
  const most = Math.max(...parts.map((part) => part.share));
  const bars = parts.map((part, i) => {
    const tall = part.share > 0 ? Math.max(1, (part.share / most) * height) : 0;
    const title = `${number(part.from)} to ${number(part.to)}: ${number(100 * part.share)} % of the values`;
    return picture("rect", { x: i + 0.04, y: height - tall, width: 0.92, height: tall, class: "bar" }, picture("title", {}, title));
  });
  const edges = [0, 1, 2, 3, 4].map((k) => (k === 4 ? high : parts[Math.round((k * parts.length) / 4)].from));
  const label = `Distribution of ${count(total)} values from ${number(low)} to ${number(high)}, half of them at most ${number(series.value("median", 0))}`;
  const image = picture("svg", { viewBox: `0 0 ${parts.length} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": label }, ...bars);
  const notes = [`${count(total)} values in ${parts.length} parts of equal ${log ? "ratio" : "width"}`];
  if (error > 0) notes.push(`each share within ${number(100 * error)} %`);
  const axis = element("div", { class: "edges", "aria-hidden": "true" }, ...edges.map((edge) => element("span", {}, number(edge))));
  return element("figure", {}, image, axis, element("figcaption", { class: "muted" }, notes.join(", ") + "."));
}

// The statistics of the list, in its order. Those that the record lacks are left out.
const names = ["min", "p1", "p5", "p25", "median", "p75", "p95", "p99", "p99_9", "max", "mean", "stddev"];

// figures returns the list of percentiles and other statistics. The series has one row.
function figures({ series }) {
  const rows = names.filter((name) => !Number.isNaN(series.value(name, 0)))
    .map((name) => element("div", {}, element("dt", {}, name.replace("_", ".")), element("dd", {}, number(series.value(name, 0)))));
  return element("dl", { class: "figures" }, ...rows);
}
