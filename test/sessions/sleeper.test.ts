import assert from "node:assert/strict";
import { test } from "node:test";
import { SupervisorError } from "../../src/errors.ts";
import type { Audience } from "../../src/instances/last-shown.ts";
import type { Manifest } from "../../src/instances/manifests.ts";
import { ACCEPTED } from "../../src/links/link.ts";
import type { LinkEvents, Posting } from "../../src/links/link.ts";
import { peek } from "../../src/mcp/client-body.ts";
import { messagesIn } from "../../src/mcp/outcome.ts";
import { Backends } from "../../src/sessions/backends.ts";
import { Session } from "../../src/sessions/session.ts";
import { Showings } from "../../src/sessions/showings.ts";
import { call, initialize, rpc } from "../helpers/fixtures.ts";
import { testInstance } from "../helpers/instance.ts";
import { until } from "../helpers/until.ts";

const URL_OF_ONE = new URL("http://127.0.0.1:1/mcp");
const VERSION = "2025-06-18";
const INITIALIZED = '{"jsonrpc":"2.0","method":"notifications/initialized"}';
const ONE_TOOL = '{"tools":[{"name":"one"}]}';

const shown = (version = VERSION): Manifest => ({
  greeting: Buffer.from(`{"protocolVersion":"${version}","capabilities":{"tools":{}}}`),
  hasSessions: true,
  lists: new Map([["tools/list", [Buffer.from(ONE_TOOL)]]]),
});

/** A session of a server that sleeps, and last showed this; awake it answers by these results, by method. */
function rig(manifest: Manifest, answers: Record<string, string>) {
  const child = testInstance();
  const posts: string[] = [];
  const heard: string[] = [];
  const kept: [Audience, Manifest | undefined][] = [];
  let ends = 0;
  const showings = new Showings({
    find: () => manifest,
    wants: () => true,
    keep: (_live, audience, made) => void kept.push([audience, made]),
  });
  const post = ({ messages }: Posting, { listener }: LinkEvents) => {
    const [message] = messages;
    posts.push(message!.method!);
    const result = answers[message!.method!];
    const text = `{"jsonrpc":"2.0","id":${message!.id},"result":${result}}`;
    if (result !== undefined) listener.onMessage(Buffer.from(text), undefined);
    return Promise.resolve(ACCEPTED);
  };
  const session = new Session(
    {
      holder: { user: "alice", issuer: "key", credentialId: "k1" },
      instance: child.instance,
      showings: showings.of("http"),
      isStateful: false,
      staysBehind: false,
      resend: "reads",
      patienceMs: 10_000,
      backends: new Backends(),
      connect: (_live, events) => ({
        post: (posting) => post(posting, events),
        pause() {},
        resume() {},
        unsent: () => [],
        close() {},
        abandon() {},
      }),
    },
    {
      cutOff: new SupervisorError("UPSTREAM_RESET", "the server is gone"),
      onMessage: (raw) => {
        const messages = messagesIn(raw);
        session.serving?.inFlight.received(messages, raw.length);
        heard.push(...messages.map(({ method, id }) => method ?? `answer ${id}`));
      },
      onDropped() {},
      interrupt: () => undefined,
      end: () => (ends += 1),
    },
  );
  session.begin({ instance: child.instance, askable: new Set() });
  const read = (text: string) => {
    const seen = peek(Buffer.from(text));
    assert.ok(seen.kind === "messages");
    return seen.messages;
  };
  const say = async (text: string) =>
    void (await session.post(
      { body: Buffer.from(text), messages: read(text), headers: [] },
      undefined,
      () => {},
    ));
  const ask = (text: string) => session.sleeper.answer(read(text))?.toString();
  return { child, session, posts, heard, kept, say, ask, ends: () => ends };
}

const AWAKE = {
  initialize: shown().greeting.toString(),
  "tools/list": '{"tools":[]}',
  "tools/call": "{}",
};

test("a client that begins while its server sleeps is told of a list that is another one", async () => {
  const { child, session, posts, heard, kept, say, ask } = rig(shown(), AWAKE);
  assert.match(ask(initialize())!, /"protocolVersion":"2025-06-18"/);
  assert.equal(ask(initialize()), undefined, "a session begins once");
  assert.match(ask(rpc(2, "tools/list"))!, /"id":2,"result":\{"tools":\[\{"name":"one"\}\]\}/);
  await say(INITIALIZED);
  assert.deepEqual([child.starts(), posts], [1, []]);
  child.start(URL_OF_ONE);
  await until(() => heard.length > 0, "it is told");
  assert.deepEqual(heard, ["notifications/tools/list_changed"]);
  assert.deepEqual(posts.slice(0, 2), ["initialize", "notifications/initialized"]);
  assert.equal(ask(rpc(3, "tools/list")), undefined);
  await say(call(4, "one"));
  assert.equal(heard.at(-1), "answer 4");
  await until(() => kept.length > 0, "what it shows is kept");
  const [[, made]] = kept as [[Audience, Manifest]];
  assert.deepEqual(made.lists.get("tools/list")!.map(String), [AWAKE["tools/list"]]);
  session.close();
});

test("a hello starts the server behind the answer, a list alone does not", async () => {
  const { child, session, ask, say } = rig(shown(), AWAKE);
  child.start(URL_OF_ONE);
  assert.notEqual(ask(initialize()), undefined);
  assert.equal(child.starts(), 0, "the answer goes first");
  await until(() => child.starts() === 1, "it starts");
  await say(INITIALIZED);
  await say(call(2, "one"));
  child.end("was stopped");
  assert.notEqual(ask(rpc(3, "tools/list")), undefined);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(child.starts(), 1);
  session.close();
});

test("a server that is not what it showed ends the session, and nobody begins like that again", async () => {
  const other = { ...AWAKE, initialize: shown("2024-11-05").greeting.toString() };
  const { child, session, kept, say, ask, ends } = rig(shown(), other);
  assert.notEqual(ask(initialize()), undefined);
  await say(INITIALIZED);
  child.start(URL_OF_ONE);
  await until(() => ends() > 0, "the session has ended");
  assert.deepEqual([session.isLost, kept.map(([, made]) => made)], [true, [undefined]]);
});
