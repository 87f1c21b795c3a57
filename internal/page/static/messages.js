// Words for what went wrong or is missing. There is one message at a time.

import { setToken, token } from "./api.js";
import { byId, element } from "./dom.js";

// show replaces the message. role is "alert" for errors, "status" for the rest.
function show(role, title, text, ...more) {
  const box = byId("message");
  box.setAttribute("role", role);
  box.replaceChildren(element("h2", {}, title), element("p", {}, text), ...more);
  box.hidden = false;
}

// clear removes the message.
export function clear() {
  byId("message").hidden = true;
  byId("message").replaceChildren();
}

// askForToken shows a field for the token that the API wants, and calls again after one was given.
export function askForToken(again) {
  const input = element("input", { type: "password", id: "token", autocomplete: "off", spellcheck: "false" });
  const form = element("form", {
    class: "token",
    onsubmit: (event) => {
      event.preventDefault();
      if (!input.value.trim()) return;
      setToken(input.value.trim());
      again();
    },
  }, element("label", { for: "token" }, "Token"), input, element("button", { type: "submit", class: "primary" }, "Continue"));
  const text = "It is sent with each request of this tab, and forgotten when the tab is closed. The command “analytics-api token create” makes one.";
  show("alert", token() ? "This token is not valid" : "The service wants a token", text, form);
  input.focus();
}

// nothingStored is the message for a service without tables.
export function nothingStored() {
  show("status", "Nothing is stored yet", "Start telegraf-describe with the output rediscache. The first buckets appear here within a minute.");
}

// noBuckets is the message for a range without buckets. newest is a sentence on the newest bucket; look shows that.
export function noBuckets(newest, look) {
  const button = look ? element("button", { type: "button", class: "primary", onclick: look }, "Show the newest buckets") : "";
  show("status", "No buckets in this range", newest, button);
}

// Words for some titles of problems of the API, which are for readers of JSON.
const titles = new Map([["Unavailable", "Redis does not answer"], ["Busy", "The service is busy"], ["Too much", "This is more than one answer may have"]]);

// failed shows a problem. The page tries again by itself if that makes sense.
export function failed(problem) {
  let extra = "";
  if (problem.title === "Not found") extra = element("p", {}, "The lists above have the databases and tables that there are.");
  if (problem.title === "Too much") extra = element("p", {}, "Choose a shorter range, a tag, or another field.");
  const again = problem.seconds ? ` The page tries again every ${problem.seconds} s.` : "";
  const said = problem.message.replace(/; GET .*$/, ""); // addresses are for readers of JSON
  const detail = problem.title === "Unavailable" ? "Records cannot be read until it does." : said.replace(/[^.!?]$/, "$&.");
  show("alert", titles.get(problem.title) ?? problem.title, detail[0].toUpperCase() + detail.slice(1) + again, extra);
}
