import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { putInPlace, writeInPlace, writeNewFile } from "../../src/platform/atomic-file.ts";
import { temporaryFolder } from "../helpers/store.ts";

test("a file takes the place of the one before, with the mode that was asked for", (t) => {
  const file = join(temporaryFolder(t), "file");
  writeInPlace(file, { text: "one", mode: 0o400 });
  writeInPlace(file, { text: "two", mode: 0o666 });
  assert.equal(readFileSync(file, "utf8"), "two");
  assert.equal(statSync(file).mode & 0o777, 0o666);
});

test("what fails leaves the file as it was and no draft", (t) => {
  const folder = temporaryFolder(t);
  const file = join(folder, "file");
  writeFileSync(file, "as it was");
  const failing = (draft: string): void => {
    writeFileSync(draft, "half");
    throw new Error("no more");
  };
  assert.throws(() => putInPlace(file, failing), /no more/);
  assert.equal(readFileSync(file, "utf8"), "as it was");
  assert.deepEqual(readdirSync(folder), ["file"]);
});

test("a draft that was left by one that was killed is in nobody's way", (t) => {
  const file = join(temporaryFolder(t), "file");
  mkdirSync(join(`${file}.new`, "inside"), { recursive: true });
  writeInPlace(file, { text: "whole", mode: 0o600 });
  assert.equal(readFileSync(file, "utf8"), "whole");
});

test("a new file is never written over one that is there", (t) => {
  const file = join(temporaryFolder(t), "file");
  writeFileSync(file, "as it was");
  assert.throws(() => writeNewFile(file, { text: "other", mode: 0o600 }), { code: "EEXIST" });
  assert.equal(readFileSync(file, "utf8"), "as it was");
});
