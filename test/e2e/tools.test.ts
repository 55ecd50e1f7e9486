import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import type { TestContext } from "node:test";
import {
  health,
  refusal,
  serverList,
  toolList,
  toolResult,
} from "../../src/gateway/tool-schemas.ts";
import { askControl, orderControl } from "../helpers/control.ts";
import { startDaemon } from "../helpers/daemon.ts";
import type { TestDaemon } from "../helpers/daemon.ts";
import { echoServer } from "../helpers/echo.ts";
import { ask } from "../helpers/raw-http.ts";
import type { Answer } from "../helpers/raw-http.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { until } from "../helpers/until.ts";

const WITNESS = fileURLToPath(new URL("../fixtures/servers/witness.ts", import.meta.url));
const JSON_TYPE = ["content-type", "application/json"];

/** A server that writes down into this file what it gets. */
const witness = (record: string, type?: "sse" | "http"): Record<string, unknown> => {
  const own = [WITNESS, "--record", record];
  const port = type === undefined ? [] : ["--port", "${port}"];
  return { command: process.execPath, args: [...own, ...port], ...(type && { type }) };
};

const messagesIn = (record: string): { method?: string; id?: unknown; params?: unknown }[] =>
  (existsSync(record) ? readFileSync(record, "utf8") : "")
    .split("\n")
    .filter((line) => line.includes('"got"'))
    .map((line) => (JSON.parse(line) as { got: object }).got);

interface Rig {
  daemon: TestDaemon;
  dir: string;
  get: (path: string) => Promise<Answer>;
  call: (body: object | string) => Promise<Answer>;
  stop: () => Promise<void>;
}

async function rig(t: TestContext, servers: (dir: string) => object): Promise<Rig> {
  const dir = temporaryFolder(t);
  const limits = { bodyBytes: "64K" };
  const config = { servers: servers(dir), defaultServer: "first", stopTimeout: "1s", limits };
  const daemon = await startDaemon(t, { config });
  const { key } = await daemon.addUser("alice");
  const bearer = ["authorization", `Bearer ${key.secret}`];
  const get = (path: string) => ask(daemon.port, { path, headers: bearer });
  const call = (body: object | string) =>
    ask(daemon.port, {
      method: "POST",
      path: "/tools",
      headers: [...bearer, ...JSON_TYPE],
      body: typeof body === "string" ? body : JSON.stringify(body),
    });
  const stop = async () => {
    await orderControl(daemon.socket, "POST", "/api/stop", {});
  };
  return { daemon, dir, get, call, stop };
}

const errorOf = ({ body }: Pick<Answer, "body">) => refusal.parse(JSON.parse(body)).error;
const textOf = (answer: Answer) => {
  assert.equal(answer.status, 200, answer.body);
  const { result, server } = toolResult.parse(JSON.parse(answer.body));
  return [result.content?.[0]?.["text"], server];
};

