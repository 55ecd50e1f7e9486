import assert from "node:assert/strict";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { running } from "../../src/api/daemon-checks.ts";
import * as checks from "../../src/api/machine-checks.ts";
import type { Finding } from "../../src/api/finding.ts";
import type { MachineReport } from "../../src/api/types.ts";
import { parseConfig } from "../../src/config/config.ts";
import { temporaryFolder } from "../helpers/store.ts";

const configIn = (folder: string, settings: object = {}) =>
  parseConfig({ isolation: "none", servers: { one: { command: "node" } }, ...settings }, folder);

const outcomes = (findings: Finding | Finding[]): string =>
  [findings]
    .flat()
    .map(({ outcome }) => outcome)
    .join(" ");

test("the secret of an app is looked for where the daemon would read it", (t) => {
  const folder = temporaryFolder(t);
  const servers = { feishu: { builtin: "feishu-token", appId: "cli_1", appSecretFile: "x" } };
  const config = configIn(folder, { servers });
  const [missing] = checks.secretFiles(config);
  assert.match(missing!.found, /cannot be read from .*\/x \(ENOENT\)/);
  writeFileSync(join(folder, "x"), "secret-of-the-app", { mode: 0o400 });
  const [found] = checks.secretFiles(config);
  assert.equal(found!.outcome, "ok");
  assert.doesNotMatch(JSON.stringify(found), /secret-of-the-app/);
  assert.deepEqual(checks.secretFiles(configIn(folder)), []);
});

test("a provider's client without its secret is found before a user comes back from the provider", (t) => {
  const folder = temporaryFolder(t);
  const providers = { mail: { kind: "google", clientId: "id-of-ours" } };
  const config = configIn(folder, { providers });
  mkdirSync(config.dataDir, { mode: 0o700 });
  const [missing] = checks.secretFiles(config);
  assert.deepEqual([missing!.outcome, missing!.check], ["warning", "client at mail"]);
  writeFileSync(join(config.dataDir, "mail.secret"), "secret-of-the-client", { mode: 0o400 });
  const [found] = checks.secretFiles(config);
  assert.equal(found!.outcome, "ok");
  assert.match(found!.found, /^id-of-ours, with its secret in .*mail\.secret$/);
});

test("a key of JWTs that would keep the daemon from starting is said to", (t) => {
  const folder = temporaryFolder(t);
  const jwt = { issuers: [{ secretFile: "jwt.secret" }] };
  const config = configIn(folder, { jwt });
  assert.equal(checks.jwtKeys(config)[0]!.outcome, "failed");
  writeFileSync(join(folder, "jwt.secret"), "x".repeat(32), { mode: 0o400 });
  const [found] = checks.jwtKeys(config);
  assert.equal(found!.outcome, "ok");
  assert.match(found!.found, /^HS256, by .*jwt\.secret$/);
});

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
    ...checks.levelsHere(config, { user: [], sandbox: [], outbound: [] }).map(checks.level),
    ...checks.recipes(
      configIn(folder, { servers: { one: { command: "npx", args: ["-y", "x"] } } }),
    ),
    ...checks.addresses(
      configIn(folder, { listen: { host: "0.0.0.0" }, admin: { host: "0.0.0.0", port: 1 } }),
    ),
    ...checks
      .levelsHere(configIn(folder, { isolation: "sandbox" }), {
        user: [{ found: "x" }],
        sandbox: [{ found: "bubblewrap is not installed", install: "bubblewrap" }],
        outbound: [],
      })
      .map(checks.level),
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

test("a control socket that others can write to is a failure, unless the config names their group", async (t) => {
  const folder = temporaryFolder(t);
  const config = configIn(folder);
  mkdirSync(config.dataDir, { mode: 0o700 });
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(config.controlSocket, resolve));
  t.after(() => server.close());
  chmodSync(config.controlSocket, 0o660);
  assert.match(checks.fileModes(config).found, /control\.sock has mode 0660/);
  assert.equal(checks.fileModes({ ...config, controlGroup: "admins" }).outcome, "ok");
  chmodSync(config.controlSocket, 0o666);
  assert.equal(checks.fileModes({ ...config, controlGroup: "admins" }).outcome, "failed");
});

