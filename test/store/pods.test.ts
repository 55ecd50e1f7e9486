import assert from "node:assert/strict";
import { test } from "node:test";
import { podRow } from "../helpers/pod-row.ts";
import { temporaryStore } from "../helpers/store.ts";

const ROW = podRow();

test("a pod's row is there before its pod, learns what becomes known, and outlives its user", (t) => {
  const { store } = temporaryStore(t);
  const { pods } = store;
  pods.insert(ROW);
  assert.throws(() => pods.insert(ROW), { code: "STORE_FAILED" });
  pods.learn(ROW.name, { uid: "u1", node: "n1" });
  pods.learn(ROW.name, { address: "10.0.0.7" });
  pods.learn("mcps-none-g1", { uid: "u2" });
  const known = { ...ROW, uid: "u1", node: "n1", address: "10.0.0.7" };
  assert.deepEqual(pods.list(), [known]);
  pods.insert({ ...ROW, name: "mcps-0a1b-g2", generation: 2, authority: 2, bornAt: 9 });
  assert.deepEqual(
    pods.list().map(({ generation }) => generation),
    [2, 1],
  );
  assert.deepEqual(pods.authorities(), new Set([1, 2]));
  pods.delete("mcps-0a1b-g2");
  assert.deepEqual([pods.find("mcps-0a1b-g2"), pods.find(ROW.name)], [undefined, known]);
});
