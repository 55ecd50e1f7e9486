// What every link promises (src/links/link.ts), over a server of each transport that the test plays.
import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import type { TestContext } from "node:test";
import type { Builtin, Say } from "../../src/builtins/builtin.ts";
import { SupervisorError } from "../../src/errors.ts";
import { HttpClient } from "../../src/links/http1/client.ts";
import type { Link, LinkEvents } from "../../src/links/link.ts";
import { openLink } from "../../src/links/open-link.ts";
import { ModernStdio } from "../../src/links/modern-stdio.ts";
import { SharedStdio } from "../../src/links/shared-stdio.ts";
import type { Target } from "../../src/links/target.ts";
import { MAX_BATCH, peek } from "../../src/mcp/client-body.ts";
import type { ClientMessage } from "../../src/mcp/client-body.ts";
import { wholeText } from "../../src/mcp/long-text.ts";
import { META } from "../../src/mcp/modern.ts";
import { call, initialize } from "../helpers/fixtures.ts";
import { serve } from "../helpers/serve.ts";
import { targetAt } from "../helpers/target.ts";
import { until } from "../helpers/until.ts";

interface Json {
  id?: number | string;
  method?: string;
  params?: Record<string, unknown>;
  result?: unknown;
}

/** A server of one transport, as far as the contract has to play it. */
interface Played {
  target: Target;
  /** What it got, in order. */
  got: Json[];
  /** Answers the request of that id that it got last, or says something of its own where there is none. */
  say: (message: Json) => void;
  /** Its process ends, in the middle of whatever it was about. */
  die: () => void;
  /** Whether the session has been ended at the server by the link. */
  wasLeft: () => boolean;
}

type Play = (t: TestContext) => Promise<Played>;

const json = (message: Json): string => JSON.stringify({ jsonrpc: "2.0", ...message });
const notice = (method: string): string => json({ method });
const HELLO = {
  protocolVersion: "2025-06-18",
  capabilities: {},
  serverInfo: { name: "s", version: "1" },
};

/** A child's end of its pipes, in the test's hands. */
function childEnds(): { stdin: PassThrough; stdout: PassThrough; got: Json[] } {
  const [stdin, stdout] = [new PassThrough(), new PassThrough()];
  const got: Json[] = [];
  let rest = "";
  stdin.setEncoding("utf8").on("data", (more: string) => {
    const lines = (rest + more).split("\n");
    rest = lines.pop()!;
    for (const line of lines) got.push(JSON.parse(line) as Json);
  });
  return { stdin, stdout, got };
}

const stdio: Play = async () => {
  const { stdin, stdout, got } = childEnds();
  const shared = new SharedStdio({
    stdin,
    stdout,
    capabilities: "{}",
    isOwn: false,
    resumeWindowMs: 60_000,
    clientVersion: "1",
    onFault: assert.fail,
    onBroken: assert.fail,
  });
  const say = (message: Json): void => {
    // The ids on the pipe are the gateway's own.
    const asked = got.findLast(({ method }) => method === "tools/call");
    stdout.write(`${json(message.id === undefined ? message : { ...message, id: asked!.id! })}\n`);
  };
  const hello = shared.initialize();
  const { id } = await until(() => got[0], "the child is greeted");
  stdout.write(`${json({ id: id!, result: HELLO })}\n`);
  await hello;
  got.length = 0;
  return {
    target: { transport: "stdio", era: "legacy", shared },
    got,
    say,
    die() {
      stdin.destroy();
      stdout.destroy();
      shared.end();
    },
    // Its calls are cancelled: the child has others, and stays.
    wasLeft: () => got.some(({ method }) => method === "notifications/cancelled"),
  };
};

const modern: Play = async () => {
  const { stdin, stdout, got } = childEnds();
  const hub = new ModernStdio({
    stdin,
    stdout,
    clientVersion: "1",
    onFault: assert.fail,
    onBroken: assert.fail,
  });
  const calls = (): Json[] => got.filter(({ method }) => method === "tools/call");
  return {
    target: { transport: "stdio", era: "modern", hub },
    got,
    say(message) {
      // All that a server of this era says is about a request.
      const _meta = { [META.subscriptionId]: calls()[0]?.id };
      const told = message.id === undefined ? { ...message, params: { _meta } } : message;
      stdout.write(
        `${json(message.id === undefined ? told : { ...told, id: calls().at(-1)!.id! })}\n`,
      );
    },
    die() {
      stdin.destroy();
      stdout.destroy();
      hub.end();
    },
    wasLeft: () => got.some(({ method }) => method === "notifications/cancelled"),
  };
};

