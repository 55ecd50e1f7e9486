import assert from "node:assert/strict";
import { lstatSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import {
  addToKeyFile,
  makeKeyFile,
  readKeyFile,
  removeFromKeyFile,
  requireKeys,
} from "../../src/vault/key-file.ts";
import { diesAt } from "../helpers/dies-at.ts";
import { temporaryFolder } from "../helpers/store.ts";

test("a link to the key file stays one, and leads to the new keys", (t) => {
  const folder = temporaryFolder(t);
  const [keyFile, real] = [join(folder, "vault.key"), join(folder, "real.key")];
  makeKeyFile(real);
  symlinkSync(real, keyFile);
  addToKeyFile(keyFile);
  assert.ok(lstatSync(keyFile).isSymbolicLink());
  assert.deepEqual(
    requireKeys(real).map(({ id }) => id),
    [1, 0],
  );
});

test("a change of the key file that is killed at any point leaves it whole, and the next one leaves nothing else", (t) => {
  const folder = temporaryFolder(t);
  const keyFile = join(folder, "vault.key");
  const idsOf = () => requireKeys(keyFile).map(({ id }) => id);
  let points = 0;
  const eachPoint = (prepare: () => void, work: () => void, check: () => void): void => {
    for (let call = 1; ; call += 1) {
      for (const name of readdirSync(folder))
        if (name.startsWith("vault.key")) rmSync(join(folder, name));
      prepare();
      const died = diesAt(call, work);
      check();
      work();
      assert.deepEqual(
        readdirSync(folder).filter((name) => name.startsWith("vault.key")),
        ["vault.key"],
      );
      if (!died) return;
      points += 1;
    }
  };
  const one = () => readKeyFile(keyFile) ?? makeKeyFile(keyFile);
  const isWhole = () => assert.ok((readKeyFile(keyFile)?.length ?? 1) > 0);
  const changed = () => {
    one();
    addToKeyFile(keyFile);
  };
  eachPoint(() => undefined, changed, isWhole);
  let first: Buffer;
  const made = () => (first = one()[0]!.bytes);
  const keepsFirst = () => assert.deepEqual(requireKeys(keyFile).at(-1)!.bytes, first);
  eachPoint(made, () => addToKeyFile(keyFile), keepsFirst);
  const keepsNewest = () => assert.equal(idsOf()[0], 1);
  eachPoint(changed, () => removeFromKeyFile(keyFile, 0), keepsNewest);
  assert.ok(points > 20, `${points}`);
});
