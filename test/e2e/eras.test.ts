import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import {
  Client as ClientV2,
  StreamableHTTPClientTransport as HttpV2,
} from "@modelcontextprotocol/client";
import { META } from "../../src/mcp/modern.ts";
import { daemonFolder, startDaemon } from "../helpers/daemon.ts";
import type { TestDaemon } from "../helpers/daemon.ts";
import { EVERYTHING } from "../helpers/everything.ts";
import { bearer, initialize, json } from "../helpers/fixtures.ts";
import { EventStream, ask } from "../helpers/raw-http.ts";
import { until } from "../helpers/until.ts";

const PROGRAM = fileURLToPath(new URL("../fixtures/servers/stdio-era.ts", import.meta.url));
const meta = { [META.protocolVersion]: "2026-07-28", [META.clientCapabilities]: {} };

const server = (era: string, record: string) => ({
  command: process.execPath,
  args: ["--no-warnings", PROGRAM, "--era", era, "--record", record],
});

interface Place {
  daemon: TestDaemon;
  /** What the fixture wrote down, as `[pid, what]`. */
  read: (era: string) => [string, string][];
  post: (era: string, user: string, message: object, more?: string[]) => ReturnType<typeof ask>;
  auth: Record<string, string[]>;
}

/** A daemon with stdio servers of these eras, and the users alice and bob. */
async function start(t: TestContext, ...eras: string[]): Promise<Place> {
  const dir = daemonFolder(t);
  const fileOf = (era: string) => join(dir, `${era}.txt`);
  const servers = Object.fromEntries(eras.map((era) => [era, server(era, fileOf(era))]));
  const daemon = await startDaemon(t, { dir, config: { servers, defaultServer: eras[0] } });
  const auth: Record<string, string[]> = {};
  for (const user of ["alice", "bob"])
    auth[user] = bearer((await daemon.addUser(user, `token-of-${user}`)).key.secret);
  return {
    daemon,
    auth,
    read: (era) =>
      (existsSync(fileOf(era)) ? readFileSync(fileOf(era), "utf8") : "")
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => [line.slice(0, line.indexOf(" ")), line.slice(line.indexOf(" ") + 1)]),
    post: (era, user, message, more = []) =>
      ask(daemon.port, {
        method: "POST",
        path: `/u/${user}/${era}/mcp`,
        headers: [...auth[user]!, ...json, ...more],
        body: JSON.stringify({ jsonrpc: "2.0", ...message }),
      }),
  };
}

const mirrored = (method: string, name?: string) => [
  "mcp-protocol-version",
  "2026-07-28",
  "mcp-method",
  method,
  ...(name === undefined ? [] : ["mcp-name", name]),
];
const call = (id: number, name: string, args: object = {}) => ({
  id,
  method: "tools/call",
  params: { name, arguments: args, _meta: meta },
});
const discover = { id: 1, method: "server/discover", params: { _meta: meta } };

const errorOf = (body: string) =>
  (JSON.parse(body) as { error: { code: number; data: Record<string, unknown> } }).error;
const textOf = (body: string) =>
  (JSON.parse(body) as { result: { content: { text: string }[] } }).result.content[0]!.text;

async function visit(t: TestContext, { daemon, auth }: Place, era: string) {
  const client = new ClientV2(
    { name: "v2", version: "1" },
    { versionNegotiation: { mode: "auto" } },
  );
  const [, value] = auth["alice"]!;
  const requestInit = { headers: { authorization: value! } };
  await client.connect(new HttpV2(new URL(`${daemon.origin}/u/alice/${era}/mcp`), { requestInit }));
  t.after(() => client.close());
  return client;
}

test("a modern client speaks 2026-07-28 to a modern stdio child, and every user to a child of the own", async (t) => {
  const place = await start(t, "modern");
  const answers = await Promise.all(
    ["alice", "bob"].flatMap((user) =>
      Array.from({ length: 8 }, async () => {
        const { status, body } = await place.post(
          "modern",
          user,
          call(1, "whoami"),
          mirrored("tools/call", "whoami"),
        );
        assert.equal(status, 200, body);
        assert.equal(textOf(body), `token-of-${user}`);
        return textOf(body);
      }),
    ),
  );
  assert.equal(answers.length, 16);
  const client = await visit(t, place, "modern");
  assert.equal(client.getNegotiatedProtocolVersion(), "2026-07-28");
  const { content } = (await client.callTool({ name: "echo", arguments: { text: "hi" } })) as {
    content: { text: string }[];
  };
  assert.equal(content[0]!.text, "hi");
  const { instances } = (await place.daemon.cli(["status"])).json<{
    instances: { user: string; variant: string }[];
  }>();
  assert.deepEqual(
    instances.map(({ user, variant }) => `${user} ${variant}`),
    ["alice modern", "bob modern"],
  );
});

