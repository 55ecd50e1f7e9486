import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import {
  SERVICE_UNIT,
  SOCKET_UNIT,
  readUnit,
  serviceUnit,
  socketUnit,
} from "../../src/systemd/unit.ts";
import type { UnitFacts } from "../../src/systemd/unit.ts";
import { isInstalled } from "../helpers/installed.ts";
import { temporaryFolder } from "../helpers/store.ts";

const FACTS: UnitFacts = {
  user: "mcp-supervisor",
  exec: [process.execPath, "/usr/lib/program.js", "serve"],
  dataDir: "/var/lib/mcp-supervisor",
  controlSocket: "/var/lib/mcp-supervisor/control.sock",
  controlGroup: null,
  keyFile: "/etc/mcp-supervisor/vault.key",
  listen: { host: "127.0.0.1", port: 8040 },
  notifyAccess: "main",
  stopTimeoutMs: 5_000,
  needsHomes: false,
};

/** The lines of the service unit that set something of that name. */
const settings = (facts: Partial<UnitFacts>, name: string) =>
  serviceUnit({ ...FACTS, ...facts })
    .split("\n")
    .filter((line) => line.startsWith(`${name}=`))
    .map((line) => line.slice(name.length + 1));

test("systemd accepts both units and finds the service little exposed", (t) => {
  if (!isInstalled("systemd-analyze")) return t.skip("systemd is not installed");
  const folder = temporaryFolder(t);
  const service = join(folder, SERVICE_UNIT);
  writeFileSync(service, serviceUnit(FACTS));
  writeFileSync(join(folder, SOCKET_UNIT), socketUnit(FACTS));
  const verified = spawnSync("systemd-analyze", ["verify", service, join(folder, SOCKET_UNIT)], {
    encoding: "utf8",
  });
  const complaints = verified.stderr.split("\n").filter((line) => line.includes("mcp-supervisor"));
  assert.deepEqual(complaints, []);
  const scored = spawnSync("systemd-analyze", ["security", "--offline=yes", service], {
    encoding: "utf8",
  });
  const score = Number(/Overall exposure level for \S+: ([\d.]+)/.exec(scored.stdout)?.[1]);
  assert.ok(score <= 3.4, `exposure ${score}`);
});

test("a command line means the same to systemd as to a shell that quotes it", () => {
  const exec = ["/opt/my node", "--flag=1", "100%", "$HOME", 'a "b"', "/plain/path"];
  assert.deepEqual(settings({ exec }, "ExecStart"), [
    String.raw`"/opt/my node" --flag=1 100%% "$$HOME" "a \"b\"" /plain/path`,
  ]);
});

test("data below /var/lib is a state directory, elsewhere a path that may be written", () => {
  assert.deepEqual(settings({}, "StateDirectory"), ["mcp-supervisor"]);
  assert.deepEqual(settings({}, "ReadWritePaths"), []);
  const elsewhere = { dataDir: "/srv/my data", controlSocket: "/srv/my data/control.sock" };
  assert.deepEqual(settings(elsewhere, "StateDirectory"), []);
  assert.deepEqual(settings(elsewhere, "ReadWritePaths"), ['"/srv/my data"']);
});

test("a control socket of its own folder and group is given both", () => {
  const facts = { controlSocket: "/run/mcp/control.sock", controlGroup: "admins" };
  assert.deepEqual(settings(facts, "RuntimeDirectory"), ["mcp"]);
  assert.deepEqual(settings(facts, "SupplementaryGroups"), ["admins"]);
});

test("a key file that the config names is no credential", () => {
  assert.deepEqual(settings({}, "LoadCredential"), ["vault.key:/etc/mcp-supervisor/vault.key"]);
  assert.deepEqual(settings({ keyFile: null }, "LoadCredential"), []);
});

test("the key that the unit hands over is found again, by the config that the unit is for", () => {
  const config = "/etc/mcp supervisor/100 %.json";
  const exec = [...FACTS.exec, "--config", config];
  for (const keyFile of ["/etc/mcp-supervisor/vault.key", "/etc/the key/100 %.key"])
    assert.equal(readUnit(serviceUnit({ ...FACTS, exec, keyFile }), config)?.keyFile, keyFile);
  const unit = serviceUnit({ ...FACTS, exec });
  assert.equal(readUnit(unit, config)?.user, FACTS.user);
  assert.equal(readUnit(unit, "/etc/mcp supervisor/100"), undefined, "another config");
  assert.equal(
    readUnit(serviceUnit({ ...FACTS, exec, keyFile: null }), config)?.keyFile,
    undefined,
  );
  assert.equal(readUnit(unit.slice(1), config), undefined, "somebody else's unit");
});

test("the service holds no capability and is never given up on but for a bad config", () => {
  assert.deepEqual(settings({}, "CapabilityBoundingSet"), [""]);
  assert.deepEqual(settings({}, "AmbientCapabilities"), [""]);
  assert.deepEqual(settings({}, "Restart"), ["always"]);
  assert.deepEqual(settings({}, "RestartPreventExitStatus"), ["78"]);
  assert.deepEqual(settings({}, "StartLimitIntervalSec"), ["0"]);
});

test("the service may take as long to stop as calls and then children may, and 20 s", () => {
  assert.deepEqual(settings({}, "TimeoutStopSec"), ["30s"]);
  assert.deepEqual(settings({ stopTimeoutMs: 90_500 }, "TimeoutStopSec"), ["202s"]);
});

test("the socket unit listens where the config says, in the way that systemd writes it", () => {
  const stream = (host: string) =>
    /^ListenStream=(.*)$/m.exec(socketUnit({ ...FACTS, listen: { host, port: 8040 } }))?.[1];
  assert.equal(stream("127.0.0.1"), "127.0.0.1:8040");
  assert.equal(stream("localhost"), "127.0.0.1:8040");
  assert.equal(stream("::"), "[::]:8040");
  assert.equal(stream("10.0.0.7"), "10.0.0.7:8040");
});
