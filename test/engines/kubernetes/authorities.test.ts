import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { Authorities } from "../../../src/engines/kubernetes/authorities.ts";
import { installationOf, takeEpoch } from "../../../src/engines/kubernetes/epoch.ts";
import { openStore } from "../../../src/store/store.ts";
import type { PodRow, Store } from "../../../src/store/store.ts";
import { openVault } from "../../../src/vault/vault.ts";
import type { Vault } from "../../../src/vault/vault.ts";
import { podRow } from "../../helpers/pod-row.ts";
import { temporaryFolder, temporaryStore } from "../../helpers/store.ts";

interface Rig {
  store: Store;
  vault: Vault;
  authorities: Authorities;
}

function rig(t: TestContext): Rig {
  const { store, folder } = temporaryStore(t);
  const vault = openVault({ keyFile: path.join(folder, "vault.key"), store });
  let made = 0;
  const make = () => Promise.resolve({ key: `key ${++made}`, certificate: `certificate ${made}` });
  return { store, vault, authorities: new Authorities({ store, vault, make }) };
}

const bornUnder = (authority: number): PodRow =>
  podRow({ name: `mcps-${authority}-g1`, authority });

test("the CA is made once, and its key stands in the database sealed", async (t) => {
  const { store, authorities } = rig(t);
  const [one, other] = await Promise.all([authorities.newest(), authorities.newest()]);
  assert.deepEqual(one, { number: 1, key: "key 1", certificate: "certificate 1" });
  assert.deepEqual([other, await authorities.newest()], [one, one]);
  assert.deepEqual(store.secrets.names(), ["kubernetes-ca-1"]);
  assert.ok(!store.secrets.find("kubernetes-ca-1")!.includes("key 1"));
});

test("an older CA stays as long as a pod was born under it", async (t) => {
  const { store, authorities } = rig(t);
  await authorities.newest();
  store.pods.insert(bornUnder(1));
  assert.equal((await authorities.rotate()).number, 2);
  assert.equal((await authorities.newest()).key, "key 2");
  assert.equal(authorities.find(1)?.key, "key 1");
  assert.equal((await authorities.rotate()).number, 3);
  // Nobody was born under the second.
  assert.deepEqual([authorities.find(1)?.key, authorities.find(2)], ["key 1", undefined]);
  store.pods.delete("mcps-1-g1");
  authorities.sweep();
  assert.deepEqual([authorities.find(1), authorities.find(3)?.key], [undefined, "key 3"]);
});

test("a CA opens after the vault's key was changed and the old one dropped", async (t) => {
  const { vault, authorities } = rig(t);
  await authorities.newest();
  vault.keyring.rotate();
  await vault.keyring.resealed();
  await vault.keyring.drop(0);
  assert.equal((await authorities.newest()).key, "key 1");
});

test("a backup has the CA and the pods that were born under it", async (t) => {
  const { store, vault, authorities } = rig(t);
  await authorities.newest();
  store.pods.insert(bornUnder(1));
  const file = path.join(temporaryFolder(t), "backup.db");
  await store.copyTo(file);
  const restored = openStore(file);
  t.after(() => restored.close());
  const make = () => Promise.reject(new Error("there is one"));
  const again = new Authorities({ store: restored, vault, make });
  assert.equal((await again.newest()).key, "key 1");
  assert.deepEqual(restored.pods.list(), [bornUnder(1)]);
});

test("each daemon's epoch is higher than that of every one before, by its count or by the clock", (t) => {
  const { meta } = temporaryStore(t).store;
  assert.equal(takeEpoch(meta, 1000), 1000);
  // The clock was set back.
  assert.equal(takeEpoch(meta, 10), 1001);
  assert.equal(takeEpoch(meta, 5000), 5000);
  // A backup of before was restored.
  assert.equal(takeEpoch(temporaryStore(t).store.meta, 6000), 6000);
});

test("an installation keeps the name that its pods have", (t) => {
  const [one, other] = [temporaryStore(t).store.meta, temporaryStore(t).store.meta];
  const name = installationOf(one);
  assert.match(name, /^[0-9a-f]{16}$/);
  assert.equal(installationOf(one), name);
  assert.notEqual(installationOf(other), name);
});