const sse: Play = async (t) => {
  const got: Json[] = [];
  let stream: ServerResponse | undefined;
  let isLeft = false;
  const { url, server } = await serve(t, (req, res) => {
    if (req.method === "GET") {
      stream = res;
      res.on("close", () => (isLeft = true));
      res.writeHead(200, { "content-type": "text/event-stream" });
      return void res.write("event: endpoint\ndata: /messages\n\n");
    }
    void text(req).then((body) => {
      got.push(JSON.parse(body) as Json);
      res.writeHead(202).end("Accepted");
    });
  });
  return {
    target: targetAt(url),
    got,
    say: (message) => void stream!.write(`event: message\ndata: ${json(message)}\n\n`),
    die: () => server.closeAllConnections(),
    wasLeft: () => isLeft,
  };
};

const http: Play = async (t) => {
  const got: Json[] = [];
  const open = new Map<unknown, ServerResponse>();
  let stream: ServerResponse | undefined;
  let isLeft = false;
  const { url, server } = await serve(t, (req, res) => {
    const asStream = (): void => {
      res.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
    };
    if (req.method === "DELETE") {
      isLeft = true;
      return void res.writeHead(200).end();
    }
    if (req.method === "GET") {
      stream = res;
      return asStream();
    }
    void text(req).then((body) => {
      const message = JSON.parse(body) as Json;
      got.push(message);
      if (message.id === undefined) return void res.writeHead(202).end();
      if (message.method === "initialize") {
        res.setHeader("mcp-session-id", "s1").setHeader("content-type", "application/json");
        return void res.end(json({ id: message.id, result: HELLO }));
      }
      asStream();
      open.set(message.id, res);
    });
  });
  url.pathname = "/mcp";
  return {
    target: targetAt(url),
    got,
    say(message) {
      const res = open.get(message.id) ?? stream!;
      res.write(`data: ${json(message)}\n\n`);
      if (message.id !== undefined) res.end();
    },
    die: () => server.closeAllConnections(),
    wasLeft: () => isLeft,
  };
};

const builtin: Play = () => {
  const got: Json[] = [];
  const ids = new Map<unknown, string>();
  let hear: Say | undefined;
  let isLeft = false;
  const server: Builtin = {
    versions: [],
    open(_, say) {
      hear = say;
      const receive = (message: ClientMessage): void => {
        const value = JSON.parse(message.raw.toString()) as Json;
        got.push(value);
        if (message.id !== undefined) ids.set(value.id, message.id);
        const answer = { id: message.id, method: undefined };
        if (value.method === "initialize")
          say(Buffer.from(json({ id: value.id!, result: HELLO })), answer);
      };
      return { receive, close: () => void (isLeft = true) };
    },
  };
  return Promise.resolve({
    target: { transport: "builtin", server },
    got,
    say(message) {
      const id = ids.get(message.id);
      hear!(Buffer.from(json(message)), id === undefined ? undefined : { id, method: undefined });
    },
    die: assert.fail,
    wasLeft: () => isLeft,
  } satisfies Played);
};

interface Rig extends Played {
  link: Link;
  heard: Json[];
  closed: (SupervisorError | undefined)[];
  post: (...bodies: string[]) => Promise<number>;
}

async function rig(t: TestContext, play: Play): Promise<Rig> {
  const played = await play(t);
  const heard: Json[] = [];
  const closed: Rig["closed"] = [];
  const events: LinkEvents = {
    askable: new Set(),
    listener: {
      onMessage: (raw) => void heard.push(JSON.parse(wholeText(raw)) as Json),
      onDropped: assert.fail,
    },
    onClosed: (error) => void closed.push(error),
  };
  const clientFor = ({ url }: { url: URL }): HttpClient => {
    const client = new HttpClient(url, false);
    t.after(() => client.close());
    return client;
  };
  const link = await openLink({
    target: played.target,
    clientFor,
    postTimeoutMs: 10_000,
    events,
  });
  t.after(() => link.close());
  const post = async (...bodies: string[]): Promise<number> => {
    const body = Buffer.from(bodies.length === 1 ? bodies[0]! : `[${bodies.join(",")}]`);
    const seen = peek(body);
    assert.ok(seen.kind === "messages");
    return (await link.post({ body, messages: seen.messages, headers: [] })).status;
  };
  const { target } = played;
  if (!isGreeted(target)) return { ...played, link, heard, closed, post };
  // As a client begins: from here on a server may speak unasked.
  await post(initialize());
  await post(notice("notifications/initialized"));
  await until(() => target.transport === "sse" || heard.length === 1, "it is greeted");
  [played.got.length, heard.length] = [0, 0];
  return { ...played, link, heard, closed, post };
}

