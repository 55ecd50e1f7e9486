import assert from "node:assert/strict";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { SupervisorError } from "../../src/errors.ts";
import { peek } from "../../src/mcp/client-body.ts";
import { readEventId } from "../../src/sessions/event-id.ts";
import { HttpFront } from "../../src/sessions/http-front.ts";
import type { ClientOutlet } from "../../src/sessions/outlet.ts";
import { call, initialize } from "../helpers/fixtures.ts";
import { testInstance } from "../helpers/instance.ts";
import { forReturns, sessionOptions } from "../helpers/session.ts";
import { serve } from "../helpers/serve.ts";
import { until } from "../helpers/until.ts";
import { skippingTime } from "../helpers/skippable-time.ts";

const LIMITS = { unreadBytes: 1024, unreadTotalBytes: 4096 };

interface Begun {
  /** What its client was answered so far. */
  said: string[];
  /** Of that, how many bytes it has not read. */
  waits: (bytes: number) => void;
  taken: Promise<void>;
}

/** A session whose SSE server refuses what is about "refuse", takes all else but what is about "hold", and answers nothing. */
async function rig(t: TestContext, resumeWindowMs = 60_000) {
  const seen = { held: 0, posts: [] as string[] };
  const { url } = await serve(t, (req, res) => {
    if (req.method === "GET") {
      res.writeHead(200, { "content-type": "text/event-stream" });
      return void res.write("event: endpoint\ndata: /messages\n\n");
    }
    void text(req).then((body) => {
      seen.posts.push(body);
      if (body.includes('"hold"')) return void (seen.held += 1);
      res.writeHead(body.includes('"refuse"') ? 400 : 202).end();
    });
  });
  const child = testInstance();
  child.start(url);
  const { instance } = child;
  const front = new HttpFront(
    {
      ...sessionOptions(instance),
      ...forReturns(LIMITS, resumeWindowMs),
      again: () => ({ instance, askable: new Set() }),
    },
    { instance, askable: new Set() },
  );
  t.after(() => {
    front.close();
    child.end("the test is over");
  });
  const begin = (...bodies: string[]): Begun => {
    const said: string[] = [];
    let unread = 0;
    const outlet: ClientOutlet = {
      accepted: "either",
      get unread() {
        return unread;
      },
      head: (status) => void said.push(String(status)),
      part: (bytes) => said.push(bytes.toString()) > 0,
      event: (_id, event) => said.push(event) > 0,
      onceDrained() {},
      end: () => void said.push("end"),
      fail: ({ code }) => void said.push(code),
    };
    const posted = peek(Buffer.from(bodies.length === 1 ? bodies[0]! : `[${bodies.join()}]`));
    assert.equal(posted.kind, "messages");
    const waits = (bytes: number): void => void (unread = bytes);
    return { said, waits, taken: front.post(posted.messages, [], outlet) };
  };
  return { child, front, begin, seen };
}

test("a call that its client cancels is over, though the server refuses what comes after that in the same POST", async (t) => {
  const { child, begin } = await rig(t);
  const slow = begin(call(1, "slow"));
  await slow.taken;
  const params = { requestId: 1 };
  const cancel = JSON.stringify({ jsonrpc: "2.0", method: "notifications/cancelled", params });
  await assert.rejects(begin(cancel, call(2, "refuse")).taken, { code: "UPSTREAM_INVALID" });
  assert.deepEqual(slow.said, ["200", "end"]);
  assert.equal(child.instance.usage.inFlight, 0);
});

test("a call that its child had not even taken when it ended is answered once, with that end", async (t) => {
  const { child, begin, seen } = await rig(t);
  const held = begin(call(1, "hold"));
  await until(() => seen.held === 1, "the child has it");
  child.end("exited with code 1");
  await held.taken;
  await until(() => held.said.length > 0, "its client is told");
  assert.deepEqual(held.said, ["INSTANCE_EXITED"]);
});

test("a call that is given up before its child has taken it is answered once, with the reason", async (t) => {
  const { front, begin, seen } = await rig(t);
  const held = begin(call(1, "hold"));
  await until(() => seen.held === 1, "the child has it");
  front.giveUp(new SupervisorError("STOPPING", "the daemon is stopping"));
  await held.taken;
  assert.deepEqual(held.said, ["STOPPING"]);
});

