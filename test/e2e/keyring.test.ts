import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { request } from "node:http";
import type { IncomingMessage } from "node:http";
import { join } from "node:path";
import { test } from "node:test";
import { lockKeyring } from "../../src/store/lock.ts";
import { serviceUnit } from "../../src/systemd/unit.ts";
import { addToKeyFile, makeKeyFile } from "../../src/vault/key-file.ts";
import { daemonFolder, runCli, startDaemon } from "../helpers/daemon.ts";
import { fixture } from "../helpers/fixtures.ts";
import { PROGRAM } from "../helpers/program.ts";
import { onSmallDisk } from "../helpers/small-disk.ts";
import { until } from "../helpers/until.ts";

const CONFIG = { defaultServer: "echo", servers: { echo: fixture("sse", "echo-sse") } };

interface Status {
  keys: { id: number; rows: number }[];
  left: number;
  isResealing: boolean;
}

test("an admin changes the key of a daemon that serves, and keeps the old one for old backups", async (t) => {
  const daemon = await startDaemon(t, { config: CONFIG });
  await daemon.addUser("ada", "token-of-ada");
  const keyFile = join(daemon.dataDir, "vault.key");
  const former = readFileSync(keyFile, "latin1").trim();
  const keepIn = join(daemon.dir, "key-0");

  const early = await daemon.cli(["keyring", "drop", "0", "--keep-in", keepIn]);
  assert.equal(early.code, 1);
  assert.equal(early.error().type, "KEY_IN_USE");
  assert.equal(existsSync(keepIn), false, "nothing is kept of what was not dropped");

  assert.deepEqual((await daemon.cli(["keyring", "rotate"])).json(), { id: 1 });
  const status = async () => (await daemon.cli(["keyring", "status"])).json<Status>();
  await until(async () => (await status()).left === 0, "every row is sealed anew");
  assert.deepEqual((await status()).keys, [
    { id: 1, rows: 1 },
    { id: 0, rows: 0 },
  ]);
  const shown = await daemon.cli(["keyring", "status"], { isForPeople: true });
  assert.match(shown.stdout, /^1 +1 +seals\n0 +0 +can be dropped\n/m);

  const dropped = await daemon.cli(["keyring", "drop", "0", "--keep-in", keepIn], {
    isForPeople: true,
  });
  assert.match(dropped.stdout, /Backups made before need it too/);
  assert.equal(readFileSync(keepIn, "latin1").trim(), former);
  assert.equal(statSync(keepIn).mode & 0o777, 0o400);
  assert.match(readFileSync(keyFile, "latin1"), /^1:\S+\n$/);
  const again = await daemon.cli(["keyring", "drop", "1", "--keep-in", keepIn]);
  assert.equal(again.error().type, "USAGE");
});

test("without a daemon the same commands do the same, and seal everything anew before they end", async (t) => {
  const dir = daemonFolder(t);
  const daemon = await startDaemon(t, { config: CONFIG, dir });
  await daemon.addUser("ada", "token-of-ada");
  await daemon.stop();
  assert.deepEqual((await daemon.cli(["keyring", "rotate"])).json(), { id: 1 });
  const { keys, left } = (await daemon.cli(["keyring", "status"])).json<Status>();
  assert.deepEqual(
    { keys, left },
    {
      keys: [
        { id: 1, rows: 1 },
        { id: 0, rows: 0 },
      ],
      left: 0,
    },
  );
  const keyFile = join(daemon.dataDir, "vault.key");
  const both = readFileSync(keyFile, "latin1");
  assert.deepEqual((await daemon.cli(["keyring", "drop", "0"])).json(), { id: 0 });

  // As from a backup that was made before the key was changed.
  const only = readFileSync(keyFile, "latin1");
  chmodSync(keyFile, 0o600);
  writeFileSync(keyFile, both.split("\n")[1]!.concat("\n"));
  const refused = await runCli(["serve", "--json", "--config", daemon.configPath]);
  assert.deepEqual([refused.code, refused.error().type], [78, "KEY_FILE_REFUSED"]);
  assert.match(refused.error().message, /lacks the key 1 that the database was written with/);
  writeFileSync(keyFile, only);

  const next = await startDaemon(t, { config: CONFIG, dir });
  assert.deepEqual((await next.cli(["keyring", "status"])).json<Status>().keys, [
    { id: 1, rows: 1 },
  ]);
});

test(
  "root's command leaves what a daemon of another account can open",
  { skip: process.getuid?.() !== 0 },
  async (t) => {
    const dir = daemonFolder(t);
    const account = { uid: 64_321 };
    const daemon = await startDaemon(t, { config: CONFIG, dir, account });
    await daemon.addUser("ada", "token-of-ada");
    await daemon.stop();
    assert.deepEqual((await daemon.cli(["keyring", "rotate"])).json(), { id: 1 });
    for (const name of ["vault.key", "mcp-supervisor.db"])
      assert.equal(statSync(join(daemon.dataDir, name)).uid, account.uid);
    const next = await startDaemon(t, { config: CONFIG, dir, account });
    assert.equal((await next.cli(["keyring", "status"])).json<Status>().left, 0);
  },
);

