/**
 * Starts a child on a data folder as the daemon does, prints its pid, and stays until it is killed.
 * parent.ts DATADIR MARK COMMAND [ARGS…]; MARK goes into the child's environment as TEST_MARK.
 */
import { openProcessTrees } from "../../../../src/engines/process/process-trees.ts";

const [dataDir, mark, command, ...args] = process.argv.slice(2);
const trees = await openProcessTrees(dataDir!);
await trees.endLeft();
const { pid } = await trees.start(
  {
    argv: [command!, ...args],
    cwd: "/",
    env: { PATH: process.env["PATH"]!, TEST_MARK: mark! },
    confinement: { level: "none" },
    stdout: "lines",
    eofGraceMs: 0,
    stopTimeoutMs: 1000,
  },
  (_, line) => console.log(line),
);
console.log(`started ${pid}`);
setInterval(() => {}, 60_000);