test("for a client that has let too much wait a question is refused, a notification dropped, an answer replaced", async (t) => {
  const { front, begin, seen } = await rig(t);
  const [slow, other] = [begin(call(1, "slow")), begin(call(2, "slow"))];
  await Promise.all([slow.taken, other.taken]);
  slow.waits(1024);
  front.onMessage(Buffer.from('{"jsonrpc":"2.0","id":"q","method":"roots/list"}'), undefined);
  await until(() => seen.posts.some((body) => body.includes('"id":"q"')), "it has its answer");
  assert.match(seen.posts.at(-1)!, /"error":\{.*limits\.unread/);
  front.onMessage(Buffer.from('{"jsonrpc":"2.0","method":"notifications/x"}'), "1");
  assert.deepEqual([slow.said, other.said], [[], []]);
  front.onMessage(Buffer.from('{"jsonrpc":"2.0","id":2,"result":{}}'), "2");
  assert.match(other.said.join(), /"id":2,"error".*CLIENT_TOO_SLOW/);
  slow.waits(0);
  front.onMessage(Buffer.from('{"jsonrpc":"2.0","id":1,"result":{}}'), "1");
  assert.match(slow.said.join(), /"id":1,"result"/);
});

/** A client's end: the statuses, events and ids that it got. */
function reader() {
  const got = { status: 0, text: "", ids: [] as string[], isEnded: false };
  const outlet: ClientOutlet = {
    accepted: "either",
    unread: 0,
    head: (status) => void (got.status = status),
    part: (bytes) => (got.text += bytes.toString()).length > 0,
    event(idLine, event) {
      got.ids.push(idLine.slice(4).trim());
      return (got.text += event).length > 0;
    },
    onceDrained() {},
    end: () => void (got.isEnded = true),
    fail: () => void (got.isEnded = true),
  };
  return { got, outlet };
}

/** As a client of that revision whose `initialize` was answered. */
async function greeted(front: HttpFront, protocolVersion: string): Promise<void> {
  // Else the link, which opens with the first message, would begin with a replay.
  const opening = reader();
  await front.post(peekAll(call("opening", "slow")), [], opening.outlet);
  front.left(opening.outlet);
  const [hello] = peekAll(initialize());
  const result = { protocolVersion, capabilities: {} };
  front.session.memory.begun(hello!, Buffer.from(JSON.stringify({ id: 0, result })));
}

function peekAll(body: string) {
  const posted = peek(Buffer.from(body));
  assert.equal(posted.kind, "messages");
  return posted.messages;
}

const answerTo = (id: number): Buffer => Buffer.from(`{"jsonrpc":"2.0","id":${id},"result":{}}`);
const requestId = "req_2";

test("over a bridge a call becomes a stream after a second, which its client may lose and come back for", async (t) => {
  const skip = skippingTime(t);
  const { front } = await rig(t);
  await greeted(front, "2025-11-25");
  const first = reader();
  await front.post(peekAll(call(1, "slow")), [], first.outlet);
  skip(1000);
  await until(() => first.got.ids.length === 1, "its answer is a stream that begins with an id");
  assert.equal(first.got.text, "data: \n\n");
  front.left(first.outlet);
  const second = reader();
  front.listen({ outlet: second.outlet, requestId, at: readEventId(first.got.ids[0]) });
  front.onMessage(answerTo(1), "1");
  assert.match(second.got.text, /^data: \n\nevent: message\ndata: .*"result":\{\}\}\n\n$/);
  assert.equal(second.got.isEnded, true);
  front.left(second.outlet);
  const [, last] = second.got.ids;
  const late = { outlet: reader().outlet, requestId, at: readEventId(last) };
  assert.throws(() => front.listen(late), { code: "METHOD_NOT_ALLOWED" });
});

test("clients of earlier revisions get no event without data", async (t) => {
  const { front } = await rig(t);
  await greeted(front, "2025-06-18");
  const stream = reader();
  front.listen({ outlet: stream.outlet, requestId, at: undefined });
  assert.deepEqual([stream.got.status, stream.got.text], [200, ""]);
});

test("a client that has missed more than is kept is told once what may have changed, and goes on", async (t) => {
  const { front } = await rig(t);
  await greeted(front, "2025-06-18");
  const { memory } = front.session;
  const list = '{"jsonrpc":"2.0","id":1,"method":"tools/list"}';
  memory.answered(peekAll(list)[0], Buffer.from('{"id":1,"result":{"tools":[]}}'));
  const subscribe =
    '{"jsonrpc":"2.0","id":2,"method":"resources/subscribe","params":{"uri":"note:///1"}}';
  memory.sent(peekAll(subscribe));
  const tell = (method: string): void =>
    front.onMessage(Buffer.from(JSON.stringify({ jsonrpc: "2.0", method })), undefined);
  const first = reader();
  front.listen({ outlet: first.outlet, requestId, at: undefined });
  tell("notifications/one");
  front.left(first.outlet);
  for (let n = 0; n < 100; n++)
    for (const what of ["message", "tools/list_changed", "resources/updated"])
      tell(`notifications/${what}`);
  const second = reader();
  front.listen({ outlet: second.outlet, requestId, at: readEventId(first.got.ids[0]) });
  const times = (what: string): number => second.got.text.split(what).length - 1;
  assert.deepEqual([times("tools/list_changed"), times("resources/updated")], [1, 1]);
  assert.ok(times("notifications/message") > 80);
  assert.equal(new Set(second.got.ids).size, second.got.ids.length);
});

test("a client that comes back too late is told that its call was cancelled, and its session goes on", async (t) => {
  const skip = skippingTime(t);
  const { front, child, seen } = await rig(t);
  await greeted(front, "2025-11-25");
  const stream = reader();
  front.listen({ outlet: stream.outlet, requestId, at: undefined });
  const first = reader();
  const progress = '{"jsonrpc":"2.0","method":"notifications/progress","params":{}}';
  await front.post(peekAll(call(1, "slow")), [], first.outlet);
  front.onMessage(Buffer.from(progress), "1");
  front.left(first.outlet);
  front.left(stream.outlet);
  skip(60_000);
  await until(() => child.instance.usage.sessions === 0, "its instance serves it no more");
  assert.ok(seen.posts.some((body) => /notifications\/cancelled.*"requestId":1\b/.test(body)));
  const back = reader();
  front.listen({ outlet: back.outlet, requestId, at: readEventId(first.got.ids.at(-1)) });
  assert.match(back.got.text, /"id":1,"error":.*"mayHaveHappened":true/);
  assert.equal(back.got.isEnded, true);
  front.left(back.outlet);
  const next = reader();
  const posted = front.post(peekAll(call(2, "slow")), [], next.outlet);
  assert.equal(child.instance.usage.sessions, 1);
  posted.catch(() => {});
});
