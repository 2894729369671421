import assert from "node:assert/strict";
import test from "node:test";

import { filled } from "../../../aggregator/api/page/chart.js";
import { entryOf } from "../../../aggregator/api/page/events.js";
import { marksOf } from "../../../aggregator/api/page/marks.js";
import { candlesOf } from "../../../aggregator/api/page/ranges.js";
import { addToCandles, sparkline } from "../../../aggregator/api/page/spark.js";

const candle = (start, open, high, low, close) => ({ start, open, high, low, close, count: 1 });

test("a sparkline fills its box; a single price is a dot", () => {
  assert.deepEqual(sparkline([], 100, 20), { line: "", area: "" });
  assert.equal(sparkline([[0, 1]], 100, 20).line, "M98 10h0");
  assert.equal(sparkline([[0, 1], [10, 3]], 100, 20).line, "M2 18L98 2");
  assert.equal(sparkline([[0, 5], [10, 5]], 100, 20).line, "M2 10L98 10");
  assert.ok(!sparkline([[7, 5], [7, 6]], 100, 20).line.includes("NaN"));
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

test("an interval without a price is a gap", () => {
  const bar = { open: 1, high: 2, low: 1, close: 2 };
  const found = filled([{ start: 60, count: 3, ...bar }, { start: 240, count: 1, ...bar }], 60);
  assert.deepEqual(found, [{ time: 60, ...bar }, { time: 120 }, { time: 180 }, { time: 240, ...bar }]);
});

test("a range has at most some hundred candles; the whole history begins with its oldest price", () => {
  assert.deepEqual(candlesOf("1h", 7230, 0), { interval: "1m", seconds: 60, start: 3600 });
  assert.equal(candlesOf("1w", 1e9, 0).interval, "1h");
  assert.deepEqual(candlesOf("all", 1e9, 1e9 - 7200), { interval: "1m", seconds: 60, start: 999_992_760 });
  assert.equal(candlesOf("all", 1e9, 1e9 - 86_400 * 300).interval, "1d");
  assert.equal(candlesOf("all", 1e9, 0).interval, "1d");
});

test("marks are at the candle of their time, one for each kind, and only where there is one", () => {
  const candles = [60, 120].map((start) => ({ start, open: 10, high: 12, low: 8, close: 11 }));
  const at = (name, timestamp, more) => entryOf(name, { asset: "btcusdt", id: `${name}${timestamp}`, timestamp, published_at: timestamp, ...more });
  const entries = [
    at("signal", 130, { side: "buy", price: 8 }), at("signal", 70, { side: "sell", price: 12 }), at("sentiment_item", 125, { headline: "h", label: "negative" }),
    at("anomaly", 130, { feature_vector: [8] }), at("anomaly", 131, {}), at("alert", 130, {}), at("anomaly", 10, {}),
  ];
  const found = marksOf(entries, candles, 60, { up: "green", down: "red", warn: "amber", soft: "grey" });
  assert.deepEqual(found.map(({ time, shape, color }) => [time, shape, color]), [
    [60, "arrowDown", "red"], [120, "arrowUp", "green"], [120, "square", "red"], [120, "circle", "amber"],
  ]);
});
