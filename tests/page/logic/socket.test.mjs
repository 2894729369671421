import assert from "node:assert/strict";
import test from "node:test";

import { TradeSocket } from "../../../aggregator/api/page/socket.js";
import { recorded } from "./sockets.mjs";

/** Return a TradeSocket on recorded WebSockets. */
function scene() {
  const made = { ...recorded(), heard: [] };
  const note = (name) => (value) => made.heard.push([name, value]);
  const on = { features: note("features"), trades: note("trades"), begin: note("begin"), state: note("state") };
  return { ...made, live: new TradeSocket(on, made.connect, made.later) };
}

const subscribe = (topic, ...assets) => ({ type: "subscribe", topics: [topic], assets });
const unsubscribe = (topic, ...assets) => ({ type: "unsubscribe", topics: [topic], assets });

test("it connects when it may, and subscribes to what is wanted", () => {
  const { live, sockets, due } = scene();
  live.want(["a", "b"], ["a"]);
  assert.equal(sockets.length, 0);
  live.allow(true);
  sockets[0].dispatchEvent(new Event("open"));
  assert.deepEqual(sockets[0].sent, [subscribe("features", "a", "b"), subscribe("trades", "a")]);
  live.want(["b", "c"], []);
  live.want(["b", "d"], []);
  assert.equal(sockets[0].sent.length, 2);
  due();
  assert.deepEqual(sockets[0].sent.slice(2), [unsubscribe("features", "a"), subscribe("features", "d"), unsubscribe("trades", "a")]);
  live.want(["d", "b"], []);
  due();
  assert.equal(sockets[0].sent.length, 5);
});

test("snapshots and events of both topics are passed on", () => {
  const { live, sockets, heard } = scene();
  live.allow(true);
  sockets[0].dispatchEvent(new Event("open"));
  sockets[0].say({ type: "subscribed", topics: {} });
  sockets[0].say({ type: "snapshot", features: [1] });
  sockets[0].say({ type: "snapshot", trades: [2] });
  sockets[0].say({ type: "feature", feature: 3 });
  sockets[0].say({ type: "trade", trade: 4 });
  sockets[0].say({ type: "gap", msg: "x" });
  sockets[0].say({ type: "error", msg: "Not among our assets: x", code: "asset_not_found" });
  assert.deepEqual(heard, [
    ["state", "live"], ["features", [1]], ["trades", [2]], ["begin", undefined], ["features", [3]],
    ["trades", [4]],
  ]);
});

test("a service without the topics is asked once, and again after a reconnection", () => {
  const { live, sockets, heard, due } = scene();
  live.want(["a"], []);
  live.allow(true);
  sockets[0].dispatchEvent(new Event("open"));
  sockets[0].say({ type: "error", msg: "topics must be some of prices", code: "invalid_parameter" });
  assert.deepEqual([heard.at(-1), sockets[0].closed], [["state", "off"], true]);
  sockets[0].dispatchEvent(new Event("close"));
  due();
  assert.equal(sockets.length, 1);
  live.allow(false);
  live.allow(true);
  assert.equal(sockets.length, 2);
});

test("a lost connection is opened again with the same subscriptions, but not while it may not", () => {
  const { live, sockets, heard, due } = scene();
  live.want(["a"], ["a"]);
  live.allow(true);
  sockets[0].dispatchEvent(new Event("open"));
  sockets[0].dispatchEvent(new Event("close"));
  assert.deepEqual(heard.at(-1), ["state", "away"]);
  due();
  sockets[1].dispatchEvent(new Event("open"));
  assert.deepEqual(sockets[1].sent, [subscribe("features", "a"), subscribe("trades", "a")]);
  live.allow(false);
  assert.equal(sockets[1].closed, true);
  sockets[1].dispatchEvent(new Event("close"));
  due();
  assert.equal(sockets.length, 2);
});