test("a tool is called by a POST over whatever its server speaks, as the documents of the proxy API say", async (t) => {
  const { call, get, dir, stop, daemon } = await rig(t, (at) => ({
    first: witness(join(at, "first")),
    second: witness(join(at, "second"), "http"),
    third: witness(join(at, "third"), "sse"),
    other: echoServer("http"),
  }));

  for (const server of ["first", "second", "third"])
    assert.deepEqual(
      textOf(await call({ method: "echo", args: { text: `hello ${server}` }, server })),
      [`hello ${server}`, server],
    );
  assert.deepEqual(textOf(await call({ method: "echo", args: { text: "x" } })), ["x", "first"]);
  // The numbers and the order of what is posted are the server's to read.
  const big = '{"args": {"text": 12345678901234567890, "z": 1, "a": 2},\n "method": "echo"}';
  await call(big);
  assert.match(readFileSync(join(dir, "first"), "utf8"), /"text":12345678901234567000,"z":1,"a":2/);
  const hello = messagesIn(join(dir, "first"))[0] as { params: { capabilities: object } };
  assert.deepEqual(hello.params.capabilities, {});
  const greetings = messagesIn(join(dir, "first")).filter(({ method }) => method === "initialize");
  assert.equal(greetings.length, 1, "all calls go over one link");

  const listed = toolList.parse(JSON.parse((await get("/tools/list")).body));
  assert.deepEqual(listed.errors, []);
  const echoes = listed.tools.filter(({ name }) => name === "echo");
  assert.deepEqual(
    echoes.map(({ servers }) => servers),
    [["first", "second", "third"], ["other"]],
  );
  const one = toolList.parse(JSON.parse((await get("/tools/list?server=other")).body));
  assert.ok(one.tools.every(({ servers }) => servers.join() === "other"));
  assert.equal(errorOf(await get("/tools/list?server=nobody")).type, "SERVER_NOT_FOUND");

  const { servers } = serverList.parse(JSON.parse((await get("/servers")).body));
  assert.deepEqual(
    servers.map(({ slug, type, state }) => [slug, type, state]),
    [
      ["first", "stdio", "ready"],
      ["second", "http", "ready"],
      ["third", "sse", "ready"],
      ["other", "http", "ready"],
    ],
  );

  for (const [body, status, type] of [
    ["nonsense", 400, "REQUEST_INVALID"],
    ["[]", 400, "REQUEST_INVALID"],
    [{}, 400, "REQUEST_INVALID"],
    [{ method: "echo", args: [] }, 400, "REQUEST_INVALID"],
    [{ method: "echo", extra: 1 }, 400, "REQUEST_INVALID"],
    ['{"method":"echo","args":{},"args":{}}', 400, "REQUEST_INVALID"],
    [{ method: "no-such-tool" }, 404, "TOOL_NOT_FOUND"],
    [{ method: "noise", server: "other", strict: true }, 404, "TOOL_NOT_FOUND"],
    [{ method: "echo", server: "nobody", strict: true }, 404, "SERVER_NOT_FOUND"],
  ] as const) {
    const answer = await call(body);
    assert.equal(answer.status, status, answer.body);
    assert.deepEqual([errorOf(answer).code, errorOf(answer).type], [status, type]);
  }
  assert.deepEqual(textOf(await call({ method: "echo", args: { text: "y" }, server: "nobody" })), [
    "y",
    "first",
  ]);
  const huge = await call({ method: "echo", args: { text: "x".repeat(70_000) } });
  assert.deepEqual([huge.status, errorOf(huge).type], [413, "BODY_TOO_LARGE"]);
  const from = (...headers: string[]) =>
    ask(daemon.port, { method: "POST", path: "/tools", headers, body: "{}" });
  const strange = await from("origin", "http://evil.example", ...JSON_TYPE);
  assert.deepEqual([strange.status, errorOf(strange).type], [403, "ORIGIN_REFUSED"]);
  const rebound = await from("host", "evil.example", ...JSON_TYPE);
  assert.deepEqual([rebound.status, errorOf(rebound).type], [403, "HOST_REFUSED"]);

  // As an admin, in the user's name.
  const args = '{"text":"from the shell"}';
  const typed = ["call", "alice", "echo", "--server", "second", "--args", args];
  const shown = await daemon.cli(typed, { isForPeople: true });
  assert.deepEqual([shown.code, shown.stdout], [0, "from the shell\n"], shown.stderr);
  const table = (await daemon.cli(["tools", "alice"], { isForPeople: true })).stdout;
  assert.match(table, /^echo +first, second, third$/m);
  const audited = await orderControl<{ entries: Record<string, string | null>[] }>(
    daemon.socket,
    "GET",
    "/api/audit?user=alice&limit=20",
  );
  const byAdmin = audited.entries.filter(({ who }) => String(who).startsWith("uid "));
  assert.deepEqual(
    byAdmin
      .map(({ kind, what, server, outcome }) => [kind, what, server, outcome].join())
      .filter((row) => row.includes("echo"))
      .toSorted(),
    ["admin,call echo,,ok", "call,echo,second,ok"],
  );
  await orderControl(daemon.socket, "POST", "/api/users", { user: "carol" });
  await orderControl(daemon.socket, "POST", "/api/users/carol/disable", {});
  const off = await askControl(daemon.socket, "POST", "/api/users/carol/tools", { method: "echo" });
  assert.deepEqual([off.status, errorOf(off).type], [409, "USER_DISABLED"]);

  const plain = health.parse(JSON.parse((await ask(daemon.port, { path: "/health" })).body));
  assert.equal(plain.servers.list, undefined);
  const detailed = health.parse(JSON.parse((await get("/health?details")).body));
  assert.deepEqual(
    detailed.servers.list?.map(({ slug }) => slug),
    ["first", "second", "third", "other"],
  );
  const nobody = await ask(daemon.port, { path: "/health?details" });
  assert.equal(health.parse(JSON.parse(nobody.body)).servers.list, undefined);

  // What they last showed is known once they have been asked for it, which happens behind the calls.
  await until(async () => {
    await stop();
    const again = toolList.parse(JSON.parse((await get("/tools/list")).body));
    assert.equal(again.tools.length, listed.tools.length);
    const { servers: after } = serverList.parse(JSON.parse((await get("/servers")).body));
    return after.every(({ state, tools }) => state === "stopped" && tools !== null);
  }, "the list needs no child");
});

