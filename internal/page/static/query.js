// What to ask the API for: a width of buckets that suits the page, within the limits of one answer.
//
//   state ─▶ probe: the newest records ─▶ Probe: series, width ─▶ Plan: parameters ─▶ read ─▶ records
//
// A chart has some hundred pixels, and an answer at most 10,000 records. So for a long range, the API merges stored buckets into wider
// ones (the parameter bucket), and many series into one (group_by). Both need the summaries of the records. Without them, the stored
// records are read as they are.

import { Problem, get, request, tablePath } from "./api.js";
import { ranges } from "./state.js";
import { Store, sameTags, width } from "./series.js";

// Widths of rolled-up buckets, in seconds.
const widths = [
  [1, "1s"], [2, "2s"], [5, "5s"], [10, "10s"], [15, "15s"], [30, "30s"], [60, "1m"], [120, "2m"], [300, "5m"], [600, "10m"], [900, "15m"], [1800, "30m"],
  [3600, "1h"], [7200, "2h"], [10800, "3h"], [21600, "6h"], [43200, "12h"], [86400, "1d"], [604800, "1w"], [2629746, "1mo"], [31556952, "1y"],
];

const mostRecords = 9000; // of one answer: the default limit of the API is 10,000
const mostSeries = 24; // that are shown apart unless the reader asks for more
export const mostCharts = 60; // at the same time
const probed = 500; // records that show which series there are
const shownStatistics = ["min", "median", "p95", "max"];

// filters returns the parameters that select the records of a state, without the range. Parameters are pairs of a name and a value
// everywhere in this module.
export function filters(state) {
  return [["database", state.db], ["field", state.field], ...state.tags.map(([key, value]) => ["tag", `${key}=${value}`])];
}

// canFilter reports whether the API can select series by a tag: it takes the text up to the first "=" as the key.
export const canFilter = ([key]) => !key.includes("=");

// Probe is what is known of a field from its newest records: which series there are, how wide the buckets are, and how new.
export class Probe {
  constructor(records) {
    const store = new Store();
    store.fill(records);
    const series = store.list();
    this.series = [...new Map(series.map((s) => [JSON.stringify(s.tags), s.tags])).values()];
    const starts = [...new Set(series.flatMap((s) => s.starts))].sort((a, b) => a - b);
    this.width = width(starts); // of the stored buckets in milliseconds, or NaN
    this.newest = starts.at(-1) ?? NaN;
    this.summaries = true; // until the API denies it
    // With as many records as were asked for, the oldest bucket may lack some, and there can be more series.
    this.full = records.length >= probed;
  }

  // matching returns the tags of the series that have some tags.
  matching(tags) {
    return this.series.filter((own) => tags.every(([key, value]) => own.some(([k, v]) => k === key && v === value)));
  }
}

// probe reads the newest records of a field. It asks for the newest first, as the limit leaves out the others, and gives them to Probe
// in ascending order.
export async function probe(state, signal) {
  const parameters = [...filters(state), ["limit", probed], ["order", "desc"], ["agents", "each"]]; // agents need no merging to be counted
  return new Probe((await get(tablePath(state.table), parameters, { signal })).reverse());
}

// suitableRange returns the shortest range with some 60 buckets that reaches back to the newest one. Of a table that has fewer, it has
// all, but 20 at least.
export function suitableRange(probe, info, now) {
  if (Number.isNaN(probe.newest)) return "1h";
  const width = probe.width || 30e3; // a single bucket shows no width: 30 s is the default of describe
  const age = now - Date.parse(info?.first_bucket ?? "");
  const length = Math.max(age < 60 * width ? Math.max(age, 20 * width) : 60 * width, 1.2 * (now - probe.newest));
  return Object.keys(ranges).find((name) => ranges[name] >= length);
}

// Plan is how the records of a state are read.
//
// parameters select them and range their time; both are parameters of the API. from and to are the ends of the charts, in milliseconds.
// coarse is whether stored buckets are merged into wider ones, and width is that of the buckets in milliseconds, or NaN. split is null
// for each series apart, or the tags that are kept. merges is whether the page merges series by itself, which a note then explains.
export class Plan {
  constructor(state, probe, info, pixels, now) {
    [this.from, this.to] = extent(state, probe, info, now);
    this.range = rangeParameters(state);
    this.split = splitOf(state, probe);
    this.merges = state.split === null && this.split !== null; // without being asked
    const series = seriesCount(state, probe, this.split);
    this.width = probe.width;
    const points = Math.max(1, Math.min(pixels, Math.floor(mostRecords / Math.max(1, series))));
    const coarse = probe.summaries && probe.width > 0 ? coarser(probe.width, this.to - this.from, points) : undefined;
    this.parameters = filters(state);
    if (!probe.summaries) this.parameters.push(["agents", "each"]); // their records cannot be merged
    if (this.split !== null) this.parameters.push(["group_by", this.split.join(",")]);
    if (coarse) {
      this.parameters.push(["bucket", coarse[1]], ["timezone", state.zone]);
      this.width = coarse[0] * 1000;
    }
    this.coarse = Boolean(coarse);
    this.table = state.table;
  }
}

// extent returns the first and the last time of the range of a state.
function extent(state, probe, info, now) {
  if (state.range === "custom") return [state.from, state.to];
  const end = Math.max(now, (probe.newest || 0) + (probe.width || 0));
  if (state.range !== "all") return [now - ranges[state.range], end];
  const first = Date.parse(info?.first_bucket ?? "");
  return [Number.isNaN(first) ? probe.newest || now : first, Math.max(first || 0, (probe.newest || now) + (probe.width || 0))];
}

