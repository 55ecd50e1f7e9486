import assert from "node:assert/strict";
import { setImmediate as nextTurn } from "node:timers/promises";
import { test } from "node:test";
import { SupervisorError } from "../../src/errors.ts";
import type { Live } from "../../src/instances/supervisor.ts";
import { ACCEPTED } from "../../src/links/link.ts";
import type { Link, LinkEvents, Posting } from "../../src/links/link.ts";
import type { StdioTarget } from "../../src/links/target.ts";
import { peek } from "../../src/mcp/client-body.ts";
import { messagesIn } from "../../src/mcp/outcome.ts";
import type { Message } from "../../src/mcp/envelope.ts";
import type { Front } from "../../src/sessions/front.ts";
import { Backends } from "../../src/sessions/backends.ts";
import { Session } from "../../src/sessions/session.ts";
import { call, initialize, rpc } from "../helpers/fixtures.ts";
import { testInstance } from "../helpers/instance.ts";
import { until } from "../helpers/until.ts";

const STDIO = { transport: "stdio", era: "legacy" } as StdioTarget;
const PORT = new URL("http://127.0.0.1:1/mcp");
const CUT_OFF = new SupervisorError("UPSTREAM_RESET", "the server is gone");

/** A way to one generation on which nothing but the test answers. */
interface TestLink {
  live: Live;
  events: LinkEvents;
  posts: string[];
  end: "open" | "closed" | "abandoned";
  /** Of these nothing went out. */
  unsent: string[];
}

const ANSWER = { protocolVersion: "2025-06-18", capabilities: { resources: {} } };

function rig({
  isStateful = false,
  opening = async () => {},
  telling = async () => {},
  greeting = async () => {},
} = {}) {
  const child = testInstance();
  const links: TestLink[] = [];
  const seen = { told: [] as string[], heard: [] as Message[], ends: 0 };
  const front: Front = {
    cutOff: CUT_OFF,
    onMessage: (raw) => {
      const messages = messagesIn(raw);
      session.serving?.inFlight.received(messages, raw.length);
      seen.heard.push(...messages);
    },
    onDropped: () => {},
    interrupt: (unanswered) =>
      unanswered.length === 0
        ? undefined
        : async ({ code }) => {
            await telling();
            seen.told.push(...unanswered.map(({ id }) => `${JSON.parse(id)}: ${code}`));
          },
    end: () => (seen.ends += 1),
  };
  const answers = { initialize: ANSWER as object };
  const connect = async (live: Live, events: LinkEvents): Promise<Link> => {
    await opening();
    return linkTo(live, events);
  };
  const linkTo = (live: Live, events: LinkEvents): Link => {
    const kept: TestLink = { live, events, posts: [], end: "open", unsent: [] };
    links.push(kept);
    return {
      post: async ({ body, messages: [message] }: Posting) => {
        kept.posts.push(body.toString());
        if (message?.method === "notifications/initialized" && links.length > 1) await greeting();
        if (message?.method !== "initialize") return ACCEPTED;
        const answer = `{"jsonrpc":"2.0","id":${message.id!},"result":${JSON.stringify(answers.initialize)}}`;
        events.listener.onMessage(Buffer.from(answer), undefined);
        return ACCEPTED;
      },
      pause: () => {},
      resume: () => {},
      unsent: () => kept.unsent,
      close: () => (kept.end = "closed"),
      abandon: () => (kept.end = "abandoned"),
    };
  };
  const session: Session = new Session(
    {
      holder: { user: "alice", issuer: "key", credentialId: "k1" },
      instance: child.instance,
      isStateful,
      staysBehind: isStateful,
      resend: "reads",
      patienceMs: 10_000,
      backends: new Backends(),
      connect: (live, events) =>
        live.target.transport === "stdio" ? linkTo(live, events) : connect(live, events),
    },
    front,
  );
  session.begin({ instance: child.instance, askable: new Set() });
  const post = async (text: string, onSending = () => {}) => {
    const body = Buffer.from(text);
    const posted = peek(body);
    assert.equal(posted.kind, "messages");
    const { messages } = posted;
    return (await session.post({ body, messages, headers: [] }, undefined, onSending)).status;
  };
  return { child, links, seen, session, post, answers };
}

