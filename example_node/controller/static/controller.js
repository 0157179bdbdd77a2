// The Controller's pages, live: rows by server-sent events, in windows. Without it, all pages work
// as plain forms. It knows ids and texts, and no URL but those of this application; every text is
// set as text.

const FRAME = { receivers: new Map(), senders: new Map() };
const page = document.body.dataset.page;
document.documentElement.classList.add("js");

// A live change may come between a press and its click. So a click is for what was shown where its
// press began, and for nothing if something else is there by then. One without a press, as screen
// readers make them, is for what is shown now.
//
// `shown` tells of an element what is shown there: `on` is what it is, undefined for nothing.
function onClick(box, shown, act) {
  let press = null;
  let held = "";
  box.addEventListener("pointerdown", (event) => {
    press = shown(event.target);
    held = "";
  });
  box.addEventListener("keydown", (event) => {
    const isPress = event.key === " " || event.key === "Enter";
    if (!isPress || !event.target.closest("button")) return;
    press = shown(event.target);
    held = event.key;
  });
  box.addEventListener("click", (event) => {
    const now = shown(event.target);
    const then = press ?? now;
    if (now.on !== undefined && now.on === then.on) act(then, now);
  });
  document.addEventListener("click", () => { press = null; });
  // A press may end without a click: a finger scrolls, or the focus goes while a key is down.
  document.addEventListener("pointercancel", () => { press = null; });
  document.addEventListener("keyup", (event) => {
    const ended = press;
    // The click of a key comes after this event, if there is one.
    if (held === event.key) setTimeout(() => { if (press === ended) press = null; });
  });
}

// A key that is held is one press: Enter goes from list to list, and would end at TAKE.
document.addEventListener("keydown", (event) => {
  if (!event.repeat || event.key !== "Enter") return;
  event.preventDefault();
  event.stopPropagation();
}, { capture: true });

// A list of any length of which only what can be seen is in the document.

class Windowed {
  constructor(box, rows, onChoose) {
    this.box = box;
    this.all = rows;
    this.shown = [];
    this.words = [];
    this.at = 0;
    this.atId = "";
    this.chosen = "";
    this.drawn = new Map();
    this.onChoose = onChoose;
    const checked = box.querySelector("input:checked");
    if (checked) this.chosen = this.atId = checked.value;
    box.classList.add("script");
    box.tabIndex = 0;
    this.space = document.createElement("div");
    this.space.setAttribute("role", "presentation");
    this.count = document.getElementById(`${box.id}-count`);
    box.addEventListener("scroll", () => this.draw(), { passive: true });
    box.addEventListener("keydown", (event) => this.key(event));
    box.addEventListener("focus", () => {
      if (!this.atHand) this.atId = this.shown[this.at]?.id ?? "";
      this.draw();
    });
    box.addEventListener("blur", () => this.draw());
    const shown = (target) => ({ on: target.closest("[role=option]")?.dataset.id });
    onClick(box, shown, ({ on }) => this.choose(on));
    // Until the first rows come, it has those of the form.
    box.addEventListener("change", (event) => this.choose(event.target.value));
    new ResizeObserver(() => this.draw()).observe(box);
    const filter = document.getElementById(`${box.id}-filter`);
    this.words = wordsOf(filter.value);
    filter.addEventListener("input", () => {
      this.words = wordsOf(filter.value);
      this.at = 0;
      this.atId = "";
      this.arrange();
      this.box.scrollTop = 0;
      this.draw();
    });
    filter.form.addEventListener("submit", (event) => event.preventDefault());
    filter.addEventListener("keydown", (event) => {
      if (event.key === "ArrowDown" || event.key === "Enter") {
        event.preventDefault();
        this.box.focus();
      }
    });
  }

  begin() {
    if (!this.space.isConnected) {
      this.box.replaceChildren(this.space);
      // Until now it had rows of the form, which are not options.
      this.box.setAttribute("role", "listbox");
      this.box.setAttribute("aria-labelledby", `${this.box.id}-title`);
    }
    this.arrange();
    this.draw();
  }

  get height() {
    if (!this.measured) {
      const size = parseFloat(getComputedStyle(document.documentElement).fontSize);
      this.measured = 3.5 * size;
    }
    return this.measured;
  }

  // The row that keys are for; none where it is gone, until the user goes to another.
  get atHand() {
    const row = this.shown[this.at];
    return row?.id === this.atId ? row : undefined;
  }

