// The features of an asset as gauges: label, text, and the position in a range. Pure.

import * as format from "./format.js";

export const SPIKE = 3; // volume z-score from which a trade's volume is unusual

const AWAY = 0.005; // range of the distance from an average: +-0.5 %
const MOST_TRADES = 6000; // in a minute; the scale of the frequency is logarithmic

const PRICES = { vwap_1min: "VWAP, 1 min", vwap_5min: "VWAP, 5 min", rolling_avg_5min: "Mean, 5 min" };

/**
 * Return the gauges of the features of an asset; null in place of features: none is known. A gauge has `name`, `label`,
 * `text`, `title`, and `from` and `to`, between which its bar extends (0 to 1); they are null without a value.
 */
export function gaugesOf(features) {
  const averages = Object.entries(PRICES).map(([name, label]) => average(name, label, features));
  return [...averages, zscore(features), momentum(features), frequency(features)];
}

/** Return the price of the trade that the features are of; null while they do not tell it. */
export function lastPrice(features) {
  if (!features || features.vwap_5min === null || features.vwap_deviation === null) return null;
  return features.vwap_5min + features.vwap_deviation;
}

function average(name, label, features) {
  const value = features?.[name] ?? null;
  if (value === null) return empty(name, label, features);
  const last = lastPrice(features);
  const off = last === null ? 0 : last / value - 1;
  const title = last === null ? label : `The last trade is ${format.basisPoints(off)} from it`;
  return { name, label, text: format.price(value), title, ...fromCentre(off / AWAY), state: null };
}

function zscore(features) {
  const [name, label] = ["volume_zscore", "Volume z-score"];
  const value = features?.volume_zscore ?? null;
  if (value === null) return empty(name, label, features);
  const title = "Volume of the last trade against the trades before it, in standard deviations";
  return { name, label, text: format.signed(value, 2), title, ...fromCentre(value / 4), state: value >= SPIKE ? "warn" : null };
}

function momentum(features) {
  const [name, label] = ["price_momentum", "Momentum, 1 min"];
  const value = features?.price_momentum ?? null;
  if (value === null) return empty(name, label, features);
  const title = "Change of the price of trades in a minute";
  return { name, label, text: format.change(value / 100), title, ...fromCentre(value / 5), state: null };
}

function frequency(features) {
  const [name, label] = ["trade_frequency", "Trades, 1 min"];
  const value = features?.trade_frequency ?? null;
  if (value === null) return empty(name, label, features);
  const to = Math.min(1, Math.log10(1 + value) / Math.log10(1 + MOST_TRADES));
  return { name, label, text: String(value), title: "Trades in the minute up to the last one", from: 0, to, state: null };
}

function empty(name, label, features) {
  const text = features ? "warming up" : "\u2013";
  return { name, label, text, title: features ? "Not enough trades yet" : "No trade yet", from: null, to: null, state: null };
}

/** Return a bar from the centre of the gauge; `part` is -1 at its left end, 1 at its right end. */
function fromCentre(part) {
  return { from: 0.5, to: 0.5 + Math.max(-1, Math.min(1, part)) / 2 };
}