const LINKS: Record<string, Play> = { stdio, "stdio of 2026-07-28": modern, sse, http, builtin };

/** Whether a client begins with `initialize`; in 2026-07-28 it does not begin at all. */
const isGreeted = (target: Target): boolean =>
  target.transport !== "stdio" || target.era === "legacy";

for (const [kind, play] of Object.entries(LINKS)) {
  test(`${kind}: what is posted reaches the server in order, and its answers and news come back`, async (t) => {
    const { post, got, heard, say } = await rig(t, play);
    assert.equal(await post(call(7, "one")), 202);
    assert.equal(await post(call("8", "two"), notice("notifications/roots/list_changed")), 202);
    const last = "notifications/roots/list_changed";
    await until(() => got.at(-1)?.method === last, "all are there");
    const methods = got.map(({ method }) => method);
    assert.deepEqual(
      methods.filter((method) => method !== "notifications/initialized"),
      ["tools/call", "tools/call", "notifications/roots/list_changed"],
    );
    say({ id: "8", result: { is: "two" } });
    await until(() => heard.length === 1, "the answer is heard");
    assert.deepEqual([heard[0]!.id, heard[0]!.result], ["8", { is: "two" }]);
    say({ method: "notifications/tools/list_changed" });
    await until(() => heard.length === 2, "the news is heard");
    assert.equal(heard[1]!.method, "notifications/tools/list_changed");
  });

  test(`${kind}: who closes it ends the session at the server, and hears nothing more`, async (t) => {
    const { post, heard, closed, link, wasLeft, say, got } = await rig(t, play);
    await post(call(1, "slow"));
    await until(() => got.length > 0, "the call is there");
    link.close();
    await until(wasLeft, "the server knows");
    if (kind === "stdio") say({ id: 1, result: {} });
    link.close();
    assert.deepEqual([heard, closed], [[], []]);
  });

  test(`${kind}: who abandons it tells a server that is gone nothing, and takes no more messages`, async (t) => {
    const { post, closed, link } = await rig(t, play);
    link.abandon(new SupervisorError("UPSTREAM_RESET", "the child has ended"));
    await assert.rejects(post(call(1, "late")), { code: "UPSTREAM_RESET" });
    assert.deepEqual(closed, []);
  });

  test(`${kind}: a call that its client cancels is cancelled at the server, and not answered`, async (t) => {
    const { post, got, heard } = await rig(t, play);
    await post(call(1, "slow"));
    await post(
      JSON.stringify({
        jsonrpc: "2.0",
        method: "notifications/cancelled",
        params: { requestId: 1 },
      }),
    );
    const find = (wanted: string) => got.find(({ method }) => method === wanted);
    const cancelled = await until(() => find("notifications/cancelled"), "the server knows");
    // Under the id by which the server was asked, which may be the gateway's own.
    assert.equal(cancelled.params!["requestId"], find("tools/call")!.id);
    assert.deepEqual(heard, []);
  });

  const neverEnds = play === builtin ? "it ends with its generation, which tells of that" : false;
  const dying = { skip: neverEnds };
  test(
    `${kind}: a server that ends in the middle of an answer is no longer posted to`,
    dying,
    async (t) => {
      const { post, got, die, heard, closed } = await rig(t, play);
      await post(call(1, "slow"));
      await until(() => got.length > 0, "the call is there");
      die();
      // Of a child's end its generation tells; a connection tells of its own.
      if (kind !== "stdio") await until(() => closed.length === 1, "the link is over");
      await assert.rejects(post(call(2, "next")), (error: SupervisorError) =>
        ["UPSTREAM_RESET", "UPSTREAM_REFUSED"].includes(error.code),
      );
      assert.deepEqual(heard, []);
      assert.ok(closed.length <= 1);
    },
  );

  const never: [Play, string][] = [
    [modern, "its child has other callers and waits for none"],
    [builtin, "what it says is counted with what waits for the client, and waits nowhere else"],
  ];
  const pausing = { skip: new Map(never).get(play) ?? false };
  test(`${kind}: a server that is paused is read on where it stopped`, pausing, async (t) => {
    const { post, got, say, heard, link } = await rig(t, play);
    await post(call(1, "big"));
    await until(() => got.length > 0, "the call is there");
    link.pause();
    say({ id: 1, result: { big: "x".repeat(1024 * 1024) } });
    // A round trip through the event loop: what is read at all has been read by then.
    for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(heard.length, 0);
    link.resume();
    const [answer] = await until(() => (heard.length === 1 ? heard : undefined), "it is heard");
    assert.equal(answer!.id, 1);
  });
}

