// The JavaScript client: its parser of events; and against the real service at SERVICE_URL with the key SERVICE_KEY.

import assert from "node:assert/strict";
import { createServer, connect } from "node:net";
import { test } from "node:test";
import { Client, ConnectionFailed, InvalidAnswer, Refused } from "../../../clients/javascript/src/index.js";
import { waitAfter } from "../../../clients/javascript/src/retries.js";
import { Parser } from "../../../clients/javascript/src/sse.js";

const url = process.env.SERVICE_URL;
const apiKey = process.env.SERVICE_KEY;
const real = { skip: url === undefined && "no SERVICE_URL" };
const client = new Client(url ?? "http://127.0.0.1:1", { apiKey });

async function some(events, count) {
  const found = [];
  for await (const event of events) if (found.push(event) >= count) break;
  return found;
}

test("events however they are cut", () => {
  const stream =
    "retry: 1000\nevent: snapshot\ndata: {}\nid: a-1\n\n: still here\n\nevent: price\r\ndata: 1\r\nid: a-2\r\n\r\n" +
    "event:price\rdata:x\rdata:y\rid:a-3\r\rdata: €\n\nid: a-4\n\n";
  const expected = [
    { name: "snapshot", data: "{}", id: "a-1" },
    { name: "price", data: "1", id: "a-2" },
    { name: "price", data: "x\ny", id: "a-3" },
    { name: "message", data: "€", id: "a-3" },
  ];
  for (let first = 0; first <= stream.length; first += 1) {
    for (let second = first; second <= stream.length; second += 7) {
      const parser = new Parser();
      const parts = [stream.slice(0, first), stream.slice(first, second), stream.slice(second)];
      assert.deepEqual(parts.flatMap((part) => [...parser.feed(part)]), expected);
      assert.deepEqual([parser.id, parser.retry], ["a-4", 1]);
    }
  }
});

test("waits: Retry-After, backoff, and errors that last", () => {
  const policy = { attempts: 3, firstWait: 1, longestWait: 5 };
  const refused = (status, code, wait) => new Refused(status, { msg: "", code }, wait);
  const wait = waitAfter(policy, refused(503, "overloaded", "2"), 1);
  assert.ok(wait >= 2 && wait <= 3);
  assert.ok(waitAfter(policy, new ConnectionFailed("lost"), 2) <= 2);
  assert.equal(waitAfter(policy, new ConnectionFailed("lost"), 3), null);
  assert.equal(waitAfter(policy, refused(503, "overloaded", "6"), 1), null);
  assert.equal(waitAfter(policy, refused(404, "no_trade", null), 1), null);
  assert.equal(waitAfter(policy, refused(429, "too_many_invalid_keys", "1"), 1), null);
});

test("an address where nothing listens", async () => {
  const nobody = new Client("http://127.0.0.1:9", { retries: { attempts: 2, firstWait: 0.01, longestWait: 1 } });
  await assert.rejects(nobody.price("btcusdt"), ConnectionFailed);
  await assert.rejects(some(nobody.stream({ firstWait: 0.01 }), 1), ConnectionFailed);
});

/** Run with a client of a server that gives these answers, each to a connection of its own, and then ends it. */
async function answered(answers, run) {
  const left = [...answers];
  const server = createServer((socket) => socket.on("error", () => {}).once("data", () => socket.end(left.shift())));
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const retries = { attempts: 3, firstWait: 0.001, longestWait: 1 };
  await run(new Client(`http://127.0.0.1:${server.address().port}`, { retries }));
  server.close();
  assert.deepEqual(left, []);
}

