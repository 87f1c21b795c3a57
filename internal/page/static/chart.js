// Charts of series: the band from min to max, the median and the 95th percentile of each bucket.
//
// uPlot draws the lines and the band on a canvas. This module draws the rest on the same canvas: open buckets, buckets without
// neighbours, cut peaks and the chosen bucket. All charts have one cursor and, unless the reader wants otherwise, one scale.
// A canvas has no text for screen readers: the arrow keys read the buckets, and the table has all of them.

import { announce, byId, element } from "./dom.js";
import { axisNumber, count, number, time } from "./format.js";
import { open } from "./series.js";

const { uPlot } = globalThis;
const [median, p95, low, high] = ["median", "p95", "min", "max"];
const dragged = 6; // pixels that make a click a drag
const shared = uPlot.sync("charts"); // one cursor for all charts

// Texts of the axis of time, by the smallest distance of its marks in milliseconds, in the form that uPlot wants: the text of each mark,
// and what is added at the first mark of a year, a day or a minute.
const stamps = [
  [31536e6, "{YYYY}", null, null, null, null, null, null, 1],
  [2419200e3, "{MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [86400e3, "{D} {MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [60e3, "{HH}:{mm}", "\n{D} {MMM} {YYYY}", null, "\n{D} {MMM}", null, null, null, 1],
  [1e3, "{HH}:{mm}:{ss}", "\n{D} {MMM} {YYYY}", null, "\n{D} {MMM}", null, null, null, 1],
  [1, "{ss}.{fff}", "\n{D} {MMM} {HH}:{mm}", null, "\n{D} {MMM} {HH}:{mm}", null, "\n{HH}:{mm}", null, 1],
];

// colors returns the colours of the style sheet. The legend has them, so that both are the same.
function colors() {
  const of = (selector, property = "color") => getComputedStyle(document.querySelector(selector))[property];
  return {
    median: of(".swatch.median"), p95: of(".swatch.p95"), band: of(".swatch.band"), open: of(".swatch.open"),
    text: of(".hint"), grid: of("#statistics", "borderTopColor"),
  };
}

// Charts shows one chart for each series.
export class Charts {
  // onpick gets a series and the start of a bucket, and onzoom the ends of a range.
  constructor({ onpick, onzoom }) {
    Object.assign(this, { root: byId("charts"), onpick, onzoom, charts: new Map() }); // charts by the key of their series
    new ResizeObserver(() => this.resize()).observe(this.root);
  }

  // width returns how many pixels wide the plot of a chart is, if there are so many series. More buckets than that cannot be seen.
  width(series) {
    const columns = series > 1 && this.root.clientWidth >= 900 ? 2 : 1;
    return (this.root.clientWidth || document.body.clientWidth - 40) / columns - 60;
  }

  // update shows series. view has the range from and to and the width of buckets in milliseconds, the zone, labels by key, ownScale
  // (whether each chart has a scale of its own), full (whether peaks are shown whole), at (the start and the key of the series of the
  // chosen bucket, or undefined) and title. Charts of series that are shown already are kept: a new one would lose the cursor. cut is
  // then whether any series has peaks.
  update(series, view) {
    const keys = new Set(series.map((s) => s.key));
    for (const [key, chart] of this.charts) if (!keys.has(key) || chart.zone !== view.zone) this.remove(key);
    this.root.classList.toggle("several", series.length > 1);
    const all = series.map((s) => limits(s, view.full));
    const common = [Math.min(...all.map(([least]) => least)), Math.max(...all.map(([, most]) => most))];
    this.cut = series.some((s) => cuts(s));
    this.colors = colors();
    series.forEach((s, i) => {
      let chart = this.charts.get(s.key);
      if (!chart) this.charts.set(s.key, (chart = new Chart(this, view.zone)));
      if (this.root.children[i] !== chart.root) this.root.insertBefore(chart.root, this.root.children[i] ?? null);
      chart.update(s, view, view.ownScale ? all[i] : common);
    });
  }

  // remove removes the chart of a series.
  remove(key) {
    this.charts.get(key).destroy();
    this.charts.delete(key);
  }

  resize() {
    for (const chart of this.charts.values()) chart.resize();
  }

  // recolor draws again with the colours of another theme.
  recolor() {
    this.colors = colors();
    for (const chart of this.charts.values()) chart.plot?.redraw();
  }
}

// range returns the least and the largest value of some statistics of a series.
function range(s, ...names) {
  let [least, most] = [Infinity, -Infinity];
  for (const name of names) {
    for (const value of s.columns.get(name) ?? []) {
      if (value < least) least = value;
      if (value > most) most = value;
    }
  }
  return [least, most];
}

// peak is how many times farther than the medians and percentiles a minimum or maximum is, at least, for being cut off.
const peak = 4;

// core returns the range of medians and percentiles, and how much room beyond it is shown if there are peaks.
function core(s) {
  const [bottom, top] = range(s, median, p95);
  return { bottom, top, room: Math.max(top - bottom, 0.1 * Math.abs(top)) };
}

// limits returns the least and the largest value that the chart of a series shows. Unless it is full, it leaves out peaks, because
// one of them would make the rest a flat line.
function limits(s, full) {
  const [least, most] = range(s, low, high, median, p95);
  const { bottom, top, room } = core(s);
  if (full || !(room > 0)) return [least, most];
  return [least < bottom - peak * room ? bottom - room : least, most > top + peak * room ? top + room : most];
}

// cuts reports whether a chart that is not full leaves out peaks of a series.
function cuts(s) {
  const [whole, part] = [limits(s, true), limits(s, false)];
  return whole[0] !== part[0] || whole[1] !== part[1];
}

// padded returns the ends of an axis for values, with 6 % of room. It begins at 0 unless that would leave the lower half empty or more.
// Without values it is [0, 1].
function padded([least, most]) {
  if (!(least <= most)) return [0, 1];
  if (least === most) return least === 0 ? [0, 1] : [Math.min(0, 2 * least), Math.max(0, 2 * most)];
  const room = (most - least) * 0.06;
  const bottom = least >= 0 && least < 0.5 * most ? 0 : least - room;
  return [bottom, most + room];
}

// Chart is the chart of one series. Its zone is fixed, because uPlot takes it once; Charts makes another one for another zone.
class Chart {
  constructor(owner, zone) {
    Object.assign(this, { owner, zone });
    this.name = element("h2", { class: "name" });
    this.readout = element("p", { class: "readout" });
    this.area = element("div", { class: "plot", tabindex: "0", role: "application", "aria-roledescription": "chart", onkeydown: (event) => this.key(event) });
    this.root = element("article", { class: "chart" }, element("div", { class: "caption" }, this.name, this.readout), this.area);
  }

  // update shows a series. values are the least and the largest value of the axis. uPlot is made at the first update.
  update(series, view, values) {
    const label = view.labels.get(series.key) ?? "";
    Object.assign(this, { series, view, label, values: padded(values) });
    this.name.textContent = label;
    this.name.hidden = label === "";
    const name = [view.title, label].filter(Boolean).join(", ");
    this.area.setAttribute("aria-label", `${name}: ${count(series.length)} buckets. Arrow keys read them, Enter shows the distribution.`);
    const data = this.data();
    if (this.plot) this.plot.setData(data);
    else this.plot = new uPlot(this.options(), data, this.area);
    this.read(this.plot.cursor.idx);
  }

  // data returns the columns of the chart. rows has the row of the series for each point, or -1 where buckets are missing, which
  // interrupts the lines. Buckets of months differ in length, so only a distance of more than 1.6 widths is a gap.
  data() {
    const { starts } = this.series;
    const gap = 1.6 * this.view.width;
    this.rows = [];
    const x = [];
    for (let row = 0; row < starts.length; row++) {
      if (row > 0 && starts[row] - starts[row - 1] > gap) {
        x.push(starts[row - 1] + this.view.width);
        this.rows.push(-1);
      }
      x.push(starts[row]);
      this.rows.push(row);
    }
    const whole = x.length === starts.length;
    return [x, ...[high, low, p95, median].map((name) => {
      const column = this.series.columns.get(name);
      if (!column) return new Array(x.length).fill(null);
      if (whole && !column.some(Number.isNaN)) return column.slice();
      return this.rows.map((row) => (row < 0 || Number.isNaN(column[row]) ? null : column[row]));
    })];
  }

  // options returns the options of uPlot. Colours are functions, so that redrawing uses those of another theme.
  options() {
    const color = (name) => () => this.owner.colors[name];
    const line = (name, width, dash) => ({ stroke: color(name), width, dash, points: { filter: alone, size: 4, stroke: color(name), fill: color(name) } });
    const axis = { stroke: color("text"), font: "12px system-ui, sans-serif", ticks: { show: false }, grid: { stroke: color("grid"), width: 1 } };
    return {
      ...this.size(), ms: 1, tzDate: (stamp) => uPlot.tzDate(new Date(stamp), this.zone), legend: { show: false }, padding: [8, 22, 0, 0],
      cursor: {
        y: false, drag: { x: true, y: false, setScale: false, dist: dragged }, sync: { key: shared.key, setSeries: false },
        points: { size: 7, fill: (_, i) => this.pointColor(i), stroke: "transparent" },
      },
      scales: { x: { time: true, range: () => [this.view.from, this.view.to] }, y: { range: () => this.values } },
      series: [{}, { points: { show: false } }, { points: { show: false } }, line("p95", 1.25, [4, 3]), line("median", 2)],
      bands: [{ series: [1, 2], fill: color("band") }],
      axes: [{ ...axis, values: stamps, space: 80, size: 44 }, { ...axis, size: axisWidth, space: 34, values: (_, all) => all.map(axisNumber) }],
      hooks: {
        drawClear: [(plot) => this.drawOpen(plot), (plot) => this.drawAlone(plot)],
        draw: [(plot) => this.drawPeaks(plot), (plot) => this.drawChosen(plot)],
        setCursor: [(plot) => this.read(plot.cursor.idx)],
        setSelect: [(plot) => this.zoom(plot)], ready: [(plot) => this.listen(plot.over)],
      },
    };
  }

  // pointColor returns the colour of the cursor's point of column i of the data; the ends of the band have none.
  pointColor(i) {
    return i === 3 ? this.owner.colors.p95 : i === 4 ? this.owner.colors.median : "transparent";
  }

  // size returns the width and the height of the plot in pixels.
  size() {
    const several = this.owner.root.classList.contains("several");
    return { width: Math.max(200, this.area.clientWidth), height: several ? 210 : 320 };
  }

  resize() {
    const { width, height } = this.size();
    if (this.plot && (width !== this.plot.width || height !== this.plot.height)) this.plot.setSize({ width, height });
  }

  // drawOpen hatches the buckets that are open. Those that follow each other are one rectangle, so that no seams are seen.
  drawOpen(plot) {
    const { starts, states } = this.series;
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.fillStyle = hatch(ctx, this.owner.colors.open);
    for (let row = 0; row < starts.length; row++) {
      if (states[row] !== open) continue;
      const first = starts[row];
      while (states[row + 1] === open && starts[row + 1] - starts[row] <= 1.6 * this.view.width) row++;
      const [left, right] = [first, starts[row] + (this.view.width || 0)].map((at) => plot.valToPos(at, "x", true));
      ctx.fillRect(left, bbox.top, Math.max(2, right - left), bbox.height);
    }
    ctx.restore();
  }

  // drawAlone draws the range of buckets that have no neighbours, as the band needs two.
  drawAlone(plot) {
    const { starts, columns } = this.series;
    const [tops, bottoms] = [columns.get(high), columns.get(low)];
    if (!tops || !bottoms) return;
    const wide = 4 * devicePixelRatio;
    plot.ctx.save();
    plot.ctx.fillStyle = this.owner.colors.band;
    this.rows.forEach((row, i) => {
      if (row < 0 || (this.rows[i - 1] ?? -1) >= 0 || (this.rows[i + 1] ?? -1) >= 0) return;
      const [x, top, bottom] = [plot.valToPos(starts[row], "x", true), plot.valToPos(tops[row], "y", true), plot.valToPos(bottoms[row], "y", true)];
      plot.ctx.fillRect(x - wide / 2, top, wide, bottom - top);
    });
    plot.ctx.restore();
  }

  // drawPeaks draws triangles where values are beyond the chart.
  drawPeaks(plot) {
    const { starts, columns } = this.series;
    const { ctx, bbox } = plot;
    const size = 4 * devicePixelRatio;
    ctx.save();
    ctx.fillStyle = this.owner.colors.p95;
    const mark = (column, beyond, y, way) => column?.forEach((value, row) => {
      if (!beyond(value) || starts[row] < this.view.from || starts[row] > this.view.to) return;
      const x = plot.valToPos(starts[row], "x", true);
      ctx.beginPath();
      ctx.moveTo(x, y);
      ctx.lineTo(x - size, y + way * size * 1.6);
      ctx.lineTo(x + size, y + way * size * 1.6);
      ctx.fill();
    });
    mark(columns.get(high), (value) => value > this.values[1], bbox.top, 1);
    mark(columns.get(low), (value) => value < this.values[0], bbox.top + bbox.height, -1);
    ctx.restore();
  }

  // drawChosen draws a line at the bucket whose distribution is shown.
  drawChosen(plot) {
    if (this.view.at?.key !== this.series.key) return;
    const { ctx, bbox } = plot;
    const x = Math.round(plot.valToPos(this.view.at.start, "x", true));
    ctx.save();
    ctx.fillStyle = this.owner.colors.median;
    ctx.fillRect(x - 1, bbox.top, 2, bbox.height);
    ctx.restore();
  }

  // row returns the row of a point, or of the newest bucket if there is none.
  row(index) {
    const row = index === null || index === undefined ? -1 : this.rows[index] ?? -1;
    return row >= 0 ? row : this.series.length - 1;
  }

  // read shows the numbers of the bucket at a point, or of the newest one if the cursor is nowhere.
  read(index) {
    if (!this.rows) return;
    this.readBucket(this.row(index));
  }

  // readBucket shows the numbers of a bucket beside the name of the series.
  readBucket(row) {
    this.readout.replaceChildren(...this.parts(row).map((part) => element("span", {}, part)));
  }

  // parts describes a bucket.
  parts(row) {
    const s = this.series;
    if (row < 0) return [];
    const at = time(s.starts[row], this.zone);
    const parts = [this.view.to - this.view.from > 86400e3 ? at : at.slice(at.indexOf(" ") + 1)];
    for (const name of [median, p95, low, high]) if (s.columns.has(name)) parts.push(`${name} ${number(s.value(name, row))}`);
    if (s.columns.has("count")) parts.push(`count ${count(s.value("count", row))}`);
    if (s.states[row] === open) parts.push("open");
    return parts;
  }

  // listen picks a bucket on a click that is not the end of a drag.
  listen(over) {
    let pressed = 0;
    over.addEventListener("mousedown", (event) => { pressed = event.clientX; });
    over.addEventListener("click", (event) => {
      const left = event.clientX - over.getBoundingClientRect().left;
      if (Math.abs(event.clientX - pressed) < dragged) this.pick(this.row(this.plot.posToIdx(left)));
    });
  }

  pick(row) {
    if (row >= 0) this.owner.onpick(this.series, this.series.starts[row]);
  }

  // zoom chooses the range that was selected by dragging. uPlot does not zoom itself, because the range has other records.
  zoom(plot) {
    const { left, width } = plot.select;
    if (width === 0) return;
    const [from, to] = [left, left + width].map((x) => Math.round(plot.posToVal(x, "x")));
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    if (to > from) this.owner.onzoom(from, to);
  }

  // key moves the cursor from bucket to bucket, and picks one. reading is the row of the cursor; the first key begins at the newest one.
  key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity }[event.key];
    const last = this.series.length - 1;
    if (step) this.moveTo(Math.min(last, Math.max(0, (this.reading ?? last - Math.sign(step)) + step)));
    else if (event.key === "Enter" || event.key === " ") this.pick(Math.min(last, this.reading ?? last));
    else return;
    event.preventDefault();
  }

  // moveTo moves the cursor to a row and has screen readers read it.
  moveTo(row) {
    this.reading = row;
    this.plot.setCursor({ left: this.plot.valToPos(this.series.starts[row], "x"), top: 10 });
    this.readBucket(row);
    announce(this.parts(row).join(", "));
  }

  destroy() {
    this.plot?.destroy();
    this.root.remove();
  }
}

// axisWidth returns the pixels for the texts of the axis of values.
const axisWidth = (_, texts) => 16 + 7 * Math.max(4, ...(texts ?? []).map((text) => text.length));

// alone returns the points that have no neighbour on either side, as lines do not show them.
function alone(plot, series) {
  const data = plot.data[series];
  const found = [];
  for (let i = 0; i < data.length; i++) {
    if (data[i] !== null && (data[i - 1] ?? null) === null && (data[i + 1] ?? null) === null) found.push(i);
  }
  return found;
}

let pattern; // the last one: a colour and its fill

// hatch returns diagonal lines of a colour.
function hatch(ctx, color) {
  if (pattern?.color === color) return pattern.fill;
  const tile = document.createElement("canvas");
  tile.width = tile.height = 8;
  const pen = tile.getContext("2d");
  pen.strokeStyle = color;
  pen.lineWidth = 1;
  for (const x of [-8, 0, 8]) {
    pen.moveTo(x - 1, 9);
    pen.lineTo(x + 9, -1);
  }
  pen.stroke();
  pattern = { color, fill: ctx.createPattern(tile, "repeat") };
  return pattern.fill;
}
