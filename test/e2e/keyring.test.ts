import assert from "node:assert/strict";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { daemonFolder, runCli, startDaemon } from "../helpers/daemon.ts";
import { fixture } from "../helpers/fixtures.ts";
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
  assert.deepEqual((await daemon.cli(["keyring", "drop", "0"])).json(), { id: 0 });
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

test("where no database is, none is made", async (t) => {
  const dir = daemonFolder(t);
  const config = join(dir, "supervisor.config.json");
  writeFileSync(config, JSON.stringify({ dataDir: "./data", ...CONFIG }));
  const asked = await runCli(["--config", config, "--json", "keyring", "status"]);
  assert.equal(asked.error().type, "NOT_FOUND");
  assert.equal(existsSync(join(dir, "data")), false);
});
