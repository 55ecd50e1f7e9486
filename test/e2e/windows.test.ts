import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Conversation } from "../helpers/conversation.ts";
import type { Place, Rpc } from "../helpers/conversation.ts";
import { daemonFolder, startDaemon } from "../helpers/daemon.ts";
import type { TestDaemon } from "../helpers/daemon.ts";
import { instancesOf } from "../helpers/status.ts";
import { until } from "../helpers/until.ts";

// What happens where a person has two windows of a client that can be asked, at one stdio server.

const ASKS = fileURLToPath(new URL("../fixtures/servers/asks.ts", import.meta.url));
const FRONTS = ["sse", "mcp"] as const;
const ABLE = { elicitation: {}, roots: { listChanged: true } };
const ELICITATION = { method: "elicitation/create" };

interface Rig {
  daemon: TestDaemon;
  open: (server: string, place: Partial<Place>, capabilities?: object) => Promise<Conversation>;
  /** What the children of a server have got. */
  got: (server: string) => Rpc[];
  /** A file that does not exist yet, and the way to make it. */
  gate: (name: string) => { until: string; open: () => void };
}

async function rig(t: TestContext, config: object = {}): Promise<Rig> {
  const dir = daemonFolder(t);
  const recordOf = (server: string) => join(dir, `${server}.jsonl`);
  const asks = (server: string, more: object = {}, ...args: string[]) => ({
    command: process.execPath,
    args: ["--no-warnings", ASKS, "--record", recordOf(server), ...args],
    ...more,
  });
  const servers = {
    // Who begins is to wait for its child, and to hear that there is none.
    own: asks("own", { manifest: false }),
    eager: asks("eager", {}, "--roots"),
    one: asks("one", { sharing: "user" }),
    broken: {
      startTimeout: "2s",
      command: "sh",
      args: ["-c", "echo error: no such mailbox >&2; exit 3"],
    },
  };
  const daemon = await startDaemon(t, {
    dir,
    config: { servers, defaultServer: "own", ...config },
  });
  const { secret } = (await daemon.addUser("alice")).key;
  return {
    daemon,
    open: async (server, place, capabilities = ABLE) => {
      const known = { origin: daemon.origin, user: "alice", secret, server, front: "mcp" } as const;
      const opened = await Conversation.open({ ...known, ...place }, capabilities);
      t.after(() => opened.close());
      return opened;
    },
    got: (server) => {
      if (!existsSync(recordOf(server))) return [];
      const lines = readFileSync(recordOf(server), "utf8").split("\n").slice(0, -1);
      return lines.map((line) => (JSON.parse(line) as { got: Rpc }).got);
    },
    gate: (name) => {
      const file = join(dir, name);
      return { until: file, open: () => writeFileSync(file, "") };
    },
  };
}

/** Calls a tool without waiting for its answer. */
function start(session: Conversation, id: string, name: string, args: object = {}): void {
  const params = { name, arguments: args };
  session
    .post(JSON.stringify({ jsonrpc: "2.0", id, method: "tools/call", params }))
    .catch(() => {});
}

const textOf = ({ result = {} }: Rpc) => (result["content"] as { text: string }[])[0]!.text;
const isAnswered = (session: Conversation, id: string) =>
  session.received.some((message) => message.id === id && message.method === undefined);
const questions = (session: Conversation) =>
  session.received.filter(({ id, method }) => id !== undefined && method !== undefined);

