import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { assertRefused, type Check, type Scenario, type Visit } from "../check.ts";
import type { Session } from "../session.ts";
import { call, callFor, echoCall, textOf } from "../wishes.ts";

const TRANSPORT = "2024-11-05/basic/transports#http-with-sse";
const SHUTDOWN = "2024-11-05/basic/lifecycle#shutdown";

const PING = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "ping" });

/** A name of the same length and alphabet that was never given to anybody. */
const strange = (name: string): string =>
  name.replaceAll(/[0-9a-z]/gi, (character) => (character === "0" ? "1" : "0"));

/**
 * The endpoint of one session with the part that tells it from another's changed by `change`. What
 * all endpoints share, an access key for one, stays.
 */
function changed(own: URL, other: URL, change: (name: string) => string | undefined): URL {
  const url = new URL(own);
  for (const [name, value] of own.searchParams) {
    if (other.searchParams.get(name) === value) continue;
    const next = change(value);
    if (next === undefined) url.searchParams.delete(name);
    else url.searchParams.set(name, next);
  }
  const others = other.pathname.split("/");
  url.pathname = own.pathname
    .split("/")
    .map((part, at) => (part === others[at] ? part : (change(part) ?? "")))
    .join("/");
  return url;
}

async function postElsewhere(
  visit: Visit,
  change: (name: string) => string | undefined,
): Promise<void> {
  const [own, other] = await Promise.all([visit.open(), visit.open()]);
  const url = changed(own.endpoint, other.endpoint, change);
  const headers = { "content-type": "application/json" };
  assertRefused(await visit.ask(url, { method: "POST", headers, body: PING }));
}

/** Calls every session at the same time, with the same ids; each answer has to name its session and call. */
async function callAll(visit: Visit, sessions: Session[], calls: number): Promise<void> {
  const mark = (nth: number, id: number) => `session ${nth} call ${id}.`;
  await Promise.all(
    sessions.flatMap((session, nth) =>
      Array.from({ length: calls }, async () => {
        const id = session.nextId();
        const { name, arguments: args } = echoCall(visit, mark(nth, id));
        await session.request("tools/call", { name, arguments: args }, id);
      }),
    ),
  );
  for (const [nth, session] of sessions.entries()) {
    const answers = session.inbox.items.flatMap(({ message: { id, result } }) =>
      result?.["content"] === undefined ? [] : [{ id, text: textOf(result) }],
    );
    assert.equal(answers.length, calls);
    for (const { id, text } of answers)
      assert.ok(text.endsWith(mark(nth, id as number)), `session ${nth} got ${text} for ${id}`);
  }
}

const strangers: Check[] = [
  {
    id: "session-unknown",
    section: TRANSPORT,
    says: "a POST to a session that never was answers 4xx, and does answer",
    run: async (visit) => await postElsewhere(visit, strange),
  },
  {
    id: "session-unnamed",
    section: TRANSPORT,
    says: "a POST that names no session answers 4xx",
    run: async (visit) => await postElsewhere(visit, () => undefined),
  },
];

const neighbours: Check[] = [
  {
    id: "sessions-apart",
    section: TRANSPORT,
    says: "sessions that use the same ids at the same time get their own answers",
    run: async (visit) => {
      const sessions = await Promise.all(Array.from({ length: 4 }, () => visit.start()));
      await callAll(visit, sessions, 25);
    },
  },
  {
    id: "sessions-progress-apart",
    section: "2024-11-05/basic/utilities/progress",
    says: "progress goes to the session that asked for it, whatever tokens others use",
    run: async (visit) => {
      const wanted = callFor(visit, "progress");
      const [one, two, quiet] = await Promise.all([visit.start(), visit.start(), visit.start()]);
      const meta = { progressToken: "same" };
      await Promise.all([call(one, wanted, meta), call(two, wanted, meta), call(quiet, wanted)]);
      await Promise.all([one.settle(), two.settle(), quiet.settle()]);
      const counts = [one, two, quiet].map(
        (session) => session.notifications("notifications/progress").length,
      );
      assert.ok(counts[0]! > 0, "no progress at all");
      assert.deepEqual(counts, [counts[0], counts[0], 0]);
    },
  },
  {
    id: "session-outlives-neighbour",
    section: SHUTDOWN,
    says: "a session that ends leaves others alone",
    run: async (visit) => {
      const [one, two] = await Promise.all([visit.start(), visit.start()]);
      one.close();
      await two.settle();
      await visit.start().then((three) => three.settle());
      await two.settle();
      assert.equal(two.stream.events.isEnded, false);
    },
  },
];

const leavers: Check[] = [
  {
    id: "session-ends-with-stream",
    section: SHUTDOWN,
    says: "a client that closes its stream has ended its session: its endpoint answers 4xx",
    run: async (visit) => {
      const session = await visit.start();
      session.close();
      // The server may need a moment to see that the connection is gone.
      const deadline = performance.now() + visit.target.timeoutMs;
      let reply = await session.post(PING);
      while (reply.status < 400 && performance.now() < deadline) {
        await delay(20);
        reply = await session.post(PING);
      }
      assertRefused(reply);
    },
  },
  {
    id: "session-after-session",
    section: SHUTDOWN,
    says: "a client that comes back gets a new session, which begins with the handshake again",
    run: async (visit) => {
      const before = await visit.start();
      before.close();
      const after = await visit.open();
      assert.notEqual(after.endpoint.href, before.endpoint.href);
      const { protocolVersion } = await after.shakeHands();
      assert.equal(typeof protocolVersion, "string");
      await after.settle();
    },
  },
];

export const sessions: Scenario = {
  id: "sessions",
  checks: [...strangers, ...neighbours, ...leavers],
};