test("a session begins without a child, and its first messages share one start and one link", async () => {
  const { child, links, session, post } = rig();
  assert.deepEqual([child.starts(), session.hasChild], [0, false]);
  const first = post(call(1, "echo"));
  const second = post(call(2, "echo"));
  child.start(STDIO);
  assert.deepEqual(await Promise.all([first, second]), [202, 202]);
  assert.deepEqual([child.starts(), links.length, session.hasChild], [1, 1, true]);
  assert.deepEqual(links[0]?.posts, [call(1, "echo"), call(2, "echo")]);
  assert.equal(session.inFlight, 2);
});

test("a start that fails is the failure of those who waited, and the next message tries again", async () => {
  const { child, session, post } = rig();
  const waiting = post(call(1, "echo"));
  child.refuse(new SupervisorError("INSTANCE_START_TIMEOUT", "not ready"));
  await assert.rejects(waiting, { code: "INSTANCE_START_TIMEOUT" });
  assert.equal(session.inFlight, 0);
  child.start(STDIO);
  assert.equal(await post(call(1, "echo")), 202);
});

test("an id in use is refused before anything of the message goes out", async () => {
  const { child, links, session, post } = rig();
  child.start(STDIO);
  await post(call(1, "echo"));
  let sent = 0;
  await assert.rejects(
    post(call(1, "other"), () => (sent += 1)),
    { code: "REQUEST_INVALID" },
  );
  assert.deepEqual([sent, links[0]?.posts.length, session.inFlight], [0, 1, 1]);
});

const methodsOf = ({ posts }: TestLink): string[] =>
  posts.map((post) => (JSON.parse(post) as { method: string }).method);

const notice = (method: string): string => JSON.stringify({ jsonrpc: "2.0", method });

/** What a client says that subscribed to something, and then calls. */
async function converse(post: (text: string) => Promise<number>): Promise<void> {
  await post(initialize());
  await post(notice("notifications/initialized"));
  await post(rpc("level", "logging/setLevel", { level: "info" }));
  await post(rpc("sub", "resources/subscribe", { uri: "file:///one" }));
  await post(call(1, "echo"));
}

for (const [over, at] of [
  ["stdio", STDIO],
  ["a port", PORT],
] as const)
  test(`a session over ${over} goes on with the next child, which is told what the last one knew`, async () => {
    const { child, links, seen, session, post } = rig();
    child.start(at);
    await converse(post);
    child.end("exited with code 1");
    await until(() => seen.told.length > 0, "what waited is told");
    assert.deepEqual(seen.told, ["1: INSTANCE_EXITED"]);
    assert.deepEqual([links[0]?.end, session.isLost, seen.ends], ["abandoned", false, 0]);
    assert.equal(await post(call(1, "echo")), 202);
    assert.deepEqual([links.length, links[1]?.live.generation], [2, 2]);
    assert.deepEqual(methodsOf(links[1]!), [
      "initialize",
      "notifications/initialized",
      "logging/setLevel",
      "resources/subscribe",
      "logging/setLevel",
      "resources/subscribe",
      "tools/call",
    ]);
  });

test("a client that subscribed is told of a change without a message of its own", async () => {
  const { child, seen, post } = rig();
  child.start(PORT);
  await post(initialize());
  await post(rpc("sub", "resources/subscribe", { uri: "file:///one" }));
  child.end("was killed by SIGKILL");
  await until(
    () => seen.heard.some(({ method }) => method === "notifications/resources/updated"),
    "it is told",
  );
});

test("a child that a task was left to comes back at once, one that was told to end with the next message", async () => {
  const { child, links, post } = rig();
  child.start(PORT);
  await post(initialize());
  await post(rpc("task", "tools/call", { name: "echo", task: { ttl: 60_000 } }));
  child.end("was killed by SIGKILL");
  await until(() => links.length === 2, "another child serves");
  child.end("was stopped by an admin", false);
  await nextTurn();
  assert.deepEqual([links.length, child.starts()], [2, 2]);
  await post(call(1, "echo"));
  assert.deepEqual([links.length, child.starts()], [3, 3]);
});

