import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import type { Row } from "../helpers/alice.ts";
import { call } from "../helpers/fixtures.ts";
import type { EventStream } from "../helpers/raw-http.ts";
import { say, startWithNeighbour } from "../helpers/says-bytes.ts";
import type { WithNeighbour } from "../helpers/says-bytes.ts";
import { MARKS } from "../helpers/throws-at-marks.ts";
import { until } from "../helpers/until.ts";

const PRELOAD = fileURLToPath(new URL("../helpers/throws-at-marks.ts", import.meta.url));

interface Rig extends WithNeighbour {
  /** The daemon is the one that was started, the neighbour's session is served, and so much was contained so far. */
  counted: (expected: Record<string, number>) => Promise<void>;
  /** The pids of alice's children of that server. */
  pids: (server: string) => Promise<number[]>;
}

/** A daemon that throws at marks in what its servers send. */
async function rigOf(t: TestContext): Promise<Rig> {
  const env = { NODE_OPTIONS: `--no-warnings --import=${PRELOAD}` };
  const rig = await startWithNeighbour(t, {}, { env });
  const { cli, pid } = rig.daemon;
  return {
    ...rig,
    counted: async (expected) => {
      await rig.neighbour();
      process.kill(pid, 0);
      const { body } = await rig.metrics();
      const counts = [
        ...body.matchAll(/^mcp_supervisor_contained_failures_total\{owner="(\w+)"\} (\d+)$/gm),
      ];
      assert.deepEqual(
        Object.fromEntries(counts.map(([, owner, count]) => [owner, Number(count)])),
        expected,
      );
    },
    pids: async (server) => {
      const { instances } = (await cli(["status"])).json<{
        instances: (Row & { user: string })[];
      }>();
      return instances.flatMap((row) =>
        row.server === server && row.user === "alice" ? row.pid : [],
      );
    },
  };
}

const errorFor = (stream: EventStream, id: string) =>
  stream.messages().find((message) => message.id === id)?.error;

