import assert from "node:assert/strict";
import test from "node:test";

import { fitting, template } from "../../../aggregator/api/page/columns.js";
import { csvOf } from "../../../aggregator/api/page/csv.js";
import { moversOf } from "../../../aggregator/api/page/movers.js";
import { arrange, counts, emptyNote, quotesOf } from "../../../aggregator/api/page/order.js";

const row = (symbol, rank, tier, price, first = price) => ({
  symbol, rank, tier, price, first: { price: first, at: 1 }, base: symbol.slice(0, 3), quote: symbol.endsWith("usdt") ? "usdt" : "btc",
  timestamp: 1000 - rank, sources: 3, spread: rank / 1000, points: null, day: null,
});
const ROWS = [
  row("btcusdt", 1, "hot", 80000, 79000),
  row("ethusdt", 2, "hot", 1500, 1600),
  row("ethbtc", 3, "medium", 0.02),
  row("wbtcusdt", 4, "cold", null),
];
const all = { query: "", tier: "", quote: "", watched: null, key: "rank", descending: false };
const symbols = (view) => arrange(ROWS, { ...all, ...view }).map((one) => one.symbol);

test("rows are sorted by rank by default", () => {
  assert.deepEqual(symbols({}), ["btcusdt", "ethusdt", "ethbtc", "wbtcusdt"]);
  assert.deepEqual(symbols({ descending: true }), ["wbtcusdt", "ethbtc", "ethusdt", "btcusdt"]);
});

test("rows without a value are last in both directions", () => {
  assert.deepEqual(symbols({ key: "price" }), ["ethbtc", "ethusdt", "btcusdt", "wbtcusdt"]);
  assert.deepEqual(symbols({ key: "price", descending: true }), ["btcusdt", "ethusdt", "ethbtc", "wbtcusdt"]);
});

test("rows sort by the change", () => {
  assert.deepEqual(symbols({ key: "day", descending: true }).slice(0, 3), ["btcusdt", "ethbtc", "ethusdt"]);
});

test("by age, the newest price is first", () => {
  assert.equal(symbols({ key: "age" })[0], "btcusdt");
});

test("a search accepts a written pair, best match first", () => {
  assert.deepEqual(symbols({ query: "BTC" }), ["btcusdt", "ethbtc", "wbtcusdt"]);
  assert.deepEqual(symbols({ query: "eth / btc" }), ["ethbtc"]);
  assert.deepEqual(symbols({ query: "!?" }), symbols({}));
  assert.deepEqual(symbols({ query: "doge" }), []);
});

test("quote and watchlist filter, too", () => {
  assert.deepEqual(symbols({ quote: "btc" }), ["ethbtc"]);
  assert.deepEqual(symbols({ watched: new Set(["ethusdt", "nosuch"]) }), ["ethusdt"]);
  assert.deepEqual(symbols({ watched: new Set() }), []);
  assert.deepEqual(quotesOf(ROWS), ["usdt", "btc"]);
});

test("a tier filter and a search combine", () => {
  assert.deepEqual(symbols({ query: "usdt", tier: "hot" }), ["btcusdt", "ethusdt"]);
});

test("rows are counted by tier", () => {
  assert.deepEqual(counts(ROWS), { "": 4, hot: 2, medium: 1, cold: 1 });
});

test("movers are those of 24 hours as soon as half of the assets have them", () => {
  const names = (rows) => rows.map((one) => one.symbol);
  const young = moversOf(ROWS);
  assert.deepEqual([young.isDay, names(young.up), names(young.down)], [false, ["btcusdt"], ["ethusdt"]]);
  assert.deepEqual(names(young.gap), ["ethbtc", "ethusdt", "btcusdt"]);
  const known = moversOf([ROWS[0], { ...row("solusdt", 9, "hot", 30), sources: 1, day: { reference: 40 } }]);
  assert.deepEqual([known.isDay, names(known.up), names(known.down)], [true, [], ["solusdt"]]);
  assert.ok(!names(known.gap).includes("solusdt"));
});

test("rows are exported as CSV; what is not known is empty", () => {
  const priced = { ...ROWS[0], day: { reference: 64000, high: 81000, low: 63000, volume: 5 } };
  const [head, first, last] = csvOf([priced, ROWS[3]]).split("\r\n");
  assert.equal(head.split(",").length, first.split(",").length);
  assert.match(first, /^btcusdt,btc,usdt,80000,999,25,81000,63000,5,3,0.001,hot$/);
  assert.equal(last, "wbtcusdt,wbt,usdt,,,,,,,,,cold");
});

test("columns leave in their order when there is no room, and asset and price stay", () => {
  const keys = (width, hidden = []) => fitting(width, new Set(hidden)).map((column) => column.key);
  assert.equal(keys(200).length, 12);
  assert.ok(!keys(200, ["tier"]).includes("tier"));
  assert.deepEqual(keys(0, ["price"]), ["watch", "asset", "price"]);
  const some = keys(60);
  assert.ok(some.includes("day") && some.includes("gap") && !some.includes("tier"));
  assert.equal(template(fitting(0, new Set())), "1.9rem minmax(13rem, 1fr) minmax(9rem, 0.7fr)");
});

test("an empty table says why it is empty", () => {
  const view = { locked: false, isAway: false, watched: null };
  assert.equal(emptyNote(3, 4, view), "");
  assert.equal(emptyNote(0, 0, view), "Loading prices\u2026");
  assert.match(emptyNote(0, 0, { ...view, isAway: true }), /cannot be reached/);
  assert.equal(emptyNote(0, 4, view), "No asset fits.");
  assert.match(emptyNote(0, 4, { ...view, watched: new Set() }), /watchlist is empty/);
  assert.match(emptyNote(3, 4, { ...view, locked: true }), /API key/);
});
