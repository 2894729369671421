import assert from "node:assert/strict";
import test from "node:test";

import { ROWS, Tape } from "../../../aggregator/api/page/tape.js";
import { Volumes } from "../../../aggregator/api/page/volumes.js";

const trade = (timestamp, id = "1", venue = "x", volume = 1) => ({ asset: "btcusdt", timestamp, venue, id, price: 100, volume });
const ids = (tape) => tape.trades.map((one) => one.id);

test("trades are newest first, whatever order they come in", () => {
  const tape = new Tape();
  for (const [timestamp, id] of [[10, "a"], [12, "b"], [11, "c"], [12, "d"]]) tape.add(trade(timestamp, id));
  assert.deepEqual(ids(tape), ["d", "b", "c", "a"]);
});

test("a trade of the same time, venue and id is the same trade", () => {
  const tape = new Tape();
  assert.deepEqual([tape.add(trade(10, "a")), tape.add(trade(10, "a")), tape.add(trade(10, "a", "y"))], [true, false, true]);
  assert.equal(tape.trades.length, 2);
});

test("a full tape drops its oldest trade, and takes no older one", () => {
  const tape = new Tape();
  for (let at = 1; at <= ROWS + 5; at += 1) assert.equal(tape.add(trade(at, String(at))), true);
  assert.equal(tape.trades.length, ROWS);
  assert.equal(tape.trades.at(-1).id, "6");
  assert.equal(tape.add(trade(3, "late")), false);
  assert.equal(tape.add(trade(5, "5")), false);
  tape.clear();
  assert.equal(tape.add(trade(5, "5")), true);
});

test("a tape lacks a trade only between its oldest trade and the newest that it had", () => {
  const tape = new Tape();
  for (const at of [10, 12, 14]) tape.add(trade(at));
  assert.equal(tape.lacks([trade(14), trade(12), trade(10)], trade(14)), false);
  assert.equal(tape.lacks([trade(15), trade(14, "2")], trade(14)), false);
  assert.equal(tape.lacks([trade(13)], trade(14)), true);
  assert.equal(tape.lacks([trade(9)], trade(14)), true);
  for (let at = 1; at <= ROWS; at += 1) tape.add(trade(20 + at));
  assert.equal(tape.lacks([trade(9), trade(20)], trade(20 + ROWS)), false);
});

test("volumes add up by interval, without trades whose volume is unknown", () => {
  const volumes = new Volumes();
  volumes.restart([trade(61, "a", "x", 2), trade(119, "b", "x", 3), trade(120, "c", "x", 4), trade(121, "d", "x", null)], -Infinity);
  volumes.add(trade(301, "e", "x", 7));
  assert.deepEqual([...volumes.by(60)], [[60, 5], [120, 4], [300, 7]]);
  assert.deepEqual([...volumes.by(300)], [[0, 9], [300, 7]]);
});

test("an interval that is not loaded from its start has no volume", () => {
  const volumes = new Volumes();
  volumes.restart([trade(90, "a"), trade(130, "b"), trade(310, "c")], 90);
  assert.deepEqual([...volumes.by(60)], [[120, 1], [300, 1]]);
  assert.deepEqual([...volumes.by(300)], [[300, 1]]);
});

test("older intervals come from candles; the trades since the request for them are added", () => {
  const volumes = new Volumes();
  volumes.restart([trade(310, "a", "x", 2), trade(330, "b", "x", 3)], 310);
  assert.equal(volumes.isPartial, true);
  const counted = volumes.counted(300);
  volumes.add(trade(340, "c", "x", 4));
  volumes.fill(300, [{ start: 0, volume: 50 }, { start: 300, volume: 20 }, { start: -300, volume: null }], counted);
  volumes.add(trade(350, "d", "x", 1));
  volumes.add(trade(600, "e", "x", 7));
  assert.deepEqual([...volumes.by(300)], [[0, 50], [300, 25], [600, 7]]);
  assert.deepEqual([...volumes.by(60)], [[600, 7]]);
  volumes.restart([], -Infinity);
  assert.deepEqual([[...volumes.by(300)], volumes.isPartial], [[], false]);
});

test("volumes of an old minute are dropped when there are too many", () => {
  const volumes = new Volumes();
  volumes.restart([], -Infinity);
  for (let minute = 0; minute < 3100; minute += 1) volumes.add(trade(60 * minute, String(minute)));
  assert.equal(volumes.by(60).size, 3000);
  assert.equal(Math.min(...volumes.by(60).keys()), 6000);
});
