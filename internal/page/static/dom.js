// Elements of the page. Text becomes text nodes and values of attributes, never HTML: names of the data are not trusted, and the
// policy of the page forbids HTML from text.

// byId returns the element of index.html with that id.
export const byId = (id) => document.getElementById(id);

// element returns a new element with attributes, properties ("on…", "value", "hidden") and children: texts or elements. An attribute
// that is undefined and a child that is undefined or "" are left out, so that callers need no conditions.
export function element(name, attributes = {}, ...children) {
  const e = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) e.addEventListener(key.slice(2), value);
    else if (key === "hidden" || key === "value" || key === "disabled" || key === "checked") e[key] = value;
    else if (value !== undefined) e.setAttribute(key, value);
  }
  e.append(...children.filter((child) => child !== undefined && child !== ""));
  return e;
}

// picture returns a new element of SVG.
export function picture(name, attributes = {}, ...children) {
  const e = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
  e.append(...children);
  return e;
}

// announce has screen readers read a text, by the live region of the page.
export function announce(text) {
  byId("announce").textContent = text;
}
