import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { parseConfig } from "../../src/config/config.ts";
import type { ServerDef } from "../../src/config/config.ts";
import type { Engine, Running } from "../../src/engines/engine.ts";
import { BuiltinEngine } from "../../src/engines/builtin/builtin-engine.ts";
import { Isolation } from "../../src/engines/process/isolation.ts";
import { openProcessEngine } from "../../src/engines/process/process-engine.ts";
import { readProcessTable } from "../../src/engines/process/process-table.ts";
import { RemoteEngine } from "../../src/engines/remote/remote-engine.ts";
import { createLogger } from "../../src/telemetry/logger.ts";
import { until } from "../helpers/until.ts";
import { Pods, PretendEngine } from "./pretend-engine.ts";

/** What a child is to do, in the words of each engine. */
type Role = "echo" | "ends" | "stubborn" | "silent" | "missing";

interface Opened {
  engine: Engine;
  /** Servers by what their child does; an engine that has no such server is not asked for it. */
  servers: Partial<Record<Role, ServerDef>>;
}

interface Subject {
  name: string;
  /** Whether what an earlier daemon left can be taken over; undefined where nothing can be left. */
  adopts: boolean | undefined;
  open(t: TestContext): Promise<Opened>;
  /** An earlier daemon of the same place leaves a child behind, and another engine opens there. */
  openAfterAnother(t: TestContext): Promise<Opened>;
}

const ref = { user: "alice", server: "one", variant: "" };

const node = (script: string) => ({ command: process.execPath, args: ["-e", script] });
const PROCESSES: Record<Role, object> = {
  echo: { command: "cat" },
  ends: { command: "sh", args: ["-c", "exit 3"] },
  stubborn: node(
    "process.on('SIGTERM', () => {}); process.stdin.pipe(process.stdout); setInterval(() => {}, 60000)",
  ),
  silent: { type: "http", command: "sleep", args: ["60"] },
  missing: { command: "no-such-program-anywhere" },
};

function parse(servers: object, dataDir = "/nowhere") {
  const ports = { from: 17_900, to: 17_909 };
  const settings = { stopTimeout: "30s", ports, defaultServer: "echo" };
  return parseConfig({ dataDir, isolation: "none", servers, ...settings }, dataDir);
}