const whole = (status, body) => `HTTP/1.1 ${status} X\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
const cut = (status) => `HTTP/1.1 ${status} X\r\nContent-Length: 100\r\n\r\n{"msg":`;

test("an answer that is cut off is a lost connection", async () => {
  await answered([cut(200), cut(404), whole(200, '{"asset":"btcusdt"}')], async (one) => {
    assert.equal((await one.price("btcusdt")).asset, "btcusdt");
  });
  await answered([cut(200), cut(200), cut(503)], (one) => assert.rejects(one.price("btcusdt"), ConnectionFailed));
  await answered([cut(200)], (one) => assert.rejects(one.ready(), ConnectionFailed));
  const event = whole(200, 'data: {"asset":"btcusdt"}\nevent: price\n\n');
  await answered([cut(503), event], async (one) => {
    assert.equal((await some(one.stream({ firstWait: 0.001 }), 1))[0].data.asset, "btcusdt");
  });
});

test("an answer of another program is not asked for again", async () => {
  await answered([whole(200, "<html>")], (one) => assert.rejects(one.price("btcusdt"), InvalidAnswer));
  await answered([whole(200, "<html>")], (one) => assert.rejects(one.ready(), InvalidAnswer));
  await answered([whole(503, '{"ready":false}')], async (one) => assert.equal((await one.ready()).ready, false));
});

test("a batch without any valid trade does not end the others", async () => {
  const outcome = { accepted: 0, duplicates: 0, rejected: [], rejected_count: 1000 };
  const none = whole(400, JSON.stringify({ msg: "No record is a trade", code: "no_valid_trade", ...outcome }));
  const stored = whole(200, JSON.stringify({ ...outcome, message: "Stored", accepted: 1, rejected_count: 0 }));
  const trades = Array.from({ length: 1001 }, () => ({ asset: "nosuch", price: 1, timestamp: 1 }));
  await answered([none, stored], async (one) => {
    assert.deepEqual((await some(one.ingest(trades), 9)).map((answer) => answer.accepted), [0, 1]);
  });
  await answered([none, none], (one) => assert.rejects(some(one.ingest(trades), 9), { code: "no_valid_trade" }));
});

test("answers", real, async () => {
  const price = await client.price("BTC/USDT", { details: true });
  assert.equal(price.asset, "btcusdt");
  assert.equal(typeof price.volume_24h, "number");
  assert.equal(typeof (await new Client(url, { apiKey, numbers: "string" }).price("btcusdt")).price, "string");
  assert.deepEqual((await client.prices({ assets: ["btcusdt", "nosuch"] })).missing[0].asset, "nosuch");
  assert.ok((await client.sources("btcusdt")).sources.length > 0);
  assert.equal((await client.candles("btcusdt")).interval, "1m");
  assert.equal((await client.assets()).assets.length, 7);
  assert.equal((await client.exchanges()).exchanges.length, 3);
  assert.equal((await client.exchange("exchange1")).name, "exchange1");
  assert.equal((await client.health()).status.length > 0, true);
  assert.equal(typeof (await client.ready()).ready, "boolean");
  assert.equal((await client.refresh("dogeusdt")).asset, "dogeusdt");
  for (const method of ["quote", "aggregations", "features", "anomalies", "sentiment", "firedAlerts"])
    assert.equal((await client[method]("btcusdt")).asset, "btcusdt");
  assert.equal((await client.sparklines(["btcusdt"])).sparklines.length, 1);
  assert.equal((await client.positions({ asset: "btcusdt" })).paper, true);
});

test("pages", real, async () => {
  const end = (await client.price("btcusdt")).timestamp;
  const whole = [];
  for await (const row of client.history("btcusdt", { end })) whole.push(row);
  const inPages = [];
  for await (const row of client.history("btcusdt", { end, limit: 5, order: "asc" })) inPages.push(row);
  assert.ok(whole.length > 10);
  assert.deepEqual(inPages, whole.reverse());
  assert.deepEqual(await client.priceAt("btcusdt", end), inPages.at(-1));
  assert.ok((await some(client.signals("btcusdt"), 1))[0].paper);
  for await (const closed of client.closedPositions({ asset: "btcusdt", limit: 1 })) assert.equal(closed.asset, "btcusdt");
});

test("trades are stored once, and rules are added and deleted", real, async () => {
  const timestamp = Date.now() / 1000 - 5;
  const trades = Array.from({ length: 1001 }, (_, id) => ({ asset: "ethusdt", price: "3000.10", timestamp, id: `${id}` }));
  const answers = [];
  for await (const answer of client.ingest(trades)) answers.push(answer.accepted);
  for await (const answer of client.ingest(trades)) answers.push(answer.duplicates);
  assert.deepEqual(answers, [1000, 1, 1000, 1]);
  assert.equal((await some(client.trades("ethusdt"), 1001)).length, 1001);
  const rule = await client.addAlertRule({ asset: "ethusdt", kind: "price", above: 1e6 });
  assert.ok((await client.alertRules()).rules.some(({ id }) => id === rule.id));
  await client.deleteAlertRule(rule.id);
});

test("errors", real, async () => {
  await assert.rejects(client.price("btcusd"), { status: 404, code: "asset_not_found", near: ["btcusdt"] });
  await assert.rejects(new Client(url).price("btcusdt"), { status: 401, code: "key_needed" });
  await assert.rejects(some(new Client(url, { apiKey: "wrong" }).stream(), 1), { status: 403 });
});

test("a stream goes on after lost connections, and ends with its signal", real, async () => {
  const sockets = new Set();
  const proxy = createServer((socket) => {
    const there = connect(new URL(url).port, "127.0.0.1");
    for (const one of [socket, there]) sockets.add(one.on("error", () => {}).on("close", () => sockets.delete(one)));
    socket.pipe(there).pipe(socket);
  });
  await new Promise((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  const lost = [];
  const ending = new AbortController();
  const through = new Client(`http://127.0.0.1:${proxy.address().port}`, { apiKey });
  const events = through.stream({ tiers: ["hot"], firstWait: 0.1, signal: ending.signal, onLost: (why) => lost.push(why) });
  const seen = [];
  for await (const event of events) {
    seen.push(event);
    if (seen.length % 5 === 0 && lost.length < 2) for (const socket of sockets) socket.destroy();
    if (lost.length === 2 && seen.length > 15) ending.abort();
  }
  assert.equal(seen[0].type, "snapshot");
  assert.ok(seen.slice(1).every(({ type }) => type === "price"), "a resumed stream has no gap and no other snapshot");
  const resumed = client.stream({ tiers: ["hot"], lastEventId: seen[0].id });
  assert.deepEqual(await some(resumed, seen.length - 1), seen.slice(1));
  proxy.close();
});

test("a silent connection is lost", async () => {
  const proxy = createServer((socket) => socket.on("error", () => {}));
  await new Promise((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  const silent = new Client(`http://127.0.0.1:${proxy.address().port}`, { retries: { attempts: 1, firstWait: 0, longestWait: 0 } });
  await assert.rejects(some(silent.stream({ heartbeatTimeout: 0.05 }), 1), /nothing came for 0.05 s/);
  proxy.close();
});
