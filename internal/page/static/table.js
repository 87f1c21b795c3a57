// The table of statistics: one row for each bucket of each series, which is also the text of the chart.

import { byId, element } from "./dom.js";
import { count, number, plural, tagText, time } from "./format.js";
import { final, open } from "./series.js";

const pageSize = 50;
const usual = ["count", "min", "mean", "median", "p95", "max"]; // the order of the first columns
const wholes = new Set(["count", "mode_count"]);

// Table shows the rows of a list of series, a page at a time: thousands of rows of elements would make the page slow. It is made anew at
// each update, so it keeps the focus by the attribute data-id of the focused button.
export class Table {
  // onsort gets a new order, such as "-time"; onpick a series and a start.
  constructor({ onsort, onpick }) {
    Object.assign(this, { onsort, onpick, page: 0, sort: "-time", series: [], order: [], pressed: false, late: false });
    for (const id of ["table", "pager"]) byId(id).addEventListener("pointerdown", (event) => { this.pressed = event.button === 0; });
    for (const end of ["pointerup", "pointercancel"]) addEventListener(end, () => setTimeout(() => this.released()));
  }

  // released draws what waited for the end of a press. The click of the press has been handled before.
  released() {
    this.pressed = false;
    if (this.late) this.draw();
  }

  // update shows series. at is the start and the key of the series of the chosen bucket.
  update(series, { sort, zone, labels, at }) {
    if (sort !== this.sort) this.page = 0;
    Object.assign(this, { series, sort, zone, labels, at });
    this.columns = columnsOf(series);
    this.order = ordered(series, sort);
    this.draw();
  }

  // turn shows a page, which is a number from 0.
  turn(page) {
    this.page = page;
    this.draw();
  }

  // draw shows the rows of the page. There can be fewer pages than before. While a button of the mouse is down, it waits: a button of the page that
  // is made anew between the press and the release gets no click.
  draw() {
    this.late = this.pressed;
    if (this.pressed) return;
    const pages = Math.max(1, Math.ceil(this.order.length / pageSize));
    this.page = Math.min(this.page, pages - 1);
    const rows = this.order.slice(this.page * pageSize, (this.page + 1) * pageSize);
    const focused = document.activeElement?.closest?.("#table")?.contains(document.activeElement) ? document.activeElement.dataset.id : "";
    byId("table").replaceChildren(
      element("caption", { class: "hidden" }, "Statistics of each bucket"),
      element("thead", {}, element("tr", {}, ...this.columns.map((column) => this.head(column)))),
      element("tbody", {}, ...rows.map(([s, row]) => this.row(s, row))));
    if (focused) byId("table").querySelector(`[data-id="${CSS.escape(focused)}"]`)?.focus();
    this.drawPager(pages, rows.length);
  }

  // head returns the head of a column. Its button sorts by the column: numbers first descending, texts ascending, and then the other way.
  head(column) {
    const [down, name] = [this.sort.startsWith("-"), this.sort.replace(/^-/, "")];
    const sorted = name === column.name;
    const label = element("button", {
      type: "button", "data-id": "sort-" + column.name,
      onclick: () => this.onsort(sorted ? (down ? name : "-" + name) : column.text ? column.name : "-" + column.name),
    }, column.title, element("span", { class: "arrow", "aria-hidden": "true" }, sorted ? (down ? "↓" : "↑") : ""));
    return element("th", { scope: "col", class: column.text ? "text" : "", "aria-sort": sorted ? (down ? "descending" : "ascending") : "none" }, label);
  }

