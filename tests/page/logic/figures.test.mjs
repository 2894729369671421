import assert from "node:assert/strict";
import test from "node:test";

import { Figures } from "../../../aggregator/api/page/figures.js";
import { dayChangeOf, Market } from "../../../aggregator/api/page/market.js";
import { missing } from "../../../aggregator/api/page/format.js";

const rows = (...symbols) => symbols.map((symbol) => ({ symbol, day: null }));

test("figures are requested in one request, and again when they are due", async () => {
  const asked = [];
  let now = 0;
  const figures = new Figures(async (symbols) => asked.push(symbols.join()), () => now);
  const seen = rows("a", "b");
  await figures.want(seen);
  await figures.want(seen);
  await figures.want([...seen, ...rows("c")]);
  for (const row of seen) row.day = { reason: null };
  now = 29;
  await figures.want(seen);
  now = 30;
  await figures.want(seen);
  assert.deepEqual(asked, ["a,b", "c", "a,b"]);
});

test("figures that the service still loads, or that a request did not bring, are requested sooner", async () => {
  const asked = [];
  let now = 0;
  const figures = new Figures(async (symbols) => { asked.push(symbols.join()); throw new Error("503"); }, () => now);
  const [loading, unknown, known] = rows("loading", "unknown", "known");
  loading.day = { reason: "loading" };
  known.day = { reason: "history_too_young" };
  await figures.want([loading, unknown, known]);
  now = 5;
  await figures.want([loading, unknown, known]);
  assert.deepEqual(asked, ["loading,unknown,known", "loading,unknown"]);
});

test("only one request runs at a time", async () => {
  const asked = [];
  let finish;
  const figures = new Figures((symbols) => { asked.push(symbols.join()); return new Promise((done) => { finish = done; }); }, () => 0);
  const first = figures.want(rows("a"));
  await figures.want(rows("b"));
  finish();
  await first;
  const second = figures.want(rows("b"));
  finish();
  await second;
  assert.deepEqual(asked, ["a", "b"]);
});

const body = (price, timestamp, more) => ({ asset: "btcusdt", price, timestamp, refresh_tier: "hot", sources: 3, spread: 0.001, ...more });
const day = { change_24h: 20, high_24h: 120, low_24h: 90, volume_24h: 7, figures_reason: null };
const none = { change_24h: null, high_24h: null, low_24h: null, volume_24h: 7, figures_reason: "history_too_young" };

test("live prices keep the figures current", () => {
  const market = new Market();
  const row = market.take(body(100, 10));
  assert.equal(dayChangeOf(row), null);
  market.figure(body(100, 10, day));
  assert.equal(dayChangeOf(row), 0.25);
  market.take(body(140, 11));
  market.take(body(60, 12));
  assert.deepEqual([dayChangeOf(row), row.day.high, row.day.low, row.day.volume], [-0.25, 140, 60, 7]);
});

test("a newer price than that of the figures counts", () => {
  const market = new Market();
  const row = market.take(body(130, 11));
  market.figure(body(100, 10, day));
  assert.deepEqual([dayChangeOf(row), row.day.high], [0.625, 130]);
  market.figure({ ...body(1, 1, day), asset: "nosuch" });
});

test("without figures there is a volume and a reason", () => {
  const market = new Market();
  const row = market.take(body(100, 10));
  assert.match(missing(row.day), /Not known/);
  market.figure(body(100, 10, none));
  market.take(body(101, 11));
  assert.deepEqual([dayChangeOf(row), row.day.high, row.day.volume], [null, null, 7]);
  assert.match(missing(row.day), /24 hours ago/);
  market.figure(body(100, 10, day));
  assert.equal(missing(row.day), null);
});
