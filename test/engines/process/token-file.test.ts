import assert from "node:assert/strict";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { parseConfig } from "../../../src/config/config.ts";
import type { ChildServer } from "../../../src/config/config.ts";
import { Isolation } from "../../../src/engines/process/isolation.ts";
import { openProcessEngine } from "../../../src/engines/process/process-engine.ts";
import { TokenFile } from "../../../src/engines/process/token-file.ts";
import { createLogger } from "../../../src/telemetry/logger.ts";
import { temporaryFolder } from "../../helpers/store.ts";

test("a token that cannot be written leaves no folder behind", (t) => {
  const folders = path.join(temporaryFolder(t), "tokens");
  // No account has such a number.
  assert.throws(() => new TokenFile(folders, "secret", 2 ** 40), { code: "ERR_OUT_OF_RANGE" });
  assert.deepEqual(readdirSync(folders), []);
});

test("a child whose token cannot be written is not started, and leaves no temporary folder", async (t) => {
  const dataDir = temporaryFolder(t);
  const servers = { one: { command: "cat", tokenFile: true } };
  const config = parseConfig({ dataDir, isolation: "none", servers }, dataDir);
  const log = createLogger("fatal");
  const engine = await openProcessEngine({ config, isolation: new Isolation(config), log });
  t.after(() => engine.close());
  await engine.endLeft();
  // In the way of the folder of tokens, which is made at the first start.
  writeFileSync(path.join(dataDir, "tokens"), "");
  const ref = { user: "alice", server: "one", variant: "" };
  const workload = { ref, def: config.servers["one"] as ChildServer, token: "secret" };
  const options = { signal: new AbortController().signal, onLine() {} };
  await assert.rejects(engine.start(workload, options), {
    code: "INSTANCE_SPAWN_FAILED",
  });
  const places = path.join(dataDir, "homes", "alice", ".tmp");
  assert.ok(existsSync(places));
  assert.deepEqual(readdirSync(places), []);
});
