// The marks of anomalies, paper signals and headlines on the chart of one asset.

import { draw } from "./dom.js";
import { EVENTS, entryOf } from "./events.js";
import * as format from "./format.js";
import { round } from "./scale.js";

const MOST = 200; // marks on a chart
const SIZE = 5; // half the width of a mark

const PATHS = { // by topic; signals by way, too
  anomalies: `M${-SIZE} 0a${SIZE} ${SIZE} 0 1 0 ${2 * SIZE} 0a${SIZE} ${SIZE} 0 1 0 ${-2 * SIZE} 0z`,
  signals: { "1": `M0 ${-SIZE}L${SIZE} ${SIZE}H${-SIZE}z`, "-1": `M0 ${SIZE}L${SIZE} ${-SIZE}H${-SIZE}z` },
  sentiment: `M0 ${-SIZE}L${SIZE} 0L0 ${SIZE}L${-SIZE} 0z`,
};
const LOADS = { // by topic: the path of an asset's stored events, and the field that has them
  anomalies: [(asset) => `/anomalies/${asset}?hours=24`, "anomalies"],
  signals: [(asset) => `/signals/${asset}`, "signals"],
  sentiment: [(asset) => `/sentiment/${asset}?hours=24`, "items"],
};
export const LEGEND = "\u25cb anomaly  \u25b2 paper buy  \u25bc paper sell  \u25c6 headline. Signals are paper trading.";

/** Return `{entry, x, y}` of the entries that a chart's scale shows, at most 200, the newest ones. */
export function placed(entries, scale, interval, box) {
  const starts = new Map(scale.shown.map((candle) => [candle.start, candle]));
  const found = [];
  for (const entry of entries) {
    const start = Math.floor(entry.at / interval) * interval;
    const candle = starts.get(start);
    if (!candle || !PATHS[entry.topic] || found.length >= MOST) continue;
    found.push({ entry, x: scale.x(start), y: heightOf(entry, candle, scale, box) });
  }
  return found;
}

/** Return the height of a mark: at its price, below the candle for a buy, above it for a sell; headlines at the bottom. */
function heightOf(entry, candle, scale, box) {
  if (entry.topic === "sentiment") return box.bottom - SIZE - 1;
  if (entry.topic === "anomalies") return clamp(scale.y(entry.price ?? candle.close), box);
  return clamp(entry.way > 0 ? scale.y(candle.low) + 2 * SIZE : scale.y(candle.high) - 2 * SIZE, box);
}

function clamp(y, box) {
  return Math.min(box.bottom - SIZE, Math.max(box.top + SIZE, y));
}

/** Return the SVG element of a mark. */
export function markOf({ entry, x, y }) {
  const path = PATHS[entry.topic];
  const title = `${entry.name}, ${format.clock(entry.at)}: ${entry.text}`;
  return draw(
    "path", { class: entry.topic, "data-way": entry.way || null, d: typeof path === "string" ? path : path[entry.way], transform: `translate(${round(x)} ${round(y)})` },
    draw("title", {}, title),
  );
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
