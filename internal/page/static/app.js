// The page: reads its state from its address, asks the API for the records, and shows them.
//
//   address ─ state.js ─▶ state ─▶ choose: names and probe ─▶ plan ─ query.js ─▶ records ─▶ store ─ series.js ─▶ draw
//      ▲                    ▲                                  │                            ▲                  ├─ chart.js
//      └──── history ───────┤                                  └── follow: events ─▶ changed┘                  ├─ table.js
//                           └── change, adjust ◀── what the reader does ◀── controls.js ◀──────────────────────┴─ distribution.js
//
// load does the whole way, and begins anew when the reader changes the state. An event of the stream only changes the store: a changed
// bucket is added if its records are shown as they are stored, and read again if they are merged.

import { Problem, address, follow, get, now, pause, request, tablePath, token } from "./api.js";
import { Charts } from "./chart.js";
import { Controls } from "./controls.js";
import { hideDistribution, showDistribution } from "./distribution.js";
import { announce, byId, element } from "./dom.js";
import { plural, rough, span, tableName, tagText, time } from "./format.js";
import * as messages from "./messages.js";
import { Plan, Probe, canFilter, distribution, filters, lacksStatistics, lacksSummaries, mostCharts, probe, read, suitableRange } from "./query.js";
import { Store, sameTags } from "./series.js";
import { format, parse, ranges } from "./state.js";
import { Table, labelsOf } from "./table.js";

const statistics = "count,min,max,mean,median,p95"; // of records that lack those of the chart
const drawPause = 250; // milliseconds between two drawings of live buckets
const readPause = 1000; // milliseconds between two readings of merged buckets that have changed

// App is the page. Beside the fields of the constructor it has, among others:
//
//   plan       how the shown records are read, from the last readPlanned
//   probe      what is known of the series of the table, for the tags of the state; if it has all, that is for all tags
//   etag       of the records of the plan's range; its value is set by read
//   loading    ends the running load; its signal also ends readings that an event began
//   following  ends the stream; undefined without one
//   changes    the first and last start of buckets that readSoon will read; undefined if it waits for none
//   reading    whether readAgain runs
//   missed     whether a bucket changed while the whole range was read, so it must be read again
//   drawn      whether records were drawn, so that they can stay after a failure
//   rangeIsOurs  whether the page has chosen the range, so that another table may have another one
class App {
  constructor() {
    this.state = parse(location.search);
    this.databases = []; // as the API describes them
    this.tables = []; // of the database of the state, as the API describes them
    this.probes = new Map(); // by filters and table, for a minute
    this.store = new Store(); // the shown records
    this.controls = new Controls({ change: (part) => this.change(part), refresh: () => this.refresh() });
    this.charts = new Charts({ onpick: (s, start) => this.pick(s, start), onzoom: (from, to) => this.change({ range: "custom", from, to }) });
    this.table = new Table({ onsort: (sort) => this.adjust({ sort }), onpick: (s, start) => this.pick(s, start) });
    this.listen();
    this.load();
    setInterval(() => this.slide(), 5000);
  }

