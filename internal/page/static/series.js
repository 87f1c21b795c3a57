// Series of buckets, made from records. The statistics of a series are columns of numbers, which take a tenth of the memory of
// the records.

// Texts of a record that are no tags.
const members = new Set(["table_name", "field_name", "time_bucket", "agent", "replica"]);
const numbers = new Set(["time", "revision"]); // numbers of a record that are no statistics

// Values of Series.states. unmarked is that of records without the member final.
export const [open, final, unmarked] = [0, 1, 2];

// Series has the buckets of one series, ascending by start. A row is the index of a bucket in starts, states, agents and each column,
// which all have the same length.
class Series {
  constructor(key, tags, who) {
    this.key = key;
    this.tags = tags; // pairs
    this.who = who; // the agent, or "" if the records of all agents are in the series
    this.starts = []; // milliseconds since 1970
    this.states = [];
    this.columns = new Map(); // of numbers by statistic; NaN is no value
    this.agents = []; // numbers of agents in the store
  }

  get length() {
    return this.starts.length;
  }

  // value returns a statistic of a row, or NaN.
  value(name, row) {
    return this.columns.get(name)?.[row] ?? NaN;
  }

  // find returns the row of a start, or the opposite of the row before which it belongs, minus 1.
  find(start) {
    let low = 0;
    let high = this.starts.length;
    if (high === 0 || this.starts[high - 1] < start) return -high - 1; // the usual case
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.starts[middle] < start) low = middle + 1;
      else high = middle;
    }
    return this.starts[low] === start ? low : -low - 1;
  }
}

// Store has the series of an answer. Records of a stream are added to it.
export class Store {
  constructor() {
    this.byAgent = false;
    this.clear();
  }

  clear() {
    this.series = new Map(); // by key
    this.statistics = []; // in the order of the records
    this.who = []; // agents, with their replicas
  }

  // fill replaces the contents. If several agents have records of one series and bucket, each agent gets series of its own.
  fill(records) {
    this.clear();
    this.byAgent = false;
    if (this.add(records)) return;
    this.clear();
    this.byAgent = true;
    this.add(records);
  }

  // add adds records or replaces those of the same series and bucket. It returns false, and has added a part, if several agents
  // have records of one series and bucket, which are not apart in this store.
  add(records) {
    for (const record of records) if (!this.put(record)) return false;
    return true;
  }

  // put adds a record, or replaces that of the same series and bucket. It returns false if another agent has one. A new row begins with
  // NaN in each column. Most records are newer than those before, so that inserting moves nothing.
  put(record) {
    const tags = [];
    for (const key in record) if (typeof record[key] === "string" && !members.has(key)) tags.push([key, record[key]]);
    const who = record.replica ? `${record.agent} (${record.replica})` : record.agent;
    const key = JSON.stringify(this.byAgent ? [tags, who] : tags);
    let s = this.series.get(key);
    if (!s) this.series.set(key, (s = new Series(key, tags, this.byAgent ? who : "")));
    let row = s.find(record.time);
    const agent = this.agent(who);
    if (row >= 0 && s.agents[row] !== agent) return false;
    if (row < 0) {
      row = -row - 1;
      for (const list of [s.starts, s.states, s.agents, ...s.columns.values()]) insert(list, row, NaN);
      s.starts[row] = record.time;
      s.agents[row] = agent;
    }
    s.states[row] = record.final === undefined ? unmarked : record.final ? final : open;
    for (const name in record) {
      const value = record[name];
      if (typeof value === "number" && !numbers.has(name)) this.column(s, name)[row] = value;
    }
    return true;
  }

  // column returns the column of a statistic of a series, and adds it if there is none.
  column(s, name) {
    let column = s.columns.get(name);
    if (!column) {
      s.columns.set(name, (column = new Array(s.length).fill(NaN)));
      if (!this.statistics.includes(name)) this.statistics.push(name);
    }
    return column;
  }

  // agent returns the number of an agent. There are few, so a list is enough.
  agent(who) {
    const i = this.who.indexOf(who);
    return i >= 0 ? i : this.who.push(who) - 1;
  }

  // trim removes the buckets that begin before a time.
  trim(start) {
    for (const s of this.series.values()) {
      const row = s.find(start);
      const n = row < 0 ? -row - 1 : row;
      if (n > 0) for (const list of [s.starts, s.states, s.agents, ...s.columns.values()]) list.splice(0, n);
      if (s.length === 0) this.series.delete(s.key);
    }
  }

  // list returns the series in the order of their tags.
  list() {
    return [...this.series.values()].sort((a, b) => tagOrder(a, b));
  }

  // rows returns the number of buckets of all series.
  rows() {
    let n = 0;
    for (const s of this.series.values()) n += s.length;
    return n;
  }
}

// insert inserts a value at an index.
function insert(list, i, value) {
  if (i === list.length) list.push(value);
  else list.splice(i, 0, value);
}

const natural = new Intl.Collator("en", { numeric: true });

// tagOrder compares series by their tags, so that "cpu2" comes before "cpu10".
function tagOrder(a, b) {
  return natural.compare(a.tags.flat().join("\0") + a.who, b.tags.flat().join("\0") + b.who);
}

// width returns the usual distance of starts in milliseconds, the median of the newest 100, or NaN.
export function width(starts) {
  const newest = starts.slice(-101);
  const distances = newest.slice(1).map((start, i) => start - newest[i]).sort((a, b) => a - b);
  return distances.length ? distances[distances.length >> 1] : NaN;
}

// sameTags reports whether two lists of tags are the same.
export const sameTags = (a, b) => a.length === b.length && a.every(([key, value]) => b.some(([k, v]) => k === key && v === value));
