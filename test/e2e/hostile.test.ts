import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, chownSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { readProcessTable, treeOf } from "../../src/engines/process/process-table.ts";
import { atEnd, daemonFolder, startDaemon } from "../helpers/daemon.ts";
import type { Account } from "../helpers/daemon.ts";
import { boxed, callOver, noOutbound, noSandbox, notRoot } from "../helpers/isolation.ts";
import type { Targets } from "../fixtures/servers/hostile.ts";

const SYSTEM = ["/etc", "/usr", "/var/lib", "/run", "/"];
const WRITING = "writing outside of its home";

/** Whether this machine lets an ordinary account have one. */
function canMakeNamespaces(): boolean {
  const account = ["--reuid=61149", "--regid=61149", "--clear-groups", "--no-new-privs"];
  return spawnSync("setpriv", [...account, "unshare", "--user", "true"]).status === 0;
}

/** What level `user` leaves open, as SECURITY.md says. */
const OPEN_AT_USER = [
  "another child's port",
  "the /tmp of the machine",
  "processes of the machine",
  WRITING,
  ...(canMakeNamespaces() ? ["a user namespace"] : []),
  "the loopback of the machine",
];

interface Row {
  user: string;
  pid: number;
  port: number;
  isolation: string;
}

interface Circumstances {
  config: object;
  server?: object;
  account?: Account;
  /** Folders that the child tries to write to beside those of the daemon. */
  writable?: string[];
}

/** Lets bob's server loose on alice's child and on the daemon; what it got at. */
async function attackAs(
  t: TestContext,
  { config, server = {}, account, writable = SYSTEM }: Circumstances,
): Promise<{ tried: string[]; succeeded: string[]; levels: string[] }> {
  const dir = daemonFolder(t);
  // An account of its own must be able to come to its home.
  chmodSync(dir, 0o755);
  const secretFile = (name: string): string => {
    const file = join(dir, name);
    writeFileSync(file, `http://127.0.0.1:9/${"x".repeat(32)}`, { mode: 0o600 });
    if (account !== undefined) chownSync(file, account.uid, account.uid);
    return file;
  };
  const secretFiles = ["jwt", "provider", "notices", "app"].map(secretFile);
  const [ofJwts, ofProvider, ofNotices, ofApp] = secretFiles;
  const secrets = {
    jwt: { issuers: [{ secretFile: ofJwts }] },
    providers: { feishu: { kind: "feishu", clientId: "cli_x", clientSecretFile: ofProvider } },
    notices: [{ kind: "json", urlFile: ofNotices }],
  };
  const app = { builtin: "feishu-token", appId: "cli_x", appSecretFile: ofApp };
  // All of the config's folder, but for what is the daemon's own in it.
  const shown = { paths: { read: [dir] } };
  const daemon = await startDaemon(t, {
    dir,
    config: {
      servers: { hostile: boxed("hostile", { ...shown, ...server }), app },
      defaultServer: "hostile",
      ...secrets,
      startTimeout: "60s",
      ...config,
    },
    account,
  });
  const token = "token-of-alice-which-nobody-else-may-see";
  const alice = await daemon.addUser("alice", token);
  const bob = await daemon.addUser("bob", "token-of-bob");
  const as = (user: string, secret: string) => ({ user, secret, server: "hostile" });
  const own = await callOver(daemon.port, as("alice", alice.key.secret), "env");
  assert.ok(own.includes(token), "alice's child has its token");
  const tried = await callOver(daemon.port, as("bob", bob.key.secret), "attempts");

  const home = join(daemon.dataDir, "homes/alice/hostile");
  writeFileSync(join(home, "secret.txt"), "alice's");
  chmodSync(join(home, "secret.txt"), 0o644);
  const shared = mkdtempSync(join(tmpdir(), "mcps-shared-"));
  atEnd(t, () => rmSync(shared, { recursive: true, force: true }));
  chmodSync(shared, 0o1777);
  writeFileSync(join(shared, "file"), "for everybody on the machine", { mode: 0o644 });
  const service = createServer((socket) => socket.end()).listen(0, "127.0.0.1");
  t.after(() => service.close());
  await once(service, "listening");

  chmodSync(daemon.configPath, 0o600);
  const { instances } = (await daemon.cli(["status"])).json<{ instances: Row[] }>();
  const row = instances.find(({ user }) => user === "alice")!;
  const tree = treeOf(row.pid, await readProcessTable());
  const targets: Targets = {
    token,
    pids: tree.map(({ pid }) => pid),
    daemonPid: daemon.pid,
    port: row.port,
    hostPort: (service.address() as AddressInfo).port,
    home,
    dataDir: daemon.dataDir,
    keyFile: join(daemon.dataDir, "vault.key"),
    configFile: daemon.configPath,
    secretFiles,
    controlSocket: daemon.socket,
    sharedFile: join(shared, "file"),
    writable: [daemon.dir, daemon.dataDir, home, shared, ...writable],
  };
  const got = await callOver(daemon.port, as("bob", bob.key.secret), "attack", targets);
  const succeeded = (JSON.parse(got) as string[]).filter(
    // What was written to a folder of the sandbox's own is not on this machine.
    (name) => name !== WRITING || targets.writable.map(hasBeenWritten).includes(true),
  );
  return {
    tried: JSON.parse(tried) as string[],
    succeeded,
    levels: instances.map(({ isolation }) => isolation),
  };
}

