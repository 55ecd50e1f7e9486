import assert from "node:assert/strict";
import { test } from "node:test";
import { rotateAuthority } from "../../src/operations/rotate-authority.ts";
import { podRow } from "../helpers/pod-row.ts";
import { temporaryStore } from "../helpers/store.ts";

test("a new CA is told with how many pods go on under an earlier one", async (t) => {
  const { store } = temporaryStore(t);
  for (const [generation, authority] of [1, 1, 2].entries())
    store.pods.insert(podRow({ name: `mcps-g${generation}`, generation, authority }));
  const rotate = () => Promise.resolve({ number: 2, key: "key", certificate: "certificate" });
  // The key stays where it is.
  assert.deepEqual(await rotateAuthority({ authorities: { rotate }, store }), {
    number: 2,
    older: 2,
  });
});

test("without a cluster there is no CA to change, and the order says so", async (t) => {
  const { store } = temporaryStore(t);
  await assert.rejects(rotateAuthority({ authorities: null, store }), {
    code: "REQUEST_INVALID",
    message: 'the config has no "kubernetes", so there are no pods and no CA of theirs',
  });
});
