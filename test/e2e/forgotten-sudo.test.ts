import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync } from "node:fs";
import { test } from "node:test";
import { startDaemon } from "../helpers/daemon.ts";
import { PROGRAM } from "../helpers/program.ts";

const isRoot = process.getuid?.() === 0;
/** Nobody's account, which owns nothing. Where the test is no root, its own account is closed out by mode. */
const AS_OTHER = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"];

function asAdminWithoutSudo(args: readonly string[], cwd: string) {
  const argv = [...(isRoot ? AS_OTHER : []), process.execPath, "--no-warnings", PROGRAM, ...args];
  const { status, stdout, stderr } = spawnSync(argv[0]!, argv.slice(1), { encoding: "utf8", cwd });
  return { status, said: stdout + stderr };
}

test("an admin who forgets sudo is told so, whatever is closed to the account", async (t) => {
  const { configPath, dataDir, dir } = await startDaemon(t, {
    config: { servers: { one: { command: "node" } } },
  });
  const open = (path: string, mode: number) => chmodSync(path, isRoot ? mode : 0o700);
  const close = (path: string) => chmodSync(path, isRoot ? 0o700 : 0);
  const ask = (line: string) => {
    const { status, said } = asAdminWithoutSudo(line.split(" "), dir);
    assert.doesNotMatch(said, /unexpected|^ +at /m, line);
    assert.match(said, /\bsudo\b/, line);
    return { status, said };
  };

  // The config, as `service install` leaves it for others; found by name and by itself.
  open(dir, 0o755);
  close(configPath);
  for (const line of [`status --config ${configPath}`, "user list", "doctor alice", "doctor"]) {
    const { status, said } = ask(line);
    assert.equal(status, 78, line);
    assert.match(said, /this account may not read \S+supervisor\.config\.json\n.*"controlGroup"/);
    assert.doesNotMatch(said, /config schema/);
  }

  // The data folder with the control socket in it, behind a config that everybody may read.
  open(configPath, 0o644);
  close(dataDir);
  for (const line of ["status", "user add bob", "reload", "logs alice"]) {
    const { status, said } = ask(line);
    assert.equal(status, 69, line);
    assert.match(said, /this account may not open \S+control\.sock\n.*"controlGroup"/);
    assert.doesNotMatch(said, /mcp-supervisor serve/);
  }
  const { status, said } = ask("doctor");
  assert.equal(status, 1);
  assert.match(said, /^warn {2}daemon: this account may not open .*\n +→ use sudo/m);
  for (const line of ["package list", "package uninstall one"]) assert.equal(ask(line).status, 1);
  open(dataDir, 0o700);
});
