import assert from "node:assert/strict";
import { test } from "node:test";
import { LazyMap, LazySet } from "../../src/platform/lazy.ts";

test("a set that is made with what is put into it first is empty before, and after it was cleared", () => {
  const set = new LazySet<string>();
  for (let life = 0; life < 2; life++) {
    assert.deepEqual([set.size, set.has("a"), set.delete("a"), [...set]], [0, false, false, []]);
    for (const value of ["b", "a", "b"]) set.add(value);
    assert.deepEqual([set.size, set.has("a"), [...set]], [2, true, ["b", "a"]]);
    assert.deepEqual([set.delete("b"), set.delete("b"), [...set]], [true, false, ["a"]]);
    set.clear();
  }
});

test("a map that is made with what is put into it first is empty before, and after it was cleared", () => {
  const map = new LazyMap<string, number>();
  for (let life = 0; life < 2; life++) {
    assert.deepEqual(
      [map.size, map.has("a"), map.get("a"), map.delete("a")],
      [0, false, undefined, false],
    );
    assert.deepEqual([[...map], [...map.keys()], [...map.values()]], [[], [], []]);
    map.set("b", 1);
    map.set("a", 2);
    map.set("b", 3);
    assert.deepEqual(
      [map.size, map.get("b"), [...map]],
      [
        2,
        3,
        [
          ["b", 3],
          ["a", 2],
        ],
      ],
    );
    assert.deepEqual(
      [[...map.keys()], [...map.values()]],
      [
        ["b", "a"],
        [3, 2],
      ],
    );
    assert.deepEqual([map.delete("b"), map.has("b"), map.size], [true, false, 1]);
    map.clear();
  }
});
