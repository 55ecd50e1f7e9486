import assert from "node:assert/strict";
import { test } from "node:test";
import { mebibytes, parseSize, roughSize, sizeText } from "../../src/platform/sizes.ts";

test("a size is read and written in the same words", () => {
  for (const text of ["64K", "512M", "8G", "1536M"]) assert.equal(sizeText(parseSize(text)!), text);
  assert.equal(parseSize("1000"), 1000);
  assert.equal(sizeText(1000), "1000 bytes");
});

test("what is no whole number, with or without a unit, is no size", () => {
  for (const text of ["", "8g", "8GB", "-1", "1.5M"])
    assert.equal(parseSize(text), undefined, text);
});

test("in a table and in a sentence a size is rounded", () => {
  assert.deepEqual([64 * 1024 ** 2, 12_000].map(roughSize), ["64M", "12K"]);
  assert.equal(mebibytes(1.6 * 1024 ** 2), 2);
});
