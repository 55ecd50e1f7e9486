import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Conversation } from "../helpers/conversation.ts";
import type { Place, Rpc } from "../helpers/conversation.ts";
import { daemonFolder, startDaemon } from "../helpers/daemon.ts";
import type { TestDaemon } from "../helpers/daemon.ts";
import { isAlive } from "../helpers/leaks.ts";
import { instancesOf } from "../helpers/status.ts";
import { until } from "../helpers/until.ts";

const WITNESS = fileURLToPath(new URL("../fixtures/servers/witness.ts", import.meta.url));
const FRONTS = ["sse", "mcp"] as const;
const KINDS = ["stdio", "private", "over-sse", "over-http"] as const;

/** What the child of a server has written down. */
interface Entry {
  pid: number;
  got?: Rpc;
  ended?: "stdin" | "SIGTERM";
}

interface Rig {
  daemon: TestDaemon;
  open: (server: string, front: Place["front"]) => Promise<Conversation>;
  entries: (server: string) => Entry[];
  /** Calls under way at all children, as `status` has it. */
  inFlight: () => Promise<number>;
}

/** A daemon that has the witness over every transport, and alice. */
async function rig(t: TestContext, config: object = {}): Promise<Rig> {
  const dir = daemonFolder(t);
  const recordOf = (server: string) => join(dir, `${server}.jsonl`);
  const witness = (server: string, more: object, ...args: string[]) => ({
    command: process.execPath,
    args: ["--no-warnings", WITNESS, "--record", recordOf(server), ...args],
    ...more,
  });
  const onPort = ["--port", "${port}"];
  const servers = {
    stdio: witness("stdio", {}),
    private: witness("private", { sharing: "session" }),
    stubborn: witness("stubborn", {}, "--stays"),
    "over-sse": witness("over-sse", { type: "sse" }, ...onPort),
    "over-http": witness("over-http", { type: "http" }, ...onPort),
  };
  const daemon = await startDaemon(t, {
    dir,
    config: { servers, defaultServer: "stdio", ...config },
  });
  const { secret } = (await daemon.addUser("alice")).key;
  return {
    daemon,
    inFlight: async () => (await instancesOf(daemon)).reduce((sum, row) => sum + row.inFlight, 0),
    open: async (server, front) => {
      const { origin } = daemon;
      const opened = await Conversation.open({ origin, user: "alice", secret, server, front });
      t.after(() => opened.close());
      return opened;
    },
    entries: (server) => {
      const path = recordOf(server);
      if (!existsSync(path)) return [];
      const lines = readFileSync(path, "utf8").split("\n").slice(0, -1);
      return lines.map((line) => JSON.parse(line) as Entry);
    },
  };
}

const callOf = (id: string | number, name: string, args: object = {}) => ({
  jsonrpc: "2.0",
  id,
  method: "tools/call",
  params: { name, arguments: args },
});
const textOf = ({ result = {} }: Rpc) => (result["content"] as { text: string }[])[0]!.text;

test("batches go through in both directions, whatever the front and the child", async (t) => {
  const { open, inFlight } = await rig(t);
  for (const front of FRONTS) {
    for (const kind of KINDS) {
      await t.test(`/${front} over ${kind}`, async () => {
        const session = await open(kind, front);
        const batch = [
          callOf(1, "echo", { text: "one" }),
          { jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: "none" } },
          callOf("two", "echo", { text: "two" }),
        ];
        const { status, body, over } = await session.post(JSON.stringify(batch));
        assert.ok(status < 300, `${status} ${body}`);
        await over();
        assert.equal(textOf(await session.answerTo(1)), "one");
        assert.equal(textOf(await session.answerTo("two")), "two");
        await (await session.send(callOf(3, "batch"))).over();
        assert.equal(textOf(await session.answerTo(3)), "in a batch");
        assert.equal((await session.heard("notifications/message")).params?.["level"], "info");
        assert.equal(await inFlight(), 0);
        await session.end();
      });
    }
  }
});

