// Filters and sorts the rows of the table. Pure.

import { dayOf, volumeOf } from "./market.js";

const TIERS = ["hot", "medium", "cold"];
const KEYS = {
  rank: (row) => row.rank,
  asset: (row) => row.symbol,
  price: (row) => row.price,
  day: (row) => dayOf(row).change,
  volume: volumeOf,
  range: (row) => (row.day?.high ? row.day.high / row.day.low - 1 : null),
  venues: (row) => (row.price === null ? null : row.sources),
  gap: (row) => (row.price === null || row.sources < 2 ? null : Number(row.spread)),
  age: (row) => (row.price === null ? null : -row.timestamp),
  tier: (row) => TIERS.indexOf(row.tier),
};

/** Columns that the first click sorts in descending order. */
export const DESCENDING_FIRST = new Set(["price", "day", "volume", "range", "gap", "venues"]);
/** Columns whose order changes with new prices. */
export const LIVE = new Set(["price", "day", "volume", "range", "venues", "gap", "age"]);

/**
 * Return the rows that match `{query, tier, quote, watched, key, descending}`. `watched` is a set of symbols, or null
 * for all. Rows without a value are last in either direction.
 */
export function arrange(rows, view) {
  const query = normal(view.query);
  const found = [];
  for (const row of rows) {
    if (view.tier && row.tier !== view.tier) continue;
    if (view.quote && row.quote !== view.quote) continue;
    if (view.watched && !view.watched.has(row.symbol)) continue;
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

/** Return the normal form of a query: "BTC / USDT" and "btc-usdt" become "btcusdt". */
function normal(query) {
  return query.toLowerCase().replaceAll(/[^a-z0-9]/g, "");
}

/** Return how well a row matches (0 is best), or null if it does not. */
function match(row, query) {
  if (row.base === query || row.symbol === query) return 0;
  if (row.symbol.startsWith(query)) return 1;
  return row.symbol.includes(query) ? 2 : null;
}

/** Return the number of rows of each tier, and of all tiers under "". */
export function counts(rows) {
  const found = { "": 0, hot: 0, medium: 0, cold: 0 };
  for (const row of rows) {
    found[""] += 1;
    found[row.tier] += 1;
  }
  return found;
}

/** Return the quote assets of the rows, the most frequent first. */
export function quotesOf(rows) {
  const found = new Map();
  for (const row of rows) if (row.quote) found.set(row.quote, (found.get(row.quote) ?? 0) + 1);
  return [...found].sort((one, other) => other[1] - one[1] || (one[0] < other[0] ? -1 : 1)).map(([quote]) => quote);
}

const LOCKED = "Reading prices needs an API key here (READ_KEYS), which this page cannot send. Programs can: see API.";
const AWAY = "The service cannot be reached. The page tries again by itself.";

/**
 * Return the text in place of the rows, "" if there are some. `shown` rows of `known` fit the view; `{locked, isAway,
 * watched}` are whether a key is needed, whether the connection is lost, and the watchlist if it filters.
 */
export function emptyNote(shown, known, { locked, isAway, watched }) {
  if (locked) return LOCKED;
  if (shown) return "";
  if (!known) return isAway ? AWAY : "Loading prices\u2026";
  return watched && !watched.size ? "The watchlist is empty: press the star of an asset." : "No asset fits.";
}
