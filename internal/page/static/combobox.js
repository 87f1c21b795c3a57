// A text field with a list of choices that typing filters: the pattern "combobox" of the ARIA Authoring Practices.

import { element } from "./dom.js";

const mostShown = 200; // choices in the list; typing finds the others
let made = 0; // comboboxes, for the ids of their lists

// Combobox has choices, which are texts. It calls choose with the chosen one, but not if that is the value already. With free, it
// accepts each text for which free returns true, beside the choices. root is the element to add to the page.
//
// value is the chosen one, typed what filters the list, shown the filtered choices, and active the index in shown of the choice that
// Enter takes, or -1. The focus stays in the field: aria-activedescendant is what screen readers follow.
export class Combobox {
  constructor({ label, id, choose, placeholder = "", free = () => false, empty = "Nothing to choose" }) {
    Object.assign(this, { choose, free, empty });
    this.choices = [];
    this.value = "";
    this.active = -1;
    const list = `list-${++made}`;
    this.input = element("input", {
      id, type: "text", role: "combobox", autocomplete: "off", autocapitalize: "off", spellcheck: "false", placeholder,
      "aria-expanded": "false", "aria-controls": list, "aria-autocomplete": "list",
      onfocus: () => this.input.select(), onclick: () => this.click(), oninput: () => this.open(this.input.value),
      onkeydown: (event) => this.key(event), onblur: () => this.leave(),
    });
    this.list = element("ul", { id: list, role: "listbox", "aria-label": label, hidden: true });
    this.list.addEventListener("mousedown", (event) => {
      event.preventDefault(); // the field keeps the focus
      const option = event.target.closest("[role=option]");
      if (option) this.pick(this.shown[Number(option.dataset.index)]);
    });
    this.root = element("div", { class: "field" }, element("label", { for: id }, label), this.input, this.list);
  }

  // set replaces the choices and the chosen value. It leaves alone what is being typed.
  set(choices, value = this.value) {
    this.choices = choices;
    this.value = value;
    if (this.isOpen()) this.open(this.typed);
    else this.input.value = value;
  }

  isOpen() {
    return !this.list.hidden;
  }

  click() {
    if (this.isOpen()) return;
    this.input.select();
    this.open();
  }

  // open shows the choices that contain what was typed, in any case. Without a text it shows all, and marks the value.
  open(typed = "") {
    this.typed = typed;
    const part = typed.toLowerCase();
    const found = this.choices.filter((choice) => choice.toLowerCase().includes(part));
    this.shown = found.slice(0, mostShown);
    this.active = typed ? 0 : this.shown.indexOf(this.value);
    const options = this.shown.map((choice, i) => element("li", {
      role: "option", id: `${this.list.id}-${i}`, "data-index": i, "aria-selected": String(choice === this.value),
    }, choice === "" ? "\u00a0" : choice));
    const more = found.length - this.shown.length;
    const note = found.length === 0 ? (this.choices.length ? "No match" : this.empty) : more > 0 ? `${more} more: type to find them` : "";
    if (note) options.push(element("li", { class: "muted", role: "presentation" }, note));
    this.list.replaceChildren(...options);
    this.list.hidden = false;
    this.input.setAttribute("aria-expanded", "true");
    this.mark();
  }

  close() {
    this.list.hidden = true;
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
  }

  // mark shows which choice Enter takes.
  mark() {
    this.list.querySelector(".active")?.classList.remove("active");
    const option = this.list.children[this.active];
    if (option?.getAttribute("role") !== "option") {
      this.active = -1;
      this.input.removeAttribute("aria-activedescendant");
      return;
    }
    option.classList.add("active");
    option.scrollIntoView({ block: "nearest" });
    this.input.setAttribute("aria-activedescendant", option.id);
  }

  // key handles the keys of the pattern. A key that does nothing here stays with the browser.
  key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && !this.isOpen()) this.open();
    else if (step && this.shown.length) {
      this.active = (this.active + step + this.shown.length + (this.active < 0 && step < 0 ? 1 : 0)) % this.shown.length;
      this.mark();
    } else if (event.key === "Enter") this.enter();
    else if (event.key === "Escape" && this.isOpen()) {
      this.close();
      this.input.value = this.value;
    } else return;
    event.preventDefault();
  }

  // enter takes the typed text if it is a choice, or else the marked choice.
  enter() {
    const typed = this.input.value;
    if (this.choices.includes(typed) && typed !== this.value) this.pick(typed);
    else if (this.isOpen() && this.active >= 0) this.pick(this.shown[this.active]);
    else if (this.free(typed)) this.pick(typed);
  }

  // pick takes a value.
  pick(value) {
    this.close();
    const changed = value !== this.value;
    this.value = value;
    this.input.value = value;
    if (changed) this.choose(value);
  }

  // leave takes the typed text when the focus leaves the field, if it is a choice, and else shows the value again.
  leave() {
    const typed = this.input.value;
    this.close();
    if (typed !== this.value && (this.choices.includes(typed) || this.free(typed))) this.pick(typed);
    else this.input.value = this.value;
  }
}
