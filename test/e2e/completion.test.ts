import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { symlinkSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { text as textOf } from "node:stream/consumers";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { runCli, startDaemon } from "../helpers/daemon.ts";
import type { TestDaemon } from "../helpers/daemon.ts";
import { fixture } from "../helpers/fixtures.ts";
import { PROGRAM } from "../helpers/program.ts";
import { temporaryFolder } from "../helpers/store.ts";

const CONFIG = {
  servers: { echo: fixture("sse", "echo-sse"), gmail: fixture("http", "echo-sse") },
  defaultServer: "echo",
};

async function startWithUsers(t: TestContext): Promise<{ daemon: TestDaemon; keyOfBob: string }> {
  const daemon = await startDaemon(t, { config: CONFIG });
  await daemon.addUser("alice");
  await daemon.addUser("alan");
  const { key } = await daemon.addUser("bob");
  return { daemon, keyOfBob: key.id };
}

test("each place of a command line has the words that may stand there", async (t) => {
  const { daemon, keyOfBob } = await startWithUsers(t);
  const complete = async (...words: string[]): Promise<string[]> => {
    const env = { MCP_SUPERVISOR_CONFIG: daemon.configPath };
    const { stdout, code, stderr } = await runCli(["completion", "bash", "--", ...words], { env });
    assert.deepEqual([code, stderr], [0, ""], words.join(" "));
    return stdout.split("\n").slice(0, -1);
  };
  assert.deepEqual(await complete("st"), ["status", "start", "stop"]);
  assert.deepEqual(await complete("user", "re"), ["remove"]);
  assert.deepEqual(await complete("user", "show", ""), ["alan", "alice", "bob"]);
  assert.deepEqual(await complete("token", "set", "al"), ["alan", "alice"]);
  assert.deepEqual(await complete("token", "set", "alice", "--server", "g"), ["gmail"]);
  assert.deepEqual(await complete("--json", "status", "--server", ""), ["echo", "gmail"]);
  assert.deepEqual(await complete("status", "--sort", ""), ["memory", "idle", "calls"]);
  assert.deepEqual(await complete("status", "--fa"), ["--failing"]);
  assert.deepEqual(await complete("audit", "--user", "bo"), ["bob"]);
  assert.deepEqual(await complete("key", "revoke", keyOfBob.slice(0, -1)), [keyOfBob]);
  assert.deepEqual(await complete("completion", "z"), ["zsh"]);
  assert.deepEqual(await complete("package", "uninstall", "e"), ["echo"]);
  assert.deepEqual(await complete("backup", "x"), [":files"]);
  assert.deepEqual(await complete("user", "add", "a"), [], "a new name is nobody's yet");
  assert.deepEqual(await complete("user", "show", "alice", ""), [], "it takes one");
  await daemon.stop();
  assert.deepEqual(await complete("user", "show", ""), [], "nobody answers");
  assert.deepEqual(await complete("token", "set", "alice", "--server", ""), ["echo", "gmail"]);
});

/** Has the shell complete `mcp-supervisor user show al` by the script that the program prints for it. */
const SHELLS: Record<string, string> = {
  bash: `source <(mcp-supervisor completion bash)
    COMP_WORDS=(mcp-supervisor user show al) COMP_CWORD=3
    _mcp_supervisor
    printf '%s\\n' "\${COMPREPLY[@]}"`,
  zsh: `compdef() { :; }
    compadd() { shift; print -l -- "$@"; }
    source <(mcp-supervisor completion zsh)
    words=(mcp-supervisor user show al) CURRENT=4
    _mcp_supervisor`,
  fish: `mcp-supervisor completion fish | source
    complete -C 'mcp-supervisor user show al'`,
};

for (const [shell, script] of Object.entries(SHELLS))
  test(`${shell} completes users`, async (t) => {
    if (spawnSync(shell, ["--version"]).error !== undefined)
      return t.skip(`${shell} is not on this machine`);
    const { daemon } = await startWithUsers(t);
    const folder = temporaryFolder(t);
    symlinkSync(PROGRAM, join(folder, "mcp-supervisor"));
    const PATH = [folder, dirname(process.execPath), process.env["PATH"]].join(delimiter);
    const env = { ...process.env, PATH, HOME: folder, MCP_SUPERVISOR_CONFIG: daemon.configPath };
    const child = spawn(shell, ["-c", script], { env, stdio: ["ignore", "pipe", "pipe"] });
    const [out, said] = await Promise.all([textOf(child.stdout), textOf(child.stderr)]);
    assert.deepEqual(out.trimEnd().split("\n"), ["alan", "alice"], said);
  });
