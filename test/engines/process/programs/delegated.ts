/**
 * A life of the daemon in the cgroup it was started in: says what it was given, starts scatter.sh
 * there, and on `stop` ends that child.
 */
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { openProcessTrees } from "../../../../src/engines/process/process-trees.ts";

const groupOf = (pid: number | "self") =>
  /^0::(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, "utf8"))?.[1];
const say = (what: object) => console.log(JSON.stringify(what));

const trees = await openProcessTrees(process.argv[2]!);
const { count } = await trees.endLeft();
say({ group: groupOf("self"), reaped: count, controllers: [...trees.controllers] });
const child = await trees.start(
  {
    argv: ["sh", process.argv[3]!],
    cwd: "/",
    env: { PATH: process.env["PATH"]! },
    confinement: { level: "none" },
    limits: { memoryBytes: 64 * 2 ** 20, pids: 50, cpu: 0.5 },
    stdout: "lines",
    eofGraceMs: 0,
    stopTimeoutMs: 300,
  },
  (_, line) => say({ line, group: groupOf(child.pid) }),
);
for await (const order of createInterface({ input: process.stdin })) {
  if (order !== "stop") continue;
  await child.stop();
  say({ isStopped: true });
}
