import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { request } from "node:http";
import type { TestContext } from "node:test";
import { test } from "node:test";
import { startDaemon } from "../helpers/daemon.ts";
import type { TestDaemon } from "../helpers/daemon.ts";
import { bearer, call, fixture, initialize, json } from "../helpers/fixtures.ts";
import { EventStream, ask } from "../helpers/raw-http.ts";
import type { Answer } from "../helpers/raw-http.ts";
import { until } from "../helpers/until.ts";

interface Alice {
  daemon: TestDaemon;
  secret: string;
  post: (path: string, body: string, headers?: string[]) => Promise<Answer>;
  /** An open SSE session, initialized unless told otherwise. */
  open: () => Promise<{ stream: EventStream; send: (body: string) => Promise<Answer> }>;
}

async function alice(
  t: TestContext,
  server: Record<string, unknown>,
  config: Record<string, unknown> = {},
): Promise<Alice> {
  const daemon = await startDaemon(t, {
    config: { servers: { one: server }, defaultServer: "one", startTimeout: "2s", ...config },
  });
  const { key } = await daemon.addUser("alice", "token-of-alice");
  const post: Alice["post"] = (path, body, headers = []) =>
    ask(daemon.port, {
      method: "POST",
      path,
      body,
      headers: [...bearer(key.secret), ...json, ...headers],
    });
  return {
    daemon,
    secret: key.secret,
    post,
    open: async () => {
      const stream = await EventStream.open(daemon.port, {
        path: "/u/alice/sse",
        headers: bearer(key.secret),
      });
      t.after(() => stream.close());
      const endpoint = await until(() => stream.endpoint, "the endpoint has come");
      return { stream, send: (body) => post(endpoint, body) };
    },
  };
}

interface Refusal {
  error: {
    code: number;
    type?: string;
    message: string;
    requestId?: string;
    data?: { type: string; requestId: string };
  };
  id?: unknown;
}
const refusal = (answer: Answer) => JSON.parse(answer.body) as Refusal;

test("a child that crashes on start: a plain sentence with the request id for the client, its last words for the admin", async (t) => {
  const { daemon, post } = await alice(t, fixture("http", "crash-on-start"));
  const answer = await post("/u/alice/mcp", initialize(7));
  assert.equal(answer.status, 502);
  const { error, id } = refusal(answer);
  assert.equal(id, 7);
  assert.equal(error.data?.type, "INSTANCE_EXITED");
  assert.match(error.message, /^alice\/one: .*exited with code 3/);
  assert.ok(error.data?.requestId);
  const { requestId } = error.data;
  await until(() => daemon.log().includes(requestId), "the log knows the request");
  const logs = (await daemon.cli(["logs", "alice"])).stdout;
  assert.ok(logs.length > 2, "the admin sees the last lines");
  assert.equal(answer.body.includes("token-of-alice"), false);
});

test("a child that never gets ready: the message is held to the deadline and then refused on the stream, which stays", async (t) => {
  const { open } = await alice(t, fixture("sse", "never-ready"));
  const { stream, send } = await open();
  const answer = await send(initialize());
  assert.equal(answer.status, 202);
  const refused = await until(() => stream.messages()[0], "the client is told");
  assert.equal(refused.error?.code, 504);
  assert.equal(refused.error?.data?.type, "INSTANCE_START_TIMEOUT");
  assert.equal(stream.isEnded, false);
});

test("a child that crashes later: calls under way get an error, and the session goes on with the next child", async (t) => {
  const { open, daemon } = await alice(t, fixture("sse", "crash-later"));
  const { stream, send } = await open();
  assert.equal((await send(initialize())).status, 202);
  await send(call("slow", "sleep", { ms: 60_000 }));
  await send(call("crash", "crash"));
  const failures = () => stream.messages().filter(({ error }) => error !== undefined);
  await until(() => failures().length === 2, "both have failed");
  assert.deepEqual(new Set(failures().map(({ id }) => id)), new Set(["crash", "slow"]));
  for (const { error } of failures()) assert.equal(error?.data?.type, "INSTANCE_EXITED");
  assert.equal((await send(call("later", "echo", { message: "x" }))).status, 202);
  const answers = () => stream.messages().filter(({ id }) => id === "later");
  await until(() => answers().length === 1, "the next child has answered");
  assert.equal(answers()[0]?.error, undefined);
  assert.equal(stream.isEnded, false);
  const { instances } = (await daemon.cli(["status"])).json<{
    instances: { restarts: number; state: string }[];
  }>();
  assert.deepEqual(
    instances.map(({ restarts, state }) => [restarts, state]),
    [[1, "ready"]],
  );
});

