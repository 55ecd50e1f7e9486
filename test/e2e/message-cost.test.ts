import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { startForAlice } from "../helpers/alice.ts";
import type { Alice } from "../helpers/alice.ts";
import type { Counts } from "../helpers/count-work.ts";
import { echoServer } from "../helpers/echo.ts";
import { call } from "../helpers/fixtures.ts";
import { until } from "../helpers/until.ts";

const COUNTER = new URL("../helpers/count-work.ts", import.meta.url).href;
const ECHO_STDIO = fileURLToPath(new URL("../../bench/echo-stdio.mjs", import.meta.url));
const CALLS = 40;
/** Beside its calls the daemon beats, sweeps and looks; how often that falls into so many calls depends on the machine. */
const BESIDE = CALLS / 2;

const SERVERS = {
  "by-sse": echoServer("sse"),
  "by-http": echoServer("http"),
  "by-stdio": { command: process.execPath, args: [ECHO_STDIO] },
};

/** A daemon that counts; `take` tells what it has done since the last time. */
async function rig(t: TestContext): Promise<{ alice: Alice; take: () => Promise<Counts> }> {
  const folder = mkdtempSync(join(tmpdir(), "mcps-counts-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, "counts.json");
  const alice = await startForAlice(
    t,
    SERVERS,
    { log: { level: "error" } },
    { env: { NODE_OPTIONS: `--import ${COUNTER}`, COUNTS_FILE: file } },
  );
  let last: Counts = { turn: 0, toClients: 0, toServers: 0, toStdin: 0, timers: 0 };
  const take = async (): Promise<Counts> => {
    process.kill(alice.daemon.pid, "SIGUSR2");
    const now = await until(() => {
      if (!existsSync(file)) return undefined;
      const counts = JSON.parse(readFileSync(file, "utf8")) as Counts;
      return counts.turn > last.turn ? counts : undefined;
    }, "the daemon has told its counts");
    const since = { ...now };
    for (const key of ["toClients", "toServers", "toStdin", "timers"] as const)
      since[key] -= last[key];
    last = now;
    return since;
  };
  return { alice, take };
}

const WAYS = [
  { front: "sse", server: "by-sse", cost: { toClients: 2, toServers: 1, toStdin: 0 } },
  { front: "http", server: "by-http", cost: { toClients: 1, toServers: 1, toStdin: 0 } },
  { front: "sse", server: "by-stdio", cost: { toClients: 2, toServers: 0, toStdin: 1 } },
  { front: "http", server: "by-stdio", cost: { toClients: 1, toServers: 0, toStdin: 1 } },
] as const;

test("a call costs one write for every message that has to move, and no timer", async (t) => {
  const { alice, take } = await rig(t);
  for (const { front, server, cost } of WAYS) {
    const one = await caller(alice, front, server);
    for (let id = 1; id <= 5; id++) await one(id);
    await take();
    for (let id = 6; id < 6 + CALLS; id++) await one(id);
    const { timers, ...writes } = await take();
    for (const where of ["toClients", "toServers", "toStdin"] as const) {
      const more = writes[where] - cost[where] * CALLS;
      assert.ok(more >= 0 && more < BESIDE, `${front} over ${server}: ${writes[where]} ${where}`);
    }
    assert.ok(timers < BESIDE, `${front} over ${server}: ${timers} timers`);
  }
});

test("messages that come at once reach a stdio child in one write", async (t) => {
  const { alice, take } = await rig(t);
  const session = await alice.http("by-stdio");
  await take();
  const headers = [...alice.auth, ...session, "content-type", "application/json"];
  let head = "POST /u/alice/by-stdio/mcp HTTP/1.1\r\nhost: 127.0.0.1\r\n";
  for (let i = 0; i < headers.length; i += 2) head += `${headers[i]}: ${headers[i + 1]}\r\n`;
  const request = (id: number): string => {
    const body = call(id, "echo", { message: `<${id}>` });
    return `${head}accept: application/json, text/event-stream\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
  };
  // Pipelined (RFC 9112, 9.3.2), so that the daemon reads all of them at once.
  const socket = connect(alice.daemon.port, "127.0.0.1", () =>
    socket.write(Array.from({ length: 8 }, (_, i) => request(i + 1)).join("")),
  );
  t.after(() => socket.destroy());
  let answers = "";
  socket.on("data", (chunk: Buffer) => (answers += chunk.toString()));
  await until(() => answers.includes("<8>"), "the last one is answered");
  assert.match(answers, /<1>[^]*<2>[^]*<3>[^]*<4>[^]*<5>[^]*<6>[^]*<7>[^]*<8>/);
  assert.equal((await take()).toStdin, 1);
});

/** Makes one call of a session and waits for its answer. */
async function caller(
  { sse, http, post }: Alice,
  front: "sse" | "http",
  server: string,
): Promise<(id: number) => Promise<void>> {
  if (front === "sse") {
    const { stream, endpoint } = await sse(server);
    return async (id) => {
      assert.equal((await post(endpoint, call(id, "echo", { message: "m" }))).status, 202);
      await until(() => stream.messages().some((message) => message.id === id), "it is answered");
    };
  }
  const session = await http(server);
  return async (id) => {
    const answer = await post(
      `/u/alice/${server}/mcp`,
      call(id, "echo", { message: "m" }),
      session,
    );
    assert.equal(answer.status, 200);
  };
}
