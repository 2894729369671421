// `scripts/client_models` makes this file from /openapi.json. A test checks it.

/** Figures of an asset's trades at its newest trade, whose time is `window_end`; `window_start` is 300 s before. */
export interface Aggregations {
  asset: string;
  /** Volume-weighted price; null without a volume in the window */
  vwap_1min: number | null;
  /** Volume-weighted price; null without a volume in the window */
  vwap_5min: number | null;
  /** Mean price of the last 300 s */
  rolling_avg_5min: number | null;
  /** (volume - mean) / standard deviation of up to 19 volumes before it; 0 if these are all equal, null while they are fewer than two */
  volume_zscore: number | null;
  /** Change in percent against the newest price that is at least 60 s old; null before there is one */
  price_momentum: number | null;
  /** Trades of the last 60 s */
  trade_frequency: number;
  /** Unix seconds */
  window_start: number;
  /** Unix seconds */
  window_end: number;
}

/** The features of an asset's trades, and the state of its anomaly model when the newest trade was measured. */
export interface Features {
  asset: string;
  vwap_1min: number | null;
  vwap_5min: number | null;
  rolling_avg_5min: number | null;
  volume_zscore: number | null;
  price_momentum: number | null;
  trade_frequency: number;
  vwap_deviation: number | null;
  window_start: number;
  window_end: number;
  updated_at: number;
  warming_up: Array<string>;
  by_second?: boolean;
  /** The model that looks for unusual trades of the asset: `warming_up` before the first, `ready` with one, `off` where nothing looks for them, `unknown` where another process has the models */
  anomaly_model?: "off" | "ready" | "unknown" | "warming_up";
}

/** An unusual trade. Scores are from -1 to 0; the lower, the more unusual. `id` is the venue's. */
export interface AnomalyRow {
  /** Unix seconds */
  timestamp: number;
  id: string;
  venue: string;
  anomaly_score: number;
  threshold: number;
  feature_vector: Array<number>;
  model_version: string;
}

/** The newest unusual trades of an asset. `model_version` is that of the model in use; null if none is known. */
export interface AnomalyPage {
  asset: string;
  hours: number;
  anomalies: Array<AnomalyRow>;
  /** `warming_up` before the first model of the asset, `ready` with one. `unknown`: another process has the models, and has found nothing in these hours */
  state: "ready" | "unknown" | "warming_up";
  /** Trades that a fit would use now; a model needs 1000. null: another process has them */
  samples: number | null;
  model_version: string | null;
}

/** An unusual trade: its score is below the threshold of the model. `id` is that of the trade at its venue. Scores are those of scikit-learn's `score_samples`, from -1 to 0; the lower, the more unusual. `feature_vector` has price, volume, volume z-score, price momentum in percent, deviation from the VWAP of 5 minutes as a share of the price, and trades in 60 s. `timestamp` is the time of the trade in unix seconds. */
export interface Anomaly {
  asset: string;
  timestamp: number;
  id: string;
  venue: string;
  anomaly_score: number;
  threshold: number;
  feature_vector: Array<number>;
  model_version: string;
}

/** An article about an asset. `sentiment` is from -1 to 1, `published_at` in unix seconds. `correlation_strength`: how strong sentiment and volume were together, if a trade of the asset with an unusual volume was within 60 s of the article; else `none`. */
export interface SentimentItem {
  asset: string;
  id: string;
  headline: string;
  source: string;
  url: string;
  published_at: number;
  sentiment: number;
  label: "negative" | "neutral" | "positive";
  correlation_strength: "moderate" | "none" | "strong" | "weak";
}

/** The number of the counted articles with each label, and of those with a strong correlation. */
export interface SentimentSummary {
  positive: number;
  negative: number;
  neutral: number;
  strong_correlations: number;
}

/** The newest articles about an asset. `count` and `summary` are of the newest 1,000, `items` are the newest 50. */
export interface SentimentPage {
  asset: string;
  hours: number;
  count: number;
  items: Array<SentimentItem>;
  summary: SentimentSummary;
}
