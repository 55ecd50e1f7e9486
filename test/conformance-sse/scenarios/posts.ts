import assert from "node:assert/strict";
import { assertRefused, type Check, type Scenario, type Visit } from "../check.ts";
import { isAnswerTo, type Session } from "../session.ts";
import { call, echoCall, textOf } from "../wishes.ts";

const TRANSPORT = "2024-11-05/basic/transports#http-with-sse";
const HTTP = "RFC 9110";

/** Two, three and four bytes a character, and what JSON or the event stream might take for something else. */
const DIFFICULT =
  'Grüße, 你好, 🧪👩‍🔬, \u2028\u2029\u0085\u007f, "quoted" \\ back, \0 \u001f, \ufeff, data: x\n\nevent: y\r\n\r\rid: z\n: comment';

/** A megabyte of text whose every part tells where it belongs. */
const LARGE = Array.from({ length: 2 ** 16 }, (_, at) => `${String(at).padStart(14, ".")}ü`).join(
  "",
);

async function echoes(visit: Visit, text: string): Promise<void> {
  const session = await visit.start();
  const given = textOf(await call(session, echoCall(visit, text)));
  // Some echo with a word before; assert.equal would print a megabyte.
  assert.ok(
    given.endsWith(text),
    `${given.length} characters came back, not the ${text.length} sent`,
  );
  assert.deepEqual(session.stream.faults, []);
}

async function refuses(visit: Visit, body: string): Promise<void> {
  const session = await visit.start();
  assertRefused(await session.post(body));
  await session.settle();
}

/** Posts a call in pieces and waits for its answer. */
async function postPieces(session: Session, pieces: Buffer[], id: number): Promise<string> {
  const { status } = await session.post(pieces);
  assert.ok(status >= 200 && status < 300, `answered with ${status}`);
  const { message } = await session.answer(id, "tools/call");
  return textOf(message.result);
}

const taken: Check[] = [
  {
    id: "post-accepted",
    section: TRANSPORT,
    says: "a POST to the endpoint answers 2xx",
    run: async (visit) => {
      const session = await visit.start();
      const body = JSON.stringify({ jsonrpc: "2.0", id: session.nextId(), method: "ping" });
      const { status } = await session.post(body);
      assert.ok(status >= 200 && status < 300, `answered with ${status}`);
    },
  },
  {
    id: "answer-on-stream",
    section: TRANSPORT,
    says: "the answer to a message comes as a `message` event and not in the answer to the POST",
    run: async (visit) => {
      const session = await visit.start();
      const id = session.nextId();
      const { body } = await session.send({ id, method: "ping" });
      assert.doesNotMatch(body, /"jsonrpc"/);
      await session.answer(id, "ping");
    },
  },
  {
    id: "post-content-type-parameter",
    section: HTTP,
    says: "a content type with a charset is the same content type",
    run: async (visit) => {
      const session = await visit.start();
      const id = session.nextId();
      const body = JSON.stringify({ jsonrpc: "2.0", id, method: "ping" });
      const { status } = await session.post(body, {
        "content-type": "application/json; charset=utf-8",
      });
      assert.ok(status >= 200 && status < 300, `answered with ${status}`);
      await session.answer(id, "ping");
    },
  },
  {
    id: "post-line-breaks",
    section: "RFC 8259 section 2",
    says: "a message may be written over several lines that end in LF, CRLF or CR",
    run: async (visit) => {
      const session = await visit.start();
      for (const newline of ["\n", "\r\n", "\r"]) {
        const id = session.nextId();
        const body = JSON.stringify({ jsonrpc: "2.0", id, method: "ping", params: {} }, null, 2);
        const { status } = await session.post(body.replaceAll("\n", newline) + newline);
        assert.ok(status >= 200 && status < 300, `${JSON.stringify(newline)}: ${status}`);
        await session.answer(id, "ping");
      }
    },
  },
  {
    id: "post-unicode",
    section: "RFC 8259 section 8.1",
    says: "characters of any length, controls and line breaks in a text come back as they were",
    run: async (visit) => await echoes(visit, DIFFICULT),
  },
  {
    id: "post-split",
    section: "RFC 9112 section 7.1",
    says: "a body may be cut into chunks at any byte, in the middle of a character too",
    run: async (visit) => {
      const session = await visit.start();
      const text = "äöü 你好 🧪";
      for (const size of [1, 2, 3, 5]) {
        const id = session.nextId();
        const { name, arguments: args } = echoCall(visit, text);
        const params = { name, arguments: args };
        const body = Buffer.from(
          JSON.stringify({ jsonrpc: "2.0", id, method: "tools/call", params }),
        );
        const pieces = Array.from({ length: Math.ceil(body.length / size) }, (_, at) =>
          body.subarray(at * size, (at + 1) * size),
        );
        const given = await postPieces(session, pieces, id);
        assert.ok(given.endsWith(text), `in pieces of ${size}: ${given}`);
      }
    },
  },
  {
    id: "post-large",
    section: TRANSPORT,
    says: "a message of 1 MiB gets through both ways",
    run: async (visit) => await echoes(visit, LARGE),
  },
];

