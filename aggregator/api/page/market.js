// What the page knows of every asset: its newest price, the first it got, and of those looked at, the recent ones.

export const RECENT = 90; // prices a small chart shows

export class Market {
  rows = new Map();

  /** Know these assets, as GET /assets tells them; those gone from the list go. */
  list(assets) {
    const listed = new Set(assets.map((asset) => asset.symbol));
    for (const symbol of this.rows.keys()) if (!listed.has(symbol)) this.rows.delete(symbol);
    for (const asset of assets) Object.assign(this.#row(asset.symbol), asset);
  }

  /** Take a price; return its row, or null for one that is no news. */
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
    return news ? row : null;
  }

  /** Know the recent prices of an asset as history tells them, newest first; one that came meanwhile is newer. */
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
        price: null, first: null, moved: 0, timestamp: 0, sources: 0, spread: 0, degraded: false, points: null,
      };
      this.rows.set(symbol, row);
    }
    return row;
  }
}

/** Put a point behind the others, in the place of the last where it is of the same time; the oldest goes. */
export function addPoint(points, timestamp, price) {
  const last = points.at(-1);
  if (last && last[0] > timestamp) return;
  if (last && last[0] === timestamp) last[1] = price;
  else points.push([timestamp, price]);
  if (points.length > RECENT) points.shift();
}

/** The change since the first price this page got, as a fraction; null before the first. */
export function changeOf(row) {
  return row.price === null ? null : row.price / row.first - 1;
}