// rangeParameters returns the parameters start and end of a state. A relative start depends on the clock of the service.
function rangeParameters(state) {
  if (state.range === "custom") return [["start", new Date(state.from).toISOString()], ["end", new Date(state.to).toISOString()]];
  return state.range === "all" ? [] : [["start", "-" + state.range]];
}

// splitOf returns the tags that merged series keep, or null for each series apart.
function splitOf(state, probe) {
  if (state.split === "merged") return [];
  if (state.split !== null && state.split !== "each") return state.split.split(",").filter((key) => key);
  const many = state.split === null && probe.matching(state.tags).length > mostSeries;
  return many && probe.summaries ? [] : null;
}

// seriesCount returns about how many series the answer has: the probe may not have seen all of them.
function seriesCount(state, probe, split) {
  const matching = probe.matching(state.tags);
  if (split === null) return matching.length;
  return new Set(matching.map((tags) => JSON.stringify(tags.filter(([key]) => split.includes(key))))).size;
}

// coarser returns the smallest width that is a multiple of the stored one and has at most that many buckets in a length, or
// undefined if the stored width has.
function coarser(stored, length, points) {
  if (length / stored <= points) return undefined;
  return widths.find(([seconds]) => seconds * 1000 > stored && (seconds * 1000) % stored === 0 && length / (seconds * 1000) <= points)
    ?? widths.find(([seconds]) => seconds * 1000 > stored && length / (seconds * 1000) <= points) ?? widths.at(-1);
}

// read returns the records of a plan, or undefined if nothing has changed since the answer with that ETag. tag is an object whose value
// is the ETag; read changes it. The
// browser sends the ETag of its own copy, and then shows this copy as an answer with the status 200.
export async function read(plan, range, { signal, tag = {} }) {
  const answer = await request(tablePath(plan.table), [...plan.parameters, ...range], { signal, headers: { Accept: "application/json" } });
  const etag = answer.headers.get("ETag");
  if (etag && etag === tag.value) return undefined;
  tag.value = etag;
  try {
    return await answer.json();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem(0, "The answer is not complete", "The connection was interrupted.", 3);
  }
}

// lacksSummaries reports whether a problem is that records cannot be merged.
export const lacksSummaries = (problem) => problem instanceof Problem && problem.title === "No summaries";

// lacksStatistics reports whether the stored records lack statistics of the chart, so that merging can add them.
export function lacksStatistics(store) {
  return store.rows() > 0 && !shownStatistics.every((name) => store.statistics.includes(name));
}

// partsOf returns the number of parts of a distribution of so many values.
const partsOf = (n) => Math.min(48, Math.max(8, Math.ceil(2 * Math.sqrt(n))));

// distribution reads how the values of a bucket are spread. It returns the record and, for each part of the range of values,
// its limits and its share.
export async function distribution(plan, series, row, signal) {
  const start = series.starts[row];
  const parameters = plan.parameters.filter(([name]) => name !== "stats"); // it has its own
  const selected = new Set(parameters.filter(([name]) => name === "tag").map(([, text]) => text));
  for (const tag of series.tags.filter(canFilter)) if (!selected.has(tag.join("="))) parameters.push(["tag", tag.join("=")]);
  const edges = edgesOf(series, row);
  parameters.push(["start", new Date(start).toISOString()], ["end", new Date(start + 1).toISOString()]);
  parameters.push(["stats", "count,min,max,mean,stddev,p1,p5,p25,median,p75,p95,p99,p99.9"]);
  for (const edge of edges.slice(1, -1)) parameters.push(["share_le", String(edge)]);
  const records = await get(tablePath(plan.table), parameters, { signal });
  const store = new Store();
  store.fill(records);
  const i = store.list().findIndex((s) => sameTags(s.tags, series.tags) && (!s.who || !series.who || s.who === series.who));
  if (i < 0) throw new Problem(404, "This bucket is gone", "It has expired, or it has changed.");
  return spread(store.list()[i], edges);
}

// edgesOf divides the range of a bucket's values into parts of equal width, or of equal ratio if most values are near the least: parts
// of equal width would then leave all bars but the first empty. It returns the edges, one more than there are parts.
function edgesOf(series, row) {
  const [low, high, p95] = ["min", "max", "p95"].map((name) => series.value(name, row));
  if (!(high > low)) return [low, high];
  const bars = partsOf(series.value("count", row) || 1000);
  const log = low > 0 && high / low > 20 && high - low > 6 * (p95 - low);
  const part = (i) => (log ? low * (high / low) ** (i / bars) : low + ((high - low) * i) / bars);
  return Array.from({ length: bars + 1 }, (_, i) => (i === 0 ? low : i === bars ? high : part(i)));
}

// spread returns the shares between the edges. The API has for each edge the share of the values up to it, so the share of a part is a
// difference. error is the largest error of these shares, 0 if the summary is exact. log is whether the parts are of equal ratio.
function spread(series, edges) {
  const shares = new Map();
  let error = 0;
  for (const name of series.columns.keys()) {
    if (!name.startsWith("share_le_")) continue;
    if (name.endsWith("_error")) error = Math.max(error, series.value(name, 0));
    else shares.set(Number(name.slice("share_le_".length)), series.value(name, 0));
  }
  const reached = edges.map((edge, i) => (i === 0 ? 0 : i === edges.length - 1 ? 1 : shares.get(edge) ?? NaN));
  const parts = edges.slice(1).map((to, i) => ({ from: edges[i], to, share: reached[i + 1] - reached[i] }));
  return { series, parts, error, log: edges.length > 2 && edges[2] - edges[1] > 1.0001 * (edges[1] - edges[0]) };
}
