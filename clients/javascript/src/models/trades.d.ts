// `scripts/client_models` makes this file from /openapi.json. A test checks it.
import type { Amount } from "../amount.js";

/** A stored trade: one execution at a venue. */
export interface Trade {
  asset: string;
  /** Unix seconds */
  timestamp: number;
  /** RFC 3339 in UTC */
  time: string;
  /** In units of the quote asset */
  price: Amount;
  /** In units of the base asset; null if the venue does not report it */
  volume: Amount | null;
  venue: string;
  /** The venue's id; a hash of what was sent where the venue gives none */
  id: string;
  /** Whether the taker bought or sold; null if unknown */
  side: "buy" | "sell" | null;
  /** The venue's sequence number; null if it gives none */
  sequence_number: number | null;
}

/** A page of stored trades. `next` is the cursor of the next page; null on the last page. */
export interface TradePage {
  asset: string;
  trades: Array<Trade>;
  next: string | null;
}

/** The last trade of an asset by the time of its venue. */
export interface Quote {
  asset: string;
  /** In units of the quote asset */
  price: Amount;
  /** In units of the base asset; null if the venue does not report it */
  volume: Amount | null;
  /** Unix seconds */
  timestamp: number;
  venue: string;
  /** The venue's id; a hash of what was sent where the venue gives none */
  id: string;
  /** Whether the taker bought or sold; null if unknown */
  side: "buy" | "sell" | null;
  /** The venue's sequence number; null if it gives none */
  sequence_number: number | null;
}

/** A trade as streams send it: all fields of a Trade, null where one is unknown. `late`: the trade came too long after newer ones of its asset to have a part in windows. */
export interface LiveTrade {
  asset: string;
  price: Amount;
  volume: Amount | null;
  timestamp: number;
  venue: string;
  id: string;
  side: "buy" | "sell" | null;
  sequence_number: number | null;
  late: boolean;
}

/** A record that is no trade. `code` is the field at fault, or `malformed` or `future`; codes are stable. */
export interface RejectedRecord {
  /** The place of the record in the request, from 0 */
  index: number;
  code: string;
  reason: string;
}

/** The outcome of the records. `rejected` lists the first thousand; `rejected_count` counts all of them. */
export interface Ingested {
  message: string;
  accepted: number;
  duplicates: number;
  rejected: Array<RejectedRecord>;
  rejected_count: number;
}
