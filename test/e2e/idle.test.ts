import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { META } from "../../src/mcp/modern.ts";
import { startForAlice } from "../helpers/alice.ts";
import type { Alice } from "../helpers/alice.ts";
import { echoServer } from "../helpers/echo.ts";
import { EVERYTHING } from "../helpers/everything.ts";
import { call, fixture, json, rpc } from "../helpers/fixtures.ts";
import { EventStream } from "../helpers/raw-http.ts";
import { instancesOf } from "../helpers/status.ts";
import { until } from "../helpers/until.ts";

const ERAS = fileURLToPath(new URL("../fixtures/servers/stdio-era.ts", import.meta.url));
const VERSION = "2026-07-28";
const meta = { [META.protocolVersion]: VERSION, [META.clientCapabilities]: {} };

/** A body and headers of 2026-07-28. */
function modern(method: string, params: object = {}, version = VERSION): [string, string[]] {
  const _meta = { ...meta, [META.protocolVersion]: version };
  const body = rpc(7, method, { ...params, _meta });
  return [body, ["mcp-protocol-version", version, "mcp-method", method]];
}

const notification = (method: string, params: object = {}) =>
  JSON.stringify({ jsonrpc: "2.0", method, params });

const servers = {
  web: { ...fixture("http", "echo-sse"), idleTimeout: "1s" },
  era: {
    // A list is to wake it.
    manifest: false,
    command: process.execPath,
    args: ["--no-warnings", ERAS, "--era", "modern"],
    idleTimeout: "1s",
  },
  every: { command: process.execPath, args: [EVERYTHING, "stdio"], idleTimeout: "1s" },
  // What it takes for another child to be idle tells that the time is over.
  clock: { ...fixture("http", "echo-sse"), idleTimeout: "2s" },
};

const stateOf = async ({ daemon }: Alice, server: string) =>
  (await instancesOf(daemon)).find((row) => row.server === server)?.state;

type Send = (alice: Alice, session: string[]) => Promise<unknown>;
const toWeb =
  (body: string, isOfSession = true): Send =>
  ({ post }, session) =>
    post("/u/alice/web/mcp", body, isOfSession ? session : []);
const toEra =
  ([body, headers]: [string, string[]]): Send =>
  ({ post }) =>
    post("/u/alice/era/mcp", body, headers);

const NO_USE: [string, "web" | "era", Send][] = [
  ["a ping", "web", toWeb(rpc(1, "ping"))],
  ["a ping without a session", "web", toWeb(rpc(1, "ping"), false)],
  ["a notification", "web", toWeb(notification("notifications/roots/list_changed"))],
  ["a notification without a session", "web", toWeb(notification("notifications/x"), false)],
  ["a request that is refused", "web", toWeb(call(1, "echo"), false)],
  [
    "a notification of 2026-07-28",
    "era",
    toEra([notification("notifications/x", { _meta: meta }), ["mcp-protocol-version", VERSION]]),
  ],
  ["a version that the child does not speak", "era", toEra(modern("tools/list", {}, "2031-01-01"))],
  [
    "headers that do not fit",
    "era",
    toEra([modern("tools/list")[0], ["mcp-protocol-version", VERSION]]),
  ],
];

test("what is no use of a child does not keep it", async (t) => {
  const alice = await startForAlice(t, servers);
  for (const [what, server, send] of NO_USE) {
    const session = server === "web" ? await alice.http("web") : [];
    if (server === "era") await toEra(modern("tools/list"))(alice, []);
    assert.equal(await stateOf(alice, server), "ready", what);
    await until(async () => {
      if ((await stateOf(alice, server)) !== "ready") return true;
      await send(alice, session);
      return false;
    }, `the child is stopped in spite of ${what}`);
  }
});

const OPEN: [string, "web" | "era" | "every", (alice: Alice) => Promise<() => void>][] = [
  [
    "a call under way",
    "web",
    async ({ daemon, auth, http }) => {
      const headers = [...auth, ...json, ...(await http("web"))];
      const body = call(1, "sleep", { ms: 60_000 });
      const where = { method: "POST", path: "/u/alice/web/mcp", headers, body };
      const stream = await EventStream.open(daemon.port, where);
      return () => stream.close();
    },
  ],
  [
    "a subscription",
    "every",
    async ({ post, http }) => {
      const session = await http("every");
      const send = (method: string) => {
        const body = rpc(1, method, { uri: "demo://resource/dynamic/text/1" });
        return post("/u/alice/every/mcp", body, session);
      };
      const { status, body } = await send("resources/subscribe");
      assert.equal(status, 200);
      assert.doesNotMatch(body, /"error"/);
      return () => void send("resources/unsubscribe");
    },
  ],
  [
    "subscriptions/listen",
    "era",
    async ({ daemon, auth }) => {
      const [body, headers] = modern("subscriptions/listen");
      const all = [...auth, ...json, ...headers];
      const where = { method: "POST", path: "/u/alice/era/mcp", headers: all, body };
      const stream = await EventStream.open(daemon.port, where);
      await until(() => stream.text.includes("acknowledged"), "the child listens");
      return () => stream.close();
    },
  ],
];

test("what needs a child keeps it for as long as it lasts", async (t) => {
  const alice = await startForAlice(t, servers, { resumeWindow: "200ms" });
  for (const [what, server, open] of OPEN) {
    const close = await open(alice);
    await alice.http("clock");
    await until(async () => (await stateOf(alice, "clock")) === "stopped", "the time is over");
    assert.equal(await stateOf(alice, server), "ready", what);
    close();
    await until(async () => (await stateOf(alice, server)) === "stopped", `${what} is over`);
  }
});

test("an SSE session whose client is silent for sessionTtl ends, one that waits for a call stays", async (t) => {
  const alice = await startForAlice(t, { one: echoServer("sse") }, { sessionTtl: "1s" });
  const busy = await alice.sse("one");
  await alice.post(busy.endpoint, call("slow", "sleep", { ms: 60_000 }));
  const silent = await alice.sse("one");
  await until(() => silent.stream.isEnded, "the silent one has ended");
  assert.equal(busy.stream.isEnded, false);
  assert.equal((await alice.post(silent.endpoint, call(1, "echo"))).status, 404);
  const params = { requestId: "slow" };
  const cancel = JSON.stringify({ jsonrpc: "2.0", method: "notifications/cancelled", params });
  assert.equal((await alice.post(busy.endpoint, cancel)).status, 202);
  await until(() => busy.stream.isEnded, "the other one ends when its call is over");
});
