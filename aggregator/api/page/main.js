// The entry point: events of the stream update the market, and each frame draws the market.

import { Detail } from "./detail.js";
import { byId, mark, write } from "./dom.js";
import { Entries, entryOf } from "./events.js";
import { EventSocket } from "./eventsocket.js";
import { Feed } from "./feed.js";
import { Figures } from "./figures.js";
import * as format from "./format.js";
import { Health } from "./health.js";
import { listen } from "./keys.js";
import { Latest } from "./latest.js";
import { Loader } from "./loader.js";
import { Market, RECENT } from "./market.js";
import { StoredEvents } from "./marks.js";
import { arrange, counts, DESCENDING_FIRST, LIVE } from "./order.js";
import { Pulse } from "./pulse.js";
import { TradeSocket } from "./socket.js";
import { Table } from "./table.js";

const HISTORIES = 4; // concurrent requests
const view = { query: "", tier: "", key: "rank", descending: false };
const market = new Market();
const pulse = new Pulse(byId("pulse"), byId("rate"));
const opened = Date.now() / 1000;
const moved = new Map(); // rows with a new price that has not been drawn yet
const due = { order: true, frame: false };
let visible = [];
let told = ""; // the connection's state
let locked = false; // whether reading needs a key: this page has none
let shown = false; // whether a price has been drawn

const health = new Health(() => soon());
const loader = new Loader(loadRecent, HISTORIES);
const figures = new Figures(loadFigures);
const table = new Table(byId("table"), byId("rows"), { open: go, view: (symbols) => { visible = symbols; } });
const entries = new Entries();
const latest = new Latest(byId("latest"), go);
const stored = new StoredEvents(ask, occur);
const detail = new Detail(byId("detail"), ask, leave, entries);
const events = new EventSocket({ events: happen, topics: (names) => latest.offer(names) });
const socket = new TradeSocket({
  features: measure, trades: (trades) => detail.trades.take(trades), begin: () => detail.trades.load(), state: (name) => detail.trades.mark(name),
});
const feed = new Feed("/stream", { snapshot, price, state: connection, gap: () => refill() });

/** Return the JSON of a GET. A refusal is thrown as an Error with its message and, as `body`, the response. */
async function ask(path) {
  const response = await fetch(path, { signal: AbortSignal.timeout(10_000) });
  const body = await response.json();
  if (!response.ok) throw Object.assign(new Error(body.msg ?? response.statusText), { body, status: response.status });
  return body;
}

async function loadRecent(symbol) {
  market.recall(symbol, (await ask(`/prices/${symbol}/history?limit=${RECENT}`)).prices);
  soon();
}

async function loadFigures(symbols) {
  const { prices } = await ask(`/prices?assets=${symbols.join(",")}&details=true`);
  for (const body of prices) market.figure(body);
  detail.draw(context());
  soon();
}

/** Take the snapshot at the start, or after a gap. Its prices do not flash. */
function snapshot(bodies) {
  for (const body of bodies) market.take(body);
  due.order = true;
  follow();
}

function price(body) {
  const before = market.rows.size;
  const row = market.take(body);
  if (!row) return;
  moved.set(row.symbol, row);
  pulse.count();
  if (market.rows.size !== before || LIVE.has(view.key)) due.order = true;
  soon();
}

function measure(list) {
  for (const features of list) market.measure(features);
  soon();
}

/** Take events of analytics and alerts. */
function happen(name, list) {
  const found = list.map((event) => entryOf(name, event)).filter(Boolean);
  for (const entry of found) {
    const isFirst = !stored.seen.has(entry.topic);
    stored.seen.add(entry.topic);
    if (isFirst && detail.row) stored.load(detail.row.symbol);
  }
  occur(found);
}

function occur(found) {
  const added = entries.add(found);
  latest.show(entries.list, added);
  if (found.some((entry) => entry.asset === detail.row?.symbol)) detail.mark();
}

/** After a gap, load the histories again: they have the missed prices. */
function refill() {
  loader.forget();
  detail.reload(context());
}

function connection(state, message) {
  if (told === state || locked) return;
  const again = told === "reconnecting" && state === "live";
  told = state;
  socket.allow(state === "live");
  events.allow(state === "live");
  const element = byId("connection");
  mark(element, "data-state", state);
  write(element.lastElementChild, state === "live" ? "Live" : "Reconnecting\u2026");
  mark(element, "title", message || null);
  mark(document.body, "data-state", state);
  document.title = state === "live" ? "Live prices" : "Reconnecting\u2026 \u2013 Live prices";
  if (again) {
    loadAssets();
    refill();
  }
}

function context() {
  return { now: Date.now() / 1000 + health.ahead, staleAfter: health.staleAfter, exchanges: health.exchanges };
}

