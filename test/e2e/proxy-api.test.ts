import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { health, serverList, toolList, toolResult } from "../../src/gateway/tool-schemas.ts";
import { createEchoServer } from "../fixtures/servers/support/echo-server.ts";
import { Rpc } from "../fixtures/servers/support/rpc.ts";
import type { Message, Send } from "../fixtures/servers/support/rpc.ts";
import { atEnd, runCli } from "../helpers/daemon.ts";
import { freePort } from "../helpers/free-port.ts";
import { inSeconds, signedJwt } from "../helpers/jwt.ts";
import { ask } from "../helpers/raw-http.ts";
import type { Answer } from "../helpers/raw-http.ts";
import { hasMachineConfig, serveHere } from "../helpers/served-here.ts";
import { until } from "../helpers/until.ts";

// What the documents of the MCP proxy API tell people to type, and what they say comes of it.

const SECRET = "your-secret-key";
const skip = hasMachineConfig ? "a config of this machine would be found" : false;

/** As `cp .env.example .env` leaves it. */
const DOTENV = `
# JWT配置
JWT_SECRET=your-secret-key-here
JWT_ALGORITHM=HS256

# MCP服务器配置
# 单个服务器配置（向后兼容）
MCP_URL=http://localhost:3000/sse

# 多服务器配置（推荐）
# 使用逗号分隔多个URL
MCP_URLS=http://10.10.1.105:8999/sse,http://10.10.1.105:8005/sse

# 服务器配置
PORT=5000
DEBUG=false

# 日志配置
LOG_LEVEL=INFO
`;

/** Has a tool at which it fails itself. */
class Failing extends Rpc {
  constructor() {
    super({ failing: () => undefined });
  }

  override async handle(message: Message, send: Send): Promise<void> {
    const { id, params } = message;
    if (params?.["name"] !== "failing") return await super.handle(message, send);
    return send({ jsonrpc: "2.0", id, error: { code: -32_000, message: "it broke" } });
  }
}

