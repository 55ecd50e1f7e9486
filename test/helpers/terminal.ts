import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { PROGRAM } from "./program.ts";

/** A command line on a terminal of its own. */
export interface Terminal {
  /** All that was written to it so far, as it was written. */
  shown(): string;
  type(keys: string): void;
  readonly closed: Promise<number>;
}

/** Why there is no terminal to test with; false where there is one. */
export const NO_TERMINAL =
  spawnSync("script", ["--version"]).error === undefined
    ? false
    : "script (util-linux) is not on this machine";

/** Runs the command on a terminal (by `script`, of util-linux). */
export function onTerminal(args: readonly string[]): Terminal {
  const line = [process.execPath, "--no-warnings", PROGRAM, ...args].join(" ");
  const child = spawn("script", ["-qec", line, "/dev/null"], { stdio: ["pipe", "pipe", "pipe"] });
  let shown = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => (shown += chunk));
  const closed = once(child, "close").then(([code]) => code as number);
  return { shown: () => shown, type: (keys) => void child.stdin.write(keys), closed };
}
