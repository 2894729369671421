import type { Amount } from "./amount.js";

/** A trade to be stored. `(asset, timestamp, venue, id)` is stored once, however often it is sent. */
export interface NewTrade {
  asset: string;
  /** In units of the quote asset. A string keeps every digit. */
  price: Amount;
  /** Unix seconds, or RFC 3339. */
  timestamp: number | string;
  /** In units of the base asset; without it, the trade has no part in VWAP. */
  volume?: Amount;
  venue?: string;
  /** The venue's id. Without it, two equal trades are one. */
  id?: string;
  side?: "buy" | "sell";
  sequence?: number;
}

/** A rule of alerts; docs/alerts.md has the meaning of the fields for each kind. */
export interface NewRule {
  asset: string;
  kind: "price" | "change" | "spread" | "anomaly" | "sentiment";
  above?: Amount;
  below?: Amount;
  percent?: Amount;
  seconds?: number;
  direction?: "up" | "down" | "any";
  strength?: "weak" | "moderate" | "strong";
  hysteresis?: Amount;
  cooldown?: number;
  outlet?: string;
}
