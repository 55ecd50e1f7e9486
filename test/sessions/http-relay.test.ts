import assert from "node:assert/strict";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { TestContext } from "node:test";
import { test } from "node:test";
import { SupervisorError } from "../../src/errors.ts";
import { peek } from "../../src/mcp/client-body.ts";
import type { CallWatch } from "../../src/sessions/calls.ts";
import { postStreamName, readEventId } from "../../src/sessions/event-id.ts";
import { Backends } from "../../src/sessions/backends.ts";
import { HttpRelay } from "../../src/sessions/http-relay.ts";
import type { ClientOutlet } from "../../src/sessions/outlet.ts";
import type { Resend } from "../../src/sessions/resend.ts";
import { call, initialize, rpc } from "../helpers/fixtures.ts";
import { testInstance } from "../helpers/instance.ts";
import { forReturns } from "../helpers/session.ts";
import { serve } from "../helpers/serve.ts";
import { targetAt } from "../helpers/target.ts";
import { until } from "../helpers/until.ts";
import { skippingTime } from "../helpers/skippable-time.ts";

const eventStream = { "content-type": "text/event-stream" };
const WATCH: CallWatch = { requestId: "life-1", begin: () => ({ end() {} }), failApart() {} };
const HELLO = { protocolVersion: "2025-03-26", capabilities: { tools: {} } };

interface Said {
  id?: number;
  method?: string;
  result?: unknown;
  params?: { name?: string };
}

interface Got {
  method: string;
  session: string;
  said: Said;
  res: ServerResponse;
}

const resultOf = (id: unknown, result: object): string =>
  JSON.stringify({ jsonrpc: "2.0", id, result });
const eventOf = (text: string): string => `data: ${text}\n\n`;

interface Seen {
  status: number;
  isStream: boolean;
  text: string;
  ends: number;
  failure: SupervisorError | undefined;
  unanswered: readonly string[];
  /** Of the events. */
  ids: string[];
}

function outlet(): { seen: Seen; outlet: ClientOutlet } {
  const seen: Seen = {
    status: 0,
    isStream: false,
    text: "",
    ends: 0,
    failure: undefined,
    unanswered: [],
    ids: [],
  };
  return {
    seen,
    outlet: {
      accepted: "either",
      unread: 0,
      head: (status, _headers, isStream) => Object.assign(seen, { status, isStream }),
      part: (bytes) => (seen.text += bytes.toString()).length > 0,
      event(idLine, text) {
        seen.ids.push(idLine.slice(4).trim());
        return (seen.text += text).length > 0;
      },
      onceDrained() {},
      end: () => (seen.ends += 1),
      fail: (failure, unanswered) => Object.assign(seen, { failure, unanswered }),
    },
  };
}

interface Options {
  isStateful?: boolean;
  isRemote?: boolean;
  resend?: Resend;
  resumeWindowMs?: number;
  /** Answers instead of the server; false leaves it to that. */
  reply?: (got: Got, isKnown: boolean) => boolean;
}