const refused: Check[] = [
  {
    id: "post-not-json",
    section: "JSON-RPC 2.0 section 5.1",
    says: "a body that is not JSON answers 4xx, and the session goes on",
    run: async (visit) => await refuses(visit, '{"jsonrpc":"2.0","id":1,"method":'),
  },
  {
    id: "post-empty",
    section: "JSON-RPC 2.0 section 5.1",
    says: "an empty body answers 4xx, and the session goes on",
    run: async (visit) => await refuses(visit, ""),
  },
  {
    id: "post-not-json-rpc",
    section: "JSON-RPC 2.0 section 5.1",
    says: "JSON that is no message answers 4xx or an error on the stream, and the session goes on",
    run: async (visit) => {
      const session = await visit.start();
      const { status, body } = await session.post('{"id":"odd","say":"hello"}');
      assert.ok(status >= 200 && status < 500, `answered with ${status} ${body}`);
      await session.settle();
      if (status >= 400) return;
      const letters = session.inbox.items.filter(
        (letter) => isAnswerTo("odd")(letter) || isAnswerTo(null)(letter),
      );
      assert.equal(letters[0]?.message.error?.code, -32_600);
    },
  },
];

const elsewhere: Check[] = [
  {
    id: "stream-url-post",
    section: TRANSPORT,
    says: "a POST to the SSE URL, which is where newer clients try first, answers 4xx",
    run: async (visit) => {
      const params = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: {} };
      const reply = await visit.ask(visit.target.url, {
        method: "POST",
        headers: {
          "content-type": "application/json",
          accept: "application/json, text/event-stream",
        },
        body: JSON.stringify({ jsonrpc: "2.0", id: 0, method: "initialize", params }),
      });
      assertRefused(reply);
      assert.ok(![401, 403].includes(reply.status), "clients would start to authenticate");
    },
  },
  {
    id: "stream-url-head",
    section: `${HTTP} section 9.3.2`,
    says: "HEAD of the SSE URL is answered, without a body and without an error of the server",
    run: async (visit) => {
      const { status, body } = await visit.ask(visit.target.url, { method: "HEAD" });
      assert.ok(status < 500, `answered with ${status}`);
      assert.equal(body, "");
    },
  },
  {
    id: "stream-url-delete",
    section: `${HTTP} section 9.3.5`,
    says: "DELETE of the SSE URL answers 4xx and leaves sessions alone",
    run: async (visit) => {
      const session = await visit.start();
      assertRefused(await visit.ask(visit.target.url, { method: "DELETE" }));
      await session.settle();
    },
  },
];

const once: Check = {
  id: "answer-once",
  section: "2024-11-05/basic/messages#responses",
  says: "a request gets one answer",
  run: async (visit) => {
    const session = await visit.start();
    const methods = "tools" in visit.survey.capabilities ? ["ping", "tools/list"] : ["ping"];
    const asked = methods.map((method) => ({ id: session.nextId(), method }));
    for (const { id, method } of asked) await session.request(method, {}, id);
    await session.settle();
    for (const { id, method } of asked)
      assert.equal(session.inbox.items.filter(isAnswerTo(id)).length, 1, method);
  },
};

export const posts: Scenario = {
  id: "posts",
  checks: [...taken, once, ...refused, ...elsewhere],
};
