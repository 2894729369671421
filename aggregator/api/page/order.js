// Which assets are shown, and in which order. Pure.

import { changeOf } from "./market.js";

const TIERS = ["hot", "medium", "cold"];
const KEYS = {
  rank: (row) => row.rank,
  asset: (row) => row.symbol,
  price: (row) => row.price,
  change: (row) => changeOf(row),
  age: (row) => (row.price === null ? null : -row.timestamp),
  tier: (row) => TIERS.indexOf(row.tier),
  sources: (row) => (row.price === null ? null : row.sources),
  spread: (row) => (row.price === null ? null : Number(row.spread)),
};

/** Which way a column goes at the first click. */
export const DESCENDING_FIRST = new Set(["price", "change", "spread", "sources"]);
/** Columns whose order changes as prices come. */
export const LIVE = new Set(["price", "change", "age", "sources", "spread"]);

/** Return the rows that fit `{query, tier, key, descending}`; those without a value come last, whichever way it goes. */
export function arrange(rows, view) {
  const query = normal(view.query);
  const found = [];
  for (const row of rows) {
    if (view.tier && row.tier !== view.tier) continue;
    const quality = query ? match(row, query) : 0;
    if (quality !== null) found.push({ row, quality, value: KEYS[view.key](row) });
  }
  const way = view.descending ? -1 : 1;
  const byMatch = query && view.key === "rank" && !view.descending;
  found.sort((one, other) => (byMatch && one.quality - other.quality) || compare(one, other, way));
  return found.map((one) => one.row);
}

function compare(one, other, way) {
  if (one.value === null || other.value === null) {
    return (one.value === null) - (other.value === null) || one.row.rank - other.row.rank;
  }
  if (one.value === other.value) return one.row.rank - other.row.rank;
  return one.value < other.value ? -way : way;
}

/** "BTC / USDT" and "btc-usdt" are looked for as "btcusdt". */
function normal(query) {
  return query.toLowerCase().replaceAll(/[^a-z0-9]/g, "");
}

/** How well a row fits, 0 best; null when it does not. */
function match(row, query) {
  if (row.base === query || row.symbol === query) return 0;
  if (row.symbol.startsWith(query)) return 1;
  return row.symbol.includes(query) ? 2 : null;
}

/** How many rows each tier has, and all together under "". */
export function counts(rows) {
  const found = { "": 0, hot: 0, medium: 0, cold: 0 };
  for (const row of rows) {
    found[""] += 1;
    found[row.tier] += 1;
  }
  return found;
}