/** A relay to a server that names its sessions s1, s2, …, and knows those that it named since its last start. */
async function rig(t: TestContext, more: Options = {}) {
  const { isStateful = false, resend = "reads", reply } = more;
  const got: Got[] = [];
  const streams = new Set<ServerResponse>();
  let known = new Set<string>(["s1"]);
  let named = 1;
  const answer = (one: Got): void => {
    const { method, session, said, res } = one;
    if (method === "POST" && said.method === "initialize") {
      named += 1;
      known.add(`s${named}`);
      res.writeHead(200, { "mcp-session-id": `s${named}` }).end(resultOf(said.id, HELLO));
    } else if (reply?.(one, known.has(session)) === true) return;
    else if (!known.has(session)) res.writeHead(404).end();
    else if (method === "GET") {
      streams.add(res.on("close", () => streams.delete(res)));
      res.writeHead(200, eventStream).flushHeaders();
    } else if (said.id === undefined || said.method === undefined) res.writeHead(202).end();
    else res.end(resultOf(said.id, { session }));
  };
  const served = await serve(t, (req: IncomingMessage, res) => {
    let body = "";
    req.setEncoding("utf8").on("data", (text: string) => (body += text));
    req.on("end", () => {
      const said = (body === "" ? {} : JSON.parse(body)) as Said;
      const one = {
        method: req.method!,
        session: String(req.headers["mcp-session-id"]),
        said,
        res,
      };
      got.push(one);
      answer(one);
    });
  });
  const child = testInstance();
  const at = new URL("/mcp", served.url);
  const { isRemote = false } = more;
  child.start(targetAt(at, { isRemote }));
  const { instance } = child;
  const relay = new HttpRelay(
    {
      holder: { user: "alice", issuer: "key", credentialId: "k1" },
      instance,
      isStateful,
      staysBehind: isStateful,
      resend,
      patienceMs: 10_000,
      backends: new Backends(),
      ...forReturns(undefined, more.resumeWindowMs),
    },
    await instance.ensure(),
    "s1",
  );
  const [hello] = messagesIn(initialize());
  relay.session.memory.begun(hello!, Buffer.from(resultOf(0, HELLO)));
  t.after(() => {
    relay.close();
    child.end("the test is over");
  });
  const post = (text: string) => {
    const { seen, outlet: own } = outlet();
    const posting = { body: Buffer.from(text), messages: messagesIn(text), headers: [] };
    return { seen, outlet: own, over: relay.post(posting, own, WATCH, () => false) };
  };
  return {
    relay,
    child,
    got,
    streams,
    post,
    /** Posts, and resolves with what the client has at the end. */
    ask: async (text: string): Promise<Seen> => {
      const { seen, over } = post(text);
      await over;
      await until(() => seen.ends > 0 || seen.failure, "it is answered");
      return seen;
    },
    listen: (lastId?: string) => {
      const { seen, outlet: own } = outlet();
      relay.listen({ outlet: own, requestId: "life-2", at: readEventId(lastId) }, []);
      return { seen, left: () => relay.left(own) };
    },
    forget: () => (known = new Set()),
    /** Ends the generation; the next one knows nothing. */
    kill: () => {
      known = new Set();
      child.end("was killed by SIGKILL");
      child.start(at);
      served.server.closeAllConnections();
    },
    said: (method: string) => got.filter(({ said }) => said.method === method),
  };
}

function messagesIn(text: string) {
  const seen = peek(Buffer.from(text));
  assert.ok(seen.kind === "messages");
  return seen.messages;
}

const initialized = JSON.stringify({ jsonrpc: "2.0", method: "notifications/initialized" });
const hasResult = ({ text }: Seen): boolean => text.includes('"result"');

test("a session goes on with the next generation, under that one's id, once it was told of it", async (t) => {
  const { ask, kill, said, relay } = await rig(t);
  const { id } = relay.session;
  await ask(initialized);
  assert.equal((await ask(call(1, "echo"))).text, resultOf(1, { session: "s1" }));
  kill();
  assert.equal((await ask(call(2, "echo"))).text, resultOf(2, { session: "s2" }));
  const order = said("initialize").concat(said("notifications/initialized"), said("tools/call"));
  assert.deepEqual(
    order.map(({ session }) => session),
    ["undefined", "s1", "s2", "s1", "s2"],
  );
  assert.deepEqual([relay.session.id, relay.session.isLost], [id, false]);
});

test("the stream of a client stays open while its server is replaced, and goes on with the next one's", async (t) => {
  const { ask, kill, listen, streams, got } = await rig(t);
  await ask(initialized);
  const { seen } = listen();
  await until(() => seen.isStream && streams.size === 1, "it listens");
  kill();
  await until(() => streams.size === 0, "the server's stream is over");
  await ask(call(1, "echo"));
  const next = await until(() => [...streams][0], "the next one is listened to");
  next.write(eventOf('{"jsonrpc":"2.0","method":"notifications/message"}'));
  await until(() => seen.text.includes("notifications/message"), "it has its news");
  assert.deepEqual([seen.status, seen.ends], [200, 0]);
  assert.deepEqual(
    got.filter(({ method }) => method === "GET").map(({ session }) => session),
    ["s1", "s2"],
  );
});

test("who comes to listen while there is no server has a stream at once, and no server is started for it", async (t) => {
  const { child, kill, listen, relay } = await rig(t);
  kill();
  await until(() => relay.session.live === undefined, "the session has no server");
  const starts = child.starts();
  const { seen } = listen();
  assert.deepEqual([seen.status, seen.isStream, child.starts()], [200, true, starts]);
});