  // listen listens to the parts of the page that have no module of their own.
  listen() {
    addEventListener("popstate", () => {
      this.state = parse(location.search);
      this.load();
    });
    byId("own-scale").addEventListener("change", (event) => this.adjust({ ownScale: event.target.checked }));
    byId("full").addEventListener("change", (event) => this.adjust({ full: event.target.checked }));
    byId("live").addEventListener("click", () => {
      this.adjust({ live: !this.state.live });
      if (this.state.live) this.load();
      else this.unfollow();
    });
    for (const name of ["csv", "json"]) byId(name).addEventListener("click", (event) => token() && this.download(event, name));
    byId("theme").addEventListener("click", () => this.nextTheme());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.charts.recolor());
    addEventListener("keydown", (event) => event.key === "Escape" && !event.defaultPrevented && !Number.isNaN(this.state.at) && this.unpick());
    document.addEventListener("visibilitychange", () => this.hide(document.hidden));
    this.showTheme();
  }

  // hide ends the stream while nobody sees the page, because a browser has few connections to one service.
  hide(hidden) {
    if (hidden) this.unfollow();
    else if (this.state.live && !this.following) this.load();
  }

  // change takes what the reader chose, and loads it. It is a step of the browser's history.
  change(part) {
    if (part.range) this.rangeIsOurs = false;
    if ("table" in part && this.rangeIsOurs) part.range = "";
    if ("table" in part || "field" in part || "range" in part) part.at = NaN;
    this.state = { ...this.state, ...part };
    history.pushState(null, "", "?" + format(this.state));
    this.load();
  }

  // adjust takes a part of the state that needs no other records. It is no step of the browser's history.
  adjust(part) {
    this.state = { ...this.state, ...part };
    this.remember();
    this.draw();
  }

  // remember puts the state into the address.
  remember() {
    history.replaceState(null, "", "?" + format(this.state));
  }

  // load reads everything that the state needs. Only the last call goes on: it aborts the one before. What is shown stays until the
  // records are there.
  async load() {
    this.loading?.abort();
    clearTimeout(this.retry);
    this.loading = new AbortController();
    const { signal } = this.loading;
    byId("main").setAttribute("aria-busy", "true");
    this.showControls();
    try {
      if (await this.choose(signal)) await this.readRecords(signal);
    } catch (error) {
      if (signal.aborted) return;
      this.fail(error);
    }
    byId("main").setAttribute("aria-busy", "false");
    this.showService();
    if (this.missed && this.following) this.readAgain();
  }

  // fail shows an error, and plans another try if that makes sense.
  fail(error) {
    if (!(error instanceof Problem)) {
      messages.failed(new Problem(0, "The page has failed", String(error)));
      throw error;
    }
    if (error.status === 401) {
      this.unfollow();
      byId("view").hidden = true;
      messages.askForToken(() => this.load());
      return;
    }
    const stale = this.drawn && error.seconds > 0; // what was read before stays
    byId("view").hidden = !stale;
    if (!stale) this.unfollow();
    messages.failed(error);
    this.again(error.seconds);
  }

  // again plans another load, or none after 0 seconds.
  again(seconds) {
    clearTimeout(this.retry);
    if (seconds > 0) this.retry = setTimeout(() => this.load(), seconds * 1000);
  }

  // choose reads which databases, tables and series there are, and chooses what the state leaves open. It returns false if there is
  // nothing to show.
  async choose(signal) {
    const s = this.state;
    this.databases = await get("databases", [], { signal });
    this.showControls();
    if (this.databases.length === 0) {
      byId("view").hidden = true;
      messages.nothingStored();
      this.again(3);
      return false;
    }
    s.db ||= newest(this.databases)?.database ?? "";
    this.tables = await get("analytics", [["database", s.db]], { signal });
    s.table ||= newest(this.tables.filter((table) => table.fields.length > 0))?.table ?? this.tables[0].table;
    const i = this.tables.indexOf(this.info());
    if (i >= 0) s.table = this.tableChoices()[i];
    s.field ||= this.info()?.fields[0] ?? "";
    this.showControls();
    this.probe = await this.readProbe(signal);
    if (!s.range) {
      s.range = suitableRange(this.probe, this.info(), now());
      this.rangeIsOurs = true;
    }
    this.remember();
    this.showControls();
    return true;
  }

  // info returns the description of the chosen table.
  info() {
    const { table } = this.state;
    return this.tables.find((info) => info.table === table) ?? this.tables.find((info) => tableName(info.table) === table);
  }

  // readProbe reads which series there are, unless it did so less than a minute ago. It asks without tags, so that other tags can be
  // offered. If that finds no series with the chosen tags, or not all series, it asks with the tags too.
  async readProbe(signal) {
    const s = { ...this.state, tags: [] };
    const known = async (state) => {
      const key = JSON.stringify([filters(state), state.table]);
      const old = this.probes.get(key);
      if (old && now() - old.at < 60e3) return old;
      const made = Object.assign(await probe(state, signal), { at: now() });
      this.probes.set(key, made);
      return made;
    };
    const all = await known(s);
    if (all.matching(this.state.tags).length > 0 && !all.full) return all;
    const own = this.state.tags.length > 0 ? await known(this.state) : all;
    return own.series.length > 0 ? Object.assign(Object.create(Probe.prototype), own, { series: [...own.series], all }) : all;
  }

  // refresh reads the names again before the reader chooses one.
  async refresh() {
    if (now() - (this.refreshed ?? 0) < 5000 || this.databases.length === 0) return;
    this.refreshed = now();
    try {
      this.databases = await get("databases");
      if (this.state.db) this.tables = await get("analytics", [["database", this.state.db]]);
      this.showControls();
    } catch { /* the names that are known stay */ }
  }

  // tableChoices returns the names of tables without their prefix, unless that would give two the same name.
  tableChoices() {
    const names = this.tables.map((info) => tableName(info.table));
    return new Set(names).size === names.length ? names : this.tables.map((info) => info.table);
  }

  // showControls shows the state and what is known of the choices. It is called after each step of choose, so that the reader can
  // choose before the next one has ended.
  showControls() {
    const tags = new Map();
    for (const series of (this.probe?.all ?? this.probe)?.series ?? []) for (const tag of series.filter(canFilter)) tags.set(tag.join("="), tag);
    const info = this.info();
    this.controls.show(this.state, {
      databases: this.databases.map((d) => d.database), tables: this.tableChoices(),
      fields: info?.fields ?? [], tagKeys: (info?.tag_keys ?? []).filter((key) => !key.includes(",")),
      tags: [...tags.values()].sort((a, b) => a.join("=").localeCompare(b.join("="), "en", { numeric: true })),
    });
  }

  // readRecords reads the records of the state and shows them.
  async readRecords(signal) {
    this.etag = {};
    const records = await this.readPlanned(signal);
    this.store.fill(records);
    if (lacksStatistics(this.store) && !this.plan.coarse && this.plan.split === null && this.probe.summaries) await this.addStatistics(signal);
    messages.clear();
    if (this.store.rows() === 0) this.showEmpty();
    else {
      this.show();
      announce(byId("summary").textContent);
    }
    this.follow();
  }

  // readPlanned reads the records. Where they cannot be merged, it reads the stored ones.
  async readPlanned(signal) {
    this.plan = this.makePlan();
    try {
      return (await read(this.plan, this.plan.range, { signal, tag: this.etag })) ?? [];
    } catch (error) {
      const asked = this.state.split !== null && this.state.split !== "each";
      if (!lacksSummaries(error) || asked) throw error;
      this.probe.summaries = false;
      this.plan = this.makePlan();
      return (await read(this.plan, this.plan.range, { signal, tag: this.etag })) ?? [];
    }
  }

  makePlan() {
    return new Plan(this.state, this.probe, this.info(), this.charts.width(this.probe.matching(this.state.tags).length), now());
  }

  // addStatistics reads the statistics of the chart that the stored records lack, from their summaries.
  async addStatistics(signal) {
    const parameters = [...this.plan.parameters, ["stats", statistics]];
    try {
      const records = await read({ ...this.plan, parameters }, this.plan.range, { signal });
      this.store.fill(records);
      this.plan.parameters = parameters;
      this.plan.merged = true;
    } catch (error) {
      if (!lacksSummaries(error)) throw error;
      this.probe.summaries = false;
    }
  }

  // showEmpty shows that the range has no buckets, and when the newest one began. Its button shows that one and about 60 before it.
  showEmpty() {
    byId("view").hidden = true;
    const { newest, width } = this.probe;
    if (Number.isNaN(newest)) {
      messages.noBuckets("The table has none of this field and these tags.");
      return;
    }
    const length = 60 * (width || 60e3);
    messages.noBuckets(`The newest bucket began ${rough(now() - newest)} ago, at ${time(newest, this.state.zone)}.`,
      () => this.change({ range: "custom", from: newest - length, to: newest + (width || 60e3) }));
  }

  // show shows the records of the store.
  show() {
    byId("view").hidden = false;
    byId("note").textContent = this.note();
    byId("note").hidden = !byId("note").textContent;
    for (const name of ["csv", "json"]) {
      byId(name).href = this.exportAddress(name);
      byId(name).download = `${this.title().replace(/[^\w.-]+/g, "-")}.${name}`;
    }
    this.draw();
  }

  // title names the charts and the files that are downloaded.
  title() {
    return `${tableName(this.state.table)} ${this.state.field}`;
  }

  // exportAddress returns the address of the shown records in a format. It has no token.
  exportAddress(name) {
    return address(tablePath(this.state.table), [...this.plan.parameters, ...this.plan.range, ["format", name]]);
  }

  // note explains what the charts do not show.
  note() {
    const notes = [];
    const series = this.store.series.size;
    if (this.plan.merges) {
      const all = plural(this.probe.matching(this.state.tags).length, "series");
      notes.push(`The ${all} are merged into one. Choose tags, or what to split by under “Series”.`);
    }
    if (series > mostCharts) notes.push(`The charts show ${mostCharts} of ${plural(series, "series")}. Choose tags, or merge series.`);
    if (!this.probe.summaries && this.store.rows() / Math.max(1, series) > this.charts.width(series)) {
      notes.push("There are more buckets than pixels. They cannot be merged, because they have no summaries:",
        'set emit_summary = "compact" in [[aggregators.describe]].');
    }
    return notes.join(" ");
  }

  // draw draws the store as it is, with the parts of the state that need no other records. It reads nothing. The charts show the first
  // series only, the table all of them.
  draw() {
    if (!this.plan || this.store.rows() === 0) return;
    const begin = performance.now();
    const s = this.state;
    const all = this.store.list();
    const series = all.slice(0, mostCharts);
    const labels = labelsOf(all);
    const chosen = this.chosen(all);
    const at = chosen && { start: s.at, key: chosen.key };
    byId("title").replaceChildren(element("span", {}, tableName(s.table)), " " + s.field);
    byId("summary").textContent = this.summary(all);
    byId("scale-key").hidden = series.length < 2;
    byId("own-scale").checked = s.ownScale;
    byId("open-key").hidden = !series.some((one) => one.states.includes(0));
    this.controls.setShown(this.plan.from, this.plan.to);
    const { from, to, width } = this.plan;
    this.charts.update(series, { from, to, width, zone: s.zone, labels, ownScale: s.ownScale, full: s.full, at, title: this.title() });
    byId("full").checked = s.full;
    byId("peaks-key").hidden = !this.charts.cut;
    this.table.update(all, { sort: s.sort, zone: s.zone, labels, at });
    this.drawn = true;
    this.showDistribution(chosen, labels);
    performance.measure("draw", { start: begin });
  }

  // summary describes the records in a line: the tags that all series have, how many series and buckets, and their width.
  summary(series) {
    const common = series[0].tags.filter(([key, value]) => series.every((s) => s.tags.some(([k, v]) => k === key && v === value)));
    const width = this.plan.width > 0 ? ` of ${this.widthText()}` : "";
    return [tagText(common), plural(series.length, "series"), plural(this.store.rows(), "bucket") + width].filter(Boolean).join(" · ");
  }

  // widthText returns the width of buckets. Weeks, months and years have no fixed length in a zone, so they are named.
  widthText() {
    const rolled = this.plan.parameters.find(([name]) => name === "bucket");
    return rolled && /(w|mo|y)$/.test(rolled[1]) ? { w: "a week", mo: "a month", y: "a year" }[rolled[1].replace(/\d+/, "")] : span(this.plan.width);
  }

  // chosen returns the series of the bucket whose distribution is shown, or undefined.
  chosen(series) {
    if (Number.isNaN(this.state.at)) return undefined;
    return series.find((s) => sameTags(s.tags, this.state.of) && s.find(this.state.at) >= 0);
  }

  // pick shows the distribution of a bucket, and unpick hides it. Then the focus is where it was before.
  pick(series, start) {
    this.origin = document.activeElement;
    this.adjust({ at: start, of: series.tags });
    byId("distribution").focus({ preventScroll: true });
    byId("distribution").scrollIntoView({ block: "nearest" });
  }

  unpick() {
    this.adjust({ at: NaN, of: [] });
    if (this.origin?.isConnected) this.origin.focus();
  }

  // showDistribution shows the distribution of the chosen bucket, which it reads once.
  async showDistribution(series, labels) {
    const key = series ? `${series.key} ${this.state.at} ${this.plan.width}` : "";
    if (key === this.shownDistribution) return;
    this.shownDistribution = key;
    this.picking?.abort();
    if (!series) {
      hideDistribution();
      return;
    }
    this.picking = new AbortController();
    const { signal } = this.picking;
    const view = { start: this.state.at, series, zone: this.state.zone, title: labels.get(series.key), close: () => this.unpick() };
    showDistribution(view);
    try {
      const spread = await distribution(this.plan, series, series.find(this.state.at), signal);
      showDistribution({ ...view, spread });
    } catch (problem) {
      if (signal.aborted) return;
      if (!(problem instanceof Problem)) throw problem;
      showDistribution({ ...view, problem });
    }
  }

  // download downloads a file with the token, which a link cannot send.
  async download(event, name) {
    event.preventDefault();
    try {
      const answer = await request(tablePath(this.state.table), [...this.plan.parameters, ...this.plan.range, ["format", name]]);
      const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(await answer.blob()), download: byId(name).download });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60e3);
    } catch (problem) {
      this.fail(problem);
    }
  }

  // follow follows the changes of the shown buckets, unless the range is over or the reader does not want that.
  follow() {
    const possible = this.state.range !== "custom";
    byId("live").hidden = !possible;
    if (!possible || !this.state.live) {
      this.unfollow();
      return;
    }
    const key = JSON.stringify([this.state.table, filters(this.state), token()]);
    if (this.following?.key === key && !this.following.signal.aborted) return;
    this.unfollow();
    const control = new AbortController();
    this.following = Object.assign(control, { key, fresh: true });
    this.showLive("connecting");
    follow(tablePath(this.state.table) + "/stream", filters(this.state), control.signal, {
      event: (name, data) => this.event(name, data, control),
      state: (problem) => {
        if (this.following !== control) return;
        this.showLive(problem ? "broken" : "live", problem);
        if (problem?.status === 401) this.fail(problem);
      },
    });
  }

  // unfollow ends the stream.
  unfollow() {
    this.following?.abort();
    this.following = undefined;
    this.showLive("off");
  }

  // showLive shows whether changes arrive: "connecting", "live", "broken" or "off".
  showLive(name, problem) {
    const words = { connecting: "Connecting", live: "Live", broken: "Not live", off: "Live off" };
    byId("live").dataset.state = name;
    byId("live").setAttribute("aria-pressed", String(name !== "off"));
    byId("live").title = problem ? `${problem.title}: ${problem.message}` : "";
    byId("live-text").textContent = words[name];
  }

  // event takes an event of the stream. What was read before the first event "present" can be too old.
  event(name, data, control) {
    if (this.following !== control) return;
    if (name === "reset" || (name === "present" && control.fresh)) {
      control.fresh = false;
      this.readAgain();
    } else if (name === "bucket") this.changed(JSON.parse(data));
    else if (name === "dropped") this.showLive("broken", new Problem(0, "The service has ended the stream", JSON.parse(data).reason));
  }

  // changed takes a changed bucket. Where the page shows merged records, it reads them again.
  changed({ time_bucket: start, records, large }) {
    if (this.reading || byId("main").getAttribute("aria-busy") === "true") {
      this.missed = true; // what is being read can be older
      return;
    }
    const at = Date.parse(start);
    const direct = !large && !this.plan.coarse && this.plan.split === null && !this.plan.merged;
    if (direct && (at < this.plan.from || this.store.add(records))) this.drawSoon();
    else this.readSoon(at);
  }

  // drawSoon draws after drawPause, once for all buckets that change until then.
  drawSoon() {
    this.drawing ??= setTimeout(() => {
      this.drawing = undefined;
      this.slide();
    }, drawPause);
  }

  // readSoon reads a bucket again, with others that change within readPause and those between them: one request is cheaper than
  // several.
  async readSoon(at) {
    if (this.changes) {
      this.changes = [Math.min(this.changes[0], at), Math.max(this.changes[1], at)];
      return;
    }
    this.changes = [at, at];
    const { signal } = this.loading;
    await pause(readPause, signal);
    const [first, last] = this.changes;
    this.changes = undefined;
    if (signal.aborted) return;
    try {
      const records = await read(this.plan, [["start", new Date(first).toISOString()], ["end", new Date(last + 1).toISOString()]], { signal });
      if (signal.aborted) return;
      if (this.store.add(records)) this.slide();
      else await this.readAgain();
    } catch (error) {
      if (!signal.aborted) this.failLive(error);
    }
  }

  // failLive shows the error of a reading that an event began. Records that cannot be merged any more are read in another way.
  failLive(error) {
    if (!lacksSummaries(error) || !this.probe.summaries) {
      this.fail(error);
      return;
    }
    this.probe.summaries = false;
    this.load();
  }

  // readAgain reads the whole range again, without new choices, until nothing changes meanwhile.
  async readAgain() {
    this.missed = true;
    if (this.reading) return;
    this.reading = true;
    const { signal } = this.loading;
    try {
      for (let first = true; this.missed && !signal.aborted; first = false) {
        if (!first) await pause(readPause, signal);
        this.missed = false;
        const records = await read(this.plan, this.plan.range, { signal, tag: this.etag });
        if (signal.aborted) return;
        if (records) this.store.fill(records);
        this.slide();
      }
    } catch (error) {
      if (!signal.aborted) this.failLive(error);
    } finally {
      this.reading = false;
    }
  }

  // slide moves the range on to the present and draws what there is. It is called after changes and every five seconds. It does
  // nothing while nobody sees the page or records are being read.
  slide() {
    if (!this.plan || document.hidden || byId("main").getAttribute("aria-busy") === "true") return;
    if (this.state.live && this.state.range !== "custom") {
      [this.plan.from, this.plan.to] = [this.state.range === "all" ? this.plan.from : now() - ranges[this.state.range], Math.max(now(), this.plan.to)];
      this.store.trim(this.plan.from - (this.plan.width || 0));
    }
    if (this.store.rows() > 0 && byId("view").hidden && byId("message").getAttribute("role") === "status") {
      messages.clear();
      this.show();
    } else this.draw();
  }

  // showService shows where the records are kept.
  async showService() {
    if (byId("service").textContent) return;
    try {
      const { version, storage } = await get("health");
      if (storage) byId("service").textContent = `Records: ${storage} · analytics-api ${version}`;
    } catch { /* the page works without */ }
  }

  // nextTheme changes from the theme of the system to light, dark, and back. theme.js sets it when the page is opened again.
  nextTheme() {
    const themes = ["", "light", "dark"];
    const next = themes[(themes.indexOf(document.documentElement.dataset.theme ?? "") + 1) % themes.length];
    if (next) document.documentElement.dataset.theme = next;
    else delete document.documentElement.dataset.theme;
    try {
      localStorage.setItem("theme", next);
    } catch { /* a browser that keeps nothing */ }
    this.showTheme();
    this.charts.recolor();
  }

  // showTheme shows the chosen theme on its button.
  showTheme() {
    const theme = document.documentElement.dataset.theme;
    byId("theme").textContent = { light: "○ Light", dark: "● Dark" }[theme] ?? "◐ Auto";
    byId("theme").setAttribute("aria-label", `Colours: ${theme || "as the system"}`);
  }
}

// newest returns the database or table that was written last.
function newest(all) {
  return all.reduce((best, one) => (!best || (one.last_write ?? "") > (best.last_write ?? "") ? one : best), undefined);
}

new App();
