import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { SERVICE_UNIT, SOCKET_UNIT, UNIT_MARK, readUnit } from "../../src/systemd/unit.ts";
import { runCli } from "../helpers/daemon.ts";
import { temporaryFolder } from "../helpers/store.ts";

test("service print shows both units for the config and the account, and makes nothing", async (t) => {
  const path = join(temporaryFolder(t), "supervisor.config.json");
  const listen = { host: "127.0.0.1", port: 8123 };
  const servers = { one: { command: "node" } };
  writeFileSync(path, JSON.stringify({ dataDir: "/var/lib/elsewhere", listen, servers }));
  const print = ["--config", path, "service", "print"];
  const units = (await runCli(["--json", ...print])).json<Record<string, string>>();
  const service = units[SERVICE_UNIT]!;
  assert.match(service, /^User=mcp-supervisor$/m);
  assert.match(service, /^StateDirectory=elsewhere$/m);
  assert.match(units[SOCKET_UNIT]!, /^ListenStream=127\.0\.0\.1:8123$/m);
  assert.equal(
    readUnit(service, path)?.keyFile,
    "/etc/mcp-supervisor/vault.key",
    "where the doctor looks for the key of a service that is not running",
  );

  const people = await runCli([...print, "--user", "mcp-other"]);
  assert.equal(people.code, 0, people.stderr);
  assert.ok(people.stdout.startsWith(`# ${SERVICE_UNIT}\n${UNIT_MARK}\n`));
  assert.match(people.stdout, /^User=mcp-other$/m);
  assert.doesNotMatch(people.stdout, /^User=mcp-supervisor$/m);

  const asRoot = await runCli(["--json", ...print, "--user", "root"]);
  assert.deepEqual([asRoot.code, asRoot.error().type], [2, "USAGE"]);
  assert.match(asRoot.error().message, /the daemon needs no root/);
});
