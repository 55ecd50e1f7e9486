import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { parseConfig } from "../../src/config/config.ts";
import type { ChildServer } from "../../src/config/config.ts";
import type { Endpoint, Engine, Exit, Listeners, Running } from "../../src/engines/engine.ts";
import { SupervisorError } from "../../src/errors.ts";
import { forgetful } from "../../src/instances/definition.ts";
import { launchChild } from "../../src/instances/launch.ts";
import { OutputLog } from "../../src/instances/output-log.ts";
import { OutputShare } from "../../src/platform/output-share.ts";
import { Scrubber } from "../../src/telemetry/scrubber.ts";
import { PretendEngine } from "../engines/pretend-engine.ts";
import { serve } from "../helpers/serve.ts";
import { until } from "../helpers/until.ts";

const REF = { user: "alice", server: "one", variant: "" };
const WRITER = { ref: REF, generation: 1 };
const TOKEN = "tok_0123456789abcdef";
const NOBODY: Listeners = { ours: [], foreign: [] };
const THIEF: Listeners = { ours: [], foreign: ["127.0.0.1"] };

/** A child that is a promise: what it does is what the test does. */
class TestChild {
  readonly endpoint: Endpoint;
  readonly exited: Promise<Exit>;
  listening = NOBODY;
  /** How it was ended by its daemon. */
  ended: "stop" | "kill" | undefined;
  exit!: (code: number) => void;

  constructor(port: number, isPinned = false) {
    this.endpoint = { kind: "port", port, socketPath: null, isPinned };
    this.exited = new Promise((resolve) => {
      this.exit = (code) => resolve({ code, signal: null, at: Date.now(), limit: null });
    });
  }

  get running(): Running {
    const end = (how: "stop" | "kill") => () => {
      this.ended ??= how;
      this.exit(0);
      return this.exited;
    };
    return {
      endpoint: this.endpoint,
      exited: this.exited,
      pid: null,
      place: null,
      output: new OutputShare(),
      isSpent: false,
      isGone: () => false,
      disconnected: new Promise(() => {}),
      strained: new Promise(() => {}),
      drained: Promise.resolve(),
      stop: end("stop"),
      kill: end("kill"),
      isEnding: async () => false,
      listeners: async () => this.listening,
      cpuLoad: () => null,
      onBusy: () => {},
      rssBytes: async () => null,
    };
  }
}

/** An engine whose next starts are these; the last is made again and again. */
const engineOf = (next: () => TestChild | SupervisorError): Pick<Engine<ChildServer>, "start"> => ({
  start: async () => {
    const child = next();
    if (child instanceof SupervisorError) throw child;
    return child.running;
  },
});

interface Options {
  type?: "http" | "stdio";
  command?: string;
  startTimeoutMs?: number;
  signal?: AbortSignal;
}

function launch(engine: Pick<Engine<ChildServer>, "start">, options: Options = {}) {
  const { type = "http", command = "true", startTimeoutMs = 60_000 } = options;
  const { servers } = parseConfig(
    { defaultServer: "one", servers: { one: { type, command } } },
    "/nowhere",
  );
  const scrubber = new Scrubber();
  scrubber.set("alice/one", TOKEN);
  const output = new OutputLog(scrubber);
  const spawned: Running[] = [];
  const outcome = launchChild({
    ref: REF,
    generation: 1,
    def: servers["one"] as ChildServer,
    capabilities: "{}",
    wanted: undefined,
    token: TOKEN,
    version: "0",
    versions: forgetful(),
    resumeWindowMs: 1_000,
    startTimeoutMs,
    engine: engine as Engine<ChildServer>,
    output,
    onLine: (stream, line) => void output.add(WRITER, stream, line),
    onSpawn: (running) => spawned.push(running),
    signal: options.signal ?? new AbortController().signal,
  });
  return { outcome, output, spawned };
}

async function failureOf({ outcome }: ReturnType<typeof launch>) {
  const failed = await outcome;
  assert.ok(!failed.isReady);
  await failed.gone;
  return failed.failure;
}

/** A port on which a server of MCP answers. */
async function answeringPort(t: TestContext): Promise<number> {
  const { url } = await serve(t, (_req, res) => void res.writeHead(405).end());
  return Number(url.port);
}

test("a child is ready when it answers on its port, at the address on which it listens", async (t) => {
  const port = await answeringPort(t);
  const child = new TestChild(port);
  const { outcome, spawned } = launch(engineOf(() => child));
  await until(() => spawned.length === 1, "it is told that it runs, long before it is ready");
  child.listening = { ours: ["127.0.0.1"], foreign: [] };
  const launched = await outcome;
  assert.ok(launched.isReady);
  assert.ok(launched.target.transport === "http");
  assert.equal(launched.target.url.href, `http://127.0.0.1:${port}/mcp`);
  assert.deepEqual([launched.exposed, child.ended], [[], undefined]);
});