test("a session that can be asked has a child of its own, and no other session waits for it or hears its questions", async (t) => {
  const { open, got, gate, daemon } = await rig(t, { resumeWindow: "500ms" });
  for (const front of FRONTS)
    await t.test(`/${front}`, async () => {
      const [one, two] = [await open("own", { front }), await open("own", { front })];
      const plain = await open("own", { front }, {});
      const pids = await Promise.all([one, two, plain].map((each) => each.call("pid", "pid")));
      assert.equal(new Set(pids).size, 3);

      const { until: file, open: end } = gate(`held-${front}`);
      start(one, "long", "hold", { until: file });
      assert.equal(await two.call("short", "echo", { text: "at once" }), "at once");
      assert.equal(isAnswered(one, "long"), false);

      for (const [session, action] of [
        [one, "accept"],
        [two, "decline"],
      ] as const) {
        start(session, "asks", "ask", ELICITATION);
        const { id } = await session.heard("elicitation/create");
        await session.send({ id, result: { action } });
        assert.match(textOf(await session.answerTo("asks")), new RegExp(action));
        // Outside of a call it is the same session's too.
        await session.call("apart", "ask-apart", { method: "roots/list" });
        const apart = await session.heard("roots/list");
        const roots = [{ uri: `file:///${front}/${action}` }];
        await session.send({ id: apart.id, result: { roots } });
        await until(
          () =>
            got("own").some(({ result }) => JSON.stringify(result) === JSON.stringify({ roots })),
          "its child has its roots",
        );
      }
      assert.deepEqual(
        [one, two, plain].map((session) => questions(session).length),
        [2, 2, 0],
      );
      end();
      assert.equal(textOf(await one.answerTo("long")), "held");
      await Promise.all([one, two, plain].map((session) => session.end()));
      await until(
        async () => (await instancesOf(daemon)).every(({ variant }) => variant === ""),
        "the children of the two are gone, and have no row",
      );
    });
});

test("a server that asks as soon as it may asks the session that has just begun, once it has said so", async (t) => {
  const { open, got } = await rig(t);
  for (const front of FRONTS) {
    const session = await open("eager", { front });
    const { id } = await session.heard("roots/list");
    const [first] = session.received;
    assert.equal(first?.id, "hello", "the answer to initialize comes before");
    await session.send({ id, result: { roots: [] } });
    await until(() => got("eager").some((message) => message.id === id), "it has its answer");
  }
});

test('"sharing": "user" keeps one child for all, and lets calls of sessions that can be asked take turns', async (t) => {
  const { open, got, gate } = await rig(t);
  const [one, two] = [await open("one", { front: "sse" }), await open("one", {})];
  const [plain, rooted] = [await open("one", {}, {}), await open("one", {}, { roots: {} })];
  const all = [one, two, plain, rooted];
  assert.equal(new Set(await Promise.all(all.map((each) => each.call("pid", "pid")))).size, 1);
  const told = got("one")[0]?.params?.["capabilities"];
  assert.deepEqual(told, { elicitation: {}, roots: { listChanged: true }, sampling: {} });

  const { until: file, open: end } = gate("turn");
  start(one, "long", "hold", { until: file });
  await until(() => JSON.stringify(got("one")).includes("hold"), "its turn has begun");
  start(two, "asks", "ask", ELICITATION);
  assert.equal(await plain.call("now", "echo", { text: "no turn" }), "no turn");
  assert.equal(questions(two).length, 0);
  end();
  const { id } = await two.heard("elicitation/create");
  assert.ok(isAnswered(one, "long"), "the turn before was over");
  await two.send({ id, result: { action: "accept" } });
  assert.match(textOf(await two.answerTo("asks")), /accept/);

  await plain.call("apart", "ask-apart", { method: "roots/list" });
  await rooted.heard("roots/list");
  assert.deepEqual([one, plain].flatMap(questions), []);
  // A session without the capability is not asked, and the server does not wait.
  assert.match(await plain.call("vain", "ask", ELICITATION), /no client is there to answer/);
});