for (const era of ["legacy", "dies"]) {
  test(`a client of both eras falls back to initialize over a stdio server that ${era === "dies" ? "dies of" : "refuses"} server/discover, and no child that serves is asked`, async (t) => {
    const place = await start(t, era);
    const client = await visit(t, place, era);
    assert.equal(client.getNegotiatedProtocolVersion(), "2025-11-25");
    await client.callTool({ name: "whoami", arguments: {} });
    const { status, body } = await place.post(era, "bob", discover, mirrored("server/discover"));
    assert.equal(status, 400);
    assert.equal(errorOf(body).code, -32_022);
    assert.ok((errorOf(body).data["supported"] as string[]).includes("2025-11-25"));
    const lines = place.read(era);
    const asked = lines.filter(([, what]) => what.startsWith("server/discover"));
    assert.equal(asked.length, 1, "asked once, for all users");
    const serving = lines.filter(([, what]) => what.startsWith("tools/call")).map(([pid]) => pid);
    assert.ok(serving.length > 0 && !serving.includes(asked[0]![0]));
  });
}

test("the era of a server is remembered over a restart of the daemon, and asked anew when its recipe changes", async (t) => {
  const place = await start(t, "legacy");
  await place.post("legacy", "alice", discover, mirrored("server/discover"));
  const before = place.read("legacy").length;
  assert.ok(before > 0);
  await place.daemon.stop();
  const { dir } = place.daemon;
  const again = async (args: string[]) => {
    const recipe = server("legacy", join(dir, "legacy.txt"));
    const servers = { legacy: { ...recipe, args: [...recipe.args, ...args] } };
    const daemon = await startDaemon(t, { dir, config: { servers, defaultServer: "legacy" } });
    const { status } = await ask(daemon.port, {
      method: "POST",
      path: "/u/alice/mcp",
      headers: [...place.auth["alice"]!, ...json, ...mirrored("server/discover")],
      body: JSON.stringify({ jsonrpc: "2.0", ...discover }),
    });
    assert.equal(status, 400);
    await daemon.stop();
  };
  await again([]);
  assert.equal(place.read("legacy").length, before);
  await again(["--era", "legacy"]);
  assert.ok(place.read("legacy").length > before);
});

test("a legacy session and modern requests have a child each, and a session id means nothing to the latter", async (t) => {
  const place = await start(t, "modern");
  const modern = ["mcp-session-id", "no-such-session"];
  const { status, headers } = await place.post("modern", "alice", call(1, "pid"), [
    ...mirrored("tools/call", "pid"),
    ...modern,
  ]);
  assert.equal(status, 200);
  assert.equal(headers["mcp-session-id"], undefined);
  const begun = await ask(place.daemon.port, {
    method: "POST",
    path: "/u/alice/mcp",
    headers: [...place.auth["alice"]!, ...json],
    body: initialize(),
  });
  assert.equal(begun.status, 502, "the fixture knows no initialize");
  const lines = place.read("modern");
  const pids = (what: string) =>
    lines.filter(([, line]) => line.startsWith(what)).map(([pid]) => pid);
  assert.deepEqual(
    pids("initialize").filter((pid) => pids("tools/call").includes(pid)),
    [],
  );
});

test("what headers and body disagree about is refused before it reaches the child", async (t) => {
  const place = await start(t, "modern");
  const refusals = [
    [call(1, "echo"), mirrored("tools/call", "other")],
    [call(1, "echo"), mirrored("tools/list", "echo")],
    [call(1, "echo"), mirrored("tools/call")],
    [call(1, "echo", { region: "eu" }), mirrored("tools/call", "echo")],
    [
      call(1, "echo", { region: "eu" }),
      [...mirrored("tools/call", "echo"), "mcp-param-region", "us"],
    ],
  ] as const;
  for (const [message, headers] of refusals) {
    const { status, body } = await place.post("modern", "alice", message, [...headers]);
    assert.deepEqual([status, errorOf(body).code], [400, -32_020], body);
    assert.ok(errorOf(body).data["requestId"]);
  }
  const unknown = { ...meta, [META.protocolVersion]: "2031-01-01" };
  const { status, body } = await place.post(
    "modern",
    "alice",
    { id: 1, method: "tools/list", params: { _meta: unknown } },
    ["mcp-protocol-version", "2031-01-01", "mcp-method", "tools/list"],
  );
  assert.deepEqual([status, errorOf(body).code], [400, -32_022]);
  assert.deepEqual(errorOf(body).data["supported"], ["2026-07-28"]);
  assert.equal(place.read("modern").filter(([, what]) => what.startsWith("tools/call")).length, 0);
  const right = [...mirrored("tools/call", "echo"), "mcp-param-region", "eu"];
  const args = { region: "eu", text: "through" };
  assert.equal(
    textOf((await place.post("modern", "alice", call(1, "echo", args), right)).body),
    "through",
  );
});

