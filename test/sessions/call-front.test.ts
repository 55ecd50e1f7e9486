import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import type { TestContext } from "node:test";
import { test } from "node:test";
import { wholeText } from "../../src/mcp/long-text.ts";
import { CallFront, helloOf } from "../../src/sessions/call-front.ts";
import type { CallWatch } from "../../src/sessions/calls.ts";
import { testInstance } from "../helpers/instance.ts";
import { sessionOptions } from "../helpers/session.ts";
import { serve } from "../helpers/serve.ts";
import { until } from "../helpers/until.ts";

interface Said {
  id?: number;
  method?: string;
  params?: { name?: string; requestId?: number };
  result?: unknown;
  error?: { code: number };
}

const GREETING = { protocolVersion: "2025-11-25", capabilities: { tools: {} }, serverInfo: {} };

/** A link to a server whose answers the test gives; it greets unless it is told not to. */
async function rig(t: TestContext, { greets = true } = {}) {
  const heard: Said[] = [];
  let stream: ServerResponse | undefined;
  const say = (message: object): void =>
    void stream?.write(
      `event: message\ndata: ${JSON.stringify({ jsonrpc: "2.0", ...message })}\n\n`,
    );
  const { url } = await serve(t, (req, res) => {
    if (req.method === "GET") {
      stream = res.writeHead(200, { "content-type": "text/event-stream" });
      return void res.write("event: endpoint\ndata: /messages\n\n");
    }
    let body = "";
    req.setEncoding("utf8").on("data", (text: string) => (body += text));
    req.on("end", () => {
      const message = JSON.parse(body) as Said;
      heard.push(message);
      res.writeHead(202).end();
      if (message.method === "initialize" && greets) say({ id: message.id, result: GREETING });
    });
    return undefined;
  });
  const child = testInstance();
  const { instance } = child;
  const front = new CallFront(
    sessionOptions(instance, { user: "", issuer: "tools", credentialId: "" }),
    { instance, askable: new Set() },
    helloOf("1"),
  );
  t.after(() => {
    front.close(front.cutOff);
    child.end("the test is over");
  });
  const outcomes: string[] = [];
  const watch: CallWatch = {
    requestId: "req_1",
    failApart() {},
    begin: () => ({ end: (outcome) => void outcomes.push(outcome) }),
  };
  const call = (tool: string, signal = new AbortController().signal) =>
    front.call({ tool, args: Buffer.from("{}"), watch, signal });
  const heardOf = (tool: string) =>
    until(() => heard.find(({ params }) => params?.name === tool), `${tool} is called`);
  return { front, child, url, heard, say, call, heardOf, outcomes };
}

test("calls go over one link, greeted once, and each answer goes to its caller", async (t) => {
  const { front, child, url, heard, say, call, heardOf, outcomes } = await rig(t);
  child.start(url);
  await Promise.all([front.ready(10_000), front.ready(10_000)]);
  const names = ["a", "b", "c", "d"];
  const answers = names.map((name) => call(name));
  for (const name of names.toReversed()) {
    const { id } = await heardOf(name);
    say({ method: "notifications/message", params: { level: "info", data: "beside" } });
    say({ id, result: { content: [], of: name } });
  }
  for (const [at, answer] of (await Promise.all(answers)).entries())
    assert.ok(wholeText(answer).includes(`"of":"${names[at]}"`));
  assert.equal(heard.filter(({ method }) => method === "initialize").length, 1);
  assert.deepEqual(outcomes, ["ok", "ok", "ok", "ok"]);
});

test("whoever leaves has cancelled the call, and one who left before it went out has sent nothing", async (t) => {
  const { front, child, url, heard, say, call, heardOf, outcomes } = await rig(t);
  const early = new AbortController();
  const starting = front.ready(10_000).then(() => call("early", early.signal));
  early.abort();
  child.start(url);
  await assert.rejects(starting, /has left/);
  const late = new AbortController();
  const calling = call("late", late.signal);
  const { id } = await heardOf("late");
  late.abort();
  await assert.rejects(calling, /has left/);
  const told = await until(
    () => heard.find(({ method }) => method === "notifications/cancelled"),
    "the server is told",
  );
  assert.equal(told.params?.requestId, id);
  // An answer that comes all the same is nobody's.
  say({ id, result: {} });
  const next = call("next");
  say({ id: (await heardOf("next")).id, result: { of: "next" } });
  assert.ok(wholeText(await next).includes("next"));
  assert.equal(heard.filter(({ params }) => params?.name === "early").length, 0);
  assert.deepEqual(outcomes, ["cancelled", "ok"]);
});

test("a server's questions are answered in the place of a client, and it is heard that its tools are others", async (t) => {
  const { front, child, url, heard, say } = await rig(t);
  child.start(url);
  await front.ready(10_000);
  say({ id: 71, method: "ping" });
  say({ id: 72, method: "roots/list" });
  say({ method: "notifications/tools/list_changed" });
  const answerTo = (id: number) =>
    until(
      () => heard.find((one) => one.id === id && one.method === undefined),
      `${id} is answered`,
    );
  assert.deepEqual((await answerTo(71)).result, {});
  assert.ok((await answerTo(72)).error);
  await until(() => front.toolsChanges === 1, "the change is heard");
});

test("a call whose child ends may have run, and the next one goes to the next child", async (t) => {
  const { front, child, url, heard, say, call, heardOf, outcomes } = await rig(t);
  child.start(url);
  await front.ready(10_000);
  const lost = call("lost");
  await heardOf("lost");
  child.end("was killed by SIGKILL");
  const data = { mayHaveHappened: true, reason: "was killed by SIGKILL" };
  await assert.rejects(lost, { data });
  await front.ready(10_000);
  const next = call("next");
  say({ id: (await heardOf("next")).id, result: {} });
  await next;
  assert.equal(
    heard.filter(({ params }) => params?.name === "lost").length,
    1,
    "it is not sent again",
  );
  assert.equal(child.starts(), 2);
  await until(() => outcomes.includes("lost") && outcomes.includes("ok"), "both are told");
});

test("a server that does not greet in time leaves a session that is over, so that the next one can begin", async (t) => {
  const { front, child, url } = await rig(t, { greets: false });
  child.start(url);
  await assert.rejects(front.ready(20), { code: "UPSTREAM_TIMEOUT" });
  assert.equal(front.session.isLost, true);
});
