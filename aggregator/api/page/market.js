// The assets in memory: newest price, 24-hour figures, prices of a sparkline, and features of assets in view.

import { SPIKE } from "./gauges.js";
import { Peaks } from "./peaks.js";

const STEPS = 100; // of time that a sparkline has; each has one point at most
const DAY = 86_400;

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
    row.first ??= { price: body.price, at: body.timestamp };
    row.price = body.price;
    row.timestamp = body.timestamp;
    row.tier = body.refresh_tier;
    row.sources = body.sources;
    row.spread = body.spread;
    row.degraded = body.degraded;
    if (row.points) row.points = addPoint(row.points, body.timestamp, body.price);
    if (row.day) widen(row.day, body.price);
    return news ? row : null;
  }

  /** Whether the stored prices are too young for the highest and the lowest of a day, of each asset. */
  get isYoung() {
    const days = [...this.rows.values()].map((row) => row.day).filter(Boolean);
    return days.some((day) => day.reason === "history_too_young") && !days.some((day) => day.reference);
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

  /** Set the features of the trades of an asset, and note a trade of unusual volume. */
  measure(features) {
    const row = this.rows.get(features.asset);
    if (!row || (row.features && row.features.window_end > features.window_end)) return;
    row.features = features;
    if (features.volume_zscore !== null && features.volume_zscore >= SPIKE) row.volumes.add(features.window_end, features.volume_zscore);
  }

  /** Note an unusual trade of an asset; the lower its score, the more unusual. */
  unusual(symbol, at, score) {
    this.rows.get(symbol)?.anomalies.add(at, -score);
  }

  /** Add the prices of GET /sparklines to an asset's own. `isLoading`: the service has not read all of them yet. */
  recall({ asset, timestamps, prices, reason }) {
    const row = this.rows.get(asset);
    if (!row) return;
    row.isSparkLoading = reason === "loading";
    const found = new Map((row.points ?? []).map((point) => [point[0], point]));
    timestamps.forEach((at, index) => found.set(at, [at, prices[index]]));
    if (row.price !== null) found.set(row.timestamp, [row.timestamp, row.price]);
    row.points = thinned([...found.values()].sort((one, other) => one[0] - other[0]));
  }

  #row(symbol) {
    let row = this.rows.get(symbol);
    if (!row) {
      row = {
        symbol, base: "", quote: "", tier: "cold", rank: this.rows.size + 1,
        price: null, first: null, moved: 0, timestamp: 0, sources: 0, spread: 0, degraded: false, points: null, day: null,
        features: null, volumes: new Peaks(), anomalies: new Peaks(),
      };
      this.rows.set(symbol, row);
    }
    return row;
  }
}

/** Return points with one more. It replaces the last one if that is within a hundredth of their time of the one before. */
export function addPoint(points, timestamp, price) {
  const last = points.at(-1);
  if (last && last[0] > timestamp) return points;
  const isClose = points.length > 2 && last[0] - points.at(-2)[0] < (timestamp - points[0][0]) / STEPS;
  if (last && (isClose || last[0] === timestamp)) points.pop();
  points.push([timestamp, price]);
  return points.length > 2 * STEPS ? thinned(points) : points;
}

/** Return the points of the last day, at most one for each hundredth of their time; the last point stays. */
export function thinned(points) {
  if (!points.length) return points;
  const end = points.at(-1);
  const day = points.filter((point) => point[0] >= end[0] - DAY - 300);
  const step = (end[0] - day[0][0]) / STEPS;
  const found = [day[0]];
  for (const point of day.slice(1, -1)) if (point[0] - found.at(-1)[0] >= step && end[0] - point[0] >= step) found.push(point);
  if (end !== day[0]) found.push(end);
  return found;
}

/** Include a price in the highest and the lowest of the day, if they are known. */
function widen(day, price) {
  if (day.reference === null) return;
  day.high = Math.max(day.high, price);
  day.low = Math.min(day.low, price);
}

/**
 * Return `{change, since}`: the change over 24 hours as a fraction. While no price of 24 hours ago is known, it is the
 * change since the oldest known price, at `since`. Both are null without a price.
 */
export function dayOf(row) {
  if (row.price === null) return { change: null, since: null };
  if (row.day?.reference) return { change: row.price / row.day.reference - 1, since: null };
  const [at, price] = row.points?.[0] ?? [row.first.at, row.first.price];
  return { change: row.price / price - 1, since: at };
}

/** Return the volume of 24 hours in the quote asset; null if it is not known. */
export function volumeOf(row) {
  const volume = row.day?.volume ?? null;
  return volume === null || row.price === null ? null : volume * row.price;
}
