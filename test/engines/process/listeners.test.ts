import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { ListenerLook, holderOf, listenersOn } from "../../../src/engines/process/listeners.ts";
import type { Listeners } from "../../../src/engines/engine.ts";
import { startProcess } from "../../../src/engines/process/start-process.ts";
import { until } from "../../helpers/until.ts";

async function listen(t: TestContext, host: string, port = 0): Promise<number> {
  const server = createServer();
  server.listen(port, host);
  await once(server, "listening");
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

const none = () => Promise.resolve([]);

test("a listener of the asked process is its own, on whatever address", async (t) => {
  for (const host of ["127.0.0.1", "0.0.0.0", "::1", "::"]) {
    const port = await listen(t, host);
    assert.deepEqual(await listenersOn(port, process.pid, none), { ours: [host], foreign: [] });
  }
});

test("an IPv4 address in IPv6 clothes is told as IPv4", async (t) => {
  const port = await listen(t, "::ffff:127.0.0.1");
  assert.deepEqual((await listenersOn(port, process.pid, none)).ours, ["127.0.0.1"]);
});

test("a port is told with its holder, and one nobody listens on has none", async (t) => {
  const port = await listen(t, "127.0.0.1");
  assert.match((await holderOf(port)) ?? "", new RegExp(`^pid ${process.pid} \\(.+\\)$`));
  assert.equal(await holderOf(1), undefined);
  assert.deepEqual(await listenersOn(1, process.pid, none), { ours: [], foreign: [] });
});

test("a listener of another tree is foreign, one of a grandchild is not", async (t) => {
  const port = await listen(t, "127.0.0.1");
  const serve = `require("node:net").createServer().listen(0, "127.0.0.1", function () { console.log(this.address().port); });`;
  const lines: string[] = [];
  const running = await startProcess(
    {
      argv: ["sh", "-c", '"$0" -e "$1"; true', process.execPath, serve],
      cwd: "/",
      env: { PATH: process.env["PATH"] ?? "" },
      stdout: "lines",
      confinement: { level: "none" },
      eofGraceMs: 0,
      stopTimeoutMs: 1000,
    },
    (_, line) => lines.push(line),
  );
  t.after(() => running.kill());
  const own = Number(await until(() => lines[0], "the grandchild listens"));
  assert.deepEqual(await running.listenersOn(own), { ours: ["127.0.0.1"], foreign: [] });
  assert.deepEqual(await running.listenersOn(port), { ours: [], foreign: ["127.0.0.1"] });
});

test("who waits for a listener has the machine looked at when the child has another socket, and now and then", async (t) => {
  let [now, asked] = [0, 0];
  let seen: Listeners = { ours: [], foreign: [] };
  const ask = (): Promise<Listeners> => {
    asked += 1;
    return Promise.resolve(seen);
  };
  const look = new ListenerLook(process.pid, ask, () => now);
  /** How often the machine is looked at for three looks. */
  const looks = async (): Promise<number> => {
    const before = asked;
    for (let i = 0; i < 3; i++) assert.deepEqual(await look.look(), seen);
    return asked - before;
  };
  assert.equal(await looks(), 1, "it begins");
  now += 50;
  assert.equal(await looks(), 0, "nothing is new");
  await listen(t, "127.0.0.1");
  assert.equal(await looks(), 3, "it has another socket");
  now += 200;
  assert.equal(await looks(), 1, "it is a while ago");
  seen = { ours: ["127.0.0.1"], foreign: [] };
  now += 200;
  assert.equal(await looks(), 3, "that it listens still is not taken from memory");
});
