import assert from "node:assert/strict";
import { test } from "node:test";
import { isAccessKey, newAccessKey, newKeyId } from "../../src/auth/access-key.ts";

test("a single wrong character is found without the database", () => {
  const key = newAccessKey();
  assert.equal(isAccessKey(key), true);
  for (let at = 0; at < key.length; at += 1) {
    const wrong = key[at] === "A" ? "B" : "A";
    assert.equal(isAccessKey(key.slice(0, at) + wrong + key.slice(at + 1)), false, `at ${at}`);
  }
});

test("two neighbours that changed places are found without the database", () => {
  const key = newAccessKey();
  for (let at = 5; at < key.length - 1; at += 1) {
    const swapped = key.slice(0, at) + key[at + 1] + key[at] + key.slice(at + 2);
    assert.equal(isAccessKey(swapped), swapped === key);
  }
});

test("the name of a key says nothing about the key", () => {
  assert.match(newKeyId(), /^key_[0-9A-Za-z]{10}$/);
  assert.equal(isAccessKey(newKeyId()), false);
});
