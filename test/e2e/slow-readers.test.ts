import assert from "node:assert/strict";
import { request } from "node:http";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import { startForAlice } from "../helpers/alice.ts";
import type { TestDaemon } from "../helpers/daemon.ts";
import { call, modernCall } from "../helpers/fixtures.ts";
import { EventStream, ask } from "../helpers/raw-http.ts";
import { until } from "../helpers/until.ts";

const MIB = 1024 * 1024;
const EACH = 3 * MIB;
/** More than the kernel takes for a client that does not read. */
const ANSWERS = 10;
/** Of 4 KiB each: as much. */
const NOTICES = 8000;
const NOISY = fileURLToPath(new URL("../fixtures/servers/noisy.ts", import.meta.url));
const noisy = { command: process.execPath, args: ["--no-warnings", NOISY] };

async function droppedBy({ socket }: TestDaemon): Promise<number> {
  const body = await new Promise<string>((resolve, reject) => {
    const options = { socketPath: socket, path: "/metrics", headers: { host: "localhost" } };
    const req = request(
      { ...options, agent: false },
      (res) => void text(res).then(resolve, reject),
    );
    req.once("error", reject).end();
  });
  return Number(/notifications_dropped_total (\d+)/.exec(body)?.[1]);
}

test("a client that does not read for a moment keeps its stream: a child of its own waits for it, a shared one answers with an error for each that finds no room, and goes on for the others", async (t) => {
  const limits = { unread: "4M" };
  const { daemon, post, sse } = await startForAlice(t, { own: noisy, shared: noisy }, { limits });
  const askAll = async (
    server: string,
  ): Promise<{ stream: Awaited<ReturnType<typeof sse>>["stream"] }> => {
    const { stream, endpoint } = await sse(server);
    stream.pause();
    for (let id = 1; id <= ANSWERS; id++)
      assert.equal((await post(endpoint, call(id, "large", { bytes: EACH }))).status, 202);
    return { stream };
  };
  const errorsIn = ({ stream }: Awaited<ReturnType<typeof askAll>>) =>
    stream.messages().flatMap(({ error }) => error ?? []);
  const answered = async (asked: Awaited<ReturnType<typeof askAll>>) => {
    asked.stream.resume();
    await until(() => asked.stream.messages().length === ANSWERS + 1, "all are answered", 60_000);
    assert.equal(asked.stream.isEnded, false);
    return errorsIn(asked);
  };

  assert.deepEqual(await answered(await askAll("own")), []);

  const other = await sse("shared");
  const slow = await askAll("shared");
  await post(other.endpoint, call("other", "echo", { text: "here" }));
  await until(() => other.stream.messages().length === 2, "the other session is served", 60_000);
  const errors = await answered(slow);
  assert.ok(errors.length > 0 && errors.length < ANSWERS, `${errors.length} errors`);
  for (const error of errors) {
    assert.equal(error.data?.type, "CLIENT_TOO_SLOW");
    assert.match(error.message, /limits\.unread \(4 MiB\)/);
  }

  slow.stream.pause();
  const line = JSON.stringify({
    jsonrpc: "2.0",
    method: "notifications/x",
    params: { x: "x".repeat(4000) },
  });
  await post(other.endpoint, call("flood", "flood", { text: `${line}\n` }));
  await until(async () => (await droppedBy(daemon)) > 0, "a notification was dropped", 60_000);
  assert.equal(slow.stream.isEnded, false);
});

test("over Streamable HTTP a stream that is not read is kept: what finds no room on it is dropped, and an answer of the session that finds none is an error on its own POST", async (t) => {
  const limits = { unread: "4M" };
  const { daemon, post, stream, http } = await startForAlice(t, { shared: noisy }, { limits });
  const [mine, others] = [await http("shared"), await http("shared")];
  const slow = await stream("/u/alice/shared/mcp", mine);
  slow.pause();
  const say = (id: string, session: string[], name: string, args: object) =>
    post("/u/alice/shared/mcp", call(id, name, args), session);
  assert.equal((await say("many", others, "large", { notices: NOTICES, bytes: 1 })).status, 200);
  await until(async () => (await droppedBy(daemon)) > 0, "a notification was dropped", 60_000);
  const large = await say("large", mine, "large", { bytes: EACH });
  assert.match(large.body, /"id":"large","error":.*limits\.unread \(4 MiB\).*"CLIENT_TOO_SLOW"/);
  assert.equal(slow.isEnded, false);
  slow.resume();
  await until(() => slow.messages().length > 0, "what waited has come");
});

test("a client of 2026-07-28 that does not read has what it was to be told dropped beyond the limit, its answer replaced by an error, and all of it counted", async (t) => {
  const limits = { unread: "4M" };
  const { daemon, auth } = await startForAlice(t, { shared: noisy }, { limits });
  const echo = async (said: string) => {
    const asked = modernCall(auth, said, { name: "echo", arguments: { text: said } });
    assert.match((await ask(daemon.port, asked)).body, new RegExp(said));
  };
  await echo("a child is there");
  const large = { notices: NOTICES, bytes: EACH };
  const asked = { name: "large", arguments: large, logLevel: "info" };
  const slow = await EventStream.open(daemon.port, modernCall(auth, "slow", asked));
  t.after(() => slow.close());
  slow.pause();
  // The child answers in turn, so by then it has said to the slow one all that it had to say.
  await echo("another client is served");
  const dropped = await droppedBy(daemon);
  slow.resume();
  await until(() => slow.isEnded, "its answer has ended");
  const messages = slow.messages();
  const last = messages.pop()!;
  assert.deepEqual([last.id, last.error?.data?.type], ["slow", "CLIENT_TOO_SLOW"]);
  assert.match(last.error!.message, /limits\.unread \(4 MiB\)/);
  assert.ok(dropped > 0);
  assert.equal(messages.length + dropped, NOTICES);
});

test("what waits for the clients of all sessions has a limit too, beside which every one has room for its small answers", async (t) => {
  const limits = { unread: "64M", unreadTotal: "8M" };
  const { post, sse } = await startForAlice(t, { shared: noisy }, { limits });
  const [slow, other] = [await sse("shared"), await sse("shared")];
  const answers = async (
    { endpoint, stream }: typeof slow,
    id: string,
    ...args: [string, object]
  ) => {
    assert.equal((await post(endpoint, call(id, ...args))).status, 202);
    return () => stream.messages().find((message) => message.id === id);
  };
  const isFull = (message: ReturnType<Awaited<ReturnType<typeof answers>>>) => {
    assert.equal(message?.error?.data?.type, "CLIENT_TOO_SLOW");
    assert.match(message.error.message, /limits\.unreadTotal \(8 MiB\)/);
  };
  slow.stream.pause();
  const asked: Awaited<ReturnType<typeof answers>>[] = [];
  for (let id = 0; id < ANSWERS; id++)
    asked.push(await answers(slow, `slow ${id}`, "large", { bytes: EACH }));
  const small = await answers(other, "small", "echo", { text: "here" });
  assert.deepEqual((await until(small, "a small answer has room")).error, undefined);
  isFull(await until(await answers(other, "large", "large", { bytes: EACH }), "it is answered"));

  slow.stream.resume();
  await until(() => asked.every((answer) => answer() !== undefined), "all are answered", 60_000);
  const errors = asked.map((answer) => answer()).filter((message) => message?.error);
  assert.ok(errors.length > 0 && errors.length < ANSWERS, `${errors.length} errors`);
  errors.forEach(isFull);
  const again = await until(await answers(other, "again", "large", { bytes: EACH }), "room again");
  assert.equal(again.error, undefined);
});