async function mcpServer(t: TestContext, rpc = new Rpc()): Promise<{ url: string; slug: string }> {
  const server: Server = createEchoServer({ rpc });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  atEnd(t, () => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/sse`, slug: `127-0-0-1-${port}` };
}

const payload = (claims: object = {}): object => ({
  user_id: "test_user",
  iat: inSeconds(-60),
  exp: inSeconds(3600),
  iss: "mcp-proxy",
  ...claims,
});
const TOKEN = signedJwt(SECRET, payload());

/** `error.message` is text and `error.code` the status: that is all that the document says of a refusal. */
function assertRefused({ status, body }: Answer, expected: number): string {
  const { error } = JSON.parse(body) as { error: { message: unknown; code: unknown } };
  assert.deepEqual([status, error.code, typeof error.message], [expected, expected, "string"]);
  return String(error.message);
}

test(
  "the secret of the docker run lines is refused, and the refusal says what to do",
  { skip },
  async (t) => {
    const MCP_URLS = "http://server1:8999/sse,http://server2:8005/sse";
    const { ended, log } = await serveHere(t, { JWT_SECRET: SECRET, MCP_URLS });
    assert.equal(await ended, 78);
    assert.match(
      log(),
      /JWT_SECRET: the secret has 15 bytes.*JWT_SECRET=\\"\$\(openssl rand -base64 48\)\\", or JWT_ALLOW_SHORT_SECRET=true/,
    );
  },
);

test("the MCP proxy API, run with its own environment in an empty folder", { skip }, async (t) => {
  const [one, two] = [await mcpServer(t), await mcpServer(t, new Failing())];
  const gone = `http://127.0.0.1:${await freePort()}/sse`;
  const env = {
    JWT_SECRET: SECRET,
    JWT_ALLOW_SHORT_SECRET: "true",
    MCP_URLS: `${one.url},${two.url},${gone}`,
  };
  const proxy = await serveHere(t, env, { ".env": DOTENV });
  const bearer = (token: string) => ["authorization", `Bearer ${token}`];
  const get = (path: string, token = TOKEN) => ask(proxy.port, { path, headers: bearer(token) });
  const post = (body: object | string, headers = bearer(TOKEN)) =>
    ask(proxy.port, {
      method: "POST",
      path: "/tools",
      headers: [...headers, "content-type", "application/json"],
      body: typeof body === "string" ? body : JSON.stringify(body),
    });

  await t.test("JWT_ALLOW_SHORT_SECRET lets it start, and each start warns", async () => {
    const warning = /"message":"config: JWT_ALLOW_SHORT_SECRET: lets in a secret under 32/;
    await until(() => warning.test(proxy.log()), "it warns");
  });
  await t.test(
    "the data lies in the working folder, and the environment has the secret no more",
    () => {
      assert.ok(existsSync(join(proxy.dir, "data", "mcp-supervisor.db")));
      // What a process was started with stays in /proc; what it hands on is the list that Node keeps.
      assert.ok(!proxy.log().includes(SECRET) && !proxy.out().includes(SECRET));
    },
  );

  await t.test("GET /health needs no token and shows status and all MCP servers", async () => {
    const { status, body } = await ask(proxy.port, { path: "/health" });
    const answer = health.parse(JSON.parse(body));
    assert.deepEqual(
      [status, answer.status, answer.servers.up + answer.servers.down],
      [200, "ok", 3],
    );
    assert.deepEqual(answer.servers.list?.map(({ slug }) => slug).slice(0, 2), [
      one.slug,
      two.slug,
    ]);
  });

  await t.test(
    "curl -H 'Authorization: Bearer YOUR_TOKEN' http://localhost:5000/tools/list",
    async () => {
      const { status, body } = await get("/tools/list");
      const { tools, errors } = toolList.parse(JSON.parse(body));
      assert.equal(status, 200);
      const servers = new Map(tools.map(({ name, servers: having }) => [name, having]));
      assert.deepEqual(servers.get("echo"), [one.slug, two.slug].toSorted());
      assert.deepEqual(servers.get("failing"), [two.slug]);
      assert.equal(errors.length, 1, "the server that is down stands there, and the others answer");
    },
  );

  await t.test("curl 'http://localhost:5000/tools/list?token=YOUR_TOKEN'", async () => {
    const { status, body } = await ask(proxy.port, { path: `/tools/list?token=${TOKEN}` });
    assert.equal(status, 200);
    assert.ok(toolList.parse(JSON.parse(body)).tools.length > 0);
  });

  await t.test("GET /tools/list?server=URL has that server's tools alone", async () => {
    for (const said of [two.url, encodeURIComponent(two.url), two.slug]) {
      const { tools } = toolList.parse(JSON.parse((await get(`/tools/list?server=${said}`)).body));
      assert.ok(tools.length > 0);
      assert.ok(
        tools.every(({ servers }) => servers.join() === two.slug),
        said,
      );
    }
  });

  await t.test("POST /tools with method, args and server calls the tool there", async () => {
    const { status, body } = await post({ method: "echo", args: { text: "x" }, server: two.url });
    const { result, server } = toolResult.parse(JSON.parse(body));
    assert.deepEqual([status, result.content?.[0]?.["text"], server], [200, "x", two.slug]);
  });
  await t.test("the server may be left out, and is preferred, not demanded", async () => {
    for (const server of [undefined, gone, "http://10.10.1.105:8999/sse"]) {
      const { status, body } = await post({ method: "echo", args: { text: "y" }, server });
      assert.deepEqual([status, JSON.parse(body).result.content[0].text], [200, "y"]);
    }
  });

  await t.test("GET /servers has the state of every server", async () => {
    const { servers } = serverList.parse(JSON.parse((await get("/servers")).body));
    assert.deepEqual(
      servers.map(({ name, type }) => [name, type]),
      [one.url, two.url, gone].map((url) => [url, "sse"]),
    );
    assert.deepEqual([servers[0]?.state, servers[0]?.tools?.includes("echo")], ["ready", true]);
  });

  await t.test(
    "a token must have an exp, be in time and be signed with the secret: 401",
    async () => {
      const bad = [
        signedJwt(SECRET, payload({ exp: undefined })),
        signedJwt(SECRET, payload({ exp: inSeconds(-3600) })),
        signedJwt("another-secret-key", payload()),
        "nonsense",
      ];
      const said = [];
      for (const token of bad) said.push(assertRefused(await get("/tools/list", token), 401));
      assert.equal(new Set(said).size, 1, "one body for all");
      assertRefused(await ask(proxy.port, { path: "/servers" }), 401);
      assertRefused(await post({ method: "echo" }, []), 401);
    },
  );
  await t.test(
    "mcp-supervisor jwt issue, which was generate_token, makes such a token",
    async () => {
      const args = ["jwt", "issue", "test_user", "--expires", "24h", "--json"];
      const { token } = (await runCli(args, { cwd: proxy.dir })).json<{ token: string }>();
      assert.equal((await get("/tools/list", token)).status, 200);
    },
  );
  await t.test("whoever the token names is a user from then on", async () => {
    const token = signedJwt(SECRET, payload({ user_id: "Another.User@example.com" }));
    assert.equal((await get("/servers", token)).status, 200);
    const { users } = health.parse(JSON.parse((await ask(proxy.port, { path: "/health" })).body));
    assert.equal(users, 2);
  });

  await t.test("400: what is no request of a tool", async () => {
    for (const body of ["{", "[]", {}, { method: "echo", args: "x" }])
      assertRefused(await post(body), 400);
  });
  await t.test("404: a tool that no server has", async () => {
    for (const body of [{ method: "no_such_tool", server: one.url, strict: true }])
      assertRefused(await post(body), 404);
  });
  await t.test("500: what a server itself fails at, in its own words", async () => {
    assert.equal(assertRefused(await post({ method: "failing" }), 500), "it broke");
  });
  await t.test("503: a server that cannot be reached", async () => {
    const answer = await post({ method: "echo", server: gone, strict: true });
    assertRefused(answer, 503);
    assert.ok(Number(answer.headers["retry-after"]) > 0);
  });

  await t.test(
    "by address and by the container's name: http://10.10.1.105:5000, http://mcp-proxy:5000",
    async () => {
      for (const host of ["10.10.1.105:5000", "mcp-proxy:5000"]) {
        const { status } = await ask(proxy.port, { path: "/health", host });
        assert.equal(status, 200, host);
      }
    },
  );

  await t.test("each request is a line of JSON with the fields that the log had", async () => {
    const lines = () => proxy.log().split("\n").slice(0, -1);
    const line = await until(() => lines().find((text) => text.includes("/tools/list")), "logged");
    const said = JSON.parse(line) as Record<string, unknown>;
    assert.match(String(said["timestamp"]), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    for (const [field, type] of [
      ["request", "string"],
      ["status_code", "number"],
      ["execution_time_ms", "number"],
      ["user_agent", "string"],
    ] as const)
      assert.equal(typeof said[field], type, field);
    assert.equal(said["remote_addr"], "127.0.0.1");
    assert.ok(!proxy.log().includes(TOKEN));
    assert.ok(!readFileSync(join(proxy.dir, "data", "mcp-supervisor.db")).includes(SECRET));
  });
});

test(
  "cp .env.example .env, with a secret of its own and one server, is all that it needs",
  {
    skip,
  },
  async (t) => {
    const refused = await serveHere(t, {}, { ".env": DOTENV });
    assert.equal(await refused.ended, 78);
    assert.match(refused.log(), /JWT_SECRET: the secret has 20 bytes/);

    const { url, slug } = await mcpServer(t);
    const secret = "0123456789abcdef0123456789abcdef";
    const port = await freePort();
    const lines = DOTENV.split("\n").filter((line) => !line.startsWith("MCP_URLS="));
    const own = lines
      .join("\n")
      .replace(/^JWT_SECRET=.*$/m, `JWT_SECRET=${secret}`)
      .replace(/^MCP_URL=.*$/m, `MCP_URL=${url}`)
      .replace(/^PORT=.*$/m, `PORT=${port}`);
    await serveHere(t, { PORT: "" }, { ".env": own });
    const headers = ["authorization", `Bearer ${signedJwt(secret, payload())}`];
    const { status, body } = await ask(port, { path: "/tools/list", headers });
    const { tools } = toolList.parse(JSON.parse(body));
    assert.equal(status, 200);
    assert.ok(tools.length > 0 && tools.every(({ servers }) => servers.join() === slug));
  },
);
