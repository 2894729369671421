import assert from "node:assert/strict";
import test from "node:test";

import { Batches } from "../../../aggregator/api/page/figures.js";
import { dayOf, Market, volumeOf } from "../../../aggregator/api/page/market.js";
import { missing } from "../../../aggregator/api/page/format.js";

const isLoading = (row) => !row.day || row.day.reason === "loading";
const rows = (...symbols) => symbols.map((symbol) => ({ symbol, day: null }));

test("figures are requested in one request, and again when they are due", async () => {
  const asked = [];
  let now = 0;
  const figures = new Batches(async (symbols) => asked.push(symbols.join()), isLoading, () => now);
  const seen = rows("a", "b");
  await figures.want(seen, 30);
  await figures.want(seen, 30);
  await figures.want([...seen, ...rows("c")], 30);
  for (const row of seen) row.day = { reason: null };
  now = 29;
  await figures.want(seen, 30);
  now = 30;
  await figures.want(seen, 30);
  assert.deepEqual(asked, ["a,b", "c", "a,b"]);
});

test("figures that the service still loads, or that a request did not bring, are requested sooner", async () => {
  const asked = [];
  let now = 0;
  const figures = new Batches(async (symbols) => { asked.push(symbols.join()); throw new Error("503"); }, isLoading, () => now);
  const [loading, unknown, known] = rows("loading", "unknown", "known");
  loading.day = { reason: "loading" };
  known.day = { reason: "history_too_young" };
  await figures.want([loading, unknown, known], 30);
  now = 5;
  await figures.want([loading, unknown, known], 30);
  assert.deepEqual(asked, ["loading,unknown,known", "loading,unknown"]);
});

test("only one request runs at a time", async () => {
  const asked = [];
  let finish;
  const figures = new Batches((symbols) => { asked.push(symbols.join()); return new Promise((done) => { finish = done; }); }, isLoading, () => 0);
  const first = figures.want(rows("a"), 30);
  await figures.want(rows("b"), 30);
  finish();
  await first;
  const second = figures.want(rows("b"), 30);
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
  assert.deepEqual(dayOf(row), { change: 0, since: 10 });
  market.figure(body(100, 10, day));
  assert.deepEqual(dayOf(row), { change: 0.25, since: null });
  market.take(body(140, 11));
  market.take(body(60, 12));
  assert.deepEqual([dayOf(row).change, row.day.high, row.day.low, volumeOf(row)], [-0.25, 140, 60, 420]);
});

test("a newer price than that of the figures counts", () => {
  const market = new Market();
  const row = market.take(body(130, 11));
  market.figure(body(100, 10, day));
  assert.deepEqual([dayOf(row).change, row.day.high], [0.625, 130]);
  market.figure({ ...body(1, 1, day), asset: "nosuch" });
});

test("without figures there is a volume, a reason, and the change since the oldest known price", () => {
  const market = new Market();
  const row = market.take(body(100, 10));
  assert.match(missing(row.day), /Not known/);
  market.figure(body(100, 10, none));
  market.take(body(101, 11));
  assert.deepEqual([dayOf(row), row.day.high, row.day.volume], [{ change: 101 / 100 - 1, since: 10 }, null, 7]);
  assert.match(missing(row.day), /24 hours ago/);
  market.figure(body(100, 10, day));
  assert.equal(missing(row.day), null);
});