test("a question of a cancelled call is its own session's until resumeWindow is over, and then nobody's", async (t) => {
  const { open, got } = await rig(t, { resumeWindow: "1s" });
  const [one, two] = [await open("one", {}), await open("one", {})];
  start(one, "late", "ask-late", ELICITATION);
  await until(() => JSON.stringify(got("one")).includes("ask-late"), "it is under way");
  start(two, "next", "echo", { text: "two's turn" });
  await one.send({ method: "notifications/cancelled", params: { requestId: "late" } });
  await one.heard("elicitation/create");
  // Only the end of the window passes the turn on: the child never answers what was cancelled.
  assert.equal(isAnswered(two, "next"), false);
  assert.equal(textOf(await two.answerTo("next")), "two's turn");
  assert.deepEqual(questions(two), []);
  await one.call("apart", "ask-apart", ELICITATION);
  await until(
    () => got("one").filter(({ error }) => error !== undefined).length === 1,
    "outside of any call it is refused",
  );
  assert.equal(questions(one).length, 1);
  assert.deepEqual(questions(two), []);
});

test("a cancelled call is over once its child has answered it: the next turn begins, and what the child asks then is nobody's", async (t) => {
  const { open, got } = await rig(t, { resumeWindow: "1h" });
  const [one, two] = [await open("one", {}), await open("one", {})];
  start(one, "late", "ask-late", { ...ELICITATION, answers: true });
  await until(() => JSON.stringify(got("one")).includes("ask-late"), "it is under way");
  start(two, "next", "echo", { text: "two's turn" });
  await one.send({ method: "notifications/cancelled", params: { requestId: "late" } });
  assert.equal(textOf(await two.answerTo("next")), "two's turn");
  await until(() => got("one").some(({ error }) => error !== undefined), "the child is refused");
  assert.deepEqual([one, two].flatMap(questions), []);
  assert.equal(isAnswered(one, "late"), false);
});

test("beyond childrenPerUser the child idle longest gives way, and comes back with its session's next message", async (t) => {
  const { open, gate, daemon } = await rig(t, { limits: { childrenPerUser: 2 } });
  const [one, two] = [await open("own", {}), await open("own", { front: "sse" })];
  const first = await one.call("pid", "pid");
  await two.call("pid", "pid");
  const refused = /429|TOO_MANY_CHILDREN/;
  // What has just been used is not idle yet, so the third may be refused at first.
  const third = await until(
    async () =>
      await open("own", {}).catch((error: Error) => {
        assert.match(error.message, refused);
        return undefined;
      }),
    "the third has a child",
  );
  const rows = await instancesOf(daemon);
  assert.equal(rows.length, 2, "the one that gave way has no row");
  const { until: file, open: end } = gate("busy");
  for (const [session, id] of [
    [two, "busy"],
    [third, "busy"],
  ] as const)
    start(session, id, "hold", { until: file });
  await until(
    async () => (await instancesOf(daemon)).filter(({ inFlight }) => inFlight > 0).length === 2,
    "both are in use",
  );
  const { status, body } = await one.post('{"jsonrpc":"2.0","id":9,"method":"tools/list"}');
  assert.equal(status, 429);
  assert.match(body, /TOO_MANY_CHILDREN/);
  end();
  await Promise.all([two.answerTo("busy"), third.answerTo("busy")]);
  let asked = 0;
  const again = await until(async () => {
    asked += 1;
    return await one.call(`again ${asked}`, "pid").catch(() => undefined);
  }, "the session has a child again");
  assert.notEqual(again, first);
});

test("a child of one window is stopped when it is idle, like any other, and comes back with the window's next call", async (t) => {
  const { open, daemon } = await rig(t, { idleTimeout: "300ms" });
  for (const front of FRONTS) {
    const session = await open("own", { front });
    const first = await session.call("first", "pid");
    await until(async () => (await instancesOf(daemon)).length === 0, "it is stopped");
    assert.notEqual(await session.call("again", "pid"), first);
    await session.end();
  }
});

