import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import type { Check, Scenario } from "../check.ts";

const TRANSPORT = "2024-11-05/basic/transports#http-with-sse";
const EVENT_STREAM = "WHATWG HTML 9.2 server-sent events";

/** Below the shortest read timeout of clients in the field. */
const HEARTBEAT_MS = 20_000;

const opening: Check[] = [
  {
    id: "stream-opens",
    section: TRANSPORT,
    says: "GET of the SSE URL answers 200 with content-type text/event-stream",
    run: async (visit) => {
      const { status, headers } = await visit.stream();
      assert.equal(status, 200);
      assert.match(headers["content-type"] ?? "", /^text\/event-stream(;|$)/);
    },
  },
  {
    id: "stream-not-cached",
    section: EVENT_STREAM,
    says: "the stream forbids caches to keep it",
    run: async (visit) => {
      const { headers } = await visit.stream();
      assert.match(headers["cache-control"] ?? "", /no-cache|no-store/);
    },
  },
  {
    id: "stream-unbounded",
    section: EVENT_STREAM,
    says: "the stream has no length and is not compressed for a client that did not ask for it",
    run: async (visit) => {
      const { headers } = await visit.stream();
      assert.equal(headers["content-length"], undefined);
      assert.equal(headers["content-encoding"] ?? "identity", "identity");
    },
  },
];

const naming: Check[] = [
  {
    id: "endpoint-first",
    section: TRANSPORT,
    says: "the first event is `endpoint`; only comments may come before",
    run: async (visit) => {
      const { events } = await visit.stream();
      const first = await events.first(() => true, "event", visit.target.timeoutMs);
      assert.equal(first.name, "endpoint");
    },
  },
  {
    id: "endpoint-form",
    section: TRANSPORT,
    says: "the endpoint is one line with a URI in it, without a fragment",
    run: async (visit) => {
      const { events } = await visit.stream();
      const { data } = await events.first(
        ({ name }) => name === "endpoint",
        "endpoint event",
        visit.target.timeoutMs,
      );
      assert.match(data, /^[\u0021-\u007e]+$/, "white space or characters that no URI has");
      const url = new URL(data, visit.target.url);
      assert.match(url.protocol, /^https?:$/);
      assert.equal(url.hash, "");
    },
  },
  {
    id: "endpoint-same-origin",
    section: TRANSPORT,
    says: "the endpoint has the origin of the stream, as clients insist",
    run: async (visit) => {
      const { endpoint } = await visit.open();
      assert.equal(endpoint.origin, visit.target.url.origin);
      assert.equal(endpoint.username + endpoint.password, "");
    },
  },
  {
    id: "endpoint-per-stream",
    section: TRANSPORT,
    says: "every stream gets an endpoint of its own",
    run: async (visit) => {
      const sessions = await Promise.all([visit.open(), visit.open(), visit.open()]);
      assert.equal(new Set(sessions.map(({ endpoint }) => endpoint.href)).size, sessions.length);
    },
  },
  {
    id: "endpoint-once",
    section: TRANSPORT,
    says: "the endpoint stays the same as long as the stream",
    run: async (visit) => {
      const session = await visit.start();
      await session.settle();
      const named = session.stream.events.items.filter(({ name }) => name === "endpoint");
      assert.equal(named.length, 1);
    },
  },
];

const bytes: Check[] = [
  {
    id: "stream-well-formed",
    section: EVENT_STREAM,
    says: "what a conversation puts on the stream is UTF-8 with the fields of an event stream",
    run: async (visit) => {
      const session = await visit.start();
      if ("tools" in visit.survey.capabilities) await session.result("tools/list");
      await session.settle();
      assert.deepEqual(session.stream.faults, []);
    },
  },
  {
    id: "stream-json-rpc",
    section: TRANSPORT,
    says: "every `message` event holds one JSON-RPC message",
    run: async (visit) => {
      const session = await visit.start();
      for (const method of ["tools/list", "tools/call"])
        if ("tools" in visit.survey.capabilities)
          await session.request(method, { name: "no_such_tool" });
      await session.settle();
      for (const { message, text } of session.inbox.items)
        assert.equal(message.jsonrpc, "2.0", `an event with ${text.slice(0, 200)}`);
      const names = new Set(session.stream.events.items.map(({ name }) => name));
      assert.deepEqual([...names].toSorted(), ["endpoint", "message"]);
    },
  },
  {
    id: "stream-stays",
    section: TRANSPORT,
    says: "the stream stays open while nothing is said",
    run: async (visit) => {
      const session = await visit.start();
      await session.settle();
      await delay(500);
      await session.settle();
      assert.equal(session.stream.events.isEnded, false);
    },
  },
  {
    id: "stream-heartbeat",
    section: EVENT_STREAM,
    says: `a silent stream says something, a comment if nothing else, within ${HEARTBEAT_MS / 1000} s`,
    isSlow: true,
    run: async (visit) => {
      const session = await visit.start();
      await session.settle();
      const silentSince = session.stream.lastBytesAt;
      await delay(HEARTBEAT_MS);
      assert.ok(session.stream.lastBytesAt > silentSince, "not a byte came");
    },
  },
];

export const stream: Scenario = { id: "stream", checks: [...opening, ...naming, ...bytes] };
