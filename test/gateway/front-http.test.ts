import assert from "node:assert/strict";
import type { AddressInfo } from "node:net";
import type { IncomingMessage, ServerResponse } from "node:http";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { parseConfig } from "../../src/config/config.ts";
import type { ServerDef } from "../../src/config/config.ts";
import type { Principal } from "../../src/auth/principal.ts";
import { SupervisorError, toSupervisorError } from "../../src/errors.ts";
import type { Audit } from "../../src/audit/audit.ts";
import { TokenGate } from "../../src/sessions/token-gate.ts";
import { BodyReader } from "../../src/gateway/body-reader.ts";
import { Heart } from "../../src/gateway/client-stream.ts";
import { refusePost, serveHttp } from "../../src/gateway/front-http.ts";
import type { FrontContext } from "../../src/gateway/request-context.ts";
import { Trace } from "../../src/gateway/trace.ts";
import { Edge } from "../../src/http/edge.ts";
import { closeServer, createHttpServer } from "../../src/http/listen.ts";
import { Sessions } from "../../src/sessions/sessions.ts";
import { Journal } from "../../src/telemetry/journal.ts";
import { createLogger } from "../../src/telemetry/logger.ts";
import { Metrics } from "../../src/telemetry/metrics.ts";
import { Requests } from "../../src/telemetry/requests.ts";
import { Scrubber } from "../../src/telemetry/scrubber.ts";
import { call, initialize, json, rpc } from "../helpers/fixtures.ts";
import { testInstance } from "../helpers/instance.ts";
import { ask } from "../helpers/raw-http.ts";
import { serve } from "../helpers/serve.ts";
import { until } from "../helpers/until.ts";

const ALICE = {
  user: "alice",
  issuer: "key",
  credentialId: "k1",
  subject: "alice",
  label: null,
  expiresAt: null,
};

interface Rpc {
  id: unknown;
  result?: { text?: string };
  error?: { code: number; message: string; data: { type: string } };
}

/** A server of one's own for alice: it answers what it is posted, and keeps it. */
async function startServer(t: TestContext, transport: "http" | "sse") {
  const posts: string[] = [];
  let stream: ServerResponse | undefined;
  const answerTo = (body: string): string | undefined => {
    const { id, method } = JSON.parse(body) as { id?: unknown; method: string };
    if (id === undefined) return undefined;
    return JSON.stringify({ jsonrpc: "2.0", id, result: { text: `${method} is well` } });
  };
  const overHttp = (body: string, res: ServerResponse): void => {
    const answer = answerTo(body);
    const session = body.includes('"initialize"') ? { "mcp-session-id": "of-the-child" } : {};
    if (answer === undefined) return void res.writeHead(202).end();
    res.writeHead(200, { "content-type": "application/json", ...session }).end(answer);
  };
  const overSse = (body: string, res: ServerResponse): void => {
    res.writeHead(202).end();
    const answer = answerTo(body);
    if (answer !== undefined) stream?.write(`event: message\ndata: ${answer}\n\n`);
  };
  const listen = (req: IncomingMessage, res: ServerResponse): void => {
    if (req.method === "GET" && transport === "sse") {
      stream = res.writeHead(200, { "content-type": "text/event-stream" });
      return void res.write("event: endpoint\ndata: /messages\n\n");
    }
    if (req.method === "DELETE") return void res.writeHead(200).end();
    void text(req).then((body) => {
      posts.push(body);
      return transport === "sse" ? overSse(body, res) : overHttp(body, res);
    });
  };
  const { url } = await serve(t, listen);
  return { posts, url: transport === "sse" ? url : new URL("/mcp", url) };
}

interface RigOptions {
  principal?: Principal;
  /** Why calls are refused, once it is set. */
  refusal?: { why?: SupervisorError };
}

