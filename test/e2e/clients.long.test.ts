import assert from "node:assert/strict";
import { statSync } from "node:fs";
import type { TestContext } from "node:test";
import { test } from "node:test";
import {
  Client as ClientV2,
  StreamableHTTPClientTransport as HttpV2,
} from "@modelcontextprotocol/client";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { FIXTURE } from "../conformance/fixture.ts";
import { startDaemon } from "../helpers/daemon.ts";
import type { TestDaemon } from "../helpers/daemon.ts";
import { EVERYTHING } from "../helpers/everything.ts";
import { inspectServer } from "../helpers/inspector.ts";

const everything = (type: "sse" | "http", mode: string) => ({
  type,
  command: process.execPath,
  args: [EVERYTHING, mode],
  env: { PORT: "${port}", GREETING: "hello ${user}" },
});

const CONFIG = {
  defaultServer: "over-sse",
  servers: {
    "over-sse": everything("sse", "sse"),
    "over-http": everything("http", "streamableHttp"),
    "over-stdio": { command: process.execPath, args: [EVERYTHING, "stdio"] },
    dual: {
      type: "http",
      command: process.execPath,
      args: ["--no-warnings", FIXTURE, "--port", "${port}"],
    },
  },
};

/** What the daemon itself must not pass on, by any name; the token is one that a careless admin exported. */
const SECRETS = {
  AWS_SECRET_ACCESS_KEY: "canary-aws",
  HTTPS_PROXY: "http://canary-proxy",
  USER_ACCESS_TOKEN: "canary-token",
  GREETING: "canary-greeting",
  PORT: "1",
  SUPERVISOR_SECRET: "canary-secret",
  npm_config_token: "canary-npm",
  XDG_CONFIG_HOME: "/canary-xdg",
};
const PASSED_ON = { LANG: "C.UTF-8", LC_ALL: "C", LC_CTYPE: "C", TZ: "UTC" };

interface Way {
  name: string;
  path: string;
  transport: (
    url: URL,
    headers: Record<string, string>,
  ) => SSEClientTransport | StreamableHTTPClientTransport;
}

const WAYS: Way[] = [
  {
    name: "SSE",
    path: "over-sse/sse",
    transport: (url, headers) => new SSEClientTransport(url, { requestInit: { headers } }),
  },
  {
    name: "Streamable HTTP",
    path: "over-http/mcp",
    transport: (url, headers) =>
      new StreamableHTTPClientTransport(url, { requestInit: { headers } }),
  },
];

/** A connected SDK client of `user`, with its key in the header or the query. */
async function connect(
  t: TestContext,
  daemon: TestDaemon,
  way: Way,
  { user, secret, isInQuery = false }: { user: string; secret: string; isInQuery?: boolean },
): Promise<Client> {
  const url = new URL(
    `/u/${user}/${way.path}${isInQuery ? `?token=${secret}` : ""}`,
    daemon.origin,
  );
  const client = new Client({ name: "test", version: "1" });
  await client.connect(way.transport(url, isInQuery ? {} : { authorization: `Bearer ${secret}` }));
  t.after(() => client.close());
  return client;
}

async function say(
  client: Client,
  name: string,
  args: Record<string, unknown> = {},
): Promise<string> {
  const { content } = await client.callTool({ name, arguments: args });
  const [first] = content as { text: string }[];
  return first!.text;
}

const environmentOf = async (client: Client) =>
  JSON.parse(await say(client, "get-env")) as Record<string, string>;

