import childProcess from "node:child_process";
import { syncBuiltinESMExports } from "node:module";

function refuse() {
  throw new Error(
    "a unit test starts no process; one that must imports something that tools/suite.mjs knows for it",
  );
}

/** From now on, what starts a process in this one fails, and says so. */
export function refuseProcesses() {
  childProcess.ChildProcess.prototype.spawn = refuse;
  for (const name of ["spawnSync", "execSync", "execFileSync"]) childProcess[name] = refuse;
  syncBuiltinESMExports();
}
