import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from "node:fs";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { endAccounts } from "../../../src/engines/process/accounts.ts";
import { bytesOnFileSystem } from "../../../src/engines/process/held-memory.ts";
import { startProcess } from "../../../src/engines/process/start-process.ts";
import type { ProcessTree } from "../../../src/engines/process/process-tree.ts";
import { lookAtSharedMemory, sharedMemoryOf } from "../../../src/engines/process/shared-memory.ts";
import { notRoot } from "../../helpers/isolation.ts";
import { until } from "../../helpers/until.ts";

const TMPFS = 0x0102_1994;
const skip =
  notRoot || (statfsSync("/dev/shm").type === TMPFS ? false : "/dev/shm is no memory here");

/** A folder in memory that every account may write in, as /dev/shm is. */
function makeFolder(t: TestContext): string {
  const folder = mkdtempSync("/dev/shm/mcps-test-");
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  chmodSync(folder, 0o1777);
  return folder;
}

/** Runs as the account, and says `up` when the script is done; it ends with its stdin. */
async function start(t: TestContext, uid: number, script: string): Promise<ProcessTree> {
  const lines: string[] = [];
  const running = await startProcess(
    {
      argv: ["/bin/sh", "-c", `${script}\necho up; read -r x`],
      cwd: "/",
      env: { PATH: process.env["PATH"] ?? "" },
      confinement: { level: "user", uid },
      stdout: "lines",
      eofGraceMs: 5000,
      stopTimeoutMs: 1000,
    },
    (_, line) => lines.push(line),
  );
  t.after(() => running.kill());
  await until(() => lines.includes("up"), `the script is done: ${lines.join()}`);
  return running;
}

async function bytesOf(uid: number): Promise<number> {
  // A look rests after one that took long.
  await until(async () => {
    await lookAtSharedMemory();
    return sharedMemoryOf(uid).bytes > 0;
  }, "it is seen");
  return sharedMemoryOf(uid).bytes;
}

test(
  "what one child of an account left in memory stays until the last of them has ended",
  { skip },
  async (t) => {
    const [uid, folder] = [58_050, makeFolder(t)];
    const first = await start(t, uid, `echo mine > ${folder}/file`);
    const second = await start(t, uid, ":");
    await first.stop();
    assert.ok(existsSync(`${folder}/file`));
    await second.stop();
    assert.ok(!existsSync(`${folder}/file`));
  },
);

test(
  "what hides is found and removed, what is linked to and what is others' stays",
  { skip },
  async (t) => {
    const [uid, other, folder] = [58_051, 58_052, makeFolder(t)];
    writeFileSync(`${folder}/roots`, "of root");
    mkdirSync(`${folder}/open`);
    chmodSync(`${folder}/open`, 0o777);
    const neighbour = await start(t, other, `echo other > ${folder}/open/others`);
    const hides = [
      `cd ${folder}; mkdir -p closed/deep; head -c 1000000 /dev/zero > closed/deep/file`,
      `ln -s ${folder}/roots closed/link; ln -s ${folder} closed/folder`,
      `chmod 0 closed/deep closed; echo mine > open/mine`,
      // No text in any encoding that a path could be read in.
      `mkdir "$(printf 'not-\\377-text')"; head -c 1000000 /dev/zero > "$(printf 'not-\\377-text')/file"`,
    ];
    const child = await start(t, uid, hides.join("\n"));
    const bytes = await bytesOf(uid);
    assert.ok(bytes > 2_000_000 && bytes < 2_100_000, `${bytes} bytes`);
    await child.stop();
    const left = spawnSync("find", [folder, "-mindepth", "1"], { encoding: "utf8" }).stdout;
    assert.deepEqual(left.trim().split("\n").toSorted(), [
      `${folder}/open`,
      `${folder}/open/others`,
      `${folder}/roots`,
    ]);
    await neighbour.stop();
    assert.ok(!existsSync(`${folder}/open/others`));
  },
);

test(
  "who makes folders too deep to look into holds all that the file system does",
  { skip },
  async (t) => {
    const [uid, folder] = [58_053, makeFolder(t)];
    const script = `cd ${folder}; for i in $(seq 80); do mkdir d; cd d; done; head -c 1000000 /dev/zero > file`;
    const child = await start(t, uid, script);
    assert.ok((await bytesOf(uid)) > 1_000_000);
    assert.ok(bytesOnFileSystem("/dev/shm") > 1_000_000);
    await child.stop();
    assert.ok(!existsSync(`${folder}/d`));
  },
);

test(
  "the next start takes away what accounts were left with by a daemon that was killed",
  { skip },
  async (t) => {
    const [uid, folder] = [58_054, makeFolder(t)];
    const left = spawnSync("setpriv", [
      `--reuid=${uid}`,
      `--regid=${uid}`,
      "--clear-groups",
      "sh",
      "-c",
      `echo mine > ${folder}/file`,
    ]);
    assert.equal(left.status, 0, String(left.stderr));
    await endAccounts(new Set([uid, uid + 1]));
    assert.ok(!existsSync(`${folder}/file`));
  },
);
