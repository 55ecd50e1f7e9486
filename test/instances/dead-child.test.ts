import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { ownMessage } from "../../src/mcp/client-body.ts";
import { isAlive } from "../helpers/leaks.ts";
import { openSupervisor, ref } from "../helpers/supervisor.ts";
import { until } from "../helpers/until.ts";

/** A stdio server that closes its output when it is told so by a signal, and its input at another. */
const SERVER = `
  const { closeSync, writeSync } = require("node:fs");
  const result = { protocolVersion: "2025-06-18", capabilities: {}, serverInfo: { name: "s", version: "1" } };
  require("node:readline").createInterface({ input: process.stdin }).on("line", (line) => {
    const { id, method } = JSON.parse(line);
    if (method === "initialize") writeSync(1, JSON.stringify({ jsonrpc: "2.0", id, result }) + "\\n");
  });
  process.on("SIGUSR2", () => closeSync(1));
  process.on("SIGHUP", () => { process.stdin.destroy(); closeSync(0); });
  setInterval(() => {}, 60000);
`;
const SERVERS = { talk: { command: process.execPath, args: ["-e", SERVER] } };

async function start(t: TestContext) {
  const { supervisor } = openSupervisor(t, SERVERS);
  const instance = supervisor.instance(ref("alice", "talk"));
  return { supervisor, instance, live: await instance.ensure() };
}

test("a child that was killed is handed out to nobody once its pipe has broken", async (t) => {
  const { instance, live } = await start(t);
  process.kill(live.pid!, "SIGKILL");
  await until(() => instance.live === undefined, "its end was noticed");
  const next = await instance.ensure();
  assert.equal(next.generation, 2);
  assert.equal((await live.exited).reason, "was killed by SIGKILL");
});

test("a child that has closed its output gets no call more, and is ended", async (t) => {
  const { instance, live } = await start(t);
  process.kill(live.pid!, "SIGUSR2");
  await until(() => instance.live === undefined, "the end of its output was noticed");
  const next = await instance.ensure();
  assert.equal(next.generation, 2);
  assert.equal((await live.exited).reason, "closed its output");
  assert.equal(isAlive(live.pid!), false);
});

test("a child that has closed its input is replaced once a call has found that out", async (t) => {
  const { instance, live } = await start(t);
  assert.ok(live.target.transport === "stdio" && live.target.era === "legacy");
  const { shared } = live.target;
  process.kill(live.pid!, "SIGHUP");
  const call = '{"jsonrpc":"2.0","id":1,"method":"tools/list"}';
  const client = { askable: new Set<never>(), receive() {}, dropped() {} };
  shared.open(client);
  await until(() => {
    shared.send(client, ownMessage(call, "1", "tools/list")).catch(() => {});
    return instance.live === undefined;
  }, "the end of its input was noticed");
  assert.equal((await instance.ensure()).generation, 2);
  assert.equal((await live.ending())?.reason, "closed its input");
});