test("whoever hangs up has cancelled the call, and no tool runs twice", async (t) => {
  const { call, dir, daemon } = await rig(t, (at) => ({
    first: witness(join(at, "first")),
    second: witness(join(at, "second"), "http"),
  }));
  const { key } = await orderControl<{ key: { secret: string } }>(
    daemon.socket,
    "POST",
    "/api/users",
    { user: "bob" },
  );
  for (const server of ["first", "second"]) {
    const leave = new AbortController();
    const body = JSON.stringify({ method: "sleep", args: { ms: 600_000 }, server });
    const asked = request({
      host: "127.0.0.1",
      port: daemon.port,
      method: "POST",
      path: `/tools?token=${key.secret}`,
      headers: { "content-type": "application/json" },
      agent: false,
      signal: leave.signal,
    });
    asked.on("error", () => undefined).end(body);
    const record = join(dir, server);
    const methods = () => messagesIn(record).map(({ method }) => method);
    await until(() => methods().includes("tools/call"), "the call has come");
    leave.abort();
    await until(() => methods().includes("notifications/cancelled"), "the server has heard of it");
  }

  // A child that dies over a call: it may have run, and is not sent again, to nobody.
  const calls = () =>
    messagesIn(join(dir, "first")).filter(({ method }) => method === "tools/call").length;
  const before = calls();
  const dying = call({ method: "sleep", args: { ms: 600_000 } });
  // What it has not read would go to the next child.
  await until(() => calls() > before, "the child has the call");
  const { instances } = await orderControl<{ instances: { pid: number }[] }>(
    daemon.socket,
    "GET",
    "/api/status?user=alice&server=first",
  );
  process.kill(instances[0]!.pid, "SIGKILL");
  const lost = await dying;
  assert.equal(lost.status, 500, lost.body);
  assert.match(errorOf(lost).message, /the tool may have run/);
});

test("a server that cannot be had is 503 with the time to try again, and the others are listed and called", async (t) => {
  const { call, get } = await rig(t, (at) => ({
    first: { command: process.execPath, args: ["--eval", "process.exit(3)"], startTimeout: "5s" },
    second: witness(join(at, "second")),
    third: { url: "http://127.0.0.1:1/mcp" },
  }));
  const listed = toolList.parse(JSON.parse((await get("/tools/list")).body));
  assert.deepEqual(
    listed.errors.map(({ server }) => server),
    ["first", "third"],
  );
  assert.deepEqual(textOf(await call({ method: "echo", args: { text: "x" }, server: "first" })), [
    "x",
    "second",
  ]);
  for (const server of ["first", "third", "http://127.0.0.1:1/mcp"]) {
    const answer = await call({ method: "echo", server, strict: true });
    assert.equal(answer.status, 503, answer.body);
    assert.match(String(answer.headers["retry-after"]), /^\d+$/);
  }
});

test("a call ends with the key that it came by, and with the daemon, which says that it may have run", async (t) => {
  const { call, get, dir, daemon } = await rig(t, (at) => ({
    first: witness(join(at, "first")),
    feishu: { builtin: "feishu-token" },
  }));
  // A server that is part of the daemon has tools as well.
  const feishu = toolList.parse(JSON.parse((await get("/tools/list?server=feishu")).body));
  assert.ok(feishu.tools.some(({ name }) => name === "get_feishu_app_token"));
  const token = await call({ method: "get_feishu_app_token" });
  assert.deepEqual([token.status, JSON.parse(token.body).server], [200, "feishu"]);

  const underWay = (ms: number) =>
    until(
      () =>
        messagesIn(join(dir, "first")).find(
          ({ params }) => (params as { arguments?: { ms?: number } })?.arguments?.ms === ms,
        ),
      "the call is under way",
    );
  const cancelled = (id: unknown) =>
    until(
      () =>
        messagesIn(join(dir, "first")).some(
          ({ method, params }) =>
            method === "notifications/cancelled" &&
            (params as { requestId: unknown }).requestId === id,
        ),
      "the call is cancelled",
    );
  const other = await orderControl<{ id: string; secret: string }>(
    daemon.socket,
    "POST",
    "/api/users/alice/keys",
    {},
  );
  const byOther = ask(daemon.port, {
    method: "POST",
    path: `/tools?token=${other.secret}`,
    headers: JSON_TYPE,
    body: JSON.stringify({ method: "sleep", args: { ms: 600_001 } }),
  });
  byOther.catch(() => undefined);
  const { id } = await underWay(600_001);
  await orderControl(daemon.socket, "DELETE", `/api/keys/${other.id}`);
  await assert.rejects(byOther, "the connection is closed");
  await cancelled(id);

  const last = call({ method: "sleep", args: { ms: 600_002 } });
  await underWay(600_002);
  await daemon.stop();
  const answer = await last;
  assert.deepEqual([answer.status, errorOf(answer).type], [500, "TOOL_FAILED"]);
  assert.match(errorOf(answer).message, /the tool may have run/);
});