test("builtin: what it says while its client reads nothing waits with the client's stream, where it is counted", async (t) => {
  const { post, say, heard, link } = await rig(t, builtin);
  await post(call(1, "big"));
  link.pause();
  say({ id: 1, result: {} });
  assert.equal(heard.length, 1);
  link.resume();
});

for (const transport of ["sse", "http"] as const)
  test(`${transport}: a redirect within the server is followed unseen, one to elsewhere is refused and never called`, async (t) => {
    let elsewhere = 0;
    const other = await serve(t, (_req, res) => void res.end(String((elsewhere += 1))));
    let isLeading = false;
    const posted: string[] = [];
    const { url } = await serve(t, (req, res) => {
      if (req.method === "GET") {
        res.writeHead(200, { "content-type": "text/event-stream" });
        return void res.write("event: endpoint\ndata: /messages\n\n");
      }
      if (isLeading) return void res.writeHead(307, { location: other.url.href }).end();
      if (!req.url!.endsWith("/"))
        return void res.writeHead(308, { location: `${req.url!}/` }).end();
      void text(req).then((body) => {
        posted.push(body);
        res.writeHead(202).end();
      });
    });
    const client = new HttpClient(url, false);
    t.after(() => client.close());
    const link = await openLink({
      target: targetAt(url, { transport }),
      clientFor: () => client,
      postTimeoutMs: 10_000,
      events: {
        askable: new Set(),
        listener: { onMessage() {}, onDropped() {} },
        onClosed() {},
      },
    });
    t.after(() => link.close());
    const say = (body: string): Promise<unknown> => {
      const seen = peek(Buffer.from(body));
      assert.ok(seen.kind === "messages");
      return link.post({ body: Buffer.from(body), messages: seen.messages, headers: [] });
    };
    await say(notice("notifications/roots/list_changed"));
    assert.equal(posted.length, 1);
    isLeading = true;
    await assert.rejects(say(notice("notifications/roots/list_changed")), {
      code: "UPSTREAM_INVALID",
      message: /redirects to another origin/,
    });
    assert.equal(elsewhere, 0);
  });

test("sse: what a server asks in the same breath as it opens, and too much of it, is refused", async (t) => {
  const questions = Array.from({ length: MAX_BATCH + 1 }, (_, id) => `{"id":${id},"method":"x"}`);
  const refused: Json[] = [];
  const { url } = await serve(t, (req, res) => {
    if (req.method === "GET") {
      res.writeHead(200, { "content-type": "text/event-stream" });
      const asked = `event: message\ndata: [${questions.join()}]\n\n`;
      return void res.write(`event: endpoint\ndata: /messages\n\n${asked}`);
    }
    void text(req).then((body) => {
      refused.push(JSON.parse(body) as Json);
      res.writeHead(202).end();
    });
  });
  const client = new HttpClient(url, false);
  t.after(() => client.close());
  const closed: (SupervisorError | undefined)[] = [];
  const link = await openLink({
    target: targetAt(url),
    clientFor: () => client,
    postTimeoutMs: 10_000,
    events: {
      askable: new Set(),
      listener: { onMessage: () => assert.fail("it is passed on"), onDropped: assert.fail },
      onClosed: (error) => void closed.push(error),
    },
  });
  t.after(() => link.close());
  await until(() => refused.length > 0 || closed.length > 0, "the server has its answer");
  assert.deepEqual(closed, []);
});
