import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { test } from "node:test";
import { FIXTURE } from "../conformance/fixture.ts";
import { Conversation } from "../helpers/conversation.ts";
import type { Place } from "../helpers/conversation.ts";
import { startDaemon } from "../helpers/daemon.ts";
import type { TestDaemon } from "../helpers/daemon.ts";
import { EVERYTHING } from "../helpers/everything.ts";
import { bearer, initialize, json } from "../helpers/fixtures.ts";
import { instancesOf } from "../helpers/status.ts";
import { until } from "../helpers/until.ts";

const node = (...args: string[]) => ({ command: process.execPath, args });
/** Waits for a file of that name beside the config. */
const UNTIL_GATE = "until [ -e gate ]; do sleep 0.05; done";
const SERVERS = {
  everything: node(EVERYTHING, "stdio"),
  fixture: node("--no-warnings", FIXTURE, "--stdio"),
  // Who begins is to wait for its child, and to hear that there is none.
  own: { ...node(EVERYTHING, "stdio"), sharing: "session", manifest: false },
  late: {
    command: "sh",
    args: ["-c", `${UNTIL_GATE}; exec "$0" "$1" stdio`, process.execPath, EVERYTHING],
    sharing: "session",
  },
};

const ABLE = { sampling: {}, elicitation: {}, roots: { listChanged: true } };
/** Tools of server-everything for a client that declares nothing, and for one that is ABLE. */
const [FEW, ALL] = [13, 16];

type Open = (
  server: keyof typeof SERVERS,
  front: Place["front"],
  capabilities?: object,
) => Promise<Conversation>;

interface Rig {
  secret: string;
  open: Open;
  /** Of the user's children that run or start; null until there is one. */
  pids: () => Promise<(number | null)[]>;
}

/** A user of the daemon; what it opens ends with the test. */
async function rig(t: TestContext, daemon: TestDaemon, user: string): Promise<Rig> {
  const { secret } = (await daemon.addUser(user)).key;
  const { origin } = daemon;
  return {
    secret,
    open: async (server, front, capabilities) => {
      const place = { origin, user, secret, server, front };
      const opened = await Conversation.open(place, capabilities);
      t.after(() => opened.close());
      return opened;
    },
    pids: async () =>
      (await instancesOf(daemon))
        .filter((row) => row.user === user && row.state !== "stopped")
        .map(({ pid }) => pid),
  };
}

/** Resolves when the session sees that many tools: some come a moment after the start. */
async function seesTools(session: Conversation, count: number): Promise<void> {
  let asked = 0;
  await until(async () => {
    asked += 1;
    const { result } = await session.request(`tools ${asked}`, "tools/list");
    return (result?.["tools"] as object[] | undefined)?.length === count;
  }, `the session sees ${count} tools`);
}

const methods = (session: Conversation) =>
  session.received.flatMap(({ id, method }) => (id === undefined ? [] : (method ?? [])));
const asks = (id: string, name: string, args: object = {}) => ({
  id,
  method: "tools/call",
  params: { name, arguments: args },
});

