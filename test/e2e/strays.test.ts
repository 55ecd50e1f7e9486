import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, constants, existsSync, mkdirSync, openSync, readdirSync } from "node:fs";
import { statSync, writeFileSync } from "node:fs";
import { Socket } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { findTool } from "../../src/engines/process/programs.ts";
import { Conversation } from "../helpers/conversation.ts";
import { daemonFolder, startDaemon } from "../helpers/daemon.ts";
import type { TestDaemon } from "../helpers/daemon.ts";
import { noSandbox, notRoot } from "../helpers/isolation.ts";
import { isAlive } from "../helpers/leaks.ts";
import { instancesOf } from "../helpers/status.ts";
import { until } from "../helpers/until.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const FIXTURE = fileURLToPath(new URL("../fixtures/servers/strays.ts", import.meta.url));
const noPerl = findTool("perl") === undefined ? "perl is not installed" : false;
/** Accounts that no other test gives away: all that runs as one of them is ended here. */
const UIDS = { from: 58_000, to: 58_019 };

const LEVELS = [
  { level: "none", config: { isolation: "none" }, skip: false },
  { level: "user", config: { isolation: "user", uids: UIDS }, skip: notRoot },
] as const;

/** A client whose server may ask it back has a child of its own. */
const OTHER_WINDOW = { sampling: {} };

type As = "plain" | "cleared" | "loop" | "swap";

interface Stray {
  pid: number;
  isGone: () => boolean;
  /** What it has printed. */
  said: () => string;
}

interface Window {
  /** Of the session's child. */
  pid: () => Promise<number>;
  /** Leaves a process behind; `isGone` tells whether it and all that it forked have ended. */
  stray: (as?: As, outside?: string) => Promise<Stray>;
}

interface Rig {
  daemon: TestDaemon;
  open: (user: string, capabilities?: object) => Promise<Window>;
}

let strays = 0;
let windows = 0;

async function rig(t: TestContext, config: object, more: object = {}): Promise<Rig> {
  const dir = daemonFolder(t);
  // An account of its own must be able to come to its home.
  chmodSync(dir, 0o755);
  const fifos = join(dir, "fifos");
  mkdirSync(fifos);
  const server = {
    command: process.execPath,
    args: ["--no-warnings", FIXTURE],
    // What of this machine a sandbox has to have.
    cwd: ROOT,
    paths: { write: [fifos] },
    ...more,
  };
  const daemon = await startDaemon(t, { dir, config: { servers: { strays: server }, ...config } });
  const secrets = new Map<string, string>();
  const open = async (user: string, capabilities: object = {}): Promise<Window> => {
    if (!secrets.has(user))
      secrets.set(user, (await daemon.addUser(user, `token-of-${user}`)).key.secret);
    const place = {
      origin: daemon.origin,
      user,
      secret: secrets.get(user)!,
      server: "strays",
      front: "mcp" as const,
    };
    const opened = await Conversation.open(place, capabilities);
    t.after(() => opened.close());
    return {
      pid: async () => Number(await opened.call(`pid ${(windows += 1)}`, "pid")),
      stray: async (as = "plain", outside = "") => {
        const fifo = join(fifos, `fifo-${(strays += 1)}`);
        assert.equal(spawnSync("mkfifo", ["-m", "666", fifo]).status, 0);
        // Opened at once, so that whoever writes need not wait.
        const fd = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
        const reader = new Socket({ fd, readable: true, writable: false });
        t.after(() => reader.destroy());
        const pid = Number(await opened.call(`stray ${strays}`, "stray", { as, fifo, outside }));
        let isGone = false;
        let said = "";
        reader.once("end", () => (isGone = true));
        reader.setEncoding("utf8").on("data", (text: string) => (said += text));
        return { pid, isGone: () => isGone, said: () => said };
      },
    };
  };
  return { daemon, open };
}

const SANDBOX = { level: "sandbox", config: { isolation: "sandbox" }, skip: noSandbox } as const;
/** A network that leads out takes more than bubblewrap. */
const moreAt = (level: string): object => (level === "sandbox" ? { network: "none" } : {});

