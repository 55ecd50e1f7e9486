// npm run hog [-- --level none|user|sandbox --seconds N --rounds N]: what a fork bomb, a memory hog and a
// CPU hog cost the user beside them, and whether the doctor names each. Exits 1 where it costs more than
// it may, or one is not named. Needs only Node, so it can be run inside a unit with Delegate= too, where
// the kernel holds all three: the daemon takes the cgroup that it is started in.
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { startDaemonProcess } from "../helpers/daemon-process.ts";
import { connect, median, p99Of } from "./load.ts";
import type { DaemonProcess } from "../helpers/daemon-process.ts";

/** The p99 of the calm user beside the hogs, in times of that alone. */
const MOST = 2;
/** How long the doctor may take to know of all that a hog does. */
const NAMED_MS = 90_000;

const { values } = parseArgs({
  options: {
    level: { type: "string", default: "none" },
    seconds: { type: "string", default: "10" },
    rounds: { type: "string", default: "3" },
    // On a processor of software a percentile tells of that: it is shown and not judged.
    "named-only": { type: "boolean", default: false },
    // Where the kernel is to keep all limits, and one that it does not keep is a failure.
    "by-kernel": { type: "boolean", default: false },
  },
});
const [seconds, rounds] = [Number(values.seconds), Number(values.rounds)];
const FIXTURES = fileURLToPath(new URL("../fixtures", import.meta.url));

const server = {
  type: "http",
  command: process.execPath,
  args: ["--no-warnings", `${FIXTURES}/servers/hungry.ts`, "--port", "${port}"],
  network: "none",
  paths: { read: [FIXTURES] },
  limits: { memory: "256M", pids: 64, cpu: 0.5 },
};

/** Each hog's tool with the amount it is asked for, and what the doctor must say of it. */
const HOGS = [
  { tool: "memory", amount: 1024, named: /over 256M/ },
  { tool: "fork", amount: 256, named: /(over|limit of) 64 processes/ },
  // It outlasts all that is asked before it is its turn to be named; its user's removal ends it.
  { tool: "cpu", amount: 900, named: /of its CPU limit \(0\.5\).* for \d+ s/ },
];

/** What the doctor says of the user in the end, and whether that is what it should. */
async function diagnosis(daemon: DaemonProcess, user: string, named: RegExp) {
  for (const end = performance.now() + NAMED_MS; ; await delay(500)) {
    const cause = await daemon.causeOf(user);
    const isNamed = named.test(cause ?? "");
    if (isNamed || performance.now() > end) return { cause, isNamed };
  }
}

const daemon = await startDaemonProcess({
  isolation: values.level,
  servers: { calm: server, hungry: server },
  defaultServer: "calm",
  startTimeout: "2m",
});
try {
  if (values["by-kernel"] && daemon.log().includes("not in force"))
    throw new Error(`the kernel does not hold them\n${daemon.log()}`);
  const calm = await connect(daemon, "calm", "calm");
  const [alone, beside]: [number[], number[]] = [[], []];
  for (let round = 1; round <= rounds; round += 1) {
    alone.push(await p99Of(calm, seconds));
    const hogs = [];
    for (const hog of HOGS)
      hogs.push({ ...hog, client: await connect(daemon, `${hog.tool}-${round}`, "hungry") });
    // Its end may be the answer.
    for (const { client, tool, amount } of hogs)
      void client.call(tool, { amount }).catch(() => undefined);
    beside.push(await p99Of(calm, seconds));
    for (const { client, named } of hogs) {
      const { cause, isNamed } = await diagnosis(daemon, client.user, named);
      console.log(`${isNamed ? "named" : "NOT NAMED"}: ${cause ?? "nothing is wrong"}`);
      if (!isNamed) process.exitCode = 1;
      await daemon.cli(["user", "remove", client.user]);
    }
  }
  const [before, after] = [median(alone), median(beside)];
  const ratio = after / before;
  console.log(
    `level ${values.level}, p99 of the calm user in ms: alone ${shown(alone)}, beside the hogs ${shown(beside)}`,
  );
  const isJudged = !values["named-only"];
  const verdict = !isJudged ? "not judged" : ratio <= MOST ? "held" : "MISSED";
  console.log(`${verdict}: ×${ratio.toFixed(2)}, at most ×${MOST}`);
  if (isJudged && ratio > MOST) process.exitCode = 1;
} finally {
  await daemon.stop();
}

function shown(times: readonly number[]): string {
  return times.map((time) => time.toFixed(2)).join(" ");
}
