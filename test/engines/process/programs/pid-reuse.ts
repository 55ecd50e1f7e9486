/**
 * To be run as pid 1 of a namespace: a journal names a child, the child ends unseen, an innocent
 * process gets its pid, and the next life looks.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { openProcessTrees } from "../../../../src/engines/process/process-trees.ts";
import { isAlive } from "../../../helpers/leaks.ts";

const dataDir = process.argv[2]!;
const journal = path.join(dataDir, "children.journal");
const trees = await openProcessTrees(dataDir);
await trees.endLeft();
const spec = {
  cwd: "/",
  env: {},
  confinement: { level: "none" },
  stdout: "lines",
  eofGraceMs: 0,
  stopTimeoutMs: 0,
} as const;
const child = await trees.start({ ...spec, argv: ["/bin/sleep", "3600"] }, () => {});
copyFileSync(journal, `${journal}.kept`);
await child.kill();
await trees.close();
copyFileSync(`${journal}.kept`, journal);

writeFileSync("/proc/sys/kernel/ns_last_pid", String(child.pid - 1));
const innocent = spawn("/bin/sleep", ["3600"], { stdio: "ignore" });
await once(innocent, "spawn");
if (innocent.pid === child.pid) console.log("the pid was used again");
const next = await openProcessTrees(dataDir);
const { count } = await next.endLeft();
console.log(`${count} ended, ${isAlive(child.pid) ? "alive" : "dead"}`);
innocent.kill("SIGKILL");
next.close();