test("what is read only is sent to the next child, and a call that the last one may have made is not", async () => {
  const { child, links, seen, post } = rig();
  child.start(PORT);
  await post(initialize());
  await post(call(1, "echo"));
  await post(rpc(2, "resources/read", { uri: "file:///one" }));
  child.end("was killed by SIGKILL");
  await until(() => links[1]?.posts.length === 2, "it is sent again");
  assert.deepEqual(methodsOf(links[1]!), ["initialize", "resources/read"]);
  assert.deepEqual(seen.told, ["1: INSTANCE_EXITED"]);
});

test("a call of which nothing went out is sent to the next child", async () => {
  const { child, links, seen, post } = rig();
  child.start(PORT);
  await post(initialize());
  await post(call(1, "echo"));
  links[0]!.unsent.push("1");
  child.end("was killed by SIGKILL");
  await until(() => links[1]?.posts.length === 2, "it is sent again");
  assert.deepEqual([methodsOf(links[1]!)[1], seen.told], ["tools/call", []]);
});

test("nothing is sent more than three times", async () => {
  const { child, links, seen, post } = rig();
  child.start(PORT);
  await post(initialize());
  await post(rpc(2, "resources/read", { uri: "file:///one" }));
  for (const at of [1, 2]) {
    child.end("was killed by SIGKILL");
    await until(() => links[at]?.posts.length === 2, "it is sent again");
  }
  child.end("was killed by SIGKILL");
  await until(() => seen.told.length > 0, "it is told");
  assert.deepEqual(seen.told, ["2: INSTANCE_EXITED"]);
});

test("a request of a later child has an id of its own, and only its answer goes there", async () => {
  const { child, links, seen, post } = rig();
  child.start(PORT);
  await post(initialize());
  const ask = (at: number): void =>
    links[at]!.events.listener.onMessage(
      Buffer.from(rpc(7, "sampling/createMessage", {})),
      undefined,
    );
  ask(0);
  child.end("was killed by SIGKILL");
  await until(() => seen.heard.at(-1)?.method === "notifications/cancelled", "it is taken back");
  await post(call(1, "echo"));
  ask(1);
  assert.deepEqual(seen.heard.at(-1)?.id, '"g2:7"');
  const answer = (id: unknown): string => JSON.stringify({ jsonrpc: "2.0", id, result: {} });
  await post(answer(7));
  assert.equal(links[1]!.posts.length, 2);
  await post(answer("g2:7"));
  assert.equal(links[1]!.posts.at(-1), answer(7));
});

test("what a later child asks while it is told what the last one knew is answered", async () => {
  const { promise: greeted, resolve: greet } = Promise.withResolvers<void>();
  const { child, links, seen, post } = rig({ greeting: () => greeted });
  child.start(PORT);
  await post(initialize());
  await post(notice("notifications/initialized"));
  child.end("was killed by SIGKILL");
  const called = post(call(1, "echo"));
  await until(() => links[1]?.posts.length === 2, "the next one is greeted");
  const { listener } = links[1]!.events;
  listener.onMessage(Buffer.from(rpc(7, "roots/list", {})), undefined);
  assert.deepEqual(seen.heard.at(-1)?.id, '"g2:7"');
  const answer = (id: unknown): string => JSON.stringify({ jsonrpc: "2.0", id, result: {} });
  await post(answer("g2:7"));
  assert.equal(links[1]!.posts.at(-1), answer(7));
  greet();
  assert.equal(await called, 202);
});

for (const [what, answer] of [
  ["another version", { ...ANSWER, protocolVersion: "2024-11-05" }],
  ["less than it could", { ...ANSWER, capabilities: {} }],
] as const)
  test(`a session whose next child speaks ${what} is over`, async () => {
    const { child, seen, session, post, answers } = rig();
    child.start(PORT);
    await post(initialize());
    child.end("was killed by SIGKILL");
    await until(() => !session.hasChild, "it is heard");
    answers.initialize = answer;
    await assert.rejects(post(call(1, "echo")), { code: "SESSION_LOST" });
    await until(() => seen.ends > 0, "the streams end");
    assert.equal(session.isLost, true);
    await assert.rejects(post(call(2, "echo")), { code: "SESSION_NOT_FOUND" });
  });

