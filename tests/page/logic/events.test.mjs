import assert from "node:assert/strict";
import test from "node:test";

import { Entries, entryOf, gathered, MOST, urlOf } from "../../../aggregator/api/page/events.js";
import { EventSocket } from "../../../aggregator/api/page/eventsocket.js";
import { recorded } from "./sockets.mjs";

const alert = (id, timestamp, asset = "btcusdt") => entryOf("alert", { id, timestamp, asset, message: "text" });

test("events of every topic have one form", () => {
  const anomaly = entryOf("anomaly", { asset: "btcusdt", timestamp: 10, venue: "x", id: "1", anomaly_score: -0.71, feature_vector: [100.5, 1] });
  assert.deepEqual([anomaly.topic, anomaly.price, anomaly.text, anomaly.url], ["anomalies", 100.5, "Unusual trade, score \u22120.71", null]);
  const buy = entryOf("signal", { id: "a-buy", asset: "btcusdt", side: "buy", reason: "drop", price: 100, timestamp: 10, profit: null });
  assert.deepEqual([buy.name, buy.way, buy.text], ["Paper buy", 1, "At 100.000 (drop)"]);
  const sell = entryOf("signal", { id: "a-sell", asset: "btcusdt", side: "sell", reason: "gain", price: 100, timestamp: 10, profit: 5 });
  assert.deepEqual([sell.name, sell.way, sell.text], ["Paper sell", -1, "At 100.000 (gain), profit +5.00"]);
  const item = { asset: "btcusdt", id: "n", published_at: 10, headline: "x".repeat(1000), source: "s", url: "https://a.example/b", label: "negative", correlation_strength: "strong" };
  const headline = entryOf("sentiment_item", item);
  assert.deepEqual([headline.way, headline.text.length, headline.more, headline.url], [-1, 300, "s, negative, strong correlation", "https://a.example/b"]);
  assert.equal(entryOf("sentiment_item", { ...item, correlation_strength: "none" }).more, "s, negative");
});

test("what has no such form has no entry", () => {
  assert.equal(entryOf("price", { asset: "btcusdt", timestamp: 1 }), null);
  assert.equal(entryOf("alert", { id: "a", asset: "btcusdt", timestamp: "x", message: "" }), null);
  assert.equal(entryOf("alert", { id: "a", timestamp: 1, message: "" }), null);
});

test("only http and https may be linked to", () => {
  for (const text of ["javascript:alert(1)", "data:text/html,x", "//x", "", null, "ftp://x.example/", "https://"]) assert.equal(urlOf(text), null);
  assert.equal(urlOf("http://a.example/<b>"), "http://a.example/%3Cb%3E");
});

test("entries are newest first, each once, and bounded", () => {
  const entries = new Entries();
  assert.equal(entries.add([alert("a", 10), alert("b", 30), alert("c", 20, "ethusdt")]), 3);
  assert.equal(entries.add([{ ...alert("a", 10), text: "changed" }]), 0);
  assert.deepEqual(entries.list.map((one) => one.text), ["text", "text", "changed"]);
  assert.deepEqual(entries.of("btcusdt").map((one) => one.at), [30, 10]);
  entries.add(Array.from({ length: MOST }, (_, at) => alert(`x${at}`, 100 + at)));
  assert.equal(entries.list.length, MOST);
  assert.equal(entries.list.at(-1).at, 100);
  assert.equal(entries.add([alert("a", 10)]), 1);
  assert.equal(entries.list.length, MOST);
});

/** Return an EventSocket on recorded WebSockets. */
function scene() {
  const made = { ...recorded(), topics: [], events: [] };
  const on = { events: (name, list) => made.events.push([name, list]), topics: (names) => made.topics.push(names) };
  return { ...made, live: new EventSocket(on, made.connect, made.later) };
}

test("topics that the service does not have are left out", () => {
  const { live, sockets, topics, events } = scene();
  live.allow(true);
  sockets[0].dispatchEvent(new Event("open"));
  assert.deepEqual(sockets[0].sent.map((one) => one.topics[0]), ["anomalies", "signals", "sentiment", "alerts"]);
  sockets[0].say({ type: "error", code: "invalid_parameter" });
  sockets[0].say({ type: "subscribed" });
  sockets[0].say({ type: "snapshot", signals: [{ id: "s" }] });
  sockets[0].say({ type: "error", code: "invalid_parameter" });
  sockets[0].say({ type: "subscribed" });
  sockets[0].say({ type: "alert", alert: { id: "a" } });
  sockets[0].say({ type: "gap", topic: "alerts" });
  assert.deepEqual(topics, [["signals", "alerts"]]);
  assert.deepEqual(events, [["signal", [{ id: "s" }]], ["alert", [{ id: "a" }]]]);
});

test("a service without all of them is left alone until it is back", () => {
  const { live, sockets, topics, timers } = scene();
  live.allow(true);
  sockets[0].dispatchEvent(new Event("open"));
  for (let count = 0; count < 4; count += 1) sockets[0].say({ type: "error", code: "invalid_parameter" });
  assert.equal(sockets[0].closed, true);
  assert.deepEqual([topics, timers, sockets.length], [[[], []], [], 1]);
  live.allow(false);
  live.allow(true);
  assert.equal(sockets.length, 2);
});

test("a lost connection is made again, while the page is connected", () => {
  const { live, sockets, due } = scene();
  live.allow(true);
  sockets[0].dispatchEvent(new Event("close"));
  due();
  assert.equal(sockets.length, 2);
  sockets[1].dispatchEvent(new Event("close"));
  live.allow(false);
  due();
  assert.equal(sockets.length, 2);
});

test("a headline that comes for several pairs is in the list once; the same words at another time are another one", () => {
  const headline = (asset, at) => entryOf("sentiment_item", { asset, published_at: at, id: asset, label: "positive", headline: "SHIB praised" });
  const alert = entryOf("alert", { asset: "shibusdt", timestamp: 9, id: "a", message: "SHIB praised" });
  const [first, same, later] = [headline("shibusdt", 9), headline("shibusdc", 9), headline("shibusdt", 10)];
  assert.deepEqual(gathered([later, first, same, alert, alert]), [later, first, alert, alert]);
});