test("whatever throws while something of one user's is handled ends its smallest owner, and not the daemon", async (t) => {
  const rig = await rigOf(t);
  await t.test("what throws over an answer to one request ends that request", async () => {
    const session = await rig.http("web");
    const head = (type: string): string =>
      `HTTP/1.1 200 OK\r\nContent-Type: ${type}\r\nMcp-Note: ${MARKS.head}\r\nContent-Length: 2\r\n\r\n{}`;
    const post = async (body: string) => await rig.post("/u/alice/web/mcp", body, session);
    for (const type of ["application/json", "text/event-stream"]) {
      const { status, body } = await post(say(type, head(type)));
      assert.equal(status, 500, body);
      assert.match(body, new RegExp(`"id":"${type}".*"type":"INTERNAL"`));
    }
    const cut = await post(say("cut", `data: ${MARKS.cut}\n\n`, "events"));
    assert.match(cut.body, /"id":"cut".*"type":"INTERNAL"/);
    assert.match((await post(call("well", "echo", { text: "well" }))).body, /"well"/);
    await rig.counted({ request: 3, session: 0, child: 0 });
  });

  await t.test(
    "what throws over a message of one session ends that session, and the child's others go on",
    async () => {
      const [hit, other] = [await rig.sse("events"), await rig.sse("events")];
      await rig.post(hit.endpoint, say("hit", `data: ${MARKS.cut}\n\n`, "events"));
      await until(() => hit.stream.isEnded, "the session has ended");
      assert.equal(errorFor(hit.stream, "hit")?.data?.type, "INTERNAL");
      await rig.post(other.endpoint, call("well", "echo", { text: "well" }));
      await until(() => other.stream.text.includes('"well"'), "the other session is answered");
      assert.equal(other.stream.isEnded, false);
      await rig.counted({ request: 3, session: 1, child: 0 });
    },
  );

  await t.test(
    "what throws over a line of a child ends this generation: its calls are answered, the next message starts another",
    async () => {
      const [hit, other] = [await rig.sse("pipe"), await rig.sse("pipe")];
      const session = await rig.http("pipe");
      const before = await rig.pids("pipe");
      await rig.post(other.endpoint, call("waits", "sleep", { ms: 600_000 }));
      const posted = rig.post(
        "/u/alice/pipe/mcp",
        call("posted", "sleep", { ms: 600_000 }),
        session,
      );
      await until(async () => (await rig.row("pipe")).inFlight === 2, "both calls are under way");
      await rig.post(hit.endpoint, say("hit", `{"a":"${MARKS.cut}"}\n`));
      await until(
        () => errorFor(hit.stream, "hit") && errorFor(other.stream, "waits"),
        "both are told",
      );
      assert.equal(errorFor(hit.stream, "hit")?.data?.type, "INTERNAL");
      assert.equal(errorFor(other.stream, "waits")?.data?.type, "INTERNAL");
      assert.match((await posted).body, /"id":"posted".*"type":"INTERNAL"/);
      await rig.post(hit.endpoint, call("well", "echo", { text: "well" }));
      await until(() => hit.stream.text.includes('"well"'), "the session goes on");
      assert.notDeepEqual(await rig.pids("pipe"), before);
      await rig.counted({ request: 3, session: 1, child: 1 });
    },
  );

  await t.test(
    "what throws on the way to one client ends its stream or request, and the child stays",
    async () => {
      const [hit, other] = [await rig.sse("pipe"), await rig.sse("pipe")];
      const before = await rig.pids("pipe");
      const marked = { text: MARKS.write };
      await rig.post(
        hit.endpoint,
        call("hit", "echo", marked).replace(MARKS.write, "throws-in-wri\\u0074e"),
      );
      await until(() => hit.stream.isEnded, "the stream is cut");
      const session = await rig.http("pipe");
      const posted = rig.post(
        "/u/alice/pipe/mcp",
        call("posted", "echo", { text: "throws-in-write" }).replace("write", "wri\\u0074e"),
        session,
      );
      await assert.rejects(posted, { code: "ECONNRESET" });
      await rig.post(other.endpoint, call("well", "echo", { text: "well" }));
      await until(() => other.stream.text.includes('"well"'), "the other session is answered");
      assert.deepEqual(await rig.pids("pipe"), before);
      await rig.counted({ request: 5, session: 1, child: 1 });
    },
  );

  await t.test(
    "what throws while a session is attached on the next child ends that session, and the others are attached",
    async () => {
      const [hit, other] = [await rig.sse("pipe"), await rig.sse("pipe")];
      const session = await rig.http("pipe");
      const before = await rig.pids("pipe");
      const subscribe = `{"jsonrpc":"2.0","id":"on","method":"resources/subscribe","params":{"uri":"${MARKS.seat}"}}`;
      await rig.post(hit.endpoint, subscribe);
      await rig.post("/u/alice/pipe/mcp", subscribe, session);
      for (const pid of before) process.kill(pid, "SIGKILL");
      await until(async () => (await rig.pids("pipe"))[0] !== before[0], "the child is gone");
      await rig.post(other.endpoint, call("well", "echo", { text: "well" }));
      await until(() => other.stream.text.includes('"well"'), "the other session is answered");
      await until(() => hit.stream.isEnded, "the session has ended");
      const late = await rig.post("/u/alice/pipe/mcp", call("late", "echo"), session);
      assert.equal(late.status, 404, late.body);
      await rig.counted({ request: 5, session: 3, child: 1 });
    },
  );

  await t.test("doctor counts what was contained, and the log has the stack of each", async () => {
    const { stdout } = await rig.daemon.cli(["doctor"], { isForPeople: true });
    assert.match(stdout, /failures of its own: .* ended 5 requests, 3 sessions, 1 child\n/);
    const stacks = rig.daemon.log().match(/"owner":"[a-z]+".*a mistake at throws-in-\w+\\n +at /g);
    assert.equal(stacks?.length, 9);
  });
});
