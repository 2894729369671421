// The entry point: events of the stream update the market, and each frame draws the market.

import { ask } from "./ask.js";
import { Controls } from "./controls.js";
import { Detail } from "./detail.js";
import { byId, mark, write } from "./dom.js";
import { Entries, entryOf } from "./events.js";
import { EventSocket } from "./eventsocket.js";
import { Feed } from "./feed.js";
import { Batches } from "./figures.js";
import { Health } from "./health.js";
import { listen } from "./keys.js";
import { Latest } from "./latest.js";
import { Market } from "./market.js";
import { StoredEvents } from "./marks.js";
import { Movers } from "./movers.js";
import { arrange, DESCENDING_FIRST, emptyNote, LIVE } from "./order.js";
import { Pulse } from "./pulse.js";
import { TradeSocket } from "./socket.js";
import { Table } from "./table.js";

const FIGURES_REST = 30; // seconds until the figures of a row in view are requested again; live prices keep them current
const OTHERS_REST = 180; // the same for rows out of view, which movers and the order need
const SPARKLINES_REST = 600;
const MOVERS_REST = 2; // seconds between two drawings of the movers
const view = { query: "", tier: "", quote: "", watched: null, key: "rank", descending: false };
const market = new Market();
const pulse = new Pulse(byId("rate"));
const moved = new Map(); // rows with a new price that has not been drawn yet
const due = { order: true, frame: false };
let visible = [];
let moversAt = -Infinity;
let told = ""; // the connection's state
let locked = false; // whether reading needs a key: this page has none
let shown = false; // whether a price has been drawn

const health = new Health(() => soon(), () => told === "live");
const figures = new Batches(loadFigures, (row) => !row.day || row.day.reason === "loading");
const sparklines = new Batches(loadSparklines, (row) => !row.points || row.isSparkLoading);
const table = new Table(byId("table"), byId("rows"), { open: go, watch: (symbol) => controls.watch(symbol), view: (symbols) => { visible = symbols; } });
const controls = new Controls(look, table);
const movers = new Movers(byId("movers"), go);
const entries = new Entries();
const latest = new Latest(byId("latest"), go);
const stored = new StoredEvents(ask, occur);
const detail = new Detail(byId("detail"), ask, { closed: leave, watch: (symbol) => controls.watch(symbol), open: go }, entries);
const events = new EventSocket({ events: happen, topics: (names) => latest.offer(names) });
const socket = new TradeSocket({
  features: measure, trades: (trades) => detail.trades.take(trades), begin: () => detail.trades.load(), state: (name) => detail.trades.mark(name),
});
const feed = new Feed("/stream", { snapshot, price, state: connection, gap: () => refill() });

async function loadFigures(symbols) {
  const { prices } = await ask(`/prices?assets=${symbols.join(",")}&details=true`);
  for (const body of prices) market.figure(body);
  if (LIVE.has(view.key)) due.order = true;
  detail.draw(context());
  soon();
}

async function loadSparklines(symbols) {
  const found = await ask(`/sparklines?assets=${symbols.join(",")}`);
  for (const line of found.sparklines) market.recall(line);
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
  for (const entry of found) if (entry.topic === "anomalies") market.unusual(entry.asset, entry.at, entry.score);
  latest.show(entries.list, added);
  if (found.some((entry) => entry.asset === detail.row?.symbol)) detail.mark();
}

/** After a gap, load the chart again: the history has the missed prices. */
function refill() {
  detail.reload(context());
}

function connection(state, message) {
  if (told === state || locked) return;
  const again = told === "reconnecting" && state === "live";
  told = state;
  socket.allow(state === "live");
  events.allow(state === "live");
  health.again();
  due.order = true;
  soon();
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
  return { now: Date.now() / 1000 + health.ahead, staleAfter: health.staleAfter, exchanges: health.exchanges, watched: controls.watched, open: detail.isOpen ? detail.row : null };
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
  const open = detail.row && detail.row.price !== null ? [detail.row.symbol] : [];
  const shows = detail.isOpen && detail.row ? [detail.row.symbol] : [];
  socket.want([...new Set([...shows, ...visible])], shows);
  const near = [...new Set([...open, ...priced])].map((symbol) => market.rows.get(symbol));
  figures.want(near, FIGURES_REST);
  sparklines.want(near, SPARKLINES_REST);
  if (!shown && table.rows.some((row) => row.price !== null)) {
    shown = true;
    performance.mark("prices"); // for measurements of the time to the first price
  }
}

function order() {
  due.order = false;
  const rows = arrange(market.rows.values(), view);
  table.arrange(rows);
  const note = emptyNote(rows.length, market.rows.size, { locked, isAway: told === "reconnecting", watched: view.watched });
  write(byId("nothing"), note);
  byId("nothing").hidden = !note;
  controls.count(market.rows, rows.length);
}

/** Show another selection of rows, scrolled to the top. */
function look(change) {
  Object.assign(view, change);
  due.order = true;
  controls.order(view);
  const top = byId("table").getBoundingClientRect().top;
  if (top < 0 && Object.keys(change).length) scrollBy({ top: top - 72 });
  soon();
}

function sortBy(key) {
  const again = view.key === key;
  look({ key, descending: again ? !view.descending : DESCENDING_FIRST.has(key) });
}

/** Open an asset by its URL, so that links and the Back button work. Back closes the panel, however many it has shown. */
function go(symbol) {
  if (detail.isOpen) history.replaceState(history.state, "", `#${symbol}`);
  else history.pushState({ opened: true }, "", `#${symbol}`);
  follow();
}

/** Close the asset: go back, or, if the page was opened by a link to it, remove it from the URL. */
function leave() {
  if (!location.hash) return;
  if (history.state?.opened) history.back();
  else history.replaceState(null, "", location.pathname);
}

/** Close the open asset; return whether there was one. */
function closeDetail() {
  const wasOpen = detail.isOpen;
  detail.close();
  return wasOpen;
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
  due.order = true;
  soon();
}

function second() {
  pulse.tick();
  feed.check();
  if (LIVE.has(view.key)) due.order = true;
  figures.want([...market.rows.values()].filter((row) => row.price !== null), OTHERS_REST);
  detail.draw(context());
  drawMovers();
  soon();
}

function drawMovers() {
  const now = performance.now() / 1000;
  if (now - moversAt < MOVERS_REST || document.hidden) return;
  moversAt = now;
  movers.draw(market.rows.values());
  table.leave(market.isYoung ? ["range"] : []);
}

byId("table").addEventListener("click", (event) => event.target.closest("[data-key]") && sortBy(event.target.closest("[data-key]").dataset.key));
addEventListener("scroll", soon, { passive: true });
addEventListener("resize", soon);
addEventListener("hashchange", follow);
addEventListener("popstate", follow);
listen({
  table, search: byId("search"), open: go, watch: (symbol) => controls.watch(symbol), close: closeDetail, clear: () => look({ query: "" }), soon,
});
table.measure();
look({});
feed.open();
loadAssets();
health.run();
setInterval(second, 1000);