/** Runs a command as root's on a machine where that unit is installed. */
async function whereInstalled(unit: string, configPath: string, args: string[]): Promise<string> {
  const install =
    'mount -t tmpfs tmpfs /etc/systemd/system && cp "$0" /etc/systemd/system/mcp-supervisor.service && exec "$@"';
  const program = [process.execPath, "--no-warnings", PROGRAM, "--config", configPath, "--json"];
  const argv = ["--mount", "--", "sh", "-c", install, unit, ...program, ...args];
  return await new Promise((resolve) => {
    execFile("unshare", argv, (_error, stdout, stderr) => resolve(stdout === "" ? stderr : stdout));
  });
}

test(
  "under a service manager root's command changes the file that the unit names, and nobody else's does meanwhile",
  { skip: process.getuid?.() !== 0 || !existsSync("/etc/systemd/system") },
  async (t) => {
    const dir = daemonFolder(t);
    const account = { uid: 64_322 };
    const [source, credentials] = [join(dir, "etc.key"), join(dir, "credentials")];
    makeKeyFile(source);
    mkdirSync(credentials);
    const begin = async () => {
      writeFileSync(join(credentials, "vault.key"), readFileSync(source), { mode: 0o400 });
      chownSync(join(credentials, "vault.key"), account.uid, account.uid);
      const env = { CREDENTIALS_DIRECTORY: credentials };
      return await startDaemon(t, { config: CONFIG, dir, account, env });
    };
    const daemon = await begin();
    await daemon.addUser("ada", "token-of-ada");
    const unit = join(dir, "unit");
    const facts = {
      user: "nobody",
      exec: ["node", "serve", "--config", daemon.configPath],
      dataDir: daemon.dataDir,
      controlSocket: daemon.socket,
      controlGroup: null,
      keyFile: source,
      listen: { host: "127.0.0.1", port: 1 },
      notifyAccess: "main" as const,
      stopTimeoutMs: 1,
      needsHomes: false,
    };
    writeFileSync(unit, serviceUnit(facts));
    const told = async (...args: string[]) =>
      JSON.parse(await whereInstalled(unit, daemon.configPath, args)) as Status & {
        id: number;
        error: { type: string; message: string };
      };
    const inFile = () => readFileSync(source, "latin1").match(/^\d+/gm)?.map(Number);

    assert.equal((await daemon.cli(["keyring", "rotate"])).error().type, "KEY_FILE_REFUSED");
    assert.equal((await told("keyring", "rotate")).id, 1);
    assert.deepEqual(inFile(), [1, 0]);
    const lock = lockKeyring(daemon.dataDir);
    assert.match((await told("keyring", "rotate")).error.message, /another command is changing/);
    assert.deepEqual(inFile(), [1, 0]);
    lock.release();
    // As by one that was killed before it reached the daemon.
    addToKeyFile(source);
    assert.equal((await told("keyring", "rotate")).id, 2);
    assert.deepEqual(inFile(), [2, 1, 0]);
    const status = async () => await told("keyring", "status");
    await until(async () => (await status()).left === 0, "every row is sealed anew");
    // As by one that was killed once the daemon had forgotten the key.
    const path = "/api/keyring/keys/0";
    const req = request({ socketPath: daemon.socket, method: "DELETE", path, agent: false });
    const [res] = (await once(req.end(), "response")) as [IncomingMessage];
    assert.equal(res.resume().statusCode, 200);
    assert.deepEqual(inFile(), [2, 1, 0]);
    await told("keyring", "drop", "0");
    assert.deepEqual(inFile(), [2, 1]);
    await daemon.stop();
    const next = await begin();
    assert.deepEqual((await next.cli(["keyring", "status"])).json<Status>().keys, [
      { id: 2, rows: 1 },
      { id: 1, rows: 0 },
    ]);
    assert.equal(statSync(source).uid, 0);
  },
);

test(
  "where there is no room for a new key or for what it would seal, the key file stays as it was",
  { skip: process.getuid?.() !== 0 },
  async (t) => {
    const daemon = await startDaemon(t, { config: CONFIG });
    await daemon.addUser("ada", "token-of-ada");
    await daemon.stop();
    const { dir, dataDir, configPath } = daemon;
    const keyFile = join(dir, "keys", "vault.key");
    const parsed = JSON.parse(readFileSync(configPath, "utf8")) as object;
    const config = join(dir, "apart.json");
    writeFileSync(config, JSON.stringify({ ...parsed, keyFile }));
    const content = join(dir, "kept");
    mkdirSync(content);
    renameSync(join(dataDir, "vault.key"), join(content, "vault.key"));
    const small = { place: join(dir, "keys"), size: "8k", content };
    const full = onSmallDisk(small, config, "keyring", "rotate");
    assert.match(full.said, /DISK_FULL.*vault\.key: cannot be written: the disk is full/);
    assert.deepEqual([full.code, full.files], [1, ["vault.key"]]);

    renameSync(join(content, "vault.key"), keyFile);
    const text = readFileSync(keyFile, "latin1");
    renameSync(dataDir, join(dir, "data-kept"));
    const crowded = { place: dataDir, size: "160k", content: join(dir, "data-kept") };
    const refused = onSmallDisk(crowded, config, "keyring", "rotate");
    assert.match(refused.said, /DISK_FULL/);
    assert.equal(readFileSync(keyFile, "latin1"), text);
  },
);

test("where no database is, none is made", async (t) => {
  const dir = daemonFolder(t);
  const config = join(dir, "supervisor.config.json");
  writeFileSync(config, JSON.stringify({ dataDir: "./data", ...CONFIG }));
  const asked = await runCli(["--config", config, "--json", "keyring", "status"]);
  assert.equal(asked.error().type, "NOT_FOUND");
  assert.equal(existsSync(join(dir, "data")), false);
});
