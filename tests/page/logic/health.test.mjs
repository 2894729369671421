import assert from "node:assert/strict";
import test from "node:test";

import { causeOf, wordOf } from "../../../aggregator/api/page/health.js";

test("an outlet that takes events, is away, or has ended is told apart", () => {
  const said = ["ok", "SQS: Could not connect to the endpoint URL", "ended: HTTP 410: the receiver wants no more events"];
  assert.deepEqual(said.map(wordOf), ["ok", "away", "ended"]);
});

test("the line has the first problem, such as that of an outlet, and the number of others", () => {
  assert.equal(causeOf(["outlet desk: HTTP 503"], 20, 20, 3), "outlet desk: HTTP 503");
  assert.equal(causeOf(["outlet desk: HTTP 503", "outlets: 2 refused events are kept"], 20, 20, 3), "outlet desk: HTTP 503, and 1 more");
  assert.equal(causeOf([], 20, 20, 3), "all 20 assets priced from 3 venues");
});
