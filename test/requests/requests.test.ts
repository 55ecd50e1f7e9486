import assert from "node:assert/strict";
import { test } from "node:test";
import { sayRequests } from "./requests.ts";

// `npm run requests` says fifty times as many.
const MESSAGES = 20_000;
const MEAN_OF_A_CONNECTION = 2.25;

test("what the own reader understands of a connection is what Node's strict parser understands", async (t) => {
  const seed = Math.floor(Math.random() * 2 ** 32);
  t.diagnostic(`seed ${seed}`);
  const connections = Math.ceil(MESSAGES / MEAN_OF_A_CONNECTION);
  const { own, nodes, differing } = await sayRequests({ seed, connections });
  t.diagnostic(JSON.stringify({ own, nodes }));
  assert.deepEqual(differing, [], `seed ${seed}`);
  assert.ok(own > MESSAGES / 10, "the own reader took its share");
});
