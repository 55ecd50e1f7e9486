import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { daemonFolder, startDaemon } from "../helpers/daemon.ts";
import { bearer, json, rpc } from "../helpers/fixtures.ts";
import { ask } from "../helpers/raw-http.ts";

const PROGRAM = fileURLToPath(new URL("../fixtures/servers/refuses-versions.ts", import.meta.url));

/** A daemon with one server for each name, which is started with these arguments. */
async function rig(t: TestContext, recipes: Record<string, string[]>) {
  const dir = daemonFolder(t);
  const recordOf = (name: string) => join(dir, `${name}.txt`);
  const servers = Object.fromEntries(
    Object.entries(recipes).map(([name, args]) => [
      name,
      {
        command: process.execPath,
        args: ["--no-warnings", PROGRAM, "--record", recordOf(name), ...args],
      },
    ]),
  );
  const config = { servers, defaultServer: Object.keys(recipes)[0] };
  let daemon = await startDaemon(t, { dir, config });
  const { key } = await daemon.addUser("alice");
  return {
    /** The answer to an `initialize` of a client that wants this version. */
    hello: async (name: string, protocolVersion: string) => {
      const params = { protocolVersion, capabilities: {}, clientInfo: { name: "t", version: "1" } };
      const { status, body } = await ask(daemon.port, {
        method: "POST",
        path: `/u/alice/${name}/mcp`,
        headers: [...bearer(key.secret), ...json],
        body: rpc(1, "initialize", params),
      });
      return { status, body };
    },
    /** Which versions it was asked for, and by how many processes of it. */
    asked: (name: string) => {
      const text = existsSync(recordOf(name)) ? readFileSync(recordOf(name), "utf8") : "";
      const lines = text.split("\n").filter((line) => line !== "");
      const pids = new Set(lines.map((line) => line.split(" ")[0]));
      return { versions: lines.map((line) => line.split(" ")[1]), processes: pids.size };
    },
    restart: async () => {
      await daemon.stop();
      daemon = await startDaemon(t, { dir, config });
    },
  };
}

test("a stdio server that refuses a version with an error is offered older ones on the same process: those it names, else the client's own, then from the newest on", async (t) => {
  const { hello, asked } = await rig(t, {
    names: ["--speaks", "2024-11-05", "--says"],
    knows: ["--speaks", "2025-03-26"],
    old: ["--speaks", "2024-11-05"],
  });
  const cases = [
    ["names", "2025-06-18", "2024-11-05", ["2025-11-25", "2024-11-05"]],
    ["knows", "2025-03-26", "2025-03-26", ["2025-11-25", "2025-03-26"]],
    ["old", "2025-03-26", "2024-11-05", ["2025-11-25", "2025-03-26", "2025-06-18", "2024-11-05"]],
  ] as const;
  for (const [name, wanted, agreed, offered] of cases) {
    const { status, body } = await hello(name, wanted);
    assert.equal(status, 200, body);
    assert.ok(body.includes(`"protocolVersion":"${agreed}"`), body);
    assert.deepEqual(asked(name), { versions: offered, processes: 1 });
  }
});

test("one that ends at its refusal is offered the next version by a new process, and what it took is remembered over a restart of the daemon", async (t) => {
  const { hello, asked, restart } = await rig(t, { ends: ["--speaks", "2025-03-26", "--ends"] });
  const { status, body } = await hello("ends", "2024-10-07");
  assert.equal(status, 200, body);
  const offered = ["2025-11-25", "2024-10-07", "2025-06-18", "2025-03-26"];
  assert.deepEqual(asked("ends"), { versions: offered, processes: 4 });
  await restart();
  assert.equal((await hello("ends", "2024-10-07")).status, 200);
  assert.deepEqual(asked("ends").versions, [...offered, "2025-03-26"]);
});

test("where no version is taken the first refusal is told, whether the process stays or ends", async (t) => {
  const { hello, asked } = await rig(t, { stays: [], ends: ["--ends"] });
  for (const name of ["stays", "ends"]) {
    const { status, body } = await hello(name, "2025-06-18");
    assert.equal(status, 502, body);
    assert.match(body, /the child refused to initialize: no 2025-11-25 here \(-32602\)/);
    assert.equal(asked(name).versions.length, 5);
  }
});
