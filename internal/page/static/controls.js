// The fields above the charts. They show a state, and report what the reader chooses as parts of a new state. Another choice resets
// what depends on it: another database the table, the field and the tags.

import { Combobox } from "./combobox.js";
import { byId, element } from "./dom.js";
import { pair, rangeNames } from "./state.js";

// Controls shows a state and calls change with the parts of it that the reader chooses, and refresh before choices are looked at.
export class Controls {
  constructor({ change, refresh }) {
    this.change = change;
    const box = (id, label, part, more = {}) => new Combobox({ id, label, choose: (value) => change(part(value)), ...more });
    this.database = box("database", "Database", (db) => ({ db, table: "", field: "", tags: [] }), { empty: "No database yet" });
    this.table = box("table-name", "Table", (table) => ({ table, field: "", tags: [] }), { empty: "No table yet" });
    this.field = box("field", "Field", (field) => ({ field }), { empty: "No field yet" });
    this.tag = new Combobox({
      id: "tag", label: "Tags", placeholder: "Add a tag", empty: "No tags", free: (text) => pair(text) !== undefined,
      choose: (text) => this.addTag(text),
    });
    const zones = ["UTC", ...Intl.supportedValuesOf("timeZone").filter((zone) => zone !== "UTC")];
    this.zone = box("zone", "Time zone", (zone) => ({ zone }));
    this.zone.set(zones);
    this.chips = element("div", { class: "chips" });
    this.tag.root.append(this.chips);
    this.range = select("range", "Range", (value) => this.chooseRange(value));
    this.split = select("split", "Series", (value) => change({ split: value === "auto" ? null : value, at: NaN }));
    this.ends = this.makeEnds();
    for (const field of [this.range, this.zone, this.split]) field.root.classList.add("third");
    byId("controls").append(this.database.root, this.table.root, this.field.root, this.tag.root, this.range.root, this.zone.root, this.split.root, this.ends);
    byId("controls").addEventListener("submit", (event) => event.preventDefault());
    byId("controls").addEventListener("focusin", (event) => event.target.getAttribute("role") === "combobox" && refresh());
  }

  // makeEnds returns the fields of an own range, which are hidden for other ranges.
  makeEnds() {
    const input = (id, label) => element("div", { class: "field" }, element("label", { for: id }, label),
      element("input", { type: "datetime-local", id, step: "1", onchange: () => this.chooseEnds() }));
    return element("fieldset", { class: "ends", hidden: true }, element("legend", { class: "hidden" }, "Own range"), input("from", "From"), input("to", "To"));
  }

  // show shows a state. choices has databases, tables, fields, tags and tagKeys, as texts except for tags, which are pairs.
  show(state, choices) {
    this.state = state;
    this.database.set(choices.databases, state.db);
    this.table.set(choices.tables, state.table);
    this.field.set(choices.fields, state.field);
    this.tag.set(choices.tags.map((tag) => tag.join("=")), "");
    this.zone.set(this.zone.choices, state.zone);
    const names = Object.entries(rangeNames);
    options(this.range.input, [...(state.range ? [] : [["", "…"]]), ...names, ["custom", "Own range"]], state.range);
    const own = state.split !== null && !["each", "merged", ...choices.tagKeys].includes(state.split) ? [[state.split, "By " + state.split]] : [];
    const keys = choices.tagKeys.map((key) => [key, "By " + key]);
    options(this.split.input, [["auto", "Auto"], ["each", "Each"], ["merged", "Merged"], ...keys, ...own], state.split ?? "auto");
    this.showChips(state.tags);
    this.ends.hidden = state.range !== "custom";
    if (state.range === "custom") {
      byId("from").value = local(state.from, state.zone);
      byId("to").value = local(state.to, state.zone);
    }
  }

  // showChips shows a button for each chosen tag, which removes it.
  showChips(tags) {
    this.chips.replaceChildren(...tags.map((tag) => element("button", {
      type: "button", class: "chip", "aria-label": `Remove the tag ${tag.join("=")}`,
      onclick: () => {
        this.change({ tags: this.state.tags.filter((other) => other !== tag), at: NaN });
        this.tag.input.focus();
      },
    }, tag.join("="), element("span", { "aria-hidden": "true" }, "×"))));
  }

  // addTag adds a tag. A series has one value of a key, so that a second one replaces the first.
  addTag(text) {
    const tag = pair(text);
    this.change({ tags: [...this.state.tags.filter(([key]) => key !== tag[0]), tag], at: NaN });
  }

  // chooseRange chooses a range up to now, or begins an own one with what is shown.
  chooseRange(value) {
    if (value !== "custom") this.change({ range: value, from: NaN, to: NaN });
    else this.change({ range: "custom", ...this.shown() });
  }

  // setShown tells the range that the charts show, from which an own range begins.
  setShown(from, to) {
    this.shown = () => ({ from: Math.floor(from / 1000) * 1000, to: Math.ceil(to / 1000) * 1000 });
  }

  // chooseEnds chooses an own range, if it ends after it begins.
  chooseEnds() {
    const [from, to] = ["from", "to"].map((id) => moment(byId(id).value, this.state.zone));
    if (from < to) this.change({ range: "custom", from, to });
    byId("to").setCustomValidity(from < to ? "" : "The end must be after the start.");
    byId("to").reportValidity();
  }
}

// select returns a list of choices with its label: root is both.
function select(id, label, choose) {
  const input = element("select", { id, onchange: () => choose(input.value) });
  return { input, root: element("div", { class: "field" }, element("label", { for: id }, label), input) };
}

// options replaces the choices of a list, which are pairs of a value and a text.
function options(input, all, value) {
  input.replaceChildren(...all.map(([name, text]) => element("option", { value: name }, text)));
  input.value = value;
}

// local returns a time in a zone as an input of date and time has it.
function local(ms, zone) {
  const parts = new Intl.DateTimeFormat("sv-SE", { timeZone: zone, dateStyle: "short", timeStyle: "medium" }).format(ms);
  return parts.replace(" ", "T");
}

// moment returns the time of an input in a zone. Where a clock is set back, it is the first of the two. Browsers know the offset only of
// a time, not of what a clock shows, so it tries the offsets of a day before and after. Where a clock is set forward, no time fits, and
// it takes the offset at about that time. It returns NaN for an input that is not filled in.
function moment(text, zone) {
  const wanted = Date.parse(text + "Z");
  if (Number.isNaN(wanted)) return NaN;
  const offset = (at) => Date.parse(local(at, zone) + "Z") - Math.floor(at / 1000) * 1000;
  const candidates = [wanted - offset(wanted - 86400e3), wanted - offset(wanted + 86400e3)].filter((at) => Date.parse(local(at, zone) + "Z") === wanted);
  return candidates.length ? Math.min(...candidates) : wanted - offset(wanted);
}
