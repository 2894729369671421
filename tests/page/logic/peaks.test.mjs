import assert from "node:assert/strict";
import test from "node:test";

import { Market } from "../../../aggregator/api/page/market.js";
import { Peaks } from "../../../aggregator/api/page/peaks.js";

test("the greatest event of 15 minutes is shown for a minute", () => {
  const peaks = new Peaks();
  assert.equal(peaks.shown(1000), null);
  peaks.add(1000, 5);
  assert.deepEqual([peaks.shown(1059), peaks.shown(1060)], [{ at: 1000, size: 5 }, null]);
  peaks.add(1100, 4);
  assert.equal(peaks.shown(1101), null);
  peaks.add(1200, 6);
  assert.deepEqual(peaks.shown(1201), { at: 1200, size: 6 });
  peaks.add(2099, 5);
  assert.equal(peaks.shown(2099), null);
  peaks.add(2100, 5);
  assert.equal(peaks.shown(2100).at, 2100);
});

test("an event that comes late or twice does not change what is shown", () => {
  const peaks = new Peaks();
  peaks.add(1000, 5);
  peaks.add(1000, 5);
  peaks.add(950, 9);
  assert.deepEqual(peaks.shown(1001), { at: 1000, size: 5 });
  peaks.add(1010, 6);
  assert.deepEqual(peaks.shown(1011), { at: 1000, size: 5 });
});

test("a busy asset whose trades are often unusual is rarely marked", () => {
  const peaks = new Peaks();
  let seed = 7;
  let marked = 0;
  for (let second = 0; second < 36_000; second += 1) {
    seed = (1103515245 * seed + 12345) % 2 ** 31;
    if (second % 5 === 0) peaks.add(second, seed / 2 ** 31);
    if (second >= 900 && peaks.shown(second)) marked += 1;
  }
  const share = marked / (36_000 - 900);
  assert.ok(share > 0.01 && share < 0.15, String(share));
});

test("the lower the score of a trade, the more unusual it is", () => {
  const market = new Market();
  market.list([{ symbol: "btcusdt", rank: 1, tier: "hot", base: "btc", quote: "usdt" }]);
  market.unusual("btcusdt", 1000, -0.6);
  market.unusual("btcusdt", 1061, -0.55);
  market.unusual("nosuch", 1000, -0.6);
  const { anomalies } = market.rows.get("btcusdt");
  assert.deepEqual(anomalies.shown(1001), { at: 1000, size: 0.6 });
  assert.equal(anomalies.shown(1061), null);
  market.unusual("btcusdt", 1062, -0.7);
  assert.equal(anomalies.shown(1063).at, 1062);
});
