import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, lstatSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { findTool } from "../../src/engines/process/programs.ts";
import { startForAlice } from "../helpers/alice.ts";
import type { Alice } from "../helpers/alice.ts";
import { daemonFolder } from "../helpers/daemon.ts";
import { call, fixture } from "../helpers/fixtures.ts";
import { notRoot } from "../helpers/isolation.ts";
import { instancesOf } from "../helpers/status.ts";
import { until } from "../helpers/until.ts";

const SHM = "/dev/shm";
const isMemory = spawnSync("stat", ["-f", "-c", "%T", SHM], { encoding: "utf8" }).stdout.trim();
const skip =
  notRoot ||
  (isMemory === "tmpfs" ? false : `${SHM} is no memory here`) ||
  (findTool("perl") === undefined ? "perl is not installed" : false);

/** What the account holds there: files, and rows of System V. */
function heldBy(uid: number): string[] {
  const files = readdirSync(SHM).filter(
    (name) => lstatSync(join(SHM, name), { throwIfNoEntry: false })?.uid === uid,
  );
  const rows = ["shm", "msg", "sem"].filter((kind) => {
    const [head, ...lines] = readFileSync(`/proc/sysvipc/${kind}`, "latin1").trim().split("\n");
    const column = head!.trim().split(/ +/).indexOf("cuid");
    return lines.some((line) => line.trim().split(/ +/)[column] === String(uid));
  });
  return [...files.map(() => "file"), ...rows];
}

/** Accounts that no other test gives away. */
async function start(t: TestContext, from: number, limits: object): Promise<Alice> {
  const dir = daemonFolder(t);
  // An account of its own must be able to come to its home.
  chmodSync(dir, 0o755);
  const hungry = { ...fixture("http", "hungry"), limits };
  const config = { isolation: "user", uids: { from, to: from + 4 } };
  return await startForAlice(t, { hungry }, config, { dir });
}

const PATH = "/u/alice/hungry/mcp";
const files = (id: string) => call(id, "files", { amount: 60, places: [SHM] });

test(
  "level user: what a child has in /dev/shm and in segments counts as its memory, and goes with it",
  { skip },
  async (t) => {
    const uid = 58_040;
    const rig = await start(t, uid, { memory: "128M" });
    const session = await rig.http("hungry");
    const rss = async () => ((await instancesOf(rig.daemon))[0] as { rssBytes: number }).rssBytes;
    const before = await rss();
    assert.match((await rig.post(PATH, files("one"), session)).body, /filled/);
    assert.deepEqual(heldBy(uid), ["file"]);
    // A look rests after one that took long.
    await until(async () => (await rss()) > before + (50 << 20), "status counts it");
    // Attached nowhere, they are on no process's account.
    const segment = rig.post(PATH, call("two", "segment", { amount: 60 }), session);
    const ended = await until(
      async () => (await instancesOf(rig.daemon)).find(({ state }) => state === "stopped"),
      "it is over, and nothing of it is left",
    );
    await segment;
    assert.equal(ended.reason, "was killed: over 128M");
    assert.deepEqual(heldBy(uid), []);
  },
);
