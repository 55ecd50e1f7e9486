import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import type { IncomingMessage } from "node:http";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { startDaemon } from "../helpers/daemon.ts";
import type { TestDaemon } from "../helpers/daemon.ts";
import { bearer, call, fixture, initialize, json } from "../helpers/fixtures.ts";
import { ask } from "../helpers/raw-http.ts";
import { until } from "../helpers/until.ts";

interface Row {
  server: string;
  state: string;
  pid: number | null;
  reason: string | null;
}

const servers = () => ({
  one: fixture("http", "echo-sse"),
  two: fixture("http", "echo-sse"),
  three: fixture("sse", "echo-sse"),
});

type File = Record<string, unknown> & { servers: Record<string, Record<string, unknown>> };

function edit(daemon: TestDaemon, change: (file: File) => void): void {
  const file = JSON.parse(readFileSync(daemon.configPath, "utf8")) as File;
  change(file);
  writeFileSync(daemon.configPath, JSON.stringify(file));
}

async function rows(daemon: TestDaemon): Promise<Record<string, Row>> {
  const { instances } = (await daemon.cli(["status"])).json<{ instances: Row[] }>();
  return Object.fromEntries(instances.map((row) => [row.server, row]));
}

async function open(daemon: TestDaemon, secret: string, server: string): Promise<string> {
  const headers = [...json, ...bearer(secret)];
  const path = `/u/alice/${server}/mcp`;
  const opened = await ask(daemon.port, { method: "POST", path, headers, body: initialize() });
  assert.equal(opened.status, 200);
  return String(opened.headers["mcp-session-id"]);
}

async function reloadBySocket(
  socketPath: string,
): Promise<{ error: { type: string; details: string[] } }> {
  const headers = { "content-type": "application/json" };
  const req = request({ socketPath, method: "POST", path: "/api/reload", headers });
  req.end("{}");
  const [res] = (await once(req, "response")) as [IncomingMessage];
  return JSON.parse(await text(res)) as { error: { type: string; details: string[] } };
}

test("a reload replaces what changed and ends what vanished, and nothing else", async (t) => {
  const daemon = await startDaemon(t, { config: { defaultServer: "one", servers: servers() } });
  const { key } = await daemon.addUser("alice");
  const session = await open(daemon, key.secret, "one");
  await open(daemon, key.secret, "two");
  const stream = await fetch(`${daemon.origin}/u/alice/three/sse`, {
    headers: { authorization: `Bearer ${key.secret}` },
  });
  const ended = stream.text();
  const before = await rows(daemon);

  edit(daemon, (file) => {
    file.servers["two"]!["env"] = { GREETING: "hello" };
    delete file.servers["three"];
    file.servers["four"] = fixture("http", "echo-sse");
    file["listen"] = { host: "127.0.0.1", port: 1 };
    file["limits"] = { streamsPerUser: 1, spawnConcurrency: 7 };
  });
  const done = (await daemon.cli(["reload"])).json<Record<string, unknown>>();
  assert.deepEqual(done, {
    path: daemon.configPath,
    changed: ["two"],
    added: ["four"],
    removed: ["three"],
    needsRestart: ["listen", "publicUrl", "limits.spawnConcurrency"],
  });
  assert.match(await ended, /^: ?\n|event: endpoint/);

  const after = await until(async () => {
    const found = await rows(daemon);
    const isReplaced = found["two"]?.state === "ready" && found["two"].pid !== before["two"]?.pid;
    return isReplaced ? found : undefined;
  }, "another child serves, and the old one is gone");
  assert.equal(after["one"]?.pid, before["one"]?.pid);
  assert.equal(after["one"]?.state, "ready");
  assert.equal(after["three"], undefined);

  const post = async (server: string, body: string, id?: string) =>
    await fetch(`${daemon.origin}/u/alice/${server}/mcp`, {
      method: "POST",
      headers: {
        authorization: `Bearer ${key.secret}`,
        "content-type": "application/json",
        accept: "application/json, text/event-stream",
        ...(id === undefined ? {} : { "mcp-session-id": id }),
      },
      body,
    });
  const kept = await post("one", call(2, "echo", { text: "still" }), session);
  assert.match(await kept.text(), /still/);
  const renewed = await open(daemon, key.secret, "two");
  const env = await post("two", call(2, "env"), renewed);
  assert.match(await env.text(), /GREETING/);
  await open(daemon, key.secret, "four");
  assert.equal((await post("three", initialize())).status, 404);

  const first = await fetch(`${daemon.origin}/u/alice/one/mcp`, {
    headers: { authorization: `Bearer ${key.secret}`, "mcp-session-id": session },
  });
  const second = await fetch(`${daemon.origin}/u/alice/one/mcp`, {
    headers: { authorization: `Bearer ${key.secret}`, "mcp-session-id": session },
  });
  assert.deepEqual([first.status, second.status], [200, 200]);
  // It never carried a message, so it gives way to the newer one.
  assert.match(await first.text().catch(() => ": cut off"), /^:/);
  await second.body?.cancel();
});

test("a bad file changes nothing, and every problem of it is told", async (t) => {
  const daemon = await startDaemon(t, { config: { defaultServer: "one", servers: servers() } });
  const { key } = await daemon.addUser("alice");
  await open(daemon, key.secret, "one");
  const before = await rows(daemon);
  const good = readFileSync(daemon.configPath, "utf8");
  edit(daemon, (file) => {
    file["defaultServer"] = "ones";
    file.servers["two"]!["comand"] = "x";
    file["sessionTtl"] = "soon";
  });
  const refused = await daemon.cli(["reload"]);
  assert.equal(refused.code, 78);
  assert.equal(refused.error().type, "CONFIG_INVALID");
  assert.equal(refused.error().details?.length, 3);
  // The CLI reads the file too, to find the socket; here the daemon itself is asked.
  const answer = await reloadBySocket(daemon.socket);
  assert.equal(answer.error.type, "CONFIG_INVALID");
  assert.equal(answer.error.details.length, 3);
  writeFileSync(daemon.configPath, "{");
  assert.equal((await reloadBySocket(daemon.socket)).error.type, "CONFIG_INVALID");
  writeFileSync(daemon.configPath, good);
  assert.equal((await rows(daemon))["one"]?.pid, before["one"]?.pid);
  const said = (await daemon.cli(["reload"], { isForPeople: true })).stdout;
  assert.match(said, /^Reloaded .*supervisor\.config\.json; no server changed\.\n$/);
});

test("what is sent in headers stays out of the log, before a reload and behind it", async (t) => {
  const remote = (key: string) => ({ url: "http://127.0.0.1:9/mcp", headers: { "X-Key": key } });
  const config = { defaultServer: "one", servers: { ...servers(), remote: remote("first-key-1") } };
  const daemon = await startDaemon(t, { config });
  const say = (agent: string) =>
    ask(daemon.port, { path: "/health", headers: ["user-agent", agent] });
  await say("first-key-1 then");
  edit(daemon, (file) => (file.servers["remote"] = remote("second-key-2")));
  assert.equal((await daemon.cli(["reload"])).code, 0);
  await say("first-key-1 and second-key-2 now");
  await until(() => daemon.log().includes(" now"), "both are logged");
  assert.match(daemon.log(), /"\[secret\] then".*"\[secret\] and \[secret\] now"/s);
  assert.doesNotMatch(daemon.log(), /first-key|second-key/);
});