test("a cancellation reaches the call at the child, and nothing waits for that call any more", async (t) => {
  const { open, entries, inFlight } = await rig(t);
  for (const front of FRONTS) {
    for (const kind of KINDS) {
      await t.test(`/${front} over ${kind}`, async () => {
        const session = await open(kind, front);
        const who = `${front} over ${kind}`;
        const posting = session.post(JSON.stringify(callOf("w", "wait", { who })));
        const call = await until(
          () => entries(kind).find(({ got }) => JSON.stringify(got ?? {}).includes(who)),
          "the call has begun",
        );
        const params = { requestId: "w", reason: "enough" };
        await session.send({ method: "notifications/cancelled", params });
        const cancelled = await until(
          () =>
            entries(kind).find(
              ({ pid, got }) =>
                pid === call.pid &&
                got?.method === "notifications/cancelled" &&
                got.params?.["requestId"] === call.got?.id,
            ),
          "the child has heard of it",
        );
        assert.equal(cancelled.got?.params?.["reason"], "enough");
        await (await posting).over();
        assert.equal(await session.call(2, "echo", { text: "goes on" }), "goes on");
        assert.deepEqual(
          session.received.filter(({ id }) => id === "w"),
          [],
        );
        assert.equal(await inFlight(), 0);
        await session.end();
      });
    }
  }
});

test("a DELETE ends the session and the child that was its own, not the child that others share", async (t) => {
  const { open, entries } = await rig(t);
  for (const kind of KINDS) {
    const [ending, staying] = [await open(kind, "mcp"), await open(kind, "mcp")];
    const pids = [await ending.call(1, "pid"), await staying.call(1, "pid")].map(Number);
    assert.equal(new Set(pids).size, kind === "private" ? 2 : 1);
    assert.equal(await ending.end(), 200);
    const { status, body } = await ending.post(JSON.stringify(callOf(2, "pid")));
    assert.equal(status, 404, kind);
    assert.match(body, /SESSION_NOT_FOUND/);
    if (kind === "private") {
      const ended = () => entries(kind).find((entry) => entry.pid === pids[0] && entry.ended);
      assert.equal((await until(ended, "its child has ended")).ended, "stdin");
      await until(() => !isAlive(pids[0]!), "its child is gone");
    }
    assert.equal(Number(await staying.call(2, "pid")), pids[1]);
    await staying.end();
  }
});

test("an SSE session whose client does not come back in time lets go of the child that was its own", async (t) => {
  const { open, entries } = await rig(t, { resumeWindow: "200ms" });
  const session = await open("private", "sse");
  const pid = Number(await session.call(1, "pid"));
  await session.end();
  await until(() => entries("private").some(({ ended }) => ended === "stdin"), "it has ended");
  await until(() => !isAlive(pid), "its child is gone");
});

test("what a child writes beside its messages is the child's fault: it is logged, and nobody is harmed", async (t) => {
  const { daemon, open } = await rig(t);
  const [noisy, other] = [await open("stdio", "sse"), await open("stdio", "mcp")];
  const pid = await other.call("before", "pid");
  assert.equal(await noisy.call(1, "noise"), "made noise");
  assert.equal(await noisy.call(2, "flood"), "flooded");
  assert.equal(await other.call("after", "pid"), pid);
  const { stdout } = await daemon.cli(["logs", "alice", "--server", "stdio"]);
  assert.match(stdout, /\[the child wrote a line that is not JSON\] starting up …/);
  assert.match(
    stdout,
    /\[the child wrote a long line that is no JSON-RPC message\] x{500} … \(cut\)/,
  );
  assert.ok(stdout.length < 1_000_000, "the flood itself is not kept");
});

test("a stdio child is stopped by the end of its stdin, and by a signal only if that is not enough", async (t) => {
  const { daemon, open, entries } = await rig(t);
  for (const [server, ends] of [
    ["stdio", ["stdin"]],
    ["stubborn", ["stdin", "SIGTERM"]],
  ] as const) {
    const session = await open(server, "mcp");
    const pid = Number(await session.call(1, "pid"));
    await daemon.cli(["stop", "alice", "--server", server]);
    await until(() => !isAlive(pid), "the child is gone");
    assert.deepEqual(
      entries(server).flatMap(({ ended }) => ended ?? []),
      ends,
    );
  }
});