test("a call whose server is killed fails with why, on the stream that its answer had begun", async (t) => {
  const { post, kill, said } = await rig(t, {
    reply: ({ said: { method }, res }) => {
      if (method === "tools/call") res.writeHead(200, eventStream).write(":\n\n");
      return method === "tools/call";
    },
  });
  const { seen } = post(call(1, "pay"));
  await until(() => seen.isStream, "its answer has begun");
  kill();
  await until(() => seen.failure, "it has failed");
  assert.equal(seen.failure?.code, "INSTANCE_EXITED");
  assert.match(seen.text, /"id":1,"error":.*"INSTANCE_EXITED".*"mayHaveHappened":true/);
  assert.equal(said("tools/call").length, 1);
});

test("of an answer that finds no room nobody says that its call has not happened", async (t) => {
  const { post, relay, said } = await rig(t, {
    reply: ({ said: { method } }) => method === "tools/call",
  });
  const { seen } = post(call(1, "pay"));
  await until(() => said("tools/call").length === 1, "the server has it");
  relay.onDropped("1", new SupervisorError("ANSWER_TOO_LARGE", "the answer is too large"));
  await until(() => seen.failure, "it has failed");
  assert.deepEqual([seen.failure?.code, seen.failure?.data], ["ANSWER_TOO_LARGE", undefined]);
});

test("a call whose server is killed in the middle of an event is told why, behind what there is of it", async (t) => {
  const half = `data: {"jsonrpc":"2.0","id":1,"result":{"of":"${"x".repeat(70_000)}`;
  const { post, kill } = await rig(t, {
    reply: ({ said: { method }, res }) => {
      if (method === "tools/call") res.writeHead(200, eventStream).write(half);
      return method === "tools/call";
    },
  });
  const { seen } = post(call(1, "pay"));
  await until(() => seen.text.length === half.length, "half of it is there");
  kill();
  await until(() => seen.failure, "it has failed");
  assert.ok(seen.text.startsWith(`${half}\n\n`));
  assert.match(seen.text.slice(half.length), /"id":1,"error":.*"INSTANCE_EXITED"/);
});

test("a list that had no answer, or had begun to have one, is answered by the next server", async (t) => {
  for (const hasBegun of [false, true]) {
    const { post, kill, said } = await rig(t, {
      reply: ({ said: { method }, session, res }) => {
        if (method !== "tools/list" || session !== "s1") return false;
        if (hasBegun) res.writeHead(200, eventStream).write(":\n\n");
        return true;
      },
    });
    const { seen } = post(rpc(1, "tools/list"));
    await until(() => said("tools/list").length === 1 && seen.isStream === hasBegun, "it is asked");
    kill();
    await until(() => seen.ends === 1, "it is answered");
    const answer = resultOf(1, { session: "s2" });
    assert.equal(seen.text.trim(), hasBegun ? `:\n\nevent: message\ndata: ${answer}` : answer);
  }
});

test("of a batch whose server is killed what may be sent again is, and the rest fails", async (t) => {
  const { post, kill, said, got } = await rig(t, {
    reply: ({ said: one }) => Array.isArray(one),
  });
  const { seen } = post(`[${rpc(1, "tools/list")},${call(2, "pay")}]`);
  await until(() => got.some(({ said: one }) => Array.isArray(one)), "it is asked");
  kill();
  await until(() => seen.ends === 1, "it is answered");
  const answers = seen.text
    .split("\n")
    .filter((line) => line.startsWith("data: "))
    .map((line) => JSON.parse(line.slice(6)) as { id: number; error?: { data?: unknown } });
  const byId = answers.toSorted((a, b) => a.id - b.id);
  assert.deepEqual(
    byId.map(({ id, error }) => [id, error === undefined]),
    [
      [1, true],
      [2, false],
    ],
  );
  assert.equal(said("tools/list").length, 1);
  assert.equal(said("tools/call").length, 0);
});

test("a server that has forgotten the session is told of it anew, and the call is sent again", async (t) => {
  const { ask, forget, said } = await rig(t);
  await ask(call(1, "pay"));
  forget();
  assert.ok(hasResult(await ask(call(2, "pay"))));
  assert.deepEqual(
    said("tools/call").map(({ session }) => session),
    ["s1", "s1", "s2"],
  );
});

test("what a server says to a message twice goes to the client as it is, and a 400 does so for a minute", async (t) => {
  const { ask, said } = await rig(t, {
    reply: ({ said: { params }, res }) => {
      const status = Number(params?.name);
      if (status > 0) res.writeHead(status).end(`no ${status}`);
      return status > 0;
    },
  });
  for (const status of [404, 400, 400]) {
    const { status: told, text } = await ask(call(status, String(status)));
    assert.deepEqual([told, text], [status, `no ${status}`]);
  }
  assert.equal(said("initialize").length, 2);
  assert.equal(said("tools/call").length, 5);
});