function hasBeenWritten(folder: string): boolean {
  const file = join(folder, "hostile-was-here");
  const found = existsSync(file);
  rmSync(file, { force: true });
  return found;
}

const SERVICE_UID = 61_150;

for (const [who, account] of [
  ["an ordinary user", { uid: SERVICE_UID }],
  ["a service user without capabilities", { uid: SERVICE_UID, isService: true }],
] as const) {
  test(
    `in a sandbox of ${who}'s daemon a hostile child gets at nothing`,
    { skip: noSandbox || notRoot },
    async (t) => {
      const { succeeded, tried, levels } = await attackAs(t, {
        config: { isolation: "sandbox" },
        account,
      });
      assert.deepEqual(levels, ["sandbox", "sandbox"]);
      assert.ok(tried.length >= 16);
      assert.deepEqual(succeeded, []);
    },
  );
}

test(
  "in a sandbox of this account's daemon a hostile child gets at nothing",
  { skip: noSandbox },
  async (t) => {
    const config = { isolation: "sandbox" };
    assert.deepEqual((await attackAs(t, { config })).succeeded, []);
  },
);

test(
  "in a sandbox of root's daemon with accounts for its children a hostile child gets at nothing",
  { skip: noSandbox || notRoot },
  async (t) => {
    const config = { isolation: "sandbox", uids: { from: 61_100, to: 61_149 } };
    assert.deepEqual((await attackAs(t, { config })).succeeded, []);
  },
);

for (const [whose, account] of [
  ["this account's", undefined],
  ["an ordinary user's", { uid: SERVICE_UID, hasTun: true }],
] as const) {
  test(
    `with a network that leads out, a hostile child of ${whose} daemon still gets at nothing of this machine's`,
    { skip: noOutbound || (account ? notRoot : false) },
    async (t) => {
      const config = { isolation: "sandbox" };
      const server = { network: "full" };
      const { succeeded, levels } = await attackAs(t, { config, server, account });
      assert.deepEqual(levels, ["sandbox", "sandbox"]);
      assert.deepEqual(succeeded, []);
    },
  );
}

test(
  "with an account of its own a hostile child gets at what all accounts of the machine share, and at no more",
  { skip: notRoot },
  async (t) => {
    const config = { isolation: "user", uids: { from: 61_100, to: 61_149 } };
    const server = { network: "full" };
    const { succeeded, levels } = await attackAs(t, { config, server });
    assert.deepEqual(levels, ["user", "user"]);
    assert.deepEqual(succeeded, OPEN_AT_USER);
  },
);

test("without isolation a hostile child gets at nearly everything", async (t) => {
  const { succeeded } = await attackAs(t, { config: { isolation: "none" }, writable: [] });
  for (const name of ["another child's environment", "the database", "the vault key", "signals"])
    assert.ok(succeeded.includes(name), name);
});
