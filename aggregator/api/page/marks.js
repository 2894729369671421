// The marks of anomalies, paper signals and headlines on the chart of one asset.

import { EVENTS, entryOf } from "./events.js";

const MOST = 200; // marks on a chart

const LOADS = { // by topic: the path of an asset's stored events, and the field that has them
  anomalies: [(asset) => `/anomalies/${asset}?hours=24`, "anomalies"],
  signals: [(asset) => `/signals/${asset}`, "signals"],
  sentiment: [(asset) => `/sentiment/${asset}?hours=24`, "items"],
};
export const LEGEND = "\u25cf unusual trade  \u25b2 paper buy  \u25bc paper sell  \u25a0 headline. Signals are paper trading.";

/**
 * Return the chart library's markers of entries, newest first, at the candles that contain them, one for each
 * kind: at most 200, the newest, oldest first. `colours` has those of the style sheet by name. Pure.
 */
export function marksOf(entries, candles, interval, colours) {
  const starts = new Set(candles.map((candle) => candle.start));
  const found = new Map();
  for (const entry of entries) {
    const time = Math.floor(entry.at / interval) * interval;
    const shape = shapeOf(entry, colours);
    const key = `${time} ${entry.topic} ${Math.sign(entry.way)}`;
    if (shape && starts.has(time) && found.size < MOST && !found.has(key)) found.set(key, { time, id: entry.key, ...shape });
  }
  return [...found.values()].sort((one, other) => one.time - other.time);
}

function shapeOf(entry, colours) {
  if (entry.topic === "anomalies") return { shape: "circle", position: "aboveBar", color: colours.warn };
  if (entry.topic === "sentiment") return { shape: "square", position: "belowBar", color: [colours.down, colours.soft, colours.up][1 + Math.sign(entry.way)] };
  if (entry.topic !== "signals") return null;
  return entry.way > 0
    ? { shape: "arrowUp", position: "belowBar", color: colours.up }
    : { shape: "arrowDown", position: "aboveBar", color: colours.down };
}

/** Loads the stored events of an asset, of the topics that have had events: a service without them would refuse. */
export class StoredEvents {
  constructor(ask, take) {
    this.ask = ask;
    this.take = take;
    this.seen = new Set(); // topics
  }

  async load(asset) {
    await Promise.all([...this.seen].filter((topic) => LOADS[topic]).map((topic) => this.#load(topic, asset)));
  }

  async #load(topic, asset) {
    const [path, field] = LOADS[topic];
    try {
      const body = await this.ask(path(asset));
      this.take((body[field] ?? []).map((event) => entryOf(EVENTS[topic], { ...event, asset })).filter(Boolean));
    } catch {
      this.seen.delete(topic); // until its next event
    }
  }
}
