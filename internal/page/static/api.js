// Requests of the API. Addresses are relative to the page, so that it also works below a path of a proxy.
//
//   get, request ─▶ fetch ─▶ answer, or a Problem
//   follow ─▶ request ─▶ events ─▶ on.event        again after an interruption
//
// request and get throw a Problem for an error that the reader should see, and the browser's own error if signal has ended: then nobody
// waits for the result any more.

// Problem is an error with words for the reader. status is that of HTTP, or 0 if the service did not answer or the answer broke off.
// title is one of a few, which other modules compare; message is the detail.
export class Problem extends Error {
  constructor(status, title, detail, seconds = 0) {
    super(detail);
    this.status = status;
    this.title = title;
    this.seconds = seconds; // until another try makes sense, or 0
  }
}

// The token is kept until the tab is closed, and for this tab only. A browser that keeps nothing forgets it with the page.
let current = "";
try {
  current = sessionStorage.getItem("token") ?? "";
} catch { /* it is asked for again */ }

// token returns the token, or "" if there is none.
export const token = () => current;

// setToken replaces the token for the next requests. It does not check it.
export function setToken(text) {
  current = text;
  try {
    sessionStorage.setItem("token", text);
  } catch { /* as above */ }
}

// ahead is how far the service's clock is ahead of this one, in milliseconds. A difference within two seconds is the network, and the
// header Date has whole seconds.
let ahead = 0;

// now returns the time of the service, in milliseconds since 1970. Ranges up to now need it: a wrong clock of the reader's machine
// would hide the newest buckets.
export const now = () => Date.now() + ahead;

// noteClock reads the header Date of an answer. A missing one changes nothing.
function noteClock(date) {
  const difference = Date.parse(date) - Date.now();
  if (!Number.isNaN(difference)) ahead = Math.abs(difference) > 2000 ? difference : 0;
}

// address returns the address of a path with parameters, which are pairs.
export function address(path, parameters = []) {
  const query = new URLSearchParams(parameters).toString();
  return new URL(path + (query ? "?" + query : ""), document.baseURI.split(/[?#]/)[0]).href;
}

// tablePath returns the path of a table.
export const tablePath = (table) => "analytics/" + encodeURIComponent(table);

// request sends a request and returns its answer, or throws a Problem. parameters are pairs of a name and a value; a name may come
// more than once. The body is not read yet.
export async function request(path, parameters, { signal, headers = {} } = {}) {
  if (token()) headers.Authorization = "Bearer " + token();
  let answer;
  try {
    answer = await fetch(address(path, parameters), { signal, headers, credentials: "omit" });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem(0, "The service does not answer", "It may have stopped, or the connection is broken.", 3);
  }
  noteClock(answer.headers.get("Date"));
  if (answer.ok) return answer;
  throw await problemOf(answer);
}

// problemOf reads the problem of an answer.
async function problemOf(answer) {
  const seconds = Number(answer.headers.get("Retry-After")) || 0;
  try {
    const { title, detail } = await answer.json();
    return new Problem(answer.status, String(title), String(detail), seconds);
  } catch {
    return new Problem(answer.status, `Status ${answer.status}`, "The answer has no explanation.", seconds);
  }
}

// get returns the JSON of an answer.
export async function get(path, parameters, options) {
  const answer = await request(path, parameters, { ...options, headers: { Accept: "application/json" } });
  try {
    return await answer.json();
  } catch (error) {
    if (options?.signal?.aborted) throw error;
    throw new Problem(0, "The answer is not complete", "The connection was interrupted.", 3);
  }
}

// follow reads server-sent events until signal ends, and connects again after interruptions, with the id of the last event. It
// is based on fetch, because an EventSource cannot send a token.
//
// on.event(name, data) gets each event, and on.state(problem) whether there is a connection: undefined, or the Problem. Only a status
// of an error without the header Retry-After ends it, because another try would not solve that. Between two tries there are at least
// two seconds.
export async function follow(path, parameters, signal, on) {
  let id = "";
  while (!signal.aborted) {
    let seconds = 2;
    try {
      const headers = { Accept: "text/event-stream" };
      if (id) headers["Last-Event-ID"] = id;
      const answer = await request(path, parameters, { signal, headers });
      on.state(undefined);
      for await (const event of events(answer.body)) {
        if (event.id !== undefined) id = event.id;
        if (event.name) on.event(event.name, event.data);
      }
      on.state(new Problem(0, "Interrupted", "The stream has ended."));
    } catch (error) {
      if (signal.aborted) return;
      const problem = error instanceof Problem ? error : new Problem(0, "Interrupted", "The stream was interrupted.");
      on.state(problem);
      if (problem.status >= 400 && problem.seconds === 0) return;
      seconds = Math.max(seconds, problem.seconds);
    }
    await pause(seconds * 1000, signal);
  }
}

// pause waits, at most until signal ends. It leaves no listener, because a signal can last for days.
export const pause = (ms, signal) => new Promise((done) => {
  const end = () => {
    clearTimeout(timer);
    signal?.removeEventListener("abort", end);
    done();
  };
  const timer = setTimeout(end, ms);
  signal?.addEventListener("abort", end);
});

// events yields the events of a stream. An event ends with an empty line; a part of one stays in text until the rest comes.
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      text += value;
      const blocks = text.split("\n\n");
      text = blocks.pop();
      for (const block of blocks) yield eventOf(block);
    }
  } finally {
    reader.cancel().catch(() => {}); // a broken stream cannot be cancelled
  }
}

// eventOf reads the lines of one event. The service writes each as "name: value". Comments, which keep the connection alive, are events
// without a name. An event without id leaves the last one valid.
function eventOf(block) {
  const event = { name: "", data: "", id: undefined };
  for (const line of block.split("\n")) {
    const i = line.indexOf(": ");
    const value = line.slice(i + 2);
    if (line.startsWith("event: ")) event.name = value;
    else if (line.startsWith("data: ")) event.data += value;
    else if (line.startsWith("id: ")) event.id = value;
  }
  return event;
}
