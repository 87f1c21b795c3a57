// What the page shows, as the query of its address has it. A link to the page shows the same.
//
// parse and format are opposites. Times are in the query as RFC 3339, and as milliseconds since 1970 in the state.

// Names of ranges up to now, and their lengths in milliseconds.
export const ranges = { "5m": 300e3, "15m": 900e3, "1h": 3600e3, "6h": 21600e3, "1d": 86400e3, "7d": 604800e3, "30d": 2592000e3, all: Infinity };

export const rangeNames = {
  "5m": "5 minutes", "15m": "15 minutes", "1h": "1 hour", "6h": "6 hours", "1d": "1 day", "7d": "7 days", "30d": "30 days", all: "All",
};

// ownZone returns the time zone of the browser.
const ownZone = () => Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";

// isZone reports whether the browser knows a time zone.
function isZone(zone) {
  try {
    return Boolean(new Intl.DateTimeFormat("en", { timeZone: zone }));
  } catch {
    return false;
  }
}

// parse reads the query of an address. Values that the page does not know are left out.
//
// range is "" until the page has chosen one that suits the table; from and to are milliseconds since 1970, for the range
// "custom". split is null for one chart for each series, if these are not too many; "each" and "merged"; or names of tags,
// separated by commas. at is the start of the bucket whose distribution is shown, and of the tags of its series.
export function parse(query) {
  const p = new URLSearchParams(query);
  const pairs = (name) => p.getAll(name).map(pair).filter((tag) => tag !== undefined);
  const from = Date.parse(p.get("from") ?? "");
  const to = Date.parse(p.get("to") ?? "");
  const custom = from < to;
  const zone = p.get("tz") ?? "";
  const at = Date.parse(p.get("at") ?? "");
  return {
    db: p.get("db") ?? "", table: p.get("table") ?? "", field: p.get("field") ?? "", tags: pairs("tag"),
    range: custom ? "custom" : Object.hasOwn(ranges, p.get("range") ?? "") ? p.get("range") : "",
    from: custom ? from : NaN, to: custom ? to : NaN,
    zone: isZone(zone) && zone ? zone : ownZone(),
    split: p.get("split"), live: p.get("live") !== "off", ownScale: p.get("scale") === "own", full: p.get("peaks") === "all",
    sort: p.get("sort") ?? "-time", at, of: pairs("of").map((tag) => tag.map(unescaped)),
  };
}

// pair reads "key=value", or returns undefined. The key ends at the first "=", as in the API.
export function pair(text) {
  const i = text.indexOf("=");
  return i > 0 ? [text.slice(0, i), text.slice(i + 1)] : undefined;
}

// A key of a tag may contain "=", which pair would take as its end. So tags in "of" are escaped once more. Those in "tag" are not: the
// API cannot filter by such a key.
const escaped = (text) => text.replaceAll("%", "%25").replaceAll("=", "%3D");
const unescaped = (text) => text.replaceAll("%3D", "=").replaceAll("%25", "%");

// format returns the query of a state. What has its default value is left out, so that addresses are short, except the zone: a reader
// elsewhere must see the same times.
export function format(s) {
  const p = new URLSearchParams();
  for (const [name, value] of [["db", s.db], ["table", s.table], ["field", s.field]]) if (value) p.append(name, value);
  for (const [key, value] of s.tags) p.append("tag", `${key}=${value}`);
  if (s.range === "custom") {
    p.append("from", new Date(s.from).toISOString());
    p.append("to", new Date(s.to).toISOString());
  } else if (s.range) p.append("range", s.range);
  p.append("tz", s.zone);
  if (s.split !== null) p.append("split", s.split);
  if (!s.live) p.append("live", "off");
  if (s.ownScale) p.append("scale", "own");
  if (s.full) p.append("peaks", "all");
  if (s.sort !== "-time") p.append("sort", s.sort);
  if (!Number.isNaN(s.at)) {
    p.append("at", new Date(s.at).toISOString());
    for (const tag of s.of) p.append("of", tag.map(escaped).join("="));
  }
  return p.toString();
}