test("a child that others can reach, too, is ready, and said to be", async (t) => {
  const child = new TestChild(await answeringPort(t));
  child.listening = { ours: ["0.0.0.0"], foreign: [] };
  const launched = await launch(engineOf(() => child)).outcome;
  assert.ok(launched.isReady);
  assert.deepEqual(launched.exposed, ["0.0.0.0"]);
});

test("a child that ends before it is ready is told by its code and last lines, without its secret", async () => {
  const child = new TestChild(1);
  const launching = launch(engineOf(() => child));
  await until(() => launching.spawned.length === 1, "it runs");
  launching.output.add(WRITER, "stderr", `no such folder for ${TOKEN}`);
  child.exit(3);
  const failure = await failureOf(launching);
  assert.equal(failure.code, "INSTANCE_EXITED");
  assert.equal(failure.message, "alice/one: the child exited with code 3 before it was ready");
  assert.match(failure.details.join("\n"), /^no such folder for (?!tok_)/);
  assert.equal(child.ended, "kill", "what it left behind has nobody to end it in good order");
});

test("a child that is not ready in time is told by what was missing, and stopped in good order", async () => {
  const child = new TestChild(4711);
  const failure = await failureOf(
    launch(
      engineOf(() => child),
      { startTimeoutMs: 50 },
    ),
  );
  assert.deepEqual(
    [failure.code, failure.message],
    [
      "INSTANCE_START_TIMEOUT",
      "alice/one: the child was not ready within 0.05 s: nothing listens on port 4711",
    ],
  );
  assert.equal(child.ended, "stop");
});

test("a start that is given up fails with the reason for that, and leaves no child", async () => {
  const child = new TestChild(1);
  const giving = new AbortController();
  const launching = launch(
    engineOf(() => child),
    { signal: giving.signal },
  );
  await until(() => launching.spawned.length === 1, "it runs");
  const reason = new SupervisorError("STOPPING", "the daemon is stopping");
  giving.abort(reason);
  assert.equal(await failureOf(launching), reason);
  assert.equal(child.ended, "stop");
});

test("what the engine cannot start is its failure, with nothing to wait for", async () => {
  const failure = new SupervisorError("INSTANCE_SPAWN_FAILED", "alice/one: no such program");
  const launching = launch(engineOf(() => failure));
  assert.equal(await failureOf(launching), failure);
  const failed = await launching.outcome;
  assert.ok(!failed.isReady);
  assert.deepEqual([failed.running, launching.spawned], [undefined, []]);
});

test("a child whose port was taken is tried again, five times, and then told who has it", async () => {
  const children: TestChild[] = [];
  const next = () => {
    const child = new TestChild(4711);
    child.listening = THIEF;
    child.exit(1);
    children.push(child);
    return child;
  };
  const failure = await failureOf(launch(engineOf(next)));
  assert.equal(children.length, 6);
  assert.match(failure.message, /exited with code 1 .*, and another process holds port 4711$/);
});

test("a child whose port was taken once is ready at the next", async (t) => {
  const well = new TestChild(await answeringPort(t));
  well.listening = { ours: ["127.0.0.1"], foreign: [] };
  const robbed = new TestChild(4711);
  robbed.listening = THIEF;
  robbed.exit(1);
  const next = [robbed, well];
  const launched = await launch(engineOf(() => next.shift()!)).outcome;
  assert.ok(launched.isReady);
  assert.equal(robbed.ended, "kill");
});

test("a child with a port of its own is not tried again where that is taken", async () => {
  let starts = 0;
  const next = () => {
    starts += 1;
    const child = new TestChild(4711, true);
    child.listening = THIEF;
    child.exit(1);
    return child;
  };
  await failureOf(launch(engineOf(next)));
  assert.equal(starts, 1);
});

test("no byte is sent to a port on which somebody else listens", async (t) => {
  let asked = 0;
  const { url } = await serve(t, (_req, res) => void res.writeHead(200).end(String((asked += 1))));
  const child = new TestChild(Number(url.port));
  child.listening = THIEF;
  const failure = await failureOf(
    launch(
      engineOf(() => child),
      { startTimeoutMs: 100 },
    ),
  );
  assert.match(failure.message, /: another process listens on port \d+$/);
  assert.equal(asked, 0);
});

test("a stdio child is ready when it has answered initialize", async () => {
  const engine = new PretendEngine();
  const launched = await launch(engine, { type: "stdio", command: "server" }).outcome;
  assert.ok(launched.isReady);
  assert.equal(launched.target.transport, "stdio");
  await launched.running.stop();
});

test("a stdio child that says nothing is not ready in time", async () => {
  const options = { type: "stdio", command: "silent", startTimeoutMs: 50 } as const;
  const failure = await failureOf(launch(new PretendEngine(), options));
  assert.equal(failure.code, "INSTANCE_START_TIMEOUT");
});