test("a question comes on the session's stream, else on a POST of it that is open, else on the next", async (t) => {
  const { open } = await rig(t);
  const session = await open("eager", { isWithoutStream: true });
  // Nothing was open when it was asked for its roots.
  start(session, "first", "ask", ELICITATION);
  const roots = await session.heard("roots/list");
  await session.send({ id: roots.id, result: { roots: [] } });
  start(session, "second", "hold", { until: "never" });
  const asked = await session.heard("elicitation/create");
  await session.send({ id: asked.id, result: { action: "accept" } });
  assert.match(textOf(await session.answerTo("first")), /accept/);

  await session.listen();
  const { body, status } = await (async () => {
    const posting = session.post(
      JSON.stringify({
        jsonrpc: "2.0",
        id: "third",
        method: "tools/call",
        params: { name: "ask", arguments: { method: "sampling/createMessage" } },
      }),
    );
    const { id } = await session.heard("sampling/createMessage");
    await session.send({ id, result: { model: "m" } });
    return await posting;
  })();
  // It came on the stream: the POST had nothing but the answer.
  assert.equal(status, 200);
  assert.match(body, /"third"/);
});

test("where nothing can carry a question, because JSON alone is accepted, it is refused at once", async (t) => {
  const { open } = await rig(t);
  const session = await open("own", { isWithoutStream: true, accept: "application/json" });
  assert.match(await session.call("asks", "ask", ELICITATION), /takes JSON alone/);
});

test("a client that has had nothing open for resumeWindow is over for its child; one that is there may take its time", async (t) => {
  const { open, got } = await rig(t, { resumeWindow: "500ms" });
  const [gone, there] = [await open("one", {}), await open("one", {})];
  const [own, stays] = [await open("own", {}), await open("own", {})];
  start(stays, "slow", "ask", ELICITATION);
  const slow = await stays.heard("elicitation/create");
  for (const session of [gone, own]) {
    start(session, "asks", "ask", ELICITATION);
    await session.heard("elicitation/create");
  }
  start(there, "next", "echo", { text: "its turn" });
  const deaf = [gone, own];
  for (const session of deaf) session.close();
  for (const server of ["one", "own"])
    await until(
      () =>
        got(server).some(({ method }) => method === "notifications/cancelled") &&
        got(server).some(({ error }) => error?.message === "the client has left"),
      `the child of ${server} is told that its call is off, and gets an answer`,
    );
  assert.equal(textOf(await there.answerTo("next")), "its turn");
  assert.deepEqual(questions(there), []);
  assert.equal(isAnswered(stays, "slow"), false);
  await stays.send({ id: slow.id, result: { action: "accept" } });
  assert.match(textOf(await stays.answerTo("slow")), /accept/);
  // The session of the one that left is there still, should it come back.
  assert.equal(await own.call("back", "echo", { text: "again" }), "again");
});

test("a server that does not start backs off though every try is a new session, and logs and doctor still tell why", async (t) => {
  const { open, daemon } = await rig(t, {});
  const refusal = async () =>
    await open("broken", {}).then(
      () => "it started",
      (error: Error) => error.message,
    );
  const first = await refusal();
  assert.match(first, /INSTANCE_EXITED|INSTANCE_START_TIMEOUT/);
  // Every try that fails makes the next wait longer, until it is longer than a message waits.
  const later = await until(async () => {
    const message = await refusal();
    return message.includes("INSTANCE_BACKING_OFF") ? message : undefined;
  }, "it backs off");
  assert.match(later, /alice\/broken: the child exited with code 3 .* failures? in a row/);
  await until(
    async () => (await instancesOf(daemon)).every(({ state }) => state === "stopped"),
    "the children that are down have no row",
  );
  const { stdout } = await daemon.cli(["doctor", "alice"]);
  assert.match(stdout, /alice\/broken: the child exited with code 3 .*no such mailbox/);
  assert.match((await daemon.cli(["logs", "alice"])).stdout, /no such mailbox/);
  await daemon.cli(["restart", "alice", "--server", "broken"]);
  const again = await refusal();
  assert.doesNotMatch(again, /INSTANCE_BACKING_OFF/);
});