  get isSeen() {
    const top = this.at * this.height - this.box.scrollTop;
    return top > -this.height && top < this.box.clientHeight;
  }

  // Orders and filters; what is at hand stays at hand, and what is scrolled to stays in view.
  arrange() {
    const found = [];
    const first = Math.floor(this.box.scrollTop / this.height);
    const firstId = first > 0 ? this.shown[first]?.id : undefined;
    for (const row of this.all.values()) {
      if (this.words.every((word) => row.text.includes(word))) found.push(row);
    }
    found.sort((one, other) => (one.order < other.order ? -1 : one.order > other.order ? 1 : 0));
    this.shown = found;
    const place = found.findIndex((row) => row.id === this.atId);
    this.at = place >= 0 ? place : Math.min(this.at, Math.max(0, found.length - 1));
    this.space.style.height = `${found.length * this.height}px`;
    const all = this.all.size;
    this.count.textContent = found.length === all ? `${all}` : `${found.length} of ${all}`;
    const now = firstId === undefined ? -1 : found.findIndex((row) => row.id === firstId);
    if (now < 0 || now === first) return;
    this.box.scrollTop += (now - first) * this.height;
    this.drawNow();
  }

  draw() {
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = 0;
      this.drawNow();
    });
  }

  drawNow() {
    if (!this.space.isConnected) return;
    const first = Math.max(0, Math.floor(this.box.scrollTop / this.height) - 4);
    const last = Math.min(this.shown.length, Math.ceil((this.box.scrollTop + this.box.clientHeight) / this.height) + 4);
    const wanted = this.shown.slice(first, last);
    const ids = new Set(wanted.map((row) => row.id));
    for (const [id, element] of this.drawn) {
      if (ids.has(id)) continue;
      this.drawn.delete(id);
      element.remove();
    }
    // In the document they have the order in which they are shown. An element is of one row for
    // ever: in place of another row it would get the click of a press on that.
    let next = this.space.firstChild;
    wanted.forEach((row, index) => {
      let element = this.drawn.get(row.id);
      if (!element) {
        element = newRow(`${this.box.id}-${row.id}`, row.id);
        this.drawn.set(row.id, element);
      }
      if (element === next) next = next.nextSibling;
      else this.space.insertBefore(element, next);
      this.fill(element, row, first + index);
    });
    const active = document.activeElement === this.box ? this.atHand : undefined;
    const drawn = active && this.drawn.get(active.id);
    if (drawn) this.box.setAttribute("aria-activedescendant", drawn.id);
    else this.box.removeAttribute("aria-activedescendant");
    for (const element of this.drawn.values()) element.classList.toggle("at", element === drawn);
  }

  fill(element, row, index) {
    element.style.top = `${index * this.height}px`;
    element.setAttribute("aria-posinset", `${index + 1}`);
    element.setAttribute("aria-setsize", `${this.shown.length}`);
    const isChosen = row.id === this.chosen;
    if (element.getAttribute("aria-selected") !== `${isChosen}`) {
      element.setAttribute("aria-selected", `${isChosen}`);
      element.mark.textContent = isChosen ? "●" : "○";
    }
    if (element.shownRow === row) return;
    element.shownRow = row;
    element.dataset.state = row.state;
    element.what.textContent = row.label;
    const where = [`${row.node} / ${row.device}`, row.group, row.format].filter(Boolean).join(" · ");
    element.where.textContent = where;
    element.now.textContent = nowOf(row);
    element.note.textContent = row.note || row.reason;
    element.title = `${row.label}\n${where}\n${row.note || row.reason}`;
  }

  key(event) {
    const visible = Math.max(1, Math.floor(this.box.clientHeight / this.height) - 1);
    const last = this.shown.length - 1;
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: visible, PageUp: -visible, Home: -Infinity, End: Infinity };
    if (event.key in moves && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      const by = this.atHand || !Number.isFinite(moves[event.key]) ? moves[event.key] : 0;
      this.move(Math.max(0, Math.min(last, this.at + by)));
    } else if (event.key === " " || event.key === "Enter") {
      event.preventDefault();
      const row = this.atHand;
      if (row && !this.isSeen) this.move(this.at);
      else if (row) this.choose(row.id, event.key === "Enter");
    }
  }

  move(index) {
    if (index < 0) return;
    this.at = index;
    this.atId = this.shown[index]?.id ?? "";
    const top = index * this.height;
    const room = this.box.clientHeight - this.height;
    if (top < this.box.scrollTop) this.box.scrollTop = top;
    else if (top > this.box.scrollTop + room) this.box.scrollTop = top - room;
    this.drawNow();
  }

  choose(id, goOn = false) {
    this.chosen = this.atId = id;
    const place = this.shown.findIndex((row) => row.id === id);
    if (place >= 0) this.at = place;
    this.drawNow();
    this.onChoose(goOn);
  }
}

