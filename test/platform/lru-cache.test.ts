import assert from "node:assert/strict";
import { test } from "node:test";
import { LruCache } from "../../src/platform/lru-cache.ts";

test("what was set longest ago gives way once there is no room for all, and what is set again does not", () => {
  const cache = new LruCache<{ bytes: number }>(100);
  for (const name of ["a", "b", "c"]) cache.set(name, { bytes: 30 });
  cache.set("a", cache.get("a")!);
  cache.set("d", { bytes: 30 });
  assert.deepEqual([...cache.keys()], ["c", "a", "d"]);
  cache.set("c", { bytes: 41 });
  assert.deepEqual([...cache.keys()], ["d", "c"]);
  cache.delete("d");
  cache.set("e", { bytes: 59 });
  assert.deepEqual([...cache.keys()], ["c", "e"]);
});

test("what is larger than all the room is not kept", () => {
  const cache = new LruCache<{ bytes: number }>(100);
  cache.set("a", { bytes: 101 });
  assert.equal(cache.get("a"), undefined);
});