test("a config that others can change is named, and one that they can read where it holds headers", (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, "supervisor.config.json");
  writeFileSync(path, "{}");
  const url = "https://mcp.example.com/mcp";
  const headers = { "X-Key": "a-secret-of-all-users" };
  const remote = configIn(folder, { servers: { far: { url, headers } } });
  const found = (mode: number, config = configIn(folder)) => {
    chmodSync(path, mode);
    return checks.configMode({ ...config, path });
  };
  assert.equal(outcomes([0o640, 0o644].flatMap((mode) => found(mode))), "ok ok");
  assert.equal(outcomes(found(0o640, remote)), "ok");
  assert.equal(outcomes(found(0o644, remote)), "warning");
  assert.equal(outcomes(found(0o664)), "warning");
  assert.equal(outcomes(found(0o666)), "failed");
  assert.match(found(0o666)[0]!.next!, /^chmod o-w '.*supervisor\.config\.json'$/);
  assert.deepEqual(checks.configMode(configIn(folder)), [], "no file, nothing to say");
});

const REPORT: MachineReport = {
  version: "1.2.3",
  pid: 1,
  isolation: "sandbox",
  levels: [],
  gaps: [],
  key: { file: "/run/credentials/x.service/vault.key", isCredential: true, mode: 0o440 },
  exposed: [],
  policies: null,
  unkept: [],
  controllers: ["cpu", "memory", "pids"],
  openFiles: 65_536,
  contained: [],
  troubled: [],
  refusing: [],
  unsavedSessions: null,
};

test("a running daemon's report tells levels, limits, key and users in trouble as that daemon has them", () => {
  const level = { asked: "auto", level: "sandbox", missing: [], lacks: [] } as const;
  const levels = [
    { server: "one", ...level },
    { server: "two", ...level, asked: "none", level: "none" },
    { server: "three", ...level, asked: "user", level: null, missing: ["uids are not set"] },
  ] as const;
  const gone = { ...REPORT.key, mode: null };
  const troubled = [{ user: "alice", server: "one", reason: "was killed: over 96M" }];
  const refusing = [{ provider: "sso", reason: "invalid_client" }];
  const findings = running({ ...REPORT, levels: [...levels], troubled, refusing });
  const find = (check: string, all = findings) => all.find((finding) => finding.check === check)!;
  assert.equal(
    outcomes(["one", "two", "three"].map((name) => find(`isolation of ${name}`))),
    "ok warning failed",
  );
  assert.match(find("isolation of three").found, /uids are not set/);
  const unsavedSessions = "the disk is full";
  const full = find("sessions of clients", running({ ...REPORT, unsavedSessions }));
  assert.match(`${full.outcome} ${full.found}`, /^warning .*not outlive .*the disk is full/);
  assert.match(find("key").found, /^systemd credential .*vault\.key, mode 0440$/);
  assert.equal(find("key", running({ ...REPORT, key: gone })).outcome, "failed");
  assert.match(find("limits").found, /cpu, memory, pids .*65536 files open$/);
  assert.match(
    find("limits", running({ ...REPORT, controllers: [] })).found,
    /no cgroup is delegated/,
  );
  assert.equal(find("provider sso").outcome, "warning");
  assert.match(find("provider sso").found, /refuses the client.*: invalid_client$/);
  assert.deepEqual(find("child of alice/one"), {
    check: "child of alice/one",
    outcome: "warning",
    found: "the child was killed: over 96M",
    next: "mcp-supervisor doctor alice",
  });
});

test("of servers in pods it is told what stands around them, and what of their homes is left", (t) => {
  const server = { command: "x", engine: "kubernetes" };
  const servers = {
    kept: { ...server, kubernetes: { home: { size: "2G" }, runtimeClass: "gvisor" } },
    lost: { ...server, command: "npx", args: ["-y", "some-server@1.2.3"] },
    local: { command: "x" },
  };
  const kubernetes = { namespace: "mcps", shimImage: "shim:1", image: "servers:1" };
  const config = configIn(temporaryFolder(t), { servers, kubernetes, defaultServer: null });
  const findings = checks.pods(config);
  assert.deepEqual(
    findings.map(({ check }) => check),
    ["isolation of kept", "home of kept", "isolation of lost", "home of lost"],
  );
  assert.match(findings[0]!.found, /^pod:gvisor;/);
  assert.match(findings[1]!.found, /^a volume of 2G for each user/);
  assert.match(findings[3]!.found, /^512M that go with each pod/);
  assert.equal(checks.recipes(config)[0]?.next, "put the server into its image");
});

test("whether the cluster enforces network policies is told as it was found", () => {
  const told = (policies: MachineReport["policies"]) =>
    running({ ...REPORT, policies }).filter(({ check }) => check === "network of pods");
  assert.deepEqual(told(null), []);
  assert.equal(
    outcomes((["enforced", "assumed", "open", "unknown"] as const).flatMap(told)),
    "ok ok warning warning",
  );
  assert.match(told("open")[0]!.found, /pods reach each other/);
});