for (const { level, config, skip } of [...LEVELS, SANDBOX])
  test(
    `level ${level}: what went into a session of its own and lost its parent ends with its child, whatever ended that`,
    { skip },
    async (t) => {
      const { daemon, open } = await rig(t, config, moreAt(level));
      const alice = await open("alice");
      const bob = await open("bob");
      const isGone = (stray: Stray, why: string) => until(() => stray.isGone(), why);

      const stopped = await alice.stray();
      await daemon.cli(["stop", "alice"]);
      await isGone(stopped, "it is gone with the stop");

      const crashed = await alice.stray();
      const { pid } = (await instancesOf(daemon)).find(({ user }) => user === "alice")!;
      process.kill(pid!, "SIGKILL");
      await isGone(crashed, "the crash has taken it along");

      const disabled = await bob.stray();
      await daemon.cli(["user", "disable", "bob"]);
      await isGone(disabled, "it is gone with its user");

      const last = await alice.stray();
      await daemon.stop();
      await isGone(last, "it is gone with the daemon");
    },
  );

for (const { level, config, skip } of LEVELS) {
  test(
    `level ${level}: one that forks and ends in a loop does not get away`,
    { skip: skip || noPerl },
    async (t) => {
      const { daemon, open } = await rig(t, config);
      const alice = await open("alice");
      // Keeps the account in use, so that not all of it may be ended.
      const other = await open("alice", OTHER_WINDOW);
      const kept = await other.pid();
      const loops = await Promise.all([alice.stray("loop"), alice.stray("loop")]);
      process.kill(await alice.pid(), "SIGKILL");
      for (const { isGone } of loops) await until(isGone, "the loop is over");
      assert.ok(isAlive(kept));
      await daemon.cli(["stop", "alice"]);
    },
  );

  test(
    `level ${level}: the end of a child hits no neighbour's, no second window's, and nothing that these have started`,
    { skip },
    async (t) => {
      const { daemon, open } = await rig(t, config);
      const alice = await open("alice");
      const second = await open("alice", OTHER_WINDOW);
      const bob = await open("bob");
      const mine = await alice.stray();
      const theirs = [await second.pid(), await bob.pid()];
      // At level none such a one would be out of reach for ever.
      const odd: As = level === "user" ? "cleared" : "plain";
      const started = [await second.stray(odd), await second.stray(), await bob.stray(odd)];
      const pid = await alice.pid();
      assert.notEqual(pid, theirs[0], "two windows have two children");

      process.kill(pid, "SIGKILL");
      await until(() => !isAlive(mine.pid), "the own one is gone");
      await until(
        async () => (await instancesOf(daemon)).some(({ state }) => state !== "ready"),
        "the child's end is over",
      );
      await until(
        async () => (await instancesOf(daemon)).every(({ state }) => state !== "draining"),
        "nothing ends any more",
      );
      for (const each of [...theirs, ...started.map((stray) => stray.pid)])
        assert.ok(isAlive(each), `${each} lives`);

      await daemon.cli(["stop", "alice"]);
      for (const stray of started.slice(0, 2)) assert.ok(!isAlive(stray.pid), "the last is gone");
      for (const each of [theirs[1]!, started[2]!.pid]) assert.ok(isAlive(each), "bob's lives");
      await daemon.stop();
      assert.ok(await until(() => started.every(({ isGone }) => isGone()), "all are gone"));
    },
  );
}

test(
  "level user: whatever a survivor swaps for links, the removal of its user deletes and changes nothing outside of the home",
  { skip: notRoot || noPerl },
  async (t) => {
    const { daemon, open } = await rig(t, LEVELS[1].config);
    const outside = join(daemon.dir, "outside");
    const tree = () =>
      readdirSync(outside, { recursive: true, encoding: "utf8" })
        .map((name) => `${name} ${statSync(join(outside, name)).mode.toString(8)}`)
        .toSorted();
    for (const name of ["a", "b/c"]) mkdirSync(join(outside, name), { recursive: true });
    for (const name of ["f1", "f2", "a/f3", "b/c/f4"]) writeFileSync(join(outside, name), "root's");
    const before = tree();
    const alice = await open("alice");
    const swap = await alice.stray("swap", outside);
    await until(() => swap.said().includes("ready"), "it swaps");
    // What it leaves in its home may be in any state; the removal is the daemon's alone.
    assert.equal((await daemon.cli(["user", "remove", "alice"])).code, 0);
    assert.ok(swap.isGone() || !isAlive(swap.pid));
    assert.ok(!existsSync(join(daemon.dataDir, "homes/alice")));
    assert.deepEqual(tree(), before);
  },
);
