import assert from "node:assert/strict";
import test from "node:test";

import * as format from "../../../aggregator/api/page/format.js";

test("a price has six significant digits, and at least two decimals", () => {
  assert.equal(format.price(79450.1234), "79,450.12");
  assert.equal(format.price(3123.456), "3,123.46");
  assert.equal(format.price(1.234567), "1.23457");
  assert.equal(format.price(0.1564671), "0.156467");
  assert.equal(format.price(0.0000123456), "0.0000123456");
  assert.equal(format.price(null), "–");
});

test("prices of one magnitude have the same number of decimals", () => {
  assert.equal(format.decimals(1.0), format.decimals(9.99));
  assert.equal(format.decimals(10), 4);
});

test("a change has a sign, unless it rounds to zero", () => {
  assert.equal(format.change(0.01234), "+1.23 %");
  assert.equal(format.change(-0.01234), "−1.23 %");
  assert.equal(format.change(0.00001), "0.00 %");
  assert.equal(format.change(-0.00001), "0.00 %");
  assert.equal(format.direction(-0.00001), 0);
  assert.equal(format.direction(-0.01), -1);
  assert.equal(format.change(null), "–");
});

test("an age has at most two units and is never negative", () => {
  assert.deepEqual([-3, 0, 59.9, 60, 249, 3600, 10920, 86400, 435600].map(format.age), [
    "0s", "0s", "59s", "1m 00s", "4m 09s", "1h 00m", "3h 02m", "1d 0h", "5d 1h",
  ]);
  assert.equal(format.age(null), "–");
});

test("a clock difference within the header's rounding is zero", () => {
  const date = "Sat, 21 Nov 2026 15:00:00 GMT";
  const then = Date.parse(date) / 1000;
  assert.equal(format.ahead(date, then + 1.9), 0);
  assert.equal(format.ahead(date, then - 100), 100.5);
  assert.equal(format.ahead(null, then), 0);
});

test("basis points", () => {
  assert.equal(format.basisPoints(0.0005), "+5.0 bp");
  assert.equal(format.basisPoints(-0.0005), "−5.0 bp");
  assert.equal(format.basisPoints(0.000001), "0.0 bp");
  assert.equal(format.basisPoints(-2), "−20,000 bp");
});

test("a pair shows base and quote, or its symbol when they are unknown", () => {
  assert.deepEqual(format.pair({ symbol: "btcusdt", base: "btc", quote: "usdt" }), ["BTC", "USDT"]);
  assert.deepEqual(format.pair({ symbol: "btcusdt", base: "", quote: "" }), ["BTCUSDT", ""]);
});

test("a known reason has a text, and an unknown one is readable", () => {
  assert.equal(format.reason("breaker_open"), "breaker is open");
  assert.equal(format.reason("a_new_one"), "a new one");
});

test("hues are degrees, and differ for the best known assets", () => {
  const hues = ["BTC", "ETH", "SOL", "XRP"].map(format.hue);
  assert.ok(hues.every((hue) => hue >= 0 && hue < 360));
  assert.equal(new Set(hues).size, 4);
});
