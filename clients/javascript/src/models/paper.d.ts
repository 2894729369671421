// `scripts/client_models` makes this file from /openapi.json. A test checks it.
import type { Amount } from "../amount.js";

/** A signal of the paper strategy: no order was sent anywhere, which `paper` says. `price` and `timestamp` (unix seconds) are those of the trade that made it. `position` is the id of the position that it opens or closes. `profit` is in units of the quote, null for a buy. */
export interface Signal {
  id: string;
  asset: string;
  side: "buy" | "sell";
  reason: "drop" | "gain" | "stop";
  price: Amount;
  quantity: Amount;
  timestamp: number;
  position: string;
  profit?: Amount;
  paper?: boolean;
}

/** A page of signals. `next` is the cursor of the next page; null on the last page. */
export interface SignalPage {
  asset: string;
  /** Always true: trading on paper, no order was sent */
  paper: boolean;
  signals: Array<Signal>;
  next: string | null;
}

/** A paper position that is open. */
export interface OpenPosition {
  /** The id of the position, which derives from the trade that opened it */
  id: string;
  asset: string;
  /** In units of the base asset */
  quantity: Amount;
  /** In units of the quote asset */
  entry_price: Amount;
  /** Unix seconds */
  entry_time: number;
  /** Always true: trading on paper, no order was sent */
  paper: boolean;
}

/** All open paper positions, the newest first; at most one an asset. */
export interface OpenPositions {
  /** Always true: trading on paper, no order was sent */
  paper: boolean;
  positions: Array<OpenPosition>;
}

/** A paper position that is closed. */
export interface ClosedPosition {
  /** The id of the position, which derives from the trade that opened it */
  id: string;
  asset: string;
  /** In units of the base asset */
  quantity: Amount;
  /** In units of the quote asset */
  entry_price: Amount;
  /** Unix seconds */
  entry_time: number;
  /** In units of the quote asset */
  exit_price: Amount;
  /** Unix seconds */
  exit_time: number;
  /** quantity x (exit price - entry price) */
  profit: Amount;
  exit_reason: "gain" | "stop";
  /** Always true: trading on paper, no order was sent */
  paper: boolean;
}

/** Totals of closed positions, up to a few seconds old. `won` counts those with a profit above 0. `profit` has the sum of all profits by quote currency. `complete` is false where there are more than 100,000 closed positions: the totals are those of the newest then. */
export interface ClosedTotals {
  closed: number;
  won: number;
  profit: Record<string, Amount>;
  complete: boolean;
}

/** A page of closed positions, the newest exit first. `next` is the cursor of the next page; null on the last. */
export interface ClosedPage {
  /** Always true: trading on paper, no order was sent */
  paper: boolean;
  positions: Array<ClosedPosition>;
  totals: ClosedTotals;
  next: string | null;
}
