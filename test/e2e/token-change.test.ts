import assert from "node:assert/strict";
import { test } from "node:test";
import { startForAlice } from "../helpers/alice.ts";
import type { Alice } from "../helpers/alice.ts";
import { bearer, call, fixture, initialize, json } from "../helpers/fixtures.ts";
import { EventStream, ask } from "../helpers/raw-http.ts";
import { record } from "../helpers/recorder.ts";
import { until } from "../helpers/until.ts";

interface Session {
  stream: EventStream;
  endpoint: string;
}

/** The token in the child's environment, as its tool `env` tells over an SSE session. */
async function tokenOver(rig: Alice, { stream, endpoint }: Session, id: string): Promise<unknown> {
  assert.equal((await rig.post(endpoint, call(id, "env"))).status, 202);
  const answer = await until(
    () => stream.messages().find((message) => message.id === id),
    "the answer has come",
  );
  const { content } = answer.result as { content: { text: string }[] };
  return (JSON.parse(content[0]!.text) as Record<string, unknown>)["USER_ACCESS_TOKEN"];
}

/** The same over Streamable HTTP, to a child that answers with an event stream. */
async function tokenOverHttp(port: number, user: string, headers: string[]): Promise<unknown> {
  const stream = await EventStream.open(port, {
    method: "POST",
    path: `/u/${user}/two/mcp`,
    headers: [...json, ...headers],
    body: call("env", "env"),
  });
  await until(() => stream.isEnded, "the answer is whole");
  const { content } = stream.messages()[0]!.result as { content: { text: string }[] };
  return (JSON.parse(content[0]!.text) as Record<string, unknown>)["USER_ACCESS_TOKEN"];
}

const setToken = async (rig: Alice, token: string, ...flags: string[]) =>
  assert.equal(
    (await rig.daemon.cli(["token", "set", "alice", "--token-stdin", ...flags], { input: token }))
      .code,
    0,
  );

/** Another child than this one serves. */
const isReplaced = async (rig: Alice, server: string, { pid }: { pid: number }) =>
  await until(async () => (await rig.row(server)).pid !== pid, "another child serves");

test("a new token: the sessions over both fronts go on with the next child", async (t) => {
  const rig = await startForAlice(
    t,
    { one: fixture("sse", "echo-sse"), two: fixture("http", "echo-sse") },
    { drainTimeout: "1s" },
  );
  const old = await rig.sse("one");
  const oldHttp = await rig.http("two");
  const waiting = await rig.stream("/u/alice/two/mcp", oldHttp);
  assert.equal(await tokenOver(rig, old, "before"), "token-of-alice");
  const before = [await rig.row("one"), await rig.row("two")];
  await rig.post(old.endpoint, call("slow", "sleep", { ms: 60_000 }));

  await setToken(rig, "second-token");
  const failed = await until(
    () => old.stream.messages().find(({ id }) => id === "slow"),
    "the call under way has failed",
  );
  assert.equal(failed.error?.data?.type, "INSTANCE_EXITED");
  assert.match(failed.error?.message ?? "", /was restarted for a new token/);
  assert.equal(await tokenOver(rig, old, "after"), "second-token");
  assert.equal(old.stream.isEnded, false);
  const now = await tokenOverHttp(rig.daemon.port, "alice", [...rig.auth, ...oldHttp]);
  assert.equal(now, "second-token");
  assert.equal(waiting.isEnded, false);
  const after = [await rig.row("one"), await rig.row("two")];
  for (const [i, row] of after.entries()) assert.notEqual(row.pid, before[i]!.pid);
});

test("a token for one server leaves the child of another alone, and other users' children too", async (t) => {
  const rig = await startForAlice(t, {
    one: fixture("sse", "echo-sse"),
    two: fixture("http", "echo-sse"),
  });
  const { daemon } = rig;
  const sse = await rig.sse("one");
  const http = await rig.http("two");
  const bob = await daemon.addUser("bob", "token-of-bob");
  const hello = await ask(daemon.port, {
    method: "POST",
    path: "/u/bob/two/mcp",
    headers: [...bearer(bob.key.secret), ...json],
    body: initialize(),
  });
  const pidOf = async (user: string, server: string) => {
    const { instances } = (await daemon.cli(["status", user])).json<{
      instances: { server: string; pid: number }[];
    }>();
    return instances.find((row) => row.server === server)?.pid;
  };
  const before = [await pidOf("alice", "one"), await pidOf("bob", "two")];
  const two = await rig.row("two");
  await setToken(rig, "for-two-alone", "--server", "two");
  await isReplaced(rig, "two", two);
  const now = await tokenOverHttp(daemon.port, "alice", [...rig.auth, ...http]);
  assert.equal(now, "for-two-alone");
  assert.equal(await tokenOver(rig, sse, "still"), "token-of-alice");
  const still = await tokenOverHttp(daemon.port, "bob", [
    ...bearer(bob.key.secret),
    "mcp-session-id",
    String(hello.headers["mcp-session-id"]),
  ]);
  assert.equal(still, "token-of-bob");
  assert.deepEqual([await pidOf("alice", "one"), await pidOf("bob", "two")], before);
});

test("a token that is cleared is in the next child no more", async (t) => {
  const rig = await startForAlice(t, { one: fixture("sse", "echo-sse") });
  const old = await rig.sse("one");
  assert.equal(await tokenOver(rig, old, "before"), "token-of-alice");
  await rig.daemon.cli(["token", "clear", "alice"]);
  assert.equal(await tokenOver(rig, old, "after"), undefined);
});

test("a new token reaches a remote with the next request, sessions go on, and the old one is not sent again", async (t) => {
  const remote = await record(t);
  const headers = { Authorization: "Bearer ${token}" };
  const rig = await startForAlice(t, {
    one: { url: `${remote.origin}/sse`, headers },
    two: { url: `${remote.origin}/mcp`, headers },
  });
  const old = await rig.sse("one");
  const oldHttp = await rig.http("two");
  await setToken(rig, "second-token");
  const sent = remote.requests.length;
  const answer = await rig.post("/u/alice/two/mcp", call(1, "x"), oldHttp);
  assert.equal(answer.status, 200);
  await rig.post(old.endpoint, call(1, "x"));
  await rig.http("two");
  const since = remote.requests.slice(sent);
  assert.ok(since.length >= 3);
  for (const request of since) assert.equal(request.headers.authorization, "Bearer second-token");
});

test("a child that takes its time to end gets no message once another has the new token", async (t) => {
  const rig = await startForAlice(
    t,
    { one: fixture("sse", "ignores-sigterm"), two: fixture("http", "ignores-sigterm") },
    { stopTimeout: "3s" },
  );
  const sse = await rig.sse("one");
  const http = await rig.http("two");
  const before = [await rig.row("one"), await rig.row("two")] as const;
  await setToken(rig, "second-token");
  await isReplaced(rig, "one", before[0]);
  await isReplaced(rig, "two", before[1]);
  const late = await tokenOverHttp(rig.daemon.port, "alice", [...rig.auth, ...http]);
  assert.equal(late, "second-token");
  const lost = await rig.post(sse.endpoint, call("late", "env"));
  assert.equal(lost.status, 202);
  const told = await until(
    () => sse.stream.messages().find(({ id }) => id === "late"),
    "the client is told",
  );
  assert.equal(told.error, undefined);
  assert.equal(sse.stream.text.includes("token-of-alice"), false);
  assert.equal(await tokenOver(rig, sse, "next"), "second-token");
});