  // row returns the row of a bucket. The start is a button that shows the distribution.
  row(s, row) {
    const start = s.starts[row];
    const chosen = this.at?.start === start && this.at?.key === s.key;
    const cells = this.columns.map((column) => {
      if (column.name === "time") {
        const text = time(start, this.zone);
        const button = element("button", {
          type: "button", "data-id": `${start}-${s.key}`, "aria-label": `${text}, show the distribution`, onclick: () => this.onpick(s, start),
        }, text);
        return element("th", { scope: "row" }, button);
      }
      return element("td", { class: column.text ? "text" : "" }, this.cell(column, s, row));
    });
    return element("tr", { class: s.states[row] === open ? "open" : undefined, "aria-current": chosen ? "true" : undefined }, ...cells);
  }

  // cell returns the text of a cell that is not the start.
  cell(column, s, row) {
    if (column.name === "series") return this.labels.get(s.key) || "all";
    if (column.name === "state") return s.states[row] === open ? "open" : s.states[row] === final ? "final" : "";
    const value = s.value(column.name, row);
    return wholes.has(column.name) ? count(value) : number(value);
  }

  // drawPager shows which rows are shown, and buttons if there are several pages.
  drawPager(pages, shown) {
    const first = this.page * pageSize;
    const turn = (label, page, possible) => element("button", { type: "button", class: "quiet", disabled: !possible, onclick: () => this.turn(page) }, label);
    const all = plural(this.order.length, "bucket");
    byId("pager").replaceChildren(
      element("span", { class: "muted" }, pages > 1 ? `${count(first + 1)}–${count(first + shown)} of ${all}` : all),
      ...(pages > 1 ? [turn("Previous", this.page - 1, this.page > 0), turn("Next", this.page + 1, this.page < pages - 1)] : []));
  }
}

// columnsOf returns the columns: the bucket, the series if there are several, the state if the records have it, statistics.
function columnsOf(series) {
  const names = new Set(series.flatMap((s) => [...s.columns.keys()]));
  const columns = [{ name: "time", title: "Bucket", text: true }];
  if (series.length > 1) columns.push({ name: "series", title: "Series", text: true });
  if (series.some((s) => s.states.some((state) => state === open || state === final))) columns.push({ name: "state", title: "State", text: true });
  for (const name of [...usual.filter((name) => names.has(name)), ...[...names].filter((name) => !usual.includes(name))]) {
    columns.push({ name, title: name.replace(/(\d)_(\d)/, "$1.$2"), text: false });
  }
  return columns;
}

// ordered returns the rows of all series in an order, as pairs of a series and a row. Rows without a value come last in both directions.
// Equal ones are in the order of the newest start, and then of the series.
function ordered(series, sort) {
  const rows = series.flatMap((s) => Array.from(s.starts, (_, row) => [s, row]));
  const [down, name] = [sort.startsWith("-"), sort.replace(/^-/, "")];
  const rank = new Map(series.map((s, i) => [s, i]));
  const value = name === "time" ? ([s, row]) => s.starts[row]
    : name === "series" ? ([s]) => rank.get(s)
      : name === "state" ? ([s, row]) => s.states[row] : ([s, row]) => s.value(name, row);
  const keyed = rows.map((row) => [value(row), row]);
  const side = down ? -1 : 1;
  keyed.sort(([a, p], [b, q]) => {
    if (a !== b) {
      if (Number.isNaN(a) || Number.isNaN(b)) { if (!(Number.isNaN(a) && Number.isNaN(b))) return Number.isNaN(a) ? 1 : -1; } else return side * (a - b);
    }
    return q[0].starts[q[1]] - p[0].starts[p[1]] || rank.get(p[0]) - rank.get(q[0]);
  });
  return keyed.map(([, row]) => row);
}

// labelsOf returns the names of series by key: the tags in which they differ, and the agent where that is apart.
export function labelsOf(series) {
  const differs = (key) => new Set(series.map((s) => s.tags.find(([k]) => k === key)?.[1])).size > 1;
  return new Map(series.map((s) => {
    const own = s.tags.filter(([key]) => series.length > 1 && differs(key));
    return [s.key, [tagText(own), s.who && `agent ${s.who}`].filter(Boolean).join(", ")];
  }));
}
