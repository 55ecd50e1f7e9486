// How long the start of a child holds up the daemon's event loop, beside many that live.
//   node bench/spawn.mjs [LIVE CHILDREN] [STARTS]
import { readFileSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { closeForkServer } from "../src/engines/process/forks.ts";
import { startProcess } from "../src/engines/process/start-process.ts";

/** What a daemon with that many children and their sessions holds. */
const HELD_MIB = 60;
const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];

const start = () =>
  startProcess(
    {
      // The smallest child there is: it is the daemon's side that is measured.
      argv: ["/bin/sh", "-c", "read x"],
      cwd: "/",
      env: { PATH: process.env.PATH },
      confinement: { level: "none" },
      stdout: "lines",
      eofGraceMs: 1000,
      stopTimeoutMs: 1000,
    },
    () => {},
  );

/** The longest the loop stood still in each of the rounds, in ms: their median and the worst. */
async function standstill(rounds, work) {
  const longest = [];
  for (let round = 0; round < rounds; round++) {
    const delays = monitorEventLoopDelay({ resolution: 1 });
    delays.enable();
    // Its first tick has none before it to be late after.
    await sleep(5);
    await work();
    await sleep(20);
    delays.disable();
    longest.push(delays.max / 1e6);
  }
  return { median: median(longest), worst: Math.max(...longest) };
}

/** With and without a start, beside so many children. */
export async function spawnDelay(live = 300, starts = 40) {
  const held = Array.from({ length: HELD_MIB }, () => Buffer.alloc(2 ** 20, 1));
  const children = [];
  try {
    for (let at = 0; at < live; at++) children.push(await start());
    await sleep(1000);
    const idle = await standstill(starts, () => sleep(10));
    const busy = await standstill(starts, async () => {
      children.push(await start());
    });
    const rss = Number(/VmRSS:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]) / 1024;
    // To the end: it must not be collected before.
    return { idle, busy, rssMiB: rss, heldMiB: held.length };
  } finally {
    await Promise.all(children.map((child) => child.kill()));
    await closeForkServer();
  }
}

/** The same as a row of the bench. */
export async function spawnRow(live) {
  const { idle, busy, rssMiB } = await spawnDelay(live);
  const figure = `${busy.median.toFixed(1)} ms (${idle.median.toFixed(1)} ms without; ${rssMiB.toFixed(0)} MiB)`;
  const what = `${live} live children: how long a start holds up the event loop`;
  return [what, figure, "≤ 5 ms", busy.median <= 5];
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [live, starts] = process.argv.slice(2).map(Number);
  const { idle, busy, rssMiB } = await spawnDelay(live, starts);
  const shown = ({ median: usual, worst }) =>
    `${usual.toFixed(1)} ms, worst ${worst.toFixed(1)} ms`;
  console.log(
    `${live || 300} live children, ${rssMiB.toFixed(0)} MiB: the loop stands still ${shown(busy)} at a start; ${shown(idle)} without one`,
  );
}
