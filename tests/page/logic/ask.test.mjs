import assert from "node:assert/strict";
import test from "node:test";

import { ask } from "../../../aggregator/api/page/ask.js";

function answering(answer) {
  globalThis.fetch = async () => answer();
}

test("an answer is decoded", async () => {
  answering(() => new Response('{"price": 1}'));
  assert.deepEqual(await ask("/prices/btcusdt"), { price: 1 });
});

test("a refusal has the message, the body and the status of the service", async () => {
  answering(() => new Response('{"msg": "No trade of this asset yet"}', { status: 404 }));
  await assert.rejects(ask("/quotes/btcusdt"), { message: "No trade of this asset yet", status: 404, body: { msg: "No trade of this asset yet" } });
});

test("a failure is said in words, not in those of the browser", async () => {
  const fails = async (error, message) => {
    answering(() => { throw error; });
    await assert.rejects(ask("/assets"), { message, cause: error });
  };
  await fails(new DOMException("signal timed out", "TimeoutError"), "the service has not answered within 10 s");
  await fails(new TypeError("Failed to fetch"), "the service cannot be reached");
  answering(() => new Response("<html>Bad Gateway</html>", { status: 502 }));
  await assert.rejects(ask("/assets"), { message: "the answer is no JSON" });
});