test("stdio servers, and the sessions that share them", async (suite) => {
  const config = {
    servers: SERVERS,
    defaultServer: "everything",
    limits: { childrenPerUser: 2 },
    resumeWindow: "1s",
  };
  const daemon = await startDaemon(suite, { config });

  for (const front of ["sse", "mcp"] as const) {
    await suite.test(
      `/${front}: a session that can be asked has a child of its own, with its own tools and questions`,
      async (t) => {
        const { open, pids } = await rig(t, daemon, `able-${front}`);
        const plain = await open("everything", front);
        const other = await open("everything", front);
        assert.equal((await pids()).length, 1);
        const one = await open("everything", front, ABLE);
        assert.equal((await pids()).length, 2);
        const sampled = one.post(
          JSON.stringify({
            jsonrpc: "2.0",
            ...asks("s", "trigger-sampling-request", { prompt: "?" }),
          }),
        );
        const question = await one.heard("sampling/createMessage");
        await seesTools(one, ALL);
        await seesTools(plain, FEW);
        const content = { type: "text", text: "As you say." };
        // An answer from a session that was not asked counts for nothing.
        for (const [session, model] of [
          [plain, "wrong"],
          [one, "right"],
        ] as const)
          await session.send({ id: question.id, result: { role: "assistant", model, content } });
        const { result } = await one.answerTo("s");
        assert.match(JSON.stringify(result), /right/);
        await sampled;
        assert.deepEqual([...methods(plain), ...methods(other)], []);
      },
    );
  }

  for (const [front, otherFront] of [
    ["sse", "mcp"],
    ["mcp", "sse"],
  ] as const) {
    await suite.test(
      `a session at /${front} and one at /${otherFront} on one child have each its own log level and subscriptions`,
      async (t) => {
        const { open, pids } = await rig(t, daemon, `listens-${front}`);
        const one = await open("fixture", front);
        const other = await open("fixture", otherFront);
        assert.equal((await pids()).length, 1);

        await one.request("level", "logging/setLevel", { level: "info" });
        await other.request("level", "logging/setLevel", { level: "error" });
        await other.call("log", "test_tool_with_logging");
        await other.request("ping", "ping");
        const logs = (session: Conversation) =>
          session.methods().filter((method) => method === "notifications/message").length;
        await until(() => logs(one) === 3, "the one that asked for info has the three lines");
        assert.equal(logs(other), 0);

        const uri = "test://watched-resource";
        const updates = (session: Conversation) =>
          session.methods().filter((method) => method === "notifications/resources/updated").length;
        const update = async (session: Conversation, id: string) =>
          await session.call(id, "test_update_resource", { uri });
        assert.equal(await update(other, "u0"), "Nobody watches.");
        for (const session of [one, other])
          await session.request("on", "resources/subscribe", { uri });
        assert.equal(await update(one, "u1"), "Told.");
        await until(() => updates(one) === 1 && updates(other) === 1, "both have heard");
        await one.request("off", "resources/unsubscribe", { uri });
        assert.equal(await update(one, "u2"), "Told.");
        await until(() => updates(other) === 2, "the one that still watches has heard");
        await one.request("settled", "ping");
        assert.equal(updates(one), 1);
        await other.end();
        // The last one that watched has left without a word: the child is told for it.
        await until(
          async () => (await update(one, `u${Math.random()}`)) === "Nobody watches.",
          "nobody watches",
        );
      },
    );
  }

  for (const front of ["sse", "mcp"] as const) {
    await suite.test(
      `/${front}: with a child per session the children differ, and one too many is refused with a reason`,
      async (t) => {
        const user = `own-${front}`;
        const { open, pids } = await rig(t, daemon, user);
        const sessions = [await open("own", front), await open("own", front, ABLE)];
        assert.equal(new Set(await pids()).size, 2);
        await seesTools(sessions[1]!, ALL);
        await seesTools(sessions[0]!, FEW);
        await assert.rejects(open("own", front), (error: Error) => {
          assert.match(error.message, /answered with 429/);
          assert.match(error.message, /TOO_MANY_CHILDREN/);
          const reason = `${user}/own: 2 children of this user run, which is the limit`;
          assert.ok(error.message.includes(reason), error.message);
          return true;
        });
        // A place is free again when its session has ended.
        await sessions[0]!.end();
        await until(async () => (await pids()).length === 1, "its child is gone", 30_000);
        await seesTools(await open("own", front), FEW);
      },
    );
  }

  await suite.test(
    "a client that leaves before its session has begun leaves no child behind",
    async (t) => {
      const { secret, pids } = await rig(t, daemon, "leaves");
      const headers = ["host", "localhost", ...bearer(secret), ...json];
      const req = request(new URL("/u/leaves/late/mcp", daemon.origin), {
        method: "POST",
        headers,
        agent: false,
      });
      req.on("error", () => {}).end(initialize());
      await until(async () => (await pids()).length === 1, "its child is starting", 30_000);
      req.destroy();
      writeFileSync(join(daemon.dir, "gate"), "");
      await until(async () => (await pids()).length === 0, "its child is gone", 30_000);
      assert.deepEqual(
        (await instancesOf(daemon)).filter((row) => row.user === "leaves" && row.sessions > 0),
        [],
      );
    },
  );
});