/** Draw in the next frame; several calls draw once. */
function soon() {
  if (due.frame) return;
  due.frame = true;
  requestAnimationFrame(frame);
}

function frame() {
  due.frame = false;
  const now = context();
  if (due.order) order();
  table.draw(now);
  for (const row of moved.values()) table.flash(row);
  if (detail.row && moved.has(detail.row.symbol)) detail.take(now);
  moved.clear();
  const priced = visible.filter((symbol) => market.rows.get(symbol)?.price !== null);
  loader.want(priced);
  const open = detail.row && detail.row.price !== null ? [detail.row.symbol] : [];
  const shows = detail.isOpen && detail.row ? [detail.row.symbol] : [];
  socket.want([...new Set([...shows, ...visible])], shows);
  figures.want([...new Set([...open, ...priced])].map((symbol) => market.rows.get(symbol)));
  if (!shown && table.rows.some((row) => row.price !== null)) {
    shown = true;
    performance.mark("prices"); // for measurements of the time to the first price
  }
}

function order() {
  due.order = false;
  const rows = arrange(market.rows.values(), view);
  table.arrange(rows);
  byId("nothing").hidden = !locked && (rows.length > 0 || !market.rows.size);
  const found = counts(market.rows.values());
  for (const input of byId("tiers").querySelectorAll("input")) {
    write(input.nextElementSibling.lastElementChild, String(found[input.value]));
  }
  write(byId("found"), rows.length === market.rows.size ? "" : `${rows.length} ${rows.length === 1 ? "asset" : "assets"}`);
}

/** Show another selection of rows, scrolled to the top. */
function look(change) {
  Object.assign(view, change);
  due.order = true;
  for (const head of document.querySelectorAll(".head [data-key]")) {
    const way = view.descending ? "descending" : "ascending";
    mark(head.parentElement, "aria-sort", head.dataset.key === view.key ? way : null);
  }
  byId("sort").value = view.key;
  const top = byId("table").getBoundingClientRect().top;
  if (top < 0) scrollBy({ top: top - 72 });
  soon();
}

function sortBy(key) {
  const again = view.key === key;
  look({ key, descending: again ? !view.descending : DESCENDING_FIRST.has(key) });
}

/** Open an asset by its URL, so that links and the Back button work. */
function go(symbol) {
  history.pushState({ opened: true }, "", `#${symbol}`);
  follow();
}

/** Close the asset: go back, or, if the page was opened by a link to it, remove it from the URL. */
function leave() {
  if (!location.hash) return;
  if (history.state?.opened) history.back();
  else history.replaceState(null, "", location.pathname);
}

function follow() {
  const row = market.rows.get(location.hash.slice(1).toLowerCase());
  if (row) {
    table.selected = row.symbol;
    if (detail.row !== row) stored.load(row.symbol);
    detail.open(row, context());
  } else if (detail.isOpen) {
    detail.close();
  }
  soon();
}

async function loadAssets() {
  try {
    market.list((await ask("/assets")).assets);
    due.order = true;
    follow();
  } catch (error) {
    if (error.status === 401) lock();
    else setTimeout(loadAssets, 2000); // the stream shows the state of the connection
  }
}

/** Show that a key is needed. EventSource cannot send one, so a new attempt would fail too. */
function lock() {
  locked = true;
  feed.close();
  socket.allow(false);
  events.allow(false);
  mark(byId("connection"), "data-state", "reconnecting");
  write(byId("connection").lastElementChild, "Key needed");
  write(byId("nothing"), "Reading prices needs an API key here (READ_KEYS), which this page cannot send. Programs can: see API.");
  due.order = true;
  soon();
}

function second() {
  pulse.tick();
  feed.check();
  if (LIVE.has(view.key)) due.order = true;
  detail.draw(context());
  soon();
}

byId("search").addEventListener("input", (event) => look({ query: event.target.value }));
byId("tiers").addEventListener("change", (event) => look({ tier: event.target.value }));
byId("sort").addEventListener("change", (event) => look({ key: event.target.value, descending: DESCENDING_FIRST.has(event.target.value) }));
byId("table").addEventListener("click", (event) => event.target.closest("[data-key]") && sortBy(event.target.closest("[data-key]").dataset.key));
addEventListener("scroll", soon, { passive: true });
addEventListener("resize", () => { table.measure(); soon(); });
addEventListener("hashchange", follow);
addEventListener("popstate", follow);
listen({ table, search: byId("search"), open: go, clear: () => look({ query: "" }), soon });
write(byId("since"), `since ${format.clock(opened).slice(0, 5)}`);
table.measure();
look({});
feed.open();
loadAssets();
health.run();
setInterval(second, 1000);
