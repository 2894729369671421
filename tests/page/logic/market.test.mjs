import assert from "node:assert/strict";
import test from "node:test";

import { addPoint, changeOf, Market, RECENT } from "../../../aggregator/api/page/market.js";

const body = (price, timestamp, asset = "btcusdt") => ({ asset, price, timestamp, refresh_tier: "hot", sources: 3, spread: 0.001 });

test("a newer price is accepted, an equal or older one is ignored", () => {
  const market = new Market();
  assert.equal(market.take(body(100, 10)).price, 100);
  assert.equal(market.take(body(100, 10)), null);
  assert.equal(market.take(body(99, 9)), null);
  assert.equal(market.rows.get("btcusdt").price, 100);
  assert.equal(market.take(body(101, 11)).moved, 1);
  assert.equal(market.take(body(100.5, 12)).moved, -1);
});

test("the change is relative to the first price received", () => {
  const market = new Market();
  market.list([{ symbol: "btcusdt", base: "btc", quote: "usdt", tier: "hot", rank: 1 }]);
  assert.equal(changeOf(market.rows.get("btcusdt")), null);
  market.take(body(100, 10));
  assert.equal(changeOf(market.take(body(110, 11))).toFixed(6), "0.100000");
});

test("an asset that is no longer listed is removed", () => {
  const market = new Market();
  market.take(body(1, 1, "old"));
  market.list([{ symbol: "new", base: "", quote: "", tier: "cold", rank: 1 }]);
  assert.deepEqual([...market.rows.keys()], ["new"]);
});

test("recent history, newest first, is merged with prices that came meanwhile", () => {
  const market = new Market();
  market.take(body(103, 30));
  market.recall("btcusdt", [{ timestamp: 20, price: 102 }, { timestamp: 10, price: 101 }]);
  market.take(body(104, 40));
  assert.deepEqual(market.rows.get("btcusdt").points, [[10, 101], [20, 102], [30, 103], [40, 104]]);
  market.recall("nosuch", []);
});

test("points are bounded, ordered, and unique by time", () => {
  const points = [];
  for (let second = 0; second < 500; second += 1) addPoint(points, second, second);
  assert.equal(points.length, RECENT);
  addPoint(points, 3, 1);
  addPoint(points, 499, 7);
  assert.deepEqual(points.at(-1), [499, 7]);
  assert.equal(points.length, RECENT);
});