test("a session whose client cannot be told of its child's end is over", async () => {
  const telling = async (): Promise<void> => {
    throw new SupervisorError("STORE_FAILED", "it cannot be said");
  };
  const { child, seen, session, post } = rig({ telling });
  child.start(STDIO);
  await post(call(1, "echo"));
  child.end("exited with code 1");
  await until(() => seen.ends > 0, "the streams end");
  assert.equal(session.isLost, true);
});

test("a session of a server that keeps state is lost with its child: what waits is told, the streams end, nothing more is taken", async () => {
  const { child, links, seen, session, post } = rig({ isStateful: true });
  child.start(STDIO);
  await post(call("a", "echo"));
  child.end("exited with code 1");
  await until(() => seen.ends > 0, "the streams end");
  assert.deepEqual([seen.told, seen.ends], [["a: INSTANCE_EXITED"], 1]);
  assert.equal(session.isLost, true);
  await assert.rejects(post(call("b", "echo")), { code: "SESSION_NOT_FOUND" });
  assert.equal(links.length, 1);
});

test("a message goes to the generation that serves now, and what the last one was asked is answered by that", async () => {
  const { child, links, seen, session, post } = rig();
  child.start(PORT);
  await post(call(1, "echo"));
  child.drain();
  assert.equal(await post(call(2, "echo")), 202);
  assert.deepEqual([links[0]?.end, links[1]?.posts], ["open", [call(2, "echo")]]);
  const answer = (id: number): Buffer =>
    Buffer.from(JSON.stringify({ jsonrpc: "2.0", id, result: {} }));
  links[1]!.events.listener.onMessage(answer(1), undefined);
  assert.equal(session.inFlight, 2);
  links[0]!.events.listener.onMessage(answer(1), undefined);
  assert.deepEqual([seen.heard.map(({ id }) => id), session.inFlight], [["1"], 1]);
  assert.equal(links[0]?.end, "closed");
});

test("a link that breaks is told with its own reason where the child lives on", async () => {
  const { child, links, seen, session, post } = rig();
  child.start(PORT);
  await post(call(1, "echo"));
  links[0]!.events.onClosed(new SupervisorError("UPSTREAM_INVALID", "no message"));
  await until(() => seen.told.length > 0, "what waited is told");
  assert.deepEqual([seen.told, session.isLost], [["1: UPSTREAM_INVALID"], false]);
});

test("a link that breaks because its child ends is told as that end", async () => {
  const { child, links, seen, post } = rig();
  child.start(PORT);
  await post(call(1, "echo"));
  child.drain();
  links[0]!.events.onClosed(CUT_OFF);
  child.end("was killed by SIGKILL");
  await until(() => seen.told.length > 0, "what waited is told");
  assert.deepEqual(seen.told, ["1: INSTANCE_EXITED"]);
});

test("a session that is closed ends its link, and is counted no more", async () => {
  const { child, links, session, post } = rig();
  child.start(STDIO);
  assert.equal(child.instance.usage.sessions, 1);
  await post(call(1, "echo"));
  session.close();
  session.close();
  assert.deepEqual(
    [links[0]?.end, session.inFlight, child.instance.usage.sessions],
    ["closed", 0, 0],
  );
  await assert.rejects(post(rpc(2, "ping")), { code: "SESSION_NOT_FOUND" });
});

test("a link that fails at its end keeps no session from its own", async () => {
  const failing = (): never => {
    throw new SupervisorError("STORE_FAILED", "it fails");
  };
  const left = rig();
  left.child.start(STDIO);
  await left.post(call(1, "echo"));
  Object.defineProperty(left.links[0]!, "end", { set: failing });
  left.session.close();
  const { sessions, inFlight } = left.child.instance.usage;
  assert.deepEqual([sessions, inFlight], [0, 0]);
});

test("a client that leaves while its link is opened leaves none behind", async () => {
  let open: () => void = () => {};
  const { child, links, session, post } = rig({
    opening: () => new Promise<void>((resolve) => (open = resolve)),
  });
  child.start(PORT);
  const waiting = post(call(1, "echo"));
  const refused = assert.rejects(waiting, { code: "SESSION_NOT_FOUND" });
  await new Promise((resolve) => setImmediate(resolve));
  session.close();
  open();
  await refused;
  assert.deepEqual([links.length, links[0]?.end], [1, "closed"]);
});
