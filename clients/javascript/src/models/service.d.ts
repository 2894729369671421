// `scripts/client_models` makes this file from /openapi.json. A test checks it.

/** A listed asset. `rank` is its row in the symbols file, from 1; base and quote are empty if the file has none. `venues` is the number of exchanges known to trade it, `too_few_venues` whether these are too few to make a price. Both are absent until a refresher has reported them. */
export interface Asset {
  symbol: string;
  base: string;
  quote: string;
  tier: "cold" | "hot" | "medium";
  rank: number;
  venues?: number;
  too_few_venues?: boolean;
}

/** Every listed asset, hottest tier first. */
export interface AssetList {
  assets: Array<Asset>;
}

/** The tokens that the rate limiter has left. A token is a call, or a unit of weight where calls are weighed. */
export interface RateLimit {
  tokens_left: number;
  per_second: number;
}

/** The state of an exchange, as all refreshers see it. */
export interface ExchangeReport {
  name: string;
  state: "degraded" | "down" | "ok";
  problem: string | null;
  breaker: "closed" | "half-open" | "open";
  last_ticker: number | null;
  last_ticker_iso: string | null;
  tickers: number;
  left_out: Record<string, number>;
  mean_distance: number | null;
  mean_absolute_distance: number | null;
  push: "fallen_back" | "polled" | "pushing";
  push_problem: string | null;
  rate_limit: RateLimit | null;
  cooldown_seconds: number;
  assets: number | null;
  refreshers: number;
}

/** Every exchange. The counts are of the last `window_seconds`. */
export interface ExchangeReports {
  window_seconds: number;
  exchanges: Array<ExchangeReport>;
}

/** The state of an exchange. Ages are in seconds, null before its first ticker. `quiet_for_seconds` is the rest of a cool-down that the exchange has asked for. The age of its newest ticker is by its own clock, negative if that is ahead. `push` is `live`, or why its feed has fallen back to polling; null for an exchange that is only polled. `rejected` is why its tickers are rejected and for how many assets, during the last seconds; null if they are accepted. */
export interface ExchangeState {
  breaker: "closed" | "half-open" | "open";
  quiet_for_seconds: number;
  last_ticker_seconds_ago: number | null;
  newest_ticker_seconds_ago: number | null;
  push: string | null;
  rejected: string | null;
}

/** The state of one tier. Ages are in seconds; None (JSON null) means that the p95 asset has no usable price. */
export interface TierFreshness {
  assets: number;
  priced: number;
  p95_age: number | null;
  allowed_age: number;
  stale_after: number;
}

/** A partition of the log of trades that the process reads. */
export interface Partition {
  partition: number;
  /** Records that are not processed yet */
  records: number;
  /** Age of the last processed record; 0 while none waits */
  seconds: number;
}

/** Whether the service can serve prices. `reasons` lists every problem, also those that clients do not notice. `invented_market` is true where an exchange is a mock exchange, as in the demo: its prices are made up. */
export interface Readiness {
  ready: boolean;
  reasons: Array<string>;
  /** By name: `ok`, or the problem */
  stores: Record<string, string>;
  /** By name, as the refreshers see them; if they differ, the view of one that has a problem. Empty if unknown */
  exchanges: Record<string, ExchangeState>;
  tiers: Record<string, TierFreshness>;
  jobs_behind_seconds: Record<string, number>;
  /** Of a kafka:// log of trades, those that this process reads */
  partitions: Array<Partition>;
  /** Those that this process may send to, by name: `ok`, or why it is away or has ended. In the role `api`, those that the other processes on its Redis send to */
  outlets: Record<string, string>;
  invented_market: boolean;
}

/** The state of the process. Latencies are those of the last minute. */
export interface Health {
  /** unhealthy while trades cannot be stored; degraded while /ready has a reason or a trade has waited for more than 5 s; else healthy */
  status: "degraded" | "healthy" | "unhealthy";
  /** Trades that wait for the processor; null in a process that takes in none */
  consumer_lag: number | null;
  /** Seconds; null without a trade in the last minute */
  store_latency_p99: number | null;
  /** Seconds; null without a trade in the last minute */
  ingest_latency_p50: number | null;
  /** Seconds; null without a trade in the last minute */
  ingest_latency_p99: number | null;
  uptime_seconds: number;
  /** Of a kafka:// log, those that this process reads; else empty */
  partitions: Array<Partition>;
  /** RFC 3339 in UTC */
  checked_at: string;
}
