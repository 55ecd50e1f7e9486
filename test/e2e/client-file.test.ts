import assert from "node:assert/strict";
import { mkdirSync, chownSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { startDaemon } from "../helpers/daemon.ts";
import { fixture } from "../helpers/fixtures.ts";

const isRoot = process.getuid?.() === 0;
const UID = 61_234;
const AS_OTHER = ["setpriv", `--reuid=${UID}`, `--regid=${UID}`, "--clear-groups", "--"];

test("url writes a client's own file for the account that types it, and never as root", async (t) => {
  const daemon = await startDaemon(t, {
    config: {
      servers: { gmail: fixture("http", "echo-sse"), docs: fixture("sse", "echo-sse") },
      defaultServer: "gmail",
    },
    account: isRoot ? { uid: UID } : undefined,
  });
  const { key } = await daemon.addUser("alice");
  const home = join(daemon.dir, "home");
  mkdirSync(home);
  if (isRoot) chownSync(home, UID, UID);
  const url = async (line: string, input?: string, through = isRoot ? AS_OTHER : []) =>
    await daemon.cli(["url", "alice", ...line.split(" ")], {
      isForPeople: true,
      env: { HOME: home },
      cwd: home,
      through,
      ...(input === undefined ? {} : { input }),
    });

  const printed = await url("--client cursor --server gmail");
  assert.deepEqual(Object.keys(JSON.parse(printed.stdout) as object), ["mcpServers"]);

  const cursor = await url("--client cursor --write");
  assert.equal(cursor.code, 0, cursor.stderr);
  const file = join(home, ".cursor", "mcp.json");
  assert.match(cursor.stdout, /mcp\.json is written\.\n.*MCPS_KEY/);
  assert.match(cursor.stderr, /^\+ .*"gmail": \{$/m);
  const { mcpServers } = JSON.parse(readFileSync(file, "utf8")) as { mcpServers: object };
  assert.deepEqual(Object.keys(mcpServers), ["gmail", "docs"]);
  assert.match((await url("--client cursor --write")).stdout, /has it already/);

  const secret = await url(`--client zed --server gmail --write z.json --key-stdin`, key.secret);
  assert.equal(secret.code, 0, secret.stderr);
  assert.ok(readFileSync(join(home, "z.json"), "utf8").includes(`Bearer ${key.secret}`));
  assert.ok(!(secret.stdout + secret.stderr).includes(key.secret), "it is not shown");

  const wrong: [string, number, RegExp][] = [
    ["--client zed --write", 2, /--key-stdin/],
    ["--client n8n --write", 2, /has no file to write into/],
    ["--write", 2, /name it with --client/],
    ["--client emacs", 2, /none of the choices/],
    ["--client cursor --key-stdin", 2, /are for --write/],
  ];
  for (const [line, code, said] of wrong) {
    const refusal = await url(line, "");
    assert.deepEqual([refusal.code, refusal.stdout], [code, ""], line);
    assert.match(refusal.stderr, said, line);
  }
  assert.deepEqual(readdirSync(home).toSorted(), [".cursor", "z.json"]);
  if (!isRoot) return;
  const asRoot = await url("--client cursor --write", undefined, []);
  assert.equal(asRoot.code, 1);
  assert.match(asRoot.stderr, /root writes into nobody's files/);
});
