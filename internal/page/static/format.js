// Numbers, times and widths as texts. Numbers are in English form everywhere, as the page is; times are in the chosen zone. The objects
// of Intl are made once, because making one takes much longer than using it.

const plain = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 4 });
const whole = new Intl.NumberFormat("en");

// number returns a value with four digits, such as "0.125", "12.3M" or "1.235e-7", and "–" for no value.
export function number(x) {
  if (x === undefined || x === null || Number.isNaN(x)) return "–";
  const size = Math.abs(x);
  if (size >= 1e15 || (size !== 0 && size < 1e-4)) return x.toExponential(3);
  return size >= 1e6 ? compact.format(x) : plain.format(x);
}

// axisNumber returns a value for an axis, whose room is small.
export const axisNumber = (x) => (Math.abs(x) >= 10000 ? compact.format(x) : number(x));

// count returns a whole number with all its digits, such as "1,234,567".
export const count = (n) => (Number.isNaN(n) || n === undefined ? "–" : whole.format(n));

// plural returns a count and a noun, such as "1 bucket" or "2 buckets".
export const plural = (n, noun) => `${count(n)} ${noun === "series" || n === 1 ? noun : noun + "s"}`;

const clocks = new Map(); // formats by zone

// time returns the time of milliseconds since 1970 in a zone, as "2026-01-31 14:05:09". The format is Swedish, which has this
// form. A fraction of a second is added if there is one.
export function time(ms, zone) {
  let clock = clocks.get(zone);
  if (!clock) {
    clock = new Intl.DateTimeFormat("sv-SE", { timeZone: zone, dateStyle: "short", timeStyle: "medium" });
    clocks.set(zone, clock);
  }
  const text = clock.format(ms);
  return ms % 1000 ? text + "." + String(ms % 1000).padStart(3, "0") : text;
}

const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];

// span returns a length of milliseconds in its largest whole unit, such as "10 s" or "90 min".
export function span(ms) {
  const seconds = ms / 1000;
  const [unit, size] = units.find(([, size]) => seconds >= size && seconds % size === 0) ?? ["s", 1];
  return `${plain.format(seconds / size)} ${unit}`;
}

// rough returns a rough length of time, such as "3 days".
export function rough(ms) {
  for (const [noun, size] of [["day", 86400e3], ["hour", 3600e3], ["minute", 60e3]]) {
    if (ms >= size) return plural(Math.floor(ms / size), noun);
  }
  return plural(Math.max(0, Math.floor(ms / 1000)), "second");
}

// tableName returns the name of a table without the default prefix. A table with another prefix keeps it.
export const tableName = (table) => table.replace(/^analytics_/, "");

// tagText returns tags as "host=a, cpu=0".
export const tagText = (tags) => tags.map(([key, value]) => `${key}=${value}`).join(", ");
