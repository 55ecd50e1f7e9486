import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { daemonFolder, processesWith, runCli } from "../helpers/daemon.ts";
import { EVERYTHING } from "../helpers/everything.ts";
import { NO_TERMINAL, onTerminal } from "../helpers/terminal.ts";
import { until } from "../helpers/until.ts";

const entry = (more: object = {}): object => ({
  command: process.execPath,
  args: [EVERYTHING, "stdio"],
  ...more,
});
const NONE = ["--isolation", "none"];

test("init tries a pasted server, and writes a config that serves it, once", async (t) => {
  const dir = daemonFolder(t);
  const init = async (...args: string[]) => await runCli(["init", ...args], { cwd: dir });
  const pasted = join(dir, "mcp.json");
  const env = { DOCS_TOKEN: "token-in-the-file" };
  writeFileSync(pasted, JSON.stringify({ mcpServers: { "My Docs": entry({ env }) } }));
  const done = await init("--from", pasted, "--yes", "--json", ...NONE);
  assert.equal(done.code, 0, done.stderr);
  const { servers } = JSON.parse(done.stdout) as {
    servers: { server: string; isolation: string; tools: string[]; problem: null }[];
  };
  assert.deepEqual([servers[0]?.server, servers[0]?.isolation], ["my-docs", "none"]);
  assert.ok(servers[0]?.tools.includes("get-env"));
  const file = join(dir, "supervisor.config.json");
  const text = readFileSync(file, "utf8");
  assert.ok(!(text + done.stdout + done.stderr).includes("token-in-the-file"));
  assert.match(text, /"tokenEnv": "DOCS_TOKEN"/);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.deepEqual(readdirSync(dir).toSorted(), ["mcp.json", "supervisor.config.json"]);
  assert.equal((await runCli(["config", "check", "--json"], { cwd: dir })).code, 0);

  const again = await init("--from", pasted, "--yes");
  assert.deepEqual([again.code, again.stdout], [1, ""]);
  assert.match(again.stderr, /is there already, and is not written over/);
  assert.equal(readFileSync(file, "utf8"), text);
});

test("what does not work is not written, and nothing of the trial is left", async (t) => {
  const dir = daemonFolder(t);
  const config = join(dir, "new", "c.json");
  const init = async (input: object | undefined, ...args: string[]) =>
    await runCli(
      ["--config", config, "init", ...args],
      input === undefined ? {} : { input: JSON.stringify(input) },
    );
  const script = "console.error('no mailbox'); process.exit(4)";
  const broken = { broken: { command: process.execPath, args: ["-e", script] } };
  const refused = await init(broken, "--from", "-", "--yes", ...NONE);
  assert.deepEqual([refused.code, refused.stdout], [1, ""]);
  assert.match(refused.stderr, /broken: the child exited with code 4[^]*\n {4}no mailbox\n/);
  const wrong = await init({ odd: entry({ nope: 1 }) }, "--from", "-", "--yes", ...NONE);
  assert.deepEqual([wrong.code, /servers\.odd\.nope/.test(wrong.stderr)], [78, true]);
  assert.equal((await init(undefined, "--yes")).code, 2);
  assert.ok(!existsSync(join(dir, "new")));
});

test("on a terminal init asks for what it must know, and Ctrl-C leaves nothing", async (t) => {
  if (NO_TERMINAL !== false) return t.skip(NO_TERMINAL);
  const dir = daemonFolder(t);
  const asked = onTerminal(["--config", join(dir, "c.json"), "init", ...NONE]);
  const sees = async (text: string) =>
    await until(() => asked.shown().includes(text), `it shows ${text}`);
  await sees("Which server?");
  asked.type(`"docs": ${JSON.stringify(entry({ env: { A_KEY: "abc" } }))}\r`);
  await sees("looks like a secret of one person's");
  asked.type("\r");
  await sees("Next:");
  assert.equal(await asked.closed, 0, asked.shown());
  assert.match(readFileSync(join(dir, "c.json"), "utf8"), /"tokenEnv": "A_KEY"/);

  const sleeps = { slow: { command: "sleep", args: ["1000"] } };
  writeFileSync(join(dir, "slow.json"), JSON.stringify(sleeps));
  const flags = ["--yes", ...NONE, "--from", join(dir, "slow.json")];
  const slow = onTerminal(["--config", join(dir, "s", "c.json"), "init", ...flags]);
  await until(() => /starting it once.*/.test(slow.shown()), "it has begun");
  await until(() => processesWith(join(dir, "s")).length > 1, "the child runs");
  slow.type("\u0003");
  assert.equal(await slow.closed, 130, slow.shown());
  assert.match(slow.shown(), /interrupted; nothing was written/);
  await until(() => processesWith(join(dir, "s")).length === 0, "nothing runs");
});
