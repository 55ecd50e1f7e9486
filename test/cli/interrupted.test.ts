import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, readdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { delimiter, join } from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { PROGRAM } from "../helpers/program.ts";
import { temporaryFolder } from "../helpers/store.ts";
import { until } from "../helpers/until.ts";

/** What each command that may take long is told a daemon by, and what it says when it is left. */
const ORDERS: Record<string, RegExp> = {
  "start alice": /the daemon goes on with it; `mcp-supervisor status alice`/,
  "restart alice": /the daemon goes on with it; `mcp-supervisor status alice`/,
  "stop alice": /the daemon goes on with it; `mcp-supervisor status alice`/,
  "stop --all": /the daemon goes on with it; `mcp-supervisor status`/,
  reload: /the daemon/,
  "user remove alice --yes": /the daemon goes on with it, and finishes it/,
};

/** A daemon that takes orders and never answers, and the config that leads to it. */
async function silentDaemon(t: TestContext): Promise<{ config: string; asked: Set<string> }> {
  const folder = temporaryFolder(t);
  const asked = new Set<string>();
  const server = createServer((request) => asked.add(`${request.method} ${request.url}`));
  const controlSocket = join(folder, "c.sock");
  await once(server.listen(controlSocket), "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const config = join(folder, "c.json");
  const servers = { one: { command: "node" } };
  writeFileSync(config, JSON.stringify({ dataDir: folder, controlSocket, servers }));
  return { config, asked };
}

function begin(args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const child = spawn(process.execPath, ["--no-warnings", PROGRAM, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...env },
  });
  const closed = once(child, "close") as Promise<[number | null]>;
  const said = Promise.all([text(child.stdout), text(child.stderr)]);
  const interrupt = async () => {
    child.kill("SIGINT");
    const [[code], [stdout, stderr]] = await Promise.all([closed, said]);
    return { code, stdout, stderr };
  };
  return { interrupt };
}

for (const [line, state] of Object.entries(ORDERS))
  test(`Ctrl-C in the middle of ${line} says how things stand, once`, async (t) => {
    const { config, asked } = await silentDaemon(t);
    const command = begin(["--config", config, ...line.split(" ")]);
    await until(() => asked.size > 0, "the daemon has the order");
    const { code, stdout, stderr } = await command.interrupt();
    assert.deepEqual([code, stdout], [130, ""]);
    assert.match(stderr, state);
    assert.equal(stderr.match(/interrupted; /g)?.length, 1, stderr);
    assert.equal(stderr.trimEnd().split("\n").length, 1, stderr);
  });

test("Ctrl-C in the middle of package install leaves no version that looks installed", async (t) => {
  const { config } = await silentDaemon(t);
  const folder = temporaryFolder(t);
  const npm = join(folder, "npm");
  // The one beside this Node comes first where there is one.
  writeFileSync(npm, `#!/bin/sh\ntouch '${folder}/begun'\nexec sleep 60\n`);
  chmodSync(npm, 0o755);
  if (existsSync(join(process.execPath, "..", "npm")))
    return t.skip("the npm beside this Node would be run in place of the test's own");
  const args = ["--config", config, "package", "install", "one", "--npm", "a@1.0.0"];
  const command = begin(args, { PATH: `${folder}${delimiter}${process.env["PATH"]}` });
  await until(() => existsSync(join(folder, "begun")), "npm runs");
  const { code, stderr } = await command.interrupt();
  assert.equal(code, 130);
  assert.match(stderr, /interrupted; what was fetched is no version yet/);
  const servers = join(config, "..", "servers", "one");
  for (const version of readdirSync(servers))
    assert.ok(!existsSync(join(servers, version, "installed.json")), version);
});