function newRow(id, rowId) {
  const element = document.createElement("div");
  element.className = "row";
  element.id = id;
  element.dataset.id = rowId;
  element.setAttribute("role", "option");
  element.setAttribute("aria-selected", "false");
  for (const name of ["mark", "what", "now", "where", "note"]) {
    const part = document.createElement("span");
    part.className = name;
    element[name] = part;
    element.append(part);
  }
  element.mark.textContent = "○";
  element.mark.setAttribute("aria-hidden", "true");
  return element;
}

function wordsOf(text) {
  return text.toLowerCase().split(/\s+/).filter(Boolean);
}

function nowOf(row) {
  if (row.kind === "sender") return row.active ? "on" : "off";
  return row.active ? `← ${row.sender}` : "not connected";
}

function take(frame) {
  for (const row of frame.rows) {
    const names = ["label", "group", "device", "node", "maker", "id", "address", "format", "transport", "sender"];
    row.text = names.map((name) => row[name]).join(" ").toLowerCase();
    row.order = [row.node, row.device, row.label, row.id].join("\u0000").toLowerCase();
    FRAME[`${row.kind}s`].set(row.id, row);
  }
  for (const { kind, id } of frame.gone) FRAME[`${kind}s`].delete(id);
}

// The stream of what changes; closed while nobody looks, since browsers open only six connections.

const listeners = { begin: [], rows: [], end: [], state: [], values: [] };
// Pages without rows are told how following goes only, and of values.
const streams = { "/routing": "/live", "/matrix": "/live", "/events": "/live?values&events" };
let source = null;
let pause = 0;

function connect() {
  if (source || document.visibilityState === "hidden") return;
  source = new EventSource(streams[page] ?? "/live?values");
  for (const name of Object.keys(listeners)) {
    source.addEventListener(name, (event) => {
      pause = 0;
      const data = JSON.parse(event.data);
      for (const listener of listeners[name]) listener(data);
    });
  }
  // A login in another tab ends this session too, and the browser has the next one's cookie soon.
  source.addEventListener("ended", () => {
    disconnect();
    setTimeout(() => check().then(connect), 1000);
  });
  source.addEventListener("busy", (event) => {
    say({ phase: "stale", text: JSON.parse(event.data).text });
    disconnect();
  });
  source.onerror = () => {
    disconnect();
    say({ phase: "stale", text: "Not live: the Controller does not answer" });
    check();
    pause = Math.min(10000, pause * 2 + 500);
    setTimeout(connect, pause);
  };
}

function disconnect() {
  source?.close();
  source = null;
}

// A stream that ends may mean that the session has.
async function check() {
  try {
    const answer = await fetch("/session", { headers: { accept: "application/json" } });
    if (answer.status === 401) loggedOut();
  } catch { /* the next attempt tells */ }
}

// Asks for a change, and returns what is said of it.
async function ask(path, body) {
  const answer = await fetch(path, { method: "POST", body, headers: { accept: "application/json" } });
  if (answer.status === 401) loggedOut();
  const isJson = answer.headers.get("content-type")?.startsWith("application/json");
  return isJson ? (await answer.json()).text : answer.text();
}

function loggedOut() {
  disconnect();
  location.assign("/?ended");
}

let staleSince; // undefined until the page was told

function say({ phase, text, age }) {
  const line = document.getElementById("state");
  if (!line) return;
  if (line.textContent !== text) line.textContent = text;
  line.dataset.phase = phase;
  document.documentElement.classList.toggle("stale", phase === "stale");
  if (phase !== "stale") staleSince = null;
  else if (age !== undefined) staleSince = performance.now() - age * 1000;
  else staleSince ??= performance.now();
  showAge();
}

// It is not part of the state, which a screen reader says whenever it changes.
function showAge() {
  if (staleSince === undefined) return;
  const seconds = Math.round((performance.now() - staleSince) / 1000);
  const shown = staleSince === null ? "" : `(for ${durationOf(seconds)})`;
  const place = document.getElementById("age");
  if (place && place.textContent !== shown) place.textContent = shown;
}

