import assert from "node:assert/strict";
import type { Check, Scenario, Visit } from "../check.ts";
import { type Id, isAnswerTo } from "../session.ts";

const REQUESTS = "2024-11-05/basic/messages#requests";
const RESPONSES = "2024-11-05/basic/messages#responses";
const NOTIFICATIONS = "2024-11-05/basic/messages#notifications";

/** The largest id that every JSON reader keeps (RFC 8259, section 6). */
const BIG = Number.MAX_SAFE_INTEGER;

/** The id comes back, as the type and the text that were sent. */
async function echoesId(visit: Visit, ...ids: Id[]): Promise<void> {
  const session = await visit.start();
  const letters = await Promise.all(ids.map((id) => session.request("ping", {}, id)));
  for (const [at, { message, text }] of letters.entries()) {
    assert.deepEqual(message.result, {});
    const written = JSON.stringify(ids[at]);
    assert.ok(text.replaceAll(" ", "").includes(`"id":${written.replaceAll(" ", "")}`), text);
  }
}

const ids: Check[] = [
  {
    id: "id-number",
    section: REQUESTS,
    says: "a number comes back as the same number",
    run: async (visit) => await echoesId(visit, 7_001, 0),
  },
  {
    id: "id-string",
    section: REQUESTS,
    says: "a text comes back as the same text",
    run: async (visit) =>
      await echoesId(visit, "seven", 'with "quotes", ü and \\', "x".repeat(200)),
  },
  {
    id: "id-number-or-string",
    section: REQUESTS,
    says: '8 and "8" are two requests, and each gets its answer',
    run: async (visit) => await echoesId(visit, 8, "8"),
  },
  {
    id: "id-big",
    section: REQUESTS,
    says: `${BIG} comes back digit by digit`,
    run: async (visit) => await echoesId(visit, BIG),
  },
  {
    id: "id-many",
    section: RESPONSES,
    says: "fifty requests at the same time get fifty answers",
    run: async (visit) => await echoesId(visit, ...Array.from({ length: 50 }, (_, at) => 500 + at)),
  },
];

const errors: Check[] = [
  {
    id: "method-unknown",
    section: "JSON-RPC 2.0 section 5.1",
    says: "a request for a method that is not there is answered with -32601",
    run: async (visit) => {
      const session = await visit.start();
      const { code, message } = await session.refusal("no/such/method");
      assert.equal(code, -32_601);
      assert.equal(typeof message, "string");
    },
  },
  {
    id: "response-or-error",
    section: RESPONSES,
    says: "an answer has a result or an error and never both",
    run: async (visit) => {
      const session = await visit.start();
      await session.request("ping");
      // Not an unknown method: that is another check, and some servers fail it.
      if ("tools" in visit.survey.capabilities)
        await session.request("tools/call", { name: "no_such_tool" });
      const answers = session.inbox.items.filter(({ message }) => message.method === undefined);
      for (const { message, text } of answers)
        assert.notEqual("result" in message, "error" in message, text);
    },
  },
];

const unanswered: Check[] = [
  {
    id: "notification-unanswered",
    section: NOTIFICATIONS,
    says: "notifications, those of unknown names too, get no answer",
    run: async (visit) => {
      const session = await visit.start();
      await session.notify("notifications/initialized");
      const odd = { method: "notifications/no_such_thing", params: { with: "parameters" } };
      const reply = await session.post(JSON.stringify({ jsonrpc: "2.0", ...odd }));
      assert.ok(reply.status < 500, `answered with ${reply.status}`);
      await session.settle();
      assert.deepEqual(
        session.inbox.items.filter(isAnswerTo(null)).map(({ text }) => text),
        [],
      );
      // The answers to initialize and to the ping.
      const answers = session.inbox.items.filter(({ message }) => message.method === undefined);
      assert.equal(answers.length, 2);
    },
  },
  {
    id: "response-unexpected",
    section: RESPONSES,
    says: "an answer that nobody asked for does no harm",
    run: async (visit) => {
      const session = await visit.start();
      const reply = await session.post('{"jsonrpc":"2.0","id":"nobody asked","result":{}}');
      assert.ok(reply.status < 500, `answered with ${reply.status}`);
      await session.settle();
    },
  },
];

export const messages: Scenario = { id: "messages", checks: [...ids, ...errors, ...unanswered] };
