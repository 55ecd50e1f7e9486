import type { ChildProcess } from "node:child_process";

/** Takes a child along when this process ends before it was told to stop, by an exception or a closed pipe. */
export function endWithUs(child: ChildProcess): void {
  const end = () => void child.kill();
  process.once("exit", end);
  child.once("close", () => process.off("exit", end));
}