function dataFolder(t: TestContext): string {
  const folder = mkdtempSync(path.join(tmpdir(), "engine-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function processEngine(t: TestContext, dataDir: string): Promise<Opened> {
  const config = parse(PROCESSES, dataDir);
  const log = createLogger("fatal");
  const engine = await openProcessEngine({ config, isolation: new Isolation(config), log });
  t.after(() => engine.close());
  return { engine, servers: config.servers };
}

/** Leaves `cat` behind, which nothing ends with the daemon: the process that would is killed first. */
async function killedDaemon(t: TestContext, dataDir: string): Promise<void> {
  const program = fileURLToPath(new URL("programs/earlier-daemon.ts", import.meta.url));
  const argv = [
    "--no-warnings",
    program,
    dataDir,
    "setpriv",
    "--pdeathsig",
    "clear",
    "sleep",
    "60",
  ];
  const daemon = spawn(process.execPath, argv, { stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => daemon.kill("SIGKILL"));
  const [line] = (await once(createInterface({ input: daemon.stdout }), "line")) as [string];
  const [, left] = /^started (\d+)$/.exec(line) ?? [];
  const nameOf = (): string => readFileSync(`/proc/${left}/comm`, "utf8");
  await until(() => nameOf() === "sleep\n", "it ends with its parent no more");
  for (const { pid, ppid } of await readProcessTable())
    if (ppid === daemon.pid) process.kill(pid, "SIGKILL");
  daemon.kill("SIGKILL");
  await once(daemon, "exit");
}

const ROLES = ["echo", "ends", "stubborn", "silent", "missing"];
const pretend = (pods?: Pods): Opened => {
  const entries = ROLES.map((role) => [role, { command: role }]);
  const { servers } = parse(Object.fromEntries(entries));
  return { engine: new PretendEngine(pods), servers };
};
const remote = (): Opened => {
  const headers = { Authorization: "Bearer ${token}" };
  const { echo, missing } = parse({
    echo: { url: "http://127.0.0.1:1/mcp" },
    missing: { url: "http://127.0.0.1:1/mcp", headers },
  }).servers;
  return { engine: new RemoteEngine(), servers: { echo, missing } };
};

const builtin = (): Opened => {
  const { echo } = parse({ echo: { builtin: "feishu-token" } }).servers;
  const server = { versions: [], open: assert.fail };
  return { engine: new BuiltinEngine({ serve: () => server }), servers: { echo } };
};

const SUBJECTS: Subject[] = [
  {
    name: "process",
    adopts: false,
    open: async (t) => {
      const opened = await processEngine(t, dataFolder(t));
      await opened.engine.endLeft();
      return opened;
    },
    openAfterAnother: async (t) => {
      const dataDir = dataFolder(t);
      await killedDaemon(t, dataDir);
      return await processEngine(t, dataDir);
    },
  },
  {
    name: "remote",
    adopts: undefined,
    open: () => Promise.resolve(remote()),
    openAfterAnother: async (t) => {
      await start(t, remote(), "echo");
      return remote();
    },
  },
  {
    name: "builtin",
    adopts: undefined,
    open: () => Promise.resolve(builtin()),
    openAfterAnother: async (t) => {
      await start(t, builtin(), "echo");
      return builtin();
    },
  },
  {
    name: "pretend",
    adopts: true,
    open: () => Promise.resolve(pretend()),
    openAfterAnother: async () => {
      const pods = new Pods();
      const { engine, servers } = pretend(pods);
      const options = { onLine: () => {}, signal: new AbortController().signal };
      await engine.start({ ref, def: servers.echo!, token: undefined }, options);
      return pretend(pods);
    },
  },
];

async function start(t: TestContext, { engine, servers }: Opened, role: Role): Promise<Running> {
  const options = { onLine: () => {}, signal: new AbortController().signal };
  const running = await engine.start({ ref, def: servers[role]!, token: undefined }, options);
  t.after(() => running.kill());
  return running;
}

/** Sends a line where that can be done without a protocol, and waits for it to come back. */
async function speakTo({ endpoint }: Running): Promise<void> {
  if (endpoint.kind !== "pipes") return assert.ok(["url", "builtin"].includes(endpoint.kind));
  const line = once(createInterface({ input: endpoint.stdout }), "line");
  endpoint.stdin.write("hello\n");
  assert.deepEqual(await line, ["hello"]);
}

for (const subject of SUBJECTS) {
  const { name, adopts } = subject;
  test(`${name}: it says what stands around its children, and how many starts it bears`, async (t) => {
    const { engine, servers } = await subject.open(t);
    assert.equal(typeof engine.level, "string");
    assert.ok([engine.level, null].includes(engine.levelOf(servers.echo!)));
    const { starts, spare } = engine.capacity;
    assert.ok(starts >= 1);
    assert.ok(spare === undefined || spare() >= 0);
  });

  test(`${name}: what it has started can be spoken to, and is not ending`, async (t) => {
    const running = await start(t, await subject.open(t), "echo");
    await speakTo(running);
    assert.equal(running.isSpent, false);
    assert.equal(running.isGone(), false);
    assert.equal(await running.isEnding(), false);
  });

  test(`${name}: a stop ends it, is told once, and may be asked for again`, async (t) => {
    const running = await start(t, await subject.open(t), "echo");
    const [first, second] = await Promise.all([running.stop(), running.stop()]);
    assert.equal(first, second);
    assert.equal(await running.exited, first);
    assert.equal(await running.kill(), first);
    assert.equal(running.isSpent, true);
    assert.equal(running.isGone(), true);
    assert.equal(await running.isEnding(), true);
    assert.equal(await running.rssBytes(), null);
    await running.drained;
  });

  test(`${name}: a start that was given up before it began rejects with the reason`, async (t) => {
    const { engine, servers } = await subject.open(t);
    const reason = new Error("given up");
    const options = { onLine: () => {}, signal: AbortSignal.abort(reason) };
    const workload = { ref, def: servers.echo!, token: undefined };
    await assert.rejects(engine.start(workload, options), reason);
  });

  test(`${name}: what cannot be started is refused with a reason`, async (t) => {
    const opened = await subject.open(t);
    if (opened.servers.missing === undefined) return t.skip("all of its can be started");
    await assert.rejects(start(t, opened, "missing"), (error: { code: string }) =>
      ["INSTANCE_SPAWN_FAILED", "TOKEN_MISSING"].includes(error.code),
    );
  });

  test(`${name}: what ends by itself is told with its code`, async (t) => {
    const opened = await subject.open(t);
    if (opened.servers.ends === undefined) return t.skip("nothing of its ends by itself");
    const running = await start(t, opened, "ends");
    const { code, signal, limit } = await running.exited;
    assert.deepEqual({ code, signal, limit }, { code: 3, signal: null, limit: null });
    assert.equal(await running.isEnding(), true);
    assert.equal((await running.stop()).code, 3);
  });

  test(`${name}: a kill cuts a stop short that is taken no notice of`, async (t) => {
    const opened = await subject.open(t);
    if (opened.servers.stubborn === undefined) return t.skip("nothing of its can be stubborn");
    const running = await start(t, opened, "stubborn");
    await speakTo(running);
    const stop = running.stop();
    await running.kill();
    assert.equal((await stop).signal, "SIGKILL");
  });

  test(`${name}: what never comes up is there to be ended, and nobody listens`, async (t) => {
    const opened = await subject.open(t);
    if (opened.servers.silent === undefined) return t.skip("nothing of its comes up later");
    const running = await start(t, opened, "silent");
    assert.deepEqual(await running.listeners(), { ours: [], foreign: [] });
    await running.stop();
    assert.equal(running.isSpent, true);
  });

  test(`${name}: where there is no time, all of it is killed without a wait`, async (t) => {
    const opened = await subject.open(t);
    if (opened.servers.stubborn === undefined) return t.skip("its children are not its own");
    const running = await start(t, opened, "stubborn");
    opened.engine.killAll();
    assert.equal((await running.exited).signal, "SIGKILL");
  });

  test(`${name}: what an earlier daemon left is listed, and ended`, async (t) => {
    const { engine } = await subject.openAfterAnother(t);
    const left = await engine.findLeft();
    assert.equal(left.length, adopts === undefined ? 0 : 1);
    for (const { place, adopt } of left) {
      assert.notEqual(place, "");
      assert.equal(adopt !== undefined, adopts);
    }
    assert.deepEqual(await engine.endLeft(), { count: left.length, left: [] });
    await until(async () => (await engine.findLeft()).length === 0, "nothing is left");
  });

  test(`${name}: what was adopted goes on, and is not ended with the rest`, async (t) => {
    if (adopts !== true) return t.skip("it adopts nothing");
    const { engine } = await subject.openAfterAnother(t);
    const [left] = await engine.findLeft();
    const options = { onLine: () => {}, signal: new AbortController().signal };
    const running = await left!.adopt!(options);
    assert.deepEqual(await engine.endLeft(), { count: 0, left: [] });
    await speakTo(running);
    await running.stop();
  });
}
