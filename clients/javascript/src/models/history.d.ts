// `scripts/client_models` makes this file from /openapi.json. A test checks it.
import type { Amount } from "../amount.js";
import type { LeftOut, Source } from "./prices.js";

/** A price in the history. `updated_at` is our time of computing it; `degraded` was determined at that time. */
export interface StoredPrice {
  asset: string;
  /** Unix seconds */
  timestamp: number;
  /** RFC 3339 in UTC */
  time: string;
  price: Amount;
  sources: number;
  spread: Amount;
  /** Unix seconds */
  updated_at: number;
  degraded: boolean;
}

/** A page of stored prices. `next` is the cursor of the next page; null on the last page. */
export interface HistoryPage {
  asset: string;
  prices: Array<StoredPrice>;
  next: string | null;
}

/** A price in the history, the tickers it was made of, and the exchanges that did not contribute. */
export interface StoredPriceSources {
  asset: string;
  /** Unix seconds */
  timestamp: number;
  /** RFC 3339 in UTC */
  time: string;
  price: Amount;
  sources: Array<Source>;
  spread: Amount;
  /** Unix seconds */
  updated_at: number;
  degraded: boolean;
  left_out: Array<LeftOut>;
}

/** A page of stored prices with their sources. `next` as in HistoryPage. */
export interface HistorySourcesPage {
  asset: string;
  prices: Array<StoredPriceSources>;
  next: string | null;
}

/** The prices, or the trades, of one interval. `start` is the beginning of the interval in unix seconds. Open, high, low and close are those of all that are stored of the interval, and count is their number. */
export interface Candle {
  start: number;
  /** RFC 3339 in UTC */
  time: string;
  open: Amount;
  high: Amount;
  low: Amount;
  close: Amount;
  count: number;
  /** Of the trades, in base units. Null for prices, and for trades whose venues report no volumes */
  volume: Amount | null;
  /** Σ price·volume / Σ volume of the trades, to ten significant digits; or null */
  vwap: Amount | null;
}

/** The candles of a range, oldest first. An interval without a price, or trade, has no candle. */
export interface CandleList {
  asset: string;
  interval: "1m" | "5m" | "15m" | "1h" | "4h" | "1d";
  candles: Array<Candle>;
}
