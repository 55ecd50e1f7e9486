import assert from "node:assert/strict";
import { test } from "node:test";
import { SupervisorError } from "../../src/errors.ts";
import type { Live } from "../../src/instances/supervisor.ts";
import { ACCEPTED, NOTHING_REMEMBERED } from "../../src/links/link.ts";
import type { Link, LinkEvents, Posting, Remembered } from "../../src/links/link.ts";
import type { StdioTarget } from "../../src/links/target.ts";
import { peek } from "../../src/mcp/client-body.ts";
import type { Front } from "../../src/sessions/front.ts";
import { Generations } from "../../src/sessions/generations.ts";
import { Session } from "../../src/sessions/session.ts";
import { call, rpc } from "../helpers/fixtures.ts";
import { testInstance } from "../helpers/instance.ts";
import { until } from "../helpers/until.ts";

const STDIO = { transport: "stdio", era: "legacy" } as StdioTarget;
const PORT = new URL("http://127.0.0.1:1/mcp");
const CUT_OFF = new SupervisorError("UPSTREAM_RESET", "the server is gone");

/** A way to one generation on which nothing but the test answers. */
interface TestLink {
  live: Live;
  before: Remembered | undefined;
  events: LinkEvents;
  posts: string[];
  end: "open" | "closed" | "abandoned";
  remembers: Remembered;
}

