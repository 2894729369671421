// What the page knows of every asset: its newest price, its first here, and where it was looked at, the last hour.

export const WINDOW = 3600; // seconds a small chart shows
const STEP = 60; // seconds between its points, so that it has some sixty and no more

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
    if (row.points) addPoint(row.points, body.timestamp, body.price);
    return news ? row : null;
  }

  /** Know the last hour of an asset from its candles; prices that came meanwhile are newer and stay. */
  recall(symbol, candles) {
    const row = this.rows.get(symbol);
    if (!row) return;
    const points = [];
    for (const candle of candles) addPoint(points, Number(candle.start), candle.close);
    if (row.price !== null) addPoint(points, row.timestamp, row.price);
    row.points = points;
  }

  #row(symbol) {
    let row = this.rows.get(symbol);
    if (!row) {
      row = {
        symbol, base: "", quote: "", tier: "cold", rank: this.rows.size + 1,
        price: null, first: null, moved: 0, timestamp: 0, sources: 0, spread: 0, points: null,
      };
      this.rows.set(symbol, row);
    }
    return row;
  }
}

/** Put a point behind the others, in the place of the last where that is of the same minute; drop what is too old. */
export function addPoint(points, timestamp, price) {
  const minute = Math.floor(timestamp / STEP);
  const last = points.at(-1);
  if (last && Math.floor(last[0] / STEP) >= minute) {
    last[0] = Math.max(last[0], timestamp);
    last[1] = price;
  } else {
    points.push([timestamp, price]);
  }
  let old = 0;
  while (points[old][0] < timestamp - WINDOW - STEP) old += 1;
  if (old) points.splice(0, old);
}

/** The change since the first price this page got, as a fraction; null before the first. */
export function changeOf(row) {
  return row.price === null ? null : row.price / row.first - 1;
}
