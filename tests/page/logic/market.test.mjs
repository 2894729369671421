import assert from "node:assert/strict";
import test from "node:test";

import { addPoint, dayOf, Market, thinned } from "../../../aggregator/api/page/market.js";

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

test("the change is relative to the oldest known price while the day is not known", () => {
  const market = new Market();
  market.list([{ symbol: "btcusdt", base: "btc", quote: "usdt", tier: "hot", rank: 1 }]);
  assert.deepEqual(dayOf(market.rows.get("btcusdt")), { change: null, since: null });
  market.take(body(100, 10));
  assert.equal(dayOf(market.take(body(110, 11))).change.toFixed(6), "0.100000");
  market.recall({ asset: "btcusdt", timestamps: [5], prices: [55], reason: null });
  assert.deepEqual(dayOf(market.rows.get("btcusdt")), { change: 1, since: 5 });
});

test("an asset that is no longer listed is removed", () => {
  const market = new Market();
  market.take(body(1, 1, "old"));
  market.list([{ symbol: "new", base: "", quote: "", tier: "cold", rank: 1 }]);
  assert.deepEqual([...market.rows.keys()], ["new"]);
});

test("a sparkline is merged with prices that came meanwhile", () => {
  const market = new Market();
  market.take(body(103, 30));
  market.recall({ asset: "btcusdt", timestamps: [10, 20], prices: [101, 102], reason: "loading" });
  market.take(body(104, 40));
  assert.deepEqual(market.rows.get("btcusdt").points, [[10, 101], [20, 102], [30, 103], [40, 104]]);
  assert.equal(market.rows.get("btcusdt").isSparkLoading, true);
  market.recall({ asset: "nosuch", timestamps: [], prices: [] });
});

test("points are bounded, ordered, unique by time, and not of more than a day", () => {
  let points = [];
  for (let second = 0; second < 5000; second += 1) points = addPoint(points, second, second);
  assert.ok(points.length > 50 && points.length <= 201);
  points = addPoint(addPoint(points, 3, 1), 4999, 7);
  assert.deepEqual(points.at(-1), [4999, 7]);
  assert.ok(points.every((point, index) => index === 0 || point[0] > points[index - 1][0]));
  assert.deepEqual(thinned([[0, 1], [100_000, 2], [150_000, 3]]), [[100_000, 2], [150_000, 3]]);
});

test("a history is young until the highest and the lowest of a day are known for an asset", () => {
  const market = new Market();
  assert.equal(market.isYoung, false); // not known yet
  for (const asset of ["btcusdt", "ethusdt"]) market.take(body(100, 10, asset));
  const figures = { change_24h: null, high_24h: null, low_24h: null, volume_24h: 5, figures_reason: "history_too_young" };
  market.figure({ asset: "btcusdt", price: 100, ...figures });
  assert.equal(market.isYoung, true);
  market.figure({ asset: "ethusdt", price: 100, ...figures, change_24h: 1, high_24h: 101, low_24h: 98, figures_reason: null });
  assert.equal(market.isYoung, false);
});
