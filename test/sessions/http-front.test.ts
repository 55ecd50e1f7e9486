import assert from "node:assert/strict";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { SupervisorError } from "../../src/errors.ts";
import { peek } from "../../src/mcp/client-body.ts";
import { HttpFront } from "../../src/sessions/http-front.ts";
import type { ClientOutlet } from "../../src/sessions/outlet.ts";
import { call } from "../helpers/fixtures.ts";
import { testInstance } from "../helpers/instance.ts";
import { forReturns, sessionOptions } from "../helpers/session.ts";
import { serve } from "../helpers/serve.ts";
import { until } from "../helpers/until.ts";

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
      event: (_id, bytes) => said.push(bytes.toString()) > 0,
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
