import type {
  Alert,
  Anomaly,
  Features,
  LiveTrade,
  Missing,
  Price,
  SentimentItem,
  Signal,
} from "./models/index.js";

/** The current values of one topic, under its name. */
export interface Snapshot {
  prices?: Price[];
  trades?: LiveTrade[];
  features?: Features[];
  anomalies?: Anomaly[];
  signals?: Signal[];
  sentiment?: SentimentItem[];
  alerts?: Alert[];
  /** Assets that the stream was asked for and that are not listed. */
  missing?: Missing[];
}

/** Some events were missed and will not come; a snapshot follows. */
export interface Gap {
  msg: string;
  topics?: string[];
}

interface Typed<Type extends string, Data> {
  type: Type;
  data: Data;
  /** With it, another stream can be resumed later: `lastEventId`. */
  id: string;
}

export type StreamEvent =
  | Typed<"snapshot", Snapshot>
  | Typed<"gap", Gap>
  | Typed<"price", Price>
  | Typed<"trade", LiveTrade>
  | Typed<"feature", Features>
  | Typed<"anomaly", Anomaly>
  | Typed<"signal", Signal>
  | Typed<"sentiment_item", SentimentItem>
  | Typed<"alert", Alert>;
