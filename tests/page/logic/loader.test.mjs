import assert from "node:assert/strict";
import test from "node:test";

import { Loader } from "../../../aggregator/api/page/loader.js";

/** A loader whose promises the test resolves or rejects. */
function byHand() {
  const open = new Map();
  const begun = [];
  const load = (key) => new Promise((resolve, reject) => {
    begun.push(key);
    open.set(key, { resolve, reject });
  });
  const end = async (key, how = "resolve") => {
    open.get(key)[how](new Error("no"));
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { load, begun, end };
}

test("loads are limited in number, and each key is loaded once", async () => {
  const { load, begun, end } = byHand();
  const loader = new Loader(load, 2);
  loader.want(["a", "b", "c"]);
  loader.want(["a", "b", "c"]);
  assert.deepEqual(begun, ["a", "b"]);
  await end("a");
  assert.deepEqual(begun, ["a", "b", "c"]);
  await end("b");
  await end("c");
  loader.want(["a", "b", "c"]);
  assert.equal(begun.length, 3);
  loader.forget();
  loader.want(["a"]);
  assert.equal(begun.length, 4);
});

test("a key that is no longer wanted is not loaded", async () => {
  const { load, begun, end } = byHand();
  const loader = new Loader(load, 1);
  loader.want(["a", "b", "c"]);
  loader.want(["c"]);
  await end("a");
  assert.deepEqual(begun, ["a", "c"]);
});

test("a failed key is retried after a pause, if still wanted", async () => {
  const { load, begun, end } = byHand();
  let now = 0;
  const loader = new Loader(load, 1, 10, () => now);
  loader.want(["a"]);
  await end("a", "reject");
  loader.want(["a"]);
  assert.equal(begun.length, 1);
  now = 10;
  loader.want(["a"]);
  assert.equal(begun.length, 2);
});
