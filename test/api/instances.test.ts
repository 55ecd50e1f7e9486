import assert from "node:assert/strict";
import { connect } from "node:net";
import { request } from "node:http";
import type { IncomingMessage } from "node:http";
import { test } from "node:test";
import type { TestContext } from "node:test";
import type { LogRow, StatusRow } from "../../src/api/types.ts";
import { until } from "../helpers/until.ts";
import { openRig } from "./rig.ts";
import type { Rig } from "./rig.ts";

async function openWithAlice(t: TestContext): Promise<Rig> {
  const rig = await openRig(t);
  await rig.ask("POST", "/api/users", { body: { user: "alice", token: "first" } });
  return rig;
}

const rowsOf = (answered: { body: Record<string, unknown> }): StatusRow[] =>
  answered.body["instances"] as StatusRow[];

test("start waits until the instance is ready and answers its row", async (t) => {
  const { ask } = await openWithAlice(t);
  const started = await ask("POST", "/api/users/alice/start");
  assert.equal(started.status, 200, started.text);
  const [row] = rowsOf(started);
  assert.deepEqual(Object.keys(row ?? {}).toSorted(), [
    "failing",
    "failures",
    "generation",
    "idleSeconds",
    "inFlight",
    "isolation",
    "pid",
    "place",
    "port",
    "reason",
    "restarts",
    "retryAt",
    "rssBytes",
    "server",
    "sessions",
    "since",
    "state",
    "user",
    "variant",
  ]);
  assert.deepEqual([row?.server, row?.state, row?.generation], ["echo", "ready", 1]);
  const again = rowsOf(await ask("POST", "/api/users/alice/start"));
  assert.equal(again[0]?.pid, row?.pid, "a start of what runs changes nothing");
  const status = await ask("GET", "/api/status");
  assert.deepEqual(Object.keys(status.body), [
    "version",
    "pid",
    "uptimeSeconds",
    "isolation",
    "queue",
    "users",
    "memory",
    "instances",
  ]);
  assert.deepEqual(status.body["queue"], { starting: 0, waiting: 0 });
  assert.deepEqual([status.body["version"], status.body["pid"]], ["1.2.3", process.pid]);
});

test("stop ends what runs, restart makes a new generation, each for one server or for all", async (t) => {
  const { ask } = await openWithAlice(t);
  await ask("POST", "/api/users/alice/start");
  await ask("POST", "/api/users/alice/start?server=other");
  const restarted = rowsOf(await ask("POST", "/api/users/alice/restart"));
  assert.deepEqual(
    restarted.map(({ server, state, generation }) => [server, state, generation]),
    [
      ["echo", "ready", 2],
      ["other", "ready", 2],
    ],
  );
  const stopped = rowsOf(await ask("POST", "/api/users/alice/stop?server=other"));
  assert.deepEqual(
    stopped.map(({ server, state, pid }) => [server, state, pid]),
    [["other", "stopped", null]],
  );
  assert.equal(rowsOf(await ask("POST", "/api/users/alice/stop")).length, 1);
  assert.equal(rowsOf(await ask("POST", "/api/users/alice/stop")).length, 0);
  const fresh = rowsOf(await ask("POST", "/api/users/alice/restart"));
  assert.deepEqual(
    fresh.map(({ server, state }) => [server, state]),
    [["echo", "ready"]],
    "with nothing running, restart starts the default server",
  );
});

test("a start that fails tells the admin why, with the child's last lines", async (t) => {
  const { ask } = await openWithAlice(t);
  const failed = await ask("POST", "/api/users/alice/start?server=broken");
  assert.deepEqual([failed.status, failed.error.type], [502, "INSTANCE_EXITED"]);
  assert.match(failed.error.message, /^alice\/broken: the child exited with code 3/);
  assert.deepEqual(failed.error.details, ["cannot start: the mailbox is missing"]);
  const kept = (await ask("GET", "/api/users/alice/logs")).body["logs"] as LogRow[];
  assert.deepEqual(
    kept.map(({ server, stream, text }) => [server, stream, text]),
    [["broken", "stderr", "cannot start: the mailbox is missing"]],
  );
});