test("a Streamable HTTP child that crashes: the call fails by its id, the session and its stream go on", async (t) => {
  const { post, daemon, secret } = await alice(t, fixture("http", "crash-later"));
  const started = await post("/u/alice/mcp", initialize());
  const session = ["mcp-session-id", String(started.headers["mcp-session-id"])];
  const stream = await EventStream.open(daemon.port, {
    path: "/u/alice/mcp",
    headers: [...bearer(secret), ...session, "accept", "text/event-stream"],
  });
  t.after(() => stream.close());
  // The fixture has begun its answer by then: what is left is to end it with an error.
  const answer = await EventStream.open(daemon.port, {
    method: "POST",
    path: "/u/alice/mcp",
    headers: [...bearer(secret), ...json, ...session],
    body: call("c", "crash"),
  });
  await until(() => answer.isEnded, "the answer ends");
  const [failure] = answer.messages();
  assert.equal(failure?.id, "c");
  assert.equal(failure.error?.data?.type, "INSTANCE_EXITED");
  const later = await post("/u/alice/mcp", call("l", "echo", { message: "x" }), session);
  assert.equal(later.status, 200);
  assert.equal(stream.isEnded, false);
});

test("a child that answers garbage is never ready", async (t) => {
  const { post } = await alice(t, fixture("http", "garbage"));
  const answer = await post("/u/alice/mcp", initialize());
  assert.equal(answer.status, 504);
  assert.equal(refusal(answer).error.data?.type, "INSTANCE_START_TIMEOUT");
});

test("an endpoint on a foreign origin is refused and never called", async (t) => {
  const { open } = await alice(t, fixture("sse", "foreign-endpoint"));
  const { stream, send } = await open();
  assert.equal((await send(initialize())).status, 202);
  const refused = await until(() => stream.messages()[0], "the client is told");
  assert.equal(refused.error?.data?.type, "UPSTREAM_INVALID");
});

for (const form of ["relative", "absolute", "full"]) {
  test(`a child with an endpoint in ${form} form is served`, async (t) => {
    const { open } = await alice(t, fixture("sse", "echo-sse", "--endpoint", form));
    const { stream, send } = await open();
    assert.equal((await send(initialize())).status, 202);
    await until(() => stream.messages().length === 1, "the answer has come");
  });
}

test("a child that floods its output serves its user, and the admin sees the last lines", async (t) => {
  const { open, daemon } = await alice(t, fixture("sse", "floods-stdout"));
  const { stream, send } = await open();
  await send(initialize());
  for (let i = 1; i <= 20; i++) await send(call(i, "echo", { message: `${i}` }));
  await until(() => stream.messages().length === 21, "every call is answered");
  const rss =
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${daemon.pid}/status`, "utf8"))?.[1]) / 1024;
  assert.ok(rss < 250, `the daemon has grown to ${rss} MiB`);
  const lines = (await daemon.cli(["logs", "alice"], { isForPeople: true })).stdout.split("\n");
  assert.ok(lines.length > 10 && lines.length <= 201);
});

test("a child that ignores SIGTERM and one that forks are gone with the daemon", async (t) => {
  const daemon = await startDaemon(t, {
    config: {
      servers: { one: fixture("sse", "ignores-sigterm"), two: fixture("sse", "forks-grandchild") },
      defaultServer: "one",
      stopTimeout: "500ms",
    },
  });
  const { key } = await daemon.addUser("alice");
  for (const server of ["one", "two"]) {
    const stream = await EventStream.open(daemon.port, {
      path: `/u/alice/${server}/sse`,
      headers: bearer(key.secret),
    });
    t.after(() => stream.close());
    const endpoint = await until(() => stream.endpoint, "the endpoint has come");
    assert.equal(
      (
        await ask(daemon.port, {
          method: "POST",
          path: endpoint,
          headers: [...bearer(key.secret), ...json],
          body: initialize(),
        })
      ).status,
      202,
    );
  }
  // That no process is left is what the helper looks for after the stop.
  assert.equal(await daemon.stop("SIGTERM"), 0);
});

test("a hundred first messages at once start one child and are all answered", async (t) => {
  const { daemon, post } = await alice(t, fixture("http", "slow-start", "--after", "500"), {
    startTimeout: "10s",
  });
  const answers = await Promise.all(
    Array.from({ length: 100 }, (_, i) => post("/u/alice/mcp", initialize(i))),
  );
  assert.deepEqual(
    answers.map(({ status }) => status),
    answers.map(() => 200),
  );
  assert.deepEqual(
    answers.map((answer) => refusal(answer).id),
    answers.map((_, i) => i),
  );
  assert.equal(new Set(answers.map(({ headers }) => headers["mcp-session-id"])).size, 100);
  const { instances } = (await daemon.cli(["status"])).json<{
    instances: { generation: number; sessions: number }[];
  }>();
  assert.deepEqual(
    instances.map(({ generation, sessions }) => [generation, sessions]),
    [[1, 100]],
  );
});

test("a client that gives up does not stop the start it began", async (t) => {
  const { daemon, secret } = await alice(t, fixture("http", "slow-start", "--after", "6000"), {
    startTimeout: "60s",
  });
  const stateOf = async () =>
    (await daemon.cli(["status"])).json<{ instances: { state: string }[] }>().instances[0]?.state;
  const impatient = request({
    port: daemon.port,
    method: "POST",
    path: "/u/alice/mcp",
    headers: { authorization: `Bearer ${secret}` },
  });
  impatient.on("error", () => {});
  impatient.end(initialize());
  await until(async () => (await stateOf()) === "starting", "the child is starting", 30_000);
  impatient.destroy();
  await until(async () => (await stateOf()) === "ready", "the child is ready all the same", 60_000);
});
