import assert from "node:assert/strict";
import test from "node:test";

import {
  addToCandles, bounds, candleScale, linear, slotsFor, sparkline, ticks, timeStep,
  volumeHeights,
} from "../../../aggregator/api/page/scale.js";

const candle = (start, open, high, low, close) => ({ start, open, high, low, close, count: 1 });
const BOX = { left: 0, right: 100, top: 0, bottom: 50 };

test("a sparkline fills its box; a single price is a dot", () => {
  assert.deepEqual(sparkline([], 100, 20), { line: "", area: "" });
  assert.equal(sparkline([[0, 1]], 100, 20).line, "M98 10h0");
  assert.equal(sparkline([[0, 1], [10, 3]], 100, 20).line, "M2 18L98 2");
  assert.equal(sparkline([[0, 5], [10, 5]], 100, 20).line, "M2 10L98 10");
  assert.ok(!sparkline([[7, 5], [7, 6]], 100, 20).line.includes("NaN"));
});

test("bounds of a single value have space around it", () => {
  const [low, high] = bounds([0]);
  assert.ok(low < 0 && high > 0);
  assert.deepEqual(bounds([3, 1, 2]), [1, 3]);
});

test("a linear scale maps both ends exactly", () => {
  const at = linear(10, 20, 100, 0);
  assert.deepEqual([at(10), at(15), at(20)], [100, 50, 0]);
});

test("ticks are round numbers within the bounds", () => {
  assert.deepEqual(ticks(79090, 79260, 4), [79100, 79150, 79200, 79250]);
  const small = ticks(0.0000101, 0.0000149, 4);
  assert.ok(small.length >= 2 && small.every((one) => one >= 0.0000101 && one <= 0.000015));
});

test("candles are aligned to the right edge, and a missing candle leaves a gap", () => {
  const candles = [candle(0, 1, 2, 1, 2), candle(120, 2, 4, 2, 3)];
  const scale = candleScale(candles, 60, BOX, 4);
  assert.equal(scale.width, 25);
  assert.equal(scale.x(120), 87.5);
  assert.equal(scale.x(0), 37.5);
  assert.equal(scale.slot(90), 120);
  assert.equal(scale.slot(30), 0);
  assert.ok(scale.y(4) > BOX.top && scale.y(1) < BOX.bottom && scale.y(4) < scale.y(1));
});

test("candles beyond the available width do not affect drawing or scale", () => {
  const scale = candleScale([candle(0, 1000, 1000, 1000, 1000), candle(60, 1, 2, 1, 2), candle(120, 1, 2, 1, 2)], 60, BOX, 2);
  assert.equal(scale.shown.length, 2);
  assert.ok(scale.high < 3);
});

test("the number of slots has a minimum and a maximum", () => {
  assert.equal(slotsFor([candle(0, 1, 1, 1, 1)], 60, 700), 24);
  assert.equal(slotsFor([candle(0, 1, 1, 1, 1), candle(60 * 499, 1, 1, 1, 1)], 60, 700), 100);
});

test("times on the axis are round and far enough apart", () => {
  assert.equal(timeStep(60, 7), 900);
  assert.equal(timeStep(86400, 7) % 86400, 0);
  assert.ok((timeStep(14400, 7) / 14400) * 7 >= 84);
});

test("a price updates the candle of its time or starts one; an older price is ignored", () => {
  const candles = [candle(60, 5, 6, 4, 5)];
  addToCandles(candles, 60, 119, 7);
  assert.deepEqual(candles, [{ start: 60, open: 5, high: 7, low: 4, close: 7, count: 2 }]);
  addToCandles(candles, 60, 30, 1);
  assert.equal(candles.length, 1);
  addToCandles(candles, 60, 120, 8);
  assert.deepEqual(candles[1], { start: 120, open: 8, high: 8, low: 8, close: 8, count: 1 });
});

test("the number of candles is bounded", () => {
  const candles = [];
  for (let minute = 0; minute < 1000; minute += 1) addToCandles(candles, 60, 60 * minute, 1);
  assert.equal(candles.length, 600);
  assert.equal(candles.at(-1).start, 59940);
});

test("the largest volume has the full height, and a candle without a volume no bar", () => {
  const candles = [{ start: 0 }, { start: 60 }, { start: 120 }, { start: 180 }];
  const volumes = new Map([[0, 4], [60, 0], [180, 1e-9], [-60, 100]]);
  assert.deepEqual(volumeHeights(candles, volumes, 40), [{ candle: candles[0], height: 40 }, { candle: candles[3], height: 1 }]);
  assert.deepEqual(volumeHeights(candles, new Map(), 40), []);
});