/** The front at that server of alice's, which is down until somebody wants it. */
async function rig(
  t: TestContext,
  transport: "http" | "sse",
  { principal = ALICE, refusal = {} }: RigOptions = {},
) {
  const { posts, url } = await startServer(t, transport);
  const child = testInstance();
  const config = parseConfig(
    { defaultServer: "one", servers: { one: { command: "true", type: transport } } },
    "/nowhere",
  );
  const sessions = new Sessions({
    config,
    eraOf: async () => "legacy",
    discard: () => {},
    instanceOf: () => child.instance,
  });
  const log = createLogger("silent", { destination: { write: () => {} } });
  const metrics = new Metrics({ perUser: false });
  const journal = new Journal();
  const requests = new Requests({ log, metrics, journal, scrubber: new Scrubber() });
  const parts = { log, requests, audit: { add: () => {} } as unknown as Audit, address: "" };
  const heart = new Heart();
  const edge = new Edge([], () => {});
  const context: FrontContext = {
    config,
    sessions,
    heart,
    edge,
    gate: new TokenGate(
      { renewalOf: () => refusal.why && Promise.reject(refusal.why), handedOver: () => {} },
      { started: () => Promise.resolve() },
    ),
    bodies: new BodyReader(),
    prefix: "",
    publicUrl: config.publicUrl,
  };
  let count = 0;
  const server = createHttpServer((req, res) => {
    const requestId = `life-${(count += 1)}`;
    const trace = new Trace(parts, req, res, requestId);
    const refuse = (error: unknown): void => {
      trace.fail(error);
      if (req.method === "POST") refusePost({ res, requestId }, error, []);
      else res.writeHead(toSupervisorError(error).status).end();
    };
    const about = { req, res, requestId, trace, principal };
    const route = { user: "alice", server: "one", leaf: "mcp" } as const;
    const def = { ...config.servers["one"]!, tokensFrom: { provider: "corp", grant: "user" } };
    const where = { route, server: def as ServerDef, instance: child.instance };
    const settings = undefined;
    try {
      serveHttp(context, { ...about, ...where, settings })?.catch(refuse);
    } catch (error) {
      refuse(error);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(async () => {
    sessions.close();
    heart.stop();
    metrics.close();
    child.end("the test is over");
    await closeServer(server);
  });
  const { port } = server.address() as AddressInfo;
  const say = async (method: string, body: string | undefined, session?: string) => {
    const headers = [...json, ...(session === undefined ? [] : ["mcp-session-id", session])];
    return await ask(port, { method, path: "/u/alice/one/mcp", headers, body });
  };
  return {
    child,
    posts,
    sessions,
    journal,
    start: () => child.start(url),
    post: (body: string, session?: string) => say("POST", body, session),
    get: (session?: string) => say("GET", undefined, session),
    end: (session?: string) => say("DELETE", undefined, session),
    begin: async () => {
      const { headers } = await say("POST", initialize());
      return String(headers["mcp-session-id"]);
    },
  };
}

for (const issuer of ["key", "sso"])
  test(`a client that came with a credential of ${issuer} is led to the page where its token is renewed`, async (t) => {
    const refusal: RigOptions["refusal"] = {};
    const { start, post } = await rig(t, "http", { principal: { ...ALICE, issuer }, refusal });
    start();
    const capabilities = { elicitation: { url: {} } };
    const about = { protocolVersion: "2025-11-25", clientInfo: { name: "c", version: "1" } };
    const { headers } = await post(rpc("hello", "initialize", { ...about, capabilities }));
    const data = { connectUrl: "https://mcp.example.com/u/alice/connect/one" };
    refusal.why = new SupervisorError("TOKEN_EXPIRED", "the token is over", { data });
    const { status, body } = await post(call(1, "echo"), String(headers["mcp-session-id"]));
    assert.deepEqual([status, errorIn(body)?.code], [200, -32042], body);
  });

const errorIn = (body: string) => (JSON.parse(body) as Rpc).error;

test("what is no JSON, or no message, is refused by the code that JSON-RPC has for it", async (t) => {
  const { child, post } = await rig(t, "http");
  for (const [body, code] of [
    ["{", -32700],
    ['{"no":"message"}', -32600],
  ] as const) {
    const { status, body: answer } = await post(body);
    assert.deepEqual([status, errorIn(answer)?.code], [400, code]);
  }
  assert.equal(child.starts(), 0);
});

test("a call starts the server that is down, and gets its answer", async (t) => {
  const { child, journal, posts, start, post } = await rig(t, "http");
  start();
  const { status, body } = await post(call(1, "echo"));
  assert.deepEqual([status, (JSON.parse(body) as Rpc).result?.text], [200, "tools/call is well"]);
  assert.deepEqual([child.starts(), posts], [1, [call(1, "echo")]]);
  const record = await until(() => journal.find("life-1"), "it is told");
  assert.deepEqual([record.generation, record.tool], [1, "echo"]);
});

test("what keeps a server from starting is the answer to the call, by its id", async (t) => {
  const { child, post } = await rig(t, "http");
  const asked = post(call("mine", "echo"));
  await until(() => child.starts() === 1, "it is started");
  child.refuse(toSupervisorError(new Error("a mistake")));
  const { status, body } = await asked;
  const { id, error } = JSON.parse(body) as Rpc;
  assert.deepEqual([status, id, error?.data.type], [500, "mine", "INTERNAL"]);
});

for (const [what, body, status] of [
  ["an answer to nothing that was asked", '{"jsonrpc":"2.0","id":null,"result":{}}', 202],
  ["a ping without a session", rpc(1, "ping"), 200],
] as const)
  test(`${what} starts no server`, async (t) => {
    const { child, posts, post } = await rig(t, "http");
    assert.equal((await post(body)).status, status);
    assert.deepEqual([child.starts(), posts], [0, []]);
  });

for (const transport of ["http", "sse"] as const) {
  test(`over ${transport}: a GET or DELETE without a session means nothing, and starts no server`, async (t) => {
    const { child, get, end } = await rig(t, transport);
    assert.deepEqual([(await get()).status, (await end()).status], [405, 405]);
    assert.equal(child.starts(), 0);
  });

  test(`over ${transport}: a session begins with initialize, has an id of ours, and ends with a DELETE`, async (t) => {
    const { posts, sessions, start, begin, post, end } = await rig(t, transport);
    start();
    const session = await begin();
    assert.ok(session.length > 20 && session !== "of-the-child");
    assert.equal(sessions.count, 1);
    const answer = await post(rpc(2, "tools/list"), session);
    assert.equal((JSON.parse(answer.body) as Rpc).result?.text, "tools/list is well");
    assert.equal(answer.headers["mcp-session-id"] ?? session, session);
    assert.deepEqual(posts.slice(0, 2), [initialize(), rpc(2, "tools/list")]);
    assert.equal((await end(session)).status, 200);
    assert.equal(sessions.count, 0);
    assert.equal((await post(rpc(3, "tools/list"), session)).status, 404);
  });

  test(`over ${transport}: a session that is not there is a 404, which tells clients to begin anew`, async (t) => {
    const { child, post, get } = await rig(t, transport);
    const { status, body } = await post(call(1, "echo"), "unknown");
    assert.deepEqual([status, errorIn(body)?.data.type], [404, "SESSION_NOT_FOUND"]);
    assert.equal((await get("unknown")).status, 404);
    assert.equal(child.starts(), 0);
  });
}

test("over a bridge nothing is said before initialize", async (t) => {
  const { child, post } = await rig(t, "sse");
  const { status, body } = await post(call(1, "echo"));
  assert.equal(status, 400);
  assert.match(errorIn(body)?.message ?? "", /initialize first/);
  assert.equal(child.starts(), 0);
});

test("a session whose begin failed is not there", async (t) => {
  const { child, sessions, post } = await rig(t, "sse");
  const asked = post(initialize());
  await until(() => child.starts() === 1, "it is started");
  child.refuse(toSupervisorError(new Error("a mistake")));
  assert.equal((await asked).status, 500);
  assert.equal(sessions.count, 0);
});

test("once the daemon is ending a request is refused, and an answer to the server is not", async (t) => {
  const { sessions, start, begin, post } = await rig(t, "sse");
  start();
  const session = await begin();
  const stopping = toSupervisorError(new Error("stopping"));
  await sessions.finish(stopping, 0);
  assert.equal((await post(call(1, "echo"), session)).status, stopping.status);
  const pong = JSON.stringify({ jsonrpc: "2.0", id: 1, result: {} });
  assert.notEqual((await post(pong, session)).status, stopping.status);
});