function durationOf(seconds) {
  if (seconds < 120) return `${seconds} s`;
  return seconds < 7200 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3600)} h`;
}

// Routing

function routing() {
  const form = document.getElementById("take");
  const result = document.getElementById("result");
  const choice = document.getElementById("choice");
  const paths = { "do-take": "/take", "do-disconnect": "/disconnect", "do-undo": "/undo" };
  const whyNot = {};
  let asking = false;
  let shownChoice = "";
  let shownNote = "";

  const receivers = new Windowed(document.getElementById("receivers"), FRAME.receivers, (goOn) => {
    chosen();
    if (goOn) document.getElementById("senders-filter").focus();
  });
  const senders = new Windowed(document.getElementById("senders"), FRAME.senders, (goOn) => {
    chosen();
    if (goOn) document.getElementById("do-take").focus();
  });

  function chosen() {
    newKey();
    shownNote = "";
    update();
  }

  function newKey() {
    form.elements.key.value = crypto.randomUUID();
  }

  // What a press on a button is for, and why it is for nothing.
  function choiceAt(target) {
    const button = target.closest("button");
    return {
      on: button?.id, why: whyNot[button?.id], receiver: receivers.chosen, sender: senders.chosen,
      key: form.elements.key.value, source: FRAME.receivers.get(receivers.chosen)?.source ?? "",
    };
  }

  function update() {
    const receiver = FRAME.receivers.get(receivers.chosen);
    const sender = FRAME.senders.get(senders.chosen);
    // A link that is put in place of itself loses its focus and its press.
    const both = JSON.stringify([receiver, sender].map((row) => row && [row.id, row.label]));
    if (both !== shownChoice) {
      choice.replaceChildren(linkTo(receiver, "No destination chosen"), " ← ", linkTo(sender, "no source chosen"));
      shownChoice = both;
    }
    const busy = receiver && ["sending", "waiting"].includes(receiver.state) ? "A change is under way." : "";
    const why = receiver ? receiver.reason || busy : "Choose a destination first.";
    for (const button of Object.keys(paths)) {
      whyNot[button] = why || (button === "do-take" && !sender ? "Choose a source." : "");
      const element = document.getElementById(button);
      element.setAttribute("aria-disabled", whyNot[button] ? "true" : "false");
      element.title = whyNot[button];
    }
    // What was said of a press stays until there is something else to say.
    const note = (receiver && (receiver.note || receiver.reason)) || "";
    const said = `${receivers.chosen} ${note}`;
    if (!asking && said !== shownNote) {
      result.textContent = note;
      shownNote = said;
    }
  }

  async function send(path, { receiver, sender, source, key }) {
    asking = true;
    result.textContent = "Asking the Node …";
    const data = new URLSearchParams({ key, receiver, sender, seconds: form.elements.seconds.value });
    data.set(`shown/${receiver}`, source);
    try {
      result.textContent = await ask(path, data);
    } catch {
      result.textContent = "The Controller does not answer. Look at the row before you try again.";
    } finally {
      asking = false;
      // A second click of a double click brings the same key, and is answered alike.
      setTimeout(newKey, 800);
    }
  }

  onClick(document.getElementById("actions"), choiceAt, (then, now) => {
    if (asking) return;
    const why = then.why || now.why;
    if (why) result.textContent = why;
    else send(paths[then.on], then);
  });
  form.addEventListener("submit", (event) => event.preventDefault());

  const lists = [receivers, senders];
  let reading = false;
  listeners.begin.push(() => {
    FRAME.receivers.clear();
    FRAME.senders.clear();
    reading = true;
  });
  listeners.end.push(() => {
    reading = false;
    for (const list of lists) list.begin();
    update();
  });
  listeners.rows.push((frame) => {
    take(frame);
    const first = reading && !lists[0].space.isConnected;
    if (reading && !first) return;
    for (const list of lists) {
      if (first) list.begin();
      list.arrange();
      list.draw();
    }
    update();
  });
}

function linkTo(row, otherwise) {
  if (!row) return otherwise;
  const link = document.createElement("a");
  link.href = `/${row.kind}/${row.id}`;
  link.textContent = row.label;
  return link;
}

// Matrix

function matrix() {
  const form = document.getElementById("matrix");
  const result = document.getElementById("result");
  if (!form) return;
  const cells = new Map();
  for (const button of form.querySelectorAll("button")) {
    const [receiver, sender] = button.value.split(" ");
    if (!cells.has(receiver)) cells.set(receiver, new Map());
    cells.get(receiver).set(sender, button);
  }

  async function change(button, isOn) {
    if (button.getAttribute("aria-busy") === "true") return;
    button.setAttribute("aria-busy", "true");
    result.textContent = "Asking the Node …";
    const [receiver, sender] = button.value.split(" ");
    const cell = `${receiver} ${sender}${isOn ? " off" : ""}`;
    try {
      result.textContent = await ask("/matrix", new URLSearchParams({ cell, key: crypto.randomUUID() }));
    } catch {
      result.textContent = "The Controller does not answer. Look at the cell before you try again.";
    } finally {
      setTimeout(() => button.removeAttribute("aria-busy"), 500);
    }
  }

  function cellAt(target) {
    const button = target.closest("button") ?? undefined;
    return { on: button, isOn: button?.getAttribute("aria-pressed") === "true" };
  }

  form.addEventListener("submit", (event) => event.preventDefault());
  onClick(form, cellAt, ({ on, isOn }) => change(on, isOn));
  form.addEventListener("keydown", (event) => {
    const button = event.target.closest("button");
    const moves = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };
    if (!button || !(event.key in moves)) return;
    event.preventDefault();
    const [down, right] = moves[event.key];
    const cell = button.parentElement;
    const row = down > 0 ? cell.parentElement.nextElementSibling : down < 0 ? cell.parentElement.previousElementSibling : cell.parentElement;
    row?.children[cell.cellIndex + right]?.querySelector("button")?.focus();
  });
  listeners.rows.push((frame) => {
    for (const row of frame.rows) {
      for (const [sender, button] of (row.kind === "receiver" && cells.get(row.id)) || []) {
        const isOn = row.active && row.sender_id === sender;
        button.setAttribute("aria-pressed", `${isOn}`);
        button.textContent = isOn ? "●" : "·";
      }
    }
  });
}

// Events

function newEvent(id) {
  const row = document.createElement("tr");
  row.dataset.id = id;
  const name = document.createElement("th");
  name.scope = "row";
  const link = document.createElement("a");
  link.href = `/sender/${id}`;
  name.append(link);
  row.append(name);
  for (const part of ["device", "type", "value", "at"]) row.insertCell().className = part;
  return row;
}

function orderOf(row) {
  return [row.querySelector(".device").textContent, row.querySelector("a").textContent, row.dataset.id].join("\u0000").toLowerCase();
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function values() {
  const none = document.getElementById("no-events");
  const body = none.parentNode;
  const rows = new Map([...body.querySelectorAll("[data-id]")].map((row) => [row.dataset.id, row]));
  let unsaid = new Set();

  function remove(id) {
    rows.get(id)?.remove();
    rows.delete(id);
    none.hidden = rows.size > 0;
  }

  function show(id, value) {
    const row = rows.get(id) ?? newEvent(id);
    const place = row.isConnected ? orderOf(row) : undefined;
    const at = value.at ? new Date(value.at * 1000).toLocaleTimeString() : "";
    const texts = { a: value.name, ".device": value.device, ".type": value.type, ".value": value.text, ".at": at };
    for (const [part, text] of Object.entries(texts)) setText(row.querySelector(part), text);
    const order = orderOf(row);
    if (order === place) return;
    rows.set(id, row);
    const isAfter = (other) => other !== row && other !== none && orderOf(other) > order;
    body.insertBefore(row, [...body.rows].find(isAfter) ?? none);
    none.hidden = true;
  }

  listeners.begin.push(() => { unsaid = new Set(rows.keys()); });
  listeners.values.push((frame) => {
    for (const [id, value] of Object.entries(frame)) {
      unsaid.delete(id);
      if (value) show(id, value);
      else remove(id);
    }
  });
  // What is not among all that is there went while nobody was told.
  listeners.end.push(() => unsaid.forEach(remove));
}

// All pages

const logout = document.getElementById("logout");
const tabs = new BroadcastChannel("controller");
logout?.addEventListener("submit", () => setTimeout(() => tabs.postMessage("logout"), 1000));
tabs.addEventListener("message", () => check());
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") connect();
  else setTimeout(() => document.visibilityState === "hidden" && disconnect(), 20000);
});
listeners.state.push(say);
setInterval(showAge, 1000);
if (page === "/routing") routing();
if (page === "/matrix") matrix();
if (page === "/events") values();
if (logout || document.getElementById("state")) connect();
