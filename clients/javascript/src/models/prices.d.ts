// `scripts/client_models` makes this file from /openapi.json. A test checks it.
import type { Amount } from "../amount.js";

/** A price. It has the 24-hour figures, the last seven fields, with `details=true` only. */
export interface Price {
  asset: string;
  /** In units of the quote asset, to ten significant digits */
  price: Amount;
  /** `timestamp` in UTC */
  last_updated: string;
  /** `timestamp` as RFC 3339 in UTC */
  timestamp_iso: string;
  /** The age, rounded down */
  time_ago: string;
  /** The tier, which sets how often the price is refreshed */
  refresh_tier: "cold" | "hot" | "medium";
  /** The newest exchange time of the sources, at most the service's own time. Unix seconds */
  timestamp: number;
  /** How many exchanges contributed */
  sources: number;
  /** (highest - lowest) / price of the sources */
  spread: Amount;
  /** Whether the price is older than 1.5 intervals of its tier */
  stale: boolean;
  /** Whether fewer exchanges contributed than list the asset */
  degraded: boolean;
  /** `price` less the price that was current at `figures_since` */
  change_24h?: Amount | null;
  /** The change in percent of that price, to ten significant digits */
  change_24h_percent?: Amount | null;
  /** The highest price after `figures_since` */
  high_24h?: Amount | null;
  /** The lowest price after `figures_since` */
  low_24h?: Amount | null;
  /** In units of the base asset: the sum of the 24-hour volumes of the exchanges that contributed */
  volume_24h?: Amount | null;
  /** The last multiple of five minutes that is at least 24 hours ago. Unix seconds. Change, high and low are exact for the stored prices from then on */
  figures_since?: number;
  /** Why change, high and low are null; null if they are not */
  figures_reason?: "cut_off" | "history_too_young" | "history_unavailable" | "loading" | null;
}

/** A requested asset without a price, and the reason. `near` has listed assets that an unknown symbol may mean. */
export interface Missing {
  asset: string;
  reason: "Invalid asset symbol" | "Asset not found" | "No price known now";
  near?: Array<string>;
}

/** The prices found, and the requested assets without one. */
export interface PriceList {
  prices: Array<Price>;
  missing: Array<Missing>;
}

/** The two factors of a converted ticker: the exchange's price of `symbol`, and our price of the pair `rate`. */
export interface Conversion {
  symbol: string;
  price: Amount;
  rate: string;
  rate_price: Amount;
  rate_timestamp: number;
}

/** An exchange's ticker as it went into a price, with its weight (0 to 1). `converted` is set only for a ticker that was converted from another quote. */
export interface Source {
  exchange: string;
  price: Amount;
  /** In units of the base asset */
  volume: Amount;
  timestamp: number;
  /** Share of the volume, at most MAX_WEIGHT */
  weight: Amount;
  /** The clock of `timestamp`: the exchange's, or ours when we received the ticker */
  clock?: "exchange" | "receipt";
  converted?: Conversion;
}

/** An exchange without a part in a price, the reason, and its ticker if there is one that can be shown. */
export interface LeftOut {
  exchange: string;
  reason: "bad_price" | "bad_volume" | "blocked" | "breaker_open" | "disagreement" | "from_the_future" | "http_error" | "late" | "maintenance" | "no_rate" | "not_listed" | "outlier" | "rate_limited" | "timeout" | "too_few" | "too_old" | "undecodable" | "unreachable" | "wrong_symbol";
  detail?: string;
  price?: Amount;
  volume?: Amount;
  timestamp?: number;
  converted?: Conversion;
}

/** A price, the tickers it was made of, and the exchanges that did not contribute. */
export interface PriceSources {
  asset: string;
  /** In units of the quote asset, to ten significant digits */
  price: Amount;
  /** `timestamp` in UTC */
  last_updated: string;
  /** `timestamp` as RFC 3339 in UTC */
  timestamp_iso: string;
  /** The age, rounded down */
  time_ago: string;
  /** The tier, which sets how often the price is refreshed */
  refresh_tier: "cold" | "hot" | "medium";
  /** The newest exchange time of the sources, at most the service's own time. Unix seconds */
  timestamp: number;
  sources: Array<Source>;
  /** (highest - lowest) / price of the sources */
  spread: Amount;
  /** Whether the price is older than 1.5 intervals of its tier */
  stale: boolean;
  /** Whether fewer exchanges contributed than list the asset */
  degraded: boolean;
  left_out: Array<LeftOut>;
  /** Only for a stale price: each exchange's reason why no newer price can be made */
  no_new_price?: Array<LeftOut>;
}

/** A price that has just been made and stored. */
export interface RefreshedPrice {
  asset: string;
  /** In units of the quote asset, to ten significant digits */
  price: Amount;
  /** `timestamp` in UTC */
  last_updated: string;
  /** `timestamp` as RFC 3339 in UTC */
  timestamp_iso: string;
  /** The age, rounded down */
  time_ago: string;
  /** The tier, which sets how often the price is refreshed */
  refresh_tier: "cold" | "hot" | "medium";
  /** The newest exchange time of the sources, at most the service's own time. Unix seconds */
  timestamp: number;
  /** How many exchanges contributed */
  sources: number;
  /** (highest - lowest) / price of the sources */
  spread: Amount;
  /** Whether the price is older than 1.5 intervals of its tier */
  stale: boolean;
  /** Whether fewer exchanges contributed than list the asset */
  degraded: boolean;
  message: string;
}

/** The last price of each half hour of the last 24 hours, oldest first; of shorter steps while less is known. `timestamps` and `prices` have the same length, at most 51; both are empty while no price is known. `reason` says why there are none of 24 hours ago, as `figures_reason` of a price does; null if there are. */
export interface Sparkline {
  asset: string;
  timestamps: Array<number>;
  prices: Array<number>;
  reason: "cut_off" | "history_too_young" | "history_unavailable" | "loading" | null;
}

/** The sparklines of the requested assets, and the names without an asset. */
export interface SparklineList {
  sparklines: Array<Sparkline>;
  missing: Array<Missing>;
}