test("a graceful restart is answered when another generation serves, and audited as what it was", async (t) => {
  const { ask } = await openWithAlice(t);
  await ask("POST", "/api/users/alice/start");
  const graceful = await ask("POST", "/api/users/alice/restart", { body: { graceful: true } });
  const [serving, ...others] = rowsOf(graceful);
  assert.deepEqual([serving?.state, serving?.generation], ["ready", 2]);
  // It may take the old one a moment to end.
  for (const { state, generation } of others)
    assert.deepEqual([state, generation], ["draining", 1]);
  for (const body of [{ graceful: "yes" }, { gracefully: true }]) {
    const refused = await ask("POST", "/api/users/alice/restart", { body });
    assert.deepEqual([refused.status, refused.error.type], [400, "REQUEST_INVALID"]);
  }
  const { entries } = (await ask("GET", "/api/audit")).body as { entries: { what: string }[] };
  assert.deepEqual(
    entries.map(({ what }) => what).filter((what) => what.startsWith("restart")),
    ["restart --graceful", "restart", "restart"],
  );
});

test("a new token replaces the instances it concerns, and those only", async (t) => {
  const { ask } = await openWithAlice(t);
  await ask("POST", "/api/users", { body: { user: "bob" } });
  for (const path of ["alice/start", "alice/start?server=other", "bob/start"])
    await ask("POST", `/api/users/${path}`);
  const states = async (): Promise<string> =>
    rowsOf(await ask("GET", "/api/status"))
      .map(({ user, server, generation, state }) => `${user}/${server} ${generation}:${state}`)
      .join(" ");
  await ask("PUT", "/api/users/alice/token?server=other", { body: { token: "second" } });
  await until(
    async () => (await states()) === "alice/echo 1:ready alice/other 2:ready bob/echo 1:ready",
    "only alice's other is replaced",
  );
  await ask("PUT", "/api/users/alice/token", { body: { token: "third" } });
  await until(
    async () => (await states()) === "alice/echo 2:ready alice/other 3:ready bob/echo 1:ready",
    "the general token replaces both",
  );
  await ask("DELETE", "/api/users/alice/token?server=other");
  await until(
    async () => (await states()) === "alice/echo 2:ready alice/other 3:stopped bob/echo 1:ready",
    "a token that is taken away ends what has it",
  );
});

async function follow(rig: Rig, path: string): Promise<IncomingMessage> {
  return await new Promise((resolve, reject) => {
    request({ socketPath: rig.socket, path, agent: false })
      .on("response", resolve)
      .on("error", reject)
      .end();
  });
}

test("followed logs begin with what is kept, go on as lines come, and end with the daemon", async (t) => {
  const rig = await openWithAlice(t);
  await rig.ask("POST", "/api/users/alice/start");
  const stream = await follow(rig, "/api/users/alice/logs?follow=1");
  assert.equal(stream.headers["content-type"], "application/x-ndjson");
  let text = "";
  stream.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
  const rows = (): LogRow[] =>
    text
      .split("\n")
      .slice(0, -1)
      .map((line) => JSON.parse(line) as LogRow);
  await until(() => rows().length === 1, "the kept line came");
  await rig.ask("POST", "/api/users/alice/restart");
  await until(() => rows().length === 2, "the new generation's line came");
  const [first] = rows();
  assert.deepEqual(Object.keys(first ?? {}), [
    "user",
    "server",
    "variant",
    "generation",
    "at",
    "stream",
    "text",
  ]);
  await rig.ask("POST", "/api/users", { body: { user: "bob" } });
  await rig.ask("POST", "/api/users/bob/start");
  await rig.ask("POST", "/api/users/alice/start?server=other");
  await until(() => rows().length === 3, "the other server's line came");
  assert.ok(rows().every(({ user }) => user === "alice"));
  let isWhole = false;
  stream.once("end", () => (isWhole = true));
  await rig.daemon.close();
  await until(() => isWhole, "the answer is ended, not cut off");
});

test("a reader of a flood that does not read is cut off", async (t) => {
  const rig = await openWithAlice(t);
  await rig.ask("POST", "/api/users/alice/start?server=flood");
  const socket = connect({ path: rig.socket });
  socket.write("GET /api/users/alice/logs?follow=1 HTTP/1.1\r\nHost: x\r\n\r\n");
  let isGone = false;
  socket.on("close", () => (isGone = true)).on("error", () => (isGone = true));
  socket.pause();
  await until(() => /ended a stream of logs/.test(rig.logged()), "the daemon cuts it off", 20_000);
  socket.resume();
  await until(() => isGone, "the reader sees it");
});
