import assert from "node:assert/strict";
import test from "node:test";

import { arrange, counts } from "../../../aggregator/api/page/order.js";

const row = (symbol, rank, tier, price, first = price) => ({
  symbol, rank, tier, price, first, base: symbol.slice(0, 3), timestamp: 1000 - rank, sources: 3, spread: 0.001,
});
const ROWS = [
  row("btcusdt", 1, "hot", 80000, 79000),
  row("ethusdt", 2, "hot", 1500, 1600),
  row("ethbtc", 3, "medium", 0.02),
  row("wbtcusdt", 4, "cold", null),
];
const all = { query: "", tier: "", key: "rank", descending: false };
const symbols = (view) => arrange(ROWS, { ...all, ...view }).map((one) => one.symbol);

test("rows are sorted by rank by default", () => {
  assert.deepEqual(symbols({}), ["btcusdt", "ethusdt", "ethbtc", "wbtcusdt"]);
  assert.deepEqual(symbols({ descending: true }), ["wbtcusdt", "ethbtc", "ethusdt", "btcusdt"]);
});

test("rows without a value are last in both directions", () => {
  assert.deepEqual(symbols({ key: "price" }), ["ethbtc", "ethusdt", "btcusdt", "wbtcusdt"]);
  assert.deepEqual(symbols({ key: "price", descending: true }), ["btcusdt", "ethusdt", "ethbtc", "wbtcusdt"]);
});

test("rows sort by the change since the first price", () => {
  assert.deepEqual(symbols({ key: "change", descending: true }).slice(0, 3), ["btcusdt", "ethbtc", "ethusdt"]);
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

test("a tier filter and a search combine", () => {
  assert.deepEqual(symbols({ query: "usdt", tier: "hot" }), ["btcusdt", "ethusdt"]);
});

test("rows are counted by tier", () => {
  assert.deepEqual(counts(ROWS), { "": 4, hot: 2, medium: 1, cold: 1 });
});