test("a stateful server's session ends with it: its stream too, and what is under way is told why", async (t) => {
  const { post, kill, listen, relay, said, streams } = await rig(t, {
    isStateful: true,
    reply: ({ said: { method } }) => method === "tools/call",
  });
  const { seen } = listen();
  await until(() => streams.size === 1, "it listens");
  const call1 = post(call(1, "pay"));
  await until(() => said("tools/call").length === 1, "it is asked");
  kill();
  await until(() => call1.seen.failure && seen.ends === 1, "both have ended");
  assert.equal(call1.seen.failure?.code, "INSTANCE_EXITED");
  assert.equal(relay.session.isLost, true);
});

test("questions of the next server have ids of their own, and an answer to the last one's reaches nobody", async (t) => {
  const asking = (session: string) =>
    eventOf(
      `{"jsonrpc":"2.0","id":7,"method":"sampling/createMessage","params":{"of":"${session}"}}`,
    );
  const { post, ask, kill, got, listen, streams, child } = await rig(t, {
    reply: ({ said: { method }, session, res }) => {
      if (method === "tools/call") res.writeHead(200, eventStream).write(asking(session));
      return method === "tools/call";
    },
  });
  await ask(initialized);
  const stream = listen();
  await until(() => streams.size === 1, "it listens");
  const first = post(call(1, "pay"));
  await until(() => first.seen.text.includes('"id":7'), "it asks");
  kill();
  const cancelled = '"notifications/cancelled","params":{"requestId":7';
  await until(() => stream.seen.text.includes(cancelled), "the question is taken back");
  const second = post(call(2, "pay"));
  await until(() => second.seen.text.includes("s2"), "the next one asks");
  assert.match(second.seen.text, /"id":"g2:7"/);
  await ask(resultOf("g2:7", { of: "in time" }));
  assert.equal(child.instance.usage.holds.size, 0, "nothing waits for an answer any more");
  await ask(resultOf(7, { of: "late" }));
  const answers = got.filter(({ said }) => said.result !== undefined);
  assert.deepEqual(
    answers.map(({ said, session }) => [session, said.id, said.result]),
    [["s2", 7, { of: "in time" }]],
  );
});

test("a stream to a remote that breaks off stays open, and is fed by the next that the remote opens", async (t) => {
  const skip = skippingTime(t);
  const { listen, streams, child } = await rig(t, { isRemote: true });
  const { seen } = listen();
  const first = await until(() => [...streams][0], "it listens");
  first.destroy();
  await until(() => !streams.has(first), "the stream has broken off");
  const next = await until(() => {
    skip(100);
    return [...streams][0];
  }, "it listens again");
  next.write(eventOf('{"jsonrpc":"2.0","method":"notifications/message"}'));
  await until(() => seen.text.includes("notifications/message"), "it has its news");
  assert.deepEqual([seen.ends, child.starts()], [0, 1]);
});

test("a client that leaves its POST and does not come back ends it at the server, which is told", async (t) => {
  let isGone = false;
  const { post, relay, said, child } = await rig(t, {
    resumeWindowMs: 20,
    reply: ({ said: { method }, res }) => {
      res.on("close", () => (isGone = true));
      return method === "tools/call";
    },
  });
  const { outlet: own } = post(call(1, "slow"));
  await until(() => said("tools/call").length === 1, "it is asked");
  relay.left(own);
  await until(() => isGone, "the server knows");
  await until(() => said("notifications/cancelled").length === 1, "it is told");
  assert.deepEqual([relay.session.inFlight, child.instance.usage.inFlight], [0, 0]);
});

