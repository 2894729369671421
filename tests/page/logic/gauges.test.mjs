import assert from "node:assert/strict";
import test from "node:test";

import { gaugesOf, lastPrice } from "../../../aggregator/api/page/gauges.js";
import { Market } from "../../../aggregator/api/page/market.js";

const FEATURES = {
  asset: "btcusdt", vwap_1min: 100, vwap_5min: 100, rolling_avg_5min: 80, volume_zscore: 2, price_momentum: -5,
  trade_frequency: 0, vwap_deviation: 0.25, window_start: 700, window_end: 1000, updated_at: 1000, warming_up: [], by_second: false,
};
const found = (features) => Object.fromEntries(gaugesOf(features).map((one) => [one.name, one]));

test("a gauge has a text, and a bar from the centre", () => {
  const gauges = found(FEATURES);
  assert.equal(lastPrice(FEATURES), 100.25);
  assert.deepEqual([gauges.vwap_1min.text, gauges.vwap_1min.from, gauges.vwap_1min.to.toFixed(4)], ["100.000", 0.5, "0.7500"]);
  assert.match(gauges.vwap_1min.title, /\+25\.0 bp/);
  assert.equal(gauges.rolling_avg_5min.to, 1);
  assert.deepEqual([gauges.volume_zscore.text, gauges.volume_zscore.to, gauges.volume_zscore.state], ["+2.00", 0.75, null]);
  assert.deepEqual([gauges.price_momentum.text, gauges.price_momentum.to], ["\u22125.00 %", 0]);
  assert.deepEqual([gauges.trade_frequency.text, gauges.trade_frequency.to], ["0", 0]);
  assert.equal(found({ ...FEATURES, trade_frequency: 1e9 }).trade_frequency.to, 1);
  assert.equal(found({ ...FEATURES, volume_zscore: 3 }).volume_zscore.state, "warn");
});

test("without a value a gauge says that it is warming up, or nothing while no trade is known", () => {
  const nothing = { vwap_1min: null, vwap_5min: null, rolling_avg_5min: null, volume_zscore: null, price_momentum: null, vwap_deviation: null };
  for (const gauge of gaugesOf({ ...FEATURES, ...nothing })) {
    if (gauge.name !== "trade_frequency") assert.deepEqual([gauge.text, gauge.from], ["warming up", null]);
  }
  assert.deepEqual(new Set(gaugesOf(null).map((one) => one.text)), new Set(["\u2013"]));
  assert.equal(lastPrice(null), null);
  assert.equal(found({ ...FEATURES, vwap_5min: null }).vwap_1min.to, 0.5);
});

test("an asset is marked for a minute after a trade of unusual volume", () => {
  const market = new Market();
  market.list([{ symbol: "btcusdt", rank: 1, tier: "hot", base: "btc", quote: "usdt" }]);
  const row = market.rows.get("btcusdt");
  market.measure({ ...FEATURES, volume_zscore: 2.99 });
  assert.equal(row.volumes.shown(1000), null);
  market.measure({ ...FEATURES, volume_zscore: 3, window_end: 1001 });
  market.measure({ ...FEATURES, volume_zscore: null, window_end: 1002 });
  assert.deepEqual([row.volumes.shown(1060.9), row.volumes.shown(1061)], [{ at: 1001, size: 3 }, null]);
  market.measure({ ...FEATURES, volume_zscore: 9, window_end: 900 });
  assert.deepEqual([row.volumes.shown(1002).at, row.features.window_end], [1001, 1002]);
  market.measure({ ...FEATURES, asset: "nosuch" });
});
