import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { SupervisorError } from "../../src/errors.ts";
import { ModernStdio } from "../../src/links/modern-stdio.ts";
import { openLink } from "../../src/links/open-link.ts";
import type { LinkEvents } from "../../src/links/link.ts";
import type { Live } from "../../src/instances/supervisor.ts";
import { peek } from "../../src/mcp/client-body.ts";
import { META } from "../../src/mcp/modern.ts";
import { ModernPost } from "../../src/sessions/modern-post.ts";
import { ModernServer } from "../../src/sessions/modern-server.ts";
import type { HttpOutlet } from "../../src/sessions/outlet.ts";
import type { Resend } from "../../src/sessions/resend.ts";
import { AllUnread, Unread } from "../../src/sessions/unread.ts";
import { testInstance } from "../helpers/instance.ts";
import { until } from "../helpers/until.ts";

interface Json {
  id?: number;
  method?: string;
  params?: { requestId?: number };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A child of 2026-07-28 with its pipes in the test's hands. */
function childEnds() {
  const [stdin, stdout] = [new PassThrough(), new PassThrough()];
  const got: Json[] = [];
  stdin.setEncoding("utf8").on("data", (text: string) => {
    for (const line of text.trimEnd().split("\n")) got.push(JSON.parse(line) as Json);
  });
  const pipes = { stdin, stdout, clientVersion: "1", onFault: assert.fail, onBroken: assert.fail };
  const hub = new ModernStdio(pipes);
  const say = (message: object) =>
    stdout.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);
  return { hub, got, say, asked: () => got.filter(({ id }) => id !== undefined) };
}

/** A client's side of its request: what it was told, in order. */
function client() {
  const told: string[] = [];
  const outlet: HttpOutlet = {
    accepted: "either",
    unread: 0,
    head: (status) => void told.push(String(status)),
    part: (bytes) => {
      told.push(bytes.toString().trim());
      return true;
    },
    onceDrained() {},
    end: () => void told.push("end"),
    fail: ({ code, data }, unanswered) =>
      void told.push(`${code} ${String(data?.["mayHaveHappened"])} for ${unanswered.join()}`),
  };
  return { told, outlet };
}

/** Requests to one server, each generation of which is a child as above. */
async function rig(resend: Resend = "reads") {
  const own = testInstance();
  const counts: string[] = [];
  const children: ReturnType<typeof childEnds>[] = [];
  const start = () => {
    const child = childEnds();
    children.push(child);
    own.start({ transport: "stdio", era: "modern", hub: child.hub });
    return child;
  };
  const connect = (live: Live, events: LinkEvents) =>
    openLink({ target: live.target, clientFor: () => assert.fail(), postTimeoutMs: 1000, events });
  const server = new ModernServer({
    instance: own.instance,
    resend,
    connect,
    survival: {
      onReplay: assert.fail,
      onReplayRefused: assert.fail,
      onResent: (_whose, calls) => void counts.push(`${calls} resent`),
      onLost: (_whose, calls, reason) => void counts.push(`${calls} lost: ${reason}`),
    },
  });
  const all = new AllUnread({ unreadBytes: 1 << 20, unreadTotalBytes: 1 << 20 });
  const post = async (method: string, params: object = {}) => {
    const { told, outlet } = client();
    const seen = peek(Buffer.from(JSON.stringify({ jsonrpc: "2.0", id: "x", method, params })));
    assert.ok(seen.kind === "messages");
    const made = new ModernPost(server, outlet, new Unread(all, outlet));
    made.send(seen.messages[0]!, await server.ready());
    return { told, post: made };
  };
  /** The child of now dies, and the next one is there when it is asked for. */
  const die = () => {
    const old = children.at(-1)!;
    const next = childEnds();
    children.push(next);
    own.end("was killed by SIGKILL");
    old.hub.end();
    own.start({ transport: "stdio", era: "modern", hub: next.hub });
    return next;
  };
  return { own, first: start(), post, die, counts, children };
}

test("a request goes to three children at most, and its client is told that the last one may have done it", async () => {
  const { first, post, die, counts, children } = await rig();
  const { told } = await post("resources/read");
  await until(() => first.asked().length === 1, "the first has it");
  for (const count of [2, 3]) {
    die();
    await until(() => children[count - 1]!.asked().length === 1, "the next one has it");
  }
  die();
  await until(() => told.length > 0, "the client is told");
  assert.deepEqual(told, ['INSTANCE_EXITED true for "x"']);
  assert.deepEqual(children[3]!.got, []);
  assert.deepEqual(counts, ["1 resent", "1 resent", "1 lost: was killed by SIGKILL"]);
});

