import assert from "node:assert/strict";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import * as checks from "../../src/cli/machine-checks.ts";
import type { Finding } from "../../src/cli/machine-checks.ts";
import { parseConfig } from "../../src/config/config.ts";
import { temporaryFolder } from "../helpers/store.ts";

const configIn = (folder: string, settings: object = {}) =>
  parseConfig({ isolation: "none", servers: { one: { command: "node" } }, ...settings }, folder);

const outcomes = (findings: Finding | Finding[]): string =>
  [findings]
    .flat()
    .map(({ outcome }) => outcome)
    .join(" ");

test("what is in order is said to be so, and every complaint says what to do", (t) => {
  const folder = temporaryFolder(t);
  const config = configIn(folder);
  mkdirSync(config.dataDir, { mode: 0o700 });
  for (const check of [checks.vaultKey, checks.database, checks.fileModes])
    assert.equal(check(config).outcome, "ok", JSON.stringify(check(config)));
  assert.equal(
    outcomes([checks.nodeVersion(), checks.clock(config), ...checks.addresses(config)]),
    "ok ok ok",
  );
  const complaints = [
    checks.nodeVersion("20.11.1"),
    checks.clock(config, 0),
    ...checks.isolation(config, { user: [], sandbox: [], outbound: [] }),
    ...checks.recipes(
      configIn(folder, { servers: { one: { command: "npx", args: ["-y", "x"] } } }),
    ),
    ...checks.addresses(
      configIn(folder, { listen: { host: "0.0.0.0" }, admin: { host: "0.0.0.0", port: 1 } }),
    ),
    ...checks.isolation(configIn(folder, { isolation: "sandbox" }), {
      user: ["x"],
      sandbox: ["bubblewrap is not installed"],
      outbound: [],
    }),
  ];
  assert.equal(outcomes(complaints), "failed failed warning warning warning warning failed");
  for (const { next, found } of complaints) assert.ok(next!.length > 5 && found.length > 5);
});

test("a key, files and a folder that others can get at are failures", (t) => {
  const folder = temporaryFolder(t);
  const config = configIn(folder);
  mkdirSync(config.dataDir, { mode: 0o700 });
  writeFileSync(config.keyFile, "not a key\n", { mode: 0o400 });
  assert.match(checks.vaultKey(config).found, /does not hold a key/);
  chmodSync(config.keyFile, 0o644);
  assert.match(checks.vaultKey(config).found, /has mode 0644/);
  writeFileSync(join(config.dataDir, "admin.token"), "", { mode: 0o444 });
  assert.match(checks.fileModes(config).found, /admin\.token has mode 0444/);
  chmodSync(config.dataDir, 0o777);
  assert.equal(checks.fileModes(config).outcome, "failed");
});
