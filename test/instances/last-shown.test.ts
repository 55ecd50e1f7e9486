import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { parseConfig } from "../../src/config/config.ts";
import { LastShown } from "../../src/instances/last-shown.ts";
import type { Audience } from "../../src/instances/last-shown.ts";
import { Manifests } from "../../src/instances/manifests.ts";
import type { Manifest } from "../../src/instances/manifests.ts";
import type { Live } from "../../src/instances/supervisor.ts";
import { tokensOver } from "../helpers/tokens.ts";
import { markOf } from "../../src/tokens/tokens.ts";
import { openVault } from "../../src/vault/vault.ts";
import { testInstance } from "../helpers/instance.ts";
import { temporaryStore } from "../helpers/store.ts";

const AUDIENCE: Audience = { era: "legacy", capabilities: "{}", version: undefined };
const SHOWN: Manifest = {
  greeting: Buffer.from("{}"),
  hasSessions: true,
  lists: new Map(),
};

/** A daemon whose server `one` is defined so, and a child of ada's that runs. */
async function rig(t: TestContext, definition: object = {}) {
  const { store, folder } = temporaryStore(t);
  for (const user of ["ada", "bob"]) store.users.insert(user, 1);
  const vault = openVault({ keyFile: path.join(folder, "vault.key"), store });
  const tokens = tokensOver({ store, vault });
  tokens.set("ada", null, "ada-token");
  const define = (changes: object) =>
    parseConfig(
      { defaultServer: "one", servers: { one: { command: "run", ...definition, ...changes } } },
      folder,
    ).servers["one"]!;
  let def = define({});
  const manifests = new Manifests({
    store,
    vault,
    log: { error: (fields: object) => assert.fail(JSON.stringify(fields)) },
  });
  const shown = new LastShown({
    manifests,
    servers: (name) => (name === "one" ? def : undefined),
    tokenOf: tokens.secretFor.bind(tokens),
  });
  const one = testInstance("ada", "one");
  one.start(new URL("http://127.0.0.1:9/mcp"));
  const started = await one.instance.ensure();
  const live: Live = { ...started, startedAs: { def, token: markOf("ada-token") } };
  return { tokens, shown, live, reload: (changes: object) => void (def = define(changes)) };
}

const ADA = { user: "ada", server: "one" };

test("what a child showed is found for its user, server and audience", async (t) => {
  const { shown, live } = await rig(t);
  shown.keep(live, AUDIENCE, SHOWN);
  assert.deepEqual(shown.find(ADA, AUDIENCE), SHOWN);
  assert.equal(shown.find({ ...ADA, user: "bob" }, AUDIENCE), undefined);
  assert.equal(shown.find({ ...ADA, server: "two" }, AUDIENCE), undefined);
  assert.equal(shown.find(ADA, { ...AUDIENCE, version: "2025-06-18" }), undefined);
  shown.keep(live, AUDIENCE, undefined);
  assert.equal(shown.find(ADA, AUDIENCE), undefined);
});

test("a token or a definition of now that is not the child's, and it is the next one to be asked", async (t) => {
  const { shown, live, tokens, reload } = await rig(t);
  shown.keep(live, AUDIENCE, SHOWN);
  tokens.set("ada", null, "another-token");
  assert.equal(shown.find(ADA, AUDIENCE), undefined);
  // The one that has the old token still shows nothing that counts.
  assert.equal(shown.wants(live), false);
  shown.keep(live, AUDIENCE, SHOWN);
  tokens.set("ada", "one", "ada-token");
  assert.deepEqual(shown.find(ADA, AUDIENCE), SHOWN);
  tokens.clearAll("ada");
  assert.equal(shown.find(ADA, AUDIENCE), undefined);
  tokens.set("ada", null, "ada-token");
  reload({ env: { A: "1" } });
  assert.equal(shown.find(ADA, AUDIENCE), undefined);
  assert.equal(shown.wants(live), false);
  // What a running child need not be another one for is no other definition.
  reload({ startTimeout: "7s" });
  assert.equal(shown.wants(live), true);
  assert.deepEqual(shown.find(ADA, AUDIENCE), SHOWN);
});

test("of a stateful server, or where the config says so, nothing is kept, and nothing is shown", async (t) => {
  for (const definition of [{ stateful: true }, { manifest: false }]) {
    const { shown, live } = await rig(t, definition);
    assert.equal(shown.wants(live), false);
    shown.keep(live, AUDIENCE, SHOWN);
    assert.equal(shown.find(ADA, AUDIENCE), undefined);
  }
  const { shown, live, reload } = await rig(t);
  shown.keep(live, AUDIENCE, SHOWN);
  reload({ manifest: false });
  assert.equal(shown.find(ADA, AUDIENCE), undefined);
});