for (const way of WAYS) {
  test(`get-env over ${way.name} shows exactly its owner's token and nothing of the daemon's environment`, async (t) => {
    const daemon = await startDaemon(t, { config: CONFIG, env: { ...SECRETS, ...PASSED_ON } });
    const alice = (await daemon.addUser("alice", "token-of-alice")).key;
    const bob = (await daemon.addUser("bob", "token-of-bob")).key;
    const carol = (await daemon.addUser("carol")).key;
    const own = ["PATH", "HOME", "TMPDIR", "PORT", "GREETING", "MCP_SUPERVISOR_CHILD"];
    const allowed = [...own, ...Object.keys(PASSED_ON)];
    const seen: Record<string, Record<string, string>> = {};
    for (const [user, { secret }] of Object.entries({ alice, bob, carol })) {
      const client = await connect(t, daemon, way, { user, secret });
      const env = (seen[user] = await environmentOf(client));
      const names = user === "carol" ? allowed : [...allowed, "USER_ACCESS_TOKEN"];
      assert.deepEqual(Object.keys(env).toSorted(), names.toSorted());
      assert.equal(env["USER_ACCESS_TOKEN"], user === "carol" ? undefined : `token-of-${user}`);
      assert.equal(env["GREETING"], `hello ${user}`);
      for (const [name, value] of Object.entries(PASSED_ON)) assert.equal(env[name], value);
      const told = JSON.stringify(env);
      assert.doesNotMatch(told, /canary|mcps_/);
      for (const other of ["alice", "bob", "carol"].filter((name) => name !== user))
        assert.equal(told.includes(other), false, `${user}'s child knows of ${other}`);
      for (const folder of ["HOME", "TMPDIR"] as const) {
        const { mode } = statSync(env[folder]!);
        assert.equal(mode & 0o7777, 0o700, `${user}'s ${folder}`);
        assert.ok(env[folder]!.startsWith(`${daemon.dataDir}/homes/${user}/`));
      }
    }
    const folders = Object.values(seen).flatMap(({ HOME, TMPDIR }) => [HOME, TMPDIR]);
    assert.equal(new Set(folders).size, 6);
  });

  test(`the SDK's client over ${way.name} works with the key in a header and in the query`, async (t) => {
    const daemon = await startDaemon(t, { config: CONFIG });
    const { secret } = (await daemon.addUser("alice")).key;
    const answers: string[] = [];
    for (const isInQuery of [false, true]) {
      const client = await connect(t, daemon, way, { user: "alice", secret, isInQuery });
      assert.equal(client.getServerVersion()?.name, "mcp-servers/everything");
      const { tools } = await client.listTools();
      assert.ok(tools.some(({ name }) => name === "get-env"));
      answers.push(await say(client, "echo", { message: "Grüße 🙂" }));
      await client.ping();
    }
    assert.deepEqual(answers, ["Echo: Grüße 🙂", "Echo: Grüße 🙂"]);
    const stranger = connect(t, daemon, way, { user: "alice", secret: `${secret}x` });
    await assert.rejects(stranger, (error: Error & { code?: unknown }) => error.code === 401);
  });
}

for (const [server, era, version] of [
  ["dual", "modern", "2026-07-28"],
  ["over-http", "legacy", "2025-11-25"],
] as const) {
  test(`the v2 client in auto mode settles on the ${era} era with ${server}`, async (t) => {
    const daemon = await startDaemon(t, { config: CONFIG });
    const { secret } = (await daemon.addUser("alice", "token-of-alice")).key;
    for (const isInQuery of [false, true]) {
      const query = isInQuery ? `?token=${secret}` : "";
      const headers = isInQuery ? undefined : { authorization: `Bearer ${secret}` };
      const url = new URL(`/u/alice/${server}/mcp${query}`, daemon.origin);
      const client = new ClientV2(
        { name: "test", version: "1" },
        { versionNegotiation: { mode: "auto" } },
      );
      await client.connect(new HttpV2(url, { requestInit: { headers } }));
      t.after(() => client.close());
      assert.equal(client.getProtocolEra(), era);
      assert.equal(client.getNegotiatedProtocolVersion(), version);
      const { tools } = await client.listTools();
      const called = await client.callTool(
        server === "dual"
          ? { name: "test_simple_text", arguments: {} }
          : { name: "echo", arguments: { message: "hello" } },
      );
      const expected =
        server === "dual" ? "This is a simple text response for testing." : "Echo: hello";
      assert.deepEqual(called.content, [{ type: "text", text: expected }]);
      assert.ok(tools.length > 5);
    }
  });
}

test("the v2 client in auto mode takes a wrong key for what it is", async (t) => {
  const daemon = await startDaemon(t, { config: CONFIG });
  const { secret } = (await daemon.addUser("alice")).key;
  await daemon.addUser("bob");
  for (const [path, key, status] of [
    ["/u/alice/dual/mcp", `${secret}x`, 401],
    ["/u/bob/dual/mcp", secret, 403],
  ] as const) {
    const client = new ClientV2(
      { name: "test", version: "1" },
      { versionNegotiation: { mode: "auto" } },
    );
    const headers = { authorization: `Bearer ${key}` };
    const transport = new HttpV2(new URL(path, daemon.origin), { requestInit: { headers } });
    await assert.rejects(client.connect(transport), (error: Error & { data?: unknown }) => {
      assert.equal((error.data as { status: number }).status, status);
      return true;
    });
  }
});

// `npm run interop` does so over the other transports, too.
test("the Inspector's command line works over Streamable HTTP, and says so when the key is wrong", async (t) => {
  const daemon = await startDaemon(t, { config: CONFIG });
  const alice = (await daemon.addUser("alice", "token-of-alice")).key.secret;
  const bob = (await daemon.addUser("bob", "token-of-bob")).key.secret;
  await inspectServer({ origin: daemon.origin, path: "over-http/mcp", alice, bob });
});
