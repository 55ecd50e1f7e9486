import assert from "node:assert/strict";
import { request } from "node:http";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import { startForAlice } from "../helpers/alice.ts";
import type { TestDaemon } from "../helpers/daemon.ts";
import { call } from "../helpers/fixtures.ts";
import { until } from "../helpers/until.ts";

const MIB = 1024 * 1024;
const EACH = 3 * MIB;
/** More than the kernel takes for a client that does not read. */
const ANSWERS = 10;
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
  const ask = async (
    server: string,
  ): Promise<{ stream: Awaited<ReturnType<typeof sse>>["stream"] }> => {
    const { stream, endpoint } = await sse(server);
    stream.pause();
    for (let id = 1; id <= ANSWERS; id++)
      assert.equal((await post(endpoint, call(id, "large", { bytes: EACH }))).status, 202);
    return { stream };
  };
  const errorsIn = ({ stream }: Awaited<ReturnType<typeof ask>>) =>
    stream.messages().flatMap(({ error }) => error ?? []);
  const answered = async (asked: Awaited<ReturnType<typeof ask>>) => {
    asked.stream.resume();
    await until(() => asked.stream.messages().length === ANSWERS + 1, "all are answered", 60_000);
    assert.equal(asked.stream.isEnded, false);
    return errorsIn(asked);
  };

  assert.deepEqual(await answered(await ask("own")), []);

  const other = await sse("shared");
  const slow = await ask("shared");
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