test("a call that no child has read is sent to the next one, whatever resend says", async () => {
  const { post, die, first } = await rig("never");
  const { told } = await post("tools/call", { name: "pay" });
  // Within the turn in which it came: it has not gone out.
  const next = die();
  await until(() => next.asked().length === 1, "the next one has it");
  next.say({ id: next.asked()[0]!.id, result: { paid: true } });
  await until(() => told.includes("end"), "the answer");
  assert.match(told[1]!, /"id":"x","result":\{"paid":true\}/);
  assert.deepEqual(first.got, []);
});

test("a tool is called again only where the child that had the call said that it may be", async () => {
  const { first, post, die, children } = await rig("annotated");
  const listing = await post("tools/list");
  await until(() => first.asked().length === 1, "it is asked for its tools");
  const tools = [
    { name: "look", annotations: { readOnlyHint: true } },
    { name: "pay", annotations: { readOnlyHint: false } },
    null,
  ];
  first.say({ id: first.asked()[0]!.id, result: { tools } });
  await until(() => listing.told.includes("end"), "the tools");
  const [look, pay] = [
    await post("tools/call", { name: "look" }),
    await post("tools/call", { name: "pay" }),
  ];
  await until(() => first.asked().length === 3, "both are under way");
  die();
  await until(() => pay.told.length > 0 && children[1]!.asked().length > 0, "both are decided");
  assert.deepEqual(pay.told, ['INSTANCE_EXITED true for "x"']);
  assert.deepEqual(look.told, []);
  // The next one has not said so.
  die();
  await until(() => look.told.length > 0, "the client is told");
  assert.deepEqual(look.told, ['INSTANCE_EXITED true for "x"']);
  assert.deepEqual(children[2]!.got, []);
});

test("work is counted for the child that has the call, and a listener is no work", async () => {
  const { own, first, post, die } = await rig();
  const { work } = await own.instance.ensure();
  const reading = await post("resources/read");
  const listening = await post("subscriptions/listen");
  assert.equal(work.inFlight, 1);
  await until(() => first.asked().length === 2, "both are there");
  const next = die();
  await until(() => next.asked().length === 2, "both are there again");
  assert.deepEqual([work.inFlight, own.instance.live!.work.inFlight], [0, 1]);
  reading.post.abort();
  assert.equal(own.instance.live!.work.inFlight, 0);
  listening.post.abort();
});

test("a listener is led to the next child as soon as that is ready, and leaves the one before", async () => {
  const { own, first, post, children } = await rig();
  const listener = await post("subscriptions/listen");
  await until(() => first.asked().length === 1, "it listens");
  const { id } = first.asked()[0]!;
  const next = childEnds();
  children.push(next);
  const live = {
    ...own.instance.live!,
    target: { transport: "stdio", era: "modern", hub: next.hub },
  };
  for (const follower of own.instance.usage.followers) follower.follow(live as Live);
  await until(() => next.asked().length === 1, "it listens there");
  const left = await until(() => first.got[1], "the one before knows");
  assert.deepEqual([left.method, left.params!.requestId], ["notifications/cancelled", id]);
  listener.post.abort();
  assert.equal(own.instance.usage.followers.size, 0);
  assert.equal(own.instance.usage.inFlight, 0);
});

test("a child that ends a subscription and lives on has ended it for its client", async () => {
  const { first, post } = await rig();
  const { told } = await post("subscriptions/listen");
  await until(() => first.asked().length === 1, "it listens");
  const { id } = first.asked()[0]!;
  const _meta = { [META.subscriptionId]: id };
  first.say({ method: "notifications/subscriptions/acknowledged", params: { _meta } });
  first.say({ method: "notifications/cancelled", params: { requestId: id } });
  await until(() => told.some((text) => text.startsWith("UPSTREAM_RESET")), "the client is told");
});

test("a client that leaves between two children is sent to none", async () => {
  const { own, first, post } = await rig();
  const { told, post: made } = await post("resources/read");
  await until(() => first.asked().length === 1, "the first has it");
  own.instance.live!.work.begin();
  own.drain();
  first.hub.end();
  made.abort();
  own.end("was killed by SIGKILL");
  await turn();
  assert.deepEqual([told, own.starts(), own.instance.usage.inFlight], [[], 1, 0]);
});

test("what keeps the next child from starting is what the client is told", async () => {
  const { own, first, post } = await rig();
  const { told } = await post("resources/read");
  await until(() => first.asked().length === 1, "the first has it");
  own.instance.ensure = () =>
    Promise.reject(new SupervisorError("INSTANCE_BACKING_OFF", "it failed again and again"));
  own.end("was killed by SIGKILL");
  first.hub.end();
  await until(() => told.length > 0, "the client is told");
  assert.deepEqual(told, ['INSTANCE_BACKING_OFF true for "x"']);
});
