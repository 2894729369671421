// What the analytics and alerts of the service have found, in one form for the list and the chart. Pure.

import * as format from "./format.js";

export const MOST = 500; // entries that are kept
const TEXT = 300; // characters of an outside text that are shown

const LABELS = { positive: 1, negative: -1 };

/** The makers of entries by the name of an event. `topic` is its topic, and `at` unix seconds. */
const MAKERS = {
  anomaly: (event) => ({
    topic: "anomalies", at: event.timestamp, id: `${event.venue}:${event.id}`, name: "Anomaly", way: 0,
    text: `Unusual trade, score ${format.signed(Number(event.anomaly_score), 2)}`, price: priceOf(event.feature_vector?.[0]), score: Number(event.anomaly_score),
  }),
  signal: (event) => ({
    topic: "signals", at: event.timestamp, id: event.id, name: event.side === "buy" ? "Paper buy" : "Paper sell",
    way: event.side === "buy" ? 1 : -1, text: signalText(event), price: priceOf(event.price),
  }),
  sentiment_item: (event) => ({
    topic: "sentiment", at: event.published_at, id: event.id, name: "Headline", way: LABELS[event.label] ?? 0,
    text: textOf(event.headline), more: headlineText(event), url: urlOf(event.url), price: null,
  }),
  alert: (event) => ({ topic: "alerts", at: event.timestamp, id: event.id, name: "Alert", way: 0, text: textOf(event.message), price: null }),
};

export const TOPICS = ["anomalies", "signals", "sentiment", "alerts"];
export const EVENTS = { anomalies: "anomaly", signals: "signal", sentiment: "sentiment_item", alerts: "alert" };

/** Return the entry of an event of this name; null for one that has no such form. */
export function entryOf(name, event) {
  const made = MAKERS[name]?.(event);
  if (!made || !Number.isFinite(made.at) || typeof event.asset !== "string") return null;
  return { more: "", url: null, ...made, asset: event.asset, key: `${made.topic} ${event.asset} ${made.at} ${made.id}` };
}

/** Return the URL if the page may link to it; null otherwise. */
export function urlOf(text) {
  let url;
  try {
    url = new URL(text);
  } catch {
    return null;
  }
  return url.protocol === "https:" || url.protocol === "http:" ? url.href : null;
}

function textOf(text) {
  return String(text ?? "").slice(0, TEXT);
}

function priceOf(value) {
  return Number.isFinite(Number(value ?? undefined)) && Number(value) > 0 ? Number(value) : null;
}

function signalText({ price, reason, profit }) {
  const end = profit === null || profit === undefined ? "" : `, profit ${format.signed(Number(profit), 2)}`;
  return `At ${format.price(Number(price))} (${textOf(reason)})${end}`;
}

function headlineText({ label, correlation_strength: strength, source }) {
  const parts = [textOf(source), textOf(label), strength && strength !== "none" ? `${textOf(strength)} correlation` : ""];
  return parts.filter(Boolean).join(", ");
}

/** The newest entries, each once. An entry with a known key replaces the one before. */
export class Entries {
  list = []; // newest first
  #byKey = new Map();

  /** Add entries. Return how many of them are new. */
  add(entries) {
    let added = 0;
    for (const entry of entries) {
      if (!this.#byKey.has(entry.key)) added += 1;
      this.#byKey.set(entry.key, entry);
    }
    this.list = [...this.#byKey.values()].sort((one, other) => other.at - one.at);
    for (const entry of this.list.splice(MOST)) this.#byKey.delete(entry.key);
    return added;
  }

  /** Return the entries of an asset, newest first. */
  of(asset) {
    return this.list.filter((entry) => entry.asset === asset);
  }
}

/** Return the entries with each headline once: it comes for every pair of the assets that it names. */
export function gathered(entries) {
  const seen = new Set();
  return entries.filter((entry) => {
    if (entry.topic !== "sentiment") return true;
    const headline = `${entry.at} ${entry.text}`;
    return !seen.has(headline) && seen.add(headline);
  });
}