test("a client that lost the answer to its POST comes back for the rest of it, and once it has it for nothing", async (t) => {
  const open: ServerResponse[] = [];
  const { post, relay, listen, said } = await rig(t, {
    reply: ({ said: { method }, res }) => {
      if (method !== "tools/call") return false;
      open.push(res.writeHead(200, eventStream));
      return res.write('id: theirs\ndata: {"method":"one"}\n\n');
    },
  });
  const { seen, outlet: own } = post(call(1, "slow"));
  await until(() => seen.text.includes("one"), "its answer has begun");
  assert.equal(seen.text, 'data: {"method":"one"}\n\n');
  relay.left(own);
  const back = listen(seen.ids.at(-1));
  open[0]!.write(`data: {"method":"two"}\n\n${eventOf(resultOf(1, {}))}`);
  await until(() => back.seen.text.includes("result"), "the rest comes");
  open[0]!.end();
  await until(() => back.seen.ends === 1, "it is over");
  assert.equal(back.seen.text, `data: {"method":"two"}\n\n${eventOf(resultOf(1, {}))}`);
  assert.equal(listen(seen.ids.at(-1)).seen.text, back.seen.text);
  assert.throws(() => listen(back.seen.ids.at(-1)), { code: "METHOD_NOT_ALLOWED" });
  assert.equal(said("tools/call").length, 1);
});

test("a client that comes back too late is told that its call was cancelled, once", async (t) => {
  const { post, relay, listen, said } = await rig(t, {
    resumeWindowMs: 20,
    reply: ({ said: { method }, res }) => {
      if (method === "tools/call") res.writeHead(200, eventStream).write(eventOf("{}"));
      return method === "tools/call";
    },
  });
  const { seen, outlet: own } = post(call(1, "slow"));
  await until(() => seen.ids.length === 1, "its answer has begun");
  relay.left(own);
  await until(() => said("notifications/cancelled").length === 1, "the server is told");
  await until(() => relay.session.inFlight === 0, "nothing is under way");
  const back = listen(seen.ids[0]);
  assert.match(back.seen.text, /"id":1,"error":.*"mayHaveHappened":true/);
  assert.equal(back.seen.ends, 1);
  assert.throws(() => listen(back.seen.ids.at(-1)), { code: "METHOD_NOT_ALLOWED" });
  // Of another life of the daemon nothing is known but the id.
  const other = listen(`${postStreamName(['"x"'])}.2`);
  assert.match(other.seen.text, /"id":"x","error":.*"mayHaveHappened":true/);
});

test("a server that ends its answer for the client to come back is asked by its own id, and so is its own stream", async (t) => {
  const asked: (string | undefined)[] = [];
  const { post, listen, streams } = await rig(t, {
    reply: ({ method, said: { method: what }, res }) => {
      if (what === "tools/call") {
        res.writeHead(200, eventStream).end("id: first\nretry: 50\ndata: \n\n");
        return true;
      }
      if (method !== "GET") return false;
      const lastId = res.req.headers["last-event-id"];
      asked.push(typeof lastId === "string" ? lastId : undefined);
      if (lastId === "first") res.writeHead(200, eventStream).write(eventOf(resultOf(1, {})));
      else if (asked.length === 1) res.writeHead(200, eventStream).end("id: own\ndata: {}\n\n");
      else return false;
      return true;
    },
  });
  const own = listen();
  await until(() => own.seen.ends === 1, "its own stream is over");
  const { seen } = post(call(1, "later"));
  await until(() => seen.ends === 1, "it is to come back");
  assert.equal(seen.text, "retry: 50\ndata: \n\n");
  const back = listen(seen.ids.at(-1));
  await until(() => back.seen.ends === 1, "it is answered");
  assert.equal(back.seen.text, eventOf(resultOf(1, {})));
  const again = listen(own.seen.ids.at(-1));
  await until(() => streams.size === 1, "the server has a stream again");
  assert.deepEqual(asked, [undefined, "first", "own"]);
  assert.equal(again.seen.isStream, true);
});

test("a client that lost the session's own stream goes on with it, whatever came meanwhile", async (t) => {
  const { listen, streams } = await rig(t);
  const first = listen();
  await until(() => streams.size === 1, "the stream is open");
  const [stream] = streams;
  stream!.write(eventOf('{"method":"one"}'));
  await until(() => first.seen.ids.length === 1, "it is heard");
  first.left();
  stream!.write(eventOf('{"method":"two"}'));
  const back = listen(first.seen.ids[0]);
  await until(() => back.seen.ids.length === 1, "the rest comes");
  assert.equal(back.seen.text, eventOf('{"method":"two"}'));
  back.left();
  const fresh = listen();
  stream!.write(eventOf('{"method":"three"}'));
  await until(() => fresh.seen.ids.length === 1, "and goes on");
  assert.equal(fresh.seen.text, eventOf('{"method":"three"}'));
  assert.equal(streams.size, 1);
});