function rig({ isStateful = false, opening = async () => {}, telling = async () => {} } = {}) {
  const child = testInstance();
  const links: TestLink[] = [];
  const seen = { told: [] as string[], ends: 0 };
  const front: Front = {
    cutOff: CUT_OFF,
    onMessage: () => {},
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
  const connect = async (
    live: Live,
    before: Remembered | undefined,
    events: LinkEvents,
  ): Promise<Link> => {
    await opening();
    return linkTo(live, before, events);
  };
  const linkTo = (live: Live, before: Remembered | undefined, events: LinkEvents): Link => {
    const remembers = NOTHING_REMEMBERED;
    const kept: TestLink = { live, before, events, posts: [], end: "open", remembers };
    links.push(kept);
    return {
      post: async ({ body }: Posting) => {
        kept.posts.push(body.toString());
        return ACCEPTED;
      },
      pause: () => {},
      resume: () => {},
      recall: () => kept.remembers,
      close: () => (kept.end = "closed"),
      abandon: () => (kept.end = "abandoned"),
    };
  };
  const session = new Session(
    {
      holder: { user: "alice", issuer: "key", credentialId: "k1" },
      instance: child.instance,
      isStateful,
      generations: new Generations(),
      connect: (live, before, events) =>
        live.target.transport === "stdio"
          ? linkTo(live, before, events)
          : connect(live, before, events),
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
  return { child, links, seen, session, post };
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

test("a session over stdio goes on with the next child, which is told what it had asked of the last", async () => {
  const { child, links, seen, session, post } = rig();
  child.start(STDIO);
  await post(call(1, "echo"));
  const remembered = { uris: ["file:///one"], level: "debug" };
  links[0]!.remembers = remembered;
  child.end("exited with code 1");
  await until(() => seen.told.length > 0, "what waited is told");
  assert.deepEqual(seen, { told: ["1: INSTANCE_EXITED"], ends: 0 });
  assert.deepEqual([links[0]?.end, session.isLost, session.hasChild], ["abandoned", false, false]);

  assert.equal(await post(call(1, "echo")), 202);
  assert.deepEqual([links.length, links[1]?.before, links[1]?.live.generation], [2, remembered, 2]);
});

test("a session that waits for its next child is taken over without a message of its own", async () => {
  const { child, links, post } = rig();
  child.start(STDIO);
  await post(call(1, "echo"));
  child.end("stopped");
  const { unattached } = child.instance.usage;
  const [waiting] = await until(() => (unattached.size > 0 ? [...unattached] : undefined), "waits");
  waiting!.attach(await child.instance.ensure());
  assert.deepEqual([links.length, unattached.size], [2, 0]);
});

test("a session whose next child is of another transport is over, and opens no link to it", async () => {
  const { child, links, seen, session, post } = rig();
  child.start(STDIO);
  await post(call(1, "echo"));
  child.end("stopped: the config changed");
  const { unattached } = child.instance.usage;
  const [waiting] = await until(() => (unattached.size > 0 ? [...unattached] : undefined), "waits");
  child.start(PORT);
  waiting!.attach(await child.instance.ensure());
  assert.deepEqual([links.length, unattached.size], [1, 0]);
  assert.deepEqual([session.isLost, seen.ends], [true, 1]);
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

for (const [what, isStateful, at] of [
  ["a session of a server that keeps state", true, STDIO],
  ["a session over a port", false, PORT],
] as const) {
  test(`${what} is lost with its child: what waits is told, the streams end, nothing more is taken`, async () => {
    const { child, links, seen, session, post } = rig({ isStateful });
    child.start(at);
    await post(call("a", "echo"));
    child.end("exited with code 1");
    await until(() => seen.ends > 0, "the streams end");
    assert.deepEqual(seen, { told: ["a: INSTANCE_EXITED"], ends: 1 });
    assert.equal(session.isLost, true);
    await assert.rejects(post(call("b", "echo")), { code: "SESSION_NOT_FOUND" });
    assert.equal(links.length, 1);
  });
}

test("a session is lost as soon as another generation serves, and what it has asked is still answered", async () => {
  const { child, links, seen, session, post } = rig();
  child.start(PORT);
  await post(call(1, "echo"));
  child.drain();
  assert.equal(session.isLost, true);
  await assert.rejects(post(call(2, "echo")), { code: "SESSION_LOST" });
  assert.deepEqual([links[0]?.end, seen.told, session.inFlight], ["open", [], 1]);
});

test("a message for the next child waits until the last one has answered what it was asked", async () => {
  const { child, links, seen, post } = rig();
  child.start(STDIO);
  await post(call(1, "echo"));
  child.drain();
  const next = post(call(2, "echo"));
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual([links.length, seen.told], [1, []]);
  child.end("stopped for a new token");
  assert.equal(await next, 202);
  assert.deepEqual([links.length, links[1]?.posts], [2, [call(2, "echo")]]);
});

test("a link that breaks is told with its own reason where the child lives on", async () => {
  const { child, links, seen, session, post } = rig();
  child.start(PORT);
  await post(call(1, "echo"));
  links[0]!.events.onClosed(new SupervisorError("UPSTREAM_INVALID", "no message"));
  await until(() => seen.ends > 0, "the streams end");
  assert.deepEqual([seen.told, session.isLost], [["1: UPSTREAM_INVALID"], true]);
});

test("a session whose link broke keeps its child no longer", async () => {
  const { child, links, seen, post } = rig();
  child.start(PORT);
  await post(rpc(1, "resources/subscribe", { uri: "file:///one" }));
  const { holds } = child.instance.usage;
  assert.equal(holds.size, 1);
  links[0]!.events.onClosed(CUT_OFF);
  await until(() => seen.ends > 0, "the streams end");
  assert.equal(holds.size, 0);
});

test("a link that breaks because its child ends is told as that end", async () => {
  const { child, links, seen, post } = rig();
  child.start(PORT);
  await post(call(1, "echo"));
  child.drain();
  links[0]!.events.onClosed(CUT_OFF);
  child.end("was killed by SIGKILL");
  await until(() => seen.ends > 0, "the streams end");
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
  const ended = rig();
  ended.child.start(STDIO);
  await ended.post(call(1, "echo"));
  Object.defineProperty(ended.links[0]!, "remembers", { get: failing });
  ended.child.end("exited with code 1");
  await until(() => ended.seen.ends > 0, "the streams end");
  assert.deepEqual([ended.session.isLost, ended.seen.told], [true, ["1: STORE_FAILED"]]);
  await assert.rejects(ended.post(call(2, "echo")), { code: "SESSION_NOT_FOUND" });

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
