// The assets in memory: newest price, first price since the page was opened, recent prices and features of assets in view.

import { spikeOf } from "./gauges.js";

export const RECENT = 90; // prices in a sparkline

export class Market {
  rows = new Map();

  /** Set the assets to the list of GET /assets. */
  list(assets) {
    const listed = new Set(assets.map((asset) => asset.symbol));
    for (const symbol of this.rows.keys()) if (!listed.has(symbol)) this.rows.delete(symbol);
    for (const asset of assets) Object.assign(this.#row(asset.symbol), asset);
  }

  /** Add a price. Return its row, or null if the price is not newer. */
  take(body) {
    const row = this.#row(body.asset);
    if (body.timestamp < row.timestamp) return null;
    const news = body.timestamp > row.timestamp || body.price !== row.price;
    row.moved = row.price === null ? 0 : Math.sign(body.price - row.price);
    row.first ??= body.price;
    row.price = body.price;
    row.timestamp = body.timestamp;
    row.tier = body.refresh_tier;
    row.sources = body.sources;
    row.spread = body.spread;
    row.degraded = body.degraded;
    if (row.points) addPoint(row.points, body.timestamp, body.price);
    if (row.day) widen(row.day, body.price);
    return news ? row : null;
  }

  /** Set the 24-hour figures of an asset, from a price with `details=true`. */
  figure(body) {
    const row = this.rows.get(body.asset);
    if (!row) return;
    row.day = {
      reference: body.change_24h === null ? null : body.price - body.change_24h,
      high: body.high_24h, low: body.low_24h, volume: body.volume_24h, reason: body.figures_reason,
    };
    if (row.price !== null) widen(row.day, row.price);
  }

  /** Set the features of the trades of an asset; `spike` becomes the mark of a trade of unusual volume. */
  measure(features) {
    const row = this.rows.get(features.asset);
    if (!row || (row.features && row.features.window_end > features.window_end)) return;
    row.features = features;
    row.spike = spikeOf(features, row.spike);
  }

  /** Set the recent prices of an asset from its history, newest first. Prices of the stream that are newer stay. */
  recall(symbol, prices) {
    const row = this.rows.get(symbol);
    if (!row) return;
    const points = [];
    for (const one of prices.toReversed()) addPoint(points, one.timestamp, one.price);
    if (row.price !== null) addPoint(points, row.timestamp, row.price);
    row.points = points;
  }

  #row(symbol) {
    let row = this.rows.get(symbol);
    if (!row) {
      row = {
        symbol, base: "", quote: "", tier: "cold", rank: this.rows.size + 1,
        price: null, first: null, moved: 0, timestamp: 0, sources: 0, spread: 0, degraded: false, points: null, day: null,
        features: null, spike: null,
      };
      this.rows.set(symbol, row);
    }
    return row;
  }
}

/** Append a point, or replace the last point of the same time. The oldest point is dropped. */
export function addPoint(points, timestamp, price) {
  const last = points.at(-1);
  if (last && last[0] > timestamp) return;
  if (last && last[0] === timestamp) last[1] = price;
  else points.push([timestamp, price]);
  if (points.length > RECENT) points.shift();
}

/** Include a price in the highest and the lowest of the day, if they are known. */
function widen(day, price) {
  if (day.reference === null) return;
  day.high = Math.max(day.high, price);
  day.low = Math.min(day.low, price);
}

/** Return the change since 24 hours ago as a fraction; null if it is not known. */
export function dayChangeOf(row) {
  return row.price === null || !row.day?.reference ? null : row.price / row.day.reference - 1;
}

/** Return the change since the first price as a fraction; null without a price. */
export function changeOf(row) {
  return row.price === null ? null : row.price / row.first - 1;
}