test("an unknown method is 404 with -32601, and a request of the child's own errors is 200", async (t) => {
  const place = await start(t, "modern");
  const nope = { id: 3, method: "no/such", params: { _meta: meta } };
  const unknown = await place.post("modern", "alice", nope, mirrored("no/such"));
  assert.deepEqual([unknown.status, errorOf(unknown.body).code], [404, -32_601]);
  const tool = await place.post("modern", "alice", call(4, "none"), mirrored("tools/call", "none"));
  assert.deepEqual([tool.status, errorOf(tool.body).code], [200, -32_602]);
});

test("progress makes the answer a stream, and a listen stream ends at the child when its client leaves", async (t) => {
  const place = await start(t, "modern");
  const open = (message: object, headers: string[]) =>
    EventStream.open(place.daemon.port, {
      method: "POST",
      path: "/u/alice/mcp",
      headers: [...place.auth["alice"]!, ...json, ...headers],
      body: JSON.stringify({ jsonrpc: "2.0", ...message }),
    });
  const withToken = call(5, "progress", { steps: 2 });
  Object.assign(withToken.params, { _meta: { ...meta, progressToken: "p" } });
  const progress = await open(withToken, mirrored("tools/call", "progress"));
  await until(() => progress.text.includes('"result"'), "the answer");
  assert.equal(progress.text.match(/"progressToken":"p"/g)?.length, 2);

  const listen = { id: 6, method: "subscriptions/listen", params: { _meta: meta } };
  const stream = await open(listen, mirrored("subscriptions/listen"));
  await until(() => stream.text.includes("acknowledged"), "the acknowledgment");
  assert.match(stream.text, /"io\.modelcontextprotocol\/subscriptionId":6/);
  const inFlight = async () => {
    const { instances } = (await place.daemon.cli(["status"])).json<{
      instances: { inFlight: number }[];
    }>();
    return instances[0]!.inFlight;
  };
  assert.equal(await inFlight(), 1);
  stream.close();
  const cancelled = () =>
    place.read("modern").some(([, what]) => what.startsWith("notifications/cancelled"));
  await until(cancelled, "the child hears that the client has left");
  assert.equal(await inFlight(), 0);
});

test("a call whose child dies is answered with an error that says so, and the next call has a new child", async (t) => {
  const place = await start(t, "modern");
  const slow = place.post(
    "modern",
    "alice",
    call(9, "sleep", { ms: 60_000 }),
    mirrored("tools/call", "sleep"),
  );
  const pid = await until(
    () => place.read("modern").find(([, what]) => what.startsWith("tools/call"))?.[0],
    "the child has the call",
  );
  process.kill(Number(pid), "SIGKILL");
  const { status, body } = await slow;
  assert.equal(status, 502);
  const { id, error } = JSON.parse(body) as { id: number; error: { data: { type: string } } };
  assert.deepEqual([id, error.data.type], [9, "INSTANCE_EXITED"]);
  const next = await place.post("modern", "alice", call(10, "pid"), mirrored("tools/call", "pid"));
  assert.notEqual(textOf(next.body), pid);
});

test("server/discover on the SSE front of a bridge is answered by the gateway, and initialize follows", async (t) => {
  const place = await start(t, "dies");
  const auth = place.auth["alice"]!;
  const stream = await EventStream.open(place.daemon.port, {
    path: "/u/alice/sse",
    headers: auth,
  });
  t.after(() => stream.close());
  await until(() => stream.text.includes("endpoint"), "the endpoint");
  const path = /data: (\S+)/.exec(stream.text)![1]!;
  const post = (body: string) =>
    ask(place.daemon.port, { method: "POST", path, headers: [...auth, ...json], body });
  const asked = await post(JSON.stringify({ jsonrpc: "2.0", ...discover }));
  assert.equal(asked.status, 202);
  await until(() => stream.text.includes('"code":-32022'), "the refusal");
  assert.deepEqual(place.read("dies"), [], "no child was started for that");
  assert.equal((await post(initialize(2))).status, 202);
  await until(() => stream.text.includes('"protocolVersion"'), "the answer to initialize");
});

test("server-everything over stdio is found to be legacy", async (t) => {
  const servers = { everything: { command: process.execPath, args: [EVERYTHING, "stdio"] } };
  const daemon = await startDaemon(t, { config: { servers } });
  const { key } = await daemon.addUser("alice");
  const { status, body } = await ask(daemon.port, {
    method: "POST",
    path: "/u/alice/mcp",
    headers: [...bearer(key.secret), ...json, ...mirrored("server/discover")],
    body: JSON.stringify({ jsonrpc: "2.0", ...discover }),
  });
  assert.deepEqual([status, errorOf(body).code], [400, -32_022]);
});
