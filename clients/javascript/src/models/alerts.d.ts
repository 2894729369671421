// `scripts/client_models` makes this file from /openapi.json. A test checks it.
import type { Amount } from "../amount.js";

/** A rule that is kept: the fields that were sent, defaults filled in, with its id and the time of its creation. */
export interface AlertRule {
  id: string;
  created_at: number;
  asset: string;
  kind: "anomaly" | "change" | "price" | "sentiment" | "spread";
  above?: Amount;
  below?: Amount;
  percent?: Amount;
  seconds?: number;
  direction?: "any" | "down" | "up";
  strength?: "moderate" | "strong" | "weak";
  hysteresis?: Amount;
  cooldown: number;
  outlet?: string;
}

/** The rules, in the order of their creation. */
export interface AlertRuleList {
  rules: Array<AlertRule>;
}

/** A rule is deleted. */
export interface AlertRuleDeleted {
  message: string;
}

/** A rule has fired, identified by (asset, timestamp, id). `timestamp` is the time of the price, trade or headline that made it fire. `value` is what was compared with `level`: a price, percent, a score or a sentiment; `level` is null where the rule names none. */
export interface Alert {
  id: string;
  rule: string;
  kind: "anomaly" | "change" | "price" | "sentiment" | "spread";
  asset: string;
  timestamp: number;
  value: Amount;
  level: Amount | null;
  message: string;
  outlet?: string;
}

/** The alerts of an asset in the last `hours`, newest first. */
export interface FiredAlerts {
  asset: string;
  hours: number;
  count: number;
  alerts: Array<Alert>;
}
